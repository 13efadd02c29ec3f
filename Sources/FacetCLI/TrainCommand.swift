import ArgumentParser
import Facet
import Foundation
import Torch

struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a model on a folder laid out as CelebA.",
    discussion: """
      The output folder becomes a model bundle with the best weights so far. Interrupt at any time: a checkpoint is \
      written, and --resume goes on exactly from there.

      Examples:
        facet train --data celeba --preset compact --output runs/a --minutes 90
        facet train --data celeba --preset compact --output runs/a --minutes 120 --resume
      """)

  @Option(help: "Folder with list_attr_celeba.txt, list_eval_partition.txt and the image and mask folders.")
  var data: String
  @Option(help: "compact, for real time without a GPU, or article, the article's model.")
  var preset: ModelConfiguration.Architecture = .compact
  @Option(help: "Folder of the bundle, the checkpoints and the logs.")
  var output: String
  @Option(help: "Stop after this many minutes of training, resumed runs counted together.")
  var minutes: Double?
  @Option(help: "Stop after this many images.")
  var images: Int?
  @Flag(help: "Go on from the last checkpoint in the output folder.")
  var resume = false
  @Flag(help: "Overwrite a run that is in the output folder already.")
  var force = false
  @OptionGroup var engine: EngineOptions

  @Option(help: "Images in a step.")
  var batch: Int?
  @Option(help: "The highest learning rate.")
  var learningRate: Double?
  @Option(help: "constant, or cosine: down to 0 over the budget.")
  var schedule: TrainingConfiguration.Schedule?
  @Option(help: "Weight of the KL term.")
  var klWeight: Double?
  @Option(help: "Numbers in a latent code (compact).")
  var latentSize: Int?
  @Option(help: "Side of the image in pixels (compact).")
  var imageSize: Int?
  @Option(help: "Images between two validations; default: an epoch.")
  var validateEvery: Int?
  @Option(help: "Minutes between two checkpoints.")
  var checkpointMinutes: Double?
  @Option(help: "Validations without a better loss after which training stops.")
  var patience: Int?
  @Option(help: "float32, or bfloat16 for convolutions with losses in float32.")
  var precision: Precision?
  @Option(help: "Seed of the weights, the order and the noise.")
  var seed: UInt64?

  enum Precision: String, ExpressibleByArgument, CaseIterable { case float32, bfloat16 }

  func validate() throws {
    if let minutes, !(minutes > 0) { throw ValidationError("--minutes must be above 0") }
    if let images, images < 1 { throw ValidationError("--images must be above 0") }
    if let batch, !(1...4096).contains(batch) { throw ValidationError("--batch must be from 1 to 4096") }
    if let learningRate, !(learningRate > 0) { throw ValidationError("--learning-rate must be above 0") }
    if let validateEvery, validateEvery < 1 { throw ValidationError("--validate-every must be above 0") }
  }

  func run() throws {
    var configuration = TrainingConfiguration(preset: preset)
    if let batch { configuration.batchSize = batch }
    if let learningRate { configuration.learningRate = learningRate }
    if let schedule { configuration.schedule = schedule }
    if let klWeight { configuration.objective.kl = klWeight }
    if let latentSize { configuration.model.latentSize = latentSize }
    if let imageSize { configuration.model.imageSize = imageSize }
    if let validateEvery { configuration.validationInterval = validateEvery }
    if let checkpointMinutes { configuration.checkpointMinutes = checkpointMinutes }
    if let patience { configuration.patience = patience }
    if let precision { configuration.usesBFloat16 = precision == .bfloat16 }
    if let seed { configuration.seed = seed }
    configuration.dataset.size = configuration.model.imageSize
    configuration.budget = .init(images: images, minutes: minutes)

    let device = try engine.prepare()
    let output = URL(fileURLWithPath: output, isDirectory: true)
    if !resume, !force, FileManager.default.fileExists(atPath: Trainer.lastCheckpoint(in: output).path) {
      throw CommandError("\(output.path) holds a run already; add --resume to go on or --force to start anew")
    }
    let dataset = try CelebA(directory: URL(fileURLWithPath: data, isDirectory: true), configuration: configuration.dataset)
    let training = try open(dataset, .train)
    let validation = try open(dataset, .validation)
    let trainer = try Trainer(
      configuration, training: training, validation: validation, output: output, device: device, resume: resume)
    let log = try TrainingLog(folder: output, budget: configuration.budget)
    Interruption.watch()
    let ending = try trainer.run(shouldStop: { Interruption.requested }, onEvent: log.record)
    log.finish(ending)
    if ending == .interrupted { throw ExitCode(130) }
  }
}

extension ModelConfiguration.Architecture: ExpressibleByArgument {}
extension TrainingConfiguration.Schedule: ExpressibleByArgument {}

import ArgumentParser
import Facet
import FacetTraining
import Foundation
import Torch

struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a model on faces that 'facet prepare' has made a set of, or on CelebA.",
    discussion: """
      The output folder becomes a model bundle with the best weights so far; 'tensorboard --logdir OUTPUT/logs' shows \
      how it goes. Without --minutes or --images, training goes on until the validation loss stops improving.

      --distances measures reconstructions at each validation as 'facet evaluate --distances' does, by the perceptual \
      and the Fréchet distance. It takes about as long as the validation itself. Scripts/perceptual-weights fetches the \
      weights once.

      OUTPUT/run.json has all fields of the configuration, OUTPUT/logs/log.jsonl the figures; 'facet compare' reads both.

      Ctrl-C or SIGTERM ends training at the next step with a checkpoint and exit code 130; --resume goes on exactly \
      from there, with the options of the run where none are given.

      Several processes train one model together, on one machine or many, when torchrun starts them, or a job's script \
      that sets torch's variables RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT. A batch is shared by all, \
      so their number does not change what is learned. A process that ends takes the others with it; started again by \
      torchrun, they go on from the last checkpoint as with --resume.

      Examples:
        facet train --data faces --output runs/own --minutes 90
        facet train --data celeba --preset compact --output runs/a --minutes 90
        facet train --data celeba --output runs/a --resume --minutes 120
        facet train --data celeba --output runs/b --config runs/a/run.json --set augmentation.rotation=10
        facet train --data celeba --preset article --output runs/b --images 2000000 --device cuda
        torchrun --nproc-per-node 8 --max-restarts 3 --no-python facet train --data celeba --output runs/c --device cuda
      """)

  @Option(
    help: "Folder of 'facet prepare', or of CelebA or CelebA-HQ as they are published, with a folder of label maps.",
    completion: .directory)
  var data: String
  @Option(help: "compact, for real time without a GPU, or article, the article's model; default: compact.")
  var preset: ModelConfiguration.Architecture?
  @Option(help: "Start from the weights of this bundle, whose model is taken too.", completion: .directory)
  var from: String?
  @Flag(help: "Measure the perceptual and the Fréchet distance at each validation, too.")
  var distances = false
  @OptionGroup var perceptual: PerceptualOptions
  @OptionGroup var options: RunOptions
  @OptionGroup var engine: EngineOptions

  @Option(help: "constant, or cosine: down to 0 over the budget.")
  var schedule: TrainingConfiguration.Schedule?
  @Option(help: "Weight of the KL term.")
  var klWeight: Double?
  @Option(help: "Weight of the labels' cross entropy, read off the code in training; default: none.")
  var labelWeight: Double?
  @Option(help: "Numbers in a latent code (compact).")
  var latentSize: Int?
  @Option(help: "Side of the image in pixels, a multiple of 32 (compact).")
  var imageSize: Int?
  @Option(help: "Images between two validations; default: an epoch.")
  var validateEvery: Int?
  @Option(help: "Validations without a better loss after which training stops.")
  var patience: Int?
  @Option(help: "float32, or bfloat16 for convolutions with losses in float32, where the processor has it.")
  var precision: Precision?
  @Option(help: "host or device: where the decoded photos are kept, and batches made; default: the model's device.")
  var photosOn: Trainer.Residency?
  @Flag(
    inversion: .prefixedNo,
    help: "Batch norm's statistics over the photos of all processes, as one would take them, or each over its own.")
  var syncBatchNorm: Bool?

  enum Precision: String, ExpressibleByArgument, CaseIterable {
    case float32, bfloat16

    /// Says so where a device lacks it.
    func check(on device: Device) {
      if self == .bfloat16, !device.computesBFloat16 { note("this processor does not compute in bfloat16: float32 is used") }
    }
  }

  @Flag(help: "Print the configuration, with all defaults, as --config takes it, and train nothing.")
  var showConfig = false

  func validate() throws {
    if let klWeight, !(klWeight >= 0 && klWeight.isFinite) { throw ValidationError("--kl-weight must be at least 0") }
    if let labelWeight, !(0...1e6).contains(labelWeight) {
      throw ValidationError("--label-weight must be from 0 to 1000000")
    }
    if let validateEvery, validateEvery < 1 { throw ValidationError("--validate-every must be above 0") }
    if let patience, patience < 1 { throw ValidationError("--patience must be above 0") }
  }

  func run() throws {
    if showConfig { return try show(ConfigurationFile.text(of: makeConfiguration(resuming: nil))) }
    let device = try engine.prepare()
    let group = try engine.meet()
    if group.speaks { precision?.check(on: device) }
    // What torchrun has started again is to go on.
    let restarts = try Launch(ProcessInfo.processInfo.environment)?.restarts ?? 0
    let resume = options.resume || restarts > 0
    var configuration = try makeConfiguration(
      resuming: resume ? Trainer.savedConfiguration(in: options.folder, for: group) : nil)
    // Before a bundle is loaded, whose model may be another.
    try RunOptions.check(configuration)
    let start = try from.map { try ModelBundle(contentsOf: URL(fileURLWithPath: $0, isDirectory: true)) }
    if let start {
      configuration.model = start.configuration
      configuration.dataset.fit(start.configuration)
      try RunOptions.check(configuration)
    }
    let dataset = try CelebA(
      directory: URL(fileURLWithPath: data, isDirectory: true), configuration: configuration.dataset)
    let checked = group.speaks ? try options.checkedFolder(resumes: resume) : nil
    defer { withExtendedLifetime(checked?.lock) {} }
    let trainer = try Trainer(
      configuration, training: open(dataset, .train, for: group), validation: open(dataset, .validation, for: group),
      output: options.folder, weights: start?.model.state(), device: device, residency: photosOn, resume: resume,
      distance: distances ? perceptual.load(on: device) : nil, group: group)
    try train(trainer, as: "train", speaks: group.speaks)
  }

  /// The options given, over those of the run that is resumed, over the preset's.
  private func makeConfiguration(resuming saved: TrainingConfiguration?) throws -> TrainingConfiguration {
    var configuration = saved ?? TrainingConfiguration(preset: preset ?? .compact)
    if let preset, preset != configuration.model.architecture { configuration = TrainingConfiguration(preset: preset) }
    configuration = try options.configured(configuration)
    if let schedule { configuration.schedule = schedule }
    if let klWeight { configuration.objective.kl = klWeight }
    if let labelWeight { configuration.objective.labels = labelWeight }
    if let latentSize { configuration.model.latentSize = latentSize }
    if let imageSize { configuration.model.imageSize = imageSize }
    if let validateEvery { configuration.validationInterval = validateEvery }
    if let patience { configuration.patience = patience }
    if let precision { configuration.usesBFloat16 = precision == .bfloat16 }
    if let syncBatchNorm { configuration.synchronizesBatchNorm = syncBatchNorm }
    configuration.dataset.fit(configuration.model)
    options.set(in: &configuration)
    return configuration
  }
}

extension ModelConfiguration.Architecture: ExpressibleByArgument {}
extension TrainingConfiguration.Schedule: ExpressibleByArgument {}
extension Trainer.Residency: ExpressibleByArgument {}

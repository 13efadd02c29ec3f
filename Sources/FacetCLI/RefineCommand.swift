import ArgumentParser
import Facet
import Foundation

struct RefineCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "refine",
    abstract: "Train a refiner, which draws what a model's decoder is too soft for.",
    discussion: """
      Photos without an attribute are edited, and a critic learns to tell them from photos that have it; the refiner \
      learns to be taken for those, while a classifier of photos watches over what else changes. The output folder is a \
      bundle from the first checkpoint on: the model's own with refiner.safetensors. Edits that it knows are drawn by \
      it by default; '--method isolated' leaves it out. 'tensorboard --logdir OUTPUT/logs' shows how it goes.

      All edits share one network: name all that it is to know. Ctrl-C or SIGTERM ends training at the next step with a \
      checkpoint and exit code 130; --resume goes on exactly from there, with the options of the run where none are given. \
      Without --minutes or --images it takes 60 minutes.

      Examples:
        facet attributes classifier --data celeba --output runs/classifier
        facet refine --model runs/a --data celeba --classifier runs/classifier --output runs/refined \\
          --edit Eyeglasses=1 --edit Young=-1 --edit Mustache=1
        facet refine --model runs/a --data celeba --classifier runs/classifier --output runs/refined --resume
      """)

  @Option(help: "Folder of the model bundle, with directions; default: the one inside the package.", completion: .directory)
  var model: String?
  @Option(help: "Folder laid out as CelebA, masks are not needed; train is used.", completion: .directory)
  var data: String
  @Option(help: "Folder of the classifier.", completion: .directory)
  var classifier: String
  @Option(help: "An attribute that it is to draw, a label of the data set: NAME=1 adds it, NAME=-1 takes it away.")
  var edit: [String] = []
  @OptionGroup var options: RunOptions
  @OptionGroup var engine: EngineOptions

  @Option(help: "Weight of what is asked, as the classifier sees it.")
  var asked: Double?
  @Option(help: "Weight of the change of other attributes, as the classifier sees them.")
  var leakage: Double?
  @Option(help: "Weight of the change of the pixels.")
  var pixels: Double?
  @Option(help: "Weight of the opacity.")
  var opacity: Double?

  func validate() throws {
    for weight in [asked, leakage, pixels, opacity] {
      if let weight, !(0...1e6).contains(weight) { throw ValidationError("a weight must be from 0 to 1000000") }
    }
  }

  func run() throws {
    let device = try engine.prepare()
    let output = try options.checkedFolder()
    let states = try edit.map(state)
    let saved = try options.resume ? RefinerTrainer.savedConfiguration(in: output) : nil
    guard saved != nil || !states.isEmpty else { throw CommandError("name what it is to draw, such as --edit Eyeglasses=1") }
    var configuration = saved ?? RefinerTraining(edits: states)
    if !states.isEmpty { configuration.edits = states }
    options.set(
      batch: &configuration.batchSize, learningRate: &configuration.learningRate,
      checkpointMinutes: &configuration.checkpointMinutes, seed: &configuration.seed, budget: &configuration.budget)
    if let asked { configuration.asked = asked }
    if let leakage { configuration.leakage = leakage }
    if let pixels { configuration.pixels = pixels }
    if let opacity { configuration.opacity = opacity }
    let url = model.map { URL(fileURLWithPath: $0, isDirectory: true) } ?? ModelBundle.defaultURL
    let bundle = try ModelBundle(contentsOf: url, device: device)
    let seer = try AttributeClassifier(
      contentsOf: URL(fileURLWithPath: classifier, isDirectory: true), device: device)
    let dataset = try CelebA(
      directory: URL(fileURLWithPath: data, isDirectory: true), configuration: .encoding(bundle.configuration))
    let trainer = try RefinerTrainer(
      configuration, of: bundle, by: seer, on: open(dataset, .train, for: nil), output: output, device: device,
      resume: options.resume)
    let log = try RefinerLog(of: trainer)
    Interruption.watch()
    let ending = try trainer.run(shouldStop: { Interruption.requested }, onEvent: log.record)
    log.finish()
    if ending == .interrupted { throw ExitCode(130) }
  }

  private func state(_ text: String) throws -> AttributeState {
    let parts = text.split(separator: "=", omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty, ["1", "-1"].contains(parts[1]) else {
      throw CommandError("--edit: '\(text)' is not NAME=1 or NAME=-1")
    }
    return AttributeState(name: String(parts[0]), adds: parts[1] == "1")
  }
}

/// Shows a refiner's training on a terminal and to TensorBoard.
private final class RefinerLog {
  private let report: ProgressReport
  private let events: EventFileWriter
  private let budget: TrainingConfiguration.Budget
  private var window: [RefinerLosses] = []

  init(of trainer: RefinerTrainer) throws {
    budget = trainer.configuration.budget
    report = ProgressReport(
      "refine", total: budget.images, completed: trainer.progress.images,
      share: budget.progress(images: trainer.progress.images, minutes: trainer.progress.minutes),
      interval: .seconds(30))
    events = try EventFileWriter(
      directory: trainer.output.appendingPathComponent("logs", isDirectory: true),
      startingAtStep: trainer.progress.images + 1)
  }

  func record(_ event: RefinerTrainer.Event) throws {
    switch event {
    case .started(let progress, let parameters, let photos):
      report.note("refine  from step \(progress.step), \(parameters) parameters, \(photos) photos")
    case .step(let progress, let losses, let learningRate):
      window.append(losses)
      func mean(_ value: KeyPath<RefinerLosses, Double>) -> Double {
        window.reduce(0) { $0 + $1[keyPath: value] } / Double(window.count)
      }
      report.update(
        progress.images, share: budget.progress(images: progress.images, minutes: progress.minutes),
        detail: String(
          format: "critic %.3f  seen %.3f  leakage %.4f  pixels %.4f  lr %.1e", mean(\.critic), mean(\.seen),
          mean(\.leakage), mean(\.pixels), learningRate))
      if window.count == 20 {
        let figures: [(String, KeyPath<RefinerLosses, Double>)] = [
          ("critic", \.critic), ("realism", \.realism), ("seen", \.seen), ("leakage", \.leakage), ("pixels", \.pixels),
        ]
        try events.addScalars(
          figures.map { ("train/\($0.0)", Float(mean($0.1))) } + [("train/learning_rate", Float(learningRate))],
          step: progress.images)
        window = []
      }
    case .checkpoint(let progress):
      report.note("checkpoint  \(progress.images) images seen")
      try events.synchronize()
    }
  }

  func finish() { report.finish() }
}

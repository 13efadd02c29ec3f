import Files
import Foundation
import Torch

/// Trains a model on a dataset and leaves a bundle of the best weights.
///
/// The output folder becomes a model bundle; `checkpoints/last.safetensors` beside it holds all that
/// an exact continuation needs, `checkpoints/best.safetensors` the state with the best validation.
public final class Trainer {
  public let configuration: TrainingConfiguration
  public let output: URL
  public let device: Device
  private let training: DecodedCache
  private let validation: DecodedCache
  private let model: any FaceVAE
  private let objective: Objective
  private let optimizer: Adam
  private let ema: ExponentialMovingAverage?
  private let evaluator: Evaluator
  private let loader: BatchLoader
  private var progress = TrainingProgress()

  /// What happens while training runs, in order.
  public enum Event: Sendable {
    case started(TrainingProgress, parameters: Int, images: Int)
    case step(TrainingProgress, losses: [(name: String, value: Double)], learningRate: Double, waited: Duration)
    case validated(TrainingProgress, EvaluationReport, isBest: Bool)
    case checkpoint(TrainingProgress, URL)
  }

  /// Why training ended.
  public enum Ending: String, Sendable {
    case budgetSpent, noImprovement, interrupted
  }

  /// Prepares a run.
  /// - Parameter resume: go on from `checkpoints/last.safetensors` if it is there.
  /// - Throws: ``TrainingError`` when the checkpoint is of another model or not whole.
  public init(
    _ configuration: TrainingConfiguration, training: DecodedCache, validation: DecodedCache, output: URL,
    device: Device = .cpu, resume: Bool = false
  ) throws {
    self.configuration = configuration
    self.training = training
    self.validation = validation
    self.output = output
    self.device = device
    guard training.count >= configuration.batchSize else {
      throw TrainingError("\(training.count) training photos don't fill a batch of \(configuration.batchSize); use a smaller --batch")
    }
    if device == .cpu { Torch.keepFreedMemory() }
    model = try configuration.model.makeModel(seed: configuration.seed)
    try model.move(to: device)
    try model.useChannelsLast()
    try model.setRequiresGrad(true)
    objective = try Objective(imageSize: configuration.model.imageSize, weights: configuration.objective, device: device)
    optimizer = try Adam(model, configuration: configuration.adam, clipping: configuration.clipping)
    let model = model
    ema = try configuration.emaDecay.map { try ExponentialMovingAverage(model, decay: $0) }
    evaluator = try Evaluator(configuration.model.makeModel(seed: nil), objective: configuration.objective, device: device)
    loader = BatchLoader(
      training,
      options: .training(
        batchSize: configuration.batchSize, seed: configuration.seed))
    if resume, FileManager.default.fileExists(atPath: lastCheckpoint.path) { try restore() }
  }

  /// The checkpoint that a run in the folder `output` goes on from.
  public static func lastCheckpoint(in output: URL) -> URL {
    output.appendingPathComponent("checkpoints/last.safetensors")
  }

  private var lastCheckpoint: URL { Self.lastCheckpoint(in: output) }
  private var bestCheckpoint: URL { output.appendingPathComponent("checkpoints/best.safetensors") }

  /// Trains until the budget is spent, validation stops improving or `shouldStop` says so.
  @discardableResult
  public func run(shouldStop: () -> Bool = { false }, onEvent: (Event) throws -> Void = { _ in }) throws -> Ending {
    let clock = StopWatch(alreadySpent: progress.minutes * 60)
    var lastSave = clock.seconds
    try onEvent(.started(progress, parameters: model.parameterCount, images: training.count))

    while true {
      loader.start(epoch: progress.epoch, batch: progress.batch)
      while let batch = loader.next() {
        progress.minutes = clock.seconds / 60
        let spent = configuration.budget.progress(images: progress.images, minutes: progress.minutes)
        if spent >= 1 { return try finish(.budgetSpent, onEvent) }
        if progress.validationsSinceBest >= configuration.patience { return try finish(.noImprovement, onEvent) }
        if shouldStop() { return try finish(.interrupted, onEvent) }

        let learningRate = configuration.learningRate * configuration.schedule.factor(spent)
        let losses = try step(batch, learningRate: learningRate)
        progress.step += 1
        progress.batch += 1
        progress.images += batch.count
        progress.minutes = clock.seconds / 60
        try onEvent(.step(progress, losses: losses, learningRate: learningRate, waited: loader.waited))

        if let interval = configuration.validationInterval,
          progress.images / interval > (progress.images - batch.count) / interval
        {
          try validate(onEvent)
        }
        if clock.seconds - lastSave >= configuration.checkpointMinutes * 60 {
          try save(to: lastCheckpoint, onEvent)
          lastSave = clock.seconds
        }
      }
      progress.epoch += 1
      progress.batch = 0
      if configuration.validationInterval == nil { try validate(onEvent) }
    }
  }

  /// One step of gradient descent; returns the losses by name.
  private func step(_ batch: Batch, learningRate: Double) throws -> [(name: String, value: Double)] {
    let images = try batch.imageTensor(on: device)
    let masks = try batch.maskTensor(on: device)
    // A seed for each step, so that a resumed run draws the noise that it would have drawn.
    var seeds = SplitMix64(seed: configuration.seed ^ UInt64(progress.step) << 20)
    let generator = try Generator(seed: seeds.next(), device: device)
    let noise = try Tensor.randn([batch.count, configuration.model.latentSize], generator: generator, device: device)

    model.setTraining(true)
    try model.zeroGrad()
    let (posterior, reconstruction) = try withAutocast(configuration.usesBFloat16 ? .bfloat16 : nil, on: device) {
      let posterior = try model.encode(images).float32()
      return (posterior, try model.decode(posterior.sample(noise: noise)).float32())
    }
    let terms = try objective(images: images, masks: masks, reconstruction: reconstruction, posterior: posterior)
    let losses = try terms.named.map { (name: $0.name, value: try $0.value.item()) }
    if let bad = losses.last(where: { !$0.value.isFinite }) {
      throw TrainingError(
        "step \(progress.step + 1): the loss term '\(bad.name)' is \(bad.value); the last good checkpoint is kept. "
          + "Resume with a lower --learning-rate")
    }
    try terms.total.backward()
    try optimizer.step(learningRate: learningRate)
    try ema?.update(step: progress.step + 1)
    return losses
  }

  private func validate(_ onEvent: (Event) throws -> Void) throws {
    let weights = try shippedWeights()
    try evaluator.model.load(weights)
    let report = try evaluator.evaluate(validation)
    progress.validatedStep = progress.step
    let isBest = report.loss < progress.bestLoss
    progress.validationsSinceBest = isBest ? 0 : progress.validationsSinceBest + 1
    if isBest {
      progress.bestLoss = report.loss
      try save(to: bestCheckpoint, onEvent)
      try ModelBundle.write(configuration: configuration.model, weights: weights, to: output)
    }
    try onEvent(.validated(progress, report, isBest: isBest))
  }

  private func finish(_ ending: Ending, _ onEvent: (Event) throws -> Void) throws -> Ending {
    if ending != .interrupted, progress.validatedStep != progress.step { try validate(onEvent) }
    try save(to: lastCheckpoint, onEvent)
    return ending
  }

  /// The averaged weights if there is an average, with the running statistics.
  private func shippedWeights() throws -> [String: Tensor] {
    try model.state().merging(ema?.state() ?? [:]) { $1 }
  }

  // MARK: Checkpoints

  private func save(to url: URL, _ onEvent: (Event) throws -> Void) throws {
    let modelState = try model.state()
    for (name, tensor) in modelState where try !tensor.isAllFinite() {
      throw TrainingError("step \(progress.step): the weight '\(name)' is not finite; the last good checkpoint is kept")
    }
    var tensors = modelState.prefixed("model.")
    tensors.merge(try optimizer.state().prefixed("optimizer.")) { $1 }
    if let ema { tensors.merge(try ema.state().prefixed("ema.")) { $1 } }
    let metadata = [
      "format": "facet-checkpoint-1",
      "progress": try JSON.encode(progress),
      "configuration": try JSON.encode(configuration),
    ]
    try Tensor.save(tensors, metadata: metadata, to: url)
    try onEvent(.checkpoint(progress, url))
  }

  private func restore() throws {
    let (tensors, metadata) = try Tensor.load(from: lastCheckpoint)
    do {
      guard metadata["format"] == "facet-checkpoint-1" else { throw TrainingError("no checkpoint of this trainer") }
      let saved = try JSON.decode(TrainingConfiguration.self, metadata["configuration"] ?? "")
      guard saved.model == configuration.model else { throw TrainingError("made for another model configuration") }
      guard saved.batchSize == configuration.batchSize, saved.seed == configuration.seed else {
        throw TrainingError("made with batch \(saved.batchSize) and seed \(saved.seed); resume with the same")
      }
      progress = try JSON.decode(TrainingProgress.self, metadata["progress"] ?? "")
      try model.load(tensors.withPrefix("model."))
      try optimizer.load(tensors.withPrefix("optimizer."))
      try ema?.load(tensors.withPrefix("ema."))
    } catch {
      throw TrainingError("\(lastCheckpoint.path): cannot resume: \(error)")
    }
  }
}

/// Where a run stands.
public struct TrainingProgress: Codable, Sendable, Equatable {
  /// Steps done.
  public internal(set) var step = 0
  /// Epochs finished, and batches done in the current one.
  public internal(set) var epoch = 0
  public internal(set) var batch = 0
  /// Images seen.
  public internal(set) var images = 0
  /// Time spent, over all resumed runs.
  public internal(set) var minutes = 0.0
  public internal(set) var bestLoss = Double.greatestFiniteMagnitude
  public internal(set) var validationsSinceBest = 0
  public internal(set) var validatedStep = -1
}

/// A training run that cannot start or go on.
public struct TrainingError: Error, Equatable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// Seconds on a clock that never goes back, counted on from earlier runs.
struct StopWatch {
  private let start = ContinuousClock.now
  private let before: Double

  init(alreadySpent: Double = 0) { before = alreadySpent }

  var seconds: Double { before + (ContinuousClock.now - start) / .seconds(1) }
}

extension Posterior {
  fileprivate func float32() throws -> Posterior {
    Posterior(mean: try mean.to(.float32), logDeviation: try logDeviation.to(.float32))
  }
}

extension Reconstruction {
  fileprivate func float32() throws -> Reconstruction {
    Reconstruction(image: try image.to(.float32), maskLogits: try maskLogits.to(.float32))
  }
}

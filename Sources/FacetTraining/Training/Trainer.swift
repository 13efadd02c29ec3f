import Facet
import Files
import Foundation
import Photo
import Torch

/// Trains a model on a dataset and leaves a bundle of the best weights.
///
/// The output folder becomes a model bundle; `checkpoints/last.safetensors` in it holds all that an exact continuation
/// needs, `checkpoints/best.safetensors` the state with the best validation.
///
/// A run that is taken up from a checkpoint does what it would have done without the break: on the CPU, with the same
/// number of threads and the same budget in images, it ends with the same weights to the last bit.
///
/// Several processes train together, each with a trainer: they share each batch, so that their number does not change
/// what is learned, and a run can go on with another number. The first alone reads and writes the output folder.
public final class Trainer: SteppingTrainer {
  /// The recipe.
  public let configuration: TrainingConfiguration
  /// The folder that the run is written to.
  public let output: URL
  /// Where the model is.
  public let device: Device
  /// The processes that take part; `nil` for this one alone.
  public let group: ProcessGroup?
  /// Where the run stands.
  public internal(set) var progress = TrainingProgress()
  /// A line for people on the checkpoint that the run goes on from, where it is not the last one.
  public internal(set) var notice: String?
  var lock: WriteLock?
  private let training: DecodedCache
  private let validation: DecodedCache
  private let trainingStep: TrainingStep
  private let evaluator: Evaluator
  private let distance: PerceptualDistance?
  private let batches: any TrainingBatches
  private let batchesPerEpoch: Int

  /// Where training keeps the decoded photos.
  public enum Residency: String, Sendable, CaseIterable {
    /// In a file that is mapped into memory, batches made ahead by threads.
    case host
    /// In the memory of the device, where batches are made, too: nothing but their order goes there in a step.
    case device
  }

  /// Why training ended.
  public enum Ending: String, Sendable {
    /// The budget is spent; ``TrainingConfiguration/patience`` ran out; somebody asked for it.
    case budgetSpent, noImprovement, interrupted
  }

  /// Prepares a run.
  /// - Parameter weights: what the model starts from, such as a bundle's; fresh ones where left out.
  /// - Parameter resume: go on from `checkpoints/last.safetensors` if it is there. A run that starts anew removes the
  ///   bundle and the checkpoints that an earlier one left in the folder.
  /// - Parameter validation: the photos to measure on.
  /// - Parameter output: the folder that becomes the bundle.
  /// - Parameter training: the photos to learn from.
  /// - Parameter configuration: the model and the recipe.
  /// - Parameter device: where the work is done.
  /// - Parameter residency: where the decoded photos are kept; with the model where left out.
  /// - Parameter distance: also measures reconstructions by it at each validation.
  /// - Parameter group: the processes that take part, each with the same photos and configuration; `nil` for this one
  ///   alone.
  /// - Throws: ``TrainingError`` when the configuration is out of range, or the checkpoints are damaged or of another
  ///   run; `FileError` when the folder cannot be written to, or another process writes there; `ProcessGroupError` when a process is gone.
  public init(
    _ configuration: TrainingConfiguration, training: DecodedCache, validation: DecodedCache, output: URL,
    weights: [String: Tensor]? = nil, device: Device = .cpu, residency: Residency? = nil, resume: Bool = false,
    distance: PerceptualDistance? = nil, group: ProcessGroup? = nil
  ) throws {
    let residency = residency ?? (device == .cpu ? .host : .device)
    try configuration.validate()
    guard training.count >= configuration.batchSize else {
      throw TrainingError(
        "\(training.count) training photos don't fill a batch of \(configuration.batchSize); use a smaller --batch")
    }
    let processes = group?.count ?? 1
    guard configuration.batchSize % processes == 0 else {
      throw TrainingError("a batch of \(configuration.batchSize) cannot be shared evenly by \(processes) processes")
    }
    guard (configuration.objective.labels ?? 0) == 0 || !training.dataset.attributeNames.isEmpty else {
      throw TrainingError("the data set has no labels to weigh: leave --label-weight out, or give 'facet prepare' --labels")
    }
    self.configuration = configuration
    (self.group, self.distance) = (group, distance)
    self.training = training
    self.validation = validation
    self.output = output
    self.device = device
    if device == .cpu { Torch.keepFreedMemory() }
    trainingStep = try TrainingStep(
      configuration, weights: weights, labelCount: training.dataset.attributeNames.count, device: device, group: group)
    // Another model takes the averaged weights, so that validation leaves the one in training alone.
    evaluator = try Evaluator(
      configuration.model.makeModel(seed: nil), objective: configuration.objective, device: device)
    var options = BatchLoader.Options.training(
      batchSize: configuration.batchSize / processes, seed: configuration.seed)
    options.maxShift = configuration.augmentation.maxShift
    (options.rank, options.worldSize) = (group?.rank ?? 0, processes)
    batches = residency == .device
      ? try ResidentBatches(training, options: options, on: device)
      : LoadedBatches(BatchLoader(training, options: options), on: device)
    batchesPerEpoch = options.batchesPerEpoch(of: training.count)
    if isFirst { try takeUp(resume: resume) }
    try group?.watching { try shareStart() }
  }

  /// The numbers that it trains.
  public var parameterCount: Int { trainingStep.model.parameterCount }
  /// The photos that it learns from.
  public var photoCount: Int { training.count }
  public var waited: Duration? { batches.waited }

  /// Gives all processes the first one's progress and weights: only it needs to see the output folder.
  private func shareStart() throws {
    guard let group else { return }
    let photos = [training.count, validation.count]
    let expected = try group.broadcast(Array("\(photos)".utf8))
    guard expected == Array("\(photos)".utf8) else {
      throw TrainingError(
        "process \(group.rank) has other photos than the first: \(photos), not "
          + "\(String(decoding: expected, as: UTF8.self)) for training and validation")
    }
    let text = try group.broadcast(Array(JSON.encode(progress).utf8))
    progress = try JSON.decode(TrainingProgress.self, String(decoding: text, as: UTF8.self))
    try trainingStep.shareState()
  }

  /// Trains until the budget is spent, validation stops improving or `shouldStop` says so, on any of the processes.
  /// Events happen on the first process alone.
  /// - Throws: ``TrainingError`` with the step and the term when a loss is not finite, and what `onEvent` throws. The
  ///   last checkpoint stays as it is.
  @discardableResult
  public func run(
    shouldStop: () -> Bool = { false }, onEvent: (TrainingEvent) throws -> Void = { _ in }
  ) throws -> Ending {
    batches.start(epoch: progress.epoch, batch: progress.batch)
    guard let group else { return try train(shouldStop, onEvent) }
    return try group.watching { try train(shouldStop, group.isFirst ? onEvent : { _ in }) }
  }

  func step(learningRate: Double) throws -> [(name: String, value: Double)] {
    let batch = try nextBatch()
    let losses = try trainingStep(
      images: batch.images, masks: batch.masks, labels: batch.labels, number: progress.step, learningRate: learningRate)
    progress.batch += 1
    return losses
  }

  /// The next batch; where an epoch has no more the next one begins.
  private func nextBatch() throws -> (images: Tensor, masks: Tensor, labels: Tensor) {
    while true {
      if let batch = try batches.next() { return batch }
      (progress.epoch, progress.batch) = (progress.epoch + 1, 0)
      batches.start(epoch: progress.epoch, batch: 0)
    }
  }

  // MARK: Validation

  var isStale: Bool { progress.validationsSinceBest >= configuration.patience }

  /// Whether the last step was the last one of a validation's interval.
  private var isValidationDue: Bool {
    guard let interval = configuration.validationInterval else { return progress.batch == batchesPerEpoch }
    return progress.images / interval > (progress.images - configuration.batchSize) / interval
  }

  /// Measures the averaged weights; the best so far become the bundle.
  func validate(isLast: Bool, _ onEvent: (TrainingEvent) throws -> Void) throws {
    guard isLast ? progress.validatedStep != progress.step : isValidationDue else { return }
    let weights = try trainingStep.shippedWeights()
    try evaluator.model.load(weights)
    let report = try evaluator.evaluate(validation, distance: distance, over: group)
    try checkBounded(report.loss, "the validation loss")
    progress.validatedStep = progress.step
    let isBest = report.loss < progress.bestLoss
    progress.validationsSinceBest = isBest ? 0 : progress.validationsSinceBest + 1
    if isBest { progress.bestLoss = report.loss }
    guard isFirst else { return }
    if isBest {
      let content = try checkpointContent()
      try Tensor.save(content.tensors, metadata: content.metadata, to: bestCheckpoint)
      let origin = "trained on \(progress.images) images, by Facet \(facetVersion)"
      try ModelBundle.write(configuration: configuration.model, weights: weights, origin: origin, to: output)
    }
    let sheet = try evaluator.model.sheet(of: validation, on: device)
    try onEvent(.validated(progress, report, isBest: isBest, sheet: sheet))
  }

  // MARK: Checkpoints

  /// The checkpoint that a run in the folder `output` goes on from.
  public static func lastCheckpoint(in output: URL) -> URL {
    CheckpointFile(in: output).last
  }

  /// The configuration of the run that the folder `output` holds; `nil` where there is none.
  /// - Parameter output: the folder.
  /// - Parameter group: processes that all get to know it; only the first looks.
  /// - Throws: ``TrainingError`` or `SafetensorsError` when its checkpoint is damaged.
  public static func savedConfiguration(
    in output: URL, for group: ProcessGroup? = nil
  ) throws -> TrainingConfiguration? {
    if let group {
      return try group.watching {
        let own = group.isFirst ? try savedConfiguration(in: output).map { try JSON.encode($0) } : nil
        let text = String(decoding: try group.broadcast(Array((own ?? "").utf8)), as: UTF8.self)
        return text.isEmpty ? nil : try JSON.decode(TrainingConfiguration.self, text)
      }
    }
    return try saved(in: output)
  }

  static let format = "facet-checkpoint-1"
  var source: String? { nil }
  var stored: [String: StoredPart] { trainingStep.stored }
  private var bestCheckpoint: URL { output.appendingPathComponent("checkpoints/best.safetensors") }

  func check(_ saved: TrainingConfiguration) throws {
    if saved.model != configuration.model { throw TrainingError("made for another model configuration") }
  }

  func removeResult() throws {
    if FileManager.default.fileExists(atPath: bestCheckpoint.path) {
      try FileManager.default.removeItem(at: bestCheckpoint)
    }
    try ModelBundle.remove(at: output)
  }
}

/// Where a run stands.
public struct TrainingProgress: Codable, Sendable, Equatable {
  /// Steps done.
  public internal(set) var step = 0
  /// Epochs finished.
  public internal(set) var epoch = 0
  /// Batches done in the current epoch.
  public internal(set) var batch = 0
  /// Images seen.
  public internal(set) var images = 0
  /// Time spent, over all resumed runs.
  public internal(set) var minutes = 0.0
  /// The loss of the first step; `nil` before it.
  package internal(set) var startLoss: Double?
  /// The least loss of a validation.
  public internal(set) var bestLoss = Double.greatestFiniteMagnitude
  /// Validations since that one.
  public internal(set) var validationsSinceBest = 0
  /// The step of the last validation; −1 before the first.
  package internal(set) var validatedStep = -1

  /// Whether a run can stand here; a checkpoint from elsewhere may say anything.
  var isPlausible: Bool {
    [step, epoch, batch, images, validationsSinceBest].allSatisfy { (0...1 << 48).contains($0) } && minutes >= 0
      && minutes.isFinite
  }
}

/// A training run that cannot start or go on.
public struct TrainingError: DescribedError, Equatable {
  /// What is wrong, and what to do.
  public let description: String
  /// A fault with its text.
  public init(_ description: String) { self.description = description }

  /// A run whose numbers have left all bounds.
  static func diverged(at step: Int, _ what: String) -> TrainingError {
    TrainingError(
      "step \(step): \(what), the run has diverged; the last good checkpoint is kept. Resume with a lower --learning-rate")
  }
}

/// Seconds on a clock that never goes back, counted on from earlier runs.
struct StopWatch {
  private let start = ContinuousClock.now
  private let before: Double

  init(alreadySpent: Double = 0) { before = alreadySpent }

  var seconds: Double { before + (ContinuousClock.now - start) / .seconds(1) }
}

extension FaceVAE {
  /// The first photos of a partition, their reconstructions with the predicted mask, and the masks, a row each.
  func sheet(of samples: DecodedCache, count: Int = 8, on device: Device) throws -> Picture {
    let loader = BatchLoader(samples, options: .evaluation(batchSize: count))
    loader.start(epoch: 0)
    guard let batch = try loader.next() else { throw TrainingError("there are no photos to show") }
    return try withoutGradients {
      let images = try batch.imageTensor(on: device)
      let reconstruction = try decode(encode(images).mean)
      let rows = try [images, reconstruction.composed(over: images), reconstruction.mask].map { row in
        try (0..<batch.count).map { Tile(Picture(try FloatPicture(row.narrow(0, $0..<$0 + 1).to(.cpu)))) }
      }
      return try Picture.sheet(rows, gap: 2)
    }
  }
}

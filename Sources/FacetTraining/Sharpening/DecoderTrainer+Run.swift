import Facet
import Foundation
import Torch

/// What happens while a decoder is trained, in order.
public enum DecoderTrainingEvent: Sendable {
  case started(TrainingProgress)
  case step(TrainingProgress, DecoderLosses, learningRate: Double)
  /// The checkpoint and the bundle are written.
  case checkpoint(TrainingProgress)
}

/// A part of a trainer that a checkpoint holds.
struct StoredPart {
  let state: () throws -> [String: Tensor]
  let load: ([String: Tensor]) throws -> Void

  init(_ module: any Module) { (state, load) = ({ try module.state() }, { try module.load($0) }) }
  init(_ optimizer: Adam) { (state, load) = ({ try optimizer.state() }, { try optimizer.load($0) }) }
  init(_ average: ExponentialMovingAverage) { (state, load) = ({ try average.state() }, { try average.load($0) }) }
}

extension DecoderTrainer {
  /// Trains until the budget is spent or `shouldStop` says so.
  /// - Throws: ``TrainingError`` with the step when a loss is not finite, and what `onEvent` throws.
  @discardableResult
  public func run(
    shouldStop: () -> Bool = { false }, onEvent: (DecoderTrainingEvent) throws -> Void = { _ in }
  ) throws -> Trainer.Ending {
    let clock = StopWatch(alreadySpent: progress.minutes * 60)
    var lastSave = clock.seconds
    try onEvent(.started(progress))
    while true {
      progress.minutes = clock.seconds / 60
      let spent = configuration.budget.progress(images: progress.images, minutes: progress.minutes)
      let ends = spent >= 1 || shouldStop()
      if ends || clock.seconds - lastSave >= configuration.checkpointMinutes * 60 {
        try save()
        try onEvent(.checkpoint(progress))
        lastSave = clock.seconds
      }
      if ends { return spent >= 1 ? .budgetSpent : .interrupted }
      let learningRate = configuration.learningRate * TrainingConfiguration.Schedule.cosine.factor(spent)
      let losses = try step(learningRate: learningRate)
      progress.step += 1
      progress.images += configuration.batchSize
      progress.minutes = clock.seconds / 60
      try onEvent(.step(progress, losses, learningRate: learningRate))
    }
  }

  /// - Throws: ``TrainingError`` with the step when a loss is not finite.
  func checkFinite(_ loss: Double) throws {
    if !loss.isFinite { throw burst("the loss is \(loss)") }
  }

  private func burst(_ what: String) -> TrainingError {
    TrainingError(
      "step \(progress.step + 1): \(what); the last good checkpoint is kept. Resume with a lower --learning-rate")
  }

  func autocast<Result>(_ body: () throws -> Result) throws -> Result {
    try withAutocast(configuration.usesBFloat16 ? .bfloat16 : nil, on: device, body)
  }

  func decoded(_ codes: Tensor, by model: any FaceVAE) throws -> Reconstruction {
    let decoded = try autocast { try model.decode(codes) }
    return Reconstruction(image: try decoded.image.to(.float32), maskLogits: try decoded.maskLogits.to(.float32))
  }

  // MARK: Checkpoints

  /// The configuration of the run that the folder `output` holds; `nil` where there is none.
  /// - Throws: ``TrainingError`` or `SafetensorsError` when its checkpoint is damaged.
  public static func savedConfiguration(in output: URL) throws -> DecoderTraining? {
    let url = Trainer.lastCheckpoint(in: output)
    guard FileManager.default.fileExists(atPath: url.path) else { return nil }
    return try Checkpoint<DecoderTraining>(url, SafetensorsFile(url).metadata, format: format).configuration
  }

  /// Makes the output folder ready, and goes on from the checkpoint there or removes it.
  func takeUp(resume: Bool) throws {
    try Trainer.prepare(output)
    let checkpoint = Trainer.lastCheckpoint(in: output)
    if FileManager.default.fileExists(atPath: checkpoint.path) {
      if resume { try restore(checkpoint) } else { try FileManager.default.removeItem(at: checkpoint) }
    }
  }

  /// Writes the checkpoint, then the bundle.
  private func save() throws {
    var tensors: [String: Tensor] = [:]
    for (prefix, part) in stored { tensors.merge(try part.state().prefixed(prefix + ".")) { $1 } }
    for name in tensors.keys.sorted() where try !tensors[name]!.isAllFinite() { throw burst("'\(name)' is not finite") }
    let checkpoint = Checkpoint(configuration: configuration, progress: progress, photos: samples.count)
    var metadata = try checkpoint.metadata(format: Self.format)
    metadata["model"] = bundle.fingerprint
    try Tensor.save(tensors, metadata: metadata, to: Trainer.lastCheckpoint(in: output))
    try writeBundle()
  }

  private func restore(_ url: URL) throws {
    let (tensors, metadata) = try Tensor.load(from: url)
    let saved = try Checkpoint<DecoderTraining>(url, metadata, format: Self.format)
    do {
      guard metadata["model"] == bundle.fingerprint else { throw TrainingError("made for another model") }
      let (old, new) = (saved.configuration, configuration)
      try check(old)
      guard (old.batchSize, old.seed) == (new.batchSize, new.seed), saved.photos == samples.count else {
        throw TrainingError(
          "made with batch \(old.batchSize), seed \(old.seed) and \(saved.photos ?? 0) photos; resume with the same")
      }
      for (prefix, part) in stored { try part.load(tensors.withPrefix(prefix + ".")) }
      progress = saved.progress
    } catch {
      throw TrainingError("\(url.path): cannot resume: \(error)")
    }
  }
}

import Facet
import Files
import Foundation
import Photo
import Torch

/// What every recipe of a trainer has whose steps are draws from all photos.
public protocol TrainingRecipe: Codable, Sendable, Equatable {
  /// Photos in a step.
  var batchSize: Int { get set }
  /// Seed of all chance.
  var seed: UInt64 { get set }
  /// The highest learning rate; its course is ``TrainingConfiguration/Schedule/cosine``.
  var learningRate: Double { get set }
  /// The decay of the averaged weights, which are the ones that ship.
  var emaDecay: Double { get set }
  /// Convolutions in bfloat16 where the processor has it, losses in float32.
  var usesBFloat16: Bool { get set }
  /// How much is trained.
  var budget: TrainingConfiguration.Budget { get set }
  /// Minutes between two checkpoints.
  var checkpointMinutes: Double { get set }

  /// Checks the ranges of the fields.
  /// - Throws: ``TrainingError`` that names the field, `ModelError`.
  func validate() throws
}

extension TrainingRecipe {
  /// Checks the ranges of the fields that all recipes have.
  /// - Parameter kind: what is trained, for errors.
  /// - Throws: ``TrainingError`` that names the field.
  func validateCourse(of kind: String) throws {
    try require((1...4096).contains(batchSize), "batchSize", "from 1 to 4096", of: kind)
    try require(learningRate > 0 && learningRate.isFinite, "learningRate", "above 0", of: kind)
    try require((0..<1).contains(emaDecay), "emaDecay", "at least 0 and under 1", of: kind)
    try require(budget.isLimited, "budget", "limited", of: kind)
    try require(checkpointMinutes >= 0, "checkpointMinutes", "at least 0", of: kind)
  }

  func require(_ condition: Bool, _ field: String, _ range: String, of kind: String) throws {
    if !condition { throw TrainingError("\(kind) training: '\(field)' must be \(range)") }
  }
}

/// What a step of training came to, each figure a mean over its photos.
public protocol TrainingLosses: Sendable {
  /// Names and values in a fixed order.
  var named: [(name: String, value: Double)] { get }
}

/// A trainer by a recipe. The output folder holds what is trained from the first checkpoint on, and the checkpoint in
/// `checkpoints`.
public protocol RecipeTrainer: AnyObject {
  /// What decides how it trains.
  associatedtype Recipe: TrainingRecipe
  /// What a step comes to.
  associatedtype Losses: TrainingLosses
  /// The recipe.
  var configuration: Recipe { get }
  /// The folder that the run is written to.
  var output: URL { get }
  /// Where the run stands.
  var progress: TrainingProgress { get }
  /// A line for people on the checkpoint that the run goes on from, where it is not the last one.
  var notice: String? { get }
  /// The numbers that it trains.
  var parameterCount: Int { get }
  /// The photos that it learns from.
  var photoCount: Int { get }

  /// Trains until the budget is spent or `shouldStop` says so.
  /// - Throws: ``TrainingError`` with the step when a loss is not finite, and what `onEvent` throws.
  @discardableResult
  func run(shouldStop: () -> Bool, onEvent: (TrainingEvent<Losses>) throws -> Void) throws -> Trainer.Ending
  /// Pictures of what it makes at this point, where it shows some.
  func sheet() throws -> Picture?
  /// Figures on photos that it does not learn from, as of the last checkpoint, where it measures some.
  var figures: [(name: String, value: Double)] { get }
}

extension RecipeTrainer {
  /// No figures.
  public var figures: [(name: String, value: Double)] { [] }
  /// No pictures.
  public func sheet() throws -> Picture? { nil }
}

/// What happens while training runs, in order.
public enum TrainingEvent<Losses: TrainingLosses>: Sendable {
  /// The run starts, or goes on.
  case started(TrainingProgress)
  /// A step is done.
  case step(TrainingProgress, Losses, learningRate: Double)
  /// The checkpoint and the bundle are written.
  case checkpoint(TrainingProgress)
}

/// A trainer whose steps are its own, and the course of a run and its checkpoints all trainers'.
protocol SteppingTrainer: RecipeTrainer {
  var progress: TrainingProgress { get set }
  /// What its checkpoints are bound to: a model's fingerprint, or a word.
  var source: String { get }
  var notice: String? { get set }
  /// Held as long as the trainer lives.
  var lock: WriteLock? { get set }
  var device: Device { get }
  /// What its checkpoints say that they are.
  static var format: String { get }
  /// What a checkpoint holds, by the prefix of its names.
  var stored: [String: StoredPart] { get }
  /// - Throws: ``TrainingError`` when a run with another recipe cannot be gone on with, for more than another batch or seed.
  func check(_ saved: Recipe) throws
  /// Changes the weights by one batch.
  func step(learningRate: Double) throws -> Losses
  /// Writes what was trained as it stands.
  func writeResult() throws
}

/// A part of a trainer that a checkpoint holds.
struct StoredPart {
  let state: () throws -> [String: Tensor]
  let load: ([String: Tensor]) throws -> Void

  init(_ module: any Module) { (state, load) = ({ try module.state() }, { try module.load($0) }) }
  init(_ optimizer: Adam) { (state, load) = ({ try optimizer.state() }, { try optimizer.load($0) }) }
  init(_ average: ExponentialMovingAverage) { (state, load) = ({ try average.state() }, { try average.load($0) }) }
}

extension SteppingTrainer {
  func train(
    _ shouldStop: () -> Bool, _ onEvent: (TrainingEvent<Losses>) throws -> Void
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
      "step \(progress.step + 1): \(what), the run has diverged; the last good checkpoint is kept. Resume with a lower --learning-rate")
  }

  func autocast<Result>(_ body: () throws -> Result) throws -> Result {
    try withAutocast(device.precision(bfloat16: configuration.usesBFloat16), on: device, body)
  }

  func decoded(_ codes: Tensor, by model: any FaceVAE) throws -> Reconstruction {
    let decoded = try autocast { try model.decode(codes) }
    return Reconstruction(image: try decoded.image.to(.float32), maskLogits: try decoded.maskLogits.to(.float32))
  }

  // MARK: Checkpoints

  static func saved(in output: URL) throws -> Recipe? {
    let checkpoint = CheckpointFile(in: output)
    return checkpoint.exists ? try checkpoint.read(Recipe.self, format: format).checkpoint.configuration : nil
  }

  /// Makes the output folder ready, and goes on from the checkpoint there or removes it.
  func takeUp(resume: Bool) throws {
    lock = try WriteLock.folder(output)
    try Trainer.prepare(output)
    let checkpoint = CheckpointFile(in: output)
    if checkpoint.exists {
      if resume { try restore(checkpoint) } else { try checkpoint.remove() }
    }
    try ConfigurationFile.write(configuration, in: output)
  }

  /// Writes the checkpoint, then what was trained.
  private func save() throws {
    var tensors: [String: Tensor] = [:]
    for (prefix, part) in stored { tensors.merge(try part.state().prefixed(prefix + ".")) { $1 } }
    for name in tensors.keys.sorted() where try !tensors[name]!.isAllFinite() { throw burst("'\(name)' is not finite") }
    let checkpoint = Checkpoint(configuration: configuration, progress: progress, photos: photoCount)
    var metadata = try checkpoint.metadata(format: Self.format)
    metadata["model"] = source
    try CheckpointFile(in: output).save(tensors, metadata: metadata)
    try writeResult()
  }

  private func restore(_ file: CheckpointFile) throws {
    let content = try file.read(Recipe.self, format: Self.format)
    let saved = content.checkpoint
    do {
      let (tensors, metadata) = try Tensor.load(content.file)
      guard metadata["model"] == source else { throw TrainingError("made for another model") }
      let (old, new) = (saved.configuration, configuration)
      try check(old)
      guard (old.batchSize, old.seed) == (new.batchSize, new.seed), saved.photos == photoCount else {
        throw TrainingError(
          "made with batch \(old.batchSize), seed \(old.seed) and \(saved.photos ?? 0) photos; resume with the same")
      }
      for (prefix, part) in stored { try part.load(tensors.withPrefix(prefix + ".")) }
      progress = saved.progress
      notice = try content.damage.map { try file.replace(damaged: $0, with: saved.progress) }
    } catch {
      throw TrainingError("\(content.url.path): cannot resume: \(error)")
    }
  }
}

extension Device {
  /// What convolutions are computed in; `nil` for float32.
  /// - Parameter isWanted: whether bfloat16 is, where the device has it.
  func precision(bfloat16 isWanted: Bool) -> DType? { isWanted && computesBFloat16 ? .bfloat16 : nil }
}

import Facet
import Files
import Foundation
import Photo
import Torch

/// The course of a training run, which every recipe has.
public protocol TrainingRecipe: Codable, Sendable, Equatable {
  /// Photos in a step, over all processes together.
  var batchSize: Int { get set }
  /// Seed of all chance.
  var seed: UInt64 { get set }
  /// The highest learning rate.
  var learningRate: Double { get set }
  /// The learning rate's course, ``TrainingConfiguration/Schedule/cosine`` where a recipe has none of its own.
  var schedule: TrainingConfiguration.Schedule { get }
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
  /// A cosine over the budget.
  public var schedule: TrainingConfiguration.Schedule { .cosine }

  /// The learning rate when `spent` of the budget, 0 ... 1, is. Without a budget there is no course to follow, so it
  /// is the highest one throughout.
  public func learningRate(spent: Double) -> Double {
    budget.isLimited ? learningRate * schedule.factor(spent) : learningRate
  }

  /// Checks the ranges of the fields that all recipes have.
  /// - Parameters:
  ///   - kind: what is trained, for errors.
  ///   - emaDecay: the decay of the averaged weights; `nil` for none.
  ///   - hasEnd: whether nothing but the budget ends a run.
  /// - Throws: ``TrainingError`` that names the field.
  func validateCourse(of kind: String, emaDecay: Double?, hasEnd: Bool = true) throws {
    try require((1...65_536).contains(batchSize), "batchSize", "from 1 to 65536", of: kind)
    try require(learningRate > 0 && learningRate.isFinite, "learningRate", "above 0", of: kind)
    try require(emaDecay.map((0..<1).contains) ?? true, "emaDecay", "at least 0 and under 1", of: kind)
    try require(!hasEnd || budget.isLimited, "budget", "limited", of: kind)
    try require(budget.images.map { $0 > 0 } ?? true, "budget.images", "above 0", of: kind)
    try require(budget.minutes.map { $0 > 0 } ?? true, "budget.minutes", "above 0", of: kind)
    try require(checkpointMinutes >= 0, "checkpointMinutes", "at least 0", of: kind)
  }

  func require(_ condition: Bool, _ field: String, _ range: String, of kind: String) throws {
    if !condition { throw TrainingError("\(kind) training: '\(field)' must be \(range)") }
  }
}

/// A trainer by a recipe. The output folder holds what is trained, and the checkpoint in `checkpoints`.
public protocol RecipeTrainer: AnyObject {
  /// What decides how it trains.
  associatedtype Recipe: TrainingRecipe
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
  /// The time, over all steps of this run, that passed waiting for batches, where they are made ahead.
  var waited: Duration? { get }

  /// Trains until the budget is spent, validation stops improving or `shouldStop` says so.
  /// - Throws: ``TrainingError`` with the step when a loss is not finite, and what `onEvent` throws. The last checkpoint
  ///   stays as it is.
  @discardableResult
  func run(shouldStop: () -> Bool, onEvent: (TrainingEvent) throws -> Void) throws -> Trainer.Ending
  /// Pictures of what it makes at this point, where it shows some at each checkpoint.
  func sheet() throws -> Picture?
  /// Figures on photos that it does not learn from, as of the last checkpoint, where it measures some.
  var figures: [(name: String, value: Double)] { get }
}

extension RecipeTrainer {
  /// Nothing is made ahead.
  public var waited: Duration? { nil }
  /// No figures.
  public var figures: [(name: String, value: Double)] { [] }
  /// No pictures.
  public func sheet() throws -> Picture? { nil }
}

/// What happens while training runs, in order.
public enum TrainingEvent: Sendable {
  /// The run starts, or goes on.
  case started(TrainingProgress)
  /// A step is done; its losses by name, in a fixed order.
  case step(TrainingProgress, losses: [(name: String, value: Double)], learningRate: Double)
  /// A model is measured. `sheet` shows the first validation photos: inputs, reconstructions over them, masks, a row
  /// each.
  case validated(TrainingProgress, EvaluationReport, isBest: Bool, sheet: Picture)
  /// The checkpoint is written.
  case checkpoint(TrainingProgress)
}

/// A trainer whose steps are its own, and the course of a run and its checkpoints all trainers'.
protocol SteppingTrainer: RecipeTrainer {
  var progress: TrainingProgress { get set }
  /// What its checkpoints are bound to beside the photos: a model's fingerprint, or a word; `nil` for nothing.
  var source: String? { get }
  var notice: String? { get set }
  /// Held as long as the trainer lives.
  var lock: WriteLock? { get set }
  var device: Device { get }
  /// The processes that take part, of which the first alone reads and writes the output folder; `nil` for this one alone.
  var group: ProcessGroup? { get }
  /// What its checkpoints say that they are.
  static var format: String { get }
  /// What a checkpoint holds, by the prefix of its names.
  var stored: [String: StoredPart] { get }
  /// - Throws: ``TrainingError`` when a run with another recipe cannot be gone on with, for more than another batch or seed.
  func check(_ saved: Recipe) throws
  /// Changes the weights by one batch.
  /// - Returns: the losses by name, the one that decides whether the run is sound first.
  func step(learningRate: Double) throws -> [(name: String, value: Double)]
  /// Measures what was trained where it is time to, and at the end of a run that was not interrupted.
  func validate(isLast: Bool, _ onEvent: (TrainingEvent) throws -> Void) throws
  /// Whether validation has long found nothing better.
  var isStale: Bool { get }
  /// Writes what was trained as it stands, at each checkpoint.
  func writeResult() throws
  /// Removes what an earlier run left beside its checkpoint.
  func removeResult() throws
}

extension SteppingTrainer {
  var group: ProcessGroup? { nil }
  var isStale: Bool { false }
  func validate(isLast: Bool, _ onEvent: (TrainingEvent) throws -> Void) throws {}
  func writeResult() throws {}
  func removeResult() throws {}
}

/// A part of a trainer that a checkpoint holds.
struct StoredPart {
  let state: () throws -> [String: Tensor]
  let load: ([String: Tensor]) throws -> Void

  init(_ module: any Module) { (state, load) = ({ try module.state() }, { try module.load($0) }) }
  init(_ optimizer: Adam) { (state, load) = ({ try optimizer.state() }, { try optimizer.load($0) }) }
  init(_ average: ExponentialMovingAverage) { (state, load) = ({ try average.state() }, { try average.load($0) }) }
}

extension [String: StoredPart] {
  func state() throws -> [String: Tensor] {
    try reduce(into: [:]) { $0.merge(try $1.value.state().prefixed($1.key + ".")) { $1 } }
  }

  func load(_ state: [String: Tensor]) throws {
    for (prefix, part) in self { try part.load(state.withPrefix(prefix + ".")) }
  }
}

extension SteppingTrainer {
  var isFirst: Bool { group?.isFirst ?? true }

  func train(_ shouldStop: () -> Bool, _ onEvent: (TrainingEvent) throws -> Void) throws -> Trainer.Ending {
    let clock = StopWatch(alreadySpent: progress.minutes * 60)
    var lastSave = clock.seconds
    var lastLoss: Double?
    try onEvent(.started(progress))
    while true {
      let stops: Bool
      (progress.minutes, stops) = try agree(minutes: clock.seconds / 60, stop: shouldStop())
      let spent = configuration.budget.progress(images: progress.images, minutes: progress.minutes)
      let ending: Trainer.Ending? = spent >= 1 ? .budgetSpent : isStale ? .noImprovement : stops ? .interrupted : nil
      if let ending, ending != .interrupted { try validate(isLast: true, onEvent) }
      if isFirst, ending != nil || clock.seconds - lastSave >= configuration.checkpointMinutes * 60 {
        if let lastLoss { try checkBounded(lastLoss, "the loss") }
        try save()
        try onEvent(.checkpoint(progress))
        lastSave = clock.seconds
      }
      if let ending { return ending }
      let learningRate = configuration.learningRate(spent: spent)
      let losses = try step(learningRate: learningRate)
      lastLoss = losses.first?.value
      progress.startLoss = progress.startLoss ?? lastLoss
      progress.step += 1
      progress.images += configuration.batchSize
      progress.minutes = clock.seconds / 60
      try onEvent(.step(progress, losses: losses, learningRate: learningRate))
      try validate(isLast: false, onEvent)
    }
  }

  /// The first process's clock, and whether any process is to stop: all must decide alike.
  private func agree(minutes: Double, stop: Bool) throws -> (minutes: Double, stop: Bool) {
    guard let group else { return (minutes, stop) }
    let sums = try group.sum([group.isFirst ? minutes : 0, stop ? 1 : 0])
    return (sums[0], sums[1] > 0)
  }

  /// - Throws: ``TrainingError`` with the step when a loss is not finite.
  func checkFinite(_ loss: Double) throws {
    if !loss.isFinite { throw TrainingError.diverged(at: progress.step + 1, "the loss is \(loss)") }
  }

  /// - Throws: ``TrainingError`` with the step when a loss is not finite, or a thousand times that of the first step: such a run
  ///   does not come back. One step alone may leap, which is why not each is looked at.
  func checkBounded(_ loss: Double, _ name: String) throws {
    let start = progress.startLoss ?? 1
    guard loss.isFinite, loss <= 1000 * max(1, abs(start)) else {
      let values = [loss, start].map { String(format: "%.3g", $0) }
      throw TrainingError.diverged(at: progress.step, "\(name) is \(values[0]), and \(values[1]) was that of the first step")
    }
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
    let checkpoint = CheckpointFile(in: output)
    try checkpoint.prepare()
    if resume && checkpoint.exists {
      try restore(checkpoint)
    } else {
      // The checkpoint first: what a kill leaves is a whole result or none.
      try checkpoint.remove()
      try removeResult()
    }
    try ConfigurationFile.write(configuration, in: output)
  }

  /// What a checkpoint holds at this point.
  /// - Throws: ``TrainingError`` when a tensor is not finite.
  func checkpointContent() throws -> (tensors: [String: Tensor], metadata: [String: String]) {
    let tensors = try stored.state()
    for name in tensors.keys.sorted() where try !tensors[name]!.isAllFinite() {
      throw TrainingError.diverged(at: progress.step, "'\(name)' is not finite")
    }
    let checkpoint = Checkpoint(configuration: configuration, progress: progress, photos: photoCount)
    var metadata = try checkpoint.metadata(format: Self.format)
    metadata["model"] = source
    return (tensors, metadata)
  }

  /// Writes the checkpoint, then what was trained.
  private func save() throws {
    let content = try checkpointContent()
    try CheckpointFile(in: output).save(content.tensors, metadata: content.metadata)
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
      guard (old.batchSize, old.seed) == (new.batchSize, new.seed) else {
        throw TrainingError("made with batch \(old.batchSize) and seed \(old.seed); resume with the same")
      }
      guard saved.photos ?? photoCount == photoCount else {
        throw TrainingError("made with \(saved.photos ?? 0) training photos; there are \(photoCount) now")
      }
      try stored.load(tensors)
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

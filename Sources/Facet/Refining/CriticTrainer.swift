import Foundation

/// What every recipe of training against a critic has.
public protocol CriticTraining: Codable, Sendable, Equatable {
  /// Photos in a step.
  var batchSize: Int { get set }
  /// Seed of all chance.
  var seed: UInt64 { get set }
  /// The highest learning rate; its course is ``TrainingConfiguration/Schedule/cosine``.
  var learningRate: Double { get set }
  /// The decay of the averaged weights, which are the ones that ship.
  var emaDecay: Double { get set }
  /// Convolutions in bfloat16, losses in float32.
  var usesBFloat16: Bool { get set }
  var budget: TrainingConfiguration.Budget { get set }
  /// Minutes between two checkpoints.
  var checkpointMinutes: Double { get set }
}

extension CriticTraining {
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

/// What a step of training against a critic came to, each figure a mean over its photos.
public protocol CriticLosses: Sendable {
  /// Names and values in a fixed order.
  var named: [(name: String, value: Double)] { get }
}

/// Trains a part of a model against a critic. The output folder is a bundle from the first checkpoint on, with the
/// checkpoint in `checkpoints`.
public protocol CriticTrainer: AnyObject {
  associatedtype Recipe: CriticTraining
  associatedtype Losses: CriticLosses
  var configuration: Recipe { get }
  var output: URL { get }
  /// Where the run stands.
  var progress: TrainingProgress { get }
  /// The numbers that it trains.
  var parameterCount: Int { get }
  /// The photos that it learns from.
  var photoCount: Int { get }

  /// Trains until the budget is spent or `shouldStop` says so.
  /// - Throws: ``TrainingError`` with the step when a loss is not finite, and what `onEvent` throws.
  @discardableResult
  func run(shouldStop: () -> Bool, onEvent: (CriticTrainingEvent<Losses>) throws -> Void) throws -> Trainer.Ending
}

/// What happens while training against a critic runs, in order.
public enum CriticTrainingEvent<Losses: CriticLosses>: Sendable {
  case started(TrainingProgress)
  case step(TrainingProgress, Losses, learningRate: Double)
  /// The checkpoint and the bundle are written.
  case checkpoint(TrainingProgress)
}

/// A trainer whose steps and checkpoints are its own, and the course of a run all trainers'.
protocol SteppingTrainer: CriticTrainer {
  var progress: TrainingProgress { get set }
  /// Changes the weights by one batch.
  func step(learningRate: Double) throws -> Losses
  /// Writes the checkpoint, then the bundle.
  func save() throws
}

extension SteppingTrainer {
  func train(
    _ shouldStop: () -> Bool, _ onEvent: (CriticTrainingEvent<Losses>) throws -> Void
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
    guard loss.isFinite else {
      throw TrainingError(
        "step \(progress.step + 1): the loss is \(loss); the last good checkpoint is kept. "
          + "Resume with a lower --learning-rate")
    }
  }
}

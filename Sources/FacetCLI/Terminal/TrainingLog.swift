import ArgumentParser
import Facet
import FacetTraining
import Foundation
import Photo
import Torch

/// Trains by a recipe, shown on the terminal and to TensorBoard.
/// - Parameters:
///   - name: the command's, before each line.
///   - speaks: whether this process shows anything: of several the first does.
/// - Throws: exit code 130 when it was interrupted, and what the trainer throws.
func train(_ trainer: some RecipeTrainer, as name: String, speaks: Bool = true) throws {
  let log = speaks ? try TrainingLog(of: trainer, as: name) : nil
  if let notice = trainer.notice { note(notice) }
  Interruption.watch()
  let ending = try trainer.run(shouldStop: { Interruption.requested }, onEvent: { try log?.record($0) })
  log?.finish(ending)
  if ending == .interrupted { throw ExitCode(130) }
}

/// Shows a run to people: a bar on a terminal or plain lines in a log, and TensorBoard files in the output's folder
/// `logs`.
///
///     let log = try TrainingLog(of: trainer, as: "train")
///     log.finish(try trainer.run(onEvent: log.record))
///
/// TensorBoard gets, by images seen as the step, `train/TERM` for each loss term, `train/learning_rate`,
/// `speed/images_per_second` and `speed/waiting` (the share of time that steps waited for batches), each the mean over
/// ``interval`` steps, `validation/FIGURE` at each measurement, and pictures.
final class TrainingLog<Trained: RecipeTrainer> {
  /// Steps that one point in TensorBoard stands for.
  let interval: Int
  private let name: String
  private let trainer: Trained
  private let report: ProgressReport
  private let events: EventFileWriter
  private var window: Window

  /// A log that starts where the run does: what an earlier run in the folder wrote of later steps is hidden.
  /// - Throws: `FileError` when the files cannot be written.
  init(of trainer: Trained, as name: String, interval: Int = 20) throws {
    (self.trainer, self.name, self.interval) = (trainer, name, max(1, interval))
    let (budget, progress) = (trainer.configuration.budget, trainer.progress)
    report = ProgressReport(
      name, total: budget.images, completed: progress.images, share: budget.share(progress), interval: .seconds(30))
    events = try EventFileWriter(
      directory: trainer.output.appendingPathComponent("logs", isDirectory: true), startingAtStep: progress.images + 1)
    window = Window(images: progress.images, waited: trainer.waited)
  }

  /// Takes note of an event.
  /// - Throws: `FileError` when TensorBoard's file cannot be written, as on a full disk.
  func record(_ event: TrainingEvent) throws {
    switch event {
    case .started(let progress):
      let origin = progress.step > 0 ? "on from step \(progress.step), " : ""
      report.note("\(name)  \(origin)\(trainer.parameterCount) parameters, \(trainer.photoCount) photos")
      window = Window(images: progress.images, waited: trainer.waited)
    case .step(let progress, let losses, let learningRate):
      window.add(losses)
      report.update(
        progress.images, share: trainer.configuration.budget.share(progress),
        detail: (window.means.map { String(format: "%@ %.4f", $0.name, $0.value) } + [
          String(format: "lr %.1e", learningRate)
        ]).joined(separator: "  "))
      if progress.step % interval == 0 {
        try events.addScalars(
          window.scalars(images: progress.images, learningRate: learningRate, waited: trainer.waited),
          step: progress.images)
        window = Window(images: progress.images, waited: trainer.waited)
      }
    case .validated(let progress, let evaluation, let isBest, let sheet):
      window.start += .seconds(evaluation.seconds)
      report.note("validation  \(progress.images) images seen\(isBest ? "  best so far" : "")\(text(evaluation.figures))")
      try addMeasurement(evaluation.figures, progress)
      try addPicture(sheet, "validation/faces", progress)
    case .checkpoint(let progress):
      report.note("checkpoint  \(progress.images) images seen\(text(trainer.figures))")
      try addMeasurement(trainer.figures, progress)
      if let sheet = try trainer.sheet() { try addPicture(sheet, name, progress) }
      try events.synchronize()
    }
  }

  /// Ends the bar or lines.
  func finish(_ ending: Trainer.Ending) {
    report.finish()
    let text =
      switch ending {
      case .budgetSpent: "done, the budget is spent"
      case .noImprovement: "done, the last validations show no better loss"
      case .interrupted: "interrupted, the checkpoint is written; --resume goes on from it"
      }
    report.note("\(name)  \(text)")
  }

  private func text(_ figures: [(name: String, value: Double)]) -> String {
    figures.map { String(format: "  %@ %.4f", $0.name, $0.value) }.joined()
  }

  private func addMeasurement(_ figures: [(name: String, value: Double)], _ progress: TrainingProgress) throws {
    if figures.isEmpty { return }
    try events.addScalars(figures.map { ("validation/\($0.name)", Float($0.value)) }, step: progress.images)
  }

  private func addPicture(_ sheet: Picture, _ tag: String, _ progress: TrainingProgress) throws {
    try events.addImage(
      png: Photo(sheet).encoded(as: .png), width: sheet.width, height: sheet.height, tag: tag, step: progress.images)
  }
}

/// Sums over the steps since the last point.
private struct Window {
  let images: Int
  let waited: Duration?
  /// Later by the time that was spent on other things than steps.
  var start = ContinuousClock.now
  private var steps = 0
  private var sums: [(name: String, value: Double)] = []

  init(images: Int, waited: Duration?) { (self.images, self.waited) = (images, waited) }

  mutating func add(_ losses: [(name: String, value: Double)]) {
    steps += 1
    sums = sums.isEmpty ? losses : zip(sums, losses).map { ($0.name, $0.value + $1.value) }
  }

  var means: [(name: String, value: Double)] { sums.map { ($0.name, $0.value / Double(steps)) } }

  func scalars(images: Int, learningRate: Double, waited: Duration?) -> [(tag: String, value: Float)] {
    let time = ContinuousClock.now - start
    var scalars = means.map { (tag: "train/\($0.name)", value: Float($0.value)) } + [
      ("train/learning_rate", Float(learningRate)),
      ("speed/images_per_second", Float(Double(images - self.images) / (time / .seconds(1)))),
    ]
    if let waited, let before = self.waited { scalars.append(("speed/waiting", Float((waited - before) / time))) }
    return scalars
  }
}

extension TrainingConfiguration.Budget {
  fileprivate func share(_ progress: TrainingProgress) -> Double? {
    isLimited ? self.progress(images: progress.images, minutes: progress.minutes) : nil
  }
}

extension EvaluationReport {
  /// The time that the evaluation took.
  fileprivate var seconds: Double { imagesPerSecond > 0 ? Double(images) / imagesPerSecond : 0 }
}

import Facet
import FacetTraining
import Foundation
import Photo
import Torch

/// Shows a run to people: a bar on a terminal or plain lines in a log, and TensorBoard files in the output's folder
/// `logs`.
///
///     let log = try TrainingLog(of: trainer)
///     log.finish(try trainer.run(onEvent: log.record))
///
/// TensorBoard gets, by images seen as the step, `train/TERM` for each loss term, `train/learning_rate`,
/// `speed/images_per_second` and `speed/waiting` (the share of time that steps waited for batches), each the mean over
/// ``interval`` steps, and `validation/FIGURE` and the pictures `validation/faces` at each validation.
final class TrainingLog {
  /// Steps that one point in TensorBoard stands for.
  let interval: Int
  private let configuration: TrainingConfiguration
  private let report: ProgressReport
  private let events: EventFileWriter
  private var start = ContinuousClock.now
  private var window: Window

  /// A log that starts where the run does: what an earlier run in the folder wrote of later steps is hidden.
  /// - Throws: `FileError` when the files cannot be written.
  init(of trainer: Trainer, interval: Int = 20) throws {
    self.interval = max(1, interval)
    configuration = trainer.configuration
    report = ProgressReport(
      "train", total: configuration.budget.images, completed: trainer.progress.images,
      share: configuration.budget.share(trainer.progress), interval: .seconds(30))
    events = try EventFileWriter(
      directory: trainer.output.appendingPathComponent("logs", isDirectory: true),
      startingAtStep: trainer.progress.images + 1)
    window = Window(images: trainer.progress.images)
  }

  /// Takes note of an event.
  /// - Throws: `FileError` when TensorBoard's file cannot be written, as on a full disk.
  func record(_ event: Trainer.Event) throws {
    switch event {
    case .started(let progress, let parameters, let images):
      let origin = progress.step > 0 ? "on from step \(progress.step), " : ""
      report.note("train  \(origin)\(parameters) parameters, \(images) photos")
      start = .now
      window = Window(images: progress.images)
    case .step(let progress, let losses, let learningRate, let waited):
      window.add(losses)
      if progress.step % interval == 0 {
        try events.addScalars(
          window.scalars(progress, learningRate: learningRate, waited: waited), step: progress.images)
        window = Window(images: progress.images, waited: waited)
      }
      let total = losses.first?.value ?? .nan
      report.update(
        progress.images,
        share: configuration.budget.share(progress),
        detail: String(
          format: "epoch %d  loss %.4f  lr %.1e  waiting %.1f%%", progress.epoch + 1, total, learningRate,
          100 * (waited / (.now - start))))
    case .validated(let progress, let evaluation, let isBest, let sheet):
      window.pause(.seconds(evaluation.seconds))
      let figures = evaluation.figures
      let text = figures.map { "\($0.name) \(String(format: "%.4f", $0.value))" }.joined(separator: "  ")
      report.note("validation  \(progress.images) images seen  \(text)\(isBest ? "  best so far" : "")")
      try events.addScalars(figures.map { ("validation/\($0.name)", Float($0.value)) }, step: progress.images)
      try events.addImage(
        png: Photo(sheet).encoded(as: .png), width: sheet.width, height: sheet.height, tag: "validation/faces",
        step: progress.images)
    case .checkpoint:
      try events.synchronize()
    }
  }

  /// Ends the bar or lines.
  func finish(_ ending: Trainer.Ending) {
    report.finish()
    let text =
      switch ending {
      case .budgetSpent: "done, the budget is spent"
      case .noImprovement: "done, \(configuration.patience) validations without a better loss"
      case .interrupted: "interrupted, the checkpoint is written; --resume goes on from it"
      }
    report.note("train  \(text)")
  }

  /// Sums over the steps since the last point.
  private struct Window {
    let images: Int
    var waited = Duration.zero
    var start = ContinuousClock.now
    var steps = 0
    var sums: [(name: String, value: Double)] = []

    init(images: Int, waited: Duration = .zero) {
      self.images = images
      self.waited = waited
    }

    mutating func add(_ losses: [(name: String, value: Double)]) {
      steps += 1
      sums = sums.isEmpty ? losses : zip(sums, losses).map { ($0.name, $0.value + $1.value) }
    }

    /// Leaves time out that was spent on other things than steps.
    mutating func pause(_ time: Duration) { start += time }

    func scalars(
      _ progress: TrainingProgress, learningRate: Double, waited: Duration
    ) -> [(tag: String, value: Float)] {
      let time = ContinuousClock.now - start
      return sums.map { ("train/\($0.name)", Float($0.value / Double(steps))) } + [
        ("train/learning_rate", Float(learningRate)),
        ("speed/images_per_second", Float(Double(progress.images - images) / (time / .seconds(1)))),
        ("speed/waiting", Float((waited - self.waited) / time)),
      ]
    }
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

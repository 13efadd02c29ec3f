import Facet
import Foundation

/// Turns the events of a run into a progress bar or lines, TensorBoard files and `metrics.jsonl`.
final class TrainingLog {
  private let budget: TrainingConfiguration.Budget
  private let lineInterval = 100
  private var started = ContinuousClock.now
  private var imagesAtStart = 0

  init(folder: URL, budget: TrainingConfiguration.Budget) throws {
    self.budget = budget
  }

  func record(_ event: Trainer.Event) throws {
    switch event {
    case .started(let progress, let parameters, let images):
      note("\(parameters) parameters, \(images) training photos, from step \(progress.step)")
      started = .now
      imagesAtStart = progress.images
    case .step(let progress, let losses, let learningRate, let waited):
      guard progress.step % lineInterval == 0 else { return }
      let seconds = (ContinuousClock.now - started) / .seconds(1)
      let rate = Double(progress.images - imagesAtStart) / seconds
      let terms = losses.map { "\($0.name) \(String(format: "%.4f", $0.value))" }.joined(separator: "  ")
      note(
        "step \(progress.step)  epoch \(progress.epoch)  images \(progress.images)  min \(String(format: "%.1f", progress.minutes))  \(terms)  lr \(String(format: "%.2g", learningRate))  \(String(format: "%.1f", rate)) images/s  waited \(waited)")
    case .validated(let progress, let report, let isBest):
      note(
        "validation after \(progress.images) images: loss \(String(format: "%.4f", report.loss))  ssim \(String(format: "%.4f", report.ssim))  mae \(String(format: "%.4f", report.mae))  iou \(String(format: "%.4f", report.maskIoU))  bce \(String(format: "%.4f", report.maskBCE))  dice \(String(format: "%.4f", report.maskDice))  kl \(String(format: "%.3f", report.kl))  \(String(format: "%.1f", report.imagesPerSecond)) images/s\(isBest ? "  best" : "")")
    case .checkpoint(_, let url): note("checkpoint \(url.path)")
    }
  }

  func finish(_ ending: Trainer.Ending) {
    note("ended: \(ending.rawValue)")
  }
}

import ArgumentParser
import Facet
import FacetTraining
import Foundation
import Photo

/// Trains by a recipe, shown on the terminal and to TensorBoard.
/// - Parameter name: the command's, before each line.
/// - Throws: exit code 130 when it was interrupted, and what the trainer throws.
func train(_ trainer: some RecipeTrainer, as name: String) throws {
  let log = try RunLog(of: trainer, as: name)
  if let notice = trainer.notice { note(notice) }
  Interruption.watch()
  let ending = try trainer.run(shouldStop: { Interruption.requested }, onEvent: log.record)
  log.report.finish()
  if ending == .interrupted { throw ExitCode(130) }
}

private final class RunLog<Trained: RecipeTrainer> {
  let report: ProgressReport
  private let name: String
  private let trainer: Trained
  private let events: EventFileWriter
  private var window: [Trained.Losses] = []
  private static var interval: Int { 20 }

  init(of trainer: Trained, as name: String) throws {
    (self.trainer, self.name) = (trainer, name)
    let (budget, progress) = (trainer.configuration.budget, trainer.progress)
    report = ProgressReport(
      name, total: budget.images, completed: progress.images,
      share: budget.progress(images: progress.images, minutes: progress.minutes), interval: .seconds(30))
    events = try EventFileWriter(
      directory: trainer.output.appendingPathComponent("logs", isDirectory: true), startingAtStep: progress.images + 1)
  }

  func record(_ event: TrainingEvent<Trained.Losses>) throws {
    switch event {
    case .started(let progress):
      report.note(
        "\(name)  from step \(progress.step), \(trainer.parameterCount) parameters, \(trainer.photoCount) photos")
    case .step(let progress, let losses, let learningRate):
      window.append(losses)
      let means = losses.named.enumerated().map { place, figure in
        (name: figure.name, value: window.reduce(0) { $0 + $1.named[place].value } / Double(window.count))
      }
      let figures = means.map { String(format: "%@ %.4f", $0.name, $0.value) } + [String(format: "lr %.1e", learningRate)]
      report.update(
        progress.images,
        share: trainer.configuration.budget.progress(images: progress.images, minutes: progress.minutes),
        detail: figures.joined(separator: "  "))
      if window.count == Self.interval {
        try events.addScalars(
          means.map { ("train/\($0.name)", Float($0.value)) } + [("train/learning_rate", Float(learningRate))],
          step: progress.images)
        window = []
      }
    case .checkpoint(let progress):
      let figures = trainer.figures
      let held = figures.map { String(format: "  %@ %.4f", $0.name, $0.value) }.joined()
      report.note("checkpoint  \(progress.images) images seen\(held)")
      if !figures.isEmpty {
        try events.addScalars(figures.map { ("validation/\($0.name)", Float($0.value)) }, step: progress.images)
      }
      if let sheet = try trainer.sheet() {
        try events.addImage(
          png: Photo(sheet).encoded(as: .png), width: sheet.width, height: sheet.height, tag: name, step: progress.images)
      }
      try events.synchronize()
    }
  }
}

import ArgumentParser
import Facet
import FacetTraining
import Foundation

struct GlassesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "glasses",
    abstract: "Let a model draw glasses: learn how they sit on faces, or take over what another model has learned.",
    discussion: """
      A code keeps no frames, so what decodes for Eyeglasses is a smudge. With glasses.safetensors in the bundle they are \
      drawn, as finely as the photo shows the face. It does not depend on the model's weights. With --data it is learned from the \
      photos that have the label, whose label maps show the lenses; --examples names those that are good ones, as \
      'Scripts/clear-glasses' lists them. Without, the default model's is copied.

      Examples:
        facet glasses --model runs/a
        facet glasses --model runs/a --data celeba --examples clear.txt
      """)

  @Option(help: "Folder of the model bundle, which gets the glasses.", completion: .directory)
  var model: String
  @Option(help: "Folder laid out as CelebA, with masks; train is used.", completion: .directory)
  var data: String?
  @Option(help: "List of photos that are good examples, a line each such as 'Eyeglasses=1 000123.jpg'.", completion: .file())
  var examples: String?

  func validate() throws {
    if examples != nil, data == nil { throw ValidationError("--examples names photos of --data; give both") }
  }

  func run() throws {
    let lock = try FacetCLI.lock(URL(fileURLWithPath: model, isDirectory: true))
    defer { withExtendedLifetime(lock) {} }
    let bundle = try ModelBundle(contentsOf: URL(fileURLWithPath: model, isDirectory: true))
    guard let data else {
      guard let glasses = try GlassesModel.of(ModelBundle()) else { throw CommandError("the default model has no glasses") }
      return try glasses.write(to: bundle)
    }
    var configuration = DatasetConfiguration()
    configuration.requiresMasks = true
    let dataset = try CelebA(directory: URL(fileURLWithPath: data, isDirectory: true), configuration: configuration)
    let list = try examples.map { file in
      guard let names = try ExampleList(contentsOf: URL(fileURLWithPath: file)).files["Eyeglasses=1"] else {
        throw CommandError("\(file) names no example of Eyeglasses=1")
      }
      return Set(names)
    }
    Interruption.watch()
    var report: ProgressReport?
    let fitting = try GlassesFitting(dataset, examples: list) { done, count in
      if report == nil { report = ProgressReport("glasses", total: count, unit: "photos", completed: 0) }
      report?.update(done)
      return !Interruption.requested
    }
    report?.finish()
    guard let fitting else { throw ExitCode(130) }
    try fitting.model.write(to: bundle)
    try show("from \(fitting.used) of \(fitting.seen) photos; median error \(String(format: "%.2f", fitting.medianError)) pixels of 178")
  }
}

import ArgumentParser
import Facet
import FacetTraining
import Foundation
import Photo

struct GlassesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "glasses",
    abstract: "List and show styles of glasses; let a model draw glasses.",
    discussion: """
      Without options it lists the styles that --attribute \(GlassesModel.edit.name)=STYLE of 'facet edit' takes. With -o it \
      writes a sheet of a face under each of them, of --photo or the portrait that comes with Facet.

      A code keeps no frames, so what decodes for the label is a smudge. With glasses.safetensors in the bundle of --model they \
      are drawn, as finely as the photo shows the face. It does not depend on the model's weights. With --data it is learned from \
      the photos that have the label, whose label maps show the lenses; --examples names those that are good ones, as \
      'Scripts/clear-glasses' lists them. Without, the default model's is copied.

      Examples:
        facet glasses
        facet glasses --photo me.jpg -o styles.png
        facet glasses --model runs/a
        facet glasses --model runs/a --data celeba --examples clear.txt
      """)

  @Option(name: [.short, .long], help: "Where a sheet of the styles is written.", completion: .file())
  var output: String?
  @Option(help: "The photo of the sheet.", completion: .file())
  var photo: String?
  @Flag(help: "Overwrite a picture that is there.")
  var force = false
  @Option(help: "Folder of the model bundle, which gets the glasses.", completion: .directory)
  var model: String?
  @Option(help: "Folder laid out as CelebA, with masks; train is used.", completion: .directory)
  var data: String?
  @Option(help: "List of photos that are good examples, a line each such as '\(ExampleList.example)'.", completion: .file())
  var examples: String?

  func validate() throws {
    if examples != nil, data == nil { throw ValidationError("--examples names photos of --data; give both") }
    if data != nil, model == nil { throw ValidationError("--data is what --model learns from; give both") }
    if output != nil, model != nil { throw ValidationError("a sheet (-o) is of the default model; leave out --model") }
    if photo != nil, output == nil { throw ValidationError("--photo is shown in a sheet; give -o") }
  }

  func run() throws {
    if let model { return try learn(URL(fileURLWithPath: model, isDirectory: true)) }
    let styles = AttributeEdit.styles(of: GlassesModel.edit.name)
    guard let output else { return try show(styles.joined(separator: "\n")) }
    try draw(styles, on: URL(fileURLWithPath: output))
  }

  private func draw(_ styles: [String], on url: URL) throws {
    guard url.pathExtension.isEmpty || Photo.Format(pathExtension: url.pathExtension) != nil else {
      throw UsageError("-o \(PhotoError.unknownFormat(file: output ?? url.path))")
    }
    if !force, FileManager.default.fileExists(atPath: url.path) {
      throw CommandError("\(url.path) is there already; add --force to overwrite it")
    }
    let shown = try photo.map { try PhotoInput(named: $0).read() } ?? Photo(contentsOf: FaceEditor.samplePhotoURL)
    let tiles = try FaceEditor().tiles(
      shown, styles.map { AttributeEdit(GlassesModel.edit.name, style: $0) }, side: Self.side)
    let rows = stride(from: 0, to: tiles.count, by: Self.columns).map { Array(tiles[$0..<min($0 + Self.columns, tiles.count)]) }
    try PictureOutput.file(url).write(figure: .sheet(rows), source: .compositeWithTrainedModel)
  }

  private static let (side, columns) = (256, 4)

  private func learn(_ model: URL) throws {
    let lock = try FacetCLI.lock(model)
    defer { withExtendedLifetime(lock) {} }
    let bundle = try ModelBundle(contentsOf: model)
    guard let data else {
      guard let glasses = try GlassesModel.of(ModelBundle()) else { throw CommandError("the default model has no glasses") }
      return try glasses.write(to: bundle)
    }
    var configuration = DatasetConfiguration()
    configuration.requiresMasks = true
    let dataset = try CelebA(directory: URL(fileURLWithPath: data, isDirectory: true), configuration: configuration)
    let list = try examples.map { file in
      guard let names = try ExampleList(contentsOf: URL(fileURLWithPath: file)).files[GlassesModel.edit.description] else {
        throw CommandError("\(file) names no example of \(GlassesModel.edit)")
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

import ArgumentParser
import Facet
import FacetTraining
import Foundation
import Photo

struct PrepareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prepare",
    abstract: "Make a set of aligned crops from folders of photos, to train a painter on.",
    discussion: """
      The largest face of each photo is found, aligned and cut out with 288 pixels a side, as 'facet edit' does. Its code, \
      the decoded face, 68 landmarks and a label map are kept beside. A set takes some 340 kB a face. Photos without a \
      face, and with a face of fewer than 160 pixels, are left out and counted. A run that was stopped goes on \
      where it ended.

      Examples:
        facet prepare photos --output crops
        facet prepare ages/images celebamask-hq/images --hold-out 20 --output crops
      """)

  @Argument(help: "Folders of photos.", completion: .directory)
  var photos: [String]
  @Option(help: "Folder of the set.", completion: .directory)
  var output: String
  @Option(help: "Leave out every N-th photo of each folder, in the order of names, the first one included: for tests.")
  var holdOut: Int?
  @Flag(help: "Keep each crop with glasses drawn on it, too, to learn their removal from: 340 kB a face more, and slower.")
  var glasses = false
  @OptionGroup var model: ModelOptions
  @OptionGroup var engine: EngineOptions

  func validate() throws {
    if let holdOut, holdOut < 2 { throw ValidationError("--hold-out must be at least 2") }
  }

  func run() throws {
    let device = try engine.prepare()
    var files: [URL] = []
    for path in photos {
      let folder = URL(fileURLWithPath: path, isDirectory: true)
      let names: [String]
      do { names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() } catch {
        throw CommandError("\(path): not a folder that can be read")
      }
      let pictures = names.filter { Photo.Format(pathExtension: ($0 as NSString).pathExtension) != nil }
      if pictures.isEmpty { throw CommandError("\(path): holds no photos") }
      files += pictures.enumerated().filter { index, _ in holdOut.map { index % $0 != 0 } ?? true }
        .map { folder.appendingPathComponent($1) }
    }
    let writer = try CropSetWriter(
      bundle: try ModelBundle(contentsOf: model.url, device: device), parser: try FaceParser(device: device),
      hasGlasses: glasses)
    Interruption.watch()
    let report = ProgressReport("prepare", total: files.count, unit: "photos", completed: 0)
    let made = try writer.write(files, to: URL(fileURLWithPath: output, isDirectory: true)) { done in
      report.update(done)
      return !Interruption.requested
    }
    report.finish()
    guard let made else { throw ExitCode(130) }
    let omitted = made.omitted
    try show("\(made.faces) faces of \(files.count) photos; left out: "
      + "\(omitted[.noFace] ?? 0) without a face, \(omitted[.tooSmall] ?? 0) too small, \(omitted[.unreadable] ?? 0) unreadable")
  }
}

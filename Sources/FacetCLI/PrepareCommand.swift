import ArgumentParser
import Facet
import FacetTraining
import Foundation
import Photo

struct PrepareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prepare",
    abstract: "Make a data set of aligned faces from folders of any photos, to train models and painters on.",
    discussion: """
      The largest face of each photo is found, aligned and cut out with 288 pixels a side, as 'facet edit' does. Its code, \
      the decoded face, 68 landmarks and a label map are kept beside. A set takes some 340 kB a face. Photos without a \
      face, or with one of fewer than 48 pixels, are left out and counted. A run that was stopped goes on where it ended.

      --labels takes a CSV with a row of names and a row a photo, in the column 'file' or in the first. A cell is 1, yes or \
      true; or 0, -1, no or false; an empty one is not known. A column 'partition' has train, val or test; without one \
      every tenth face is for validation. --label chooses and compares: 'Old: age > 50'. The photos are not read again \
      where only labels change.

      Examples:
        facet prepare photos --output faces
        facet prepare photos --output faces --labels people.csv --label 'Old: age > 50' --label 'Man: sex = male'
        facet prepare ages/images celebamask-hq/images --hold-out 20 --output faces
      """)

  @Argument(help: "Folders of photos.", completion: .directory)
  var photos: [String]
  @Option(help: "Folder of the set.", completion: .directory)
  var output: String
  @Option(help: "Leave out every N-th photo of each folder, in the order of names, the first one included: for tests.")
  var holdOut: Int?
  @Option(help: "A CSV file with labels of the photos.", completion: .file())
  var labels: String?
  @Option(
    help: ArgumentHelp(
      "A label: a column, or a comparison; may be given several times. Default: each column of the file.",
      valueName: "NAME: COLUMN > VALUE"))
  var label: [String] = []
  @Flag(help: "Keep each crop with glasses drawn on it, too, to learn their removal from: 340 kB a face more, and slower.")
  var glasses = false
  @OptionGroup var model: ModelOptions
  @OptionGroup var engine: EngineOptions

  func validate() throws {
    if let holdOut, holdOut < 2 { throw ValidationError("--hold-out must be at least 2") }
    if labels == nil, !label.isEmpty { throw ValidationError("--label needs --labels FILE") }
  }

  func run() throws {
    let device = try engine.prepare()
    // Before minutes of work.
    let definitions = try label.map { text in
      do { return try LabelDefinition(text) } catch { throw UsageError("--\(error)") }
    }
    let labels = try labels.map { try PhotoLabels(contentsOf: URL(fileURLWithPath: $0), definitions: definitions) }
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
    let folder = URL(fileURLWithPath: output, isDirectory: true)
    let made = try writer.write(files, to: folder) { done in
      report.update(done)
      return !Interruption.requested
    }
    report.finish()
    guard let made else { throw ExitCode(130) }
    let omitted = made.omitted
    try show("\(made.faces) faces of \(files.count) photos; left out: "
      + "\(omitted[.noFace] ?? 0) without a face, \(omitted[.tooSmall] ?? 0) too small, \(omitted[.unreadable] ?? 0) unreadable")
    guard let labels, made.faces > 0 else { return }
    let labelled = try labels.write(to: folder)
    try show("\(labelled.labelled) faces have labels; \(labelled.unused) rows of \(labels.url.lastPathComponent) have no face in the set")
    for count in labelled.counts { try show("  \(count.name): \(count.present) have it, \(count.absent) lack it") }
  }
}

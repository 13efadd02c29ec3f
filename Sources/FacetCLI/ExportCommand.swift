import ArgumentParser
import Facet
import FacetConversion
import Files
import Foundation

struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write a model in a form that other programs run.",
    discussion: """
      Examples:
        facet export onnx runs/a --output onnx
        facet export small runs/a --output small
      """,
    subcommands: [ONNX.self, Small.self])

  struct Small: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "small",
      abstract: "Write a bundle with 8-bit weights, of half the size.",
      discussion: """
        The folder becomes a bundle as the other one, with its directions and parts. A weight is off by 0.4 % of its row's \
        largest one at most.

        Example:
          facet export small runs/a --output small
        """)

    @OptionGroup var options: ExportOptions

    func run() throws {
      if options.url.resolvingSymlinksInPath() == options.folder.resolvingSymlinksInPath() {
        throw UsageError("--output \(options.output): is the bundle itself; give another folder")
      }
      try options.write(files: [NetworkFolder.weightsFile]) { try $0.writeSmall(to: $1) }
    }
  }

  struct ONNX: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "onnx",
      abstract: "Write encoder and decoder as ONNX, the attributes for numpy, and a README with an edit in Python.",
      discussion: """
        The folder gets encoder.onnx (image in; mean and log deviation of the code out), decoder.onnx (code in; image \
        and mask out), both of opset 17 with a free batch size, attributes.npz and card.md where the bundle has them, \
        and README.md.

        Examples:
          facet export onnx --output onnx
          facet export onnx runs/a --output onnx --force
        """)

    @OptionGroup var options: ExportOptions

    func run() throws { try options.write(files: ModelBundle.onnxFiles) { try $0.exportONNX(to: $1) } }
  }
}

/// The bundle that is exported, and where to.
struct ExportOptions: ParsableArguments {
  @Argument(help: "Folder of a model bundle; default: the one inside the package.", completion: .directory)
  var bundle: String?
  @Option(name: [.short, .long], help: "The folder to write into.", completion: .directory)
  var output: String
  @Flag(help: "Overwrite files that are there.")
  var force = false

  var url: URL { bundle.map { URL(fileURLWithPath: $0, isDirectory: true) } ?? ModelBundle.defaultURL }
  var folder: URL { URL(fileURLWithPath: output, isDirectory: true) }

  /// Writes into the folder, unless one of the files is there.
  func write(files: [String], _ write: (_ bundle: ModelBundle, _ folder: URL) throws -> Void) throws {
    let lock = try WriteLock.folder(folder)
    defer { withExtendedLifetime(lock) {} }
    let present = files.map { folder.appendingPathComponent($0) }.first { FileManager.default.fileExists(atPath: $0.path) }
    if !force, let present { throw CommandError("\(present.path) is there already; add --force to overwrite it") }
    try write(ModelBundle(contentsOf: url), folder)
  }
}

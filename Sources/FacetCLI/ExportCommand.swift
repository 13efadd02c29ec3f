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
        The folder becomes a bundle as the other one, with its directions and parts. Codes and faces differ by less than \
        photos of 8 bits show.

        Example:
          facet export small runs/a --output small
        """)

    @Argument(help: "Folder of a model bundle; default: the one inside the package.", completion: .directory)
    var bundle: String?
    @Option(name: [.short, .long], help: "The folder to write into.", completion: .directory)
    var output: String
    @Flag(help: "Overwrite the bundle that is there.")
    var force = false

    func run() throws {
      let folder = URL(fileURLWithPath: output, isDirectory: true)
      let lock = try WriteLock.folder(folder)
      defer { withExtendedLifetime(lock) {} }
      let present = folder.appendingPathComponent(ModelBundle.weightsFile)
      if !force, FileManager.default.fileExists(atPath: present.path) {
        throw CommandError("\(present.path) is there already; add --force to overwrite it")
      }
      let url = bundle.map { URL(fileURLWithPath: $0, isDirectory: true) } ?? ModelBundle.defaultURL
      if url.resolvingSymlinksInPath() == folder.resolvingSymlinksInPath() {
        throw CommandError("\(folder.path): is the bundle itself; give another folder")
      }
      try ModelBundle(contentsOf: url).writeSmall(to: folder)
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

    @Argument(help: "Folder of a model bundle; default: the one inside the package.", completion: .directory)
    var bundle: String?
    @Option(name: [.short, .long], help: "The folder to write into.", completion: .directory)
    var output: String
    @Flag(help: "Overwrite files that are there.")
    var force = false

    func run() throws {
      let folder = URL(fileURLWithPath: output, isDirectory: true)
      let lock = try WriteLock.folder(folder)
      defer { withExtendedLifetime(lock) {} }
      let present = ModelBundle.onnxFiles.map { folder.appendingPathComponent($0) }
        .first { FileManager.default.fileExists(atPath: $0.path) }
      if !force, let present { throw CommandError("\(present.path) is there already; add --force to overwrite it") }
      let url = bundle.map { URL(fileURLWithPath: $0, isDirectory: true) } ?? ModelBundle.defaultURL
      try ModelBundle(contentsOf: url).exportONNX(to: folder)
    }
  }
}

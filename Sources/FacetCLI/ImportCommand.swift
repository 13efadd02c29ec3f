import ArgumentParser
import Facet
import FacetConversion
import Files
import Foundation

struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import", abstract: "Make a model bundle of weights from another program.", subcommands: [Keras.self])

  struct Keras: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Import the article's network as Keras 2 saved it with save_weights.",
      discussion: """
        The file may be of the training network or of the one for prediction. Attribute vectors come from .npy files \
        of as many float32 numbers as the model's latent code has, each named as its attribute; strength 1 is the \
        vector itself. The bundle sees the whole aligned frame, as that network does. \
        'facet attributes --model BUNDLE --data DIR' finds directions and probes from labelled photos instead.

        Examples:
          facet import keras weights.best.h5 --attributes cache --output article.facet
          facet spectrum me.jpg --model article.facet --attribute Smiling -o spectrum.jpg
        """)

    @Argument(help: "The HDF5 file.", completion: .file(extensions: ["h5", "hdf5"]))
    var weights: String
    @Option(
      help: "Folder of .npy files, folders in it included; may be given several times.", completion: .directory)
    var attributes: [String] = []
    @Option(help: "Folder of the bundle.", completion: .directory)
    var output: String
    @Flag(help: "Replace the bundle that is in the output folder.")
    var force = false

    func run() throws {
      let output = URL(fileURLWithPath: output, isDirectory: true)
      // Read before the folder is made, which a fault leaves unmade.
      let article = try KerasArticle(
        weights: URL(fileURLWithPath: weights),
        attributes: attributes.map { URL(fileURLWithPath: $0, isDirectory: true) })
      let lock = try WriteLock.folder(output)
      defer { withExtendedLifetime(lock) {} }
      if !force, FileManager.default.fileExists(atPath: output.appendingPathComponent("model.safetensors").path) {
        throw CommandError("\(output.path) holds a model already; add --force to replace it")
      }
      try article.write(to: output)
      let names = article.vectors.map(\.name)
      note("\(output.path): \(article.origin)" + (names.isEmpty ? "" : ": \(names.joined(separator: ", "))"))
    }
  }
}

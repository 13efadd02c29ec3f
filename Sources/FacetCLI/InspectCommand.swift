import ArgumentParser
import Facet
import Foundation
import Photo

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show which attributes the model sees in the largest face of each photo.",
    discussion: """
      The probabilities are of logistic regressions on the face's latent code; 'facet info' shows how often they are \
      right. With --json each photo gives one line, an object of file, face (the crop's box in the photo's pixels) and \
      attributes (probabilities).

      Examples:
        facet inspect me.jpg
        facet inspect holiday/ --skip --json
      """)

  @Argument(help: "Photos, or folders of photos.")
  var photo: [String]
  @Flag(help: "Print one JSON object a photo, each on its line, instead of tables.")
  var json = false
  @Flag(help: "Go on to the next photo where one has no face or cannot be read.")
  var skip = false
  @Flag(help: "The photos are CelebA frames or training crops already; no face is searched.")
  var aligned = false
  @OptionGroup var editor: EditorOptions

  private struct Inspection: Encodable {
    struct Box: Encodable { var x, y, width, height: Double }
    var file: String
    var face: Box
    var attributes: [String: Double]
  }

  func run() throws {
    let editor = try editor.makeEditor()
    guard editor.directions.hasProbes else {
      throw CommandError(
        "\(editor.bundle.url.path): sees no attributes, for its vectors are imported, without photos; "
          + "'facet attributes --model \(editor.bundle.url.path) --data DIR' finds both")
    }
    try PhotoOptions.forEach(try photo.flatMap(PhotoOptions.expand), skip: skip) { index, file in
      let inspection = try inspect(file, with: editor)
      if json {
        try show(json: line(inspection))
      } else {
        try show((index > 0 ? "\n" : "") + table(inspection, editor.directions))
      }
    }
  }

  private func inspect(_ file: URL, with editor: FaceEditor) throws -> Inspection {
    let face = try editor.face(in: Photo(contentsOf: file).picture, isAligned: aligned)
    let probabilities = try editor.directions.probes.probabilities(of: face.latent)
    guard probabilities.allSatisfy(\.isFinite) else {
      throw CommandError("\(file.path): the model's code of this face is not finite; its weights are broken")
    }
    // Combined directions are only defined among some photos.
    let attributes = zip(editor.directions.labelNames, probabilities.map { ($0 * 10_000).rounded() / 10_000 })
    let place = face.alignment.transform(size: 1).inverse
    let corners = [(0.0, 0.0), (1, 0), (0, 1), (1, 1)].map { place(Point(x: $0, y: $1)) }
    func range(_ values: [Double]) -> (start: Double, length: Double) {
      let (low, high) = (values.min() ?? 0, values.max() ?? 0)
      return ((low * 10).rounded() / 10, ((high - low) * 10).rounded() / 10)
    }
    let (x, y) = (range(corners.map(\.x)), range(corners.map(\.y)))
    return Inspection(
      file: file.relativePath, face: .init(x: x.start, y: y.start, width: x.length, height: y.length),
      attributes: Dictionary(uniqueKeysWithValues: attributes))
  }

  private func line(_ inspection: Inspection) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(inspection), as: UTF8.self)
  }

  /// Probabilities, the highest first.
  private func table(_ inspection: Inspection, _ directions: AttributeDirections) -> String {
    let width = directions.labelNames.map(\.count).max() ?? 0
    let rows = inspection.attributes.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { name, probability in
      let bar = String(repeating: "#", count: Int((probability * 20).rounded()))
      return "  \(name.padded(to: width))  \(String(format: "%5.1f", probability * 100)) %  \(bar)"
    }
    let box = inspection.face
    let place = String(format: "face at %.0f, %.0f, %.0f x %.0f pixels", box.x, box.y, box.width, box.height)
    return (["\(inspection.file): \(place)"] + rows).joined(separator: "\n")
  }
}

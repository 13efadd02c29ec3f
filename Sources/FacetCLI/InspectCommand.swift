import ArgumentParser
import Facet
import Foundation
import Photo

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show which attributes the model sees in a face of each photo.",
    discussion: """
      The probabilities are of logistic regressions on the face's latent code; 'facet info' shows how often they are \
      right. With --json each face gives one line, an object of file, face (the crop's box in the photo's pixels) and \
      attributes (probabilities).

      Examples:
        facet inspect me.jpg
        facet inspect group.jpg --face 2
        facet inspect holiday/ --face all --json
      """)

  @OptionGroup var inputs: PhotoInputs
  @Flag(help: "Print one JSON object a face, each on its line, instead of tables.")
  var json = false
  @OptionGroup var faces: FaceOptions
  @OptionGroup var editor: EditorOptions

  private struct Inspection: Encodable {
    var file: String
    var face: FaceBox
    var attributes: [String: Double]
  }

  func run() throws {
    let photos = try inputs.expanded()
    let editor = try editor.makeEditor()
    guard editor.directions.hasProbes else {
      throw CommandError(
        "\(editor.bundle.url.path): sees no attributes, for its vectors are imported, without photos; "
          + "'facet attributes --model \(editor.bundle.url.path) --data DIR' finds both")
    }
    var count = 0
    try inputs.forEach(photos) { _, input in
      let photo = try input.read()
      for face in try editor.faces(in: photo.picture, faces.face, isAligned: faces.aligned) {
        let inspection = try inspect(face, of: input, with: editor)
        if json {
          try show(json: line(inspection))
        } else {
          try show((count > 0 ? "\n" : "") + table(inspection, editor.directions))
        }
        count += 1
      }
    }
  }

  private func inspect(_ face: EncodedFace, of input: PhotoInput, with editor: FaceEditor) throws -> Inspection {
    let probabilities = try editor.probabilities(in: face)
    guard probabilities.values.allSatisfy(\.isFinite) else {
      throw CommandError("\(input.name): the model's code of this face is not finite; its weights are broken")
    }
    // Combined directions are only defined among some photos.
    let labels = Set(editor.directions.labelNames)
    let attributes = probabilities.filter { labels.contains($0.key) }.mapValues { ($0 * 10_000).rounded() / 10_000 }
    return Inspection(file: input.name, face: FaceBox(face.alignment), attributes: attributes)
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
    return (["\(inspection.file): face at \(inspection.face)"] + rows).joined(separator: "\n")
  }
}

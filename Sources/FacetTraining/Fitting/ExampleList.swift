import Facet
import Files
import Foundation

/// A list of photos that are good examples of edits.
public struct ExampleList: Sendable {
  /// File names by the edit's description, such as `Eyeglasses=1`.
  public let files: [String: [String]]
  /// A line of a list.
  package static let example = "\(GlassesModel.edit) 000123.jpg"

  /// Reads a list of examples: lines of an edit and a photo's file name, such as `Eyeglasses=1 000123.jpg`.
  /// - Throws: ``TrainingError`` that names the line, `FileError`.
  public init(contentsOf url: URL) throws {
    let text = try MappedFile(url).withBytes { bytes in
      guard bytes.count <= 1 << 26 else { throw TrainingError("\(url.path): longer than a list of examples can be") }
      return String(decoding: bytes, as: UTF8.self)
    }
    var files: [String: [String]] = [:]
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let words = line.split(whereSeparator: \.isWhitespace)
      if words.isEmpty { continue }
      guard words.count == 2, let edit = AttributeState(String(words[0])) else {
        throw TrainingError("\(url.path), line \(number + 1): not an edit and a file name, as '\(Self.example)'")
      }
      files[edit.description, default: []].append(String(words[1]))
    }
    self.files = files
  }
}

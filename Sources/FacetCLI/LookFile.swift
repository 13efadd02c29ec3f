import Facet
import Files
import Foundation

/// Edits that were saved under a name, as the studio saves them: `{"edits": [{"attribute": "Hair", "strength": 1, "style": "auburn"}]}`.
struct LookFile: Decodable {
  struct Edit: Decodable {
    var attribute: String
    var strength: Double?
    var style: String?
  }

  private let saved: [Edit]

  private enum CodingKeys: String, CodingKey { case saved = "edits" }

  /// - Throws: ``CommandError`` that names the file and what is wrong in it.
  init(contentsOf path: String) throws {
    func fault(_ reason: String) -> CommandError { CommandError("\(path): \(reason)") }
    // A pipe would be waited for.
    let file = try? MappedFile(URL(fileURLWithPath: path))
    guard let data = file?.withBytes({ Data($0.prefix(Self.sizeLimit + 1)) }) else {
      throw fault("a look that cannot be read")
    }
    guard data.count <= Self.sizeLimit, let look = try? JSONDecoder().decode(LookFile.self, from: data) else {
      throw fault(
        #"no look; save one in the studio, or write {"edits": [{"attribute": "\#(AttributeTable.example)", "strength": 1}]}"#)
    }
    if look.saved.isEmpty || look.saved.count > Self.editLimit { throw fault("a look has 1 to \(Self.editLimit) edits") }
    do { _ = try look.edits } catch { throw fault(error.description) }
    self = look
  }

  var edits: [AttributeEdit] {
    get throws(AttributeError) {
      try saved.map { edit throws(AttributeError) in
        try AttributeEdit(edit.attribute, strength: edit.strength ?? 1, style: edit.style)
      }
    }
  }

  private static let (sizeLimit, editLimit) = (1 << 20, 256)
}

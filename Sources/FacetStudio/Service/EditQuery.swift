import Facet
import Foundation
import Photo

/// What `POST /api/edit` is asked for in its address: `?Smiling=1&Young=-0.5&Hair=auburn&face=all`. What is no option is an attribute, with a
/// strength or the name of a style.
struct EditQuery {
  private enum Faces {
    case all
    case one(Int)
  }

  private(set) var edits: [(attribute: String, strength: Double, style: String?)] = []
  private(set) var format: Photo.Format?
  private(set) var quality: Int?
  private(set) var size: Int?
  private(set) var keepsLocation = false
  private var faces = Faces.one(0)

  /// - Throws: ``Problem``, which names the parameter.
  init(_ parameters: [(name: String, value: String)]) throws {
    var seen: Set<String> = []
    for (name, value) in parameters {
      guard seen.insert(name).inserted else { throw Problem.badRequest("\(name): is given more than once.") }
      switch name {
      case "face":
        if value == "all" {
          faces = .all
        } else {
          faces = .one(try Self.number(name, value, in: 0...63))
        }
      case "format":
        guard let known = Photo.Format(rawValue: value) else {
          throw Problem.badRequest(
            "format: must be one of \(Photo.Format.allCases.map(\.rawValue).joined(separator: ", ")).")
        }
        format = known
      case "quality": quality = try Self.number(name, value, in: 1...100)
      case "size": size = try Self.number(name, value, in: 32...100_000)
      case "keepLocation":
        guard let flag = Bool(value) else { throw Problem.badRequest("keepLocation: must be true or false.") }
        keepsLocation = flag
      default:
        guard edits.count < 64, (1...64).contains(name.unicodeScalars.count) else {
          throw Problem.badRequest("There are too many parameters, or one has too long a name.")
        }
        if Double(value) == nil, (1...64).contains(value.unicodeScalars.count), !AttributeEdit.styles(of: name).isEmpty {
          edits.append((name, 1, value))
        } else {
          edits.append((name, try Self.number(name, value, in: Edit.strengths), nil))
        }
      }
    }
  }

  /// The faces that are edited, of so many.
  func faces(of count: Int) throws -> [Int] {
    guard case .one(let index) = faces else { return Array(0..<count) }
    guard index < count else { throw Problem.noSuchFace(index, of: count) }
    return [index]
  }

  private static func number<Value: LosslessStringConvertible & Comparable>(
    _ name: String, _ text: String, in range: ClosedRange<Value>
  ) throws -> Value {
    guard let value = Value(text), range.contains(value) else {
      throw Problem.badRequest("\(name): must be a number from \(range.lowerBound) to \(range.upperBound).")
    }
    return value
  }
}

/// Files that come as fields of a form, as `curl -F photo=@me.jpg` sends them (RFC 7578).
enum FormBody {
  /// The name of the field with a mask; every other file is the photo.
  static let mask = "protect"

  /// The body itself, or the first file of the form that it is.
  static func file(in body: Data, type: String?) throws -> Data {
    guard let files = try files(in: body, type: type) else { return body }
    guard let file = files.first(where: { $0.name != mask }) else { throw Problem.badRequest("The form has no file.") }
    return file.bytes
  }

  /// The file of a field; `nil` where there is none.
  static func file(named name: String, in body: Data, type: String?) throws -> Data? {
    try files(in: body, type: type)?.first { $0.name == name }?.bytes
  }

  /// The files of a form; `nil` for what is none.
  private static func files(in body: Data, type: String?) throws -> [(name: String, bytes: Data)]? {
    guard let type, type.lowercased().hasPrefix("multipart/form-data") else { return nil }
    guard let boundary = boundary(of: type) else { throw Problem.badRequest("The form names no boundary.") }
    let delimiter = Data("--\(boundary)".utf8)
    let blank = Data("\r\n\r\n".utf8)
    var files: [(name: String, bytes: Data)] = []
    var rest = body[...]
    while files.count < 8, let start = rest.range(of: delimiter) {
      rest = rest[start.upperBound...]
      guard let head = rest.range(of: blank), let end = rest[head.upperBound...].range(of: Data("\r\n".utf8) + delimiter)
      else { break }
      // A field without a name of a file is text.
      let text = String(decoding: rest[..<head.lowerBound].prefix(4096), as: UTF8.self)
      if text.lowercased().contains("filename") {
        let name = text.firstMatch(of: /[; ]name="?([^";\s]*)/).map { String($0.1) } ?? ""
        files.append((name, Data(rest[head.upperBound..<end.lowerBound])))
      }
      rest = rest[end.lowerBound...]
    }
    return files
  }

  private static func boundary(of type: String) -> String? {
    guard let found = type.range(of: "boundary=", options: .caseInsensitive) else { return nil }
    let value = type[found.upperBound...].prefix { $0 != ";" }.trimmingCharacters(in: CharacterSet(charactersIn: " \""))
    return (1...70).contains(value.utf8.count) ? value : nil
  }
}

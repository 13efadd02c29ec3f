import Facet
import Foundation
import Photo

// What callers send, as `openapi.yaml` describes it: a member that is unknown, null or out of its range is a fault.

enum PreviewFormat: String, Decodable, Sendable {
  case jpeg, webp

  var mediaType: String { "image/\(rawValue)" }
}

/// The members of a JSON object.
struct Members {
  private struct Key: CodingKey {
    let stringValue: String
    let intValue: Int? = nil
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  private let container: KeyedDecodingContainer<Key>

  /// - Parameter names: all that there may be.
  init(_ decoder: any Decoder, _ names: String...) throws {
    container = try decoder.container(keyedBy: Key.self)
    for key in container.allKeys where !names.contains(key.stringValue) {
      throw DecodingError.dataCorrupted(
        .init(
          codingPath: container.codingPath,
          debugDescription: "the member '\(key.stringValue.prefix(64))' is unknown"))
    }
  }

  func contains(_ name: String) -> Bool { container.contains(Key(stringValue: name)) }

  /// - Throws: `DecodingError` for one that is missing.
  func value<Value: Decodable>(_ name: String, _: Value.Type = Value.self) throws -> Value {
    try container.decode(Value.self, forKey: Key(stringValue: name))
  }

  func value<Value: Decodable>(_ name: String, default other: Value) throws -> Value {
    contains(name) ? try value(name) : other
  }

  func number<Value: Decodable & Comparable>(
    _ name: String, in range: ClosedRange<Value>, default other: Value? = nil
  ) throws -> Value {
    if let other, !contains(name) { return other }
    let number: Value = try value(name)
    guard range.contains(number) else { throw fault(name, "must be from \(range.lowerBound) to \(range.upperBound)") }
    return number
  }

  func text(_ name: String, length: ClosedRange<Int>, default other: String? = nil) throws -> String {
    if let other, !contains(name) { return other }
    let text: String = try value(name)
    guard length.contains(text.unicodeScalars.count) else {
      throw fault(name, "must have \(length.lowerBound) to \(length.upperBound) letters")
    }
    return text
  }

  func list<Value: Decodable>(_ name: String, count: ClosedRange<Int>, default other: [Value]) throws -> [Value] {
    let list = try value(name, default: other)
    guard count.contains(list.count) else {
      throw fault(name, "must have \(count.lowerBound) to \(count.upperBound) elements")
    }
    return list
  }

  func fault(_ name: String, _ what: String) -> DecodingError {
    .dataCorrupted(.init(codingPath: container.codingPath + [Key(stringValue: name)], debugDescription: what))
  }

  // What several requests have.

  func face() throws -> Int { try number("face", in: 0...63, default: 0) }
  func edits() throws -> [Edit] { try list("edits", count: 0...Edit.most, default: []) }
  func attribute() throws -> String { try text("attribute", length: 1...64) }

  /// - Parameter orStrip: whether frames may come beside each other, too.
  func framesFormat(orStrip: Bool = false) throws -> FramesFormat {
    let known = FramesFormat.files + (orStrip ? [.jpeg] : [])
    guard let format = FramesFormat(rawValue: try value("format", default: "webp")), known.contains(format) else {
      throw fault("format", "must be one of \(known.map(\.rawValue).joined(separator: ", "))")
    }
    return format
  }

  /// A mask's file in base64.
  func protect() throws -> String? {
    contains("protect") ? try text("protect", length: 1...Self.longestMask) : nil
  }
  static let longestMask = 128 * 1024

  func keep() throws -> [String] {
    let names: [String] = try list("keep", count: 0...40, default: [])
    guard names.allSatisfy({ (1...64).contains($0.unicodeScalars.count) }) else {
      throw fault("keep", "must be attributes' names")
    }
    return names
  }
}

/// One attribute of one face to change.
struct Edit: Decodable, Sendable {
  /// Several for each face of a group.
  static let most = 256
  static let strengths = AttributeEdit.range

  var face: Int
  var attribute: String
  var strength: Double?
  var probability: Double?
  /// How it is drawn; `nil` for the standard style.
  var style: String?

  init(from decoder: any Decoder) throws {
    let members = try Members(decoder, "face", "attribute", "strength", "probability", "style")
    face = try members.face()
    attribute = try members.attribute()
    guard members.contains("strength") != members.contains("probability") else {
      throw members.fault("strength", "either this or a probability must be given")
    }
    if members.contains("strength") {
      strength = try members.number("strength", in: Self.strengths)
    } else {
      probability = try members.number("probability", in: 0...1.0)
    }
    if members.contains("style") { style = try members.text("style", length: 1...64) }
  }

  init(face: Int, _ attribute: String, strength: Double, style: String? = nil) {
    (self.face, self.attribute, self.strength, self.style) = (face, attribute, strength, style)
  }

  var edit: AttributeEdit {
    get throws {
      guard let probability else { return try AttributeEdit(attribute, strength: strength ?? 0, style: style) }
      var edit = try AttributeEdit(attribute, to: probability)
      edit.style = style
      return edit
    }
  }
}

struct RandomRequest: Decodable {
  var seed: UInt64?

  init(from decoder: any Decoder) throws {
    let members = try Members(decoder, "seed")
    if members.contains("seed") { seed = try members.number("seed", in: 0...Self.mostSeed) }
  }

  /// The greatest number that JavaScript counts up to.
  static let mostSeed: UInt64 = 1 << 53 - 1
}

struct PreviewRequest: Decodable {
  var edits: [Edit]
  var keep: [String]
  /// A mask of what stays as it was: a picture's file in base64.
  var protect: String?
  var size: Int
  var format: PreviewFormat?
  var region: Region?
  var sequence: Int?
  var stream: String

  init(from decoder: any Decoder) throws {
    let members = try Members(decoder, "edits", "keep", "protect", "size", "format", "region", "sequence", "stream")
    edits = try members.edits()
    keep = try members.keep()
    protect = try members.protect()
    size = try members.number("size", in: 32...PhotoSession.longestSide, default: 512)
    if members.contains("format") { format = try members.value("format", PreviewFormat.self) }
    if members.contains("region") { region = try members.value("region", Region.self) }
    if members.contains("sequence") { sequence = try members.number("sequence", in: 0...(1 << 53 - 1)) }
    stream = try members.text("stream", length: 0...64, default: "")
  }
}

/// A part of a photo in its pixels.
struct Region: Decodable {
  var window: Window

  init(from decoder: any Decoder) throws {
    let members = try Members(decoder, "x", "y", "width", "height")
    let most = 1_000_000
    window = Window(
      x: try members.number("x", in: 0...most), y: try members.number("y", in: 0...most),
      width: try members.number("width", in: 1...most), height: try members.number("height", in: 1...most))
  }
}

struct RenderRequest: Decodable {
  var edits: [Edit]
  var keep: [String]
  /// A mask of what stays as it was: a picture's file in base64.
  var protect: String?
  var format: Photo.Format?
  var quality: Int?
  /// Of the longer side; never more than the photo's.
  var size: Int?
  var keepsLocation: Bool

  init(from decoder: any Decoder) throws {
    let members = try Members(decoder, "edits", "keep", "protect", "format", "quality", "size", "keepLocation")
    edits = try members.edits()
    keep = try members.keep()
    protect = try members.protect()
    if members.contains("format") {
      guard let format = Photo.Format(rawValue: try members.value("format")) else {
        throw members.fault("format", "must be one of \(Photo.Format.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      self.format = format
    }
    if members.contains("quality") { quality = try members.number("quality", in: 1...100) }
    if members.contains("size") { size = try members.number("size", in: 32...100_000) }
    keepsLocation = try members.value("keepLocation", default: false)
  }
}

struct SpectrumRequest: Decodable {
  var face: Int
  var attribute: String
  var edits: [Edit]
  var keep: [String]
  var strengths: [Double]
  var size: Int
  var format: PreviewFormat

  init(from decoder: any Decoder) throws {
    let members = try Members(decoder, "face", "attribute", "edits", "keep", "strengths", "size", "format")
    face = try members.face()
    attribute = try members.attribute()
    edits = try members.edits()
    keep = try members.keep()
    strengths = try members.list("strengths", count: 1...13, default: [-1, -0.5, 0, 0.5, 1])
    guard strengths.allSatisfy(Edit.strengths.contains) else {
      throw members.fault("strengths", "must be from \(Edit.strengths.lowerBound) to \(Edit.strengths.upperBound)")
    }
    size = try members.number("size", in: 32...256, default: 96)
    format = try members.value("format", default: .jpeg)
  }
}

/// One face under several sets of edits.
struct TilesRequest: Decodable {
  static let most = 24

  var face: Int
  var tiles: [[Edit]]
  var keep: [String]
  /// A mask of what stays as it was: a picture's file in base64.
  var protect: String?
  var size: Int
  var format: PreviewFormat

  init(from decoder: any Decoder) throws {
    let members = try Members(decoder, "face", "tiles", "keep", "protect", "size", "format")
    face = try members.face()
    tiles = try members.list("tiles", count: 1...Self.most, default: [])
    for tile in tiles where tile.count > 32 || tile.contains(where: { $0.strength == nil }) {
      throw members.fault("tiles", "must have at most 32 edits each, with strengths")
    }
    keep = try members.keep()
    protect = try members.protect()
    size = try members.number("size", in: 32...512, default: 96)
    format = try members.value("format", default: .jpeg)
  }
}

struct InspectRequest: Decodable {
  var face: Int
  var edits: [Edit]
  var keep: [String]

  init(from decoder: any Decoder) throws {
    let members = try Members(decoder, "face", "edits", "keep")
    face = try members.face()
    edits = try members.edits()
    keep = try members.keep()
  }
}

/// The photo before the edits becoming the one after them.
struct AnimationRequest: Decodable, Sendable {
  var edits: [Edit]
  var keep: [String]
  /// A mask of what stays as it was: a picture's file in base64.
  var protect: String?
  var size: Int
  var frames: Int
  var milliseconds: Int
  var format: FramesFormat

  init(from decoder: any Decoder) throws {
    let members = try Members(decoder, "edits", "keep", "protect", "size", "frames", "milliseconds", "format")
    edits = try members.edits()
    keep = try members.keep()
    protect = try members.protect()
    size = try members.number("size", in: 32...1024, default: 512)
    frames = try members.number("frames", in: 2...30, default: 12)
    milliseconds = try members.number("milliseconds", in: 10...1000, default: 60)
    format = try members.framesFormat()
  }
}

struct MorphRequest: Decodable, Sendable {
  struct End: Decodable, Sendable {
    var photo: PhotoID
    var face: Int
    var edits: [Edit]
    /// A mask of what stays as it was: a picture's file in base64.
    var protect: String?

    init(from decoder: any Decoder) throws {
      let members = try Members(decoder, "photo", "face", "edits", "protect")
      photo = PhotoID(try members.text("photo", length: 22...22))
      face = try members.face()
      edits = try members.edits()
      protect = try members.protect()
    }
  }

  static let mostFrames = 60

  var from: End
  var to: End
  var frames: Int
  var milliseconds: Int
  var thereAndBack: Bool
  var size: Int
  var format: FramesFormat

  init(from decoder: any Decoder) throws {
    let members = try Members(
      decoder, "from", "to", "frames", "milliseconds", "thereAndBack", "size", "format")
    from = try members.value("from")
    to = try members.value("to")
    frames = try members.number("frames", in: 2...Self.mostFrames, default: 24)
    milliseconds = try members.number("milliseconds", in: 10...1000, default: 60)
    thereAndBack = try members.value("thereAndBack", default: true)
    size = try members.number("size", in: 32...512, default: 256)
    format = try members.framesFormat(orStrip: true)
    // A strip must stay a picture that browsers take.
    if format == .jpeg && (thereAndBack || frames * size > 16_384) {
      throw members.fault("format", "jpeg is for frames one way, together at most 16384 pixels wide")
    }
  }
}


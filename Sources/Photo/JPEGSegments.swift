/// The segments of a JPEG, to its first scan (ITU-T T.81, annex B).
struct JPEGSegments {
  struct Segment {
    let marker: UInt8
    /// What lies behind its marker and length, in the file.
    let body: Range<Int>
    var start: Int { body.lowerBound - 4 }
  }

  /// No file has more before its pixels; one that has is not read further.
  private static let limit = 4096

  private(set) var all: [Segment] = []

  /// - Parameter start: where in the file the JPEG begins.
  init(_ read: Coding.Reader, at start: Int = 0) {
    var offset = start + 2
    for _ in 0..<Self.limit {
      let head = read(offset, 4)
      guard head.count == 4, head[0] == 0xFF else { break }
      if head[1] == 0xFF {  // a fill byte
        offset += 1
        continue
      }
      let length = Int(head[2]) << 8 | Int(head[3])
      guard length >= 2, head[1] != 0xDA else { break }
      all.append(Segment(marker: head[1], body: offset + 4..<offset + 2 + length))
      offset += 2 + length
    }
  }

  /// The body behind its name of the first segment of that marker and name.
  func body(_ marker: UInt8, named name: String, _ read: Coding.Reader) -> Range<Int>? {
    let name = Array(name.utf8)
    return all.first { $0.marker == marker && read($0.body.lowerBound, name.count) == name }
      .map { min($0.body.upperBound, $0.body.lowerBound + name.count)..<$0.body.upperBound }
  }

  /// A segment's bytes.
  static func segment(_ marker: UInt8, named name: String, _ body: [UInt8]) -> [UInt8] {
    let bytes = Array(name.utf8) + body
    return [0xFF, marker, UInt8((bytes.count + 2) >> 8), UInt8((bytes.count + 2) & 255)] + bytes
  }

  static let xmp = "http://ns.adobe.com/xap/1.0/\0"
  static let extendedXMP = "http://ns.adobe.com/xmp/extension/\0"
  static let exif = "Exif\0\0"
  static let multiPicture = "MPF\0"
  static let isoGainMap = "urn:iso:std:iso:ts:21496:-1\0"
}

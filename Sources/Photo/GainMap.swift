import Foundation

/// A JPEG's second picture, which says how much brighter each place is on a screen with more light ("Ultra HDR"): Adobe's
/// Gain Map Specification 1.0 and ISO 21496-1, found by the index of CIPA DC-007 (Multi-Picture Format).
struct GainMap: Sendable {
  /// A JPEG file with its own metadata, which has the parameters.
  private(set) var file: [UInt8]
  /// ISO's segment of the main picture, if there is one.
  let isoVersion: [UInt8]?

  private static let sizeLimit = 1 << 25
  private static let names = ["ns.adobe.com/hdr-gain-map/", "ns.apple.com/HDRGainMap/"].map { Array($0.utf8) }

  /// Whether a JPEG that begins somewhere in a file is a gain map.
  private static func isGainMap(_ read: Coding.Reader, at start: Int) -> Bool {
    guard read(start, 3) == [0xFF, 0xD8, 0xFF] else { return false }
    let segments = JPEGSegments(read, at: start)
    if segments.body(0xE2, named: JPEGSegments.isoGainMap, read) != nil { return true }
    guard let xmp = segments.body(0xE1, named: JPEGSegments.xmp, read) else { return false }
    let packet = read(xmp.lowerBound, xmp.count)
    return names.contains { packet.firstRange(of: $0) != nil }
  }

  /// - Parameters:
  ///   - pictures: where other JPEGs lie in the file.
  ///   - segments: of the main one.
  init?(among pictures: [Range<Int>], _ segments: JPEGSegments, _ read: Coding.Reader) {
    guard let place = pictures.first(where: { Self.isGainMap(read, at: $0.lowerBound) }), place.count <= Self.sizeLimit
    else { return nil }
    file = read(place.lowerBound, place.count)
    guard file.count == place.count else { return nil }
    isoVersion = segments.body(0xE2, named: JPEGSegments.isoGainMap, read).map { read($0.lowerBound, $0.count) }
  }

  /// The gain map turned as EXIF's orientation says that the picture is to be; nil where it cannot be read.
  func turned(_ orientation: Int) -> GainMap? {
    if orientation <= 1 { return self }
    guard let photo = try? Photo(data: Data(file), name: "gain map") else { return nil }
    let picture = photo.picture.turned(orientation)
    let pixels = Codec.Pixels(photo.isGrey ? picture.grey() ?? picture : picture)
    guard let data = try? Codec.encode(pixels, format: .jpeg, quality: photo.quality ?? 95, name: "gain map") else { return nil }
    var copy = self
    let read = reader(of: file)
    let parameters = JPEGSegments(read).all.filter { [0xE1, 0xE2].contains($0.marker) }
      .flatMap { read($0.start, $0.body.count + 4) }
    copy.file = Array(data.prefix(2))
    copy.file += parameters
    copy.file += data.dropFirst(2)
    return copy
  }

  /// A JPEG with this gain map behind it, and the index of both.
  func appended(to jpeg: [UInt8]) -> [UInt8] {
    let segments = JPEGSegments(reader(of: jpeg)).all
    let place = segments.last { (0xE0...0xEF).contains($0.marker) }?.body.upperBound ?? 2
    let iso = isoVersion.map { JPEGSegments.segment(0xE2, named: JPEGSegments.isoGainMap, $0) } ?? []
    func little(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
    // Tag, type, count and value of each entry: version, number of pictures, their list behind the directory.
    func entry(_ tag: UInt8, _ type: UInt8, _ count: Int, _ value: [UInt8]) -> [UInt8] {
      var row: [UInt8] = [tag, 0xB0, type, 0]
      row += little(count)
      row += value
      return row
    }
    func index(size: Int, offset: Int) -> [UInt8] {
      var block = Array("II*\0".utf8)
      block += little(8)
      block += [3, 0]
      block += entry(0x00, 7, 4, Array("0100".utf8))
      block += entry(0x01, 4, 1, little(2))
      block += entry(0x02, 7, 32, little(50))
      block += little(0)
      // The main picture is the first, and the one to be shown: kind, size, place, and no other that depends on it.
      for picture in [[0x030000, size, 0, 0], [0, file.count, offset, 0]] { block += picture.flatMap(little) }
      return JPEGSegments.segment(0xE2, named: JPEGSegments.multiPicture, block)
    }
    let added = iso.count + index(size: 0, offset: 0).count
    let size = jpeg.count + added
    // Places count from the index's own head, behind marker, length and name.
    let head = place + iso.count + 4 + 4
    var result = Array(jpeg[..<place])
    result += iso
    result += index(size: size, offset: size - head)
    result += jpeg[place...]
    result += file
    return result
  }
}

/// Reads from bytes in memory.
func reader(of bytes: [UInt8]) -> Coding.Reader {
  { offset, count in
    guard offset >= 0, count > 0, offset < bytes.count else { return [] }
    return Array(bytes[offset..<min(bytes.count, offset + count)])
  }
}

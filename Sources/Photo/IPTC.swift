/// IPTC-IIM: datasets of a record, a number and a value, which JPEG keeps in a resource of Photoshop's and TIFF
/// has bare (IPTC-NAA Information Interchange Model 4.2; Adobe Photoshop File Formats, "Image Resources").
enum IPTC {
  private static let signature = Array("Photoshop 3.0\0".utf8)
  private static let resource = Array("8BIM".utf8)
  private static let number: [UInt8] = [0x04, 0x04]

  /// Content location (26, 27), city, sublocation, province, country's code and name (90, 92, 95, 100, 101).
  private static let location: Set<UInt8> = [26, 27, 90, 92, 95, 100, 101]

  /// A field as libvips reads it made into one for a format; nil where nothing is left of it. Other resources of
  /// Photoshop's, such as thumbnails of the picture before the edit, are left out.
  static func edited(_ field: [UInt8], keepsLocation: Bool, for format: Photo.Format) -> [UInt8]? {
    var datasets = field.starts(with: signature) ? found(in: field, at: signature.count) : field.starts(with: resource) ? found(in: field, at: 0) : field
    // TIFF counts it in words of four bytes, so a file of the other byte order comes turned around.
    if datasets.count > 3 && datasets[0] != 0x1C && datasets[3] == 0x1C {
      datasets = stride(from: 0, to: datasets.count - 3, by: 4).flatMap { datasets[$0..<$0 + 4].reversed() }
    }
    let kept = filtered(datasets, keepsLocation: keepsLocation)
    if kept.isEmpty { return nil }
    // libvips writes a quarter of the bytes it is given into a TIFF (8.14) or all of them, rounded up to four.
    guard format == .jpeg else { return kept + [UInt8](repeating: 0, count: 3 * kept.count) }
    let size = (0..<4).map { UInt8(truncatingIfNeeded: kept.count >> (24 - 8 * $0)) }
    return signature + resource + number + [0, 0] + size + kept + (kept.count % 2 == 0 ? [] : [0])
  }

  /// The datasets among Photoshop's resources: "8BIM", number, name, size, bytes; names and bytes padded to even.
  private static func found(in field: [UInt8], at start: Int) -> [UInt8] {
    var i = start
    while i + 12 <= field.count, field[i..<i + 4].elementsEqual(resource) {
      let isWanted = field[i + 4..<i + 6].elementsEqual(number)
      i += 6 + (Int(field[i + 6]) + 2) / 2 * 2
      guard i + 4 <= field.count else { break }
      let size = (0..<4).reduce(0) { $0 << 8 | Int(field[i + $1]) }
      i += 4
      guard size <= field.count - i else { break }
      if isWanted { return Array(field[i..<i + size]) }
      i += size + size % 2
    }
    return []
  }

  /// The datasets up to the first that is damaged or longer than 32767 bytes.
  private static func filtered(_ datasets: [UInt8], keepsLocation: Bool) -> [UInt8] {
    var kept: [UInt8] = []
    var i = 0
    while i + 5 <= datasets.count, datasets[i] == 0x1C {
      let end = i + 5 + (Int(datasets[i + 3]) << 8 | Int(datasets[i + 4]))
      guard end <= datasets.count else { break }
      let isLocation = datasets[i + 1] == 2 && location.contains(datasets[i + 2])
      if keepsLocation || !isLocation { kept += datasets[i..<end] }
      i = end
    }
    return kept
  }
}

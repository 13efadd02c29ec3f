import Foundation

@testable import Photo

/// Files and parts of files that the tests put together themselves.
enum Made {
  /// An ICC profile of version 2 for a display with other primaries and a plain exponent: red, green and blue with
  /// Adobe's primaries, or grey.
  static func profile(colours: Int, exponent: Double) -> [UInt8] {
    func fixed(_ value: Double) -> [UInt8] { big(Int((value * 65536).rounded())) }
    func xyz(_ x: Double, _ y: Double, _ z: Double) -> [UInt8] {
      Array("XYZ ".utf8) + big(0) + fixed(x) + fixed(y) + fixed(z)
    }
    let gamma = Int(exponent * 256)
    let curve = Array("curv".utf8) + big(0) + big(1) + [UInt8(gamma >> 8), UInt8(gamma & 255), 0, 0]
    let name = Array("Made by a test\0".utf8)
    let description = Array("desc".utf8) + big(0) + big(name.count) + name + [UInt8](repeating: 0, count: 78 + 1)
    var tags: [(String, [UInt8])] = [
      ("desc", description), ("cprt", Array("text".utf8) + big(0) + Array("None\0".utf8)),
      ("wtpt", xyz(0.9642, 1, 0.8249)),
    ]
    if colours == 1 {
      tags.append(("kTRC", curve))
    } else {
      tags += [
        ("rXYZ", xyz(0.60974, 0.31111, 0.01947)), ("gXYZ", xyz(0.20528, 0.62567, 0.06087)),
        ("bXYZ", xyz(0.14919, 0.06322, 0.74457)), ("rTRC", curve), ("gTRC", curve), ("bTRC", curve),
      ]
    }
    return file("mntr", colours == 1 ? "GRAY" : "RGB ", "XYZ ", tags)
  }

  /// An ICC profile of Lab itself: lightness and colours come out as they go in.
  static func labProfile() -> [UInt8] {
    func fixed(_ value: Double) -> [UInt8] { big(Int((value * 65536).rounded())) }
    let name = Array("Made by a test\0".utf8)
    let straight = (0..<3).flatMap { _ in (0..<256).map { UInt8($0) } }
    let corners = (0..<8).flatMap { i in [4, 2, 1].map { UInt8(i & $0 != 0 ? 255 : 0) } }
    var table = Array("mft1".utf8)
    table += big(0)
    table += [3, 3, 2, 0]
    table += [1.0, 0, 0, 0, 1, 0, 0, 0, 1].flatMap(fixed)
    table += straight + corners + straight
    return file(
      "abst", "Lab ", "Lab ",
      [
        ("desc", Array("desc".utf8) + big(0) + big(name.count) + name + [UInt8](repeating: 0, count: 78 + 1)),
        ("cprt", Array("text".utf8) + big(0) + Array("None\0".utf8)),
        ("wtpt", Array("XYZ ".utf8) + big(0) + fixed(0.9642) + fixed(1) + fixed(0.8249)), ("A2B0", table),
      ])
  }

  /// An ICC profile of a printer whose inks are all alike but black: the more of them, the darker.
  static func inkProfile() -> [UInt8] {
    func fixed(_ value: Double) -> [UInt8] { big(Int((value * 65536).rounded())) }
    func xyz(_ x: Double, _ y: Double, _ z: Double) -> [UInt8] {
      Array("XYZ ".utf8) + big(0) + fixed(x) + fixed(y) + fixed(z)
    }
    let straight = (0..<256).map { UInt8($0) }
    func table(_ inputs: Int, _ outputs: Int, _ grid: Int, _ values: [UInt8]) -> [UInt8] {
      let matrix = [1.0, 0, 0, 0, 1, 0, 0, 0, 1].flatMap(fixed)
      let curves = [inputs, outputs].map { [[UInt8]](repeating: straight, count: $0).flatMap(\.self) }
      var table = Array("mft1".utf8)
      table += big(0)
      table += [UInt8(inputs), UInt8(outputs), UInt8(grid), 0]
      table += matrix
      table += curves[0]
      table += values
      table += curves[1]
      return table
    }
    // At each corner of cyan, magenta, yellow and black: Lab.
    let toLab = (0..<16).flatMap { i -> [UInt8] in
      let inks = [8, 4, 2].filter { i & $0 != 0 }.count
      return [i & 1 == 1 ? 0 : UInt8(255 - 40 * inks), 128, 128]
    }
    // Black alone for lightness.
    let grid = 17
    let toInks = (0..<grid * grid * grid).flatMap { i -> [UInt8] in
      [0, 0, 0, UInt8(255 - i / grid / grid * 255 / (grid - 1))]
    }
    let name = Array("Made by a test\0".utf8)
    let tags: [(String, [UInt8])] = [
      ("desc", Array("desc".utf8) + big(0) + big(name.count) + name + [UInt8](repeating: 0, count: 78 + 1)),
      ("cprt", Array("text".utf8) + big(0) + Array("None\0".utf8)), ("wtpt", xyz(0.9642, 1, 0.8249)),
      ("A2B0", table(4, 3, 2, toLab)), ("B2A0", table(3, 4, grid, toInks)),
      // Of the relative intent, which is asked for.
      ("A2B1", table(4, 3, 2, toLab)), ("B2A1", table(3, 4, grid, toInks)),
    ]
    return file("prtr", "CMYK", "Lab ", tags)
  }

  private static func file(_ kind: String, _ colours: String, _ space: String, _ tags: [(String, [UInt8])]) -> [UInt8] {
    func fixed(_ value: Double) -> [UInt8] { big(Int((value * 65536).rounded())) }
    var table = big(tags.count)
    var data: [UInt8] = []
    let start = 128 + 4 + 12 * tags.count
    for (name, value) in tags {
      table += Array(name.utf8) + big(start + data.count) + big(value.count)
      data += value + [UInt8](repeating: 0, count: (4 - value.count % 4) % 4)
    }
    var header = big(start + data.count) + big(0) + [2, 0x10, 0, 0] + Array(kind.utf8)
    header += Array(colours.utf8) + Array(space.utf8) + [UInt8](repeating: 0, count: 12)
    header += Array("acsp".utf8) + [UInt8](repeating: 0, count: 28) + fixed(0.9642) + fixed(1) + fixed(0.8249)
    header += [UInt8](repeating: 0, count: 128 - header.count)
    return header + table + data
  }

  /// Puts a segment behind a JPEG's first marker.
  static func insert(_ marker: UInt8, _ body: [UInt8], into jpeg: Data) -> Data {
    let bytes = [UInt8](jpeg)
    let length = body.count + 2
    return Data(bytes[0..<2] + [0xFF, marker, UInt8(length >> 8), UInt8(length & 255)] + body + bytes[2...])
  }

  static func insertXMP(_ packet: [UInt8], into jpeg: Data) -> Data {
    insert(0xE1, Array("http://ns.adobe.com/xap/1.0/\0".utf8) + packet, into: jpeg)
  }

  /// A JPEG of 8×8 pixels whose four inks all cover a half.
  static func cmykJPEG() -> Data {
    var data: [UInt8] = [0xFF, 0xD8, 0xFF, 0xEE, 0, 14] + Array("Adobe".utf8) + [0, 100, 0, 0, 0, 0, 0]
    data += [0xFF, 0xDB, 0, 67, 0] + [UInt8](repeating: 1, count: 64)
    data += [0xFF, 0xC0, 0, 20, 8, 0, 8, 0, 8, 4] + (1...4).flatMap { [UInt8($0), 0x11, 0] }
    // One code of one bit in each table: no difference, and end of block.
    for table in [UInt8(0), 0x10] {
      data += [0xFF, 0xC4, 0, 20, table, 1] + [UInt8](repeating: 0, count: 15) + [0]
    }
    data += [0xFF, 0xDA, 0, 14, 4] + (1...4).flatMap { [UInt8($0), 0] } + [0, 63, 0, 0x00, 0xFF, 0xD9]
    return Data(data)
  }

  /// A TIFF of one uncompressed strip, lowest byte first; four samples of photometric 2 and two of 1 end with alpha.
  static func tiff(
    width: Int, height: Int, samples: Int, bits: Int, photometric: Int, profile: [UInt8]? = nil,
    sampleFormat: Int? = nil, _ pixels: [UInt8]
  ) -> Data {
    func two(_ value: Int) -> [UInt8] { [UInt8(value & 255), UInt8(value >> 8)] }
    func four(_ value: Int) -> [UInt8] { two(value & 0xFFFF) + two(value >> 16) }
    let hasAlpha = samples == 4 && photometric == 2 || samples == 2
    let count = 10 + (hasAlpha ? 1 : 0) + (profile == nil ? 0 : 1) + (sampleFormat == nil ? 0 : 1)
    let depths = 8 + 2 + count * 12 + 4
    let strip = depths + 2 * max(2, samples)
    // Up to two values lie in the entry itself.
    let depth = samples > 2 ? four(depths) : two(bits) + (samples == 2 ? two(bits) : two(0))
    var entries: [(tag: Int, kind: Int, count: Int, value: [UInt8])] = [
      (256, 3, 1, two(width) + two(0)), (257, 3, 1, two(height) + two(0)), (258, 3, samples, depth),
      (259, 3, 1, two(1) + two(0)), (262, 3, 1, two(photometric) + two(0)), (273, 4, 1, four(strip)),
      (277, 3, 1, two(samples) + two(0)), (278, 3, 1, two(height) + two(0)), (279, 4, 1, four(pixels.count)),
      (284, 3, 1, two(1) + two(0)),
    ]
    if hasAlpha { entries.append((338, 3, 1, two(2) + two(0))) }
    if let sampleFormat { entries.append((339, 3, 1, two(sampleFormat) + two(0))) }
    if let profile { entries.append((34675, 7, profile.count, four(strip + pixels.count))) }
    var data = [UInt8]("II*\0".utf8) + four(8) + two(count)
    for entry in entries { data += two(entry.tag) + two(entry.kind) + four(entry.count) + entry.value }
    data += four(0)
    for _ in 0..<max(2, samples) { data += two(bits) }
    return Data(data + pixels + (profile ?? []))
  }

  static func big(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }
}

/// The program exiftool, where it is installed.
enum ExifTool {
  static let path = ["/usr/bin/exiftool", "/usr/local/bin/exiftool", "/opt/homebrew/bin/exiftool"].first {
    FileManager.default.isExecutableFile(atPath: $0)
  }

  /// Its output.
  @discardableResult static func run(_ arguments: [String]) throws -> Data {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path ?? "")
    process.arguments = arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return data
  }

  /// A file's tags, named "group:tag", as text and numbers in the file's own terms.
  static func tags(_ url: URL) throws -> [String: String] {
    let data = try run(["-j", "-n", "-a", "-G1", url.path])
    let list = try JSONSerialization.jsonObject(with: data) as? [[String: Any]]
    return (list?.first ?? [:]).mapValues { "\($0)" }
  }
}

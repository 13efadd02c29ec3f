import Files
import Foundation
import Testing

@testable import Photo

/// Files that ask for more work than their pixels explain, and work that is given up.
@Suite struct WorkTests {
  /// Bits, lowest first, as Deflate packs them.
  private struct Bits {
    var bytes: [UInt8] = []
    private var held = 0
    private var count = 0

    mutating func add(_ value: Int, _ width: Int) {
      for i in 0..<width {
        held |= (value >> i & 1) << count
        count += 1
        if count == 8 { flush() }
      }
    }

    /// A Huffman code, highest bit first.
    mutating func code(_ value: Int, _ width: Int) { for i in (0..<width).reversed() { add(value >> i & 1, 1) } }

    mutating func flush() {
      if count > 0 { bytes.append(UInt8(held)) }
      (held, count) = (0, 0)
    }
  }

  /// A zlib stream of `258 · runs + 1` zeros: one literal, then copies of the byte before.
  private static func zeros(runs: Int) -> [UInt8] {
    var bits = Bits()
    bits.add(1, 1)  // the last block
    bits.add(1, 2)  // fixed codes
    bits.code(0x30, 8)  // the literal 0
    for _ in 0..<runs {
      bits.code(0xC5, 8)  // a length of 258
      bits.code(0, 5)  // a distance of 1
    }
    bits.code(0, 7)  // the block's end
    bits.flush()
    let (a, b) = (1, (258 * runs + 1) % 65521)
    return [0x78, 0x9C] + bits.bytes + [UInt8(b >> 8), UInt8(b & 255), UInt8(a >> 8), UInt8(a & 255)]
  }

  private static func chunk(_ name: String, _ body: [UInt8]) -> Data {
    func bytes(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }
    let typed = Array(name.utf8) + body
    return Data(bytes(UInt32(body.count)) + typed + bytes(CRC32.zip.checksum(typed)))
  }

  /// A small picture with some texts of 8 MB each before its pixels.
  private func picture(texts: Int, of kind: String = "zTXt") throws -> Data {
    let whole = try Photo(Drawn.gradient(40, 30)).encoded(as: .png)
    let middle = kind == "iTXt" ? [0, 1, 0, 0, 0] : [0, 0] as [UInt8]
    let text = Self.chunk(kind, Array("Comment".utf8) + middle + Self.zeros(runs: 30_000))
    // Behind the signature and IHDR.
    return whole.prefix(33) + Data((0..<texts).flatMap { _ in text }) + whole.dropFirst(33)
  }

  @Test func aHandfulOfTextsIsRead() throws {
    #expect(try Photo(data: picture(texts: 2)).width == 40)
  }

  @Test(arguments: ["zTXt", "iTXt"])
  func textsThatTakeLongToUnpackAreRefused(_ kind: String) throws {
    let data = try picture(texts: 60, of: kind)
    let start = ContinuousClock.now
    let error = #expect(throws: PhotoError.self) { try Photo(data: data) }
    #expect(error?.description.contains("compressed texts") == true)
    #expect(ContinuousClock.now - start < .seconds(2))
    let scratch = try Scratch()
    let file = try scratch.write(data, "texts.png")
    #expect(throws: PhotoError.self) { try Photo(contentsOf: file) }
  }

  @Test func chunksWithoutEndAreRefused() throws {
    let whole = try Photo(Drawn.gradient(40, 30)).encoded(as: .png)
    let chunk = Self.chunk("tIME", [])
    var data = whole.prefix(33)
    for _ in 0..<250_000 { data += chunk }
    data += whole.dropFirst(33)
    #expect(throws: PhotoError.self) { try Photo(data: data) }
  }

  /// A grey JPEG in several scans, all of whose coefficients are 0.
  private static func jpeg(_ side: Int, scans: Int, tail: Data = Data()) -> Data {
    func segment(_ marker: UInt8, _ body: [UInt8]) -> [UInt8] {
      [0xFF, marker, UInt8((body.count + 2) >> 8), UInt8((body.count + 2) & 255)] + body
    }
    func big(_ number: Int) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 255)] }
    let blocks = ((side + 7) / 8) * ((side + 7) / 8)
    let one: [UInt8] = [1] + [UInt8](repeating: 0, count: 15)
    // A code of one bit each: no difference of means; and no coefficients in the next 16 384 blocks.
    let tables = segment(0xC4, [0x00] + one + [0x00]) + segment(0xC4, [0x10] + one + [0xE0])
    let frame = segment(0xC2, [8] + big(side) + big(side) + [1, 1, 0x11, 0])
    let start = segment(0xDB, [0] + [UInt8](repeating: 16, count: 64)) + frame + tables
    let means = segment(0xDA, [1, 1, 0, 0, 0, 0]) + [UInt8](repeating: 0, count: (blocks + 7) / 8)
    let runs = (blocks + 16383) / 16384
    let scan = segment(0xDA, [1, 1, 0, 1, 63, 0]) + [UInt8](repeating: 0, count: (15 * runs + 7) / 8)
    var data = Data([0xFF, 0xD8] + start + means)
    for _ in 1..<scans { data += scan }
    return data + [0xFF, 0xD9] + tail
  }

  @Test func scansWithoutEndAreRefused() throws {
    #expect(try Photo(data: Self.jpeg(64, scans: 12)).width == 64)
    // A film behind the picture has any bytes.
    let film = Data((0..<1000).flatMap { _ in [0xFF, 0xDA, 0, 2] as [UInt8] })
    #expect(try Photo(data: Self.jpeg(64, scans: 12, tail: film)).width == 64)
    let data = Self.jpeg(4000, scans: 4000)
    let start = ContinuousClock.now
    let error = #expect(throws: PhotoError.self) { try Photo(data: data) }
    #expect(error?.description.contains("scans") == true)
    #expect(ContinuousClock.now - start < .seconds(2))
    let scratch = try Scratch()
    let file = try scratch.write(data, "scans.jpg")
    #expect(throws: PhotoError.self) { try Picture(contentsOf: file) }
  }

  @Test(arguments: [Photo.Format.jpeg, .png, .webp, .tiff])
  func decodingIsGivenUp(_ format: Photo.Format) throws {
    let data = try Photo(Drawn.gradient(1500, 1500)).encoded(as: format)
    #expect(try PhotoWork.$shouldStop.withValue(.init { false }) { try Photo(data: data).width } == 1500)
    #expect(throws: PhotoError.stopped(file: "photo")) {
      try PhotoWork.$shouldStop.withValue(.init { true }) { try Photo(data: data) }
    }
  }

  @Test(arguments: [Photo.Format.jpeg, .png, .tiff])
  func encodingIsGivenUp(_ format: Photo.Format) throws {
    let photo = Photo(Drawn.gradient(1500, 1500))
    #expect(throws: PhotoError.stopped(file: "photo")) {
      try PhotoWork.$shouldStop.withValue(.init { true }) { try photo.encoded(as: format) }
    }
  }

  /// Values of 16 bits are kept beside the pixels, and copied for an edit.
  @Test func memoryIsCountedFromTheHeader() throws {
    let peaks = try [8, 16].map { bits in
      let pixels = [UInt8](repeating: 200, count: 100 * 100 * 4 * bits / 8)
      return try Photo(data: Made.tiff(width: 100, height: 100, samples: 4, bits: bits, photometric: 2, pixels)).peakMemory
    }
    #expect(peaks[1] - peaks[0] == 20 * 100 * 100 && peaks[0] > 11 * 100 * 100)
    #expect(Photo(Drawn.gradient(10, 10)).peakMemory == 0)
  }
}

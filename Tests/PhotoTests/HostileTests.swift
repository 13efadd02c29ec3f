import Foundation
import Testing

@testable import Photo

@Suite struct HostileTests {
  let scratch: Scratch
  init() throws { scratch = try Scratch() }

  private func error(_ url: URL) -> PhotoError? {
    do {
      _ = try Photo(contentsOf: url)
      return nil
    } catch {
      return error
    }
  }

  @Test func truncatedJPEG() throws {
    let whole = try Photo(Drawn.gradient(300, 200)).encoded(as: .jpeg)
    let url = try scratch.write(whole.prefix(whole.count / 2), "half.jpg")
    guard case .damaged(let file, _) = error(url) else {
      Issue.record("\(String(describing: error(url)))")
      return
    }
    #expect(file == url.path)
  }

  @Test func everyTruncationIsAnErrorOrAPicture() throws {
    for format in [Photo.Format.jpeg, .png, .webp, .tiff] {
      let whole = try Photo(Drawn.gradient(40, 30)).encoded(as: format)
      for count in stride(from: 0, to: whole.count, by: max(1, whole.count / 40)) {
        let photo = try? Photo(data: whole.prefix(count))
        #expect(photo == nil || photo?.width == 40)
      }
    }
  }

  @Test func bytesChangedAtRandom() throws {
    var generator = SplitMix(state: 7)
    for format in [Photo.Format.jpeg, .png, .webp, .tiff] {
      let whole = try Photo(Drawn.gradient(40, 30)).encoded(as: format)
      for _ in 0..<100 {
        var data = whole
        for _ in 0..<4 { data[Int(generator.next() % UInt64(data.count))] = UInt8(truncatingIfNeeded: generator.next()) }
        _ = try? Photo(data: data)
      }
    }
  }

  /// Segments and chunks as no encoder writes them: read in bounds, with an end, and with an estimate or none.
  @Test func containersChangedAtRandom() throws {
    var generator = SplitMix(state: 17)
    for format in [Photo.Format.jpeg, .webp] {
      let whole = [UInt8](try Photo(Drawn.gradient(40, 30)).encoded(as: format))
      func coding(_ bytes: [UInt8]) -> Coding {
        Coding(format) { offset, count in Array(bytes.dropFirst(offset).prefix(max(0, count))) }
      }
      #expect(coding(whole).quality == (format == .jpeg ? Photo.defaultQuality : nil))
      for count in 0..<min(whole.count, 700) { _ = coding(Array(whole.prefix(count))) }
      for _ in 0..<500 {
        var bytes = whole
        for _ in 0..<6 {
          bytes[Int(generator.next() % UInt64(min(700, bytes.count)))] = UInt8(truncatingIfNeeded: generator.next())
        }
        let quality = coding(bytes).quality ?? 1
        #expect((1...100).contains(quality))
      }
    }
    // Fill bytes, and chunks of no or of the largest size, without end.
    var reads = 0
    let fill = Coding(.jpeg) { _, count in
      reads += 1
      return [UInt8](repeating: 0xFF, count: count)
    }
    let chunks = [UInt8(0), 0xFF].map { byte in
      Coding(.webp) { _, count in
        reads += 1
        return [UInt8](repeating: byte, count: count)
      }
    }
    #expect(fill == Coding() && chunks.allSatisfy { $0 == Coding() } && reads < 20_000)
    // A table of sixteen bits, and one that its segment cuts short.
    let table = [UInt8](repeating: 0, count: 2 * 64).enumerated().map { UInt8($0.offset % 2 * 40) }
    let frame: [UInt8] = [0xFF, 0xC0, 0, 11, 8, 0, 1, 0, 1, 1, 1, 0x11, 0]
    let wide = [0xFF, 0xD8, 0xFF, 0xDB, 0, 131, 0x10] + table + frame
    let cut = [0xFF, 0xD8, 0xFF, 0xDB, 0, 131, 0x10] + table.prefix(60) + frame
    func quality(_ bytes: [UInt8]) -> Int? {
      Coding(.jpeg) { offset, count in Array(bytes.dropFirst(offset).prefix(count)) }.quality
    }
    #expect((60...80).contains(quality(wide) ?? 0) && quality(cut) == nil)
  }

  @Test func textNamedJPEG() throws {
    let url = try scratch.write(Data("not a photo at all, only some text\n".utf8), "text.jpg")
    #expect(error(url) == .notAPhoto(file: url.path))
  }

  @Test(arguments: ["svg", "pdf", "ppm", "gif"])
  func otherFormatsAreNotLetIn(_ kind: String) throws {
    let bytes = [
      "svg": "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"10\" height=\"10\"/>", "pdf": "%PDF-1.4\n",
      "ppm": "P3 1 1 255 1 2 3\n", "gif": "GIF89a\u{1}\0\u{1}\0",
    ]
    let url = try scratch.write(Data((bytes[kind] ?? "").utf8), "other.\(kind)")
    #expect(error(url) == .notAPhoto(file: url.path))
  }

  @Test func hugePNGIsRefusedByItsHeader() throws {
    let url = try scratch.write(Self.pngHeader(width: 60_000, height: 60_000), "bomb.png")
    #expect(error(url) == .tooLarge(file: url.path, width: 60_000, height: 60_000, limit: 100_000_000))
    #expect(throws: PhotoError.tooLarge(file: url.path, width: 60_000, height: 60_000, limit: 50)) {
      try Picture(contentsOf: url, pixelLimit: 50)
    }
  }

  @Test func emptyFile() throws {
    let url = try scratch.write(Data(), "empty.png")
    #expect(error(url) == .notAPhoto(file: url.path))
    #expect(throws: PhotoError.notAPhoto(file: "none")) { try Photo(data: Data(), name: "none") }
  }

  @Test func missingFile() {
    let url = scratch.file("missing.jpg")
    guard case .unreadable(let file, _) = error(url) else {
      Issue.record("no error")
      return
    }
    #expect(file == url.path)
  }

  @Test func folder() {
    #expect(error(scratch.url) == .unreadable(file: scratch.url.path, reason: "a folder"))
  }

  @Test func pipe() throws {
    let url = scratch.file("pipe.jpg")
    #expect(mkfifo(url.path, 0o600) == 0)
    #expect(error(url) == .unreadable(file: url.path, reason: "not a regular file"))
  }

  /// A bracket at a name's end would be options to libvips' own file functions.
  @Test func bracketsInNames() throws {
    let url = scratch.file("photo.jpg[shrink=2]")
    try Photo(Drawn.gradient(32, 24)).encoded(as: .jpeg).write(to: url)
    #expect(try Photo(contentsOf: url).width == 32)
  }

  @Test func writingToAFileInsideAFile() throws {
    let blocker = try scratch.write(Data("x".utf8), "file")
    let url = blocker.appendingPathComponent("photo.jpg")
    let error = #expect(throws: PhotoError.self) { try Photo(Drawn.gradient(8, 8)).write(to: url) }
    #expect(error?.description.hasPrefix("\(url.path): cannot be written") == true)
  }

  /// Signature, IHDR and an IDAT chunk with nothing behind it.
  static func pngHeader(width: UInt32, height: UInt32) -> Data {
    func chunk(_ name: String, _ body: [UInt8]) -> [UInt8] {
      let typed = Array(name.utf8) + body
      return bytes(UInt32(body.count)) + typed + bytes(crc(typed))
    }
    func bytes(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }
    func crc(_ data: [UInt8]) -> UInt32 {
      ~data.reduce(~UInt32(0)) { sum, byte in
        (0..<8).reduce(sum ^ UInt32(byte)) { c, _ in c & 1 == 1 ? 0xEDB8_8320 ^ (c >> 1) : c >> 1 }
      }
    }
    return Data(
      [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
        + chunk("IHDR", bytes(width) + bytes(height) + [8, 2, 0, 0, 0]) + chunk("IDAT", [0x78, 0x9C]))
  }
}

struct SplitMix {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

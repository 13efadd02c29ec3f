import Foundation
import Testing

@testable import Photo

@Suite struct AnimationTests {
  private static let frames = (0..<5).map { i in
    var frame = Drawn.gradient(48, 32)
    frame.paste(Picture(width: 10, height: 10, filledWith: 250), x: 8 * i, y: 5)
    return frame
  }

  /// What a container says of its frames.
  private struct Contents: Equatable {
    var width = 0
    var height = 0
    var milliseconds: [Int] = []
    var loops: Int?
  }

  @Test func webp() throws {
    let scratch = try Scratch()
    let url = scratch.file("faces.webp")
    try Animation(Self.frames, milliseconds: [40, 50, 60, 70, 500], loops: 3).write(to: url)
    let contents = Self.webp([UInt8](try Data(contentsOf: url)))
    #expect(contents == Contents(width: 48, height: 32, milliseconds: [40, 50, 60, 70, 500], loops: 3))
    // The first frame, as a still.
    let first = try Picture(contentsOf: url)
    #expect(first.width == 48 && first.height == 32 && Drawn.largestDifference(first, Self.frames[0]) < 90)
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.url.path).count == 1)
  }

  @Test func gif() throws {
    let scratch = try Scratch()
    let url = scratch.file("faces.GIF")
    try Animation(Self.frames, milliseconds: 80).write(to: url)
    let contents = try Self.gif([UInt8](Data(contentsOf: url)))
    #expect(contents == Contents(width: 48, height: 32, milliseconds: [80, 80, 80, 80, 80], loops: 0))
  }

  @Test func oneFrame() throws {
    let still = Animation([Self.frames[0]], milliseconds: 100)
    #expect(try Photo(data: still.encoded(as: .webp)).width == 48)
    #expect(try Self.gif([UInt8](still.encoded(as: .gif))).milliseconds.count == 1)
  }

  @Test func otherEndings() throws {
    let scratch = try Scratch()
    for name in ["faces.mp4", "faces.png", "faces"] {
      let url = scratch.file(name)
      let error = #expect(throws: PhotoError.unknownAnimationFormat(file: url.path)) {
        try Animation(Self.frames, milliseconds: 80).write(to: url)
      }
      #expect(error?.description == "\(url.path): name it .webp or .gif, the formats that animations can be written in")
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.url.path).isEmpty)
  }

  @Test func sourceIsSaid() throws {
    var animation = Animation(Self.frames, milliseconds: 80)
    animation.digitalSource = .trainedModel
    let data = try animation.encoded(as: .webp)
    #expect(data.range(of: Data("digitalsourcetype/trainedAlgorithmicMedia".utf8)) != nil)
    #expect(Self.webp([UInt8](data)).milliseconds.count == 5)
    #expect(try Self.gif([UInt8](animation.encoded(as: .gif))).milliseconds.count == 5)
  }

  /// RIFF's chunks: VP8X has the size, ANIM the loops, ANMF the time of each frame.
  private static func webp(_ bytes: [UInt8]) -> Contents {
    func number(_ at: Int, _ count: Int) -> Int { (0..<count).reduce(0) { $0 | Int(bytes[at + $1]) << (8 * $1) } }
    var contents = Contents()
    var i = 12
    while i + 8 <= bytes.count {
      let size = number(i + 4, 4)
      switch String(decoding: bytes[i..<i + 4], as: UTF8.self) {
      case "VP8X": (contents.width, contents.height) = (number(i + 12, 3) + 1, number(i + 15, 3) + 1)
      case "ANIM": contents.loops = number(i + 12, 2)
      case "ANMF": contents.milliseconds.append(number(i + 8 + 12, 3))
      default: break
      }
      i += 8 + size + size % 2
    }
    return contents
  }

  /// GIF's blocks: each frame follows a control block with its time.
  private static func gif(_ bytes: [UInt8]) throws -> Contents {
    func two(_ at: Int) -> Int { Int(bytes[at]) | Int(bytes[at + 1]) << 8 }
    func colours(_ flags: UInt8) -> Int { flags & 0x80 == 0 ? 0 : 3 << (Int(flags & 7) + 1) }
    try #require(bytes.starts(with: Array("GIF89a".utf8)))
    var contents = Contents(width: two(6), height: two(8))
    var i = 13 + colours(bytes[10])
    func skipBlocks() {
      while bytes[i] != 0 { i += 1 + Int(bytes[i]) }
      i += 1
    }
    var delay = 0
    while bytes[i] != 0x3B {
      if bytes[i] == 0x21 {
        if bytes[i + 1] == 0xF9 { delay = two(i + 4) * 10 }
        if bytes[i + 1] == 0xFF && bytes[(i + 3)...].starts(with: Array("NETSCAPE2.0".utf8)) {
          contents.loops = two(i + 16)
        }
        i += 2
        skipBlocks()
      } else {
        try #require(bytes[i] == 0x2C)
        contents.milliseconds.append(delay)
        i += 10 + colours(bytes[i + 9]) + 1
        skipBlocks()
      }
    }
    return contents
  }
}

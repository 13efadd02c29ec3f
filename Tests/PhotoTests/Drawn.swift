import Foundation
import Photo

/// Pictures that the tests draw themselves.
enum Drawn {
  /// Smooth colours that differ everywhere.
  static func gradient(_ width: Int, _ height: Int) -> Picture {
    var pixels = [UInt8]()
    for y in 0..<height {
      for x in 0..<width {
        pixels += [UInt8(40 + x * 180 / width), UInt8(30 + y * 200 / height), UInt8(60 + (x + y) * 120 / (width + height))]
      }
    }
    return Picture(width: width, height: height, channels: 3, pixels: pixels)
  }

  /// A chessboard of single pixels: the highest frequency there is.
  static func chessboard(_ width: Int, _ height: Int) -> Picture {
    let pixels = (0..<width * height).map { ($0 % width + $0 / width) % 2 == 0 ? UInt8(0) : 255 }
    return Picture(width: width, height: height, channels: 1, pixels: pixels).rgb()
  }

  static func largestDifference(_ a: Picture, _ b: Picture) -> Int {
    zip(a.pixels, b.pixels).reduce(0) { max($0, abs(Int($1.0) - Int($1.1))) }
  }
}

/// A folder that is removed with the value.
final class Scratch {
  let url: URL

  init() throws {
    url = FileManager.default.temporaryDirectory.appendingPathComponent("photo-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  func file(_ name: String) -> URL { url.appendingPathComponent(name) }

  func write(_ data: Data, _ name: String) throws -> URL {
    try data.write(to: file(name))
    return file(name)
  }
}

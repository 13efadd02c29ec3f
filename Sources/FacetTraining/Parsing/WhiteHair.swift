import Facet
import Foundation
import Torch

/// White or gray hair in place of hair whose place is known, before a light background in half of the pictures: white hair before
/// a white wall is rare in photos with label maps.
enum WhiteHair {
  /// Changes a record in place; one without hair stays.
  /// - Parameters:
  ///   - record: red, green and blue, side × side × 3, then the classes of ``FaceClass``, side × side.
  ///   - seed: decides all chance.
  static func draw(on record: inout [UInt8], side: Int, seed: UInt64) {
    var chance = SplitMix64(seed: seed)
    let pixels = side * side
    let hair = softened(record, side: side) { $0 == FaceClass.hair.rawValue }
    func luminance(_ pixel: Int) -> Double {
      0.299 * Double(record[3 * pixel]) + 0.587 * Double(record[3 * pixel + 1]) + 0.114 * Double(record[3 * pixel + 2])
    }
    let weight = hair.reduce(0, +)
    guard weight > Double(pixels) / 200 else { return }
    let mean = (0..<pixels).reduce(0) { $0 + hair[$1] * luminance($1) } / weight
    let light = Double.random(in: 110...225, using: &chance)
    // Light hair has the shades of dark hair, less deep.
    let contrast = Double.random(in: 0.5...1.1, using: &chance) * min(1.6, max(0.5, 60 / max(20, mean)))
    let warmth = Double.random(in: -6...10, using: &chance)
    for pixel in 0..<pixels where hair[pixel] > 0 {
      let value = light + contrast * (luminance(pixel) - mean)
      for (channel, tint) in [warmth, 0, -warmth].enumerated() { blend(value + tint, hair[pixel], &record[3 * pixel + channel]) }
    }
    guard Bool.random(using: &chance) else { return }
    let background = softened(record, side: side) { $0 == FaceClass.background.rawValue }
    let wall = (0..<3).map { _ in light + Double.random(in: -15...40, using: &chance) }
    let slope = (Double.random(in: -25...25, using: &chance), Double.random(in: -25...25, using: &chance))
    for pixel in 0..<pixels where background[pixel] > 0 {
      let (row, column) = pixel.quotientAndRemainder(dividingBy: side)
      let shade = slope.0 * (Double(column) / Double(side) - 0.5) + slope.1 * (Double(row) / Double(side) - 0.5)
      for channel in 0..<3 { blend(wall[channel] + shade, background[pixel], &record[3 * pixel + channel]) }
    }
  }

  private static func blend(_ value: Double, _ part: Double, _ byte: inout UInt8) {
    byte = UInt8(min(255, max(0, Double(byte) + part * (value - Double(byte)))).rounded())
  }

  /// The part of each pixel that is of some classes, with borders two pixels wide.
  private static func softened(_ record: [UInt8], side: Int, _ isMeant: (UInt8) -> Bool) -> [Double] {
    let pixels = side * side
    let hard = record[(3 * pixels)...].map { isMeant($0) ? 1.0 : 0 }
    return (0..<pixels).map { pixel in
      let (row, column) = pixel.quotientAndRemainder(dividingBy: side)
      var (sum, count) = (0.0, 0.0)
      for y in max(0, row - 1)...min(side - 1, row + 1) {
        for x in max(0, column - 1)...min(side - 1, column + 1) { (sum, count) = (sum + hard[y * side + x], count + 1) }
      }
      return sum / count
    }
  }
}

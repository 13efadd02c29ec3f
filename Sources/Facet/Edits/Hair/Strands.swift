import Foundation
import Torch

/// Strands of hair over a face.
enum Strands {
  /// Colours of hair.
  /// - Parameters:
  ///   - deviation: of each pixel from the middle of the colours, in standard deviations of a normal distribution, nearly;
  ///     1 × 1 × N × N.
  ///   - colours: of pixels of hair; at least one.
  /// - Returns: 1 × 3 × N × N.
  static func colours(of deviation: Tensor, among colours: [SIMD3<Float>]) throws -> Tensor {
    let shades = shades(of: colours)
    let table = try Tensor((0..<3).flatMap { c in shades.map { $0[c] } }, shape: [1, 3, 1, shades.count])
    // From the middle of the first shade to that of the last.
    let step = 1 / Double(shades.count)
    let place = try (deviation * 1.702).sigmoid() * (2 - 2 * step) + (step - 1)
    return try table.sampled(at: .cat([place, place * 0], dim: 1).permute([0, 2, 3, 1]), by: .bilinear)
  }

  /// The colours of hair from its darkest to its lightest.
  /// - Parameter colours: of its pixels; at least one.
  static func shades(of colours: [SIMD3<Float>]) -> [SIMD3<Float>] {
    let sorted = colours.sorted { $0.luma < $1.luma }
    return (0..<Self.shades).map { shade in
      let part = sorted.dropFirst(sorted.count * shade / Self.shades).prefix(max(1, sorted.count / Self.shades))
      return part.reduce(.zero, +) / Float(part.count)
    }
  }

  /// Hair over its own shadow, as ``Composition/change(of:from:to:)`` gives a change.
  /// - Parameters:
  ///   - coverage: how much of each pixel it covers, 1 × 1 × N × N in [0, 1].
  ///   - colour: its colour, 1 × 3 × N × N in [0, 1].
  ///   - crop: the face below, 1 × 3 × S × S in [0, 1].
  ///   - unshaded: where no shadow falls, 1 × 1 × S × S in [0, 1].
  /// - Returns: 1 × 4 × N × N.
  static func change(_ coverage: Tensor, in colour: Tensor, over crop: Tensor, unshaded: Tensor) throws -> Tensor {
    let size = coverage.size(3)
    let fallen = try coverage.avgPool2d(size / crop.size(3)).shifted(down: Self.shadow.moved).blurred(sigma: Self.shadow.sigma)
    let shadow = try (fallen * (1 - unshaded) * Self.shadow.opacity).enlarged(to: size)
    // Skin in shade is redder.
    let light = try crop.enlarged(to: size) * Tensor(Self.shadow.kept, shape: [1, 3, 1, 1])
    let below = try 1 - coverage
    let (strands, shaded) = (try coverage * colour, try below * shadow * light)
    return try Tensor.cat([strands + shaded, (1 - shadow) * below - 1], dim: 1)
  }

  private static let shades = 40
  /// How dark it is, how soft and how far below, in pixels of the crop; and what of each colour's light is left in it.
  private static let shadow = (opacity: 0.35, sigma: 1.75, moved: 2, kept: [0.25, 0, -0.1] as [Float])
}

extension Tensor {
  fileprivate func shifted(down rows: Int) throws -> Tensor {
    try .cat([.zeros([size(0), size(1), rows, size(3)]), narrow(2, 0..<size(2) - rows)], dim: 2)
  }
}

/// Waves across strands, with a standard deviation of about 1 where all of them are seen, and less in coarser pictures.
struct Streaks {
  /// How wide a wave is, how long along the strands, and how strong.
  typealias Octave = (width: Float, length: Float, amplitude: Float)
  private let octaves: [Octave]
  private let loudness: Float

  /// - Parameter finest: the least width that shows, above 0.
  init(_ octaves: [Octave], finest: Float) {
    // What is too fine to be seen is averaged in each pixel.
    self.octaves = octaves.map { octave in
      let part = min(1, octave.width / finest)
      return (max(octave.width, finest), max(octave.length, finest), octave.amplitude * part)
    }
    loudness = octaves.reduce(0) { $0 + $1.amplitude * $1.amplitude / 4 }.squareRoot()
  }

  /// - Parameters:
  ///   - strand: where across the strands.
  ///   - way: how far along them.
  func callAsFunction(_ strand: Float, _ way: Float) -> Float {
    octaves.enumerated().reduce(0) { sum, octave in
      sum + octave.element.amplitude * valueNoise(strand / octave.element.width, way / octave.element.length, seed: octave.offset)
    } / max(loudness, 1e-3)
  }
}

/// Value noise: smooth between random values at whole numbers, −1…1.
func valueNoise(_ x: Float, _ y: Float, seed: Int) -> Float {
  let (left, top) = (x.rounded(.down), y.rounded(.down))
  let (column, row) = (Int32(left), Int32(top))
  func value(_ column: Int32, _ row: Int32) -> Float {
    var hash = UInt32(bitPattern: column) &* 374_761_393 &+ UInt32(bitPattern: row) &* 668_265_263
      &+ UInt32(truncatingIfNeeded: seed + 1) &* 2_246_822_519
    hash = (hash ^ (hash >> 13)) &* 1_274_126_177
    return Float(hash ^ (hash >> 16)) / Float(Int32.max) - 1
  }
  let (right, down) = ((x - left).smoothStep(from: 0, to: 1), (y - top).smoothStep(from: 0, to: 1))
  let upper = value(column, row) * (1 - right) + value(column &+ 1, row) * right
  let lower = value(column, row &+ 1) * (1 - right) + value(column &+ 1, row &+ 1) * right
  return upper + (lower - upper) * down
}

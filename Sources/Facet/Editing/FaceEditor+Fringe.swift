import Photo
import Torch

/// Bangs, which are drawn in the photo's own hair.
extension FaceEditor {
  /// A fringe over a face, as ``Composition/change(of:from:to:)`` gives a change: strands, over their own shadow.
  /// - Parameters:
  ///   - face: the face; one with no hair above its forehead gets none.
  ///   - strength: 1 for a fringe down to the brows; less for a shorter one.
  ///   - crop: the face with its hair in the colour that it has by then, 1 × 3 × S × S in [0, 1].
  /// - Returns: 1 × 4 × (k · S) × (k · S), k as fine as the photo needs it; `nil` where there is nothing to draw.
  func fringe(on face: EncodedFace, _ strength: Double, in crop: Tensor) throws -> Tensor? {
    guard strength > 0, let fringe = try face.fringe({ try grown(on: face) }) else { return nil }
    let hair = try hair(of: face)
    guard let colours = try fringe.colours(in: crop, hair: hair.array(Float.self)) else { return nil }
    let (scale, side) = (fineness(on: face), crop.size(3))
    let drawn = fringe.drawn(
      scale: scale, length: Float(min(Self.longest, strength)), pixel: Double(side) / face.alignment.side)
    let opacity = min(1, strength / Self.sparse)
    let coverage = try Tensor(drawn.coverage, shape: [1, 1, drawn.size, drawn.size]) * opacity
    let shades = drawn.shade.map { colours.blended(at: $0) }
    let colour = try Tensor((0..<3).flatMap { c in shades.map { $0[c] } }, shape: [1, 3, drawn.size, drawn.size])
    let fallen = try coverage.avgPool2d(scale).shifted(down: Self.shadow.moved).blurred(sigma: Self.shadow.sigma)
    let shadow = try Self.enlarged(
      fallen * (1 - hair.smoothStep(from: 0.3, to: 0.7)) * Self.shadow.opacity, to: drawn.size)
    // Skin in shade is redder.
    let light = try Self.enlarged(crop, to: drawn.size) * Tensor(Self.shadow.kept, shape: [1, 3, 1, 1])
    let below = try 1 - coverage
    let (strands, shaded) = (try coverage * colour, try below * shadow * light)
    return try Tensor.cat([strands + shaded, (1 - shadow) * below - 1], dim: 1)
  }

  private func grown(on face: EncodedFace) throws -> Fringe? {
    guard let frame = try face.alignment.frame(of: landmarks(of: face), size: face.crop.width) else { return nil }
    let (hair, other) = (try hair(of: face), try otherThanSkin(of: face))
    return try Fringe(
      above: frame.landmarks, at: frame.place, hair: hair,
      covered: (other.narrow(1, 2..<3) - hair).relu() + other.narrow(1, 3..<4))
  }

  private func hair(of face: EncodedFace) throws -> Tensor {
    try face.hair { try partFinder.hair(in: Tensor(face.crop)) }
  }

  /// How long it gets at most, of the way to the brows.
  private static let longest = 1.3
  /// The strength under which not all of it is there.
  private static let sparse = 0.3
  /// How dark it is, how soft and how far below, in pixels of the crop; and what of each colour's light is left in it.
  private static let shadow = (opacity: 0.35, sigma: 1.75, moved: 2, kept: [0.25, 0, -0.1] as [Float])
}

extension [SIMD3<Float>] {
  /// Between neighbours, at a part of the way from the first to the last.
  fileprivate func blended(at part: Float) -> SIMD3<Float> {
    let place = Swift.min(1, Swift.max(0, part)) * Float(count - 1)
    let index = Swift.min(count - 2, Int(place))
    return self[index] + (self[index + 1] - self[index]) * (place - Float(index))
  }
}

extension Tensor {
  fileprivate func shifted(down rows: Int) throws -> Tensor {
    try .cat([.zeros([size(0), size(1), rows, size(3)]), narrow(2, 0..<size(2) - rows)], dim: 2)
  }
}

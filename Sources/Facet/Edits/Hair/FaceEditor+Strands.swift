import Photo
import Torch

/// Bangs and mustaches, which are drawn in the photo's own hair.
extension FaceEditor {
  /// A fringe over a face, as ``Composition/change(of:from:to:)`` gives a change.
  /// - Parameters:
  ///   - face: the face; one with no hair above its forehead gets none.
  ///   - strength: 1 for a fringe down to the brows; less for a shorter one.
  ///   - crop: the face with its hair in the colour that it has by then, 1 × 3 × S × S in [0, 1].
  /// - Returns: 1 × 4 × (k · S) × (k · S), k as fine as the photo needs it; `nil` where there is nothing to draw.
  func fringe(on face: EncodedFace, _ strength: Double, in crop: Tensor) throws -> Tensor? {
    guard strength > 0, let fringe = try face.fringe({ try grown(on: face) }) else { return nil }
    let hair = try hair(of: face)
    guard let shades = try fringe.colours(in: crop, hair: hair.array(Float.self)) else { return nil }
    let drawing = try fringe.drawn(
      scale: fineness(on: face), length: Float(min(Self.longest, strength)), pixel: Double(crop.size(3)) / face.alignment.side)
    return try painted(
      drawing, shades, opacity: min(1, strength / Self.sparse), over: crop, unshaded: hair.smoothStep(from: 0.3, to: 0.7))
  }

  private func grown(on face: EncodedFace) throws -> Fringe? {
    guard let frame = try face.alignment.frame(of: landmarks(of: face), size: face.crop.width) else { return nil }
    let (hair, other) = (try hair(of: face), try otherThanSkin(of: face))
    return try Fringe(
      above: frame.landmarks, at: frame.place, hair: hair,
      covered: (other.narrow(1, 2..<3) - hair).relu() + other.narrow(1, 3..<4))
  }

  /// A mustache on a face, in the colour of its brows; as ``fringe(on:_:in:)``.
  /// - Parameters:
  ///   - face: the face.
  ///   - strength: its opacity, 1 at most.
  ///   - crop: the face as it is by then, 1 × 3 × S × S in [0, 1].
  ///   - isElsewhere: its features are not where the photo has them.
  func mustache(on face: EncodedFace, _ strength: Double, in crop: Tensor, isElsewhere: Bool) throws -> Tensor? {
    if strength <= 0 { return nil }
    let (coarse, scale) = (crop.size(3), fineness(on: face))
    let size = coarse * scale
    let landmarks = try isElsewhere
      ? face.alignment.foundLandmarks(in: Picture(FloatPicture(crop)), by: detector) : landmarks(of: face)
    guard let frame = face.alignment.frame(of: landmarks, size: size),
      let mustache = Mustache(on: frame.landmarks, at: frame.place)
    else { return nil }
    let found = try isElsewhere ? partFinder.paintable(in: crop) : paintable(of: face)
    let inside = try found.narrow(1, 6..<7).smoothStep(from: 0.2, to: 0.6)
    let free = try (1 - found.narrow(1, 5..<6).smoothStep(from: 0.3, to: 0.8)) * (1 - inside)
    let drawing = mustache.drawn(
      size: size, pixel: Double(size) / face.alignment.side, free: try Self.enlarged(free, to: size).array(Float.self))
    let (brows, values) = (try found.select(1, 2).array(Float.self), try crop.array(Float.self))
    let count = coarse * coarse
    let colours = (0..<count).filter { brows[$0] > 0.6 }
      .map { SIMD3(values[$0], values[count + $0], values[2 * count + $0]) * Self.deeper }
    // Between a brow's hairs there is skin.
    let shades = StrandDrawing.shades(of: colours.count > 20 ? colours : [Self.brown], from: 0, to: 0.5)
    return try painted(drawing, shades, opacity: min(1, strength), over: crop, unshaded: inside)
  }

  /// Strands over their own shadow, 1 × 4 × N × N as a change.
  /// - Parameter unshaded: where no shadow falls, 1 × 1 × S × S in [0, 1].
  private func painted(
    _ drawing: StrandDrawing, _ shades: [SIMD3<Float>], opacity: Double, over crop: Tensor, unshaded: Tensor
  ) throws -> Tensor {
    let size = drawing.size
    let coverage = try Tensor(drawing.coverage, shape: [1, 1, size, size]) * opacity
    let colours = drawing.colours(among: shades)
    let colour = try Tensor((0..<3).flatMap { c in colours.map { $0[c] } }, shape: [1, 3, size, size])
    let fallen = try coverage.avgPool2d(size / crop.size(3)).shifted(down: Self.shadow.moved).blurred(sigma: Self.shadow.sigma)
    let shadow = try Self.enlarged(fallen * (1 - unshaded) * Self.shadow.opacity, to: size)
    // Skin in shade is redder.
    let light = try Self.enlarged(crop, to: size) * Tensor(Self.shadow.kept, shape: [1, 3, 1, 1])
    let below = try 1 - coverage
    let (strands, shaded) = (try coverage * colour, try below * shadow * light)
    return try Tensor.cat([strands + shaded, (1 - shadow) * below - 1], dim: 1)
  }

  /// How long a fringe gets at most, of the way to the brows.
  private static let longest = 1.3
  /// The strength under which not all of it is there.
  private static let sparse = 0.3
  /// How much of a brow's light a mustache has; and its colour where there is no brow.
  private static let (deeper, brown): (Float, SIMD3<Float>) = (0.75, [0.15, 0.1, 0.08])
  /// How dark it is, how soft and how far below, in pixels of the crop; and what of each colour's light is left in it.
  private static let shadow = (opacity: 0.35, sigma: 1.75, moved: 2, kept: [0.25, 0, -0.1] as [Float])
}

extension Tensor {
  fileprivate func shifted(down rows: Int) throws -> Tensor {
    try .cat([.zeros([size(0), size(1), rows, size(3)]), narrow(2, 0..<size(2) - rows)], dim: 2)
  }
}

import Photo
import Torch

/// Where make-up goes on a face.
struct MadeUpParts: Sendable {
  /// As ``Makeup/coverage``, 1 × pigments × (k · S) × (k · S), k as fine as the photo needs it.
  let coverage: Tensor
  /// How each pigment is taken off, where there is some.
  let removals: [Makeup.Removal?]
}

/// Make-up, which is put on the photo's own skin.
extension FaceEditor {
  /// Make-up on a face, as ``Composition/change(of:from:to:)`` gives a change.
  /// - Parameters:
  ///   - face: the face.
  ///   - amounts: pigments lie on each other, so 2 is twice as much; what is taken off is all gone at −1.
  ///   - crop: the face as it is by then, 1 × 3 × S × S in [0, 1].
  ///   - isElsewhere: its features are not where the photo has them.
  /// - Returns: 1 × 4 × (k · S) × (k · S); `nil` where there is nothing to put on or take off.
  func makeup(on face: EncodedFace, _ amounts: Makeup.Amounts, in crop: Tensor, isElsewhere: Bool) throws -> Tensor? {
    if amounts.values.allSatisfy({ $0 == 0 }) { return nil }
    let parts =
      if isElsewhere {
        try makeup(
          for: face, in: crop, partFinder.paintable(in: crop),
          landmarks: face.alignment.foundLandmarks(in: Picture(FloatPicture(crop)), by: detector))
      } else {
        try face.madeUp { try makeup(for: face, in: Tensor(face.crop), paintable(of: face), landmarks: landmarks(of: face)) }
      }
    guard let parts else { return nil }
    // What is not there is not taken off.
    let wanted = zip(Makeup.Pigment.allCases, parts.removals).map { pigment, removal in
      min(pigment.most, max(removal == nil ? 0 : -1, amounts[pigment] ?? 0))
    }
    if wanted.allSatisfy({ $0 == 0 }) { return nil }
    let (count, side) = (parts.coverage.size(1), parts.coverage.size(3))
    let shown = try Self.enlarged(crop, to: side)
    let tones = zip(Makeup.Pigment.allCases, wanted).map { $0.tone * Float(max(0, $1)) }
    var change = try Tensor((0..<3).flatMap { c in tones.map { $0[c] } }, shape: [3, count])
      .matmul(parts.coverage.reshape([count, side * side])).reshape([1, 3, side, side])
    for (index, removal) in parts.removals.enumerated() where wanted[index] < 0 {
      guard let removal else { continue }
      change = try change + Self.removal(removal, from: shown) * parts.coverage.narrow(1, index..<index + 1) * -wanted[index]
    }
    let kept = try change.exp()
    // What all colours lose the photo's own pixels do; hues, which have no detail, come from the crop.
    let light = try kept.mean(dims: [1], keepDim: true)
    return try Tensor.cat([(kept - light) * shown, light - 1], dim: 1)
  }

  /// What taking a pigment off does to the logarithm of light: a pixel goes as far as it is away from bare skin in the pigment's own
  /// direction, so that none beside it gets lighter.
  private static func removal(_ removal: Makeup.Removal, from shown: Tensor) throws -> Tensor {
    func colour(_ value: SIMD3<Float>) throws -> Tensor { try Tensor([value.x, value.y, value.z], shape: [1, 3, 1, 1]) }
    let change = removal.change
    let rest = try colour(removal.end) - (shown + Double(noise)).log()
    let part = try (rest * colour(change / (change * change).sum())).sum(dims: [1], keepDim: true)
      .clamp(min: 0, max: Makeup.Removal.farthest)
    return try part * colour(change)
  }

  /// - Parameters:
  ///   - crop: the face, 1 × 3 × S × S in [0, 1].
  ///   - found: as ``PartFinder/paintable(in:)`` gives it.
  private func makeup(for face: EncodedFace, in crop: Tensor, _ found: Tensor, landmarks: [Point]) throws -> MadeUpParts? {
    let size = found.size(3) * fineness(on: face)
    guard let frame = face.alignment.frame(of: landmarks, size: size) else { return nil }
    let planes = try Self.enlarged(found.blurred(sigma: 0.5), to: size)
    func part(_ index: Int) throws -> [Float] { try planes.select(1, index).array(Float.self) }
    let parts = Makeup.Parts(
      lips: try part(0), eyes: try part(1), brows: try part(2), skin: try part(3),
      covered: try planes.narrow(1, 4..<5).smoothStep(from: 0.3, to: 0.7).array(Float.self))
    let makeup = Makeup(on: frame.landmarks, at: frame.place, parts: parts)
    let coverage = try Tensor(makeup.coverage.flatMap(\.self), shape: [1, makeup.coverage.count, size, size])
    /// The mean colour within a region, 1 × 1 × S × S.
    func mean(_ region: Tensor) throws -> SIMD3<Float> {
      let sums = try (crop * region).sum(dims: [2, 3]).array(Float.self)
      return try SIMD3(sums[0], sums[1], sums[2]) / Float(max(1e-3, region.sum().item()))
    }
    let skin = try mean(found.narrow(1, 3..<4).blurred(sigma: 1.5).smoothStep(from: 0.7, to: 0.95))
    let coarse = try coverage.avgPool2d(size / found.size(3))
    return MadeUpParts(
      coverage: coverage,
      removals: try Makeup.Pigment.allCases.map { pigment in
        pigment.removal(from: try mean(coarse.narrow(1, pigment.rawValue..<pigment.rawValue + 1)), on: skin)
      })
  }
}

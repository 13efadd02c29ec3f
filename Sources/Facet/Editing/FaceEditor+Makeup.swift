import Photo
import Torch

/// Make-up, which is put on the photo's own skin.
extension FaceEditor {
  /// Make-up on a face, as ``Composition/change(of:from:to:)`` gives a change.
  /// - Parameters:
  ///   - face: the face.
  ///   - strength: 1 for make-up that is seen; pigments lie on each other, so 2 is twice as much.
  ///   - crop: the face as it is by then, 1 × 3 × S × S in [0, 1].
  ///   - isElsewhere: its features are not where the photo has them.
  /// - Returns: 1 × 4 × (k · S) × (k · S), k as fine as the photo needs it; `nil` where there is nothing to put on.
  func makeup(on face: EncodedFace, _ strength: Double, in crop: Tensor, isElsewhere: Bool) throws -> Tensor? {
    if strength <= 0 { return nil }
    let loss =
      if isElsewhere {
        try makeup(
          for: face, partFinder.paintable(in: crop),
          landmarks: face.alignment.foundLandmarks(in: Picture(FloatPicture(crop)), by: detector))
      } else {
        try face.makeup { try makeup(for: face, paintable(of: face), landmarks: landmarks(of: face)) }
      }
    guard let loss else { return nil }
    let kept = try (loss * min(Self.most, strength)).exp()
    // What all colours lose the photo's own pixels do; hues, which have no detail, come from the crop.
    let light = try kept.mean(dims: [1], keepDim: true)
    return try Tensor.cat([(kept - light) * Self.enlarged(crop, to: loss.size(3)), light - 1], dim: 1)
  }

  /// How much of the logarithm of light a crop's pixels lose, 1 × 3 × (k · S) × (k · S).
  private func makeup(for face: EncodedFace, _ found: Tensor, landmarks: [Point]) throws -> Tensor? {
    let size = found.size(3) * fineness(on: face)
    guard let frame = face.alignment.frame(of: landmarks, size: size) else { return nil }
    let planes = try Self.enlarged(found.blurred(sigma: 0.5), to: size)
    func part(_ index: Int) throws -> [Float] { try planes.select(1, index).array(Float.self) }
    let parts = Makeup.Parts(
      lips: try part(0), eyes: try part(1), brows: try part(2), skin: try part(3),
      covered: try planes.narrow(1, 4..<5).smoothStep(from: 0.3, to: 0.7).array(Float.self))
    let loss = Makeup(on: frame.landmarks, at: frame.place, parts: parts).loss
    return try Tensor((0..<3).flatMap { c in loss.map { $0[c] } }, shape: [1, 3, size, size])
  }

  /// More than this no skin can carry.
  private static let most = 2.0
}

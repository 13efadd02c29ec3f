import Photo
import Torch

/// Glasses that a bundle draws (``GlassesModel``).
extension FaceEditor {
  /// Glasses over a face, as ``Composition/change(of:from:to:)`` gives a change: frames darken what is below them, under their own
  /// shadow, glass is a little lighter, and hair hangs over all of it.
  /// - Parameters:
  ///   - face: the face; one that wears some already gets no others.
  ///   - strength: their opacity, 1 at most.
  ///   - crop: the face in the light that it has by then, 1 × 3 × S × S in [0, 1].
  ///   - scale: how many times as finely they are drawn.
  /// - Returns: 1 × 4 × (scale · S) × (scale · S); `nil` where there is nothing to draw.
  func glasses(on face: EncodedFace, _ strength: Double, in crop: Tensor, scale: Int) throws -> Tensor? {
    guard let glasses, strength > 0, try !wearsGlasses(face) else { return nil }
    let landmarks = try landmarks(of: face)
    let (coarse, fine) = (crop.size(3), crop.size(3) * scale)
    guard let toFrame = FaceAlignment.toFrame(landmarks) else { return nil }
    let worn = glasses.glasses(on: landmarks.map { toFrame($0) })
    func drawn(_ size: Int, moved: Point = Point(x: 0, y: 0), _ sigma: (_ pixel: Double) -> Double) -> Glasses.Coverage {
      let place = face.alignment.frame(of: landmarks, size: size) ?? Affine(.identity)
      let shift = Affine(Similarity(scale: 1, tx: -moved.x, ty: -moved.y))
      return worn.drawn((size, size), at: place.then(shift), sigma: sigma(place.scale))
    }
    func plane(_ values: [Float], _ size: Int) throws -> Tensor { try Tensor(values, shape: [1, 1, size, size]) }
    func enlarged(_ planes: Tensor) throws -> Tensor { scale == 1 ? planes : try planes.upsampleBilinear2d(scale: scale) }

    let hair = try face.hair { try partFinder.hair(in: Tensor(face.crop)) }
    let shown = try (1 - hair.smoothStep(from: 0.3, to: 0.7)) * min(1, strength)
    // As soft as edges in photos are.
    let sharp = drawn(fine) { max(Self.softness * toFrame.scale / face.alignment.side, 0.5 * $0) }
    let shade = drawn(coarse, moved: Self.shadow.moved) { _ in Self.shadow.sigma }
    let visible = try enlarged(shown)
    let frame = try plane(sharp.frame, fine) * visible * Self.frame.opacity
    let glass = try plane(sharp.glass, fine) * visible
    let darker = try enlarged(plane(shade.frame, coarse) * shown) * Self.shadow.opacity
    let light = try enlarged(crop.blurred(sigma: 5))
    let colour = try light * Self.frame.reflection + Tensor(Self.frame.own, shape: [1, 3, 1, 1])
    let below = try 1 - frame
    return try Tensor.cat([
      below * glass * Self.glass.reflection + frame * colour,
      below * (1 - darker) * (1 - glass * Self.glass.opacity) - 1,
    ], dim: 1)
  }

  /// How many times as finely as at the model's size a face's photo shows it, within reason.
  func fineness(of face: EncodedFace) -> Int {
    let scale = (face.alignment.side / Double(bundle.configuration.imageSize)).rounded(.up)
    return Int(min(Self.finest, max(1, scale)))
  }

  private func wearsGlasses(_ face: EncodedFace) throws -> Bool {
    try face.wearsGlasses { try partFinder.wearsGlasses(in: Tensor(face.crop)) }
  }

  private static let finest = 4.0
  /// Standard deviation of an edge, in pixels of the photo.
  private static let softness = 0.85
  /// Intensities are of 1; dark frames take on a part of the light around them. Among skin, gray would look blue.
  private static let frame = (own: [0.065, 0.05, 0.04] as [Float], reflection: 0.1, opacity: 0.97)
  private static let glass = (reflection: 0.03, opacity: 0.05)
  /// How dark it is, how soft, and where it falls, in pixels of CelebA's frame.
  private static let shadow = (opacity: 0.28, sigma: 1.9, moved: Point(x: 0.5, y: 2.6))
}

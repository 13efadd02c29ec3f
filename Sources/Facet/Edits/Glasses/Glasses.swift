import Photo
import Torch

/// How much of each pixel glasses cover on a face, hair aside, each 1 × 1 × size × size in [0, 1].
struct WornGlasses: Sendable {
  /// By rims, bridge and temples; by glass; by the shadow of the former; by the light on their upper side.
  let frame, glass, shade, gleam: Tensor
}

/// Glasses that a bundle draws (``GlassesModel``).
extension FaceEditor {
  /// Glasses over a face, as ``Composition/change(of:from:to:)`` gives a change: frames darken what is below them, over their own
  /// shadow, glass is a little lighter, and hair hangs over all of it.
  /// - Parameters:
  ///   - face: the face; one that wears some already gets no others.
  ///   - strength: their opacity, 1 at most.
  ///   - crop: the face in the light that it has by then, 1 × 3 × S × S in [0, 1].
  /// - Returns: 1 × 4 × (k · S) × (k · S), k as fine as the photo needs it; `nil` where there is nothing to draw.
  func glasses(on face: EncodedFace, _ strength: Double, in crop: Tensor) throws -> Tensor? {
    guard strength > 0, let worn = try face.glasses({ try worn(on: face) }) else { return nil }
    let opacity = min(1, strength)
    let (frame, glass) = (try worn.frame * (opacity * Self.frame.opacity), try worn.glass * opacity)
    let light = try Self.enlarged(crop.blurred(sigma: 5), to: frame.size(3))
    let reflection = try worn.gleam * Self.gleam.reflection + Self.frame.reflection
    let colour = try light * reflection + Tensor(Self.frame.own, shape: [1, 3, 1, 1])
    let below = try 1 - frame
    return try Tensor.cat([
      below * glass * Self.glass.reflection + frame * colour,
      below * (1 - worn.shade * (opacity * Self.shadow.opacity)) * (1 - glass * Self.glass.opacity) - 1,
    ], dim: 1)
  }

  private func worn(on face: EncodedFace) throws -> WornGlasses? {
    let crop = try Tensor(face.crop)
    let coarse = bundle.configuration.imageSize
    let scale = Double(fineness(on: face))
    let fine = coarse * Int(scale)
    guard let glasses, try !partFinder.wearsGlasses(in: crop),
      let frame = try face.alignment.frame(of: landmarks(of: face), size: fine)
    else { return nil }
    let worn = glasses.glasses(on: frame.landmarks)
    // As soft as edges in photos are.
    let pixel = frame.place.largestScale
    let sigma = max(Self.softness * pixel * Double(fine) / face.alignment.side, 0.5 * pixel)
    let sharp = worn.drawn((fine, fine), at: frame.place, sigma: sigma)
    let moved = Affine(.identity).scaled(x: scale, y: scale).then(frame.place)
      .then(Affine(Similarity(scale: 1, tx: -Self.shadow.moved.x, ty: -Self.shadow.moved.y)))
    let shade = worn.drawn((coarse, coarse), at: moved, sigma: Self.shadow.sigma)
    let shown = try 1 - hair(of: face).smoothStep(from: 0.3, to: 0.7)
    func plane(_ values: [Float], _ size: Int) throws -> Tensor { try Tensor(values, shape: [1, 1, size, size]) }
    let visible = try Self.enlarged(shown, to: fine)
    let covered = try plane(sharp.frame, fine)
    return WornGlasses(
      frame: try covered * visible, glass: try plane(sharp.glass, fine) * visible,
      shade: try Self.enlarged(plane(shade.frame, coarse) * shown, to: fine),
      gleam: try Self.gleam(on: covered, thickness: Glasses.thickness / pixel))
  }

  /// How much of the light from above round bars throw back, 1 × 1 × size × size in [0, 1]; a line within them, where they are
  /// of several pixels.
  static func gleam(on frame: Tensor, thickness: Double) throws -> Tensor {
    let (size, step) = (frame.size(2), Int((thickness * gleam.step).rounded()))
    if step < 1 { return try .zeros([1, 1, size, size]) }
    let height = try frame.blurred(sigma: thickness * gleam.softness)
    let above = try Tensor.cat([Tensor.zeros([1, 1, step, size]), height.narrow(2, 0..<size - step)], dim: 2)
    return try (height - above).relu() * height.smoothStep(from: 0.5, to: 0.9)
  }

  /// How many times as finely as the model sees a face something is drawn on it, so that the photo's own pixels show no finer.
  func fineness(on face: EncodedFace) -> Int {
    Int(min(Self.finest, max(1, (face.alignment.side / Double(face.crop.width)).rounded(.up))))
  }

  static func enlarged(_ planes: Tensor, to size: Int) throws -> Tensor {
    let scale = size / planes.size(3)
    return scale == 1 ? planes : try planes.upsampleBilinear2d(scale: scale)
  }

  /// How many times as finely as at the model's size they are drawn at most.
  private static let finest = 4.0
  /// Standard deviation of an edge, in pixels of the photo.
  private static let softness = 0.85
  /// Intensities are of 1; dark frames take on a part of the light around them. Among skin, gray would look blue.
  private static let frame = (own: [0.065, 0.05, 0.04] as [Float], reflection: 0.1, opacity: 0.97)
  /// How light it is, of the light around; how far and how softly the frame's height is compared with itself, in parts of its thickness.
  private static let gleam = (reflection: 1.1, step: 0.35, softness: 0.22)
  private static let glass = (reflection: 0.03, opacity: 0.05)
  /// How dark it is, how soft, and where it falls, in pixels of CelebA's frame.
  private static let shadow = (opacity: 0.28, sigma: 1.9, moved: Point(x: 0.5, y: 2.6))
}

import Photo
import Torch

/// Draws glasses (``GlassesModel``): frames darken what is below them, over their own shadow, glass is a little lighter, and hair hangs
/// over all of it.
struct Glasses: Edit {
  static let stage = EditStage.glasses

  private var opacity: Double

  /// - Parameter opacity: 1 at most counts.
  init(opacity: Double) { self.opacity = opacity }

  mutating func add(_ other: Glasses) { opacity += other.opacity }

  func apply(to canvas: inout Canvas) throws {
    // Who wears glasses already gets no others.
    guard let worn = try canvas.face.anatomy.cached({ try WornGlasses(on: canvas.face, with: canvas.tools) }) else { return }
    let opacity = min(1, opacity)
    let (frame, glass) = (try worn.frame * (opacity * Self.frame.opacity), try worn.glass * opacity)
    let light = try canvas.image.blurred(sigma: 5).enlarged(to: frame.size(3))
    let reflection = try worn.gleam * Self.gleam.reflection + Self.frame.reflection
    let colour = try light * reflection + Tensor(Self.frame.own, shape: [1, 3, 1, 1])
    let below = try 1 - frame
    try canvas.draw(.cat([
      below * glass * Self.glass.reflection + frame * colour,
      below * (1 - worn.shade * (opacity * Self.shadow.opacity)) * (1 - glass * Self.glass.opacity) - 1,
    ], dim: 1))
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

  /// Standard deviation of an edge, in pixels of the photo.
  fileprivate static let softness = 0.85
  /// Intensities are of 1; dark frames take on a part of the light around them. Among skin, gray would look blue.
  private static let frame = (own: [0.065, 0.05, 0.04] as [Float], reflection: 0.1, opacity: 0.97)
  /// How light it is, of the light around; how far and how softly the frame's height is compared with itself, in parts of its thickness.
  private static let gleam = (reflection: 1.1, step: 0.35, softness: 0.22)
  private static let glass = (reflection: 0.03, opacity: 0.05)
  /// How dark it is, how soft, and where it falls, in pixels of CelebA's frame.
  fileprivate static let shadow = (opacity: 0.28, sigma: 1.9, moved: Point(x: 0.5, y: 2.6))
}

/// The part of each pixel that glasses cover on a face, hair aside, each 1 × 1 × size × size in [0, 1].
private struct WornGlasses: Sized {
  /// By rims, bridge and temples; by glass; by the shadow of the former; by the light on their upper side.
  let frame, glass, shade, gleam: Tensor

  var byteCount: Int { frame.byteCount + glass.byteCount + shade.byteCount + gleam.byteCount }

  /// - Returns: `nil` where the bundle has no model of glasses, or the face wears some.
  init?(on face: EncodedFace, with tools: EditTools) throws {
    let coarse = face.crop.width
    let scale = Double(Layer.oversampling(of: face))
    let fine = coarse * Int(scale)
    guard let glasses = tools.glasses, try !face.anatomy.wearsGlasses, let frame = try face.anatomy.frame(size: fine)
    else { return nil }
    let worn = glasses.glasses(on: frame.landmarks)
    // As soft as edges in photos are.
    let pixel = frame.place.largestScale
    let sigma = max(Glasses.softness * pixel * Double(fine) / face.alignment.side, 0.5 * pixel)
    let sharp = worn.drawn((fine, fine), at: frame.place, sigma: sigma)
    let moved = Affine(.identity).scaled(x: scale, y: scale).then(frame.place)
      .then(Affine(Similarity(scale: 1, tx: -Glasses.shadow.moved.x, ty: -Glasses.shadow.moved.y)))
    let shade = worn.drawn((coarse, coarse), at: moved, sigma: Glasses.shadow.sigma)
    let shown = try 1 - face.anatomy.hair.smoothStep(from: 0.3, to: 0.7)
    func plane(_ values: [Float], _ size: Int) throws -> Tensor { try Tensor(values, shape: [1, 1, size, size]) }
    let visible = try shown.enlarged(to: fine)
    let covered = try plane(sharp.frame, fine)
    self.frame = try covered * visible
    glass = try plane(sharp.glass, fine) * visible
    self.shade = try (plane(shade.frame, coarse) * shown).enlarged(to: fine)
    gleam = try Glasses.gleam(on: covered, thickness: GlassesShape.thickness / pixel)
  }
}

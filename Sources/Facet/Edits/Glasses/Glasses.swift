import Photo
import Synchronization
import Torch

/// Puts glasses of a style (``GlassesStyle``) on a face where a model (``GlassesModel``) has them: shaded in the light of the face, over
/// their own shadow, and below its hair.
struct Glasses: Edit {
  static let stage = EditStage.glasses

  private var opacity: Double
  private var style: String?

  /// - Parameters:
  ///   - opacity: 1 at most counts.
  ///   - style: of ``GlassesStyle/names``; `nil` for the standard one.
  init(opacity: Double, style: String? = nil) { (self.opacity, self.style) = (opacity, style) }

  mutating func add(_ other: Glasses) {
    opacity += other.opacity
    style = other.style ?? style
  }

  func apply(to canvas: inout Canvas) throws {
    let (face, tools) = (canvas.face, canvas.tools)
    // Who wears glasses already gets no others, unless they have been taken off.
    if try canvas.uncovered == nil && face.anatomy.wearsGlasses { return }
    let anatomy = canvas.uncovered?.anatomy ?? face.anatomy
    guard let fitting = try anatomy.cached({ try FittedGlasses(on: face, anatomy, with: tools) }) else { return }
    try canvas.draw(FittedGlasses.change(fitting.drawn(in: style ?? GlassesStyle.standard)) * min(1, opacity))
  }
}

/// Where glasses sit on a face, the light there, and what covers them.
final class FittedGlasses: Sendable, Sized {
  private let place: GlassesPlace
  private let light: FaceLight
  /// How much of each pixel shows glasses, and their shadow, 1 × 1 × S × S in [0, 1].
  private let shown, shaded: Tensor
  /// As of ``GlassesPicture``.
  private let beyond: [Float]
  /// The drawing's side, and the way from it to CelebA's frame.
  private let side: Int
  private let toFrame: Affine
  /// Pixels of the drawing for a pixel of the photo, and for a millimetre of glasses.
  private let pixel, millimetre: Double
  /// What was drawn last: a slider asks for the same again and again.
  private let last = Mutex<(style: String, drawing: Tensor)?>(nil)

  var byteCount: Int {
    shown.byteCount + shaded.byteCount + 4 * beyond.count + last.withLock { $0?.drawing.byteCount ?? 0 }
  }

  /// - Parameters:
  ///   - face: the face.
  ///   - anatomy: its parts, without glasses.
  ///   - tools: with a model of glasses.
  /// - Returns: `nil` where there is no such model, or the face shows no pose.
  init?(on face: EncodedFace, _ anatomy: Anatomy, with tools: EditTools) throws {
    let coarse = face.crop.width
    let scale = min(Self.finest, max(1, (Self.detail * face.alignment.side / Double(coarse)).rounded(.up)))
    side = coarse * Int(scale)
    guard let glasses = tools.glasses, let frame = try anatomy.frame(size: side),
      let place = glasses.place(on: frame.landmarks), let crop = try anatomy.frame(size: coarse)
    else { return nil }
    (self.place, toFrame) = (place, frame.place)
    pixel = Double(side) / face.alignment.side
    millimetre = place.unit / frame.place.scale
    func sharp(_ share: Tensor) throws -> Tensor { try share.smoothStep(from: 0.3, to: 0.7) }
    let outside = try sharp(anatomy.outside)
    shown = try 1 - sharp(anatomy.hair)
    shaded = try 1 - outside
    beyond = try outside.array(Float.self)
    let planes = try (0..<3).map { try anatomy.image.select(0, 0).select(0, $0).array(Float.self) }
    light = FaceLight(
      of: planes[0].indices.map { SIMD3(planes[0][$0], planes[1][$0], planes[2][$0]).map(\.linear) },
      skin: try (anatomy.skin + anatomy.nose).array(Float.self), at: crop.place, around: place.pose(.zero))
  }

  /// Glasses on the face.
  /// - Parameter style: of ``GlassesStyle/names``.
  /// - Returns: 1 × 4 × side × side: what they add to red, green and blue, and what of the face they leave.
  func drawn(in style: String) throws -> Tensor {
    try last.withLock { last in
      if let last, last.style == style { return last.drawing }
      let drawing = try draw(.named(style))
      last = (style, drawing)
      return drawing
    }
  }

  /// A drawing, as of ``drawn(in:)``, as a change of the face.
  static func change(_ drawing: Tensor) throws -> Tensor {
    try .cat([drawing.narrow(1, 0..<3), drawing.narrow(1, 3..<4) - 1], dim: 1)
  }

  private func picture(_ style: GlassesStyle) -> GlassesPicture {
    GlassesPicture(style, at: place, in: light, beyond: beyond, side: side, toFrame)
  }

  /// How much of each pixel glasses cover, without their shadow, 1 × 1 × side × side in [0, 1].
  func cover(of style: GlassesStyle) throws -> Tensor {
    try Tensor(picture(style).colours.map { 1 - $0.w }, shape: [1, 1, side, side]) * shown.enlarged(to: side)
  }

  /// Glasses on the face, as of ``drawn(in:)``.
  func draw(_ style: GlassesStyle) throws -> Tensor {
    let picture = picture(style)
    let planes = (0..<4).flatMap { channel in picture.colours.map { $0[channel] } }
    // As soft as edges in photos are.
    let soft = try Tensor(planes, shape: [1, 4, side, side]).blurred(sigma: max(Self.least, Self.softness * pixel))
    let visible = try shown.enlarged(to: side)
    let under = try Tensor(picture.shade, shape: [1, 1, side, side])
    let dark = try Self.shadows.map { try 1 - under.blurred(sigma: $0.sigma * millimetre) * $0.opacity }
    let shade = try 1 - (1 - dark[0] * dark[1]) * shaded.enlarged(to: side)
    return try .cat([soft.narrow(1, 0..<3) * visible, (1 - (1 - soft.narrow(1, 3..<4)) * visible) * shade], dim: 1)
  }

  /// Pixels of the drawing for one of the photo, at least, and the most for one of the model's crop.
  private static let (detail, finest) = (1.5, 8.0)
  /// Standard deviations of an edge: in pixels of the photo, and of the drawing.
  private static let (softness, least) = (0.35, 0.3)
  /// The shadow close to glasses and the one of the light around, in millimetres.
  private static let shadows = [(sigma: 1.1, opacity: 0.28), (sigma: 3.5, opacity: 0.16)]
}

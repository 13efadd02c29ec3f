import Foundation
import Photo
import Torch

/// Removes glasses from the photo. All other edits start from the face without them.
struct GlassesRemoval: Edit {
  static let stage = EditStage.uncover

  private var amount: Double

  /// - Parameter amount: 1 at most counts.
  init(amount: Double) { self.amount = amount }

  mutating func add(_ other: GlassesRemoval) { amount += other.amount }

  func apply(to canvas: inout Canvas) throws {
    // Who wears none stays as the photo has it.
    guard let bare = try Self.faceWithoutGlasses(canvas.face, with: canvas.tools) else { return }
    let amount = min(1, amount)
    try canvas.lay(Layer(content: .change(FloatPicture(bare.change * amount))))
    canvas.uncover(bare, wholly: amount == 1)
    if amount == 1 {
      (canvas.latent, canvas.decoded) = (bare.latent, bare.decoded)
    } else {
      try canvas.move((bare.latent - canvas.face.latent) * amount)
    }
  }

  /// A face without its glasses, as far as the parser sees some.
  static func faceWithoutGlasses(_ face: EncodedFace, with tools: EditTools) throws -> FaceWithoutGlasses? {
    try face.anatomy.cached { try FaceWithoutGlasses(face, with: tools) }
  }
}

/// A face without the glasses that it wears.
struct FaceWithoutGlasses: Sendable, Sized {
  /// The change that takes them off the crop, 1 × 4 × S × S of the painter's size, as ``Composition/change(of:from:to:)`` gives it.
  let change: Tensor
  /// The code of the crop without them, and the face that it decodes to.
  let latent: Tensor
  let decoded: DecodedFace
  /// The parts of the crop without them.
  let anatomy: Anatomy

  var byteCount: Int { change.byteCount + latent.byteCount + decoded.byteCount + anatomy.byteCount }

  /// - Returns: `nil` where the parser sees none, or there is no painter.
  init?(_ face: EncodedFace, with tools: EditTools) throws {
    guard let painter = tools.painter, let glasses = try face.anatomy.glasses else { return nil }
    let hole = try Self.hole(glasses, face.anatomy.landmarks)
    var crop = try Tensor(face.fine)
    // A step far enough to take glasses off takes more; the code of the painted face is this person's own. What the first painting
    // has left is fainter for the second.
    var latent = try face.latent + tools.directions.step(AttributeTable.glasses, strength: -1, on: face.latent)
    var (change, decoded) = (Tensor?.none, DecodedFace(try tools.model.decode(latent)))
    var image = face.anatomy.image
    for _ in 0..<2 {
      let guide = decoded.reconstruction.image
      guard let next = try painter.painting(of: crop, from: guide, to: guide, in: hole)?.change else { return nil }
      change = try change.map { try Composition.then($0, next) } ?? next
      crop = try crop.changed(by: next).clamp(min: 0, max: 1)
      image = try crop.resized(to: (face.crop.height, face.crop.width))
      latent = try tools.model.encode(image).mean
      decoded = DecodedFace(try tools.model.decode(latent))
    }
    guard let change else { return nil }
    (self.change, self.latent, self.decoded) = (change, latent, decoded)
    anatomy = Anatomy(of: image, face.alignment, landmarks: try face.anatomy.landmarks, by: tools.observer)
  }

  /// Where a painter paints, 1 × 1 × S × S of its size: glasses and some pixels around, where the parser takes rims for brows or skin,
  /// and temples, of which it sees little.
  private static func hole(_ glasses: Tensor, _ landmarks: [Point]) throws -> Tensor {
    let side = Double(glasses.size(3))
    let temples = RegionMask.temples(landmarks.map { Point(x: $0.x * side, y: $0.y * side) }, size: (glasses.size(2), glasses.size(3)))
    let whole = try Tensor(temples.values, shape: glasses.shape).maximum(glasses.blurred(sigma: 5).smoothStep(from: 0.06, to: 0.2))
    return try whole.resized(to: (Painter.cropSize, Painter.cropSize))
  }
}

extension RegionMask {
  /// Where temples of glasses may be, from the outer corners of the eyes to the ears and somewhat beyond.
  /// - Parameters:
  ///   - landmarks: the 68 of ``DetectedFace``, in pixels of the mask.
  ///   - size: of the mask.
  package static func temples(_ landmarks: [Point], size: (height: Int, width: Int)) -> RegionMask {
    var mask = RegionMask(size)
    let (brow, chin) = (landmarks[Landmark.brows.first!], landmarks[8])
    let height = 0.1 * hypot(chin.x - brow.x, chin.y - brow.y)
    for (eye, ear) in [(36, 0), (45, 16)] {
      let (eye, ear) = (landmarks[eye], landmarks[ear])
      let end = Point(x: ear.x + 0.35 * (ear.x - eye.x), y: ear.y + 0.35 * (ear.y - eye.y))
      mask.fill([
        Point(x: eye.x, y: eye.y - height), Point(x: end.x, y: end.y - 1.6 * height), Point(x: end.x, y: end.y + 0.6 * height),
        Point(x: eye.x, y: eye.y + 0.6 * height),
      ])
    }
    return mask
  }
}

import Photo
import Torch

/// Gives hair another colour, at nearly the photo's own resolution.
struct HairTint: Edit {
  static let stage = EditStage.tint

  /// Labels such as `Blond_Hair`; strength 1 gives the colour, −1 that of others; one after the other.
  private var tints: [(label: String, strength: Double)]

  init(_ label: String, _ strength: Double) { tints = [(label, strength)] }

  mutating func add(_ other: HairTint) { tints += other.tints }

  func apply(to canvas: inout Canvas) throws {
    let face = canvas.face
    guard let hair = try face.surroundings.hair(of: face, by: canvas.tools.observer),
      let tinted = hair.tinted(try tints.map { (try HairColour.named($0.label), $0.strength) })
    else { return }
    try canvas.lay(Layer(extent: .surroundings, content: .change(tinted)))
    let (size, side) = (face.crop.width, hair.matte.colours.width)
    let place = face.alignment.surroundings(size: side).inverse.then(face.alignment.transform(size: size))
    let alpha = Picture(FloatPicture(width: side, height: side, channels: 1, values: hair.matte.alpha))
    canvas.protected = try Tensor(alpha.warped(by: place, to: (size, size)))
  }
}

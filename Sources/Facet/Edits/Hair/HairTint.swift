import Photo
import Torch

/// Gives hair another colour, at nearly the photo's own resolution.
struct HairTint: Edit {
  static let stage = EditStage.tint

  private enum Target {
    case label(String)
    case colour(HairColour)

    var colour: HairColour {
      get throws {
        switch self {
        case .label(let name): try HairColour.named(name)
        case .colour(let colour): colour
        }
      }
    }
  }

  /// Strength 1 gives the colour, −1 that of other hair; one after the other.
  private var tints: [(target: Target, strength: Double)]

  /// - Parameter label: such as `Blond_Hair`.
  init(_ label: String, _ strength: Double) { tints = [(.label(label), strength)] }

  init(_ colour: HairColour, _ strength: Double) { tints = [(.colour(colour), strength)] }

  mutating func add(_ other: HairTint) { tints += other.tints }

  func apply(to canvas: inout Canvas) throws {
    let face = canvas.face
    guard let hair = try face.surroundings.hair(of: face, by: canvas.tools.observer),
      let tinted = hair.tinted(try tints.map { (try $0.target.colour, $0.strength) })
    else { return }
    try canvas.lay(Layer(extent: .surroundings, content: .change(tinted)))
    let size = face.crop.width
    let place = face.alignment.surroundings(size: hair.side).inverse.then(face.alignment.transform(size: size))
    canvas.protected = try Tensor(Picture(hair.alpha).warped(by: place, to: (size, size)))
  }
}

import Foundation
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
  private var tints: [(target: Target, strength: Double, byStrands: Bool)]

  /// - Parameters:
  ///   - label: such as `Blond_Hair`.
  ///   - byStrands: whether strands take it, some before others.
  init(_ label: String, _ strength: Double, byStrands: Bool = false) { tints = [(.label(label), strength, byStrands)] }

  init(_ colour: HairColour, _ strength: Double) { tints = [(.colour(colour), strength, false)] }

  mutating func add(_ other: HairTint) { tints += other.tints }

  func apply(to canvas: inout Canvas) throws {
    let face = canvas.face
    guard let hair = try face.surroundings.hair(of: face, by: canvas.tools.observer),
      let tinted = hair.tinted(try tints.map { .init(colour: try $0.target.colour, strength: $0.strength, byStrands: $0.byStrands) })
    else { return }
    try canvas.lay(Layer(extent: .surroundings, content: .change(tinted)))
    let size = face.crop.width
    let place = face.alignment.surroundings(size: hair.side).inverse.then(face.alignment.transform(size: size))
    canvas.protected = try Tensor(Picture(hair.alpha).warped(by: place, to: (size, size)))
    try darkenBrows(of: &canvas)
  }

  /// Brows go a third of the way to dark hair: pale brows under black hair are dyed hair. Light hair leaves them, for fair people have
  /// dark brows too. Their hairs darken, and not the skin between.
  private func darkenBrows(of canvas: inout Canvas) throws {
    let dark = try tints.filter { $0.strength > 0 }
      .map { (luma: try Double($0.target.colour.steps(isAdded: true)[128].luma), strength: min(1, $0.strength)) }
      .filter { $0.luma < Self.dark }
    let brows = try canvas.anatomy().brows.smoothStep(from: 0.3, to: 0.8)
    guard !dark.isEmpty, try brows.sum().item() > Self.leastBrows else { return }
    let size = canvas.face.crop.width * canvas.oversampling
    let (lumas, inside) = (try Tensor(canvas.crop(size: size)).mean(dims: [1], keepDim: true), try brows.enlarged(to: size))
    let reach = Self.reach * Double(canvas.oversampling)
    let skin = try (lumas * (1 - inside)).blurred(sigma: reach) / (1 - inside).blurred(sigma: reach).clamp(min: 0.05)
    let hairs = try ((1 - lumas / skin.clamp(min: 0.05)) / Self.contrast).clamp(min: 0, max: 1) * inside
    let amount = try hairs.sum().item()
    guard amount > Self.leastBrows else { return }
    let luma = try (lumas * hairs).sum().item() / amount
    let factor = dark.reduce(1.0) { factor, hair in
      let wanted = pow(max(0.02, hair.luma) / max(0.02, factor * luma), 1 / 3)
      return factor * (1 + hair.strength * (min(1, max(Self.darkest, wanted)) - 1))
    }
    guard factor < 0.99 else { return }
    let slope = try hairs * (factor - 1)
    try canvas.draw(.cat([slope * 0, slope * 0, slope * 0, slope], dim: 1))
  }

  /// Pixels of the crop that are brow at the least, and how much of their light brows keep at the least.
  private static let (leastBrows, darkest) = (20.0, 0.75)
  /// How far around brows their skin is looked for, in pixels of the model's crop, and how much darker than it a brow's hair is.
  private static let (reach, contrast) = (5.0, 0.35)
  /// The middle luma of dark hair: black has 0.06, brown 0.18, blond 0.53.
  private static let dark = 0.3
}

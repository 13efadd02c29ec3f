import Foundation
import Photo
import Torch

/// Colours hair and skin as the photo has them, found by the face parser.
struct Tint: Edit {
  static let stage = EditStage.tint

  /// Strength 1 gives the colour, −1 that of others; one after the other.
  private var tints: [(colour: TintColour, strength: Double)]

  init(_ colour: TintColour, _ strength: Double) { tints = [(colour, strength)] }

  mutating func add(_ other: Tint) { tints += other.tints }

  func apply(to canvas: inout Canvas) throws {
    let face = canvas.face
    var regions = try face.surroundings.regions { [observer = canvas.tools.observer] in
      try Surroundings.find(in: $0, around: face, by: observer)
    }
    // What was behind glasses is skin, and as light.
    for layer in canvas.layers {
      regions.skin = regions.skin.changed { face.alignment.apply(layer, to: &$0, in: .surroundings) }
      regions.hair = regions.hair.changed { face.alignment.apply(layer, to: &$0, in: .surroundings) }
    }
    let skin = regions.skin.tinted(tints.filter { $0.colour.part == .skin })
    let hair = regions.hair.tinted(tints.filter { $0.colour.part == .hair })
    for tinted in [skin, hair].compactMap(\.self) {
      try canvas.lay(Layer(extent: .surroundings, content: .change(tinted)))
    }
    if hair != nil {
      let (size, coverage) = (face.crop.width, regions.hair.coverage)
      let place = face.alignment.surroundings(size: coverage.width).inverse.then(face.alignment.transform(size: size))
      canvas.protected = try Tensor(coverage.warped(by: place, to: (size, size)))
    }
  }
}

/// A part of a person that takes on a colour by itself.
enum ColouredPart: Sendable {
  case hair, skin
}

/// A colour of hair or skin that a label names: what that looks like in photos with the label, and in others.
struct TintColour: Sendable {
  let part: ColouredPart
  /// Red, green and blue, 0…1 in sRGB.
  private(set) var having, lacking: SIMD3<Float>
  /// How many times as light it makes anything at most: what is all black has no strands that could show.
  var mostTimes = Float.infinity

  // Means over the hair and the skin of CelebA's training photos, as `Benchmarks/run tints` measures them, of 255; and by which part of
  // the way between them farther in light a colour is seen as the label's.
  static let black = TintColour(.hair, having: [32, 27, 25], lacking: [84, 63, 49], lighter: 0.5)
  static let blond = TintColour(.hair, having: [138, 110, 82], lacking: [57, 43, 35], lighter: 0.75)
  static let brown = TintColour(.hair, having: [74, 50, 37], lacking: [67, 53, 44], lighter: 0.5)
  static let gray = TintColour(.hair, having: [123, 108, 97], lacking: [67, 51, 41], lighter: 0.5)
  static let pale = TintColour(.skin, having: [208, 178, 164], lacking: [189, 139, 114], lighter: 0.25)

  /// Gray as it comes with age: what is all black has no strands that could show.
  static let graying: TintColour = {
    var colour = gray
    colour.mostTimes = 2
    return colour
  }()

  /// A colour farther from other hair or skin than the mean is, for what has the mean colour leaves many who look at it in doubt.
  private init(_ part: ColouredPart, having: SIMD3<Float>, lacking: SIMD3<Float>, lighter: Float) {
    self.part = part
    self.lacking = lacking / 255
    switch part {
    case .hair:  // In light alone: its hue would become garish.
      self.having = having * (1 + lighter * (having.luma - lacking.luma) / having.luma) / 255
    case .skin:  // Farther in hue it would be gray.
      let farther = having + 0.7 * (having - lacking)
      self.having = farther * (1 + lighter * (having.luma - lacking.luma) / farther.luma) / 255
    }
  }

  /// The same colour in a photo whose skin has a colour of its own: hair is seen in the light that skin is seen in.
  func beside(skin: SIMD3<Float>) -> TintColour {
    let light = ((skin + darkFloor) / (Self.usualSkin + darkFloor)).raised(to: .init(repeating: Self.sharedHue))
    var lit = self
    lit.having *= light * (having.luma / (having * light).luma)
    lit.lacking *= light * (lacking.luma / (lacking * light).luma)
    return lit
  }

  /// What a colour becomes.
  /// - Parameters:
  ///   - colour: of the part as it is.
  ///   - strength: 1 for the colour that is named, −1 for the others'; what is not of the colour cannot lose it.
  func applied(to colour: SIMD3<Float>, strength: Float) -> SIMD3<Float> {
    let target = strength > 0 ? having : lacking
    var change = target - colour
    // The part of the way from one kind to the other that is left, 1 for hair of the other kind.
    let rest = part(of: change)
    if strength < 0 { change *= min(1, max(0, -2 * rest)) }
    // Hair that is lighter than blond, or darker than black, stays so.
    if strength > 0, rest < 0 { change -= rest * (having - lacking) }
    change *= min(Self.farthest, abs(strength))
    if change.luma > 0 { change *= min(1, (mostTimes - 1) * (colour.luma + darkFloor) / change.luma) }
    return (colour + change).clamped(lowerBound: .zero, upperBound: .one)
  }

  /// How much of the way from other hair or skin to this a change of colours is; negative the other way.
  func part(of change: SIMD3<Float>) -> Float {
    let way = having - lacking
    return (change * way).sum() / (way * way).sum()
  }

  private static let usualSkin = pale.lacking
  /// How much of what is unusual in the hue of skin the light does, and so is in that of hair: in photos with a label, the
  /// logarithms of hair's and skin's ratios of colours go together by slopes of 0.3 to 0.7.
  private static let sharedHue: Float = 0.3

  /// The strength from which on no colour changes further.
  private static let farthest: Float = 1.5
}

/// The luma under which there is little but noise.
let darkFloor: Float = 0.03

extension SIMD3<Float> {
  /// Of Rec. 709, of gamma-corrected colours.
  var luma: Float { (self * [0.2126, 0.7152, 0.0722]).sum() }

  /// Each to a power of its own.
  func raised(to exponents: SIMD3<Float>) -> SIMD3<Float> {
    SIMD3(pow(x, exponents.x), pow(y, exponents.y), pow(z, exponents.z))
  }

  /// The natural logarithm of each.
  var logarithm: SIMD3<Float> { SIMD3(log(x), log(y), log(z)) }
}

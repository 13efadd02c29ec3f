import Foundation
import Photo
import Torch

/// Gives the skin of a face another colour.
struct SkinTint: Edit {
  static let stage = EditStage.skin

  /// Strength 1 gives the colour, −1 that of others; one after the other.
  private var tints: [(colour: SkinColour, strength: Double)]

  init(_ colour: SkinColour, _ strength: Double) { tints = [(colour, strength)] }

  mutating func add(_ other: SkinTint) { tints += other.tints }

  func apply(to canvas: inout Canvas) throws {
    let face = canvas.face
    var skin = try face.surroundings.skin(of: face, by: canvas.tools.observer)
    // What was behind glasses is skin, and as light.
    for layer in canvas.layers { skin = skin.changed { face.alignment.apply(layer, to: &$0, in: .surroundings) } }
    guard let tinted = skin.tinted(tints) else { return }
    try canvas.lay(Layer(extent: .surroundings, content: .change(tinted)))
  }
}

/// A colour of skin that a label names: what that looks like in photos with the label, and in others.
struct SkinColour: Sendable {
  /// Red, green and blue, 0…1 in sRGB.
  let having, lacking: SIMD3<Float>

  /// Means over the skin of CelebA's training photos, as `Benchmarks/run tints` measures them; farther from other skin, for what has
  /// the mean colour leaves many who look at it in doubt: by 0.7 of the way in hue, where more would be gray, and by a quarter in light.
  static let pale: SkinColour = {
    let (pale, other) = (SIMD3<Float>(208, 178, 164), SIMD3<Float>(189, 139, 114))
    let farther = pale + 0.7 * (pale - other)
    return SkinColour(
      having: farther * (1 + 0.25 * (pale.luma - other.luma) / farther.luma) / 255, lacking: other / 255)
  }()

  /// What a colour becomes.
  /// - Parameters:
  ///   - colour: of the skin as it is.
  ///   - strength: 1 for the colour that is named, −1 for the others'; what is not of the colour cannot lose it.
  func applied(to colour: SIMD3<Float>, strength: Float) -> SIMD3<Float> {
    let target = strength > 0 ? having : lacking
    var change = target - colour
    // The part of the way from one kind to the other that is left, 1 for skin of the other kind.
    let rest = part(of: change)
    if strength < 0 { change *= min(1, max(0, -2 * rest)) }
    // Skin that is lighter than pale stays so.
    if strength > 0, rest < 0 { change -= rest * (having - lacking) }
    return (colour + change * min(Self.farthest, abs(strength))).clamped(lowerBound: .zero, upperBound: .one)
  }

  /// How much of the way from other skin to this a change of colours is; negative the other way.
  func part(of change: SIMD3<Float>) -> Float {
    let way = having - lacking
    return (change * way).sum() / (way * way).sum()
  }

  /// The strength from which on no colour changes further.
  private static let farthest: Float = 1.5
}

/// Where skin is around a face, and its colour.
struct SkinRegion: Sendable {
  /// The face and what is around it, as ``FaceAlignment/surroundings(size:)`` cuts it out.
  private var picture: Picture
  /// Which part of each pixel of it is skin: grey, 255 for all of it.
  let coverage: Picture
  /// The mean colour of what is surely skin; `nil` where there is too little.
  let colour: SIMD3<Float>?

  /// - Parameters:
  ///   - picture: three channels, square.
  ///   - coverage: the part of each pixel that is skin, 0…1.
  init(in picture: Picture, coverage: [Float]) {
    self.picture = picture
    self.coverage = Picture(
      FloatPicture(width: picture.width, height: picture.height, channels: 1, values: coverage))
    var (sum, count) = (SIMD3<Float>.zero, 0)
    for (i, part) in coverage.enumerated() where part > 0.9 {
      sum += picture.colour(i)
      count += 1
    }
    colour = Double(count) > Self.least * Double(coverage.count) ? sum / Float(count) : nil
  }

  private static let least = 0.002

  var byteCount: Int { picture.pixels.count + coverage.pixels.count }

  /// The same region in a picture that was changed since it was found.
  func changed(_ change: (inout Picture) -> Void) -> SkinRegion {
    var copy = self
    change(&copy.picture)
    return copy
  }

  /// The skin in other colours, its light and shade kept: a patch as ``FaceChange`` has them.
  /// - Parameter tints: what is asked, one after the other.
  /// - Returns: `nil` where nothing changes.
  func tinted(_ tints: [(colour: SkinColour, strength: Double)]) -> FloatPicture? {
    guard let colour, let last = tints.last?.colour else { return nil }
    let target = tints.reduce(colour) { $1.colour.applied(to: $0, strength: Float($1.strength)) }
    if target == colour { return nil }
    let shade = SkinShade(from: colour, to: target, amount: min(1, abs(last.part(of: target - colour))))
    var values = [Float](repeating: 0, count: coverage.pixels.count * 4)
    for (i, covered) in coverage.pixels.enumerated() where covered > 0 {
      let part = Float(covered) / 255
      let own = picture.colour(i)
      let (becomes, slope) = shade(own)
      // What the photo has finer than this picture comes along with the slope.
      let offset = part * (becomes - own - (slope - 1) * own)
      for c in 0..<3 { values[i * 4 + c] = offset[c] }
      values[i * 4 + 3] = part * (slope - 1)
    }
    return FloatPicture(width: picture.width, height: picture.height, channels: 4, values: values)
  }
}

/// Light and hue of skin by themselves: the light follows a curve that leaves highlights and what is much darker than skin, such
/// as nostrils and stubble, where they are; the hue goes as far as it is that of skin.
private struct SkinShade {
  private let own, target, hue: SIMD3<Float>
  private let amount, exponent: Float

  /// - Parameter amount: how much of the way from other skin to the label's it is, 0…1.
  init(from colour: SIMD3<Float>, to target: SIMD3<Float>, amount: Float) {
    (own, self.target, self.amount) = (colour, target, amount)
    hue = colour - SIMD3(repeating: colour.luma)
    // Pale skin is lit evenly.
    exponent = target.luma > colour.luma ? 1 - 0.5 * amount : 1
  }

  func callAsFunction(_ colour: SIMD3<Float>) -> (becomes: SIMD3<Float>, slope: Float) {
    let luma = colour.luma
    let ratio = max(0, luma + darkFloor) / (own.luma + darkFloor)
    let steepening = target.luma > own.luma && ratio < Self.dark ? Self.darkening * amount : 0
    var light = (target.luma + darkFloor) * pow(ratio, exponent) * pow(ratio / Self.dark, steepening) - darkFloor
    var slope = (exponent + steepening) * (light + darkFloor) / (luma + darkFloor)
    if light > target.luma {
      let room = max(0.01, Self.brightest - target.luma)
      let share = exp(-(light - target.luma) / room)
      light += amount * (target.luma + room * (1 - share) - light)
      slope *= 1 + amount * (share - 1)
    }
    if target.luma > own.luma, light < luma { (light, slope) = (luma, 1) }
    let chroma = colour - SIMD3(repeating: luma)
    let isSkin = min(1, max(0, (chroma * hue).sum() / max((hue * hue).sum(), 1e-4)))
    let shown = isSkin + amount * (min(1, light / max(target.luma, 0.02)) - isSkin)
    let becomes = SIMD3(repeating: light) + (1 - 0.5 * amount) * (chroma - hue * isSkin)
      + shown * (target - SIMD3(repeating: target.luma))
    return (becomes, min(2, slope))
  }

  /// The part of the skin's own light under which something is hair, a nostril or a line.
  private static let dark: Float = 0.4
  /// The exponent that holds such things dark.
  private static let darkening: Float = 0.7
  /// The luma that highlights bend towards.
  private static let brightest: Float = 0.97
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

extension Picture {
  /// The colour of a pixel by its number, 0…1.
  func colour(_ pixel: Int) -> SIMD3<Float> {
    SIMD3(Float(pixels[pixel * 3]), Float(pixels[pixel * 3 + 1]), Float(pixels[pixel * 3 + 2])) / 255
  }
}

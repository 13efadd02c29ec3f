import Foundation
import Photo
import Synchronization

/// A part of a person that takes on a colour by itself.
enum ColouredPart: Sendable {
  case hair, skin
}

/// A colour of hair or skin that a label names: what that looks like in photos with the label, and in others.
struct PartColour: Sendable {
  let part: ColouredPart
  /// Red, green and blue, 0…1 in sRGB.
  let having: SIMD3<Float>
  let lacking: SIMD3<Float>
  /// How many times as light it makes anything at most: what is all black has no strands that could show.
  var mostTimes = Float.infinity

  /// Means over the hair and the skin of CelebA's training photos, as `Benchmarks/run tints` measures them, of 255.
  private static let measured: [String: (part: ColouredPart, having: SIMD3<Float>, lacking: SIMD3<Float>)] = [
    "Black_Hair": (.hair, [32, 27, 25], [84, 63, 49]),
    "Blond_Hair": (.hair, [138, 110, 82], [57, 43, 35]),
    "Brown_Hair": (.hair, [74, 50, 37], [67, 53, 44]),
    "Gray_Hair": (.hair, [123, 108, 97], [67, 51, 41]),
    "Pale_Skin": (.skin, [208, 178, 164], [189, 139, 114]),
  ]
  /// The colour that a label names, if it does: farther from other hair or skin than the mean is by a part of that way.
  /// What has the mean colour leaves many who look at it in doubt.
  init?(_ label: String) {
    guard let (part, having, lacking) = Self.measured[label] else { return nil }
    self.part = part
    self.lacking = lacking / 255
    switch part {
    case .hair:  // In light alone: its hue would become garish.
      self.having = having * (1 + (having.luma - lacking.luma) / 2 / having.luma) / 255
    case .skin:  // Farther in hue it would be gray.
      let farther = having + 0.7 * (having - lacking)
      self.having = farther * (1 + (having.luma - lacking.luma) / 4 / farther.luma) / 255
    }
  }

  /// What age does to hair on the side: how much of which label's colour.
  static let graying = (label: "Gray_Hair", colour: gray, part: 0.45)

  private static let gray: PartColour = {
    var gray = PartColour("Gray_Hair")!
    gray.mostTimes = 2
    return gray
  }()

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
    if change.luma > 0 { change *= min(1, (mostTimes - 1) * (colour.luma + noise) / change.luma) }
    return (colour + change).clamped(lowerBound: .zero, upperBound: .one)
  }

  /// How much of the way from other hair or skin to this a change of colours is; negative the other way.
  func part(of change: SIMD3<Float>) -> Float {
    let way = having - lacking
    return (change * way).sum() / (way * way).sum()
  }

  /// The strength from which on no colour changes further.
  private static let farthest: Float = 1.5
}

/// Where hair or skin is around a face, and its colour.
struct PartRegion: Sendable {
  /// The face and what is around it, as ``FaceAlignment/surroundings(size:)`` cuts it out.
  private let picture: Picture
  /// Which part of each pixel of it is of the region: grey, 255 for all of it.
  let coverage: Picture
  /// The mean colour of what is surely of it; `nil` where there is too little.
  private let colour: SIMD3<Float>?

  /// - Parameters:
  ///   - picture: three channels.
  ///   - coverage: the part of each pixel that is of the region, 0…1.
  init(in picture: Picture, coverage: [Float]) {
    self.picture = picture
    self.coverage = Picture(
      FloatPicture(width: picture.width, height: picture.height, channels: 1, values: coverage))
    var (sum, count) = (SIMD3<Float>.zero, 0)
    for (i, part) in coverage.enumerated() where part > 0.9 {
      sum += picture.colour(i)
      count += 1
    }
    colour = count * 200 > coverage.count ? sum / Float(count) : nil
  }

  /// The region in other colours, its light and shade kept: a patch as ``FaceChange`` has them.
  /// - Parameter tints: what is asked of this part, one after the other.
  /// - Returns: `nil` where nothing changes.
  func tinted(_ tints: [(colour: PartColour, strength: Double)]) -> FloatPicture? {
    guard let colour, let last = tints.last?.colour else { return nil }
    let target = tints.reduce(colour) { $1.colour.applied(to: $0, strength: Float($1.strength)) }
    if target == colour { return nil }
    let shade: Shade =
      switch last.part {
      case .hair: HairShade(from: colour, to: target)
      case .skin: SkinShade(from: colour, to: target, amount: min(1, abs(last.part(of: target - colour))))
      }
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

/// What each colour of a part becomes as its mean colour becomes another.
private protocol Shade {
  /// - Returns: the colour, and how steep it is in the light of the old one.
  func callAsFunction(_ own: SIMD3<Float>) -> (becomes: SIMD3<Float>, slope: Float)
}

private struct HairShade: Shade {
  private let colour, target: SIMD3<Float>
  private let contrast: Float
  private let isLightened: Bool

  init(from colour: SIMD3<Float>, to target: SIMD3<Float>) {
    (self.colour, self.target) = (colour, target)
    // Dark hair has little contrast, light hair more.
    contrast = min(2, max(0.5, (target.luma / max(colour.luma, 0.02)).squareRoot()))
    isLightened = target.luma > colour.luma
  }

  func callAsFunction(_ own: SIMD3<Float>) -> (becomes: SIMD3<Float>, slope: Float) {
    let light = (own - colour).luma
    var hue = own - colour - SIMD3(repeating: light)
    // What shines, and skin between strands, is light already.
    let amount = isLightened ? min(1, max(0, (Self.brightest - own.luma) / (Self.brightest - colour.luma))) : 1
    var (lit, steepness) = (target + SIMD3(repeating: contrast * light), contrast)
    if isLightened, light < 0 {
      // Shadows keep their part of the light, as far as there is some: black stays dark, and shows no noise.
      let share = max(0.05, (own.luma + noise) / (colour.luma + noise)).squareRoot()
      lit = target * share
      hue = own - colour * (own.luma / max(colour.luma, 0.02))
      steepness = min(2, target.luma / (2 * (colour.luma + noise) * share))
    }
    return (own + amount * (lit + Self.keptHue * hue - own), 1 + amount * (steepness - 1))
  }

  /// How much of its differences in hue hair keeps: what shines red or green in one colour does not in another.
  private static let keptHue: Float = 0.4
  /// The luma that no lightening goes near; hair of the colours here is darker.
  private static let brightest: Float = 0.9
}

/// Light and hue of skin by themselves: the light follows a curve that leaves highlights and what is much darker than skin, such
/// as nostrils and stubble, where they are; the hue goes as far as it is that of skin.
private struct SkinShade: Shade {
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
    let ratio = max(0, luma + noise) / (own.luma + noise)
    let steepening = target.luma > own.luma && ratio < Self.dark ? Self.darkening * amount : 0
    var light = (target.luma + noise) * pow(ratio, exponent) * pow(ratio / Self.dark, steepening) - noise
    var slope = (exponent + steepening) * (light + noise) / (luma + noise)
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
private let noise: Float = 0.03

/// The photo around a face until somebody asks for the hair and skin there, and then these.
final class Surroundings: Sendable {
  typealias Regions = (hair: PartRegion, skin: PartRegion)

  private enum State {
    case photo(Picture)
    case regions(Regions)
  }

  private let alignment: FaceAlignment
  private let state: Mutex<State>

  /// The side of the picture that hair and skin are looked for in, in pixels.
  static let size = 256

  /// - Parameters:
  ///   - photo: three channels.
  ///   - alignment: where the face is.
  init(_ photo: Picture, _ alignment: FaceAlignment) {
    self.alignment = alignment
    state = Mutex(.photo(photo))
  }

  /// How much of each pixel is of a region or near it, 0…1: all of it inside, less and less outside.
  /// - Parameters:
  ///   - region: the same of the region, of a square picture.
  ///   - reach: where nothing is left, in pixels from its border.
  static func near(_ region: [Float], reach: Int) -> [Float] {
    let width = Int(Double(region.count).squareRoot())
    var near = region
    var border = region.indices.filter { region[$0] > 0.5 }
    var isReached = region.map { $0 > 0.5 }
    for distance in 1..<reach {
      let rest = 1 - (Float(distance) / Float(reach)).smoothStep(from: 0, to: 1)
      var next: [Int] = []
      for place in border {
        let column = place % width
        for other in [place - width, place + width, column > 0 ? place - 1 : -1, column + 1 < width ? place + 1 : -1]
        where region.indices.contains(other) && !isReached[other] {
          isReached[other] = true
          near[other] = max(region[other], rest)
          next.append(other)
        }
      }
      border = next
    }
    return near
  }

  /// Hair and skin, found by the first call.
  func regions(_ find: (Picture) throws -> (hair: [Float], skin: [Float])) rethrows -> Regions {
    try state.withLock { state in
      switch state {
      case .regions(let regions): return regions
      case .photo(let photo):
        let picture = photo.warped(by: alignment.surroundings(size: Self.size), to: (Self.size, Self.size))
        let found = try find(picture)
        let regions = (PartRegion(in: picture, coverage: found.hair), PartRegion(in: picture, coverage: found.skin))
        state = .regions(regions)
        return regions
      }
    }
  }
}

extension Picture {
  /// The colour of a pixel by its number, 0…1.
  fileprivate func colour(_ pixel: Int) -> SIMD3<Float> {
    SIMD3(Float(pixels[pixel * 3]), Float(pixels[pixel * 3 + 1]), Float(pixels[pixel * 3 + 2])) / 255
  }
}

extension SIMD3<Float> {
  /// Of Rec. 709, of gamma-corrected colours.
  fileprivate var luma: Float { (self * [0.2126, 0.7152, 0.0722]).sum() }
}

import Foundation
import Photo
import Synchronization
import Torch

/// Where hair or skin is around a face, and its colour.
struct TintedRegion: Sendable {
  /// The face and what is around it, as ``FaceAlignment/surroundings(size:)`` cuts it out.
  private var picture: Picture
  /// Which part of each pixel of it is of the region: grey, 255 for all of it.
  let coverage: Picture
  /// The mean colour of what is surely of it; `nil` where there is too little.
  private let colour: SIMD3<Float>?
  /// The skin beside each pixel: the luma it has there, and how near it is, 0…1.
  private let beside: [Neighbour]
  /// The colour of the skin beside it, where that is known.
  private let skin: SIMD3<Float>?

  /// - Parameters:
  ///   - picture: three channels, square.
  ///   - coverage: the part of each pixel that is of the region, 0…1.
  ///   - skin: the skin in the same picture, where the region is the hair beside it.
  init(in picture: Picture, coverage: [Float], beside skin: TintedRegion? = nil) throws {
    self.picture = picture
    self.skin = skin?.colour
    beside = try skin?.neighbours() ?? [Neighbour](repeating: (0, 0), count: coverage.count)
    self.coverage = Picture(
      FloatPicture(width: picture.width, height: picture.height, channels: 1, values: coverage))
    var (sum, count) = (SIMD3<Float>.zero, 0)
    for (i, part) in coverage.enumerated() where part > 0.9 {
      sum += picture.colour(i)
      count += 1
    }
    colour = count * 200 > coverage.count ? sum / Float(count) : nil
  }

  /// For each pixel what of the region is near it.
  private func neighbours() throws -> [Neighbour] {
    let parts = coverage.pixels.map { Float($0) / 255 }
    let lumas = parts.indices.map { parts[$0] * picture.colour($0).luma }
    let blurred = try Tensor(lumas + parts, shape: [1, 2, picture.height, picture.width]).blurred(sigma: Self.reach)
      .array(Float.self)
    return parts.indices.map {
      let near = blurred[parts.count + $0]
      return (blurred[$0] / max(near, 1e-3), min(1, 4 * near))
    }
  }

  var byteCount: Int { picture.pixels.count + coverage.pixels.count + beside.count * MemoryLayout<Neighbour>.stride }

  /// The same region in a picture that was changed since it was found.
  func changed(_ change: (inout Picture) -> Void) -> TintedRegion {
    var copy = self
    change(&copy.picture)
    return copy
  }

  /// How soft a hairline is, in pixels.
  private static let reach = 4.0

  /// The region in other colours, its light and shade kept: a patch as ``FaceChange`` has them.
  /// - Parameter tints: what is asked of this part, one after the other.
  /// - Returns: `nil` where nothing changes.
  func tinted(_ tints: [(colour: TintColour, strength: Double)]) -> FloatPicture? {
    guard let colour, let last = tints.last?.colour else { return nil }
    let target = tints.reduce(colour) { colour, tint in
      (skin.map(tint.colour.beside) ?? tint.colour).applied(to: colour, strength: Float(tint.strength))
    }
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
      let (becomes, slope) = shade(own, beside: beside[i])
      // What the photo has finer than this picture comes along with the slope.
      let offset = part * (becomes - own - (slope - 1) * own)
      for c in 0..<3 { values[i * 4 + c] = offset[c] }
      values[i * 4 + 3] = part * (slope - 1)
    }
    return FloatPicture(width: picture.width, height: picture.height, channels: 4, values: values)
  }
}

private typealias Neighbour = (luma: Float, nearness: Float)

/// What each colour of a part becomes as its mean colour becomes another.
private protocol Shade {
  /// - Parameter skin: what skin is near that place, where the part is hair.
  /// - Returns: the colour, and how steep it is in the light of the old one.
  func callAsFunction(_ own: SIMD3<Float>, beside skin: Neighbour) -> (becomes: SIMD3<Float>, slope: Float)
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

  func callAsFunction(_ own: SIMD3<Float>, beside skin: Neighbour) -> (becomes: SIMD3<Float>, slope: Float) {
    let light = (own - colour).luma
    var hue = own - colour - SIMD3(repeating: light)
    // What shines, and skin between strands, is light already; beside skin all that is lighter than hair is skin in part.
    let hairline = skin.nearness * (skin.luma - colour.luma).smoothStep(from: 0.05, to: 0.15)
    let limit = Self.brightest + hairline * (min(Self.brightest, skin.luma) - Self.brightest)
    let contrast = contrast + hairline * (min(1, contrast) - contrast)
    let amount = isLightened ? min(1, max(0, (limit - own.luma) / max(0.05, limit - colour.luma))) : 1
    var (lit, steepness) = (target + SIMD3(repeating: contrast * light), contrast)
    if isLightened, light < 0 {
      // Shadows keep their part of the light, as far as there is some: black stays dark, and shows no noise.
      let share = max(0.05, (own.luma + darkFloor) / (colour.luma + darkFloor))
      lit = target * SIMD3(repeating: share).raised(to: Self.shading)
      hue = own - colour * (own.luma / max(colour.luma, 0.02))
      steepness = min(2, Self.shading.y * lit.luma / (own.luma + darkFloor))
    }
    return (own + amount * (lit + Self.keptHue * hue - own), 1 + amount * (steepness - 1))
  }

  /// How much of its differences in hue hair keeps: what shines red or green in one colour does not in another.
  private static let keptHue: Float = 0.4
  /// The luma that no lightening goes near; hair of the colours here is darker.
  private static let brightest: Float = 0.9
  /// How steep shadows are for those of the hair that there was, in red, green and blue: in shade light hair is redder.
  private static let shading: SIMD3<Float> = [0.56, 0.72, 0.87]
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

  func callAsFunction(_ colour: SIMD3<Float>, beside skin: Neighbour) -> (becomes: SIMD3<Float>, slope: Float) {
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

/// The photo around a face until somebody asks for the hair and skin there, and then these.
final class Surroundings: Sendable {
  typealias Regions = (hair: TintedRegion, skin: TintedRegion)

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
  func regions(_ find: (Picture) throws -> (hair: [Float], skin: [Float])) throws -> Regions {
    try state.withLock { state in
      switch state {
      case .regions(let regions): return regions
      case .photo(let photo):
        let picture = photo.warped(by: alignment.surroundings(size: Self.size), to: (Self.size, Self.size))
        let found = try find(picture)
        let skin = try TintedRegion(in: picture, coverage: found.skin)
        let regions = (hair: try TintedRegion(in: picture, coverage: found.hair, beside: skin), skin: skin)
        state = .regions(regions)
        return regions
      }
    }
  }

  /// Finds hair and skin around a face, the part of each pixel, 0…1.
  static func find(
    in picture: Picture, around face: EncodedFace, by observer: FaceObserver
  ) throws -> (hair: [Float], skin: [Float]) {
    let found = try observer.hairAndSkin(in: picture)
    // The parser may take what is dark behind a head for hair, the model's own mask does not; it ends where the crop does, and goes on
    // there as it is at the border.
    let mask = try Picture(FloatPicture(face.reconstruction.mask))
    let place = face.alignment.transform(size: mask.width).inverse
    let wide = mask.warped(
      by: place.then(face.alignment.surroundings(size: picture.width)), to: (picture.width, picture.height))
    let own = wide.pixels.map { (Float($0) / 255).smoothStep(from: 0.75, to: 1) }
    let hair = zip(found.hair, own).map { $0.smoothStep(from: 0.2, to: 0.5) * $1 }
    // Skin of the face alone, but with no edge along the jaw.
    let near = near(own, reach: 11)
    return (hair, zip(found.skin, near).map { $0 * $1 })
  }

  /// The bytes of hair and skin, once they were found; the photo is its owner's.
  var byteCount: Int {
    state.withLock { state in
      switch state {
      case .photo: 0
      case .regions(let regions): regions.hair.byteCount + regions.skin.byteCount
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

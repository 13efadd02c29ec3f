import Photo
import Synchronization

/// A colour of hair that a label names: what hair of that label looks like in photos, and other hair.
struct HairColour: Sendable {
  /// Red, green and blue, 0…1 in sRGB.
  let having: SIMD3<Float>
  let lacking: SIMD3<Float>

  /// Means over the hair of CelebA's training photos, as `Benchmarks/run hair` measures them, as parts of 255.
  private static let measured: [String: (having: SIMD3<Float>, lacking: SIMD3<Float>)] = [
    "Black_Hair": ([32, 27, 25], [84, 63, 49]),
    "Blond_Hair": ([138, 110, 82], [57, 43, 35]),
    "Brown_Hair": ([74, 50, 37], [67, 53, 44]),
    "Gray_Hair": ([123, 108, 97], [67, 51, 41]),
  ]
  /// The colour that a label names, if it does: of the mean's hue, and lighter or darker than that by half of what it
  /// is than other hair. Hair of the mean colour leaves many who look at it in doubt.
  init?(_ label: String) {
    guard let (having, lacking) = Self.measured[label] else { return nil }
    let luma = having.luma + (having.luma - lacking.luma) / 2
    self.having = having * (luma / having.luma) / 255
    self.lacking = lacking / 255
  }

  /// What a colour becomes.
  /// - Parameters:
  ///   - colour: of the hair as it is.
  ///   - strength: 1 for the colour that is named, −1 for the others'; hair that is not of the colour cannot lose it.
  func applied(to colour: SIMD3<Float>, strength: Float) -> SIMD3<Float> {
    let target = strength > 0 ? having : lacking
    let way = target - (strength > 0 ? lacking : having)
    var change = target - colour
    // The part of the way from one kind to the other that is left, 1 for hair of the other kind.
    let rest = (change * way).sum() / (way * way).sum()
    if strength < 0 { change *= min(1, max(0, 2 * rest)) }
    // Hair that is lighter than blond, or darker than black, stays so.
    if strength > 0, rest < 0 { change -= rest * way }
    let part = min(Self.farthest, abs(strength))
    return (colour + part * change).clamped(lowerBound: .zero, upperBound: .one)
  }

  /// The strength from which on no colour changes further.
  private static let farthest: Float = 1.5
}

/// Where the hair around a face is, and its colour.
struct Hair: Sendable {
  /// The face and what is around it, as ``FaceAlignment/surroundings(size:)`` cuts it out.
  private let picture: Picture
  /// Which part of each pixel of it is hair: grey, 255 for all of it.
  let coverage: Picture
  /// The mean colour of what is surely hair; `nil` where there is too little.
  private let colour: SIMD3<Float>?

  /// - Parameters:
  ///   - picture: three channels.
  ///   - coverage: the part of each pixel that is hair, 0…1.
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

  /// Hair in other colours, its light and shade kept: a patch as ``FaceChange`` has them.
  /// - Parameter tints: what is asked, one after the other.
  /// - Returns: `nil` where nothing changes.
  func tinted(_ tints: [(colour: HairColour, strength: Double)]) -> FloatPicture? {
    guard let colour, !tints.isEmpty else { return nil }
    let target = tints.reduce(colour) { $1.colour.applied(to: $0, strength: Float($1.strength)) }
    if target == colour { return nil }
    // Dark hair has little contrast, light hair more.
    let contrast = min(2, max(0.5, (target.luma / max(colour.luma, 0.02)).squareRoot()))
    let isLightened = target.luma > colour.luma
    var values = [Float](repeating: 0, count: coverage.pixels.count * 4)
    for (i, covered) in coverage.pixels.enumerated() where covered > 0 {
      let part = Float(covered) / 255
      let own = picture.colour(i)
      let light = (own - colour).luma
      var hue = own - colour - SIMD3(repeating: light)
      // What shines, and skin between strands, is light already.
      let amount = isLightened ? min(1, max(0, (Self.brightest - own.luma) / (Self.brightest - colour.luma))) : 1
      var (lit, steepness) = (target + SIMD3(repeating: contrast * light), contrast)
      if isLightened, light < 0 {
        // Shadows keep their part of the light, as far as there is some: black stays dark, and shows no noise.
        let share = max(0.05, (own.luma + Self.noise) / (colour.luma + Self.noise)).squareRoot()
        lit = target * share
        hue = own - colour * (own.luma / max(colour.luma, 0.02))
        steepness = min(2, target.luma / (2 * (colour.luma + Self.noise) * share))
      }
      let change = lit + Self.keptHue * hue - own
      // What the photo has finer than this picture comes along with the slope.
      let slope = amount * (steepness - 1)
      let offset = part * (amount * change - slope * own)
      for c in 0..<3 { values[i * 4 + c] = offset[c] }
      values[i * 4 + 3] = part * slope
    }
    return FloatPicture(width: picture.width, height: picture.height, channels: 4, values: values)
  }

  /// The luma under which there is little but noise.
  private static let noise: Float = 0.03
  /// How much of its differences in hue hair keeps: what shines red or green in one colour does not in another.
  private static let keptHue: Float = 0.4
  /// The luma that no lightening goes near; hair of the colours here is darker.
  private static let brightest: Float = 0.9
}

/// The photo around a face until somebody asks for the hair there, and then the hair.
final class Surroundings: Sendable {
  private enum State {
    case photo(Picture)
    case hair(Hair)
  }

  private let alignment: FaceAlignment
  private let state: Mutex<State>

  /// The side of the picture that hair is looked for in, in pixels.
  static let size = 256

  /// - Parameters:
  ///   - photo: three channels.
  ///   - alignment: where the face is.
  init(_ photo: Picture, _ alignment: FaceAlignment) {
    self.alignment = alignment
    state = Mutex(.photo(photo))
  }

  /// The hair, found by the first call.
  func hair(_ find: (Picture) throws -> [Float]) rethrows -> Hair {
    try state.withLock { state in
      switch state {
      case .hair(let hair): return hair
      case .photo(let photo):
        let picture = photo.warped(by: alignment.surroundings(size: Self.size), to: (Self.size, Self.size))
        let hair = Hair(in: picture, coverage: try find(picture))
        state = .hair(hair)
        return hair
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

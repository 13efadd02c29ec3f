import Photo
import Torch

/// The photo around a face, and what is found there when somebody first asks: hair and skin.
final class Surroundings: Sendable {
  private let photo: Picture
  private let alignment: FaceAlignment
  private let fine = Lazy<Picture>()
  private let sharp = Lazy<Picture>()
  private let parsed = Lazy<Parsed>()
  private let foundSkin = Lazy<SkinRegion>()
  private let foundHair = Lazy<HeadHair?>()

  /// The picture that is parsed, and the part of each pixel that is hair, skin, and neither hair nor background, 0…1.
  private struct Parsed: Sendable {
    let picture: Picture
    let hair, skin, other: [Float]
  }

  /// The side of the picture that is parsed, in pixels.
  static let size = 416
  /// The largest side of the picture that hair is cut out of, in pixels.
  private static let finest = 768.0

  /// - Parameters:
  ///   - photo: three channels.
  ///   - alignment: where the face is.
  init(_ photo: Picture, _ alignment: FaceAlignment) { (self.photo, self.alignment) = (photo, alignment) }

  /// The skin, with no edge along the jaw.
  /// - Throws: ``BundleError`` where the parser is damaged.
  func skin(of face: EncodedFace, by observer: FaceObserver) throws -> SkinRegion {
    try foundSkin {
      let parsed = try parsed(of: face, by: observer)
      return SkinRegion(in: parsed.picture, coverage: parsed.skin)
    }
  }

  /// The hair; `nil` where there is none to speak of.
  /// - Throws: ``BundleError`` where the parser is damaged.
  func hair(of face: EncodedFace, by observer: FaceObserver) throws -> HeadHair? {
    try foundHair {
      let parsed = try parsed(of: face, by: observer)
      let side = side
      func enlarged(_ plane: [Float]) -> [Float] {
        Picture(FloatPicture(width: Self.size, height: Self.size, channels: 1, values: plane)).resized(to: (side, side))
          .pixels.map { Float($0) / 255 }
      }
      return HeadHair(
        in: finePicture, hair: enlarged(parsed.hair), other: enlarged(parsed.other),
        cropSide: Double(side) / FaceAlignment.surroundings.side,
        skin: SkinRegion(in: parsed.picture, coverage: parsed.skin).colour)
    }
  }

  /// The face cut out, kept for drawings of the size that was asked for first: a large photo takes long.
  /// - Parameter size: its side, in pixels.
  func crop(size: Int) -> Picture {
    let kept = sharp { alignment.crop(photo, size: size) }
    return kept.width == size ? kept : alignment.crop(photo, size: size)
  }

  /// The side of the picture that hair is cut out of: the photo's own, within bounds.
  private var side: Int { Int(min(Self.finest, max(64, alignment.side * FaceAlignment.surroundings.side)).rounded()) }

  private var finePicture: Picture { fine { picture(side: side) } }

  private func picture(side: Int) -> Picture { photo.warped(by: alignment.surroundings(size: side), to: (side, side)) }

  private func parsed(of face: EncodedFace, by observer: FaceObserver) throws -> Parsed {
    try parsed {
      // To reduce a large photo takes long: once is enough.
      let picture = side > Self.size ? finePicture.resized(to: (Self.size, Self.size)) : picture(side: Self.size)
      let found = try observer.surroundings(in: picture)
      // The parser may take what is dark behind a head for hair, the model's own mask does not. It ends where the crop does.
      let mask = try Picture(FloatPicture(face.reconstruction.mask))
      let place = alignment.transform(size: mask.width).inverse
      let wide = mask.warped(by: place.then(alignment.surroundings(size: Self.size)), to: (Self.size, Self.size))
      let own = wide.pixels.map { (Float($0) / 255).smoothStep(from: 0.75, to: 1) }
      let near = Self.near(own, reach: 11)
      let hair = found.hair.indices.map { i -> Float in
        // White hair looks like background to the parser; the mask tells heads from background, and not hair from faces.
        let head = min(Self.mostTrusted, max(1 - Self.mostTrusted, Float(wide.pixels[i]) / 255))
        let (hair, background) = (found.hair[i] * head, max(0, 1 - found.hair[i] - found.other[i]) * (1 - head))
        return ((1 - found.other[i]) * hair / max(1e-6, hair + background)).smoothStep(from: 0.2, to: 0.6)
      }
      // The model's mask leaves out white hair that the parser is sure of.
      let within = zip(own, found.hair).map { max($0, $1.smoothStep(from: 0.85, to: 0.98)) }
      return Parsed(
        picture: picture, hair: Self.ownHair(hair, in: picture, within: within, crop: Self.crop),
        skin: zip(found.skin, near).map { $0 * $1 }, other: found.other)
    }
  }

  /// The mask's probabilities count up to this one.
  private static let mostTrusted: Float = 0.9

  /// Rows and columns of the crop.
  private static let crop: (rows: Range<Int>, columns: Range<Int>) = {
    func range(_ start: Double) -> Range<Int> {
      let unit = Double(size) / FaceAlignment.surroundings.side
      return Int(-start * unit)..<Int((1 - start) * unit)
    }
    return (range(FaceAlignment.surroundings.y), range(FaceAlignment.surroundings.x))
  }()

  /// The hair of this head. In the crop the model's mask tells it from others; beyond it is hair that has the colours of the crop's,
  /// and hangs together with it.
  /// - Parameters:
  ///   - hair: what the parser takes for hair, 0…1.
  ///   - picture: square.
  ///   - mask: the model's, which ends with the crop.
  ///   - crop: its place.
  static func ownHair(
    _ hair: [Float], in picture: Picture, within mask: [Float], crop: (rows: Range<Int>, columns: Range<Int>)
  ) -> [Float] {
    let width = picture.width
    func isInside(_ i: Int) -> Bool { crop.rows.contains(i / width) && crop.columns.contains(i % width) }
    var colours = (hair: ColourHistogram(), other: ColourHistogram())
    for i in hair.indices where isInside(i) {
      colours.hair.add(picture, i, hair[i] * mask[i])
      colours.other.add(picture, i, 1 - hair[i])
    }
    let (likely, unlikely) = (colours.hair.smoothed(), colours.other.smoothed())
    var own = hair.indices.map { i -> Float in
      if isInside(i) { return hair[i] * mask[i] }
      let (a, b) = (likely.share(picture, i), unlikely.share(picture, i))
      return hair[i] * (a / (a + b + 1e-6)).smoothStep(from: 0.3, to: 0.6)
    }
    var isReached = hair.indices.map(isInside)
    var border = hair.indices.filter { isReached[$0] && own[$0] > 0.5 }
    while let place = border.popLast() {
      let column = place % width
      for other in [place - width, place + width, column > 0 ? place - 1 : -1, column + 1 < width ? place + 1 : -1]
      where hair.indices.contains(other) && !isReached[other] && own[other] > 0.05 {
        isReached[other] = true
        border.append(other)
      }
    }
    for i in own.indices where !isReached[i] { own[i] = 0 }
    return own
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

  /// The bytes of what was found; the photo is its owner's.
  var byteCount: Int {
    [fine, sharp].reduce(0) { $0 + ($1.value?.pixels.count ?? 0) }
      + (parsed.value.map { $0.picture.pixels.count + 12 * $0.hair.count } ?? 0) + (foundSkin.value?.byteCount ?? 0)
      + ((foundHair.value ?? nil)?.byteCount ?? 0)
  }
}

/// How often colours occur, in steps of 16 of 255.
private struct ColourHistogram {
  private var counts = [Float](repeating: 0, count: side * side * side)
  private static let side = 16

  private func bin(_ picture: Picture, _ pixel: Int) -> Int {
    (0..<3).reduce(0) { $0 * Self.side + Int(picture.pixels[3 * pixel + $1]) * Self.side / 256 }
  }

  mutating func add(_ picture: Picture, _ pixel: Int, _ weight: Float) { counts[bin(picture, pixel)] += weight }

  /// The part of all that has a pixel's colour.
  func share(_ picture: Picture, _ pixel: Int) -> Float { counts[bin(picture, pixel)] }

  /// Parts of all, colours that are near each other taken together.
  func smoothed() -> Self {
    var result = self
    let total = max(1e-6, counts.reduce(0, +))
    for step in [1, Self.side, Self.side * Self.side] {
      let old = result.counts
      for i in old.indices {
        let level = i / step % Self.side
        result.counts[i] = 0.5 * old[i] + 0.25 * (old[level > 0 ? i - step : i] + old[level + 1 < Self.side ? i + step : i])
      }
    }
    for i in result.counts.indices { result.counts[i] /= total }
    return result
  }
}

import Photo
import Torch

/// The photo around a face, and what is found there when somebody first asks: hair and skin.
final class Surroundings: Sendable {
  private let photo: Picture
  private let alignment: FaceAlignment
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
      let own = alignment.side * FaceAlignment.surroundings.side
      let side = Int(min(Self.finest, max(64, own)).rounded())
      func fine(_ plane: [Float]) -> [Float] {
        Picture(FloatPicture(width: Self.size, height: Self.size, channels: 1, values: plane)).resized(to: (side, side))
          .pixels.map { Float($0) / 255 }
      }
      return HeadHair(
        in: photo.warped(by: alignment.surroundings(size: side), to: (side, side)), hair: fine(parsed.hair),
        other: fine(parsed.other), cropSide: Double(side) / FaceAlignment.surroundings.side,
        skin: SkinRegion(in: parsed.picture, coverage: parsed.skin).colour)
    }
  }

  private func parsed(of face: EncodedFace, by observer: FaceObserver) throws -> Parsed {
    try parsed {
      let picture = photo.warped(by: alignment.surroundings(size: Self.size), to: (Self.size, Self.size))
      let found = try observer.surroundings(in: picture)
      // The parser may take what is dark behind a head for hair, the model's own mask does not; it ends where the crop does, and goes
      // on there as it is at the border.
      let mask = try Picture(FloatPicture(face.reconstruction.mask))
      let place = alignment.transform(size: mask.width).inverse
      let wide = mask.warped(by: place.then(alignment.surroundings(size: Self.size)), to: (Self.size, Self.size))
      let own = wide.pixels.map { (Float($0) / 255).smoothStep(from: 0.75, to: 1) }
      let bottom = Int(Double(Self.size) * (1 - FaceAlignment.surroundings.y) / FaceAlignment.surroundings.side)
      let hair = zip(found.hair, own).enumerated().map { i, pair in
        pair.0.smoothStep(from: 0.2, to: 0.6) * (i < bottom * Self.size ? pair.1 : 1)
      }
      let near = Self.near(own, reach: 11)
      return Parsed(
        picture: picture, hair: Self.connected(hair, to: bottom), skin: zip(found.skin, near).map { $0 * $1 }, other: found.other)
    }
  }

  /// Hair without that below the crop which does not hang from hair in it: that is somebody else's.
  /// - Parameters:
  ///   - hair: of a square picture.
  ///   - bottom: the crop's last row.
  static func connected(_ hair: [Float], to bottom: Int) -> [Float] {
    let width = Int(Double(hair.count).squareRoot())
    var isReached = hair.indices.map { $0 < bottom * width }
    var border = (max(0, bottom - 1) * width..<min(hair.count, bottom * width)).filter { hair[$0] > 0.5 }
    while let place = border.popLast() {
      let column = place % width
      for other in [place - width, place + width, column > 0 ? place - 1 : -1, column + 1 < width ? place + 1 : -1]
      where hair.indices.contains(other) && !isReached[other] && hair[other] > 0 {
        isReached[other] = true
        border.append(other)
      }
    }
    return zip(hair, isReached).map { $1 ? $0 : 0 }
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
    (parsed.value.map { $0.picture.pixels.count + 12 * $0.hair.count } ?? 0) + (foundSkin.value?.byteCount ?? 0)
      + ((foundHair.value ?? nil)?.byteCount ?? 0)
  }
}

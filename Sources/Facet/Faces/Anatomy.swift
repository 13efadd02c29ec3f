import Photo
import Synchronization
import Torch

/// The parser that comes with Facet, read from disk when it is first needed.
final class PartFinder: Sendable {
  /// Parsing reads the network and changes nothing in it.
  private struct Reader: @unchecked Sendable {
    let parser: FaceParser
  }

  private let reader = Once<Reader>()

  private var parser: FaceParser {
    get throws { try reader { Reader(parser: try FaceParser()) }.parser }
  }

  /// How much of each pixel of a picture around a face is hair, and how much skin, 0…1; lips are skin in part, and through glasses
  /// one sees skin.
  /// - Parameter picture: square, as ``FaceAlignment/surroundings(size:)`` cuts it out.
  /// - Throws: ``BundleError`` where the parser is damaged.
  func hairAndSkin(in picture: Picture) throws -> (hair: [Float], skin: [Float]) {
    let classes: [[FaceClass]] = [[.hair], [.skin, .nose, .leftEar, .rightEar, .neck, .eyeglasses], [.upperLip, .lowerLip]]
    let image = try Tensor(picture)
    // From as near as it has learned to look at faces it sees a fringe; the whole shows how far hair reaches.
    let size = picture.width
    let (side, left, top) = (size * 3 / 4, size / 8, size * 3 / 16)
    let near = try parser.probabilities(
      of: classes, in: image.narrow(2, top..<top + side).narrow(3, left..<left + side))
    let whole = try parser.probabilities(of: classes, in: image)
    let ramp = (0..<side).map { (Float(min($0, side - 1 - $0)) / Float(size / 16)).smoothStep(from: 0, to: 1) }
    let parts = try classes.indices.map { group in
      var found = try whole.select(1, group).array(Float.self)
      for (i, seen) in try near.select(1, group).array(Float.self).enumerated() {
        let (row, column) = i.quotientAndRemainder(dividingBy: side)
        found[(top + row) * size + left + column] += ramp[row] * ramp[column] * (seen - found[(top + row) * size + left + column])
      }
      return found
    }
    return (parts[0], zip(parts[1], parts[2]).map { $0 + Self.lips * $1 })
  }

  /// How far lips go along with skin: they stay red, but not as dark as in darker skin.
  private static let lips: Float = 0.4

  /// How surely each pixel of a face is no skin, 1 × 4 × S × S in [0, 1], as ``FaceParser/otherThanSkin(in:)`` gives it.
  /// - Throws: ``BundleError`` where the parser is damaged.
  func otherThanSkin(in crop: Tensor) throws -> Tensor {
    try parser.otherThanSkin(in: crop)
  }

  /// How surely each pixel of a face is of an eye, and of a brow, 1 × 2 × S × S in [0, 1].
  /// - Throws: ``BundleError`` where the parser is damaged.
  func eyesAndBrows(in crop: Tensor) throws -> Tensor {
    try parser.eyesAndBrows(in: crop)
  }

  /// How surely each pixel of faces is outside of them, N × 1 × S × S in [0, 1], as ``FaceParser/otherThanFace(in:)`` gives it.
  /// - Throws: ``BundleError`` where the parser is damaged.
  func otherThanFace(in crops: Tensor) throws -> Tensor {
    try parser.otherThanFace(in: crops)
  }

  /// How surely each pixel of faces is hair, N × 1 × S × S in [0, 1].
  /// - Throws: ``BundleError`` where the parser is damaged.
  func hair(in crops: Tensor) throws -> Tensor {
    try parser.probabilities(of: [[.hair]], in: crops)
  }

  /// What make-up and mustaches are drawn on, and what they are not: how surely each pixel of a face is of lips, an eye, a brow, or skin, of hair, a hat
  /// or glasses, of the nose, and of the inside of the mouth, 1 × 7 × S × S in [0, 1].
  /// - Throws: ``BundleError`` where the parser is damaged.
  func paintable(in crop: Tensor) throws -> Tensor {
    try parser.probabilities(
      of: [[.upperLip, .lowerLip], [.leftEye, .rightEye], [.leftBrow, .rightBrow], [.skin], [.hair, .hat, .eyeglasses], [.nose], [.mouth]],
      in: crop)
  }

  /// Whether a face wears glasses.
  /// - Parameter crop: 1 × 3 × S × S in [0, 1].
  /// - Throws: ``BundleError`` where the parser is damaged.
  func wearsGlasses(in crop: Tensor) throws -> Bool {
    let found = try parser.probabilities(of: [[.eyeglasses]], in: crop)
    return try (found > 0.5).to(.float32).mean().item() > Self.leastGlasses
  }

  /// Where a face wears glasses; `nil` where none are seen.
  /// - Parameter crop: 1 × 3 × S × S in [0, 1].
  /// - Throws: ``BundleError`` where the parser is damaged.
  func glasses(in crop: Tensor) throws -> GlassesRegion? {
    let found = try parser.probabilities(
      of: [[.eyeglasses], [.leftEye, .rightEye], [.leftBrow, .rightBrow], [.skin, .nose]], in: crop)
    func plane(_ index: Int) throws -> Tensor { try found.narrow(1, index..<index + 1) }
    guard try (plane(0) > 0.5).to(.float32).mean().item() > Self.thinnestGlasses else { return nil }
    return GlassesRegion(glasses: try plane(0), eyes: try plane(1), brows: try plane(2), skin: try plane(3))
  }

  /// The least part of a crop that is of the thinnest frames, where what is seen through them is taken for skin and eyes.
  private static let thinnestGlasses = 0.003
  /// The least part of a crop that is glasses where some are worn; lenses are four times as large.
  private static let leastGlasses = 0.02

  /// Where the places of a face are, each 1 × 1 × S × S in [0, 1], with a soft border.
  /// - Parameter crop: 1 × 3 × S × S in [0, 1].
  /// - Throws: ``BundleError`` where the parser is damaged.
  func places(in crop: Tensor) throws -> [FacePlace: Tensor] {
    let size = crop.size(3)
    let parsed = try parser.probabilities(of: FacePlace.classes, in: crop)
    let found = try FacePlace.classes.indices.map { try parsed.select(1, $0).array(Float.self) }
    return try Dictionary(uniqueKeysWithValues: FacePlace.allCases.map { place in
      (place, try Composition.smooth(Tensor(place.region(found, size: size), shape: [1, 1, size, size])))
    })
  }
}

/// A value that the first call makes.
final class Once<Value: Sendable>: Sendable {
  private let value = Mutex<Value?>(nil)

  func callAsFunction(_ make: () throws -> sending Value) rethrows -> Value {
    try value.withLock { value in
      if let value { return value }
      let made = try make()
      value = made
      return made
    }
  }
}

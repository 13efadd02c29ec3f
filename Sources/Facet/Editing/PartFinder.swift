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

  /// How much of each pixel of a picture around a face is hair, and how much skin, 0…1; lips are skin in part.
  /// - Throws: ``BundleError`` where the parser is damaged.
  func hairAndSkin(in picture: Picture) throws -> (hair: [Float], skin: [Float]) {
    let found = try parser.probabilities(
      of: [[.hair], [.skin, .nose, .leftEar, .rightEar, .neck], [.upperLip, .lowerLip]], in: picture)
    return (found[0], zip(found[1], found[2]).map { $0 + Self.lips * $1 })
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

  /// Whether a face wears glasses.
  /// - Parameter crop: 1 × 3 × S × S in [0, 1].
  /// - Throws: ``BundleError`` where the parser is damaged.
  func wearsGlasses(in crop: Tensor) throws -> Bool {
    let found = try parser.probabilities(of: [[.eyeglasses]], in: crop)
    return try (found > 0.5).to(.float32).mean().item() > Self.leastGlasses
  }

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

import Photo
import Synchronization
import Torch

/// The parts and landmarks of a face's crop. The parser and the detector look at it when first needed, once.
final class Anatomy: Sendable, Sized {
  /// 1 × 3 × S × S in [0, 1].
  let image: Tensor
  private let alignment: FaceAlignment
  private let observer: FaceObserver
  /// The landmarks that the photo's detector found, in the crop, 1 wide.
  private let known: [Point]?
  /// The probability of each class, 1 × 19 × S × S.
  let parsed = Lazy<Tensor>()
  private let found = Lazy<[Point]>()
  private let lasting = Mutex<[ObjectIdentifier: any Keeping]>([:])

  /// - Parameters:
  ///   - image: the crop, 1 × 3 × S × S in [0, 1].
  ///   - alignment: the crop's place.
  ///   - landmarks: in the crop, 1 wide, where they are known.
  ///   - observer: finds parts and landmarks.
  init(of image: Tensor, _ alignment: FaceAlignment, landmarks: [Point]? = nil, by observer: FaceObserver) {
    (self.image, self.alignment, self.known, self.observer) = (image, alignment, landmarks, observer)
  }

  /// The 68 landmarks in the crop, 1 wide.
  var landmarks: [Point] {
    get throws {
      if let known { return known }
      return try found { try alignment.detectLandmarks(in: Picture(FloatPicture(image)), by: observer.detector) }
    }
  }

  /// Whether one eye is out of sight: the face is turned far, and the eye's landmarks lie beside the head. False where no detector
  /// saw the face.
  var isProfile: Bool {
    get throws {
      guard let known, case let nose = DetectedFace.nose(of: known), !Self.frontal.contains(nose) else { return false }
      let (beyond, side) = (try beyond.array(Float.self), image.size(3))
      let hidden = (nose < 0.5 ? Landmark.leftEye : Landmark.rightEye).filter { index in
        let (x, y) = (Int(known[index].x * Double(side)), Int(known[index].y * Double(side)))
        return (0..<side).contains(x) && (0..<side).contains(y) && beyond[y * side + x] > 0.5
      }
      return hidden.count > 3
    }
  }

  /// Where the tip of the nose lies between the cheeks, 0…1, while both eyes are in sight.
  private static let frontal = 0.25...0.75

  /// The landmarks in CelebA's frame, with the way there from a crop of some pixels a side; `nil` where they fall into one place.
  func frame(size: Int) throws -> (place: Affine, landmarks: [Point])? {
    try alignment.frame(of: landmarks, size: size)
  }

  /// The probability that each pixel is of any of some classes, 1 × 1 × S × S.
  /// - Throws: ``BundleError`` where the parser is damaged.
  func probability(of classes: FaceClass...) throws -> Tensor { try probability(of: classes) }

  private func probability(of classes: [FaceClass]) throws -> Tensor {
    let all = try parsed { try observer.probabilities(in: image) }
    if classes.count == 1 { return try all.narrow(1, Int(classes[0].rawValue)..<Int(classes[0].rawValue) + 1) }
    return try all.indexSelect(1, Tensor(classes.map { Int64($0.rawValue) })).sum(dims: [1], keepDim: true)
  }

  /// The lasting work of an edit on this face: made when first needed, once for each type.
  func cached<Value: Sendable & Sized>(_ make: () throws -> Value?) throws -> Value? {
    let kept = lasting.withLock { lasting in
      let kept = lasting[ObjectIdentifier(Value.self)] ?? Kept<Value>()
      lasting[ObjectIdentifier(Value.self)] = kept
      return kept
    }
    guard let kept = kept as? Kept<Value> else { preconditionFailure("kept under another type") }
    return try kept.value(make)
  }

  var byteCount: Int {
    let kept = lasting.withLock { Array($0.values) }
    return image.byteCount + (parsed.value?.byteCount ?? 0) + kept.reduce(0) { $0 + $1.byteCount }
  }

  private protocol Keeping: AnyObject, Sendable, Sized {}

  private final class Kept<Value: Sendable & Sized>: Keeping {
    let value = Lazy<Value?>()
    var byteCount: Int { (value.value ?? nil)?.byteCount ?? 0 }
  }
}

// MARK: Named parts

extension Anatomy {
  /// Eyes and brows, the inside of the mouth, hair and hats, and all that is beyond the face: 1 × 4 × S × S in [0, 1], in this order.
  var otherThanSkin: Tensor {
    get throws {
      try .cat([
        probability(of: .leftEye, .rightEye, .leftBrow, .rightBrow), mouth, probability(of: .hair, .hat),
        probability(of: .background, .cloth, .earring, .necklace),
      ], dim: 1)
    }
  }

  var eyes: Tensor { get throws { try probability(of: .leftEye, .rightEye) } }
  var brows: Tensor { get throws { try probability(of: .leftBrow, .rightBrow) } }
  var lips: Tensor { get throws { try probability(of: .upperLip, .lowerLip) } }
  /// The inside of the mouth.
  var mouth: Tensor { get throws { try probability(of: .mouth) } }
  var skin: Tensor { get throws { try probability(of: .skin) } }
  var nose: Tensor { get throws { try probability(of: .nose) } }
  var hair: Tensor { get throws { try probability(of: .hair) } }
  var ears: Tensor { get throws { try probability(of: .leftEar, .rightEar) } }
  /// What is neither the head nor worn on it.
  var beyond: Tensor { get throws { try probability(of: .background, .cloth) } }
  /// Hair, a hat or glasses, which lie over skin.
  var coverings: Tensor { get throws { try probability(of: .hair, .hat, .eyeglasses) } }
  /// Hair, ears, the neck and all beyond the face.
  var outside: Tensor {
    get throws {
      try probability(of: .background, .hair, .hat, .leftEar, .rightEar, .earring, .neck, .necklace, .cloth)
    }
  }

  /// Whether the face wears glasses with lenses that the parser sees.
  var wearsGlasses: Bool { get throws { try shareOfGlasses > Self.leastGlasses } }

  /// How surely a pixel is of glasses, 1 × 1 × S × S in [0, 1]; `nil` where the parser sees none.
  var glasses: Tensor? {
    get throws { try shareOfGlasses > Self.thinnestGlasses ? probability(of: .eyeglasses) : nil }
  }

  private var shareOfGlasses: Double {
    get throws { try (probability(of: .eyeglasses) > 0.5).to(.float32).mean().item() }
  }

  /// The least part of a crop that is of the thinnest frames: the parser takes what is seen through them for skin and eyes.
  private static let thinnestGlasses = 0.003
  /// The least part of a crop that glasses with lenses cover; lenses are four times as large.
  private static let leastGlasses = 0.02

  /// A region of the face, 1 × 1 × S × S in [0, 1], with a soft border.
  func mask(of region: FaceRegion) throws -> Tensor {
    let size = image.size(3)
    let planes = try FaceRegion.classes.map { try probability(of: $0).array(Float.self) }
    return try Composition.smooth(Tensor(region.region(planes, size: size), shape: [1, 1, size, size]))
  }
}

/// The detector and the parser that look at faces. The parser is read from disk when it is first needed.
final class FaceObserver: Sendable {
  let detector: FaceDetector
  private let reader = Lazy<FaceParser>()
  private let parsed = Atomic(0)
  /// Crops of faces that were parsed so far.
  var parses: Int { parsed.load(ordering: .relaxed) }

  init(_ detector: FaceDetector) { self.detector = detector }

  private var parser: FaceParser { get throws { try reader { try FaceParser() } } }

  /// The probability of each class, 1 × 19 × S × S in [0, 1], in the order of ``FaceClass``.
  /// - Throws: ``BundleError`` where the parser is damaged.
  func probabilities(in crop: Tensor) throws -> Tensor {
    parsed.add(1, ordering: .relaxed)
    return try parser.probabilities(of: FaceClass.allCases.map { [$0] }, in: crop)
  }

  /// The probability that each pixel is outside the face, N × 1 × S × S in [0, 1], as ``FaceParser/otherThanFace(in:)`` gives it.
  /// - Throws: ``BundleError`` where the parser is damaged.
  func otherThanFace(in crops: Tensor) throws -> Tensor { try parser.otherThanFace(in: crops) }

  /// The part of each pixel of a picture around a face that is hair, skin, and neither hair nor background, 0…1. Lips count as skin in
  /// part, and so does what is seen through glasses.
  /// - Parameter picture: square, as ``FaceAlignment/surroundings(size:)`` cuts it out.
  /// - Throws: ``BundleError`` where the parser is damaged.
  func surroundings(in picture: Picture) throws -> (hair: [Float], skin: [Float], other: [Float]) {
    let classes: [[FaceClass]] = [
      [.hair], [.skin, .nose, .leftEar, .rightEar, .neck, .eyeglasses], [.upperLip, .lowerLip],
      FaceClass.allCases.filter { $0 != .hair && $0 != .background },
    ]
    let image = try Tensor(picture)
    var parts = try parser.probabilities(of: classes, in: image)
    var found = try classes.indices.map { try parts.select(1, $0).array(Float.self) }
    // From as near as it has learned to look at faces it sees a fringe; the whole shows how far hair reaches.
    let size = picture.width
    let unit = Double(size) / FaceAlignment.surroundings.side
    for view in Self.views {
      let side = Int((view.side * unit).rounded())
      let (left, top) = (
        Int(((view.x - FaceAlignment.surroundings.x) * unit).rounded()), Int(((view.y - FaceAlignment.surroundings.y) * unit).rounded())
      )
      parts = try parser.probabilities(of: classes, in: image.narrow(2, top..<top + side).narrow(3, left..<left + side))
      let ramp = (0..<side).map { (Float(min($0, side - 1 - $0)) / (0.08 * Float(side))).smoothStep(from: 0, to: 1) }
      for group in classes.indices {
        for (i, seen) in try parts.select(1, group).array(Float.self).enumerated() {
          let (row, column) = i.quotientAndRemainder(dividingBy: side)
          let place = (top + row) * size + left + column
          found[group][place] += ramp[row] * ramp[column] * (seen - found[group][place])
        }
      }
    }
    return (found[0], zip(found[1], found[2]).map { $0 + Self.lips * $1 }, found[3])
  }

  /// Squares that are parsed by themselves, in sides of the crop, from its upper left corner.
  private static let views = [(x: -0.25, y: 0.35, side: 1.5), (x: -0.25, y: -0.35, side: 1.5), (x: -0.0625, y: -0.07, side: 1.125)]

  /// The share of skin's colour that lips take on: they stay red, but not as dark as in darker skin.
  private static let lips: Float = 0.4
}

/// A value that the first call makes.
final class Lazy<Value: Sendable>: Sendable {
  private let made = Mutex<Value?>(nil)

  func callAsFunction(_ make: () throws -> Value) rethrows -> Value {
    try made.withLock { value in
      if let value { return value }
      let made = try make()
      value = made
      return made
    }
  }

  /// The value, if it was made.
  var value: Value? { made.withLock { $0 } }
}

import Files
import Foundation
import Photo
import Torch

/// Deepens or smooths the lines of the photo's own skin (``SkinPrototype``).
struct SkinLines: Edit {
  static let stage = EditStage.shade

  private var amounts: [(edit: AttributeState, amount: Double)]

  /// - Parameters:
  ///   - edit: a prototype's.
  ///   - amount: negative to smooth the lines that it would deepen.
  init(_ edit: AttributeState, _ amount: Double) { amounts = [(edit, amount)] }

  mutating func add(_ other: SkinLines) { amounts += other.amounts }

  func apply(to canvas: inout Canvas) throws {
    let (anatomy, prototypes) = (canvas.face.anatomy, canvas.tools.prototypes)
    guard let maps = try anatomy.cached({ try SkinMaps(of: prototypes, on: anatomy) }) else { return }
    for (edit, amount) in amounts where amount != 0 {
      guard let map = maps.maps[edit] else { continue }
      let other = try anatomy.otherThanSkin.sum(dims: [1], keepDim: true)
      let spared = try (canvas.glasses.map { try other + $0 } ?? other).blurred(sigma: 1).smoothStep(from: 0.1, to: 0.6)
      try canvas.lay(SkinPrototype.change(of: canvas.image, by: map, strength: amount, sparing: spared))
    }
  }
}

/// The maps of prototypes at a face's features, each 1 × 4 × S × S.
private struct SkinMaps: Sized {
  let maps: [AttributeState: Tensor]
  var byteCount: Int { maps.values.reduce(0) { $0 + $1.byteCount } }

  /// - Returns: `nil` where the landmarks fall into one place.
  init?(of prototypes: SkinPrototypes, on anatomy: Anatomy) throws {
    let size = anatomy.image.size(3)
    guard let frame = try anatomy.frame(size: size) else { return nil }
    maps = try Dictionary(uniqueKeysWithValues: prototypes.prototypes.map {
      ($0.edit, try $0.maps(on: frame.landmarks, at: frame.place, side: size))
    })
  }
}

/// What a change of an attribute does to the light and the detail of skin, where features stay: the difference of the mean faces
/// ("prototypes") of people with it and without, all brought to the same landmarks (Burt & Perrett, "Perception of age in adult
/// Caucasian male faces", 1995), and how much more detail the former have at each place (Tiddeman, Burt & Perrett, "Prototyping and
/// transforming facial textures for perception research", 2001).
///
/// A code of a few hundred numbers keeps no lines of a face. The photo has some of its own, and they are what is deepened.
public struct SkinPrototype: Sendable {
  /// What it is of.
  public let edit: AttributeState
  /// The 68 landmarks of the mean face, in CelebA's frame.
  package let landmarks: [Point]
  /// 1 × 4 × ``size`` × ``size`` over the frame's window: how surely a place is skin, 0…1; the change of the log of its luma; the
  /// ratios of fine and of coarse detail, less 1.
  package let maps: Tensor

  package init(edit: AttributeState, landmarks: [Point], maps: Tensor) {
    (self.edit, self.landmarks, self.maps) = (edit, landmarks, maps)
  }

  package static let size = 128

  /// The maps where a face has its features.
  /// - Parameters:
  ///   - landmarks: the face's 68, in CelebA's frame.
  ///   - place: from the pixels of its crop there.
  ///   - side: S of the crop.
  /// - Returns: 1 × 4 × S × S.
  func maps(on landmarks: [Point], at place: Affine, side: Int) throws -> Tensor {
    let warp = try LandmarkWarp(at: Self.centres(side, place), around: landmarks)
    let places = try warp.moved(by: Tensor(self.landmarks) - Tensor(landmarks))
    return try maps.sampled(at: Self.grid(places, side), by: .bilinear, beyond: .zeros)
  }

  /// What a prototype does to a face, as ``Composition/change(of:from:to:)`` gives a change.
  /// - Parameters:
  ///   - crop: 1 × 3 × S × S in [0, 1].
  ///   - maps: the prototype's on this face.
  ///   - strength: how far it goes; negative to take the lines away that it would deepen.
  ///   - spared: where it has no business, 1 × 1 × S × S in [0, 1].
  static func change(of crop: Tensor, by maps: Tensor, strength: Double, sparing spared: Tensor) throws -> Tensor {
    func map(_ index: Int) throws -> Tensor { try maps.narrow(1, index..<index + 1) }
    let bands = try bands(of: logLuma(crop))
    /// Of edges there are none more, as of grain (Tukey's biweight).
    func detail(_ band: Tensor) throws -> Tensor {
      try band * (1 - (band / largestDetail).square()).clamp(min: 0).square()
    }
    if strength < 0 {
      // The photo's own lines lose their depth, and folds some of their shade; nothing gets darker but light between lines.
      let lines = try map(0) * ((detail(bands.fine) + detail(bands.coarse)) * smoothed + map(1).clamp(max: 0) * (shading * lifted))
      return try lit(crop, by: lines * (1 - spared) * max(strength, -1))
    }
    let deepened = try (map(2) + fine.more) * detail(bands.fine) * fine.gain
      + (map(3) + coarse.more) * detail(bands.coarse) * coarse.gain
    let all = try (map(1) * shading + map(0) * deepened) * (1 - spared) * strength
    return try lit(crop, by: all - all.relu() * (1 - lighter))
  }

  /// A crop whose luma changes by its logarithm, N × 1 × S × S, as a change.
  private static func lit(_ crop: Tensor, by added: Tensor) throws -> Tensor {
    let factor = try added.exp() - 1
    // Light that comes through skin is red, the more so where there is less of it.
    let hue = try (added * Tensor(exponents, shape: [1, 3, 1, 1])).exp() - 1 - factor
    return try Tensor.cat([(factor * black).expand([1, 3, crop.size(2), crop.size(3)]) + crop * hue, factor], dim: 1)
  }

  /// The log of a crop's luma, N × 1 × S × S.
  package static func logLuma(_ crop: Tensor) throws -> Tensor {
    try (crop.clamp(min: 0, max: 1) + black).log().mean(dims: [1], keepDim: true)
  }

  /// Detail of two sizes.
  package static func bands(of luma: Tensor) throws -> (fine: Tensor, coarse: Tensor) {
    let scale = Double(luma.size(3)) / Double(size)
    let smooth = try [1.0, 2, 4].map { try luma.blurred(sigma: $0 * scale) }
    return (try smooth[0] - smooth[1], try smooth[1] - smooth[2])
  }

  /// The middles of a picture's pixels, S² × 2.
  package static func centres(_ side: Int, _ place: Affine) throws -> Tensor {
    try Tensor((0..<side * side).map { place(Point(x: Double($0 % side) + 0.5, y: Double($0 / side) + 0.5)) })
  }

  /// Places in CelebA's frame as those of the window are sampled, 1 × S × S × 2.
  private static func grid(_ places: Tensor, _ side: Int) throws -> Tensor {
    let window = FaceAlignment.window
    let corner = try Tensor([Float(window.x), Float(window.y)])
    return try ((places - corner) * (2 / window.side) - 1).reshape([1, side, side, 2])
  }

  /// Added to intensities before their log is taken: noise in the dark is no detail.
  private static let black = 0.03
  /// How much of their depth lines lose where they go.
  private static let smoothed = 0.7
  /// How much of their shade folds lose, in parts of what age brings.
  private static let lifted = 0.25
  private static let largestDetail = 0.25
  /// How far the means' difference in light is taken: those who are labelled are of many ages. Set by eye, with the judge beside
  /// (docs/research/2026-11-26-skin-lines.md).
  private static let shading = 5.2
  /// Lines and hollows are dark; what is lighter, at its full measure, is chalk.
  private static let lighter = 0.2
  /// How much more or less of a change each colour takes.
  private static let exponents: [Float] = [0.8, 1.04, 1.24]
  /// Of detail the measured ratio, and more: means over people with other lines have fewer.
  private static let fine = (gain: 1.8, more: 0.6)
  private static let coarse = (gain: 1.35, more: 0.5)
}

// MARK: On disk

/// The prototypes of a bundle.
public struct SkinPrototypes: Sendable {
  /// One an attribute and way, at most 100.
  public var prototypes: [SkinPrototype]

  /// Prototypes to be written into a bundle.
  public init(_ prototypes: [SkinPrototype] = []) { self.prototypes = prototypes }

  subscript(edit: AttributeState) -> SkinPrototype? { prototypes.first { $0.edit == edit } }

  /// The file in a bundle's folder.
  static let file = "prototypes.safetensors"
  private static let format = "facet-prototypes-1"
  private static let maximum = 100

  /// Writes the file into a bundle's folder.
  /// - Throws: ``BundleError`` when there are too many, `FileError`.
  public func write(to bundle: ModelBundle) throws {
    let url = bundle.url.appendingPathComponent(Self.file)
    guard prototypes.count <= Self.maximum else {
      throw BundleError(path: url.path, reason: "a bundle holds at most \(Self.maximum) prototypes")
    }
    var tensors: [String: Tensor] = [:]
    for (index, prototype) in prototypes.enumerated() {
      tensors["\(index).landmarks"] = try Tensor(prototype.landmarks)
      tensors["\(index).maps"] = try prototype.maps.to(.float16)
    }
    try Tensor.save(
      tensors, metadata: ["format": Self.format, "edits": try JSON.encode(prototypes.map(\.edit))],
      to: url)
  }

  /// Reads those of a bundle; none where it has no file of them.
  /// - Throws: ``BundleError``, `FileError` or `SafetensorsError` that names the file at fault.
  public static func of(_ bundle: ModelBundle) throws -> SkinPrototypes {
    guard let part = try BundlePart(file, of: bundle, format: format, content: "prototypes", madeBy: "facet prototype")
    else { return SkinPrototypes() }
    let edits = try part.value("edits", [AttributeState].self)
    guard edits.count <= maximum, Set(edits).count == edits.count else { throw part.fault("its edits cannot be read") }
    func tensor(_ name: String, _ shape: [Int]) throws -> Tensor {
      try part.tensor(name, shape, [.float16, .float32])
    }
    return SkinPrototypes(try edits.enumerated().map { index, edit in
      let numbers = try tensor("\(index).landmarks", [68, 2]).array(Float.self).map(Double.init)
      return SkinPrototype(
        edit: edit, landmarks: (0..<68).map { Point(x: numbers[2 * $0], y: numbers[2 * $0 + 1]) },
        maps: try tensor("\(index).maps", [1, 4, SkinPrototype.size, SkinPrototype.size]))
    })
  }
}

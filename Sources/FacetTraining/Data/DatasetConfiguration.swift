import Facet
import Photo

/// How the photos and label maps of a data set become samples: what is cut out, at which size, and
/// which classes of a label map are the face.
///
/// Every field has a default, in JSON too.
public struct DatasetConfiguration: Codable, Hashable, Sendable {
  /// The part of a photo that becomes the sample, in pixels of the source frame.
  public enum Crop: Codable, Hashable, Sendable {
    /// The training window for a photo of CelebA's own 178×218, the whole picture for any other size.
    case automatic
    /// The whole picture; its aspect ratio is not kept.
    case whole
    /// Columns `x ..< x + width` and rows `y ..< y + height`; the photo must contain them.
    case window(x: Int, y: Int, width: Int, height: Int)

    /// Width and height of an aligned photo as CelebA publishes it.
    public static let celebAFrame = (width: 178, height: 218)
    /// Columns 4 ..< 174 and rows 39 ..< 209 of the 178×218 frame: the face with its hair, square.
    public static let celebAWindow = Crop.window(x: 4, y: 39, width: 170, height: 170)

    /// The window in a photo of `width` × `height` pixels, or nil where the photo does not contain it.
    func window(inWidth width: Int, height: Int) -> Window? {
      switch self {
      case .automatic:
        let isFrame = (width, height) == Self.celebAFrame
        return (isFrame ? Self.celebAWindow : .whole).window(inWidth: width, height: height)
      case .whole:
        return Window(x: 0, y: 0, width: width, height: height)
      case .window(let x, let y, let w, let h):
        guard x >= 0, y >= 0, w > 0, h > 0, w <= width, h <= height, x <= width - w, y <= height - h else { return nil }
        return Window(x: x, y: y, width: w, height: h)
      }
    }
  }

  /// The window cut out of each photo and its label map.
  public var crop = Crop.automatic
  /// Width and height of a sample in pixels, 8 ... 1024.
  public var size = 128
  /// Whether each photo needs a label map. Where false none is read, and samples have no mask.
  public var requiresMasks = true
  /// Classes of the label maps (0 ... 255) that are not face; every other class is.
  ///
  /// The default is the article's choice among the 19 classes of its parser: background, ears,
  /// earring, neck, necklace and cloth.
  public var backgroundClasses = [0, 7, 8, 9, 14, 15, 16]
  /// The folder of the photos, in the data set's folder.
  public var imageFolder = "img_align_celeba"
  /// The folder of the label maps, `NNNNNN.png` for photo `NNNNNN.jpg`, in the data set's folder.
  public var maskFolder = "mask_faceparsing"
  /// Whether half of the training samples, chosen anew each epoch, are mirrored left to right.
  public var flips = true
  /// The share of faulty photos, 0 ... 1, above which a partition is refused rather than used
  /// without them. One fault is always tolerated, as long as a good photo remains.
  public var toleratedFaults = 0.01

  /// The layout of CelebA's folder, at 128 pixels.
  public init() {}

  /// Reads a configuration; what is left out has its default.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    crop = try container.decodeIfPresent(Crop.self, forKey: .crop) ?? crop
    size = try container.decodeIfPresent(Int.self, forKey: .size) ?? size
    requiresMasks = try container.decodeIfPresent(Bool.self, forKey: .requiresMasks) ?? requiresMasks
    backgroundClasses = try container.decodeIfPresent([Int].self, forKey: .backgroundClasses) ?? backgroundClasses
    imageFolder = try container.decodeIfPresent(String.self, forKey: .imageFolder) ?? imageFolder
    maskFolder = try container.decodeIfPresent(String.self, forKey: .maskFolder) ?? maskFolder
    flips = try container.decodeIfPresent(Bool.self, forKey: .flips) ?? flips
    toleratedFaults = try container.decodeIfPresent(Double.self, forKey: .toleratedFaults) ?? toleratedFaults
  }

  /// Checks the ranges of the fields.
  /// - Throws: ``DatasetError`` of kind `invalidConfiguration` that names the field.
  public func validate() throws(DatasetError) {
    func require(_ condition: Bool, _ field: String, _ reason: String) throws(DatasetError) {
      if !condition { throw DatasetError(.invalidConfiguration, path: field, reason: reason) }
    }
    try require((8...1024).contains(size), "size", "\(size) is not in 8 ... 1024")
    if case .window(let x, let y, let width, let height) = crop {
      let fields = [x, y, width, height].allSatisfy { (0...1 << 20).contains($0) }
      try require(fields && width > 0 && height > 0, "crop", "\(x), \(y), \(width)×\(height) is no window")
    }
    let strange = backgroundClasses.first { !(0...255).contains($0) }
    try require(strange == nil, "backgroundClasses", "\(strange ?? 0) is not in 0 ... 255")
    try require((0...1).contains(toleratedFaults), "toleratedFaults", "\(toleratedFaults) is not in 0 ... 1")
  }

  /// For each of the 256 classes, whether it is face.
  var isFace: [Bool] {
    var isFace = [Bool](repeating: true, count: 256)
    for backgroundClass in backgroundClasses where (0...255).contains(backgroundClass) {
      isFace[backgroundClass] = false
    }
    return isFace
  }
}

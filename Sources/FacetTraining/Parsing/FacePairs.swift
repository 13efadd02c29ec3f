import Facet
import Foundation
import Photo
import Torch

/// Photos of faces with label maps, decoded into memory for training a parser.
///
///     DIR/images/NAME.jpg   photos
///     DIR/masks/NAME.png    8-bit label maps of the photos' size, classes in CelebAMask-HQ's order
///
/// or CelebAMask-HQ as it is published:
///
///     DIR/CelebA-HQ-img/12345.jpg                          photos
///     DIR/CelebAMask-HQ-mask-anno/6/12345_skin.png, …      a black and white picture for each part
///
/// Each pair takes 4 × side² bytes, and each pair of glasses drawn on it as many again.
public final class FacePairs: Sendable {
  /// Which pairs of a folder are meant. Every tenth, in the order of their names, is never trained on.
  public enum Part: Sendable {
    /// Those that are trained on; the others, which are measured on.
    case training, heldOut

    func contains(_ index: Int) -> Bool { (index % 10 == 9) == (self == .heldOut) }
  }

  /// Names of the photos, sorted.
  public let names: [String]
  /// Width and height of a decoded pair in pixels.
  public let side: Int
  /// The number of pairs.
  public var count: Int { names.count }

  /// The photo's red, green and blue, side × side × 3, then the classes of ``FaceClass``, side × side.
  private let records: [[UInt8]]
  /// Of each pair the same face in drawn glasses, a few times; none where it wears some.
  private let worn: [[[UInt8]]]

  /// Reads one part of a folder, on all cores.
  /// - Parameters:
  ///   - directory: the folder.
  ///   - part: which of its pairs.
  ///   - side: that each pair is brought to.
  ///   - progress: called now and then with the pairs done and their total.
  /// - Throws: ``DatasetError`` that names the file at fault.
  public convenience init(
    _ directory: URL, _ part: Part, side: Int, progress: ((_ done: Int, _ total: Int) -> Void)? = nil
  ) throws(DatasetError) {
    try self.init(LabelledPhotos(files: Self.files(in: directory, part)), side: side, progress: progress)
  }

  /// Reads photos with label maps, on all cores.
  /// - Parameters:
  ///   - photos: at least one.
  ///   - side: that each pair is brought to.
  ///   - progress: called now and then with the pairs done and their total.
  /// - Throws: ``DatasetError`` that names the file at fault.
  public init(
    _ photos: LabelledPhotos, side: Int, progress: ((_ done: Int, _ total: Int) -> Void)? = nil
  ) throws(DatasetError) {
    let files = photos.files
    self.side = side
    names = files.map(\.photo.lastPathComponent)
    var records: [[UInt8]] = []
    progress?(0, files.count)
    for start in stride(from: 0, to: files.count, by: 64) {
      let part = Array(files[start..<min(start + 64, files.count)])
      let outcomes = concurrently(part.count) { i in
        Result { () throws(DatasetError) in
          let (photo, map) = try part[i].read()
          return photo.resized(to: (side, side)).pixels + map.resizedLabels(to: (side, side)).pixels
        }
      }
      for outcome in outcomes { records.append(try outcome.get()) }
      progress?(records.count, files.count)
    }
    self.records = records
    worn = records.map { _ in [] }
  }

  private init(_ pairs: FacePairs, worn: [[[UInt8]]]) {
    (names, side, records, self.worn) = (pairs.names, pairs.side, pairs.records, worn)
  }

  /// The pairs with the same faces in drawn glasses, whose place is exactly known. Maps that people drew know few glasses.
  /// - Parameters:
  ///   - editor: draws them.
  ///   - variants: glasses for each face.
  ///   - progress: called now and then with the pairs done and their total.
  public func wearingGlasses(
    drawnBy editor: FaceEditor, variants: Int = 3, progress: ((_ done: Int, _ total: Int) -> Void)? = nil
  ) throws -> FacePairs {
    var worn: [[[UInt8]]] = []
    for start in stride(from: 0, to: count, by: 32) {
      let part = Array(start..<min(count, start + 32))
      let outcomes = concurrently(part.count) { i in
        Result { try self.wearingGlasses(part[i], drawnBy: editor, variants) }
      }
      for outcome in outcomes { worn.append(try outcome.get()) }
      progress?(worn.count, count)
    }
    return FacePairs(self, worn: worn)
  }

  private func wearingGlasses(_ position: Int, drawnBy editor: FaceEditor, _ variants: Int) throws -> [[UInt8]] {
    let (photo, classes) = (records[position].prefix(3 * side * side), records[position].suffix(side * side))
    let (glasses, own) = (FaceClass.eyeglasses.rawValue, Set([FaceClass.leftEye, .rightEye, .leftBrow, .rightBrow].map(\.rawValue)))
    if classes.contains(glasses) { return [] }
    let picture = Picture(width: side, height: side, channels: 3, pixels: Array(photo))
    return try editor.glasses(on: picture, seeds: (0..<variants).map { UInt64(position * variants + $0) }).map { drawn in
      // Eyes and brows are seen through glass.
      let map = zip(classes, zip(drawn.frame, drawn.whole)).map { value, cover in
        (own.contains(value) ? cover.0 : cover.1) ? glasses : value
      }
      return drawn.photo.pixels + map
    }
  }

  /// The pairs of one part of a folder.
  static func files(in directory: URL, _ part: Part) throws(DatasetError) -> [LabelledPhoto] {
    let original = directory.appendingPathComponent("CelebAMask-HQ-mask-anno")
    let isOriginal = isFolder(original)
    let images = directory.appendingPathComponent(isOriginal ? "CelebA-HQ-img" : "images")
    let masks = isOriginal ? original : directory.appendingPathComponent("masks")
    for folder in [images, masks] where !isFolder(folder) {
      throw DatasetError(
        .missingFile, path: folder.path,
        reason: "the folder is missing; a parser is trained on images/NAME.jpg with masks/NAME.png, "
          + "or on CelebAMask-HQ as it is published")
    }
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: images.path)) ?? []).filter {
      !$0.hasPrefix(".") && Photo.Format(pathExtension: ($0 as NSString).pathExtension) != nil
    }.sorted()
    let files = names.enumerated().filter { part.contains($0.offset) }.map { _, name in
      let stem = (name as NSString).deletingPathExtension
      let number = Int(stem) ?? 0
      let parts = "\(number / 2000)/" + String(format: "%05d_", number)
      return LabelledPhoto(
        photo: images.appendingPathComponent(name),
        map: isOriginal
          ? .parts(masks.appendingPathComponent(parts))
          : .file(masks.appendingPathComponent(stem + ".png"), order: FaceClass.celebAMaskHQ))
    }
    guard !files.isEmpty else {
      throw DatasetError(
        .missingFile, path: images.path, reason: "\(names.count) photos are too few; every tenth is held out")
    }
    return files
  }

  private static func isFolder(_ url: URL) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) && isFolder.boolValue
  }

  /// Some pairs as tensors.
  /// - Parameters:
  ///   - positions: of the pairs.
  ///   - drawn: the shares of them on which something is drawn.
  ///   - seed: decides on which, and what.
  /// - Returns: images, N × 3 × side × side in [0, 1], and classes, N × 1 × side × side, float32.
  func batch(
    _ positions: ArraySlice<Int>, drawn: ParserTraining.Drawn = .init(), seed: UInt64 = 0, on device: Device
  ) throws -> (images: Tensor, classes: Tensor) {
    var chance = SplitMix64(seed: seed ^ 1 << 61)
    let chosen = positions.flatMap { position in
      func happens(_ share: Double) -> Bool { Double.random(in: 0..<1, using: &chance) < share }
      var record = (happens(drawn.glasses) ? worn[position].randomElement(using: &chance) : nil) ?? records[position]
      if happens(drawn.whiteHair) { WhiteHair.draw(on: &record, side: side, seed: chance.next()) }
      if happens(drawn.occluders) {
        DrawnOccluder.draw(on: &record, from: records.randomElement(using: &chance)!, side: side, seed: chance.next())
      }
      return record
    }
    let all = try Tensor(chosen, shape: [positions.count, 4 * side * side]).to(device)
    let pixels = side * side
    let images = try all.narrow(1, 0..<3 * pixels).reshape([-1, side, side, 3]).permute([0, 3, 1, 2]).to(.float32) / 255
    return (images, try all.narrow(1, 3 * pixels..<4 * pixels).reshape([-1, 1, side, side]).to(.float32))
  }

  /// The share of each class in all pixels.
  func classShares() -> [Double] {
    var counts = [Int](repeating: 0, count: FaceClass.allCases.count)
    for record in records {
      for value in record[(3 * side * side)...] { counts[Int(value)] += 1 }
    }
    let total = Double(counts.reduce(0, +))
    return counts.map { Double($0) / total }
  }
}

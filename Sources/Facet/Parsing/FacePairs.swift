import Foundation
import Photo
import Torch

/// Photos of faces with label maps, decoded into memory for training a parser.
///
///     DIR/images/NAME.jpg   photos
///     DIR/masks/NAME.png    8-bit label maps of the photos' size, classes in CelebAMask-HQ's order
///
/// Each pair takes 4 × side² bytes.
public final class FacePairs: Sendable {
  /// Which pairs of a folder are meant. Every tenth, in the order of their names, is never trained on.
  public enum Part: Sendable {
    case training, heldOut

    func contains(_ index: Int) -> Bool { (index % 10 == 9) == (self == .heldOut) }
  }

  /// Names of the photos, sorted.
  public let names: [String]
  /// Width and height of a decoded pair in pixels.
  public let side: Int
  public var count: Int { names.count }

  /// The photo's red, green and blue, side × side × 3, then the classes of ``FaceClass``, side × side.
  private let records: [[UInt8]]

  /// Reads one part of a folder, on all cores.
  /// - Parameters:
  ///   - directory: the folder.
  ///   - part: which of its pairs.
  ///   - side: that each pair is brought to.
  ///   - progress: called now and then with the pairs done and their total.
  /// - Throws: ``DatasetError`` that names the file at fault.
  public init(
    _ directory: URL, _ part: Part, side: Int, progress: ((_ done: Int, _ total: Int) -> Void)? = nil
  ) throws(DatasetError) {
    let files = try Self.files(in: directory, part)
    self.side = side
    names = files.map(\.photo.lastPathComponent)
    var records: [[UInt8]] = []
    progress?(0, files.count)
    for start in stride(from: 0, to: files.count, by: 64) {
      let part = Array(files[start..<min(start + 64, files.count)])
      let outcomes = concurrently(part.count) { i in
        Result { () throws(DatasetError) in try Self.decode(part[i].photo, part[i].map, side: side) }
      }
      for outcome in outcomes { records.append(try outcome.get()) }
      progress?(records.count, files.count)
    }
    self.records = records
  }

  /// The photos of one part and their maps.
  static func files(in directory: URL, _ part: Part) throws(DatasetError) -> [(photo: URL, map: URL)] {
    let (images, masks) = (directory.appendingPathComponent("images"), directory.appendingPathComponent("masks"))
    for folder in [images, masks] {
      var isFolder: ObjCBool = false
      if FileManager.default.fileExists(atPath: folder.path, isDirectory: &isFolder), isFolder.boolValue { continue }
      throw DatasetError(
        .missingFile, path: folder.path,
        reason: "the folder is missing; a parser is trained on images/NAME.jpg with masks/NAME.png")
    }
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: images.path)) ?? []).filter {
      !$0.hasPrefix(".") && Photo.Format(pathExtension: ($0 as NSString).pathExtension) != nil
    }.sorted()
    let files = names.enumerated().filter { part.contains($0.offset) }.map { _, name in
      let map = (name as NSString).deletingPathExtension + ".png"
      return (images.appendingPathComponent(name), masks.appendingPathComponent(map))
    }
    guard !files.isEmpty else {
      throw DatasetError(
        .missingFile, path: images.path, reason: "\(names.count) photos are too few; every tenth is held out")
    }
    return files
  }

  private static func decode(_ photoURL: URL, _ mapURL: URL, side: Int) throws(DatasetError) -> [UInt8] {
    let (photo, map) = try read(photoURL, mapURL)
    return photo.resized(to: (side, side)).pixels + map.resizedLabels(to: (side, side)).pixels
  }

  /// A photo and its label map in the order of ``FaceClass``.
  /// - Parameter order: the classes of the file's values.
  static func read(
    _ photoURL: URL, _ mapURL: URL, order: [FaceClass] = FaceClass.celebAMaskHQ
  ) throws(DatasetError) -> (photo: Picture, map: Picture) {
    let photo, map: Picture
    do throws(PhotoError) {
      photo = try Picture(contentsOf: photoURL, pixelLimit: FaceParser.pixelLimit)
      map = try Picture(labelMap: mapURL, pixelLimit: FaceParser.pixelLimit)
    } catch {
      throw DatasetError(.unreadableImage, path: photoURL.path, reason: "the pair cannot be used: \(error)")
    }
    guard (photo.width, photo.height) == (map.width, map.height) else {
      throw DatasetError(
        .maskSizeMismatch, path: mapURL.path,
        reason: "the label map is \(map.width)×\(map.height), its photo \(photo.width)×\(photo.height)")
    }
    if let strange = map.pixels.first(where: { Int($0) >= order.count }) {
      throw DatasetError(
        .unreadableImage, path: mapURL.path, reason: "class \(strange) is none of the classes 0 to \(order.count - 1)")
    }
    let classes = map.pixels.map { order[Int($0)].rawValue }
    return (photo, Picture(width: map.width, height: map.height, channels: 1, pixels: classes))
  }

  /// Some pairs as tensors.
  /// - Returns: images, N × 3 × side × side in [0, 1], and classes, N × 1 × side × side, float32.
  func batch(_ positions: ArraySlice<Int>, on device: Device) throws -> (images: Tensor, classes: Tensor) {
    let all = try Tensor(positions.flatMap { records[$0] }, shape: [positions.count, 4 * side * side]).to(device)
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

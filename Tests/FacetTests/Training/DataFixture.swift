import Foundation
import Photo

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

/// A small data set on disk in CelebA's layout, with pictures that the tests draw.
final class DatasetFixture {
  let folder: URL
  var attributeRows: [String] = []
  var partitionRows: [String] = []
  var attributeNames = ["Smiling", "Eyeglasses", "Male"]
  var size = (width: 24, height: 24)

  /// Photo i is named `00000(i+1).jpg`; every `validationStride`-th one is for validation.
  init(count: Int, validationStride: Int = 4, size: (width: Int, height: Int) = (24, 24), masks: Bool = true) throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("facet-data-\(UUID().uuidString)")
    self.size = size
    for name in ["img_align_celeba"] + (masks ? ["mask_faceparsing"] : []) {
      try FileManager.default.createDirectory(
        at: folder.appendingPathComponent(name), withIntermediateDirectories: true)
    }
    for i in 0..<count {
      let name = String(format: "%06d", i + 1)
      let labels = (0..<attributeNames.count).map { (i >> $0) & 1 == 1 ? " 1" : "-1" }.joined(separator: " ")
      attributeRows.append("\(name).jpg \(labels)")
      partitionRows.append("\(name).jpg \(i % validationStride == validationStride - 1 ? 1 : 0)")
      try write(photo(i), to: imageURL(i))
      if masks { try write(labelMap(i), to: maskURL(i)) }
    }
    try writeLists()
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  func imageURL(_ i: Int) -> URL {
    folder.appendingPathComponent("img_align_celeba").appendingPathComponent(String(format: "%06d.jpg", i + 1))
  }

  func maskURL(_ i: Int) -> URL {
    folder.appendingPathComponent("mask_faceparsing").appendingPathComponent(String(format: "%06d.png", i + 1))
  }

  func writeLists(announcing count: Int? = nil) throws {
    let names = attributeNames.joined(separator: " ")
    let attributes = (["\(count ?? attributeRows.count)", names] + attributeRows).joined(separator: "\n") + "\n"
    try attributes.write(to: folder.appendingPathComponent("list_attr_celeba.txt"), atomically: true, encoding: .utf8)
    let partitions = partitionRows.joined(separator: "\r\n")  // As some copies of CelebA have it.
    try partitions.write(
      to: folder.appendingPathComponent("list_eval_partition.txt"), atomically: true, encoding: .utf8)
  }

  /// Red rises from left to right, green from top to bottom, blue tells the photo.
  func photo(_ i: Int) -> Picture {
    var pixels: [UInt8] = []
    for y in 0..<size.height {
      for x in 0..<size.width {
        pixels += [UInt8(x * 255 / (size.width - 1)), UInt8(y * 255 / (size.height - 1)), UInt8(i * 10 % 256)]
      }
    }
    return Picture(width: size.width, height: size.height, channels: 3, pixels: pixels)
  }

  /// Skin (1) in the left third, hair (17) in the next, background (0) in the rest; cloth (16) in the last row.
  func labelMap(_ i: Int) -> Picture {
    var pixels: [UInt8] = []
    for y in 0..<size.height {
      for x in 0..<size.width {
        let third = x * 3 / size.width
        pixels.append(y == size.height - 1 ? 16 : third == 0 ? 1 : third == 1 ? 17 : 0)
      }
    }
    return Picture(width: size.width, height: size.height, channels: 1, pixels: pixels)
  }

  /// Writes a photo or label map without loss, whatever the file's ending says.
  func write(_ picture: Picture, to url: URL) throws {
    let png = folder.appendingPathComponent("picture.png")
    try picture.write(to: png)
    try Data(contentsOf: png).write(to: url)
  }

  func configuration(size: Int = 16) -> DatasetConfiguration {
    var configuration = DatasetConfiguration()
    configuration.size = size
    return configuration
  }

  func dataset(size: Int = 16) throws -> CelebA {
    try CelebA(directory: folder, configuration: configuration(size: size))
  }

  func cache(_ partition: Partition = .train, of dataset: CelebA) throws -> DecodedCache {
    try DecodedCache.open(dataset, partition: partition, in: folder.appendingPathComponent("cache"))
  }
}

extension DecodedCache {
  /// One sample's pixels, for tests.
  func pixels(_ position: Int, isFlipped: Bool = false) -> (image: [UInt8], mask: [UInt8]) {
    var image = [UInt8](repeating: 99, count: size * size * 3)
    var mask = [UInt8](repeating: 99, count: size * size)
    image.withUnsafeMutableBytes { image in
      mask.withUnsafeMutableBytes { mask in
        try! copy(position, isFlipped: isFlipped, image: image, mask: mask)
      }
    }
    return (image, mask)
  }
}

/// The folder of real data sets that the environment names, for tests that need real photos.
let realData = ProcessInfo.processInfo.environment["FACET_DATA"].map { URL(fileURLWithPath: $0, isDirectory: true) }

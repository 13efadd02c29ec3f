import Foundation
import Photo

/// A small data set in CelebA's layout: faces drawn from ellipses, with their label maps.
final class DrawnFaces {
  let folder: URL
  private let side: Int

  /// Every fourth photo is for validation; no photo is for testing.
  init(count: Int = 32, side: Int = 32) throws {
    self.side = side
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("facet-faces-\(UUID().uuidString)")
    for name in ["img_align_celeba", "mask_faceparsing"] {
      try FileManager.default.createDirectory(
        at: folder.appendingPathComponent(name), withIntermediateDirectories: true)
    }
    var attributes = "\(count)\nSmiling Eyeglasses\n"
    var partitions = ""
    for i in 0..<count {
      let name = String(format: "%06d", i + 1)
      let (photo, labels) = draw(i)
      try photo.write(to: folder.appendingPathComponent("img_align_celeba/\(name).jpg"))
      try labels.write(to: folder.appendingPathComponent("mask_faceparsing/\(name).png"))
      attributes += "\(name).jpg \(i % 2 == 0 ? 1 : -1) \(i % 3 == 0 ? 1 : -1)\n"
      partitions += "\(name).jpg \(i % 4 == 3 ? 1 : 0)\n"
    }
    try attributes.write(to: folder.appendingPathComponent("list_attr_celeba.txt"), atomically: true, encoding: .utf8)
    try partitions.write(
      to: folder.appendingPathComponent("list_eval_partition.txt"), atomically: true, encoding: .utf8)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  /// A head of skin (1) with eyes (4), a mouth (12) that smiles in every second photo, and glasses (6) in every third.
  private func draw(_ i: Int) -> (photo: Picture, labels: Picture) {
    var pixels: [UInt8] = []
    var labels: [UInt8] = []
    let middle = Double(i % 5 - 2) * 0.05
    for row in 0..<side {
      for column in 0..<side {
        let x = (Double(column) + 0.5) / Double(side) * 2 - 1 - middle
        let y = (Double(row) + 0.5) / Double(side) * 2 - 1
        func isIn(_ centerX: Double, _ centerY: Double, _ width: Double, _ height: Double) -> Bool {
          let (dx, dy) = ((x - centerX) / width, (y - centerY) / height)
          return dx * dx + dy * dy < 1
        }
        let isEye = isIn(-0.25, -0.2, 0.1, 0.08) || isIn(0.25, -0.2, 0.1, 0.08)
        let isFrame = isIn(-0.25, -0.2, 0.2, 0.18) || isIn(0.25, -0.2, 0.2, 0.18)
        let isMouth = isIn(0, 0.35, i % 2 == 0 ? 0.35 : 0.2, 0.08)
        let isHead = isIn(0, 0, 0.6, 0.8)
        let (label, color): (UInt8, [UInt8]) =
          switch true {
          case isEye: (4, [40, 40, 60])
          case isFrame && i % 3 == 0: (6, [20, 20, 20])
          case isMouth: (12, [180, 60, 60])
          case isHead: (1, [220, 180, UInt8(120 + i * 7 % 60)])
          default: (0, [UInt8(i * 37 % 256), 90, 140])
          }
        labels.append(label)
        pixels += color
      }
    }
    return (
      Picture(width: side, height: side, channels: 3, pixels: pixels),
      Picture(width: side, height: side, channels: 1, pixels: labels)
    )
  }
}

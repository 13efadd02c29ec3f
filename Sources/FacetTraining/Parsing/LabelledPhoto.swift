import Facet
import Foundation
import Photo

/// A photo on disk with the classes of its pixels.
struct LabelledPhoto: Sendable {
  var photo: URL
  var map: Map
  /// Whether the face wears glasses, of maps that are right in the large only; `nil` for maps that are believed as they are.
  var wearsGlasses: Bool?

  enum Map: Sendable {
    /// An 8-bit picture of the photo's size whose values are places in `order`.
    case file(URL, order: [FaceClass])
    /// A black and white picture for each class that occurs, named by the class behind this prefix. Where they overlap,
    /// the later one in CelebAMask-HQ's order is seen.
    case parts(URL)
  }

  /// The photo and its label map in the order of ``FaceClass``, of one size.
  func read() throws(DatasetError) -> (photo: Picture, map: Picture) {
    let picture = try picture(photo)
    switch map {
    case .file(let url, let order):
      let labels = try load(url) { url throws(PhotoError) in
        try Picture(labelMap: url, pixelLimit: FaceParser.pixelLimit)
      }
      guard (picture.width, picture.height) == (labels.width, labels.height) else {
        throw DatasetError(
          .maskSizeMismatch, path: url.path,
          reason: "the label map is \(labels.width)×\(labels.height), its photo \(picture.width)×\(picture.height)")
      }
      if let strange = labels.pixels.first(where: { Int($0) >= order.count }) {
        throw DatasetError(
          .unreadableImage, path: url.path, reason: "class \(strange) is none of the classes 0 to \(order.count - 1)")
      }
      let map = Picture(
        width: labels.width, height: labels.height, channels: 1, pixels: labels.pixels.map { order[Int($0)].rawValue })
      return (picture, wearsGlasses.map { map.knowing(wearsGlasses: $0) } ?? map)
    case .parts(let prefix):
      let labels = try combined(prefix)
      return (picture.resized(to: (labels.width, labels.height)), labels)
    }
  }

  private func combined(_ prefix: URL) throws(DatasetError) -> Picture {
    var size: (width: Int, height: Int)?
    var classes: [UInt8] = []
    for face in FaceClass.celebAMaskHQ.dropFirst() {
      let url = URL(fileURLWithPath: prefix.path + face.partName + ".png")
      guard FileManager.default.fileExists(atPath: url.path) else { continue }
      let part = try picture(url)
      if size == nil {
        size = (part.width, part.height)
        classes = [UInt8](repeating: 0, count: part.width * part.height)
      }
      guard let size, size == (part.width, part.height) else {
        throw DatasetError(.maskSizeMismatch, path: url.path, reason: "the parts of one photo differ in size")
      }
      for i in classes.indices where part.pixels[3 * i] > 127 { classes[i] = face.rawValue }
    }
    guard let size else {
      throw DatasetError(
        .missingFile, path: prefix.path + "skin.png", reason: "\(photo.lastPathComponent) has no parts")
    }
    return Picture(width: size.width, height: size.height, channels: 1, pixels: classes)
  }

  private func picture(_ url: URL) throws(DatasetError) -> Picture {
    try load(url) { url throws(PhotoError) in try Picture(contentsOf: url, pixelLimit: FaceParser.pixelLimit).rgb() }
  }

  private func load(_ url: URL, _ body: (URL) throws(PhotoError) -> Picture) throws(DatasetError) -> Picture {
    do {
      return try body(url)
    } catch {
      throw DatasetError(.unreadableImage, path: url.path, reason: "the pair cannot be used: \(error)")
    }
  }
}

extension Picture {
  /// A label map of a face of which it is known whether it wears glasses. Other parsers see some where there are none, miss thin
  /// ones, and take all that is seen through lenses for glasses.
  fileprivate func knowing(wearsGlasses: Bool) -> Picture {
    var classes = pixels
    let glasses = FaceClass.eyeglasses.rawValue
    let share = Double(pixels.count { $0 == glasses }) / Double(pixels.count)
    func replace(by new: UInt8, _ isMeant: (Int) -> Bool) {
      for i in classes.indices where isMeant(i) { classes[i] = new }
    }
    if !wearsGlasses {
      // Where they are large the label may be wrong.
      replace(by: share < Self.leastGlasses ? FaceClass.skin.rawValue : FaceClass.unknown) { pixels[$0] == glasses }
    } else if Self.leastGlasses...Self.mostGlasses ~= share {
      let inside = inside(glasses, reach: Int((0.03 * Double(width)).rounded()))
      replace(by: FaceClass.unknown) { inside[$0] }
    } else {
      let head = Set(FaceClass.allCases.filter { FaceClass.groups[Int($0.rawValue)] >= FaceClass.groups[Int(glasses)] }.map(\.rawValue))
      replace(by: FaceClass.unknown) { head.contains(pixels[$0]) }
    }
    return Picture(width: width, height: height, channels: 1, pixels: classes)
  }

  /// The parts of a crop of a face that glasses with lenses cover.
  private static let (leastGlasses, mostGlasses) = (0.02, 0.09)

  /// Whether all pixels up to some away, along rows and columns, are of a class.
  private func inside(_ value: UInt8, reach: Int) -> [Bool] {
    pixels.indices.map { i in
      let (y, x) = i.quotientAndRemainder(dividingBy: width)
      return pixels[i] == value && (-reach...reach).allSatisfy { d in
        let (u, v) = (min(width - 1, max(0, x + d)), min(height - 1, max(0, y + d)))
        return pixels[y * width + u] == value && pixels[v * width + x] == value
      }
    }
  }
}

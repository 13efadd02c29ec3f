import Facet
import Foundation
import Photo

/// A photo on disk with the classes of its pixels.
struct LabelledPhoto: Sendable {
  var photo: URL
  var map: Map

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
      let classes = labels.pixels.map { order[Int($0)].rawValue }
      return (picture, Picture(width: labels.width, height: labels.height, channels: 1, pixels: classes))
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

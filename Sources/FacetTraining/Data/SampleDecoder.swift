import Facet
import Foundation
import Photo

/// Makes a sample of a photo and its label map: decode, cut out the window, resize.
///
/// Photos are reduced by area averages. A mask is the area average of the pixels whose class is face,
/// 1 where it is at least one half.
struct SampleDecoder: Sendable {
  let dataset: CelebA
  private let isFace: [Bool]

  init(_ dataset: CelebA) {
    self.dataset = dataset
    var isFace = dataset.configuration.isFace
    if dataset.crops != nil { isFace[Int(CropSet.noLabel)] = false }
    self.isFace = isFace
  }

  /// The most pixels of a photo in a data set: a hostile file cannot take all memory on every core.
  private static let pixelLimit = 50_000_000

  /// Bytes of one record: the image, size × size × 3, then the mask's rows, a bit for each pixel
  /// (lowest bit first), each row filled up to whole bytes.
  static func recordBytes(size: Int, masks: Bool) -> Int {
    size * size * 3 + (masks ? size * maskRowBytes(size: size) : 0)
  }

  static func maskRowBytes(size: Int) -> Int { (size + 7) / 8 }

  /// Decodes one sample into `record`.
  func decode(_ sample: Int, into record: UnsafeMutableRawBufferPointer) throws(DatasetError) {
    let configuration = dataset.configuration
    let size = configuration.size
    let imageURL = dataset.imageURL(of: sample)
    if let crops = dataset.crops {
      do {
        record.copyBytes(from: try crops.picture(sample).resized(to: (size, size)).pixels)
        if configuration.requiresMasks { try write(crops.labelMap(sample), size: size, to: record) }
      } catch {
        throw DatasetError(.unreadableImage, path: imageURL.path, reason: "\(error)")
      }
      return
    }
    let photo = try read(imageURL, of: sample) { url throws(PhotoError) in
      try Picture(contentsOf: url, pixelLimit: Self.pixelLimit)
    }
    guard let window = configuration.crop.window(inWidth: photo.width, height: photo.height) else {
      let reason = "the photo, \(photo.width)×\(photo.height), does not contain the crop window"
      throw DatasetError(.unreadableImage, path: imageURL.path, reason: reason)
    }
    record.copyBytes(from: photo.resized(window: window, to: (size, size)).pixels)

    guard configuration.requiresMasks else { return }
    let maskURL = dataset.maskURL(of: sample)
    let labels = try read(maskURL, of: sample) { url throws(PhotoError) in
      try Picture(labelMap: url, pixelLimit: Self.pixelLimit)
    }
    guard labels.width == photo.width, labels.height == photo.height else {
      let reason =
        "the label map is \(labels.width)×\(labels.height), "
        + "but its photo \(imageURL.lastPathComponent) is \(photo.width)×\(photo.height)"
      throw DatasetError(.maskSizeMismatch, path: maskURL.path, reason: reason)
    }
    write(labels, window: window, size: size, to: record)
  }

  /// Writes the mask of a label map behind the image; what a photo does not have is not face.
  private func write(
    _ labels: Picture, window: Window? = nil, size: Int, to record: UnsafeMutableRawBufferPointer
  ) {
    let face = Picture(
      width: labels.width, height: labels.height, channels: 1, pixels: labels.pixels.map { isFace[Int($0)] ? 255 : 0 })
    let coverage = face.resized(
      window: window ?? Window(x: 0, y: 0, width: labels.width, height: labels.height), to: (size, size)).pixels
    let rowBytes = Self.maskRowBytes(size: size)
    let mask = UnsafeMutableRawBufferPointer(rebasing: record[(size * size * 3)...])
    for y in 0..<size {
      for byte in 0..<rowBytes {
        var bits: UInt8 = 0
        for bit in 0..<min(8, size - byte * 8) where coverage[y * size + byte * 8 + bit] >= 128 { bits |= 1 << bit }
        mask[y * rowBytes + byte] = bits
      }
    }
  }

  private func read(
    _ url: URL, of sample: Int, with decode: (URL) throws(PhotoError) -> Picture
  ) throws(DatasetError) -> Picture {
    do {
      return try decode(url)
    } catch {
      if !FileManager.default.fileExists(atPath: url.path) {
        let origin = "\(CelebA.attributeList) line \(dataset.samples[sample].line)"
        throw DatasetError(.missingFile, path: url.path, reason: "the file is missing; \(origin) names its photo")
      }
      let (text, prefix) = (error.description, "\(url.path): ")
      let reason = text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : text
      throw DatasetError(.unreadableImage, path: url.path, reason: reason)
    }
  }
}

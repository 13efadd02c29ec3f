import Foundation

/// A decoded picture: rows from the top, channels interleaved, 8 bits each.
struct DecodedPicture {
  var width: Int
  var height: Int
  var channels: Int
  var bytes: [UInt8]
}

/// Makes a sample of a photo and its label map: decode, cut out the window, resize.
///
/// Photos are resized by area averages (linear interpolation where the sample is larger than the
/// window). A mask is the area average of its face pixels, 1 where at least half of the area is face.
struct SampleDecoder: Sendable {
  typealias Decode = @Sendable (URL) throws -> DecodedPicture

  let configuration: DatasetConfiguration
  /// Decodes a photo to sRGB, three channels.
  let photo: Decode
  /// Decodes a label map to one channel of class numbers.
  let labelMap: Decode

  /// Bytes of one record: the image, size × size × 3, then the mask's rows, a bit for each pixel
  /// (lowest bit first), each row filled up to whole bytes.
  static func recordBytes(size: Int, masks: Bool) -> Int {
    size * size * 3 + (masks ? size * maskRowBytes(size: size) : 0)
  }

  static func maskRowBytes(size: Int) -> Int { (size + 7) / 8 }

  /// Decodes one sample of `dataset` into `record`.
  func decode(_ sample: Int, of dataset: CelebA, into record: UnsafeMutableRawBufferPointer) throws(DatasetError) {
    let size = configuration.size
    let imageURL = dataset.imageURL(of: sample)
    let line = dataset.samples[sample].line
    let list = CelebA.attributeList
    let picture = try read(imageURL, named: "\(list) line \(line)", with: photo)
    guard picture.channels == 3 else {
      throw DatasetError(.unreadableImage, path: imageURL.path, reason: "\(picture.channels) channels, expected 3")
    }
    guard let window = configuration.crop.window(inWidth: picture.width, height: picture.height) else {
      let reason = "the picture, \(picture.width)×\(picture.height), does not contain the crop window"
      throw DatasetError(.unreadableImage, path: imageURL.path, reason: reason)
    }
    let columns = AreaFilter(source: window.x..<window.x + window.width, count: size)
    let rows = AreaFilter(source: window.y..<window.y + window.height, count: size)
    let resized = resample(picture, columns: columns, rows: rows)
    for i in 0..<size * size * 3 { record[i] = UInt8(min(max(resized[i] + 0.5, 0), 255)) }

    guard configuration.requiresMasks else { return }
    let maskURL = dataset.maskURL(of: sample)
    var labels = try read(maskURL, named: "\(list) line \(line)", with: labelMap)
    guard labels.channels == 1 else {
      throw DatasetError(.unreadableImage, path: maskURL.path, reason: "\(labels.channels) channels, expected 1")
    }
    guard labels.width == picture.width, labels.height == picture.height else {
      let reason =
        "the label map is \(labels.width)×\(labels.height), "
        + "but its photo \(imageURL.lastPathComponent) is \(picture.width)×\(picture.height)"
      throw DatasetError(.maskSizeMismatch, path: maskURL.path, reason: reason)
    }
    let isFace = configuration.isFace
    for i in labels.bytes.indices { labels.bytes[i] = isFace[Int(labels.bytes[i])] ? 1 : 0 }
    let coverage = resample(labels, columns: columns, rows: rows)
    let rowBytes = Self.maskRowBytes(size: size)
    let mask = UnsafeMutableRawBufferPointer(rebasing: record[(size * size * 3)...])
    for y in 0..<size {
      for byte in 0..<rowBytes {
        var bits: UInt8 = 0
        for bit in 0..<min(8, size - byte * 8) where coverage[y * size + byte * 8 + bit] >= 0.5 { bits |= 1 << bit }
        mask[y * rowBytes + byte] = bits
      }
    }
  }

  private func read(_ url: URL, named origin: String, with decode: Decode) throws(DatasetError) -> DecodedPicture {
    do {
      let picture = try decode(url)
      let expected = picture.width * picture.height * picture.channels
      guard picture.width > 0, picture.height > 0, picture.bytes.count == expected else {
        throw DatasetError(.unreadableImage, path: url.path, reason: "the picture is empty")
      }
      return picture
    } catch let error as DatasetError {
      throw error
    } catch {
      if !FileManager.default.fileExists(atPath: url.path) {
        throw DatasetError(.missingFile, path: url.path, reason: "the file is missing; \(origin) names it")
      }
      throw DatasetError(.unreadableImage, path: url.path, reason: "\(error)")
    }
  }

  /// Resizes the window that `columns` and `rows` cover; values keep their range.
  private func resample(_ picture: DecodedPicture, columns: AreaFilter, rows: AreaFilter) -> [Float] {
    let channels = picture.channels
    let stride = columns.count * channels
    let source = rows.source
    // First along the rows, for the source rows of the window only; then along the columns.
    let narrow = [Float](unsafeUninitializedCapacity: source.count * stride) { narrow, count in
      picture.bytes.withUnsafeBufferPointer { bytes in
        columns.withWeights { weights in
          var i = 0
          for y in source {
            for x in 0..<columns.count {
              let first = (y * picture.width + columns.first[x]) * channels
              for channel in 0..<channels {
                var sum: Float = 0
                for tap in 0..<columns.taps {
                  sum += weights[x * columns.taps + tap] * Float(bytes[first + tap * channels + channel])
                }
                narrow[i] = sum
                i += 1
              }
            }
          }
        }
      }
      count = source.count * stride
    }
    return [Float](unsafeUninitializedCapacity: rows.count * stride) { result, count in
      narrow.withUnsafeBufferPointer { narrow in
        rows.withWeights { weights in
          for y in 0..<rows.count {
            let first = (rows.first[y] - source.lowerBound) * stride
            for i in 0..<stride {
              var sum: Float = 0
              for tap in 0..<rows.taps { sum += weights[y * rows.taps + tap] * narrow[first + tap * stride + i] }
              result[y * stride + i] = sum
            }
          }
        }
      }
      count = rows.count * stride
    }
  }
}

/// For each target pixel on one axis, the source pixels it averages and their weights, which sum to 1:
/// the share of its area where the target is smaller, linear interpolation where it is larger.
private struct AreaFilter {
  let source: Range<Int>
  let count: Int
  /// The number of weights of each target pixel.
  let taps: Int
  /// The first source pixel of each target pixel; all `taps` of them lie in `source`.
  let first: [Int]
  /// count × taps.
  private let weights: [Float]

  func withWeights(_ body: (UnsafeBufferPointer<Float>) -> Void) { weights.withUnsafeBufferPointer(body) }

  init(source: Range<Int>, count: Int) {
    let scale = Double(source.count) / Double(count)
    let taps = min(source.count, scale >= 1 ? Int(scale.rounded(.up)) + 1 : 2)
    var first: [Int] = []
    var weights: [Float] = []
    for target in 0..<count {
      let center = (Double(target) + 0.5) * scale
      let begin = scale >= 1 ? Double(target) * scale : center - 0.5
      let start = min(max(Int(begin.rounded(.down)), 0), source.count - taps)
      let end = Double(target + 1) * scale
      let shares = (start..<start + taps).map { index -> Double in
        let pixel = Double(index)
        if scale < 1 { return max(0, 1 - abs(pixel + 0.5 - center)) }
        return max(0, min(pixel + 1, end) - max(pixel, begin))
      }
      let sum = shares.reduce(0, +)
      first.append(source.lowerBound + start)
      weights += shares.map { Float($0 / sum) }
    }
    self.source = source
    self.count = count
    self.taps = taps
    self.first = first
    self.weights = weights
  }
}

extension SampleDecoder {
  init(_ configuration: DatasetConfiguration) {
    struct Missing: Error {}
    self.init(configuration: configuration, photo: { _ in throw Missing() }, labelMap: { _ in throw Missing() })
  }
}

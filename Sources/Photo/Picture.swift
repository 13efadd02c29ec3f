import Foundation

/// A rectangle of whole pixels; the corner `x`, `y` is the upper left one.
public struct Window: Equatable, Sendable {
  /// The first column.
  public var x: Int
  /// The first row.
  public var y: Int
  /// Columns.
  public var width: Int
  /// Rows.
  public var height: Int

  /// A rectangle by its upper left corner and its size.
  public init(x: Int, y: Int, width: Int, height: Int) {
    (self.x, self.y, self.width, self.height) = (x, y, width, height)
  }
}

/// 8-bit pixels, rows from the top, channels interleaved: three of sRGB, or one of grey or of labels.
public struct Picture: Equatable, Sendable {
  /// Pixels in a row, at least 1.
  public let width: Int
  /// Rows of pixels, at least 1.
  public let height: Int
  /// Values of a pixel: 1 or 3.
  public let channels: Int
  /// `height` × `width` × `channels` values.
  public internal(set) var pixels: [UInt8]

  /// - Precondition: `pixels` has `width` × `height` × `channels` values; channels are 1 or 3.
  public init(width: Int, height: Int, channels: Int, pixels: [UInt8]) {
    precondition(width > 0 && height > 0 && (channels == 1 || channels == 3), "no picture has this shape")
    precondition(pixels.count == width * height * channels, "pixels do not match the picture's shape")
    (self.width, self.height, self.channels, self.pixels) = (width, height, channels, pixels)
  }

  /// A picture of one value.
  public init(width: Int, height: Int, channels: Int = 3, filledWith value: UInt8) {
    self.init(
      width: width, height: height, channels: channels,
      pixels: [UInt8](repeating: value, count: width * height * channels))
  }

  /// Decodes a file to sRGB, upright. Small files decode on the calling thread alone, so a loader may
  /// decode many at once.
  public init(contentsOf url: URL, pixelLimit: Int = Photo.defaultPixelLimit) throws(PhotoError) {
    if let picture = Picture(plainJPEG: url, pixelLimit: pixelLimit) {
      self = picture
      return
    }
    self = try Codec.open(url, limit: pixelLimit) { codec throws(PhotoError) in try codec.decode().picture }
  }

  /// Reads a label map: one channel of 8 bits without palette, values as stored, no colour conversion.
  public init(labelMap url: URL, pixelLimit: Int = Photo.defaultPixelLimit) throws(PhotoError) {
    self = try Codec.open(url, limit: pixelLimit) { codec throws(PhotoError) in try codec.decodeLabels() }
  }

  /// Writes a file, whole or not at all, in the format of its ending.
  public func write(to url: URL, quality: Int = Photo.defaultQuality) throws(PhotoError) {
    guard let format = Photo.Format(pathExtension: url.pathExtension) else {
      throw .unknownFormat(file: url.path)
    }
    try writeFile(Codec.encode(Codec.Pixels(self), format: format, quality: quality, name: url.path), to: url)
  }

  /// The values of one pixel.
  public subscript(x: Int, y: Int) -> ArraySlice<UInt8> {
    let start = (y * width + x) * channels
    return pixels[start..<start + channels]
  }

  /// The same picture with three channels.
  public func rgb() -> Picture {
    guard channels == 1 else { return self }
    var values = [UInt8]()
    values.reserveCapacity(pixels.count * 3)
    for value in pixels {
      values.append(value)
      values.append(value)
      values.append(value)
    }
    return Picture(width: width, height: height, channels: 3, pixels: values)
  }

  /// Mirrored left to right.
  public func mirrored() -> Picture {
    var result = self
    result.pixels.withUnsafeMutableBufferPointer { to in
      pixels.withUnsafeBufferPointer { from in
        for y in 0..<height {
          for x in 0..<width {
            for c in 0..<channels {
              to[(y * width + x) * channels + c] = from[(y * width + width - 1 - x) * channels + c]
            }
          }
        }
      }
    }
    return result
  }

  /// Turned by quarters, clockwise: a pixel's place `x`, `y` becomes `height - 1 - y`, `x` by the first.
  public func turned(quarters: Int) -> Picture {
    let quarters = (quarters % 4 + 4) % 4
    if quarters == 0 { return self }
    let size = quarters == 2 ? (width, height) : (height, width)
    var result = Picture(width: size.0, height: size.1, channels: channels, filledWith: 0)
    let (origin, stepX, stepY) =
      switch quarters {
      case 1: (height - 1, height, -1)
      case 2: (width * height - 1, -1, -width)
      default: ((width - 1) * height, -height, 1)
      }
    result.pixels.withUnsafeMutableBufferPointer { to in
      pixels.withUnsafeBufferPointer { from in
        for y in 0..<height {
          for x in 0..<width {
            let place = (origin + x * stepX + y * stepY) * channels
            for c in 0..<channels { to[place + c] = from[(y * width + x) * channels + c] }
          }
        }
      }
    }
    return result
  }

  /// Turned and mirrored as a picture is to be seen that has an EXIF orientation, 1 to 8.
  func turned(_ orientation: Int) -> Picture {
    switch orientation {
    case 2: mirrored()
    case 3: turned(quarters: 2)
    case 4: mirrored().turned(quarters: 2)
    case 5: mirrored().turned(quarters: 3)
    case 6: turned(quarters: 1)
    case 7: mirrored().turned(quarters: 1)
    case 8: turned(quarters: 3)
    default: self
    }
  }

  /// Copies `other` to where its upper left pixel is `x`, `y`; what lies outside is cut off.
  public mutating func paste(_ other: Picture, x: Int, y: Int) {
    precondition(channels == other.channels, "pictures of different channels")
    let columns = max(0, -x)..<max(max(0, -x), min(other.width, width - x))
    if columns.isEmpty { return }
    for row in max(0, -y)..<max(max(0, -y), min(other.height, height - y)) {
      let from = (row * other.width + columns.lowerBound) * channels
      let to = ((y + row) * width + x + columns.lowerBound) * channels
      let count = columns.count * channels
      pixels.replaceSubrange(to..<to + count, with: other.pixels[from..<from + count])
    }
  }
}

/// Interleaved numbers in the layout of ``Picture``: intensities 0…1, a mask, a flow, or a change of three colours
/// and a slope.
public struct FloatPicture: Equatable, Sendable {
  /// The difference from the smooth picture, in parts of white, from which on it is an edge and no grain.
  public static let largestGrain: Float = 0.16

  /// Pixels in a row, at least 1.
  public let width: Int
  /// Rows of pixels, at least 1.
  public let height: Int
  /// Values of a pixel, 1 to 4.
  public let channels: Int
  /// `height` × `width` × `channels` values.
  public let values: [Float]

  /// - Precondition: `values` has `width` × `height` × `channels` values; channels are 1 to 4.
  public init(width: Int, height: Int, channels: Int, values: [Float]) {
    precondition(width > 0 && height > 0 && (1...4).contains(channels), "no picture has this shape")
    precondition(values.count == width * height * channels, "values do not match the picture's shape")
    (self.width, self.height, self.channels, self.values) = (width, height, channels, values)
  }

  /// A picture's intensities, 0…1.
  public init(_ picture: Picture) {
    self.init(
      width: picture.width, height: picture.height, channels: picture.channels,
      values: picture.pixels.map { Float($0) / 255 })
  }
}

extension Picture {
  /// Intensities 0…1 as 8-bit values, rounded; what lies outside is clamped.
  public init(_ picture: FloatPicture) {
    self.init(
      width: picture.width, height: picture.height, channels: picture.channels,
      pixels: picture.values.map { byte($0 * 255) })
  }
}

/// The nearest 8-bit value; 0 for NaN.
@inline(__always)
func byte(_ value: Float) -> UInt8 { UInt8(max(0, min(255, value + 0.5))) }

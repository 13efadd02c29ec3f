import Files
import Foundation

/// A photo as it was decoded from a file, with what is needed to write it back: format, alpha, metadata.
///
/// Pixels are 8-bit sRGB: an embedded ICC profile is converted from, 16-bit, greyscale and CMYK files
/// are accepted, and the EXIF orientation is applied.
public struct Photo: Sendable {
  public enum Format: String, Sendable, CaseIterable {
    case jpeg, png, webp, tiff, heic, avif

    /// The format that a file's ending stands for.
    public init?(pathExtension: String) {
      switch pathExtension.lowercased() {
      case "jpg", "jpeg": self = .jpeg
      case "png": self = .png
      case "webp": self = .webp
      case "tif", "tiff": self = .tiff
      case "heic", "heif": self = .heic
      case "avif": self = .avif
      default: return nil
      }
    }
  }

  /// How many pixels a photo may have unless told otherwise: 100 million, which take 300 MB.
  public static let defaultPixelLimit = 100_000_000

  /// The pixels, three channels.
  public var picture: Picture
  /// Opacity, one value a pixel, 255 for opaque; written back to the formats that have it.
  public let alpha: [UInt8]?
  /// The format of the file that was read.
  public let format: Format
  let metadata: Metadata?

  public var width: Int { picture.width }
  public var height: Int { picture.height }

  /// Reads a file.
  /// - Throws: ``PhotoError``; a file with more than `pixelLimit` pixels is refused by its header.
  public init(contentsOf url: URL, pixelLimit: Int = defaultPixelLimit) throws(PhotoError) {
    self = try Codec.open(url, limit: pixelLimit) { codec throws(PhotoError) in try Photo(codec) }
  }

  /// Decodes a file's bytes; `name` stands for the file in errors.
  public init(data: Data, name: String = "photo", pixelLimit: Int = defaultPixelLimit) throws(PhotoError) {
    self = try Codec.open(data, name: name, limit: pixelLimit) { codec throws(PhotoError) in try Photo(codec) }
  }

  /// A photo without metadata.
  public init(_ picture: Picture, format: Format = .jpeg) {
    self.picture = picture.channels == 3 ? picture : picture.rgb()
    self.format = format
    alpha = nil
    metadata = nil
  }

  private init(_ codec: borrowing Codec) throws(PhotoError) {
    (picture, alpha) = try codec.decode()
    format = codec.format
    metadata = codec.metadata
  }

  /// The photo as a file's bytes, with the EXIF, XMP and IPTC data it came with, upright; its embedded
  /// thumbnail, which shows the unedited picture, is left out. A file that had an ICC profile gets sRGB's.
  /// - Parameter quality: 1…100, for the lossy formats; JPEG is written without chroma subsampling.
  public func encoded(as format: Format? = nil, quality: Int = 94) throws(PhotoError) -> Data {
    try encoded(as: format ?? self.format, quality: quality, name: "photo")
  }

  /// Writes a file, whole or not at all, replacing what was there. Its ending says the format; without
  /// one the photo keeps its own.
  public func write(to url: URL, quality: Int = 94) throws(PhotoError) {
    let ending = url.pathExtension
    guard let format = ending.isEmpty ? format : Format(pathExtension: ending) else {
      throw .unknownFormat(file: url.path)
    }
    try writeFile(encoded(as: format, quality: quality, name: url.path), to: url)
  }

  private func encoded(as format: Format, quality: Int, name: String) throws(PhotoError) -> Data {
    // Alpha belongs to the picture it was read with; one of another size has none.
    let fits = alpha?.count == width * height
    return try Codec.encode(
      picture, alpha: fits ? alpha : nil, metadata: metadata, format: format, quality: quality, name: name)
  }
}

import Files
import Foundation

/// A photo as it was decoded from a file, with what is needed to write it back: format, quality, profile, alpha,
/// metadata.
///
/// Pixels are 8-bit sRGB: an embedded ICC profile is converted from, 16-bit, floating-point, greyscale, CMYK and Lab files
/// are accepted, and the EXIF orientation is applied. A file of another profile or of 16 bits a channel is written as
/// it came: pixels that were not changed get the values they had, changed ones are converted. What a file carries and
/// cannot be written again is named by ``losses(as:)``.
public struct Photo: Sendable {
  /// The file formats that photos are read from and written in.
  public enum Format: String, Sendable, CaseIterable {
    /// By the names of their standards; HEIC holds HEVC, AVIF holds AV1.
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

  /// The quality that lossy formats are written with where nothing else is known.
  public static let defaultQuality = 94

  /// The pixels, three channels.
  public var picture: Picture
  /// How the picture came to be, once it is no longer what a camera made: written into the file's XMP in place of
  /// what was there. Nil leaves what was there.
  public var digitalSource: DigitalSource?
  /// Opacity, one value a pixel, 255 for opaque; written back to the formats that have it.
  public private(set) var alpha: [UInt8]?
  /// The format of the file that was read.
  public let format: Format
  /// Whether the file had one channel of grey. It is written with one again while the picture has no colour.
  public let isGrey: Bool
  /// The gain map of a JPEG for screens with more light; written behind the picture, if that is a JPEG. Whoever changes
  /// more of the picture than faces removes it by ``removeGainMap()``, for it no longer fits then.
  public var hasGainMap: Bool { container.gainMap != nil }
  /// The most bytes of memory that it takes from its decoding to its writing, with a face that is found and edited in it; 0 for one
  /// that was not read from a file.
  public let peakMemory: Int
  let coding: Coding
  let source: Source?
  /// Of a JPEG file whose blocks can be written again.
  private let blocks: JPEGBlocks?
  let metadata: Metadata?
  private var container: Container

  /// Pixels in a row.
  public var width: Int { picture.width }
  /// Rows of pixels.
  public var height: Int { picture.height }
  /// The quality of the JPEG that was read, 1…100 on libjpeg's scale, estimated from its quantization tables; nil
  /// for other formats.
  public var quality: Int? { coding.quality }

  /// The bytes of memory that its pixels take, those of its file's own values included.
  public var byteCount: Int {
    // While they are the same, the picture and what it was decoded to share their memory.
    picture.pixels.count + (alpha?.count ?? 0) + (container.gainMap?.file.count ?? 0) + (blocks?.file.count ?? 0)
      + (source?.values.count ?? 0) + ((source?.decoded ?? blocks?.decoded)?.pixels.count ?? 0)
  }

  /// Looks whether there is the memory to edit and write it, where that was not done with its decoding.
  /// - Throws: ``PhotoError/tooMuchMemory(file:needed:available:)``.
  public func checkMemory() throws(PhotoError) {
    try PhotoWork.checkMemory(2 * picture.pixels.count + 2 * (source?.values.count ?? 0), file: "photo")
  }

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
  public init(_ picture: Picture, format: Format = .jpeg) { self.init(picture, format: format, alpha: nil) }

  /// A photo without metadata.
  /// - Parameter alpha: opacity, one value a pixel.
  public init(_ picture: Picture, format: Format = .jpeg, alpha: [UInt8]?) {
    self.picture = picture.channels == 3 ? picture : picture.rgb()
    self.format = format
    (self.alpha, source, metadata, blocks) = (alpha, nil, nil, nil)
    container = Container()
    isGrey = picture.channels == 1
    (coding, peakMemory) = (Coding(), 0)
  }

  private init(_ codec: borrowing Codec) throws(PhotoError) {
    let metadata = codec.metadata
    var container = codec.container(metadata)
    if let (count, name) = container.pictures { throw .severalPictures(file: codec.file, count: count, name: name) }
    (picture, alpha, source) = try codec.decodeWithSource()
    let file = codec.format == .jpeg ? codec.data : nil
    // libvips does not see faults of the last rows, nor behind them, and other threads may take its message.
    let damage = file.flatMap(JPEGBlocks.damage) ?? codec.damage
    if let damage { container.losses.insert(.damagedData(reason: damage), at: 0) }
    format = codec.format
    isGrey = codec.colours == 1
    (coding, peakMemory) = (codec.coding, codec.peak + PhotoWork.rest)
    let whole = damage == nil ? file : nil
    blocks = whole.flatMap { [picture] in JPEGBlocks($0, orientation: codec.orientation, decoded: picture) }
    (self.metadata, self.container) = (metadata, container)
  }

  /// Brings the photo to another size, with its opacity; it is then written with 8 bits a channel, as sRGB, and
  /// without a gain map.
  public mutating func resize(to size: (width: Int, height: Int)) {
    alpha = alpha.map { Picture(width: width, height: height, channels: 1, pixels: $0).resized(to: size).pixels }
    picture = picture.resized(to: size)
    removeGainMap()
  }

  /// Takes the gain map away, which then counts as a loss.
  public mutating func removeGainMap() {
    if container.gainMap != nil { container.losses.append(.gainMap) }
    container.gainMap = nil
  }

  /// What the file carries and a file that is written of it does not; empty for nothing.
  /// - Parameter format: of the file to be written; the photo's own unless told otherwise.
  public func losses(as format: Format? = nil) -> [PhotoLoss] {
    let format = format ?? self.format
    var losses = container.losses
    if hasGainMap && format != .jpeg { losses.append(.gainMap) }
    if source?.colours == 4 && !Self.holdsInks(format) { losses.append(.colourSpace("CMYK")) }
    if source?.bits == 16 && !container.losses.contains(.floatValues) && [.jpeg, .webp].contains(format) {
      losses.append(.depth)
    }
    if format == .jpeg, let alpha, alpha.contains(where: { $0 != 255 }) { losses.append(.transparency) }
    if format != .jpeg && format != .tiff && metadata?["iptc-data"] != nil { losses.append(.iptc) }
    if format == .jpeg, let xmp = metadata?["xmp-data"], xmp.count > Metadata.segmentLimit { losses.append(.xmp) }
    return losses
  }

  private static func holdsInks(_ format: Format) -> Bool { format == .jpeg || format == .tiff }

  /// The photo as a file's bytes, with the EXIF, XMP and IPTC data it came with; its embedded
  /// thumbnails, which show the unedited picture, are left out.
  ///
  /// A JPEG that stays one keeps the coefficients of all blocks in which no pixel was changed, and its EXIF orientation; other files are
  /// upright. libvips writes EXIF into all formats but TIFF, XMP into all, and IPTC into JPEG and TIFF.
  /// - Parameters:
  ///   - format: the file's own unless told otherwise.
  ///   - quality: 1…100, for the lossy formats; all of a JPEG is encoded anew. Unless told otherwise a JPEG that stays one keeps its
  ///     ``quality``, a WebP without loss stays without, and everything else has ``defaultQuality``. A JPEG
  ///     that stays one keeps its chroma subsampling, any other has none.
  ///   - keepsLocation: whether the metadata goes on to tell where the photo was taken: GPS positions in EXIF and XMP,
  ///     places in XMP and IPTC. What a camera's maker hides in notes of its own is not known.
  ///   - isQuick: whether a JPEG or WebP takes less time and more bytes, as suits one that is looked at once.
  /// - Throws: ``PhotoError``, for a quality out of range, too.
  public func encoded(
    as format: Format? = nil, quality: Int? = nil, keepsLocation: Bool = false, isQuick: Bool = false
  ) throws(PhotoError) -> Data {
    try encoded(as: format ?? self.format, quality, keepsLocation, isQuick: isQuick, name: "photo")
  }

  /// Writes a file, whole or not at all, replacing what was there. Its ending says the format; without
  /// one the photo keeps its own.
  /// - Parameters:
  ///   - url: the file.
  ///   - quality: 1…100, as in ``encoded(as:quality:keepsLocation:)``.
  ///   - keepsLocation: whether the metadata goes on to tell where the photo was taken.
  public func write(to url: URL, quality: Int? = nil, keepsLocation: Bool = false) throws(PhotoError) {
    let ending = url.pathExtension
    guard let format = ending.isEmpty ? format : Format(pathExtension: ending) else {
      throw .unknownFormat(file: url.path)
    }
    try writeFile(encoded(as: format, quality, keepsLocation, name: url.path), to: url)
  }

  private func encoded(
    as format: Format, _ quality: Int?, _ keepsLocation: Bool, isQuick: Bool = false, name: String
  ) throws(PhotoError) -> Data {
    // One of another size belongs to another picture.
    let gainMap = format == .jpeg && (source == nil || source?.fits(picture) == true) ? container.gainMap : nil
    let metadata = (metadata ?? Metadata(of: nil))?.written(
      as: format, keepsLocation: keepsLocation, source: digitalSource, gainMap: gainMap?.file.count)
    var coding = format == self.format ? coding : Coding()
    // Who asks for a quality does not ask for none to be lost.
    if quality != nil { coding.isLossless = false }
    coding.isQuick = isQuick
    let pixels = try pixels(metadata, as: format, name: name)
    func encode(_ pixels: Codec.Pixels, _ coding: Coding) throws(PhotoError) -> Data {
      try Codec.encode(
        pixels, metadata: metadata, format: format, quality: quality ?? coding.quality ?? Self.defaultQuality, coding: coding, name: name)
    }
    var data: Data?
    // A gain map is upright already.
    if let blocks, format == .jpeg, quality == nil, !isQuick, gainMap == nil || blocks.orientation == 1 {
      // Only its metadata is taken.
      var (header, plain) = (pixels, Coding())
      (header.values, header.orientation, plain.isQuick, plain.isSubsampled) = ([], blocks.orientation, true, true)
      if blocks.orientation >= 5 { swap(&header.width, &header.height) }
      data = try blocks.edited(picture, pixels, header: encode(header, plain))
    }
    let file: Data
    if let data { file = data } else { file = try encode(pixels, coding) }
    if let gainMap { return Data(gainMap.appended(to: [UInt8](file))) }
    if format == .tiff, let exif = metadata?.exif { return Data(TIFFBlock.adding(exif, to: [UInt8](file), size: (width, height))) }
    return file
  }

  /// What is written: the file's own values where there are some, else the picture.
  private func pixels(_ metadata: Metadata?, as format: Format, name: String) throws(PhotoError) -> Codec.Pixels {
    var pixels = Codec.Pixels(picture)
    if let source, let metadata, source.colours < 4 || Self.holdsInks(format),
      let (values, channels) = try source.edited(picture, metadata, name: name)
    {
      (pixels.values, pixels.channels, pixels.bits) = (values, channels, source.bits)
      pixels.colours = channels - (source.hasAlpha ? 1 : 0)
    } else {
      if isGrey, let grey = picture.grey() { pixels = Codec.Pixels(grey) }
      // Alpha belongs to the picture it was read with; one of another size has none.
      if alpha?.count == width * height { pixels.alpha = alpha }
      if source?.isProfiled == true { metadata?.replaceProfile() }
    }
    // A profile of grey is none of colour.
    if isGrey && pixels.colours > 1 { metadata?.replaceProfile() }
    return pixels
  }
}

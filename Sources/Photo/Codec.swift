import CVips
import Files
import Foundation

/// An opened image file: its header is known, its pixels are not decoded yet.
struct Codec: ~Copyable {
  private let image: OpaquePointer
  let file: String
  private let bytes: Bytes
  let width: Int
  let height: Int

  /// Opens a file.
  static func open<Result>(
    _ url: URL, limit: Int, _ body: (borrowing Codec) throws(PhotoError) -> Result
  ) throws(PhotoError) -> Result {
    let file = url.path
    var status = stat()
    guard stat(file, &status) == 0 else {
      throw .unreadable(file: file, reason: String(cString: strerror(errno)))
    }
    // A pipe or a device could block for ever.
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw .unreadable(file: file, reason: status.st_mode & S_IFMT == S_IFDIR ? "a folder" : "not a regular file")
    }
    guard access(file, R_OK) == 0 else {
      throw .unreadable(file: file, reason: String(cString: strerror(errno)))
    }
    guard status.st_size > 0 else { throw .notAPhoto(file: file) }
    return try body(Codec(.file(file), name: file, limit: limit))
  }

  /// Opens bytes in memory; `name` stands for the file in errors.
  static func open<Result>(
    _ data: Data, name: String, limit: Int, _ body: (borrowing Codec) throws(PhotoError) -> Result
  ) throws(PhotoError) -> Result {
    guard !data.isEmpty else { throw .notAPhoto(file: name) }
    let result = data.withUnsafeBytes { bytes in
      Swift.Result { () throws(PhotoError) in
        try body(Codec(.memory(bytes), name: name, limit: limit))
      }
    }
    return try result.get()
  }

  private init(_ bytes: Bytes, name: String, limit: Int) throws(PhotoError) {
    if let excess = PhotoWork.excess(bytes.read) { throw .damaged(file: name, reason: excess) }
    var image: OpaquePointer?
    var message: UnsafeMutablePointer<CChar>?
    let status =
      switch bytes {
      case .file(let path): Int(cv_open(path, nil, 0, &image, &message))
      case .memory(let memory): Int(cv_open(nil, memory.baseAddress, memory.count, &image, &message))
      }
    guard status == 0, let image else {
      let reason = text(message)
      throw status == Int(CV_NOT_AN_IMAGE) ? .notAPhoto(file: name) : .damaged(file: name, reason: reason)
    }
    let (width, height) = (Int(cv_width(image)), Int(cv_height(image)))
    guard width * height <= limit else {
      cv_close(image)
      throw .tooLarge(file: name, width: width, height: height, limit: limit)
    }
    do {
      try PhotoWork.checkMemory(Self.peak(of: image), file: name)
    } catch {
      cv_close(image)
      throw error
    }
    self.image = image
    self.bytes = bytes
    self.width = width
    self.height = height
    file = name
  }

  deinit { cv_close(image) }

  var peak: Int { Self.peak(of: image) }

  /// The most bytes that a photo takes from its decoding to its writing: the pixels, a copy that is edited, opacity; the
  /// file's own values, where they are kept, and a copy of them; and what a decoder or an encoder holds of all that: numbers
  /// with a point whole, a JPEG's coefficients.
  private static func peak(of image: OpaquePointer) -> Int {
    let colours = cv_colours(image) > 0 ? Int(cv_colours(image)) : 4
    let alpha = cv_has_alpha(image) ? 1 : 0
    let own = (colours + alpha) * Int(cv_bits(image)) / 8
    let isKept = cv_colours(image) > 0 && (cv_bits(image) == 16 || cv_has_other_profile(image))
    // A JPEG's coefficients take two bytes each; before that, pixels that do not lie upright in it are turned back.
    let coded = String(cString: cv_format(image)) == Photo.Format.jpeg.rawValue ? cv_orientation(image) > 1 ? 9 : 6 : 3
    let held = cv_is_float(image) ? (colours + alpha) * MemoryLayout<Double>.size : max(coded, own)
    return Int(cv_width(image) * cv_height(image)) * (3 + 3 + alpha + (isKept ? 2 * own : 0) + held)
  }

  var format: Photo.Format { Photo.Format(rawValue: String(cString: cv_format(image))) ?? .jpeg }
  var hasAlpha: Bool { cv_has_alpha(image) }
  var isFloat: Bool { cv_is_float(image) }
  /// 1 for grey, 3 for red, green and blue, 4 for inks with a profile, 0 for colours of another kind, such as Lab.
  var colours: Int { Int(cv_colours(image)) }
  var coding: Coding { Coding(format, bytes.read) }

  var metadata: Metadata? {
    let metadata = Metadata(of: image)
    if format == .tiff, let metadata, metadata["exif-data"] == nil { metadata["exif-data"] = TIFFBlock.exif(of: bytes.read) }
    return metadata
  }

  /// What the file holds beside the picture, before it is decoded.
  func container(_ metadata: Metadata?) -> Container {
    var container = Container(
      format, orientation: orientation, pages: Int(cv_pages(image)), xmp: metadata?["xmp-data"],
      size: bytes.count, bytes.read)
    if colours == 0 { container.losses.append(.colourSpace(cv_is_cmyk(image) ? "CMYK without a profile" : "Lab")) }
    if isFloat { container.losses.append(.floatValues) }
    return container
  }

  /// EXIF's, 1…8.
  var orientation: Int { Int(cv_orientation(image)) }
  /// The whole file; nil where it is larger than any photo.
  var data: [UInt8]? {
    let count = bytes.count
    guard count <= Self.fileLimit else { return nil }
    let data = bytes.read(offset: 0, count: count)
    return data.count == count ? data : nil
  }

  private static let fileLimit = 256 << 20

  /// Once it is decoded, what libvips has found wrong with its data.
  var damage: String? {
    // libvips names its loader first.
    cv_damage(image).map { String(String(cString: $0).trimmingPrefix("VipsJpeg: ")) }
  }

  /// sRGB pixels, and alpha where the image has it.
  func decode() throws(PhotoError) -> (picture: Picture, alpha: [UInt8]?) {
    try decode(own: nil)
  }

  /// Decodes, and keeps the file's own values where they are of another profile or of 16 bits.
  func decodeWithSource() throws(PhotoError) -> (picture: Picture, alpha: [UInt8]?, source: Source?) {
    let (bits, isProfiled) = (Int(cv_bits(image)), cv_has_other_profile(image))
    guard colours > 0, bits == 16 || isProfiled else {
      let (picture, alpha) = try decode(own: nil)
      return (picture, alpha, nil)
    }
    var values = [UInt8](repeating: 0, count: width * height * (colours + (hasAlpha ? 1 : 0)) * bits / 8)
    let result = values.withUnsafeMutableBytes { own in
      Result { () throws(PhotoError) in try decode(own: own.baseAddress) }
    }
    let (picture, alpha) = try result.get()
    let source = Source(
      values: values, colours: colours, hasAlpha: hasAlpha, bits: bits, isProfiled: isProfiled, decoded: picture)
    return (picture, alpha, source)
  }

  private func decode(own: UnsafeMutableRawPointer?) throws(PhotoError) -> (picture: Picture, alpha: [UInt8]?) {
    var message: UnsafeMutablePointer<CChar>?
    var status: Int32 = 0
    var alpha = [UInt8]()
    if hasAlpha { alpha = [UInt8](repeating: 255, count: width * height) }
    let pixels = [UInt8](unsafeUninitializedCapacity: width * height * 3) { rgb, count in
      alpha.withUnsafeMutableBufferPointer { alpha in
        status = PhotoWork.withStop {
          cv_decode(image, own, rgb.baseAddress, hasAlpha ? alpha.baseAddress : nil, $0, &message)
        }
      }
      count = status == 0 ? width * height * 3 : 0
    }
    guard status == 0 else {
      let reason = text(message)
      throw status == Int32(CV_STOPPED) ? .stopped(file: file) : .damaged(file: file, reason: reason)
    }
    return (Picture(width: width, height: height, channels: 3, pixels: pixels), hasAlpha ? alpha : nil)
  }

  /// One 8-bit channel, values as stored.
  func decodeLabels() throws(PhotoError) -> Picture {
    var message: UnsafeMutablePointer<CChar>?
    var status: Int32 = 0
    let labels = [UInt8](unsafeUninitializedCapacity: width * height) { labels, count in
      status = cv_decode_labels(image, labels.baseAddress, &message)
      count = status == 0 ? width * height : 0
    }
    guard status == 0 else { throw .damaged(file: file, reason: text(message)) }
    return Picture(width: width, height: height, channels: 1, pixels: labels)
  }

  /// What is encoded: interleaved values of 8 or 16 bits, and opacity that they may not hold.
  struct Pixels {
    /// None for black.
    var values: [UInt8]
    var width: Int
    var height: Int
    /// Alpha included.
    var channels: Int
    /// 1, 3 or 4 for inks.
    var colours: Int
    var bits = 8
    var alpha: [UInt8]?
    /// EXIF's, that the pixels are to be seen with.
    var orientation = 1

    init(_ picture: Picture, alpha: [UInt8]? = nil) {
      (values, width, height, channels) = (picture.pixels, picture.width, picture.height, picture.channels)
      colours = picture.channels
      self.alpha = alpha
    }
  }

  private static func check(quality: Int, name: String) throws(PhotoError) {
    guard (1...100).contains(quality) else {
      throw .unwritable(file: name, reason: "the quality must be from 1 to 100, not \(quality)")
    }
  }

  static func encode(
    _ pixels: Pixels, metadata: Metadata? = nil, format: Photo.Format, quality: Int, coding: Coding = Coding(),
    name: String
  ) throws(PhotoError) -> Data {
    try check(quality: quality, name: name)
    return try withPixels(pixels, name: name) { pixels, stop, bytes, count, message in
      format.rawValue.withCString { format in
        let coding = CVCoding(
          format: format, quality: Int32(quality), lossless: coding.isLossless, progressive: coding.isProgressive,
          subsampled: coding.isSubsampled, quick: coding.isQuick)
        return cv_encode(pixels, metadata?.pointer, coding, stop, bytes, count, message)
      }
    }
  }

  /// Encodes pictures that lie one below the other, one for each of `milliseconds`.
  static func encode(
    frames pixels: Pixels, milliseconds: [Int], loops: Int, metadata: Metadata?, format: Animation.Format, quality: Int,
    name: String
  ) throws(PhotoError) -> Data {
    try check(quality: quality, name: name)
    return try withPixels(pixels, name: name) { pixels, stop, bytes, count, message in
      format.rawValue.withCString { format in
        let coding = CVCoding(
          format: format, quality: Int32(quality), lossless: false, progressive: false, subsampled: false, quick: false)
        return cv_encode_animation(
          pixels, metadata?.pointer, coding, Int32(milliseconds.count), milliseconds.map { Int32($0) }, Int32(loops), stop,
          bytes, count, message)
      }
    }
  }

  private static func withPixels(
    _ pixels: Pixels, name: String,
    _ encode: (
      CVPixels, CVStop, UnsafeMutablePointer<UnsafeMutableRawPointer?>, UnsafeMutablePointer<Int>,
      UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    ) -> Int32
  ) throws(PhotoError) -> Data {
    var bytes: UnsafeMutableRawPointer?
    var count = 0
    var message: UnsafeMutablePointer<CChar>?
    let status = pixels.values.withUnsafeBytes { values in
      (pixels.alpha ?? []).withUnsafeBufferPointer { alpha in
        PhotoWork.withStop { stop in
          encode(
            CVPixels(
              values: values.isEmpty ? nil : values.baseAddress, width: Int64(pixels.width), height: Int64(pixels.height),
              channels: Int32(pixels.channels), colours: Int32(pixels.colours), bits: Int32(pixels.bits),
              alpha: pixels.alpha == nil ? nil : alpha.baseAddress, orientation: Int32(pixels.orientation)), stop, &bytes, &count, &message)
        }
      }
    }
    guard status == 0, let bytes else {
      let reason = text(message)
      throw status == Int32(CV_STOPPED) ? .stopped(file: name) : .unwritable(file: name, reason: reason)
    }
    return Data(bytesNoCopy: bytes, count: count, deallocator: .custom { pointer, _ in cv_free(pointer) })
  }

  /// sRGB pixels in the metadata's profile, `channels` of 16 bits each.
  static func convert(
    _ rgb: [UInt8], to metadata: Metadata, channels: Int, name: String
  ) throws(PhotoError) -> [UInt16] {
    var message: UnsafeMutablePointer<CChar>?
    var status: Int32 = 0
    let count = rgb.count / 3
    let values = [UInt16](unsafeUninitializedCapacity: count * channels) { values, initialized in
      status = cv_from_srgb(metadata.pointer, rgb, Int64(count), Int32(channels), values.baseAddress, &message)
      initialized = status == 0 ? count * channels : 0
    }
    guard status == 0 else { throw .unwritable(file: name, reason: text(message)) }
    return values
  }

  /// White letters on black, one channel; nil for text without ink.
  static func draw(_ line: String, height: Int) throws(PhotoError) -> Picture? {
    guard line.contains(where: { !$0.isWhitespace }) else { return nil }
    var pixels: UnsafeMutablePointer<UInt8>?
    var size = (width: Int64(0), height: Int64(0))
    var message: UnsafeMutablePointer<CChar>?
    guard cv_text(line, Int32(height), &pixels, &size.width, &size.height, &message) == 0, let pixels else {
      throw .captionFailed(text: line, reason: text(message))
    }
    defer { cv_free(pixels) }
    let values = [UInt8](UnsafeBufferPointer(start: pixels, count: Int(size.width * size.height)))
    return Picture(width: Int(size.width), height: Int(size.height), channels: 1, pixels: values)
  }
}

/// Where a file's bytes are.
private enum Bytes {
  case file(String)
  case memory(UnsafeRawBufferPointer)

  var count: Int {
    switch self {
    case .memory(let bytes): return bytes.count
    case .file(let path):
      var status = stat()
      return stat(path, &status) == 0 ? Int(status.st_size) : 0
    }
  }

  /// Bytes from an offset on; fewer at the end or where the file cannot be read.
  func read(offset: Int, count: Int) -> [UInt8] {
    guard offset >= 0, count > 0 else { return [] }
    switch self {
    case .memory(let bytes):
      return Array(bytes.dropFirst(offset).prefix(count))
    case .file(let path):
      let descriptor = open(path, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else { return [] }
      defer { close(descriptor) }
      return [UInt8](unsafeUninitializedCapacity: count) { bytes, initialized in
        initialized = max(0, pread(descriptor, bytes.baseAddress, count, off_t(offset)))
      }
    }
  }
}

/// Takes over a message of CVips.
private func text(_ message: UnsafeMutablePointer<CChar>?) -> String {
  guard let message else { return "no reason given" }
  defer { cv_free(message) }
  return String(cString: message)
}

func writeFile(_ data: Data, to url: URL) throws(PhotoError) {
  do {
    try AtomicFile.write(data, to: url)
  } catch {
    throw .unwritable(file: url.path, reason: error.reason)
  }
}

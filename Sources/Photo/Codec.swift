import CVips
import Files
import Foundation

/// An opened image file: its header is known, its pixels are not decoded yet.
struct Codec: ~Copyable {
  private let image: OpaquePointer
  private let file: String
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
    return try body(Codec(path: file, bytes: UnsafeRawBufferPointer(start: nil, count: 0), name: file, limit: limit))
  }

  /// Opens bytes in memory; `name` stands for the file in errors.
  static func open<Result>(
    _ data: Data, name: String, limit: Int, _ body: (borrowing Codec) throws(PhotoError) -> Result
  ) throws(PhotoError) -> Result {
    guard !data.isEmpty else { throw .notAPhoto(file: name) }
    let result = data.withUnsafeBytes { bytes in
      Swift.Result { () throws(PhotoError) in
        try body(Codec(path: nil, bytes: bytes, name: name, limit: limit))
      }
    }
    return try result.get()
  }

  private init(path: String?, bytes: UnsafeRawBufferPointer, name: String, limit: Int) throws(PhotoError) {
    var image: OpaquePointer?
    var message: UnsafeMutablePointer<CChar>?
    let status = Int(cv_open(path, bytes.baseAddress, bytes.count, &image, &message))
    guard status == 0, let image else {
      let reason = text(message)
      throw status == Int(CV_NOT_AN_IMAGE) ? .notAPhoto(file: name) : .damaged(file: name, reason: reason)
    }
    let (width, height) = (Int(cv_width(image)), Int(cv_height(image)))
    guard width * height <= limit else {
      cv_close(image)
      throw .tooLarge(file: name, width: width, height: height, limit: limit)
    }
    self.image = image
    self.width = width
    self.height = height
    file = name
  }

  deinit { cv_close(image) }

  var format: Photo.Format { Photo.Format(rawValue: String(cString: cv_format(image))) ?? .jpeg }
  var hasAlpha: Bool { cv_has_alpha(image) }
  var metadata: Metadata? { cv_metadata(image).map(Metadata.init) }

  /// sRGB pixels, and alpha where the image has it.
  func decode() throws(PhotoError) -> (picture: Picture, alpha: [UInt8]?) {
    var message: UnsafeMutablePointer<CChar>?
    var status: Int32 = 0
    var alpha = [UInt8]()
    if hasAlpha { alpha = [UInt8](repeating: 255, count: width * height) }
    let pixels = [UInt8](unsafeUninitializedCapacity: width * height * 3) { rgb, count in
      alpha.withUnsafeMutableBufferPointer {
        status = cv_decode(image, rgb.baseAddress, hasAlpha ? $0.baseAddress : nil, &message)
      }
      count = status == 0 ? width * height * 3 : 0
    }
    guard status == 0 else { throw .damaged(file: file, reason: text(message)) }
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

  static func encode(
    _ picture: Picture, alpha: [UInt8]? = nil, metadata: Metadata? = nil, format: Photo.Format, quality: Int,
    name: String
  ) throws(PhotoError) -> Data {
    var bytes: UnsafeMutableRawPointer?
    var count = 0
    var message: UnsafeMutablePointer<CChar>?
    let status = picture.pixels.withUnsafeBufferPointer { pixels in
      (alpha ?? []).withUnsafeBufferPointer { alphas in
        cv_encode(
          pixels.baseAddress, alpha == nil ? nil : alphas.baseAddress, Int64(picture.width), Int64(picture.height),
          Int32(picture.channels), metadata?.pointer, format.rawValue, Int32(quality), &bytes, &count, &message)
      }
    }
    guard status == 0, let bytes else { throw .unwritable(file: name, reason: text(message)) }
    return Data(bytesNoCopy: bytes, count: count, deallocator: .custom { pointer, _ in cv_free(pointer) })
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

/// EXIF, XMP, IPTC and resolution of a file that was read, for the one that is written.
final class Metadata: @unchecked Sendable {
  // Never written to after it is made.
  let pointer: OpaquePointer
  init(_ pointer: OpaquePointer) { self.pointer = pointer }
  deinit { cv_metadata_free(pointer) }
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

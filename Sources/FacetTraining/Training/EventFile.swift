import Facet
import Files
import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// Writes a TensorBoard event file, scalars and images by tag and step, and beside it the scalars as lines of JSON.
///
/// The format is that of `tensorboard/compat/proto/event.proto` and `summary.proto` in the framing
/// of TensorFlow's record files. Each record is appended with one write, so that a killed run leaves
/// at most its last record incomplete, which readers skip. Calls may come from any thread.
///
/// `log.jsonl` has a line for each call: `{"step":640,"time":1764460800,"train/total":0.5}`. A run that starts or goes on writes
/// `{"start":STEP}`: earlier lines of this step and later ones do not count any more. ``RunHistory`` reads it.
public final class EventFileWriter: Sendable {
  /// The file, `events.out.tfevents.TIME.HOST.PROCESS.NUMBER`, which TensorBoard recognises by its name.
  public let url: URL
  /// The name of the lines of JSON in the same folder.
  public static let linesFile = "log.jsonl"
  private let events, lines: AppendedFile

  /// Makes a new event file in `directory`, which is made where it is missing.
  /// - Parameter step: Where the run starts or resumes. TensorBoard hides what earlier files of the
  ///   same folder say of this step and later ones, which the run is about to repeat.
  /// - Parameter directory: the folder of the file.
  /// - Throws: `FileError` that names the file.
  public init(directory: URL, startingAtStep step: Int = 0) throws(FileError) {
    do {
      try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    } catch {
      throw FileError(path: directory.path, operation: "make the folder", reason: error.localizedDescription)
    }
    let time = Date().timeIntervalSince1970
    let base = String(format: "events.out.tfevents.%010d.", Int(time)) + Self.hostName + ".\(getpid())"
    var number = 0
    var file: AppendedFile?
    while file == nil {
      do throws(FileError) {
        file = try AppendedFile(directory.appendingPathComponent("\(base).\(number)"), isNew: true)
      } catch {
        number += 1
        if number >= 10_000 || !FileManager.default.fileExists(atPath: error.path) { throw error }
      }
    }
    events = file!
    url = events.url
    lines = try AppendedFile(directory.appendingPathComponent(Self.linesFile), isNew: false)
    var version = ProtocolBuffer()
    version.add(1, double: time)
    version.add(3, bytes: "brain.Event:2".utf8)
    try append(version.bytes)
    var session = ProtocolBuffer()
    session.add(1, integer: 1)  // SessionLog.START
    try appendEvent(step: step) { $0.add(7, bytes: session.bytes) }
    try lines.append(Array("{\"start\":\(step)}\n".utf8))
  }

  /// Adds one number, such as a loss.
  /// - Throws: `FileError` that names the file.
  public func addScalar(_ value: Float, tag: String, step: Int) throws(FileError) {
    try addScalars([(tag, value)], step: step)
  }

  /// Adds several numbers of one step in one record.
  /// - Throws: `FileError` that names the file.
  public func addScalars(_ values: [(tag: String, value: Float)], step: Int) throws(FileError) {
    var summary = ProtocolBuffer()
    for (tag, value) in values {
      var entry = ProtocolBuffer()
      entry.add(1, bytes: tag.utf8)
      entry.add(2, float: value)
      summary.add(1, bytes: entry.bytes)
    }
    try appendEvent(step: step) { $0.add(5, bytes: summary.bytes) }
    // JSON has no word for what is not finite.
    let figures = values.map { ",\"\($0.tag)\":\($0.value.isFinite ? "\($0.value)" : "null")" }.joined()
    try lines.append(Array("{\"step\":\(step),\"time\":\(Int(Date().timeIntervalSince1970))\(figures)}\n".utf8))
  }

  /// Adds an RGB picture of `width` × `height` pixels, encoded as PNG.
  /// - Throws: `FileError` that names the file.
  public func addImage(png: Data, width: Int, height: Int, tag: String, step: Int) throws(FileError) {
    var image = ProtocolBuffer()
    image.add(1, integer: height)
    image.add(2, integer: width)
    image.add(3, integer: 3)  // RGB
    image.add(4, bytes: png)
    var entry = ProtocolBuffer()
    entry.add(1, bytes: tag.utf8)
    entry.add(4, bytes: image.bytes)
    var summary = ProtocolBuffer()
    summary.add(1, bytes: entry.bytes)
    try appendEvent(step: step) { $0.add(5, bytes: summary.bytes) }
  }

  /// Waits until everything written so far is on the disk. Readers see records without it.
  /// - Throws: `FileError` that names the file.
  public func synchronize() throws(FileError) {
    for file in [events, lines] { try file.synchronize() }
  }

  private func appendEvent(step: Int, _ add: (inout ProtocolBuffer) -> Void) throws(FileError) {
    var event = ProtocolBuffer()
    event.add(1, double: Date().timeIntervalSince1970)
    event.add(2, integer: step)
    add(&event)
    try append(event.bytes)
  }

  /// Appends one record: its length and its bytes, each with a masked checksum.
  private func append(_ bytes: [UInt8]) throws(FileError) {
    var record: [UInt8] = []
    record.reserveCapacity(bytes.count + 16)
    withUnsafeBytes(of: UInt64(bytes.count).littleEndian) { record += $0 }
    withUnsafeBytes(of: CRC32C.masked(record).littleEndian) { record += $0 }
    record += bytes
    withUnsafeBytes(of: CRC32C.masked(bytes).littleEndian) { record += $0 }

    try events.append(record)
  }

  private static var hostName: String {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
    let text = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    return text.isEmpty || text.contains("/") ? "localhost" : text
  }
}

/// A file that grows by whole records.
private final class AppendedFile: Sendable {
  let url: URL
  private let descriptor: Int32
  private let lock = NSLock()

  init(_ url: URL, isNew: Bool) throws(FileError) {
    self.url = url
    descriptor = open(url.path, O_WRONLY | O_CREAT | (isNew ? O_EXCL : 0) | O_APPEND | O_CLOEXEC, 0o644)
    if descriptor < 0 { throw FileError(path: url.path, operation: "write", reason: String(cString: strerror(errno))) }
  }

  deinit { close(descriptor) }

  func synchronize() throws(FileError) {
    if fsync(descriptor) != 0 {
      throw FileError(path: url.path, operation: "write", reason: String(cString: strerror(errno)))
    }
  }

  func append(_ record: [UInt8]) throws(FileError) {
    lock.lock()
    defer { lock.unlock() }
    var written = 0
    while written < record.count {
      let count = record.withUnsafeBytes { write(descriptor, $0.baseAddress! + written, record.count - written) }
      if count < 0 {
        if errno == EINTR { continue }
        let code = errno
        // The rest of a record cut short by a full disk would hide all that follows it.
        if written > 0 {
          let end = lseek(descriptor, 0, SEEK_END)
          if end >= off_t(written) { _ = ftruncate(descriptor, end - off_t(written)) }
        }
        throw FileError(path: url.path, operation: "write", reason: String(cString: strerror(code)))
      }
      written += count
    }
  }
}

/// The wire format of protocol buffers, as far as events need it.
private struct ProtocolBuffer {
  private(set) var bytes: [UInt8] = []

  mutating func add(_ field: Int, integer: Int) {
    addVarint(UInt64(field << 3))
    addVarint(UInt64(bitPattern: Int64(integer)))
  }

  mutating func add(_ field: Int, double: Double) {
    addVarint(UInt64(field << 3 | 1))
    withUnsafeBytes(of: double.bitPattern.littleEndian) { bytes += $0 }
  }

  mutating func add(_ field: Int, bytes content: some Collection<UInt8>) {
    addVarint(UInt64(field << 3 | 2))
    addVarint(UInt64(content.count))
    bytes += content
  }

  mutating func add(_ field: Int, float: Float) {
    addVarint(UInt64(field << 3 | 5))
    withUnsafeBytes(of: float.bitPattern.littleEndian) { bytes += $0 }
  }

  private mutating func addVarint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}

/// The checksum of record files.
enum CRC32C {
  static func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 { CRC32.castagnoli.checksum(bytes) }

  /// The checksum as record files store it: rotated and offset, since a checksum of data that holds
  /// its own checksum is degenerate (TensorFlow, `core/lib/hash/crc32c.h`).
  static func masked(_ bytes: some Sequence<UInt8>) -> UInt32 {
    let crc = checksum(bytes)
    return (crc >> 15 | crc << 17) &+ 0xA282_EAD8
  }
}

import CVips
import Files

/// What bounds the work on a photo's file.
public enum PhotoWork {
  /// The question whether a piece of work shall stop. A type of its own: with a bare function as the task's value what
  /// Swift 6.3.1 compiles with -O crashes in `withValue`.
  public struct StopQuestion: Sendable {
    /// True where it shall.
    public let ask: @Sendable () -> Bool

    /// A question; any thread asks it.
    public init(_ ask: @escaping @Sendable () -> Bool) { self.ask = ask }
  }

  /// Asked now and then while pixels are decoded or encoded, by any thread; true ends that with
  /// ``PhotoError/stopped(file:)``. Bound for a piece of work by `PhotoWork.$shouldStop.withValue(.init { … }) { … }`.
  @TaskLocal public static var shouldStop: StopQuestion?

  static func withStop<Result>(_ body: (CVStop) -> Result) -> Result {
    guard var ask = shouldStop?.ask else { return body(CVStop(asked: nil, context: nil)) }
    return withUnsafePointer(to: &ask) { pointer in
      body(
        CVStop(
          asked: { $0?.assumingMemoryBound(to: (@Sendable () -> Bool).self).pointee() ?? false }, context: pointer))
    }
  }

  /// Memory that finding and editing a face takes beside the photo's own: the copy that is searched, and the model's.
  static let rest = 300_000_000

  /// Looks for the memory that a photo takes from its decoding to its writing, before any of it is taken.
  /// - Parameters:
  ///   - bytes: what it takes at the most.
  ///   - file: it, in errors.
  /// - Throws: ``PhotoError/tooMuchMemory(file:needed:available:)``.
  static func checkMemory(_ bytes: Int, file: String) throws(PhotoError) {
    // What is small is not worth the question.
    guard bytes > 50_000_000, let available = Memory.available, bytes + rest > available else { return }
    throw .tooMuchMemory(file: file, needed: bytes + rest, available: available)
  }

  /// How many compressed texts a PNG may have. Each is unpacked to up to 8 MB before the first pixel is read; what
  /// programs write are a handful.
  static let textLimit = 16
  /// How many chunks a PNG may have; a photo of 100 million pixels has about 30 000.
  private static let chunkLimit = 200_000

  /// How many scans a JPEG may have. Each goes through the whole picture before the first pixel is there, for a few bytes
  /// of the file; what programs write are about ten.
  static let scanLimit = 100

  /// Why a file would take longer to read than its pixels explain; nil where it would not. No pixel is decoded.
  static func excess(_ read: Coding.Reader) -> String? {
    let head = read(0, 8)
    if head == [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A] { return excessOfPNG(read) }
    if head.starts(with: [0xFF, 0xD8]) { return hasManyScans(read) ? "more than \(scanLimit) scans" : nil }
    return nil
  }

  private static func excessOfPNG(_ read: Coding.Reader) -> String? {
    var (offset, texts) = (8, 0)
    for _ in 0..<chunkLimit {
      let head = read(offset, 8)
      guard head.count == 8 else { return nil }
      let length = head[0..<4].reduce(0) { $0 << 8 | Int($1) }
      switch String(decoding: head[4...], as: UTF8.self) {
      case "zTXt", "iTXt":
        texts += 1
        if texts > textLimit { return "more than \(textLimit) compressed texts" }
      case "IEND":
        return nil
      default:
        break
      }
      offset += 12 + length
    }
    return "more than \(chunkLimit) chunks"
  }

  /// Goes from marker to marker, up to the picture's end: what lies behind it, such as a film, is not looked at.
  private static func hasManyScans(_ read: Coding.Reader) -> Bool {
    let size = 1 << 18
    var (part, start, offset, scans) = ([UInt8](), 0, 2, 0)
    while true {
      if offset + 3 >= start + part.count { (part, start) = (read(offset, size), offset) }
      guard let mark = part[(offset - start)...].firstIndex(of: 0xFF) else {
        guard part.count == size else { return false }
        offset = start + size
        continue
      }
      guard mark + 3 < part.count else {
        guard part.count == size else { return false }
        offset = start + mark
        continue
      }
      switch part[mark + 1] {
      case 0xFF:  // a fill byte
        offset = start + mark + 1
      case 0x00, 0x01, 0xD0...0xD8:  // a byte of the codes, and marks without a length
        offset = start + mark + 2
      case 0xD9:
        return false
      case let marker:
        if marker == 0xDA { scans += 1 }
        if scans > scanLimit { return true }
        offset = start + mark + 2 + max(2, Int(part[mark + 2]) << 8 | Int(part[mark + 3]))
      }
    }
  }
}

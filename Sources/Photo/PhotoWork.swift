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
  private static let rest = 300_000_000

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

  /// Why a file would take longer to read than its pixels explain; nil where it would not. Only its chunks' heads are
  /// read.
  static func excess(_ read: Coding.Reader) -> String? {
    guard read(0, 8) == [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A] else { return nil }
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
}

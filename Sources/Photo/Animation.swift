import Foundation

/// Pictures shown one after the other.
public struct Animation: Sendable {
  /// The file formats that animations are written in.
  public enum Format: String, Sendable, CaseIterable {
    /// WebP with all colours; GIF with 256 a frame.
    case webp, gif

    /// The format that a file's ending stands for.
    public init?(pathExtension: String) { self.init(rawValue: pathExtension.lowercased()) }
  }

  /// At least one picture; all have the first one's size.
  public let frames: [Picture]
  /// How long each frame is shown; GIF counts in hundredths of a second.
  public let milliseconds: [Int]
  /// How often the frames are gone through; 0 for ever.
  public let loops: Int
  /// How the frames came to be; written into a WebP's XMP. A GIF says nothing of it.
  public var digitalSource: DigitalSource?

  /// - Parameters:
  ///   - frames: at least one picture; all of one size.
  ///   - milliseconds: how long each is shown, 1…65535.
  ///   - loops: how often they are gone through, 0…65535; 0 for ever.
  /// - Precondition: what the parameters say.
  public init(_ frames: [Picture], milliseconds: [Int], loops: Int = 0) {
    precondition(!frames.isEmpty && frames.count == milliseconds.count, "a time for each frame")
    precondition(
      frames.allSatisfy { $0.width == frames[0].width && $0.height == frames[0].height }, "frames of one size")
    precondition(
      milliseconds.allSatisfy { (1...65535).contains($0) } && (0...65535).contains(loops), "times that files can hold")
    self.frames = frames.map { $0.rgb() }
    self.milliseconds = milliseconds
    self.loops = loops
  }

  /// Frames that are all shown for the same time.
  /// - Parameters:
  ///   - frames: at least one picture; all of one size.
  ///   - milliseconds: how long each is shown, 1…65535.
  ///   - loops: how often they are gone through, 0…65535; 0 for ever.
  /// - Precondition: what the parameters say.
  public init(_ frames: [Picture], milliseconds: Int, loops: Int = 0) {
    self.init(frames, milliseconds: [Int](repeating: milliseconds, count: frames.count), loops: loops)
  }

  /// The animation as a file's bytes. Frames that are the same as the one before may become one with it.
  /// - Parameters:
  ///   - format: WebP, or GIF with its 256 colours a frame.
  ///   - quality: 1…100, for WebP.
  public func encoded(as format: Format, quality: Int = 90) throws(PhotoError) -> Data {
    try encoded(as: format, quality: quality, name: "animation")
  }

  /// Writes a file, whole or not at all, replacing what was there: WebP or GIF by its ending.
  /// - Parameters:
  ///   - url: the file.
  ///   - quality: 1…100, for WebP.
  /// - Throws: ``PhotoError``, of an ending that is neither ``PhotoError/unknownAnimationFormat(file:)``.
  public func write(to url: URL, quality: Int = 90) throws(PhotoError) {
    guard let format = Format(pathExtension: url.pathExtension) else { throw .unknownAnimationFormat(file: url.path) }
    try writeFile(encoded(as: format, quality: quality, name: url.path), to: url)
  }

  private func encoded(as format: Format, quality: Int, name: String) throws(PhotoError) -> Data {
    var pixels = Codec.Pixels(frames[0])
    pixels.values = []
    pixels.values.reserveCapacity(frames.count * frames[0].pixels.count)
    for frame in frames { pixels.values += frame.pixels }
    pixels.height *= frames.count
    let metadata = Metadata(of: nil)?.written(as: nil, keepsLocation: false, source: digitalSource)
    return try Codec.encode(
      frames: pixels, milliseconds: milliseconds, loops: loops, metadata: metadata, format: format, quality: quality,
      name: name)
  }
}

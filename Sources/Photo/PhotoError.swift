import Files

/// A file or folder that could not be read or written. It is the same type in each module that throws it.
public typealias FileError = Files.FileError

/// A picture that could not be read or written. The description names the file and what to do.
public enum PhotoError: DescribedError, Equatable {
  /// Missing, a folder, or not allowed to be read.
  case unreadable(file: String, reason: String)
  /// Empty, or none of JPEG, PNG, WebP, TIFF, HEIC and AVIF.
  case notAPhoto(file: String)
  /// More pixels than the limit, by its header; nothing was decoded.
  case tooLarge(file: String, width: Int, height: Int, limit: Int)
  /// More memory than there is, in bytes, by its header; nothing was decoded, or nothing written.
  case tooMuchMemory(file: String, needed: Int, available: Int)
  /// An animation, or a document of several pages; `name` is what it has.
  case severalPictures(file: String, count: Int, name: String)
  /// Truncated or damaged.
  case damaged(file: String, reason: String)
  /// The file's ending names no format that can be written.
  case unknownFormat(file: String)
  /// The file's ending names no format that an animation can be written in.
  case unknownAnimationFormat(file: String)
  /// The file cannot be written; nothing of it is left.
  case unwritable(file: String, reason: String)
  /// A text cannot be drawn.
  case captionFailed(text: String, reason: String)
  /// ``PhotoWork/shouldStop`` said so.
  case stopped(file: String)

  public var description: String {
    switch self {
    case .unreadable(let file, let reason):
      "\(file): cannot be read: \(reason)"
    case .notAPhoto(let file):
      "\(file): not a photo: give a JPEG, PNG, WebP, TIFF, HEIC or AVIF file"
    case .tooLarge(let file, let width, let height, let limit):
      "\(file): \(width)×\(height) is more than the limit of \(limit / 1_000_000) megapixels: reduce it first"
    case .tooMuchMemory(let file, let needed, let available):
      "\(file): needs about \(needed / 1_000_000) MB of memory, and \(available / 1_000_000) MB are free: reduce it first"
    case .severalPictures(let file, let count, let name):
      "\(file): has \(count) \(name), and one picture at a time is edited: save the one that is meant as a file of its own"
    case .damaged(let file, let reason):
      "\(file): truncated or damaged: \(reason)"
    case .unknownFormat(let file):
      "\(file): name it .jpg, .png, .webp, .tif, .heic or .avif, the formats that can be written"
    case .unknownAnimationFormat(let file):
      "\(file): name it .webp or .gif, the formats that animations can be written in"
    case .unwritable(let file, let reason):
      "\(file): cannot be written: \(reason)"
    case .stopped(let file):
      "\(file): given up before it was done"
    case .captionFailed(let text, let reason):
      "the caption “\(text)” cannot be drawn: \(reason): are fonts installed (fonts-dejavu-core)?"
    }
  }
}

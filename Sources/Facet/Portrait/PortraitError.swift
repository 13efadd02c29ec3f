/// A photo in which no face can be edited. The description names the file and what to do.
public enum PortraitError: Error, Equatable, CustomStringConvertible {
  /// The detector found no face; `file` is nil for a picture without a file.
  case noFace(file: String?)
  /// The landmark file is missing or damaged.
  case landmarksUnreadable(file: String, reason: String)
  case detectorFailed(reason: String)

  public var description: String {
    switch self {
    case .noFace(let file):
      "\(file ?? "the picture"): no face found: give a photo of a face seen from the front, at least 48 pixels "
        + "wide, or --aligned for a picture that is already in the training frame"
    case .landmarksUnreadable(let file, let reason):
      "\(file): the face landmarks cannot be read: \(reason): install Debian's package libdlib-data"
    case .detectorFailed(let reason):
      "the face detector failed: \(reason)"
    }
  }
}

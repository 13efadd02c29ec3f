import Files

/// A photo in which no face can be edited. The description names the file and what to do.
public enum PortraitError: DescribedError, Equatable {
  /// The detector found no face; `file` is nil for a picture without a file.
  case noFace(file: String?)
  /// There is a face, but landmarks do not fit it: it is seen from the side, or covered.
  case unclearFace(file: String?)
  /// There are fewer faces than the one that was asked for.
  case noSuchFace(file: String?, number: Int, found: Int)
  /// The landmark file is missing or damaged.
  case landmarksUnreadable(file: String, reason: String)
  /// dlib's detector could not be made, or failed on a picture.
  case detectorFailed(reason: String)

  public var description: String {
    switch self {
    case .noFace(let file):
      "\(file ?? "the picture"): no face found: give a photo of a face seen from the front, at least 48 pixels "
        + "wide, or --aligned for a picture that is already in the training frame"
    case .unclearFace(let file):
      "\(file ?? "the picture"): the face in it is seen from the side, or covered too far to be edited: give a photo "
        + "of a face seen from the front"
    case .noSuchFace(let file, let number, let found):
      "\(file ?? "the picture"): there is no face \(number), only \(found): take a number up to that, or all"
    case .landmarksUnreadable(let file, let reason):
      "\(file): the face landmarks cannot be read: \(reason): install Debian's package libdlib-data"
    case .detectorFailed(let reason):
      "the face detector failed: \(reason)"
    }
  }

  /// The same fault with the file it was found in, where that was not known.
  public func of(file: String) -> PortraitError {
    switch self {
    case .noFace(file: nil): .noFace(file: file)
    case .unclearFace(file: nil): .unclearFace(file: file)
    case .noSuchFace(file: nil, let number, let found): .noSuchFace(file: file, number: number, found: found)
    default: self
    }
  }
}

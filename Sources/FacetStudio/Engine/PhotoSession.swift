import Facet
import Foundation
import Photo
import Synchronization

/// What a session is asked for by; 128 random bits.
struct PhotoID: Hashable, Sendable, CustomStringConvertible {
  let description: String

  /// From the system's secure generator.
  init() {
    var generator = SystemRandomNumberGenerator()
    var bytes = Data()
    for _ in 0..<2 { withUnsafeBytes(of: generator.next()) { bytes.append(contentsOf: $0) } }
    description = bytes.base64EncodedString()
      .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
  }

  init(_ text: String) { description = text }
}

/// A photo with its faces encoded.
final class PhotoSession: Sendable {
  enum Kind: String, Codable, Sendable { case upload, sample, random }

  let id = PhotoID()
  let kind: Kind
  /// Of a random face.
  let seed: UInt64?
  let photo: Photo
  /// Where the photo has one, edits keep to it.
  let tint: Tint?
  let faces: [EncodedFace]
  /// Of each face and label, as the photo has them.
  let probabilities: [[String: Double]]
  /// The mask that came last, for sliders to move over.
  let protected = Mutex<(mask: String, region: ProtectedRegion)?>(nil)
  private let scaled = Mutex<[(view: View, copy: ScaledCopy)]>([])

  init(_ kind: Kind, seed: UInt64? = nil, _ photo: Photo, _ faces: [EncodedFace], probabilities: [[String: Double]]) {
    (self.kind, self.seed, self.photo, self.faces, self.probabilities) = (kind, seed, photo, faces, probabilities)
    tint = photo.tint
  }

  /// A part of the photo at a size.
  struct View: Equatable, Sendable {
    var window: Window
    var width: Int
    var height: Int
  }

  /// The copy that a preview is laid over, and the way from the photo to it.
  struct ScaledCopy: Sendable {
    var picture: Picture
    /// Opacity, a value a pixel.
    var alpha: [UInt8]?
    var place: Similarity
  }

  /// Scaled copies that are kept, for sliders to move over.
  private static let copies = 3
  static let longestSide = 2048
  static let maskPixels = 16_000_000

  /// The bytes that it keeps or may come to keep. Faces keep more once edits were asked for.
  var byteCount: Int {
    let copy = min(photo.width * photo.height, Self.longestSide * Self.longestSide) * 3
    return photo.byteCount + copy * Self.copies + Members.longestMask + ProtectedRegion.byteCount
      + faces.reduce(0) { $0 + $1.byteCount }
  }

  /// What previews are sent as unless another is asked for: with opacity where the photo has it.
  var previewFormat: PreviewFormat { photo.alpha == nil ? .jpeg : .webp }

  /// The view of a window, or of the whole, whose longer side has `size` pixels or as many as it has.
  func view(size: Int, of window: Window?) -> View {
    let window = window ?? Window(x: 0, y: 0, width: photo.width, height: photo.height)
    let longer = max(window.width, window.height)
    let scale = min(1, Double(size) / Double(longer))
    func scaled(_ side: Int) -> Int { max(1, Int((Double(side) * scale).rounded())) }
    return View(window: window, width: scaled(window.width), height: scaled(window.height))
  }

  /// The photo as a view shows it; made once, which takes long for a large photo.
  func copy(for view: View) -> ScaledCopy {
    let found = scaled.withLock { kept -> ScaledCopy? in
      guard let index = kept.firstIndex(where: { $0.view == view }) else { return nil }
      kept.append(kept.remove(at: index))
      return kept.last?.copy
    }
    if let found { return found }
    let window = view.window
    let picture: Picture
    var alpha = photo.alpha
    if window == Window(x: 0, y: 0, width: photo.width, height: photo.height)
      && view.width == photo.width && view.height == photo.height
    {
      picture = photo.picture
    } else {
      picture = photo.picture.resized(window: window, to: (view.width, view.height))
      alpha = alpha.map {
        Picture(width: photo.width, height: photo.height, channels: 1, pixels: $0)
          .resized(window: window, to: (view.width, view.height)).pixels
      }
    }
    // Both sides are rounded to whole pixels; their mean is the scale.
    let scale = (Double(view.width) / Double(window.width) + Double(view.height) / Double(window.height)) / 2
    let copy = ScaledCopy(
      picture: picture, alpha: alpha,
      place: Similarity(scale: scale, tx: -Double(window.x) * scale, ty: -Double(window.y) * scale))
    scaled.withLock { kept in
      kept.append((view, copy))
      if kept.count > Self.copies { kept.removeFirst() }
    }
    return copy
  }
}

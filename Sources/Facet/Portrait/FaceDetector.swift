import CDlib
import Foundation
import Photo
import Synchronization

/// A face in a picture, in the picture's coordinates (see `Point`).
public struct DetectedFace: Equatable, Sendable {
  /// The detector's square around brows, eyes, nose and mouth; it may reach beyond the picture.
  public let upperLeft: Point
  public let lowerRight: Point
  /// The detector's confidence; faces from the front score 0.5…3, false ones hardly more than 0.
  public let score: Double
  /// 68 points in the order of the iBUG 300-W annotation: jaw 0–16, brows 17–26, nose 27–35, eyes 36–47,
  /// mouth 48–67. Left and right are the viewer's.
  public let landmarks: [Point]

  public var width: Double { lowerRight.x - upperLeft.x }

  /// The mean of some landmarks.
  func mean(_ range: ClosedRange<Int>) -> Point {
    let points = landmarks[range]
    let n = Double(points.count)
    return Point(x: points.reduce(0) { $0 + $1.x } / n, y: points.reduce(0) { $0 + $1.y } / n)
  }

  public var leftEye: Point { mean(36...41) }
  public var rightEye: Point { mean(42...47) }
}

/// Finds faces and their landmarks: dlib's frontal HOG detector, and regression trees for 68 points.
///
/// Both models load on other threads from the moment the detector is made; the first search waits for
/// what is still missing. One detector serves many threads, one search at a time.
public final class FaceDetector: Sendable {
  /// Where Debian's libdlib-data puts the landmark model (100 MB; 66 MB in memory).
  public static let defaultLandmarks = URL(fileURLWithPath: "/usr/share/dlib/shape_predictor_68_face_landmarks.dat")

  /// Sides, in pixels, of the pictures that are searched: the second only if the first shows nothing.
  /// The detector's smallest face is 80 pixels wide, so the first finds those of a tenth of the photo.
  private static let workingSides = [800, 1600]

  private let detector: Loading<Detector, PortraitError>
  private let landmarks: Loading<Landmarks, PortraitError>

  /// Starts loading and returns at once.
  /// - Parameter landmarks: a 68-point shape predictor in dlib's format.
  public convenience init(landmarks: URL = defaultLandmarks) {
    // dlib's own detector takes half a second to unpack itself; this is the same, written out by
    // cd_detector_save (dlib is under the Boost licence).
    self.init(landmarks: landmarks, detector: Bundle.module.url(forResource: "frontal_faces", withExtension: "dat"))
  }

  /// With dlib's own detector where `detector` is nil or cannot be read.
  init(landmarks: URL, detector: URL?) {
    self.detector = Loading { () throws(PortraitError) in try Detector(detector) }
    self.landmarks = Loading { () throws(PortraitError) in try Landmarks(landmarks) }
  }

  /// The faces of a picture of any size, the largest first; empty for none. A face whose score is less than
  /// a quarter of the best one's counts as false.
  ///
  /// Faces from about a tenth of the picture's longer side are found at once, those from about a
  /// twentieth (and from 40 pixels) only where there is none larger.
  /// - Parameter minimumScore: what the detector must at least give a face.
  /// - Parameter picture: the photo.
  public func faces(in picture: Picture, minimumScore: Double = 0) throws(PortraitError) -> [DetectedFace] {
    let picture = picture.rgb()
    let side = Double(max(picture.width, picture.height))
    // The second search is at twice the first one's size, enlarging if need be.
    let first = min(1, Double(Self.workingSides[0]) / side)
    for scale in [first, min(2 * first, Double(Self.workingSides[1]) / side)] {
      let size = (
        width: max(1, Int((Double(picture.width) * scale).rounded())),
        height: max(1, Int((Double(picture.height) * scale).rounded()))
      )
      let working = size == (picture.width, picture.height) ? picture : picture.resized(to: size)
      let found = try detector.value().find(in: working, minimumScore: minimumScore)
      if found.isEmpty { continue }
      let best = found.reduce(0) { max($0, $1.score) }
      let landmarks = try landmarks.value()
      let (sx, sy) = (Double(picture.width) / Double(size.width), Double(picture.height) / Double(size.height))
      var faces: [DetectedFace] = []
      for face in found where face.score >= best / 4 {
        let points = try landmarks.find(in: working, face)
        faces.append(
          DetectedFace(
            upperLeft: Point(x: Double(face.left) * sx, y: Double(face.top) * sy),
            lowerRight: Point(x: Double(face.right + 1) * sx, y: Double(face.bottom + 1) * sy),
            score: face.score,
            landmarks: points.map { Point(x: $0.x * sx, y: $0.y * sy) }))
      }
      return faces.sorted { ($0.width, $0.score) > ($1.width, $1.score) }
    }
    return []
  }
}

/// A value that another thread makes.
private final class Loading<Value: Sendable, Failure: Error>: Sendable {
  private let group = DispatchGroup()
  private let result = Mutex<Result<Value, Failure>?>(nil)

  init(_ make: @escaping @Sendable () throws(Failure) -> Value) {
    DispatchQueue.global(qos: .userInitiated).async(group: group) { [self] in
      let made = Result { () throws(Failure) in try make() }
      result.withLock { $0 = made }
    }
  }

  func value() throws(Failure) -> Value {
    group.wait()
    guard let made = result.withLock({ $0 }) else { preconditionFailure("the group has not ended") }
    return try made.get()
  }
}

private final class Detector: @unchecked Sendable {
  // dlib's detector keeps scratch space in itself.
  private let lock = NSLock()
  private let pointer: OpaquePointer

  init(_ url: URL?) throws(PortraitError) {
    var pointer: OpaquePointer?
    if url == nil || cd_detector_load(url?.path, &pointer) != 0 {
      guard cd_detector_load(nil, &pointer) == 0 else {
        throw .detectorFailed(reason: String(cString: cd_last_error()))
      }
    }
    guard let pointer else { throw .detectorFailed(reason: "no detector") }
    self.pointer = pointer
  }

  deinit { cd_detector_free(pointer) }

  /// Faces in pixel indices, the best 64.
  func find(in picture: Picture, minimumScore: Double) throws(PortraitError) -> [CDFace] {
    lock.lock()
    defer { lock.unlock() }
    var count: Int64 = 0
    var status: Int32 = 0
    let faces = [CDFace](unsafeUninitializedCapacity: 64) { faces, initialized in
      status = picture.pixels.withUnsafeBufferPointer {
        cd_detector_find(
          pointer, $0.baseAddress, Int64(picture.width), Int64(picture.height), minimumScore,
          faces.baseAddress, 64, &count)
      }
      initialized = status == 0 ? Int(count) : 0
    }
    guard status == 0 else { throw .detectorFailed(reason: String(cString: cd_last_error())) }
    return faces
  }
}

private final class Landmarks: @unchecked Sendable {
  // Never written to after it is read.
  private let pointer: OpaquePointer

  init(_ url: URL) throws(PortraitError) {
    var pointer: OpaquePointer?
    guard cd_landmarks_load(url.path, &pointer) == 0, let pointer else {
      throw .landmarksUnreadable(file: url.path, reason: String(cString: cd_last_error()))
    }
    self.pointer = pointer
  }

  deinit { cd_landmarks_free(pointer) }

  func find(in picture: Picture, _ face: CDFace) throws(PortraitError) -> [Point] {
    let count = Int(CD_LANDMARKS)
    var numbers = [Double](repeating: 0, count: 2 * count)
    let status = picture.pixels.withUnsafeBufferPointer {
      cd_landmarks_find(pointer, $0.baseAddress, Int64(picture.width), Int64(picture.height), face, &numbers)
    }
    guard status == 0 else { throw .detectorFailed(reason: String(cString: cd_last_error())) }
    // dlib counts from the middle of the first pixel.
    return (0..<count).map { Point(x: numbers[2 * $0] + 0.5, y: numbers[2 * $0 + 1] + 0.5) }
  }
}

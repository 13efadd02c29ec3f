import CDlib
import Foundation
import Photo
import Synchronization

/// A face in a picture, in the picture's coordinates (see `Point`).
public struct DetectedFace: Equatable, Sendable {
  /// The detector's square around brows, eyes, nose and mouth; it may reach beyond the picture. It stands upright
  /// on a turned face too.
  public let upperLeft: Point
  /// The other corner of the square.
  public let lowerRight: Point
  /// The detector's confidence; faces from the front score 0.5…3, false ones hardly more than 0.
  public let score: Double
  /// 68 points in the order of the iBUG 300-W annotation: jaw 0–16, brows 17–26, nose 27–35, eyes 36–47,
  /// mouth 48–67. Left and right are the viewer's.
  public let landmarks: [Point]

  /// The side of the square, in pixels.
  public var width: Double { lowerRight.x - upperLeft.x }

  /// The middle of the eye on the viewer's left.
  public var leftEye: Point { landmarks[Landmark.leftEye].mean }
  /// The middle of the eye on the viewer's right.
  public var rightEye: Point { landmarks[Landmark.rightEye].mean }

  /// Which landmark each is in a mirrored face.
  package static let mirrored: [Int] = {
    let jaw = Array((0...16).reversed()), brows = Array((17...26).reversed())
    let nose = [27, 28, 29, 30] + (31...35).reversed(), eyes = [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    let mouth = Array((48...54).reversed()) + (55...59).reversed() + (60...64).reversed() + (65...67).reversed()
    return jaw + brows + nose + eyes + mouth
  }()
}

extension ArraySlice<Point> {
  package var mean: Point {
    let n = Double(count)
    return Point(x: reduce(0) { $0 + $1.x } / n, y: reduce(0) { $0 + $1.y } / n)
  }
}

/// Finds faces and their landmarks: dlib's frontal HOG detector, and regression trees for 68 points.
///
/// Both models load on other threads from the moment the detector is made; the first search waits for
/// what is still missing. One detector serves many threads.
public final class FaceDetector: Sendable {
  /// What the landmark model may be used for, in a line for people: its data is iBUG 300-W.
  public static let terms =
    "found with dlib's 68 landmarks, trained on iBUG 300-W, whose licence excludes commercial use"

  /// Where Debian's libdlib-data puts the landmark model (100 MB; 66 MB in memory).
  public static let defaultLandmarks = URL(fileURLWithPath: "/usr/share/dlib/shape_predictor_68_face_landmarks.dat")

  /// The longer side, in pixels, of the copy of a photo that is searched first. The second is twice as large, each further
  /// one four times, until the smallest faces that are asked for have as many pixels as the detector needs. It knows those
  /// of 80 pixels, so the first copy shows faces of a tenth of the photo.
  private static let firstSide = 800.0
  private static let finer = 4.0
  private static let needed = 96.0
  /// How many pixels lie between the ears of the smallest face that has enough of them for an edit.
  public static let leastWidth = 48.0
  /// The copies that are searched before the photo is turned.
  private static let widened = 2

  /// Larger copies are searched in tiles, which overlap by more than the faces that the copy before is too small for.
  private static let (tileSide, tileOverlap) = (2000, 400)

  /// What a face must have that is seen in a turned or finer copy only: parts of photos without a face gave up to
  /// 0.37 there. 97 in 100 faces from the front have more at once.
  private static let clearScore = 0.4

  /// The detector finds faces that are turned in the plane by 35°, nearly all. For the rest, and in pictures up
  /// to this side, two copies turned by this much are searched.
  private static let turn = Double.pi / 6
  private static let turnedSide = 1024.0

  /// A face seen with less in a picture may be none that stands upright: faces on their heads gave up to 0.47.
  private static let doubtfulScore = 0.6

  /// How far a face's landmarks may lie from those of its mirror image, in the mean and in parts of the detector's square:
  /// nearly all faces have less than 0.02, and what is none 0.026 and more (Yang and Patras, "Mirror, mirror on the wall,
  /// tell me, is the error small?", 2015).
  private static let mirrorLimit = 0.03
  /// Where the tip of the nose may be between the cheeks, in parts of the way. At 0.15 and 0.85 landmarks still fit; on
  /// profiles they lie beside the face.
  private static let noseRange = 0.08...0.92

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

  /// All faces of a picture, the largest first; empty for none.
  ///
  /// Faces are found from 48 pixels between the ears in a picture of any size, and turned in the plane by up to 35°.
  /// Where none stands upright, they are searched in the picture's other three directions. Beside a better one, a face with
  /// a score below 0.5 and below half of the best one's counts as false.
  /// - Parameters:
  ///   - picture: the photo, of any size.
  ///   - minimumScore: what the detector must at least give a face: of 197 from the front that it saw, 196 had
  ///     more than 0.15.
  ///   - smallest: how many pixels lie between the ears of the smallest faces that are searched beside larger ones. A search
  ///     for half as wide faces takes four times as long.
  /// - Throws: ``PortraitError/unclearFace(file:)`` where all that is found is seen from the side, or covered.
  public func faces(
    in picture: Picture, minimumScore: Double = 0.15, smallest: Double = leastWidth
  ) throws(PortraitError) -> [DetectedFace] {
    try find(in: picture, minimumScore, beside: smallest)
  }

  /// The largest face of a picture; nil for none. Several times as fast as ``faces(in:minimumScore:)`` where a face
  /// is easy to see: smaller and turned faces are searched only when there is no such face.
  /// - Parameters:
  ///   - picture: the photo, of any size.
  ///   - minimumScore: what the detector must at least give a face: of 197 from the front that it saw, 196 had
  ///     more than 0.15.
  /// - Throws: ``PortraitError/unclearFace(file:)`` where all that is found is seen from the side, or covered.
  public func largestFace(in picture: Picture, minimumScore: Double = 0.15) throws(PortraitError) -> DetectedFace? {
    try find(in: picture, minimumScore, beside: nil).first
  }

  /// The largest face of a picture; nil where there is none, or none that is clear.
  package func clearFace(in picture: Picture) throws(PortraitError) -> DetectedFace? {
    do {
      return try largestFace(in: picture)
    } catch .unclearFace {
      return nil
    }
  }

  /// The 68 landmarks of an upright face that is known to be somewhere, as ``DetectedFace/landmarks``.
  /// - Parameters:
  ///   - picture: the photo.
  ///   - square: where the detector would see the face.
  func landmarks(
    in picture: Picture, within square: (upperLeft: Point, lowerRight: Point)
  ) throws(PortraitError) -> [Point] {
    let face = CDFace(
      left: Int64(square.upperLeft.x.rounded()), top: Int64(square.upperLeft.y.rounded()),
      right: Int64(square.lowerRight.x.rounded()) - 1, bottom: Int64(square.lowerRight.y.rounded()) - 1, score: 0)
    return try landmarks.value().find(in: picture.rgb(), face)
  }

  /// - Parameter smallest: the width of faces beside the largest one that are searched, too; `nil` for none.
  private func find(
    in picture: Picture, _ minimumScore: Double, beside smallest: Double?
  ) throws(PortraitError) -> [DetectedFace] {
    let all = smallest != nil
    let picture = picture.rgb()
    let turns = [Self.turn, -Self.turn]
    var best = try faces(in: picture, quarters: 0, turns: turns, tiers: ..<Self.widened, minimumScore, all: all)
    // A photo that lies on its side, or on its head, and does not say so.
    if best.score < Self.doubtfulScore {
      // Where a face was seen on its head, it is seen upright in a copy that is as fine.
      let isClear = best.score >= Self.clearScore
      let tiers = isClear ? best.tiers : Self.widened
      for quarters in [1, 3, 2] {
        // Of the directions between, those beside the upright one and beside the head suffice.
        let turned = try faces(
          in: picture, quarters: quarters, turns: quarters == 2 && !isClear ? turns : [], tiers: ..<tiers,
          max(minimumScore, Self.clearScore), all: all)
        if turned.score > best.score { best = turned }
      }
    }
    // Small faces in a large photo: the finest search takes longer than all others together.
    let least = best.clear.isEmpty ? Self.leastWidth : smallest
    if let least, Self.scales(of: picture, smallest: least).count > Self.widened {
      let small = try faces(
        in: picture, quarters: best.quarters, turns: turns, tiers: Self.widened..., max(minimumScore, Self.clearScore),
        all: all, smallest: least, beside: best.clear.map(\.candidate))
      if best.isEmpty || !small.clear.isEmpty { best = small }
    }
    if best.clear.isEmpty && !best.unclear.isEmpty { throw .unclearFace(file: nil) }
    return best.clear.map(\.face)
  }

  /// Faces that were found, the largest first.
  private struct Finding {
    var clear: [(candidate: Candidate, face: DetectedFace)] = []
    /// Those that landmarks do not fit.
    var unclear: [DetectedFace] = []
    /// By how many quarters the photo was turned, and how many copies of it were searched.
    var quarters = 0
    var tiers = 0
    var isEmpty: Bool { clear.isEmpty && unclear.isEmpty }
    var score: Double { clear.map(\.face.score).max() ?? 0 }
  }

  /// The faces of a picture that is turned by quarters, as they lie in the picture itself.
  /// - Parameters:
  ///   - turns: by which angles it is turned further where no face is seen without.
  ///   - tiers: which copies of it are searched.
  ///   - smallest: the width of the smallest faces that the last copy is made for, in pixels of the photo.
  ///   - known: what was found before, in other copies. It is part of the answer.
  private func faces(
    in picture: Picture, quarters: Int, turns: [Double], tiers: some RangeExpression<Int>, _ minimumScore: Double,
    all: Bool, smallest: Double = leastWidth, beside known: [Candidate] = []
  ) throws(PortraitError) -> Finding {
    var found = known
    var faces = Finding()
    faces.quarters = quarters
    for (tier, scale) in Self.scales(of: picture, smallest: smallest).enumerated() where tiers.contains(tier) {
      faces.tiers = tier + 1
      let longer = Double(max(picture.width, picture.height))
      let least = tier > 0 ? max(minimumScore, Self.clearScore) : minimumScore
      let turns = scale * longer <= Self.turnedSide ? turns : []
      let tiles = Tile.all(of: picture, scale: scale, side: Self.tileSide, overlap: Self.tileOverlap)
      // A search that nobody waits for any more ends, without faces.
      let shouldStop = PhotoWork.shouldStop
      let searched = concurrently(tiles.count) { index in
        Result { () throws(PortraitError) in
          if shouldStop?.ask() == true { return [Candidate]() }
          let working = Working(picture, tiles[index]).turned(quarters: quarters)
          var candidates = try search(working, turn: 0, least)
          if all || !Self.isClear(candidates) {
            for turn in turns { candidates += try search(working, turn: turn, max(minimumScore, Self.clearScore)) }
          }
          return candidates
        }
      }
      if shouldStop?.ask() == true { return Finding() }
      for candidates in searched { found += try candidates.get() }
      if all { continue }
      if try tier >= Self.widened ? seesFace(in: found) : Self.isClear(found) { break }
    }
    let landmarks = try found.isEmpty ? nil : landmarks.value()
    for candidate in Self.distinct(found) {
      guard let landmarks else { break }
      let (face, isClear) = try face(candidate, landmarks)
      if isClear { faces.clear.append((candidate, face)) } else { faces.unclear.append(face) }
    }
    faces.clear.sort { ($0.face.width, $0.face.score) > ($1.face.width, $1.face.score) }
    return faces
  }

  /// How much larger than the photo each copy is that is searched.
  private static func scales(of picture: Picture, smallest: Double) -> [Double] {
    let longer = Double(max(picture.width, picture.height))
    let (first, finest) = (min(1, firstSide / longer), needed / smallest)
    var scales = [first, 2 * first]
    while let last = scales.last, last < finest { scales.append(min(finest, finer * last)) }
    return scales
  }

  /// Whether landmarks fit one of them: what is large and unclear ends no search for small faces.
  private func seesFace(in candidates: [Candidate]) throws(PortraitError) -> Bool {
    for candidate in candidates where try face(candidate, landmarks.value()).1 { return true }
    return false
  }

  private static func isClear(_ candidates: [Candidate]) -> Bool { candidates.contains { $0.score >= clearScore } }

  /// Each face once, as the search that saw it best has it, without those that count as false.
  private static func distinct(_ candidates: [Candidate]) -> [Candidate] {
    var kept: [Candidate] = []
    for candidate in candidates.sorted(by: { $0.score > $1.score }) {
      if let best = kept.first?.score, candidate.score < min(best / 2, 0.5) { break }
      if !kept.contains(where: { $0.overlap(candidate) > 0.4 }) { kept.append(candidate) }
    }
    return kept
  }

  /// Searches a working picture turned by an angle.
  private func search(_ working: Working, turn: Double, _ minimumScore: Double) throws(PortraitError) -> [Candidate] {
    let picture = working.picture
    if turn == 0 {
      return try detector.value().find(in: picture, minimumScore: minimumScore).map {
        Candidate(working: working, face: $0, turn: 0, place: .identity)
      }
    }
    // As large as to hold all corners.
    let (width, height) = (Double(picture.width), Double(picture.height))
    let size = (
      width: (width * abs(cos(turn)) + height * abs(sin(turn))).rounded(.up),
      height: (width * abs(sin(turn)) + height * abs(cos(turn))).rounded(.up)
    )
    let place = Similarity(scale: 1, tx: -width / 2, ty: -height / 2)
      .then(Similarity(scale: 1, rotation: turn, tx: size.width / 2, ty: size.height / 2))
    let turned = picture.warped(by: place, to: (Int(size.width), Int(size.height)))
    return try detector.value().find(in: turned, minimumScore: minimumScore).map {
      Candidate(working: working, face: $0, turn: turn, place: place.inverse)
    }
  }

  /// A candidate with its landmarks.
  ///
  /// The trees know faces that are turned a little: at 35° their points are off by 7 in 100 of the distance between
  /// the eyes in the mean, and may lie anywhere. So a turned face's points are found again in a levelled copy; and
  /// they must come out the same in another one. Of a face that is turned much, that start is taken, of three,
  /// from which they do so best.
  /// - Returns: the face, and whether points fit: on a profile, or on what is no face, those that are found in the mirror
  ///   image lie elsewhere.
  private func face(
    _ candidate: Candidate, _ landmarks: Landmarks
  ) throws(PortraitError) -> (DetectedFace, isClear: Bool) {
    var best = (face: try marked(candidate, turn: candidate.turn, landmarks), difference: Double.infinity)
    for start in [candidate.turn, Self.turn, -Self.turn] {
      // How the picture is turned for the eyes to be level.
      var turn = start
      var face = start == candidate.turn ? best.face : try marked(candidate, turn: turn, landmarks)
      for _ in 0..<2 where abs(face.tilt + turn) > Self.tiltLimit {
        turn = -face.tilt
        face = try marked(candidate, turn: turn, landmarks)
      }
      let difference = try face.difference(marked(candidate, turn: turn + 2 * Self.tiltLimit, landmarks))
      if difference < best.difference { best = (face, difference) }
      // Points that went astray are hardly ever level.
      if difference < 0.05 && abs(face.tilt) < Self.clearTilt { break }
    }
    let face = best.face
    let mirrored = try levelled(candidate, turn: -face.tilt, mirrored: true, landmarks)
    let isClear = face.misfit(mirrored) < Self.mirrorLimit && Self.noseRange.contains(face.nose)
    let corners = [face.upperLeft, face.lowerRight].map { candidate.working.original($0) }
    let placed = DetectedFace(
      upperLeft: Point(x: min(corners[0].x, corners[1].x), y: min(corners[0].y, corners[1].y)),
      lowerRight: Point(x: max(corners[0].x, corners[1].x), y: max(corners[0].y, corners[1].y)), score: face.score,
      landmarks: face.landmarks.map { candidate.working.original($0) })
    return (placed, isClear)
  }

  /// Points of faces that are turned by less are as good as those of upright ones.
  private static let tiltLimit = 5 * Double.pi / 180

  private static let clearTilt = 20 * Double.pi / 180

  /// A candidate with the landmarks found in the working picture turned by an angle; all in the working picture.
  private func marked(
    _ candidate: Candidate, turn: Double, _ landmarks: Landmarks
  ) throws(PortraitError) -> DetectedFace {
    let (middle, half) = (candidate.middle, candidate.width / 2)
    return DetectedFace(
      upperLeft: Point(x: middle.x - half, y: middle.y - half),
      lowerRight: Point(x: middle.x + half, y: middle.y + half), score: candidate.score,
      landmarks: turn == 0 && candidate.turn == 0
        ? try landmarks.find(in: candidate.working.picture, candidate.face)
        : try levelled(candidate, turn: turn, landmarks))
  }

  /// Landmarks as found in a copy of the face's surroundings that is turned by an angle, or in its mirror image.
  private func levelled(
    _ candidate: Candidate, turn: Double, mirrored: Bool = false, _ landmarks: Landmarks
  ) throws(PortraitError) -> [Point] {
    // More pixels do not make the points better.
    let width = min(200, candidate.width.rounded())
    let place = Similarity(scale: 1, tx: -candidate.middle.x, ty: -candidate.middle.y)
      .then(Similarity(scale: width / candidate.width, rotation: turn, tx: width, ty: width))
    let side = Int(2 * width)
    let copy = candidate.working.picture.warped(by: place, to: (side, side))
    let first = Int64((width / 2).rounded())
    let last = first + Int64(width) - 1
    let face = CDFace(left: first, top: first, right: last, bottom: last, score: 0)
    if !mirrored { return try landmarks.find(in: copy, face).map { place.inverse($0) } }
    let found = try landmarks.find(in: copy.mirrored(), face)
    return DetectedFace.mirrored.map { place.inverse(Point(x: Double(side) - found[$0].x, y: found[$0].y)) }
  }
}

extension DetectedFace {
  /// The angle of the line through the eyes; clockwise as seen.
  fileprivate var tilt: Double { atan2(rightEye.y - leftEye.y, rightEye.x - leftEye.x) }

  /// Where the tip of the nose lies on the way from the left cheek to the right one, 0…1 between them.
  fileprivate var nose: Double { Self.nose(of: landmarks) }

  /// The same of other landmarks.
  static func nose(of landmarks: [Point]) -> Double {
    let (left, right, tip) = (landmarks[0], landmarks[16], landmarks[30])
    let (x, y) = (right.x - left.x, right.y - left.y)
    return ((tip.x - left.x) * x + (tip.y - left.y) * y) / max(1e-9, x * x + y * y)
  }

  /// How far other findings of all points lie apart, in the mean and in parts of the detector's square.
  fileprivate func misfit(_ others: [Point]) -> Double {
    zip(landmarks, others).reduce(0) { $0 + hypot($1.0.x - $1.1.x, $1.0.y - $1.1.y) } / Double(others.count) / width
  }

  /// How far two findings of the points that faces are aligned by lie apart, in distances between the eyes.
  fileprivate func difference(_ other: DetectedFace) -> Double {
    let points = Array(36...47) + [27, 48, 54]
    let sum = points.reduce(0) { sum, i in
      sum + hypot(landmarks[i].x - other.landmarks[i].x, landmarks[i].y - other.landmarks[i].y)
    }
    return sum / Double(points.count) / hypot(rightEye.x - leftEye.x, rightEye.y - leftEye.y)
  }
}

/// A part of a photo, and the size it is searched at.
private struct Tile {
  let window: Window
  let size: (width: Int, height: Int)
  let scale: Double

  /// Those that a photo is searched in at a size, `side` pixels long at most.
  static func all(of photo: Picture, scale: Double, side: Int, overlap: Int) -> [Tile] {
    func starts(_ length: Int) -> [(start: Int, length: Int)] {
      let whole = max(1, Int((Double(length) * scale).rounded()))
      if whole <= side { return [(0, length)] }
      let count = (whole - overlap + side - overlap - 1) / (side - overlap)
      let part = min(length, Int((Double(side) / scale).rounded(.up)))
      return (0..<count).map { ((length - part) * $0 / max(1, count - 1), part) }
    }
    func scaled(_ length: Int) -> Int { max(1, Int((Double(length) * scale).rounded())) }
    let columns = starts(photo.width)
    return starts(photo.height).flatMap { row in
      columns.map { column in
        Tile(
          window: Window(x: column.start, y: row.start, width: column.length, height: row.length),
          size: (scaled(column.length), scaled(row.length)), scale: scale)
      }
    }
  }
}

/// A photo, or a part of it, at the size and in the direction it is searched at.
private struct Working {
  let picture: Picture
  /// From the photo, turned.
  let scale: Double
  /// To the photo.
  private let place: Affine

  private init(_ picture: Picture, scale: Double, place: Affine) {
    (self.picture, self.scale, self.place) = (picture, scale, place)
  }

  init(_ photo: Picture, _ tile: Tile) {
    let (window, size) = (tile.window, tile.size)
    let isAll = size == (photo.width, photo.height) && (window.x, window.y) == (0, 0)
    let place = Affine(.identity)
      .scaled(x: Double(window.width) / Double(size.width), y: Double(window.height) / Double(size.height))
      .then(Affine(Similarity(scale: 1, tx: Double(window.x), ty: Double(window.y))))
    self.init(isAll ? photo : photo.resized(window: window, to: size), scale: tile.scale, place: place)
  }

  /// Turned clockwise.
  func turned(quarters: Int) -> Working {
    if quarters == 0 { return self }
    let turned = picture.turned(quarters: quarters)
    let (width, height) = (Double(picture.width), Double(picture.height))
    let middle = Similarity(scale: 1, tx: -Double(turned.width) / 2, ty: -Double(turned.height) / 2)
    let back = middle.then(Similarity(scale: 1, rotation: -Double(quarters) * .pi / 2, tx: width / 2, ty: height / 2))
    return Working(turned, scale: scale, place: Affine(back).then(place))
  }

  /// Where a point lies in the photo.
  func original(_ point: Point) -> Point { place(point) }
}

/// What a search found.
private struct Candidate {
  let working: Working
  /// In the picture that was searched.
  let face: CDFace
  /// How that picture was turned.
  let turn: Double
  /// In the working picture.
  let middle: Point

  init(working: Working, face: CDFace, turn: Double, place: Similarity) {
    (self.working, self.face, self.turn) = (working, face, turn)
    middle = place(Point(x: Double(face.left + face.right + 1) / 2, y: Double(face.top + face.bottom + 1) / 2))
  }

  var score: Double { face.score }
  var width: Double { Double(face.right + 1 - face.left) }

  /// The part of the smaller square, in the photo, that the other one covers.
  func overlap(_ other: Candidate) -> Double {
    func square(_ c: Candidate) -> (x: Double, y: Double, half: Double) {
      let middle = c.working.original(c.middle)
      return (middle.x, middle.y, c.width / c.working.scale / 2)
    }
    let (a, b) = (square(self), square(other))
    let across = min(a.x + a.half, b.x + b.half) - max(a.x - a.half, b.x - b.half)
    let down = min(a.y + a.half, b.y + b.half) - max(a.y - a.half, b.y - b.half)
    let smaller = 2 * min(a.half, b.half)
    return max(0, across) * max(0, down) / (smaller * smaller)
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
  // Never written to after it is read.
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

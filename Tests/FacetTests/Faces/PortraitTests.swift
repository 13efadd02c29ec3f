import CDlib
import Foundation
import Photo
import Testing

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

@Suite struct PortraitTests {
  static let detector = FaceDetector()
  static let astronaut = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../../Sources/Facet/Resources/astronaut.jpg").standardizedFileURL

  /// The face with a little around it: unoptimised, dlib's detector takes a second for the whole photo.
  static let small = Result {
    try Picture(contentsOf: astronaut).resized(window: Window(x: 133, y: 33, width: 180, height: 190), to: (180, 190))
  }

  /// What dlib's own shape_predictor gives for the astronaut, rounded as it rounds.
  static let dlibLandmarks = [
    180, 103, 180, 115, 181, 127, 182, 138, 185, 150, 191, 160, 200, 168, 209, 176, 220, 178, 232, 177, 243, 171,
    253, 163, 260, 154, 265, 142, 268, 131, 271, 119, 272, 108, 187, 94, 192, 88, 201, 87, 209, 89, 217, 93, 235,
    94, 243, 91, 251, 91, 260, 92, 265, 98, 226, 102, 225, 111, 225, 119, 225, 127, 214, 131, 219, 132, 224, 134,
    229, 133, 234, 132, 195, 101, 200, 98, 207, 98, 212, 104, 206, 104, 200, 104, 238, 105, 243, 101, 250, 101, 255,
    104, 250, 106, 244, 106, 201, 139, 209, 139, 218, 139, 223, 141, 229, 140, 237, 140, 246, 141, 237, 151, 229,
    155, 222, 156, 216, 155, 208, 150, 203, 140, 217, 143, 223, 144, 229, 143, 243, 142, 229, 150, 223, 150, 217,
    149,
  ]

  @Test func searchThatNobodyWaitsForEnds() throws {
    let photo = try Picture(contentsOf: Self.astronaut)
    #expect(try PhotoWork.$shouldStop.withValue(.init { false }) { try Self.detector.largestFace(in: photo) } != nil)
    #expect(try PhotoWork.$shouldStop.withValue(.init { true }) { try Self.detector.largestFace(in: photo) } == nil)
  }

  @Test func landmarksAreDlibs() throws {
    let face = try #require(try Self.detector.largestFace(in: Picture(contentsOf: Self.astronaut)))
    #expect(face.upperLeft == Point(x: 179, y: 83) && face.lowerRight == Point(x: 267, y: 171))
    #expect(abs(face.score - 1.5056) < 0.01)
    // Decoders may differ by a step in a few pixels.
    let numbers = face.landmarks.flatMap { [$0.x - 0.5, $0.y - 0.5] }
    #expect(numbers.count == 136)
    #expect(zip(numbers, Self.dlibLandmarks).allSatisfy { abs($0 - Double($1)) < 1 })
    #expect(zip(numbers, Self.dlibLandmarks).filter { Int($0.rounded()) == $1 }.count >= 130)
  }

  /// The detector that ships is dlib's own, written out.
  @Test func detectorIsDlibs() throws {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).dat")
    defer { try? FileManager.default.removeItem(at: file) }
    var detector: OpaquePointer?
    try #require(cd_detector_load(nil, &detector) == 0)
    defer { cd_detector_free(detector) }
    #expect(cd_detector_save(detector, file.path) == 0)
    let shipped = Self.astronaut.deletingLastPathComponent().appendingPathComponent("frontal_faces.dat")
    #expect(try Data(contentsOf: shipped) == Data(contentsOf: file))
  }

  @Test func facesAreFoundInPhotosOfAnySize() throws {
    let photo = try Self.small.get()
    let reference = try #require(try Self.detector.largestFace(in: photo))
    #expect(try Self.detector.faces(in: photo).count == 1)
    // Below 800 as it is, half as large by enlarging, and by reducing.
    for (factor, tolerance) in [(0.5, 6.0), (2, 4), (6, 6)] {
      let size = (Int(180 * factor), Int(190 * factor))
      let face = try #require(try Self.detector.largestFace(in: photo.resized(to: size)))
      for (a, b) in zip(face.landmarks, reference.landmarks) {
        #expect(hypot(a.x / factor - b.x, a.y / factor - b.y) < tolerance)
      }
    }
  }

  @Test func picturesWithoutAFace() throws {
    for (width, height) in [(1, 1), (150, 100), (3000, 2), (2, 3000)] {
      let picture = Picture(width: width, height: height, filledWith: 120)
      #expect(try Self.detector.faces(in: picture).isEmpty)
    }
    #expect(PortraitError.noFace(file: "a.jpg").description.hasPrefix("a.jpg: no face found"))
  }

  /// A picture turned clockwise in one that holds its corners.
  private static func turned(_ picture: Picture, degrees: Double, scale: Double = 1) -> (Picture, place: Similarity) {
    let angle = degrees * .pi / 180
    let (width, height) = (Double(picture.width) * scale, Double(picture.height) * scale)
    let size = (
      width: width * abs(cos(angle)) + height * abs(sin(angle)),
      height: width * abs(sin(angle)) + height * abs(cos(angle))
    )
    let place = Similarity(scale: scale, tx: -width / 2, ty: -height / 2)
      .then(Similarity(scale: 1, rotation: angle, tx: size.width / 2, ty: size.height / 2))
    return (picture.warped(by: place, to: (Int(size.width), Int(size.height))), place)
  }

  /// How far the points that faces are aligned by lie from where they should, in distances between the eyes.
  private static func error(_ face: DetectedFace, _ reference: DetectedFace, _ place: Similarity) -> Double {
    let points = Array(36...47) + [27, 48, 54]
    let distances = points.map { i in
      let expected = place(reference.landmarks[i])
      return hypot(face.landmarks[i].x - expected.x, face.landmarks[i].y - expected.y)
    }
    let (left, right) = (place(reference.leftEye), place(reference.rightEye))
    return distances.reduce(0, +) / Double(points.count) / hypot(right.x - left.x, right.y - left.y)
  }

  /// At its size and with 48 pixels between the ears.
  @Test(arguments: Array(stride(from: -35.0, through: 35, by: 10))) func turnedAndSmallFaces(_ degrees: Double) throws {
    let photo = try Self.small.get()
    let reference = try #require(try Self.detector.largestFace(in: photo))
    let ears = reference.landmarks[16].x - reference.landmarks[0].x
    for (scale, tolerance) in [(1, 0.05), (48 / ears, 0.08)] {
      let (picture, place) = Self.turned(photo, degrees: degrees, scale: scale)
      let face = try #require(try Self.detector.largestFace(in: picture), "\(degrees) \(scale)")
      #expect(Self.error(face, reference, place) < tolerance, "\(degrees) \(scale)")
      let (eyes, expected) = (face.rightEye.x - face.leftEye.x, reference.rightEye.x - reference.leftEye.x)
      #expect(abs(atan2(face.rightEye.y - face.leftEye.y, eyes) * 180 / .pi - degrees) < 6 && expected > 0)
      let alignment = try #require(FaceAlignment(face))
      #expect(abs(alignment.transform(size: 128).rotation * 180 / .pi + degrees) < 6)
    }
  }

  /// A photo on its side, or on its head, without a tag that says so.
  @Test(arguments: [1, 2, 3]) func photosThatLieOnASide(_ quarters: Int) throws {
    let photo = try Self.small.get()
    let reference = try #require(try Self.detector.largestFace(in: photo))
    let turned = photo.turned(quarters: quarters)
    let face = try #require(try Self.detector.largestFace(in: turned))
    let (width, height) = (Double(photo.width), Double(photo.height))
    for (found, upright) in zip(face.landmarks, reference.landmarks) {
      let expected =
        switch quarters {
        case 1: Point(x: height - upright.y, y: upright.x)
        case 2: Point(x: width - upright.x, y: height - upright.y)
        default: Point(x: upright.y, y: width - upright.x)
        }
      #expect(hypot(found.x - expected.x, found.y - expected.y) < 4, "\(quarters)")
    }
    #expect(face.upperLeft.x < face.lowerRight.x && face.upperLeft.y < face.lowerRight.y)
    // The model sees it upright.
    let crop = try #require(FaceAlignment(face)).crop(turned, size: 128)
    let upright = try #require(FaceAlignment(reference)).crop(photo, size: 128)
    let difference = zip(crop.pixels, upright.pixels).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
    #expect(Double(difference) / Double(crop.pixels.count) < 8)
    #expect(try Self.detector.faces(in: turned).count == 1)
  }

  /// A head of 60 pixels, in a picture that is reduced to a sixth of its size at first.
  @Test func smallHeadsInLargePictures() throws {
    let face = try Self.small.get()
    let reference = try #require(try Self.detector.largestFace(in: face))
    let scale = 60 / (reference.landmarks[16].x - reference.landmarks[0].x)
    var photo = Picture(width: 5000, height: 500, filledWith: 90)
    let head = face.resized(to: (Int(Double(face.width) * scale), Int(Double(face.height) * scale)))
    photo.paste(head, x: 3970, y: 200)
    let found = try #require(try Self.detector.largestFace(in: photo))
    let middle = (found.upperLeft.x + found.lowerRight.x) / 2
    let expected = 3970 + (reference.upperLeft.x + reference.lowerRight.x) / 2 * scale
    #expect(abs(middle - expected) < 15, "\(middle) \(expected)")
    // Beside a large one it is found where all faces are asked for.
    photo.paste(face.resized(to: (2 * face.width, 2 * face.height)), x: 100, y: 10)
    #expect(try Self.detector.faces(in: photo).map { ($0.upperLeft.x + $0.lowerRight.x) / 2 > 2000 } == [false, true])
    #expect(try Self.detector.faces(in: photo, smallest: 250).count == 1)
  }

  @Test func severalFaces() throws {
    let face = try Picture(contentsOf: Self.astronaut)
      .resized(window: Window(x: 158, y: 53, width: 130, height: 150), to: (130, 150))
    var photo = Picture(width: 420, height: 170, filledWith: 90)
    photo.paste(face.resized(to: (100, 115)), x: 5, y: 20)
    photo.paste(Self.turned(face, degrees: 30, scale: 0.85).0, x: 106, y: 5)
    photo.paste(face, x: 280, y: 10)
    let faces = try Self.detector.faces(in: photo)
    #expect(faces.count == 3)
    #expect(zip(faces, faces.dropFirst()).allSatisfy { $0.width >= $1.width })
    let middles = faces.map { ($0.upperLeft.x + $0.lowerRight.x) / 2 }.sorted()
    #expect(zip(middles, [55.0, 185, 345]).allSatisfy { abs($0 - $1) < 25 })
    #expect(faces.first.map { $0.upperLeft.x > 280 } == true)
    let largest = try #require(try Self.detector.largestFace(in: photo))
    #expect(largest.upperLeft.x > 280)
  }

  /// Chin and forehead lie outside.
  @Test func facesThatFillThePicture() throws {
    let photo = try Picture(contentsOf: Self.astronaut)
      .resized(window: Window(x: 173, y: 77, width: 100, height: 100), to: (400, 400))
    let face = try #require(try Self.detector.largestFace(in: photo))
    #expect(face.width > 280)
  }

  @Test func picturesOfOtherThings() throws {
    var generator = SystemRandomNumberGenerator()
    let noise = (0..<160 * 120).map { _ in UInt8.random(in: 0...255, using: &generator) }
    let stripes = (0..<160 * 120).map { i -> UInt8 in (i % 160 / 8 + i / 160 / 8) % 2 == 0 ? 0 : 200 }
    let rings = (0..<160 * 120).map { i -> UInt8 in
      let (x, y) = (Double(i % 160 - 80), Double(i / 160 - 60))
      return UInt8(127 + 120 * sin(hypot(x, y) / 4))
    }
    for pixels in [noise, stripes, rings] {
      let picture = Picture(width: 160, height: 120, channels: 1, pixels: pixels)
      #expect(try Self.detector.faces(in: picture).isEmpty)
    }
    // The astronaut's suit.
    let suit = try Picture(contentsOf: Self.astronaut)
      .resized(window: Window(x: 100, y: 300, width: 200, height: 150), to: (200, 150))
    #expect(try Self.detector.faces(in: suit).isEmpty)
  }

  @Test func landmarkFilesThatAreNone() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let whole = try FileHandle(forReadingFrom: FaceDetector.defaultLandmarks).read(upToCount: 3_000_000) ?? Data()
    var damaged = whole
    damaged.replaceSubrange(2000..<2100, with: [UInt8](repeating: 0xFF, count: 100))
    let files = [
      "missing": nil, "empty": Data(), "text": Data("not landmarks".utf8), "half": whole, "damaged": damaged,
      "huge": Data([1, 1, 8, 255, 255, 255, 255, 255, 255, 255, 127]),
    ]
    let photo = try Self.small.get()
    for (name, data) in files {
      let url = folder.appendingPathComponent(name)
      try data?.write(to: url)
      let error = #expect(throws: PortraitError.self, "\(name)") {
        _ = try FaceDetector(landmarks: url).largestFace(in: photo)
      }
      #expect(error?.description.hasPrefix("\(url.path): the face landmarks cannot be read") == true)
    }
  }

  /// A detector file that cannot be read gives way to dlib's own.
  @Test func detectorFallsBack() throws {
    let detector = FaceDetector(landmarks: FaceDetector.defaultLandmarks, detector: URL(fileURLWithPath: "/missing"))
    #expect(try detector.largestFace(in: Self.small.get()) != nil)
  }

  // MARK: Alignment

  @Test func theCropHasTheEyesWhereTheModelKnowsThem() throws {
    let photo = try Self.small.get()
    let face = try #require(try Self.detector.largestFace(in: photo))
    let alignment = try #require(FaceAlignment(face))
    let transform = alignment.transform(size: 128)
    // (70 − 4) / 170 · 128 and so on.
    #expect(hypot(transform(face.leftEye).x - 49.7, transform(face.leftEye).y - 55.9) < 4)
    #expect(hypot(transform(face.rightEye).x - 78.5, transform(face.rightEye).y - 55.9) < 4)
    let crop = alignment.crop(photo, size: 128)
    #expect(crop.width == 128 && crop.height == 128)
    // Found again in the crop, the face stays about where it is: the same five points, the same fit.
    let again = try #require(try Self.detector.largestFace(in: crop))
    let second = try #require(FaceAlignment(again)).transform(size: 128)
    let corner = second(Point(x: 0, y: 0))
    #expect(abs(second.scale - 1) < 0.06 && hypot(corner.x, corner.y) < 6)
  }

  @Test func picturesThatAreAligned() {
    let crop = Picture(width: 144, height: 144, filledWith: 9)
    #expect(FaceAlignment(aligned: crop).transform(size: 144) == Affine(.identity))
    #expect(FaceAlignment(aligned: crop).crop(crop, size: 144) == crop)
    let frame = Picture(width: 178, height: 218, filledWith: 9)
    let transform = FaceAlignment(aligned: frame).transform(size: 170)
    #expect(abs(transform.tx + 4) < 1e-9 && abs(transform.ty + 39) < 1e-9 && abs(transform.scale - 1) < 1e-9)
    let double = FaceAlignment(aligned: Picture(width: 356, height: 436, filledWith: 9))
    #expect(abs(double.side - 340) < 1e-9)
  }

  @Test func composingTouchesOnlyTheFace() throws {
    let before = try Self.small.get()
    let face = try #require(try Self.detector.largestFace(in: before))
    let alignment = try #require(FaceAlignment(face))
    let n = 64
    func changed(_ values: [Float]) -> Picture {
      var picture = before
      let patch = (0..<n * n).flatMap { _ in values }
      let layer = Layer(content: .change(FloatPicture(width: n, height: n, channels: 4, values: patch)))
      alignment.apply(layer, to: &picture, in: .photo)
      return picture
    }
    let (added, blended) = (changed([0.2, 0.2, 0.2, 0]), changed([0.2, 0.2, 0.2, -1]))
    let toCrop = alignment.transform(size: n)
    for y in 0..<before.height {
      for x in 0..<before.width {
        let place = toCrop(Point(x: Double(x) + 0.5, y: Double(y) + 0.5))
        if min(place.x, place.y) > 0 && max(place.x, place.y) < Double(n) { continue }
        #expect(added[x, y] == before[x, y] && blended[x, y] == before[x, y])
      }
    }
    // The middle is changed in full; at the crop's border nothing jumps.
    let middle = Point(x: (face.leftEye.x + face.rightEye.x) / 2, y: face.leftEye.y + 15)
    #expect(added[Int(middle.x), Int(middle.y)] != before[Int(middle.x), Int(middle.y)])
    let border = alignment.transform(size: n).inverse(Point(x: 0.7, y: 32))
    let (x, y) = (Int(border.x), Int(border.y))
    #expect(zip(added[x, y], before[x, y]).allSatisfy { abs(Int($0) - Int($1)) <= 2 })
  }

  @Test func cropsLeadToTheFrameInEitherView() throws {
    let face = try #require(try Self.detector.largestFace(in: Self.small.get()))
    let toFrame = try #require(FaceAlignment.toFrame(face.landmarks))
    for view in [ModelConfiguration.View.window, .frame] {
      let alignment = try #require(FaceAlignment(face, view: view))
      let landmarks = try #require(alignment.landmarks)
      let place = try #require(alignment.frame(of: landmarks, size: 128)).place
      for point in [face.landmarks[0], face.landmarks[30], Point(x: 20, y: 150)] {
        let (found, expected) = (place(alignment.transform(size: 128)(point)), toFrame(point))
        #expect(hypot(found.x - expected.x, found.y - expected.y) < 1e-6, "\(view)")
      }
      // They stay with the face in a copy of the photo.
      #expect(alignment.moved(by: Similarity(scale: 3, tx: 7)).landmarks == landmarks)
    }
  }

  // MARK: Real photos

  static let data = ProcessInfo.processInfo.environment["FACET_DATA"]

  @Test(.enabled(if: data != nil, "FACET_DATA names no folder of real photos"))
  func framesOfCelebA() throws {
    let folder = URL(fileURLWithPath: Self.data ?? "").appendingPathComponent("celeba-original/img_align_celeba")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().prefix(200)
    var moved: [Double] = []
    var (squares, misses): ([[Double]], [Double]) = ([], [])
    for name in names {
      let frame = try Picture(contentsOf: folder.appendingPathComponent(name))
      // Profiles and faces behind a microphone are refused, 7 of these.
      guard let face = try? Self.detector.largestFace(in: frame) else { continue }
      squares.append([face.upperLeft.x, face.upperLeft.y, face.lowerRight.x, face.lowerRight.y])
      let aligned = FaceAlignment(aligned: frame)
      let landmarks = try aligned.detectLandmarks(in: aligned.crop(frame, size: 128), by: Self.detector)
      misses.append(zip(landmarks, face.landmarks).reduce(0) { sum, pair in
        sum + hypot(4 + 170 * pair.0.x - pair.1.x, 39 + 170 * pair.0.y - pair.1.y) / 68
      })
      let alignment = try #require(FaceAlignment(face))
      // The frames are aligned: the crop's corners should come from about where they are.
      let back = alignment.transform(size: 170).inverse
      let corners = [(0.0, 0.0), (170, 0), (0, 170), (170, 170)].map { x, y in
        let corner = back(Point(x: x, y: y))
        return hypot(corner.x - x - 4, corner.y - y - 39)
      }
      moved.append(corners.reduce(0, +) / 4)
    }
    // So a frame's landmarks are found without a search.
    let medians = (0..<4).map { side in squares.map { $0[side] }.sorted()[squares.count / 2] }
    let square = FaceAlignment.square
    let known = [square.upperLeft.x, square.upperLeft.y, square.lowerRight.x, square.lowerRight.y]
    #expect(zip(medians, known).allSatisfy { abs($0 - $1) <= 2 }, "\(medians)")
    misses.sort()
    #expect(misses[misses.count / 2] < 2 && misses[misses.count * 9 / 10] < 4, "\(misses[misses.count / 2])")
    moved.sort()
    #expect(names.count == 200 && Double(moved.count) >= 0.94 * 200)
    #expect(moved.reduce(0, +) / Double(moved.count) < 6)
    #expect(moved[moved.count * 9 / 10] < 11)
    print(
      "faces found in \(moved.count) of \(names.count); corners moved: mean",
      moved.reduce(0, +) / Double(moved.count), "median", moved[moved.count / 2], "p90", moved[moved.count * 9 / 10])
  }

  /// On profiles landmarks lie beside the face.
  @Test(.enabled(if: data != nil, "FACET_DATA names no folder of real photos"))
  func profilesAreRefused() throws {
    let folder = URL(fileURLWithPath: Self.data ?? "").appendingPathComponent("celeba-original/img_align_celeba")
    for name in ["025790.jpg", "028792.jpg"] {
      let photo = try Picture(contentsOf: folder.appendingPathComponent(name))
      #expect(throws: PortraitError.unclearFace(file: nil), "\(name)") { try Self.detector.largestFace(in: photo) }
    }
    // A small face beside a large profile is found.
    var wide = Picture(width: 3000, height: 2000, channels: 3, pixels: [UInt8](repeating: 128, count: 3000 * 2000 * 3))
    let profile = try Picture(contentsOf: folder.appendingPathComponent("025790.jpg"))
    wide.paste(profile.resized(to: (712, 872)), x: 100, y: 300)
    wide.paste(try Picture(contentsOf: FaceEditor.samplePhotoURL).resized(to: (240, 240)), x: 2400, y: 900)
    #expect(try #require(try Self.detector.largestFace(in: wide)).upperLeft.x > 2300)
    // Turned far, but with both eyes to be seen.
    for name in ["000329.jpg", "017170.jpg", "013742.jpg"] {
      #expect(try Self.detector.largestFace(in: Picture(contentsOf: folder.appendingPathComponent(name))) != nil, "\(name)")
    }
  }

  @Test(.enabled(if: data != nil, "FACET_DATA names no folder of real photos"))
  func framesOfCelebATurned() throws {
    let folder = URL(fileURLWithPath: Self.data ?? "").appendingPathComponent("celeba-original/img_align_celeba")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    let angles = Array(stride(from: -35.0, through: 35, by: 10))
    var errors: [Double] = []
    var searched = 0
    for (i, name) in stride(from: 5, to: names.count, by: 24).map({ names[$0] }).enumerated() {
      let frame = try Picture(contentsOf: folder.appendingPathComponent(name))
      guard let reference = try Self.detector.largestFace(in: frame) else { continue }
      let (picture, place) = Self.turned(frame, degrees: angles[i % angles.count])
      searched += 1
      if let face = try Self.detector.largestFace(in: picture) { errors.append(Self.error(face, reference, place)) }
    }
    errors.sort()
    let mean = errors.reduce(0, +) / Double(errors.count)
    #expect(searched >= 45 && Double(errors.count) >= 0.93 * Double(searched))
    #expect(errors[errors.count / 2] < 0.03 && errors[errors.count * 9 / 10] < 0.08)
    print("turned faces found in \(errors.count) of \(searched); error: mean", mean, "median", errors[errors.count / 2])
  }
}

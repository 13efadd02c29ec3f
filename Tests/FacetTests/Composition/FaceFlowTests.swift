import Photo
import Testing
import Torch

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

@Suite("Features that follow") struct FaceFlowTests {
  private static let side = 128
  private static let window = FaceAlignment.window
  /// From a crop of the window to CelebA's frame.
  private static let place = Affine(Similarity(scale: window.side / Double(side), tx: window.x, ty: window.y))

  /// The astronaut's landmarks, about where CelebA's frame has them.
  static let landmarks: [Point] = (0..<68).map { index in
    let (x, y) = (PortraitTests.dlibLandmarks[2 * index], PortraitTests.dlibLandmarks[2 * index + 1])
    return Point(x: (Double(x) - 224) * 0.85 + 89, y: Double(y) * 0.85 + 27)
  }

  /// Landmarks whose mouth lies lower, or whose eyes do.
  private static func moved(_ indices: Range<Int>, by pixels: Double) -> [Point] {
    landmarks.enumerated().map { index, point in
      indices.contains(index) ? Point(x: point.x, y: point.y + pixels) : point
    }
  }

  private static func flow(to after: [Point], closing: Float = 0, region: Double = 1) throws -> FaceFlow {
    try FaceFlow(
      of: landmarks, from: landmarks, to: after, closing: closing, at: place, within: .full([1, 1, side, side], region))
  }

  /// How far below its place a pixel of the frame has its value.
  private static func below(_ flow: FaceFlow, _ point: Point) throws -> Double {
    let picture = try flow.picture
    let (column, row) = (Int((point.x - window.x) / window.side * Double(side)), Int((point.y - window.y) / window.side * Double(side)))
    return Double(picture.values[(row * side + column) * 2 + 1])
  }

  @Test func whatIsAtTheMouthMovesAlong() throws {
    let flow = try Self.flow(to: Self.moved(48..<68, by: 4))
    // The middle of the lips, 4 pixels of the frame lower, comes from above; eyes and jaw stay.
    let mouth = Self.landmarks[62]
    let scale = Self.window.side / Double(Self.side)
    #expect(try abs(Self.below(flow, Point(x: mouth.x, y: mouth.y + 4)) + 4 / scale) < 0.8)
    for index in [19, 24, 37, 44] { #expect(try abs(Self.below(flow, Self.landmarks[index])) < 0.1, "\(index)") }
    // The skin between mouth and jaw goes part of the way.
    let chin = Point(x: mouth.x, y: (Self.landmarks[57].y + Self.landmarks[8].y) / 2)
    let part = try Self.below(flow, chin)
    #expect(part < -0.3 && part > -3.5)
    // Eyes that decode elsewhere are no reason to move, nor is anything moved where nothing may be.
    #expect(try Self.flow(to: Self.moved(36..<48, by: 4)).picture.values.allSatisfy { abs($0) < 1e-3 })
    #expect(try Self.flow(to: Self.moved(48..<68, by: 4), region: 0).picture.values.allSatisfy { $0 == 0 })
  }

  @Test func planesMoveAsPhotosDo() throws {
    let flow = try Self.flow(to: Self.moved(48..<68, by: 4))
    let stripes = (0..<Self.side * Self.side).flatMap { index -> [UInt8] in
      let level = UInt8(128 + 100 * ((index / Self.side / 8) % 2) - 50)
      return [level, level, level]
    }
    var picture = Picture(width: Self.side, height: Self.side, channels: 3, pixels: stripes)
    let plane = try flow.moved(Tensor(picture))
    picture.move(by: try flow.picture, place: Affine(.identity))
    let difference = try (plane - Tensor(picture)).abs().array(Float.self)
    #expect(difference.max()! < 0.02)
  }

  /// The astronaut's mouth in a picture of the frame, three times as fine: red lips, white teeth, gray skin.
  private static let mouth: (picture: Tensor, place: Affine) = {
    let (size, scale) = (3 * side, window.side / Double(3 * side))
    let place = Affine(Similarity(scale: scale, tx: window.x, ty: window.y))
    let lines = LipLines(landmarks)!
    var planes = [[Float]](repeating: [], count: 3)
    for index in 0..<size * size {
      let spot = lines.spot(at: place(Point(x: Double(index % size) + 0.5, y: Double(index / size) + 0.5)))
      let colour: [Float] = spot.outside > 0 ? [0.5, 0.5, 0.5] : spot.band == 2 ? [1, 1, 1] : [0.7, 0.2, 0.2]
      for c in 0..<3 { planes[c].append(colour[c]) }
    }
    return (try! Tensor(planes.flatMap { $0 }, shape: [1, 3, size, size]), place)
  }()

  private static let nothing = try! Tensor.zeros([1, 1, 8, 8])

  /// Landmarks cut off a part of most teeth.
  @Test func teethBeyondTheLandmarksAreLeftOut() throws {
    let (size, place) = (3 * Self.side, Self.mouth.place)
    let lines = try #require(LipLines(Self.landmarks))
    var planes = [[Float]](repeating: [], count: 2)
    for index in 0..<size * size {
      let spot = lines.spot(at: place(Point(x: Double(index % size) + 0.5, y: Double(index / size) + 0.5)))
      let isTooth = spot.outside == 0 && (spot.band == 2 || spot.band == 1 && spot.part > 0.4 || spot.band == 3 && spot.part < 0.5)
      planes[0].append(spot.outside > 0 ? 0.5 : isTooth ? 1 : 0.2)
      planes[1].append(isTooth ? 1 : 0)
    }
    let picture = try Tensor(planes[0] + planes[0] + planes[0], shape: [1, 3, size, size])
    let flow = try Self.flow(to: Self.landmarks, closing: 1)
    func white(inside: Tensor) throws -> Double {
      let change = try #require(try flow.closedLips(of: picture, at: place, inside: inside))
      return try (picture.changed(by: change) > 0.7).to(.float32).sum().item()
    }
    let (seen, unseen) = (try white(inside: Tensor(planes[1], shape: [1, 1, size, size])), try white(inside: Self.nothing))
    #expect(seen < 0.1 * unseen && unseen > 100, "\(seen) \(unseen)")
  }

  @Test func lipsComeTogetherOverTheTeeth() throws {
    let (picture, place) = Self.mouth
    let opening = try #require(LipLines(Self.landmarks)).opening
    #expect(opening > 2)
    func white(_ picture: Tensor) throws -> Double { try (picture.narrow(1, 1..<2) > 0.8).to(.float32).sum().item() }
    func red(_ picture: Tensor) throws -> Double { try (picture.narrow(1, 0..<1) - picture.narrow(1, 1..<2) > 0.25).to(.float32).sum().item() }
    func closed(_ closing: Float) throws -> Tensor {
      let flow = try Self.flow(to: Self.landmarks, closing: closing)
      let left = try #require(LipLines(flow.landmarks)).opening
      #expect(abs(left - (1 - closing) * opening) < 0.4, "\(left) of \(opening)")
      let change = try #require(try flow.closedLips(of: picture, at: place, inside: Self.nothing))
      // Nothing changes far from the mouth.
      #expect(try change.narrow(2, 0..<200).abs().sum().item() == 0)
      return try picture.changed(by: change)
    }
    // What is left of the teeth is less than a tenth, and lips are as large as they were.
    let shut = try closed(1)
    #expect(try white(shut) < 0.1 * white(picture))
    #expect(try (0.7..<1.3).contains(red(shut) / red(picture)))
    let half = try closed(0.5)
    #expect(try (0.25..<0.8).contains(white(half) / white(picture)))
    // Lips that part, or that touch already, are the flow's.
    #expect(try Self.flow(to: Self.moved(48..<68, by: 4)).closedLips(of: picture, at: place, inside: Self.nothing) == nil)
    var touching = Self.landmarks
    for (upper, lower) in zip(Landmark.upperEdge, Landmark.lowerEdge) { touching[lower] = touching[upper] }
    let still = try FaceFlow(
      of: touching, from: touching, to: touching, closing: 1, at: Self.place, within: .ones([1, 1, Self.side, Self.side]))
    #expect(try still.closedLips(of: picture, at: place, inside: Self.nothing) == nil)
    // Landmarks that are no mouth's are refused.
    #expect(LipLines([Point](repeating: Point(x: 5, y: 5), count: 68)) == nil && LipLines(Self.landmarks.reversed()) == nil)
  }

  @Test func theMouthOfThePortraitShutsInItsPlace() throws {
    let (editor, photo, face) = try FaceEditorTests.portrait.get()
    let change = try editor.change(FaceEdit(face, [AttributeEdit("Smiling", strength: -1)]))
    let flow = try #require(change.flow)
    #expect(flow.values.contains { abs($0) > 2 })
    // Nothing moves outside the face, and other edits move nothing.
    var moved = photo.picture
    face.alignment.apply(Layer(content: .flow(flow)), to: &moved, in: .photo)
    let place = face.alignment.transform(size: 100)
    for y in 0..<photo.height {
      for x in 0..<photo.width where moved[x, y] != photo.picture[x, y] {
        let point = place(Point(x: Double(x) + 0.5, y: Double(y) + 0.5))
        #expect((15..<85).contains(point.x) && (30..<95).contains(point.y), "\(x), \(y)")
      }
    }
    func flowing(_ edits: [AttributeEdit], _ options: EditOptions = .init()) throws -> FloatPicture? {
      try editor.change(FaceEdit(face, edits, options: options)).flow
    }
    #expect(try flowing([AttributeEdit("Young", strength: -1)]) == nil && flowing([AttributeEdit("Eyeglasses")]) == nil)
    #expect(try flowing([AttributeEdit("Smiling", strength: -1)], .init(style: .article)) == nil)
    #expect(try flowing([AttributeEdit("Young", strength: -1), AttributeEdit("Smiling", strength: -1)]) != nil)
    // The lips touch, in a mouth that is narrower, whose corners hang lower beside its middle.
    var edited = photo.picture
    change.apply(to: &edited)
    func lines(_ picture: Picture) throws -> (opening: Float, width: Double, lift: Double) {
      let face = try #require(try FaceDetector().largestFace(in: picture))
      let frame = try #require(FaceAlignment(face, view: editor.bundle.configuration.view)?.frame(of: face.landmarks, size: 1))
      let mouth = frame.landmarks[Landmark.mouth]
      let (corners, middle) = ([48, 54].map { frame.landmarks[$0].y }, [51, 57].map { frame.landmarks[$0].y })
      return (
        try #require(LipLines(frame.landmarks)).opening, mouth.map(\.x).max()! - mouth.map(\.x).min()!,
        (middle.reduce(0, +) - corners.reduce(0, +)) / 2
      )
    }
    let (before, after) = (try lines(photo.picture), try lines(edited))
    #expect(before.opening > 3 && after.opening < 0.3 * before.opening && after.width < 0.95 * before.width, "\(before), \(after)")
    #expect(before.lift > 2 && after.lift < 0.6 * before.lift, "\(before), \(after)")
  }
}

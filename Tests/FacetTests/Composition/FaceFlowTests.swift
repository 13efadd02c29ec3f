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

  private static func flow(to after: [Point], region: Double = 1) throws -> FaceFlow {
    try FaceFlow(
      of: landmarks, from: landmarks, to: after, at: place, within: .full([1, 1, side, side], region))
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
    // As seen by the model, the smile is gone.
    #expect(try #require(editor.probabilities(in: face, after: [AttributeEdit("Smiling", strength: -1)])["Smiling"]) < 0.5)
  }
}

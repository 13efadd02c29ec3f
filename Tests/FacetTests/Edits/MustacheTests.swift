import Photo
import Testing
import Torch

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

@Suite struct MustacheTests {
  private static let side = 170
  /// From a crop of the window, a pixel for each of CelebA's frame, there.
  private static let place = Affine(Similarity(scale: 1, tx: FaceAlignment.window.x, ty: FaceAlignment.window.y))
  private static let landmarks = FaceFlowTests.landmarks
  private static let everywhere = [Float](repeating: 1, count: side * side)

  /// The mean coverage in rows of the frame, between columns.
  private static func covered(_ drawing: StrandDrawing, rows: Range<Double>, columns: Range<Double>) -> Float {
    let (upperLeft, lowerRight) = (
      place.inverse(Point(x: columns.lowerBound, y: rows.lowerBound)), place.inverse(Point(x: columns.upperBound, y: rows.upperBound)))
    var (sum, count) = (Float(0), Float(0))
    for y in Int(upperLeft.y)..<Int(lowerRight.y) {
      for x in Int(upperLeft.x)..<Int(lowerRight.x) { (sum, count) = (sum + drawing.coverage[y * side + x], count + 1) }
    }
    return sum / count
  }

  @Test func itGrowsBetweenNoseAndMouth() throws {
    let mustache = try #require(MustacheShape(on: Self.landmarks, at: Self.place))
    let drawing = mustache.drawn(size: Self.side, pixel: 1, free: Self.everywhere)
    let (nose, lip) = (Self.landmarks[33].y, Self.landmarks[51].y)
    let corners = Self.landmarks[48].x..<Self.landmarks[54].x
    let middle = Self.landmarks[50].x..<Self.landmarks[52].x
    #expect(Self.covered(drawing, rows: nose + 2..<lip - 1, columns: middle) > 0.6)
    #expect(Self.covered(drawing, rows: nose - 20..<nose - 3, columns: corners) == 0)
    #expect(Self.covered(drawing, rows: lip + 12..<lip + 40, columns: 10..<160) < 0.01)
    #expect(Self.covered(drawing, rows: nose..<lip, columns: 10..<corners.lowerBound - 12) == 0)
    #expect(drawing.coverage.allSatisfy { (0...1).contains($0) } && drawing.shade.allSatisfy { (0...1).contains($0) })
    let none = mustache.drawn(size: Self.side, pixel: 1, free: Self.everywhere.map { _ in 0 })
    #expect(none.coverage.allSatisfy { $0 == 0 })
  }

  @Test func whereThereIsNoRoomThereIsNone() {
    #expect(MustacheShape(on: [Point](repeating: Point(x: 89, y: 111), count: 68), at: Self.place) == nil)
    // A mouth above the nose.
    let turned = Self.landmarks.enumerated().map { index, point in
      index < 48 ? point : Point(x: point.x, y: point.y - 60)
    }
    #expect(MustacheShape(on: turned, at: Self.place) == nil)
  }

  @Test func shadesAreOfTheColoursThatThereAre() {
    let grays = (0..<100).map { SIMD3<Float>(repeating: Float($0) / 100) }.shuffled()
    let shades = StrandDrawing.shades(of: grays, from: 0.1, to: 0.9)
    #expect(zip(shades, shades.dropFirst()).allSatisfy { $0.x < $1.x } && shades[0].x >= 0.1 && shades.last!.x < 0.9)
    #expect(Set(StrandDrawing.shades(of: [[0.1, 0.2, 0.3]], from: 0, to: 0.5)) == [[0.1, 0.2, 0.3]])
    var drawing = StrandDrawing(size: 1)
    for (deviation, expected) in [(-20, shades[0]), (20, shades.last!)] as [(Float, SIMD3<Float>)] {
      drawing.setShade(0, deviation: deviation)
      #expect(drawing.colours(among: shades) == [expected])
    }
  }

  @Test func thePortraitHasOne() throws {
    let (editor, _, face) = try FaceEditorTests.portrait.get()
    func change(_ edits: [AttributeEdit], _ options: EditOptions = .init()) throws -> FaceChange {
      try editor.change(FaceEdit(face, edits, options: options))
    }
    let whole = try change([AttributeEdit("Mustache")])
    let layer = try #require(whole.drawn.first)
    // Nothing is decoded for it.
    #expect(whole.drawn.count == 1 && whole.patch == nil)
    func least(_ layer: FloatPicture) -> Float { stride(from: 3, to: layer.values.count, by: 4).map { layer.values[$0] }.min()! }
    let half = try #require(change([AttributeEdit("Mustache", strength: 0.5)]).drawn.first)
    #expect(abs(least(half) / least(layer) - 0.5) < 0.1 && least(layer) < -0.8)
    #expect(try change([AttributeEdit("Mustache", strength: 0)]).drawn.isEmpty)
    #expect(try change([AttributeEdit("Mustache", strength: -1)]).drawn.isEmpty)
    #expect(try change([AttributeEdit("Mustache")], .init(style: .article)).layers.count == 1)
    // It lies where the mouth has come to.
    #expect(try change([AttributeEdit("Mustache"), AttributeEdit("Smiling", strength: -1)]).drawn != whole.drawn)
    let before = try #require(editor.probabilities(in: face)["Mustache"])
    #expect(try #require(editor.probabilities(in: face, after: [AttributeEdit("Mustache")])["Mustache"]) > before)
  }
}

import Photo
import Testing
import Torch

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

@Suite struct TeethTests {
  private static let side = 170
  /// From a crop of the window, a pixel for each of CelebA's frame, there.
  private static let place = Affine(Similarity(scale: 1, tx: FaceAlignment.window.x, ty: FaceAlignment.window.y))

  /// The face of the other tests with its lips so far apart, in pixels of the frame.
  private static func landmarks(opening: Double) -> [Point] {
    let corners = (FaceFlowTests.landmarks[48], FaceFlowTests.landmarks[54])
    let (middle, half) = ((corners.0.x + corners.1.x) / 2, (corners.1.x - corners.0.x) / 2 - 2)
    let y = (corners.0.y + corners.1.y) / 2
    var landmarks = FaceFlowTests.landmarks
    landmarks[51] = Point(x: middle, y: y - 6)
    for (index, part) in zip(60...64, stride(from: -1.0, through: 1, by: 0.5)) {
      landmarks[index] = Point(x: middle + half * part, y: y - opening / 2 * (1 - part * part))
    }
    for (index, part) in zip(65...67, [0.5, 0, -0.5]) {
      landmarks[index] = Point(x: middle + half * part, y: y + opening / 2 * (1 - part * part))
    }
    return landmarks
  }

  @Test func theyLieBetweenTheLips() throws {
    let landmarks = Self.landmarks(opening: 8)
    let scale = 4
    let place = Affine(.identity).scaled(x: 1 / Double(scale), y: 1 / Double(scale)).then(Self.place)
    let mouth = try #require(OpenMouth(in: landmarks, at: place))
    let size = Self.side * scale
    let pixels = try #require(try mouth.pixels(size: size))
    let coverage = try pixels.window.inPicture(pixels.coverage).array(Float.self)
    #expect(coverage.count == size * size)
    #expect(coverage.allSatisfy { (0...1).contains($0) })
    let back = place.inverse
    func covered(_ point: Point) -> Float { coverage[Int(back(point).y) * size + Int(back(point).x)] }
    #expect(covered(Point(x: landmarks[62].x, y: (landmarks[62].y + landmarks[66].y) / 2)) > 0.99)
    for landmark in [33, 51, 57, 8, 36, 48, 54] { #expect(covered(landmarks[landmark]) == 0) }

    // The drawn mouth has its opening where the photo has it.
    let opened = try pixels.window.inPicture(mouth.opened.sampled(at: pixels.sources, by: .bilinear)).array(Float.self)
    let inner = zip(coverage, opened).filter { $0.0 > 0.99 }.map(\.1), outer = zip(coverage, opened).filter { (0.001..<0.1).contains($0.0) }.map(\.1)
    #expect(inner.reduce(0, +) > 0.95 * Float(inner.count) && outer.reduce(0, +) < 0.5 * Float(outer.count))
  }

  /// Light in the middle, dark in the corners, and in the light of the skin around.
  @Test func theyFitTheFace() throws {
    let teeth = try TeethNetwork.shared()
    let opened = try #require(OpenMouth(in: Self.landmarks(opening: 8), at: Self.place)).opened
    func code(_ seed: UInt64) throws -> Tensor {
      try TeethNetwork.code(of: Tensor.randn([1, 256], generator: Generator(seed: seed)))
    }
    func drawn(_ code: Tensor, skin: Float) throws -> [Float] {
      let picture = try teeth(code, opening: opened, skin: SIMD3(skin * 1.2, skin, skin * 0.8))
      #expect(picture.shape == [1, 3, TeethNetwork.rows, TeethNetwork.columns])
      return try picture.mean(dims: [1]).array(Float.self)
    }
    /// The light of a part of the opening.
    func light(_ picture: [Float], _ columns: Range<Int>) throws -> Float {
      let weights = try opened.array(Float.self)
      let places = columns.flatMap { column in (0..<TeethNetwork.rows).map { $0 * TeethNetwork.columns + column } }
      return places.reduce(0) { $0 + weights[$1] * picture[$1] } / places.reduce(0) { $0 + weights[$1] }
    }
    let faces = try (1...8).map { try drawn(code($0), skin: 0.55) }
    let (middle, corners) = (try faces.map { try light($0, 32..<48) }, try faces.map { try light($0, 6..<10) })
    #expect(middle.reduce(0, +) / 8 > 0.5, "\(middle)")
    #expect(zip(middle, corners).allSatisfy { $0 > 1.2 * $1 }, "\(middle) \(corners)")
    // Each face has its own, and has them again.
    #expect(try drawn(code(1), skin: 0.55) == faces[0])
    #expect(try drawn(TeethNetwork.code(of: Tensor.randn([1, 256], generator: Generator(seed: 1)) * 2), skin: 0.55) == faces[0])
    let others = faces.dropFirst().map { other in zip(other, faces[0]).reduce(0) { $0 + abs($1.0 - $1.1) } / Float(other.count) }
    #expect(others.allSatisfy { $0 > 0.01 }, "\(others)")
    // Beside dark skin, or in a dark photo, they are darker.
    let dark = try (1...8).map { try light(drawn(code($0), skin: 0.2), 32..<48) }.reduce(0, +) / 8
    #expect((0.4...0.9).contains(dark / (middle.reduce(0, +) / 8)), "\(dark)")
    #expect(try drawn(code(1), skin: 0).allSatisfy { $0.isFinite })
  }

  /// A mouth that opens shows them little by little.
  @Test func shutLipsShowNone() throws {
    #expect(OpenMouth(in: Self.landmarks(opening: 0.5), at: Self.place) == nil)
    #expect(OpenMouth(in: Self.landmarks(opening: -4), at: Self.place) == nil)
    let shown = try [1.2, 1.8, 3, 6].map { opening in
      let mouth = try #require(OpenMouth(in: Self.landmarks(opening: opening), at: Self.place))
      return try #require(try mouth.pixels(size: Self.side)).coverage.sum().item()
    }
    #expect(shown == shown.sorted() && shown[0] < 0.15 * shown[3], "\(shown)")
    // A face that the photo cuts off may have its mouth beside the picture.
    let aside = Affine(Similarity(scale: 1, tx: FaceAlignment.window.x - 500, ty: FaceAlignment.window.y))
    #expect(try #require(OpenMouth(in: Self.landmarks(opening: 6), at: aside)).pixels(size: Self.side) == nil)
    var turned = Self.landmarks(opening: 8)
    (turned[51].x, turned[62].x) = (turned[64].x - 4, turned[64].x - 4)
    #expect(OpenMouth(in: turned, at: Self.place) == nil)
    #expect(OpenMouth(in: [Point](repeating: Point(x: 89, y: 111), count: 68), at: Self.place) == nil)
  }

  /// The portrait shows her own. With her mouth shut, a smile has drawn ones, within it.
  @Test func whoShowsTeethKeepsThem() throws {
    let (editor, photo, face) = try FaceEditorTests.portrait.get()
    #expect(try editor.change(FaceEdit(face, [AttributeEdit("Smiling")])).drawn.isEmpty)
    let shut = try editor.apply([AttributeEdit("Smiling", strength: -1)], to: face, in: photo.picture)
    let serious = try editor.face(in: shut)
    let layer = try #require(editor.change(FaceEdit(serious, [AttributeEdit("Smiling")])).drawn.first)
    let slopes: [Float] = stride(from: 3, to: layer.values.count, by: 4).map { layer.values[$0] }
    #expect(slopes.allSatisfy { (-1...0).contains($0) })
    #expect(slopes.min()! < -0.2)
    let dark: [Int] = slopes.indices.filter { slopes[$0] < -0.02 }
    let rows: [Double] = dark.map { Double($0 / layer.width) / Double(layer.height) }
    #expect(rows.min()! > 0.5 && rows.max()! < 0.95)
    #expect(dark.count < slopes.count / 40)
    // Nor have the ways to compare with any.
    var isolated = EditOptions()
    isolated.style = .decoded
    #expect(try editor.change(FaceEdit(serious, [AttributeEdit("Smiling")], options: isolated)).drawn.isEmpty)
    #expect(try editor.change(FaceEdit(serious, [AttributeEdit("Smiling")], options: .init(style: .article))).layers.count == 1)
  }
}

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
    let (teeth, size) = (try TeethPrototype.shared(), Self.side * scale)
    #expect((0.1...0.25).contains(teeth.height))
    let pixels = try #require(try mouth.pixels(size: size, showing: teeth, of: .prototype))
    let coverage = try pixels.window.inPicture(pixels.coverage).array(Float.self)
    #expect(coverage.count == size * size)
    #expect(coverage.allSatisfy { (0...1).contains($0) })
    let back = place.inverse
    func covered(_ point: Point) -> Float { coverage[Int(back(point).y) * size + Int(back(point).x)] }
    #expect(covered(Point(x: landmarks[62].x, y: (landmarks[62].y + landmarks[66].y) / 2)) > 0.99)
    for landmark in [33, 51, 57, 8, 36, 48, 54] { #expect(covered(landmarks[landmark]) == 0) }

    // In the middle of the picture they are light, with gaps between them, and dark in the corners of the mouth.
    let skin = try Tensor.ones([1, 1, Self.side, Self.side])
    func crop(_ light: Float, shining: Float? = nil) throws -> Tensor {
      let light = (0..<Self.side * Self.side).map { $0.isMultiple(of: 30) ? shining ?? light : light }
      return try Tensor(light + light + light, shape: [1, 3, Self.side, Self.side])
    }
    let around = try mouth.around(skin, at: Self.place)
    let colours = try teeth.colours(at: pixels, beside: around.weights, of: crop(0.6, shining: 0.8), reach: around.reach)
    let light = try pixels.window.inPicture(colours).mean(dims: [1]).array(Float.self)
    let (left, right) = (back(landmarks[60]), back(landmarks[64]))
    let row = Int(back(landmarks[62]).y) + 3 * scale
    let line: [Float] = (Int(left.x) + 6..<Int(right.x) - 6).map { light[row * size + $0] }
    let third = line.count / 3
    let brightest: Float = line[third..<2 * third].max()!
    #expect(brightest > 0.6)
    let gaps: [Int] = (third..<2 * third).filter { index in
      let near = line[index - 6...index + 6]
      let (least, most): (Float, Float) = (near.min()!, near.max()!)
      return line[index] == least && least < 0.95 * most
    }
    #expect((1...4).contains(gaps.count), "\(gaps)")
    #expect(line.first! < 0.8 * brightest && line.last! < 0.8 * brightest)

    // Beside dark skin teeth are darker, but not by as much.
    func ratio(_ crop: Tensor) throws -> Float {
      let dark = try teeth.colours(at: pixels, beside: around.weights, of: crop, reach: around.reach)
      return try dark.array(Float.self).max()! / colours.array(Float.self).max()!
    }
    let shining = try ratio(crop(0.24, shining: 0.6))
    #expect((0.6...0.95).contains(shining), "\(shining)")
    // In a dark photo, where skin does not shine, they are as dark as all else.
    let dim = try ratio(crop(0.24))
    #expect(dim < 0.5, "\(dim)")
  }

  /// Two people have teeth of their own, between the same corners.
  @Test func everybodyHasOwnTeeth() throws {
    let face = try FaceEditorTests.portrait.get().face
    let own = try OwnTeeth(of: face)
    let places = stride(from: Float(-1), through: 1, by: 0.05).map { own.place($0) }
    #expect(places == places.sorted() && places.first == -1 && places.last == 1)
    #expect(zip(places, stride(from: Float(-1), through: 1, by: 0.05)).contains { abs($0 - $1) > 0.01 })
    #expect(try OwnTeeth(of: face).place(0.3) == own.place(0.3))
    #expect(OwnTeeth.prototype.place(0.3) == 0.3 && OwnTeeth.prototype.height(0.3) == 1)
  }

  /// A mouth that opens shows them little by little.
  @Test func shutLipsShowNone() throws {
    #expect(OpenMouth(in: Self.landmarks(opening: 0.5), at: Self.place) == nil)
    #expect(OpenMouth(in: Self.landmarks(opening: -4), at: Self.place) == nil)
    let shown = try [1.2, 1.8, 3, 6].map { opening in
      let mouth = try #require(OpenMouth(in: Self.landmarks(opening: opening), at: Self.place))
      return try #require(try mouth.pixels(size: Self.side, showing: .shared(), of: .prototype)).coverage.sum().item()
    }
    #expect(shown == shown.sorted() && shown[0] < 0.15 * shown[3], "\(shown)")
    // A face that the photo cuts off may have its mouth beside the picture.
    let aside = Affine(Similarity(scale: 1, tx: FaceAlignment.window.x - 500, ty: FaceAlignment.window.y))
    #expect(try #require(OpenMouth(in: Self.landmarks(opening: 6), at: aside)).pixels(size: Self.side, showing: .shared(), of: .prototype) == nil)
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

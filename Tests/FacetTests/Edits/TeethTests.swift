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

  @Test func thereAreGapsBetweenThem() throws {
    let landmarks = Self.landmarks(opening: 8)
    let scale = 4
    let place = Affine(.identity).scaled(x: 1 / Double(scale), y: 1 / Double(scale)).then(Self.place)
    let teeth = try #require(TeethShape(in: landmarks, at: place))
    let size = Self.side * scale
    let loss = teeth.loss(size: size, pixel: 1)
    #expect(loss.allSatisfy { (0...3).contains($0) })
    // Across the middle of the mouth: dark lines, as many on either side, further apart in the middle.
    let back = place.inverse
    let (left, right) = (back(landmarks[60]), back(landmarks[64]))
    let row = Int((left.y + right.y) / 2) - 2
    let columns = Int(left.x) + 8..<Int(right.x) - 8
    let line: [Float] = columns.map { loss[row * size + $0] }
    let gaps: [Int] = (3..<line.count - 3).filter { index in
      let most: Float = line[index - 3...index + 3].max()!
      return line[index] == most && most > line[index - 3] + 0.03
    }
    #expect((7...9).contains(gaps.count), "\(gaps)")
    let middle = Int(back(landmarks[51]).x) - columns.lowerBound
    #expect(gaps.contains { abs($0 - middle) <= 2 })
    let widths: [Int] = zip(gaps, gaps.dropFirst()).map { $1 - $0 }
    #expect(widths.max()! > widths.first! && widths.max()! > widths.last!)
    // Lips and what is beside the mouth keep their light; corners are darker than the middle.
    for landmark in [landmarks[33], landmarks[57], landmarks[8], landmarks[36]] {
      let point = back(landmark)
      #expect(loss[Int(point.y) * size + Int(point.x)] == 0)
    }
    let corner: Float = line.prefix(12).reduce(0, +)
    let centre: Float = line[middle + 4..<middle + 16].reduce(0, +)
    #expect(corner > 2 * centre)
  }

  @Test func shutLipsShowNone() {
    #expect(TeethShape(in: Self.landmarks(opening: 1), at: Self.place) == nil)
    #expect(TeethShape(in: Self.landmarks(opening: -4), at: Self.place) == nil)
    var turned = Self.landmarks(opening: 8)
    (turned[51].x, turned[62].x) = (turned[64].x - 4, turned[64].x - 4)
    #expect(TeethShape(in: turned, at: Self.place) == nil)
    #expect(TeethShape(in: [Point](repeating: Point(x: 89, y: 111), count: 68), at: Self.place) == nil)
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

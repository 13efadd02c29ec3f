import Photo
import Testing
import Torch

@testable import Facet

@Suite struct BeardTests {
  private func layer(_ attribute: String, _ strength: Double, _ others: [AttributeEdit] = []) throws -> FloatPicture? {
    let (editor, _, face) = try FaceEditorTests.portrait.get()
    let change = try editor.change(FaceEdit(face, [AttributeEdit(attribute, strength: strength)] + others))
    return change.drawn.first
  }

  /// How much of each pixel hair hides: less than it covers, for the skin's grain stays.
  private func coverage(_ layer: FloatPicture) -> [Float] { stride(from: 3, to: layer.values.count, by: 4).map { -layer.values[$0] } }

  @Test func itGrowsWhereTheDecodedFaceHasIt() throws {
    let (_, _, face) = try FaceEditorTests.portrait.get()
    let beard = try #require(try layer("No_Beard", -1))
    let (covered, size) = (coverage(beard), beard.width)
    #expect(covered.allSatisfy { (-1e-4...0.94).contains($0) } && covered.max()! > 0.35)
    let landmarks = try face.anatomy.landmarks
    func mean(_ points: [Point]) -> Float {
      points.reduce(0) { $0 + covered[min(size - 1, Int($1.y * Double(size))) * size + Int($1.x * Double(size))] } / Float(points.count)
    }
    // Above the mouth and on the chin, neither on the lips nor above the nose.
    let (nose, lip, chin) = (landmarks[33], landmarks[51], landmarks[8])
    let upper = (-3...3).map { Point(x: lip.x + Double($0) / 100, y: (nose.y + 2 * lip.y) / 3) }
    let lower = (-3...3).map { Point(x: chin.x + Double($0) / 100, y: landmarks[57].y + 0.6 * (chin.y - landmarks[57].y)) }
    #expect(mean(upper) > 0.15 && mean(lower) > 0.15, "\(mean(upper)) \(mean(lower))")
    #expect(mean(Array(landmarks[60...67])) < 0.1)
    #expect(mean(Array(landmarks[17...30])) < 0.05)
  }

  @Test func itGetsDenserWithStrength() throws {
    let sums = try [0.25, 0.5, 1].map { try coverage(#require(try layer("No_Beard", -$0))).reduce(0, +) }
    #expect(sums[0] < 0.8 * sums[1] && sums[1] < 0.8 * sums[2], "\(sums)")
  }

  @Test func aMustacheStaysUnderTheNose() throws {
    let (_, _, face) = try FaceEditorTests.portrait.get()
    let mustache = try #require(try layer("Mustache", 1))
    let (covered, size) = (coverage(mustache), mustache.width)
    let landmarks = try face.anatomy.landmarks
    let rows = Int(landmarks[30].y * Double(size))...Int((landmarks[57].y + 0.03) * Double(size))
    let outside = covered.indices.filter { !rows.contains($0 / size) }
    #expect(outside.allSatisfy { covered[$0] < 0.1 } && covered.reduce(0, +) > 10)
    // It lies where the mouth has come to.
    #expect(try layer("Mustache", 1, [AttributeEdit("Smiling", strength: -1)]) != mustache)
  }

  @Test func itIsOfTheHairsOwnColour() throws {
    let (editor, _, face) = try FaceEditorTests.portrait.get()
    // The colours of what grows, after hair has been given a colour that no face has.
    func colour(_ others: [AttributeEdit]) throws -> SIMD3<Float> {
      let edits = try [AttributeEdit("No_Beard", strength: -1)] + others
      let beard = try #require(editor.change(FaceEdit(face, edits)).drawn.last)
      var (sum, weight) = (SIMD3<Float>.zero, Float(0))
      for i in stride(from: 0, to: beard.values.count, by: 4) where beard.values[i + 3] < -0.4 {
        sum += SIMD3(beard.values[i], beard.values[i + 1], beard.values[i + 2])
        weight -= beard.values[i + 3]
      }
      return sum / weight
    }
    let (own, green) = (try colour([]), try colour([AttributeEdit("Hair", style: "#20c020")]))
    #expect(green.y - green.x > own.y - own.x + 0.1, "\(own) \(green)")
  }

  @Test func shadesAreOfTheColoursThatThereAre() throws {
    let grays = (0..<100).map { SIMD3<Float>(repeating: Float($0) / 100) }.shuffled()
    let shades = Strands.shades(of: grays)
    #expect(zip(shades, shades.dropFirst()).allSatisfy { $0.x < $1.x })
    #expect(Set(Strands.shades(of: [[0.1, 0.2, 0.3]])) == [[0.1, 0.2, 0.3]])
    let ends = try Strands.colours(of: Tensor([-20, 20] as [Float], shape: [1, 1, 1, 2]), among: grays).array(Float.self)
    #expect(abs(ends[0] - shades[0].x) < 1e-4 && abs(ends[1] - shades.last!.x) < 1e-4)
  }
}

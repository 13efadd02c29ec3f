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

  /// How much of each pixel hair covers.
  private func coverage(_ layer: FloatPicture) -> [Float] { stride(from: 3, to: layer.values.count, by: 4).map { -layer.values[$0] } }

  @Test func itGrowsWhereTheDecodedFaceHasIt() throws {
    let (_, _, face) = try FaceEditorTests.portrait.get()
    let beard = try #require(try layer("No_Beard", -1))
    let (covered, size) = (coverage(beard), beard.width)
    #expect(covered.allSatisfy { (-1e-4...1).contains($0) } && covered.max()! > 0.5)
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
    let (editor, photo, face) = try FaceEditorTests.portrait.get()
    // How much darker the photo gets.
    let sums = try [0.25, 0.5, 1].map { strength in
      let edited = try editor.apply([AttributeEdit("No_Beard", strength: -strength)], to: face, in: photo.picture)
      return zip(photo.picture.pixels, edited.pixels).reduce(0) { $0 + Int($1.0) - Int($1.1) }
    }
    #expect(sums[0] > 0 && 10 * sums[0] < 9 * sums[1] && 10 * sums[1] < 9 * sums[2], "\(sums)")
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

  /// The network adds detail, and changes no light or colour.
  @Test func hairsAreDetail() throws {
    // Skin that is tinted here and there.
    let light = try (Tensor.rand([1, 1, 4, 4], generator: Generator(seed: 3)) * 0.5 + 0.5).upsampleBilinear2d(scale: 24)
    let smooth = try light * Tensor([0.55, 0.42, 0.36] as [Float], shape: [1, 3, 1, 1])
    let place = try Tensor((0..<2 * 96 * 96).map { index -> Float in
      let pixel = index % (96 * 96)
      let at = BeardNetwork.place(Float(96 + pixel % 96), Float(190 + pixel / 96))
      return index < 96 * 96 ? at.x : at.y
    }, shape: [1, 2, 96, 96])
    func drawn(_ seed: UInt64) throws -> Tensor {
      try BeardNetwork.shared()(smooth, at: place, noise: .randn([1, 4, 96, 96], generator: Generator(seed: seed)))
    }
    let (first, second) = (try drawn(1), try drawn(2))
    #expect(try first.isAllFinite() && first.shape == smooth.shape)
    let change = try (first.avgPool2d(16) - smooth.avgPool2d(16)).abs().mean().item()
    #expect(change < 0.06, "\(change)")
    let detail = try (first - first.blurred(sigma: 1.5)).abs().mean().item()
    #expect(try detail > 3 * (smooth - smooth.blurred(sigma: 1.5)).abs().mean().item(), "\(detail)")
    // Other noise, other hairs.
    #expect(try (first - second).abs().mean().item() > 0.2 * detail)
  }
}

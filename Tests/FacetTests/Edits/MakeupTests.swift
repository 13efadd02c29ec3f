import Foundation
import Photo
import Testing
import Torch

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

@Suite struct MakeupTests {
  private static let side = 170
  /// From a crop of the window, a pixel for each of CelebA's frame, there.
  private static let place = Affine(Similarity(scale: 1, tx: FaceAlignment.window.x, ty: FaceAlignment.window.y))
  private static let landmarks = FaceFlowTests.landmarks

  /// Skin everywhere, and a part in a box around landmarks.
  private static func parts(lips: Bool = false, covered: Float = 0) -> MakeupPlacement.Parts {
    let count = side * side
    let none = [Float](repeating: 0, count: count)
    let mouth = landmarks[48..<60].map { place.inverse($0) }
    let (left, right) = (mouth.map(\.x).min()!, mouth.map(\.x).max()!)
    let (top, bottom) = (mouth.map(\.y).min()!, mouth.map(\.y).max()!)
    let box = (0..<count).map { index -> Float in
      let (x, y) = (Double(index % side), Double(index / side))
      return x >= left && x <= right && y >= top && y <= bottom ? 1 : 0
    }
    return MakeupPlacement.Parts(
      lips: lips ? box : none, eyes: none, brows: none, skin: lips ? box.map { 1 - $0 } : none.map { _ in 1 },
      covered: none.map { _ in covered })
  }

  /// What is lost at a place of the frame, of make-up that is seen.
  private static func loss(_ makeup: MakeupPlacement, _ x: Double, _ y: Double) -> SIMD3<Float> {
    let point = place.inverse(Point(x: x, y: y))
    return Makeup.Pigment.allCases.reduce(.zero) {
      $0 + $1.tone * makeup.coverage[$1.rawValue][Int(point.y) * side + Int(point.x)]
    }
  }

  @Test func pigmentsTakeLightAwayWhereTheyBelong() {
    let makeup = MakeupPlacement(on: Self.landmarks, at: Self.place, parts: Self.parts(lips: true))
    #expect(makeup.coverage.allSatisfy { $0.allSatisfy { (0...3).contains($0) } })
    #expect(Makeup.Pigment.allCases.allSatisfy { $0.tone.max() <= 0 && $0.tone.min() > -2 })
    // Red lips.
    let mouth = Self.landmarks[57]
    let lips = Self.loss(makeup, mouth.x, mouth.y - 3)
    #expect(lips.y < -0.5 && lips.x > -0.2 && lips.y < lips.z)
    for (corner, lid, brow) in [(36, 37, 18), (45, 44, 25)] {
      let (edge, above) = (Self.landmarks[lid], Self.landmarks[brow])
      // A dark line along the lashes, a lighter shadow up to the brow.
      let line = (-2...2).map { Self.loss(makeup, edge.x, edge.y + Double($0)).y }.min()!
      let shadow = Self.loss(makeup, edge.x, edge.y + 0.4 * (above.y - edge.y)).y
      #expect(line < -0.8 && shadow < -0.1 && shadow > line, "\(line), \(shadow)")
      // Rouge below the outer corner.
      let cheek = Self.landmarks[corner == 36 ? 31 : 35]
      let rouge = Self.loss(makeup, (Self.landmarks[corner].x + cheek.x) / 2, cheek.y - 2)
      #expect(rouge.y < -0.02 && rouge.x == 0)
    }
    // Chin and forehead stay.
    for y in [Self.landmarks[8].y - 2, Self.landmarks[19].y - 20] { #expect(Self.loss(makeup, Self.landmarks[8].x, y).min() > -0.02) }
  }

  @Test func nothingIsPutOnHairAndGlasses() {
    let makeup = MakeupPlacement(on: Self.landmarks, at: Self.place, parts: Self.parts(lips: true, covered: 1))
    #expect(makeup.coverage.allSatisfy { $0.allSatisfy { $0 == 0 } })
  }

  @Test func landmarksInOnePlaceAreNoFace() {
    let makeup = MakeupPlacement(on: [Point](repeating: Point(x: 89, y: 111), count: 68), at: Self.place, parts: Self.parts())
    #expect(makeup.coverage.allSatisfy { $0.allSatisfy { $0 == 0 } })
  }

  @Test func eachLabelOfMakeupHasItsPigments() {
    func amounts(_ text: String) -> [Makeup.Pigment: Double]? {
      guard let state = AttributeState(text), let row = AttributeTable.all.first(where: { $0.name == state.name }) else { return nil }
      let edits = (state.adds ? row.add : row.remove).edits(.init(strength: 1, needed: 1, kept: []))
      return edits.compactMap { $0 as? Makeup }.first?.amounts
    }
    #expect(amounts("Wearing_Lipstick=1") == [.lips: 1])
    #expect(amounts("Wearing_Lipstick=-1") == [.lips: -1])
    #expect(amounts("Rosy_Cheeks=1").map { Array($0.keys) } == [.cheeks])
    #expect(amounts("Heavy_Makeup=1")?.count == Makeup.Pigment.allCases.count)
    #expect(amounts("Heavy_Makeup=-1")?.values.allSatisfy { $0 == -1 } == true)
    #expect(amounts("Pale_Skin=1") == nil)
  }

  @Test func lipstickIsTakenOffAsFarAsThereIsSome() throws {
    let skin = SIMD3<Float>(0.8, 0.6, 0.5)
    let bare = try #require(Makeup.Pigment.lips.removal(from: [0.75, 0.2, 0.25], on: skin))
    // Lighter, in green most, to lips that are a little redder and darker than skin.
    #expect(bare.change.y > 0.5 && bare.change.y > bare.change.z && abs(bare.change.x) < 0.2)
    #expect(exp(bare.end.y) < skin.y && exp(bare.end.y) > 0.35)
    // Nothing where lips are as light as skin, nor where nobody knows what is beneath.
    #expect(Makeup.Pigment.lips.removal(from: [0.75, 0.55, 0.45], on: skin) == nil)
    #expect(Makeup.Pigment.lashes.removal(from: [0.1, 0.1, 0.1], on: skin) == nil)
    // Cheeks change in hue alone.
    let cheeks = try #require(Makeup.Pigment.cheeks.removal(from: [0.85, 0.45, 0.4], on: skin))
    #expect(abs(cheeks.change.sum()) < 1e-4 && cheeks.change.x < 0 && cheeks.change.y > 0)
  }

  @Test func thePortraitWearsSome() throws {
    let (editor, photo, face) = try FaceEditorTests.portrait.get()
    func change(_ edits: [AttributeEdit], _ options: EditOptions = .init()) throws -> FaceChange {
      try editor.change(FaceEdit(face, edits, options: options))
    }
    let whole = try change([AttributeEdit("Heavy_Makeup")])
    let layer = try #require(whole.drawn.first)
    #expect(whole.drawn.count == 1 && layer.width % face.crop.width == 0)
    // It is none of the background's business.
    for corner in [0, layer.width - 1, layer.width * (layer.width - 1)] {
      #expect(layer.values[corner * 4..<corner * 4 + 4].allSatisfy { abs($0) < 0.005 })
    }
    func darkest(_ layer: FloatPicture) -> Float { stride(from: 3, to: layer.values.count, by: 4).map { layer.values[$0] }.min()! }
    let half = try #require(change([AttributeEdit("Heavy_Makeup", strength: 0.5)]).drawn.first)
    #expect(darkest(layer) < darkest(half) && darkest(half) < -0.2 && darkest(layer) > -1)
    #expect(try change([AttributeEdit("Heavy_Makeup", strength: 0)]).drawn.isEmpty)
    // Lipstick alone is on the lips alone, and decodes nothing.
    let lipstick = try change([AttributeEdit("Wearing_Lipstick")])
    let lips = try #require(lipstick.drawn.first)
    #expect(lipstick.drawn.count == 1 && lipstick.patch == nil)
    func touched(_ layer: FloatPicture) -> Int { stride(from: 3, to: layer.values.count, by: 4).count { abs(layer.values[$0]) > 0.05 } }
    #expect(touched(lips) > 50 && touched(lips) < touched(layer) / 2)
    // She wears none that could be taken off; what she has put on can, and no place gets darker by it.
    #expect(try change([AttributeEdit("Wearing_Lipstick", strength: -1)]).drawn.isEmpty)
    let painted = try editor.apply([AttributeEdit("Wearing_Lipstick")], to: face, in: photo.picture)
    let wearing = try editor.face(in: painted)
    func off(_ strength: Double) throws -> [FloatPicture] {
      try editor.change(FaceEdit(wearing, [AttributeEdit("Wearing_Lipstick", strength: strength)])).drawn
    }
    let bare = try #require(off(-1).first)
    let light = stride(from: 3, to: bare.values.count, by: 4).map { bare.values[$0] }
    #expect(light.max()! > 0.1 && light.max()! < 1.5 && light.min()! > -0.1, "\(light.min()!) \(light.max()!)")
    // Twice as much off is no more than off.
    #expect(try off(-2) == [bare])
    // Lashes are decoded, less than otherwise; rouge is not.
    func decoded(_ edit: AttributeEdit, _ options: EditOptions = .init()) throws -> Float {
      try change([edit], options).patch?.values.reduce(0) { $0 + abs($1) } ?? 0
    }
    var plain = EditOptions()
    plain.style = .decoded
    let bareFace = try AttributeEdit("Heavy_Makeup", strength: -1)
    #expect(try decoded(bareFace) > 0 && decoded(bareFace) < decoded(bareFace, plain))
    #expect(try decoded(AttributeEdit("Rosy_Cheeks")) == 0)
    // It lies where the mouth has come to.
    #expect(try change([AttributeEdit("Heavy_Makeup"), AttributeEdit("Smiling", strength: -1)]).drawn != whole.drawn)
    #expect(try change([AttributeEdit("female_makeup")]).drawn.count == 1)
    // The model sees it, and other ways decode it.
    let before = try #require(editor.probabilities(in: face)["Heavy_Makeup"])
    #expect(try #require(editor.probabilities(in: face, after: [AttributeEdit("Heavy_Makeup")])["Heavy_Makeup"]) > before)
    #expect(try change([AttributeEdit("Heavy_Makeup")], .init(style: .article)).layers.count == 1)
    // Glasses are worn over it, and hair over these.
    #expect(try change([AttributeEdit("Bangs"), AttributeEdit("Eyeglasses"), AttributeEdit("Heavy_Makeup")]).drawn.count == 3)
    #expect(try editor.apply([AttributeEdit("Heavy_Makeup")], to: face, in: photo.picture) != photo.picture)
  }
}

import Foundation
import Photo
import Testing
import Torch

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

/// Glasses that are taken off.
@Suite struct GlassesRemovalTests {
  @Test func glassesOfThePortraitAreTakenOff() throws {
    let (editor, photo, face) = try FaceEditorTests.portrait.get()
    func edited(_ face: EncodedFace, _ picture: Picture, _ edits: [AttributeEdit]) throws -> Picture {
      try editor.apply(edits, to: face, in: picture)
    }
    func distance(_ a: Picture, _ b: Picture) -> Double {
      zip(a.pixels, b.pixels).reduce(0) { $0 + Double(abs(Int($1.0) - Int($1.1))) }
    }
    let off = try AttributeEdit("Eyeglasses", strength: -1)
    // Who wears none stays as the photo has it.
    #expect(try edited(face, photo.picture, [off]) == photo.picture)
    let worn = try edited(face, photo.picture, [AttributeEdit("Eyeglasses")])
    let wearer = try editor.face(in: worn)
    let taken = try edited(wearer, worn, [off])
    let (before, after) = (distance(worn, photo.picture), distance(taken, photo.picture))
    // A thin frame hides little, and what comes in its place differs from the photo: 0.80 measured, of thick flat frames it was 0.6.
    #expect(after < 0.85 * before, "\(after), \(before)")
    #expect(try !editor.face(in: taken).anatomy.wearsGlasses)
    // Only around the eyes.
    let place = face.alignment.transform(size: 100)
    for y in 0..<photo.height {
      for x in 0..<photo.width where taken[x, y] != worn[x, y] {
        let point = place(Point(x: Double(x) + 0.5, y: Double(y) + 0.5))
        #expect((25..<70).contains(point.y), "\(x), \(y)")
      }
    }
    // Strength is how far they are gone, all at most.
    let half = try edited(wearer, worn, [AttributeEdit("Eyeglasses", strength: -0.5)])
    #expect(abs(distance(half, worn) / distance(taken, worn) - 0.5) < 0.05)
    #expect(try edited(wearer, worn, [AttributeEdit("Eyeglasses", strength: -2)]) == taken)
    // A probability can be asked for.
    func strength(_ face: EncodedFace, _ probability: Double) throws -> Double {
      try editor.strengths(of: [AttributeEdit("Eyeglasses", to: probability)], on: face)[0]
    }
    #expect(try strength(wearer, 0.1) == -1 && strength(face, 0.1) == 0)
    // Other edits start from the face without them, in any order.
    let smile = try AttributeEdit("Smiling", strength: -1)
    let both = try edited(wearer, worn, [off, smile])
    #expect(try zip(both.pixels, edited(wearer, worn, [smile, off]).pixels).allSatisfy { abs(Int($0.0) - Int($0.1)) <= 1 })
    let plain = try edited(face, photo.picture, [smile])
    #expect(try distance(both, plain) < 0.7 * distance(edited(wearer, worn, [smile]), plain))
    // Nor does it matter what was asked before.
    let other = try editor.face(in: worn)
    #expect(try edited(other, worn, [smile]) == edited(wearer, worn, [smile]) && edited(other, worn, [off, smile]) == both)
    // Skin that was behind glasses takes a colour, as light as it is now.
    let pale = AttributeEdit("Pale_Skin")
    let (together, later) = try (edited(wearer, worn, [off, pale]), edited(editor.face(in: taken), taken, [pale]))
    let rims = taken.pixels.indices.filter { abs(Int(taken.pixels[$0]) - Int(worn.pixels[$0])) > 40 }
    try #require(rims.count > 300)
    let lighter = rims.reduce(0) { $0 + Int(together.pixels[$1]) - Int(later.pixels[$1]) } / rims.count
    #expect(abs(lighter) < 12, "\(lighter)")
    // A crop of any size is changed as the photo is.
    let change = try editor.change(FaceEdit(wearer, [off]))
    var crop = wearer.crop
    change.apply(toCrop: &crop)
    #expect(crop != wearer.crop && change.layers.count == 1)
    // Glasses of a named style come in place of those that are worn; others are not drawn over them.
    #expect(try edited(wearer, worn, [AttributeEdit("Eyeglasses")]) == worn)
    let round = AttributeEdit("Eyeglasses", style: "round-metal")
    let (others, alone) = try (edited(wearer, worn, [round]), edited(face, photo.picture, [round]))
    #expect(distance(others, alone) < 0.9 * distance(worn, alone), "\(distance(others, alone)), \(distance(worn, alone))")
    #expect(distance(others, taken) > 0.3 * distance(alone, photo.picture))
    // The article's way decodes a step.
    #expect(try editor.change(FaceEdit(wearer, [off], options: .init(style: .article))) != change)
  }
}

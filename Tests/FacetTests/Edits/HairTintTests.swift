import Foundation
import Photo
import Testing
import Torch

@testable import Facet

@Suite("Colours of hair") struct HairTintTests {
  private static let labels = ["Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"]

  // MARK: Colours

  @Test(arguments: labels) func colourRisesFromShadeToHighlight(_ label: String) throws {
    let colour = try HairColour.named(label)
    for colours in [colour.having, colour.lacking] {
      #expect(colours.count == colour.quantiles.count)
      #expect(zip(colours, colours.dropFirst()).allSatisfy { $0.luma < $1.luma })
    }
    let steps = colour.steps(isAdded: true)
    #expect(steps.count == 256 && steps.first == colour.having.first && steps.last == colour.having.last)
    #expect(zip(steps, steps.dropFirst()).allSatisfy { $0.luma <= $1.luma })
  }

  @Test func colourThatIsNotInTheFileIsAnError() {
    #expect(throws: BundleError.self) { try HairColour.named("Green_Hair") }
  }

  @Test func shadeOfLightHairIsRedder() throws {
    let blond = try HairColour.named("Blond_Hair").having
    func redness(_ colour: SIMD3<Float>) -> Float { colour.x / colour.z }
    #expect(redness(blond[0]) > 1.5 * redness(blond[blond.count - 1]))
  }

  @Test func hairIsSeenInTheLightOfTheSkin() throws {
    let blond = try HairColour.named("Blond_Hair")
    for (a, b) in zip(blond.beside(skin: blond.skin).having, blond.having) { #expect(abs((a - b).sum()) < 1e-4) }
    let red = blond.beside(skin: blond.skin * [1.2, 1, 0.7])
    #expect(red.having[6].x / red.having[6].z > 1.05 * blond.having[6].x / blond.having[6].z)
    #expect(blond.beside(skin: blond.skin * 0.5).having[6].luma < 0.85 * blond.having[6].luma)
    // No skin is so dark that its light would be without limits.
    #expect(blond.beside(skin: .zero).having.allSatisfy { $0.max() < 1 && $0.min() >= 0 })
  }

  @Test func colourIsPresentAsFarAsHairHasIt() throws {
    let blond = try HairColour.named("Blond_Hair")
    let light = blond.having.reduce(.zero, +) / Float(blond.having.count)
    #expect(blond.presence(in: light) > 0.99 && blond.presence(in: [0.02, 0.02, 0.02]) == 0)
  }

  @Test func everyColourOfThePaletteIsOne() throws {
    #expect(HairPalette.names.count > 15 && Set(HairPalette.names).count == HairPalette.names.count)
    for name in HairPalette.names {
      let colour = try HairPalette.colour(name.uppercased())
      // White is as light as it gets.
      #expect(zip(colour.having, colour.having.dropFirst()).allSatisfy { $0.luma < $1.luma || $1.luma > 0.95 }, "\(name)")
      #expect(colour.having.allSatisfy { $0.min() >= 0 && $0.max() <= 1 }, "\(name)")
      let wanted = try #require(SIMD3<Float>(hex: HairPalette.named.first { $0.name == name }!.colour))
      #expect(abs(colour.seen.luma - wanted.luma) < 0.03, "\(name)")
    }
  }

  /// The one law of pigments gives what photos of blond and black hair have.
  @Test(arguments: ["Blond_Hair", "Brown_Hair"]) func pigmentsExplainMeasuredHair(_ label: String) throws {
    let measured = try HairColour.named(label)
    let explained = try HairColour(of: measured.seen)
    for (a, b) in zip(measured.having, explained.having) {
      let difference = a - b
      #expect((difference * difference).sum().squareRoot() < 0.13, "\(a) \(b)")
    }
  }

  @Test(arguments: [nil, "", "blondish", "#12345", "#12345g", "8a4b2a"] as [String?]) func whatIsNoColourOfHairIsAnError(_ style: String?) {
    #expect(throws: StyleError.self) { try HairPalette.colour(style) }
    #expect(throws: StyleError.self) { try AttributeEdit("Hair", style: style).validateStyle() }
  }

  @Test func colourIsCheckedWithoutTheModel() throws {
    #expect(throws: Never.self) { try AttributeDirections.check(["hair", "Smiling"], in: ModelBundle.defaultURL) }
    #expect(throws: AttributeError.self) { try AttributeDirections.check(["Hiar"], in: ModelBundle.defaultURL) }
  }

  @Test func hairHasNoOppositeAndNoProbability() throws {
    #expect(throws: StyleError.self) { try AttributeEdit("Hair", strength: -1, style: "pink").validateStyle() }
    var edit = try AttributeEdit("Hair", to: 0.5)
    edit.style = "pink"
    #expect(throws: StyleError.self) { try edit.validateStyle() }
    #expect(throws: Never.self) { try AttributeEdit("hair", strength: 0.5, style: "#8A4B2A").validateStyle() }
  }

  // MARK: Mattes

  /// Strands, half transparent at their sides, over a background of two colours, with what is drawn of them.
  private static func strands() -> (picture: Picture, alpha: [Float]) {
    let size = 128
    var alpha = [Float](repeating: 0, count: size * size)
    for y in 0..<size {
      for x in 0..<size {
        // A solid part, whose border is fringed.
        let edge = 60 + 10 * sin(Float(x) / 3) + 4 * sin(Float(x) * 1.7)
        alpha[y * size + x] = min(1, max(0, (Float(y) - edge) / 3))
      }
    }
    let hair = SIMD3<Float>(60, 40, 28)
    let pixels = alpha.indices.flatMap { i -> [UInt8] in
      let background: SIMD3<Float> = i % size < size / 2 ? [170, 180, 200] : [200, 190, 150]
      let colour = background + alpha[i] * (hair - background)
      return [UInt8(colour.x), UInt8(colour.y), UInt8(colour.z)]
    }
    return (Picture(width: size, height: size, channels: 3, pixels: pixels), alpha)
  }

  @Test func strandsAreCutOut() throws {
    let (picture, alpha) = Self.strands()
    let size = picture.width
    // The parser knows the border to some pixels only.
    let known = (0..<size * size).map { i -> Bool? in i / size < 42 ? false : i / size > 78 ? true : nil }
    let probable = (0..<size * size).map { i -> Float in i / size < 60 ? 0 : 1 }
    let matte = Matte(of: picture, probable: probable, known: known, reach: 20)
    let found = matte.alpha
    let errors = zip(found, alpha).map { abs($0 - $1) }
    let band = known.indices.filter { known[$0] == nil }
    #expect(found.allSatisfy { (0...1).contains($0) })
    #expect(errors.reduce(0, +) / Float(errors.count) < 0.03)
    #expect(band.reduce(0) { $0 + errors[$1] } / Float(band.count) < 0.08)
    // What the background shines through is hair's colour all the same.
    let rim = band.filter { (0.5...0.9).contains(alpha[$0]) }
    let wrong = rim.reduce(Float(0)) { $0 + abs(matte.colours[$1].colour.luma - SIMD3<Float>(60, 40, 28).luma / 255) }
    #expect(rim.count > 20 && wrong / Float(rim.count) < 0.06)
  }

  @Test func meansAreOfThePixelsThatThereAre() {
    let values = (0..<12).map { SIMD4<Float>(Float($0), 1, Float($0 % 4), 0) }
    let pixels = Pixels(width: 4, height: 3, values)
    let blurred = pixels.blurred(1)
    #expect(blurred[0].x == 2.5)  // of 0, 1, 4 and 5
    #expect(abs(blurred[5].x - 5) < 1e-5 && blurred.values.allSatisfy { abs($0.y - 1) < 1e-6 })
    // Farther than the picture reaches, it is the mean of all.
    #expect(pixels.blurred(9).values.allSatisfy { abs($0.x - 5.5) < 1e-4 })
  }

  @Test func hairBeyondTheCropHangsFromHairInItAndHasItsColours() {
    let width = 40
    var hair = [Float](repeating: 0, count: width * width)
    var pixels = [UInt8](repeating: 200, count: width * width * 3)
    func fill(_ columns: ClosedRange<Int>, _ rows: ClosedRange<Int>, _ level: UInt8) {
      for y in rows {
        for x in columns {
          hair[y * width + x] = 1
          for c in 0..<3 { pixels[(y * width + x) * 3 + c] = level }
        }
      }
    }
    fill(8...14, 6...34, 40)  // hangs out of the crop
    fill(15...18, 28...34, 200)  // beside it, of the colour of the rest
    fill(30...34, 30...36, 40)  // somebody else's
    let picture = Picture(width: width, height: width, channels: 3, pixels: pixels)
    let own = Surroundings.ownHair(
      hair, in: picture, within: [Float](repeating: 1, count: hair.count), crop: (4..<24, 4..<36))
    func at(_ x: Int, _ y: Int) -> Float { own[y * width + x] }
    #expect(at(10, 10) == 1 && at(10, 33) > 0.9 && at(17, 32) < 0.1 && at(32, 33) == 0 && at(20, 10) == 0)
  }

  // MARK: Patches

  /// Striped hair in the upper half of a light picture.
  private static func striped(_ shade: Float = 30) throws -> (picture: Picture, hair: HeadHair) {
    let size = 128
    var pixels: [UInt8] = []
    var hair = [Float](repeating: 0, count: size * size)
    for y in 0..<size {
      for x in 0..<size {
        let isHair = y < size / 2
        let level = isHair ? shade + 30 * (0.5 + 0.5 * sin(Float(x) / 4)) : 220
        pixels += [UInt8(level), UInt8(level * 0.8), UInt8(level * 0.75)]
        hair[y * size + x] = isHair ? 1 : 0
      }
    }
    let picture = Picture(width: size, height: size, channels: 3, pixels: pixels)
    let found = HeadHair(in: picture, hair: hair, other: hair.map { 1 - $0 }, cropSide: 60, skin: nil)
    return (picture, try #require(found))
  }

  private static func tinted(
    _ label: String, _ strength: Double = 1, shade: Float = 30, byStrands: Bool = false
  ) throws -> (old: Picture, new: Picture) {
    let (picture, hair) = try striped(shade)
    var new = picture
    let tint = HeadHair.Tint(colour: try HairColour.named(label), strength: strength, byStrands: byStrands)
    if let patch = hair.tinted([tint]) { new.change(by: patch, place: Similarity.identity) }
    return (picture, new)
  }

  private static func mean(_ picture: Picture) -> SIMD3<Float> {
    var sum = SIMD3<Float>.zero
    for y in 4..<56 { for x in 0..<128 { sum += SIMD3(picture[x, y].map(Float.init)) / (255 * 52 * 128) } }
    return sum
  }

  @Test(arguments: labels) func hairHasTheColourAndTheRestKeepsItsBits(_ label: String) throws {
    let (old, new) = try Self.tinted(label)
    for y in 72..<128 { for x in 0..<128 { #expect(new[x, y] == old[x, y]) } }
    let colours = try HairColour.named(label).having
    let asked = colours.reduce(.zero, +) / Float(colours.count)
    let mean = Self.mean(new)
    for c in 0..<3 { #expect(abs(mean[c] - asked[c]) < 0.06, "\(label): \(mean), not \(asked)") }
    // What was shade is shade.
    func luma(_ x: Int) -> Float { SIMD3(new[x, 30].map(Float.init)).luma }
    #expect(luma(6) > luma(19) + 8)
  }

  @Test func colourComesWithStrength() throws {
    let steps = try [0, 0.25, 0.5, 0.75, 1].map { Self.mean(try Self.tinted("Blond_Hair", $0).new).luma }
    #expect(zip(steps, steps.dropFirst()).allSatisfy { $0 < $1 })
    let (old, new) = try Self.tinted("Blond_Hair", 0)
    #expect(old == new)
  }

  /// Light strands are gray before dark ones are, and some hair keeps its colour.
  @Test func hairGraysByStrands() throws {
    func range(_ strength: Double, byStrands: Bool) throws -> (luma: Float, spread: Float) {
      let (_, new) = try Self.tinted("Gray_Hair", strength, byStrands: byStrands)
      let lumas: [Float] = (20..<108).map { SIMD3(new[$0, 30].map(Float.init)).luma / 255 }
      return (lumas.reduce(0, +) / Float(lumas.count), lumas.max()! - lumas.min()!)
    }
    let (even, strands) = (try range(0.5, byStrands: false), try range(0.5, byStrands: true))
    #expect(strands.spread > even.spread + 0.01 && strands.luma < even.luma + 0.01, "\(strands), \(even)")
    let steps = try [0.2, 0.6, 1, 1.25].map { try range($0, byStrands: true).luma }
    #expect(zip(steps, steps.dropFirst()).allSatisfy { $0 < $1 }, "\(steps)")
    // What is taken away is taken from all of it.
    let light = try [false, true].map { Self.mean(try Self.tinted("Gray_Hair", -1, shade: 150, byStrands: $0).new) }
    #expect(light[0] == light[1])
  }

  @Test func takenAwayIsOnlyWhatIsThere() throws {
    let (dark, stillDark) = try Self.tinted("Blond_Hair", -1, shade: 2)
    #expect(abs(Self.mean(dark).luma - Self.mean(stillDark).luma) < 0.01)
    let (light, darker) = try Self.tinted("Blond_Hair", -1, shade: 150)
    #expect(Self.mean(darker).luma < Self.mean(light).luma - 0.15)
  }

  @Test func littleHairIsNotTinted() throws {
    let (picture, _) = try Self.striped()
    let hair = (0..<128 * 128).map { Float($0 < 20 ? 1 : 0) }
    let isFound = HeadHair(in: picture, hair: hair, other: hair.map { 1 - $0 }, cropSide: 60, skin: nil) != nil
    #expect(!isFound)
  }

  // MARK: Brows

  @Test func browsFollowDarkHairAlone() throws {
    let (editor, photo, face) = try FaceEditorTests.portrait.get()
    let size = 3 * face.crop.width
    let brows = try face.anatomy.brows.upsampleBilinear2d(scale: 3).array(Float.self)
    /// Of the brows' hairs: the darkest quarter of their pixels.
    func luma(_ edits: [AttributeEdit]) throws -> Float {
      let crop = try Tensor(face.alignment.crop(editor.apply(edits, to: face, in: photo.picture), size: size))
      let lumas = try zip(crop.mean(dims: [1], keepDim: true).array(Float.self), brows).filter { $1 > 0.8 }.map(\.0).sorted()
      let hairs = lumas.prefix(lumas.count / 4)
      return hairs.reduce(0, +) / Float(hairs.count)
    }
    let own = try luma([])
    #expect(try luma([AttributeEdit("Black_Hair")]) < 0.95 * own)
    #expect(try luma([AttributeEdit("Black_Hair")]) > 0.5 * own)
    #expect(try abs(luma([AttributeEdit("Blond_Hair")]) - own) < 0.02)
  }
}

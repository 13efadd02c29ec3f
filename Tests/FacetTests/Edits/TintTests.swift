import Foundation
import Photo
import Testing
import Torch

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

@Suite("Colours of hair and skin") struct TintTests {
  private static let dark = SIMD3<Float>(50, 38, 30) / 255
  private static let light = SIMD3<Float>(170, 140, 100) / 255

  private func luma(_ colour: SIMD3<Float>) -> Float { (colour * [0.2126, 0.7152, 0.0722]).sum() }

  // MARK: Colours

  @Test func coloursAreOfAPart() {
    #expect(TintColour.pale.part == .skin)
    for colour in [TintColour.black, .blond, .brown, .gray, .graying] { #expect(colour.part == .hair) }
  }

  @Test func oneIsTheNamedColour() throws {
    let blond = TintColour.blond
    #expect(blond.applied(to: Self.dark, strength: 1) == blond.having)
    let half = blond.applied(to: Self.dark, strength: 0.5)
    #expect(((half - (Self.dark + blond.having) / 2) * (half - (Self.dark + blond.having) / 2)).sum() < 1e-8)
    #expect(blond.applied(to: Self.dark, strength: 0) == Self.dark)
    // Farther than the named colour goes only a little.
    #expect(blond.applied(to: Self.dark, strength: 3) == blond.applied(to: Self.dark, strength: 1.5))
    let black = TintColour.black
    #expect(luma(black.applied(to: Self.light, strength: 1)) < 0.1)
  }

  @Test func takenAwayIsOnlyWhatIsThere() throws {
    let blond = TintColour.blond
    #expect(luma(blond.applied(to: Self.light, strength: -1)) < luma(Self.light) - 0.2)
    let black = blond.applied(to: [0.05, 0.04, 0.03], strength: -1)
    #expect(luma(black) < 0.06)
    // Lighter than blond stays light.
    #expect(luma(blond.applied(to: [0.95, 0.9, 0.8], strength: 1)) > 0.85)
  }

  @Test func grayingMakesNothingManyTimesAsLight() throws {
    let (gray, graying) = (TintColour.gray, TintColour.graying)
    let black = SIMD3<Float>(0.05, 0.045, 0.04)
    #expect(luma(gray.applied(to: black, strength: 0.4)) > 0.2 && luma(graying.applied(to: black, strength: 0.4)) < 0.14)
    let brown = SIMD3<Float>(0.4, 0.3, 0.2)
    #expect(graying.applied(to: brown, strength: 0.4) == gray.applied(to: brown, strength: 0.4))
  }

  // MARK: Patches

  /// Striped dark hair on the left half of a light picture.
  private func striped(_ shade: UInt8 = 30) -> (picture: Picture, coverage: [Float]) {
    let size = 64
    var (pixels, coverage) = ([UInt8](), [Float]())
    for y in 0..<size {
      for x in 0..<size {
        let isHair = x < size / 2
        let level: UInt8 = isHair ? (y % 8 < 4 ? shade : 60) : 220
        pixels += [level, level - level / 5, level - level / 4]
        coverage.append(isHair ? 1 : 0)
      }
    }
    return (Picture(width: size, height: size, channels: 3, pixels: pixels), coverage)
  }

  @Test func hairIsTintedAndTheRestKeepsItsBits() throws {
    let (picture, coverage) = striped()
    let hair = try TintedRegion(in: picture, coverage: coverage)
    let blond = TintColour.blond
    let patch = try #require(hair.tinted([(blond, 1)]))
    var tinted = picture
    tinted.change(by: patch, place: Similarity.identity)
    var mean = SIMD3<Float>.zero
    for y in 0..<64 {
      // Interpolation reaches two pixels over the edge.
      for x in 34..<64 { #expect(tinted[x, y] == picture[x, y]) }
      for x in 0..<30 { mean += SIMD3(tinted[x, y].map(Float.init)) / (255 * 64 * 30) }
    }
    // Deep shade takes a little of it.
    for c in 0..<3 { #expect(abs(mean[c] - blond.having[c]) < 0.04) }
    // Light and shade stay.
    let (light, shade) = (Array(tinted[10, 5])[1], Array(tinted[10, 2])[1])
    #expect(light > shade && light - shade >= 20)
  }

  @Test func blackStaysDark() throws {
    // What lies behind a head may be taken for hair.
    let (picture, coverage) = striped(0)
    let blond = TintColour.blond
    var tinted = picture
    tinted.change(by: try #require(try TintedRegion(in: picture, coverage: coverage).tinted([(blond, 1)])), place: Similarity.identity)
    func light(_ row: Int) -> Float { luma(SIMD3(tinted[10, row].map(Float.init)) / 255) }
    // Rows 9 and 10 are inside a stripe of 8 … 11; the rows of 12 … 15 are light.
    for row in 9...10 { #expect((0.2...0.45).contains(light(row) / luma(blond.having)), "\(light(row))") }
    for row in 13...14 { #expect(light(row) > luma(blond.having)) }
  }

  @Test func withoutHairNothingChanges() throws {
    let (picture, coverage) = striped()
    let few = coverage.enumerated().map { $0 < 10 ? $1 : 0 }
    let blond = TintColour.blond
    #expect(try TintedRegion(in: picture, coverage: few).tinted([(blond, 1)]) == nil)
    let hair = try TintedRegion(in: picture, coverage: coverage)
    #expect(hair.tinted([]) == nil && hair.tinted([(blond, 0)]) == nil)
  }

  @Test func shadeOfLightHairIsRedder() throws {
    let (picture, coverage) = striped()
    let blond = TintColour.blond
    var tinted = picture
    tinted.change(by: try #require(try TintedRegion(in: picture, coverage: coverage).tinted([(blond, 1)])), place: Similarity.identity)
    func redness(_ row: Int) -> Float { Float(tinted[10, row].first!) / Float(tinted[10, row].last!) }
    #expect(redness(10) > 1.1 * redness(14))
  }

  @Test func aHairlineIsNoLighterThanSkinAndHair() throws {
    // Dark hair that runs out into skin over eight pixels, as far as the parser sees it and a little farther.
    let size = 64
    let (hair, skin) = (SIMD3<Float>(25, 20, 18) / 255, SIMD3<Float>(190, 140, 115) / 255)
    func part(_ x: Int) -> Float { min(1, max(0, Float(32 - x) / 8)) }
    var pixels: [UInt8] = []
    for _ in 0..<size {
      for x in 0..<size {
        let colour = skin + part(x) * (hair - skin)
        pixels += (0..<3).map { UInt8((colour[$0] * 255).rounded()) }
      }
    }
    let picture = Picture(width: size, height: size, channels: 3, pixels: pixels)
    func coverage(_ of: (Int) -> Float) -> [Float] { (0..<size * size).map { of($0 % size) } }
    let beside = try TintedRegion(in: picture, coverage: coverage { $0 > 30 ? 1 : 0 })
    let blond = TintColour.blond
    func lightest(_ region: TintedRegion) throws -> Float {
      var tinted = picture
      tinted.change(by: try #require(region.tinted([(blond, 1)])), place: Similarity.identity)
      return (24..<36).map { luma(SIMD3(tinted[$0, 32].map(Float.init)) / 255) }.max()!
    }
    let cover = coverage { $0 < 34 ? 1 : 0 }
    let most = max(luma(skin), luma(blond.having))
    #expect(try lightest(TintedRegion(in: picture, coverage: cover, beside: beside)) < most + 0.06)
    #expect(try lightest(TintedRegion(in: picture, coverage: cover)) > most + 0.1)
  }

  @Test func hairIsSeenInTheLightOfTheSkin() throws {
    let blond = TintColour.blond
    let usual = TintColour.pale.lacking
    let same = blond.beside(skin: usual)
    for c in 0..<3 { #expect(abs(same.having[c] - blond.having[c]) < 1e-4 && abs(same.lacking[c] - blond.lacking[c]) < 1e-4) }
    let red = blond.beside(skin: usual * [1.2, 1, 0.7])
    #expect(red.having.x > blond.having.x && red.having.z < blond.having.z && abs(luma(red.having) - luma(blond.having)) < 1e-4)
    // No skin is so dark that its hue would be without limits.
    #expect(blond.beside(skin: .zero).having.max() < 1)
  }

  // MARK: Skin

  private static let tan = SIMD3<Float>(180, 125, 95) / 255

  /// What colours become where a picture is tan skin, but for its last row.
  private func paled(_ row: [SIMD3<Float>], strength: Double = 1) throws -> [SIMD3<Float>] {
    let size = 64
    var pixels = (0..<size * size).flatMap { _ in (0..<3).map { UInt8(Self.tan[$0] * 255) } }
    for (x, colour) in row.enumerated() {
      for c in 0..<3 { pixels[((size - 1) * size + x) * 3 + c] = UInt8((colour[c] * 255).rounded()) }
    }
    let picture = Picture(width: size, height: size, channels: 3, pixels: pixels)
    let region = try TintedRegion(in: picture, coverage: [Float](repeating: 1, count: size * size))
    let pale = TintColour.pale
    guard let patch = region.tinted([(pale, strength)]) else { return row }
    return row.indices.map { x in
      let at = ((size - 1) * size + x) * 4
      let own = SIMD3<Float>((0..<3).map { Float(pixels[at / 4 * 3 + $0]) / 255 })
      return own * (1 + patch.values[at + 3]) + SIMD3(patch.values[at], patch.values[at + 1], patch.values[at + 2])
    }
  }

  @Test func skinBecomesPaleAndKeepsItsShade() throws {
    let pale = TintColour.pale
    let became = try paled([Self.tan, Self.tan * 0.8, Self.tan * 1.2])
    for c in 0..<3 { #expect(abs(became[0][c] - pale.having[c]) < 0.03) }
    #expect(luma(became[1]) < luma(became[0]) - 0.03 && luma(became[2]) > luma(became[0]) + 0.02)
    #expect(became.allSatisfy { $0.max() < 1 })
  }

  @Test func whatIsMuchDarkerThanSkinStaysDark() throws {
    let became = try paled([Self.tan * 0.1, Self.tan * 0.3, [0.02, 0.02, 0.02]])
    #expect(luma(became[0]) < 0.2 && luma(became[2]) < 0.15)
    // It keeps its order, and grows no darker than it was.
    #expect(luma(became[0]) < luma(became[1]) && luma(became[0]) >= luma(Self.tan) * 0.1 - 0.01)
  }

  @Test func littleIsAskedLittleChanges() throws {
    let row = [Self.tan, Self.tan * 0.5, Self.tan * 1.3, [0.9, 0.9, 0.9], [0.6, 0.2, 0.2]]
    for (own, became) in zip(row, try paled(row, strength: 0.02)) {
      for c in 0..<3 { #expect(abs(own[c] - became[c]) < 0.02, "\(own) became \(became)") }
    }
    // Tan skin is not pale, so none of that can be taken away.
    #expect(try paled(row, strength: -1) == row)
  }

  @Test func nearIsMoreTheNearerItIs() {
    var region = [Float](repeating: 0, count: 40 * 40)
    for y in 10..<20 { for x in 10..<20 { region[y * 40 + x] = 1 } }
    region[0] = 0.3
    let near = Surroundings.near(region, reach: 6)
    let right = (15..<40).map { near[15 * 40 + $0] }
    #expect(right.prefix(5).allSatisfy { $0 == 1 })
    #expect(zip(right, right.dropFirst()).allSatisfy { $0 >= $1 })
    #expect(right[5] > 0.9 && right[9] < 0.2 && right[9] > 0 && right[10] == 0)
    #expect(near[0] == 0.3)
    // The border of the picture is no way to its other side.
    #expect((0..<40).allSatisfy { near[$0 * 40] == ($0 == 0 ? 0.3 : 0) && near[$0 * 40 + 39] == 0 })
    #expect(Surroundings.near([0, 0, 0, 0], reach: 3) == [0, 0, 0, 0])
  }

  @Test func partsAreLookedForOnce() throws {
    let picture = striped().picture
    let surroundings = Surroundings(picture, FaceAlignment(aligned: picture))
    var calls = 0
    for _ in 0..<2 {
      let regions = try surroundings.regions { wide in
        calls += 1
        #expect(wide.width == Surroundings.size && wide.height == Surroundings.size)
        let count = wide.width * wide.height
        return ([Float](repeating: 1, count: count), [Float](repeating: 0, count: count))
      }
      #expect(regions.hair.coverage.pixels.allSatisfy { $0 == 255 })
      #expect(regions.skin.coverage.pixels.allSatisfy { $0 == 0 })
    }
    #expect(calls == 1)
  }
}

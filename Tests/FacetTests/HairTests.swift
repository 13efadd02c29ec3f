import Foundation
import Photo
import Testing
import Torch

@testable import Facet

@Suite("Colours of hair") struct HairTests {
  private static let dark = SIMD3<Float>(50, 38, 30) / 255
  private static let light = SIMD3<Float>(170, 140, 100) / 255

  private func luma(_ colour: SIMD3<Float>) -> Float { (colour * [0.2126, 0.7152, 0.0722]).sum() }

  // MARK: Colours

  @Test func fourLabelsNameColours() {
    for name in ["Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"] { #expect(HairColour(name) != nil) }
    for name in ["Wavy_Hair", "Smiling", "blond_beard"] { #expect(HairColour(name) == nil) }
  }

  @Test func oneIsTheNamedColour() throws {
    let blond = try #require(HairColour("Blond_Hair"))
    #expect(blond.applied(to: Self.dark, strength: 1) == blond.having)
    let half = blond.applied(to: Self.dark, strength: 0.5)
    #expect(((half - (Self.dark + blond.having) / 2) * (half - (Self.dark + blond.having) / 2)).sum() < 1e-8)
    #expect(blond.applied(to: Self.dark, strength: 0) == Self.dark)
    // Farther than the named colour goes only a little.
    #expect(blond.applied(to: Self.dark, strength: 3) == blond.applied(to: Self.dark, strength: 1.5))
    let black = try #require(HairColour("Black_Hair"))
    #expect(luma(black.applied(to: Self.light, strength: 1)) < 0.1)
  }

  @Test func takenAwayIsOnlyWhatIsThere() throws {
    let blond = try #require(HairColour("Blond_Hair"))
    #expect(luma(blond.applied(to: Self.light, strength: -1)) < luma(Self.light) - 0.2)
    let black = blond.applied(to: [0.05, 0.04, 0.03], strength: -1)
    #expect(luma(black) < 0.06)
    // Lighter than blond stays light.
    #expect(luma(blond.applied(to: [0.95, 0.9, 0.8], strength: 1)) > 0.85)
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
    let hair = Hair(in: picture, coverage: coverage)
    let blond = try #require(HairColour("Blond_Hair"))
    let patch = try #require(hair.tinted([(blond, 1)]))
    var tinted = picture
    tinted.change(by: patch, place: Similarity.identity)
    var mean = SIMD3<Float>.zero
    for y in 0..<64 {
      // Interpolation reaches two pixels over the edge.
      for x in 34..<64 { #expect(tinted[x, y] == picture[x, y]) }
      for x in 0..<30 { mean += SIMD3(tinted[x, y].map(Float.init)) / (255 * 64 * 30) }
    }
    for c in 0..<3 { #expect(abs(mean[c] - blond.having[c]) < 0.03) }
    // Light and shade stay.
    let (light, shade) = (Array(tinted[10, 5])[1], Array(tinted[10, 2])[1])
    #expect(light > shade && light - shade >= 20)
  }

  @Test func blackStaysDark() throws {
    // What lies behind a head may be taken for hair.
    let (picture, coverage) = striped(0)
    let blond = try #require(HairColour("Blond_Hair"))
    var tinted = picture
    tinted.change(by: try #require(Hair(in: picture, coverage: coverage).tinted([(blond, 1)])), place: Similarity.identity)
    func light(_ row: Int) -> Float { luma(SIMD3(tinted[10, row].map(Float.init)) / 255) }
    // Rows 9 and 10 are inside a stripe of 8 … 11; the rows of 12 … 15 are light.
    for row in 9...10 { #expect((0.3...0.55).contains(light(row) / luma(blond.having)), "\(light(row))") }
    for row in 13...14 { #expect(light(row) > luma(blond.having)) }
  }

  @Test func withoutHairNothingChanges() throws {
    let (picture, coverage) = striped()
    let few = coverage.enumerated().map { $0 < 10 ? $1 : 0 }
    let blond = try #require(HairColour("Blond_Hair"))
    #expect(Hair(in: picture, coverage: few).tinted([(blond, 1)]) == nil)
    let hair = Hair(in: picture, coverage: coverage)
    #expect(hair.tinted([]) == nil && hair.tinted([(blond, 0)]) == nil)
  }

  @Test func hairIsLookedForOnce() throws {
    let picture = striped().picture
    let surroundings = Surroundings(picture, FaceAlignment(aligned: picture))
    var calls = 0
    for _ in 0..<2 {
      let hair = surroundings.hair { wide in
        calls += 1
        #expect(wide.width == Surroundings.size && wide.height == Surroundings.size)
        return [Float](repeating: 1, count: wide.width * wide.height)
      }
      #expect(hair.coverage.pixels.allSatisfy { $0 == 255 })
    }
    #expect(calls == 1)
  }
}

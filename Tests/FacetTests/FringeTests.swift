import Testing
import Torch

@testable import Facet

@Suite struct FringeTests {
  private static let side = 64

  /// Rows in one colour.
  private func picture(_ colour: (Int) -> [Float]) throws -> Tensor {
    let n = Self.side
    return try Tensor((0..<3).flatMap { c in (0..<n * n).map { colour($0 / n)[c] } }, shape: [1, 3, n, n])
  }
  private func plane(_ rows: Range<Int>) throws -> Tensor {
    let n = Self.side
    return try Tensor((0..<n * n).map { rows.contains($0 / n) ? Float(1) : 0 }, shape: [1, 1, n, n])
  }
  private func decoded(_ image: Tensor) throws -> Reconstruction {
    Reconstruction(image: image, maskLogits: try .full([1, 1, Self.side, Self.side], 20))
  }
  private static let (skin, red, brown): ([Float], [Float], [Float]) = ([0.8, 0.6, 0.5], [0.6, 0.2, 0.1], [0.2, 0.12, 0.1])

  /// Red hair over skin, and brown hair that decodes down to row 30.
  private func fringe(hair: Range<Int> = 0..<16, decoded row: Int = 30, from first: Int = 0) throws -> (image: Tensor, coverage: [Float]) {
    let crop = try picture { hair.contains($0) ? Self.red : Self.skin }
    let before = try decoded(picture { $0 < 16 ? Self.brown : Self.skin })
    let after = try decoded(picture { $0 < 16 || (first..<row).contains($0) ? Self.brown : Self.skin })
    let change = try Fringe(crop: crop, hair: plane(hair), forehead: plane(0..<40))
      .change(from: before, to: after, hair: plane(first..<row))
    #expect(change.shape == [1, 4, Self.side, Self.side])
    let image = try crop * (change.narrow(1, 3..<4) + 1) + change.narrow(1, 0..<3)
    return (image, try change.narrow(1, 3..<4).array(Float.self).map { -$0 })
  }

  @Test func itIsInTheColourOfThePhotosHair() throws {
    let (image, coverage) = try fringe()
    let n = Self.side
    func colour(_ row: Int) throws -> [Float] { try (0..<3).map { try image.array(Float.self)[($0 * n + row) * n + 32] } }
    for row in [18, 22, 26] { for c in 0..<3 { #expect(try abs(colour(row)[c] - Self.red[c]) < 0.08, "row \(row)") } }
    for row in [4, 45, 60] { #expect(coverage[row * n + 32] == 0) }
    #expect(coverage.allSatisfy { (0...1).contains($0) })
  }

  @Test func itHangsFromTheHairline() throws {
    // What decodes as hair in rows 24 to 30 alone grew above them.
    let (_, coverage) = try fringe(from: 24)
    for row in 18..<30 { #expect(coverage[row * Self.side + 32] > 0.5, "row \(row)") }
  }

  @Test func withoutHairItHasTheColourThatDecodes() throws {
    let n = Self.side
    let image = try fringe(hair: 0..<0).image.array(Float.self)
    for c in 0..<3 { #expect(abs(image[(c * n + 20) * n + 32] - Self.brown[c]) < 0.05) }
  }

  @Test func nothingThatDecodesIsNoFringe() throws {
    #expect(try fringe(decoded: 0).coverage.allSatisfy { $0 < 0.05 })
  }
}

import Foundation
import Photo
import Testing

@testable import Facet

@Suite("Colours of skin") struct SkinTintTests {
  private func luma(_ colour: SIMD3<Float>) -> Float { (colour * [0.2126, 0.7152, 0.0722]).sum() }

  private static let tan = SIMD3<Float>(180, 125, 95) / 255

  /// What colours become where a picture is tan skin, but for its last row.
  private func paled(_ row: [SIMD3<Float>], strength: Double = 1) throws -> [SIMD3<Float>] {
    let size = 64
    var pixels = (0..<size * size).flatMap { _ in (0..<3).map { UInt8(Self.tan[$0] * 255) } }
    for (x, colour) in row.enumerated() {
      for c in 0..<3 { pixels[((size - 1) * size + x) * 3 + c] = UInt8((colour[c] * 255).rounded()) }
    }
    let picture = Picture(width: size, height: size, channels: 3, pixels: pixels)
    let region = SkinRegion(in: picture, coverage: [Float](repeating: 1, count: size * size))
    let pale = SkinColour.pale
    guard let patch = region.tinted([(pale, strength)]) else { return row }
    return row.indices.map { x in
      let at = ((size - 1) * size + x) * 4
      let own = SIMD3<Float>((0..<3).map { Float(pixels[at / 4 * 3 + $0]) / 255 })
      return own * (1 + patch.values[at + 3]) + SIMD3(patch.values[at], patch.values[at + 1], patch.values[at + 2])
    }
  }

  @Test func skinBecomesPaleAndKeepsItsShade() throws {
    let pale = SkinColour.pale
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
}

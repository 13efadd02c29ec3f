import Photo
import Testing
import Torch

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

@Suite struct BangsTests {
  private static let side = 64
  /// From the crop to CelebA's frame.
  private static let place = Affine(.init(scale: 170 / Double(side), tx: 4, ty: 39))
  /// A face that looks ahead: jaw, brows at row 92, and a nose between them; the rest does not matter.
  private static let landmarks: [Point] = (0..<68).map { index in
    switch index {
    case 0...16: Point(x: 44 + Double(index) * 90 / 16, y: index == 0 || index == 16 ? 105 : 150)
    case 17...26: Point(x: 50 + Double(index - 17) * 78 / 9, y: 92)
    default: Point(x: 89, y: 110)
    }
  }
  /// The row of the crop at one of the frame.
  private func row(_ y: Double) -> Int { Int((y - 39) / 170 * Double(Self.side)) }

  /// 1 in the rows of the frame down to one, and 0 below.
  private func plane(to y: Double) throws -> Tensor {
    let n = Self.side
    return try Tensor((0..<n * n).map { $0 / n < row(y) ? Float(1) : 0 }, shape: [1, 1, n, n])
  }
  private func fringe(hair: Double = 62, covered: Double = 0) throws -> BangsShape? {
    try BangsShape(above: Self.landmarks, at: Self.place, hair: plane(to: hair), covered: plane(to: covered))
  }
  private func mean(_ drawing: StrandDrawing, _ y: Double, columns: Range<Int> = 26..<38) -> Float {
    let scale = drawing.size / Self.side
    let places = columns.lowerBound * scale..<columns.upperBound * scale
    return places.reduce(0) { $0 + drawing.coverage[row(y) * scale * drawing.size + $1] } / Float(places.count)
  }

  @Test func itHangsFromTheHairlineToTheBrows() throws {
    let drawing = try #require(try fringe()).drawn(scale: 2, length: 1, pixel: 0.5)
    for y in stride(from: 64.0, to: 80, by: 4) { #expect(mean(drawing, y) > 0.9, "\(y)") }
    // The eyes are free, and hair that is there already stays as it is.
    for y in [104.0, 130] { #expect(mean(drawing, y, columns: 0..<Self.side) == 0, "\(y)") }
    #expect(mean(drawing, 42) < 0.01)
    #expect(drawing.coverage.allSatisfy { (0...1).contains($0) } && drawing.shade.allSatisfy { (0...1).contains($0) })
    // Beside the temples there is nothing.
    #expect(mean(drawing, 80, columns: 0..<12) < 0.01 && mean(drawing, 80, columns: 52..<64) < 0.01)
  }

  @Test func itIsAsLongAsAsked() throws {
    let fringe = try #require(try fringe())
    let lengths: [Float] = [0.3, 0.6, 1, 1.2]
    let covered = try lengths.map { try fringe.drawn(scale: 1, length: $0, pixel: 1).coverage.reduce(0, +) }
    #expect(zip(covered, covered.dropFirst()).allSatisfy { $0 * 1.1 < $1 })
  }

  @Test func strandsAreAsFineAsThePhoto() throws {
    let fringe = try #require(try fringe())
    /// How much shades differ from their neighbours' across the strands.
    func roughness(_ drawing: StrandDrawing) -> Float {
      let start = self.row(72) * 4 * drawing.size
      let row = drawing.shade[start + 100..<start + 156]
      return zip(row, row.dropFirst()).reduce(0) { $0 + abs($1.0 - $1.1) }
    }
    let (sharp, soft) = try (fringe.drawn(scale: 4, length: 1, pixel: 0.25), fringe.drawn(scale: 4, length: 1, pixel: 1.5))
    #expect(roughness(sharp) > 1.5 * roughness(soft))
    // The same fringe, whatever it is drawn for.
    func covered(_ drawing: StrandDrawing) -> Float { drawing.coverage.reduce(0, +) / Float(drawing.size * drawing.size) }
    #expect(try abs(covered(sharp) / covered(fringe.drawn(scale: 1, length: 1, pixel: 0.25)) - 1) < 0.05)
  }

  @Test func whereNoHairGrowsThereIsNone() throws {
    #expect(try fringe(hair: 0) == nil)
    // A hat covers what is there.
    let under = try #require(try fringe(hair: 62, covered: 75)).drawn(scale: 1, length: 1, pixel: 1)
    #expect(mean(under, 70) < 0.05 && mean(under, 80) > 0.8)
    // On half of the head it is no fringe.
    let n = Self.side
    let half = try Tensor((0..<n * n).map { $0 / n < row(62) && $0 % n < 28 ? Float(1) : 0 }, shape: [1, 1, n, n])
    #expect(try BangsShape(above: Self.landmarks, at: Self.place, hair: half, covered: .zeros([1, 1, n, n])) == nil)
  }

  @Test func itHasTheColoursOfTheHair() throws {
    let n = Self.side
    // Streaks of red hair, each lighter than the one before, over blue skin.
    let crop = try Tensor((0..<3).flatMap { c in
      (0..<n * n).map { place -> Float in
        let red = 0.1 + 0.8 * Float(place % n) / Float(n)
        return place / n < row(62) ? red * [1, 0.4, 0.2][c] : [0, 0, 1][c]
      }
    }, shape: [1, 3, n, n])
    let fringe = try #require(try fringe())
    let hair = try plane(to: 62).array(Float.self)
    let colours = try #require(try fringe.colours(in: crop, hair: hair))
    #expect(zip(colours, colours.dropFirst()).allSatisfy { $0.x < $1.x })
    #expect(colours.allSatisfy { abs($0.y / $0.x - 0.4) < 0.01 && abs($0.z / $0.x - 0.2) < 0.01 })
    #expect((0.12...0.25).contains(colours[0].x) && (0.75...0.89).contains(colours.last!.x))
    #expect(try fringe.colours(in: crop, hair: hair.map { _ in 0 }) == nil)
  }
}

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
  private func mean(_ coverage: [Float], _ y: Double, columns: Range<Int> = 26..<38) -> Float {
    columns.reduce(0) { $0 + coverage[row(y) * Self.side + $1] } / Float(columns.count)
  }
  private func covered(_ fringe: BangsShape, length: Float = 1) throws -> [Float] {
    try fringe.drawn(length: length).coverage.array(Float.self)
  }

  @Test func itHangsFromTheHairlineToTheBrows() throws {
    let coverage = try covered(#require(try fringe()))
    for y in stride(from: 64.0, to: 80, by: 4) { #expect(mean(coverage, y) > 0.9, "\(y)") }
    // The eyes are free, and hair that is there already stays as it is.
    for y in [104.0, 130] { #expect(mean(coverage, y, columns: 0..<Self.side) == 0, "\(y)") }
    #expect(mean(coverage, 42) < 0.01)
    #expect(coverage.allSatisfy { (0...1).contains($0) })
    // Beside the temples there is nothing.
    #expect(mean(coverage, 80, columns: 0..<12) < 0.01 && mean(coverage, 80, columns: 52..<64) < 0.01)
  }

  @Test func itIsAsLongAsAsked() throws {
    let fringe = try #require(try fringe())
    let areas = try [0.3, 0.6, 1, 1.2].map { try covered(fringe, length: $0).reduce(0, +) }
    #expect(zip(areas, areas.dropFirst()).allSatisfy { $0 * 1.1 < $1 })
  }

  @Test func whereTooLittleHairGrowsThereIsNone() throws {
    #expect(try fringe(hair: 0) == nil)
    // A shaved head's rim of hair is no fringe.
    #expect(try fringe(hair: 42) == nil)
    // A hat covers what is there.
    let under = try covered(#require(try fringe(hair: 62, covered: 75)))
    #expect(mean(under, 70) < 0.05 && mean(under, 80) > 0.8)
    // On half of the head it is no fringe.
    let n = Self.side
    let half = try Tensor((0..<n * n).map { $0 / n < row(62) && $0 % n < 28 ? Float(1) : 0 }, shape: [1, 1, n, n])
    #expect(try BangsShape(above: Self.landmarks, at: Self.place, hair: half, covered: .zeros([1, 1, n, n])) == nil)
  }

  @Test func itIsThePhotosOwnHair() throws {
    let n = Self.side
    // Hair in stripes of red and green as wide as two pixels, over blue skin.
    func value(_ channel: Int, _ place: Int) -> Float {
      if place / n >= row(62) { return channel == 2 ? 1 : 0 }
      return place % n / 2 % 2 == channel ? 0.8 : 0
    }
    let values = (0..<3).flatMap { channel in (0..<n * n).map { value(channel, $0) } }
    let stripes = try Tensor(values, shape: [1, 3, n, n])
    let fringe = try #require(try fringe())
    let change = try fringe.change(of: stripes, length: 1, opacity: 1, over: stripes, unshaded: .zeros([1, 1, n, n]))
    let image = try stripes.changed(by: change).array(Float.self)
    func colour(_ y: Double, _ column: Int) -> SIMD3<Float> {
      let place = row(y) * n + column
      return SIMD3(image[place], image[n * n + place], image[2 * n * n + place])
    }
    let fringeColours = (22..<42).map { colour(74, $0) }
    #expect(fringeColours.allSatisfy { $0.z < 0.1 && $0.x + $0.y > 0.5 })
    // Stripes stay stripes.
    #expect(fringeColours.contains { $0.x > 0.6 && $0.y < 0.2 } && fringeColours.contains { $0.y > 0.6 && $0.x < 0.2 })
    // Without opacity nothing changes.
    let nothing = try fringe.change(of: stripes, length: 1, opacity: 0, over: stripes, unshaded: .zeros([1, 1, n, n]))
    #expect(try nothing.abs().sum().item() < 1e-3)
  }
}

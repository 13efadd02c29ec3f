import Testing
import Torch

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

@Suite("Regions of a face") struct FaceRegionTests {
  private static let size = 100

  /// A mouth of 30 × 10 with its corners at columns 35 and 64, a nose that ends above it, and eyes in row 40.
  private static func planes(mouth: Bool = true, eyes: Bool = true) -> [[Float]] {
    var planes = [[Float]](repeating: [Float](repeating: 0, count: size * size), count: FaceRegion.classes.count)
    for y in 70..<80 where mouth { for x in 35..<65 { planes[0][y * size + x] = 1 } }
    for y in 40..<65 { for x in 42..<58 { planes[1][y * size + x] = 1 } }
    for y in 38..<43 where eyes { for x in [30, 31, 32, 68, 69, 70] { planes[2][y * size + x] = 1 } }
    return planes
  }

  @Test func itIsBetweenNoseAndMouth() {
    let region = FaceRegion.upperLip.region(Self.planes(), size: Self.size)
    func inside(_ x: Int, _ y: Int) -> Bool { region[y * Self.size + x] > 0.5 }
    #expect(inside(50, 67) && inside(40, 65) && inside(50, 70))
    // Neither nose, lips, cheeks nor chin.
    for (x, y) in [(50, 63), (50, 73), (50, 60), (25, 70), (75, 70), (50, 85)] { #expect(!inside(x, y), "\(x), \(y)") }
    // Thinner at the corners.
    #expect(inside(66, 69) && !inside(66, 64) && !inside(66, 72) && inside(50, 66))
  }

  @Test func bagsAreUnderTheEyesAndSideburnsBesideThem() {
    func inside(_ place: FaceRegion, _ x: Int, _ y: Int) -> Bool {
      place.region(Self.planes(), size: Self.size)[y * Self.size + x] > 0.5
    }
    for x in [31, 69] {
      #expect(inside(.underEyes, x, 45) && !inside(.underEyes, x, 40) && !inside(.underEyes, x, 60))
      #expect(!inside(.besideEars, x, 50))
    }
    #expect(!inside(.underEyes, 50, 45))
    for x in [20, 80] { #expect(inside(.besideEars, x, 60) && !inside(.besideEars, x, 30) && !inside(.besideEars, x, 80)) }
    // Where no eyes are seen there are neither.
    for place in [FaceRegion.underEyes, .besideEars] {
      #expect(place.region(Self.planes(eyes: false), size: Self.size).allSatisfy { $0 == 0 })
    }
    // Eyes at the lower border have nothing below.
    var planes = Self.planes(eyes: false)
    for x in 0..<Self.size { planes[2][(Self.size - 1) * Self.size + x] = 1 }
    #expect(FaceRegion.underEyes.region(planes, size: Self.size).allSatisfy { $0 == 0 })
  }

  @Test func atTheBorderAndWithoutAMouth() {
    #expect(FaceRegion.upperLip.region(Self.planes(mouth: false), size: Self.size).allSatisfy { $0 == 0 })
    // Mouths that touch the border, and one that covers all.
    for fill in [0..<1, 0..<Self.size, Self.size - 1..<Self.size] {
      var planes = Self.planes(mouth: false)
      for y in fill { for x in 0..<Self.size { planes[0][y * Self.size + x] = 1 } }
      #expect(FaceRegion.upperLip.region(planes, size: Self.size).count == Self.size * Self.size)
    }
    // A narrow mouth has a moustache no wider than itself and its height.
    var planes = Self.planes(mouth: false)
    for x in 50..<52 { planes[0][70 * Self.size + x] = 1 }
    let columns = FaceRegion.upperLip.region(planes, size: Self.size).enumerated().filter { $0.element > 0 }.map { $0.offset % Self.size }
    #expect(columns.min()! >= 45 && columns.max()! <= 56)
  }

  @Test func changesFollowEachOther() throws {
    let generator = try Generator(seed: 3)
    func change() throws -> Tensor {
      try Tensor.cat([
        .rand([1, 3, 6, 6], generator: generator) * 0.2, -.rand([1, 1, 6, 6], generator: generator),
      ], dim: 1)
    }
    func applied(_ change: Tensor, _ image: Tensor) throws -> Tensor {
      try image * (change.narrow(1, 3..<4) + 1) + change.narrow(1, 0..<3)
    }
    let (first, second) = (try change(), try change())
    let image = try Tensor.rand([1, 3, 6, 6], generator: generator)
    try expectClose(
      applied(Composition.then(first, second), image), applied(second, applied(first, image)), "one after the other")
  }
}

import Testing

@testable import Photo

/// What a mask covers stays, with a smooth way to what is edited.
@Suite struct ProtectedRegionTests {
  private static let before = Drawn.gradient(300, 200)
  private static let edited = Picture(width: 300, height: 200, filledWith: 200)

  /// A mask whose left part is white.
  private static func mask(_ width: Int, _ height: Int, white columns: Int, alpha: [UInt8]? = nil) -> ProtectedRegion {
    var picture = Picture(width: width, height: height, filledWith: 0)
    if columns > 0 { picture.paste(Picture(width: columns, height: height, filledWith: 255), x: 0, y: 0) }
    return ProtectedRegion(mask: Photo(picture, format: .png, alpha: alpha))
  }

  /// Of any size and proportions.
  @Test(arguments: [(10, 10, 5), (64, 256, 32), (301, 7, 151), (2500, 90, 1250), (40, 3001, 20)])
  func whiteStaysToTheBit(_ width: Int, _ height: Int, _ white: Int) {
    var picture = Self.edited
    Self.mask(width, height, white: white).restore(&picture, from: Self.before)
    let edge = 300 * white / width
    for y in [0, 3, 100, 199] {
      for x in 0..<edge { #expect(picture[x, y] == Self.before[x, y], "\(x), \(y)") }
      // Behind the edge all is edited.
      for x in edge + 6..<300 { #expect(picture[x, y] == Self.edited[x, y], "\(x), \(y)") }
    }
  }

  @Test func theEdgeIsSmooth() {
    let (black, white) = (Picture(width: 600, height: 20, filledWith: 0), Picture(width: 600, height: 20, filledWith: 255))
    var picture = white
    Self.mask(600, 20, white: 300).restore(&picture, from: black)
    let line = (0..<600).map { Int(picture[$0, 10].first!) }
    #expect(zip(line, line.dropFirst()).allSatisfy { $1 >= $0 && $1 - $0 < 90 })
    #expect(line[299] == 0 && line[310] == 255 && line.count { (1..<255).contains($0) } >= 3)
  }

  @Test func blackAndTransparentPartsAreEdited() {
    for region in [Self.mask(20, 20, white: 0), Self.mask(20, 20, white: 20, alpha: [UInt8](repeating: 0, count: 400))] {
      var picture = Self.edited
      region.restore(&picture, from: Self.before)
      #expect(picture == Self.edited)
    }
    var picture = Self.edited
    Self.mask(1, 1, white: 1).restore(&picture, from: Self.before)
    #expect(picture == Self.before)
  }

  /// A copy at another size, and a part of it.
  @Test func itFollowsTheWayFromThePhoto() {
    let region = Self.mask(300, 200, white: 150)
    let (before, after) = (Picture(width: 50, height: 50, filledWith: 0), Picture(width: 50, height: 50, filledWith: 255))
    var picture = after
    // 50 × 50 pixels that show those of the photo from 100, 100 on, at half the size.
    region.restore(&picture, from: before, at: Affine(Similarity(scale: 0.5, tx: -50, ty: -50)), of: (300, 200))
    #expect((0..<25).allSatisfy { picture[$0, 25].first == 0 } && (29..<50).allSatisfy { picture[$0, 25].first == 255 })
  }
}

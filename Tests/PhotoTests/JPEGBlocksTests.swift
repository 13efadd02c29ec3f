import Foundation
import Testing

@testable import Photo

/// A JPEG that is edited and written again keeps, to the bit, what the edit left alone.
@Suite struct JPEGBlocksTests {
  enum Kind: CaseIterable {
    case fine, subsampled, progressive, grey

    /// A drawn picture whose sides are no multiple of a block's, with grain that no coding keeps.
    func file(_ width: Int = 203, _ height: Int = 149) throws -> Data {
      var generator = SplitMix(state: 5)
      var picture = Drawn.gradient(width, height)
      picture = Picture(
        width: width, height: height, channels: 3,
        pixels: picture.pixels.map { UInt8(clamping: Int($0) + Int(generator.next() % 33) - 16) })
      var coding = Coding()
      (coding.isProgressive, coding.isSubsampled) = (self == .progressive, self == .subsampled || self == .progressive)
      let grey = stride(from: 1, to: picture.pixels.count, by: 3).map { picture.pixels[$0] }
      let pixels = Codec.Pixels(self == .grey ? Picture(width: width, height: height, channels: 1, pixels: grey) : picture)
      return try Codec.encode(pixels, format: .jpeg, quality: 83, coding: coding, name: "drawn")
    }

    /// The side of the units that are replaced together.
    var unit: Int { self == .subsampled || self == .progressive ? 16 : 8 }
  }

  private static func coefficients(_ file: Data) throws -> [[Int16]] {
    let file = [UInt8](file)
    let components = (0..<3).compactMap { JPEGBlocks.coefficients(of: file, component: $0) }
    try #require(!components.isEmpty)
    return components
  }

  @Test(arguments: Kind.allCases) func unchangedPhotosKeepAllCoefficients(_ kind: Kind) throws {
    let file = try kind.file()
    #expect(try Self.coefficients(Photo(data: file).encoded()) == Self.coefficients(file))
  }

  /// Bytes that no block needs, behind the last one: what of the picture is shifted nobody knows.
  @Test(arguments: Kind.allCases) func damageUpToTheEndIsSaid(_ kind: Kind) throws {
    for (width, height) in [(203, 149), (1201, 1005)] {
      let whole = try kind.file(width, height)
      #expect(try Photo(data: whole).losses() == [])
      let file = Data(whole.prefix(whole.count - 2) + [UInt8](repeating: 0x35, count: 40) + [0xFF, 0xD9] as [UInt8])
      guard case .damagedData(let reason)? = try Photo(data: file).losses().first else {
        Issue.record("nothing is said of \(width) x \(height)")
        continue
      }
      #expect(reason.contains("before marker"))
      let scratch = try Scratch()
      let photo = try Photo(contentsOf: scratch.write(file, "damaged.jpg"))
      #expect(photo.losses().count == 1 && photo.width == width)
    }
  }

  @Test(arguments: Kind.allCases) func tenEditsLoseNothingOutside(_ kind: Kind) throws {
    let first = try kind.file()
    var file = first
    for round in 0..<10 {
      var photo = try Photo(data: file)
      let value = UInt8(20 + 20 * round)
      let patch = Picture(width: 30, height: 20, channels: 1, pixels: [UInt8](repeating: value, count: 600)).rgb()
      photo.picture.paste(patch, x: 50, y: 40)
      let written = try photo.encoded()
      // The edit itself is there.
      let again = try Photo(data: written)
      #expect(abs(Int(Array(again.picture[65, 50])[0]) - Int(value)) <= 6)
      #expect(again.quality == photo.quality && again.coding.isProgressive == (kind == .progressive))
      file = written
    }
    let (before, after) = (try Self.coefficients(first), try Self.coefficients(file))
    #expect(before != after && before.count == after.count)
    for (component, (old, new)) in zip(before, after).enumerated() {
      let isCoarse = component > 0 && kind.unit == 16
      let across = isCoarse ? (203 + 15) / 16 : (203 + 7) / 8
      let blocks = kind.unit / (isCoarse ? 16 : 8)
      for block in 0..<old.count / 64 {
        let (x, y) = (block % across / blocks * kind.unit, block / across / blocks * kind.unit)
        let isEdited = x < 80 && x + kind.unit > 50 && y < 60 && y + kind.unit > 40
        if !isEdited { #expect(old[block * 64..<block * 64 + 64] == new[block * 64..<block * 64 + 64]) }
      }
    }
  }

  @Test(arguments: 1...8) func turnedPhotosKeepTheirBlocksAndTheirTag(_ orientation: Int) throws {
    let file = PhotoTests.oriented(try Kind.subsampled.file(), orientation)
    var photo = try Photo(data: file)
    let black = Picture(width: 16, height: 16, filledWith: 0)
    photo.picture.paste(black, x: 64, y: 48)
    let written = try photo.encoded()
    let again = try Photo(data: written)
    #expect((again.width, again.height) == (photo.width, photo.height))
    #expect(again.picture[70, 55].allSatisfy { $0 < 12 })
    let (before, after) = (try Self.coefficients(file)[0], try Self.coefficients(written)[0])
    let changed = stride(from: 0, to: before.count, by: 64).count { before[$0..<$0 + 64] != after[$0..<$0 + 64] }
    // A square of 16 pixels lies in four units of four blocks at the most.
    #expect((4...16).contains(changed))
  }

  @Test func aQualityThatIsAskedForIsGiven() throws {
    let file = try Kind.fine.file()
    let photo = try Photo(data: file)
    #expect(try Photo(data: photo.encoded(quality: 50)).quality == 50)
    // A picture of another size is another one.
    var smaller = photo
    smaller.resize(to: (101, 74))
    #expect(try Photo(data: smaller.encoded()).width == 101)
  }

  @Test func greyThatBecomesColourIsWrittenInColour() throws {
    var photo = try Photo(data: Kind.grey.file())
    photo.picture.paste(Picture(width: 16, height: 16, channels: 3, pixels: (0..<256).flatMap { _ in [UInt8(200), 30, 40] }), x: 64, y: 64)
    let again = try Photo(data: photo.encoded())
    #expect(!again.isGrey && Array(again.picture[70, 70])[0] > 150 && Array(again.picture[70, 70])[1] < 80)
  }

  @Test func tablesThatLibjpegWouldDivideByAreNotUsed() throws {
    var file = [UInt8](try Kind.fine.file())
    let table = try #require(file.indices.first { file[$0] == 0xFF && file[$0 + 1] == 0xDB })
    file[table + 5 + 20] = 0
    guard var photo = try? Photo(data: Data(file)) else { return }
    photo.picture.paste(Picture(width: 16, height: 16, filledWith: 0), x: 64, y: 64)
    // All of it is encoded anew.
    #expect(try Array(Photo(data: photo.encoded()).picture[70, 70]).allSatisfy { $0 < 12 })
  }

  @Test(arguments: Kind.allCases) func damagedFilesAreReadOrRefused(_ kind: Kind) throws {
    let file = [UInt8](try kind.file(65, 49))
    var chance = SplitMix(state: 11)
    for _ in 0..<300 {
      var damaged = file
      for _ in 0..<1 + Int(chance.next() % 4) {
        let reach = chance.next() % 2 == 0 ? damaged.count : min(600, damaged.count)
        damaged[2 + Int(chance.next() % UInt64(reach - 2))] = UInt8(truncatingIfNeeded: chance.next())
      }
      let plain = Picture(width: 65, height: 49, filledWith: 100)
      guard let blocks = JPEGBlocks(damaged, orientation: 1, decoded: plain) else { continue }
      var changed = plain
      changed.paste(Picture(width: 9, height: 9, filledWith: 0), x: 20, y: 20)
      var pixels = Codec.Pixels(changed)
      if kind == .grey { pixels = Codec.Pixels(Picture(width: 65, height: 49, channels: 1, pixels: [UInt8](repeating: 90, count: 65 * 49))) }
      _ = blocks.edited(changed, pixels, header: Data(file))
    }
  }
}

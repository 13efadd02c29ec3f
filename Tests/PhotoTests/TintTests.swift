import Foundation
import Testing

@testable import Photo

/// A picture of one tint stays one.
@Suite struct TintTests {
  /// What a colour becomes of one tint: brown shadows, yellow lights, noise of up to that many steps.
  private static func sepia(_ picture: Picture, noise: Int = 0) -> Picture {
    var generator = SplitMix(state: 3)
    let grey = picture.desaturated()
    let pixels = stride(from: 0, to: grey.pixels.count, by: 3).flatMap { i -> [UInt8] in
      let value = Float(grey.pixels[i])
      let tone: [Float] = [value + 30 * value / 255, value, value - 40 * value / 255]
      return tone.map { byte($0 + (noise == 0 ? 0 : Float(Int(generator.next() % UInt64(2 * noise + 1)) - noise))) }
    }
    return Picture(width: picture.width, height: picture.height, channels: 3, pixels: pixels)
  }

  private static let colours = Drawn.gradient(200, 150)

  @Test func greyIsFoundInThreeChannels() throws {
    let grey = Self.colours.desaturated()
    let tint = try #require(Tint(of: grey))
    #expect(Tint(of: grey.grey()!) == tint)
    var edited = grey
    edited.paste(Picture(width: 40, height: 30, filledWith: 0), x: 10, y: 10)
    edited.paste(Picture(width: 1, height: 1, channels: 3, pixels: [200, 10, 60]), x: 100, y: 70)
    tint.apply(to: &edited, changedFrom: grey)
    #expect(edited.grey() != nil && edited[10, 10].first == 0 && edited[100, 70].first == 54)
    #expect(edited[60, 60] == grey[60, 60])
  }

  @Test(arguments: [0, 2]) func sepiaStaysSepia(_ noise: Int) throws {
    let sepia = Self.sepia(Self.colours, noise: noise)
    let tint = try #require(Tint(of: sepia))
    var edited = sepia
    edited.paste(Drawn.gradient(60, 60), x: 70, y: 40)
    let drawn = edited
    tint.apply(to: &edited, changedFrom: sepia)
    #expect(edited != drawn && edited != sepia)
    // What was drawn has the tint of its own brightness.
    #expect(Drawn.largestDifference(edited, Self.sepia(edited)) <= 4 + 2 * noise)
    #expect(Drawn.largestDifference(edited.desaturated(), drawn.desaturated()) <= 3)
    #expect(edited[0, 0] == sepia[0, 0])
  }

  /// As JPEG keeps it.
  @Test func tintsAreFoundInFiles() throws {
    for quality in [60, 95] {
      let photo = try Photo(data: Photo(Self.sepia(Self.colours, noise: 1)).encoded(as: .jpeg, quality: quality))
      #expect(photo.tint != nil && !photo.isGrey)
    }
    #expect(try Photo(data: Photo(Self.colours).encoded(as: .jpeg)).tint == nil)
  }

  /// Chroma at half the resolution, beside edges of a few pixels.
  @Test func tintsAreFoundBesideEdges() throws {
    let side = 160
    let grey = Picture(width: side, height: side, channels: 3, pixels: (0..<side * side).flatMap { i -> [UInt8] in
      let (y, x) = i.quotientAndRemainder(dividingBy: side)
      let value = UInt8((x / 3 + y / 5) % 2 == 0 ? 40 + x : 220 - y / 2)
      return [value, value, value]
    })
    for quality in [70, 85] {
      let photo = try Photo(data: Photo(Self.sepia(grey)).encoded(as: .jpeg, quality: quality))
      let tint = try #require(photo.tint)
      var edited = photo.picture
      edited.paste(Drawn.gradient(60, 60), x: 70, y: 40)
      tint.apply(to: &edited, changedFrom: photo.picture)
      let expected = Self.sepia(edited)
      for y in stride(from: 45, to: 95, by: 5) {
        for x in stride(from: 75, to: 125, by: 5) {
          #expect(zip(edited[x, y], expected[x, y]).allSatisfy { abs(Int($0) - Int($1)) <= 8 })
        }
      }
    }
  }

  /// A small photo in colour on a large grey page.
  @Test func aColouredPartOfAGreyPageKeepsItsColours() throws {
    var page = Picture(width: 1500, height: 1000, filledWith: 200)
    page.paste(Drawn.gradient(60, 60), x: 700, y: 500)
    var edited = page
    edited.paste(Drawn.gradient(50, 50), x: 705, y: 505)
    let drawn = edited
    Tint(of: page)?.apply(to: &edited, changedFrom: page)
    #expect(edited == drawn && edited != page)
  }

  /// One coloured spot makes a colour photo.
  @Test func coloursAreNoTint() {
    var spotted = Self.sepia(Self.colours)
    spotted.paste(Picture(width: 40, height: 30, channels: 3, pixels: (0..<1200).flatMap { _ in [UInt8(40), 90, 200] }), x: 5, y: 5)
    #expect(Tint(of: spotted) == nil && Tint(of: Self.colours) == nil)
  }
}

import Foundation
import Testing

@testable import Photo

/// What is written is what came, but for what was edited.
@Suite struct OutputTests {
  private static let (width, height) = (24, 16)
  private static let rgb = Drawn.gradient(width, height)
  private static let wideRGB: [UInt8] = {
    var generator = SplitMix(state: 3)
    return (0..<2 * width * height * 3).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
  }()
  private static let adobe = Made.profile(colours: 3, exponent: 2.2)
  private static let greyProfile = Made.profile(colours: 1, exponent: 1.5)

  private static func file(
    samples: Int = 3, bits: Int = 8, profile: [UInt8]? = nil, _ values: [UInt8]
  ) -> Data {
    Made.tiff(
      width: width, height: height, samples: samples, bits: bits, photometric: samples < 3 ? 1 : 2, profile: profile,
      values)
  }

  @Test func unprofiledPhotosHaveNoSecondCopy() throws {
    let photo = try Photo(data: Self.file(Self.rgb.pixels))
    #expect(photo.source == nil && photo.picture == Self.rgb && photo.metadata?["icc-profile-data"] == nil)
  }

  @Test(arguments: [Photo.Format.tiff, .png])
  func otherProfileIsWrittenBack(_ format: Photo.Format) throws {
    var photo = try Photo(data: Self.file(profile: Self.adobe, Self.rgb.pixels))
    #expect(photo.source?.values == Self.rgb.pixels)
    #expect(Drawn.largestDifference(photo.picture, Self.rgb) > 5)
    let same = try Photo(data: photo.encoded(as: format))
    #expect(same.source?.values == Self.rgb.pixels && same.picture == photo.picture)
    #expect(same.metadata?["icc-profile-data"] == Self.adobe)
    // An edit changes its own pixels only, and reads as what it was.
    photo.picture.paste(Picture(width: 5, height: 4, filledWith: 120), x: 3, y: 2)
    let edited = try Photo(data: photo.encoded(as: format))
    #expect(Drawn.largestDifference(edited.picture, photo.picture) <= 3)
    let own = try #require(edited.source?.values)
    for i in 0..<Self.width * Self.height where !(3..<8).contains(i % Self.width) || !(2..<6).contains(i / Self.width) {
      #expect(own[3 * i..<3 * i + 3] == Self.rgb.pixels[3 * i..<3 * i + 3])
    }
    #expect(own != Self.rgb.pixels)
  }

  /// A small change moves a colour that sRGB does not have by as little.
  @Test func coloursBeyondSRGBStay() throws {
    let green = (0..<Self.width * Self.height).flatMap { _ -> [UInt8] in [20, 250, 30] }
    var photo = try Photo(data: Self.file(profile: Self.adobe, green))
    let clipped = photo.picture[0, 0].map { $0 }
    #expect(clipped[0] == 0)
    photo.picture.paste(
      Picture(width: 1, height: 1, channels: 3, pixels: [clipped[0], clipped[1] - 3, clipped[2]]), x: 0, y: 0)
    let own = try #require(try Photo(data: photo.encoded(as: .png)).source?.values)
    #expect(abs(Int(own[0]) - 20) <= 4 && (244...249).contains(own[1]) && abs(Int(own[2]) - 30) <= 4)
    #expect(own[3...] == green[3...])
  }

  @Test func otherProfileInJPEG() throws {
    let jpeg = try Photo(Drawn.gradient(64, 48)).encoded(as: .jpeg, quality: 97)
    let plain = try Photo(data: jpeg)
    let segment = Array("ICC_PROFILE\0".utf8) + [1, 1] + Self.adobe
    let photo = try Photo(data: Made.insert(0xE2, segment, into: jpeg))
    #expect(photo.source?.values == plain.picture.pixels)
    let again = try Photo(data: photo.encoded())
    #expect(again.metadata?["icc-profile-data"] == Self.adobe && again.quality == 97)
    #expect(Drawn.largestDifference(again.picture, photo.picture) < 8)
  }

  /// A picture of another size has nothing to do with the file's own values.
  @Test func anotherSizeIsWrittenAsSRGB() throws {
    var photo = try Photo(data: Self.file(profile: Self.adobe, Self.rgb.pixels))
    photo.picture = Drawn.gradient(10, 10)
    let again = try Photo(data: photo.encoded(as: .png))
    #expect(again.picture == photo.picture && again.source == nil)
    #expect(again.metadata?["icc-profile-data"] != nil && again.metadata?["icc-profile-data"] != Self.adobe)
  }

  @Test func sRGBProfileIsNoConversion() throws {
    let cmyk = try Photo(data: Made.cmykJPEG()).encoded()
    let profile = try #require(try Photo(data: cmyk).metadata?["icc-profile-data"])
    for bits in [8, 16] {
      let values = bits == 8 ? Self.rgb.pixels : Self.wideRGB
      let photo = try Photo(data: Self.file(bits: bits, profile: profile, values))
      #expect(bits == 16 || photo.source == nil && photo.picture == Self.rgb)
      let again = try Photo(data: photo.encoded(as: .tiff))
      #expect(again.metadata?["icc-profile-data"] == profile && again.picture == photo.picture)
      #expect(bits == 8 || again.source?.values == values)
    }
  }

  @Test(arguments: [Photo.Format.tiff, .png])
  func sixteenBitsAreKept(_ format: Photo.Format) throws {
    for profile in [nil, Self.adobe] {
      var photo = try Photo(data: Self.file(bits: 16, profile: profile, Self.wideRGB))
      #expect(photo.source?.values == Self.wideRGB)
      #expect(try Photo(data: photo.encoded(as: format)).source?.values == Self.wideRGB)
      photo.picture.paste(Picture(width: 1, height: 1, filledWith: 200), x: 4, y: 3)
      let again = try Photo(data: photo.encoded(as: format))
      #expect(again.source?.bits == 16 && Drawn.largestDifference(again.picture, photo.picture) <= 2)
      let start = 6 * (3 * Self.width + 4)
      let own = try #require(again.source?.values)
      #expect(own[..<start] == Self.wideRGB[..<start] && own[(start + 6)...] == Self.wideRGB[(start + 6)...])
      #expect(own[start..<start + 6] != Self.wideRGB[start..<start + 6])
    }
  }

  @Test func sixteenBitsAsJPEG() throws {
    let values = Drawn.gradient(Self.width, Self.height).pixels.flatMap { value -> [UInt8] in [0x40, value] }
    let photo = try Photo(data: Self.file(bits: 16, values))
    let again = try Photo(data: photo.encoded(as: .jpeg, quality: 98))
    #expect(again.source == nil && Drawn.largestDifference(again.picture, photo.picture) < 8)
  }

  @Test func alphaOfSixteenBits() throws {
    var generator = SplitMix(state: 5)
    let values = (0..<8 * Self.width * Self.height).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    var photo = try Photo(data: Self.file(samples: 4, bits: 16, values))
    #expect(photo.alpha == (0..<Self.width * Self.height).map { values[8 * $0 + 7] })
    photo.picture.paste(Picture(width: 2, height: 2, filledWith: 9), x: 0, y: 0)
    let again = try Photo(data: photo.encoded(as: .tiff))
    #expect(again.alpha == photo.alpha && again.picture == photo.picture)
    // Rows 2 to 15 have no edit.
    #expect(Array(again.source?.values.suffix(8 * Self.width * 14) ?? []) == Array(values.suffix(8 * Self.width * 14)))
  }

  @Test(arguments: [Photo.Format.jpeg, .png, .tiff])
  func greyStaysGrey(_ format: Photo.Format) throws {
    let grey = Picture(width: Self.width, height: Self.height, channels: 1, pixels: (0..<384).map { UInt8($0 / 2) })
    var photo = try Photo(data: Self.file(samples: 1, grey.pixels))
    #expect(photo.isGrey && photo.source == nil && photo.picture == grey.rgb())
    let again = try Photo(data: photo.encoded(as: format))
    #expect(again.isGrey && Drawn.largestDifference(again.picture, photo.picture) < 8)
    photo.picture.paste(Picture(width: 1, height: 1, channels: 3, pixels: [200, 10, 10]), x: 0, y: 0)
    let coloured = try Photo(data: photo.encoded(as: format))
    #expect(!coloured.isGrey && Drawn.largestDifference(coloured.picture, photo.picture) < 120)
  }

  @Test func greyOfAnotherProfileAndDepth() throws {
    let count = Self.width * Self.height
    for (bits, profile) in [(8, Self.greyProfile), (16, nil), (16, Self.greyProfile)] {
      let values = (0..<count * bits / 8).map { UInt8($0 * 7 % 251) }
      var photo = try Photo(data: Self.file(samples: 1, bits: bits, profile: profile, values))
      #expect(photo.isGrey && photo.source?.values == values && photo.picture.grey() != nil)
      photo.picture.paste(Picture(width: 2, height: 1, filledWith: 77), x: 5, y: 5)
      let again = try Photo(data: photo.encoded(as: .png))
      #expect(again.isGrey && again.source?.bits == bits && again.metadata?["icc-profile-data"] == profile)
      #expect(Drawn.largestDifference(again.picture, photo.picture) <= 3)
      let size = bits / 8
      #expect(again.source?.values.prefix(size * 5 * Self.width) == values.prefix(size * 5 * Self.width))
      // With colour, a profile of grey makes no sense any more.
      photo.picture.paste(Picture(width: 1, height: 1, channels: 3, pixels: [250, 9, 9]), x: 0, y: 0)
      let coloured = try Photo(data: photo.encoded(as: .png))
      #expect(!coloured.isGrey && Drawn.largestDifference(coloured.picture, photo.picture) <= 3)
      #expect((coloured.metadata?["icc-profile-data"] == nil) == (profile == nil))
    }
  }

  @Test func cmykJPEGBecomesRGB() throws {
    let photo = try Photo(data: Made.cmykJPEG())
    #expect(photo.width == 8 && photo.format == .jpeg && !photo.isGrey && photo.quality == 100)
    let value = try #require(photo.picture[4, 4].first)
    #expect((30...150).contains(value))
    let again = try Photo(data: photo.encoded())
    #expect(again.metadata?["icc-profile-data"] != nil && again.source == nil)
    #expect(Drawn.largestDifference(again.picture, photo.picture) < 4)
  }

  /// A profile that no one can read counts as none and is not passed on.
  @Test func damagedProfiles() throws {
    var broken = Self.adobe
    broken.replaceSubrange(100..<broken.count, with: [UInt8](repeating: 0xFF, count: broken.count - 100))
    for profile in [broken, [1, 2, 3, 4], Array(Self.adobe.prefix(140)), Self.greyProfile] {
      let photo = try Photo(data: Self.file(profile: profile, Self.rgb.pixels))
      #expect(photo.picture == Self.rgb && photo.source == nil)
      #expect(try Photo(data: photo.encoded(as: .png)).picture == Self.rgb)
    }
  }

  // MARK: Coding

  @Test(arguments: [0, 101, Int.max]) func aQualityOutOfRangeIsRefused(_ quality: Int) {
    let picture = Drawn.gradient(16, 16)
    for error in [
      #expect(throws: PhotoError.self) { try Photo(picture).encoded(as: .jpeg, quality: quality) },
      #expect(throws: PhotoError.self) { try Animation([picture], milliseconds: 40).encoded(as: .webp, quality: quality) },
    ] { #expect(error?.description.hasSuffix("the quality must be from 1 to 100, not \(quality)") == true) }
  }

  @Test func jpegQualityIsEstimated() throws {
    let picture = Drawn.gradient(16, 16)
    for quality in 5...100 {
      let photo = try Photo(data: Photo(picture).encoded(as: .jpeg, quality: quality))
      #expect(photo.quality == quality)
    }
    let photo = try Photo(data: Photo(picture).encoded(as: .jpeg, quality: 71))
    #expect(try Photo(data: photo.encoded()).quality == 71)
    #expect(try Photo(data: photo.encoded(quality: 80)).quality == 80)
    #expect(try Photo(data: photo.encoded(as: .png)).quality == nil)
    #expect(try Photo(data: Photo(picture).encoded()).quality == Photo.defaultQuality)
    // A grey JPEG has one table.
    let grey = Picture(width: 16, height: 16, channels: 1, pixels: [UInt8](0...255))
    #expect(try Photo(data: Photo(grey).encoded(as: .jpeg, quality: 66)).quality == 66)
  }

  /// Written again like the file it came from, an unchanged JPEG hardly loses anything.
  @Test func subsampledColourStaysSo() throws {
    var coding = Coding()
    coding.isSubsampled = true
    let drawn = Codec.Pixels(Drawn.chessboard(64, 48))
    let first = try Photo(data: Codec.encode(drawn, format: .jpeg, quality: 75, coding: coding, name: "subsampled"))
    #expect(first.coding.isSubsampled && first.quality == 75)
    let second = try Photo(data: first.encoded())
    #expect(second.coding.isSubsampled && second.quality == 75)
    #expect(Drawn.largestDifference(first.picture, second.picture) <= 4)
  }

  @Test func progressiveStaysSo() throws {
    var coding = Coding()
    coding.isProgressive = true
    let picture = Drawn.gradient(40, 30)
    let data = try Codec.encode(
      Codec.Pixels(picture), format: .jpeg, quality: 90, coding: coding, name: "progressive")
    let photo = try Photo(data: data)
    #expect(photo.coding.isProgressive && photo.quality == 90)
    #expect(!photo.coding.isSubsampled)
    #expect(try Photo(data: photo.encoded()).coding.isProgressive)
    #expect(try !Photo(data: Photo(picture).encoded()).coding.isProgressive)
    #expect(Drawn.largestDifference(photo.picture, picture) < 12)
  }

  @Test func losslessWebPStaysSo() throws {
    var coding = Coding()
    coding.isLossless = true
    let picture = Drawn.chessboard(40, 30)
    let data = try Codec.encode(Codec.Pixels(picture), format: .webp, quality: 90, coding: coding, name: "lossless")
    let photo = try Photo(data: data)
    #expect(photo.coding.isLossless && photo.picture == picture)
    let again = try Photo(data: photo.encoded())
    #expect(again.coding.isLossless && again.picture == picture)
    #expect(try !Photo(data: Photo(picture).encoded(as: .webp)).coding.isLossless)
    #expect(try !Photo(data: photo.encoded(quality: 50)).coding.isLossless)
  }

  /// Whether this libvips writes the formats that not all do.
  private static func writes(_ format: Photo.Format) -> Bool {
    (try? Photo(Drawn.gradient(64, 64)).encoded(as: format)) != nil
  }

  @Test(.enabled(if: writes(.avif), "this libvips writes no AVIF"))
  func avif() throws {
    let photo = try Photo(data: Photo(Drawn.gradient(64, 48)).encoded(as: .avif))
    #expect(photo.format == .avif && Drawn.largestDifference(photo.picture, Drawn.gradient(64, 48)) < 14)
  }

  @Test(.enabled(if: writes(.heic), "this libvips writes no HEIC"))
  func heicOfTwelveBits() throws {
    let values = Drawn.gradient(Self.width, Self.height).pixels.flatMap { value -> [UInt8] in [0x40, value] }
    let photo = try Photo(data: Self.file(bits: 16, profile: Self.adobe, values))
    let again = try Photo(data: photo.encoded(as: .heic))
    #expect(again.format == .heic && again.metadata?["icc-profile-data"] == Self.adobe)
    #expect(Drawn.largestDifference(again.picture, photo.picture) < 14)
  }
}

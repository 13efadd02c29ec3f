import Foundation
import Testing

@testable import Photo

/// Small JPEG files that libjpeg decodes without libvips, as training sets have them.
@Suite struct PlainJPEGTests {
  private let scratch: Scratch

  init() throws { scratch = try Scratch() }

  /// Noise over colours: every coefficient counts.
  private static func noisy(_ width: Int, _ height: Int) -> Picture {
    var generator = SplitMix(state: 3)
    var picture = Drawn.gradient(width, height)
    for i in picture.pixels.indices { picture.pixels[i] = picture.pixels[i] / 2 + UInt8(generator.next() % 128) }
    return picture
  }

  /// A JPEG with nothing in it but the picture: segments of applications are taken out.
  private func plain(_ picture: Picture, subsampled: Bool = true, progressive: Bool = false) throws -> Data {
    var coding = Coding()
    (coding.isProgressive, coding.isSubsampled) = (progressive, subsampled)
    let bytes = try [UInt8](
      Codec.encode(Codec.Pixels(picture), format: .jpeg, quality: 85, coding: coding, name: "photo"))
    var result = Array(bytes.prefix(2))
    var place = 2
    while bytes[place + 1] != 0xDA {
      let length = 2 + Int(bytes[place + 2]) << 8 + Int(bytes[place + 3])
      if !(0xE1...0xEF).contains(bytes[place + 1]) { result += bytes[place..<place + length] }
      place += length
    }
    return Data(result + bytes[place...])
  }

  private func decode(_ data: Data) throws -> Picture? {
    Picture(plainJPEG: try scratch.write(data, "photo.jpg"), pixelLimit: Photo.defaultPixelLimit)
  }

  @Test(arguments: [true, false]) func pixelsAreThoseOfLibvips(subsampled: Bool) throws {
    for (width, height) in [(178, 218), (17, 9), (1, 1)] {
      let file = try plain(Self.noisy(width, height), subsampled: subsampled)
      let picture = try #require(try decode(file))
      #expect(try picture == Photo(data: file).picture)
      #expect(try Picture(contentsOf: scratch.file("photo.jpg")) == picture)
    }
  }

  @Test func whatSaysHowToSeeItIsLeftToLibvips() throws {
    let file = try plain(Self.noisy(40, 30))
    #expect(try decode(file) != nil)
    let profile = Array("ICC_PROFILE\0\u{1}\u{1}".utf8) + Made.profile(colours: 3, exponent: 1.8)
    for (marker, body) in [(UInt8(0xE1), Array("Exif\0\0".utf8)), (0xE2, profile), (0xEE, Array("Adobe".utf8))] {
      #expect(try decode(Made.insert(marker, body, into: file)) == nil)
    }
    #expect(try decode(plain(Self.noisy(40, 30), progressive: true)) == nil)
    #expect(try decode(Made.cmykJPEG()) == nil)
    #expect(try decode(Photo(Drawn.gradient(40, 30)).encoded(as: .png)) == nil)
    #expect(Picture(plainJPEG: scratch.url, pixelLimit: 10_000) == nil)
    #expect(Picture(plainJPEG: scratch.file("missing"), pixelLimit: 10_000) == nil)
    let url = try scratch.write(file, "photo.jpg")
    #expect(Picture(plainJPEG: url, pixelLimit: 1199) == nil && Picture(plainJPEG: url, pixelLimit: 1200) != nil)
  }

  @Test func damageIsLeftToLibvips() throws {
    let whole = try [UInt8](plain(Self.noisy(40, 30)))
    for count in stride(from: 0, to: whole.count - 2, by: 7) {
      #expect(try decode(Data(whole.prefix(count))) == nil, "\(count) of \(whole.count) bytes")
    }
    // Whatever is changed: a picture of some size or none, and no crash.
    var generator = SplitMix(state: 11)
    for _ in 0..<400 {
      var bytes = whole
      for _ in 0..<3 { bytes[Int(generator.next() % UInt64(bytes.count))] = UInt8(generator.next() % 256) }
      let picture = try decode(Data(bytes))
      #expect(picture.map { $0.pixels.count == $0.width * $0.height * 3 } ?? true)
    }
  }
}

import Foundation
import Photo
import Testing

@Suite struct PhotoTests {
  let scratch: Scratch
  init() throws { scratch = try Scratch() }

  @Test(arguments: [("jpg", 6), ("png", 0), ("webp", 12), ("tif", 0), ("heic", 10)])
  func roundTrip(ending: String, tolerance: Int) throws {
    let picture = Drawn.gradient(120, 80)
    let url = scratch.file("picture.\(ending)")
    try Photo(picture).write(to: url)
    let photo = try Photo(contentsOf: url)
    #expect(photo.format == Photo.Format(pathExtension: ending))
    #expect(photo.width == 120 && photo.height == 80 && photo.alpha == nil)
    #expect(Drawn.largestDifference(photo.picture, picture) <= tolerance)
    #expect(try Picture(contentsOf: url) == photo.picture)
    #expect(try Photo(data: Data(contentsOf: url)).picture == photo.picture)
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.url.path).count == 1)
  }

  @Test func unknownEnding() throws {
    let photo = Photo(Drawn.gradient(8, 8))
    #expect(throws: PhotoError.unknownFormat(file: "/tmp/a.txt")) {
      try photo.write(to: URL(fileURLWithPath: "/tmp/a.txt"))
    }
    // Without an ending the photo keeps the format it had.
    let url = scratch.file("plain")
    try Photo(Drawn.gradient(8, 8), format: .png).write(to: url)
    #expect(try Photo(contentsOf: url).format == .png)
  }

  @Test func largePhotosDecodeTheSameInStrips() throws {
    let picture = Drawn.gradient(1500, 900)
    let url = scratch.file("large.png")
    try Photo(picture).write(to: url)
    #expect(try Picture(contentsOf: url) == picture)
  }

  /// EXIF orientations 1…8 of one stored picture, against the definition.
  @Test(arguments: 1...8) func orientation(_ orientation: Int) throws {
    let (w, h) = (60, 40)
    var stored = Picture(width: w, height: h, filledWith: 128)
    stored.paste(Picture(width: 20, height: 20, filledWith: 0), x: 0, y: 0)
    stored.paste(Picture(width: 20, height: 20, filledWith: 255), x: 40, y: 0)
    let data = Self.oriented(try Photo(stored).encoded(as: .jpeg, quality: 100), orientation)
    let photo = try Photo(data: data)
    #expect(photo.width == (orientation < 5 ? w : h) && photo.height == (orientation < 5 ? h : w))
    let right = photo.width - 5, bottom = photo.height - 5
    // Where the stored upper left (black) and upper right (white) corners come to lie.
    let corners = [
      1: ((5, 5), (right, 5)), 2: ((right, 5), (5, 5)), 3: ((right, bottom), (5, bottom)),
      4: ((5, bottom), (right, bottom)), 5: ((5, 5), (5, bottom)), 6: ((right, 5), (right, bottom)),
      7: ((right, bottom), (right, 5)), 8: ((5, bottom), (5, 5)),
    ]
    let (black, white) = try #require(corners[orientation])
    #expect((photo.picture[black.0, black.1].first ?? 255) < 20)
    #expect((photo.picture[white.0, white.1].first ?? 0) > 235)
    // Written upright, and read so.
    for format in [Photo.Format.png, .tiff] {
      let again = try Photo(data: photo.encoded(as: format))
      #expect(again.picture.pixels.elementsEqual(photo.picture.pixels) && again.width == photo.width)
    }
    let jpeg = try photo.encoded(as: .jpeg, quality: 100)
    let again = try Photo(data: jpeg)
    #expect(again.width == photo.width && Drawn.largestDifference(again.picture, photo.picture) < 10)
    #expect(jpeg.range(of: Data("Exif".utf8)) != nil)
  }

  @Test func metadataIsKept() throws {
    let data = Self.oriented(try Photo(Drawn.gradient(64, 48)).encoded(as: .jpeg), 6)
    #expect(data.range(of: Data("A camera".utf8)) != nil)
    for format in [Photo.Format.jpeg, .webp, .tiff] {
      let written = try Photo(data: data).encoded(as: format)
      let camera = try Photo(data: written).encoded(as: .jpeg).range(of: Data("A camera".utf8))
      #expect(camera != nil || format == .tiff)
    }
  }

  /// A thumbnail would still show the face before the edit.
  @Test func thumbnailsAreLeftOut() throws {
    let thumbnail = [UInt8](try Photo(Drawn.gradient(16, 12)).encoded(as: .jpeg))
    let whole = [UInt8](try Photo(Drawn.gradient(64, 48)).encoded(as: .jpeg))
    // An empty first directory, and a second one with the place and the length of a JPEG.
    var exif: [UInt8] = Array("Exif\0\0MM\0*".utf8) + [0, 0, 0, 8, 0, 0, 0, 0, 0, 14, 0, 3]
    exif += [0x01, 0x03, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0x02, 0x01, 0, 4, 0, 0, 0, 1, 0, 0, 0, 56]
    exif += [0x02, 0x02, 0, 4, 0, 0, 0, 1, 0, 0, UInt8(thumbnail.count >> 8), UInt8(thumbnail.count & 255)]
    exif += [0, 0, 0, 0] + thumbnail
    let length = exif.count + 2
    let file = Data(whole[0..<2] + [0xFF, 0xE1, UInt8(length >> 8), UInt8(length & 255)] + exif + whole[2...])
    let scan = Data(thumbnail.suffix(30))
    #expect(file.range(of: scan) != nil)
    let photo = try Photo(data: file)
    for format in [Photo.Format.jpeg, .webp, .png] {
      #expect(try photo.encoded(as: format).range(of: scan) == nil)
    }
  }

  @Test func alphaIsKept() throws {
    // RGBA by hand: TIFF without compression is the simplest file there is.
    let (w, h) = (4, 2)
    var pixels = [UInt8]()
    for i in 0..<w * h { pixels += [UInt8(i * 10), 100, 200, UInt8(255 - i * 20)] }
    let photo = try Photo(data: Made.tiff(width: w, height: h, samples: 4, bits: 8, photometric: 2, pixels))
    #expect(photo.alpha == (0..<w * h).map { UInt8(255 - $0 * 20) })
    #expect(Array(photo.picture[3, 1]) == [70, 100, 200])
    for format in [Photo.Format.png, .tiff] {
      let again = try Photo(data: photo.encoded(as: format))
      #expect(again.alpha == photo.alpha && again.picture == photo.picture)
    }
    #expect(try Photo(data: photo.encoded(as: .jpeg)).alpha == nil)
  }

  @Test func greyIsAccepted() throws {
    let url = scratch.file("grey.png")
    try Picture(width: 3, height: 2, channels: 1, pixels: [0, 50, 100, 150, 200, 250]).write(to: url)
    #expect(Array(try Photo(contentsOf: url).picture[2, 1]) == [250, 250, 250])
  }

  @Test func sixteenBitsAreAccepted() throws {
    let values: [UInt16] = [0, 0x8080, 0xFFFF, 0x4040, 0xC0C0, 0x2020]
    let bytes = values.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }
    let photo = try Photo(data: Made.tiff(width: 2, height: 1, samples: 3, bits: 16, photometric: 2, bytes))
    #expect(zip(photo.picture.pixels, values).allSatisfy { abs(Int($0) - Int($1 >> 8)) <= 1 })
  }

  @Test func cmykIsAccepted() throws {
    let bytes: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 255]
    let photo = try Photo(data: Made.tiff(width: 2, height: 1, samples: 4, bits: 8, photometric: 5, bytes))
    #expect(photo.picture[0, 0].allSatisfy { $0 > 240 })
    #expect(photo.picture[1, 0].allSatisfy { $0 < 60 })
  }

  @Test func labelMapsKeepTheirValues() throws {
    let labels = Picture(width: 5, height: 2, channels: 1, pixels: [0, 1, 2, 3, 4, 17, 18, 10, 11, 12])
    let url = scratch.file("labels.png")
    try labels.write(to: url)
    #expect(try Picture(labelMap: url) == labels)
    let colour = scratch.file("colour.png")
    try Drawn.gradient(5, 2).write(to: colour)
    #expect(throws: PhotoError.self) { try Picture(labelMap: colour) }
  }

  @Test func manyAtOnce() async throws {
    let picture = Drawn.gradient(178, 218)
    let url = scratch.file("many.png")
    try picture.write(to: url)
    let bad = try scratch.write(Data("no photo".utf8), "bad.png")
    await withTaskGroup(of: Bool.self) { group in
      for i in 0..<200 {
        group.addTask {
          if i % 5 == 0 {
            do {
              _ = try Picture(contentsOf: bad)
              return false
            } catch {
              return error as? PhotoError == .notAPhoto(file: bad.path)
            }
          }
          return (try? Picture(contentsOf: url)) == picture
        }
      }
      for await right in group { #expect(right) }
    }
  }

  /// Puts an EXIF block with an orientation and a maker behind a JPEG's first marker.
  static func oriented(_ jpeg: Data, _ orientation: Int) -> Data {
    let maker = Array("A camera\0".utf8)
    var exif: [UInt8] = Array("Exif\0\0MM\0*".utf8) + [0, 0, 0, 8, 0, 2]
    exif += [0x01, 0x0F, 0, 2, 0, 0, 0, UInt8(maker.count), 0, 0, 0, 38]
    exif += [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, UInt8(orientation), 0, 0]
    exif += [0, 0, 0, 0] + maker + [0]
    // Data may come as a slice, whose indices do not begin at 0.
    let bytes = [UInt8](jpeg)
    return Data(bytes[0..<2] + [0xFF, 0xE1, 0, UInt8(exif.count + 2)] + exif + bytes[2...])
  }
}

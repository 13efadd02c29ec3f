import Foundation
import Testing

@testable import Photo

/// What a file carries beside its picture is written again, or said to be gone.
@Suite struct ContainerTests {
  private static let picture = Drawn.gradient(64, 48)

  // MARK: JPEG

  private static let parameters = """
    <x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
    <rdf:Description rdf:about="" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"
      hdrgm:GainMapMax="3"/></rdf:RDF></x:xmpmeta>
    """

  /// Brighter to the right, and marked as what it is.
  private static func gainMap() throws -> [UInt8] {
    let map = Picture(width: 32, height: 24, channels: 1, pixels: (0..<32 * 24).map { UInt8($0 % 32 * 8) })
    let jpeg = try Codec.encode(Codec.Pixels(map), format: .jpeg, quality: 95, name: "gain map")
    return [UInt8](Made.insertXMP(Array(parameters.utf8), into: jpeg))
  }

  private static func packet(_ properties: String, _ items: [(String, [UInt8])]) -> [UInt8] {
    let items = items.map { attributes, data in
      "<rdf:li rdf:parseType='Resource'><c:Item \(attributes) i:Length='\(data.count)' i:Padding='0'/></rdf:li>"
    }
    return Array(
      """
      <x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
      <rdf:Description rdf:about="" xmlns:c="http://ns.google.com/photos/1.0/container/"
       xmlns:i="http://ns.google.com/photos/1.0/container/item/" xmlns:g="http://ns.google.com/photos/1.0/camera/"
       xmlns:h="http://ns.adobe.com/hdr-gain-map/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
       \(properties)><dc:format>image/jpeg</dc:format><c:Directory><rdf:Seq>
       <rdf:li rdf:parseType='Resource'><c:Item i:Semantic='Primary' i:Mime='image/jpeg'/></rdf:li>
       \(items.joined())</rdf:Seq></c:Directory></rdf:Description></rdf:RDF></x:xmpmeta>
      """.utf8)
  }

  /// A file as phones write it.
  /// - Parameters:
  ///   - indexed: whether the index of pictures names the gain map; else XMP alone does.
  ///   - orientation: in EXIF.
  private static func ultraHDR(
    _ properties: String = "h:Version='1.0'", items: [(String, [UInt8])]? = nil, orientation: Int = 1
  ) throws -> Data {
    let map = try gainMap()
    let items = items ?? [("i:Semantic='GainMap' i:Mime='image/jpeg'", map)]
    var jpeg = Made.insertXMP(packet(properties, items), into: try Photo(picture).encoded(as: .jpeg, quality: 96))
    if orientation > 1 {
      let tag: [UInt8] = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, UInt8(orientation), 0, 0]
      var block = Array("Exif\0\0MM\0*".utf8)
      block += Made.big(8)
      block += [0, 1]
      block += tag
      block += Made.big(0)
      jpeg = Made.insert(0xE1, block, into: jpeg)
    }
    return items.reduce(jpeg) { $0 + $1.1 }
  }

  /// The pictures that an index names, cut out of a file.
  private static func indexed(_ file: Data) -> [Data] {
    let bytes = [UInt8](file)
    guard let name = bytes.firstRange(of: Array("MPF\0".utf8)) else { return [] }
    let head = name.upperBound
    func number(_ place: Int) -> Int { (0..<4).reduce(0) { $0 | Int(bytes[place + $1]) << (8 * $1) } }
    let count = number(head + 8 + 2 + 12 + 8)
    let entries = head + number(head + 8 + 2 + 24 + 8)
    return (0..<count).map { index in
      let (size, offset) = (number(entries + 16 * index + 4), number(entries + 16 * index + 8))
      let start = offset == 0 ? 0 : head + offset
      return Data(bytes[start..<start + size])
    }
  }

  @Test func gainMapsStayBehindThePicture() throws {
    let file = try Self.ultraHDR()
    var photo = try Photo(data: file)
    #expect(photo.hasGainMap && photo.losses() == [])
    photo.digitalSource = .compositeWithTrainedModel
    photo.picture.paste(Picture(width: 9, height: 9, filledWith: 30), x: 20, y: 20)
    let written = try photo.encoded()
    let pictures = Self.indexed(written)
    let gainMap = try Data(Self.gainMap())
    #expect(pictures.count == 2 && pictures.last == gainMap)
    #expect(pictures.map(\.count).reduce(0, +) == written.count)
    // Read again it is the same, by the index and by XMP.
    let again = try Photo(data: written)
    #expect(again.hasGainMap && Drawn.largestDifference(again.picture, photo.picture) < 20)
    let packet = String(decoding: try #require(again.metadata?["xmp-data"]), as: UTF8.self)
    #expect(packet.contains("Item:Length=\"\(pictures[1].count)\"") && packet.contains("hdrgm:Version=\"1.0\""))
    #expect(packet.contains("image/jpeg</dc:format>") && packet.contains("compositeWithTrainedAlgorithmicMedia"))
    #expect(!packet.contains("c:Directory"))
    #expect(Self.indexed(try again.encoded()).last == pictures.last)
  }

  /// A picture that is stored on its side is written upright, and so is its gain map.
  @Test func gainMapsAreTurnedWithThePicture() throws {
    let photo = try Photo(data: Self.ultraHDR(orientation: 6))
    #expect(photo.width == 48 && photo.height == 64 && photo.hasGainMap)
    let map = try Photo(data: try #require(Self.indexed(photo.encoded()).last))
    #expect(map.width == 24 && map.height == 32 && map.isGrey)
    #expect(try #require(map.picture[12, 2].first) < 40 && map.picture[12, 29].first! > 200)
    let xmp = String(decoding: map.metadata?["xmp-data"] ?? [], as: UTF8.self)
    #expect(xmp.contains("GainMapMax") as Bool)
  }

  @Test func gainMapsThatDoNotFitAreGoneWithAllThatNamesThem() throws {
    var photo = try Photo(data: Self.ultraHDR())
    #expect(photo.losses(as: .png) == [.gainMap])
    photo.removeGainMap()
    #expect(photo.losses() == [.gainMap])
    let written = try photo.encoded()
    for trace in ["hdr-gain-map", "Directory", "GainMap", "MPF"] {
      #expect([UInt8](written).firstRange(of: Array(trace.utf8)) == nil, "\(trace)")
    }
    #expect([UInt8](written).firstRange(of: Array("dc:format".utf8)) != nil)
    // One that is said to be there, and is not.
    #expect(try Photo(data: Self.ultraHDR(items: [])).losses() == [.gainMap])
  }

  @Test func videosAreLeftOutAndSaid() throws {
    let video = Array("\0\0\0\u{18}ftypmp42".utf8) + [UInt8](repeating: 7, count: 500)
    let map = try Self.gainMap()
    let motion = "g:MotionPhoto='1' g:MotionPhotoVersion='1' g:BurstID='x'"
    let item = ("i:Semantic='MotionPhoto' i:Mime='video/mp4'", video)
    let photo = try Photo(data: Self.ultraHDR(motion, items: [item]))
    #expect(photo.losses() == [.video])
    let written = [UInt8](try photo.encoded())
    for trace in ["MotionPhoto", "ftypmp42", "video/mp4"] { #expect(written.firstRange(of: Array(trace.utf8)) == nil) }
    #expect(written.firstRange(of: Array("BurstID".utf8)) != nil)
    // Beside a gain map, which stays.
    let both = try Photo(
      data: Self.ultraHDR(motion + " h:Version='1.0'", items: [("i:Semantic='GainMap' i:Mime='image/jpeg'", map), item]))
    #expect(both.losses() == [.video] && both.hasGainMap)
    #expect(Self.indexed(try both.encoded()).last == Data(map))
    // A camera that can, but did not.
    #expect(try Photo(data: Self.ultraHDR("g:MotionPhoto='0'", items: [])).losses() == [])
  }

  @Test func commentsAndCredentialsAreLeftOutAndSaid() throws {
    let jpeg = try Photo(Self.picture).encoded(as: .jpeg)
    func written(_ photo: Photo, _ trace: String) throws -> Bool {
      [UInt8](try photo.encoded()).firstRange(of: Array(trace.utf8)) != nil
    }
    let comment = try Photo(data: Made.insert(0xFE, Array("of a person".utf8), into: jpeg))
    #expect(comment.losses() == [.comment])
    #expect(try !written(comment, "of a person"))
    let box: [UInt8] = Made.big(60) + Array("jumb".utf8) + Made.big(40) + Array("jumdc2pa".utf8) + [UInt8](repeating: 0, count: 40)
    let signed = try Photo(data: Made.insert(0xEB, Array("JP".utf8) + [0, 1, 0, 0, 0, 1] + box, into: jpeg))
    #expect(signed.losses() == [.credentials])
    #expect(try !written(signed, "jumb"))
    // Other boxes, and an empty comment, are no loss that anybody notices.
    let others = Made.insert(0xFE, [], into: Made.insert(0xEB, Array("HDR_RI ver=11".utf8), into: jpeg))
    #expect(try Photo(data: others).losses() == [])

    var png = [UInt8](try Photo(Self.picture).encoded(as: .png))
    png.insert(contentsOf: Made.big(box.count) + Array("caBX".utf8) + box + Made.big(0), at: 33)
    #expect(Container(.png, orientation: 1, pages: 1, xmp: nil, size: png.count, reader(of: png)).losses == [.credentials])
    var webp = [UInt8](try Photo(Self.picture).encoded(as: .webp))
    webp += Array("C2PA".utf8) + [UInt8(box.count), 0, 0, 0] + box
    #expect(Container(.webp, orientation: 1, pages: 1, xmp: nil, size: webp.count, reader(of: webp)).losses == [.credentials])
  }

  /// A packet that only speaks of an extension loses nothing; an extension without a word in the packet is lost.
  @Test func extendedXMPIsSaidWhereItIs() throws {
    let jpeg = try Photo(Self.picture).encoded(as: .jpeg)
    let note = Self.packet("xmlns:n='http://ns.adobe.com/xmp/note/' n:HasExtendedXMP='88D0CD30BBCE372AF41C58D28BD46DAE'", [])
    #expect(try Photo(data: Made.insertXMP(note, into: jpeg)).losses() == [])
    let body = Array("http://ns.adobe.com/xmp/extension/\088D0CD30BBCE372AF41C58D28BD46DAE".utf8) + [UInt8](repeating: 32, count: 40)
    #expect(try Photo(data: Made.insert(0xE1, body, into: Made.insertXMP(note, into: jpeg))).losses() == [.extendedXMP])
  }

  /// Containers as no camera writes them.
  @Test func containersChangedAtRandom() throws {
    var generator = SplitMix(state: 23)
    let whole = try Photo(data: Self.ultraHDR()).encoded()
    for _ in 0..<200 {
      var data = whole
      for _ in 0..<6 { data[Int(generator.next() % 3000) % data.count] = UInt8(truncatingIfNeeded: generator.next()) }
      if generator.next() % 3 == 0 { data.removeLast(Int(generator.next() % UInt64(data.count / 2))) }
      if let photo = try? Photo(data: data) { _ = try? photo.encoded() }
    }
  }

  @Test func damagedDataIsSaid() throws {
    let whole = try Photo(Drawn.gradient(256, 256)).encoded(as: .jpeg, quality: 95)
    #expect(try Photo(data: whole).losses() == [])
    var data = whole
    data.replaceSubrange(data.count / 2..<data.count / 2 + 40, with: (0..<20).flatMap { _ in [0xFF, 0xD3] as [UInt8] })
    let scratch = try Scratch()
    for photo in [try Photo(data: data), try Photo(contentsOf: scratch.write(data, "damaged.jpg"))] {
      guard case .damagedData? = photo.losses().first, photo.losses().count == 1 else {
        Issue.record("\(photo.losses())")
        continue
      }
      #expect(photo.picture.height == 256)
    }
  }

  // MARK: Several pictures

  @Test func animationsAndPagesAreRefused() throws {
    func error(_ data: Data) -> PhotoError? {
      do {
        _ = try Photo(data: data, name: "file")
        return nil
      } catch {
        return error
      }
    }
    let frames = [Self.picture, Drawn.chessboard(64, 48), Self.picture]
    let webp = try Animation(frames, milliseconds: 100).encoded(as: .webp)
    #expect(error(webp) == .severalPictures(file: "file", count: 3, name: "frames"))
    var png = [UInt8](try Photo(Self.picture).encoded(as: .png))
    // Behind the first chunk; its check sum does not matter to who does not know it.
    var control = Made.big(8)
    control += Array("acTL".utf8)
    for number in [5, 0, 0] { control += Made.big(number) }
    png.insert(contentsOf: control, at: 33)
    #expect(error(Data(png)) == .severalPictures(file: "file", count: 5, name: "frames"))
    // The same page once more.
    var tiff = [UInt8](Made.tiff(width: 8, height: 8, samples: 3, bits: 8, photometric: 2, [UInt8](repeating: 90, count: 192)))
    let rows = Int(tiff[8]) | Int(tiff[9]) << 8
    let second = tiff.count
    let directory = Array(tiff[8..<10 + 12 * rows + 4])
    tiff.replaceSubrange(10 + 12 * rows..<14 + 12 * rows, with: [UInt8(second & 255), UInt8(second >> 8), 0, 0])
    #expect(error(Data(tiff + directory)) == .severalPictures(file: "file", count: 2, name: "pages"))
    #expect(PhotoError.severalPictures(file: "a.webp", count: 6, name: "frames").description.hasPrefix("a.webp: has 6 frames"))
  }

  // MARK: Words

  /// EXIF goes into a TIFF and comes out of it, whatever the byte order.
  @Test(arguments: [true, false]) func wordsInTIFF(_ isBigEndian: Bool) throws {
    func bytes(_ value: Int, _ count: Int) -> [UInt8] {
      let big = (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * (count - 1 - $0))) }
      return isBigEndian ? big : big.reversed()
    }
    func entry(_ tag: Int, _ type: Int, _ count: Int, _ value: [UInt8]) -> [UInt8] {
      var row = bytes(tag, 2)
      row += bytes(type, 2)
      row += bytes(count, 4)
      return row + value
    }
    // Artist and a pointer; date, exposure time and a comment behind.
    let (artist, date) = (Array("Eileen Collins\0".utf8) + [0], Array("1999:07:23 10:00:00\0".utf8))
    let comment = Array("ASCII\0\0\0Columbia".utf8)
    let exif = 8 + 2 + 24 + 4 + artist.count
    let values = exif + 2 + 36 + 4
    var block = Array((isBigEndian ? "MM" : "II").utf8)
    for (value, count) in [(42, 2), (8, 4), (2, 2)] { block += bytes(value, count) }
    block += entry(0x013B, 2, 15, bytes(8 + 2 + 24 + 4, 4))
    block += entry(0x8769, 4, 1, bytes(exif, 4))
    block += bytes(0, 4)
    block += artist
    block += bytes(3, 2)
    block += entry(0x829A, 5, 1, bytes(values + 20, 4))
    block += entry(0x9003, 2, 20, bytes(values, 4))
    block += entry(0x9286, 7, 16, bytes(values + 28, 4))
    block += bytes(0, 4)
    block += date
    block += bytes(1, 4)
    block += bytes(250, 4)
    block += comment
    let jpeg = Made.insert(0xE1, Array("Exif\0\0".utf8) + block, into: try Photo(Self.picture).encoded(as: .jpeg))

    func words(_ block: [UInt8]?) throws -> [Int: [UInt8]] {
      let block = Array(try #require(block).dropFirst(6))
      let words = try #require(TIFFBlock(reader(of: block))).words
      return Dictionary((words.words + words.exif + words.gps).map { ($0.tag, $0.value) }) { $1 }
    }
    let photo = try Photo(data: jpeg)
    let tiff = try photo.encoded(as: .tiff)
    let again = try Photo(data: tiff)
    #expect(again.picture.width == 64 && again.losses() == [])
    for found in [TIFFBlock.exif(of: reader(of: [UInt8](tiff))), try Photo(data: again.encoded(as: .jpeg)).metadata?.exif,
      TIFFBlock.exif(of: reader(of: [UInt8](try again.encoded())))]
    {
      let words = try words(found)
      #expect(words[0x013B].map { $0.starts(with: "Eileen Collins".utf8) } == true)
      #expect(words[0x9003].map { $0.starts(with: "1999:07:23 10:00:00".utf8) } == true)
      #expect(words[0x9286] == comment && words[0x829A]?.count == 8)
      #expect(words[0x829A].map { $0.contains(250) && $0.contains(1) } == true)
    }
    // Cut off anywhere, or changed, it is read in bounds.
    let file = [UInt8](tiff)
    var generator = SplitMix(state: 5)
    for _ in 0..<300 {
      var bytes = file
      for _ in 0..<8 { bytes[bytes.count - 1 - Int(generator.next() % 400)] = UInt8(truncatingIfNeeded: generator.next()) }
      let cut = Array(bytes.prefix(bytes.count - Int(generator.next() % 300)))
      _ = TIFFBlock.exif(of: reader(of: cut))
      _ = TIFFBlock.adding(TIFFBlock.exif(of: reader(of: bytes)) ?? [], to: cut, size: (64, 48))
      _ = try? Photo(data: Data(cut))
    }
  }

  /// XMP as ImageMagick writes it into a PNG.
  @Test func rawProfilesInPNG() throws {
    let packet = "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><a b='kept'/></rdf:RDF>"
    let digits = packet.utf8.map { String(format: "%02x", $0) }.joined()
    let text = Array("Raw profile type xmp\0\nxmp\n      \(packet.utf8.count)\n\(digits)\n".utf8)
    func chunk(_ name: String, _ body: [UInt8]) -> [UInt8] {
      let bytes = Array(name.utf8) + body
      var crc: UInt32 = 0xFFFF_FFFF
      for byte in bytes {
        crc ^= UInt32(byte)
        for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
      }
      return Made.big(body.count) + bytes + Made.big(Int(~crc))
    }
    var png = [UInt8](try Photo(Self.picture).encoded(as: .png))
    png.insert(contentsOf: chunk("tEXt", text) + chunk("tEXt", Array("Author\0Somebody".utf8)), at: 33)
    let photo = try Photo(data: Data(png))
    #expect(String(decoding: photo.metadata?["xmp-data"] ?? [], as: UTF8.self) == packet)
    let again = [UInt8](try photo.encoded())
    let kept = String(decoding: try Photo(data: Data(again)).metadata?["xmp-data"] ?? [], as: UTF8.self)
    #expect(kept.contains("b='kept'") as Bool)
    // Its text is packed.
    #expect(again.firstRange(of: Array("Author\0".utf8)) != nil)
    #expect(again.firstRange(of: Array("Raw profile".utf8)) == nil)
  }

  // MARK: Colours

  @Test func inksWithAProfileAreWrittenBack() throws {
    let profile = Made.inkProfile()
    let values = (0..<24 * 16).flatMap { (i: Int) -> [UInt8] in
      let (column, row, black) = (i % 24 * 3, i / 24 * 5, i % 7 * 20)
      return [UInt8(column), 20, UInt8(row), UInt8(black)]
    }
    let tiff = Made.tiff(width: 24, height: 16, samples: 4, bits: 8, photometric: 5, profile: profile, values)
    var photo = try Photo(data: tiff)
    #expect(photo.source?.colours == 4 && photo.losses() == [] && photo.losses(as: .png) == [.colourSpace("CMYK")])
    photo.picture.paste(Picture(width: 3, height: 2, filledWith: 100), x: 4, y: 5)
    let again = try Photo(data: photo.encoded())
    #expect(again.metadata?["icc-profile-data"] == profile)
    let own = try #require(again.source?.values)
    for i in 0..<24 * 16 where !(4..<7).contains(i % 24) || !(5..<7).contains(i / 24) {
      #expect(own[4 * i..<4 * i + 4] == values[4 * i..<4 * i + 4])
    }
    #expect(zip(again.picture[5, 5], [100, 100, 100]).allSatisfy { abs(Int($0) - $1) <= 4 })
    // A JPEG keeps them as inks, too; a PNG becomes sRGB.
    let jpeg = try Photo(data: photo.encoded(as: .jpeg, quality: 98))
    #expect(jpeg.source?.colours == 4 && Drawn.largestDifference(jpeg.picture, photo.picture) < 12)
    let png = try Photo(data: photo.encoded(as: .png))
    #expect(png.source == nil && png.picture == photo.picture)
    // Without a profile nobody knows the inks.
    let plain = try Photo(data: Made.tiff(width: 24, height: 16, samples: 4, bits: 8, photometric: 5, values))
    #expect(plain.source == nil && plain.losses().count == 1)
  }

  @Test func labIsRead() throws {
    let white = [UInt8](repeating: 0, count: 64 * 3).enumerated().map { $0.offset % 3 == 0 ? UInt8(255) : 0 }
    let photo = try Photo(data: Made.tiff(width: 8, height: 8, samples: 3, bits: 8, photometric: 8, white))
    #expect(photo.picture.pixels.allSatisfy { $0 >= 250 }, "\(photo.picture[3, 3].map { $0 })")
    #expect(photo.losses() == [.colourSpace("Lab")])
    let red = white.enumerated().map { $0.offset % 3 == 0 ? UInt8(135) : $0.offset % 3 == 1 ? 80 : 67 }
    let colour = try Photo(data: Made.tiff(width: 8, height: 8, samples: 3, bits: 8, photometric: 8, red)).picture[3, 3]
    #expect(colour.first! > 240 && colour.last! < 30)
  }

  /// A profile of Lab, as some programs embed it, says nothing that the numbers do not.
  @Test(arguments: [8, 16]) func labWithAProfileIsReadAlike(bits: Int) throws {
    // Lightness of 53 %, a little to the red and yellow; the bytes of 16 bits are in the file's order.
    let pixel: [UInt8] = bits == 8 ? [135, 20, 15] : [0, 135, 0, 20, 0, 15]
    let values = (0..<64).flatMap { _ in pixel }
    func file(_ profile: [UInt8]?) -> Data {
      Made.tiff(width: 8, height: 8, samples: 3, bits: bits, photometric: 8, profile: profile, values)
    }
    let (plain, profiled) = (try Photo(data: file(nil)), try Photo(data: file(Made.labProfile())))
    #expect(profiled.picture == plain.picture && plain.picture[3, 3].first! > 120)
    #expect(profiled.losses() == [.colourSpace("Lab")])
    // What is written is sRGB.
    let again = try Photo(data: profiled.encoded(as: .png))
    #expect(again.source == nil && again.picture == plain.picture)
  }

  @Test func pointsAreFixed() throws {
    func file(_ values: [Float]) -> Data {
      Made.tiff(
        width: 16, height: 8, samples: 1, bits: 32, photometric: 1, sampleFormat: 3,
        values.flatMap { value in withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) } })
    }
    let photo = try Photo(data: file((0..<128).map { Float($0) / 127 }))
    #expect(photo.losses() == [.floatValues] && photo.isGrey)
    for i in 0..<128 { #expect(abs(Int(photo.picture[i % 16, i / 16].first!) - i * 255 / 127) <= 1) }
    let again = try Photo(data: photo.encoded())
    #expect(again.source?.bits == 16 && again.picture == photo.picture)
    for wrong in [Float(2), .infinity, .nan] {
      let error = #expect(throws: PhotoError.self) { try Photo(data: file([Float](repeating: wrong, count: 128))) }
      #expect(error?.description.contains("beyond 1") == true, "\(wrong): \(String(describing: error))")
    }
  }

  @Test func whatAFormatDoesNotHoldIsSaid() throws {
    let wide = try Photo(
      data: Made.tiff(width: 8, height: 8, samples: 3, bits: 16, photometric: 2, [UInt8](repeating: 9, count: 384)))
    #expect(wide.losses() == [] && wide.losses(as: .jpeg) == [.depth] && wide.losses(as: .png) == [])
    let clear = try Photo(
      data: Made.tiff(width: 8, height: 8, samples: 4, bits: 8, photometric: 2, [UInt8](repeating: 99, count: 256)))
    #expect(clear.losses(as: .png) == [] && clear.losses(as: .jpeg) == [.transparency])
  }
}

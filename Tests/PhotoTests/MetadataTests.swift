import Foundation
import Testing

@testable import Photo

#if canImport(FoundationXML)
  import FoundationXML
#endif

@Suite struct MetadataTests {
  private static let mark = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"

  /// A packet as editors of photos write them: properties as attributes and elements, structures, padding.
  private static let packet = """
    <?xpacket begin="\u{FEFF}" id="W5M0MpCehiHzreSzNTczkc9d"?>
    <x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="A camera">
     <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
      <!-- <a comment> -->
      <rdf:Description rdf:about='uuid:1 &amp; 2' xmlns:ps="http://ns.adobe.com/photoshop/1.0/"
        xmlns:exif="http://ns.adobe.com/exif/1.0/" ps:City="Munich" ps:Credit="Somebody > nobody"
        exif:GPSLatitude="48,8.5N"
        xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:dc="http://purl.org/dc/elements/1.1/">
       <ps:Country>Germany</ps:Country>
       <exif:GPSLongitude>11,34.5E</exif:GPSLongitude>
       <e:LocationCreated><rdf:Bag><rdf:li rdf:parseType="Resource"><e:City>Munich</e:City></rdf:li></rdf:Bag>
       </e:LocationCreated>
       <e:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture</e:DigitalSourceType>
       <dc:title><rdf:Alt><rdf:li xml:lang="x-default">A <![CDATA[<title>]]></rdf:li></rdf:Alt></dc:title>
      </rdf:Description>
     </rdf:RDF>
    </x:xmpmeta>
    \(String(repeating: " ", count: 2000))
    <?xpacket end="w"?>
    """

  private static func edited(
    _ packet: String, keepsLocation: Bool = false, source: DigitalSource? = .compositeWithTrainedModel
  ) -> String? {
    XMPPacket.edited(Array(packet.utf8), keepsLocation: keepsLocation, source: source)
      .map { String(decoding: $0, as: UTF8.self) }
  }

  @Test func packetsKeepTheRest() throws {
    let result = try #require(Self.edited(Self.packet))
    for gone in ["Munich", "Germany", "GPS", "LocationCreated", "digitalCapture", "          "] {
      #expect(!result.contains(gone), "\(gone)")
    }
    for kept in ["ps:Credit=\"Somebody > nobody\"", "A <![CDATA[<title>]]>", "<!-- <a comment> -->", "A camera"] {
      #expect(result.contains(kept), "\(kept)")
    }
    #expect(result.contains("<Iptc4xmpExt:DigitalSourceType>\(Self.mark)</Iptc4xmpExt:DigitalSourceType>"))
    #expect(result.contains("rdf:about='uuid:1 &amp; 2' xmlns:Iptc4xmpExt"))
    #expect(result.contains("<xmp:CreatorTool xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\">Facet<"))
    // Edited again, nothing is there twice.
    let again = try #require(Self.edited(result))
    #expect(again.components(separatedBy: "DigitalSourceType>").count == 3)
    #expect(again.components(separatedBy: "CreatorTool").count == 3)
    #expect(XMLParser(data: Data(again.utf8)).parse())
  }

  @Test func packetsKeepTheLocationOnRequest() throws {
    let result = try #require(Self.edited(Self.packet, keepsLocation: true, source: nil))
    for kept in ["ps:City=\"Munich\"", "Germany", "exif:GPSLatitude", "LocationCreated", "digitalCapture"] {
      #expect(result.contains(kept), "\(kept)")
    }
    #expect(!result.contains("CreatorTool"))
  }

  @Test func packetsOfOthersKeepTheirTool() throws {
    let tool = Self.packet.replacingOccurrences(
      of: "ps:City=\"Munich\"", with: "xmlns:x1=\"http://ns.adobe.com/xap/1.0/\" x1:CreatorTool=\"Darkroom\"")
    let result = try #require(Self.edited(tool))
    #expect(result.contains("x1:CreatorTool=\"Darkroom\"") && !result.contains(">Facet<"))
  }

  /// What is no packet gives way to a new one; without a reason for one there is none.
  @Test(arguments: [
    "", "no packet", "<a>", "<a></b>", "<a b=c/>", "<a b=\"c/>", "<a/>", "</a>", "<", "<a", "<a ", "<a b", "<a b=",
    "<a b=\"\"", "<a/", "<?", "<!--", "text<a/>", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
    "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"/>", "<a><![CDATA[</a>",
  ])
  func damagedPackets(_ packet: String) throws {
    let result = try #require(Self.edited(packet))
    #expect(result.hasPrefix("<?xpacket") && result.contains(Self.mark) && XMLParser(data: Data(result.utf8)).parse())
    #expect(Self.edited(packet, source: nil) == nil)
  }

  @Test func hugePackets() throws {
    let start = "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"
    let deep = start + String(repeating: "<a>", count: 5000) + String(repeating: "</a>", count: 5000) + "</rdf:RDF>"
    let large = start + String(repeating: "<a b='c'/>", count: 110_000) + "</rdf:RDF>"
    let declared = (0..<20_000).map { "xmlns:p\($0)='u'" }.joined(separator: " ")
    let wide = start + "<a \(declared)>" + String(repeating: "<p1:b/>", count: 20_000) + "</a></rdf:RDF>"
    for packet in [deep, large] {
      #expect(try #require(Self.edited(packet)).utf8.count < 1000)
    }
    #expect(try #require(Self.edited(wide)).hasPrefix(start))
    // In a JPEG's segment there is less room.
    let jpeg = XMPPacket.edited(
      Array(wide.utf8), keepsLocation: false, source: .trainedModel, limit: 65_000)
    #expect(try #require(jpeg).count < 1000)
  }

  @Test func packetsChangedAtRandom() {
    var generator = SplitMix(state: 11)
    for _ in 0..<300 {
      var bytes = Array(Self.packet.utf8)
      for _ in 0..<3 {
        bytes[Int(generator.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: generator.next())
      }
      if generator.next() % 4 == 0 { bytes.removeLast(Int(generator.next() % UInt64(bytes.count))) }
      let result = XMPPacket.edited(bytes, keepsLocation: false, source: .trainedModel)
      #expect(result?.contains(UInt8(ascii: "<")) == true)
    }
  }

  // MARK: IPTC

  private static func dataset(_ number: UInt8, _ text: String) -> [UInt8] {
    [0x1C, 2, number, 0, UInt8(text.utf8.count)] + Array(text.utf8)
  }

  @Test func iptc() throws {
    let place = [26, 27, 90, 92, 95, 100, 101].flatMap { Self.dataset(UInt8($0), "place") }
    let rest = Self.dataset(105, "Headline") + Self.dataset(25, "word")
    let thumbnail: [UInt8] = Array("8BIM".utf8) + [0x04, 0x0C, 0, 0, 0, 0, 0, 3, 1, 2, 3, 0]
    let datasets = place + rest
    let field = Array("Photoshop 3.0\0".utf8) + thumbnail + Array("8BIM".utf8) + [4, 4, 0, 0] + Made.big(datasets.count)
      + datasets + (datasets.count % 2 == 0 ? [] : [0])
    let jpeg = try #require(IPTC.edited(field, keepsLocation: false, for: .jpeg))
    let expected = Array("Photoshop 3.0\08BIM".utf8) + [4, 4, 0, 0] + Made.big(rest.count) + rest
    #expect(jpeg.prefix(expected.count).elementsEqual(expected) && jpeg.count == expected.count + rest.count % 2)
    // Bare in a TIFF, and from there whole again.
    let tiff = try #require(IPTC.edited(field, keepsLocation: true, for: .tiff))
    #expect(tiff.starts(with: datasets) && tiff.count == 4 * datasets.count)
    #expect(IPTC.edited(tiff, keepsLocation: false, for: .jpeg) == jpeg)
    let swapped = stride(from: 0, to: tiff.count, by: 4).flatMap { tiff[$0..<$0 + 4].reversed() }
    #expect(IPTC.edited(swapped, keepsLocation: false, for: .jpeg) == jpeg)
    // What is damaged ends it.
    for count in 0..<field.count { _ = IPTC.edited(Array(field.prefix(count)), keepsLocation: false, for: .jpeg) }
    #expect(IPTC.edited([1, 2, 3], keepsLocation: true, for: .jpeg) == nil)
    #expect(IPTC.edited([0x1C, 2, 5, 0x80, 4, 0, 0, 0, 1, 65], keepsLocation: true, for: .jpeg) == nil)
    var generator = SplitMix(state: 13)
    for _ in 0..<500 {
      var bytes = field
      for _ in 0..<4 {
        bytes[Int(generator.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: generator.next())
      }
      _ = IPTC.edited(bytes, keepsLocation: false, for: .jpeg)
    }
  }

  // MARK: In files

  /// A JPEG with a place in EXIF, XMP and IPTC, and something beside it.
  private static func located(_ scratch: Scratch) throws -> URL {
    let url = scratch.file("located.jpg")
    try Photo(Drawn.gradient(64, 48)).write(to: url)
    try ExifTool.run([
      "-q", "-overwrite_original", "-EXIF:GPSLatitude=48.1", "-EXIF:GPSLatitudeRef=N", "-EXIF:GPSLongitude=11.5",
      "-EXIF:GPSLongitudeRef=E", "-EXIF:GPSAltitude=520", "-EXIF:GPSDateStamp=2024:05:01",
      "-EXIF:GPSProcessingMethod=GPS", "-EXIF:GPSAreaInformation=Munich", "-EXIF:Make=A camera", "-EXIF:ISO=200",
      "-XMP-exif:GPSLatitude=48.1", "-XMP-photoshop:City=Munich", "-XMP-iptcCore:Location=Old town",
      "-XMP-iptcExt:LocationCreatedCity=Munich", "-XMP-dc:Title=A title", "-IPTC:City=Munich",
      "-IPTC:Headline=A headline", url.path,
    ])
    return url
  }

  private static func isPlace(_ tag: String) -> Bool {
    ["GPS", "City", "Location", "Country"].contains { tag.split(separator: ":").last?.hasPrefix($0) == true }
      && !tag.hasPrefix("File") && !tag.hasPrefix("Composite")
  }

  @Test(.enabled(if: ExifTool.path != nil, "exiftool is not installed"), arguments: Photo.Format.allCases)
  func filesSayWhatTheyAre(_ format: Photo.Format) throws {
    let scratch = try Scratch()
    var photo = try Photo(contentsOf: Self.located(scratch))
    photo.digitalSource = .compositeWithTrainedModel
    guard (try? photo.encoded(as: format)) != nil else { return }  // The round trips say so.
    let url = scratch.file("written.\(format == .jpeg ? "jpg" : format.rawValue)")
    try photo.write(to: url)
    var tags = try ExifTool.tags(url)
    #expect(tags.keys.filter(Self.isPlace) == [])
    #expect(tags["XMP-iptcExt:DigitalSourceType"] == Self.mark)
    #expect(tags["XMP-dc:Title"] == "A title" && tags["XMP-xmp:CreatorTool"] == "Facet")
    if format != .tiff { #expect(tags["IFD0:Make"] == "A camera" && tags["ExifIFD:ISO"] == "200") }
    if format == .jpeg || format == .tiff { #expect(tags["IPTC:Headline"] == "A headline") }
    // libvips' EXIF in PNG and WebP makes exiftool warn of its place and head.
    #expect(tags["ExifTool:Error"] == nil && (format == .png || format == .webp || tags["ExifTool:Warning"] == nil))

    try photo.write(to: url, keepsLocation: true)
    tags = try ExifTool.tags(url)
    #expect(tags["XMP-photoshop:City"] == "Munich" && tags["XMP-iptcCore:Location"] == "Old town")
    if format != .tiff { #expect(tags["GPS:GPSLatitude"] == "48.1" && tags["GPS:GPSAreaInformation"] == "Munich") }
    if format == .jpeg || format == .tiff { #expect(tags["IPTC:City"] == "Munich") }
    #expect(tags["XMP-iptcExt:DigitalSourceType"] == Self.mark)

    // And once more, from there.
    try Photo(contentsOf: url).write(to: url)
    tags = try ExifTool.tags(url)
    #expect(tags.keys.filter(Self.isPlace) == [] && tags["XMP-iptcExt:DigitalSourceType"] == Self.mark)
    #expect(tags["XMP-dc:Title"] == "A title" && (format == .tiff || tags["IFD0:Make"] == "A camera"))
    if format == .jpeg || format == .tiff { #expect(tags["IPTC:Headline"] == "A headline") }
  }

  @Test(.enabled(if: ExifTool.path != nil, "exiftool is not installed"))
  func sheetsSayWhatTheyAre() throws {
    let scratch = try Scratch()
    var photo = Photo(Drawn.gradient(32, 32), format: .png)
    try photo.write(to: scratch.file("plain.png"))
    #expect(try ExifTool.tags(scratch.file("plain.png"))["XMP-iptcExt:DigitalSourceType"] == nil)
    photo.digitalSource = .trainedModel
    try photo.write(to: scratch.file("sheet.png"))
    let expected = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    #expect(try ExifTool.tags(scratch.file("sheet.png"))["XMP-iptcExt:DigitalSourceType"] == expected)
    var animation = Animation([photo.picture, Drawn.chessboard(32, 32)], milliseconds: 100)
    animation.digitalSource = .trainedModel
    try animation.write(to: scratch.file("faces.webp"))
    #expect(try ExifTool.tags(scratch.file("faces.webp"))["XMP-iptcExt:DigitalSourceType"] == expected)
  }

  @Test func packetsInFiles() throws {
    let jpeg = try Photo(Drawn.gradient(64, 48)).encoded(as: .jpeg)
    var photo = try Photo(data: Made.insertXMP(Array(Self.packet.utf8), into: jpeg))
    photo.digitalSource = .compositeWithTrainedModel
    for format in Photo.Format.allCases {
      guard let data = try? photo.encoded(as: format) else { continue }
      let packet = String(decoding: try #require(try Photo(data: data).metadata?["xmp-data"]), as: UTF8.self)
      #expect(packet.contains(Self.mark) && packet.contains("ps:Credit") && !packet.contains("Munich"))
    }
    // One that a JPEG could not hold.
    let long = Self.packet.replacingOccurrences(of: "A camera", with: String(repeating: "x", count: 70_000))
    let png = try #require(photo.metadata)
    png["xmp-data"] = Array(long.utf8)
    let written = try Photo(data: photo.encoded(as: .jpeg)).metadata?["xmp-data"] ?? []
    #expect(written.count < 1000 && String(decoding: written, as: UTF8.self).contains(Self.mark))
    let inPNG = try Photo(data: photo.encoded(as: .png)).metadata?["xmp-data"] ?? []
    #expect(inPNG.count > 70_000)
  }
}

/// How a picture came to be, as it is written into its XMP: IPTC's Digital Source Type
/// (<http://cv.iptc.org/newscodes/digitalsourcetype/>).
public enum DigitalSource: String, Sendable, CaseIterable {
  /// A photo with parts that a trained model made: an edited portrait.
  case compositeWithTrainedModel = "compositeWithTrainedAlgorithmicMedia"
  /// Made by a trained model alone: a face that nobody has.
  case trainedModel = "trainedAlgorithmicMedia"

  var uri: String { "http://cv.iptc.org/newscodes/digitalsourcetype/\(rawValue)" }
}

/// An XMP packet, gone through once: what is to be cut out of it and where something can be put in. Bytes in
/// between stay as they are.
///
/// A packet comes from outside. One that is no well-formed XML, that has a document type (and so could define
/// entities) or that is larger than ``sizeLimit`` is not taken.
struct XMPPacket {
  static let sizeLimit = 1 << 20
  private static let depthLimit = 100

  private let bytes: [UInt8]
  /// What to leave out, in order, none inside another.
  private var cuts: [Range<Int>] = []
  /// Behind the start of rdf:RDF.
  private var insertion: Int?
  /// The value of rdf:about in its quotes, which all descriptions in a packet share.
  private var about: Range<Int>?
  private var hasTool = false

  private static let rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
  private static let xmp = "http://ns.adobe.com/xap/1.0/"
  private static let extensions = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"

  private struct Name: Hashable {
    var namespace: String
    var local: String
  }

  /// Where a photo was taken.
  private static let location: Set<Name> = Set(
    ["City", "State", "Country"].map { Name(namespace: "http://ns.adobe.com/photoshop/1.0/", local: $0) }
      + ["Location", "CountryCode"].map { Name(namespace: "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/", local: $0) }
      + [
        "LocationCreated", "LocationShown", "Sublocation", "City", "ProvinceState", "CountryName", "CountryCode",
        "WorldRegion", "LocationId", "LocationName",
      ].map { Name(namespace: extensions, local: $0) })

  private static func isLocation(_ name: Name) -> Bool {
    // exif:GPSLatitude and its like; makers of drones have their own.
    let local = name.local.lowercased()
    return local.hasPrefix("gps") || local == "latitude" || local == "longitude"
      || name.namespace == "http://www.w3.org/2003/01/geo/wgs84_pos#" || location.contains(name)
  }

  /// A packet with the changes that writing a picture needs; nil for one without content.
  /// - Parameters:
  ///   - packet: the packet that came with the file.
  ///   - keepsLocation: whether properties that tell the place stay.
  ///   - source: replaces what the packet says; nil leaves it.
  ///   - limit: the most bytes that the result may have; a packet that is larger gives way to a new one.
  static func edited(
    _ packet: [UInt8]?, keepsLocation: Bool, source: DigitalSource?, limit: Int = sizeLimit
  ) -> [UInt8]? {
    if let packet, let parsed = XMPPacket(packet, keepsLocation: keepsLocation, keepsSource: source == nil) {
      let result = parsed.written(with: source)
      if result.count <= limit { return result }
    }
    guard let source else { return nil }
    let fresh = """
      <?xpacket begin="\u{FEFF}" id="W5M0MpCehiHzreSzNTczkc9d"?>
      <x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="\(rdf)">\
      \(description(of: source, about: "\"\"", hasTool: false))</rdf:RDF></x:xmpmeta>
      <?xpacket end="w"?>
      """
    return Array(fresh.utf8)
  }

  private static func description(of source: DigitalSource, about: String, hasTool: Bool) -> String {
    let tool = hasTool ? "" : "<xmp:CreatorTool xmlns:xmp=\"\(xmp)\">Facet</xmp:CreatorTool>"
    return """
      <rdf:Description xmlns:rdf="\(rdf)" rdf:about=\(about) xmlns:Iptc4xmpExt="\(extensions)">\
      <Iptc4xmpExt:DigitalSourceType>\(source.uri)</Iptc4xmpExt:DigitalSourceType>\(tool)</rdf:Description>
      """
  }

  private func written(with source: DigitalSource?) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count + 500)
    var position = 0
    func copy(to end: Int) {
      if position < end { result += bytes[position..<end] }
      position = max(position, end)
    }
    var isPut = source == nil
    for cut in cuts + [bytes.count..<bytes.count] {
      if !isPut, let insertion, let source, insertion <= cut.lowerBound {
        copy(to: insertion)
        let about = about.map { String(decoding: bytes[$0], as: UTF8.self) } ?? "\"\""
        result += Array(Self.description(of: source, about: about, hasTool: hasTool).utf8)
        isPut = true
      }
      copy(to: cut.lowerBound)
      position = max(position, cut.upperBound)
    }
    return result
  }

  // MARK: Reading

  private struct Element {
    let name: ArraySlice<UInt8>
    let start: Int
    /// Whose namespaces end with it.
    let prefixes: [String]
    let isCut: Bool
    /// Inside of one that is cut.
    let isInsideCut: Bool
  }

  private static let delimiters = Set("<>/=\"'".utf8)
  /// The bytes of a byte order mark.
  private static let mark: [UInt8] = [0xEF, 0xBB, 0xBF]

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }

  /// Nil for what is no packet.
  init?(_ packet: [UInt8], keepsLocation: Bool, keepsSource: Bool) {
    // Some writers end it with a zero.
    let end = (packet.lastIndex { $0 != 0 } ?? -1) + 1
    guard end > 0, end <= Self.sizeLimit, String(validating: packet[..<end], as: UTF8.self) != nil else { return nil }
    bytes = Array(packet[..<end])
    guard parse(keepsLocation, keepsSource), insertion != nil else { return nil }
  }

  private mutating func parse(_ keepsLocation: Bool, _ keepsSource: Bool) -> Bool {
    var open: [Element] = []
    var namespaces: [String: [String]] = [:]
    var position = 0
    // A name's namespace; an attribute without a prefix has none.
    func resolve(_ name: ArraySlice<UInt8>, isAttribute: Bool) -> Name {
      let parts = name.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
      let local = String(decoding: parts[parts.count - 1], as: UTF8.self)
      let prefix = parts.count == 2 ? String(decoding: parts[0], as: UTF8.self) : ""
      return Name(namespace: prefix.isEmpty && isAttribute ? "" : namespaces[prefix]?.last ?? "", local: local)
    }
    func isUnwanted(_ name: Name) -> Bool {
      if name == Name(namespace: Self.extensions, local: "DigitalSourceType") { return !keepsSource }
      // A thumbnail shows the picture before the edit; what an extended packet held is not written.
      if name == Name(namespace: Self.xmp, local: "Thumbnails")
        || name == Name(namespace: "http://ns.adobe.com/xmp/note/", local: "HasExtendedXMP")
      {
        return true
      }
      return !keepsLocation && Self.isLocation(name)
    }
    func end(of text: StaticString, from start: Int) -> Int? {
      let pattern = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
      var i = start
      while i + pattern.count <= bytes.count {
        if bytes[i] == pattern[0] && bytes[i..<i + pattern.count].elementsEqual(pattern) { return i + pattern.count }
        i += 1
      }
      return nil
    }
    func starts(_ text: StaticString) -> Bool {
      let pattern = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
      return bytes[position...].starts(with: pattern)
    }
    func skipSpace() {
      while position < bytes.count && Self.isSpace(bytes[position]) { position += 1 }
    }
    func readName() -> ArraySlice<UInt8>? {
      let start = position
      while position < bytes.count && !Self.isSpace(bytes[position]) && !Self.delimiters.contains(bytes[position]) {
        position += 1
      }
      return start < position ? bytes[start..<position] : nil
    }
    func close(_ element: Element) {
      for prefix in element.prefixes { namespaces[prefix]?.removeLast() }
      if element.isCut { cuts.append(element.start..<position) }
    }

    while position < bytes.count {
      if bytes[position] != UInt8(ascii: "<") {
        let start = position
        position = bytes[position...].firstIndex(of: UInt8(ascii: "<")) ?? bytes.count
        if open.isEmpty {
          // Padding, which a packet that is written anew does not need.
          guard bytes[start..<position].allSatisfy({ Self.isSpace($0) || Self.mark.contains($0) }) else { return false }
          cuts.append(start..<position)
        }
      } else if starts("<?") {
        guard let next = end(of: "?>", from: position + 2) else { return false }
        position = next
      } else if starts("<!--") {
        guard let next = end(of: "-->", from: position + 4) else { return false }
        position = next
      } else if !open.isEmpty && starts("<![CDATA[") {
        guard let next = end(of: "]]>", from: position + 9) else { return false }
        position = next
      } else if starts("<!") {
        return false
      } else if starts("</") {
        position += 2
        guard let name = readName(), let element = open.popLast(), element.name == name else { return false }
        skipSpace()
        guard position < bytes.count, bytes[position] == UInt8(ascii: ">") else { return false }
        position += 1
        close(element)
      } else {
        let start = position
        position += 1
        guard let tag = readName(), open.count < Self.depthLimit else { return false }
        var attributes: [(name: ArraySlice<UInt8>, value: Range<Int>, whole: Range<Int>)] = []
        var prefixes: [String] = []
        while true {
          let before = position
          skipSpace()
          guard position < bytes.count else { return false }
          if bytes[position] == UInt8(ascii: ">") || bytes[position] == UInt8(ascii: "/") { break }
          guard before < position, let name = readName() else { return false }
          skipSpace()
          guard position < bytes.count, bytes[position] == UInt8(ascii: "=") else { return false }
          position += 1
          skipSpace()
          guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") || bytes[position] == UInt8(ascii: "'"),
            let quote = bytes[(position + 1)...].firstIndex(of: bytes[position]),
            !bytes[position..<quote].contains(UInt8(ascii: "<"))
          else { return false }
          attributes.append((name, position..<quote + 1, before..<quote + 1))
          position = quote + 1
          if name.starts(with: "xmlns".utf8) && (name.count == 5 || name.dropFirst(5).first == UInt8(ascii: ":")) {
            let prefix = String(decoding: name.dropFirst(6), as: UTF8.self)
            let value = attributes[attributes.count - 1].value
            let uri = String(decoding: bytes[value.lowerBound + 1..<value.upperBound - 1], as: UTF8.self)
            namespaces[prefix, default: []].append(uri)
            prefixes.append(prefix)
          }
        }
        let isEmpty = bytes[position] == UInt8(ascii: "/")
        position += isEmpty ? 2 : 1
        guard position <= bytes.count, bytes[position - 1] == UInt8(ascii: ">") else { return false }

        let isInside = open.last.map { $0.isCut || $0.isInsideCut } ?? false
        let name = resolve(tag, isAttribute: false)
        let isCut = !isInside && isUnwanted(name)
        if !isInside && !isCut {
          if name == Name(namespace: Self.rdf, local: "RDF") && insertion == nil && !isEmpty { insertion = position }
          hasTool = hasTool || name == Name(namespace: Self.xmp, local: "CreatorTool")
          for attribute in attributes where !attribute.name.starts(with: "xmlns".utf8) {
            let resolved = resolve(attribute.name, isAttribute: true)
            if isUnwanted(resolved) { cuts.append(attribute.whole) }
            hasTool = hasTool || resolved == Name(namespace: Self.xmp, local: "CreatorTool")
            if about == nil && name.local == "Description" && resolved.local == "about" { about = attribute.value }
          }
        }
        let element = Element(name: tag, start: start, prefixes: prefixes, isCut: isCut, isInsideCut: isInside)
        if isEmpty { close(element) } else { open.append(element) }
      }
    }
    return open.isEmpty
  }
}

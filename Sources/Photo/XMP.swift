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
  /// What it says of other data in the file.
  private(set) var contents = Contents()

  /// Other data that a packet speaks of, which is no longer there in a file that is written.
  struct Contents {
    /// Properties, without their namespace, of the parts that the file is made of, the picture first (Google's
    /// Container).
    var items: [[String: String]] = []
    var hasGainMap = false
    var hasVideo = false
    var hasSound = false
    var hasDepth = false

    fileprivate mutating func see(_ name: Name, _ value: String?) {
      switch name.namespace {
      case XMPPacket.container:
        if value == nil && name.local == "Item" { items.append([:]) }
      case XMPPacket.item:
        guard let value else { return }
        if items.last?[name.local] == nil && !items.isEmpty {
          items[items.count - 1][name.local] = value
        } else {
          items.append([name.local: value])
        }
        hasGainMap = hasGainMap || value == "GainMap"
        hasVideo = hasVideo || value == "MotionPhoto" || value.hasPrefix("video/")
        hasDepth = hasDepth || value == "Depth"
      case XMPPacket.gainMap: hasGainMap = true
      case XMPPacket.camera:
        hasVideo = hasVideo || (name.local == "MotionPhoto" || name.local == "MicroVideo") && value == "1"
      case XMPPacket.photos + "depthmap/": hasDepth = true
      case XMPPacket.photos + "audio/": hasSound = true
      default: hasDepth = hasDepth || name.namespace.hasPrefix(XMPPacket.dynamicDepth)
      }
    }
  }

  private static let photos = "http://ns.google.com/photos/1.0/"
  private static let camera = photos + "camera/"
  private static let container = photos + "container/"
  private static let item = container + "item/"
  private static let dynamicDepth = "http://ns.google.com/photos/dd/1.0/"
  private static let gainMap = "http://ns.adobe.com/hdr-gain-map/1.0/"
  private static let note = "http://ns.adobe.com/xmp/note/"

  /// Whether a property speaks of data that lies elsewhere in the file it came from.
  private static func isOfContents(_ name: Name) -> Bool {
    switch name.namespace {
    case container, item, gainMap, note, photos + "depthmap/", photos + "image/", photos + "audio/": true
    case camera: name.local.hasPrefix("MotionPhoto") || name.local.hasPrefix("MicroVideo")
    default: name.namespace.hasPrefix(dynamicDepth)
    }
  }

  private static let rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
  private static let xmp = "http://ns.adobe.com/xap/1.0/"
  private static let extensions = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"

  fileprivate struct Name: Hashable {
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
  ///   - gainMap: the bytes of the gain map that lies behind the picture; nil for none.
  ///   - limit: the most bytes that the result may have; a packet that is larger gives way to a new one.
  static func edited(
    _ packet: [UInt8]?, keepsLocation: Bool, source: DigitalSource?, gainMap: Int? = nil, limit: Int = sizeLimit
  ) -> [UInt8]? {
    let container = gainMap.map(description(ofGainMap:))
    if let packet, let parsed = XMPPacket(packet, keepsLocation: keepsLocation, keepsSource: source == nil) {
      let result = parsed.written { about, hasTool in
        (source.map { description(of: $0, about: about, hasTool: hasTool) } ?? "") + (container?(about) ?? "")
      }
      if result.count <= limit { return result }
    }
    if source == nil && container == nil { return nil }
    let about = "\"\""
    let fresh = """
      <?xpacket begin="\u{FEFF}" id="W5M0MpCehiHzreSzNTczkc9d"?>
      <x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="\(rdf)">\
      \(source.map { description(of: $0, about: about, hasTool: false) } ?? "")\(container?(about) ?? "")</rdf:RDF></x:xmpmeta>
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

  /// What a file with a gain map behind its picture says of it.
  private static func description(ofGainMap length: Int) -> (_ about: String) -> String {
    { about in
      """
      <rdf:Description xmlns:rdf="\(rdf)" rdf:about=\(about) xmlns:hdrgm="\(gainMap)" xmlns:Container="\(container)" \
      xmlns:Item="\(item)" hdrgm:Version="1.0"><Container:Directory><rdf:Seq><rdf:li rdf:parseType="Resource">\
      <Container:Item Item:Semantic="Primary" Item:Mime="image/jpeg"/></rdf:li><rdf:li rdf:parseType="Resource">\
      <Container:Item Item:Semantic="GainMap" Item:Mime="image/jpeg" Item:Length="\(length)"/></rdf:li></rdf:Seq>\
      </Container:Directory></rdf:Description>
      """
    }
  }

  /// - Parameter added: what is put in, by the value of rdf:about and whether a tool is named.
  private func written(adding added: (_ about: String, _ hasTool: Bool) -> String) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count + 500)
    var position = 0
    func copy(to end: Int) {
      if position < end { result += bytes[position..<end] }
      position = max(position, end)
    }
    var isPut = false
    for cut in cuts + [bytes.count..<bytes.count] {
      if !isPut, let insertion, insertion <= cut.lowerBound {
        copy(to: insertion)
        let about = about.map { String(decoding: bytes[$0], as: UTF8.self) } ?? "\"\""
        result += Array(added(about, hasTool).utf8)
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
    let resolved: Name
    /// Behind its start tag.
    let content: Int
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
      // A thumbnail shows the picture before the edit; other data of the file it came from is not written.
      if name == Name(namespace: Self.xmp, local: "Thumbnails") || Self.isOfContents(name) { return true }
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
    func close(_ element: Element, contentEnd: Int) {
      if element.content < contentEnd {
        contents.see(element.resolved, String(decoding: bytes[element.content..<contentEnd], as: UTF8.self))
      }
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
        let contentEnd = position
        position += 2
        guard let name = readName(), let element = open.popLast(), element.name == name else { return false }
        skipSpace()
        guard position < bytes.count, bytes[position] == UInt8(ascii: ">") else { return false }
        position += 1
        close(element, contentEnd: contentEnd)
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
        contents.see(name, nil)
        for attribute in attributes where !attribute.name.starts(with: "xmlns".utf8) {
          let value = bytes[attribute.value.lowerBound + 1..<attribute.value.upperBound - 1]
          contents.see(resolve(attribute.name, isAttribute: true), String(decoding: value, as: UTF8.self))
        }
        let isCut = !isInside && isUnwanted(name)
        if !isInside && !isCut {
          if name == Name(namespace: Self.rdf, local: "RDF") && insertion == nil && !isEmpty { insertion = position }
          hasTool = hasTool || name == Name(namespace: Self.xmp, local: "CreatorTool")
          for attribute in attributes {
            if attribute.name.starts(with: "xmlns".utf8) {
              // A namespace of which all is left out goes, too.
              let space = bytes[attribute.value.lowerBound + 1..<attribute.value.upperBound - 1]
              if Self.isOfContents(Name(namespace: String(decoding: space, as: UTF8.self), local: "")) {
                cuts.append(attribute.whole)
              }
              continue
            }
            let resolved = resolve(attribute.name, isAttribute: true)
            if isUnwanted(resolved) { cuts.append(attribute.whole) }
            hasTool = hasTool || resolved == Name(namespace: Self.xmp, local: "CreatorTool")
            if about == nil && name.local == "Description" && resolved.local == "about" { about = attribute.value }
          }
        }
        let element = Element(
          name: tag, start: start, prefixes: prefixes, isCut: isCut, isInsideCut: isInside, resolved: name,
          content: position)
        if isEmpty { close(element, contentEnd: position) } else { open.append(element) }
      }
    }
    return open.isEmpty
  }
}

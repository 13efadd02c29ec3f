/// What a file holds beside the picture that is edited.
struct Container: Sendable {
  /// One that is for a picture as it is to be seen.
  var gainMap: GainMap?
  /// What is not written again, whatever the format.
  var losses: [PhotoLoss] = []
  /// Frames or pages, and what they are called; nil for one picture.
  var pictures: (count: Int, name: String)?

  /// Of a picture without a file.
  init() {}

  /// - Parameters:
  ///   - pages: as libvips counts them.
  ///   - size: of the file.
  init(
    _ format: Photo.Format, orientation: Int, pages: Int, xmp: [UInt8]?, size: Int, _ read: @escaping Coding.Reader
  ) {
    switch format {
    case .jpeg: readJPEG(orientation, xmp, size, read)
    case .png: readPNG(read)
    case .webp:
      if pages > 1 { pictures = (pages, "frames") }
      readWebP(read)
    case .tiff: readTIFF(read)
    case .heic, .avif: readHEIF(pages, read)
    }
  }

  // MARK: JPEG

  private mutating func readJPEG(
    _ orientation: Int, _ xmp: [UInt8]?, _ size: Int, _ read: @escaping Coding.Reader
  ) {
    let segments = JPEGSegments(read)
    let contents = xmp.flatMap { XMPPacket($0, keepsLocation: true, keepsSource: true)?.contents } ?? .init()
    var found: [PhotoLoss] = []
    var pictures = Self.multiPictures(segments, size, read)
    found += pictures.contains { $0.isOther } ? [.otherPictures] : []
    // Items that XMP names lie one behind the other up to the end of the file.
    var end = size
    for item in contents.items.dropFirst().reversed() {
      guard let length = item["Length"].flatMap(Int.init), length > 0, length < end else { break }
      let start = end - length - min(end - length, max(0, item["Padding"].flatMap(Int.init) ?? 0))
      if item["Mime"] == "image/jpeg" { pictures.append((start..<start + length, false)) }
      end = start
    }
    let map = GainMap(among: pictures.map { $0.place }, segments, read)
    gainMap = map?.turned(orientation)
    if gainMap == nil && (map != nil || contents.hasGainMap) { found.append(.gainMap) }
    // Gain maps are no other pictures.
    if map != nil && pictures.count(where: { $0.isOther }) == 1 { found.removeAll { $0 == .otherPictures } }
    if contents.hasVideo || Self.hasSamsungVideo(size, read) { found.append(.video) }
    if contents.hasSound { found.append(.sound) }
    if contents.hasDepth { found.append(.depthMap) }
    // A packet may speak of an extension that some program left out.
    if segments.body(0xE1, named: JPEGSegments.extendedXMP, read) != nil { found.append(.extendedXMP) }
    if segments.all.contains(where: { $0.marker == 0xFE && !$0.body.isEmpty }) { found.append(.comment) }
    if Self.hasCredentials(segments, read) { found.append(.credentials) }
    losses = found
  }

  /// Where an index says that pictures lie behind the first one, and whether they are others than previews of it.
  private static func multiPictures(
    _ segments: JPEGSegments, _ size: Int, _ read: @escaping Coding.Reader
  ) -> [(place: Range<Int>, isOther: Bool)] {
    guard let index = segments.body(0xE2, named: JPEGSegments.multiPicture, read),
      let block = TIFFBlock({ offset, count in
        guard offset >= 0, offset < index.count else { return [] }
        return read(index.lowerBound + offset, min(count, index.count - offset))
      })
    else { return [] }
    let entries = block.directory(at: block.first).entries.first { $0.tag == 0xB002 }?.value ?? []
    return stride(from: 16, to: entries.count - 15, by: 16).prefix(64).compactMap { start in
      func number(_ place: Int) -> Int {
        let bytes = entries[start + place..<start + place + 4]
        return (block.isBigEndian ? Array(bytes) : bytes.reversed()).reduce(0) { $0 << 8 | Int($1) }
      }
      let begin = index.lowerBound + number(8)
      guard number(8) > 0, number(4) > 0, begin + number(4) <= size else { return nil }
      // Types 0x0100… are previews at other sizes.
      return (begin..<begin + number(4), number(0) & 0xFF0000 != 0x010000)
    }
  }

  /// Whether a box of JUMBF begins in one of the segments that are for boxes (ISO 19566-5).
  private static func hasCredentials(_ segments: JPEGSegments, _ read: Coding.Reader) -> Bool {
    // "JP", the box's number, the part's number, and the box's length come first.
    segments.all.contains { $0.marker == 0xEB && Array(read($0.body.lowerBound, 16).suffix(4)) == Array("jumb".utf8) }
  }

  /// Samsung's cameras put a directory of what follows the picture at the end of the file.
  private static func hasSamsungVideo(_ size: Int, _ read: Coding.Reader) -> Bool {
    guard size > 8, read(size - 4, 4) == Array("SEFT".utf8) else { return false }
    let length = read(size - 8, 4).reversed().reduce(0) { $0 << 8 | Int($1) }
    // The directory names each part by number: 0x0A30 is the video.
    let directory = read(max(0, size - 8 - min(length, 1 << 16)), min(length, 1 << 16))
    return stride(from: 12, to: directory.count - 11, by: 12).contains { Array(directory[$0 + 2..<$0 + 4]) == [0x30, 0x0A] }
  }

  // MARK: Other formats

  /// Chunks up to the pixels: an animated PNG says so before them.
  private mutating func readPNG(_ read: Coding.Reader) {
    func number(_ bytes: some Sequence<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }
    var offset = 8
    for _ in 0..<4096 {
      let head = read(offset, 12)
      guard head.count == 12, Array(head[4..<8]) != Array("IDAT".utf8) else { return }
      if Array(head[4..<8]) == Array("caBX".utf8) { losses.append(.credentials) }
      if Array(head[4..<8]) == Array("acTL".utf8) {
        if number(head[8..<12]) > 1 { pictures = (number(head[8..<12]), "frames") }
        return
      }
      offset += 12 + number(head[0..<4])
    }
  }

  private mutating func readWebP(_ read: Coding.Reader) {
    var offset = 12
    for _ in 0..<4096 {
      let head = read(offset, 8)
      guard head.count == 8 else { return }
      if Array(head[0..<4]) == Array("C2PA".utf8) { return losses.append(.credentials) }
      let size = head[4..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
      offset += 8 + size + size & 1
    }
  }

  private mutating func readTIFF(_ read: @escaping Coding.Reader) {
    guard let tiff = TIFFBlock(read) else { return }
    var (place, count) = (tiff.first, 0)
    for _ in 0..<1000 where place != 0 {
      let (entries, next) = tiff.directory(at: place)
      // Smaller copies and masks are no pages.
      if (tiff.number(of: 0x00FE, in: entries) ?? 0) & 5 == 0 && tiff.number(of: 0x00FF, in: entries) != 2 { count += 1 }
      if place == tiff.first && tiff.holds(0x935C, at: place) { losses.append(.layers) }
      if place == tiff.first && tiff.holds(0xCD41, at: place) { losses.append(.credentials) }
      place = next
    }
    if count > 1 { pictures = (count, "pages") }
  }

  /// The name of the box of Content Credentials.
  private static let credentialsBox: [UInt8] = [
    0xD8, 0xFE, 0xC3, 0xD6, 0x1B, 0x0E, 0x48, 0x3C, 0x92, 0x97, 0x58, 0x28, 0x87, 0x7E, 0xC4, 0x81,
  ]

  /// What Apple and others keep beside the picture: each has a name in the boxes before the pixels.
  private mutating func readHEIF(_ pages: Int, _ read: Coding.Reader) {
    let boxes = read(0, 1 << 18)
    func holds(_ name: String) -> Bool { boxes.firstRange(of: Array(name.utf8)) != nil }
    if holds("aux:hdrgainmap") || holds("tmap") { losses.append(.gainMap) }
    if holds("hevc:2015:auxid:2") || holds("auxid:depth") || holds("systems:auxiliary:depth") { losses.append(.depthMap) }
    if boxes.firstRange(of: Self.credentialsBox) != nil { losses.append(.credentials) }
    if pages > 1 || holds("apple:photo:2018:aux") || holds("apple:photo:2019:aux") { losses.append(.otherPictures) }
  }
}

extension TIFFBlock {
  /// Whether a directory has a tag, however long.
  fileprivate func holds(_ tag: Int, at offset: Int) -> Bool { rows(at: offset).contains { $0.tag == tag } }
}

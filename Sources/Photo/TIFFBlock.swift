/// Directories of TIFF 6.0, as TIFF files and EXIF blocks have them: what people and cameras say of a picture.
///
/// libvips neither reads EXIF from TIFF files nor writes it into them; this does both.
struct TIFFBlock {
  typealias Reader = Coding.Reader

  /// A tag with its values, in the byte order of the block.
  struct Entry: Equatable {
    var tag: Int
    var type: Int
    var value: [UInt8]
    var count: Int { value.count / TIFFBlock.size(of: type) }
  }

  let isBigEndian: Bool
  let read: Reader
  /// Where the first directory is.
  let first: Int

  /// No picture's words take more, nor fit into a JPEG's segment.
  private static let valueLimit = 60_000
  private static let entryLimit = 1000

  static let (exifPointer, gpsPointer, interoperabilityPointer) = (0x8769, 0x8825, 0xA005)
  /// Tags of a first directory that speak of the picture and not of how it is stored: description, make, model,
  /// software, date, artist, host computer, rating, copyright, and Windows' names for some of them.
  private static let words: Set<Int> = [
    0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C, 0x4746, 0x4749, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F,
  ]

  /// Nil for what does not begin as a TIFF does. Those of more than 4 GB have another form, and are none here.
  init?(_ read: @escaping Reader) {
    let head = read(0, 8)
    guard head.count == 8, head[0] == head[1], head[0] == 0x49 || head[0] == 0x4D else { return nil }
    isBigEndian = head[0] == 0x4D
    self.read = read
    guard Self.number(head[2..<4], isBigEndian) == 42 else { return nil }
    first = Self.number(head[4..<8], isBigEndian)
  }

  static func size(of type: Int) -> Int { [1, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4].dropFirst(type).first ?? 1 }

  private static func number(_ bytes: some Collection<UInt8>, _ isBigEndian: Bool) -> Int {
    let ordered = isBigEndian ? Array(bytes) : bytes.reversed()
    return ordered.reduce(0) { $0 << 8 | Int($1) }
  }

  private static func bytes(_ number: Int, _ count: Int, _ isBigEndian: Bool) -> [UInt8] {
    let big = (0..<count).map { UInt8(truncatingIfNeeded: number >> (8 * (count - 1 - $0))) }
    return isBigEndian ? big : big.reversed()
  }

  /// A directory's entries, those too long to keep left out, and where the next one is; 0 for none.
  func directory(at offset: Int) -> (entries: [Entry], next: Int) {
    let head = read(offset, 2)
    guard offset >= 8, head.count == 2 else { return ([], 0) }
    let count = Self.number(head, isBigEndian)
    guard count <= Self.entryLimit else { return ([], 0) }
    let rows = read(offset + 2, 12 * count + 4)
    guard rows.count == 12 * count + 4 else { return ([], 0) }
    let entries = (0..<count).compactMap { index -> Entry? in
      let row = rows[12 * index..<12 * index + 12]
      let place = row.startIndex
      let type = Self.number(row[place + 2..<place + 4], isBigEndian)
      let size = Self.number(row[place + 4..<place + 8], isBigEndian) * Self.size(of: type)
      guard size <= Self.valueLimit else { return nil }
      let field = row[place + 8..<place + 12]
      let value = size <= 4 ? Array(field.prefix(size)) : read(Self.number(field, isBigEndian), size)
      guard value.count == size else { return nil }
      return Entry(tag: Self.number(row[place..<place + 2], isBigEndian), type: type, value: value)
    }
    return (entries, Self.number(rows.suffix(4), isBigEndian))
  }

  func number(of tag: Int, in entries: [Entry]) -> Int? {
    entries.first { $0.tag == tag }.map { Self.number($0.value.prefix(Self.size(of: $0.type)), isBigEndian) }
  }

  private func directory(_ pointer: Int, of entries: [Entry]) -> [Entry] {
    // Where another directory begins means nothing elsewhere.
    number(of: pointer, in: entries).map { directory(at: $0).entries.filter { $0.tag != Self.interoperabilityPointer } } ?? []
  }

  // MARK: EXIF

  /// What people and cameras say of a picture: the words of its first directory, EXIF's and GPS's.
  struct Words {
    var isBigEndian: Bool
    var words: [Entry]
    var exif: [Entry]
    var gps: [Entry]

    var isEmpty: Bool { words.isEmpty && exif.isEmpty && gps.isEmpty }
  }

  var words: Words {
    let entries = directory(at: first).entries
    return Words(
      isBigEndian: isBigEndian, words: entries.filter { Self.words.contains($0.tag) },
      exif: directory(Self.exifPointer, of: entries), gps: directory(Self.gpsPointer, of: entries))
  }

  /// The EXIF block, "Exif" and what follows, of a TIFF file; nil for one that says nothing.
  static func exif(of read: @escaping Reader) -> [UInt8]? {
    guard let words = TIFFBlock(read)?.words, !words.isEmpty else { return nil }
    var block = Array(JPEGSegments.exif.utf8)
    block += Array((words.isBigEndian ? "MM" : "II").utf8)
    block += bytes(42, 2, words.isBigEndian)
    block += bytes(8, 4, words.isBigEndian)
    block += written(words.words, words, at: 8)
    return block
  }

  /// A TIFF file that says what an EXIF block does; as it is where it says nothing.
  /// - Parameters:
  ///   - file: one picture's.
  ///   - exif: with its name, as a JPEG's segment has it.
  ///   - size: of the picture, which EXIF repeats.
  static func adding(_ exif: [UInt8], to file: [UInt8], size: (width: Int, height: Int)) -> [UInt8] {
    let name = Array(JPEGSegments.exif.utf8)
    guard exif.starts(with: name), let block = TIFFBlock(reader(of: Array(exif.dropFirst(name.count)))),
      let tiff = TIFFBlock(reader(of: file))
    else { return file }
    var words = block.words
    if words.isEmpty { return file }
    for (tag, side) in [(0xA002, size.width), (0xA003, size.height)] {
      words.exif.removeAll { $0.tag == tag }
      words.exif.append(Entry(tag: tag, type: 4, value: bytes(side, 4, words.isBigEndian)))
    }
    if words.isBigEndian != tiff.isBigEndian { words = words.swapped }
    let own = tiff.directory(at: tiff.first)
    let tags = Set(own.entries.map(\.tag))
    var result = file + [UInt8](repeating: 0, count: file.count % 2)
    let place = result.count
    guard place + exif.count * 2 < 1 << 32 else { return file }
    // The file's own values stay where they are, and rows that are too long to be read here as they are.
    let rows = tiff.rows(at: tiff.first)
    let added = words.words.filter { !tags.contains($0.tag) }
    result += written(added, words, beside: rows, at: place, next: own.next)
    result.replaceSubrange(4..<8, with: bytes(place, 4, tiff.isBigEndian))
    return result
  }

  /// A directory's rows of twelve bytes, by tag.
  func rows(at offset: Int) -> [(tag: Int, row: [UInt8])] {
    let count = Self.number(read(offset, 2), isBigEndian)
    return (0..<count).map { index in
      let row = read(offset + 2 + 12 * index, 12)
      return (Self.number(row.prefix(2), isBigEndian), row)
    }
  }

  /// A first directory with EXIF's and GPS's behind it, as it stands in a file at `place`.
  private static func written(
    _ entries: [Entry], _ words: Words, beside rows: [(tag: Int, row: [UInt8])] = [], at place: Int, next: Int = 0
  ) -> [UInt8] {
    let order = words.isBigEndian
    var entries = entries
    let pointers = [(exifPointer, words.exif), (gpsPointer, words.gps)].filter { !$0.1.isEmpty }
    entries += pointers.map { Entry(tag: $0.0, type: 4, value: [0, 0, 0, 0]) }
    // First, so that the others' places are known.
    let size = directory(entries, beside: rows, order, at: place, next: next).count
    var behind: [UInt8] = []
    for (pointer, directoryEntries) in pointers {
      let start = place + size + behind.count
      behind += directory(directoryEntries, order, at: start)
      if let index = entries.firstIndex(where: { $0.tag == pointer }) { entries[index].value = bytes(start, 4, order) }
    }
    return directory(entries, beside: rows, order, at: place, next: next) + behind
  }

  /// One directory and its values; an even number of bytes.
  private static func directory(
    _ entries: [Entry], beside rows: [(tag: Int, row: [UInt8])] = [], _ order: Bool, at place: Int, next: Int = 0
  ) -> [UInt8] {
    let count = entries.count + rows.count
    var values: [UInt8] = []
    let start = place + 2 + 12 * count + 4
    let made = entries.map { entry -> (tag: Int, row: [UInt8]) in
      var row = bytes(entry.tag, 2, order)
      row += bytes(entry.type, 2, order)
      row += bytes(entry.count, 4, order)
      if entry.value.count <= 4 {
        row += entry.value + [UInt8](repeating: 0, count: 4 - entry.value.count)
      } else {
        row += bytes(start + values.count, 4, order)
        values += entry.value + [UInt8](repeating: 0, count: entry.value.count % 2)
      }
      return (entry.tag, row)
    }
    let sorted = (made + rows).sorted { $0.tag < $1.tag }.flatMap(\.row)
    var result = bytes(count, 2, order)
    result += sorted
    result += bytes(next, 4, order)
    result += values
    return result
  }
}

extension TIFFBlock.Words {
  /// In the other byte order.
  fileprivate var swapped: Self {
    func swapped(_ entries: [TIFFBlock.Entry]) -> [TIFFBlock.Entry] {
      entries.map { entry in
        // Fractions are two numbers.
        let size = [5, 10].contains(entry.type) ? 4 : TIFFBlock.size(of: entry.type)
        var entry = entry
        entry.value = stride(from: 0, to: entry.value.count, by: size).flatMap {
          entry.value[$0..<min(entry.value.count, $0 + size)].reversed()
        }
        return entry
      }
    }
    return .init(isBigEndian: !isBigEndian, words: swapped(words), exif: swapped(exif), gps: swapped(gps))
  }
}

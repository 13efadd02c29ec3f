/// How a file's pixels were coded, as far as writing them again goes by it; read from the container alone.
struct Coding: Equatable, Sendable {
  /// A JPEG's quality on libjpeg's scale, 1…100; nil for other formats.
  var quality: Int?
  /// A JPEG in several scans.
  var isProgressive = false
  /// A JPEG whose colour has half the resolution each way. Written again alike, with the same tables, pixels that were
  /// not changed come out nearly as they were; in full resolution they would be rounded anew.
  var isSubsampled = false
  /// A WebP without loss.
  var isLossless = false
  /// To be written in less time, into more bytes.
  var isQuick = false
}

extension Coding {
  /// Bytes of a file from an offset on; fewer than asked for at its end.
  typealias Reader = (_ offset: Int, _ count: Int) -> [UInt8]

  init(_ format: Photo.Format, _ read: Reader) {
    switch format {
    case .jpeg: readJPEG(read)
    case .webp: readWebP(read)
    default: break
    }
  }

  /// No file has more chunks before its pixels; one that has is not read further.
  private static let chunkLimit = 4096

  /// Goes through a JPEG's segments to its first scan.
  private mutating func readJPEG(_ read: Reader) {
    var tables: [UInt8: [Int]] = [:]
    var usedTables: [UInt8] = []
    for segment in JPEGSegments(read).all {
      func body() -> [UInt8] { read(segment.body.lowerBound, segment.body.count) }
      switch segment.marker {
      case 0xDB:
        Self.readTables(body(), into: &tables)
      case 0xC0...0xC3:
        isProgressive = segment.marker == 0xC2
        // Bits, height, width, number of components; then number, sampling and table of each.
        let frame = body()
        usedTables = stride(from: 8, to: min(frame.count, 8 + 3 * 4), by: 3).map { frame[$0] }
        isSubsampled = stride(from: 7, to: min(frame.count, 7 + 3 * 3), by: 3).map { frame[$0] } == [0x22, 0x11, 0x11]
      default:
        break
      }
    }
    // Components behind the first, which is brightness, share the table of colour.
    let qualities = usedTables.enumerated().compactMap { index, table in
      tables[table].map { Self.quality(of: $0, Self.tables[index == 0 || table == usedTables[0] ? 0 : 1]) }
    }
    quality = qualities.max()
  }

  /// The tables of a DQT segment: precision and number, then 64 values of one or two bytes; and again.
  private static func readTables(_ segment: [UInt8], into tables: inout [UInt8: [Int]]) {
    var i = 0
    while i < segment.count {
      let size = segment[i] >> 4 == 0 ? 1 : 2
      guard i + 1 + 64 * size <= segment.count else { return }
      let start = i + 1
      tables[segment[i] & 15] = (0..<64).map { k in
        size == 1 ? Int(segment[start + k]) : Int(segment[start + 2 * k]) << 8 | Int(segment[start + 2 * k + 1])
      }
      i = start + 64 * size
    }
  }

  /// The lowest quality at which libjpeg's table is in sum not coarser than this one; libjpeg's own
  /// tables give the quality they were made with.
  ///
  /// libjpeg scales by s = 5000 / quality below 50 and s = 200 − 2 · quality from there, and takes
  /// (value · s + 50) / 100 between 1 and 255 (jcparam.c).
  private static func quality(of table: [Int], _ standard: [Int]) -> Int {
    let sum = table.reduce(0, +)
    return (1...100).first { quality in
      let scale = quality < 50 ? 5000 / quality : 200 - 2 * quality
      return standard.reduce(0) { $0 + max(1, min(255, ($1 * scale + 50) / 100)) } <= sum
    } ?? 100
  }

  /// The tables of ITU-T T.81, annex K, for brightness and colour. Only their sums are used, so that the order
  /// does not matter.
  private static let tables = [
    [
      16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29,
      51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121,
      120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
    ],
    [
      17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99,
      99, 99, 99, 99,
    ] + [Int](repeating: 99, count: 32),
  ]

  /// Goes through a WebP's chunks to its pixels: VP8L is the lossless kind.
  private mutating func readWebP(_ read: Reader) {
    var offset = 12
    for _ in 0..<Self.chunkLimit {
      let head = read(offset, 8)
      guard head.count == 8 else { return }
      switch head[0..<4] {
      case [0x56, 0x50, 0x38, 0x4C]:  // VP8L
        isLossless = true
        return
      case [0x56, 0x50, 0x38, 0x20]:  // VP8 and a space
        return
      case [0x41, 0x4E, 0x4D, 0x46]:  // ANMF: a frame's chunks follow its sixteen bytes
        offset += 8 + 16
      default:
        let size = (0..<4).reduce(0) { $0 | Int(head[4 + $1]) << (8 * $1) }
        offset += 8 + size + size & 1
      }
    }
  }
}

import Dispatch
import Facet
import Files
import Foundation
import Synchronization

/// A partition's samples, decoded, cropped and resized once, in a memory-mapped file.
///
/// The file is named by a hash of everything that decides its content: the configuration and the
/// names, sizes and times of the partition's files. A changed photo or another crop gives another
/// file; opening an existing one decodes nothing. Of two processes that want the same file one builds
/// it and the other waits.
///
/// Layout: the records of `SampleDecoder`, a checksum of each (8 bytes, little endian), then a JSON
/// `Index`, its length (8 bytes, little endian) and eight bytes that name the format.
public final class DecodedCache: Sendable {
  /// The data set, whose ``CelebA/labels`` go with the samples.
  public let dataset: CelebA
  /// The part of the data set that is decoded.
  public let partition: Partition
  /// Positions in ``CelebA/samples`` of the cached samples, ascending.
  public let sampleIndices: [Int]
  /// The partition's photos that were left out, each with its fault.
  public let skipped: [DatasetError]
  /// The number of samples that opening this cache decoded: 0 where the file was there already.
  public let decodedCount: Int
  /// The file on disk.
  public var url: URL { file.url }
  /// The number of samples.
  public var count: Int { sampleIndices.count }
  /// Width and height of a sample in pixels.
  public var size: Int { dataset.configuration.size }
  /// Whether samples have masks.
  package var hasMasks: Bool { dataset.configuration.requiresMasks }

  private let file: MappedFile
  private let recordBytes: Int

  /// What stands at the end of the file.
  private struct Index: Codable {
    struct Skipped: Codable {
      /// Position among the partition's samples.
      var position: Int
      var fault: DatasetError
    }
    var key: String
    /// The partition's samples, skipped ones included.
    var count: Int
    var recordBytes: Int
    var skipped: [Skipped]
  }

  private static let magic = Array("FACETDC2".utf8)
  private static let checksumBytes = 8

  /// Where caches are kept: `$XDG_CACHE_HOME/facet/datasets`, or `~/.cache/facet/datasets`.
  package static var defaultFolder: URL {
    let environment = ProcessInfo.processInfo.environment
    let base: URL
    if let path = environment["XDG_CACHE_HOME"], path.hasPrefix("/") {
      base = URL(fileURLWithPath: path, isDirectory: true)
    } else {
      base = FileManager.default.homeDirectoryForCurrentUser.appendingPathComponent(".cache", isDirectory: true)
    }
    return base.appendingPathComponent("facet/datasets", isDirectory: true)
  }

  /// Opens the cache of a partition; builds it first, on all cores, where it is missing or damaged.
  ///
  /// A faulty photo is left out and listed in ``skipped``.
  /// - Parameters:
  ///   - folder: The folder of the file, ``defaultFolder`` where nil.
  ///   - progress: Called now and then while building, with the photos done and their total.
  ///   - partition: the part of it.
  ///   - dataset: the data set.
  ///   - waiting: Called about once a second while another process builds the file, with who that is.
  /// - Throws: ``DatasetError`` of kind `tooManyFaults` where more photos are faulty than the
  ///   configuration tolerates, or none is good; `FileError` where the file cannot be written.
  public static func open(
    _ dataset: CelebA, partition: Partition, in folder: URL? = nil,
    waiting: (_ holder: String) -> Void = { _ in }, progress: ((_ done: Int, _ total: Int) -> Void)? = nil
  ) throws -> DecodedCache {
    let samples = dataset.indices(of: partition)
    guard !samples.isEmpty else {
      let path = dataset.directory.appendingPathComponent(CelebA.partitionList).path
      throw DatasetError(.missingFile, path: path, reason: "no photo belongs to partition \(partition.rawValue)")
    }
    let key = Self.key(of: samples, in: dataset)
    let url = (folder ?? defaultFolder).appendingPathComponent(key)
    func existing() -> DecodedCache? {
      try? DecodedCache(url, dataset, partition, samples, key: key, decodedCount: 0)
    }
    if let cache = existing() { return cache }
    let lock = try WriteLock.file(url, waiting: waiting)
    defer { withExtendedLifetime(lock) {} }
    // Made by whoever was waited for.
    if let cache = existing() { return cache }
    let decoded = try build(url, dataset, samples, key: key, progress: progress)
    return try DecodedCache(url, dataset, partition, samples, key: key, decodedCount: decoded)
  }

  private init(
    _ url: URL, _ dataset: CelebA, _ partition: Partition, _ samples: [Int], key: String, decodedCount: Int
  ) throws {
    file = try MappedFile(url)
    let bytes = file.bytes
    func damaged(_ reason: String) -> FileError {
      FileError(path: url.path, operation: "use the cache", reason: reason)
    }
    guard bytes.count >= 16, bytes.suffix(8).elementsEqual(Self.magic) else { throw damaged("not a cache") }
    let length = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: bytes.count - 16, as: UInt64.self))
    guard length <= UInt64(bytes.count - 16) else { throw damaged("its index is cut off") }
    let payload = bytes.count - 16 - Int(length)
    let index = try JSONDecoder().decode(Index.self, from: Data(bytes[payload..<bytes.count - 16]))
    let configuration = dataset.configuration
    recordBytes = SampleDecoder.recordBytes(size: configuration.size, masks: configuration.requiresMasks)
    let left = Set(index.skipped.map(\.position))
    guard index.key == key, index.count == samples.count, index.recordBytes == recordBytes,
      left.count == index.skipped.count, left.allSatisfy(samples.indices.contains),
      payload == (samples.count - left.count) * (recordBytes + Self.checksumBytes)
    else { throw damaged("its index does not fit its content") }
    self.dataset = dataset
    self.partition = partition
    self.decodedCount = decodedCount
    skipped = index.skipped.map(\.fault)
    sampleIndices = samples.indices.lazy.filter { !left.contains($0) }.map { samples[$0] }
  }

  /// Copies a sample into memory of the caller.
  /// - Parameters:
  ///   - position: The sample, 0 ..< count.
  ///   - isFlipped: Whether to mirror it left to right.
  ///   - image: At least size × size × 3 bytes: rows, columns, R G B.
  ///   - mask: At least size × size bytes, which become 0 or 1; nil or ignored where there are no masks.
  /// - Throws: `FileError` where the file is damaged, or was written to since it was opened.
  public func copy(
    _ position: Int, isFlipped: Bool = false, image: UnsafeMutableRawBufferPointer,
    mask: UnsafeMutableRawBufferPointer?
  ) throws(FileError) {
    let size = size
    let imageBytes = size * size * 3
    precondition((0..<count).contains(position), "sample \(position) is not below \(count)")
    precondition(image.count >= imageBytes, "the image's memory is too small")
    let record = try checkedRecord(position)
    if isFlipped {
      let source = record.baseAddress!.assumingMemoryBound(to: UInt8.self)
      let target = image.baseAddress!.assumingMemoryBound(to: UInt8.self)
      for y in 0..<size {
        var from = source + y * size * 3
        var to = target + (y + 1) * size * 3 - 3
        for _ in 0..<size {
          to[0] = from[0]
          to[1] = from[1]
          to[2] = from[2]
          from += 3
          to -= 3
        }
      }
    } else {
      image.copyMemory(from: UnsafeRawBufferPointer(rebasing: record[..<imageBytes]))
    }
    guard hasMasks, let mask else { return }
    precondition(mask.count >= size * size, "the mask's memory is too small")
    let rowBytes = SampleDecoder.maskRowBytes(size: size)
    let source = record.baseAddress!.assumingMemoryBound(to: UInt8.self) + imageBytes
    let target = mask.baseAddress!.assumingMemoryBound(to: UInt8.self)
    for y in 0..<size {
      let bits = source + y * rowBytes
      let row = target + y * size
      if isFlipped {
        for x in 0..<size { row[size - 1 - x] = (bits[x >> 3] >> UInt8(x & 7)) & 1 }
      } else {
        for x in 0..<size { row[x] = (bits[x >> 3] >> UInt8(x & 7)) & 1 }
      }
    }
  }

  /// A sample's record, once it is known to be whole.
  private func checkedRecord(_ position: Int) throws(FileError) -> UnsafeRawBufferPointer {
    try file.checkUnchanged()
    let record = UnsafeRawBufferPointer(rebasing: file.bytes[position * recordBytes..<(position + 1) * recordBytes])
    let offset = count * recordBytes + position * Self.checksumBytes
    let expected = UInt64(littleEndian: file.bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    guard Checksum(record).value == expected else {
      throw FileError(
        path: url.path, operation: "use the cache",
        reason: "photo \(position) in it is damaged; remove the file, and it is made anew")
    }
    return record
  }

  /// The records as they lie in the file: of some samples, `SampleDecoder.recordBytes` each.
  /// - Throws: `FileError` where the file is damaged, or was written to since it was opened.
  func withRecords<Result>(
    _ positions: Range<Int>, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    precondition(positions.lowerBound >= 0 && positions.upperBound <= count, "samples \(positions) of \(count)")
    for position in positions { _ = try checkedRecord(position) }
    return try file.withBytes { bytes in
      try body(UnsafeRawBufferPointer(
        rebasing: bytes[positions.lowerBound * recordBytes..<positions.upperBound * recordBytes]))
    }
  }

  /// Decodes every sample, a chunk at a time over all cores, and writes the file.
  /// - Returns: The number of samples decoded.
  private static func build(
    _ url: URL, _ dataset: CelebA, _ samples: [Int], key: String,
    progress: ((_ done: Int, _ total: Int) -> Void)?
  ) throws -> Int {
    removeStaleTemporaries(in: url.deletingLastPathComponent())
    let configuration = dataset.configuration
    let recordBytes = SampleDecoder.recordBytes(size: configuration.size, masks: configuration.requiresMasks)
    let chunkSize = min(samples.count, max(8, (16 << 20) / recordBytes))
    // Safe: each iteration below writes to a record of its own.
    nonisolated(unsafe) let chunk = UnsafeMutableRawBufferPointer.allocate(
      byteCount: chunkSize * recordBytes, alignment: 64)
    defer { chunk.deallocate() }
    let decoder = SampleDecoder(dataset)
    let tolerated = max(1, Int(Double(samples.count) * configuration.toleratedFaults))
    var skipped: [Index.Skipped] = []
    var checksums: [UInt64] = []

    let file = try AtomicFile(url)
    progress?(0, samples.count)
    for start in stride(from: 0, to: samples.count, by: chunkSize) {
      let positions = start..<min(start + chunkSize, samples.count)
      let faults = Mutex<[Int: DatasetError]>([:])
      DispatchQueue.concurrentPerform(iterations: positions.count) { i in
        let record = UnsafeMutableRawBufferPointer(rebasing: chunk[i * recordBytes..<(i + 1) * recordBytes])
        do throws(DatasetError) {
          try decoder.decode(samples[start + i], into: record)
        } catch {
          faults.withLock { $0[i] = error }
        }
      }
      let chunkFaults = faults.withLock { $0 }
      // The records between two faults at once.
      var first = 0
      for fault in chunkFaults.keys.sorted() + [positions.count] {
        try file.write(UnsafeRawBufferPointer(rebasing: chunk[first * recordBytes..<fault * recordBytes]))
        for i in first..<fault {
          let record = UnsafeRawBufferPointer(rebasing: chunk[i * recordBytes..<(i + 1) * recordBytes])
          checksums.append(Checksum(record).value.littleEndian)
        }
        first = fault + 1
      }
      file.startFlushing()
      skipped += chunkFaults.sorted { $0.key < $1.key }.map { .init(position: start + $0.key, fault: $0.value) }
      if let first = skipped.first, skipped.count > tolerated || skipped.count == samples.count {
        let reason =
          "\(skipped.count) of the first \(positions.upperBound) photos are faulty, "
          + "more than the \(tolerated) tolerated; the first fault: \(first.fault)"
        throw DatasetError(.tooManyFaults, path: dataset.directory.path, reason: reason)
      }
      progress?(positions.upperBound, samples.count)
    }
    try checksums.withUnsafeBytes { bytes in try file.write(bytes) }
    let index = Index(key: key, count: samples.count, recordBytes: recordBytes, skipped: skipped)
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let json = try encoder.encode(index)
    try file.write(json)
    try withUnsafeBytes(of: UInt64(json.count).littleEndian) { bytes in try file.write(bytes) }
    try file.write(magic)
    try file.commit()
    return samples.count - skipped.count
  }

  /// Removes what a killed build left behind: temporaries that nobody has written to for an hour.
  private static func removeStaleTemporaries(in folder: URL) {
    let keys: Set<URLResourceKey> = [.contentModificationDateKey]
    let files = try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: Array(keys))
    for file in files ?? [] where file.lastPathComponent.hasPrefix(".") && file.pathExtension == "tmp" {
      guard let date = try? file.resourceValues(forKeys: keys).contentModificationDate else { continue }
      if date.timeIntervalSinceNow < -3600 { try? FileManager.default.removeItem(at: file) }
    }
  }

  /// The name of a cache: a hash of the configuration and of each file's name, size and time.
  private static func key(of samples: [Int], in dataset: CelebA) -> String {
    let configuration = dataset.configuration
    var hash = FNV1a()
    hash.add("facet decoded cache 1 \(configuration.crop) \(configuration.size)")
    if configuration.requiresMasks { hash.add("masks \(configuration.backgroundClasses.sorted())") }
    let folders = [configuration.imageFolder] + (configuration.requiresMasks ? [configuration.maskFolder] : [])
    for sample in samples {
      let name = dataset.samples[sample].fileName
      hash.add(name)
      for folder in folders {
        let file = folder == configuration.imageFolder ? name : (name as NSString).deletingPathExtension + ".png"
        var status = stat()
        guard stat("\(dataset.directory.path)/\(folder)/\(file)", &status) == 0 else {
          hash.add("missing")
          continue
        }
        hash.add(Int(status.st_size))
        hash.add(status.st_mtim.tv_sec)
        hash.add(status.st_mtim.tv_nsec)
      }
    }
    return hash.text
  }
}

/// The hash FNV-1a with 128 bits (Fowler, Noll and Vo): the same on every machine, unlike `Hasher`.
private struct FNV1a {
  private var state: UInt128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d

  mutating func add(_ byte: UInt8) { state = (state ^ UInt128(byte)) &* 0x0000_0000_0100_0000_0000_0000_0000_013b }

  /// Adds the text and an end mark.
  mutating func add(_ text: String) {
    for byte in text.utf8 { add(byte) }
    add(0)
  }

  mutating func add(_ number: Int) {
    withUnsafeBytes(of: Int64(number).littleEndian) { for byte in $0 { add(byte) } }
  }

  var text: String {
    let digits = String(state, radix: 16)
    return String(repeating: "0", count: 32 - digits.count) + digits
  }
}

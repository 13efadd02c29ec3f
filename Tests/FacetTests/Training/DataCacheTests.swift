import Files
import Foundation
import Photo
import Testing

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

struct DataCacheTests {
  @Test func samplesAreResizedByArea() throws {
    // A checkerboard of single pixels at half the size: every sample pixel is the mean of four.
    let fixture = try DatasetFixture(count: 4, size: (32, 32))
    let bytes = (0..<32 * 32).flatMap { i -> [UInt8] in
      let value: UInt8 = (i % 32 + i / 32) % 2 == 0 ? 255 : 0
      return [value, value, 100]
    }
    try fixture.write(Picture(width: 32, height: 32, channels: 3, pixels: bytes), to: fixture.imageURL(0))
    let cache = try fixture.cache(of: try fixture.dataset(size: 16))
    let (image, mask) = cache.pixels(0)
    #expect((0..<256).allSatisfy { image[$0 * 3] == 128 && image[$0 * 3 + 1] == 128 && image[$0 * 3 + 2] == 100 })
    // Thirds of 32 end at 10⅔ and 21⅓; skin and hair are face up to column 21 (with 22 pixels of 32).
    for y in 0..<16 {
      #expect(mask[y * 16..<(y + 1) * 16].elementsEqual((0..<16).map { $0 < 11 ? 1 : 0 }))
    }
  }

  @Test func enlargingInterpolates() throws {
    let fixture = try DatasetFixture(count: 4, size: (9, 9))
    let cache = try fixture.cache(of: try fixture.dataset(size: 32))
    let (image, _) = cache.pixels(0)
    let reds = (0..<32).map { image[$0 * 3] }
    // Columns 0 ... 8 hold 0 ... 255; sample column x lies at (x + ½) · 9/32 − ½.
    for (x, red) in reds.enumerated() {
      let column = (Double(x) + 0.5) * 9 / 32 - 0.5
      #expect(abs(Double(red) - min(max(column, 0), 8) * 255 / 8) < 6, "column \(x)")
    }
  }

  @Test func windowIsCutOut() throws {
    let fixture = try DatasetFixture(count: 4, size: (178, 218))
    var configuration = fixture.configuration(size: 34)
    for crop in [DatasetConfiguration.Crop.automatic, .celebAWindow] {
      configuration.crop = crop
      let cache = try fixture.cache(of: try CelebA(directory: fixture.folder, configuration: configuration))
      let image = cache.pixels(0).image
      // Each sample pixel covers 5 × 5; the first is centred at column 6, row 41 of the frame.
      #expect(abs(Int(image[0]) - 6 * 255 / 177) <= 1)
      #expect(abs(Int(image[1]) - 41 * 255 / 217) <= 1)
      #expect(abs(Int(image[34 * 34 * 3 - 3]) - 171 * 255 / 177) <= 1)
      #expect(abs(Int(image[34 * 34 * 3 - 2]) - 206 * 255 / 217) <= 1)
    }
  }

  @Test func flippingMirrorsImageAndMask() throws {
    for size in [16, 19] {
      let fixture = try DatasetFixture(count: 4)
      let cache = try fixture.cache(of: try fixture.dataset(size: size))
      let (image, mask) = cache.pixels(1)
      let flipped = cache.pixels(1, isFlipped: true)
      for y in 0..<size {
        for x in 0..<size {
          let (a, b) = (y * size + x, y * size + size - 1 - x)
          #expect(mask[a] == flipped.mask[b])
          #expect(image[a * 3..<a * 3 + 3] == flipped.image[b * 3..<b * 3 + 3])
        }
      }
      #expect(mask != flipped.mask)
      #expect(Set(mask) == [0, 1])
    }
  }

  @Test func secondOpeningDecodesNothing() throws {
    let fixture = try DatasetFixture(count: 8)
    let dataset = try fixture.dataset()
    let date = Date(timeIntervalSince1970: 1_000_000_000)
    try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: fixture.imageURL(6).path)
    let first = try fixture.cache(of: dataset)
    #expect(first.decodedCount == 6)
    let pixels = first.pixels(5).image
    // Not even a photo with another content is read, where its size and time are the same.
    let bytes = try Data(contentsOf: fixture.imageURL(6)).count
    let handle = try FileHandle(forWritingTo: fixture.imageURL(6))
    try handle.write(contentsOf: Data(repeating: 0, count: bytes))
    try handle.close()
    try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: fixture.imageURL(6).path)
    let second = try fixture.cache(of: dataset)
    #expect(second.decodedCount == 0)
    #expect(second.url == first.url)
    #expect(second.sampleIndices == [0, 1, 2, 4, 5, 6])
    #expect(second.pixels(5).image == pixels)
  }

  @Test func changedConfigurationOrPhotoIsDecodedAgain() throws {
    let fixture = try DatasetFixture(count: 8)
    let first = try fixture.cache(of: try fixture.dataset())
    #expect(try fixture.cache(of: try fixture.dataset(size: 17)).decodedCount == 6)
    #expect(try fixture.cache(.validation, of: try fixture.dataset()).decodedCount == 2)
    try fixture.write(fixture.photo(20), to: fixture.imageURL(0))
    let changed = try fixture.cache(of: try fixture.dataset())
    #expect(changed.decodedCount == 6)
    #expect(changed.url != first.url)
    #expect(changed.pixels(0).image[2] == 200)
    var configuration = fixture.configuration()
    configuration.backgroundClasses = [0]
    let classes = try fixture.cache(of: try CelebA(directory: fixture.folder, configuration: configuration))
    #expect(classes.decodedCount == 6)
    configuration.backgroundClasses = [0]
    configuration.flips = false
    let flips = try fixture.cache(of: try CelebA(directory: fixture.folder, configuration: configuration))
    #expect(flips.decodedCount == 0)
  }

  @Test func damagedCacheIsBuiltAnew() throws {
    let fixture = try DatasetFixture(count: 4)
    let dataset = try fixture.dataset()
    let url = try fixture.cache(of: dataset).url
    let whole = try Data(contentsOf: url)
    var giant = whole
    giant.replaceSubrange(giant.count - 16..<giant.count - 8, with: [UInt8](repeating: 255, count: 8))
    for damaged in [Data(), whole.dropLast(1), whole.dropFirst(1), giant, Data(repeating: 7, count: 100)] {
      try FileManager.default.removeItem(at: url)
      try damaged.write(to: url)
      let cache = try fixture.cache(of: dataset)
      #expect(cache.decodedCount == 3)
      #expect(try Data(contentsOf: url) == whole)
    }
  }

  @Test func aDamagedPhotoInTheCacheIsNoticed() throws {
    let fixture = try DatasetFixture(count: 8)
    let dataset = try fixture.dataset()
    let url = try fixture.cache(of: dataset).url
    var bytes = try Data(contentsOf: url)
    // In the middle of the second of six.
    bytes[bytes.count * 3 / 16] ^= 64
    try bytes.write(to: url)
    let cache = try fixture.cache(of: dataset)
    let loader = BatchLoader(cache, options: .evaluation(batchSize: 1))
    loader.start(epoch: 0)
    let error = #expect(throws: FileError.self) { while try loader.next() != nil {} }
    #expect(error?.description.contains(url.path) == true && error?.description.contains("photo 1") == true)
    #expect(throws: FileError.self) { try cache.withRecords(0..<3) { _ in } }
  }

  @Test func oneProcessDecodesAndTheOtherWaits() throws {
    let fixture = try DatasetFixture(count: 4)
    let dataset = try fixture.dataset()
    let url = try fixture.cache(of: dataset).url
    let whole = try Data(contentsOf: url)
    try FileManager.default.removeItem(at: url)
    // Somebody who makes the same file for two seconds.
    let other = Process()
    let lock = url.deletingLastPathComponent().appendingPathComponent(".\(url.lastPathComponent).lock")
    other.executableURL = URL(fileURLWithPath: "/usr/bin/flock")
    other.arguments = [lock.path, "sleep", "2"]
    try other.run()
    while !FileManager.default.fileExists(atPath: lock.path) { usleep(1000) }
    usleep(200_000)
    var waits = 0
    let cache = try DecodedCache.open(
      dataset, partition: .train, in: url.deletingLastPathComponent(),
      waiting: { _ in
        waits += 1
        try? whole.write(to: url)
      })
    #expect(waits > 0 && cache.decodedCount == 0)
  }

  @Test func oneFaultyPhotoIsLeftOutAndTold() throws {
    let fixture = try DatasetFixture(count: 8)
    try Data("no picture".utf8).write(to: fixture.imageURL(1))
    let dataset = try fixture.dataset()
    let cache = try fixture.cache(of: dataset)
    #expect(cache.sampleIndices == [0, 2, 4, 5, 6])
    #expect(cache.skipped.map(\.kind) == [.unreadableImage])
    #expect(cache.skipped.first?.path == fixture.imageURL(1).path)
    #expect(cache.pixels(1).image[2] == 20)
    let again = try fixture.cache(of: dataset)
    #expect(again.decodedCount == 0)
    #expect(again.skipped == cache.skipped)
  }

  @Test func faultsAreNamed() throws {
    func fault(_ change: (DatasetFixture) throws -> Void) throws -> DatasetError {
      let fixture = try DatasetFixture(count: 4)
      try change(fixture)
      return try #require(try fixture.cache(of: try fixture.dataset()).skipped.first)
    }
    let mask = try fault {
      try $0.write(Picture(width: 3, height: 2, channels: 1, pixels: [0, 1, 2, 3, 4, 5]), to: $0.maskURL(1))
    }
    #expect(mask.kind == .maskSizeMismatch)
    #expect(mask.description.contains("000002.png: the label map is 3×2, but its photo 000002.jpg is 24×24"))
    let missing = try fault { try FileManager.default.removeItem(at: $0.imageURL(2)) }
    #expect(missing.kind == .missingFile)
    #expect(missing.description.contains("000003.jpg: the file is missing; list_attr_celeba.txt line 5 names its photo"))
    let noMask = try fault { try FileManager.default.removeItem(at: $0.maskURL(0)) }
    #expect(noMask.kind == .missingFile)
    #expect(noMask.path.hasSuffix("000001.png"))
    let color = try fault { try $0.write($0.photo(0), to: $0.maskURL(0)) }
    #expect(color.kind == .unreadableImage)
    #expect(color.path.hasSuffix("000001.png"))
    let truncated = try fault { fixture in
      let url = fixture.imageURL(0)
      try Data(contentsOf: url).prefix(100).write(to: url)
    }
    #expect(truncated.kind == .unreadableImage)
    #expect(truncated.description.components(separatedBy: "000001.jpg").count == 2)
  }

  @Test func photosInJPEGAndGrey() throws {
    let fixture = try DatasetFixture(count: 8)
    try fixture.photo(0).write(to: fixture.imageURL(0), quality: 100)
    #expect(try Data(contentsOf: fixture.imageURL(0)).starts(with: [0xFF, 0xD8, 0xFF]))
    try fixture.write(fixture.labelMap(1), to: fixture.imageURL(1))
    let cache = try fixture.cache(of: try fixture.dataset(size: 24))
    #expect(cache.skipped.isEmpty)
    #expect(zip(cache.pixels(0).image, fixture.photo(0).pixels).allSatisfy { abs(Int($0) - Int($1)) <= 6 })
    #expect(cache.pixels(1).image == fixture.labelMap(1).rgb().pixels)
    #expect(cache.pixels(2).image == fixture.photo(2).pixels)
    #expect(cache.pixels(2).mask == fixture.labelMap(2).pixels.map { $0 == 1 || $0 == 17 ? 1 : 0 })
  }

  @Test func tooManyFaultsAreAnError() throws {
    let fixture = try DatasetFixture(count: 8)
    for i in [0, 1] { try Data("no picture".utf8).write(to: fixture.imageURL(i)) }
    let dataset = try fixture.dataset()
    let error = #expect(throws: DatasetError.self) { try fixture.cache(of: dataset) }
    #expect(error?.kind == .tooManyFaults)
    #expect(error?.description.contains("000001.jpg") == true)
    let left = try FileManager.default.contentsOfDirectory(atPath: fixture.folder.appendingPathComponent("cache").path)
    #expect(left.isEmpty)
    #expect(throws: DatasetError.self) { try fixture.cache(.test, of: dataset) }
  }

  @Test func partitionWithoutAGoodPhotoIsAnError() throws {
    let fixture = try DatasetFixture(count: 8)
    var configuration = fixture.configuration()
    configuration.crop = .window(x: 0, y: 0, width: 100, height: 100)
    configuration.toleratedFaults = 1
    let small = try CelebA(directory: fixture.folder, configuration: configuration)
    let all = #expect(throws: DatasetError.self) { try fixture.cache(of: small) }
    #expect(all?.description.contains("does not contain the crop window") == true)
  }

  @Test func whatAKilledBuildLeftIsRemoved() throws {
    let fixture = try DatasetFixture(count: 4)
    let folder = fixture.folder.appendingPathComponent("cache")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let (old, new) = (folder.appendingPathComponent(".a.1.tmp"), folder.appendingPathComponent(".a.2.tmp"))
    for url in [old, new] { try Data([1]).write(to: url) }
    try FileManager.default.setAttributes(
      [.modificationDate: Date(timeIntervalSinceNow: -7200)], ofItemAtPath: old.path)
    _ = try fixture.cache(of: try fixture.dataset())
    #expect(!FileManager.default.fileExists(atPath: old.path))
    #expect(FileManager.default.fileExists(atPath: new.path))
  }

  @Test func progressIsTold() throws {
    let fixture = try DatasetFixture(count: 8)
    let dataset = try fixture.dataset()
    var calls: [[Int]] = []
    let folder = fixture.folder.appendingPathComponent("cache")
    _ = try DecodedCache.open(dataset, partition: .train, in: folder, progress: { calls.append([$0, $1]) })
    #expect(calls.first == [0, 6])
    #expect(calls.last == [6, 6])
  }

  @Test(.enabled(if: realData != nil, "FACET_DATA is not set")) func realPhotosAreDecodedOnce() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("facet-real-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    let data = try #require(realData)
    let crops = try CelebA(directory: data.appendingPathComponent("celeba"))
    let cache = try DecodedCache.open(crops, partition: .validation, in: folder)
    #expect(cache.count == 1_129)
    #expect(cache.skipped.isEmpty)
    #expect(cache.decodedCount == 1_129)
    #expect(try DecodedCache.open(crops, partition: .validation, in: folder).decodedCount == 0)

    // The crops were made of the whole frames by the window that the configuration cuts out of them.
    var configuration = DatasetConfiguration()
    configuration.requiresMasks = false
    let frames = try CelebA(directory: data.appendingPathComponent("celeba-original"), configuration: configuration)
    let whole = try DecodedCache.open(frames, partition: .validation, in: folder)
    #expect(whole.count == 1_200)
    let positions = Dictionary(
      uniqueKeysWithValues: whole.sampleIndices.enumerated().map { (frames.samples[$1].fileName, $0) })
    for position in stride(from: 0, to: cache.count, by: 100) {
      let (image, mask) = cache.pixels(position)
      let name = crops.samples[cache.sampleIndices[position]].fileName
      let other = whole.pixels(try #require(positions[name])).image
      let difference = zip(image, other).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
      #expect(difference < image.count * 5, "\(name)")
      let mean = image.reduce(0) { $0 + Int($1) } / image.count
      #expect((20...235).contains(mean), "\(name)")
      // A face with its hair fills most of the crop, with its middle always inside.
      let face = mask.count { $0 == 1 }
      #expect((mask.count / 5...mask.count * 19 / 20).contains(face), "\(name)")
      #expect(mask[64 * 128 + 64] == 1, "\(name)")
    }
  }
}

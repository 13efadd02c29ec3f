import Foundation
import Testing
import Torch

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

struct DataLoaderTests {
  @Test func splitMixIsTheReference() {
    // First numbers of the reference implementation (prng.di.unimi.it/splitmix64.c) for seed 1234567.
    var generator = SplitMix64(seed: 1_234_567)
    #expect((0..<3).map { _ in generator.next() } == [
      6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
    ])
  }

  @Test func orderIsAPermutationOfSeedAndEpochAlone() {
    func order(_ seed: UInt64, _ epoch: Int) -> [Int] { EpochOrder(count: 100, seed: seed, epoch: epoch).positions }
    #expect(order(1, 0).sorted() == Array(0..<100))
    #expect(order(1, 0) == order(1, 0))
    #expect(order(1, 0) != order(1, 1))
    #expect(order(1, 0) != order(2, 0))
    #expect(order(1, 0) != order(0, 1))
    #expect(EpochOrder(count: 9, seed: 1, epoch: 0, shuffles: false).positions == Array(0..<9))
    #expect(EpochOrder(count: 0, seed: 1, epoch: 0).positions.isEmpty)
  }

  /// The order is part of what a checkpoint means: a change would break exact resume across versions.
  @Test func orderStaysAsItIs() {
    let order = EpochOrder(count: 8, seed: 42, epoch: 3)
    #expect(order.positions == [0, 4, 5, 6, 1, 2, 3, 7])
    #expect((0..<8).map(order.isFlipped) == [false, false, true, true, true, true, false, false])
  }

  @Test func orderIsUniform() {
    // Where sample 0 goes in 4000 epochs: each of 10 places 400 times, standard deviation 19.
    var counts = [Int](repeating: 0, count: 10)
    var flips = 0
    for epoch in 0..<4000 {
      let order = EpochOrder(count: 10, seed: 5, epoch: epoch)
      counts[order.positions.firstIndex(of: 0)!] += 1
      if order.isFlipped(0) { flips += 1 }
    }
    #expect(counts.allSatisfy { abs($0 - 400) < 100 })
    #expect(abs(flips - 2000) < 160)
  }

  @Test func workersShareTheEpoch() {
    let whole = EpochOrder(count: 23, seed: 9, epoch: 2).positions
    let shards = (0..<4).map { EpochOrder(count: 23, seed: 9, epoch: 2, rank: $0, worldSize: 4).positions }
    #expect(shards.flatMap { $0 }.sorted() == Array(0..<23))
    // The first two samples of every worker are the first eight of the common order.
    #expect(Set(shards.flatMap { $0.prefix(2) }) == Set(whole.prefix(8)))
  }

  /// What a batch holds, copied out.
  private struct Content: Equatable {
    var images: [UInt8]
    var masks: [UInt8]
    var labels: [Int8]
    var sampleIndices: [Int]
    var index: Int

    init(_ batch: Batch) {
      images = Array(batch.images)
      masks = batch.masks.map { Array($0) } ?? []
      labels = Array(batch.labels)
      sampleIndices = batch.sampleIndices
      index = batch.index
    }
  }

  private func contents(_ loader: BatchLoader, epoch: Int, from batch: Int = 0) throws -> [Content] {
    loader.start(epoch: epoch, batch: batch)
    var contents: [Content] = []
    while let batch = try loader.next() { contents.append(Content(batch)) }
    return contents
  }

  @Test func batchesHoldTheSamples() throws {
    let fixture = try DatasetFixture(count: 40)
    let dataset = try fixture.dataset()
    let cache = try fixture.cache(of: dataset)
    let loader = BatchLoader(cache, options: .training(batchSize: 4, seed: 1))
    #expect(cache.count == 30)
    #expect(loader.batchesPerEpoch == 7)
    let batches = try contents(loader, epoch: 2)
    #expect(batches.map(\.index) == Array(0..<7))
    #expect(loader.served == 7)
    #expect(Set(batches.flatMap(\.sampleIndices)).count == 28)
    let order = EpochOrder(count: 30, seed: 1, epoch: 2)
    var flips = 0
    for (number, batch) in batches.enumerated() {
      for row in 0..<4 {
        let position = order.positions[number * 4 + row]
        let expected = cache.pixels(position, isFlipped: order.isFlipped(position))
        #expect(batch.sampleIndices[row] == cache.sampleIndices[position])
        #expect(Array(batch.images[row * 768..<(row + 1) * 768]) == expected.image)
        #expect(Array(batch.masks[row * 256..<(row + 1) * 256]) == expected.mask)
        #expect(batch.labels[row * 3..<(row + 1) * 3] == dataset.labels(of: batch.sampleIndices[row]))
        if order.isFlipped(position) { flips += 1 }
      }
    }
    #expect((4...24).contains(flips))
  }

  @Test func samplesAreMovedAndTheirBorderRepeated() throws {
    let fixture = try DatasetFixture(count: 40)
    let cache = try fixture.cache(of: try fixture.dataset())
    var options = BatchLoader.Options.training(batchSize: 4, seed: 1)
    options.maxShift = 2
    let order = EpochOrder(count: 30, seed: 1, epoch: 2)
    var shifts: Set<[Int]> = []
    for (number, batch) in try contents(BatchLoader(cache, options: options), epoch: 2).enumerated() {
      for row in 0..<4 {
        let position = order.positions[number * 4 + row]
        let shift = order.shift(position, limit: 2)
        shifts.insert([shift.x, shift.y])
        let still = cache.pixels(position, isFlipped: order.isFlipped(position))
        for y in 0..<16 {
          for x in 0..<16 {
            let from = min(max(y - shift.y, 0), 15) * 16 + min(max(x - shift.x, 0), 15)
            #expect(batch.masks[row * 256 + y * 16 + x] == still.mask[from])
            #expect(batch.images[row * 768 + (y * 16 + x) * 3] == still.image[from * 3])
          }
        }
      }
    }
    #expect(shifts.count > 8)
    #expect(shifts.allSatisfy { $0.allSatisfy((-2...2).contains) })
  }

  @Test func evaluationKeepsEverySampleInOrder() throws {
    let fixture = try DatasetFixture(count: 40)
    let cache = try fixture.cache(of: try fixture.dataset())
    let loader = BatchLoader(cache, options: .evaluation(batchSize: 8))
    let batches = try contents(loader, epoch: 0)
    #expect(batches.map(\.sampleIndices.count) == [8, 8, 8, 6])
    #expect(batches.flatMap(\.sampleIndices) == cache.sampleIndices)
    #expect(batches[3].images.count == 6 * 768)
    #expect(Array(batches[3].images.suffix(768)) == cache.pixels(29).image)
    #expect(try loader.next() == nil)
  }

  @Test func epochIsTakenUpInItsMiddle() throws {
    let fixture = try DatasetFixture(count: 40)
    let cache = try fixture.cache(of: try fixture.dataset())
    let loader = BatchLoader(cache, options: .training(batchSize: 4, seed: 1))
    let whole = try contents(loader, epoch: 3)
    let resumed = BatchLoader(cache, options: .training(batchSize: 4, seed: 1))
    #expect(try contents(resumed, epoch: 3, from: 4) == Array(whole[4...]))
    #expect(try contents(resumed, epoch: 3, from: 7).isEmpty)
    // Starting again drops what was prepared.
    loader.start(epoch: 0)
    _ = try loader.next()
    #expect(try contents(loader, epoch: 3) == whole)
    #expect(try contents(loader, epoch: 4) != whole)
  }

  @Test func batchesDoNotDependOnThreads() throws {
    let fixture = try DatasetFixture(count: 40)
    let cache = try fixture.cache(of: try fixture.dataset())
    var options = BatchLoader.Options.training(batchSize: 2, seed: 8)
    let expected = try contents(BatchLoader(cache, options: options), epoch: 1)
    for (threads, prefetch) in [(1, 1), (4, 2), (3, 16)] {
      options.threads = threads
      options.prefetch = prefetch
      #expect(try contents(BatchLoader(cache, options: options), epoch: 1) == expected)
    }
  }

  @Test func heldBatchesKeepTheirMemory() throws {
    let fixture = try DatasetFixture(count: 40)
    let cache = try fixture.cache(of: try fixture.dataset())
    var loader: BatchLoader? = BatchLoader(cache, options: .training(batchSize: 3, seed: 8))
    loader?.start(epoch: 0)
    var held: [Batch] = []
    while let batch = try loader?.next() { held.append(batch) }
    #expect(Set(held.map { $0.images.baseAddress }).count == 10)
    let before = held.map(Content.init)
    loader?.start(epoch: 1)
    while try loader?.next() != nil {}
    loader = nil
    #expect(held.map(Content.init) == before)
  }

  @Test func memoryIsReused() throws {
    let fixture = try DatasetFixture(count: 40)
    let cache = try fixture.cache(of: try fixture.dataset())
    var options = BatchLoader.Options.training(batchSize: 1, seed: 8)
    options.prefetch = 2
    options.threads = 1
    let loader = BatchLoader(cache, options: options)
    var addresses = Set<UnsafeMutableRawPointer?>()
    loader.start(epoch: 0)
    while let batch = try loader.next() { addresses.insert(batch.images.baseAddress) }
    #expect(loader.served == 30)
    #expect(addresses.count <= 6)
  }

  @Test func workersServeEachSampleOnce() throws {
    let fixture = try DatasetFixture(count: 40)
    let cache = try fixture.cache(of: try fixture.dataset())
    var options = BatchLoader.Options.evaluation(batchSize: 4)
    options.worldSize = 4
    var seen: [Int] = []
    for rank in 0..<4 {
      options.rank = rank
      let loader = BatchLoader(cache, options: options)
      let batches = try contents(loader, epoch: 0)
      #expect(batches.count == loader.batchesPerEpoch)
      seen += batches.flatMap(\.sampleIndices)
    }
    #expect(seen.sorted() == cache.sampleIndices)
    var training = BatchLoader.Options.training(batchSize: 4, seed: 3)
    training.worldSize = 4
    let counts = try (0..<4).map { rank in
      training.rank = rank
      return try contents(BatchLoader(cache, options: training), epoch: 0).count
    }
    #expect(counts == [1, 1, 1, 1])
  }

  @Test func flipsCanBeTurnedOff() throws {
    let fixture = try DatasetFixture(count: 40)
    var configuration = fixture.configuration()
    configuration.flips = false
    let cache = try fixture.cache(of: try CelebA(directory: fixture.folder, configuration: configuration))
    for batch in try contents(BatchLoader(cache, options: .training(batchSize: 30, seed: 8)), epoch: 0) {
      for (row, sample) in batch.sampleIndices.enumerated() {
        let position = try #require(cache.sampleIndices.firstIndex(of: sample))
        #expect(Array(batch.images[row * 768..<(row + 1) * 768]) == cache.pixels(position).image)
      }
    }
  }

  @Test func samplesWithoutMasks() throws {
    let fixture = try DatasetFixture(count: 8, masks: false)
    var configuration = fixture.configuration()
    configuration.requiresMasks = false
    let cache = try fixture.cache(of: try CelebA(directory: fixture.folder, configuration: configuration))
    let loader = BatchLoader(cache, options: .evaluation(batchSize: 4))
    loader.start(epoch: 0)
    let batch = try #require(try loader.next())
    #expect(batch.masks == nil)
    #expect(Array(batch.images.prefix(768)) == cache.pixels(0).image)
    #expect(Array(batch.labels.prefix(3)) == [-1, -1, -1])
  }
}

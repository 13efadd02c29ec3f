import Facet
import Files
import Foundation
import Torch

/// Samples in contiguous memory that a tensor can be made of without copying.
///
/// The memory belongs to the batch and goes back to its loader when the last reference to the batch
/// is dropped, so whatever points into it must keep the batch alive. One owner at a time writes to it.
public final class Batch: @unchecked Sendable {
  /// The number of samples.
  public let count: Int
  /// Width and height of a sample in pixels.
  public let size: Int
  /// The number of labels of a sample.
  public let attributeCount: Int
  /// The epoch, from 0, and the position of this batch in it, from 0.
  public let epoch: Int
  public let index: Int
  /// Positions of the samples in ``CelebA/samples``.
  public let sampleIndices: [Int]
  /// Images, count × size × size × 3 (NHWC), RGB, 0 ... 255.
  public let images: UnsafeMutableRawBufferPointer
  /// Masks, count × size × size, 1 where the face is and 0 elsewhere; nil where there are none.
  public let masks: UnsafeMutableRawBufferPointer?
  /// Labels, count × attributeCount, −1 or 1.
  public let labels: UnsafeMutableBufferPointer<Int8>

  private let memory: UnsafeMutableRawBufferPointer
  private let pool: MemoryPool

  fileprivate init(_ cache: DecodedCache, epoch: Int, index: Int, positions: ArraySlice<Int>, pool: MemoryPool) {
    self.epoch = epoch
    self.index = index
    self.pool = pool
    count = positions.count
    size = cache.size
    attributeCount = cache.dataset.attributeNames.count
    sampleIndices = positions.map { cache.sampleIndices[$0] }
    memory = pool.take()
    let pixels = count * size * size
    images = UnsafeMutableRawBufferPointer(rebasing: memory[..<(pixels * 3)])
    masks = cache.hasMasks ? UnsafeMutableRawBufferPointer(rebasing: memory[pixels * 3..<pixels * 4]) : nil
    let rest = memory[(cache.hasMasks ? pixels * 4 : pixels * 3)...].prefix(count * attributeCount)
    labels = UnsafeMutableRawBufferPointer(rebasing: rest).bindMemory(to: Int8.self)
  }

  deinit { pool.give(memory) }

  fileprivate func fill(
    from cache: DecodedCache, positions: ArraySlice<Int>, isFlipped: (Int) -> Bool, shift: (Int) -> (x: Int, y: Int)
  ) throws(FileError) {
    let pixels = size * size
    for (row, position) in positions.enumerated() {
      let image = UnsafeMutableRawBufferPointer(rebasing: images[row * pixels * 3..<(row + 1) * pixels * 3])
      let mask = masks.map { UnsafeMutableRawBufferPointer(rebasing: $0[row * pixels..<(row + 1) * pixels]) }
      try cache.copy(position, isFlipped: isFlipped(position), image: image, mask: mask)
      let shift = shift(position)
      move(image, size: size, channels: 3, by: shift)
      if let mask { move(mask, size: size, channels: 1, by: shift) }
      let target = labels[row * attributeCount..<(row + 1) * attributeCount]
      _ = UnsafeMutableBufferPointer(rebasing: target).update(from: cache.dataset.labels(of: sampleIndices[row]))
    }
  }
}

/// Serves the batches of one epoch after another, prepared ahead on background threads.
///
///     let loader = BatchLoader(cache, options: .training(batchSize: 32, seed: 7))
///     for epoch in 0..<epochs {
///       loader.start(epoch: epoch)
///       while let batch = try loader.next() { … }
///     }
///
/// The batches depend on the seed, the epoch and the options alone, not on time or threads, and an
/// epoch can be started at any batch: a resumed run sees what the uninterrupted one would have seen.
/// One thread at a time may call `start` and `next`.
public final class BatchLoader {
  /// How batches are made.
  public struct Options: Sendable {
    /// Samples in a batch, at least 1.
    public var batchSize: Int
    /// Seed of the order, the mirroring and the moving.
    public var seed: UInt64
    /// Whether each epoch has an order of its own, or that of the list.
    public var shuffles: Bool
    /// Whether half of the samples are mirrored, where ``DatasetConfiguration/flips`` has it too.
    public var flips: Bool
    /// How far, in pixels, samples are moved each way at most.
    public var maxShift = 0
    /// Whether an incomplete last batch is left out.
    public var dropsLast: Bool
    /// This worker, from 0.
    public var rank = 0
    /// The number of workers that share the samples.
    public var worldSize = 1
    /// Samples that a worker takes in a row before it is the next one's turn. With ``batchSize``, the workers' batches
    /// together are those of a single one.
    public var block = 1
    /// The number of batches prepared ahead, at least 1.
    public var prefetch = 4
    /// The number of background threads, at least 1.
    public var threads = 2

    private init(batchSize: Int, seed: UInt64, shuffles: Bool, flips: Bool, dropsLast: Bool) {
      self.batchSize = batchSize
      self.seed = seed
      self.shuffles = shuffles
      self.flips = flips
      self.dropsLast = dropsLast
    }

    /// Shuffled, mirrored, whole batches only.
    public static func training(batchSize: Int, seed: UInt64) -> Options {
      Options(batchSize: batchSize, seed: seed, shuffles: true, flips: true, dropsLast: true)
    }

    /// Each sample once, as it is, in the list's order; the last batch may be smaller.
    public static func evaluation(batchSize: Int) -> Options {
      Options(batchSize: batchSize, seed: 0, shuffles: false, flips: false, dropsLast: false)
    }

    /// Batches in an epoch of `count` samples, for this worker.
    func batchesPerEpoch(of count: Int) -> Int {
      // Workers that dropped different numbers of batches would wait for each other forever.
      let (rounds, rest) = count.quotientAndRemainder(dividingBy: worldSize * block)
      let extra = dropsLast ? 0 : min(max(rest - rank * block, 0), block)
      let share = rounds * block + extra
      return dropsLast ? share / batchSize : (share + batchSize - 1) / batchSize
    }

    /// The order of an epoch of `count` samples.
    func order(epoch: Int, count: Int) -> EpochOrder {
      EpochOrder(
        count: count, seed: seed, epoch: epoch, shuffles: shuffles, rank: rank, worldSize: worldSize, block: block)
    }

    /// As ``evaluation(batchSize:)``; several processes take turns batch by batch.
    static func evaluation(batchSize: Int, over group: ProcessGroup?) -> Options {
      var options = evaluation(batchSize: batchSize)
      (options.rank, options.worldSize, options.block) = (group?.rank ?? 0, group?.count ?? 1, batchSize)
      return options
    }
  }

  /// How batches are made.
  public let options: Options
  /// Batches in an epoch, for this worker. With ``Options/dropsLast`` it is the same for every worker.
  public let batchesPerEpoch: Int
  /// The time that ``next()`` has spent waiting for a batch, over all epochs.
  public private(set) var waited = Duration.zero
  /// The number of batches served, over all epochs.
  public private(set) var served = 0

  private let pipeline: Pipeline

  /// A loader of a partition, whose threads wait for `start`.
  /// - Precondition: the options are within their ranges.
  public init(_ cache: DecodedCache, options: Options) {
    precondition(options.batchSize >= 1 && options.prefetch >= 1 && options.threads >= 1)
    precondition(options.worldSize >= 1 && (0..<options.worldSize).contains(options.rank) && options.block >= 1)
    self.options = options
    batchesPerEpoch = options.batchesPerEpoch(of: cache.count)
    pipeline = Pipeline(cache, options)
    for number in 0..<options.threads {
      let thread = Thread { [pipeline] in pipeline.work() }
      thread.name = "facet-batches-\(number)"
      thread.start()
    }
  }

  deinit { pipeline.stop() }

  /// Starts an epoch, at its first batch or at a later one; what was prepared of another is dropped.
  public func start(epoch: Int, batch: Int = 0) {
    precondition(epoch >= 0 && batch >= 0)
    pipeline.start(epoch: epoch, batch: batch, end: batchesPerEpoch)
  }

  /// The next batch, or nil at the epoch's end. Returns at once where the batch is ready.
  /// - Throws: `FileError` where the cache's file is damaged, or was written to since it was opened.
  public func next() throws(FileError) -> Batch? {
    let start = ContinuousClock.now
    let batch = try pipeline.next()
    waited += ContinuousClock.now - start
    if batch != nil { served += 1 }
    return batch
  }
}

/// The state that a loader shares with its threads, which keep it (not the loader) alive.
private final class Pipeline: @unchecked Sendable {
  private let cache: DecodedCache
  private let options: BatchLoader.Options
  private let pool: MemoryPool

  /// Guards everything below; signalled at each change.
  private let condition = NSCondition()
  private var order: EpochOrder?
  private var epoch = 0
  /// Counts calls of `start`, so that a batch made for an earlier one is recognised and dropped.
  private var generation = 0
  /// The next batch to make, the next one to serve, and the end of the epoch.
  private var toMake = 0
  private var toServe = 0
  private var end = 0
  private var ready: [Int: Result<Batch, FileError>] = [:]
  private var isStopped = false

  init(_ cache: DecodedCache, _ options: BatchLoader.Options) {
    self.cache = cache
    self.options = options
    let pixels = cache.size * cache.size * (cache.hasMasks ? 4 : 3)
    pool = MemoryPool(
      byteCount: options.batchSize * (pixels + cache.dataset.attributeNames.count), limit: options.prefetch + 2)
  }

  func start(epoch: Int, batch: Int, end: Int) {
    let order = options.order(epoch: epoch, count: cache.count)
    condition.withLock {
      self.order = order
      self.epoch = epoch
      self.end = end
      generation += 1
      toMake = batch
      toServe = batch
      ready.removeAll()
      condition.broadcast()
    }
  }

  func next() throws(FileError) -> Batch? {
    let made = condition.withLock { () -> Result<Batch, FileError>? in
      guard toServe < end else { return nil }
      while ready[toServe] == nil { condition.wait() }
      let batch = ready.removeValue(forKey: toServe)
      toServe += 1
      condition.broadcast()
      return batch
    }
    return try made?.get()
  }

  func stop() {
    condition.withLock {
      isStopped = true
      ready.removeAll()
      condition.broadcast()
    }
  }

  /// Makes batches until the loader is gone.
  func work() {
    while true {
      condition.lock()
      while !isStopped && (toMake >= end || toMake >= toServe + options.prefetch) { condition.wait() }
      guard !isStopped, let order else { return condition.unlock() }
      let (index, epoch, generation) = (toMake, epoch, generation)
      toMake += 1
      condition.unlock()

      let first = index * options.batchSize
      let positions = order.positions[first..<min(first + options.batchSize, order.positions.count)]
      let batch = Batch(cache, epoch: epoch, index: index, positions: positions, pool: pool)
      let flips = options.flips && cache.dataset.configuration.flips
      let made = Result { () throws(FileError) in
        try batch.fill(
          from: cache, positions: positions, isFlipped: { flips && order.isFlipped($0) },
          shift: { order.shift($0, limit: options.maxShift) })
        return batch
      }

      condition.withLock {
        if generation == self.generation, !isStopped { ready[index] = made }
        condition.broadcast()
      }
    }
  }
}

/// Blocks of one size, kept for reuse.
private final class MemoryPool: @unchecked Sendable {
  private let byteCount: Int
  /// The number of unused blocks that are kept.
  private let limit: Int
  private let lock = NSLock()
  private var unused: [UnsafeMutableRawBufferPointer] = []

  init(byteCount: Int, limit: Int) {
    self.byteCount = byteCount
    self.limit = limit
  }

  func take() -> UnsafeMutableRawBufferPointer {
    lock.withLock { unused.popLast() } ?? .allocate(byteCount: byteCount, alignment: 64)
  }

  func give(_ block: UnsafeMutableRawBufferPointer) {
    let isKept = lock.withLock {
      guard unused.count < limit else { return false }
      unused.append(block)
      return true
    }
    if !isKept { block.deallocate() }
  }

  deinit { for block in unused { block.deallocate() } }
}

/// Moves a square picture by whole pixels; its border is repeated.
private func move(_ picture: UnsafeMutableRawBufferPointer, size: Int, channels: Int, by shift: (x: Int, y: Int)) {
  guard shift != (0, 0) else { return }
  let source = [UInt8](picture)
  for y in 0..<size {
    let row = min(max(y - shift.y, 0), size - 1) * size
    for x in 0..<size {
      let from = (row + min(max(x - shift.x, 0), size - 1)) * channels
      let to = (y * size + x) * channels
      for channel in 0..<channels { picture[to + channel] = source[from + channel] }
    }
  }
}

import Torch

/// The order in which one epoch visits the samples, and which of them it mirrors.
///
/// Both depend on the seed and the epoch alone, never on time, threads or earlier epochs, so that a
/// run can be taken up anywhere. With several workers, worker `rank` of `worldSize` takes every
/// `worldSize`-th sample (or block of samples) of the common order: together they visit each sample exactly
/// once, and their batches of one step hold the samples that a single worker's larger batch would hold.
public struct EpochOrder: Sendable {
  /// The positions, each in 0 ..< count, that this worker visits, in order.
  public let positions: [Int]
  private let seed: UInt64
  let epoch: Int

  /// - Parameters:
  ///   - count: The number of samples in the data set.
  ///   - seed: The seed of the run.
  ///   - epoch: The epoch, from 0.
  ///   - shuffles: Whether the order is a random permutation (Fisher–Yates with `SplitMix64`)
  ///     or ascending.
  ///   - rank: This worker, 0 ..< worldSize.
  ///   - worldSize: The number of workers, at least 1.
  ///   - block: Samples that a worker takes in a row before it is the next one's turn.
  public init(
    count: Int, seed: UInt64, epoch: Int, shuffles: Bool = true, rank: Int = 0, worldSize: Int = 1, block: Int = 1
  ) {
    precondition(worldSize >= 1 && (0..<worldSize).contains(rank), "rank \(rank) is not below \(worldSize)")
    self.seed = seed
    self.epoch = epoch
    var order = Array(0..<count)
    if shuffles {
      var generator = SplitMix64(seed, UInt64(bitPattern: Int64(epoch)), 0)
      for i in stride(from: count - 1, to: 0, by: -1) { order.swapAt(i, generator.next(below: i + 1)) }
    }
    positions =
      worldSize == 1
      ? order
      : stride(from: rank * block, to: count, by: worldSize * block).flatMap { order[$0..<min($0 + block, count)] }
  }

  /// Whether a sample is mirrored in this epoch: a fair coin for each sample and epoch.
  public func isFlipped(_ position: Int) -> Bool {
    var generator = SplitMix64(seed, UInt64(bitPattern: Int64(epoch)), 1, UInt64(position))
    return generator.next() >> 63 == 1
  }

  /// How far a sample is moved in this epoch, each way evenly from −limit to limit pixels.
  public func shift(_ position: Int, limit: Int) -> (x: Int, y: Int) {
    guard limit > 0 else { return (0, 0) }
    var generator = SplitMix64(seed, UInt64(bitPattern: Int64(epoch)), 2, UInt64(position))
    return (generator.next(below: 2 * limit + 1) - limit, generator.next(below: 2 * limit + 1) - limit)
  }
}

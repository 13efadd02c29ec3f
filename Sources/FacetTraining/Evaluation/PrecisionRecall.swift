import Facet
import Torch

/// How many drawn faces look like photos, and how many photos drawn faces look like, each in 0…1 (Kynkäänniemi et al. 2019).
///
/// A set of features is taken for the balls around each that reach to its third nearest of the set.
struct PrecisionRecall {
  /// The share of the samples that lie in a ball of the photos.
  let precision: Double
  /// The share of the photos that lie in a ball of the samples.
  let recall: Double

  /// The article's k.
  static let neighbors = 3
  /// More say little more, and time and memory grow with the square.
  static let maximumCount = 10_000

  /// - Parameters:
  ///   - photos: N × size.
  ///   - samples: M × size.
  /// - Precondition: both have more than three rows.
  init(photos: Tensor, samples: Tensor) throws {
    let (photos, samples) = (try photos.to(.float64), try samples.to(.float64))
    precondition(min(photos.size(0), samples.size(0)) > Self.neighbors, "a ball needs three neighbours")
    precision = try Self.share(of: samples, in: photos)
    recall = try Self.share(of: photos, in: samples)
  }

  private static func share(of features: Tensor, in known: Tensor) throws -> Double {
    let radii = try parts(of: known) { part in
      // The first one is the vector itself.
      try squares(part, known).sorted().narrow(1, neighbors..<neighbors + 1).reshape([-1])
    }
    let isInside = try parts(of: features) { part in
      // How many balls it lies in.
      try (squares(part, known) - radii < 0).to(.float64).sum(dims: [1]) > 0
    }
    return try isInside.to(.float64).mean().item()
  }

  private static func parts(of rows: Tensor, _ body: (Tensor) throws -> Tensor) throws -> Tensor {
    let count = rows.size(0)
    return try .cat(stride(from: 0, to: count, by: 512).map { try body(rows.narrow(0, $0..<min($0 + 512, count))) })
  }

  /// The squared distances of all rows of a from all of b.
  private static func squares(_ a: Tensor, _ b: Tensor) throws -> Tensor {
    let lengths = try (a.square().sum(dims: [1], keepDim: true), b.square().sum(dims: [1]))
    return try lengths.0 + lengths.1 - a.matmul(b.transpose(0, 1)) * 2
  }
}

import Facet
import Torch

/// The mean and the covariance of vectors that come batch by batch, in float64.
struct FeatureStatistics {
  private(set) var count = 0.0
  private var sum, products: Tensor

  init(size: Int) throws {
    (sum, products) = (try .zeros([size], dtype: .float64), try .zeros([size, size], dtype: .float64))
  }

  /// - Parameter features: N × size.
  mutating func add(_ features: Tensor) throws {
    let rows = try features.to(.cpu).to(.float64)
    count += Double(rows.size(0))
    sum = try sum + rows.sum(dims: [0])
    products = try products + rows.transpose(0, 1).matmul(rows)
  }

  /// Adds up those of several processes.
  mutating func combine(over group: ProcessGroup) throws {
    let size = sum.size(0)
    let sums = try group.sum([count] + sum.array(Double.self) + products.reshape([-1]).array(Double.self))
    count = sums[0]
    sum = try Tensor(Array(sums[1...size]))
    products = try Tensor(Array(sums[(size + 1)...]), shape: [size, size])
  }

  private func mean() throws -> Tensor { try sum / count }

  /// With one less than the vectors in the denominator, as NumPy's `cov` has it.
  private func covariance() throws -> Tensor {
    let mean = try mean()
    return try (products - mean.unsqueeze(1).matmul(mean.unsqueeze(0)) * count) / (count - 1)
  }

  /// The Fréchet distance of two normal distributions, |m₁ − m₂|² + tr(C₁ + C₂ − 2 (C₁ C₂)^½) (Dowson & Landau 1982; Heusel et
  /// al. 2017). The roots of the eigenvalues of C₁^½ C₂ C₁^½ are those of C₁ C₂.
  /// - Precondition: both have two vectors at least.
  func frechetDistance(to other: FeatureStatistics) throws -> Double {
    precondition(count >= 2 && other.count >= 2, "a covariance needs two vectors")
    func root(_ values: Tensor) throws -> Tensor { try values.clamp(min: 0).sqrt() }
    let (own, others) = (try covariance(), try other.covariance())
    let eigen = try own.symmetricEigen()
    let half = try (eigen.vectors * root(eigen.values)).matmul(eigen.vectors.transpose(0, 1))
    let mixed = try half.matmul(others).matmul(half)
    let shared = try root(((mixed + mixed.transpose(0, 1)) / 2).symmetricEigen().values).sum().item()
    let apart = try (mean() - other.mean()).square().sum().item()
    return try apart + own.diagonal().sum().item() + others.diagonal().sum().item() - 2 * shared
  }
}

/// How far a model's pictures are from photos, by a network that sees as people do.
///
/// The perceptual distance is that of each photo from its reconstruction. The Fréchet distances are between the features of all
/// faces, photos on one side, reconstructions or samples on the other, each by its own mask on grey. Precision and recall are of
/// the same features.
final class PictureDistances {
  private let distance: PerceptualDistance
  private var perceptual = 0.0
  private var photos, reconstructions: FeatureStatistics
  /// The features of the first photos.
  private var seen: [Tensor] = []

  init(_ distance: PerceptualDistance) throws {
    self.distance = distance
    (photos, reconstructions) = (
      try FeatureStatistics(size: PerceptualDistance.featureCount), try FeatureStatistics(size: PerceptualDistance.featureCount)
    )
  }

  private static func onGrey(_ images: Tensor, _ masks: Tensor) throws -> Tensor { try (images - 0.85) * masks + 0.85 }

  /// - Parameters:
  ///   - images: N × 3 × S × S in [0, 1].
  ///   - masks: N × 1 × S × S in {0, 1}.
  ///   - reconstruction: what was decoded for them.
  func add(images: Tensor, masks: Tensor, reconstruction: Reconstruction) throws {
    let composed = try reconstruction.composed(over: images, trueMask: masks)
    perceptual += try distance(composed, images).item() * Double(images.size(0))
    let features = try distance.features(of: Self.onGrey(images, masks))
    try photos.add(features)
    if Int(photos.count) <= PrecisionRecall.maximumCount { seen.append(try features.to(.cpu)) }
    try reconstructions.add(distance.features(of: Self.onGrey(reconstruction.image, reconstruction.mask)))
  }

  /// Puts the figures into a report.
  /// - Parameters:
  ///   - model: draws as many faces as there were photos.
  ///   - prior: what their codes are drawn from; `nil` for none.
  ///   - group: the processes that have seen parts of the photos.
  func finish(
    _ report: inout EvaluationReport, model: any FaceVAE, prior: LatentPrior?, device: Device, over group: ProcessGroup?
  ) throws {
    if let group {
      perceptual = try group.sum([perceptual])[0]
      try photos.combine(over: group)
      try reconstructions.combine(over: group)
    }
    let seen = try Self.gathered(seen, over: group)
    report.perceptual = perceptual / photos.count
    guard photos.count >= 2 else { return }
    report.frechet = try photos.frechetDistance(to: reconstructions)
    guard let prior, group?.isFirst ?? true else { return }
    var samples = try FeatureStatistics(size: PerceptualDistance.featureCount)
    var drawn: [Tensor] = []
    let codes = try prior.sample(count: min(Int(photos.count), LatentPrior.maximumCount), seed: 1)
    for start in stride(from: 0, to: codes.size(0), by: 32) {
      let faces = try model.decode(codes.narrow(0, start..<min(start + 32, codes.size(0))).to(device))
      drawn.append(try distance.features(of: Self.onGrey(faces.image, faces.mask)).to(.cpu))
      try samples.add(drawn[drawn.count - 1])
    }
    report.frechetSamples = try photos.frechetDistance(to: samples)
    guard min(seen.size(0), codes.size(0)) > PrecisionRecall.neighbors else { return }
    let shares = try PrecisionRecall(photos: seen, samples: .cat(drawn))
    (report.precision, report.recall) = (shares.precision, shares.recall)
  }

  /// The features that all processes have kept, as many as are compared.
  private static func gathered(_ parts: [Tensor], over group: ProcessGroup?) throws -> Tensor {
    let own = try parts.isEmpty ? .zeros([0, PerceptualDistance.featureCount]) : Tensor.cat(parts)
    guard let group else { return own }
    var counts = [Double](repeating: 0, count: group.count)
    counts[group.rank] = Double(own.size(0))
    let all = try group.sum(counts).map(Int.init)
    let first = all[..<group.rank].reduce(0, +)
    let features = try Tensor.zeros([all.reduce(0, +), own.size(1)], dtype: .float32)
    try features.narrow(0, first..<first + own.size(0)).copy(from: own)
    let sum = try group.sum(features)
    return try sum.narrow(0, 0..<min(sum.size(0), PrecisionRecall.maximumCount))
  }
}

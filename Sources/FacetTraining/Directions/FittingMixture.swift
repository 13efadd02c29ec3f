import Facet
import Torch

extension CodeMixture {
  /// The parts of a mixture; fewer where codes are few.
  private static let parts = 8
  /// Codes that a part needs for each number in a code.
  private static let codesPerNumber = 4
  /// More codes change little, and take time and memory.
  private static let maximumCodes = 20_000
  private static let rounds = 40
  /// How many codes' worth of the whole set's variance, which is 1, each part's deviations are drawn towards.
  private static let prior = 50.0

  /// Fits a mixture by expectation and maximization; `nil` where codes are too few for two parts.
  static func fit(_ photos: EncodedPhotos, _ statistics: LatentStatistics) throws -> CodeMixture? {
    let step = max(1, (photos.count + maximumCodes - 1) / maximumCodes)
    let chosen = stride(from: 0, to: photos.count, by: step).map(Int64.init)
    let parts = min(Self.parts, chosen.count / (codesPerNumber * photos.latentSize))
    guard parts >= 2 else { return nil }
    let codes = try photos.codes.indexSelect(0, Tensor(chosen)).to(.cpu).to(.float64) - statistics.mean
    let factor = try statistics.factor()
    // L⁻¹ x = Lᵀ (L Lᵀ)⁻¹ x
    let white = try codes.transpose(0, 1).choleskySolve(factor).transpose(0, 1).matmul(factor)
    return try fit(white, parts: parts)
  }

  /// - Parameter codes: N × size, float64, of mean 0 and variance 1 along each axis.
  private static func fit(_ codes: Tensor, parts: Int) throws -> CodeMixture {
    let (count, squares) = (codes.size(0), try codes.square())
    var generator = SplitMix64(seed: 1)
    let starts = (0..<count).shuffled(using: &generator).prefix(parts).map(Int64.init)
    var means = try codes.indexSelect(0, Tensor(starts))
    var variances = try Tensor.ones(means.shape, dtype: .float64)
    var shares = try Tensor.full([parts], 1 / Double(parts), dtype: .float64)
    for _ in 0..<rounds {
      // Log densities less what all parts have in common, N × parts.
      let slopes = try means / variances
      let constants = try (means * slopes + variances.log()).sum(dims: [1])
      let distances = try squares.matmul((Tensor.ones(variances.shape, dtype: .float64) / variances).transpose(0, 1)) - codes.matmul(slopes.transpose(0, 1)) * 2
      let odds = try shares.log() - (distances + constants) * 0.5
      let largest = try odds.gather(1, odds.argmax(dim: 1).unsqueeze(1))
      let densities = try (odds - largest).exp()
      let belongings = try (densities / densities.sum(dims: [1], keepDim: true)).transpose(0, 1)
      // A part that lost all its codes stays where it is, without weight.
      let counts = try belongings.sum(dims: [1], keepDim: true) + 1e-9
      means = try belongings.matmul(codes) / counts
      variances = try (belongings.matmul(squares) - means.square() * counts + prior) / (counts + prior)
      shares = try (counts / Double(count)).reshape([-1])
    }
    let total = try shares.sum().item()
    return CodeMixture(
      weights: try shares.array(Double.self).map { $0 / total }, means: try means.to(.float32),
      deviations: try variances.sqrt().to(.float32))
  }
}

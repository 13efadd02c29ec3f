import Torch

/// A mixture of normal distributions that codes follow, in coordinates in which all codes together have mean 0 and the
/// identity as covariance. In these each part has its own mean and its own deviation along each axis.
package struct CodeMixture: Sendable {
  /// The share of each part; together 1.
  package let weights: [Double]
  /// Parts × latent size, float32.
  package let means: Tensor
  /// Parts × latent size, float32, above 0.
  package let deviations: Tensor

  package init(weights: [Double], means: Tensor, deviations: Tensor) {
    (self.weights, self.means, self.deviations) = (weights, means, deviations)
  }

  /// More parts are none that photos were fitted with: a forged file cannot ask for much.
  static let maximumParts = 64

  /// A draw.
  /// - Parameters:
  ///   - noise: from N(0, 1), latent size.
  ///   - choice: even in 0..<1: of which part.
  func draw(_ noise: Tensor, choice: Double) throws -> Tensor {
    var (part, sum) = (0, weights[0])
    while sum <= choice, part + 1 < weights.count {
      part += 1
      sum += weights[part]
    }
    return try means.select(0, part) + noise * deviations.select(0, part)
  }
}

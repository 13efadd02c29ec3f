import Foundation
import Torch

/// Which attributes a latent code shows: a logistic regression for each.
///
/// The probability is sigmoid(w · (code − mean) + b). The weights minimise the cross entropy over the training photos
/// and a penalty on their squares, in units of the codes' standard deviations.
public struct AttributeProbes: Sendable {
  /// How well a probe does on photos that it was not fitted to.
  public struct Figures: Sendable, Equatable {
    /// Photos that it was measured on.
    public var photos: Int
    /// The share of photos that it calls right at probability 0.5.
    public var accuracy: Double
    /// The share of photos that have the attribute.
    public var share: Double
    /// Expected calibration error: the mean distance between the probability and the share that has the attribute,
    /// over 15 bins of equal width, weighted by their photos (Guo et al. 2017, for two classes).
    public var calibrationError: Double

    package init(photos: Int, accuracy: Double, share: Double, calibrationError: Double) {
      (self.photos, self.accuracy) = (photos, accuracy)
      (self.share, self.calibrationError) = (share, calibrationError)
    }

    /// The accuracy of always saying what is more common.
    public var baseRate: Double { max(share, 1 - share) }
  }

  /// The attributes' names.
  public let names: [String]
  /// The code at which the biases hold, latent size, float32.
  public let mean: Tensor
  /// Attributes × latent size, float32: the change of the log odds with the code.
  public let weights: Tensor
  /// The log odds at the mean, one an attribute.
  public let biases: [Double]
  /// On the validation partition; `nil` where it was missing.
  public let figures: [Figures?]

  package init(names: [String], mean: Tensor, weights: Tensor, biases: [Double], figures: [Figures?]) {
    (self.names, self.mean, self.weights, self.biases, self.figures) = (names, mean, weights, biases, figures)
  }

  /// The log odds of each attribute.
  /// - Parameter codes: N × latent size, on any device.
  /// - Returns: N × attributes, float32, on the CPU.
  public func logits(of codes: Tensor) throws -> Tensor {
    try (codes.detach().to(.cpu).to(.float32) - mean).linear(weights, bias: Tensor(biases.map(Float.init)))
  }

  /// The probability of each attribute in one code, in the order of ``names``.
  /// - Parameter code: 1 × latent size.
  public func probabilities(of code: Tensor) throws -> [Double] {
    try logits(of: code).to(.float64).sigmoid().array()
  }
}

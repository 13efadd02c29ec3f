import Facet
import Torch

/// Reads photos' labels off their codes while a model is trained, by logistic regression, so that a code says plainly what
/// directions will look for in it (a supervised autoencoder: Le, Patterson & White 2018). It is in checkpoints, and in no bundle.
final class LabelHead: Module {
  let linear: Linear

  init(latentSize: Int, labelCount: Int, seed: UInt64) throws {
    linear = try Linear(latentSize, labelCount, generator: Generator(seed: seed ^ 1 << 41))
  }

  /// The mean cross entropy of the labels.
  /// - Parameters:
  ///   - codes: posterior means, N × latent size, float32.
  ///   - labels: N × labels in {−1, 0, 1}; one that is not known, 0, adds nothing.
  func loss(of codes: Tensor, labels: Tensor) throws -> Tensor {
    let isKnown = try labels.abs()
    // With these log odds nobody is surprised by 0.
    return try (linear(codes) * isKnown + (isKnown - 1) * 40).binaryCrossEntropyWithLogits((labels > 0).to(.float32))
  }
}

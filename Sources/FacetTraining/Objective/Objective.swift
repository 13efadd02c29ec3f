import Facet
import Torch

/// Weights of the training objective's terms; the defaults are the article's.
public struct ObjectiveWeights: Codable, Sendable, Equatable {
  /// Of the structural loss, 2 − SSIM.
  public var ssim = 1.0
  /// Of the mean absolute error.
  public var mae = 4.0
  /// Of the mask's losses, binary cross-entropy and Dice.
  public var mask = 1.0
  /// Of the divergence from N(0, 1).
  public var kl = 1e-3
  /// Of the labels that are read off the code in training, the mean cross entropy; `nil` or 0 for none.
  public var labels: Double?
  /// The article's weights.
  public init() {}
}

/// The article's objective: how far the composed image is from the input, how far the mask is from
/// its label, and how far the posterior is from N(0, 1).
public struct Objective: Sendable {
  /// The terms' weights.
  public let weights: ObjectiveWeights
  private let ssim: SSIM

  /// - Parameter dtype: of the images.
  /// - Parameter imageSize: side of the square images in pixels.
  /// - Parameter weights: the terms' weights.
  /// - Parameter device: where the work is done.
  public init(
    imageSize: Int, weights: ObjectiveWeights = .init(), dtype: DType = .float32, device: Device = .cpu
  ) throws {
    self.weights = weights
    ssim = try SSIM(size: imageSize, dtype: dtype, device: device)
  }

  /// The terms by themselves, unweighted scalars.
  public struct Terms: Sendable {
    /// 2 − SSIM, mean over the batch.
    public let ssimLoss: Tensor
    /// Mean absolute error of values in [0, 1].
    public let mae: Tensor
    /// Mean binary cross-entropy of the mask.
    public let maskBCE: Tensor
    /// Dice loss of the mask, 0 … 1.
    public let maskDice: Tensor
    /// Divergence from N(0, 1), mean over the dimensions.
    public let kl: Tensor
    /// The weighted sum.
    public let total: Tensor

    /// Names and values in a fixed order.
    public var named: [(name: String, value: Tensor)] {
      [
        ("total", total), ("ssim_loss", ssimLoss), ("mae", mae), ("mask_bce", maskBCE), ("mask_dice", maskDice),
        ("kl", kl),
      ]
    }
  }

  /// - Parameters:
  ///   - images: N × 3 × S × S in [0, 1].
  ///   - masks: N × 1 × S × S in {0, 1}.
  ///   - sampling: the part of SSIM's map that is looked at; all of it where left out.
  ///   - posterior: the encoder's distribution.
  ///   - reconstruction: what was decoded.
  ///   - group: processes whose batches, all of one size, count as one for Dice; the other terms are means, which
  ///     their averages over the processes are, too.
  public func callAsFunction(
    images: Tensor, masks: Tensor, reconstruction: Reconstruction, posterior: Posterior,
    sampling: SSIM.Sampling = .all, over group: ProcessGroup? = nil
  ) throws -> Terms {
    let composed = try reconstruction.composed(over: images, trueMask: masks)
    let ssimLoss = try 2 - ssim(images, composed, sampling: sampling).mean()
    let mae = try (images - composed).abs().mean()
    let bce = try reconstruction.maskLogits.binaryCrossEntropyWithLogits(masks)
    let dice = try Self.dice(masks, reconstruction.mask, over: group)
    let kl = try Self.kl(posterior)
    let total = try ssimLoss * weights.ssim + mae * weights.mae + (bce + dice) * weights.mask + kl * weights.kl
    return Terms(ssimLoss: ssimLoss, mae: mae, maskBCE: bce, maskDice: dice, kl: kl, total: total)
  }

  /// Dice loss over the whole batch, 1 − (2 Σ|y·p| + 1) / (Σ y² + Σ p² + 1 + 1e-8)
  /// (after Milletari, Navab & Ahmadi 2016).
  /// - Parameter group: the processes whose batches count as one.
  /// - Parameter labels: 1 or 0.
  /// - Parameter probabilities: of 1, in the same shape.
  public static func dice(
    _ labels: Tensor, _ probabilities: Tensor, over group: ProcessGroup? = nil
  ) throws -> Tensor {
    var overlap = try (labels * probabilities).abs().sum()
    var squares = try labels.square().sum() + probabilities.square().sum()
    if let group {
      let sums = try group.sum(Tensor.stack([overlap, squares]))
      (overlap, squares) = (try sums.select(0, 0), try sums.select(0, 1))
    }
    return try 1 - (overlap * 2 + 1) / (squares + (1 + 1e-8))
  }

  /// KL(q(z | x) ‖ N(0, 1)) = −½ (1 + 2 log σ − mean² − σ²), the mean over batch and dimensions.
  public static func kl(_ posterior: Posterior) throws -> Tensor {
    let s = posterior.logDeviation
    return try (s * 2 + 1 - posterior.mean.square() - (s * 2).exp()).mean() * -0.5
  }
}

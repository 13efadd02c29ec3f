import Facet
import Foundation
import Torch

/// How well a model reconstructs a partition, with the true mask composed in as the article does.
public struct EvaluationReport: Codable, Sendable, Equatable {
  /// Structural similarity, 9 × 9 window; 1 is the same picture.
  public var ssim = 0.0
  /// Mean absolute error of values in [0, 1].
  public var mae = 0.0
  /// Mean binary cross-entropy of the mask.
  public var maskBCE = 0.0
  /// Dice loss of the mask, 0 … 1; 0 is the same mask.
  public var maskDice = 0.0
  /// Intersection over union of the predicted mask at 0.5 and the label, mean over the photos.
  public var maskIoU = 0.0
  /// Divergence from N(0, 1), mean over the dimensions.
  public var kl = 0.0
  /// The weighted sum of the losses, by which checkpoints are compared.
  public var loss = 0.0
  /// The distance of reconstructions from their photos as people see it; `nil` where it was not measured, as the next four.
  public var perceptual: Double?
  /// The Fréchet distance of the features of reconstructions, and of faces drawn from the prior, from those of photos.
  public var frechet: Double?
  /// The same of faces drawn from the prior.
  package var frechetSamples: Double?
  /// The share of faces drawn from the prior that look like photos, and of photos that those look like.
  package var precision: Double?
  package var recall: Double?
  /// Photos that were measured.
  public var images = 0
  /// Photos in a second.
  public var imagesPerSecond = 0.0

  enum CodingKeys: String, CodingKey {
    case ssim, mae, maskBCE = "mask_bce", maskDice = "mask_dice", maskIoU = "mask_iou", kl, loss, images
    case perceptual, frechet, frechetSamples = "frechet_samples", precision, recall
    case imagesPerSecond = "images_per_second"
  }
}

/// Measures a model on photos with labels.
public final class Evaluator {
  /// The model that is measured.
  public let model: any FaceVAE
  private let objective: Objective
  private let device: Device

  /// - Parameter model: is moved to the device and used as it is: set its weights first or between evaluations.
  /// - Parameter objective: the terms' weights.
  /// - Parameter device: where the work is done.
  public init(_ model: any FaceVAE, objective: ObjectiveWeights = .init(), device: Device = .cpu) throws {
    self.model = model
    self.device = device
    self.objective = try Objective(imageSize: model.configuration.imageSize, weights: objective, device: device)
    try model.move(to: device)
    try model.useChannelsLast()
  }

  /// Reconstructs every photo from its posterior's mean and averages the figures.
  /// - Parameters:
  ///   - samples: the photos.
  ///   - batchSize: photos at once; Dice is a figure of a batch.
  ///   - distance: also measures perceptual and Fréchet distances by it.
  ///   - prior: of the faces whose Fréchet distance is measured.
  ///   - group: processes that share the batches and all get the figures, which are those of one process.
  ///   - progress: called with the photos done and their total.
  public func evaluate(
    _ samples: DecodedCache, batchSize: Int = 32, distance: PerceptualDistance? = nil, prior: LatentPrior? = nil,
    over group: ProcessGroup? = nil,
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> EvaluationReport {
    guard samples.count > 0 else { throw TrainingError("there are no photos to evaluate") }
    let loader = BatchLoader(samples, options: .evaluation(batchSize: batchSize, over: group))
    loader.start(epoch: 0)
    model.setTraining(false)
    var report = EvaluationReport()
    let distances = try distance.map { try PictureDistances($0) }
    let start = ContinuousClock.now
    try withoutGradients {
      while let batch = try loader.next() {
        let images = try batch.imageTensor(on: device)
        let masks = try batch.maskTensor(on: device)
        let posterior = try model.encode(images)
        let reconstruction = try model.decode(posterior.mean)
        let terms = try objective(images: images, masks: masks, reconstruction: reconstruction, posterior: posterior)
        try distances?.add(images: images, masks: masks, reconstruction: reconstruction)
        let weight = Double(batch.count)
        report.ssim += try (2 - terms.ssimLoss.item()) * weight
        report.mae += try terms.mae.item() * weight
        report.maskBCE += try terms.maskBCE.item() * weight
        report.maskDice += try terms.maskDice.item() * weight
        report.maskIoU += try Self.intersectionOverUnion(masks, reconstruction.maskLogits).sum().item()
        report.kl += try terms.kl.item() * weight
        report.loss += try terms.total.item() * weight
        report.images += batch.count
        progress(min(report.images * (group?.count ?? 1), samples.count), samples.count)
      }
    }
    let figures: [WritableKeyPath<EvaluationReport, Double>] = [
      \.ssim, \.mae, \.maskBCE, \.maskDice, \.maskIoU, \.kl, \.loss,
    ]
    if let group {
      let sums = try group.sum(figures.map { report[keyPath: $0] } + [Double(report.images)])
      for (figure, sum) in zip(figures, sums) { report[keyPath: figure] = sum }
      report.images = Int(sums[figures.count])
    }
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    let count = Double(report.images)
    for figure in figures { report[keyPath: figure] /= count }
    report.imagesPerSecond = count / seconds
    try withoutGradients {
      try distances?.finish(&report, model: model, prior: prior, device: device, over: group)
    }
    return report
  }

  /// Intersection over union at probability 0.5, one value an image; 1 where both masks are empty.
  static func intersectionOverUnion(_ labels: Tensor, _ logits: Tensor) throws -> Tensor {
    let predicted = try (logits > 0).to(.float32)
    let intersection = try (labels * predicted).sum(dims: [1, 2, 3])
    let union = try (labels + predicted).sum(dims: [1, 2, 3]) - intersection
    return try (intersection + 1e-6) / (union + 1e-6)
  }
}

extension EvaluationReport {
  /// Every figure by its name in JSON, in a fixed order.
  public var figures: [(name: String, value: Double)] {
    [
      ("loss", loss), ("ssim", ssim), ("mae", mae), ("mask_bce", maskBCE), ("mask_dice", maskDice),
      ("mask_iou", maskIoU), ("kl", kl),
    ]
      + [
        ("perceptual", perceptual), ("frechet", frechet), ("frechet_samples", frechetSamples), ("precision", precision),
        ("recall", recall),
      ].compactMap { name, value in value.map { (name, $0) } }
  }
}

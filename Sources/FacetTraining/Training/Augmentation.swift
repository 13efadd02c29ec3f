import Facet
import Torch

/// Changes of the training photos that a face does not mind, beside the mirroring that the data set says.
public struct Augmentation: Codable, Sendable, Equatable {
  /// Pixels by which a photo is moved each way at most.
  public var maxShift = 0
  /// The part by which a photo is made lighter or darker at most.
  public var brightness = 0.0
  /// The part by which each of its colours is, by itself.
  public var tint = 0.0
  /// Degrees by which half of the photos are turned about their middle at most.
  public var rotation = 0.0
  /// The part by which the same half is made larger or smaller at most.
  public var zoom = 0.0

  /// No change at all.
  public init() {}

  /// Photos with their masks, each changed by chance; moving them is the loader's part.
  /// - Parameters:
  ///   - images: N × 3 × S × S in [0, 1].
  ///   - masks: N × 1 × S × S in {0, 1}.
  ///   - generator: what chance is drawn from, on the photos' device.
  ///   - share: the photos' part of the whole batch, which chance is drawn for.
  func vary(
    images: Tensor, masks: Tensor, generator: Generator, share: BatchShare = .whole
  ) throws -> (images: Tensor, masks: Tensor) {
    let turned = try turn(images, masks, generator, share)
    return (try recolour(turned.images, generator, share), turned.masks)
  }

  private func turn(
    _ images: Tensor, _ masks: Tensor, _ generator: Generator, _ share: BatchShare
  ) throws -> (images: Tensor, masks: Tensor) {
    guard rotation > 0 || zoom > 0 else { return (images, masks) }
    let count = images.size(0)
    func uniform() throws -> Tensor {
      try share.rows(of: Tensor.rand([count * share.count, 1], generator: generator, device: images.device)) * 2 - 1
    }
    // The other half keeps its pixels, for interpolation softens them.
    let isTurned = try (uniform() > 0).to(.float32)
    let angle = try uniform() * isTurned * (rotation * .pi / 180)
    let scale = try uniform() * isTurned * zoom + 1
    let (cosine, sine) = (try angle.cos() * scale, try angle.sin() * scale)
    let zero = try cosine * 0
    let transform = try Tensor.cat([cosine, -sine, zero, sine, cosine, zero], dim: 1).reshape([count, 2, 3])
    let both = try Tensor.cat([images, masks], dim: 1).resampled(transform)
    return (
      try both.narrow(1, 0..<3).clamp(min: 0, max: 1).contiguous(.channelsLast),
      try (both.narrow(1, 3..<4) > 0.5).to(masks.dtype)
    )
  }

  private func recolour(_ images: Tensor, _ generator: Generator, _ share: BatchShare) throws -> Tensor {
    guard brightness > 0 || tint > 0 else { return images }
    func factors(_ channels: Int, _ range: Double) throws -> Tensor {
      let shape = [images.size(0) * share.count, channels, 1, 1]
      return try (share.rows(of: Tensor.rand(shape, generator: generator, device: images.device)) * 2 - 1) * range + 1
    }
    return try (images * factors(1, brightness) * factors(3, tint)).clamp(min: 0, max: 1)
  }
}

/// The part of a batch that one of several processes has: every `count`-th row from `rank`.
struct BatchShare {
  var rank = 0
  var count = 1

  static let whole = BatchShare()

  /// The rows that are this part's, of a tensor that has one for each photo of the whole batch.
  func rows(of tensor: Tensor) throws -> Tensor {
    count == 1 ? tensor : try tensor.strided(0, from: rank, by: count).contiguous()
  }
}

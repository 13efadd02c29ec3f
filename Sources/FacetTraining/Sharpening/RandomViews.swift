import Facet
import Torch

/// Pictures as another photo of the same person could show them: each turned, moved, resized and mirrored by chance.
struct RandomViews {
  /// Degrees by which a picture is turned at most.
  var rotation = 8.0
  /// The part by which it is made larger or smaller at most.
  var zoom = 0.08
  /// The part of its side by which it is moved each way at most.
  var shift = 0.05

  /// - Parameter generator: what chance is drawn from, on the images' device.
  func callAsFunction(_ images: Tensor, _ generator: Generator) throws -> Tensor {
    func uniform() throws -> Tensor {
      try Tensor.rand([images.size(0), 1], generator: generator, device: images.device) * 2 - 1
    }
    let angle = try uniform() * (rotation * .pi / 180)
    let scale = try uniform() * zoom + 1
    let mirror = try (uniform() > 0).to(.float32) * 2 - 1
    let (cosine, sine) = (try angle.cos() * scale, try angle.sin() * scale)
    // A side is 2 long where places are resampled.
    let transform = try Tensor.cat(
      [cosine * mirror, -sine, uniform() * (2 * shift), sine * mirror, cosine, uniform() * (2 * shift)], dim: 1)
    return try images.resampled(transform.reshape([images.size(0), 2, 3]), by: .bilinear, beyond: .reflection)
  }
}

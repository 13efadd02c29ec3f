import Foundation
import Torch

/// Draws the hairs of a beard: the generator of a generative adversarial network (Goodfellow et al. 2014), which
/// `Benchmarks/run beards` trains on lower faces of photos.
///
/// It is given a face without detail, whose dark places are beard, and adds what such a face has in a photo.
final class BeardNetwork: Module {
  let start: Conv2d
  let stages: [Conv2d]
  let fine: Conv2d
  let last: Conv2d
  let output: Conv2d

  private init() throws {
    start = try Conv2d(4 * 6 + 2, Self.channels, generator: nil)
    stages = try (0..<4).map { _ in try Conv2d(Self.channels, Self.channels, generator: nil) }
    fine = try Conv2d(Self.channels, 4 * Self.finest, generator: nil)
    last = try Conv2d(Self.finest + 2, Self.finest, generator: nil)
    output = try Conv2d(Self.finest, 3, generator: nil)
  }

  /// Adds detail.
  /// - Parameters:
  ///   - smooth: a face blurred by ``sigma``, 1 × 3 × H × W in [0, 1], H and W even.
  ///   - place: where its pixels lie, 1 × 2 × H × W as of ``place(_:_:)``.
  ///   - noise: 1 × 4 × H × W of a normal distribution.
  /// - Returns: 1 × 3 × H × W, not held within [0, 1].
  func callAsFunction(_ smooth: Tensor, at place: Tensor, noise: Tensor) throws -> Tensor {
    let coarse = try noise.narrow(1, 0..<2).avgPool2d(2) * 2
    let folded = try Tensor.cat([(smooth - 0.4) * 2, place, noise.narrow(1, 2..<3)], dim: 1).pixelUnshuffle(2)
    var x = try start(.cat([folded, coarse], dim: 1)).leakyRelu(0.2)
    for pair in [0, 2] { x = try x + stages[pair + 1](stages[pair](x).leakyRelu(0.2)) }
    x = try fine(x.leakyRelu(0.2)).pixelShuffle(2).leakyRelu(0.2)
    x = try last(.cat([x, noise.narrow(1, 3..<4), smooth.mean(dims: [1], keepDim: true)], dim: 1)).leakyRelu(0.2)
    return try smooth * (output(x) + 1).clamp(min: 0)
  }

  /// The side of the crops it was trained on, and the deviation of the Gaussian that takes their detail away, in their pixels.
  static let (side, sigma) = (288, 9.0)

  /// The place of a pixel as the network takes it.
  /// - Parameters:
  ///   - x: in pixels of a crop of ``side``.
  ///   - y: the same.
  static func place(_ x: Float, _ y: Float) -> SIMD2<Float> { SIMD2(x * 2 / Float(side) - 1, (y - 204) / 84) }

  // MARK: On disk

  private static let read = Lazy<BeardNetwork>()

  /// The one of the package.
  /// - Throws: ``BundleError`` where the file of the package is damaged.
  static func shared() throws -> BeardNetwork {
    try read {
      let part = try BundlePart(ofPackage: "beard", format: "facet-beard", madeBy: "Benchmarks/run beards")
      return try part.network { try BeardNetwork() }
    }
  }

  /// Channels at half the resolution, and at the whole.
  private static let (channels, finest) = (48, 16)
}

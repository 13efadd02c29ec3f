import Foundation
import Torch

/// Draws what is between open lips, teeth above all: the generator of a generative adversarial network (Goodfellow et al. 2014),
/// which `Benchmarks/run teeth` trains on mouths of photos.
///
/// It draws mouths that are laid straight: their columns go from corner to corner, and their rows down from the edge of the upper lip.
final class TeethNetwork: Module {
  let start: Linear
  let stages: [Stage]
  let fine: Conv2d
  let last: Conv2d
  let output: Conv2d

  private init() throws {
    start = try Linear(Self.codeSize + 3, Self.channels[0] * Self.coarsest.rows * Self.coarsest.columns, generator: nil)
    stages = try zip([Self.channels[0]] + Self.channels, Self.channels).map { try Stage($0, $1) }
    fine = try Conv2d(Self.channels[Self.channels.count - 1], 4 * Self.finest, generator: nil)
    last = try Conv2d(Self.finest + Self.planes, Self.finest, generator: nil)
    output = try Conv2d(Self.finest, 3, generator: nil)
  }

  /// Draws a mouth.
  /// - Parameters:
  ///   - code: whose teeth, 1 × ``codeSize``, of a normal distribution.
  ///   - opening: how much of each pixel lies between the lips, 1 × 1 × ``rows`` × ``columns`` in [0, 1].
  ///   - skin: the colour of the skin around, in [0, 1].
  /// - Returns: 1 × 3 × ``rows`` × ``columns`` in [0, 1].
  func callAsFunction(_ code: Tensor, opening: Tensor, skin: SIMD3<Float>) throws -> Tensor {
    let colour = (0..<3).map { log(min(1, max(Self.darkest, skin[$0]))) }
    let light = Double(colour.reduce(0, +) / 3)
    var x = try start(.cat([code, Tensor(colour, shape: [1, 3])], dim: 1))
      .reshape([1, Self.channels[0], Self.coarsest.rows, Self.coarsest.columns])
    for (index, stage) in stages.enumerated() {
      if index > 0 { x = try x.upsampleBilinear2d(scale: 2) }
      x = try stage(x / (x.square().mean(dims: [1], keepDim: true) + 1e-6).sqrt(), Self.planes(of: opening, x.size(2), light))
    }
    x = try fine(x).pixelShuffle(2).leakyRelu(0.2)
    x = try last(.cat([x, Self.planes(of: opening, Self.rows, light)], dim: 1)).leakyRelu(0.2)
    return try (output(x) + light).sigmoid()
  }

  /// Whose teeth a face has: always the same, and other faces have others.
  /// - Parameter latent: 1 × latent size.
  static func code(of latent: Tensor) throws -> Tensor {
    let ways = try Tensor.randn([latent.size(1), codeSize], generator: Generator(seed: 1))
    return try latent.matmul(ways) / max(1e-3, latent.square().sum().item().squareRoot()) * truncation
  }

  /// What each stage is told beside its features: the opening, the place, the light, and how sharp the photo is.
  private static func planes(of opening: Tensor, _ rows: Int, _ light: Double) throws -> Tensor {
    let columns = rows * Self.columns / Self.rows
    func line(_ count: Int) throws -> Tensor { try Tensor((0..<count).map { Float(2 * $0 + 1) / Float(count) - 1 }) }
    let across = try line(columns).reshape([1, 1, 1, columns]).expand([1, 1, rows, columns])
    let down = try line(rows).reshape([1, 1, rows, 1]).expand([1, 1, rows, columns])
    let pooled = rows == Self.rows ? opening : try opening.avgPool2d(Self.rows / rows)
    let (light, sharp) = (try Tensor.full([1, 1, rows, columns], light), try Tensor.full([1, 1, rows, columns], sharpness))
    return try .cat([pooled, across, across.square(), down, light, sharp], dim: 1)
  }

  /// Two convolutions 3 × 3.
  final class Stage: Module {
    let first: Conv2d
    let second: Conv2d

    init(_ inputs: Int, _ outputs: Int) throws {
      first = try Conv2d(inputs + TeethNetwork.planes, outputs, generator: nil)
      second = try Conv2d(outputs, outputs, generator: nil)
    }

    func callAsFunction(_ x: Tensor, _ planes: Tensor) throws -> Tensor {
      try second(first(.cat([x, planes], dim: 1)).leakyRelu(0.2)).leakyRelu(0.2)
    }
  }

  // MARK: Places

  /// Rows and columns of the picture that is drawn; rows above the edge of the lip, and columns between the corners of the mouth.
  static let (rows, columns, above, width) = (40, 80, 3, 72)

  // MARK: On disk

  private static let read = Lazy<TeethNetwork>()

  /// The one of the package.
  /// - Throws: ``BundleError`` where the file of the package is damaged.
  static func shared() throws -> TeethNetwork {
    try read {
      let part = try BundlePart(ofPackage: "teeth", format: "facet-teeth-2", madeBy: "Benchmarks/run teeth")
      return try part.network { try TeethNetwork() }
    }
  }

  /// The size of a code, and how far codes stay from those that no mouth has.
  private static let (codeSize, truncation) = (24, 0.8)
  private static let channels = [64, 64, 48]
  private static let coarsest = (rows: 5, columns: 10)
  /// Channels of the finest layer, and planes beside features.
  private static let (finest, planes) = (16, 6)
  /// That of a sharp photo: the logarithm of the mean absolute Laplacian over the skin's light, in tenths.
  private static let sharpness = 0.9
  /// The least light of skin that it was trained with.
  private static let darkest: Float = 0.03
}

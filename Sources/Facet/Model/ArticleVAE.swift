import Torch

/// The model of "Editing Face Attributes using VAE" (Toledo 2021): 144 × 144 × 3 to a latent code of
/// 2048, and back to an image and a face mask by two decoders that share nothing.
///
/// Batch norm has Keras's ε 1e-3 and momentum 0.99. Flattening and its inverse follow Keras's order
/// height, width, channel.
public final class ArticleVAE: FaceVAE {
  public let configuration: ModelConfiguration
  let encoder: Encoder
  let bottleneck: Bottleneck
  let imageDecoder: Decoder
  let maskDecoder: Decoder

  init(_ configuration: ModelConfiguration, generator: Generator?) throws {
    self.configuration = configuration
    encoder = try Encoder(generator: generator)
    bottleneck = try Bottleneck(generator: generator)
    imageDecoder = try Decoder(outputs: 3, generator: generator)
    maskDecoder = try Decoder(outputs: 1, generator: generator)
  }

  public func encode(_ images: Tensor) throws -> Posterior {
    let features = try encoder(images)
    return try bottleneck(features.permute([0, 2, 3, 1]).reshape([-1, 2 * 2 * 512]))
  }

  public func decode(_ latents: Tensor) throws -> Reconstruction {
    let features = try latents.reshape([-1, 2, 2, 512]).permute([0, 3, 1, 2])
    return Reconstruction(image: try imageDecoder(features).sigmoid(), maskLogits: try maskDecoder(features))
  }

  /// Convolution 3 × 3 → batch norm → ELU: the article's C(n).
  final class ConvBlock: Module {
    let conv: Conv2d
    let norm: BatchNorm

    init(_ inputs: Int, _ outputs: Int, generator: Generator?) throws {
      conv = try Conv2d(inputs, outputs, generator: generator)
      norm = try .article(outputs)
    }

    func callAsFunction(_ x: Tensor) throws -> Tensor { try norm(conv(x)).elu(inPlace: true) }
  }

  /// Transposed convolution 3 × 3, stride 2, 64 filters → batch norm → ELU: the article's T.
  final class UpBlock: Module {
    let conv: ConvTranspose2d
    let norm: BatchNorm
    static let filters = 64

    init(_ inputs: Int, cropsToSame: Bool, generator: Generator?) throws {
      conv = try ConvTranspose2d(inputs, Self.filters, cropsToSame: cropsToSame, generator: generator)
      norm = try .article(Self.filters)
    }

    func callAsFunction(_ x: Tensor) throws -> Tensor { try norm(conv(x)).elu(inPlace: true) }
  }

  /// C32 C32 P · C64 C64 P · C128 C128 P · C256 C256 P · C512 P · C512 P: 144 → 2.
  final class Encoder: Module {
    let stages: [Stage]
    static let layout = [[32, 32], [64, 64], [128, 128], [256, 256], [512], [512]]

    init(generator: Generator?) throws {
      var inputs = 3
      stages = try Self.layout.map { filters in
        defer { inputs = filters.last! }
        return try Stage(inputs, filters, generator: generator)
      }
    }

    func callAsFunction(_ x: Tensor) throws -> Tensor { try stages.reduce(x) { try $1($0) } }

    final class Stage: Module {
      let blocks: [ConvBlock]
      let pool = MaxPool2d()

      init(_ inputs: Int, _ filters: [Int], generator: Generator?) throws {
        blocks = try convBlocks(inputs, filters, generator: generator)
      }

      func callAsFunction(_ x: Tensor) throws -> Tensor { try pool(blocks.reduce(x) { try $1($0) }) }
    }
  }

  /// Dense 1024 → batch norm → ELU → two dense heads: mean and log-deviation.
  final class Bottleneck: Module {
    let hidden: Linear
    let norm: BatchNorm
    let mean: Linear
    let logDeviation: Linear

    init(generator: Generator?) throws {
      hidden = try Linear(2048, 1024, generator: generator)
      norm = try .article(1024)
      mean = try Linear(1024, 2048, generator: generator)
      logDeviation = try Linear(1024, 2048, generator: generator)
    }

    func callAsFunction(_ x: Tensor) throws -> Posterior {
      let h = try norm(hidden(x)).elu()
      return Posterior(mean: try mean(h), logDeviation: try logDeviation(h))
    }
  }

  /// T C512 (4) → T* C512 (9) → T C256 C256 (18) → T C128 C128 (36) → T C64 C64 (72) → T C32 C32 (144)
  /// → convolution 3 × 3. T* alone is not cropped.
  final class Decoder: Module {
    let stages: [Stage]
    let output: Conv2d
    static let layout = [[512], [512], [256, 256], [128, 128], [64, 64], [32, 32]]
    static let uncropped = 1

    init(outputs: Int, generator: Generator?) throws {
      var inputs = 512
      stages = try Self.layout.enumerated().map { index, filters in
        defer { inputs = filters.last! }
        return try Stage(inputs, filters, cropsToSame: index != Self.uncropped, generator: generator)
      }
      output = try Conv2d(inputs, outputs, generator: generator)
    }

    func callAsFunction(_ x: Tensor) throws -> Tensor { try output(stages.reduce(x) { try $1($0) }) }

    final class Stage: Module {
      let up: UpBlock
      let blocks: [ConvBlock]

      init(_ inputs: Int, _ filters: [Int], cropsToSame: Bool, generator: Generator?) throws {
        up = try UpBlock(inputs, cropsToSame: cropsToSame, generator: generator)
        blocks = try convBlocks(UpBlock.filters, filters, generator: generator)
      }

      func callAsFunction(_ x: Tensor) throws -> Tensor { try blocks.reduce(up(x)) { try $1($0) } }
    }
  }

  private static func convBlocks(_ inputs: Int, _ filters: [Int], generator: Generator?) throws -> [ConvBlock] {
    try zip([inputs] + filters, filters).map { try ConvBlock($0, $1, generator: generator) }
  }
}

extension BatchNorm {
  /// Keras's defaults: ε 1e-3, momentum 0.99.
  fileprivate static func article(_ channels: Int) throws -> BatchNorm {
    try BatchNorm(channels, momentum: 0.01, eps: 1e-3)
  }
}

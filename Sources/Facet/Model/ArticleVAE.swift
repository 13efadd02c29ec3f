import Torch

/// The model of "Editing Face Attributes using VAE" (Toledo 2021): 144 × 144 × 3 to a latent code of
/// 2048, and back to an image and a face mask by two decoders that share nothing.
///
/// Batch norm has Keras's ε 1e-3 and momentum 0.99. Flattening and its inverse follow Keras's order
/// height, width, channel.
public final class ArticleVAE: FaceVAE {
  /// What it is built of.
  public let configuration: ModelConfiguration
  package let encoder: Encoder
  package let bottleneck: Bottleneck
  package let imageDecoder: Decoder
  package let maskDecoder: Decoder

  package init(_ configuration: ModelConfiguration, generator: Generator?) throws {
    self.configuration = configuration
    encoder = try Encoder(configuration, generator: generator)
    bottleneck = try Bottleneck(configuration, generator: generator)
    imageDecoder = try Decoder(configuration, outputs: 3, generator: generator)
    maskDecoder = try Decoder(configuration, outputs: 1, generator: generator)
  }

  public func encode(_ images: Tensor) throws -> Posterior {
    let features = try encoder(images)
    return try bottleneck(features.permute([0, 2, 3, 1]).reshape([images.size(0), -1]))
  }

  public func decode(_ latents: Tensor) throws -> Reconstruction {
    let features = try latents.reshape([-1, 2, 2, configuration.latentSize / 4]).permute([0, 3, 1, 2])
    return Reconstruction(image: try imageDecoder(features).sigmoid(), maskLogits: try maskDecoder(features))
  }

  public var decoders: [any Module] { [imageDecoder, maskDecoder] }

  /// Convolution 3 × 3 → batch norm → ELU: the article's C(n).
  package final class ConvBlock: Module {
    package let conv: Conv2d
    package let norm: BatchNorm

    package init(_ inputs: Int, _ outputs: Int, generator: Generator?) throws {
      conv = try Conv2d(inputs, outputs, generator: generator)
      norm = try .article(outputs)
    }

    package func callAsFunction(_ x: Tensor) throws -> Tensor { try norm(conv(x)).elu(inPlace: true) }
  }

  /// Transposed convolution 3 × 3, stride 2 → batch norm → ELU: the article's T, of 64 filters.
  package final class UpBlock: Module {
    package let conv: ConvTranspose2d
    package let norm: BatchNorm

    package init(_ inputs: Int, _ outputs: Int, cropsToSame: Bool, generator: Generator?) throws {
      conv = try ConvTranspose2d(inputs, outputs, cropsToSame: cropsToSame, generator: generator)
      norm = try .article(outputs)
    }

    package func callAsFunction(_ x: Tensor) throws -> Tensor { try norm(conv(x)).elu(inPlace: true) }
  }

  /// C32 C32 P · C64 C64 P · C128 C128 P · C256 C256 P · C512 P · C512 P: 144 → 2.
  package final class Encoder: Module {
    package let stages: [Stage]
    /// Convolutions a stage, and their filters in the article.
    package static let blocks = [2, 2, 2, 2, 1, 1]
    package static let channels = [32, 32, 64, 64, 128, 128, 256, 256, 512, 512]

    package init(_ configuration: ModelConfiguration, generator: Generator?) throws {
      var inputs = 3
      stages = try configuration.articleEncoder.split(into: Self.blocks).map { filters in
        defer { inputs = filters.last! }
        return try Stage(inputs, filters, generator: generator)
      }
    }

    package func callAsFunction(_ x: Tensor) throws -> Tensor { try stages.reduce(x) { try $1($0) } }

    package final class Stage: Module {
      package let blocks: [ConvBlock]
      package let pool = MaxPool2d()

      init(_ inputs: Int, _ filters: [Int], generator: Generator?) throws {
        blocks = try convBlocks(inputs, filters, generator: generator)
      }

      func callAsFunction(_ x: Tensor) throws -> Tensor { try pool(blocks.reduce(x) { try $1($0) }) }
    }
  }

  /// Dense 1024 → batch norm → ELU → two dense heads: mean and log-deviation.
  package final class Bottleneck: Module {
    package let hidden: Linear
    package let norm: BatchNorm
    package let mean: Linear
    package let logDeviation: Linear

    package init(_ configuration: ModelConfiguration, generator: Generator?) throws {
      let (size, latent) = (configuration.hiddenSize, configuration.latentSize)
      hidden = try Linear(2 * 2 * configuration.articleEncoder.last!, size, generator: generator)
      norm = try .article(size)
      mean = try Linear(size, latent, generator: generator)
      logDeviation = try Linear(size, latent, generator: generator)
    }

    package func callAsFunction(_ x: Tensor) throws -> Posterior {
      let h = try norm(hidden(x)).elu()
      return Posterior(mean: try mean(h), logDeviation: try logDeviation(h))
    }
  }

  /// T C512 (4) → T* C512 (9) → T C256 C256 (18) → T C128 C128 (36) → T C64 C64 (72) → T C32 C32 (144)
  /// → convolution 3 × 3. T* alone is not cropped.
  package final class Decoder: Module {
    package let stages: [Stage]
    package let output: Conv2d
    /// Convolutions a stage, and their filters in the article.
    package static let blocks = [1, 1, 2, 2, 2, 2]
    package static let channels = [512, 512, 256, 256, 128, 128, 64, 64, 32, 32]
    package static let uncropped = 1

    package init(_ configuration: ModelConfiguration, outputs: Int, generator: Generator?) throws {
      var inputs = configuration.latentSize / 4
      stages = try configuration.articleDecoder.split(into: Self.blocks).enumerated().map { index, filters in
        defer { inputs = filters.last! }
        return try Stage(
          inputs, up: configuration.upChannels, filters, cropsToSame: index != Self.uncropped, generator: generator)
      }
      output = try Conv2d(inputs, outputs, generator: generator)
    }

    package func callAsFunction(_ x: Tensor) throws -> Tensor { try output(stages.reduce(x) { try $1($0) }) }

    package final class Stage: Module {
      package let up: UpBlock
      package let blocks: [ConvBlock]

      init(_ inputs: Int, up: Int, _ filters: [Int], cropsToSame: Bool, generator: Generator?) throws {
        self.up = try UpBlock(inputs, up, cropsToSame: cropsToSame, generator: generator)
        blocks = try convBlocks(up, filters, generator: generator)
      }

      func callAsFunction(_ x: Tensor) throws -> Tensor { try blocks.reduce(up(x)) { try $1($0) } }
    }
  }

  private static func convBlocks(_ inputs: Int, _ filters: [Int], generator: Generator?) throws -> [ConvBlock] {
    try zip([inputs] + filters, filters).map { try ConvBlock($0, $1, generator: generator) }
  }
}

extension ModelConfiguration {
  /// Filters of the encoder's convolutions, and of each decoder's.
  package var articleEncoder: [Int] { encoderChannels.isEmpty ? ArticleVAE.Encoder.channels : encoderChannels }
  package var articleDecoder: [Int] { decoderChannels.isEmpty ? ArticleVAE.Decoder.channels : decoderChannels }

  /// Bounds that keep a hostile configuration from asking for more memory than a model needs.
  package func validateArticle() throws(ModelError) {
    for (name, channels) in [("encoderChannels", articleEncoder), ("decoderChannels", articleDecoder)] {
      guard channels.count == 10, channels.allSatisfy((1...1024).contains) else {
        throw ModelError("'\(name)' must be 10 numbers from 1 to 1024, or none for the article's own")
      }
    }
    guard imageSize == 144 else { throw ModelError("'imageSize' of the article's architecture is 144, not \(imageSize)") }
    guard (4...4096).contains(latentSize), latentSize % 4 == 0 else {
      throw ModelError("'latentSize' of the article's architecture must be a multiple of 4 from 4 to 4096")
    }
    guard (1...1024).contains(upChannels) else { throw ModelError("'upChannels' must be from 1 to 1024") }
    guard (1...4096).contains(hiddenSize) else { throw ModelError("'hiddenSize' must be from 1 to 4096") }
    func kernels(_ channels: [Int]) -> Int { zip(channels, channels.dropFirst()).map { 9 * $0 * $1 }.reduce(0, +) }
    let decoder = [latentSize / 4] + articleDecoder
    // Each transposed convolution comes from, and leads to, one of the decoder's.
    let weights = kernels([3] + articleEncoder) + (4 * articleEncoder[9] + 2 * latentSize) * hiddenSize
      + 2 * (kernels(decoder) + decoder.map { 18 * $0 * upChannels }.reduce(0, +))
    guard weights <= Self.largestWeights else {
      throw ModelError("\(weights) weights are more than the \(Self.largestWeights) that a model may have")
    }
  }
}

extension [Int] {
  /// The elements in groups of these sizes.
  fileprivate func split(into counts: [Int]) -> [[Int]] {
    var rest = self[...]
    return counts.map { count in
      defer { rest = rest.dropFirst(count) }
      return Array(rest.prefix(count))
    }
  }
}

extension BatchNorm {
  /// Keras's defaults: ε 1e-3, momentum 0.99.
  fileprivate static func article(_ channels: Int) throws -> BatchNorm {
    try BatchNorm(channels, momentum: 0.01, eps: 1e-3)
  }
}

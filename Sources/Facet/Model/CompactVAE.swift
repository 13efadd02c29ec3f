import Torch

/// A small VAE for real time without a GPU: stride-2 convolutions inwards from a space-to-depth stem, nearest-neighbour
/// upsampling outwards to one pixel shuffle that gives image and mask together.
///
/// Most of the work lies at low resolution, where a channel costs little.
public final class CompactVAE: FaceVAE {
  /// What it is built of.
  public let configuration: ModelConfiguration
  package let encoder: Encoder
  package let decoder: Decoder

  package init(_ configuration: ModelConfiguration, generator: Generator?) throws {
    self.configuration = configuration
    encoder = try Encoder(configuration, generator: generator)
    decoder = try Decoder(configuration, generator: generator)
  }

  public func encode(_ images: Tensor) throws -> Posterior { try encoder(images) }

  public func decode(_ latents: Tensor) throws -> Reconstruction { try decoder(latents) }

  public var decoders: [any Module] { [decoder] }

  /// Convolution 3 × 3 → batch norm → leaky ReLU.
  package final class ConvBlock: Module {
    package let conv: Conv2d
    package let norm: BatchNorm

    package init(_ inputs: Int, _ outputs: Int, stride: Int = 1, generator: Generator?) throws {
      conv = try Conv2d(inputs, outputs, stride: stride, bias: false, generator: generator)
      norm = try .compact(outputs)
    }

    package func callAsFunction(_ x: Tensor) throws -> Tensor { try activation(norm(conv(x))) }
  }

  /// x + F(x) with F two convolutions, the second's batch norm starting at a fifth so that the block starts close to
  /// the identity.
  package final class ResidualBlock: Module {
    package let first: ConvBlock
    package let conv: Conv2d
    package let norm: BatchNorm

    package init(_ channels: Int, generator: Generator?) throws {
      first = try ConvBlock(channels, channels, generator: generator)
      conv = try Conv2d(channels, channels, bias: false, generator: generator)
      norm = try .compact(channels, scale: 0.2)
    }

    package func callAsFunction(_ x: Tensor) throws -> Tensor { try activation(x + norm(conv(first(x)))) }
  }

  /// A change of resolution by 2, then residual blocks.
  package final class Stage: Module {
    package let conv: ConvBlock
    package let blocks: [ResidualBlock]

    package init(_ inputs: Int, _ outputs: Int, stride: Int, residuals: Int, generator: Generator?) throws {
      conv = try ConvBlock(inputs, outputs, stride: stride, generator: generator)
      blocks = try (0..<residuals).map { _ in try ResidualBlock(outputs, generator: generator) }
    }

    package func callAsFunction(_ x: Tensor) throws -> Tensor { try blocks.reduce(conv(x)) { try $1($0) } }
  }

  package final class Encoder: Module {
    package let stem: Int
    package let stages: [Stage]
    package let mean: Linear
    package let logDeviation: Linear
    /// The prior of log σ at the start: small noise, so that the codes carry the picture from the first step.
    private static let initialLogDeviation = -2.0
    /// exp(2 log σ) of a code far from all others must stay finite.
    package static let logDeviationRange = -8.0...4.0

    package init(_ configuration: ModelConfiguration, generator: Generator?) throws {
      stem = configuration.stem
      var inputs = 3 * stem * stem
      stages = try configuration.encoderChannels.enumerated().map { index, channels in
        defer { inputs = channels }
        return try Stage(
          inputs, channels, stride: index == 0 ? 1 : 2, residuals: configuration.encoderResiduals[index],
          generator: generator)
      }
      let features = inputs * configuration.innerSize * configuration.innerSize
      mean = try Linear(features, configuration.latentSize, generator: generator)
      logDeviation = try Linear(features, configuration.latentSize, generator: generator)
      if generator != nil {
        try logDeviation.scaleWeights(by: 0.1)
        try logDeviation.fillBias(Self.initialLogDeviation)
      }
    }

    package func callAsFunction(_ x: Tensor) throws -> Posterior {
      let input = try x.pixelUnshuffle(stem).contiguous(.channelsLast)
      let features = try stages.reduce(input) { try $1($0) }.contiguous().reshape([x.size(0), -1])
      let range = Self.logDeviationRange
      let bounded = try logDeviation(features).clamp(min: range.lowerBound, max: range.upperBound)
      return Posterior(mean: try mean(features), logDeviation: bounded)
    }
  }

  package final class Decoder: Module {
    package let input: Linear
    package let norm: BatchNorm
    package let blocks: [ResidualBlock]
    package let stages: [Stage]
    package let output: Conv2d
    package let innerChannels: Int
    package let innerSize: Int

    package init(_ configuration: ModelConfiguration, generator: Generator?) throws {
      let channels = configuration.decoderChannels
      innerChannels = channels[0]
      innerSize = configuration.innerSize
      input = try Linear(configuration.latentSize, innerChannels * innerSize * innerSize, generator: generator)
      norm = try .compact(innerChannels)
      blocks = try (0..<configuration.decoderResiduals[0]).map { _ in try ResidualBlock(channels[0], generator: generator) }
      stages = try zip(channels, channels.dropFirst()).enumerated().map { index, pair in
        try Stage(
          pair.0, pair.1, stride: 1, residuals: configuration.decoderResiduals[index + 1], generator: generator)
      }
      output = try Conv2d(channels.last!, 4 * CompactVAE.shuffle * CompactVAE.shuffle, generator: generator)
    }

    package func callAsFunction(_ z: Tensor) throws -> Reconstruction {
      let code = try input(z).reshape([-1, innerChannels, innerSize, innerSize]).contiguous(.channelsLast)
      var x = try blocks.reduce(activation(norm(code))) { try $1($0) }
      for stage in stages { x = try stage(x.upsampleNearest2d(scale: 2)) }
      let parts = try output(x).pixelShuffle(CompactVAE.shuffle).split([3, 1], dim: 1)
      return Reconstruction(image: try parts[0].to(.float32).sigmoid(), maskLogits: parts[1])
    }
  }
}

extension CompactVAE {
  /// Pixels in a row that the output unfolds from channels.
  package static let shuffle = 2
  /// The leaky ReLU's slope below 0.
  package static let slope = 0.1
}

/// In place, which batch norm and sums allow: backward needs no output of theirs.
private func activation(_ x: Tensor) throws -> Tensor { try x.leakyRelu(CompactVAE.slope, inPlace: true) }

extension BatchNorm {
  fileprivate static func compact(_ channels: Int, scale: Double = 1) throws -> BatchNorm {
    try BatchNorm(channels, momentum: 0.03, scale: scale)
  }
}

extension ModelConfiguration {
  /// Side of the innermost feature map.
  package var innerSize: Int { (imageSize / stem) >> (encoderChannels.count - 1) }

  /// Bounds that keep a hostile configuration from asking for more memory than a model needs.
  package func validate() throws(ModelError) {
    switch architecture {
    case .article: try validateArticle()
    case .compact:
      func check(_ name: String, _ values: [Int], _ range: ClosedRange<Int>, count: Int) throws(ModelError) {
        guard values.count == count, values.allSatisfy(range.contains) else {
          throw ModelError("'\(name)' must be \(count) numbers from \(range.lowerBound) to \(range.upperBound)")
        }
      }
      guard stem == 2 || stem == 4 else { throw ModelError("'stem' must be 2 or 4") }
      guard (1...8).contains(encoderChannels.count) else { throw ModelError("'encoderChannels' must be 1 to 8 numbers") }
      guard (1...8).contains(decoderChannels.count) else { throw ModelError("'decoderChannels' must be 1 to 8 numbers") }
      try check("encoderChannels", encoderChannels, 1...1024, count: encoderChannels.count)
      try check("decoderChannels", decoderChannels, 1...1024, count: decoderChannels.count)
      try check("encoderResiduals", encoderResiduals, 0...8, count: encoderChannels.count)
      try check("decoderResiduals", decoderResiduals, 0...8, count: decoderChannels.count)
      guard (1...4096).contains(latentSize) else { throw ModelError("'latentSize' must be from 1 to 4096") }
      let multiple = stem << (encoderChannels.count - 1)
      guard imageSize >= 16, imageSize <= 512, imageSize % multiple == 0 else {
        throw ModelError("'imageSize' must be a multiple of \(multiple) from 16 to 512, not \(imageSize)")
      }
      guard (innerSize << (decoderChannels.count - 1)) * CompactVAE.shuffle == imageSize else {
        throw ModelError("'decoderChannels' must lead from \(innerSize) pixels back to \(imageSize): one stage a doubling")
      }
      guard compactWeights <= Self.largestWeights else {
        throw ModelError("\(compactWeights) weights are more than the \(Self.largestWeights) that a model may have")
      }
    }
  }

  package static let largestWeights = 100_000_000

  /// The weights in the compact architecture's matrices and kernels.
  private var compactWeights: Int {
    func kernels(_ channels: [Int], residuals: [Int]) -> Int {
      let stages = zip(channels, channels.dropFirst()).map { 9 * $0 * $1 }
      let blocks = zip(channels.suffix(residuals.count), residuals).map { 18 * $0 * $0 * $1 }
      return (stages + blocks).reduce(0, +)
    }
    let encoder = kernels([3 * stem * stem] + encoderChannels, residuals: encoderResiduals)
    let decoder = kernels(decoderChannels, residuals: decoderResiduals)
    let ends = 2 * encoderChannels[encoderChannels.count - 1] + decoderChannels[0]
    return encoder + decoder + ends * innerSize * innerSize * latentSize
  }
}

import Torch

/// Finds the class of each pixel of a face: the stages of ``CompactVAE`` inwards to a sixteenth of the resolution, a word
/// of the whole picture to every place, and outwards again with the finer features added at each level.
///
/// It is fully convolutional: any height and width that are multiples of ``ParserConfiguration/multiple`` will do.
package final class ParserNetwork: Module {
  package let configuration: ParserConfiguration
  package let stages: [CompactVAE.Stage]
  package let context: Conv2d
  package let merges: [Merge]
  package let output: Conv2d

  package init(_ configuration: ParserConfiguration, generator: Generator?) throws {
    self.configuration = configuration
    var inputs = 3 * Self.stem * Self.stem
    stages = try zip(configuration.channels, configuration.residuals).enumerated().map { index, stage in
      defer { inputs = stage.0 }
      return try CompactVAE.Stage(
        inputs, stage.0, stride: index == 0 ? 1 : 2, residuals: stage.1, generator: generator)
    }
    context = try Conv2d(inputs, inputs, kernel: 1, generator: generator)
    let outwards = Array(configuration.channels.reversed())
    merges = try zip(outwards, outwards.dropFirst()).map { try Merge($0, $1, generator: generator) }
    output = try Conv2d(configuration.channels[0], FaceClass.allCases.count, kernel: 1, generator: generator)
  }

  /// - Parameter images: N × 3 × H × W, sRGB in [0, 1].
  /// - Returns: logits, N × classes × H / 2 × W / 2.
  package func callAsFunction(_ images: Tensor) throws -> Tensor {
    var x = try ((images - 0.5) * 4).pixelUnshuffle(Self.stem).contiguous(.channelsLast)
    var levels: [Tensor] = []
    for stage in stages {
      x = try stage(x)
      levels.append(x)
    }
    x = try x + context(x.mean(dims: [2, 3], keepDim: true))
    for (merge, finer) in zip(merges, levels.dropLast().reversed()) { x = try merge(x, finer) }
    return try output(x)
  }

  /// Pixels in a row that are folded into channels.
  package static let stem = 2

  /// Coarse features brought to the channels and the resolution of the finer ones, added to them, and mixed.
  package final class Merge: Module {
    package let narrow: Conv2d
    package let mix: CompactVAE.ConvBlock

    package init(_ coarse: Int, _ fine: Int, generator: Generator?) throws {
      narrow = try Conv2d(coarse, fine, kernel: 1, bias: false, generator: generator)
      mix = try CompactVAE.ConvBlock(fine, fine, generator: generator)
    }

    package func callAsFunction(_ coarse: Tensor, _ fine: Tensor) throws -> Tensor {
      try mix(narrow(coarse).upsampleNearest2d(scale: 2) + fine)
    }
  }
}

/// The size of a face parser; `config.json` in its folder.
public struct ParserConfiguration: Codable, Sendable, Equatable {
  /// The shorter side of the pictures that the network sees, in pixels.
  public var imageSize = 144
  /// Channels of its stages, each at half the resolution of the one before; the first at half the picture's.
  public var channels = [32, 64, 128, 128]
  /// Residual blocks in each of them.
  public var residuals = [0, 1, 1, 2]

  /// The default size.
  public init() {}

  /// What height and width of a picture must be multiples of.
  package var multiple: Int { ParserNetwork.stem << (channels.count - 1) }

  /// A network with fresh weights.
  /// - Parameter seed: of the weights; `nil` leaves them zero, to be loaded.
  /// - Throws: ``ModelError`` when the numbers are out of bounds.
  package func makeNetwork(seed: UInt64?) throws -> ParserNetwork {
    try validate()
    return try ParserNetwork(self, generator: try seed.map { try Generator(seed: $0) })
  }

  /// Bounds that keep a hostile configuration from asking for more memory than a parser needs.
  package func validate() throws(ModelError) {
    guard (1...6).contains(channels.count), channels.allSatisfy((1...512).contains) else {
      throw ModelError("'channels' must be 1 to 6 numbers from 1 to 512")
    }
    guard residuals.count == channels.count, residuals.allSatisfy((0...4).contains) else {
      throw ModelError("'residuals' must be \(channels.count) numbers from 0 to 4")
    }
    guard (16...512).contains(imageSize), imageSize % multiple == 0 else {
      throw ModelError("'imageSize' must be a multiple of \(multiple) from 16 to 512, not \(imageSize)")
    }
  }
}

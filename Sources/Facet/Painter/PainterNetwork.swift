import Torch

/// Paints a hole in a photo by a guide, the decoded face (after sketch and image inpainting with a guide: Liu et al. 2018).
///
/// Two decoded faces say what is to change: `before`, of the photo as it is, and `guide`, of the face that is asked for. An
/// aligner finds how the photo's own pixels move from the one to the other. A U-net sees the photo around the hole, the guide and
/// the moved pixels, and gives for each pixel of the hole how far the moved photo is taken, and what is added. So skin, stubble
/// and folds come from the photo where they may, and shape from the guide where it must.
package final class PainterNetwork: Module {
  package let configuration: PainterConfiguration
  package let aligner: Aligner
  package let inner: [Block]
  package let middle: [Residual]
  package let outer: [Merge]
  package let output: Conv2d

  package init(_ configuration: PainterConfiguration, generator: Generator?) throws {
    self.configuration = configuration
    aligner = try Aligner(configuration.alignerChannels, generator: generator)
    let channels = configuration.channels
    var inputs = Self.inputs * Self.stem * Self.stem
    inner = try channels.enumerated().map { index, count in
      defer { inputs = count }
      return try Block(inputs, count, stride: index == 0 ? 1 : 2, isNormalized: index > 0, generator: generator)
    }
    middle = try (0..<2).map { _ in try Residual(channels[channels.count - 1], generator: generator) }
    outer = try zip(channels.dropFirst(), channels).enumerated().reversed().map { index, pair in
      try Merge(pair.0, pair.1, isNormalized: index > 0, generator: generator)
    }
    output = try Conv2d(channels[0], Self.outputs * Self.stem * Self.stem, generator: generator)
    try output.scaleWeights(by: 0.05)
  }

  /// What a painter sees, each N × channels × H × W, H and W multiples of ``PainterConfiguration/multiple``.
  package struct Input {
    /// The photo, in [0, 1].
    package var photo: Tensor
    /// Where it is painted: 1 in the hole, 0 outside, soft at its border; one channel.
    package var hole: Tensor
    /// The photo whose pixels may be moved into the hole. In use it is `photo`.
    package var own: Tensor
    /// 0 where `own` is not to be used; one channel.
    package var seen: Tensor
    /// The decoded faces of the code as it is and of the code that is asked for, at the photo's size.
    package var before, guide: Tensor

    package init(photo: Tensor, hole: Tensor, own: Tensor, seen: Tensor, before: Tensor, guide: Tensor) {
      (self.photo, self.hole, self.own, self.seen) = (photo, hole, own, seen)
      (self.before, self.guide) = (before, guide)
    }
  }

  package struct Output {
    /// The photo with its hole painted, N × 3 × H × W; not held within [0, 1].
    package let painted: Tensor
    /// The moved photo, and how far it was to be used.
    package let moved, movedSeen: Tensor
    /// How far it was taken, N × 1 × H × W in [0, 1].
    package let share: Tensor
    /// What was added, N × 3 × H × W.
    package let drawn: Tensor
    /// How far to the right and how far below each pixel was taken from, N × 2 × H × W in pixels.
    package let flow: Tensor
    /// The guide in the light of the photo.
    package let guide: Tensor
  }

  package func callAsFunction(_ raw: Input) throws -> Output {
    let input = try raw.inLightOfPhoto()
    let (height, width) = (input.photo.size(2), input.photo.size(3))
    // At the hole's border nothing moves, so that there is no seam.
    let flow = try aligner(input) * input.hole
    let sides = try Tensor([Float(2) / Float(width), Float(2) / Float(height)], shape: [1, 2, 1, 1]).to(flow.device)
    let places = try Aligner.grid(height, width).to(flow.device) + (flow * sides).permute([0, 2, 3, 1])
    let carried = try Tensor.cat([input.own, input.seen, input.before], dim: 1).sampled(at: places, by: .bilinear)
    let (moved, seen, before) = (
      try carried.narrow(1, 0..<3), try carried.narrow(1, 3..<4), try carried.narrow(1, 4..<7)
    )
    let inHole = try (input.hole > 0).to(.float32)
    let usable = try seen * inHole
    var x = try Tensor.cat(
      [
        (input.photo - 0.5) * (1 - input.hole), input.guide - 0.5, input.hole, (moved - 0.5) * usable, usable,
        (input.guide - before) * 2,
      ], dim: 1
    ).pixelUnshuffle(Self.stem).contiguous(.channelsLast)
    var levels: [Tensor] = []
    for block in inner {
      x = try block(x)
      levels.append(x)
    }
    for block in middle { x = try block(x) }
    for (merge, finer) in zip(outer, levels.dropLast().reversed()) { x = try merge(x, finer) }
    let planes = try output(x).to(.float32).pixelShuffle(Self.stem)
    let (drawn, share) = (try planes.narrow(1, 0..<3).tanh(), try planes.narrow(1, 3..<4).sigmoid() * seen)
    let base = try input.guide + (moved - input.guide) * share + drawn
    return Output(
      painted: try input.photo + (base - input.photo) * input.hole, moved: moved, movedSeen: seen, share: share,
      drawn: drawn, flow: flow, guide: input.guide)
  }

  /// Pixels in a row that are folded into channels, channels of the U-net's input, and of its output.
  package static let (stem, inputs, outputs) = (2, 14, 4)

  /// Finds where each pixel of the hole comes from: how `before` moves to become `guide`.
  package final class Aligner: Module {
    package let inner: [Block]
    package let middle: Residual
    package let outer: [Merge]
    package let output: Conv2d

    package init(_ channels: [Int], generator: Generator?) throws {
      var inputs = 11
      inner = try channels.enumerated().map { index, count in
        defer { inputs = count }
        return try Block(inputs, count, stride: index == 0 ? 1 : 2, isNormalized: index > 0, generator: generator)
      }
      middle = try Residual(channels[channels.count - 1], generator: generator)
      outer = try zip(channels.dropFirst(), channels).enumerated().reversed().map { index, pair in
        try Merge(pair.0, pair.1, isNormalized: index > 0, generator: generator)
      }
      output = try Conv2d(channels[0], 2, generator: generator)
      try output.scaleWeights(by: 0.05)
    }

    /// - Returns: how far to the right and how far below each pixel comes from, N × 2 × H × W in pixels.
    package func callAsFunction(_ input: Input) throws -> Tensor {
      let seen = try input.seen * (input.hole > 0).to(.float32)
      let coarse = try Tensor.cat(
        [
          input.before - 0.5, input.guide - 0.5, input.hole, (input.own - 0.5) * seen, seen,
        ], dim: 1
      ).avgPool2d(Self.coarseness)
      var x = try coarse.contiguous(.channelsLast)
      var levels: [Tensor] = []
      for block in inner {
        x = try block(x)
        levels.append(x)
      }
      x = try middle(x)
      for (merge, finer) in zip(outer, levels.dropLast().reversed()) { x = try merge(x, finer) }
      return try (output(x).to(.float32).tanh() * Self.reach).upsampleBilinear2d(scale: Self.coarseness)
    }

    /// Each pixel's own place, 1 × H × W × 2.
    package static func grid(_ height: Int, _ width: Int) throws -> Tensor {
      func line(_ count: Int) throws -> Tensor {
        try Tensor((0..<count).map { Float(2 * $0 + 1) / Float(count) - 1 })
      }
      return try .stack(
        [
          line(width).unsqueeze(0).expand([height, width]), line(height).unsqueeze(1).expand([height, width]),
        ], dim: 2
      ).unsqueeze(0)
    }

    /// It works on a quarter of the resolution, and finds pixels up to this many away.
    package static let (coarseness, reach) = (4, 24.0)
  }

  /// Convolution 3 × 3 → group norm → leaky ReLU.
  package final class Block: Module {
    package let conv: Conv2d
    package let norm: GroupNorm?

    package init(_ inputs: Int, _ outputs: Int, stride: Int = 1, isNormalized: Bool = true, generator: Generator?) throws {
      conv = try Conv2d(inputs, outputs, stride: stride, generator: generator)
      norm = isNormalized ? try GroupNorm(outputs) : nil
    }

    package func callAsFunction(_ x: Tensor) throws -> Tensor {
      let y = try conv(x)
      return try (norm.map { try $0(y) } ?? y).leakyRelu(0.2)
    }
  }

  /// x + F(x), F starting near 0.
  package final class Residual: Module {
    package let first: Block
    package let second: Conv2d

    package init(_ channels: Int, generator: Generator?) throws {
      first = try Block(channels, channels, generator: generator)
      second = try Conv2d(channels, channels, generator: generator)
      try second.scaleWeights(by: 0.2)
    }

    package func callAsFunction(_ x: Tensor) throws -> Tensor { try x + second(first(x)) }
  }

  /// Coarse features at the finer resolution, beside the finer ones, mixed.
  package final class Merge: Module {
    package let mix: Block
    package let residual: Residual

    package init(_ coarse: Int, _ fine: Int, isNormalized: Bool, generator: Generator?) throws {
      mix = try Block(coarse + fine, fine, isNormalized: isNormalized, generator: generator)
      residual = try Residual(fine, generator: generator)
    }

    package func callAsFunction(_ coarse: Tensor, _ fine: Tensor) throws -> Tensor {
      try residual(mix(.cat([coarse.upsampleNearest2d(scale: 2), fine], dim: 1)))
    }
  }
}

extension PainterNetwork.Input {
  /// Both decoded faces in the light and tint of the photo, which a decoder keeps only in part: moved by the slow part of the
  /// difference between the photo's own pixels and the face that decodes from them.
  func inLightOfPhoto() throws -> Self {
    let weight = try seen * hole
    let sums = try Tensor.cat([(own - before) * weight, weight], dim: 1).avgPool2d(Self.coarseness).blurred(sigma: Self.sigma)
    let light = try (sums.narrow(1, 0..<3) / (sums.narrow(1, 3..<4) + Self.least)).upsampleBilinear2d(scale: Self.coarseness)
    var input = self
    input.before = try before + light
    input.guide = try guide + light
    return input
  }

  /// The difference is blurred by a Gaussian of 24 pixels, at an eighth of the resolution.
  private static let (coarseness, sigma) = (8, 3.0)
  /// The weight up to which nothing is known.
  private static let least = 0.01
}

/// The size of a painter; stored with its weights.
public struct PainterConfiguration: Codable, Sendable, Equatable {
  /// The side of the crop whose pixels it paints.
  public var cropSize = 288
  /// Channels of the U-net's stages, the first at half of the crop's resolution.
  public var channels = [32, 64, 128, 160]
  /// Channels of the aligner's, the first at a quarter.
  public var alignerChannels = [32, 48, 64]

  /// The default size.
  public init() {}

  /// What height and width of a window must be multiples of.
  package var multiple: Int {
    max(PainterNetwork.stem << (channels.count - 1), PainterNetwork.Aligner.coarseness << (alignerChannels.count - 1))
  }

  /// A network with fresh weights.
  /// - Parameter seed: of the weights; `nil` leaves them zero, to be loaded.
  /// - Throws: ``ModelError`` when the numbers are out of bounds.
  package func makeNetwork(seed: UInt64?) throws -> PainterNetwork {
    for channels in [channels, alignerChannels] {
      guard (2...6).contains(channels.count), channels.allSatisfy({ (8...512).contains($0) && $0 % 8 == 0 }) else {
        throw ModelError("channels of a painter must be 2 to 6 multiples of 8 from 8 to 512")
      }
    }
    guard cropSize == Painter.cropSize, cropSize % multiple == 0 else {
      throw ModelError("'cropSize' of a painter must be \(Painter.cropSize), a multiple of \(multiple)")
    }
    return try PainterNetwork(self, generator: try seed.map { try Generator(seed: $0) })
  }
}

import Facet
import Torch

/// Tells photos from what is drawn or decoded, place by place: an adversary in training only (Goodfellow et al. 2014;
/// patches: Isola et al. 2017). It has an output for each edit, whose photos are those that have the attribute.
final class Critic: Module {
  let stages: [NormalizedConv2d]
  let output: NormalizedConv2d

  private static let channels = [32, 64, 128, 256]

  init(edits: Int = 1, generator: Generator) throws {
    var inputs = 3
    var stages: [NormalizedConv2d] = []
    for outputs in Self.channels {
      stages.append(try NormalizedConv2d(inputs, outputs, kernel: 4, stride: 2, generator: generator))
      inputs = outputs
    }
    self.stages = stages
    output = try NormalizedConv2d(inputs, edits, kernel: 3, stride: 1, generator: generator)
  }

  /// What it makes of pictures.
  struct Opinion {
    /// How real each looks as one of its edit, N × h × w, without bounds.
    let realism: Tensor
    /// What its stages see, each N × channels × h × w.
    let features: [Tensor]
  }

  /// - Parameters:
  ///   - images: N × 3 × S × S in [0, 1].
  ///   - selection: N × edits × 1 × 1, 1 at each picture's edit; may be left out where there is one.
  ///   - learns: whether the estimates of the weights' norms go on.
  func callAsFunction(_ images: Tensor, _ selection: Tensor? = nil, learns: Bool) throws -> Opinion {
    var features: [Tensor] = []
    for stage in stages {
      let x = try features.last ?? (images * 2 - 1).contiguous(.channelsLast)
      features.append(try stage(x, learns: learns).leakyRelu(0.2))
    }
    let opinions = try output(features[features.count - 1], learns: learns).to(.float32)
    return Opinion(realism: try (selection.map { try opinions * $0 } ?? opinions).sum(dims: [1]), features: features)
  }

  /// The critic's own loss: max(0, 1 − real) + max(0, 1 + drawn), means; 2 where it cannot tell them apart.
  static func hinge(real: Tensor, drawn: Tensor) throws -> Tensor {
    try (1 - real).relu().mean() + (drawn + 1).relu().mean()
  }
}

/// A convolution whose weights, as a matrix, have the spectral norm 1 (Miyato et al. 2018): without it a critic soon
/// is so sure of itself that nothing can be learned from it.
final class NormalizedConv2d: Module {
  let weight: Parameter  // out × in × k × k
  let bias: Parameter
  /// The estimate of the first left singular vector, out × 1.
  let direction: Buffer
  let stride: Int

  init(_ inputs: Int, _ outputs: Int, kernel: Int, stride: Int, generator: Generator) throws {
    let limit = 1 / Double(inputs * kernel * kernel).squareRoot()
    weight = Parameter(
      try (Tensor.rand([outputs, inputs, kernel, kernel], generator: generator) * 2 - 1) * limit)
    bias = Parameter(try .zeros([outputs]))
    direction = Buffer(try Self.unit(Tensor.randn([outputs, 1], generator: generator)))
    self.stride = stride
  }

  func callAsFunction(_ x: Tensor, learns: Bool) throws -> Tensor {
    let matrix = try weight.tensor.reshape([weight.tensor.size(0), -1])
    // One iteration of the power method a step; sums, for autocast would round products of matrices.
    let (left, right) = try withoutGradients {
      let right = try Self.unit((matrix * direction.tensor).sum(dims: [0], keepDim: true))
      guard learns else { return (direction.tensor, right) }
      let left = try Self.unit((matrix * right).sum(dims: [1], keepDim: true))
      try direction.tensor.copy(from: left)
      return (left, right)
    }
    let norm = try (matrix * (left * right)).sum()
    return try x.conv2d(weight.tensor / norm, bias: bias.tensor, stride: stride, padding: 1)
  }

  private static func unit(_ vector: Tensor) throws -> Tensor { try vector / vector.norm().clamp(min: 1e-12) }
}

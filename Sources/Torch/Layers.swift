import Synchronization

/// Weights drawn from U(−a, a) with a = √(6 / (fanIn + fanOut)) (Glorot & Bengio 2010), Keras's default;
/// zeros without a generator, for weights that are loaded next.
private func glorotUniform(_ shape: [Int], fanIn: Int, fanOut: Int, generator: Generator?) throws(TorchError) -> Parameter {
  guard let generator else { return Parameter(try .zeros(shape)) }
  let limit = (6 / Double(fanIn + fanOut)).squareRoot()
  return Parameter(try (Tensor.rand(shape, generator: generator) * 2 - 1) * limit)
}

/// Convolution over N × C × H × W.
public final class Conv2d: Module {
  /// Outputs × inputs × kernel × kernel.
  public let weight: Parameter  // out × in × k × k
  /// One an output; `nil` for none.
  public let bias: Parameter?
  /// Pixels from one window to the next.
  public let stride: Int
  /// Pixels of zeros on each side.
  public let padding: Int

  /// - Parameter padding: pixels of zeros on each side; `nil` keeps H and W at stride 1.
  public init(
    _ inputs: Int, _ outputs: Int, kernel: Int = 3, stride: Int = 1, padding: Int? = nil, bias: Bool = true,
    generator: Generator?
  ) throws(TorchError) {
    weight = try glorotUniform(
      [outputs, inputs, kernel, kernel], fanIn: inputs * kernel * kernel, fanOut: outputs * kernel * kernel,
      generator: generator)
    self.bias = bias ? Parameter(try .zeros([outputs])) : nil
    self.stride = stride
    self.padding = padding ?? kernel / 2
  }

  /// Multiplies the weights; for starting closer to zero.
  public func scaleWeights(by factor: Double) throws(TorchError) { weight.tensor = try weight.tensor * factor }

  /// The convolution of N × inputs × H × W.
  public func callAsFunction(_ x: Tensor) throws(TorchError) -> Tensor {
    try x.conv2d(weight.tensor, bias: bias?.tensor, stride: stride, padding: padding)
  }
}

/// Transposed convolution over N × C × H × W, cropped to an output of `stride` × the input's size
/// as Keras's "same", or uncropped as its "valid".
public final class ConvTranspose2d: Module {
  /// Inputs × outputs × kernel × kernel.
  public let weight: Parameter  // in × out × k × k
  /// One an output.
  public let bias: Parameter
  /// Pixels from one window to the next in the output.
  public let stride: Int
  /// Whether the output has `stride` times the input's size.
  public let cropsToSame: Bool

  /// A layer with fresh weights; zeros without a generator, for weights that are loaded next.
  public init(
    _ inputs: Int, _ outputs: Int, kernel: Int = 3, stride: Int = 2, cropsToSame: Bool = true, generator: Generator?
  ) throws(TorchError) {
    // Keras counts the fans of a transposed convolution the other way round; their sum is the same.
    weight = try glorotUniform(
      [inputs, outputs, kernel, kernel], fanIn: inputs * kernel * kernel, fanOut: outputs * kernel * kernel,
      generator: generator)
    bias = Parameter(try .zeros([outputs]))
    self.stride = stride
    self.cropsToSame = cropsToSame
  }

  /// The transposed convolution of N × inputs × H × W.
  public func callAsFunction(_ x: Tensor) throws(TorchError) -> Tensor {
    let full = try x.convTranspose2d(weight.tensor, bias: bias.tensor, stride: stride)
    guard cropsToSame else { return full }
    guard x.dimensions == 4 else { throw TorchError("a picture is N × C × H × W, not \(x.shape)") }
    // Keras drops the surplus rows and columns at the end first: (k − s) / 2 at the start.
    let surplus = weight.tensor.size(2) - stride
    let start = surplus / 2
    return try full.narrow(2, start..<start + x.size(2) * stride).narrow(3, start..<start + x.size(3) * stride)
  }
}

/// Batch normalization over dimension 1 (Ioffe & Szegedy 2015), for N × C and N × C × H × W.
public final class BatchNorm: Module {
  /// The factor of each channel.
  public let weight: Parameter
  /// What is added to each channel.
  public let bias: Parameter
  /// The mean of each channel that is used outside training.
  public let runningMean: Buffer
  /// The variance of each channel that is used outside training.
  public let runningVar: Buffer
  /// The share by which the running statistics move towards the batch's; Keras's momentum is 1 − this.
  public let momentum: Double
  /// What is added to variances, above 0.
  public let eps: Double
  /// Whether the batch's own statistics are used, and the running ones updated.
  public internal(set) var isTraining: Bool {
    get { mode.value.withLock(\.isTraining) }
    set { mode.value.withLock { $0.isTraining = newValue } }
  }
  /// The processes over whose batches together training takes the statistics; `nil` for the own batch's.
  public internal(set) var group: ProcessGroup? {
    get { mode.value.withLock(\.group) }
    set { mode.value.withLock { $0.group = newValue } }
  }

  private let mode = Mode()

  // Reflection finds a module's parts, and takes no lock that cannot be copied.
  private final class Mode: Sendable {
    let value = Mutex<(isTraining: Bool, group: ProcessGroup?)>((false, nil))
  }

  /// - Parameter scale: the weights' initial value.
  public init(_ channels: Int, momentum: Double = 0.1, eps: Double = 1e-5, scale: Double = 1) throws(TorchError) {
    weight = Parameter(try .full([channels], scale))
    bias = Parameter(try .zeros([channels]))
    runningMean = Buffer(try .zeros([channels]))
    runningVar = Buffer(try .ones([channels]))
    self.momentum = momentum
    self.eps = eps
  }

  /// - Throws: ``TorchError`` when training on a single value a channel, which has no variance.
  public func callAsFunction(_ x: Tensor) throws(TorchError) -> Tensor {
    // torch checks this in Python only; the running variance would become NaN.
    guard !isTraining || x.dimensions < 2 || x.count != x.size(1) else {
      throw TorchError("batch norm cannot train on one value a channel, as in shape \(x.shape)")
    }
    if isTraining, let group { return try synchronized(x, over: group) }
    return try x.batchNorm(
      weight: weight.tensor, bias: bias.tensor, runningMean: runningMean.tensor, runningVar: runningVar.tensor,
      training: isTraining, momentum: momentum, eps: eps)
  }

  /// With the mean and variance of all processes' batches, which are of one size; gradients flow through both.
  private func synchronized(_ x: Tensor, over group: ProcessGroup) throws(TorchError) -> Tensor {
    let perChannel = [1, x.size(1)] + Array(repeating: 1, count: x.dimensions - 2)
    let dims = (0..<x.dimensions).filter { $0 != 1 }
    let values = Double(x.count / x.size(1) * group.count)
    let wide = try x.to(.float32)
    let mean = try group.sum(wide.sum(dims: dims)) / values
    let centered = try wide - mean.reshape(perChannel)
    let variance = try group.sum(centered.square().sum(dims: dims)) / values
    let scale = try weight.tensor / (variance + eps).sqrt()
    try withoutGradients { () throws(TorchError) in
      try runningMean.tensor.copy(from: runningMean.tensor * (1 - momentum) + mean * momentum)
      let unbiased = momentum * values / (values - 1)
      try runningVar.tensor.copy(from: runningVar.tensor * (1 - momentum) + variance * unbiased)
    }
    return try (centered * scale.reshape(perChannel) + bias.tensor.reshape(perChannel)).to(x.dtype)
  }
}

/// Group normalization over N × C × H × W (Wu & He 2018): the statistics are each picture's own, in training and in use.
public final class GroupNorm: Module {
  /// The factor of each channel.
  public let weight: Parameter
  /// What is added to each channel.
  public let bias: Parameter
  /// Parts of equally many channels that are normalized together.
  public let groups: Int
  /// What is added to variances, above 0.
  public let eps: Double

  /// - Parameter channels: a multiple of `groups`.
  public init(_ channels: Int, groups: Int = 8, eps: Double = 1e-5) throws(TorchError) {
    weight = Parameter(try .ones([channels]))
    bias = Parameter(try .zeros([channels]))
    (self.groups, self.eps) = (groups, eps)
  }

  /// The normalized N × channels × H × W.
  public func callAsFunction(_ x: Tensor) throws(TorchError) -> Tensor {
    try x.groupNorm(groups, weight: weight.tensor, bias: bias.tensor, eps: eps)
  }
}

/// An affine map of the last dimension.
public final class Linear: Module {
  /// Outputs × inputs.
  public let weight: Parameter  // out × in
  /// One an output.
  public let bias: Parameter

  /// A layer with fresh weights; zeros without a generator, for weights that are loaded next.
  public init(_ inputs: Int, _ outputs: Int, generator: Generator?) throws(TorchError) {
    weight = try glorotUniform([outputs, inputs], fanIn: inputs, fanOut: outputs, generator: generator)
    bias = Parameter(try .zeros([outputs]))
  }

  /// Multiplies the weights; for starting closer to zero.
  public func scaleWeights(by factor: Double) throws(TorchError) { weight.tensor = try weight.tensor * factor }

  /// Sets every bias.
  public func fillBias(_ value: Double) throws(TorchError) { bias.tensor = try .full(bias.tensor.shape, value) }

  /// `x · weightᵀ + bias`.
  public func callAsFunction(_ x: Tensor) throws(TorchError) -> Tensor {
    try x.linear(weight.tensor, bias: bias.tensor)
  }
}

/// A pool over windows of `size` × `size` without overlap; a rest at the border is dropped.
public final class MaxPool2d: Module {
  /// The side of a window, and the way to the next.
  public let size: Int
  /// A layer of windows.
  public init(_ size: Int = 2) { self.size = size }
  /// The largest value of each window of N × C × H × W.
  public func callAsFunction(_ x: Tensor) throws(TorchError) -> Tensor { try x.maxPool2d(size) }
}

/// Adam (Kingma & Ba 2015) with torch's fused kernel; with `weightDecay` it is AdamW, the decay
/// apart from the gradient (Loshchilov & Hutter 2019).
public final class Adam {
  /// The constants of the algorithm; Keras's defaults.
  public struct Configuration: Codable, Sendable, Equatable {
    /// The decay of the mean of gradients, in 0..<1.
    public var beta1 = 0.9
    /// The decay of the mean of their squares, in 0..<1.
    public var beta2 = 0.999
    /// What is added to the root of the squares, above 0.
    public var eps = 1e-7
    /// The share of each parameter, times the learning rate, that a step takes away; 0 for plain Adam.
    public var weightDecay = 0.0
    /// The defaults.
    public init() {}
  }

  /// How gradients are held down before a step.
  public enum Clipping: Codable, Sendable, Equatable {
    /// As they are.
    case none
    /// Each variable's gradient by itself to this Euclidean norm, as Keras's `clipnorm`.
    case perVariable(Double)
    /// All gradients together to this Euclidean norm.
    case global(Double)
  }

  /// The constants of the algorithm.
  public let configuration: Configuration
  /// How gradients are held down.
  public let clipping: Clipping
  private let parameters: [(name: String, parameter: Parameter)]
  private var means: [Tensor]
  private var squares: [Tensor]
  private var steps: Tensor  // shared by all parameters

  private enum Op {
    static let adam = Operator("aten::_fused_adam_")
    static let adamW = Operator("aten::_fused_adamw_")
    static let norms = Operator("aten::_foreach_norm", "Scalar")
    static let scaleEach = Operator("aten::_foreach_mul_", "List")
    static let scaleAll = Operator("aten::_foreach_mul_", "Tensor")
    static let unbind = Operator("aten::unbind", "int")
    static let zerosLike = Operator("aten::zeros_like")
  }

  /// An optimizer of a module's parameters as they are now: move the module first.
  public init(
    _ module: some Module, configuration: Configuration = .init(), clipping: Clipping = .none
  ) throws(TorchError) {
    self.configuration = configuration
    self.clipping = clipping
    parameters = module.parameters
    means = []
    squares = []
    for (_, parameter) in parameters {
      means.append(try Op.zerosLike(.tensor(parameter.tensor)))
      squares.append(try Op.zerosLike(.tensor(parameter.tensor)))
    }
    steps = try .zeros([], device: parameters.first?.parameter.tensor.device ?? .cpu)
  }

  /// Changes every parameter that has a gradient.
  /// - Throws: ``TorchError`` when a parameter has no gradient.
  public func step(learningRate: Double) throws(TorchError) {
    try withoutGradients { () throws(TorchError) in
      var values: [Tensor] = []
      var grads: [Tensor] = []
      for (name, parameter) in parameters {
        guard let grad = parameter.tensor.grad else { throw TorchError("parameter '\(name)' has no gradient") }
        values.append(parameter.tensor)
        grads.append(grad)
      }
      try clip(grads)
      try steps.add(inPlace: .ones([], device: steps.device))
      let op = configuration.weightDecay > 0 ? Op.adamW : Op.adam
      try op.call(
        .tensors(values), .tensors(grads), .tensors(means), .tensors(squares), .tensors([]),
        .tensors(Array(repeating: steps, count: values.count)), .double(learningRate), .double(configuration.beta1),
        .double(configuration.beta2), .double(configuration.weightDecay), .double(configuration.eps), false, false)
    }
  }

  private func clip(_ grads: [Tensor]) throws(TorchError) {
    guard clipping != .none else { return }
    let norms = try Tensor.stack(Op.norms.call(.tensors(grads), results: grads.count))
    switch clipping {
    case .none: break
    case .perVariable(let limit):
      // g · c / max(‖g‖, c), which leaves smaller gradients as they are.
      let factors = try Tensor.full([grads.count], limit, device: norms.device) / norms.clamp(min: limit)
      try Op.scaleEach.call(.tensors(grads), .tensors(Op.unbind.call(.tensor(factors), 0, results: grads.count)))
    case .global(let limit):
      let factor = try Tensor.full([], limit, device: norms.device) / norms.norm().clamp(min: limit)
      try Op.scaleAll.call(.tensors(grads), .tensor(factor))
    }
  }

  /// The moments and the step count by name: `mean.NAME`, `square.NAME`, `step`.
  public func state() throws(TorchError) -> [String: Tensor] {
    var result = ["step": try steps.clone()]
    for (index, (name, _)) in parameters.enumerated() {
      result["mean.\(name)"] = try means[index].clone()
      result["square.\(name)"] = try squares[index].clone()
    }
    return result
  }

  /// Goes on from a saved state.
  /// - Throws: ``TorchError`` naming a tensor that is missing or of another shape.
  public func load(_ state: [String: Tensor]) throws(TorchError) {
    func value(_ name: String, _ shape: [Int]) throws(TorchError) -> Tensor {
      guard let tensor = state[name], tensor.shape == shape else {
        throw TorchError("the optimizer's tensor '\(name)' is missing or of another shape")
      }
      return tensor
    }
    try steps.copy(from: value("step", []))
    for (index, (name, parameter)) in parameters.enumerated() {
      try means[index].copy(from: value("mean.\(name)", parameter.tensor.shape))
      try squares[index].copy(from: value("square.\(name)", parameter.tensor.shape))
    }
  }
}

/// An exponential moving average of a module's parameters and buffers: running statistics belong to the weights that they
/// were taken under, so both are averaged alike.
public final class ExponentialMovingAverage {
  /// The share that the average keeps at each update, in 0..<1.
  public let decay: Double
  private let variables: [(name: String, variable: Variable)]
  private let averages: [Tensor]

  private static let lerp = Operator("aten::_foreach_lerp_", "Scalar")

  /// - Parameter decay: the share that the average keeps at each update, in 0..<1.
  public init(_ module: some Module, decay: Double) throws(TorchError) {
    self.decay = decay
    variables = module.variables
    var averages: [Tensor] = []
    for (_, variable) in variables { averages.append(try variable.tensor.detach().clone()) }
    self.averages = averages
  }

  /// Moves the average towards the present values after step number `step`, counted from 1; early on
  /// the decay is at most (1 + step) / (10 + step), so that the start is forgotten soon.
  public func update(step: Int) throws(TorchError) {
    let decay = min(decay, Double(1 + step) / Double(10 + step))
    try withoutGradients { () throws(TorchError) in
      _ = try Self.lerp.call(.tensors(averages), .tensors(variables.map(\.variable.tensor)), .double(1 - decay))
    }
  }

  /// The averages by name.
  public func state() throws(TorchError) -> [String: Tensor] {
    var result: [String: Tensor] = [:]
    for (index, (name, _)) in variables.enumerated() { result[name] = try averages[index].clone() }
    return result
  }

  /// Goes on from a saved state.
  public func load(_ state: [String: Tensor]) throws(TorchError) {
    for (index, (name, _)) in variables.enumerated() {
      guard let value = state[name], value.shape == averages[index].shape else {
        throw TorchError("the averaged weight '\(name)' is missing or of another shape")
      }
      try averages[index].copy(from: value)
    }
  }
}

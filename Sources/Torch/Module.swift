import Synchronization

/// A part of a network that owns parameters, buffers and other modules.
///
/// They are found by reflection: a stored property `weight` of a module in property `conv` is named
/// `conv.weight`, an element of an array by its index: `stages.0.conv.weight`. These names are the
/// keys in checkpoints, so renaming a property changes the file format.
///
/// Any number of threads may use one module; while one of them trains it, the others have to wait.
public protocol Module: AnyObject, Sendable {}

/// A named tensor of a module; the value is replaced in place when weights are loaded.
public class Variable: @unchecked Sendable {
  // A class that is inherited from cannot be checked; the lock is all that it holds.
  private let value: Mutex<Tensor>

  /// The present value.
  public internal(set) var tensor: Tensor {
    get { value.withLock { $0 } }
    set { value.withLock { $0 = newValue } }
  }

  init(_ tensor: Tensor) { value = Mutex(tensor) }
}

/// A tensor that training changes by its gradient.
public final class Parameter: Variable, @unchecked Sendable {
  /// A parameter with a first value.
  public override init(_ tensor: Tensor) { super.init(tensor) }
}

/// A tensor that belongs to the state but has no gradient, such as running statistics.
public final class Buffer: Variable, @unchecked Sendable {
  /// A buffer with a first value.
  public override init(_ tensor: Tensor) { super.init(tensor) }
}

extension Module {
  /// Parameters by dotted name, in the order of their declaration.
  public var parameters: [(name: String, parameter: Parameter)] {
    variables.compactMap { name, variable in (variable as? Parameter).map { (name, $0) } }
  }

  /// Buffers by dotted name, in the order of their declaration.
  public var buffers: [(name: String, buffer: Buffer)] {
    variables.compactMap { name, variable in (variable as? Buffer).map { (name, $0) } }
  }

  /// Parameters and buffers by dotted name, in the order of their declaration.
  public var variables: [(name: String, variable: Variable)] {
    var result: [(String, Variable)] = []
    visit(self, "") { name, item in
      if let variable = item as? Variable { result.append((name, variable)) }
    }
    return result
  }

  /// This module and all below it.
  public var modules: [any Module] {
    var result: [any Module] = []
    visit(self, "") { _, item in
      if let module = item as? any Module { result.append(module) }
    }
    return result
  }

  /// The number of trainable numbers.
  public var parameterCount: Int { parameters.reduce(0) { $0 + $1.parameter.tensor.count } }

  /// Switches batch norm between the batch's statistics (training) and the running ones.
  public func setTraining(_ training: Bool) {
    for case let norm as BatchNorm in modules { norm.isTraining = training }
  }

  /// Takes batch norm's statistics in training over the batches of all processes, as one with all of them would.
  public func synchronizeBatchNorm(over group: ProcessGroup) {
    for case let norm as BatchNorm in modules { norm.group = group }
  }

  /// Sets whether operations on the parameters are recorded for backward.
  public func setRequiresGrad(_ value: Bool) throws(TorchError) {
    for (_, parameter) in parameters { try parameter.tensor.setRequiresGrad(value) }
  }

  /// Clears all gradients.
  public func zeroGrad() throws(TorchError) {
    for (_, parameter) in parameters { try parameter.tensor.setGrad(nil) }
  }

  /// Lays the weights of convolutions out with channels last, which CPU and GPU kernels prefer.
  public func useChannelsLast() throws(TorchError) {
    for (_, parameter) in parameters where parameter.tensor.dimensions == 4 {
      parameter.tensor = try parameter.tensor.detach().contiguous(.channelsLast)
    }
  }

  /// Moves everything to a device.
  public func move(to device: Device) throws(TorchError) {
    for (_, variable) in variables { variable.tensor = try variable.tensor.detach().to(device) }
  }

  /// Copies of all parameters and buffers by name.
  public func state() throws(TorchError) -> [String: Tensor] {
    var result: [String: Tensor] = [:]
    for (name, variable) in variables { result[name] = try variable.tensor.detach().clone() }
    return result
  }

  /// Overwrites parameters and buffers.
  /// - Throws: ``TorchError`` naming a tensor that is missing, unknown or of another shape; then
  ///   nothing has been changed.
  public func load(_ state: [String: Tensor]) throws(TorchError) {
    let variables = variables
    let names = Set(variables.map(\.name))
    if let extra = state.keys.filter({ !names.contains($0) }).min() { throw TorchError("unknown tensor '\(extra)'") }
    for (name, variable) in variables {
      guard let value = state[name] else { throw TorchError("tensor '\(name)' is missing") }
      guard value.shape == variable.tensor.shape else {
        throw TorchError("tensor '\(name)' has shape \(value.shape), the model needs \(variable.tensor.shape)")
      }
    }
    try withoutGradients { () throws(TorchError) in
      for (name, variable) in variables { try variable.tensor.copy(from: state[name]!) }
    }
  }
}

private func visit(_ item: Any, _ name: String, _ body: (String, Any) -> Void) {
  body(name, item)
  guard item is any Module || item is [any Module] else { return }
  var mirror: Mirror? = Mirror(reflecting: item)
  var levels: [Mirror] = []
  while let level = mirror {
    levels.append(level)
    mirror = level.superclassMirror
  }
  for level in levels.reversed() {
    for (index, child) in level.children.enumerated() {
      let value = unwrapped(child.value)
      guard value is Variable || value is any Module || value is [any Module] else { continue }
      let label = item is any Module ? child.label ?? "\(index)" : "\(index)"
      visit(value, name.isEmpty ? label : "\(name).\(label)", body)
    }
  }
}

private func unwrapped(_ value: Any) -> Any {
  let mirror = Mirror(reflecting: value)
  guard mirror.displayStyle == .optional else { return value }
  return mirror.children.first?.value ?? value
}

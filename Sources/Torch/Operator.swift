import CLibTorch

/// One of torch's operators, found by name in its dispatcher.
///
/// Calls go through torch's own dispatch, so autograd, autocast and devices work. The name is
/// looked up once. An unknown name throws at the first call.
struct Operator: Sendable {
  private let handle: Result<Handle, TorchError>

  private struct Handle: @unchecked Sendable {
    let pointer: OpaquePointer
  }

  /// Finds an operator such as `aten::add`, overload `Tensor`.
  init(_ name: String, _ overload: String = "") {
    var pointer: OpaquePointer?
    let status = ct_operator(name, overload, &pointer)
    handle = Result { () throws(TorchError) in
      try TorchError.check(status)
      return Handle(pointer: pointer!)
    }
  }

  /// Runs the operator; arguments left out at the end take the schema's defaults.
  /// - Returns: every tensor that it gives back, those inside lists too.
  @discardableResult
  func call(_ arguments: Argument..., results capacity: Int = 4) throws(TorchError) -> [Tensor] {
    let op = try handle.get().pointer
    var results = [OpaquePointer?](repeating: nil, count: capacity)
    var count: Int64 = 0
    let packed = PackedArguments(arguments)
    let status = ct_call(op, packed.values, Int64(arguments.count), &results, Int64(capacity), &count)
    withExtendedLifetime(arguments) {}
    try TorchError.check(status)
    return results.prefix(Int(count)).map { Tensor(owning: $0!) }
  }

  /// Runs an operator with one result.
  func callAsFunction(_ arguments: Argument...) throws(TorchError) -> Tensor {
    let op = try handle.get().pointer
    var result: OpaquePointer?
    var count: Int64 = 0
    let packed = PackedArguments(arguments)
    let status = ct_call(op, packed.values, Int64(arguments.count), &result, 1, &count)
    withExtendedLifetime(arguments) {}
    try TorchError.check(status)
    guard count == 1, let result else { throw TorchError("an operator with one result gave \(count)") }
    return Tensor(owning: result)
  }
}

/// An argument of an operator.
enum Argument: ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral, ExpressibleByNilLiteral {
  case none
  case tensor(Tensor)
  case tensors([Tensor])
  case int(Int)
  case ints([Int])
  case double(Double)
  case doubles([Double])
  case bool(Bool)
  case string(String)
  case device(Device)
  case generator(Generator)

  init(nilLiteral: ()) { self = .none }
  init(integerLiteral value: Int) { self = .int(value) }
  init(floatLiteral value: Double) { self = .double(value) }
  init(booleanLiteral value: Bool) { self = .bool(value) }

  static func optional(_ tensor: Tensor?) -> Argument { tensor.map(Argument.tensor) ?? .none }
  static func dtype(_ dtype: DType) -> Argument { .int(Int(dtype.rawValue)) }
  static func format(_ format: MemoryFormat) -> Argument { .int(Int(format.rawValue)) }
}

/// Arguments as the C interface takes them; frees its lists at the end of its life.
private final class PackedArguments {
  private(set) var values: [CTValue]
  private var allocations: [UnsafeMutableRawPointer] = []

  init(_ arguments: [Argument]) {
    values = []
    values.reserveCapacity(arguments.count)
    for argument in arguments { values.append(pack(argument)) }
  }

  private func pack(_ argument: Argument) -> CTValue {
    var value = CTValue()
    switch argument {
    case .none: value.kind = CT_NONE
    case .tensor(let tensor):
      value.kind = CT_TENSOR
      value.object = UnsafeRawPointer(tensor.handle.pointer)
    case .tensors(let tensors):
      value.kind = CT_TENSOR_LIST
      list(tensors.map { Optional($0.handle.pointer) }, in: &value)
    case .int(let int):
      value.kind = CT_INT
      value.integer = Int64(int)
    case .ints(let ints):
      value.kind = CT_INT_LIST
      list(ints.map { Int64($0) }, in: &value)
    case .double(let double):
      value.kind = CT_DOUBLE
      value.real = double
    case .doubles(let doubles):
      value.kind = CT_DOUBLE_LIST
      list(doubles, in: &value)
    case .bool(let bool):
      value.kind = CT_BOOL
      value.integer = bool ? 1 : 0
    case .string(let string):
      value.kind = CT_STRING
      list(Array(string.utf8CString), in: &value)
    case .device(let device):
      value.kind = CT_DEVICE
      value.integer = Int64(device.type)
      value.count = Int64(device.index)
    case .generator(let generator):
      value.kind = CT_GENERATOR
      value.object = UnsafeRawPointer(generator.pointer)
    }
    return value
  }

  private func list<Element>(_ items: [Element], in value: inout CTValue) {
    let buffer = UnsafeMutablePointer<Element>.allocate(capacity: max(1, items.count))
    buffer.initialize(from: items, count: items.count)
    allocations.append(UnsafeMutableRawPointer(buffer))
    value.object = UnsafeRawPointer(buffer)
    value.count = Int64(items.count)
  }

  deinit { for allocation in allocations { allocation.deallocate() } }
}

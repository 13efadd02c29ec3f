import CLibTorch

/// An array of numbers with a shape, on a device: torch's tensor with Swift's lifetime.
///
/// Copying the value copies a reference, as in Python; operators give new tensors, and only methods
/// whose names say so (`add(inPlace:)`, `copy(from:)`) change one. Memory is freed when the last
/// reference goes, not later.
public struct Tensor: Sendable {
  let handle: Handle

  // torch counts references atomically; two threads must not write one tensor, as anywhere.
  final class Handle: @unchecked Sendable {
    let pointer: OpaquePointer
    init(_ pointer: OpaquePointer) { self.pointer = pointer }
    deinit { ct_tensor_free(pointer) }
  }

  init(owning pointer: OpaquePointer) { handle = Handle(pointer) }

  /// Copies the elements, row-major, into a new tensor on the CPU.
  /// - Throws: ``TorchError`` when the count doesn't fit the shape.
  public init<Element: TensorElement>(_ elements: [Element], shape: [Int]? = nil) throws(TorchError) {
    let result = elements.withUnsafeBytes { bytes in
      Result { () throws(TorchError) in
        try Tensor(copying: bytes, dtype: Element.dtype, shape: shape ?? [elements.count])
      }
    }
    self = try result.get()
  }

  /// Copies raw bytes, row-major, into a new tensor on the CPU.
  public init(copying bytes: UnsafeRawBufferPointer, dtype: DType, shape: [Int]) throws(TorchError) {
    try Tensor.check(bytes, fill: shape, dtype)
    var pointer: OpaquePointer?
    try TorchError.check(
      ct_tensor_copy_in(
        bytes.baseAddress, Int64(bytes.count), shape.map(Int64.init), Int64(shape.count), dtype.rawValue, &pointer))
    self.init(owning: pointer!)
  }

  /// A tensor over memory that `owner` keeps alive; nothing is copied.
  ///
  /// The memory must not change while the tensor is read, nor be written through the tensor when it
  /// is a read-only mapping.
  /// - Throws: ``TorchError`` when the byte count doesn't fit the shape.
  public init(borrowing bytes: UnsafeRawBufferPointer, owner: AnyObject, dtype: DType, shape: [Int]) throws(TorchError) {
    try Tensor.check(bytes, fill: shape, dtype)
    guard !bytes.isEmpty else {
      self = try Tensor(copying: bytes, dtype: dtype, shape: shape)
      return
    }
    let context = Unmanaged.passRetained(owner).toOpaque()
    var pointer: OpaquePointer?
    let status = ct_tensor_borrow(
      UnsafeMutableRawPointer(mutating: bytes.baseAddress!), shape.map(Int64.init), Int64(shape.count), dtype.rawValue,
      { Unmanaged<AnyObject>.fromOpaque($0!).release() }, context, &pointer)
    if status != 0 { Unmanaged<AnyObject>.fromOpaque(context).release() }
    try TorchError.check(status)
    self.init(owning: pointer!)
  }

  private static func check(
    _ bytes: UnsafeRawBufferPointer, fill shape: [Int], _ dtype: DType
  ) throws(TorchError) {
    var count = 1
    for size in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: size)
      guard size >= 0, !overflow, product <= Int.max / 8 else { throw TorchError("no tensor has the shape \(shape)") }
      count = product
    }
    guard bytes.count == count * dtype.size else {
      throw TorchError("a tensor of shape \(shape) takes \(count * dtype.size) bytes, not \(bytes.count)")
    }
  }

  // MARK: Properties

  /// Sizes of the dimensions.
  public var shape: [Int] { (0..<dimensions).map { size($0) } }

  /// The number of dimensions.
  public var dimensions: Int { Int(ct_tensor_dimensions(handle.pointer)) }

  /// The size of one dimension.
  /// - Precondition: `0 <= dimension < dimensions`.
  public func size(_ dimension: Int) -> Int {
    precondition((0..<dimensions).contains(dimension), "no dimension \(dimension) in a tensor of \(dimensions)")
    return Int(ct_tensor_size(handle.pointer, Int64(dimension)))
  }

  /// The number of elements.
  public var count: Int { shape.reduce(1, *) }

  /// The type of the elements.
  public var dtype: DType { DType(rawValue: ct_tensor_dtype(handle.pointer))! }

  /// Where the elements are.
  public var device: Device {
    var type: Int32 = 0
    var index: Int32 = 0
    ct_tensor_device(handle.pointer, &type, &index)
    return type == 0 ? .cpu : .cuda(Int(index))
  }

  /// Whether the elements lie in the given order without gaps.
  public func isContiguous(_ format: MemoryFormat = .contiguous) -> Bool {
    ct_tensor_is_contiguous(handle.pointer, format.rawValue)
  }

  // MARK: Reading

  /// The value of a tensor of one element. Waits for the device.
  /// - Throws: ``TorchError`` when there are more elements than one.
  public func item() throws(TorchError) -> Double {
    var result = 0.0
    try TorchError.check(ct_tensor_item(handle.pointer, &result))
    return result
  }

  /// The elements in row-major order.
  /// - Throws: ``TorchError`` when `Element` is not the tensor's type.
  public func array<Element: TensorElement>(_: Element.Type = Element.self) throws(TorchError) -> [Element] {
    guard dtype == Element.dtype else { throw TorchError("a tensor of \(dtype) cannot be read as \(Element.dtype)") }
    let count = count
    var status: Int32 = 0
    let result = [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
      status = ct_tensor_copy_out(handle.pointer, buffer.baseAddress, Int64(count * Element.dtype.size))
      initialized = status == 0 ? count : 0
    }
    try TorchError.check(status)
    return result
  }

  /// The elements' bytes in row-major order.
  public func bytes() throws(TorchError) -> [UInt8] {
    let size = count * dtype.size
    var status: Int32 = 0
    let result = [UInt8](unsafeUninitializedCapacity: size) { buffer, initialized in
      status = ct_tensor_copy_out(handle.pointer, buffer.baseAddress, Int64(size))
      initialized = status == 0 ? size : 0
    }
    try TorchError.check(status)
    return result
  }
}

extension Tensor: CustomStringConvertible {
  public var description: String {
    let head = "Tensor\(shape) \(dtype) \(device)"
    guard dtype != .bool, count <= 16, let values = try? self.to(.float64).array(Double.self) else { return head }
    return "\(head) \(values)"
  }
}

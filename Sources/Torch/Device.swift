import CLibTorch

/// The type of a tensor's elements.
public enum DType: Int32, Sendable, Hashable, CaseIterable {
  // Raw values are torch's c10::ScalarType.
  /// Unsigned, 8 bits.
  case uint8 = 0
  /// Signed, 8 bits.
  case int8 = 1
  /// Signed, 16 bits.
  case int16 = 2
  /// Signed, 32 bits.
  case int32 = 3
  /// Signed, 64 bits; the type of indices.
  case int64 = 4
  /// IEEE 754 half precision.
  case float16 = 5
  /// IEEE 754 single precision, the usual type.
  case float32 = 6
  /// IEEE 754 double precision.
  case float64 = 7
  /// True or false, a byte each.
  case bool = 11
  /// The upper half of a float32: its range with 8 bits of precision.
  case bfloat16 = 15

  /// Bytes of one element.
  public var size: Int {
    switch self {
    case .uint8, .int8, .bool: 1
    case .int16, .float16, .bfloat16: 2
    case .int32, .float32: 4
    case .int64, .float64: 8
    }
  }
}

/// A Swift type that a tensor's elements can be read into.
public protocol TensorElement: Sendable {
  /// The type of a tensor of such elements.
  static var dtype: DType { get }
}

extension UInt8: TensorElement { public static var dtype: DType { .uint8 } }
extension Int8: TensorElement { public static var dtype: DType { .int8 } }
extension Int32: TensorElement { public static var dtype: DType { .int32 } }
extension Int64: TensorElement { public static var dtype: DType { .int64 } }
extension Float: TensorElement { public static var dtype: DType { .float32 } }
extension Double: TensorElement { public static var dtype: DType { .float64 } }
extension Bool: TensorElement { public static var dtype: DType { .bool } }

/// How the elements of a 4-D tensor lie in memory; the shape stays N, C, H, W.
public enum MemoryFormat: Int32, Sendable {
  /// Row after row: the last dimension's elements are neighbours.
  case contiguous = 0
  /// As the tensor has them.
  case preserve = 1
  /// The channels of a pixel are neighbours.
  case channelsLast = 2
}

/// Where a tensor lives.
public enum Device: Hashable, Sendable, CustomStringConvertible {
  /// The processor.
  case cpu
  /// The CUDA device of an index from 0.
  case cuda(Int)

  /// Reads `cpu`, `cuda` or `cuda:1`.
  /// - Returns: `nil` when the text is none of these.
  public init?(_ text: String) {
    switch text {
    case "cpu": self = .cpu
    case "cuda": self = .cuda(0)
    default:
      guard text.hasPrefix("cuda:"), let index = Int(text.dropFirst(5)), (0..<128).contains(index) else { return nil }
      self = .cuda(index)
    }
  }

  public var description: String {
    switch self {
    case .cpu: "cpu"
    case .cuda(let index): "cuda:\(index)"
    }
  }

  /// Whether bfloat16 is multiplied by the device itself. Processors that cannot go by way of float32, many times slower than in
  /// float32 alone.
  public var computesBFloat16: Bool { self != .cpu || ct_cpu_computes_bfloat16() }

  /// CUDA devices that this LibTorch can use.
  public static var cudaCount: Int { Int(ct_cuda_devices()) }

  /// Waits until the work queued on the device is done.
  public func synchronize() throws(TorchError) {
    try TorchError.check(ct_synchronize(type, index))
  }

  // c10::DeviceType and index.
  var type: Int32 { self == .cpu ? 0 : 1 }
  var index: Int32 {
    switch self {
    case .cpu: -1
    case .cuda(let index): Int32(clamping: index)
    }
  }
}

/// The engine's settings for this process.
public enum Torch {
  /// LibTorch's version.
  public static var version: String { String(cString: ct_version()) }

  /// Threads that one operator may use on the CPU.
  public static var threads: Int { Int(ct_threads()) }

  /// Sets the threads that one operator may use on the CPU, at least 1.
  public static func setThreads(_ count: Int) throws(TorchError) {
    try TorchError.check(ct_set_threads(Int32(clamping: max(1, count))))
  }

  /// Whether convolutions and matrix products of float32 on CUDA may round their factors to TF32's 10 bits, which is
  /// several times as fast. Where nothing was set, torch does so for convolutions alone.
  public static var allowsTF32: Bool { ct_tf32() }

  /// Sets whether convolutions and matrix products of float32 on CUDA may round their factors to TF32.
  public static func setTF32(_ allowed: Bool) throws(TorchError) { try TorchError.check(ct_set_tf32(allowed)) }

  /// Tensors held by Swift now; for tests of memory.
  public static var liveTensors: Int { Int(ct_live_tensors()) }

  /// Keeps the memory that large tensors free inside the process instead of giving it back to the
  /// system after each step, which spares the page faults of asking again. For training.
  public static func keepFreedMemory() {
    ct_keep_freed_memory()
  }
}

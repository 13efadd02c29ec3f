import CLibTorch
import Foundation

extension Tensor {
  /// Reads every tensor of a safetensors file. The tensors lie over the mapped file: copy before writing to them.
  /// - Throws: ``SafetensorsError`` when the file is not whole, `FileError` when it cannot be read.
  public static func load(from url: URL) throws -> (tensors: [String: Tensor], metadata: [String: String]) {
    let file = try SafetensorsFile(url)
    let tensors = try file.tensors.mapValues { entry in
      // Kernels take elements at multiples of their size, and booleans of 0 or 1; others' files may hold anything.
      if entry.dtype == .bool {
        return try entry.withUnsafeBytes { try Tensor(copying: $0, dtype: .uint8, shape: entry.shape) } > 0
      }
      guard Int(bitPattern: entry.bytes.baseAddress) % entry.dtype.size == 0 else {
        return try entry.withUnsafeBytes { try Tensor(copying: $0, dtype: entry.dtype, shape: entry.shape) }
      }
      return try Tensor(borrowing: entry.bytes, owner: entry.file, dtype: entry.dtype, shape: entry.shape)
    }
    return (tensors, file.metadata)
  }

  /// Writes tensors to a safetensors file, whole or not at all.
  public static func save(_ tensors: [String: Tensor], metadata: [String: String] = [:], to url: URL) throws {
    let stored = try tensors.mapValues { try $0.detach().to(.cpu).contiguous() }
    let entries = stored.map { name, tensor in
      (name: name, dtype: tensor.dtype, shape: tensor.shape, bytes: tensor.borrowedBytes)
    }
    try withExtendedLifetime(stored) { try SafetensorsFile.write(entries, metadata: metadata, to: url) }
  }
}

extension Tensor {
  /// The bytes of a contiguous tensor on the CPU, valid as long as it lives.
  fileprivate var borrowedBytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: ct_tensor_data(handle.pointer), count: count * dtype.size)
  }
}

extension [String: Tensor] {
  /// The same tensors with `prefix` before each name.
  public func prefixed(_ prefix: String) -> [String: Tensor] {
    Dictionary(uniqueKeysWithValues: map { (prefix + $0.key, $0.value) })
  }

  /// The tensors whose names start with `prefix`, without it.
  public func withPrefix(_ prefix: String) -> [String: Tensor] {
    Dictionary(uniqueKeysWithValues: filter { $0.key.hasPrefix(prefix) }.map { (String($0.key.dropFirst(prefix.count)), $0.value) })
  }
}

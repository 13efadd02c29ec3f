import CLibTorch
import Foundation

extension Tensor {
  /// Reads every tensor of a safetensors file. The tensors lie over the file's memory: copy before writing to them.
  /// - Throws: ``SafetensorsError`` when the file is not whole, or a bit of it has changed since ``save(_:metadata:to:)`` wrote it;
  ///   `FileError` when it cannot be read.
  public static func load(from url: URL) throws -> (tensors: [String: Tensor], metadata: [String: String]) {
    let file = try SafetensorsFile(url)
    try file.verify()
    return try load(file)
  }

  /// The tensors of a file, over its memory as of ``load(from:)``.
  public static func load(_ file: SafetensorsFile) throws -> (tensors: [String: Tensor], metadata: [String: String]) {
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
    return (tensors, file.metadata.filter { $0.key != SafetensorsFile.checksumKey })
  }

  /// Writes tensors to a safetensors file, whole or not at all, with a checksum that ``SafetensorsFile/verify()`` looks at.
  public static func save(_ tensors: [String: Tensor], metadata: [String: String] = [:], to url: URL) throws {
    let stored = try tensors.mapValues { try $0.detach().to(.cpu).contiguous() }
    let entries = stored.map { name, tensor in
      (name: name, dtype: tensor.dtype, shape: tensor.shape, bytes: tensor.borrowedBytes)
    }
    try withExtendedLifetime(stored) { 
      try SafetensorsFile.write(entries, metadata: metadata, hasChecksum: true, to: url)
    }
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
  package func prefixed(_ prefix: String) -> [String: Tensor] {
    Dictionary(uniqueKeysWithValues: map { (prefix + $0.key, $0.value) })
  }

  /// The tensors whose names start with `prefix`, without it.
  package func withPrefix(_ prefix: String) -> [String: Tensor] {
    Dictionary(uniqueKeysWithValues: filter { $0.key.hasPrefix(prefix) }.map { (String($0.key.dropFirst(prefix.count)), $0.value) })
  }
}

// MARK: Quantization

extension [String: Tensor] {
  private static let scaleSuffix = ".scale"

  /// Matrices and kernels as int8 and, under the name with `.scale`, a scale for each row of their first dimension: half of
  /// float16's bytes, to 0.4 % of a row's largest number.
  /// - Parameter isChosen: which to store so, by name; the others stay as they are.
  package func quantized(where isChosen: (String) -> Bool = { _ in true }) throws -> [String: Tensor] {
    try reduce(into: [:]) { stored, entry in
      guard entry.value.dimensions >= 2, isChosen(entry.key) else { return stored[entry.key] = entry.value }
      let values = try entry.value.to(.float32)
      let largest = try values.abs().reshape([values.size(0), -1]).sorted(descending: true).narrow(1, 0..<1)
      let scale = try (largest / 127).clamp(min: 1e-12).reshape(Self.scaleShape(of: values))
      stored[entry.key] = try (values / scale).round().to(.int8)
      stored[entry.key + Self.scaleSuffix] = scale
    }
  }

  /// What ``quantized(where:)`` stored, in float32 again.
  /// - Throws: ``TorchError`` naming a tensor whose scales are missing or do not fit it.
  package func dequantized() throws -> [String: Tensor] {
    try reduce(into: [:]) { weights, entry in
      let (name, tensor) = entry
      guard tensor.dtype == .int8 else {
        let isScale = name.hasSuffix(Self.scaleSuffix) && self[String(name.dropLast(Self.scaleSuffix.count))]?.dtype == .int8
        if !isScale { weights[name] = tensor }
        return
      }
      guard tensor.dimensions > 0, let scale = self[name + Self.scaleSuffix], scale.dtype == .float32,
        scale.shape == Self.scaleShape(of: tensor), try scale.isAllFinite()
      else { throw TorchError("'\(name)' has no scales that fit it") }
      weights[name] = try tensor.to(.float32) * scale
    }
  }

  private static func scaleShape(of tensor: Tensor) -> [Int] {
    [tensor.size(0)] + Array<Int>(repeating: 1, count: tensor.dimensions - 1)
  }
}

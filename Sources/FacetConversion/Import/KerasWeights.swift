import CHDF5
import Facet
import Files
import Foundation
import Torch

/// A file or folder that could not be read or written. It is the same type in each module that throws it.
public typealias FileError = Files.FileError

/// A file of another program's that cannot be imported. The description names the file, and where it can the layer.
public struct ImportError: DescribedError, Equatable {
  /// The file.
  public let path: String
  /// What is wrong with it, and what to do.
  public let reason: String
  public var description: String { "\(path): \(reason)" }
}

/// The layers with weights of a file that Keras 2's `save_weights` wrote, in the file's order.
struct KerasWeights {
  struct Layer {
    let name: String
    /// By the name that the layer gives them, such as `kernel`; in Keras's layouts.
    var weights: [String: Tensor] = [:]
  }

  let url: URL
  /// Keras's own; `nil` where the file does not tell it.
  private(set) var version: String?
  private(set) var layers: [Layer] = []

  /// The most numbers in a file: twice the article's.
  private static let mostNumbers: UInt64 = 1 << 25

  /// - Throws: ``ImportError``, `FileError`.
  init(contentsOf url: URL) throws {
    self.url = url
    // A pipe or a device would never end.
    _ = try MappedFile(url)
    var (start, count): (UnsafeMutablePointer<UInt8>?, Int) = (nil, 0)
    var message: UnsafePointer<CChar>?
    ch_read_weights(url.path, Self.mostNumbers, &start, &count, &message)
    guard let start else { throw fault(message.map { String(cString: $0) } ?? "it cannot be read") }
    defer { free(start) }
    var records = Records(bytes: UnsafeRawBufferPointer(start: start, count: count))
    // What a child process read of a hostile file is not to be trusted either.
    guard try read(&records) else { throw fault("what was read of it is not whole; the file is damaged") }
  }

  func fault(_ reason: String) -> ImportError { ImportError(path: url.path, reason: reason) }

  /// False where the records break off.
  private mutating func read(_ records: inout Records) throws -> Bool {
    var (layer, positions) = ("", [String: Int]())
    while let kind = records.number(UInt8.self) {
      switch Int(kind) {
      case CH_DONE: return true
      case CH_ERROR: throw fault(records.text() ?? "it cannot be read")
      case CH_VERSION:
        guard let text = records.text() else { return false }
        version = text
      case CH_LAYER:
        guard let text = records.text() else { return false }
        (layer, positions) = (text, [:])
      case CH_WEIGHT:
        guard let name = records.text(), let rank = records.number(UInt8.self) else { return false }
        var shape: [Int] = []
        for _ in 0..<rank {
          guard let size = records.number(UInt32.self) else { return false }
          shape.append(Int(size))
        }
        guard let bytes = records.values(shape) else { return false }
        // conv2d/kernel:0. A model inside the model is one layer to Keras, and the path names those in it.
        let parts = name.split(separator: "/")
        let owner = parts.count > 1 ? String(parts[parts.count - 2]) : layer
        let weight = String(parts.last?.split(separator: ":").first ?? "")
        let tensor = try Tensor(copying: bytes, dtype: .float32, shape: shape)
        guard try tensor.isAllFinite() else { throw fault("layer '\(owner)', \(weight): holds numbers that are not finite") }
        let position = positions[owner] ?? layers.count
        if position == layers.count { layers.append(Layer(name: owner)) }
        positions[owner] = position
        guard layers[position].weights.updateValue(tensor, forKey: weight) == nil else {
          throw fault("layer '\(owner)' has two weights named \(weight)")
        }
      default: return false
      }
    }
    return false
  }
}

/// The child process's records, read within their bounds.
private struct Records {
  let bytes: UnsafeRawBufferPointer
  var offset = 0

  private mutating func take(_ count: Int) -> UnsafeRawBufferPointer? {
    guard count <= bytes.count - offset else { return nil }
    defer { offset += count }
    return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
  }

  mutating func number<Number: FixedWidthInteger>(_: Number.Type) -> Number? {
    take(MemoryLayout<Number>.size).map { Number(littleEndian: $0.loadUnaligned(as: Number.self)) }
  }

  /// Control characters, which a terminal would obey, become question marks.
  mutating func text() -> String? {
    guard let count = number(UInt32.self), let bytes = take(Int(count)) else { return nil }
    let text = String(decoding: bytes, as: UTF8.self)
    return String(String.UnicodeScalarView(text.unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : $0 }))
  }

  mutating func values(_ shape: [Int]) -> UnsafeRawBufferPointer? {
    var count = 4
    for size in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: size)
      if overflow { return nil }
      count = product
    }
    return take(count)
  }
}

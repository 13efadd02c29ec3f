import Files
import Foundation
import Torch

/// A file of tensors in a bundle's folder while it is read. Each fault names the file.
struct BundlePart {
  let url: URL
  /// The command that makes the file.
  private let command: String
  let tensors: [String: Tensor]
  let metadata: [String: String]

  /// Reads a part of a bundle; `nil` where it has none.
  /// - Parameters:
  ///   - file: its name.
  ///   - bundle: the bundle.
  ///   - format: what it must say that it is.
  ///   - content: for people, such as "glasses".
  ///   - command: the one that makes the file, such as "facet glasses".
  /// - Throws: ``BundleError``, `FileError` or `SafetensorsError` that names the file.
  init?(_ file: String, of bundle: ModelBundle, format: String, content: String, madeBy command: String) throws {
    let url = bundle.url.appendingPathComponent(file)
    guard FileManager.default.fileExists(atPath: url.path) else { return nil }
    try self.init(contentsOf: url, format: format, content: content, madeBy: "\(command) --model \(bundle.url.path)")
  }

  /// Reads a file that belongs to no bundle yet.
  init(contentsOf url: URL, format: String, content: String, madeBy command: String) throws {
    (self.url, self.command) = (url, command)
    (tensors, metadata) = try Tensor.load(from: url)
    guard metadata["format"] == format else {
      let found = metadata["format"].map { " (\($0.visible(length: 100)))" } ?? ""
      throw fault("not \(content) that this version of Facet reads\(found); make it again with '\(command)'")
    }
  }

  func fault(_ reason: String) -> BundleError { BundleError(path: url.path, reason: reason) }

  /// A tensor as float32.
  /// - Parameters:
  ///   - name: its name.
  ///   - shape: the one that it must have.
  ///   - types: those that it may have.
  /// - Throws: ``BundleError`` for one that is missing, of another shape or type, or not finite.
  func tensor(_ name: String, _ shape: [Int], _ types: Set<DType> = [.float32]) throws -> Tensor {
    guard let tensor = tensors[name], tensor.shape == shape, types.contains(tensor.dtype), try tensor.isAllFinite() else {
      throw fault("'\(name)' is not finite numbers of shape \(shape); make it again with '\(command)'")
    }
    return try tensor.to(.float32)
  }

  /// A value of the description.
  /// - Throws: ``BundleError`` for one that is missing, too long or of another kind.
  func value<Value: Decodable>(_ key: String, _: Value.Type = Value.self) throws -> Value {
    guard let text = metadata[key], text.utf8.count < Self.longest, let value = try? JSON.decode(Value.self, text) else {
      throw fault("its \(key) cannot be read")
    }
    return value
  }

  private static let longest = 1 << 16
}

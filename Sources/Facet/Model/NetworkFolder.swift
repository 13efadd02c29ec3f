import Files
import Foundation
import Torch

/// A network on disk: a folder with `config.json`, `model.safetensors` and a `card.md` for people. It may come from anywhere, so
/// limits are checked, and each fault names its file.
package struct NetworkFolder {
  let configurationURL, weightsURL: URL

  package static let configurationFile = "config.json"
  package static let weightsFile = "model.safetensors"
  package static let cardFile = "card.md"

  init(_ url: URL) {
    configurationURL = url.appendingPathComponent(Self.configurationFile)
    weightsURL = url.appendingPathComponent(Self.weightsFile)
  }

  /// Builds the network of the configuration; its weights are still to be read.
  /// - Parameters:
  ///   - content: what the file holds, for people, such as "a model configuration".
  ///   - make: builds it of numbers within bounds, and throws for others.
  /// - Throws: ``BundleError`` or `FileError` that names the file.
  func network<Configuration: Decodable, Network>(
    of content: String, _ make: (Configuration) throws -> Network
  ) throws -> Network {
    let configuration = try JSON.read(Configuration.self, from: configurationURL, content: content)
    do { return try make(configuration) } catch { throw BundleError.naming(configurationURL, error) }
  }

  /// Reads the weights into a network and makes it ready for use.
  /// - Returns: what the file says of itself.
  /// - Throws: ``BundleError``, `FileError` or `SafetensorsError` that names the file.
  @discardableResult
  func load(into network: any Module, on device: Device) throws -> [String: String] {
    do {
      let (tensors, metadata) = try Tensor.load(from: weightsURL)
      try network.load(tensors.checkedWeights())
      try network.move(to: device)
      try network.useChannelsLast()
      return metadata
    } catch { throw BundleError.naming(weightsURL, error) }
  }
}

extension [String: Tensor] {
  /// A network's weights as a file holds them, 8-bit numbers as float32.
  /// - Throws: ``ModelError`` or `TorchError` that names a tensor which is not finite, or has no scales that fit it.
  func checkedWeights() throws -> Self {
    let weights = try dequantized()
    for name in weights.keys.sorted() where try !weights[name]!.isAllFinite() {
      throw ModelError("the weight '\(name.visible())' holds numbers that are not finite; the file is broken")
    }
    return weights
  }

  /// Matrices and kernels in another type; vectors stay.
  func withMatrices(as dtype: DType) throws -> Self { try mapValues { $0.dimensions >= 2 ? try $0.to(dtype) : $0 } }
}

extension BundleError {
  /// What is thrown for an error in reading a file: the error itself where it names one, else a fault of this file.
  static func naming(_ url: URL, _ error: any Error) -> any Error {
    switch error {
    case is BundleError, is FileError, is SafetensorsError: error
    default: BundleError(path: url.path, reason: "\(error)")
    }
  }
}

extension JSON {
  /// Reads a file that may come from anywhere.
  /// - Parameters:
  ///   - url: the file.
  ///   - content: what it holds, for people, such as "a model configuration".
  ///   - limit: what is longer, in bytes, is refused.
  /// - Throws: ``BundleError`` or `FileError` that names it.
  static func read<Value: Decodable>(
    _: Value.Type, from url: URL, content: String, limit: Int = 1 << 20
  ) throws -> Value {
    let bytes = try MappedFile(url).withBytes { bytes in
      guard bytes.count <= limit else { throw BundleError(path: url.path, reason: "longer than \(content) can be") }
      return Data(bytes)
    }
    do { return try JSONDecoder().decode(Value.self, from: bytes) } catch {
      throw BundleError(path: url.path, reason: "not \(content): \((error as? DecodingError)?.brief ?? "\(error)")")
    }
  }
}

import Foundation
import Torch

/// A trained painter: `painter.safetensors` of a bundle. It is bound to no weights, only to the size of its crop.
public final class Painter: Sendable {
  package let network: PainterNetwork
  /// What the critic knew at the end of its training, where it is kept to go on from.
  package let critic: [String: Tensor]?
  /// Windows seen in training.
  public let images: Int

  /// The size of its network.
  public var configuration: PainterConfiguration { network.configuration }

  /// - Parameters:
  ///   - configuration: its size.
  ///   - weights: the network's tensors by name.
  ///   - critic: the critic's.
  ///   - images: windows seen in training.
  package init(_ configuration: PainterConfiguration, weights: [String: Tensor], critic: [String: Tensor]?, images: Int) throws {
    network = try configuration.makeNetwork(seed: nil)
    try network.load(weights)
    try network.useChannelsLast()
    (self.critic, self.images) = (critic, images)
  }

  // MARK: On disk

  /// The file in a bundle's folder.
  package static let file = "painter.safetensors"
  private static let format = "facet-painter-1"

  /// Reads a painter's file.
  /// - Throws: ``BundleError``, `FileError` or `SafetensorsError` that names the file at fault.
  public convenience init(contentsOf url: URL) throws {
    let part = try BundlePart(contentsOf: url, format: Self.format, content: "a painter", madeBy: "facet painter")
    do {
      let tensors = try part.tensors.checkedWeights()
      let critic = tensors.withPrefix("critic.")
      try self.init(
        part.value("configuration"), weights: tensors.withPrefix("painter."), critic: critic.isEmpty ? nil : critic,
        images: max(0, part.metadata["images"].flatMap(Int.init) ?? 0))
    } catch { throw BundleError.naming(url, error) }
  }

  /// The side of the crop that every painter paints.
  package static let cropSize = 288

  /// The painter of a bundle, or of the default one where it has none: a painter knows decoded faces, and no codes. `nil` for a model
  /// that sees the whole frame.
  /// - Throws: ``BundleError``, `FileError` or `SafetensorsError` that names the file at fault.
  package static func of(_ bundle: ModelBundle) throws -> Painter? {
    guard bundle.configuration.view == .window else { return nil }
    let url = [bundle.url, ModelBundle.defaultURL].map { $0.appendingPathComponent(file) }
      .first { FileManager.default.fileExists(atPath: $0.path) }
    return try url.map { try Painter(contentsOf: $0) }
  }

  /// Writes the file, in half precision.
  /// - Parameters:
  ///   - url: the file.
  ///   - withCritic: whether what the critic knew is written, too; only training needs it.
  /// - Throws: `FileError`.
  public func write(to url: URL, withCritic: Bool = true) throws {
    var tensors = try network.state().prefixed("painter.")
    if withCritic, let critic { tensors.merge(critic.prefixed("critic.")) { $1 } }
    let metadata = [
      "format": Self.format, "configuration": try JSON.encode(configuration), "images": "\(images)",
    ]
    try Tensor.save(tensors.withMatrices(as: .float16), metadata: metadata, to: url)
  }
}

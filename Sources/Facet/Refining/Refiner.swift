import Foundation
import Torch

/// Draws what a decoder is too soft for: the frames of glasses, lines of age, the hair of a mustache.
///
/// Each of its networks knows a few edits: those that were trained together, by one ``RefinerTrainer``.
public final class Refiner: Module {
  let networks: [RefinerNetwork]
  /// What it can draw, each a state of one attribute.
  public var edits: [AttributeState] { networks.flatMap(\.edits) }
  /// Side of the pictures that it takes: a multiple of this.
  static let granularity = RefinerNetwork.granularity

  init(_ networks: [RefinerNetwork]) { self.networks = networks }

  /// A refiner of one network.
  /// - Parameters:
  ///   - edits: what it is to draw.
  ///   - seed: of the weights; `nil` leaves them zero, to be loaded.
  public convenience init(edits: [AttributeState], seed: UInt64?) throws {
    self.init([try RefinerNetwork(edits: edits, seed: seed)])
  }

  /// The position of an edit in ``edits``, where it is known.
  func index(of attribute: String, adding: Bool) -> Int? {
    edits.firstIndex(of: AttributeState(name: attribute, adds: adding))
  }

  /// The layers of edits, as ``Composition/change(of:from:to:)`` gives a change.
  /// - Parameters:
  ///   - asked: for each photo the position of its edit in ``edits``.
  ///   - crops: N × 3 × S × S in [0, 1], S a multiple of 8.
  ///   - before: what decodes from their codes.
  ///   - after: what decodes after the step of the edit.
  ///   - spared: how surely a place is an eye or brow, the inside of the mouth, hair, or clothes and background, N × 4 × S × S
  ///     in [0, 1]; an edit stays off what it is not about. `nil` spares nothing.
  /// - Returns: N × 4 × S × S: opacity · colour, and −opacity.
  public func change(
    _ asked: [Int], of crops: Tensor, from before: Reconstruction, to after: Reconstruction,
    sparing spared: Tensor? = nil
  ) throws -> Tensor {
    if networks.count == 1 { return try networks[0].change(asked, of: crops, from: before, to: after, sparing: spared) }
    var layers = [Tensor?](repeating: nil, count: asked.count)
    var first = 0
    for network in networks {
      let known = first..<first + network.edits.count
      first = known.upperBound
      let rows = asked.indices.filter { known.contains(asked[$0]) }
      if rows.isEmpty { continue }
      let drawn = try network.change(
        rows.map { asked[$0] - known.lowerBound },
        of: Tensor.cat(rows.map { try crops.narrow(0, $0..<$0 + 1) }),
        from: Reconstruction(rows.map { try before[$0] }), to: Reconstruction(rows.map { try after[$0] }),
        sparing: spared.map { spared in try Tensor.cat(rows.map { try spared.narrow(0, $0..<$0 + 1) }) })
      for (place, row) in rows.enumerated() { layers[row] = try drawn.narrow(0, place..<place + 1) }
    }
    return try Tensor.cat(layers.map { $0! })
  }

  /// This refiner without some of its edits.
  /// - Throws: ``TrainingError`` for an edit that it does not know, or when none would be left.
  public func dropping(_ dropped: [AttributeState]) throws -> Refiner {
    if let unknown = dropped.first(where: { !edits.contains($0) }) {
      throw TrainingError("the refiner does not draw '\(unknown)'; it draws \(edits.map(\.description).joined(separator: ", "))")
    }
    let kept = try networks.compactMap { try $0.dropping(dropped) }
    guard !kept.isEmpty else { throw TrainingError("the refiner would draw nothing; remove \(Self.file) instead") }
    return Refiner(kept)
  }

  /// This refiner with what another one of the same model draws; what both know the other draws.
  /// - Throws: ``TrainingError`` when they are more than a file may hold.
  public func adding(_ other: Refiner) throws -> Refiner {
    let known = other.edits
    let both = Refiner(try networks.compactMap { try $0.dropping(known) } + other.networks)
    guard both.edits.count <= Self.maximumEdits else {
      throw TrainingError("\(both.edits.count) edits are more than the \(Self.maximumEdits) that a refiner may draw; drop some first")
    }
    return both
  }
}

// MARK: On disk

extension Refiner {
  /// The file in a bundle's folder.
  static let file = "refiner.safetensors"
  private static let format = "facet-refiner-2"
  static let maximumEdits = 100
  private static let maximumMetadata = 1 << 16

  /// Writes the refiner into the folder of the bundle that it was made for.
  /// - Throws: ``TrainingError`` when it is not finite, `FileError`.
  public func write(to bundle: ModelBundle) throws {
    try Self.write(state(), edits: networks.map(\.edits), fingerprint: bundle.fingerprint, to: bundle.url)
  }

  /// Writes weights into a bundle's folder, bound to its model.
  /// - Parameter edits: of each network.
  static func write(
    _ weights: [String: Tensor], edits: [[AttributeState]], fingerprint: String, to folder: URL
  ) throws {
    let url = folder.appendingPathComponent(file)
    for (name, tensor) in weights where try !tensor.isAllFinite() {
      throw TrainingError("\(url.path): '\(name)' is not finite; train again with a lower learning rate")
    }
    try Tensor.save(
      weights.quantized(), metadata: ["format": format, "model": fingerprint, "edits": try JSON.encode(edits)], to: url)
  }

  /// Reads the refiner of a bundle, for use; `nil` where it has none.
  /// - Throws: ``BundleError``, `FileError` or `SafetensorsError` that names the file at fault.
  public static func of(_ bundle: ModelBundle) throws -> Refiner? {
    let url = bundle.url.appendingPathComponent(file)
    guard FileManager.default.fileExists(atPath: url.path) else { return nil }
    func fault(_ reason: String) -> BundleError { BundleError(path: url.path, reason: reason) }
    let (tensors, metadata) = try Tensor.load(from: url)
    guard metadata["format"] == format else { throw fault("not a refiner that this version of Facet reads") }
    guard metadata["model"] == bundle.fingerprint else {
      throw fault("made for other weights; remove it, or make one with 'facet refine train'")
    }
    guard let text = metadata["edits"], text.utf8.count <= maximumMetadata,
      let edits = try? JSON.decode([[AttributeState]].self, text), !edits.contains([]),
      case let all = edits.flatMap(\.self), (1...maximumEdits).contains(all.count), Set(all).count == all.count
    else { throw fault("its edits cannot be read") }
    guard bundle.configuration.imageSize % granularity == 0 else {
      throw fault("it cannot draw at the model's size of \(bundle.configuration.imageSize)")
    }
    let refiner = Refiner(try edits.map { try RefinerNetwork(edits: $0, seed: nil) })
    do {
      let weights = try tensors.dequantized()
      for (name, tensor) in weights {
        guard tensor.dtype == .float32, try tensor.isAllFinite() else {
          throw TorchError("'\(name)' holds other than finite numbers of int8 or float32")
        }
      }
      try refiner.load(weights)
    } catch {
      throw fault("\(error)")
    }
    try refiner.useChannelsLast()
    return refiner
  }
}

import Foundation
import Torch

/// Draws what a decoder is too soft for: the frames of glasses, lines of age, the hair of a mustache.
///
/// A small convolutional network (a U-Net: Ronneberger, Fischer & Brox 2015) that sees the photo and what decodes before
/// and after a step in latent space, and gives a layer to lay over the photo: a colour and an opacity for each pixel. The
/// colour is what decodes after the step, made lighter or darker: free colours end as fringes along each edge.
/// It knows a few edits, each a state of one attribute, and is trained against a critic (``RefinerTrainer``).
public final class Refiner: Module {
  /// What it can draw.
  public let edits: [AttributeState]
  let stem, half, quarter: Conv2d
  let inner: [Conv2d]
  let threeQuarters, whole, fold, detail, output: Conv2d

  /// Channels of the photo, of what decodes before, of the change, and of the mask.
  private static let inputs = 10
  private static let channels = (stem: 32, half: 64, quarter: 88, fold: 16)
  /// Side of the pictures that it takes: a multiple of this.
  static let granularity = 8

  /// - Parameters:
  ///   - edits: what it is to draw.
  ///   - seed: of the weights; `nil` leaves them zero, to be loaded.
  public init(edits: [AttributeState], seed: UInt64?) throws {
    self.edits = edits
    let generator = try seed.map { try Generator(seed: $0) }
    let (asked, seen, c) = (edits.count, Self.inputs, Self.channels)
    stem = try Conv2d(4 * seen + asked, c.stem, generator: generator)
    half = try Conv2d(c.stem, c.half, kernel: 4, stride: 2, padding: 1, generator: generator)
    quarter = try Conv2d(c.half, c.quarter, kernel: 4, stride: 2, padding: 1, generator: generator)
    inner = [
      try Conv2d(c.quarter + asked, c.quarter, generator: generator),
      try Conv2d(c.quarter, c.quarter, generator: generator),
    ]
    threeQuarters = try Conv2d(c.quarter + c.half, c.half, generator: generator)
    whole = try Conv2d(c.half + c.stem, c.half - c.fold, generator: generator)
    fold = try Conv2d(c.half - c.fold, c.fold, generator: generator)
    detail = try Conv2d(c.fold + seen + asked, c.fold, generator: generator)
    output = try Conv2d(c.fold, 2, generator: generator)
    if seed != nil {
      // It begins with little more than a veil of what decodes after the step.
      try output.weight.tensor.copy(from: output.weight.tensor * 0.2)
      try output.bias?.tensor.copy(from: Tensor([0, -2.5] as [Float]))
    }
  }

  /// The position of an edit in ``edits``, where it is known.
  func index(of attribute: String, adding: Bool) -> Int? {
    edits.firstIndex(of: AttributeState(name: attribute, adds: adding))
  }

  /// The layers of edits, as ``Composition/change(from:to:)`` gives a change.
  /// - Parameters:
  ///   - asked: for each photo the position of its edit in ``edits``.
  ///   - crops: N × 3 × S × S in [0, 1], S a multiple of 8.
  ///   - before: what decodes from their codes.
  ///   - after: what decodes after the step of the edit.
  /// - Returns: N × 4 × S × S: opacity · colour, and −opacity.
  public func change(
    _ asked: [Int], of crops: Tensor, from before: Reconstruction, to after: Reconstruction
  ) throws -> Tensor {
    let mask = try before.mask * after.mask
    let seen = try Tensor.cat(
      [crops * 2 - 1, before.image * 2 - 1, (after.image - before.image) * 2, mask], dim: 1)
    let planes = try oneHot(asked).to(crops.device)
    func told(_ x: Tensor) throws -> Tensor {
      let plane = try planes.expand([asked.count, edits.count, x.size(2), x.size(3)]).to(x.dtype)
      return try Tensor.cat([x, plane], dim: 1).contiguous(.channelsLast)
    }
    func bent(_ x: Tensor) throws -> Tensor { try x.leakyRelu(0.1) }
    func joined(_ x: Tensor, _ skipped: Tensor) throws -> Tensor {
      try Tensor.cat([x.upsampleNearest2d(scale: 2), skipped], dim: 1)
    }
    let first = try bent(stem(told(seen.pixelUnshuffle(2))))
    let second = try bent(half(first))
    var x = try bent(quarter(second))
    x = try bent(x + inner[1](bent(inner[0](told(x)))))
    x = try bent(threeQuarters(joined(x, second)))
    x = try bent(whole(joined(x, first)))
    x = try bent(detail(told(joined(bent(fold(x)), seen.to(x.dtype)))))
    let drawn = try output(x).to(.float32)
    // tanh u = 2 σ(2u) − 1
    let light = try (drawn.narrow(1, 0..<1) * 2).sigmoid() * 2 - 1
    let colour = try (after.image + light).clamp(min: 0, max: 1)
    let opacity = try drawn.narrow(1, 1..<2).sigmoid() * mask.smoothStep(from: 0.2, to: 0.8)
    return try Tensor.cat([colour * opacity, -opacity], dim: 1)
  }

  /// This refiner without some of its edits.
  /// - Throws: ``TrainingError`` for an edit that it does not know, or when none would be left.
  public func dropping(_ dropped: [AttributeState]) throws -> Refiner {
    if let unknown = dropped.first(where: { !edits.contains($0) }) {
      throw TrainingError("the refiner does not draw '\(unknown)'; it draws \(edits.map(\.description).joined(separator: ", "))")
    }
    let kept = edits.filter { !dropped.contains($0) }
    guard !kept.isEmpty else { throw TrainingError("the refiner would draw nothing; remove \(Self.file) instead") }
    return try drawing(kept)
  }

  /// A refiner of other edits: those that this one knows it draws the same, others it has yet to learn.
  func drawing(_ others: [AttributeState]) throws -> Refiner {
    let result = try Refiner(edits: others, seed: nil)
    let told = Set(["stem.weight", "inner.0.weight", "detail.weight"])
    try result.load(state().reduce(into: [:]) { weights, entry in
      guard told.contains(entry.key) else { return weights[entry.key] = entry.value }
      // The last inputs say which edit is asked; they are 0 for one that is not known.
      let weight = entry.value
      let seen = weight.size(1) - edits.count
      let columns = try others.map { edit in
        try edits.firstIndex(of: edit).map { try weight.narrow(1, seen + $0..<seen + $0 + 1) }
          ?? weight.narrow(1, 0..<1) * 0
      }
      weights[entry.key] = try Tensor.cat([weight.narrow(1, 0..<seen)] + columns, dim: 1)
    })
    return result
  }

  /// N × edits × 1 × 1.
  private func oneHot(_ asked: [Int]) throws -> Tensor {
    var values = [Float](repeating: 0, count: asked.count * edits.count)
    for (row, edit) in asked.enumerated() { values[row * edits.count + edit] = 1 }
    return try Tensor(values, shape: [asked.count, edits.count, 1, 1])
  }
}

// MARK: On disk

extension Refiner {
  /// The file in a bundle's folder.
  static let file = "refiner.safetensors"
  private static let format = "facet-refiner-1"
  static let maximumEdits = 100
  private static let maximumMetadata = 1 << 16

  /// Writes the refiner into the folder of the bundle that it was made for.
  /// - Throws: ``TrainingError`` when it is not finite, `FileError`.
  public func write(to bundle: ModelBundle) throws {
    try Self.write(state(), edits: edits, fingerprint: bundle.fingerprint, to: bundle.url)
  }

  /// Writes weights into a bundle's folder, bound to its model; matrices in float16.
  static func write(
    _ weights: [String: Tensor], edits: [AttributeState], fingerprint: String, to folder: URL
  ) throws {
    let url = folder.appendingPathComponent(file)
    let tensors = try weights.mapValues { $0.dimensions >= 2 ? try $0.to(.float16) : $0 }
    for (name, tensor) in tensors where try !tensor.isAllFinite() {
      throw TrainingError("\(url.path): '\(name)' is not finite; train again with a lower learning rate")
    }
    try Tensor.save(
      tensors, metadata: ["format": format, "model": fingerprint, "edits": try JSON.encode(edits)], to: url)
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
      let edits = try? JSON.decode([AttributeState].self, text), (1...maximumEdits).contains(edits.count),
      Set(edits).count == edits.count
    else { throw fault("its edits cannot be read") }
    guard bundle.configuration.imageSize % granularity == 0 else {
      throw fault("it cannot draw at the model's size of \(bundle.configuration.imageSize)")
    }
    for (name, tensor) in tensors {
      guard [.float16, .float32].contains(tensor.dtype), try tensor.isAllFinite() else {
        throw fault("'\(name)' holds other than finite numbers of float16 or float32")
      }
    }
    let refiner = try Refiner(edits: edits, seed: nil)
    do { try refiner.load(tensors) } catch { throw fault("\(error)") }
    try refiner.useChannelsLast()
    return refiner
  }
}

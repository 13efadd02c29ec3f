import Torch

/// A small convolutional network (a U-Net: Ronneberger, Fischer & Brox 2015) that sees the photo and what decodes before
/// and after a step in latent space, and gives a layer to lay over the photo: a colour and an opacity for each pixel. The
/// colour is what decodes after the step, made lighter or darker: free colours end as fringes along each edge.
///
/// It knows a few edits, each a state of one attribute, and is trained against a critic (``RefinerTrainer``).
final class RefinerNetwork: Module {
  /// What it can draw.
  let edits: [AttributeState]
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
  init(edits: [AttributeState], seed: UInt64?) throws {
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

  /// The layers of edits, as ``Composition/change(of:from:to:)`` gives a change.
  /// - Parameters:
  ///   - asked: for each photo the position of its edit in ``edits``.
  ///   - crops: N × 3 × S × S in [0, 1], S a multiple of 8.
  ///   - before: what decodes from their codes.
  ///   - after: what decodes after the step of the edit.
  ///   - spared: as of ``Refiner/change(_:of:from:to:sparing:)``.
  /// - Returns: N × 4 × S × S: opacity · colour, and −opacity.
  func change(
    _ asked: [Int], of crops: Tensor, from before: Reconstruction, to after: Reconstruction, sparing spared: Tensor?
  ) throws -> Tensor {
    let after = try Composition.keepingTint(
      of: before, in: after, for: asked.map { EditScope(edits[$0]).leavesSkinColour })
    let mask = try before.mask * after.mask
    let seen = try Tensor.cat(
      [crops * 2 - 1, before.image * 2 - 1, (after.image - before.image) * 2, mask], dim: 1)
    // A face and its mirror image are drawn alike: what a network falls for on one side does not get through.
    let drawn = try (drawn(asked, on: seen) + drawn(asked, on: seen.flip([3])).flip([3])) / 2
    // tanh u = 2 σ(2u) − 1
    var light = try (drawn.narrow(1, 0..<1) * 2).sigmoid() * 2 - 1
    // Lines, hollows and beards are dark. What a network makes lighter than what decodes, on skin, is a patch of chalk.
    let isOfSkin = try Tensor(asked.map { edits[$0].spared.contains(false) ? Float(0) : 1 }, shape: [asked.count, 1, 1, 1])
    light = try light - light.relu() * isOfSkin.to(light.device)
    let colour = try (after.image + light).clamp(min: 0, max: 1)
    var opacity = try drawn.narrow(1, 1..<2).sigmoid() * mask.smoothStep(from: 0.2, to: 0.8)
    if let spared {
      let planes = try AttributeState.planes(of: asked.map { edits[$0] }).to(spared.device)
      opacity = try opacity * (1 - (spared * planes).sum(dims: [1], keepDim: true).smoothStep(from: 0.2, to: 0.6))
    }
    return try Tensor.cat([colour * opacity, -opacity], dim: 1)
  }

  /// What the light is the tanh of, and the log odds of the opacity, N × 2 × S × S.
  private func drawn(_ asked: [Int], on seen: Tensor) throws -> Tensor {
    let planes = try oneHot(asked).to(seen.device)
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
    return try output(x).to(.float32)
  }

  /// This network without some of its edits; `nil` where none is left.
  func dropping(_ dropped: [AttributeState]) throws -> RefinerNetwork? {
    let kept = edits.indices.filter { !dropped.contains(edits[$0]) }
    if kept.isEmpty { return nil }
    let result = try RefinerNetwork(edits: kept.map { edits[$0] }, seed: nil)
    let told = Set(["stem.weight", "inner.0.weight", "detail.weight"])
    try result.load(state().reduce(into: [:]) { weights, entry in
      guard told.contains(entry.key) else { return weights[entry.key] = entry.value }
      // The last inputs say which edit is asked.
      let inputs = entry.value.size(1) - edits.count
      let columns = Array(0..<inputs) + kept.map { inputs + $0 }
      weights[entry.key] = try entry.value.indexSelect(1, Tensor(columns.map(Int64.init)).to(entry.value.device))
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

extension AttributeState {
  /// Whether it leaves eyes and brows, the inside of the mouth, hair, and clothes and background as they are.
  var spared: [Bool] {
    switch name {
    case "Eyeglasses": [false, false, false, false]
    case "Smiling", "Mouth_Slightly_Open": [true, false, true, true]
    default: [true, true, true, true]
    }
  }

  /// N × 4 × 1 × 1: 1 for what each spares.
  static func planes(of states: [AttributeState]) throws -> Tensor {
    try Tensor(states.flatMap { $0.spared.map { $0 ? Float(1) : 0 } }, shape: [states.count, 4, 1, 1])
  }
}

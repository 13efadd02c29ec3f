import Torch

/// Hair that comes over a forehead. What decodes gives its shape; its colour and its strands are those of the photo's own hair, for
/// decoded hair has another colour, and none.
struct Fringe {
  /// 1 × 3 × S × S in [0, 1].
  let crop: Tensor
  /// How surely each pixel of it is hair, 1 × 1 × S × S in [0, 1].
  let hair: Tensor
  /// What hair may cover, the same.
  let forehead: Tensor

  /// What the fringe does to each pixel, as ``Composition/change(of:from:to:)`` gives it.
  /// - Parameters:
  ///   - before: what decodes without it.
  ///   - after: what decodes with it.
  ///   - parsed: how surely each pixel of that is hair, 1 × 1 × S × S in [0, 1].
  func change(from before: Reconstruction, to after: Reconstruction, hair parsed: Tensor) throws -> Tensor {
    let parsed = try parsed.smoothStep(from: 0.3, to: 0.7)
    let room = try forehead * after.mask.smoothStep(from: 0.2, to: 0.8)
      * (1 - hair.blurred(sigma: 1.5).smoothStep(from: 0.7, to: 1))
    let coverage = try hanging(opacity(from: before.image, to: after.image, parsed, within: room)) * room
    let colour = try colour(after.image, parsed, within: parsed * room) ?? after.image
    return try Tensor.cat([colour.clamp(min: 0, max: 1) * coverage, -coverage], dim: 1)
  }

  /// How much of each pixel hair covers: how far it went from what was there to the colour of decoded hair. Where these are alike, the
  /// parser says.
  private func opacity(from before: Tensor, to after: Tensor, _ parsed: Tensor, within room: Tensor) throws -> Tensor {
    func dot(_ a: Tensor, _ b: Tensor) throws -> Tensor { try (a * b).sum(dims: [1], keepDim: true) }
    let way = try mean(after, parsed * room) - before
    let part = try (dot(after - before, way) + parsed * Self.doubt) / (dot(way, way) + Self.doubt)
    let near = try parsed.blurred(sigma: 5).smoothStep(from: 0.05, to: 0.3)
    return try (part * near).smoothStep(from: 0.1, to: 0.6)
  }

  /// Hair hangs from where it grows: what covers a pixel covers those above it.
  private func hanging(_ opacity: Tensor) throws -> Tensor {
    let size = opacity.size(3)
    var values = try opacity.array(Float.self)
    for place in values.indices.dropLast(size).reversed() {
      values[place] = max(values[place], 0.98 * values[place + size])
    }
    return try Tensor(values, shape: [1, 1, size, size])
  }

  /// The colour of the photo's own hair in the light of what decodes; `nil` where there is too little of it.
  private func colour(_ decoded: Tensor, _ parsed: Tensor, within region: Tensor) throws -> Tensor? {
    let sure = try hair.smoothStep(from: 0.6, to: 0.95)
    guard try sure.mean().item() > 0.01 else { return nil }
    let weights = try Tensor([0.2126, 0.7152, 0.0722] as [Float], shape: [1, 3, 1, 1])
    let luma = try (decoded * weights).sum(dims: [1], keepDim: true).blurred(sigma: 2, across: false)
    let light = try ((luma + Self.noise) / (mean(luma, region) + Self.noise)).clamp(min: 0.2, max: 4)
    let own = try mean(crop, sure)
    let strands = try continued(otherwise: own.array(Float.self)).blurred(sigma: 1)
    return try (own * (1 - Self.strands) + strands * Self.strands) * (light.log() * parsed * 0.5).exp()
  }

  /// The crop with its hair mirrored at the hairline, again and again, to the chin.
  /// - Parameter colour: of columns without hair.
  private func continued(otherwise colour: [Float]) throws -> Tensor {
    let size = crop.size(3)
    let (pixels, hair) = (try crop.array(Float.self), try hair.array(Float.self))
    var result = (0..<3).flatMap { [Float](repeating: colour[$0], count: size * size) }
    for column in 0..<size {
      func isHair(_ row: Int) -> Bool { hair[row * size + column] > 0.7 }
      guard let top = (0..<size).first(where: isHair) else { continue }
      // The last rows of it are half of skin.
      let end = ((top..<size).first { !isHair($0) } ?? size) - 4
      guard end > top else { continue }
      for row in end..<size {
        let turn = (row - end) % (2 * (end - top))
        let source = end - min(turn, 2 * (end - top) - turn)
        for plane in 0..<3 {
          result[(plane * size + row) * size + column] = pixels[(plane * size + source) * size + column]
        }
      }
    }
    return try Tensor(result, shape: [1, 3, size, size])
  }

  private func mean(_ image: Tensor, _ weights: Tensor) throws -> Tensor {
    try (image * weights).sum(dims: [2, 3], keepDim: true) / weights.sum(dims: [2, 3], keepDim: true).clamp(min: 1)
  }

  /// How much of each strand's own colour there is beside the mean of all.
  private static let strands = 0.4
  /// The squared distance of colours up to which hair and skin count as alike.
  private static let doubt = 0.005
  /// The luma under which there is little but noise.
  private static let noise = 0.03
}

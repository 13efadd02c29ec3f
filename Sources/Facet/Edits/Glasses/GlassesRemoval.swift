import Photo
import Torch

/// Removes glasses from the photo. All other edits start from the face without them.
struct GlassesRemoval: Edit {
  static let stage = EditStage.uncover

  private var amount: Double

  /// - Parameter amount: 1 at most counts.
  init(amount: Double) { self.amount = amount }

  mutating func add(_ other: GlassesRemoval) { amount += other.amount }

  func apply(to canvas: inout Canvas) throws {
    // Who wears none stays as the photo has it.
    guard let bare = try Self.faceWithoutGlasses(canvas.face, with: canvas.tools) else { return }
    let amount = min(1, amount)
    try canvas.lay(Layer(content: .change(FloatPicture(bare.change * amount))))
    if amount == 1 {
      (canvas.latent, canvas.decoded) = (bare.latent, bare.decoded)
    } else {
      try canvas.move((bare.latent - canvas.face.latent) * amount)
    }
  }

  /// A face without its glasses, as far as the parser sees some.
  static func faceWithoutGlasses(_ face: EncodedFace, with tools: EditTools) throws -> FaceWithoutGlasses? {
    try face.anatomy.cached { try FaceWithoutGlasses(face, with: tools) }
  }
}

/// A face without the glasses that it wears.
struct FaceWithoutGlasses: Sendable, Sized {
  /// The change that takes them off the crop, 1 × 4 × S × S as ``Composition/change(of:from:to:)`` gives it.
  let change: Tensor
  /// The code of the crop without them, and the face that it decodes to.
  let latent: Tensor
  let decoded: DecodedFace

  var byteCount: Int { change.byteCount + latent.byteCount + decoded.byteCount }

  /// - Returns: `nil` where the parser sees none.
  init?(_ face: EncodedFace, with tools: EditTools) throws {
    guard let region = try face.anatomy.glasses else { return nil }
    let crop = face.anatomy.image
    func latent(after change: Tensor) throws -> Tensor { try tools.model.encode(crop.changed(by: change)).mean }
    // A step far enough to take glasses off takes more; the code of the face without them is this face's own.
    let step = try tools.directions.step(AttributeTable.glasses, strength: -1, on: face.latent)
    let first = try latent(after: region.change(of: crop, to: tools.model.decode(face.latent + step)))
    change = try region.change(of: crop, to: tools.model.decode(first))
    self.latent = try latent(after: change)
    decoded = DecodedFace(try tools.model.decode(self.latent))
  }
}

/// Where glasses are in a face, and what shows there without them.
struct GlassesRegion {
  /// How surely a pixel is of glasses, an eye, a brow, or bare skin, each 1 × 1 × S × S in [0, 1].
  let glasses, eyes, brows, skin: Tensor

  /// What comes in the place of glasses: pixels that differ from a face without them. Through clear glass the photo's own eyes and
  /// skin look, and stay.
  /// - Parameters:
  ///   - crop: the photo, 1 × 3 × S × S in [0, 1].
  ///   - bare: what decodes without glasses.
  /// - Returns: 1 × 4 × S × S, as ``Composition/change(of:from:to:)``.
  func change(of crop: Tensor, to bare: Reconstruction) throws -> Tensor {
    let near = try Self.grown(glasses, by: 5)
    // Parsers take an upper rim for the brow.
    let region = try Self.grown(glasses, by: 3).maximum(Self.grown(brows * near, by: 1) * near)
    let coming = try content(for: crop, bare)
    let ratio = try Self.logarithm(crop.blurred(sigma: 0.5)) - Self.logarithm(coming)
    let lenses = try ratio.blurred(sigma: 1).abs().smoothStep(from: 0.2, to: 0.5)
    // Thin frames are lines, and what is behind them may be darker than what decodes.
    let lines = try (ratio - ratio.blurred(sigma: 5)).abs().smoothStep(from: 0.06, to: 0.16) * Self.grown(glasses, by: 3)
    let own = try 1 - Self.grown(eyes, by: 2)
    let found = try Self.grown(lenses.maximum(lines) * own, by: 1.2)
    let share = try found * own * region * (1 - seenThrough(ratio))
    return try Tensor.cat([coming * share, -share], dim: 1)
  }

  /// Where clear glass shows the photo's own eyes, within the rims, 1 × 1 × S × S in [0, 1].
  /// - Parameter ratio: the logarithm of the photo's light to that of a face without glasses.
  private func seenThrough(_ ratio: Tensor) throws -> Tensor {
    let inner = try 1 - Self.grown(1 - glasses.maximum(eyes), by: 3)
    let level = try (ratio * inner).blurred(sigma: 5) / inner.blurred(sigma: 5).clamp(min: 1e-3)
    let within = try inner.blurred(sigma: 1.2)
    let clear = try (1 - level.abs().smoothStep(from: 0.35, to: 0.8)) * (1 - ratio.blurred(sigma: 1.5).smoothStep(from: 0.4, to: 0.8))
    // Rims are thicker than that on some: what is dark and goes on from them.
    let dark = try (level - ratio).blurred(sigma: 0.6).smoothStep(from: 0.15, to: 0.35)
    var rims = try 1 - within
    for _ in 0..<4 { rims = try rims.maximum(dark - (dark - Self.grown(rims, by: 0.8)).relu()) }
    return try within * clear * (1 - Self.grown(rims * dark, by: 0.8))
  }

  /// What decodes without glasses in the photo's light and tint, as its bare skin has them; beyond the face, what is beside the glasses.
  private func content(for crop: Tensor, _ bare: Reconstruction) throws -> Tensor {
    let hidden = try Self.grown(glasses, by: 3)
    let other = try Self.grown(glasses.maximum(eyes).maximum(brows), by: 3)
    let light = try Self.spread(crop - bare.image, from: skin * (1 - other))
    let mask = try bare.mask.smoothStep(from: 0.2, to: 0.8)
    let beside = try Self.spread(crop, from: 1 - hidden)
    return try ((bare.image + light) * mask + beside * (1 - mask)).clamp(min: 0, max: 1)
  }

  /// The weighted mean around each place, from as near as there is weight.
  private static func spread(_ values: Tensor, from weights: Tensor) throws -> Tensor {
    let weighted = try Tensor.cat([values * weights, weights], dim: 1)
    let sums = try weighted.blurred(sigma: 3) + weighted.blurred(sigma: 10) * 0.1 + weighted.blurred(sigma: 30) * 0.01
    return try sums.narrow(1, 0..<3) / sums.narrow(1, 3..<4).clamp(min: 1e-5)
  }

  /// A plane that reaches about so many pixels farther, with a soft border.
  private static func grown(_ plane: Tensor, by pixels: Double) throws -> Tensor {
    try plane.blurred(sigma: pixels).smoothStep(from: 0.06, to: 0.2)
  }

  private static func logarithm(_ colours: Tensor) throws -> Tensor {
    try (colours.mean(dims: [1], keepDim: true) + 0.06).log()
  }
}

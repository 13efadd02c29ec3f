import Foundation
import Photo
import Torch

/// Shows teeth where an edit opens a mouth that showed none: decoded faces have one light bar there.
struct Teeth: Edit {
  static let stage = EditStage.teeth

  mutating func add(_ other: Teeth) {}

  func apply(to canvas: inout Canvas) throws {
    guard let flow = canvas.flow, let shown = try canvas.face.anatomy.cached({ try ShownTeeth(on: canvas.face) }) else { return }
    let (crop, scale) = (try canvas.image, canvas.oversampling)
    let size = crop.size(3) * scale
    let place = Affine(.identity).scaled(x: 1 / Double(scale), y: 1 / Double(scale)).then(flow.place)
    guard let mouth = OpenMouth(in: flow.landmarks, at: place) else { return }
    // Who shows teeth already keeps them, unless the mouth opens wider by far.
    let kept = shown.amount * Double((shown.opening / max(0.01, mouth.opening)).smoothStep(from: 0.35, to: 0.7))
    guard kept < 1, let pixels = try mouth.pixels(size: size) else { return }
    let skin = try mouth.around(canvas.face.anatomy.skin, at: flow.place)
    let weight = max(1e-3, try skin.weights.sum().item())
    let colour = try (crop * skin.weights).sum(dims: [2, 3]).array(Float.self).map { $0 / Float(weight) }
    let teeth = try TeethNetwork.shared()(
      TeethNetwork.code(of: canvas.face.latent), opening: mouth.opened, skin: SIMD3(colour[0], colour[1], colour[2]))
    // One side of a face may be in shade.
    let luma = Double(colour.reduce(0, +) / 3)
    let light = try (crop.mean(dims: [1], keepDim: true) * skin.weights).blurred(sigma: skin.reach)
      / skin.weights.blurred(sigma: skin.reach).clamp(min: 1e-3)
    let shade = try (light / max(0.02, luma)).clamp(min: 0.4, max: 1.6).sqrt().enlarged(to: size)
      .narrow(2, pixels.window.rows).narrow(3, pixels.window.columns)
    let coverage = try pixels.coverage * (1 - kept)
    let drawn = try (teeth.sampled(at: pixels.sources) * shade).clamp(min: 0, max: 1)
    try canvas.draw(pixels.window.inPicture(.cat([drawn * coverage, coverage * -1], dim: 1)))
  }
}

/// The share of teeth that a photo shows, 0…1: what is inside its mouth is nearly as light as its skin.
private struct ShownTeeth: Sized {
  let amount: Double
  /// How far the lips are apart, in pixels of CelebA's frame.
  let opening: Float
  var byteCount: Int { MemoryLayout<Self>.size }

  init(on face: EncodedFace) throws {
    let light = try face.anatomy.image.mean(dims: [1], keepDim: true)
    func mean(_ part: Tensor) throws -> (share: Double, light: Double) {
      let mask = try (part > 0.5).to(.float32)
      let sum = try mask.sum().item()
      return (sum / Double(mask.size(2) * mask.size(3)), sum > 0 ? try (mask * light).sum().item() / sum : 0)
    }
    let (inside, skin) = (try mean(face.anatomy.mouth), try mean(face.anatomy.skin))
    let frame = try face.anatomy.frame(size: light.size(3))
    opening = frame.map { frame in
      zip(Landmark.upperEdge, Landmark.lowerEdge).dropFirst().dropLast()
        .reduce(0) { $0 + Float(frame.landmarks[$1.1].y - frame.landmarks[$1.0].y) / 3 }
    } ?? 0
    amount = inside.share > 0.002 && skin.light > 0 ? Double(Float(inside.light / skin.light).smoothStep(from: 0.7, to: 0.9)) : 0
  }
}

import Photo
import Torch

/// Teeth, where an edit opens a mouth that showed none.
extension FaceEditor {
  /// Teeth in a face's mouth, as ``Composition/change(of:from:to:)`` gives a change.
  /// - Parameters:
  ///   - face: the face; who shows teeth already keeps them.
  ///   - crop: the face as it is by then, 1 × 3 × S × S in [0, 1].
  ///   - flow: the way of its features.
  /// - Returns: 1 × 4 × (k · S) × (k · S), k as fine as the photo needs it; `nil` where there is nothing to draw.
  func teeth(on face: EncodedFace, in crop: Tensor, _ flow: FaceFlow) throws -> Tensor? {
    let (coarse, scale) = (crop.size(3), fineness(on: face))
    let size = coarse * scale
    let place = Affine(.identity).scaled(x: 1 / Double(scale), y: 1 / Double(scale)).then(flow.place)
    guard let teeth = Teeth(in: flow.landmarks, at: place) else { return nil }
    let loss = try Tensor(
      teeth.loss(size: size, pixel: Double(size) / face.alignment.side), shape: [1, 1, size, size])
    // Lips and gums are redder than teeth are.
    let (red, blue) = (try crop.narrow(1, 0..<1), try crop.narrow(1, 1..<3).mean(dims: [1], keepDim: true))
    let gray = try 1 - ((red - blue) / red.clamp(min: 0.05)).blurred(sigma: 0.5).smoothStep(from: 0.25, to: 0.45)
    let kept = try (loss * Self.enlarged(gray, to: size) * (shownTeeth(of: face) - 1)).exp()
    return try Tensor.cat([.zeros([1, 3, size, size]), kept - 1], dim: 1)
  }

  func shownTeeth(of face: EncodedFace) throws -> Double {
    try face.shownTeeth { try foundTeeth(of: face) }
  }

  /// How far a photo shows teeth of its own, 0…1: what is inside its mouth is nearly as light as its skin.
  private func foundTeeth(of face: EncodedFace) throws -> Double {
    let found = try paintable(of: face)
    let light = try Tensor(face.crop).mean(dims: [1], keepDim: true)
    func mean(_ part: Int) throws -> (share: Double, light: Double) {
      let mask = try (found.narrow(1, part..<part + 1) > 0.5).to(.float32)
      let sum = try mask.sum().item()
      return (sum / Double(mask.size(2) * mask.size(3)), sum > 0 ? try (mask * light).sum().item() / sum : 0)
    }
    let (inside, skin) = (try mean(6), try mean(3))
    guard inside.share > 0.002, skin.light > 0 else { return 0 }
    return Double(Float(inside.light / skin.light).smoothStep(from: 0.7, to: 0.9))
  }
}

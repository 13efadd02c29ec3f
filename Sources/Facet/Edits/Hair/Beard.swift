import Foundation
import Photo
import Torch

/// Lets hair grow on a face: the decoded step tells where and how dense, the face's own hair and brows tell its colour, and its
/// strands are drawn, for decoded faces have none.
struct Beard: Edit {
  static let stage = EditStage.beard

  /// The steps of each part of the face that they stay within, each 1 × latent size.
  private var steps: [FaceRegion?: [Tensor]]

  init(_ step: Tensor, within region: FaceRegion?) { steps = [region: [step]] }

  mutating func add(_ other: Beard) { steps.merge(other.steps, uniquingKeysWith: +) }

  func apply(to canvas: inout Canvas) throws {
    // What grows within a region has a step of more, so the whole beard comes first.
    for region in [nil] + FaceRegion.allCases {
      guard let steps = steps[region] else { continue }
      let before = canvas.decoded.reconstruction
      try canvas.move(steps.dropFirst().reduce(steps[0]) { try $0 + $1 })
      let seen = try LatentStep.seenParts(of: canvas, canvas.decoded.reconstruction, for: .beard)
      var change = try Composition.difference(
        of: canvas.image, from: before, to: canvas.decoded.reconstruction, within: .beard, seen: seen)
      // It thins out, and has no outline.
      if let region { change = try change * canvas.face.anatomy.mask(of: region).blurred(sigma: 1.5) }
      try grow(change, on: &canvas)
    }
  }

  /// Draws hair where a change darkens the face.
  private func grow(_ change: Tensor, on canvas: inout Canvas) throws {
    let crop = try canvas.image
    func luma(_ image: Tensor) throws -> Tensor { try image.mean(dims: [1], keepDim: true) }
    let (old, new) = (try luma(crop), try luma(crop.changed(by: change)))
    // In short, how much of the way from skin to dark hair.
    let density = try ((old - new).relu() / (old.blurred(sigma: 2.7).clamp(min: 0.05) * Self.dark)).smoothStep(from: 0.03, to: 0.75)
    guard try density.sum().item() > 1 else { return }
    let size = crop.size(3) * canvas.oversampling
    let anatomy = canvas.face.anatomy
    guard let strands = try anatomy.cached({ try BeardStrands(on: anatomy, at: canvas.face.alignment, size: size) }) else { return }
    // Where the face is in shade, so is the hair.
    let light = try old.blurred(sigma: 3.6)
    let level = try ((light * density).sum() / density.sum()).item()
    let shade = try (light / max(0.05, level)).clamp(min: 0.6, max: 1.5)
    let dense = try density.enlarged(to: size)
    // Between hairs there is skin, the more the fewer there are.
    let coverage = try (dense * (0.8 - (1.35 - dense) * strands.relief * 0.11)).clamp(min: 0, max: 0.93)
    let colour = try Strands.colours(of: strands.relief * 0.5, among: colours(in: crop, anatomy)) * shade.enlarged(to: size)
    try canvas.draw(Strands.change(coverage, in: colour, over: crop, unshaded: .ones([1, 1, crop.size(2), crop.size(3)])))
  }

  /// The darker colours of the face's hair and of its brows, as many of the one as of the other.
  private func colours(in crop: Tensor, _ anatomy: Anatomy) throws -> [SIMD3<Float>] {
    let (values, side) = (try crop.array(Float.self), crop.size(3))
    let above = Int(try anatomy.landmarks.reduce(0) { $0 + $1.y } / 68 * Double(side)) * side
    func darkest(_ plane: Tensor, _ threshold: Float, _ part: Double) throws -> [SIMD3<Float>] {
      let found = try plane.array(Float.self).enumerated().filter { $0.element > threshold && $0.offset < above }
        .map { SIMD3(values[$0.offset], values[side * side + $0.offset], values[2 * side * side + $0.offset]) }
      return Array(found.sorted { $0.luma < $1.luma }.prefix(Int(part * Double(found.count))))
    }
    let (hair, brows) = (try darkest(anatomy.hair, 0.9, 0.6), try darkest(anatomy.brows, 0.5, 0.5))
    guard hair.count > 20 else { return brows.isEmpty ? [Self.brown] : brows }
    return hair + (0..<(brows.isEmpty ? 0 : hair.count)).map { brows[$0 % brows.count] }
  }

  /// How much darker than skin dark hair is, and the colour of hair where there is none.
  private static let (dark, brown): (Double, SIMD3<Float>) = (0.5, [0.15, 0.1, 0.08])
}

/// Short strands all over a face, which fan out a little on the way down.
struct BeardStrands: Sendable, Sized {
  /// Which hairs stand out, 1 × 1 × N × N, with a mean of 0 and a deviation of about 1.
  let relief: Tensor

  /// - Parameter size: of the picture that they are drawn for.
  init?(on anatomy: Anatomy, at alignment: FaceAlignment, size: Int) throws {
    guard let frame = try anatomy.frame(size: size) else { return nil }
    let root = frame.landmarks[Landmark.noseRoot]
    let pixel = Double(size) / alignment.side
    let streaks = Streaks(Self.octaves, finest: 0.45 * Float(max(1, pixel) * frame.place.largestScale))
    let values = (0..<size * size).map { index -> Float in
      let point = frame.place(Point(x: Double(index % size) + 0.5, y: Double(index / size) + 0.5))
      let below = Float(point.y - root.y)
      if below < 0 { return 0 }
      let curl = valueNoise(Float(point.x) / 5, below / 5, seed: 51)
      // Hair stands in tufts.
      let tuft = valueNoise(Float(point.x) / 7, below / 9, seed: 61) + 0.6 * valueNoise(Float(point.x) / 3, below / 4, seed: 62)
      return tanh(0.8 * streaks(Float(point.x - root.x) * 150 / (below + 100) + 1.6 * curl, below)) * 1.4 + 0.25 * tuft
    }
    relief = try Tensor(values, shape: [1, 1, size, size])
  }

  var byteCount: Int { relief.byteCount }

  /// How wide they are, how long, and how much they stand out.
  private static let octaves: [Streaks.Octave] = [(0.6, 2.2, 0.35), (0.45, 1.6, 0.35), (0.3, 1.3, 0.5), (0.18, 0.9, 0.6)]
}

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
      var density = try density(of: change, on: canvas)
      if region == nil { density = try grownTogether(density, on: canvas) }
      try grow(density, on: &canvas)
    }
  }

  /// Where a change darkens the face: how much of the way from skin to dark hair, in short.
  private func density(of change: Tensor, on canvas: Canvas) throws -> Tensor {
    func luma(_ image: Tensor) throws -> Tensor { try image.mean(dims: [1], keepDim: true) }
    let (old, new) = (try luma(canvas.image), try luma(canvas.image.changed(by: change)))
    let landmarks = try canvas.face.anatomy.landmarks
    let (eyes, base) = (landmarks[Landmark.leftEye].map(\.y).reduce(0, +) / 6, landmarks[Landmark.noseBase].map(\.y).reduce(0, +) / 5)
    let part = try (old - new).relu() / (old.blurred(sigma: 2.7).clamp(min: 0.05) * Self.dark)
    return try ((part - 0.05).clamp(min: 0, max: 0.75) / 0.75) * rows(old.size(2), from: eyes, to: base)
  }

  /// 0 above a height of the face, 1 below another, parts of the crop; 1 × 1 × S × 1.
  private func rows(_ side: Int, from top: Double, to bottom: Double) throws -> Tensor {
    let (top, bottom) = (Float(top) * Float(side), Float(bottom) * Float(side))
    return try Tensor((0..<side).map { (Float($0) + 0.5).smoothStep(from: top, to: bottom) }, shape: [1, 1, side, 1])
  }

  /// A whole beard: decoded faces leave the chin bare between the lips and the jaw, and beards of one outline look attached.
  private func grownTogether(_ density: Tensor, on canvas: Canvas) throws -> Tensor {
    let anatomy = canvas.face.anatomy
    // Neither on lips nor on the collar.
    let skin = try anatomy.probability(of: .skin, .neck)
    let free = try (canvas.flow?.moved(skin, by: .bilinear) ?? skin).blurred(sigma: 0.8).smoothStep(from: 0.5, to: 1)
    let gap = Self.gap
    func widened(_ plane: Tensor) throws -> Tensor { try plane.paddedByBorder(gap).maxPool2d(2 * gap + 1, stride: 1) }
    let closed = try (widened(widened(density) * -1) * -1).blurred(sigma: Double(gap) / 2)
    let filled = try density + (closed - density).relu() * free * 0.8
    // Hair thins out on the neck; that of the decoded face ends at the jaw.
    let (lip, chin) = (try anatomy.landmarks[Landmark.lowerLipMiddle].y, try anatomy.landmarks[Landmark.chin].y)
    let below = try rows(density.size(2), from: lip, to: (lip + chin) / 2)
    return try filled + (widened(filled).blurred(sigma: 4.5) * free * below * 0.8 - filled).relu()
  }

  /// Draws hair.
  private func grow(_ density: Tensor, on canvas: inout Canvas) throws {
    let crop = try canvas.image
    guard try density.sum().item() > 1 else { return }
    let size = crop.size(3) * canvas.oversampling
    let anatomy = canvas.face.anatomy
    guard let strands = try anatomy.cached({ try BeardStrands(on: anatomy, at: canvas.face.alignment, size: size) }) else { return }
    let hair = try colours(in: crop, anatomy)
    // Where the face is in shade, so is the hair.
    let skin = try crop.blurred(sigma: 1.2)
    let light = try skin.mean(dims: [1], keepDim: true)
    let level = try SIMD3(((skin * density).sum(dims: [2, 3]) / density.sum()).array(Float.self))
    let (mean, luma) = (hair.reduce(.zero, +) / Float(hair.count), level.sum() / 3)
    let shade = try (light / Double(max(0.05, luma))).clamp(min: 0.5, max: 1.8)
    let contrast = Double(luma - mean.luma)
    let dense = try density.enlarged(to: size)
    // Between hairs there is skin, the more the fewer there are. Where it is far lighter than hair, they hide more of it.
    let gaps = Self.gaps * min(1, Self.mostContrast / max(0.01, contrast))
    let coverage = try (dense * (0.72 - (1.35 - dense) * strands.relief * gaps)).clamp(min: 0, max: 0.93)
    // Light that comes through skin is on hair, too.
    let tinted = hair.map { $0 * (1 - Self.warm) + level * ($0.luma / max(0.05, luma) * Self.warm) }
    let colour = try Strands.colours(of: strands.relief * 0.4, among: tinted) * shade.enlarged(to: size)
    // The grain of the skin stays, as far as hair is as light.
    let kept = Double(min(1, (mean / level.clamped(lowerBound: SIMD3(repeating: 0.05), upperBound: SIMD3(repeating: 1))).min()))
    let change = try Tensor.cat([(colour - skin.enlarged(to: size) * kept) * coverage, coverage * (kept - 1)], dim: 1)
    try canvas.draw(change)
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
  /// Half of the width of gaps that are filled, in pixels of the crop.
  private static let gap = 6
  /// How much more or less of the skin strands cover, and the contrast to it from which on that is less.
  private static let (gaps, mostContrast) = (0.1, 0.17)
  /// How much of the hue of skin hair has.
  private static let warm: Float = 0.25
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
      return tanh(0.4 * streaks(Float(point.x - root.x) * 150 / (below + 100) + 0.6 * curl, below)) * 2.8 + 0.45 * tuft
    }
    relief = try Tensor(values, shape: [1, 1, size, size])
  }

  var byteCount: Int { relief.byteCount }

  /// How wide they are, how long, and how much they stand out.
  private static let octaves: [Streaks.Octave] = [(0.5, 1.5, 0.35), (0.35, 1.3, 0.3), (0.25, 1.1, 0.5), (0.18, 0.9, 0.6)]
}

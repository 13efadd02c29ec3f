import Foundation
import Photo
import Torch

/// Lets hair grow on a face: the decoded step tells where and how dense, the face's own hair and brows tell its colour, and a
/// network draws the hairs, for decoded faces have none.
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
    let density = try ((old - new).relu() / (old.blurred(sigma: 2.7).clamp(min: 0.05) * Self.dark)).smoothStep(from: 0.03, to: Self.full)
    guard try density.sum().item() > 1 else { return }
    let anatomy = canvas.face.anatomy
    // Where the face is in shade, so is the hair.
    let light = try old.blurred(sigma: 3.6)
    let level = try ((light * density).sum() / density.sum()).item()
    let shade = try (light / max(0.05, level)).clamp(min: 0.6, max: 1.5)
    let colours = try colours(in: crop, anatomy)
    let colour = colours.reduce(.zero, +) / Float(colours.count)
    let hair = try Tensor([colour.x, colour.y, colour.z], shape: [1, 3, 1, 1]) * shade
    // Hairs are as fine as the network's own crop has them, or half as wide.
    let scale = canvas.face.alignment.side < 1.5 * Double(BeardNetwork.side) ? 2 : 4
    let size = crop.size(3) * scale
    // The same hairs at every strength.
    guard let noise = try anatomy.cached({ try BeardNoise(size: size) }), let frame = try anatomy.frame(size: size),
      let window = try Self.window(of: density, scale: scale)
    else { return }
    let detailed = try Tensor(canvas.crop(size: size))
    let coverage = try density.enlarged(to: size) * Self.densest
    let sigma = BeardNetwork.sigma * Double(size) / Double(BeardNetwork.side)
    let smooth = try (detailed + (hair.enlarged(to: size) - detailed) * coverage).blurred(sigma: sigma)
    let drawn = try BeardNetwork.shared()(
      smooth.narrow(2, window.rows).narrow(3, window.columns), at: Self.places(in: window, by: frame.place),
      noise: noise.values.narrow(2, window.rows).narrow(3, window.columns))
    // Where the photo has hairs already, they stay.
    let shown = try (density.smoothStep(from: 0.02, to: 0.3).enlarged(to: size) * (1 - hairs(in: detailed, beside: density, anatomy)))
      .narrow(2, window.rows).narrow(3, window.columns)
    try canvas.draw(window.inPicture(.cat([drawn.clamp(min: 0, max: 1) * shown, shown * -1], dim: 1)))
  }

  /// Where a photo has hairs, 1 × 1 × N × N in [0, 1]: there it has more detail than on skin where none grow.
  private func hairs(in picture: Tensor, beside density: Tensor, _ anatomy: Anatomy) throws -> Tensor {
    let pixel = Double(picture.size(3)) / Double(BeardNetwork.side)
    let light = try picture.mean(dims: [1], keepDim: true)
    let detail = try (light - light.blurred(sigma: 1.5 * pixel)).abs()
    let bare = try (anatomy.skin * (1 - density.smoothStep(from: 0, to: 0.05))).enlarged(to: picture.size(3))
    let plain = try (detail * bare).sum().item() / max(1, bare.sum().item())
    return try (detail.blurred(sigma: 5 * pixel) / max(1e-3, plain)).smoothStep(from: Self.haired.from, to: Self.haired.to)
  }

  /// Where hair grows, in the pixels of an enlarged crop, with room for what the network sees around.
  private static func window(of density: Tensor, scale: Int) throws -> PixelWindow? {
    let side = density.size(3)
    let grown = try density.array(Float.self).enumerated().filter { $0.element > 0.01 }
      .map { Point(x: Double($0.offset % side), y: Double($0.offset / side)) }
    guard let window = PixelWindow(around: grown, margin: 8, in: side) else { return nil }
    func enlarged(_ range: Range<Int>) -> Range<Int> { range.lowerBound * scale..<range.upperBound * scale }
    return PixelWindow(rows: enlarged(window.rows), columns: enlarged(window.columns), in: side * scale)
  }

  /// The places of a window's pixels as ``BeardNetwork`` takes them: 1 × 2 × H × W.
  private static func places(in window: PixelWindow, by place: Affine) throws -> Tensor {
    var values = [Float](repeating: 0, count: 2 * window.count)
    let scale = Double(BeardNetwork.side) / FaceAlignment.window.side
    window.forEach { index, pixel in
      let point = place(pixel)
      let at = BeardNetwork.place(
        Float((point.x - FaceAlignment.window.x) * scale), Float((point.y - FaceAlignment.window.y) * scale))
      (values[index], values[window.count + index]) = (at.x, at.y)
    }
    return try Tensor(values, shape: [1, 2, window.rows.count, window.columns.count])
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
  /// How many times as much detail as bare skin hair has, where all of what is seen is skin and where all is hair.
  private static let haired = (from: 1.5, to: 2.3)
  /// How much of the way from skin to dark hair the decoded face goes where a beard is whole, and the share of the skin that it covers.
  private static let (full, densest) = (0.3, 0.6)
}

/// What makes one hair differ from the next, 1 × 4 × N × N of a normal distribution.
private struct BeardNoise: Sized {
  let values: Tensor
  var byteCount: Int { values.byteCount }

  init?(size: Int) throws { values = try .randn([1, 4, size, size], generator: Generator(seed: 1)) }
}

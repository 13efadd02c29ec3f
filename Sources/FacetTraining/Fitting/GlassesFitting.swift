import Facet
import Foundation
import Photo
import Torch

/// Learns how glasses sit on faces from photos with label maps.
///
/// Each photo of somebody who wears some, as the label maps have it, gives the landmarks of the face and, to each side of the nose,
/// a lens. From these come a ridge regression of the lenses on the landmarks, without the photos that it fits worst, and the
/// mean outline of the lenses.
public struct GlassesFitting: Sendable {
  /// What was learned.
  public let model: GlassesModel
  /// Photos that it was learned from, and photos that were looked at.
  public let used, seen: Int
  /// The median distance, in pixels of CelebA's frame, of the lenses' middles and half sides from those of photos that were
  /// left out, in five parts: people choose glasses of many sizes.
  public let medianError: Double

  /// - Parameters:
  ///   - dataset: with label maps; the photos of `train` with the label `Eyeglasses` are used.
  ///   - examples: file names of photos, if not all of these are good examples.
  ///   - detector: finds landmarks.
  ///   - onPhoto: called after each photo with how many were looked at, of how many; stops where it gives false.
  /// - Returns: `nil` where it was stopped.
  /// - Throws: ``DatasetError``, `PortraitError`, and ``TrainingError`` where there are too few good photos.
  public init?(
    _ dataset: CelebA, examples: Set<String>? = nil, detector: FaceDetector = FaceDetector(),
    onPhoto: (_ done: Int, _ count: Int) -> Bool = { _, _ in true }
  ) throws {
    let column = try dataset.attributeIndex(of: GlassesModel.edit.name)
    let chosen = dataset.indices(of: .train).filter { sample in
      let labels = dataset.labels(of: sample)
      return labels[labels.startIndex + column] > 0 && examples?.contains(dataset.samples[sample].fileName) ?? true
    }
    var worn: [Worn] = []
    for (done, sample) in chosen.enumerated() {
      let (photo, map) = try LabelledPhoto(
        photo: dataset.imageURL(of: sample), map: .file(dataset.maskURL(of: sample), order: FaceClass.allCases)
      ).read()
      if let face = try detector.clearFace(in: photo), let found = Worn(face.landmarks, map) { worn.append(found) }
      guard onPhoto(done + 1, chosen.count) else { return nil }
    }
    try self.init(worn, seen: chosen.count)
  }

  init(_ worn: [Worn], seen: Int) throws {
    guard worn.count >= Self.least else {
      throw TrainingError(
        "only \(worn.count) of \(seen) photos with Eyeglasses show lenses beside a nose; at least \(Self.least) are needed")
    }
    let mean = try Self.matrix(worn.map(\.numbers)).mean(dims: [0]).array(Double.self)
    model = GlassesModel(mean: mean, weights: try Self.weights(worn, mean), outline: Self.outline(worn))
    (used, self.seen) = (worn.count, seen)
    var errors: [Double] = []
    for part in 0..<Self.parts {
      let others = worn.indices.filter { $0 % Self.parts != part }.map { worn[$0] }
      let weights = try Self.weights(others, mean)
      for left in stride(from: part, to: worn.count, by: Self.parts) {
        errors += Self.misses(worn[left], weights, mean).map(abs)
      }
    }
    medianError = errors.sorted()[errors.count / 2]
  }

  /// Glasses on a face.
  struct Worn {
    /// Landmarks, as ``GlassesModel/numbers(_:)`` gives them.
    let numbers: [Double]
    /// As the model's outputs.
    let lenses: [Double]
    /// How much of each place around both lenses is glasses: for each angle, at rising radii, as of ``GlassesShape/outline``.
    let rays: [[Float]]

    /// - Parameters:
    ///   - landmarks: in the map's pixels.
    ///   - map: of ``FaceClass``.
    /// - Returns: `nil` where there are no two lenses.
    init?(_ landmarks: [Point], _ map: Picture) {
      guard let toFrame = FaceAlignment.toFrame(landmarks) else { return nil }
      let isGlasses = map.pixels.map { $0 == FaceClass.eyeglasses.rawValue }
      let nose = Int(landmarks[27...29].mean.x.rounded())
      guard (1..<map.width - 1).contains(nose) else { return nil }
      let found = [0..<nose, nose..<map.width].compactMap { Self.lens(isGlasses, map.width, map.height, $0) }
      guard found.count == 2 else { return nil }
      numbers = GlassesModel.numbers(landmarks.map { toFrame($0) })
      lenses = found.flatMap { lens in
        let middle = toFrame(lens.middle)
        return [middle.x, middle.y, toFrame.scale * lens.halfWidth, toFrame.scale * lens.halfHeight]
      }
      rays = (0..<GlassesModel.angles).map { step in
        let angle = 2 * Double.pi * Double(step) / Double(GlassesModel.angles)
        return GlassesFitting.radii.map { radius in
          let hits = zip(found, [-1.0, 1]).map { lens, side in
            let x = Int((lens.middle.x + side * lens.halfWidth * radius * cos(angle)).rounded(.down))
            let y = Int((lens.middle.y + lens.halfHeight * radius * sin(angle)).rounded(.down))
            return (0..<map.width).contains(x) && (0..<map.height).contains(y) && isGlasses[y * map.width + x]
          }
          return Float(hits.count { $0 }) / 2
        }
      }
    }

    /// The lens among some columns: where glasses are more than half as high as they mostly are, which a bridge and temples
    /// are not.
    private static func lens(_ isGlasses: [Bool], _ width: Int, _ height: Int, _ columns: Range<Int>) -> GlassesShape.Lens? {
      let spans = columns.map { x -> (column: Int, rows: ClosedRange<Int>?) in
        let rows = (0..<height).filter { isGlasses[$0 * width + x] }
        return (x, rows.first.map { $0...rows[rows.count - 1] })
      }
      let heights = spans.compactMap(\.rows?.count).sorted()
      guard let tallest = heights.last, tallest >= 6 else { return nil }
      let usual = Double(heights[Int(0.8 * Double(heights.count - 1))])
      let high = spans.filter { Double($0.rows?.count ?? 0) > 0.55 * usual }
      guard let first = high.first?.column, let last = high.last?.column, last - first >= 10 else { return nil }
      let margin = (last + 1 - first) / 4
      let inner = spans.filter { (first + margin..<last + 1 - margin).contains($0.column) }.compactMap(\.rows)
      guard !inner.isEmpty else { return nil }
      let top = Double(inner.map(\.lowerBound).sorted()[inner.count / 2])
      let bottom = Double(inner.map(\.upperBound).sorted()[inner.count / 2] + 1)
      return GlassesShape.Lens(
        middle: Point(x: Double(first + last + 1) / 2, y: (top + bottom) / 2), halfWidth: Double(last + 1 - first) / 2,
        halfHeight: (bottom - top) / 2)
    }
  }

  /// The ridge regression, fitted again without the photos that it misses most: maps are not perfect.
  private static func weights(_ worn: [Worn], _ mean: [Double]) throws -> [[Double]] {
    var kept = worn
    var weights: [[Double]] = []
    for round in 0...trims {
      let inputs = try matrix(kept.map { zip($0.numbers, mean).map { $0 - $1 } + [1] })
      let penalty = try Tensor([Double](repeating: ridge, count: mean.count) + [0])
      let among = try inputs.transpose(0, 1).matmul(inputs) + Tensor.identity(mean.count + 1) * penalty
      let solved = try inputs.transpose(0, 1).matmul(matrix(kept.map(\.lenses))).choleskySolve(among.cholesky())
      let flat = try solved.transpose(0, 1).contiguous().array(Double.self)
      weights = (0..<GlassesModel.outputs).map { Array(flat[$0 * (mean.count + 1)..<($0 + 1) * (mean.count + 1)]) }
      if round == trims { break }
      let worst = worn.map { misses($0, weights, mean).map(abs).max() ?? 0 }
      let limit = worst.sorted()[Int(share * Double(worst.count - 1))]
      kept = worn.indices.filter { worst[$0] <= limit }.map { worn[$0] }
    }
    return weights
  }

  private static func misses(_ worn: Worn, _ weights: [[Double]], _ mean: [Double]) -> [Double] {
    let numbers = zip(worn.numbers, mean).map { $0 - $1 } + [1]
    return zip(weights, worn.lenses).map { row, actual in zip(row, numbers).reduce(-actual) { $0 + $1.0 * $1.1 } }
  }

  private static func matrix(_ rows: [[Double]]) throws -> Tensor {
    try Tensor(Array(rows.joined()), shape: [rows.count, rows[0].count])
  }

  /// Where along each ray half of the photos still have glasses, smoothed.
  private static func outline(_ worn: [Worn]) -> [Double] {
    let radii = (0..<GlassesModel.angles).map { angle -> Double in
      var last = (radius: 0.0, part: 1.0)
      for (step, radius) in Self.radii.enumerated() {
        let part = Double(worn.reduce(0) { $0 + $1.rays[angle][step] }) / Double(worn.count)
        if part < 0.5, radius > 0.4 {
          return last.part > part ? last.radius + (radius - last.radius) * (last.part - 0.5) / (last.part - part) : radius
        }
        last = (radius, part)
      }
      return last.radius
    }
    let bell = [1.0, 4, 6, 4, 1].map { $0 / 16 }
    func smoothed(_ values: [Double]) -> [Double] {
      values.indices.map { index in
        bell.indices.reduce(0) { $0 + bell[$1] * values[(index + $1 - 2 + values.count) % values.count] }
      }
    }
    return smoothed(smoothed(radii)).map { min(1.5, max(0.4, $0)) }
  }

  private static let radii = stride(from: 0.0, through: 1.5, by: 1.0 / 32).map { $0 }
  /// The fewest photos, the parts of them for the error, how often the worst go, the share that stays, and the penalty of the
  /// squared weights, in squared pixels.
  private static let (least, parts, trims, share, ridge) = (20, 5, 5, 0.85, 100.0)
}

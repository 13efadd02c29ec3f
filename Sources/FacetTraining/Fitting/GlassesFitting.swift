import Facet
import Foundation
import Photo
import Torch

/// Learns how glasses sit on faces from photos with label maps.
///
/// Each photo of somebody who wears some, as the label maps have it, gives the landmarks of the face and, to each side of the nose,
/// a lens. From these come a ridge regression of the lenses on the landmarks, without the photos that it fits worst. The head that
/// glasses turn with comes from the landmarks of all.
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
    try dataset.requireFiles(for: "the place of glasses")
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
        "only \(worn.count) of \(seen) photos with \(GlassesModel.edit.name) show lenses beside a nose; "
          + "at least \(Self.least) are needed")
    }
    let mean = try Self.matrix(worn.map(\.numbers)).mean(dims: [0]).array(Double.self)
    guard let head = HeadPose.head(from: worn.map(\.landmarks)) else {
      throw TrainingError("the faces of the photos with \(GlassesModel.edit.name) show no turn of a head")
    }
    model = GlassesModel(mean: mean, weights: try Self.weights(worn, mean), head: head)
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
    /// The 68 landmarks in CelebA's frame.
    let landmarks: [Point]
    /// Those that say where glasses sit, as ``GlassesModel/numbers(_:)`` gives them.
    var numbers: [Double] { GlassesModel.numbers(landmarks) }
    /// As the model's outputs.
    let lenses: [Double]
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
      self.landmarks = landmarks.map { toFrame($0) }
      lenses = found.flatMap { lens in
        let middle = toFrame(lens.middle)
        return [middle.x, middle.y, toFrame.scale * lens.halfWidth, toFrame.scale * lens.halfHeight]
      }
    }

    /// The lens among some columns: where glasses are more than half as high as they mostly are, which a bridge and temples
    /// are not.
    private static func lens(_ isGlasses: [Bool], _ width: Int, _ height: Int, _ columns: Range<Int>) -> GlassesPlace.Lens? {
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
      return GlassesPlace.Lens(
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

  /// The fewest photos, the parts of them for the error, how often the worst go, the share that stays, and the penalty of the
  /// squared weights, in squared pixels.
  private static let (least, parts, trims, share, ridge) = (20, 5, 5, 0.85, 100.0)
}

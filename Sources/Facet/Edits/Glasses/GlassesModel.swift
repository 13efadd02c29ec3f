import Files
import Foundation
import Photo
import Torch

/// How glasses sit on a face, and the head that carries them, learned from photos of people who wear some (`GlassesFitting`).
///
/// A code of a few hundred numbers keeps no frame of glasses, so what decodes for them is a smudge. A bundle that has
/// `glasses.safetensors` draws them: a linear regression says from a face's landmarks where lenses would be, turned faces included,
/// and the landmarks on a head say how it is turned.
public struct GlassesModel: Sendable, Equatable {
  /// What is drawn.
  package static let edit = AttributeState(name: AttributeTable.glasses, adds: true)
  /// Landmarks that say where glasses sit, of the 68 of ``DetectedFace``: the jaw at the ears, brows, nose, eyes and the corners of the
  /// mouth.
  package static let landmarks = Array(0...3) + Array(13...Landmark.leftCorner) + [Landmark.rightCorner]
  /// Of both lenses the middle and half of the sides.
  package static let outputs = 8

  /// Mean of the landmarks, x and y in turn, in pixels of CelebA's frame.
  package let mean: [Double]
  /// For each output a weight for each of those numbers, and a bias.
  package let weights: [[Double]]
  /// The 68 landmarks on a head, as of ``HeadPose/head(from:)``.
  package let head: [SIMD3<Double>]

  package init(mean: [Double], weights: [[Double]], head: [SIMD3<Double>]) {
    (self.mean, self.weights, self.head) = (mean, weights, head)
  }

  /// Where glasses sit on a face.
  /// - Parameter landmarks: the 68 of ``DetectedFace`` in CelebA's frame.
  /// - Returns: `nil` where the landmarks show no pose.
  func place(on landmarks: [Point]) -> GlassesPlace? {
    guard let pose = HeadPose(of: head, seenAs: landmarks) else { return nil }
    let (left, right) = lenses(on: landmarks)
    return GlassesPlace(left, right, pose, leftEar: landmarks[Landmark.leftEar], rightEar: landmarks[Landmark.rightEar])
  }

  /// Where the lenses sit on a face, without its pose.
  func lenses(on landmarks: [Point]) -> (left: GlassesPlace.Lens, right: GlassesPlace.Lens) {
    let numbers = zip(Self.numbers(landmarks), mean).map { $0 - $1 } + [1]
    let found = weights.map { zip($0, numbers).reduce(0) { $0 + $1.0 * $1.1 } }
    func bounded(_ value: Double, from low: Double, to high: Double) -> Double { min(high, max(low, value)) }
    func lens(_ first: Int) -> GlassesPlace.Lens {
      let middle = found[first...first + 1].map { bounded($0, from: -Self.farthest, to: Self.farthest) }
      let half = found[first + 2...first + 3].map { bounded($0, from: Self.least, to: Self.most) }
      return GlassesPlace.Lens(middle: Point(x: middle[0], y: middle[1]), halfWidth: half[0], halfHeight: half[1])
    }
    return (lens(0), lens(4))
  }

  package static func numbers(_ landmarks: [Point]) -> [Double] { self.landmarks.flatMap { [landmarks[$0].x, landmarks[$0].y] } }

  /// Half of the least and of the greatest sides, in pixels of CelebA's frame: landmarks that went astray do not turn a lens
  /// inside out, nor do weights of a damaged file ask for more pixels than there are.
  private static let (least, most) = (6.0, 178.0)
  /// How far from the frame's corner a lens may be.
  private static let farthest = 1000.0
}

// MARK: On disk

extension GlassesModel {
  /// The file in a bundle's folder.
  package static let file = "glasses.safetensors"
  private static let format = "facet-glasses-2"

  /// Writes the file into a bundle's folder.
  /// - Throws: `FileError`.
  public func write(to bundle: ModelBundle) throws { try write(to: bundle.url) }

  func write(to folder: URL) throws {
    try Tensor.save(
      [
        "mean": Tensor(mean.map(Float.init)),
        "weights": Tensor(weights.joined().map(Float.init), shape: [weights.count, mean.count + 1]),
        "head": Tensor(head.flatMap { [Float($0.x), Float($0.y), Float($0.z)] }, shape: [head.count, 3]),
      ], metadata: ["format": Self.format], to: folder.appendingPathComponent(Self.file))
  }

  /// Reads those of a bundle; `nil` where it has none.
  /// - Throws: ``BundleError``, `FileError` or `SafetensorsError` that names the file at fault.
  public static func of(_ bundle: ModelBundle) throws -> GlassesModel? {
    guard let part = try BundlePart(file, of: bundle, format: format, content: "glasses", madeBy: "facet glasses") else { return nil }
    let count = 2 * landmarks.count
    func numbers(_ name: String, _ shape: [Int]) throws -> [Double] {
      try part.tensor(name, shape).array(Float.self).map(Double.init)
    }
    let flat = try numbers("weights", [outputs, count + 1])
    let points = try numbers("head", [DetectedFace.mirrored.count, 3])
    guard points.allSatisfy({ abs($0) < 1000 }) else { throw part.fault("its head is none") }
    return GlassesModel(
      mean: try numbers("mean", [count]),
      weights: (0..<outputs).map { Array(flat[$0 * (count + 1)..<($0 + 1) * (count + 1)]) },
      head: stride(from: 0, to: points.count, by: 3).map { SIMD3(points[$0], points[$0 + 1], points[$0 + 2]) })
  }
}

import Foundation
import Photo

/// Where glasses sit on a face and how they are turned, in CelebA's aligned frame of 178×218, in its pixels. Left and right are the
/// viewer's.
package struct GlassesPlace: Equatable, Sendable {
  /// A lens with its rim.
  package struct Lens: Equatable, Sendable {
    package var middle: Point
    /// Half of its width and height.
    package var halfWidth, halfHeight: Double

    package init(middle: Point, halfWidth: Double, halfHeight: Double) {
      (self.middle, self.halfWidth, self.halfHeight) = (middle, halfWidth, halfHeight)
    }
  }

  let pose: HeadPose
  /// Between the lenses.
  let middle: Point
  /// Pixels of the frame for a millimetre of glasses.
  let unit: Double
  /// Where the face ends at the height of the ears.
  let leftEar, rightEar: Point

  init(_ left: Lens, _ right: Lens, _ pose: HeadPose, leftEar: Point, rightEar: Point) {
    (self.pose, self.leftEar, self.rightEar) = (pose, leftEar, rightEar)
    middle = Point(x: (left.middle.x + right.middle.x) / 2, y: (left.middle.y + right.middle.y) / 2)
    let width = hypot(right.middle.x - left.middle.x, right.middle.y - left.middle.y) + left.halfWidth + right.halfWidth
    // A head that is turned shows less of them.
    unit = width / (Self.width * max(0.5, hypot(pose.rows[0].x, pose.rows[1].x)))
  }

  /// Where the frame has a point of the glasses, in millimetres, with its depth.
  func callAsFunction(_ point: SIMD3<Double>) -> SIMD3<Double> {
    let turned = pose.turned(point)
    let scale = unit * Self.distance / max(Self.distance / 2, Self.distance + turned.z)
    return SIMD3(middle.x + scale * turned.x, middle.y + scale * turned.y, turned.z)
  }

  /// How far a temple leads outwards, down and back to the ear on a side, in millimetres; `nil` where the head hides it.
  /// - Parameters:
  ///   - hinge: where it begins.
  ///   - side: −1 for the left, 1 for the right.
  func way(from hinge: SIMD3<Double>, _ side: Double) -> SIMD3<Double>? {
    let ear = side < 0 ? leftEar : rightEar
    let start = self(hinge)
    guard (ear.x - start.x) * side > 0.5 else { return nil }
    // As much outwards as brings it to the ear, which begins a little farther out than the face ends.
    var out = 0.0
    for _ in 0..<3 {
      let end = self(hinge + SIMD3(out, Self.drop, Self.depth))
      out += (ear.x + side * Self.margin - end.x) / unit
    }
    let limit = side < 0 ? -Self.splay.upperBound...(-Self.splay.lowerBound) : Self.splay
    return SIMD3(min(limit.upperBound, max(limit.lowerBound, out)), Self.drop, Self.depth) * Self.behind
  }

  /// The width of the glasses that the model has learned from, and how far they were from the camera, in millimetres.
  private static let (width, distance) = (127.0, 1300.0)
  /// How far behind the front a temple ends at the ear, and how far below its beginning.
  private static let (depth, drop) = (82.0, 1.0)
  private static let splay = -4.0...22.0
  /// How far beyond the end of the face the ear begins, in pixels of the frame, and how much farther back temples go on.
  private static let (margin, behind) = (2.5, 1.2)
}

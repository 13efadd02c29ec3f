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
    // It lies on the ear, which begins a little farther out than the face ends, and a little higher.
    var way = SIMD3(0, 0, Self.depth)
    for _ in 0..<4 {
      let end = self(hinge + way)
      way.x += (ear.x + side * Self.margin.out - end.x) / unit
      way.y += (ear.y - Self.margin.up - end.y) / unit
    }
    func within(_ value: Double, _ range: ClosedRange<Double>) -> Double { min(range.upperBound, max(range.lowerBound, value)) }
    return SIMD3(side * within(side * way.x, Self.splay), within(way.y, Self.drop), way.z) * Self.behind
  }

  /// The width of the glasses that the model has learned from, and how far they were from the camera, in millimetres.
  private static let (width, distance) = (127.0, 1300.0)
  /// How far behind the front a temple ends at the ear.
  private static let depth = 82.0
  /// How far outwards and down it may lead there.
  private static let (splay, drop) = (-4.0...45.0, -20.0...30.0)
  /// How far beyond and above the end of the face the ear begins, in pixels of the frame, and how much farther back temples go on.
  private static let (margin, behind) = ((out: 5.5, up: 3.0), 1.2)
}

import Foundation
import Photo

/// How a head is turned, and where it lies: a scaled orthographic view of a rigid head that all faces share.
///
/// A head has x to the viewer's right, y down and z into the picture, as a picture has x and y.
package struct HeadPose: Equatable, Sendable {
  /// The rows of the rotation from the head to the view.
  let rows: [SIMD3<Double>]
  /// Pixels of the view for each of the head's units.
  let scale: Double
  /// Where the view has the head's origin.
  let origin: Point

  /// The pose that brings a head's points nearest to landmarks in the least squares.
  /// - Parameters:
  ///   - head: the 68 landmarks on the head.
  ///   - landmarks: the same in a picture.
  /// - Returns: `nil` where either lie in a plane that shows no turn.
  init?(of head: [SIMD3<Double>], seenAs landmarks: [Point]) {
    let middle = Self.rigid.reduce(.zero) { $0 + head[$1] } / Double(Self.rigid.count)
    let seen = Self.rigid.map { landmarks[$0] }[...].mean
    var (square, across, down) = (Matrix3(), SIMD3<Double>.zero, SIMD3<Double>.zero)
    for index in Self.rigid {
      let point = head[index] - middle
      square.add(point, point)
      across += point * (landmarks[index].x - seen.x)
      down += point * (landmarks[index].y - seen.y)
    }
    guard let inverse = square.inverse else { return nil }
    (across, down) = (inverse * across, inverse * down)
    let scale = (across.length + down.length) / 2
    guard scale.isFinite, across.length > 1e-6, down.length > 1e-6 else { return nil }
    // The nearest pair at a right angle.
    let (a, b) = (across / across.length, down / down.length)
    let lean = (a * b).sum() / 2
    let (x, y) = ((a - lean * b).normalized, (b - lean * a).normalized)
    rows = [x, y, x.cross(y)]
    self.scale = scale
    origin = Point(x: seen.x - scale * (x * middle).sum(), y: seen.y - scale * (y * middle).sum())
    guard rows.allSatisfy({ $0.length.isFinite }) else { return nil }
  }

  /// A direction of the head as the view has it.
  func turned(_ direction: SIMD3<Double>) -> SIMD3<Double> {
    SIMD3((rows[0] * direction).sum(), (rows[1] * direction).sum(), (rows[2] * direction).sum())
  }

  /// Where the view has a point of the head.
  func callAsFunction(_ point: SIMD3<Double>) -> Point {
    Point(x: origin.x + scale * (rows[0] * point).sum(), y: origin.y + scale * (rows[1] * point).sum())
  }

  /// Brows, nose, eyes and the corners of the mouth. The jaw's landmarks lie on its outline, wherever that is.
  static let rigid = Array(Landmark.brows) + Array(27...48) + [Landmark.rightCorner]
}

extension HeadPose {
  /// Learns the 68 landmarks on a head from many faces, by turns: the pose of each face on the head so far, then the head that fits
  /// these poses best (structure from motion by factorization; Tomasi and Kanade 1992). It is its own mirror image.
  /// - Parameter faces: the landmarks of each in CelebA's frame.
  /// - Returns: the head in pixels of that frame, its origin in the middle of the rigid landmarks; `nil` where faces do not turn.
  package static func head(from faces: [[Point]]) -> [SIMD3<Double>]? {
    let count = DetectedFace.mirrored.count
    var head = (0..<count).map { index in
      let mean = faces.map { $0[index] }[...].mean
      // A round face with a nose, for a start.
      let side = mean.x - FaceAlignment.frame.width / 2
      return SIMD3(side, mean.y, 0.015 * side * side - ((27...35).contains(index) ? 10 : 0))
    }
    func centre() {
      head = head.indices.map { index in
        let mirror = head[DetectedFace.mirrored[index]]
        return (head[index] + SIMD3(-mirror.x, mirror.y, mirror.z)) / 2
      }
      let middle = rigid.reduce(.zero) { $0 + head[$1] } / Double(rigid.count)
      head = head.map { $0 - middle }
    }
    centre()
    for _ in 0..<rounds {
      let poses = faces.map { HeadPose(of: head, seenAs: $0) }
      var (squares, sums) = ([Matrix3](repeating: Matrix3(), count: count), [SIMD3<Double>](repeating: .zero, count: count))
      var (scales, used) = (0.0, 0.0)
      for (face, pose) in zip(faces, poses) {
        guard let pose else { continue }
        let (x, y) = (pose.rows[0] * pose.scale, pose.rows[1] * pose.scale)
        scales += pose.scale
        used += 1
        for index in 0..<count {
          squares[index].add(x, x)
          squares[index].add(y, y)
          sums[index] += x * (face[index].x - pose.origin.x) + y * (face[index].y - pose.origin.y)
        }
      }
      for index in 0..<count {
        guard let inverse = squares[index].inverse else { return nil }
        head[index] = inverse * sums[index] * (scales / used)
      }
      centre()
    }
    return head.allSatisfy { $0.length.isFinite } ? head : nil
  }

  /// More only trade depth for turns, which small turns cannot tell apart.
  private static let rounds = 8
}

/// A symmetric matrix of 3 × 3.
private struct Matrix3 {
  private var (xx, xy, xz, yy, yz, zz) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

  mutating func add(_ a: SIMD3<Double>, _ b: SIMD3<Double>) {
    (xx, xy, xz) = (xx + a.x * b.x, xy + a.x * b.y, xz + a.x * b.z)
    (yy, yz, zz) = (yy + a.y * b.y, yz + a.y * b.z, zz + a.z * b.z)
  }

  /// `nil` where there is none.
  var inverse: Matrix3? {
    var result = Matrix3()
    (result.xx, result.xy, result.xz) = (yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy)
    (result.yy, result.yz, result.zz) = (xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy)
    let determinant = xx * result.xx + xy * result.xy + xz * result.xz
    let size = xx + yy + zz
    guard abs(determinant) > 1e-9 * size * size * size else { return nil }
    (result.xx, result.xy, result.xz) = (result.xx / determinant, result.xy / determinant, result.xz / determinant)
    (result.yy, result.yz, result.zz) = (result.yy / determinant, result.yz / determinant, result.zz / determinant)
    return result
  }

  static func * (matrix: Matrix3, vector: SIMD3<Double>) -> SIMD3<Double> {
    SIMD3(
      (SIMD3(matrix.xx, matrix.xy, matrix.xz) * vector).sum(), (SIMD3(matrix.xy, matrix.yy, matrix.yz) * vector).sum(),
      (SIMD3(matrix.xz, matrix.yz, matrix.zz) * vector).sum())
  }
}

extension SIMD3<Double> {
  var length: Double { (self * self).sum().squareRoot() }
  var normalized: SIMD3<Double> { self / Swift.max(1e-12, length) }

  func cross(_ other: SIMD3<Double>) -> SIMD3<Double> {
    SIMD3(y * other.z - z * other.y, z * other.x - x * other.z, x * other.y - y * other.x)
  }
}

import Foundation

/// A place in a picture: 0, 0 is the upper left corner of the upper left pixel, whose middle is 0.5, 0.5.
public struct Point: Equatable, Sendable {
  /// Pixels from the left border.
  public var x: Double
  /// Pixels from the upper border.
  public var y: Double

  /// A place by its coordinates.
  public init(x: Double, y: Double) {
    (self.x, self.y) = (x, y)
  }
}

/// Turning, scaling and moving: x′ = a·x − b·y + tx, y′ = b·x + a·y + ty.
public struct Similarity: Equatable, Sendable {
  /// The scale times the cosine of the turn.
  public var a: Double
  /// The scale times the sine of the turn.
  public var b: Double
  /// The way along x.
  public var tx: Double
  /// The way along y.
  public var ty: Double

  /// The map that leaves each point in its place.
  public static let identity = Similarity(scale: 1)

  /// Scaling by `scale`, turning by `rotation` radians (clockwise as seen, y pointing down), then moving.
  public init(scale: Double, rotation: Double = 0, tx: Double = 0, ty: Double = 0) {
    (a, b) = (scale * cos(rotation), scale * sin(rotation))
    (self.tx, self.ty) = (tx, ty)
  }

  private init(a: Double, b: Double, tx: Double, ty: Double) {
    (self.a, self.b, self.tx, self.ty) = (a, b, tx, ty)
  }

  /// The similarity that brings `from` nearest to `to` in the least squares (Umeyama, "Least-squares
  /// estimation of transformation parameters between two point patterns", 1991; in two dimensions
  /// without reflection); exact for two points. Nil when the points of either list coincide.
  /// - Parameter weights: how much each pair counts; all the same if nil.
  public init?(from: [Point], to: [Point], weights: [Double]? = nil) {
    let weights = weights ?? [Double](repeating: 1, count: from.count)
    precondition(from.count == to.count && from.count == weights.count, "points come in pairs")
    let total = weights.reduce(0, +)
    func mean(_ points: [Point]) -> Point {
      zip(points, weights).reduce(into: Point(x: 0, y: 0)) { sum, next in
        sum.x += next.0.x * next.1 / total
        sum.y += next.0.y * next.1 / total
      }
    }
    let (p, q) = (mean(from), mean(to))
    var (dot, cross, spread) = (0.0, 0.0, 0.0)
    for ((f, t), w) in zip(zip(from, to), weights) {
      let (fx, fy, gx, gy) = (f.x - p.x, f.y - p.y, t.x - q.x, t.y - q.y)
      dot += w * (fx * gx + fy * gy)
      cross += w * (fx * gy - fy * gx)
      spread += w * (fx * fx + fy * fy)
    }
    let (a, b) = (dot / spread, cross / spread)
    guard a.isFinite, b.isFinite, a * a + b * b > 1e-12 else { return nil }
    self.init(a: a, b: b, tx: q.x - a * p.x + b * p.y, ty: q.y - b * p.x - a * p.y)
  }

  /// The factor on lengths.
  public var scale: Double { hypot(a, b) }
  /// Radians, clockwise as seen.
  public var rotation: Double { atan2(b, a) }

  /// Where a point comes to.
  public func callAsFunction(_ point: Point) -> Point {
    Point(x: a * point.x - b * point.y + tx, y: b * point.x + a * point.y + ty)
  }

  /// - Precondition: the scale is not 0.
  public var inverse: Similarity {
    let square = a * a + b * b
    precondition(square > 0, "a similarity of scale 0 has no inverse")
    let (c, s) = (a / square, -b / square)
    return Similarity(a: c, b: s, tx: -c * tx + s * ty, ty: -s * tx - c * ty)
  }

  /// First this one, then `next`.
  public func then(_ next: Similarity) -> Similarity {
    let moved = next(Point(x: tx, y: ty))
    return Similarity(
      a: next.a * a - next.b * b, b: next.b * a + next.a * b, tx: moved.x, ty: moved.y)
  }
}

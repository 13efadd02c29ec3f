import Foundation

/// Any affine map of the plane: x′ = xx·x + xy·y + tx, y′ = yx·x + yy·y + ty.
public struct Affine: Equatable, Sendable {
  /// The share of x in x′.
  public var xx: Double
  /// The share of y in x′.
  public var xy: Double
  /// The share of x in y′.
  public var yx: Double
  /// The share of y in y′.
  public var yy: Double
  /// The way along x.
  public var tx: Double
  /// The way along y.
  public var ty: Double

  /// The map that a similarity is.
  public init(_ similarity: Similarity) {
    (xx, xy, yx, yy) = (similarity.a, -similarity.b, similarity.b, similarity.a)
    (tx, ty) = (similarity.tx, similarity.ty)
  }

  private init(xx: Double, xy: Double, yx: Double, yy: Double, tx: Double, ty: Double) {
    (self.xx, self.xy, self.yx, self.yy, self.tx, self.ty) = (xx, xy, yx, yy, tx, ty)
  }

  /// The square root of the factor on areas; a similarity's scale.
  public var scale: Double { abs(xx * yy - xy * yx).squareRoot() }

  /// Radians, clockwise as seen: the turn of the nearest similarity.
  public var rotation: Double { atan2(yx - xy, xx + yy) }

  /// The largest factor on lengths along an axis.
  public var largestScale: Double { max(hypot(xx, yx), hypot(xy, yy)) }

  /// Where a point comes to.
  public func callAsFunction(_ point: Point) -> Point {
    Point(x: xx * point.x + xy * point.y + tx, y: yx * point.x + yy * point.y + ty)
  }

  /// First this one, then a scaling of both axes.
  public func scaled(x: Double, y: Double) -> Affine {
    Affine(xx: xx * x, xy: xy * x, yx: yx * y, yy: yy * y, tx: tx * x, ty: ty * y)
  }

  /// First this one, then another.
  public func then(_ next: Affine) -> Affine {
    let origin = next(Point(x: tx, y: ty))
    return Affine(
      xx: next.xx * xx + next.xy * yx, xy: next.xx * xy + next.xy * yy, yx: next.yx * xx + next.yy * yx,
      yy: next.yx * xy + next.yy * yy, tx: origin.x, ty: origin.y)
  }

  /// - Precondition: the scale is not 0.
  public var inverse: Affine {
    let area = xx * yy - xy * yx
    precondition(area != 0, "a map of scale 0 has no inverse")
    let (a, b, c, d) = (yy / area, -xy / area, -yx / area, xx / area)
    return Affine(xx: a, xy: b, yx: c, yy: d, tx: -(a * tx + b * ty), ty: -(c * tx + d * ty))
  }
}

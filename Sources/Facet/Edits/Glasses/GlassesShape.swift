import Foundation
import Photo

/// A pair of glasses in CelebA's aligned frame of 178×218, in its pixels: rims of one thickness, a bridge, and temples as far as
/// the ears. Left and right are the viewer's.
package struct GlassesShape: Equatable, Sendable {
  /// A lens with its rim.
  package struct Lens: Equatable, Sendable {
    package var middle: Point
    /// Half of its width and height.
    package var halfWidth, halfHeight: Double

    package init(middle: Point, halfWidth: Double, halfHeight: Double) {
      (self.middle, self.halfWidth, self.halfHeight) = (middle, halfWidth, halfHeight)
    }
  }

  var left, right: Lens
  /// The lens's outline: how far it is from its middle at angles all around, beginning outwards and then downwards, in parts of its
  /// halves; of the right lens, of which the left one is the mirror image.
  var outline: [Double]
  /// Where the face ends at the height of the ears.
  var leftEar, rightEar: Point

  /// How much of each pixel is covered, 0…1, row by row.
  struct Coverage {
    /// By rims, bridge and temples.
    var frame: [Float]
    /// By glass.
    var glass: [Float]
  }

  /// Draws them.
  /// - Parameters:
  ///   - size: the picture's.
  ///   - place: from the picture to CelebA's frame.
  ///   - sigma: how soft edges are, the standard deviation of a Gaussian, in pixels of CelebA's frame.
  func drawn(_ size: (width: Int, height: Int), at place: Affine, sigma: Double) -> Coverage {
    let nothing = [Float](repeating: 0, count: size.width * size.height)
    var coverage = Coverage(frame: nothing, glass: nothing)
    let lenses = [Outline(left, outline, isMirrored: true), Outline(right, outline, isMirrored: false)]
    let bars = [bridge] + temples
    let reach = Self.thickness + 3 * sigma
    let back = place.inverse
    func part(of distance: Double) -> Double { 0.5 * erfc(distance / (sigma * 2.0.squareRoot())) }
    /// Visits the pixels near a part.
    func visit(_ box: Box, _ body: (_ index: Int, _ point: Point) -> Void) {
      let corners = box.grown(by: reach).corners.map { back($0) }
      func range(_ values: [Double], _ limit: Int) -> Range<Int> {
        let (low, high) = (values.min() ?? 0, values.max() ?? 0)
        guard low < Double(limit), high > 0 else { return 0..<0 }
        return Int(max(0, low))..<Int(min(Double(limit), high.rounded(.up)))
      }
      for y in range(corners.map(\.y), size.height) {
        for x in range(corners.map(\.x), size.width) {
          body(y * size.width + x, place(Point(x: Double(x) + 0.5, y: Double(y) + 0.5)))
        }
      }
    }
    for lens in lenses {
      visit(lens.box) { index, point in
        guard let distance = lens.distance(to: point, within: reach) else { return }
        let (whole, glass) = (part(of: distance), part(of: distance + Self.thickness))
        coverage.frame[index] = max(coverage.frame[index], Float(whole - glass))
        coverage.glass[index] = max(coverage.glass[index], Float(glass))
      }
    }
    for bar in bars {
      visit(Box(bar)) { index, point in
        let distance = zip(bar, bar.dropFirst()).map { point.distance(to: $0, $1) }.min() ?? .infinity
        let covered = Float(part(of: distance - Self.thickness / 2) * (1 - Double(coverage.glass[index])))
        coverage.frame[index] = max(coverage.frame[index], covered)
      }
    }
    return coverage
  }

  /// An arc between the lenses.
  private var bridge: [Point] {
    let (from, to) = (
      Point(x: left.middle.x + left.halfWidth - Self.thickness / 2, y: left.middle.y - Self.bridge.height * left.halfHeight),
      Point(x: right.middle.x - right.halfWidth + Self.thickness / 2, y: right.middle.y - Self.bridge.height * right.halfHeight)
    )
    return (0...8).map { step in
      let t = Double(step) / 8
      let rise = Self.bridge.rise * 4 * t * (1 - t)
      return Point(x: from.x + (to.x - from.x) * t, y: from.y + (to.y - from.y) * t - rise)
    }
  }

  /// From the lenses to the ears, where those are farther out: a face that is turned hides one.
  private var temples: [[Point]] {
    [(left, leftEar, -1.0), (right, rightEar, 1.0)].compactMap { lens, ear, side in
      let start = Point(
        x: lens.middle.x + side * (lens.halfWidth - Self.thickness / 2), y: lens.middle.y - Self.temple * lens.halfHeight)
      return (ear.x - start.x) * side > Self.thickness ? [start, Point(x: ear.x, y: start.y)] : nil
    }
  }

  /// Of rims, bridge and temples: that of the plastic frames among the photos that they were learned from.
  static let thickness = 2.6
  /// How far above the middle of the lenses the bridge begins, in parts of their halves, and how far it rises.
  private static let bridge = (height: 0.38, rise: 2.0)
  /// How far above the middle of a lens its temple begins, in parts of its half.
  private static let temple = 0.45

  private struct Box {
    var (left, top, right, bottom) = (Double.infinity, Double.infinity, -Double.infinity, -Double.infinity)

    init(_ points: [Point]) {
      for point in points {
        (left, right) = (min(left, point.x), max(right, point.x))
        (top, bottom) = (min(top, point.y), max(bottom, point.y))
      }
    }

    func grown(by margin: Double) -> Box {
      var box = self
      (box.left, box.top, box.right, box.bottom) = (left - margin, top - margin, right + margin, bottom + margin)
      return box
    }

    var corners: [Point] { [left, right].flatMap { x in [top, bottom].map { Point(x: x, y: $0) } } }
  }

  /// A lens's outline as a polygon.
  private struct Outline {
    private let points: [Point]
    private let middle: Point
    /// The nearest and the farthest that the outline is.
    private let radii: (Double, Double)
    let box: Box

    init(_ lens: Lens, _ outline: [Double], isMirrored: Bool) {
      points = outline.enumerated().map { index, radius in
        let angle = 2 * Double.pi * Double(index) / Double(outline.count)
        return Point(
          x: lens.middle.x + (isMirrored ? -1 : 1) * lens.halfWidth * radius * cos(angle),
          y: lens.middle.y + lens.halfHeight * radius * sin(angle))
      }
      let middle = lens.middle
      self.middle = middle
      let all = points.map { hypot($0.x - middle.x, $0.y - middle.y) }
      radii = (all.min() ?? 0, all.max() ?? 0)
      box = Box(points)
    }

    /// How far outside of the outline a point is, negative inside of it; as far inside as matters at most, and `nil` where it is
    /// farther outside than matters.
    func distance(to point: Point, within reach: Double) -> Double? {
      let radius = hypot(point.x - middle.x, point.y - middle.y)
      if radius > radii.1 + reach { return nil }
      // An outline that bends inwards is not nearer than its nearest corner by much.
      if radius < radii.0 - 2 * reach { return -2 * reach }
      var (nearest, isInside) = (Double.infinity, false)
      var last = points[points.count - 1]
      for next in points {
        nearest = min(nearest, point.distance(to: last, next))
        if (next.y > point.y) != (last.y > point.y),
          point.x < (last.x - next.x) * (point.y - next.y) / (last.y - next.y) + next.x
        {
          isInside.toggle()
        }
        last = next
      }
      return isInside ? -nearest : nearest
    }
  }
}

extension Point {
  /// The distance to the nearest point of a segment.
  fileprivate func distance(to a: Point, _ b: Point) -> Double {
    let (dx, dy) = (b.x - a.x, b.y - a.y)
    let square = dx * dx + dy * dy
    let t = square > 0 ? min(1, max(0, ((x - a.x) * dx + (y - a.y) * dy) / square)) : 0
    return hypot(x - a.x - t * dx, y - a.y - t * dy)
  }
}

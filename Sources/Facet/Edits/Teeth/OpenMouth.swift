import Foundation
import Photo
import Torch

/// The pixels of a picture that an open mouth lies in.
struct MouthPixels {
  let window: PixelWindow
  /// How much of each pixel lies in the opening, 1 × 1 × H × W in [0, 1].
  let coverage: Tensor
  /// Where the drawn mouth has it, 1 × H × W × 2 in −1…1.
  let sources: Tensor
}

/// The opening of a mouth, between the inner edges of its lips.
struct OpenMouth {
  /// Of CelebA's frame, as seen from the middle of the upper teeth: along the mouth, and down.
  private let middle, along: SIMD2<Float>
  private let upper, lower: [SIMD2<Float>]
  private let place: Affine
  /// The inner lips, in the picture.
  private let corners: [Point]

  /// - Parameters:
  ///   - landmarks: the face's 68, in CelebA's frame, where the mouth is by then.
  ///   - place: from a square picture there.
  /// - Returns: `nil` where the lips touch.
  init?(in landmarks: [Point], at place: Affine) {
    func point(_ index: Int) -> SIMD2<Float> { SIMD2(Float(landmarks[index].x), Float(landmarks[index].y)) }
    let way = point(Landmark.rightInnerCorner) - point(Landmark.leftInnerCorner)
    let width = (way * way).sum().squareRoot()
    guard width > 8 else { return nil }
    (middle, along, self.place) = ((point(Landmark.upperLipMiddle) + point(Landmark.openingTop)) / 2, way / width, place)
    let back = place.inverse
    corners = landmarks[Landmark.opening].map { back($0) }
    let (middle, along) = (middle, along)
    func own(_ index: Int) -> SIMD2<Float> { Self.own(point(index) - middle, along) }
    (upper, lower) = (Landmark.upperEdge.map(own), Landmark.lowerEdge.map(own))
    let isOrdered = [upper, lower].allSatisfy { line in zip(line, line.dropFirst()).allSatisfy { $0.x < $1.x } }
    // Of a profile one half is hidden, and landmarks guess.
    let halves = (-upper[0].x, upper[4].x)
    guard isOrdered, min(halves.0, halves.1) > max(2, Self.leastHalf * max(halves.0, halves.1)), opening > Self.openings.lowerBound
    else { return nil }
  }

  /// How far the lips are apart in the middle.
  var opening: Float { (1...3).reduce(0) { $0 + lower[$1].y - upper[$1].y } / 3 }
  private var width: Float { upper[4].x - upper[0].x }

  private static func own(_ way: SIMD2<Float>, _ along: SIMD2<Float>) -> SIMD2<Float> {
    SIMD2((way * along).sum(), way.y * along.x - way.x * along.y)
  }

  /// How much each pixel of a crop says of the light on the mouth, and how far away that is, in pixels.
  /// - Parameters:
  ///   - skin: of the crop, 1 × 1 × S × S in [0, 1].
  ///   - place: from the crop to CelebA's frame.
  func around(_ skin: Tensor, at place: Affine) throws -> (weights: Tensor, reach: Double) {
    let side = skin.size(3)
    let near = (0..<side * side).map { index -> Float in
      let point = place(Point(x: Double(index % side) + 0.5, y: Double(index / side) + 0.5))
      let way = SIMD2(Float(point.x), Float(point.y)) - middle
      return exp(-(way * way).sum() / (width * width))
    }
    return (try skin * Tensor(near, shape: [1, 1, side, side]), 0.3 * Double(width) / place.largestScale)
  }

  /// How much of each pixel lies between the lips, where the mouth is laid straight as ``TeethNetwork`` draws it:
  /// 1 × 1 × ``TeethNetwork/rows`` × ``TeethNetwork/columns`` in [0, 1].
  var opened: Tensor {
    get throws {
      let (rows, columns) = (TeethNetwork.rows, TeethNetwork.columns)
      let (top, bottom) = (Curve(through: upper), Curve(through: lower))
      var values = [Float](repeating: 0, count: rows * columns)
      for column in 0..<columns {
        let across = (Float(column) + 0.5 - Float(columns) / 2) * 2 / Float(TeethNetwork.width)
        guard abs(across) <= 1 else { continue }
        let x = across * (across < 0 ? -upper[0].x : upper[4].x)
        let height = (bottom(x) - top(x)) / pixel
        for row in 0..<rows {
          let down = Float(row - TeethNetwork.above) + 0.5
          values[row * columns + column] = min(1, max(0, height - down + 0.5)) * min(1, max(0, down + 0.5))
        }
      }
      return try Tensor(values, shape: [1, 1, rows, columns])
    }
  }

  /// A pixel of the mouth laid straight, in pixels of the frame. Mouths that are wide open are laid out shorter.
  private var pixel: Float {
    max(width / Float(TeethNetwork.width), opening * 1.1 / Float(TeethNetwork.rows - TeethNetwork.above))
  }

  /// The pixels of the opening.
  /// - Parameter size: of the picture, in pixels.
  /// - Returns: `nil` where the mouth lies beside the picture.
  func pixels(size: Int) throws -> MouthPixels? {
    guard let window = PixelWindow(around: corners, margin: 8, in: size) else { return nil }
    let shown = opening.smoothStep(from: Self.openings.lowerBound, to: Self.openings.upperBound)
    let soft = max(Self.softness, 0.7 * Float(place.largestScale))
    let (top, bottom) = (Curve(through: upper), Curve(through: lower))
    var coverage = [Float](repeating: 0, count: window.count)
    var sources = [Float](repeating: 0, count: 2 * window.count)
    window.forEach { index, pixel in
      let point = place(pixel)
      let at = Self.own(SIMD2(Float(point.x), Float(point.y)) - middle, along)
      guard at.x > upper[0].x, at.x < upper[4].x else { return }
      let (above, below) = (top(at.x), bottom(at.x))
      let inside = (at.y - above).smoothStep(from: -soft, to: soft) * (below - at.y).smoothStep(from: -soft, to: soft)
      if inside == 0 { return }
      coverage[index] = inside * shown
      let across = at.x / (at.x < 0 ? -upper[0].x : upper[4].x)
      sources[2 * index] = across * Float(TeethNetwork.width) / Float(TeethNetwork.columns)
      sources[2 * index + 1] = 2 * ((at.y - above) / self.pixel + Float(TeethNetwork.above)) / Float(TeethNetwork.rows) - 1
    }
    let shape = [window.rows.count, window.columns.count]
    return MouthPixels(
      window: window, coverage: try Tensor(coverage, shape: [1, 1] + shape), sources: try Tensor(sources, shape: [1] + shape + [2]))
  }

  /// How much narrower the half of the mouth that is turned away may be.
  private static let leastHalf: Float = 0.35
  /// Pixels of the frame between the lips under which no teeth are seen, and from which on they are.
  private static let openings: ClosedRange<Float> = 0.5...2.2
  /// Pixels of the frame over which a lip ends.
  private static let softness: Float = 0.6
}

/// A curve through points from left to right that has no bumps of its own: a monotone cubic spline (Fritsch & Carlson 1980), with the
/// harmonic mean of the slopes on both sides.
struct Curve {
  private let points: [SIMD2<Float>]
  private let slopes: [Float]

  /// - Parameter points: at least two, ordered.
  init(through points: [SIMD2<Float>]) {
    self.points = points
    let secants = zip(points, points.dropFirst()).map { ($1.y - $0.y) / ($1.x - $0.x) }
    slopes = points.indices.map { index in
      guard index > 0 else { return secants[0] }
      guard index < secants.count else { return secants[index - 1] }
      let (a, b) = (secants[index - 1], secants[index])
      return a * b > 0 ? 2 * a * b / (a + b) : 0
    }
  }

  func callAsFunction(_ x: Float) -> Float {
    let next = min(points.count - 1, max(1, points.firstIndex { $0.x >= x } ?? points.count - 1))
    let (a, b) = (points[next - 1], points[next])
    let width = b.x - a.x
    let t = (x - a.x) / width
    let (t2, t3) = (t * t, t * t * t)
    return (2 * t3 - 3 * t2 + 1) * a.y + (t3 - 2 * t2 + t) * width * slopes[next - 1] + (3 * t2 - 2 * t3) * b.y
      + (t3 - t2) * width * slopes[next]
  }
}

import Foundation
import Photo

/// The places of make-up on a face, from its landmarks and its parts.
struct MakeupPlacement: Sendable {
  /// Which part of a face each pixel is of, row by row, 0…1.
  struct Parts {
    var lips, eyes, brows, skin: [Float]
    /// Hair, a hat or glasses: nothing is put on these.
    var covered: [Float]
  }

  /// How thick each pigment lies where it does, one plane for each of ``Makeup/Pigment``, row by row, from 0 on.
  private(set) var coverage: [[Float]]

  /// - Parameters:
  ///   - landmarks: the face's 68, in CelebA's frame.
  ///   - place: from a square picture there.
  ///   - parts: of that picture.
  init(on landmarks: [Point], at place: Affine, parts: Parts) {
    let side = Int(Double(parts.skin.count).squareRoot())
    let pixel = Float(place.largestScale)
    let eyes = [Eye(landmarks, .right), Eye(landmarks, .left)].compactMap(\.self)
    let cheeks = [Cheek(landmarks, .right), Cheek(landmarks, .left)].compactMap(\.self)
    coverage = [[Float]](repeating: [Float](repeating: 0, count: side * side), count: Makeup.Pigment.allCases.count)
    for index in 0..<side * side {
      let free = 1 - parts.covered[index]
      if free < 0.01 { continue }
      let point = place(Point(x: Double(index % side) + 0.5, y: Double(index / side) + 0.5))
      let at = SIMD2(Float(point.x), Float(point.y))
      func put(_ pigment: Makeup.Pigment, _ amount: Float) { coverage[pigment.rawValue][index] += free * amount }
      put(.lips, parts.lips[index].smoothStep(from: 0.3, to: 0.75))
      put(.brows, parts.brows[index].smoothStep(from: 0.3, to: 0.8))
      let outside = 1 - parts.eyes[index].smoothStep(from: 0.4, to: 0.8)
      for eye in eyes where eye.isNear(at) {
        let (shadow, line) = eye.made(up: at, pixel: pixel)
        put(.lids, shadow * outside)
        put(.lashes, line)
      }
      let skin = parts.skin[index].smoothStep(from: 0.3, to: 0.7)
      if skin > 0 { put(.cheeks, cheeks.reduce(0) { $0 + $1.rouge(at) } * skin) }
    }
  }

  private enum Side {
    /// As the picture shows them.
    case right, left
  }

  /// An eye in coordinates of its own: from the inner corner, 0, to the outer, 1; and up.
  private struct Eye {
    private let inner, along, up: SIMD2<Float>
    private let width: Float
    /// How high the lids' parabolas are, and how far the brow is from the upper one.
    private let upper, lower, gap: Float

    /// - Returns: `nil` where the corners fall together.
    init?(_ landmarks: [Point], _ side: Side) {
      let (corners, upper, lower, brow) = side == .right
        ? ((39, 36), [37, 38], [41, 40], Landmark.leftBrow) : ((42, 45), [44, 43], [46, 47], Landmark.rightBrow)
      func place(_ index: Int) -> SIMD2<Float> { SIMD2(Float(landmarks[index].x), Float(landmarks[index].y)) }
      let (inner, way) = (place(corners.0), place(corners.1) - place(corners.0))
      let width = (way * way).sum().squareRoot()
      guard width > 1 else { return nil }
      let along = way / width
      // Upright faces have their brows above.
      let up = along.x > 0 ? SIMD2(along.y, -along.x) : SIMD2(-along.y, along.x)
      func own(_ index: Int) -> SIMD2<Float> {
        let way = place(index) - inner
        return SIMD2((way * along).sum(), (way * up).sum()) / width
      }
      /// The least squares of c · u (1 − u).
      func height(_ indices: [Int]) -> Float {
        let points = indices.map(own)
        let weights = points.map { $0.x * (1 - $0.x) }
        return zip(points, weights).reduce(0) { $0 + $1.0.y * $1.1 } / max(0.01, weights.reduce(0) { $0 + $1 * $1 })
      }
      (self.inner, self.along, self.up, self.width) = (inner, along, up, width)
      (self.upper, self.lower) = (height(upper), height(lower))
      let lid = upper.map { own($0).y }.reduce(0, +) / 2
      gap = max(0.22, brow.map { own($0).y }.reduce(0, +) / Float(brow.count) - lid)
    }

    func isNear(_ point: SIMD2<Float>) -> Bool {
      let way = point - inner - along * (width / 2)
      return (way * way).sum() < (1.5 * width) * (1.5 * width)
    }

    /// How much shadow and how much of the line a place gets.
    func made(up point: SIMD2<Float>, pixel: Float) -> (shadow: Float, line: Float) {
      let way = point - inner
      let (u, v) = ((way * along).sum() / width, (way * up).sum() / width)
      let inside = min(1, max(0, u))
      // Beyond the outer corner the line rises.
      let lid = upper * inside * (1 - inside) + max(0, u - 1) * 0.35
      let (above, below) = ((v - lid) / gap, (lower * inside * (1 - inside) - v) / gap)
      let span = u.smoothStep(from: -0.12, to: 0.25) * (1 - u.smoothStep(from: 1.08, to: 1.45))
      let over = above.smoothStep(from: -0.12, to: 0.05) * exp(-pow(max(0, above) / 0.38, 2) / 2)
        * (0.6 + 0.4 * u.smoothStep(from: 0.3, to: 0.95))
      let under = 0.5 * below.smoothStep(from: -0.05, to: 0.02) * exp(-pow(max(0, below) / 0.16, 2) / 2)
        * u.smoothStep(from: 0.3, to: 1)
      let thickness = width * (0.018 + 0.03 * u.smoothStep(from: 0.1, to: 0.95)) * (1 - u.smoothStep(from: 1.02, to: 1.2))
      let distance = abs((v - lid) * width - 0.3 * thickness)
      let line = (1 - distance.smoothStep(from: 0.6 * thickness, to: 0.6 * thickness + 2.2 * pixel + 0.25))
        * u.smoothStep(from: -0.03, to: 0.08) * (1 - u.smoothStep(from: 1.1, to: 1.2))
      let lashes = 0.3 * (1 - abs(below * gap * width).smoothStep(from: 0.012 * width, to: 0.012 * width + 0.6))
        * u.smoothStep(from: 0.25, to: 0.5) * (1 - u.smoothStep(from: 0.98, to: 1.06))
      return ((over + under) * span, line + lashes)
    }
  }

  /// Where rouge lies: an oval between nose and ear, rising to the outer corner of the eye.
  private struct Cheek {
    private let centre, along: SIMD2<Float>
    private let width: Float

    init?(_ landmarks: [Point], _ side: Side) {
      func place(_ index: Int) -> SIMD2<Float> { SIMD2(Float(landmarks[index].x), Float(landmarks[index].y)) }
      let (jaw, nose, eye, mouth) = side == .right ? (2, 31, 36, 60) : (14, 35, 45, 64)
      centre = 0.8 * (0.42 * place(jaw) + 0.58 * place(nose)) + 0.2 * place(eye)
      let (way, across) = (place(eye) - place(mouth), place(jaw) - place(nose))
      let length = (way * way).sum().squareRoot()
      width = (across * across).sum().squareRoot()
      guard length > 1, width > 1 else { return nil }
      along = way / length
    }

    func rouge(_ point: SIMD2<Float>) -> Float {
      let way = point - centre
      let (far, aside) = ((way * along).sum() / (0.55 * width), (way.y * along.x - way.x * along.y) / (0.3 * width))
      return exp(-(far * far + aside * aside) / 2)
    }
  }
}

import Photo

/// A part of a face that a painter paints, outlined by landmarks. All lie within the face's contour.
public enum PaintedRegion: String, CaseIterable, Codable, Sendable {
  /// Lips and the skin around them.
  case mouth
  /// All from the lower eyelids to the chin but the nose: what a smile moves, and where beards grow.
  case lowerFace
  /// The nose.
  case nose
  /// Eyes and brows with the skin between and around them.
  case eyes
  /// The brows and the skin around them.
  case brows
  /// The skin from the brows to the hair.
  case forehead
  /// The skin of the whole face, without eyes and mouth.
  case skin
  /// The whole face.
  case face

  /// Where it is: 1 inside, 0 outside.
  /// - Parameters:
  ///   - landmarks: the 68 of ``DetectedFace``, in pixels of the mask.
  ///   - size: of the mask.
  ///   - contour: the jaw line is brought to the face's middle by this factor.
  ///   - growth: the region is scaled about its middle by this factor.
  package func mask(_ landmarks: [Point], size: (height: Int, width: Int), contour: Double = 0.93, growth: Double = 1) -> RegionMask {
    let face = FaceOutline(landmarks, contour: contour)
    var mask = RegionMask(size)
    switch self {
    case .mouth: mask.fill(ellipse: face.box(of: 48...67, x: 1.45, y: 2.1), growth)
    case .lowerFace:
      mask.fill(face.lowerFace.scaled(by: growth))
      mask.clear(face.nose)
    case .nose: mask.fill(ellipse: face.box(of: 27...35, x: 1.5, y: 1.25), growth)
    case .eyes: mask.fill(face.eyes.scaled(by: growth))
    case .brows:
      mask.fill(ellipse: face.box(of: 17...21, x: 1.25, y: 2.2), growth)
      mask.fill(ellipse: face.box(of: 22...26, x: 1.25, y: 2.2), growth)
    case .forehead: mask.fill(face.forehead.scaled(by: growth))
    case .skin:
      mask.fill(face.whole)
      mask.clear(ellipse: face.box(of: 36...41, x: 1.35, y: 2), 1)
      mask.clear(ellipse: face.box(of: 42...47, x: 1.35, y: 2), 1)
      mask.clear(ellipse: face.box(of: 48...59, x: 1.1, y: 1.15), 1)
    case .face: mask.fill(face.whole)
    }
    if self != .face && self != .skin && self != .forehead { mask.cut(to: face.whole) }
    return mask
  }
}

/// The lines that a face's regions are made of.
struct FaceOutline {
  private let points: [Point]
  /// Down along the face, as long as from brows to chin.
  private let down: Point
  /// The jaw line from ear to ear, brought in.
  private let jaw: [Point]

  init(_ landmarks: [Point], contour: Double) {
    points = landmarks
    let (brow, chin) = (landmarks[17...26].mean, landmarks[8])
    down = Point(x: chin.x - brow.x, y: chin.y - brow.y)
    let middle = landmarks[27...35].mean
    jaw = landmarks[0...16].map { Point(x: middle.x + ($0.x - middle.x) * contour, y: middle.y + ($0.y - middle.y) * contour) }
  }

  private func moved(_ point: Point, down part: Double) -> Point {
    Point(x: point.x + down.x * part, y: point.y + down.y * part)
  }

  /// From the lower eyelids down.
  var lowerFace: [Point] {
    jaw[1...15] + [46, 47].map { points[$0] } + [points[28]] + [40, 41].map { points[$0] }
  }

  /// From the bridge to the base, with the wings.
  var nose: [Point] {
    let (tip, base) = (points[30], points[33])
    func beside(_ point: Point, _ side: Point, _ factor: Double) -> Point {
      Point(x: point.x + (side.x - base.x) * factor, y: point.y + (side.y - base.y) * factor)
    }
    return [
      points[27], beside(tip, points[35], 1.5), beside(base, points[35], 1.6), moved(base, down: 0.015),
      beside(base, points[31], 1.6), beside(tip, points[31], 1.5),
    ]
  }

  var eyes: [Point] {
    points[17...26].map { moved($0, down: -0.07) } + [jaw[15]] + [46, 47].map { moved(points[$0], down: 0.12) }
      + [moved(points[28], down: 0.05)] + [40, 41].map { moved(points[$0], down: 0.12) } + [jaw[1]]
  }

  var forehead: [Point] { Array(points[17...26]) + top.reversed() }

  /// The face with its forehead.
  var whole: [Point] { jaw + top.reversed() }

  private var top: [Point] {
    points[17...26].enumerated().map { index, point in
      let t = (Double(index) - 4.5) / 4.5
      return moved(point, down: -0.38 * (1 - 0.55 * t * t))
    }
  }

  /// The upright box of some landmarks, larger.
  func box(of range: ClosedRange<Int>, x: Double, y: Double) -> (middle: Point, halfWidth: Double, halfHeight: Double) {
    let (xs, ys) = (points[range].map(\.x), points[range].map(\.y))
    let (left, right, upper, lower) = (xs.min()!, xs.max()!, ys.min()!, ys.max()!)
    return (
      Point(x: (left + right) / 2, y: (upper + lower) / 2), max(2, (right - left) / 2 * x), max(2, (lower - upper) / 2 * y)
    )
  }
}

/// A mask that polygons and ellipses are filled into, in pixels.
package struct RegionMask {
  package let width, height: Int
  package private(set) var values: [Float]

  package init(_ size: (height: Int, width: Int)) {
    (height, width) = size
    values = Array(repeating: 0, count: width * height)
  }

  package mutating func fill(_ polygon: [Point]) { set(1, polygon) }

  package mutating func clear(_ polygon: [Point]) { set(0, polygon) }

  private mutating func set(_ value: Float, _ polygon: [Point]) {
    for (y, spans) in spans(of: polygon).enumerated() {
      for span in spans { for x in span { values[y * width + x] = value } }
    }
  }

  /// Clears all that is outside of a polygon.
  package mutating func cut(to polygon: [Point]) {
    var other = RegionMask((height, width))
    other.fill(polygon)
    cut(to: other)
  }

  /// Clears all that is outside of another mask of its size.
  package mutating func cut(to other: RegionMask) {
    for i in values.indices { values[i] *= other.values[i] }
  }

  package mutating func fill(ellipse: (middle: Point, halfWidth: Double, halfHeight: Double), _ growth: Double) {
    set(1, ellipse, growth)
  }

  package mutating func clear(ellipse: (middle: Point, halfWidth: Double, halfHeight: Double), _ growth: Double) {
    set(0, ellipse, growth)
  }

  private mutating func set(_ value: Float, _ ellipse: (middle: Point, halfWidth: Double, halfHeight: Double), _ growth: Double) {
    for y in 0..<height {
      let v = (Double(y) + 0.5 - ellipse.middle.y) / (ellipse.halfHeight * growth)
      if abs(v) >= 1 { continue }
      let reach = ellipse.halfWidth * growth * (1 - v * v).squareRoot()
      for x in pixels(from: ellipse.middle.x - reach, to: ellipse.middle.x + reach) { values[y * width + x] = value }
    }
  }

  /// Of each line the pixels inside a polygon, by the even-odd rule.
  private func spans(of polygon: [Point]) -> [[Range<Int>]] {
    (0..<height).map { line in
      let y = Double(line) + 0.5
      var crossings: [Double] = []
      for (a, b) in zip(polygon, polygon.dropFirst() + polygon.prefix(1)) where (a.y <= y) != (b.y <= y) {
        crossings.append(a.x + (y - a.y) / (b.y - a.y) * (b.x - a.x))
      }
      crossings.sort()
      return stride(from: 0, to: crossings.count - 1, by: 2).map { pixels(from: crossings[$0], to: crossings[$0 + 1]) }
    }
  }

  private func pixels(from left: Double, to right: Double) -> Range<Int> {
    func bounded(_ x: Double) -> Int { Int(min(Double(width), max(0, (x + 0.5).rounded(.down)))) }
    let start = bounded(left)
    return start..<max(start, bounded(right))
  }
}

extension [Point] {
  /// The points scaled about their middle.
  fileprivate func scaled(by factor: Double) -> [Point] {
    let middle = self[...].mean
    return map { Point(x: middle.x + ($0.x - middle.x) * factor, y: middle.y + ($0.y - middle.y) * factor) }
  }
}

import Foundation
import Photo
import Torch

/// The lines of a mouth in CelebA's frame, from corner to corner: of each lip the outer and the inner one.
struct LipLines {
  /// A place in or beside a mouth, that another mouth has, too.
  struct Spot {
    /// From the left corner to the right one, 0…1, and how far beside them.
    var across, beside: Float
    /// Which two lines it lies between, and where on the way from one to the other; above the first line and below the last one how far
    /// beyond.
    var band: Int
    var part: Float
    /// How far outside of the lips, from the line between them, and how far apart these are there.
    var outside, fromSeam, gap: Float
  }

  private let left, along: SIMD2<Float>
  private let width: Float
  /// The heights of the lines at equal steps from corner to corner, in order from above.
  private var heights: [SIMD4<Float>]

  /// - Parameter landmarks: the face's 68, in CelebA's frame.
  /// - Returns: `nil` where the lines are not those of a mouth.
  init?(_ landmarks: [Point]) {
    func point(_ index: Int) -> SIMD2<Float> { SIMD2(Float(landmarks[index].x), Float(landmarks[index].y)) }
    let way = point(Landmark.rightCorner) - point(Landmark.leftCorner)
    let length = (way * way).sum().squareRoot()
    guard length > 8 else { return nil }
    let (origin, axis) = (point(Landmark.leftCorner), way / length)
    (left, along, width) = (origin, axis, length)
    let paths = Landmark.lipLines.map { line in
      line.map { index -> SIMD2<Float> in
        let way = point(index) - origin
        return SIMD2((way * axis).sum() / length, way.y * axis.x - way.x * axis.y)
      }
    }
    guard paths.allSatisfy({ line in zip(line, line.dropFirst()).allSatisfy { $0.x < $1.x } }) else { return nil }
    let lines = paths.map { Curve(through: $0) }
    heights = (0...Self.steps).map { step in
      let x = Float(step) / Float(Self.steps)
      var at = SIMD4(lines[0](x), lines[1](x), lines[2](x), lines[3](x))
      if at[1] > at[2] { (at[1], at[2]) = ((at[1] + at[2]) / 2, (at[1] + at[2]) / 2) }
      at[0] = min(at[0], at[1])
      at[3] = max(at[3], at[2])
      return at
    }
  }

  /// Moves the inner lines out of what shows between the lips: landmarks cut off a part of the teeth, and corners.
  /// - Parameters:
  ///   - inside: the probability that a pixel of a crop lies between the lips, S × S values.
  ///   - side: S.
  ///   - place: from the crop to CelebA's frame.
  mutating func clear(_ inside: [Float], side: Int, at place: Affine) {
    let back = place.inverse
    func isInside(_ x: Float, _ y: Float) -> Bool {
      let point = left + SIMD2(x * along.x - y * along.y, x * along.y + y * along.x)
      let pixel = back(Point(x: Double(point.x), y: Double(point.y)))
      let (column, row) = (Int(pixel.x.rounded(.down)), Int(pixel.y.rounded(.down)))
      return (0..<side).contains(column) && (0..<side).contains(row) && inside[row * side + column] > Self.insideShare
    }
    let cleared = heights.enumerated().map { step, at -> SIMD4<Float> in
      let x = Float(step) / Float(Self.steps) * width
      let found = stride(from: at[0], through: at[3], by: 0.25).filter { isInside(x, $0) }
      guard let first = found.first, let last = found.last else { return at }
      return SIMD4(at[0], max(at[0], min(at[1], first - Self.margin)), min(at[3], max(at[2], last + Self.margin)), at[3])
    }
    // Pixels of the crop are steps in the lines.
    heights = cleared.indices.map { step in
      let near = max(0, step - Self.reach)...min(Self.steps, step + Self.reach)
      return near.reduce(SIMD4<Float>()) { $0 + cleared[$1] } / Float(near.count)
    }
  }

  /// How far the lips are apart in the middle, in pixels of the frame.
  var opening: Float { [0.35, 0.5, 0.65].map { heights(at: $0) }.reduce(0) { $0 + $1[2] - $1[1] } / 3 }

  func spot(at point: Point) -> Spot {
    let way = SIMD2(Float(point.x), Float(point.y)) - left
    let (x, y) = ((way * along).sum(), way.y * along.x - way.x * along.y)
    let across = min(1, max(0, x / width))
    let beside = x - across * width
    let at = heights(at: across)
    let band = (0..<4).first { y < at[$0] } ?? 4
    let part = switch band {
    case 0: y - at[0]
    case 4: y - at[3]
    default: (y - at[band - 1]) / max(0.01, at[band] - at[band - 1])
    }
    let beyond = max(0, at[0] - y, y - at[3])
    return Spot(
      across: across, beside: beside, band: band, part: part, outside: (beside * beside + beyond * beyond).squareRoot(),
      fromSeam: y - (at[1] + at[2]) / 2, gap: at[2] - at[1])
  }

  /// Where a spot of this mouth is in CelebA's frame.
  /// - Parameter lip: whose inner edge is taken for spots beyond it, 1 or 3 as of ``Spot/band``; `nil` for neither.
  func point(at spot: Spot, of lip: Int? = nil) -> Point {
    let at = heights(at: spot.across)
    var (band, part) = (spot.band, spot.part)
    if lip == 1 && band > 1 { (band, part) = (1, 1) }
    if lip == 3 && band < 3 { (band, part) = (3, 0) }
    let y = switch band {
    case 0: at[0] + part
    // Teeth begin before landmarks say so.
    case 1: at[0] + (at[1] - at[0]) * part * Self.lipShare
    case 2: at[1] + (at[2] - at[1]) * part
    case 3: at[3] - (at[3] - at[2]) * (1 - part) * Self.lipShare
    default: at[3] + part
    }
    let x = spot.across * width + spot.beside
    let point = left + SIMD2(x * along.x - y * along.y, x * along.y + y * along.x)
    return Point(x: Double(point.x), y: Double(point.y))
  }

  private func heights(at across: Float) -> SIMD4<Float> {
    let place = across * Float(Self.steps)
    let left = min(Self.steps - 1, Int(place))
    return heights[left] + (heights[left + 1] - heights[left]) * (place - Float(left))
  }

  private static let steps = 128
  /// The probability from which on a pixel lies between the lips, how far lines stay away from it, in pixels of the frame, and over how
  /// many steps to both sides they are smoothed.
  private static let (insideShare, margin, reach): (Float, Float, Int) = (0.3, 0.4, 5)
  /// The share of a lip's height that surely is no teeth.
  private static let lipShare: Float = 0.75
}

extension FaceFlow {
  /// The photo's own lips, nearer to each other: what a smooth flow brings together is pressed, teeth and all.
  /// - Parameters:
  ///   - photo: the face before any flow, 1 × 3 × N × N in [0, 1].
  ///   - place: from that picture to CelebA's frame.
  ///   - inside: the probability that a pixel lies between the lips before, 1 × 1 × S × S.
  /// - Returns: 1 × 4 × N × N, as of ``Composition/change(of:from:to:)``; `nil` where lips part, or stay.
  func closedLips(of photo: Tensor, at place: Affine, inside: Tensor) throws -> Tensor? {
    let size = photo.size(3)
    let back = place.inverse
    guard closing > 0, var source = LipLines(sources), source.opening > Self.shut, let target = LipLines(landmarks),
      let window = PixelWindow(
        around: landmarks[Landmark.mouth].map { back($0) }, margin: Double(Self.blend) / place.largestScale, in: size)
    else { return nil }
    let side = inside.size(3)
    let ratio = Double(size) / Double(side)
    try source.clear(inside.array(Float.self), side: side, at: Affine(.identity).scaled(x: ratio, y: ratio).then(place))
    var (coverage, shade, below): ([Float], [Float], [Float]) = ([], [], [])
    var places: (upper: [Float], lower: [Float]) = ([], [])
    // A pixel on the line between shut lips has a part of both.
    let soft = Self.softness * Float(place.largestScale)
    func add(_ point: Point, to places: inout [Float]) {
      let from = back(point)
      places += [Float(from.x * 2 / Double(size) - 1), Float(from.y * 2 / Double(size) - 1)]
    }
    window.forEach { _, pixel in
      let spot = target.spot(at: place(pixel))
      let isShut = spot.gap < soft
      add(source.point(at: spot, of: isShut ? 1 : nil), to: &places.upper)
      add(source.point(at: spot, of: isShut ? 3 : nil), to: &places.lower)
      below.append(spot.fromSeam.smoothStep(from: -soft, to: soft))
      coverage.append((1 - spot.outside.smoothStep(from: Self.blend / 5, to: Self.blend)) * closing.smoothStep(from: 0, to: 0.2))
      let far = spot.fromSeam / Self.seamWidth
      shade.append(1 - Self.seam * closing * exp(-far * far) * (1 - spot.outside.smoothStep(from: 0, to: 1)))
    }
    let shape = [window.rows.count, window.columns.count]
    func plane(_ values: [Float]) throws -> Tensor { try Tensor(values, shape: [1, 1] + shape) }
    func lip(_ places: [Float]) throws -> Tensor {
      try photo.sampled(at: Tensor(places, shape: [1] + shape + [2]), by: .bicubic).clamp(min: 0, max: 1)
    }
    let part = try plane(below)
    let lips = try lip(places.upper) * (1 - part) + lip(places.lower) * part
    let share = try plane(coverage)
    return try window.inPicture(.cat([lips * plane(shade) * share, share * -1], dim: 1))
  }

  /// Pixels of the picture over which one lip passes into the other.
  private static let softness: Float = 0.75
  /// Pixels of the frame between the lips up to which a mouth is shut.
  private static let shut: Float = 0.5
  /// Pixels of the frame over which the lips' surroundings pass into the moved photo's.
  private static let blend: Float = 5
  /// How much darker the line between shut lips is, and how wide, in pixels of the frame.
  private static let (seam, seamWidth): (Float, Float) = (0.25, 0.8)
}

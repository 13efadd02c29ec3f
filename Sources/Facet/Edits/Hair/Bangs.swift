import Foundation
import Photo
import Torch

/// Lets the photo's own hair hang over the forehead.
struct Bangs: Edit {
  static let stage = EditStage.hair

  private var length: Double

  /// - Parameter length: of the way down to the brows; below a small length they are transparent, too.
  init(length: Double) { self.length = length }

  mutating func add(_ other: Bangs) { length += other.length }

  func apply(to canvas: inout Canvas) throws {
    let (face, anatomy) = (canvas.face, canvas.face.anatomy)
    let size = face.crop.width * canvas.oversampling
    guard length > 0, let hair = try face.surroundings.hair(of: face, by: canvas.tools.observer),
      let shape = try anatomy.cached({ try BangsShape(of: hair, on: anatomy, at: face.alignment, size: size) })
    else { return }
    try canvas.draw(
      shape.change(
        of: Tensor(canvas.crop(size: size)), length: Float(min(Self.longest, length)), opacity: min(1, length / Self.sparse),
        over: canvas.image, unshaded: anatomy.hair.smoothStep(from: 0.3, to: 0.7)))
  }

  /// The most length, of the way to the brows.
  private static let longest = 1.3
  /// The length under which they are transparent.
  private static let sparse = 0.3
}

/// Where hair hangs over a forehead, and which of the photo's hair does: what grows above the hairline, mirrored there, so that strands,
/// light and colour are the photo's own. It ends in locks above the brows.
struct BangsShape: Sendable, Sized {
  /// How much of each pixel of the crop is hair, and how far hair may cover it, 1 × 1 × N × N in [0, 1].
  private let hair, room: Tensor
  private let size: Int
  /// From the crop to CelebA's frame; all places and lengths below are of the latter.
  private let place: Affine
  /// For each column of the crop: the line at which hair is mirrored, and how high hair grows above it.
  private let roots: [Root]
  private let middle, left, right: Float
  /// The upper edge of the brows.
  private let brows: Float

  private struct Root {
    var row, height: Float
    /// Whether hair grows here, 0…1.
    var part: Float
  }

  /// - Parameters:
  ///   - landmarks: the face's 68, in CelebA's frame.
  ///   - place: from the crop there.
  ///   - hair: how much of each pixel of the crop is hair, 1 × 1 × N × N in [0, 1].
  ///   - covered: how surely it is of a hat or beyond the head, the same.
  /// - Returns: `nil` where too little hair grows above the forehead.
  init?(above landmarks: [Point], at place: Affine, hair: Tensor, covered: Tensor) throws {
    (size, self.hair, self.place) = (hair.size(3), hair, place)
    middle = Float(landmarks[Landmark.noseRoot].x)
    (left, right) = (Float(landmarks[Landmark.leftEar].x), Float(landmarks[Landmark.rightEar].x))
    brows = landmarks[Landmark.brows].map { Float($0.y) }.sorted().prefix(6).reduce(0, +) / 6
    room = try 1 - covered.smoothStep(from: 0.3, to: 0.7)
    let found = Self.roots(in: try hair.array(Float.self), above: brows, at: place)
    let (middle, left, right) = (middle, left, right)
    let inside = found.indices.filter { column in
      let x = Float(place(Point(x: Double(column) + 0.5, y: 0)).x)
      return abs(Self.part(from: middle, x, left, right)) < 0.8
    }
    guard !inside.isEmpty, 5 * inside.count(where: { found[$0] != nil }) > 4 * inside.count else { return nil }
    let radius = Self.smoothness / Float(place.largestScale)
    func smoothed(_ values: [Float]) -> [Float] { Self.smoothed(values, radius: max(1, Int(radius))) }
    let rows = smoothed(Self.filled(found.map { $0?.row }))
    let heights = smoothed(Self.filled(found.map { $0?.height }))
    let parts = smoothed(found.map { $0.map { $0.height.smoothStep(from: Self.shallow.lowerBound, to: Self.shallow.upperBound) } ?? 0 })
    guard inside.reduce(0, { $0 + parts[$1] }) > 0.6 * Float(inside.count) else { return nil }
    roots = rows.indices.map { column in
      // Amid the hair, where no skin shines through.
      let lift = min(Self.lift, 0.3 * heights[column])
      return Root(row: rows[column] - lift, height: max(2, heights[column] - lift), part: parts[column])
    }
  }

  /// - Returns: `nil` where too little hair grows above the forehead.
  init?(of hair: HeadHair, on anatomy: Anatomy, at alignment: FaceAlignment, size: Int) throws {
    guard let frame = try anatomy.frame(size: size) else { return nil }
    let place = alignment.surroundings(size: hair.side).inverse.then(alignment.transform(size: size))
    let (other, coarse) = (try anatomy.otherThanSkin, try anatomy.hair)
    let covered = try (other.narrow(1, 2..<3) - coarse).relu() + other.narrow(1, 3..<4)
    try self.init(
      above: frame.landmarks, at: frame.place, hair: Tensor(Picture(hair.alpha).warped(by: place, to: (size, size))),
      covered: covered.enlarged(to: size))
  }

  var byteCount: Int { hair.byteCount + room.byteCount + roots.count * MemoryLayout<Root>.stride }

  /// For each column where hair begins on the way up from the brows, and how high it is, if it does.
  private static func roots(in hair: [Float], above brows: Float, at place: Affine) -> [(row: Float, height: Float)?] {
    let size = Int(Double(hair.count).squareRoot())
    return (0..<size).map { column in
      func y(_ row: Int) -> Float { Float(place(Point(x: Double(column) + 0.5, y: Double(row) + 0.5)).y) }
      let start = (0..<size).last { y($0) <= brows } ?? 0
      guard let root = (0...start).last(where: { hair[$0 * size + column] > sure }) else { return nil }
      let top = (0...root).last { hair[$0 * size + column] <= sure } ?? 0
      return (y(root), y(root) - y(top))
    }
  }

  /// What is missing taken from its neighbours on both sides.
  private static func filled(_ values: [Float?]) -> [Float] {
    let known = values.indices.filter { values[$0] != nil }
    return values.indices.map { index in
      let (before, after) = (known.last { $0 <= index }, known.first { $0 >= index })
      guard let a = before ?? after, let b = after ?? before else { return 0 }
      let t = a == b ? 0 : Float(index - a) / Float(b - a)
      return values[a]! + t * (values[b]! - values[a]!)
    }
  }

  private static func smoothed(_ values: [Float], radius: Int) -> [Float] {
    (0..<3).reduce(values) { row, _ in
      row.indices.map { i in
        (-radius...radius).reduce(0) { $0 + row[min(row.count - 1, max(0, i + $1))] } / Float(2 * radius + 1)
      }
    }
  }

  /// How far towards a temple a column is, −1…1 between them.
  private static func part(from middle: Float, _ x: Float, _ left: Float, _ right: Float) -> Float {
    (x - middle) / max(narrowest, x < middle ? middle - left : right - middle)
  }

  /// Hair over the forehead, and its shadow, as ``Composition/change(of:from:to:)`` gives a change.
  /// - Parameters:
  ///   - crop: 1 × 3 × N × N in [0, 1].
  ///   - length: of all the way to the brows.
  ///   - opacity: 0…1.
  ///   - face: the crop at the model's size, 1 × 3 × S × S in [0, 1].
  ///   - unshaded: where no shadow falls, 1 × 1 × S × S in [0, 1].
  /// - Returns: 1 × 4 × N × N.
  func change(of crop: Tensor, length: Float, opacity: Double, over face: Tensor, unshaded: Tensor) throws -> Tensor {
    let drawn = try drawn(length: length)
    let coverage = try drawn.coverage * hair.sampled(at: drawn.sources, by: .bilinear).smoothStep(from: 0.35, to: 0.7) * opacity
    return try Strands.change(
      coverage, in: crop.sampled(at: drawn.sources) * drawn.light, over: face, unshaded: unshaded)
  }

  /// How much hair covers each pixel and how light it is there, both 1 × 1 × N × N, and where in the crop it comes from,
  /// 1 × N × N × 2 from −1 to 1.
  func drawn(length: Float) throws -> (coverage: Tensor, light: Tensor, sources: Tensor) {
    let back = place.inverse
    let room = try room.array(Float.self)
    var (coverage, light) = ([Float](repeating: 0, count: size * size), [Float](repeating: 1, count: size * size))
    var sources = [Float](repeating: 0, count: 2 * size * size)
    for row in 0..<size {
      for column in 0..<size {
        let index = row * size + column
        if room[index] < 0.01 { continue }
        let point = place(Point(x: Double(column) + 0.5, y: Double(row) + 0.5))
        let (x, y) = (Float(point.x), Float(point.y))
        let below = root(at: Float(column)).row
        let part = Self.part(from: middle, x, left, right)
        // It ends lower at the temples.
        let whole = brows - Self.gap + Self.arch * pow(min(1.2, abs(part)), 2.2)
        let end = below + max(0, whole - below) * length
        if y < below || y > end + Self.raggedness || abs(part) > 1.02 { continue }
        let way = (y - below) / max(4, end - below)
        // Strands fan out from above, and sweep to a side.
        let strand = middle + (x - middle) * Self.above / (Self.above + y - below) - Self.sweep * pow(min(1.3, way), 1.6)
        let root = root(at: Float(back(Point(x: Double(strand), y: Double(y))).x) - 0.5)
        if root.part < 0.01 { continue }
        let ragged = Self.ends.enumerated().reduce(end) {
          $0 + $1.element.amplitude * valueNoise(strand / $1.element.width, 0, seed: 10 + $1.offset)
        }
        let wisp = valueNoise(strand / 0.6, way, seed: 20) * way.smoothStep(from: 0.35, to: 1)
        let covered = (ragged - y).smoothStep(from: -0.6, to: 4.1) * (y - below).smoothStep(from: -0.6, to: 1.8)
        coverage[index] = min(1, covered * (1 + 0.35 * wisp)) * root.part * room[index]
          * (1.02 - abs(part)).smoothStep(from: 0, to: 0.2)
        // Light lies on the bulge, and the ends are in shade.
        light[index] = 1 + 0.1 * exp(-pow((way - 0.3) / 0.25, 2)) - 0.25 * way.smoothStep(from: 0.65, to: 1.1)
        let height = (y - below) * min(1, Self.highest * root.height / max(4, end - below))
        let source = back(Point(x: Double(strand), y: Double(root.row - height)))
        sources[2 * index] = Float(source.x * 2 / Double(size) - 1)
        sources[2 * index + 1] = Float(source.y * 2 / Double(size) - 1)
      }
    }
    let shape = [1, 1, size, size]
    return (try Tensor(coverage, shape: shape), try Tensor(light, shape: shape), try Tensor(sources, shape: [1, size, size, 2]))
  }

  /// Between the middles of the crop's columns.
  private func root(at column: Float) -> Root {
    let place = min(Float(size - 1), max(0, column))
    let (a, b) = (roots[Int(place)], roots[min(size - 1, Int(place) + 1)])
    let t = place - place.rounded(.down)
    return Root(
      row: a.row + t * (b.row - a.row), height: a.height + t * (b.height - a.height), part: a.part + t * (b.part - a.part))
  }

  /// How strands end at different heights.
  private static let ends: [(width: Float, amplitude: Float)] = [(4.4, 2.7), (1.8, 1.8), (0.8, 1.2)]
  /// More than these and half a strand's tip come to.
  private static let raggedness: Float = 7
  /// How far above the brows it ends, and how much lower at the temples.
  private static let (gap, arch): (Float, Float) = (0.6, 6)
  /// How far above the hairline strands would meet, and how far they sweep to a side.
  private static let (above, sweep): (Float, Float) = (65, 3)
  /// How far above the hairline hair is mirrored at the most, and how much of its height is used.
  private static let (lift, highest): (Float, Float) = (4.7, 0.85)
  /// The heights of hair between which it is too little for bangs, and enough.
  private static let shallow: ClosedRange<Float> = 6...12
  /// The matte from which on a pixel shows nothing but hair.
  private static let sure: Float = 0.75
  /// The hairline is smoothed over so much to both sides.
  private static let smoothness: Float = 1.7
  /// The least that half a face is wide.
  private static let narrowest: Float = 20
}

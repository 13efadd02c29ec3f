import Foundation
import Photo
import Torch

/// Draws bangs in the photo's own hair.
struct Bangs: Edit {
  static let stage = EditStage.hair

  private var length: Double

  /// - Parameter length: of the way down to the brows; below a small length they are transparent, too.
  init(length: Double) { self.length = length }

  mutating func add(_ other: Bangs) { length += other.length }

  func apply(to canvas: inout Canvas) throws {
    let anatomy = canvas.face.anatomy
    guard length > 0, let shape = try anatomy.cached({ try BangsShape(on: anatomy) }) else { return }
    let (crop, hair) = (try canvas.image, try anatomy.hair)
    guard let shades = try shape.colours(in: crop, hair: hair.array(Float.self)) else { return }
    let drawing = try shape.drawn(
      scale: canvas.oversampling, length: Float(min(Self.longest, length)), pixel: Double(crop.size(3)) / canvas.face.alignment.side)
    try canvas.draw(
      drawing.change(
        in: shades, opacity: min(1, length / Self.sparse), over: crop, unshaded: hair.smoothStep(from: 0.3, to: 0.7)))
  }

  /// The most length, of the way to the brows.
  private static let longest = 1.3
  /// The length under which they are transparent.
  private static let sparse = 0.3
}

/// The shape of hair that comes over a forehead, in strands from the photo's hairline down to the brows, fanned out from above the head. They
/// are drawn, for what a code of some hundred numbers decodes to has no strands.
struct BangsShape: Sendable, Sized {
  /// The forehead as far as hair may cover it, 1 × 1 × S × S in [0, 1], of a square crop.
  private let room: Tensor
  private let size: Int
  /// From the crop to CelebA's frame; all places and lengths below are of the latter.
  private let place: Affine
  /// For each column of the crop: where hair begins above it, and whether there is some, 0…1.
  private let roots: [(row: Float, part: Float)]
  private let middle, left, right: Float
  /// The upper edge of the brows.
  let brows: Float

  /// - Parameters:
  ///   - landmarks: the face's 68, in CelebA's frame.
  ///   - place: from the crop there.
  ///   - hair: how surely each pixel of the crop is hair, 1 × 1 × S × S in [0, 1].
  ///   - covered: how surely it is of a hat or beyond the head, the same.
  /// - Returns: `nil` where no hair grows above the forehead.
  init?(above landmarks: [Point], at place: Affine, hair: Tensor, covered: Tensor) throws {
    (size, self.place) = (hair.size(3), place)
    middle = Float(landmarks[Landmark.noseRoot].x)
    (left, right) = (Float(landmarks[Landmark.leftEar].x), Float(landmarks[Landmark.rightEar].x))
    brows = landmarks[Landmark.brows].map { Float($0.y) }.sorted().prefix(6).reduce(0, +) / 6
    // Amid hair there is nothing to cover.
    let near = try (1 - hair).blurred(sigma: Self.overlap).smoothStep(from: 0.04, to: 0.4)
    room = try near * (1 - covered.smoothStep(from: 0.3, to: 0.7))
    let found = Self.roots(in: try hair.array(Float.self), above: brows, at: place)
    let (middle, left, right) = (middle, left, right)
    let inside = found.indices.filter { column in
      let x = Float(place(Point(x: Double(column) + 0.5, y: 0)).x)
      return abs(Self.part(from: middle, x, left, right)) < 0.8
    }
    guard !inside.isEmpty, 2 * inside.count(where: { found[$0] != nil }) > inside.count else { return nil }
    let parts = Self.smoothed(found.map { $0 == nil ? 0 : 1 })
    roots = zip(Self.smoothed(Self.filled(found)), parts).map { ($0, $1) }
  }

  /// - Returns: `nil` where no hair grows above the forehead.
  init?(on anatomy: Anatomy) throws {
    guard let frame = try anatomy.frame(size: anatomy.image.size(3)) else { return nil }
    let (hair, other) = (try anatomy.hair, try anatomy.otherThanSkin)
    try self.init(
      above: frame.landmarks, at: frame.place, hair: hair,
      covered: (other.narrow(1, 2..<3) - hair).relu() + other.narrow(1, 3..<4))
  }

  var byteCount: Int { room.byteCount + roots.count * MemoryLayout<(Float, Float)>.stride }

  /// For each column where hair begins on the way up from the brows, if it does.
  private static func roots(in hair: [Float], above brows: Float, at place: Affine) -> [Float?] {
    let size = Int(Double(hair.count).squareRoot())
    return (0..<size).map { column in
      func y(_ row: Int) -> Float { Float(place(Point(x: Double(column) + 0.5, y: Double(row) + 0.5)).y) }
      let start = (0..<size).last { y($0) <= brows } ?? 0
      return (0...start).last { hair[$0 * size + column] > 0.5 }.map(y)
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

  private static func smoothed(_ values: [Float]) -> [Float] {
    (0..<3).reduce(values) { row, _ in
      row.indices.map { i in (-2...2).reduce(0) { $0 + row[min(row.count - 1, max(0, i + $1))] } / 5 }
    }
  }

  /// How far towards a temple a column is, −1…1 between them.
  private static func part(from middle: Float, _ x: Float, _ left: Float, _ right: Float) -> Float {
    (x - middle) / max(narrowest, x < middle ? middle - left : right - middle)
  }

  /// - Parameters:
  ///   - scale: how many times as finely as the crop.
  ///   - length: of all the way to the brows.
  ///   - pixel: the side of the photo's in those of the crop; nothing is finer.
  func drawn(scale: Int, length: Float, pixel: Double) throws -> StrandDrawing {
    let side = size * scale
    let room = try (scale == 1 ? room : room.upsampleBilinear2d(scale: scale)).array(Float.self)
    var drawing = StrandDrawing(size: side)
    let fine = Affine(.identity).scaled(x: 1 / Double(scale), y: 1 / Double(scale)).then(place)
    let finest = Float(max(pixel, 1 / Double(scale)) * place.largestScale) * 1.5
    let streaks = Streaks(Self.octaves, finest: finest)
    let centre = roots[column(of: middle)].row
    let roots = (0..<side).map { root(at: (Float($0) + 0.5) / Float(scale) - 0.5) }
    for row in 0..<side {
      for column in 0..<side {
        let index = row * side + column
        let (nearby, root) = (room[index], roots[column])
        if nearby * root.part < 0.01 { continue }
        let point = fine(Point(x: Double(column) + 0.5, y: Double(row) + 0.5))
        let (x, y) = (Float(point.x), Float(point.y))
        let part = Self.part(from: middle, x, left, right)
        // It ends lower at the temples.
        let whole = brows - Self.gap + Self.arch * pow(min(1.2, abs(part)), 2.2)
        let end = root.row + (whole - root.row) * length
        if y > end + Self.raggedness { continue }
        let way = (y - root.row) / max(12, end - root.row)
        // Strands fan out from above, and sweep to a side.
        let sweep = min(1.3, max(0, (y - centre) / max(10, brows - centre)))
        let strand = (x - middle) / max(20, y - centre + Self.above) * (brows - centre + Self.above)
          + Self.sweep * pow(sweep, 1.6)
        let ragged = Self.ends.enumerated().reduce(end) {
          $0 + $1.element.amplitude * valueNoise(strand / $1.element.width, 0, seed: 10 + $1.offset)
        }
        let wisp = valueNoise(strand / 1.1, y / 30, seed: 20) * way.smoothStep(from: 0.3, to: 0.9)
        let covered = ((ragged - y) / 4.5 + 0.45 * wisp).smoothStep(from: -0.1, to: 0.9)
        drawing.coverage[index] = covered * nearby * root.part * (1.05 - abs(part)).smoothStep(from: 0, to: 0.22)
        // Light lies on the bulge, and the ends are in shade.
        let bulge = 0.75 * exp(-pow((way - 0.42) / 0.22, 2)) - 0.5 * way.smoothStep(from: 0.7, to: 1.05) - 0.15
        drawing.setShade(index, deviation: Self.contrast * streaks(strand, y) + bulge)
      }
    }
    return drawing
  }

  /// Between the middles of the crop's columns.
  private func root(at column: Float) -> (row: Float, part: Float) {
    let place = min(Float(size - 1), max(0, column))
    let (a, b) = (roots[Int(place)], roots[min(size - 1, Int(place) + 1)])
    let t = place - place.rounded(.down)
    return (a.row + t * (b.row - a.row), a.part + t * (b.part - a.part))
  }

  private func column(of x: Float) -> Int {
    (0..<size).min { a, b in
      abs(Float(place(Point(x: Double(a) + 0.5, y: 0)).x) - x) < abs(Float(place(Point(x: Double(b) + 0.5, y: 0)).x) - x)
    }!
  }

  /// The colours of hair from its darkest to its lightest, without what is deepest shade or shine; `nil` where there is too little.
  /// - Parameters:
  ///   - crop: 1 × 3 × S × S in [0, 1].
  ///   - hair: how surely each pixel is hair, row by row.
  func colours(in crop: Tensor, hair: [Float]) throws -> [SIMD3<Float>]? {
    let values = try crop.array(Float.self)
    let count = size * size
    // Below, hair lies in the shade of the head.
    let upper = (0..<count).filter {
      hair[$0] > 0.92 && Float(place(Point(x: Double($0 % size) + 0.5, y: Double($0 / size) + 0.5)).y) < brows
    }
    let sure = upper.count > Self.fewest ? upper : (0..<count).filter { hair[$0] > 0.6 }
    guard sure.count > Self.fewest else { return nil }
    let colours = sure.map { SIMD3(values[$0], values[count + $0], values[2 * count + $0]) }
    return StrandDrawing.shades(of: colours, from: 0.06, to: 0.98)
  }

  /// Waves across strands: how wide they are, how long along them, and how strong.
  private static let octaves: [Streaks.Octave] = [
    (9, 60, 0.45), (4, 45, 0.6), (1.9, 30, 0.6), (0.9, 22, 0.45), (0.5, 14, 0.3),
  ]
  /// How strands end at different heights.
  private static let ends: [(width: Float, amplitude: Float)] = [(6.5, 4.5), (2.6, 3), (1.1, 1.5)]
  /// More than these and half a strand's tip come to.
  private static let raggedness: Float = 12
  /// The standard deviation of strands, of that of the photo's hair.
  private static let contrast: Float = 0.55
  /// How far above the brows it ends, and how much lower at the temples.
  private static let (gap, arch): (Float, Float) = (1.5, 6.5)
  /// How far above the hairline strands would meet, and how far they sweep to a side.
  private static let (above, sweep): (Float, Float) = (70, 6)
  /// The least that half a face is wide.
  private static let narrowest: Float = 20
  /// How softly it begins in the hair, in pixels of the crop.
  private static let overlap = 3.0
  /// Pixels of hair that colours can be told from.
  private static let fewest = 40
}

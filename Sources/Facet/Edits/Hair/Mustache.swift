import Foundation
import Photo
import Torch

/// Draws a mustache in the colour of the brows.
struct Mustache: Edit {
  static let stage = EditStage.beard

  private var opacity: Double

  /// - Parameter opacity: 1 at most counts.
  init(opacity: Double) { self.opacity = opacity }

  mutating func add(_ other: Mustache) { opacity += other.opacity }

  func apply(to canvas: inout Canvas) throws {
    if opacity <= 0 { return }
    let (crop, anatomy) = (try canvas.image, try canvas.anatomy())
    let coarse = crop.size(3)
    let size = coarse * canvas.oversampling
    guard let frame = try anatomy.frame(size: size), let shape = MustacheShape(on: frame.landmarks, at: frame.place)
    else { return }
    let inside = try anatomy.mouth.smoothStep(from: 0.2, to: 0.6)
    let free = try (1 - anatomy.nose.smoothStep(from: 0.3, to: 0.8)) * (1 - inside)
    let drawing = shape.drawn(
      size: size, pixel: Double(size) / canvas.face.alignment.side, free: try free.enlarged(to: size).array(Float.self))
    let (brows, values) = (try anatomy.brows.array(Float.self), try crop.array(Float.self))
    let count = coarse * coarse
    let colours = (0..<count).filter { brows[$0] > 0.6 }
      .map { SIMD3(values[$0], values[count + $0], values[2 * count + $0]) * Self.deeper }
    // Between a brow's hairs there is skin.
    let shades = StrandDrawing.shades(of: colours.count > 20 ? colours : [Self.brown], from: 0, to: 0.5)
    try canvas.draw(drawing.change(in: shades, opacity: min(1, opacity), over: crop, unshaded: inside))
  }

  /// The share of a brow's light that a mustache has; and its colour where there is no brow.
  private static let (deeper, brown): (Float, SIMD3<Float>) = (0.75, [0.15, 0.1, 0.08])
}

/// The shape of a mustache: strands fanned out from the nose, from under it down to the upper lip, and a little beyond the corners of
/// the mouth.
struct MustacheShape {
  /// All places and lengths are of CelebA's frame, as seen from the middle of the upper lip: along the mouth, and down.
  private let middle, along: SIMD2<Float>
  private let lip: [SIMD2<Float>]
  private let nose, wing: Float
  private let place: Affine

  /// - Parameters:
  ///   - landmarks: the face's 68, in CelebA's frame.
  ///   - place: from a square picture there.
  /// - Returns: `nil` where they leave no room between nose and mouth.
  init?(on landmarks: [Point], at place: Affine) {
    func point(_ index: Int) -> SIMD2<Float> { SIMD2(Float(landmarks[index].x), Float(landmarks[index].y)) }
    let way = point(Landmark.rightCorner) - point(Landmark.leftCorner)
    let width = (way * way).sum().squareRoot()
    guard width > 4 else { return nil }
    (middle, along, self.place) = (point(Landmark.upperLipMiddle), way / width, place)
    let (middle, along) = (middle, along)
    func own(_ index: Int) -> SIMD2<Float> { Self.own(point(index) - middle, along) }
    lip = Landmark.upperLip.map(own)
    let base = stride(from: Landmark.noseBase.lowerBound, through: Landmark.noseBase.upperBound, by: 2).map(own)
    nose = base.map(\.y).max()!
    wing = (abs(base[0].x) + abs(base[2].x)) / 2
    guard zip(lip, lip.dropFirst()).allSatisfy({ $0.x < $1.x }), lip[0].x < -2, lip[6].x > 2, nose < -1 else { return nil }
  }

  private static func own(_ way: SIMD2<Float>, _ along: SIMD2<Float>) -> SIMD2<Float> {
    SIMD2((way * along).sum(), way.y * along.x - way.x * along.y)
  }

  /// How low the upper lip's edge is.
  private func edge(_ x: Float) -> Float {
    guard let right = lip.firstIndex(where: { $0.x >= x }) else { return lip[6].y }
    if right == 0 { return lip[0].y }
    let (a, b) = (lip[right - 1], lip[right])
    return a.y + (x - a.x) / (b.x - a.x) * (b.y - a.y)
  }

  /// - Parameters:
  ///   - size: of the picture.
  ///   - pixel: the side of the photo's in those of the picture; nothing is finer.
  ///   - free: where it may grow, row by row, 0…1: neither on the nose nor within the mouth.
  func drawn(size: Int, pixel: Double, free: [Float]) -> StrandDrawing {
    var drawing = StrandDrawing(size: size)
    let streaks = Streaks(Self.octaves, finest: Float(max(1, pixel) * place.largestScale) * 1.5)
    let fall = (lip[0].y + lip[6].y) / 2
    for index in 0..<size * size where free[index] > 0.01 {
      let point = place(Point(x: Double(index % size) + 0.5, y: Double(index / size) + 0.5))
      let at = Self.own(SIMD2(Float(point.x), Float(point.y)) - middle, along)
      let half = max(4, at.x < 0 ? -lip[0].x : lip[6].x)
      let part = abs(at.x) / half
      if part > 1.3 || at.y < nose - 2 || at.y > fall + 8 { continue }
      // It hangs down beside the corners.
      let lower = edge(at.x) + max(0, part - 0.8) * half * 0.7 + 0.5
      let upper = nose + 0.2 + max(0, abs(at.x) - 0.9 * wing) / max(2, 1.3 * half - 0.9 * wing) * (fall + 2.3 - nose)
      let strand = at.x / max(3, at.y - nose + Self.root) * 12
      let ends = 0.6 * (1.6 * valueNoise(strand / 1.7, 0, seed: 41) + 0.9 * valueNoise(strand / 0.6, 0, seed: 42))
      let starts = 0.6 * valueNoise(strand / 1.3, 0, seed: 43)
      let covered = (lower + ends - 0.2 - at.y).smoothStep(from: -0.6, to: 1.2)
        * (at.y - upper - starts).smoothStep(from: -0.8, to: 1.2) * (1 - part.smoothStep(from: 1.1, to: 1.3))
      if covered == 0 { continue }
      // Thinner in the middle, and at its border.
      let fine = (valueNoise(strand / 0.55, at.y / 6, seed: 44) + valueNoise(strand / 1.2, at.y / 9, seed: 45)) / 2
      let density = 0.97 - 0.25 * exp(-pow(at.x / 1.2, 2)) + 0.25 * fine * (1 - 0.8 * covered)
      drawing.coverage[index] = covered * min(1, max(0, density)) * free[index]
      let bulge = 0.4 * exp(-pow((at.y - (upper + lower) / 2) / 1.6, 2)) - 0.2
      drawing.setShade(index, deviation: 1.3 * streaks(strand, at.y) * 0.46 + bulge)
    }
    return drawing
  }

  private static let octaves: [Streaks.Octave] = [(1.6, 10, 0.5), (0.8, 7, 0.6), (0.45, 5, 0.5)]
  /// How far above the nose's base strands would meet.
  private static let root: Float = 9
}

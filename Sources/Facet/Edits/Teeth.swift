import Foundation
import Photo
import Torch

/// Draws teeth where an edit opens a mouth that showed none.
struct Teeth: Edit {
  static let stage = EditStage.teeth

  mutating func add(_ other: Teeth) {}

  func apply(to canvas: inout Canvas) throws {
    // Who shows teeth already keeps them.
    guard let flow = canvas.flow, let shown = try canvas.face.anatomy.cached({ try ShownTeeth(on: canvas.face) }), shown.amount < 1
    else { return }
    let crop = try canvas.image
    let (coarse, scale) = (crop.size(3), canvas.oversampling)
    let size = coarse * scale
    let place = Affine(.identity).scaled(x: 1 / Double(scale), y: 1 / Double(scale)).then(flow.place)
    guard let teeth = TeethShape(in: flow.landmarks, at: place) else { return }
    let loss = try Tensor(
      teeth.loss(size: size, pixel: Double(size) / canvas.face.alignment.side), shape: [1, 1, size, size])
    // Lips and gums are redder than teeth are.
    let (red, blue) = (try crop.narrow(1, 0..<1), try crop.narrow(1, 1..<3).mean(dims: [1], keepDim: true))
    let gray = try 1 - ((red - blue) / red.clamp(min: 0.05)).blurred(sigma: 0.5).smoothStep(from: 0.25, to: 0.45)
    let kept = try (loss * gray.enlarged(to: size) * (shown.amount - 1)).exp()
    try canvas.draw(.cat([.zeros([1, 3, size, size]), kept - 1], dim: 1))
  }
}

/// The share of teeth that a photo shows, 0…1: what is inside its mouth is nearly as light as its skin.
private struct ShownTeeth: Sized {
  let amount: Double
  var byteCount: Int { MemoryLayout<Self>.size }

  init(on face: EncodedFace) throws {
    let light = try face.anatomy.image.mean(dims: [1], keepDim: true)
    func mean(_ part: Tensor) throws -> (share: Double, light: Double) {
      let mask = try (part > 0.5).to(.float32)
      let sum = try mask.sum().item()
      return (sum / Double(mask.size(2) * mask.size(3)), sum > 0 ? try (mask * light).sum().item() / sum : 0)
    }
    let (inside, skin) = (try mean(face.anatomy.mouth), try mean(face.anatomy.skin))
    amount = inside.share > 0.002 && skin.light > 0 ? Double(Float(inside.light / skin.light).smoothStep(from: 0.7, to: 0.9)) : 0
  }
}

/// The shape of teeth in a mouth that an edit has opened, where the decoded ones are one light bar: light is taken away between them, at their
/// lower edges and towards the corners of the mouth. What is dark already stays dark.
struct TeethShape {
  /// Of CelebA's frame, as seen from the middle of the upper teeth: along the mouth, and down.
  private let middle, along: SIMD2<Float>
  private let upper, lower: [SIMD2<Float>]
  private let place: Affine
  /// The picture's columns and rows that the inner lips are in.
  private let columns, rows: Range<Int>

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
    let corners = landmarks[Landmark.opening].map { back($0) }
    func span(_ values: [Double]) -> Range<Int> {
      let (low, high) = (values.min()!.rounded(.down) - 8, values.max()!.rounded(.up) + 8)
      return low.isFinite && high.isFinite ? Int(max(0, min(low, 1e6)))..<Int(max(0, min(high, 1e6)) + 1) : 0..<0
    }
    (columns, rows) = (span(corners.map(\.x)), span(corners.map(\.y)))
    let (middle, along) = (middle, along)
    func own(_ index: Int) -> SIMD2<Float> { Self.own(point(index) - middle, along) }
    (upper, lower) = (Landmark.upperEdge.map(own), Landmark.lowerEdge.map(own))
    let isOrdered = [upper, lower].allSatisfy { line in zip(line, line.dropFirst()).allSatisfy { $0.x < $1.x } }
    // Of a profile one half is hidden, and landmarks guess.
    let halves = (-upper[0].x, upper[4].x)
    guard isOrdered, min(halves.0, halves.1) > max(2, Self.leastHalf * max(halves.0, halves.1)), lower[2].y - upper[2].y > Self.leastOpening else { return nil }
  }

  private static func own(_ way: SIMD2<Float>, _ along: SIMD2<Float>) -> SIMD2<Float> {
    SIMD2((way * along).sum(), way.y * along.x - way.x * along.y)
  }

  private static func height(of line: [SIMD2<Float>], at x: Float) -> Float {
    guard let right = line.firstIndex(where: { $0.x >= x }), right > 0 else { return line[x <= line[0].x ? 0 : line.count - 1].y }
    let (a, b) = (line[right - 1], line[right])
    return a.y + (x - a.x) / (b.x - a.x) * (b.y - a.y)
  }

  /// How much of the logarithm of its light each pixel loses, row by row.
  /// - Parameters:
  ///   - size: of the picture.
  ///   - pixel: the side of the photo's in those of the picture; nothing is finer.
  func loss(size: Int, pixel: Double) -> [Float] {
    let finest = Float(max(1, pixel) * place.largestScale)
    var loss = [Float](repeating: 0, count: size * size)
    for y in rows.clamped(to: 0..<size) {
      for x in columns.clamped(to: 0..<size) { loss[y * size + x] = lost(x, y, finest) }
    }
    return loss
  }

  /// - Parameter finest: the width of a photo's pixel in the frame.
  private func lost(_ x: Int, _ y: Int, _ finest: Float) -> Float {
    let point = place(Point(x: Double(x) + 0.5, y: Double(y) + 0.5))
    let at = Self.own(SIMD2(Float(point.x), Float(point.y)) - middle, along)
    guard at.x > upper[0].x, at.x < upper[4].x else { return 0 }
    let (top, bottom) = (Self.height(of: upper, at: at.x), Self.height(of: lower, at: at.x))
    let inside = (at.y - top).smoothStep(from: -0.8, to: 0.4) * (bottom - at.y).smoothStep(from: -0.8, to: 0.4)
    if inside == 0 { return 0 }
    let half = at.x < 0 ? -upper[0].x : upper[4].x
    let part = abs(at.x) / half
    let down = (at.y - top) / max(1, bottom - top)
    let next = Self.gaps.firstIndex { $0 >= part } ?? Self.gaps.count - 1
    let (from, to) = (Self.gaps[max(0, next - 1)], Self.gaps[max(1, next)])
    let across = (part - from) / (to - from) * 2 - 1
    let distance = min(abs(part - from), abs(to - part)) * half
    let width = max(Self.gap, 0.6 * finest) * (1 + 1.2 * down.smoothStep(from: 0.55, to: 1))
    let between = exp(-pow(distance / width, 2)) * min(1, Self.gap / width * 1.6)
    let edge = 0.86 - 0.1 * across * across - 0.06 * Self.shorter[min(next, 5)]
    let below = down.smoothStep(from: edge, to: edge + 0.14)
    return inside * (Self.depth * between * (1 + 0.8 * down.smoothStep(from: 0.5, to: 0.9))
      + 0.08 * across * across + 0.42 * below + 0.2 * (1 - down.smoothStep(from: 0, to: 0.3))
      + 0.65 * part.smoothStep(from: 0.5, to: 1))
  }

  /// Where teeth meet, from the middle to a corner of the mouth, and how much shorter each is than the middle one.
  private static let gaps: [Float] = [0, 0.3, 0.53, 0.73, 0.87, 1.05]
  private static let shorter: [Float] = [0, 0, 1, 0.3, 1, 1.4]
  /// How wide a gap is, in pixels of the frame, and how dark.
  private static let (gap, depth): (Float, Float) = (0.3, 0.27)
  /// How much narrower the half of the mouth that is turned away may be.
  private static let leastHalf: Float = 0.35
  /// Pixels of the frame between the lips under which no teeth are seen.
  private static let leastOpening: Float = 1.5
}

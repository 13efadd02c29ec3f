import Files
import Foundation
import Photo
import Torch

/// Shows teeth where an edit opens a mouth that showed none: decoded faces have one light bar there.
struct Teeth: Edit {
  static let stage = EditStage.teeth

  mutating func add(_ other: Teeth) {}

  func apply(to canvas: inout Canvas) throws {
    guard let flow = canvas.flow, let shown = try canvas.face.anatomy.cached({ try ShownTeeth(on: canvas.face) }) else { return }
    let (crop, scale) = (try canvas.image, canvas.oversampling)
    let size = crop.size(3) * scale
    let place = Affine(.identity).scaled(x: 1 / Double(scale), y: 1 / Double(scale)).then(flow.place)
    guard let mouth = OpenMouth(in: flow.landmarks, at: place) else { return }
    // Who shows teeth already keeps them, unless the mouth opens wider by far.
    let kept = shown.amount * Double((shown.opening / max(0.01, mouth.opening)).smoothStep(from: 0.35, to: 0.7))
    guard kept < 1 else { return }
    let teeth = try TeethPrototype.shared()
    let own = try OwnTeeth(of: canvas.face)
    guard let pixels = try mouth.pixels(size: size, showing: teeth, of: own) else { return }
    let skin = try mouth.around(canvas.face.anatomy.skin, at: flow.place)
    let colour = try teeth.colours(at: pixels, beside: skin.weights, of: crop, reach: skin.reach)
    let coverage = try pixels.coverage * (1 - kept)
    try canvas.draw(pixels.window.inPicture(.cat([colour * coverage, coverage * -1], dim: 1)))
  }
}

/// How a person's teeth differ from the prototype. Nobody knows them from a shut mouth, so they follow from the face's code:
/// the same for each edit of a photo, others for another person.
struct OwnTeeth {
  /// Each −1…1.
  private let own: [Float]

  /// No difference.
  static let prototype = OwnTeeth(own: [Float](repeating: 0, count: count))

  private init(own: [Float]) { self.own = own }

  init(of face: EncodedFace) throws {
    let code = try face.latent.array(Float.self)
    own = (0..<Self.count).map { sin(Self.spread * code[$0 % code.count]) }
  }

  /// Where the prototype has a place along the mouth, −1…1 both.
  func place(_ across: Float) -> Float {
    // Ends stay. The middle is hardly ever that of the face, and some teeth are wider than others.
    let rest = 1 - across * across
    let waves = (0..<4).reduce(Float(0)) { $0 + own[$1] * sin(Float($1 + 2) * 1.7 * across + 3 * own[$1 + 8]) }
    return across + rest * (Self.shift * own[5] + Self.waves * waves)
  }

  /// How much shorter the teeth of a place are than the prototype's.
  func height(_ across: Float) -> Float {
    1 + Self.heights * (0..<4).reduce(Float(0)) { $0 + own[$1 + 16] * sin(Float($1 + 2) * 2.3 * across + 3 * own[$1 + 24]) }
  }

  private static let count = 28
  /// Codes that lie as far apart as those of two people have no number alike.
  private static let spread: Float = 40
  private static let (shift, waves, heights): (Float, Float, Float) = (0.05, 0.015, 0.05)
}

/// The share of teeth that a photo shows, 0…1: what is inside its mouth is nearly as light as its skin.
private struct ShownTeeth: Sized {
  let amount: Double
  /// How far the lips are apart, in pixels of CelebA's frame.
  let opening: Float
  var byteCount: Int { MemoryLayout<Self>.size }

  init(on face: EncodedFace) throws {
    let light = try face.anatomy.image.mean(dims: [1], keepDim: true)
    func mean(_ part: Tensor) throws -> (share: Double, light: Double) {
      let mask = try (part > 0.5).to(.float32)
      let sum = try mask.sum().item()
      return (sum / Double(mask.size(2) * mask.size(3)), sum > 0 ? try (mask * light).sum().item() / sum : 0)
    }
    let (inside, skin) = (try mean(face.anatomy.mouth), try mean(face.anatomy.skin))
    let frame = try face.anatomy.frame(size: light.size(3))
    opening = frame.map { frame in
      zip(Landmark.upperEdge, Landmark.lowerEdge).dropFirst().dropLast()
        .reduce(0) { $0 + Float(frame.landmarks[$1.1].y - frame.landmarks[$1.0].y) / 3 }
    } ?? 0
    amount = inside.share > 0.002 && skin.light > 0 ? Double(Float(inside.light / skin.light).smoothStep(from: 0.7, to: 0.9)) : 0
  }
}

/// The teeth of many smiles laid over each other, and how light teeth are beside skin: `Benchmarks/run teeth` learns them.
struct TeethPrototype: Sendable {
  /// The colours, in parts of the teeth's light, and how much of each pixel is teeth: 1 × 4 × H × W. The upper row of teeth, from
  /// one corner of the mouth to the other.
  private let picture: Tensor
  /// The logarithm of the light of teeth is the first times that of the skin's, and the second; the same of each channel's part
  /// of the light.
  private let levels: [Float], hues: [Float]
  /// How high teeth are in the middle, in widths of a mouth.
  let height: Float

  private static let read = Lazy<TeethPrototype>()

  /// The one of the package.
  /// - Throws: ``BundleError`` where the file of the package is damaged.
  static func shared() throws -> TeethPrototype {
    try read {
      let name = "teeth"
      let url = Bundle.module.url(forResource: name, withExtension: "safetensors")
        ?? Bundle.module.bundleURL.appendingPathComponent("\(name).safetensors")
      return try TeethPrototype(BundlePart(contentsOf: url, format: "facet-teeth", content: name, madeBy: "Benchmarks/run teeth"))
    }
  }

  private init(_ part: BundlePart) throws {
    picture = try part.tensor("teeth", [1, 4, Self.rows, Self.columns], [.float16])
    levels = try part.tensor("light", [2]).array(Float.self)
    hues = try part.tensor("hue", [3, 2]).array(Float.self)
    let middle = try picture.narrow(3, Self.columns * 3 / 8..<Self.columns * 5 / 8).narrow(1, 3..<4)
    height = try Float(middle.sum().item()) / Float(middle.size(3) * Self.width) - Float(Self.above) / Float(Self.width)
  }

  /// Where the picture has a place of a mouth, −1…1 each.
  /// - Parameters:
  ///   - across: −1 at the left corner, 1 at the right one.
  ///   - down: from the edge of the upper lip, in widths of the mouth.
  static func source(_ across: Float, _ down: Float) -> SIMD2<Float> {
    SIMD2(across * wider * Float(width) / Float(columns), (2 * (down * Float(width) + Float(above) + 0.5)) / Float(rows) - 1)
  }

  /// The teeth in the light of a face.
  /// - Parameters:
  ///   - pixels: where they are seen.
  ///   - skin: how much each pixel of the crop counts, 1 × 1 × S × S in [0, 1].
  ///   - crop: 1 × 3 × S × S in [0, 1].
  ///   - reach: how far skin lights the teeth, in pixels of the crop.
  /// - Returns: 1 × 3 × H × W.
  func colours(at pixels: MouthPixels, beside skin: Tensor, of crop: Tensor, reach: Double) throws -> Tensor {
    let weight = max(1e-3, try skin.sum().item())
    let mean = try (crop * skin).sum(dims: [2, 3]).array(Float.self).map { max(0.02, $0 / Float(weight)) }
    let luma = mean.reduce(0, +) / 3
    // A dark photo is not dark skin: there nothing shines.
    let lit = try zip(crop.mean(dims: [1]).array(Float.self), skin.array(Float.self)).filter { $0.1 > Self.near }.map(\.0).sorted()
    let most = lit.isEmpty ? 1 : Self.shine * lit[lit.count * 49 / 50]
    let level = min(most, exp(levels[0] * log(luma) + levels[1]))
    let colour = (0..<3).map { level * exp(hues[2 * $0] * log(mean[$0] / luma) + hues[2 * $0 + 1]) }
    // One side of a face may be in shade.
    let light = try (crop.mean(dims: [1], keepDim: true) * skin).blurred(sigma: reach) / skin.blurred(sigma: reach).clamp(min: 1e-3)
    let shade = try (light / Double(luma)).clamp(min: 0.4, max: 1.6).sqrt().enlarged(to: pixels.window.size)
      .narrow(2, pixels.window.rows).narrow(3, pixels.window.columns)
    let found = try picture.sampled(at: pixels.sources)
    let teeth = try found.narrow(1, 3..<4).clamp(min: 0, max: 1)
    let dark = Self.dark.map { $0 * (0.5 + luma) }
    // The corners of a mouth are dark, and the upper lip shades what is below it. Light comes there from lips: it is red.
    let (across, down) = (try pixels.sources.narrow(3, 0..<1), try pixels.sources.narrow(3, 1..<2))
    let depth = try ((down + 1) * Double(Self.rows) / 2 - Double(Self.above)).clamp(min: 0)
    let side = try across.square()
    let open = try (1 - side * Self.corners.wide - side * side.square() * Self.corners.end).clamp(min: 0)
      * (1 - (depth / -Self.lipShade.rows).exp() * Self.lipShade.amount)
    let cavity = try (open.clamp(min: 1e-2).log() * Tensor(Self.shadeHue, shape: [1, 1, 1, 3])).exp().permute([0, 3, 1, 2])
    // Near the gums teeth touch; towards their edges they part. Of the hues that differ from tooth to tooth half is left.
    let parting = try (depth / Self.parting.rows).clamp(min: 0, max: 1).permute([0, 3, 1, 2])
    let colours = try found.narrow(1, 0..<3)
    let hue = try (colours + colours.mean(dims: [1], keepDim: true)) / 2
    let seen = try 1 - side.square().permute([0, 3, 1, 2]) * Self.parting.lostAside
    let shown = try hue.clamp(min: 1e-3).log() * (parting * Self.parting.edge + Self.parting.gum) * seen
    return try (shown.exp() * Tensor(colour, shape: [1, 3, 1, 1]) * teeth + Tensor(dark, shape: [1, 3, 1, 1]) * (1 - teeth))
      .clamp(min: 0, max: 1) * shade * cavity
  }

  /// How much darker the corners are than the middle, and the edge under the upper lip, with the rows of the picture that it fades over.
  private static let (corners, lipShade) = ((wide: 0.25, end: 0.65), (amount: 0.4, rows: 3.0))
  /// The powers of shade in red, green and blue.
  private static let shadeHue: [Float] = [0.75, 1.1, 1.15]
  /// The power of the light of gaps: a median of many mouths has less contrast than each of them. In the corners it is less.
  private static let parting = (gum: 0.65, edge: 0.75, rows: 14.5, lostAside: 0.7)
  /// How much wider a mouth is than landmarks say, whose corners have the dark ones of the picture.
  private static let wider: Float = 1.05
  /// Pixels of the picture: between the corners of the mouth, and in all; above the edge of the lip, and in all.
  private static let (width, columns, above, rows) = (88, 96, 2, 32)
  /// How much lighter teeth are than the lightest skin at the most, and the weight from which on skin counts for that.
  private static let (shine, near): (Float, Float) = (1.12, 0.1)
  /// What is seen below teeth, beside skin of a light of 0.5.
  private static let dark: [Float] = [0.22, 0.1, 0.09]
}

/// The pixels of a picture that an open mouth lies in.
struct MouthPixels {
  let window: PixelWindow
  /// How much of each pixel lies in the opening, 1 × 1 × H × W in [0, 1].
  let coverage: Tensor
  /// Where a prototype has it, 1 × H × W × 2, as of ``TeethPrototype/source(_:_:)``.
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
  fileprivate var opening: Float { (1...3).reduce(0) { $0 + lower[$1].y - upper[$1].y } / 3 }
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

  /// The pixels of the opening.
  /// - Parameters:
  ///   - size: of the picture, in pixels.
  ///   - teeth: the prototype.
  /// - Returns: `nil` where the mouth lies beside the picture.
  func pixels(size: Int, showing teeth: TeethPrototype, of own: OwnTeeth) throws -> MouthPixels? {
    guard let window = PixelWindow(around: corners, margin: 8, in: size) else { return nil }
    // Teeth are cut off by the lower lip; wide open mouths show longer ones.
    let stretch = min(Self.stretches.upperBound, max(Self.stretches.lowerBound, opening / (width * teeth.height)))
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
      let source = TeethPrototype.source(own.place(across), (at.y - above) / (width * stretch) * own.height(across))
      (sources[2 * index], sources[2 * index + 1]) = (source.x, source.y)
    }
    let shape = [window.rows.count, window.columns.count]
    return MouthPixels(
      window: window, coverage: try Tensor(coverage, shape: [1, 1] + shape), sources: try Tensor(sources, shape: [1] + shape + [2]))
  }

  /// How much narrower the half of the mouth that is turned away may be.
  private static let leastHalf: Float = 0.35
  /// Pixels of the frame between the lips under which no teeth are seen, and from which on they are.
  private static let openings: ClosedRange<Float> = 0.5...2.2
  /// How much shorter and longer than those of the prototype teeth may be.
  private static let stretches: ClosedRange<Float> = 0.75...1.35
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

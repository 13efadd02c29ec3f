import Facet
import Foundation
import Photo
import Torch

/// Draws examples for a painter from a set of crops: a photo with a hole, whose right answer is the photo itself.
///
/// The code is the photo's own, so the decoded face is the guide. The pixels that the painter may move into the hole are made
/// wrong in the two ways in which an edit's are: they are moved as far as faces differ, and a part of the face is another
/// person's, fitted to this one. In many examples that part is the inside of the mouth: teeth between lips that were shut, or shut
/// lips in place of teeth, so that the lips are the right ones. The decoded face `before` is made wrong in the same way. So the
/// painter learns to move what is of the same kind as the guide, and to draw anew what is not.
///
/// In some examples of a set that has them, glasses are drawn on the photo, and the right answer is the photo without.
struct PaintingExamples {
  let crops: CropSet
  let training: PainterTraining
  let device: Device

  struct Batch {
    var input: PainterNetwork.Input
    /// The right answer, N × 3 × H × W.
    var photo: Tensor
    /// Where the photo has pixels, and where its own pixels were not replaced, N × 1 × H × W.
    var valid, genuine: Tensor
  }

  /// Landmarks that move together.
  private static let groups = [0...16, 17...26, 27...35, 36...47, 48...67]
  private static let mouth = 48...67

  /// What of the photo's own pixels is another person's.
  private struct Foreign {
    /// A part of the face, but for the lips or with them.
    var region: PaintedRegion?
    var sparesLips = false
    /// What lies between the lips.
    var insideMouth = false
  }

  /// - Parameters:
  ///   - rows: the crops.
  ///   - seed: of all chance.
  func callAsFunction(_ rows: [Int], seed: UInt64) throws -> Batch {
    var chance = SplitMix64(seed: seed)
    let generator = try Generator(seed: chance.next(), device: device)
    let count = rows.count
    let side = training.window
    let points = rows.map { crops.faces[$0].points }
    let others = points.map { partner(of: $0, &chance) }

    let otherPoints = others.map { crops.faces[$0].points }

    // Holes, and the parts that are somebody else's, at half of the crop's size.
    let half = CropSet.labelSize
    func halved(_ face: [Point]) -> [Point] { face.map { Point(x: $0.x / 2, y: $0.y / 2) } }
    var holes: [Float] = []
    var origins: [(x: Double, y: Double)] = []
    var foreigners: [Foreign] = []
    var shifts: [[Point]] = []
    // Where somebody else's pixels are among those that may be moved, and where they should go to.
    var (strangers, inner, unknown): ([Float], [Float], [Float]) = ([], [], [])
    let glasses = try glasses(on: rows, generator, &chance)
    for (index, (face, other)) in zip(points, otherPoints).enumerated() {
      let small = halved(face)
      if let mask = glasses?.masks[index] {
        holes += mask
        origins.append(origin(of: mask, &chance))
        foreigners.append(Foreign())
        shifts.append([Point](repeating: Point(x: 0, y: 0), count: 68))
        let nothing = [Float](repeating: 0, count: half * half)
        (strangers, inner, unknown) = (strangers + nothing, inner + nothing, unknown + nothing)
        continue
      }
      let kind = training.regions.randomElement(using: &chance)!
      var mask = region(kind, small, &chance).values
      if !mask.contains(where: { $0 > 0 }) { mask = PaintedRegion.face.mask(small, size: (half, half)).values }
      holes += mask
      origins.append(origin(of: mask, &chance))
      let foreign = foreign(in: kind, &chance)
      foreigners.append(foreign)
      let shift = shift(face, towards: other, isMouthOther: foreign.insideMouth, &chance)
      shifts.append(shift)
      let part = foreign.region.map { region($0, small, &chance) } ?? RegionMask((half, half))
      let there = halved(zip(face, shift).map { $0 + $1 })
      let (within, target) = (Self.insideMouth(of: there), Self.insideMouth(of: small))
      func spared(_ lips: [Point]) -> RegionMask {
        var mask = part
        if foreign.sparesLips { mask.clear(Self.lips(of: lips)) }
        return mask
      }
      strangers += spared(there).values
      let nothing = [Float](repeating: 0, count: half * half)
      inner += foreign.insideMouth ? within.values : nothing
      let lost = spared(small).values
      unknown += foreign.insideMouth ? zip(lost, target.values).map(max) : lost
    }
    let grid = try windows(at: origins, side)
    func mask(_ values: [Float], sigma: Double) throws -> Tensor {
      try Tensor(values, shape: [count, 1, half, half]).to(device).blurred(sigma: sigma)
        .sampled(at: grid, by: .bilinear, beyond: .zeros)
    }
    let hole = try mask(holes, sigma: 2).smoothStep(from: 0.25, to: 0.75)
    let strange = try mask(strangers, sigma: 2).smoothStep(from: 0.2, to: 0.8)
    let between = try mask(inner, sigma: 1).smoothStep(from: 0.2, to: 0.7)
    // 1 for examples of glasses, N × 1 × 1 × 1.
    let wearers = try Tensor(rows.indices.map { glasses?.masks[$0] == nil ? 0 : 1 } as [Float], shape: [count, 1, 1, 1]).to(device)
    let genuine = try (1 - mask(unknown, sigma: 2).smoothStep(from: 0.2, to: 0.8)) * (1 - wearers)

    func images(_ bytes: Tensor) throws -> Tensor { try bytes.to(device).permute([0, 3, 1, 2]).to(.float32) / 255 }
    let (clear, wholeOther) = (try images(crops.crops(rows)), try images(crops.crops(others)))
    let (ownFace, otherFace) = (try images(crops.decoded(rows)), try images(crops.decoded(others)))
    let whole = try glasses.map { glasses in
      // Some frames are faint: as thin ones are, and what is left of others.
      let strength = try (Tensor.rand([count, 1, 1, 1], generator: generator, device: device) * 1.6 + 0.25).clamp(min: 0, max: 1)
      return try clear + (images(glasses.worn) - clear) * strength * wearers
    } ?? clear
    let face = try glasses.map { try ownFace + (images($0.bare) - ownFace) * wearers } ?? ownFace
    let exists = try (crops.labels(rows).to(.float32) < Double(CropSet.noLabel)).to(.float32).to(device).unsqueeze(1)
    var (photo, target) = (try whole.sampled(at: grid, by: .nearest), try clear.sampled(at: grid, by: .nearest))
    let valid = try exists.sampled(at: grid, by: .nearest, beyond: .zeros)

    // The photo's own pixels, moved; another face's, fitted to this one.
    let places = zip(points, shifts).map { zip($0, $1).map { $0 + $1 } }
    let moved = try grid + field(
      at: origins, around: places,
      displacements: shifts.map { $0.map { -1 * $0 } }, weights: nil)
      + ripples(count, side, 3, generator) * (1 - wearers).reshape([count, 1, 1, 1])
    let fitted = try grid + field(
      at: origins, around: points, displacements: zip(points, otherPoints).map { zip($0, $1).map { $1 - $0 } },
      weights: foreigners.map { foreign in
        (0..<68).map { Self.withMouth.contains(foreign.region) && Self.mouth.contains($0) ? 0 : 1 }
      })
    let otherMouth = try grid + field(
      at: origins, around: places, displacements: zip(places, otherPoints).map { zip($0, $1).map { $1 - $0 } },
      weights: foreigners.map { _ in (0..<68).map { Self.mouth.contains($0) ? 1 : 0 } })
    func mixed(_ own: Tensor, with other: Tensor) throws -> Tensor {
      let fitted = try other.sampled(at: fitted, by: .bilinear)
      let strangers = try own + (self.toned(fitted, as: own, within: strange) - own) * strange
      let light = try (own.mean(dims: [1, 2, 3], keepDim: true) / (fitted.mean(dims: [1, 2, 3], keepDim: true) + 1e-3))
        .clamp(min: 0.6, max: 1.6)
      let mouth = try (other.sampled(at: otherMouth, by: .bilinear) * light).clamp(min: 0, max: 1)
      return try strangers + (mouth - strangers) * between
    }
    let movedPhoto = try whole.sampled(at: moved, by: .bilinear)
    var own = try mixed(movedPhoto, with: wholeOther)
    var before = try mixed(face.sampled(at: moved), with: otherFace)
    if let glasses {
      let shine = try glare(count, side, generator) * glasses.seen.to(device).sampled(at: grid, by: .bilinear, beyond: .zeros) * wearers
      own = try own + (1 - own) * shine
    }
    let present = try exists.sampled(at: moved, by: .bilinear, beyond: .zeros).smoothStep(from: 0.9, to: 1)
    let seen = try Tensor(erasures(count, side, &chance), shape: [count, 1, side, side]).to(device) * present

    // A moved code decodes to a face of another place by a pixel, and of another light.
    var guide = try face.sampled(at: grid + ripples(count, side, 1.5, generator))
    func spread(_ shape: [Int], _ width: Double) throws -> Tensor {
      try (Tensor.rand(shape, generator: generator, device: device) * 2 - 1) * width
    }
    let (gain, tint) = (try spread([count, 1, 1, 1], 0.12) + 1, try spread([count, 3, 1, 1], 0.04))
    guide = try (guide - 0.5) * gain + 0.5 + tint
    before = try (before - 0.5) * gain + 0.5 + tint
    guide = try guide * (spread([count, 1, 1, 1], 0.03) + 1) + spread([count, 3, 1, 1], 0.015)
    let soft = try guide.avgPool2d(2).upsampleBilinear2d(scale: 2)
    guide = try guide + (soft - guide) * Tensor.rand([count, 1, 1, 1], generator: generator, device: device).smoothStep(from: 0.5, to: 1)
    own = try own * (spread([count, 1, 1, 1], 0.06) + 1)

    // Photos of less detail: then the hole is to have no more.
    let coarse = Int(Double(side) * Double.random(in: 0.4...0.85, using: &chance))
    let isCoarse = try (Tensor.rand([count, 1, 1, 1], generator: generator, device: device) < training.coarse).to(.float32)
    func degraded(_ picture: Tensor) throws -> Tensor {
      let less = try picture.resized(to: (coarse, coarse)).resized(to: (side, side))
      return try picture + (less - picture) * isCoarse
    }
    (photo, target, own) = (try degraded(photo), try degraded(target), try degraded(own).clamp(min: 0, max: 1))
    (before, guide) = (try before.clamp(min: 0, max: 1), try guide.clamp(min: 0, max: 1))

    var parts = [photo, hole, own, seen, before, guide, valid, genuine, target]
    if chance.next() & 1 == 1 { parts = try parts.map { try $0.flip([3]) } }
    let input = PainterNetwork.Input(
      photo: parts[0], hole: parts[1], own: parts[2], seen: parts[3], before: parts[4], guide: parts[5])
    return Batch(input: input, photo: parts[8], valid: parts[6], genuine: parts[7])
  }

  // MARK: Somebody else's pixels

  private static let withMouth: Set<PaintedRegion?> = [.mouth, .lowerFace, .face]

  private func foreign(in kind: PaintedRegion, _ chance: inout SplitMix64) -> Foreign {
    var result = Foreign()
    let draw = Double.random(in: 0..<1, using: &chance)
    if Self.withMouth.contains(kind) {
      result.insideMouth = draw < training.insideMouth
      result.sparesLips = result.insideMouth
    }
    // Half of those with another mouth have the skin around it from there, too.
    if result.insideMouth ? draw < training.insideMouth / 2 : Double.random(in: 0..<1, using: &chance) < training.foreign {
      result.region = Bool.random(using: &chance) ? kind : training.regions.randomElement(using: &chance)!
    }
    return result
  }

  /// Between the lips, and the line between them where they are shut, in half of the crop's pixels.
  private static func insideMouth(of face: [Point]) -> RegionMask {
    var mask = RegionMask((CropSet.labelSize, CropSet.labelSize))
    mask.fill((60...67).map { index in
      face[index] + Point(x: 0, y: (61...63).contains(index) ? -1.5 : (65...67).contains(index) ? 1.5 : 0)
    })
    return mask
  }

  /// The outline of the lips, somewhat larger.
  private static func lips(of face: [Point]) -> [Point] {
    let middle = face[48...59].mean
    return (48...59).map { middle + 1.12 * (face[$0] - middle) }
  }

  // MARK: Holes

  /// A region somewhat larger or smaller, in some examples only spots of it, in half of the crop's pixels.
  private func region(_ kind: PaintedRegion, _ face: [Point], _ chance: inout SplitMix64) -> RegionMask {
    func draw(_ range: ClosedRange<Double>) -> Double { .random(in: range, using: &chance) }
    let size = (height: CropSet.labelSize, width: CropSet.labelSize)
    let jitter = Point(x: draw(-2...2), y: draw(-2...2))
    let contour = draw(0.88...1)
    var mask = kind.mask(face.map { $0 + jitter }, size: size, contour: contour, growth: draw(0.85...1.2))
    if draw(0...1) < 0.25 {
      var spots = RegionMask(size)
      for _ in 0..<Int(draw(2...6)) {
        let place = face[Int(draw(0...67.99))]
        spots.fill(ellipse: (place + Point(x: draw(-8...8), y: draw(-8...8)), draw(5...22), draw(5...22)), 1)
      }
      mask.cut(to: spots)
    }
    return mask
  }

  /// Where the window lies in the crop, its hole near its middle.
  private func origin(of mask: [Float], _ chance: inout SplitMix64) -> (x: Double, y: Double) {
    let half = CropSet.labelSize
    var (sum, x, y) = (0.0, 0.0, 0.0)
    for (i, value) in mask.enumerated() where value > 0 {
      sum += 1
      x += Double(i % half)
      y += Double(i / half)
    }
    func place(_ total: Double) -> Double {
      let middle = sum > 0 ? 2 * total / sum : Double(CropSet.size) / 2
      let start = middle - Double(training.window) / 2 + .random(in: -12...12, using: &chance)
      return min(Double(CropSet.size - training.window), max(0, start)).rounded()
    }
    return (place(x), place(y))
  }

  /// Patches of the photo's own pixels that are not seen: 0 there, 1 elsewhere.
  private func erasures(_ count: Int, _ side: Int, _ chance: inout SplitMix64) -> [Float] {
    var values = [Float](repeating: 1, count: count * side * side)
    for index in 0..<count {
      let start = index * side * side
      if Double.random(in: 0..<1, using: &chance) < training.blind {
        for i in start..<start + side * side { values[i] = 0 }
        continue
      }
      for _ in 0..<chance.next(below: 3) {
        let (x, y) = (chance.next(below: side - 12), chance.next(below: side - 12))
        let (width, height) = (10 + chance.next(below: 50), 10 + chance.next(below: 50))
        for line in y..<min(side, y + height) {
          for column in x..<min(side, x + width) { values[start + line * side + column] = 0 }
        }
      }
    }
    return values
  }

  // MARK: Glasses

  private struct DrawnGlasses {
    /// The hole of each example of glasses, in half of the crop's pixels; `nil` for other examples.
    let masks: [[Float]?]
    /// Where glasses are seen, N × 1 × H/2 × W/2 in [0, 1].
    let seen: Tensor
    /// As of ``CropSet``.
    let worn, bare: Tensor
  }

  /// The glasses of those examples that are of glasses; `nil` where none is.
  private func glasses(on rows: [Int], _ generator: Generator, _ chance: inout SplitMix64) throws -> DrawnGlasses? {
    guard training.glasses > 0, crops.hasGlasses else { return nil }
    let asked = rows.map { _ in Double.random(in: 0..<1, using: &chance) < training.glasses }
    let half = CropSet.labelSize
    let seen = try crops.glasses(rows).to(.float32).reshape([rows.count, 1, half, half]) / 255
    // Removal looks some pixels beyond what the parser sees.
    let grown = try seen.blurred(sigma: .random(in: 2...6, using: &chance)).smoothStep(from: 0.06, to: 0.2)
    let masks = try rows.indices.map { index -> [Float]? in
      guard asked[index] else { return nil }
      let mask = try grown.narrow(0, index..<index + 1).array(Float.self)
      guard mask.contains(where: { $0 > 0.5 }) else { return nil }
      if Bool.random(using: &chance) { return mask }
      let landmarks = crops.faces[rows[index]].points.map { Point(x: $0.x / 2, y: $0.y / 2) }
      return zip(mask, RegionMask.temples(landmarks, size: (half, half)).values).map(max)
    }
    if masks.allSatisfy({ $0 == nil }) { return nil }
    return DrawnGlasses(masks: masks, seen: seen, worn: try crops.worn(rows), bare: try crops.bare(rows))
  }

  /// Reflections on glass in some examples, N × 1 × H × W in [0, 1].
  private func glare(_ count: Int, _ side: Int, _ generator: Generator) throws -> Tensor {
    let shapes = try Tensor.randn([count, 1, side / 10, side / 10], generator: generator, device: device)
      .upsampleBilinear2d(scale: 10).smoothStep(from: 0.5, to: 0.9)
    func chance() throws -> Tensor { try Tensor.rand([count, 1, 1, 1], generator: generator, device: device) }
    return try shapes * chance() * (chance() < 0.4).to(.float32)
  }

  // MARK: Warps

  /// Of some faces drawn at random and turned alike the one whose mouth is the most different: as an edit's is.
  private func partner(of face: [Point], _ chance: inout SplitMix64) -> Int {
    let candidates = (0..<16).map { _ in chance.next(below: crops.count) }
      .map { (index: $0, points: crops.faces[$0].points) }
    func distance(_ points: [Point], _ group: Range<Int>, from middle: (Point, Point)) -> Double {
      group.reduce(0) { sum, i in
        let d = (points[i] - middle.1) - (face[i] - middle.0)
        return sum + d.x * d.x + d.y * d.y
      }
    }
    let origin = Point(x: 0, y: 0)
    let alike = candidates.map { ($0, distance($0.points, 0..<48, from: (origin, origin))) }
      .filter { $0.1 > 1 }.sorted { $0.1 < $1.1 }.prefix(4).map(\.0)
    let mouth = 48..<68
    return alike.max { a, b in
      func difference(_ points: [Point]) -> Double { distance(points, mouth, from: (face[mouth].mean, points[mouth].mean)) }
      return difference(a.points) < difference(b.points)
    }?.index ?? candidates[0].index
  }

  /// How each landmark is moved: features are brought a part of the way to where another face has them, the mouth mostly.
  private func shift(
    _ face: [Point], towards other: [Point], isMouthOther: Bool, _ chance: inout SplitMix64
  ) -> [Point] {
    var result = [Point](repeating: Point(x: 0, y: 0), count: 68)
    for (index, group) in Self.groups.enumerated() {
      let isMouth = index == Self.groups.count - 1
      guard Double.random(in: 0..<1, using: &chance) < (isMouth ? isMouthOther ? 1 : 0.9 : 0.4) else { continue }
      let part = Double.random(in: (isMouth && isMouthOther ? 0.6 : 0)...(isMouth ? 1.2 : 0.8), using: &chance)
      for i in group {
        let d = part * (other[i] - face[i])
        result[i] = Point(x: min(20, max(-20, d.x)), y: min(20, max(-20, d.y)))
      }
    }
    return result
  }

  /// Coordinates of the windows' pixels in the crops, N × H × W × 2 as of ``Tensor/sampled(at:by:beyond:)``.
  private func windows(at origins: [(x: Double, y: Double)], _ side: Int) throws -> Tensor {
    let size = Double(CropSet.size)
    let places = try PainterNetwork.Aligner.grid(side, side) * (Double(side) / size)
    let offsets = origins.flatMap { origin in
      [origin.x, origin.y].map { Float((2 * $0 + Double(side)) / size - 1) }
    }
    return try (places + Tensor(offsets, shape: [origins.count, 1, 1, 2])).to(device)
  }

  /// Displacements of the windows' pixels between landmarks, N × H × W × 2 in halves of the crop's side: the mean of the
  /// landmarks' own, weighted by Gaussians around them, narrow ones, so that lips part, and faint wide ones.
  private func field(
    at origins: [(x: Double, y: Double)], around landmarks: [[Point]], displacements: [[Point]], weights: [[Float]]?
  ) throws -> Tensor {
    let (count, side) = (origins.count, training.window)
    let cells = side / Self.cell
    let places = origins.flatMap { origin in
      (0..<cells * cells).flatMap { index -> [Float] in
        [
          Float(origin.x + (Double(index % cells) + 0.5) * Double(Self.cell)),
          Float(origin.y + (Double(index / cells) + 0.5) * Double(Self.cell)),
        ]
      }
    }
    func numbers(_ points: [[Point]]) throws -> Tensor {
      try Tensor(points.joined().flatMap { [Float($0.x), Float($0.y)] }, shape: [count, 68, 2])
    }
    let from = try Tensor(places, shape: [count, cells * cells, 1, 2])
    let squares = try (from - numbers(landmarks).unsqueeze(1)).square().sum(dims: [3])
    func gaussians(_ sigma: Double) throws -> Tensor { try (squares / (-2 * sigma * sigma)).exp() }
    var near = try gaussians(Self.reach.near) + gaussians(Self.reach.far) * Self.faint
    if let weights { near = try near * Tensor(Array(weights.joined()), shape: [count, 1, 68]) }
    let sums = try near.sum(dims: [2], keepDim: true) + 0.2 * Self.faint
    let mean = try near.matmul(numbers(displacements)) / sums * (2 / Double(CropSet.size))
    return try mean.reshape([count, cells, cells, 2]).permute([0, 3, 1, 2]).contiguous()
      .upsampleBilinear2d(scale: Self.cell).permute([0, 2, 3, 1]).to(device)
  }

  private static let (cell, reach, faint) = (4, (near: 5.0, far: 13.0), 0.1)

  /// Slow random displacements of up to some pixels, N × H × W × 2 in halves of the crop's side.
  private func ripples(_ count: Int, _ side: Int, _ pixels: Double, _ generator: Generator) throws -> Tensor {
    let strength = try Tensor.rand([count, 1, 1, 1], generator: generator, device: device) * (pixels * 2 / Double(CropSet.size))
    let waves = try Tensor.randn([count, 2, 5, 5], generator: generator, device: device) * strength
    return try waves.upsampleBilinear2d(scale: side / 5).permute([0, 2, 3, 1])
  }

  /// A picture with the mean and the spread of another one's colours within a mask.
  private func toned(_ picture: Tensor, as other: Tensor, within mask: Tensor) throws -> Tensor {
    let area = try mask.sum(dims: [2, 3], keepDim: true) + 1
    func statistics(_ x: Tensor) throws -> (mean: Tensor, deviation: Tensor) {
      let mean = try (x * mask).sum(dims: [2, 3], keepDim: true) / area
      return (mean, try (((x - mean).square() * mask).sum(dims: [2, 3], keepDim: true) / area + 1e-4).sqrt())
    }
    let (from, to) = (try statistics(picture), try statistics(other))
    return try ((picture - from.mean) * (to.deviation / from.deviation).clamp(min: 0.6, max: 1.6) + to.mean).clamp(min: 0, max: 1)
  }
}

extension CropSet.Face {
  var points: [Point] {
    stride(from: 0, to: 136, by: 2).map { Point(x: Double(landmarks[$0]), y: Double(landmarks[$0 + 1])) }
  }
}

private func + (a: Point, b: Point) -> Point { Point(x: a.x + b.x, y: a.y + b.y) }
private func - (a: Point, b: Point) -> Point { Point(x: a.x - b.x, y: a.y - b.y) }
private func * (factor: Double, point: Point) -> Point { Point(x: factor * point.x, y: factor * point.y) }

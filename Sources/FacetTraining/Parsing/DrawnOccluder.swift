import Facet
import Foundation
import Torch

/// A thing drawn in front of a face whose classes are known: a hand, a microphone, a mask, a scarf, or any object with the
/// pixels of another photo. Its pixels are background. After RandOcc and NatOcc (Voo et al. 2022), drawn in place of cut out.
struct DrawnOccluder {
  /// What is drawn, with how often.
  private enum Kind {
    case hand, microphone, object, mask, scarf

    static func random(_ chance: inout SplitMix64) -> Kind {
      switch Double.random(in: 0..<1, using: &chance) {
      case ..<0.34: .hand
      case ..<0.5: .microphone
      case ..<0.74: .object
      case ..<0.89: .mask
      default: .scarf
      }
    }
  }

  /// Draws a thing in front of the face of a record, in place.
  /// - Parameters:
  ///   - record: red, green and blue, side × side × 3, then the classes of ``FaceClass``, side × side.
  ///   - other: another record, whose pixels things are made of.
  ///   - seed: decides all chance.
  static func draw(on record: inout [UInt8], from other: [UInt8], side: Int, seed: UInt64) {
    guard let face = Face(record, side: side) else { return }
    var chance = SplitMix64(seed: seed)
    let shape: Shape
    var paint: Paint
    switch Kind.random(&chance) {
    case .hand:
      shape = .hand(at: face, &chance)
      // One's own hand mostly, which is as light as the face.
      let owner = Double.random(in: 0..<1, using: &chance) < 0.7 ? face : Face(other, side: side) ?? face
      paint = Paint(colour: owner.skin * Double.random(in: 0.7...1.15, using: &chance), roughness: 0.03)
    case .microphone:
      shape = .microphone(at: face, &chance)
      paint = Paint(colour: .random(dark: 0.8, &chance), roughness: 0.12)
    case .object:
      shape = .object(at: face, &chance)
      paint = Paint(colour: .random(dark: 0.3, &chance), roughness: 0.05)
      paint.texture = Double.random(in: 0..<1, using: &chance) < 0.7 ? Texture(of: other, side: side, &chance) : nil
    case .mask:
      shape = .mask(at: face, &chance)
      paint = Paint(colour: .mask(&chance), roughness: 0.03)
      if Double.random(in: 0..<1, using: &chance) < 0.25 { paint.texture = Texture(of: other, side: side, &chance) }
      paint.folds = Double.random(in: 0...0.15, using: &chance)
    case .scarf:
      shape = .scarf(at: face, &chance)
      paint = Paint(colour: .random(dark: 0.4, &chance), roughness: 0.06)
      if Double.random(in: 0..<1, using: &chance) < 0.6 { paint.texture = Texture(of: other, side: side, &chance) }
      paint.folds = Double.random(in: 0.05...0.25, using: &chance)
    }
    lay(shape, paint, on: &record, side: side, width: face.width, &chance)
  }

  private static func lay(
    _ shape: Shape, _ paint: Paint, on record: inout [UInt8], side: Int, width: Double, _ chance: inout SplitMix64
  ) {
    let light = (angle: Double.random(in: 0..<2 * .pi, using: &chance), strength: Double.random(in: 0.1...0.45, using: &chance))
    let shadow = (
      reach: width * Double.random(in: 0.02...0.1, using: &chance), depth: Double.random(in: 0...0.5, using: &chance)
    )
    let waves = (0..<4).map { _ in
      (
        Double.random(in: 2...14, using: &chance) / Double(side), Double.random(in: 2...14, using: &chance) / Double(side),
        Double.random(in: 0..<2 * .pi, using: &chance)
      )
    }
    let classes = 3 * side * side
    for y in 0..<side {
      for x in 0..<side {
        let point = Spot(Double(x) + 0.5, Double(y) + 0.5)
        let (distance, slope) = shape.distance(point)
        guard distance < shadow.reach else { continue }
        let pixel = y * side + x
        let cover = min(1, max(0, 0.5 - distance))
        let shade = distance > 0 ? 1 - shadow.depth * pow(1 - distance / shadow.reach, 2) : 1 - shadow.depth
        let facing = cos(light.angle) * slope.x + sin(light.angle) * slope.y
        let wave = waves.reduce(0) { $0 + sin(2 * .pi * (point.x * $1.0 + point.y * $1.1) + $1.2) } / 4
        let grain = Double.random(in: -1...1, using: &chance) * paint.roughness
        let brightness = max(0, 1 + light.strength * facing + paint.folds * wave + grain)
        let colour = (paint.texture?.colour(at: point) ?? paint.colour) * brightness
        for channel in 0..<3 {
          let below = Double(record[3 * pixel + channel]) * (cover < 1 ? shade : 1)
          let value = below + cover * (min(255, max(0, colour[channel])) - below)
          record[3 * pixel + channel] = UInt8(min(255, max(0, value.rounded())))
        }
        if cover >= 0.5 { record[classes + pixel] = FaceClass.background.rawValue }
      }
    }
  }
}

private typealias Spot = SIMD2<Double>
private typealias Colour = SIMD3<Double>

private struct Paint {
  /// 0…255.
  var colour: Colour
  /// The part by which single pixels differ.
  var roughness: Double
  /// The part by which folds differ.
  var folds = 0.08
  var texture: Texture?
}

extension SIMD3<Double> {
  /// Any colour; `dark` is the share of dull, dark ones.
  fileprivate static func random(dark: Double, _ chance: inout SplitMix64) -> Self {
    let isDark = Double.random(in: 0..<1, using: &chance) < dark
    let light = Double.random(in: isDark ? 10...90 : 60...250, using: &chance)
    let spread = isDark ? 0.15 : 0.5
    return Self(
      light * Double.random(in: 1 - spread...1 + spread, using: &chance),
      light * Double.random(in: 1 - spread...1 + spread, using: &chance),
      light * Double.random(in: 1 - spread...1 + spread, using: &chance))
  }

  /// Mostly white, light blue or black.
  fileprivate static func mask(_ chance: inout SplitMix64) -> Self {
    switch Double.random(in: 0..<1, using: &chance) {
    case ..<0.3: Self(repeating: Double.random(in: 190...245, using: &chance))
    case ..<0.6: Self(140, 185, 215) * Double.random(in: 0.7...1.1, using: &chance)
    case ..<0.8: Self(repeating: Double.random(in: 15...60, using: &chance))
    default: .random(dark: 0.2, &chance)
    }
  }
}

/// Pixels of another photo, turned and scaled.
private struct Texture {
  private let record: [UInt8]
  private let side: Int
  private let (middle, x, y): (Spot, Spot, Spot)

  init(of record: [UInt8], side: Int, _ chance: inout SplitMix64) {
    (self.record, self.side) = (record, side)
    let angle = Double.random(in: 0..<2 * .pi, using: &chance)
    let scale = Double.random(in: 0.4...1.5, using: &chance)
    middle = Spot(
      Double.random(in: 0..<Double(side), using: &chance), Double.random(in: 0..<Double(side), using: &chance))
    (x, y) = (Spot(cos(angle), sin(angle)) * scale, Spot(-sin(angle), cos(angle)) * scale)
  }

  func colour(at point: Spot) -> Colour {
    let source = middle + x * point.x + y * point.y
    /// Mirrored again and again beyond the picture.
    func index(_ value: Double) -> Int {
      let place = Int(value.rounded(.down)) % (2 * side)
      let positive = place < 0 ? place + 2 * side : place
      return positive < side ? positive : 2 * side - 1 - positive
    }
    let pixel = index(source.y) * side + index(source.x)
    return Colour(Double(record[3 * pixel]), Double(record[3 * pixel + 1]), Double(record[3 * pixel + 2]))
  }
}

/// Where a face is, by its classes.
private struct Face {
  /// The box of skin and features, the middle of the nose, and the skin's colour.
  let left, right, top, bottom: Double
  let nose: Spot
  let skin: Colour
  var width: Double { right - left }
  var height: Double { bottom - top }

  init?(_ record: [UInt8], side: Int) {
    let features = Set([FaceClass.skin, .nose, .mouth, .upperLip, .lowerLip, .leftEye, .rightEye].map(\.rawValue))
    var (left, right, top, bottom) = (side, 0, side, 0)
    var (nose, skin) = (SIMD3<Double>.zero, SIMD4<Double>.zero)
    for y in 0..<side {
      for x in 0..<side {
        let pixel = y * side + x
        let value = record[3 * side * side + pixel]
        guard features.contains(value) else { continue }
        (left, right, top, bottom) = (min(left, x), max(right, x), min(top, y), max(bottom, y))
        if value == FaceClass.nose.rawValue { nose += SIMD3(Double(x), Double(y), 1) }
        if value == FaceClass.skin.rawValue {
          skin += SIMD4(Double(record[3 * pixel]), Double(record[3 * pixel + 1]), Double(record[3 * pixel + 2]), 1)
        }
      }
    }
    guard nose.z > 0, skin.w > 0, right - left > side / 10, bottom - top > side / 10 else { return nil }
    (self.left, self.right, self.top, self.bottom) = (Double(left), Double(right), Double(top), Double(bottom))
    self.nose = Spot(nose.x, nose.y) / nose.z
    self.skin = Colour(skin.x, skin.y, skin.z) / skin.w
  }
}

/// The outline of a thing as a signed distance in pixels, negative inside, and the way its surface leans, 1 at its rim.
private struct Shape {
  var distance: (Spot) -> (distance: Double, slope: Spot)

  /// A tapered rod with round ends.
  private struct Rod {
    var from, to: Spot
    var radii: (Double, Double)

    func distance(_ point: Spot) -> (distance: Double, slope: Spot) {
      let way = to - from
      let length = (way * way).sum()
      let along = length > 0 ? min(1, max(0, ((point - from) * way).sum() / length)) : 0
      let radius = radii.0 + along * (radii.1 - radii.0)
      let off = point - (from + way * along)
      let norm = (off * off).sum().squareRoot()
      return (norm - radius, off / max(norm, radius, 1e-6))
    }
  }

  /// The nearest of some rods, an earlier one before a later one where both cover.
  private static func union(_ rods: [Rod]) -> Shape {
    Shape { point in
      var best = (distance: Double.infinity, slope: Spot.zero)
      for rod in rods {
        let found = rod.distance(point)
        if found.distance < 0 { return found }
        if found.distance < best.distance { best = found }
      }
      return best
    }
  }

  private static func unit(_ angle: Double) -> Spot { Spot(cos(angle), sin(angle)) }

  /// Fingers, the back of the hand and the arm, from beside or under the face.
  static func hand(at face: Face, _ chance: inout SplitMix64) -> Shape {
    let w = face.width
    // Where the finger tips are, and the way from there to the arm: mostly downwards.
    let tip = Spot(
      Double.random(in: face.left...face.right, using: &chance),
      Double.random(in: face.top + 0.2 * face.height...face.bottom + 0.05 * face.height, using: &chance))
    let angle = Double.random(in: 0..<1, using: &chance) < 0.75
      ? Double.random(in: 0.1 * .pi...0.9 * .pi, using: &chance) : Double.random(in: 0..<2 * .pi, using: &chance)
    let (way, across) = (unit(angle), unit(angle + .pi / 2))
    let radius = w * Double.random(in: 0.05...0.085, using: &chance)
    let length = w * Double.random(in: 0.3...0.55, using: &chance)
    let spread = Double.random(in: -0.05...0.25, using: &chance)
    let count = Int.random(in: 1...4, using: &chance)
    var rods: [Rod] = []
    for finger in 0..<count {
      let place = Double(finger) - Double(count - 1) / 2
      let root = tip + way * length + across * place * radius * 2.05
      let reach = length * Double.random(in: 0.8...1.05, using: &chance)
      let bend = Double.random(in: -0.25...0.25, using: &chance)
      let (first, second) = (unit(angle + .pi + place * spread), unit(angle + .pi + place * spread + bend))
      let joint = root + first * reach * 0.5
      rods.append(Rod(from: joint, to: joint + second * reach * 0.5, radii: (radius * 0.95, radius * 0.75)))
      rods.append(Rod(from: root, to: joint, radii: (radius * 1.05, radius * 0.95)))
    }
    if Double.random(in: 0..<1, using: &chance) < 0.6 {
      let side = Bool.random(using: &chance) ? 1.0 : -1.0
      let root = tip + way * (length * 1.5) + across * side * radius * 3
      rods.append(
        Rod(from: root, to: root + unit(angle + .pi - side * 0.7) * length * 0.8, radii: (radius * 1.2, radius * 0.85)))
    }
    let palm = tip + way * (length + radius * 3.2)
    rods.append(
      Rod(from: palm - across * radius * 1.6, to: palm + across * radius * 1.6, radii: (radius * 3, radius * 3)))
    rods.append(Rod(from: palm, to: palm + way * w * 2, radii: (radius * 2.8, radius * 3.6)))
    return union(rods)
  }

  /// A ball or a thick end on a stick, from under the face or beside it.
  static func microphone(at face: Face, _ chance: inout SplitMix64) -> Shape {
    let w = face.width
    let head = Spot(
      Double.random(in: face.left...face.right, using: &chance),
      Double.random(in: face.nose.y...face.bottom + 0.1 * face.height, using: &chance))
    let way = unit(Double.random(in: 0.05 * .pi...0.95 * .pi, using: &chance))
    let radius = w * Double.random(in: 0.08...0.2, using: &chance)
    let thick = radius * Double.random(in: 0.25...0.8, using: &chance)
    return union([
      Rod(from: head, to: head + way * radius * Double.random(in: 0...1, using: &chance), radii: (radius, radius * 0.9)),
      Rod(from: head, to: head + way * w * 2, radii: (thick, thick * 1.1)),
    ])
  }

  /// An ellipse, a box or something between them.
  static func object(at face: Face, _ chance: inout SplitMix64) -> Shape {
    let (w, h) = (face.width, face.height)
    let middle = Spot(
      Double.random(in: face.left - 0.15 * w...face.right + 0.15 * w, using: &chance),
      Double.random(in: face.top...face.bottom + 0.15 * h, using: &chance))
    let angle = Double.random(in: 0..<2 * .pi, using: &chance)
    let half = Spot(
      w * Double.random(in: 0.08...0.35, using: &chance), w * Double.random(in: 0.08...0.45, using: &chance))
    let power = Double.random(in: 2...8, using: &chance)
    let (x, y) = (unit(angle), unit(angle + .pi / 2))
    return Shape { point in
      let off = point - middle
      let place = Spot((off * x).sum(), (off * y).sum()) / half
      let norm = pow(pow(abs(place.x), power) + pow(abs(place.y), power), 1 / power)
      // Right along the axes, about so elsewhere.
      return ((norm - 1) * min(half.x, half.y), x * place.x * 0.7 + y * place.y * 0.7)
    }
  }

  /// From the nose to the chin and from cheek to cheek.
  static func mask(at face: Face, _ chance: inout SplitMix64) -> Shape {
    let (w, h) = (face.width, face.height)
    let top = face.nose.y + h * Double.random(in: -0.16...0.06, using: &chance)
    let sag = h * Double.random(in: 0.02...0.14, using: &chance)
    let bottom = face.bottom + h * Double.random(in: -0.03...0.08, using: &chance)
    let lean = Double.random(in: -0.1...0.1, using: &chance)
    let (left, right) = (
      face.left + w * Double.random(in: -0.02...0.1, using: &chance),
      face.right - w * Double.random(in: -0.02...0.1, using: &chance)
    )
    let taper = Double.random(in: 0.1...0.32, using: &chance) * w
    return Shape { point in
      let off = (point.x - face.nose.x) / (0.5 * w)
      let upper = top + lean * (point.x - face.nose.x) + sag * off * off
      let down = min(1, max(0, (point.y - top) / max(1, bottom - top)))
      let inward = taper * down * down
      let distance = max(upper - point.y, point.y - bottom + 0.5 * h * 0.2 * off * off, left + inward - point.x, point.x - right + inward)
      return (distance, Spot(off * 0.8, down - 0.4))
    }
  }

  /// Cloth from the lower face down, with an uneven edge.
  static func scarf(at face: Face, _ chance: inout SplitMix64) -> Shape {
    let (w, h) = (face.width, face.height)
    let edge = Double.random(in: face.nose.y - 0.05 * h...face.bottom, using: &chance)
    let lean = Double.random(in: -0.35...0.35, using: &chance)
    let waves = (0..<3).map { _ in
      (
        Double.random(in: 1...5, using: &chance) / w, Double.random(in: 0..<2 * .pi, using: &chance),
        h * Double.random(in: 0...0.05, using: &chance)
      )
    }
    return Shape { point in
      let across = point.x - face.nose.x
      let line = edge + lean * across + waves.reduce(0) { $0 + $1.2 * sin(2 * .pi * across * $1.0 + $1.1) }
      return (line - point.y, Spot(0, -0.5))
    }
  }
}

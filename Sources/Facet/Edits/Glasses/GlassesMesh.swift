import Foundation

/// A pair of glasses as triangles, in millimetres. Their origin is between the lenses; x goes to the viewer's right, y down and z to the
/// back of the head.
struct GlassesMesh: Sendable {
  enum Part: Sendable { case upper, lower, temple, pad, rivet, glass }

  struct Vertex: Sendable {
    var position, normal: SIMD3<Double>
    /// How much of it shows, 0…1.
    var opacity = 1.0
  }

  struct Triangle: Sendable {
    var corners: (Int, Int, Int)
    var part: Part
  }

  private(set) var vertices: [Vertex] = []
  private(set) var triangles: [Triangle] = []

  /// - Parameters:
  ///   - style: what they look like.
  ///   - ears: where the temples end on the viewer's left and right, as offsets outwards from where they begin; `nil` for a temple
  ///     that the head hides.
  init(_ style: GlassesStyle, ears: [SIMD3<Double>?]) {
    for side in [-1.0, 1.0] {
      let lens = LensCurve(style, side: side)
      addRim(style, lens)
      addGlass(lens)
      addTemple(style, side, lens, to: ears[side < 0 ? 0 : 1])
      if style.bridge.hasPads { addPad(style, side, lens) }
      if style.material.kind == .acetate { addRivet(style, side, lens) }
    }
    for bar in style.bridge.bars { addBar(bar, style) }
  }

  // MARK: Parts

  private mutating func addRim(_ style: GlassesStyle, _ lens: LensCurve) {
    let rim = style.rim
    // A lens without a rim has an edge of its own.
    let isBare = rim.above == 0 && rim.below == 0
    let rings = lens.points.indices.map { index -> Ring in
      let (point, out) = (lens.points[index], lens.normals[index])
      let part = -out.y
      let share = 0.5 + 0.5 * min(1, max(-1, part / 0.35))
      let width = isBare ? 0.8 : max(0.4, rim.below + (rim.above - rim.below) * share)
      let middle = point + out * (width / 2 - (isBare ? width : 0.3))
      return Ring(
        middle: Self.bent(SIMD3(middle.x, middle.y, 0)), across: SIMD3(out.x, out.y, 0) * (width / 2),
        along: SIMD3(0, 0, rim.depth / 2), part: isBare ? .pad : part > -0.1 ? .upper : .lower)
    }
    addTube(rings, exponent: rim.bevel, isClosed: true)
  }

  private mutating func addBar(_ bar: GlassesStyle.Bridge.Bar, _ style: GlassesStyle) {
    let half = style.bridge.gap / 2 + 0.3
    // It ends in the rims, wherever these are at its height.
    let lens = LensCurve(style, side: 1)
    let end = max(half, lens.innermost(at: bar.y) ?? half)
    let count = 16
    let rings = (0...count).map { step -> Ring in
      let t = 2 * Double(step) / Double(count) - 1
      let x = t * end
      let y = bar.y - bar.rise * (1 - t * t)
      let slope = 2 * bar.rise * t / end
      // Thicker where it goes over into the rims.
      let thickness = bar.thickness * (1 + 0.35 * t * t * t * t)
      let across = SIMD3(-slope, 1, 0).normalized * (thickness / 2)
      let depth = min(style.rim.depth, max(1.2, bar.thickness)) / 2
      return Ring(
        middle: Self.bent(SIMD3(x, y, -1.2 * (1 - t * t))), across: across, along: SIMD3(0, 0, depth),
        part: style.lower == nil ? .upper : .lower)
    }
    addTube(rings, exponent: style.rim.bevel, isClosed: false)
  }

  private mutating func addTemple(_ style: GlassesStyle, _ side: Double, _ lens: LensCurve, to ear: SIMD3<Double>?) {
    let temple = style.temple
    let rim = max(0.6, style.rim.above)
    let outer = lens.outermost(at: temple.y)
    let start = Self.bent(SIMD3(side * (outer + 0.4 * rim), temple.y, 0))
    let hinge = SIMD3(side * (outer + rim + 1.6), temple.y - 0.3, start.z + 1.6)
    let end = ear.map { SIMD3(hinge.x + $0.x, hinge.y + $0.y, hinge.z + $0.z) } ?? hinge + SIMD3(0, 0, 6)
    var path = [start, start + (hinge - start) * 0.55 - SIMD3(0, 0, 0.5), hinge]
    let steps = 14
    for step in 1...steps {
      // It ends within a short piece.
      let t = step == steps ? 1 : 0.97 * Double(step) / Double(steps - 1)
      path.append(SIMD3(hinge.x + (end.x - hinge.x) * t, hinge.y + (end.y - hinge.y) * t, hinge.z + (end.z - hinge.z) * t))
    }
    let length = (end - hinge).length
    let rings = path.indices.map { index -> Ring in
      let t = Double(max(0, index - 2)) / Double(steps)
      let tangent = (path[min(index + 1, path.count - 1)] - path[max(index - 1, 0)]).normalized
      let across = (SIMD3(0, 1, 0) - tangent * tangent.y).normalized
      let along = tangent.cross(across)
      let height = temple.height * (index == 0 ? 0.9 : 1 - 0.35 * t)
      // The joint of the hinge is a little narrower.
      let waist = index == 3 && length > 20 ? 0.93 : 1
      return Ring(
        middle: path[index], across: across * (height / 2 * waist), along: along * (temple.thickness / 2), part: .temple,
        opacity: index == path.count - 1 ? 0 : 1)
    }
    addTube(rings, exponent: style.rim.bevel, isClosed: false)
  }

  /// The head of the pin that holds a hinge, on the front beside a lens.
  private mutating func addRivet(_ style: GlassesStyle, _ side: Double, _ lens: LensCurve) {
    let outer = lens.outermost(at: style.temple.y)
    let middle = Self.bent(SIMD3(side * (outer + 0.5 * style.rim.above), style.temple.y - 0.3, -style.rim.depth / 2))
    let rings = (0...4).map { step -> Ring in
      let t = Double(step) / 4 - 1
      let radius = max(0.05, (1 - t * t).squareRoot())
      return Ring(
        middle: middle + SIMD3(0, 0, 0.5 * t), across: SIMD3(0.55, 0, 0) * radius, along: SIMD3(0, 1.2, 0) * radius, part: .rivet)
    }
    addTube(rings, exponent: 2, isClosed: false)
  }

  private mutating func addPad(_ style: GlassesStyle, _ side: Double, _ lens: LensCurve) {
    let y = 3.0
    let inner = lens.innermost(at: y) ?? style.bridge.gap / 2
    let pad = Self.bent(SIMD3(side * (inner - 2.4), y + 2, 3.2))
    let start = Self.bent(SIMD3(side * (inner - 0.2), y - 3, 1))
    let wire = [start, start + SIMD3(-side * 1.0, -0.8, 2.2), pad].map {
      Ring(middle: $0, across: SIMD3(0, 0.4, 0), along: SIMD3(0.4, 0, 0), part: .upper)
    }
    addTube(wire, exponent: 2, isClosed: false)
    // A drop that leans on the nose.
    let down = SIMD3(side * 0.25, 1, 0.1).normalized
    let rings = (0...6).map { step -> Ring in
      let t = 2 * Double(step) / 6 - 1
      let radius = (1 - t * t * 0.98).squareRoot()
      return Ring(
        middle: pad + down * (4.5 * t), across: SIMD3(side * 1.5, -0.3, 0.5) * radius, along: SIMD3(0, 0, 2.2) * radius, part: .pad)
    }
    addTube(rings, exponent: 2, isClosed: false)
  }

  private mutating func addGlass(_ lens: LensCurve) {
    let first = vertices.count
    let rings = 5
    func add(_ x: Double, _ y: Double) {
      // Glass bulges to the front.
      let (dx, dy) = (x - lens.middle, y)
      let bulge = 1 / 110.0
      let place = Self.bent(SIMD3(x, y, (dx * dx + dy * dy) * bulge / 2 - 0.6))
      vertices.append(Vertex(position: place, normal: SIMD3(dx * bulge + x * Self.wrap, dy * bulge - Self.tilt, -1).normalized))
    }
    add(lens.middle, 0)
    for ring in 1...rings {
      let part = Double(ring) / Double(rings)
      for point in lens.points { add(lens.middle + (point.x - lens.middle) * part, point.y * part) }
    }
    let count = lens.points.count
    for ring in 0..<rings {
      for index in 0..<count {
        let (here, next) = (index, (index + 1) % count)
        let outer = first + 1 + ring * count
        if ring == 0 {
          triangles.append(Triangle(corners: (first, outer + here, outer + next), part: .glass))
        } else {
          let inner = outer - count
          triangles.append(Triangle(corners: (inner + here, outer + here, outer + next), part: .glass))
          triangles.append(Triangle(corners: (inner + here, outer + next, inner + next), part: .glass))
        }
      }
    }
  }

  // MARK: Tubes

  /// A tube's cut: a superellipse around a middle.
  private struct Ring {
    var middle, across, along: SIMD3<Double>
    var part: Part
    var opacity = 1.0
  }

  private mutating func addTube(_ rings: [Ring], exponent: Double, isClosed: Bool) {
    let (first, count) = (vertices.count, 16)
    for ring in rings {
      let (wide, deep) = (ring.across.length, ring.along.length)
      let (a, b) = (ring.across / max(wide, 1e-9), ring.along / max(deep, 1e-9))
      for step in 0..<count {
        let angle = 2 * Double.pi * (Double(step) + 0.5) / Double(count)
        let (x, y) = (cos(angle), sin(angle))
        func power(_ value: Double, _ exponent: Double) -> Double { (value < 0 ? -1 : 1) * pow(abs(value), exponent) }
        let (u, v) = (power(x, 2 / exponent), power(y, 2 / exponent))
        let normal = a * (power(u, exponent - 1) / wide) + b * (power(v, exponent - 1) / deep)
        vertices.append(
          Vertex(position: ring.middle + a * (wide * u) + b * (deep * v), normal: normal.normalized, opacity: ring.opacity))
      }
    }
    for index in 0..<(isClosed ? rings.count : rings.count - 1) {
      let next = (index + 1) % rings.count
      for step in 0..<count {
        let (here, there) = (first + index * count, first + next * count)
        let after = (step + 1) % count
        triangles.append(Triangle(corners: (here + step, there + step, there + after), part: rings[index].part))
        triangles.append(Triangle(corners: (here + step, there + after, here + after), part: rings[index].part))
      }
    }
    if !isClosed {
      for index in [0, rings.count - 1] {
        let here = first + index * count
        for step in 1..<count - 1 {
          triangles.append(Triangle(corners: (here, here + step, here + step + 1), part: rings[index].part))
        }
      }
    }
  }

  /// A place on the front as it is bent around the face and leans forward above.
  private static func bent(_ place: SIMD3<Double>) -> SIMD3<Double> {
    SIMD3(place.x, place.y, place.z + place.x * place.x * wrap / 2 + place.y * tilt)
  }

  /// The curvature of the front, in 1 / mm, and how far the lower rim lies behind the upper one, in parts of the height.
  private static let (wrap, tilt) = (1 / 330.0, 0.12)
}

/// The outline of a lens, in millimetres from between the lenses.
struct LensCurve {
  /// Points, and their normals outwards.
  private(set) var points: [SIMD2<Double>] = []
  private(set) var normals: [SIMD2<Double>] = []
  /// Where its middle is.
  let middle: Double

  /// - Parameter side: −1 for the viewer's left.
  init(_ style: GlassesStyle, side: Double) {
    let (half, height) = (style.lens.width / 2, style.lens.height / 2)
    middle = side * (style.bridge.gap / 2 + half)
    let corners = style.lens.outline.map { SIMD2(middle + side * half * $0[0], height * $0[1]) }
    let (count, parts) = (corners.count, 192 / corners.count + 1)
    for index in 0..<count {
      let (a, b) = (corners[(index + count - 1) % count], corners[index])
      let (c, d) = (corners[(index + 1) % count], corners[(index + 2) % count])
      for part in 0..<parts {
        // Catmull and Rom's curve.
        let t = Double(part) / Double(parts)
        let first: SIMD2<Double> = 2 * b + (c - a) * t
        let second: SIMD2<Double> = (2 * a - 5 * b + 4 * c - d) * (t * t)
        let third: SIMD2<Double> = (3 * b - a - 3 * c + d) * (t * t * t)
        points.append((first + second + third) / 2)
      }
    }
    let all = points
    normals = all.indices.map { index in
      let (last, next) = (all[(index + all.count - 1) % all.count], all[(index + 1) % all.count])
      let way = next - last
      let length = max(1e-9, (way * way).sum().squareRoot())
      // From the outermost point downwards the outside is to the left on the viewer's right.
      return SIMD2(way.y, -way.x) * (side / length)
    }
  }

  /// How far from between the lenses the outline lies at a height, on its inner side; `nil` above and below it.
  func innermost(at y: Double) -> Double? { crossings(at: y).min() }

  /// The same on its outer side; its greatest above and below it.
  func outermost(at y: Double) -> Double { crossings(at: y).max() ?? points.map { abs($0.x) }.max() ?? 0 }

  private func crossings(at y: Double) -> [Double] {
    points.indices.compactMap { index in
      let (a, b) = (points[index], points[(index + 1) % points.count])
      guard (a.y < y) != (b.y < y) else { return nil }
      return abs(a.x + (b.x - a.x) * (y - a.y) / (b.y - a.y))
    }
  }
}

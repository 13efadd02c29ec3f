import Foundation
import Photo

/// Glasses as they are seen on a face, without what hangs over them: what they let through of each pixel, and what they add.
struct GlassesPicture: Sendable {
  let side: Int
  /// The light of red, green and blue that comes from them, sRGB 0…1, and what of the face behind is seen, 0…1: row by row.
  private(set) var colours: [SIMD4<Float>]
  /// How much of each pixel lies in their shadow, with hard edges, 0…1.
  private(set) var shade: [Float]

  /// Draws them.
  /// - Parameters:
  ///   - style: what they look like.
  ///   - place: where they sit.
  ///   - light: what lies on the face.
  ///   - beyond: how surely each part of the picture is hair, an ear, or beyond the head, where temples end: row by row of a smaller
  ///     square, 0…1.
  ///   - side: of the picture, which is a square.
  ///   - toFrame: from the picture to CelebA's frame.
  init(
    _ style: GlassesStyle, at place: GlassesPlace, in light: FaceLight, beyond: [Float], side: Int, _ toFrame: Affine
  ) {
    self.side = side
    colours = [SIMD4<Float>](repeating: SIMD4(0, 0, 0, 1), count: side * side)
    shade = [Float](repeating: 0, count: side * side)
    let half = style.bridge.gap / 2 + style.lens.width
    let ears = [-1.0, 1.0].map { place.way(from: SIMD3($0 * (half + 3), style.temple.y, 6), $0) }
    let mesh = GlassesMesh(style, ears: ears)
    let toPicture = toFrame.inverse
    func drawn(_ position: SIMD3<Double>) -> SIMD3<Float> {
      let seen = place(position)
      let point = toPicture(Point(x: seen.x, y: seen.y))
      return SIMD3<Float>(Float(point.x), Float(point.y), Float(seen.z))
    }
    let points = mesh.vertices.map { drawn($0.position) }
    let normals = mesh.vertices.map { SIMD3<Float>(place.pose.turned($0.normal)) }
    guard points.allSatisfy({ $0.x.isFinite && $0.y.isFinite && $0.z.isFinite }), let area = PixelWindow(around: points.map(\.point), margin: 0, in: side) else { return }
    let surface = Surface(style, light)
    let covers = Plane(beyond, scale: Float(side))
    var solid = Buffer(area), glass = Buffer(area)
    for triangle in mesh.triangles {
      let (a, b, c) = triangle.corners
      func fill(_ buffer: inout Buffer) {
        buffer.fill(points[a], points[b], points[c]) { shares in
          let (p, q, r) = (mesh.vertices[a], mesh.vertices[b], mesh.vertices[c])
          let normal = normals[a] * shares.x + normals[b] * shares.y + normals[c] * shares.z
          let position = p.position * Double(shares.x) + q.position * Double(shares.y) + r.position * Double(shares.z)
          var opacity = Float(p.opacity) * shares.x + Float(q.opacity) * shares.y + Float(r.opacity) * shares.z
          if triangle.part == .temple, position.z > Self.hinge {
            opacity *= 1 - covers[points[a] * shares.x + points[b] * shares.y + points[c] * shares.z]
          }
          return surface.colour(of: triangle.part, SIMD3<Float>(position), normal, opacity)
        }
      }
      if triangle.part == .glass { fill(&glass) } else { fill(&solid) }
    }
    solid.lay(glass)
    solid.reduce(into: &colours, side: side)
    // The shadow lies where light that goes on from the glasses meets the face, two or three millimetres behind them.
    let source = SIMD2(Double(light.source.x), Double(light.source.y))
    let shadows = mesh.vertices.map { vertex -> SIMD3<Float> in
      let gap = 2 + 0.02 * abs(vertex.position.x) + 0.03 * max(0, vertex.position.y)
      return drawn(vertex.position + SIMD3(-source.x * gap, -source.y * gap * 1.2, 0))
    }
    if shadows.allSatisfy({ $0.x.isFinite && $0.y.isFinite }), let area = PixelWindow(around: shadows.map(\.point), margin: 0, in: side) {
      var buffer = Buffer(area)
      for triangle in mesh.triangles where triangle.part != .glass {
        let (a, b, c) = triangle.corners
        let opacity = Float(mesh.vertices[a].opacity + mesh.vertices[b].opacity + mesh.vertices[c].opacity) / 3
        buffer.fill(shadows[a], shadows[b], shadows[c]) { _ in SIMD4(0, 0, 0, 1 - opacity) }
      }
      var values = [SIMD4<Float>](repeating: SIMD4(0, 0, 0, 1), count: side * side)
      buffer.reduce(into: &values, side: side)
      shade = values.map { 1 - $0.w }
    }
  }

  /// Each pixel is the mean of the square of this many samples.
  fileprivate static let samples = 3
  /// How far back hinges are, in millimetres: before these nothing hides a temple.
  private static let hinge = 14.0
}

/// A small square of values over a picture.
private struct Plane {
  private let values: [Float]
  private let side: Int
  private let scale: Float

  /// - Parameter scale: the picture's side.
  init(_ values: [Float], scale: Float) {
    self.values = values
    side = Int(Double(values.count).squareRoot())
    self.scale = Float(side) / scale
  }

  /// The value at a place of the picture, between the four nearest ones.
  subscript(_ place: SIMD3<Float>) -> Float {
    func split(_ value: Float) -> (Int, Float) {
      let value = min(Float(side - 1), max(0, value * scale - 0.5))
      let low = min(max(0, side - 2), Int(value))
      return (low, value - Float(low))
    }
    let ((x, u), (y, v)) = (split(place.x), split(place.y))
    let (right, below) = (min(x + 1, side - 1), min(y + 1, side - 1))
    let above = values[y * side + x] * (1 - u) + values[y * side + right] * u
    return above * (1 - v) + (values[below * side + x] * (1 - u) + values[below * side + right] * u) * v
  }
}

/// Samples of an area: light, what is seen through, and depth.
private struct Buffer {
  private let area: PixelWindow
  private let width, height: Int
  private var colours: [SIMD4<Float>]
  private var depths: [Float]
  /// What lies before all that: what it adds in sRGB, and what it lets through.
  private var film: [SIMD4<Float>]

  init(_ area: PixelWindow) {
    self.area = area
    (width, height) = (area.columns.count * GlassesPicture.samples, area.rows.count * GlassesPicture.samples)
    colours = [SIMD4<Float>](repeating: SIMD4(0, 0, 0, 1), count: width * height)
    depths = [Float](repeating: .infinity, count: width * height)
    film = colours
  }

  /// Fills a triangle where nothing lies before it.
  /// - Parameter colour: of the place that has these shares of the corners.
  mutating func fill(
    _ a: SIMD3<Float>, _ b: SIMD3<Float>, _ c: SIMD3<Float>, _ colour: (SIMD3<Float>) -> SIMD4<Float>
  ) {
    let scale = Float(GlassesPicture.samples)
    let origin = SIMD3<Float>(Float(area.columns.lowerBound), Float(area.rows.lowerBound), 0)
    let factor = SIMD3<Float>(scale, scale, 1)
    let (p, q, r) = ((a - origin) * factor, (b - origin) * factor, (c - origin) * factor)
    let doubled = (q.x - p.x) * (r.y - p.y) - (r.x - p.x) * (q.y - p.y)
    guard abs(doubled) > 1e-6 else { return }
    func range(_ x: Float, _ y: Float, _ z: Float, _ limit: Int) -> Range<Int> {
      let low = max(0, (min(x, y, z) - 0.5).rounded(.up)), high = min(Float(limit - 1), (max(x, y, z) - 0.5).rounded(.down))
      return low <= high ? Int(low)..<Int(high) + 1 : 0..<0
    }
    let columns = range(p.x, q.x, r.x, width)
    for y in range(p.y, q.y, r.y, height) {
      let py = Float(y) + 0.5
      for x in columns {
        let px = Float(x) + 0.5
        let first = ((q.x - px) * (r.y - py) - (r.x - px) * (q.y - py)) / doubled
        let second = ((r.x - px) * (p.y - py) - (p.x - px) * (r.y - py)) / doubled
        let third = 1 - first - second
        guard first >= 0, second >= 0, third >= 0 else { continue }
        let depth = first * p.z + second * q.z + third * r.z
        let index = y * width + x
        guard depth < depths[index] else { continue }
        depths[index] = depth
        colours[index] = colour(SIMD3(first, second, third))
      }
    }
  }

  /// Lays what lets light through over what lies behind it.
  mutating func lay(_ other: Buffer) {
    for index in colours.indices where other.depths[index] < depths[index] { film[index] = other.colours[index] }
  }

  /// The means of the samples of each pixel. Light is added up before it is brought to sRGB: the small bright spots of a polished rim
  /// make whole pixels white, as on a sensor.
  func reduce(into pixels: inout [SIMD4<Float>], side: Int) {
    let samples = GlassesPicture.samples
    let count = Float(samples * samples)
    for y in 0..<area.rows.count {
      for x in 0..<area.columns.count {
        var (light, added) = (SIMD4<Float>.zero, SIMD4<Float>.zero)
        for dy in 0..<samples {
          for dx in 0..<samples {
            let index = (y * samples + dy) * width + x * samples + dx
            let (own, before) = (colours[index], film[index])
            light += SIMD4(own.x, own.y, own.z, 1 - own.w) * before.w
            added += SIMD4(before.x, before.y, before.z, own.w * before.w)
          }
        }
        let cover = light.w / count
        var pixel = added / count
        if cover > 0 {
          let mean = SIMD3(light.x, light.y, light.z) / light.w
          pixel += SIMD4(mean.map { min(1, $0).encoded } * cover, 0)
        }
        pixels[(y + area.rows.lowerBound) * side + x + area.columns.lowerBound] = pixel
      }
    }
  }
}

/// How the parts of a style look in a light.
private struct Surface {
  private let style: GlassesStyle
  private let light: FaceLight
  private let upper, lower: Paint
  private let glass: SIMD3<Float>

  private struct Paint {
    let colour, spots: SIMD3<Float>
    let isMetal: Bool

    init(_ material: GlassesStyle.Material) {
      colour = GlassesStyle.colour(material.colour) ?? .zero
      spots = material.spots.flatMap(GlassesStyle.colour) ?? colour
      isMetal = material.kind == .metal
    }
  }

  init(_ style: GlassesStyle, _ light: FaceLight) {
    (self.style, self.light) = (style, light)
    upper = Paint(style.material)
    lower = style.lower.map(Paint.init) ?? upper
    glass = GlassesStyle.colour(style.glass.colour) ?? .zero
  }

  /// - Returns: the light that a place throws to the viewer, linear, of glass what it adds in sRGB, and how much of what is behind it
  ///   is seen.
  func colour(of part: GlassesMesh.Part, _ place: SIMD3<Float>, _ normal: SIMD3<Float>, _ opacity: Float) -> SIMD4<Float> {
    // Triangles of both sides are filled; the viewer sees what looks to the front.
    let length = max(1e-6, (normal * normal).sum().squareRoot())
    let normal = normal.z > 0 ? normal / -length : normal / length
    // The viewer looks along z.
    let facing = -normal.z
    let way = 2 * facing * normal - SIMD3<Float>(0, 0, -1)
    let grazing = pow(1 - facing, 5)
    switch part {
    case .glass: return through(place, normal, way, grazing)
    case .pad:
      let shine = light.mirrored(from: way) * (0.06 + 0.5 * grazing)
      let own = light.skin * (0.9 * light(normal)) * 0.35 + shine
      return SIMD4(own * opacity * 0.55, 1 - 0.55 * opacity)
    case .rivet: return SIMD4(light.mirrored(from: way) * 0.45, 0)
    case .upper, .temple, .lower:
      let paint = part == .lower ? lower : upper
      let colour = paint.colour + (paint.spots - paint.colour) * Self.spots(place)
      var seen: SIMD3<Float>
      if paint.isMetal {
        seen = colour * light.mirrored(from: way) + SIMD3(repeating: light.white * 0.3 * grazing)
      } else {
        seen = colour * (light.white * 0.85 * light(normal)) + light.mirrored(from: way) * (0.08 + 0.3 * grazing)
      }
      // Less light comes to the side that looks to the face.
      seen *= 0.55 + 0.45 * (0.5 - normal.y).smoothStep(from: -0.5, to: 0.6)
      return SIMD4(seen * opacity, 1 - opacity)
    }
  }

  private func through(_ place: SIMD3<Float>, _ normal: SIMD3<Float>, _ way: SIMD3<Float>, _ grazing: Float) -> SIMD4<Float> {
    let half = SIMD2(Float(style.lens.width), Float(style.lens.height)) / 2
    let middle = Float(style.bridge.gap) / 2 + half.x
    // From −1 at the left and the top to 1.
    let (u, v) = ((place.x - (place.x < 0 ? -middle : middle)) / half.x, place.y / half.y)
    let height = min(1, max(0, 0.5 + 0.5 * v))
    let tint = Float(style.glass.above) + Float(style.glass.below - style.glass.above) * height
    // A window above, on the side that the light comes from, and the light room.
    let side: Float = light.source.x < 0 ? -1 : 1
    let (x, y) = (u - side * 0.34 + 0.18 * v, v + 0.42)
    let pane = (1 - abs(x).smoothStep(from: 0.2, to: 0.25)) * (1 - abs(y).smoothStep(from: 0.24, to: 0.3))
      * (1 - 0.7 * (1 - abs(x).smoothStep(from: 0.012, to: 0.03)))
    let sheen = 0.05 * (0.2 - v - 0.35 * side * -u).smoothStep(from: -0.2, to: 0.9)
    let reflected = (0.13 * pane + sheen) * light.white + 0.3 * grazing * light.white
    let own = glass * (0.5 * light.skin.luma)
    // Coated glass reflects blue and violet most.
    let colour = own.map { min(1, $0).encoded } * tint + SIMD3(0.92, 0.94, 1.15) * (reflected.encoded * 0.5)
    return SIMD4(colour, (1 - tint) * (1 - 0.35 * reflected.encoded))
  }

  /// Where the spots of tortoiseshell are, 0…1: smooth noise of some millimetres.
  private static func spots(_ place: SIMD3<Float>) -> Float {
    func noise(_ x: Float, _ y: Float, _ z: Float) -> Float {
      let (u, v) = (x + 3.1 * sin(y * 0.23 + 0.8) + 1.3 * sin(y * 0.57), y + 2.9 * sin(x * 0.19 + z * 0.2) + 1.2 * sin(x * 0.47 + 2))
      return sin(u * 0.27 + 0.5) * sin(v * 0.31 + z * 0.13) + 0.45 * sin(u * 0.63 + v * 0.41 + z * 0.4) + 0.3 * sin(v * 1.3 - u * 0.9)
    }
    return noise(place.x, place.y, place.z).smoothStep(from: -0.8, to: 0.45)
  }
}

extension SIMD3<Float> {
  fileprivate var point: Point { Point(x: Double(x), y: Double(y)) }
}

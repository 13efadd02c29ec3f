import Photo

/// How much of each pixel is of an object, and the colour that the object has there.
///
/// The alpha is that of closed-form matting (Levin, Lischinski & Weiss 2008): in each small window it is nearly a linear function of
/// the colour. The matting Laplacian is applied by box filters (He, Sun & Tang 2010). The colour is found by blurring the object's
/// and the background's colours apart (Forte 2021).
struct Matte: Sendable {
  /// The object's red, green and blue, 0…1; in the fourth element alpha, 0…1.
  let colours: Pixels

  var alpha: [Float] { colours.values.map(\.w) }

  /// - Parameters:
  ///   - picture: three channels.
  ///   - probable: how probable it is that each pixel is of the object, 0…1.
  ///   - known: which pixels are surely of it (true), surely not (false), or unknown (`nil`).
  ///   - reach: how far the object's colour is looked for, in pixels.
  init(of picture: Picture, probable: [Float], known: [Bool?], reach: Int) {
    precondition(probable.count == picture.width * picture.height && known.count == probable.count, "a value for each pixel")
    let own = Pixels(picture)
    var alpha = zip(probable, known).map { $1.map { $0 ? 1 : 0 } ?? $0 }
    MattingLaplacian(own, radius: Self.radius).solve(&alpha, unknown: known.map { $0 == nil }, steps: Self.steps)
    colours = Self.colours(of: own, alpha, reach: [reach, 4])
  }

  private static func colours(of own: Pixels, _ alpha: [Float], reach: [Int]) -> Pixels {
    var (object, background) = (own, own)
    for radius in reach {
      let near = object.changed { i, colour in colour.with(w: 1) * alpha[i] }.blurred(radius)
      let far = background.changed { i, colour in colour.with(w: 1) * (1 - alpha[i]) }.blurred(radius)
      background = far.changed { _, sum in sum / (sum.w + 1e-5) }
      object = near.changed { i, sum in
        let mean = sum / (sum.w + 1e-5)
        let rest = own[i] - alpha[i] * mean - (1 - alpha[i]) * background[i]
        return (mean + alpha[i] * rest).clamped(lowerBound: .zero, upperBound: .one).with(w: alpha[i])
      }
    }
    return object
  }

  /// Windows of 5 × 5 pixels need fewer steps than those of 3 × 3, and end hair as finely.
  private static let radius = 2
  private static let steps = 24
}

/// The linear map L of closed-form matting: alphaᵀ · L · alpha is least where alpha is a linear function of colour in each window.
private struct MattingLaplacian {
  private let colours, means: Pixels
  /// The inverse of each window's covariance of colours, its six different elements.
  private let inverses: [(diagonal: SIMD3<Float>, rest: SIMD3<Float>)]
  private let radius: Int

  init(_ colours: Pixels, radius: Int) {
    (self.colours, self.radius) = (colours, radius)
    means = colours.blurred(radius)
    let squares = colours.changed { _, c in (c * c).with(w: c.x * c.y) }.blurred(radius)
    let products = colours.changed { _, c in SIMD4(c.x * c.z, c.y * c.z, 0, 0) }.blurred(radius)
    inverses = means.values.indices.map { [means] i in Self.inverse(means[i], squares[i], products[i]) }
  }

  /// The inverse of a window's covariance.
  /// - Parameters:
  ///   - means: of red, green and blue.
  ///   - squares: the means of their squares, and of red times green.
  ///   - products: the means of red times blue, and of green times blue.
  private static func inverse(
    _ means: SIMD4<Float>, _ squares: SIMD4<Float>, _ products: SIMD4<Float>
  ) -> (diagonal: SIMD3<Float>, rest: SIMD3<Float>) {
    // Along an edge colours vary in one direction only: in float32 nothing is left of the determinant.
    let (m, s, p) = (SIMD4<Double>(means), SIMD4<Double>(squares), SIMD4<Double>(products))
    let (xx, yy, zz) = (s.x - m.x * m.x + flatness, s.y - m.y * m.y + flatness, s.z - m.z * m.z + flatness)
    let (xy, xz, yz) = (s.w - m.x * m.y, p.x - m.x * m.z, p.y - m.y * m.z)
    let first = SIMD3<Double>(yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy)
    let determinant = xx * first.x + xy * first.y + xz * first.z
    // Rounding alone makes it so small.
    let scale = 1 / max(flatness * flatness * flatness / 8, determinant)
    let diagonal = SIMD3<Double>(first.x, xx * zz - xz * xz, xx * yy - xy * xy) * scale
    let rest = SIMD3<Double>(first.y, first.z, xy * xz - xx * yz) * scale
    return (SIMD3<Float>(diagonal), SIMD3<Float>(rest))
  }

  /// L · values: each value less what the linear functions of the windows around it say, on average.
  func applied(to values: [Float]) -> [Float] {
    let sums = colours.changed { i, colour in colour.with(w: 1) * values[i] }.blurred(radius)
    let functions = sums.changed { i, sum in
      let (mean, inverse) = (means[i], inverses[i])
      let c = sum - mean * sum.w
      let slope = SIMD4(
        inverse.diagonal.x * c.x + inverse.rest.x * c.y + inverse.rest.y * c.z,
        inverse.rest.x * c.x + inverse.diagonal.y * c.y + inverse.rest.z * c.z,
        inverse.rest.y * c.x + inverse.rest.z * c.y + inverse.diagonal.z * c.z, 0)
      return slope.with(w: sum.w - (slope * mean).sum())
    }.blurred(radius)
    return values.indices.map { i in values[i] - (functions[i] * colours[i].with(w: 1)).sum() }
  }

  /// Makes alphaᵀ · L · alpha small where `unknown`, by conjugate gradients from the values that are there.
  func solve(_ alpha: inout [Float], unknown: [Bool], steps: Int) {
    func held(_ values: [Float]) -> [Float] { zip(values, unknown).map { $1 ? $0 : 0 } }
    func product(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0 * $1.1) } }
    var rest = held(applied(to: alpha).map { -$0 })
    var direction = rest
    var size = product(rest, rest)
    for _ in 0..<steps where size > 1e-6 {
      let image = held(applied(to: direction))
      let curvature = product(direction, image)
      if curvature <= 0 { break }  // nothing but rounding is left
      let length = Float(size / curvature)
      for i in alpha.indices {
        alpha[i] += length * direction[i]
        rest[i] -= length * image[i]
      }
      let next = product(rest, rest)
      for i in rest.indices { direction[i] = rest[i] + Float(next / size) * direction[i] }
      size = next
    }
    for i in alpha.indices { alpha[i] = min(1, max(0, alpha[i])) }
  }

  /// The variance of a colour up to which a window counts as flat.
  private static let flatness = 1e-5
}

/// A picture of four numbers a pixel.
struct Pixels: Sendable {
  let width, height: Int
  private(set) var values: [SIMD4<Float>]

  /// A picture's red, green and blue, 0…1, and 0.
  init(_ picture: Picture) {
    (width, height) = (picture.width, picture.height)
    let bytes = picture.pixels
    values = stride(from: 0, to: 3 * width * height, by: 3).map { (i: Int) -> SIMD4<Float> in
      let (red, green, blue) = (Float(bytes[i]), Float(bytes[i + 1]), Float(bytes[i + 2]))
      return SIMD4(red, green, blue, 0) / 255
    }
  }

  init(width: Int, height: Int, _ values: [SIMD4<Float>]) {
    precondition(values.count == width * height, "a value for each pixel")
    (self.width, self.height, self.values) = (width, height, values)
  }

  subscript(index: Int) -> SIMD4<Float> { values[index] }

  var byteCount: Int { values.count * MemoryLayout<SIMD4<Float>>.stride }

  /// Each pixel made anew from its number and its value.
  func changed(_ change: (Int, SIMD4<Float>) -> SIMD4<Float>) -> Pixels {
    var copy = self
    copy.values.withUnsafeMutableBufferPointer { pixels in
      for i in pixels.indices { pixels[i] = change(i, pixels[i]) }
    }
    return copy
  }

  /// The mean of the pixels up to `radius` away in each direction, of those that the picture has.
  func blurred(_ radius: Int) -> Pixels {
    func counts(_ length: Int) -> [Float] {
      (0..<length).map { 1 / Float(min(length - 1, $0 + radius) - max(0, $0 - radius) + 1) }
    }
    let (ofRow, ofColumn) = (counts(width), counts(height))
    var (rows, result) = (self, self)
    values.withUnsafeBufferPointer { source in
      rows.values.withUnsafeMutableBufferPointer { target in
        for y in 0..<height {
          let row = y * width
          // In float32 the errors of a running sum outgrow the variances of flat windows.
          var sum = SIMD4<Double>.zero
          for x in 0..<min(radius, width) { sum += SIMD4<Double>(source[row + x]) }
          for x in 0..<width {
            if x + radius < width { sum += SIMD4<Double>(source[row + x + radius]) }
            if x > radius { sum -= SIMD4<Double>(source[row + x - radius - 1]) }
            target[row + x] = SIMD4<Float>(sum) * ofRow[x]
          }
        }
      }
    }
    rows.values.withUnsafeBufferPointer { source in
      result.values.withUnsafeMutableBufferPointer { target in
        var sums = [SIMD4<Double>](repeating: .zero, count: width)
        func add(_ y: Int, _ sign: Double) {
          guard (0..<height).contains(y) else { return }
          for x in 0..<width { sums[x] += sign * SIMD4<Double>(source[y * width + x]) }
        }
        for y in 0..<min(radius, height) { add(y, 1) }
        for y in 0..<height {
          add(y + radius, 1)
          add(y - radius - 1, -1)
          for x in 0..<width { target[y * width + x] = SIMD4<Float>(sums[x]) * ofColumn[y] }
        }
      }
    }
    return result
  }
}

extension SIMD4<Float> {
  /// The same with another fourth element.
  func with(w: Float) -> SIMD4 {
    var copy = self
    copy.w = w
    return copy
  }

  /// The first three elements.
  var colour: SIMD3<Float> { SIMD3(x, y, z) }
}

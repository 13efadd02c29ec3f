import Foundation
import Photo

/// The light that lies on a face, from its skin: how bright a surface is that looks some way. Directions are of the view: x to the
/// right, y down and z into the picture.
struct FaceLight: Sendable {
  /// Of the second-order spherical harmonics, for skin whose mean is 1.
  private let coefficients: [Double]
  /// Where most of it comes from.
  let source: SIMD3<Float>
  /// The light of what is white here, and of the skin, of each primary, linear.
  let white: Float
  let skin: SIMD3<Float>

  /// - Parameters:
  ///   - colours: the crop's pixels, linear, row by row of a square.
  ///   - shares: how much of each is bare skin, 0…1.
  ///   - place: from the crop to CelebA's frame.
  ///   - middle: of the face there.
  init(of colours: [SIMD3<Float>], skin shares: [Float], at place: Affine, around middle: Point) {
    let size = Int(Double(colours.count).squareRoot())
    var (sum, weight) = (SIMD3<Float>.zero, Float(1e-6))
    for (colour, share) in zip(colours, shares) where share > 0.5 { (sum, weight) = (sum + colour, weight + 1) }
    skin = sum / weight
    let mean = Double(max(1e-3, skin.luma))
    let lights = colours.map(\.luma).sorted()
    white = min(1, max(0.01, lights.isEmpty ? 1 : lights[lights.count * 97 / 100]))
    let count = Self.basis(SIMD3(0, 0, -1)).count
    // A face without skin has even light, a little more from above.
    var matrix = (0..<count).map { row in (0..<count).map { row == $0 ? Self.ridge : 0 } }
    var right = [Double](repeating: 0, count: count)
    (right[0], right[2]) = (Self.ridge, -0.2 * Self.ridge)
    for index in stride(from: 0, to: colours.count, by: 3) where shares[index] > 0.5 {
      let point = place(Point(x: Double(index % size) + 0.5, y: Double(index / size) + 0.5))
      let (x, y) = ((point.x - middle.x) / Self.radii.x, (point.y - middle.y) / Self.radii.y)
      let rest = 1 - x * x - y * y
      guard rest > 0.05 else { continue }
      let functions = Self.basis(SIMD3(x, y, -rest.squareRoot()))
      // Highlights and nostrils say little.
      let value = min(2, max(0.3, Double(colours[index].luma) / mean))
      for row in 0..<count {
        right[row] += functions[row] * value
        for column in 0..<count { matrix[row][column] += functions[row] * functions[column] }
      }
    }
    coefficients = Self.solution(of: matrix, right)
    // Lamps hang above; a flash would shine back from all of the front.
    let way = SIMD3(coefficients[1], coefficients[2] - 0.35, min(-0.25, coefficients[3])).normalized
    source = SIMD3<Float>(SIMD3(way.x, min(-0.6, way.y), max(-0.7, way.z)).normalized)
  }

  /// The light on a surface of skin's mean brightness that looks some way; about 1.
  func callAsFunction(_ normal: SIMD3<Float>) -> Float {
    let light = zip(Self.basis(SIMD3<Double>(normal)), coefficients).reduce(0) { $0 + $1.0 * $1.1 }
    return Float(min(1.6, max(0.35, light)))
  }

  /// What a mirror shows that throws light from a direction back: a lamp, a weaker one on the other side, the room, and the face below.
  func mirrored(from way: SIMD3<Float>) -> SIMD3<Float> {
    func lamp(_ place: SIMD3<Float>) -> Float {
      let near = (way * place).sum()
      return 10 * near.smoothStep(from: 0.8, to: 0.96) + 26 * near.smoothStep(from: 0.965, to: 0.995)
    }
    let above = (-way.y).smoothStep(from: 0.1, to: 0.9)
    let other = SIMD3<Float>(SIMD3<Double>(Double(-source.x) - (source.x < 0 ? -0.5 : 0.5), Double(source.y) * 0.7, -0.6).normalized)
    let walls = abs(way.x).smoothStep(from: 0.3, to: 0.9)
    let room = white * (0.06 + 0.3 * above + 0.3 * walls + lamp(source) + 0.35 * lamp(other))
    return SIMD3(repeating: room) + skin * (0.35 * way.y.smoothStep(from: 0, to: 0.7))
  }

  private static func basis(_ n: SIMD3<Double>) -> [Double] {
    [1, n.x, n.y, n.z, n.x * n.y, n.y * n.z, n.x * n.z, n.x * n.x - n.y * n.y, 3 * n.z * n.z - 1]
  }

  /// Solves a symmetric positive system by Cholesky's factorization.
  private static func solution(of matrix: [[Double]], _ right: [Double]) -> [Double] {
    let count = right.count
    var lower = matrix
    var result = right
    for row in 0..<count {
      for column in 0...row {
        let sum = (0..<column).reduce(lower[row][column]) { $0 - lower[row][$1] * lower[column][$1] }
        lower[row][column] = row == column ? max(1e-12, sum).squareRoot() : sum / lower[column][column]
      }
      result[row] = (0..<row).reduce(result[row]) { $0 - lower[row][$1] * result[$1] } / lower[row][row]
    }
    for row in (0..<count).reversed() {
      result[row] = (row + 1..<count).reduce(result[row]) { $0 - lower[$1][row] * result[$1] } / lower[row][row]
    }
    return result
  }

  /// The face as half of an ellipsoid, in pixels of CelebA's frame, and what holds the light even.
  private static let radii = Point(x: 54, y: 74)
  private static let ridge = 12.0
}

/// A region of a face that a decoded step stays within: what else labels bring along, such as the beard around a mustache, does not
/// come.
enum FaceRegion: Sendable, CaseIterable {
  /// Between nose and mouth, as far as its corners.
  case upperLip
  /// Under each eye, as far down as it is wide.
  case underEyes
  /// Between eyes and ears, from the brows down to the mouth.
  case besideEars

  /// The classes that regions are found by: the mouth, the nose, and the eyes.
  static let classes: [[FaceClass]] = [[.upperLip, .mouth, .lowerLip], [.nose], [.leftEye, .rightEye]]

  /// How far each pixel is inside, row by row, with hard borders.
  /// - Parameters:
  ///   - found: the probabilities of ``classes``, each of size × size.
  ///   - size: of the crop.
  func region(_ found: [[Float]], size: Int) -> [Float] {
    switch self {
    case .upperLip: Self.upperLip(mouth: found[0], nose: found[1], size)
    case .underEyes: Self.underEyes(found[2], size)
    case .besideEars: Self.besideEars(eyes: found[2], mouth: found[0], size)
    }
  }

  private static func upperLip(mouth: [Float], nose: [Float], _ size: Int) -> [Float] {
    var region = [Float](repeating: 0, count: size * size)
    let tops = (0..<size).map { column in (0..<size).first { mouth[$0 * size + column] > 0.5 } }
    guard let first = tops.firstIndex(where: { $0 != nil }), let last = tops.lastIndex(where: { $0 != nil }) else {
      return region
    }
    let height = Int((mustache * Double(size)).rounded())
    for column in max(0, first - height / 2)...min(size - 1, last + height / 2) {
      let nearest = min(last, max(first, column))
      // It gets thinner towards the corners.
      let part = min(1, abs(2 * Double(column - first) / Double(max(1, last - first)) - 1))
      let thin = Int((thinner * Double(height) * part * part).rounded())
      let top = tops[nearest] ?? tops[first]!
      for row in max(0, top - height + thin)..<min(size, top + 1) {
        region[row * size + column] = 1 - min(1, nose[row * size + column])
      }
    }
    return region
  }

  private static func underEyes(_ eyes: [Float], _ size: Int) -> [Float] {
    var region = [Float](repeating: 0, count: size * size)
    let bottoms = (0..<size).map { column in (0..<size).last { eyes[$0 * size + column] > 0.5 } }
    let height = Int(bag * Double(size))
    for column in 0..<size {
      guard let bottom = bottoms[column] else { continue }
      for row in bottom + 1..<max(bottom + 1, min(size, bottom + height)) { region[row * size + column] = 1 }
    }
    return region
  }

  private static func besideEars(eyes: [Float], mouth: [Float], _ size: Int) -> [Float] {
    let columns = (0..<size).filter { column in (0..<size).contains { eyes[$0 * size + column] > 0.5 } }
    guard let first = columns.first, let last = columns.last, let top = middle(of: eyes, size), let bottom = middle(of: mouth, size)
    else { return [Float](repeating: 0, count: size * size) }
    return (0..<size * size).map { index in
      let (row, column) = (index / size, index % size)
      return row > top && row < bottom && (column < first || column > last) ? 1 : 0
    }
  }

  /// The middle row of what is somewhere, if it is.
  private static func middle(of plane: [Float], _ size: Int) -> Int? {
    let rows = (0..<size).map { row in plane[row * size..<(row + 1) * size].count { $0 > 0.5 } }
    let count = rows.reduce(0, +)
    return count > 0 ? rows.enumerated().reduce(0) { $0 + $1.offset * $1.element } / count : nil
  }

  /// The most that a mustache is high, in parts of the crop.
  private static let mustache = 0.08
  /// The part of that which it loses towards the corners of the mouth.
  private static let thinner = 0.5
  /// How far down bags reach from an eye, in parts of the crop.
  private static let bag = 0.1
}

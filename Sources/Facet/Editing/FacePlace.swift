/// A part of a face that an edit stays within: what the labels bring along with it, such as the beard around a mustache, does
/// not come.
enum FacePlace: Sendable {
  /// Between nose and mouth, and around its corners.
  case underNose

  /// Where a change of a label is, if it is of a part alone.
  init?(_ label: String) {
    guard label == "Mustache" else { return nil }
    self = .underNose
  }

  /// The classes that places are found by: the mouth, and the nose.
  static let classes: [[FaceClass]] = [[.upperLip, .mouth, .lowerLip], [.nose]]

  /// How far each pixel is inside, row by row, with hard borders.
  /// - Parameters:
  ///   - found: the probabilities of ``classes``, each of size × size.
  ///   - size: of the crop.
  func region(_ found: [[Float]], size: Int) -> [Float] {
    let (mouth, nose) = (found[0], found[1])
    var region = [Float](repeating: 0, count: size * size)
    let tops = (0..<size).map { column in (0..<size).first { mouth[$0 * size + column] > 0.5 } }
    guard let first = tops.firstIndex(where: { $0 != nil }), let last = tops.lastIndex(where: { $0 != nil }) else {
      return region
    }
    let height = Int((Self.height * Double(size)).rounded())
    for column in max(0, first - height / 2)...min(size - 1, last + height / 2) {
      let nearest = min(last, max(first, column))
      // It hangs down beside the corners.
      let drop = abs(column - nearest)
      let top = (tops[nearest] ?? tops[first]!) + drop
      for row in max(0, top - height)..<min(size, top + 1) {
        region[row * size + column] = 1 - min(1, nose[row * size + column])
      }
    }
    return region
  }

  /// The most that a mustache is high, in parts of the crop.
  private static let height = 0.08
}

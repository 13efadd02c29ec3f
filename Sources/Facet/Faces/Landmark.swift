/// The 68 landmarks of a face by name: positions in the order of the iBUG 300-W annotation. Left and right are the viewer's.
enum Landmark {
  static let jaw = 0...16
  static let chin = 8
  /// Where the jaw meets the ears.
  static let (leftEar, rightEar) = (0, 16)
  static let brows = 17...26
  static let (leftBrow, rightBrow) = (17...21, 22...26)
  static let noseRoot = 27
  /// The nostrils, from left to right.
  static let noseBase = 31...35
  static let (leftEye, rightEye) = (36...41, 42...47)
  static let mouth = 48...67
  /// The outer corners of the lips.
  static let (leftCorner, rightCorner) = (48, 54)
  /// The upper edge of the upper lip, from corner to corner, and its middle.
  static let upperLip = 48...54
  static let (upperLipMiddle, lowerLipMiddle) = (51, 57)
  /// The opening between the lips.
  static let opening = 60...67
  /// Its corners, and the middle of its upper edge.
  static let (leftInnerCorner, rightInnerCorner) = (60, 64)
  static let openingTop = 62
  /// The upper and the lower edge of the opening, from left to right.
  static let upperEdge = [60, 61, 62, 63, 64]
  static let lowerEdge = [60, 67, 66, 65, 64]
  /// From corner to corner: the outer and the inner line of the upper lip, the inner and the outer one of the lower lip.
  static let lipLines = [Array(48...54), [48, 60, 61, 62, 63, 64, 54], [48, 60, 67, 66, 65, 64, 54], [48, 59, 58, 57, 56, 55, 54]]
}

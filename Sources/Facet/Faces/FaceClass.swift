/// What a pixel of a label map shows. Raw values are those of the maps that Facet reads and writes, the order of the
/// article's BiSeNetV2.
///
/// Left and right are the person's own, as in CelebAMask-HQ: from the front, the left brow is the one on the right.
public enum FaceClass: UInt8, CaseIterable, Sendable {
  /// All that is not of the person; the skin of the face; and its parts.
  case background, skin, leftBrow, rightBrow, leftEye, rightEye, eyeglasses, leftEar, rightEar, earring, nose
  /// The inside of the mouth: teeth and tongue.
  case mouth
  /// The lips, and what is around the face.
  case upperLip, lowerLip, neck, necklace, cloth, hair, hat

  /// The classes in the order of CelebAMask-HQ's own maps (Lee et al. 2020).
  public static let celebAMaskHQ: [FaceClass] = [
    .background, .skin, .nose, .eyeglasses, .leftEye, .rightEye, .leftBrow, .rightBrow, .leftEar, .rightEar, .mouth,
    .upperLip, .lowerLip, .hair, .hat, .earring, .necklace, .neck, .cloth,
  ]

  /// The same part in a mirrored picture.
  public var mirrored: FaceClass {
    switch self {
    case .leftBrow: .rightBrow
    case .rightBrow: .leftBrow
    case .leftEye: .rightEye
    case .rightEye: .leftEye
    case .leftEar: .rightEar
    case .rightEar: .leftEar
    default: self
    }
  }

  /// The group of each class, 0 ..< ``groupCount``: what maps of other parsers agree on. They may mix up left and right, or leave
  /// out brows and lips.
  package static let groups: [Int] = allCases.map { face in
    switch face {
    case .background: 0
    case .hair: 1
    case .hat: 2
    case .neck, .necklace: 3
    case .cloth: 4
    case .eyeglasses: 5
    default: 6
    }
  }
  package static let groupCount = 7

  /// In maps of other parsers, a pixel whose class they do not know.
  package static let unknown = UInt8(allCases.count)

  /// The name in reports, that of the article's parser.
  public var name: String {
    switch self {
    case .leftBrow: "l_brow"
    case .rightBrow: "r_brow"
    case .leftEye: "l_eye"
    case .rightEye: "r_eye"
    case .leftEar: "l_ear"
    case .rightEar: "r_ear"
    case .upperLip: "u_lip"
    case .lowerLip: "l_lip"
    default: "\(self)"
    }
  }

  /// The name in CelebAMask-HQ's files.
  package var partName: String {
    switch self {
    case .eyeglasses: "eye_g"
    case .earring: "ear_r"
    case .necklace: "neck_l"
    default: name
    }
  }
}

import Torch

/// The parts of the photo that stay when a step is decoded. Codes are entangled: each step changes a little of everything.
struct DecodePolicy: OptionSet, Sendable, Hashable {
  let rawValue: Int

  // What holds while every step agrees.

  /// The photo's hair stays. Smiles and beards are not about it.
  static let keepsHair = Self(rawValue: 1 << 0)
  /// The decoded face is taken in the light and tint of the one before the step: the step is not about the colour of skin.
  static let keepsSkinTone = Self(rawValue: 1 << 1)
  /// Nothing is composed outside the decoded face: a smaller face would leave its contour within the photo's own.
  static let keepsContour = Self(rawValue: 1 << 2)
  /// The photo's nose, lips and teeth stay, where they have moved to: codes of beards have fewer smiles among them, decoded lips are
  /// soft, and a nose that decodes elsewhere leaves a shade.
  static let keepsNoseAndMouth = Self(rawValue: 1 << 3)
  /// Nothing gets darker where light stays: the decoded face has shade below lips that shut, which lie elsewhere in the photo, and a
  /// cheek's highlight that darkens is gray.
  static let addsNoShade = Self(rawValue: 1 << 4)

  // What holds as soon as one step asks for it.

  /// The photo's mouth is warped to the decoded one's place (``FaceFlow``).
  static let movesMouth = Self(rawValue: 1 << 5)
  /// Eyes stay, and brows in part: decoded age has neither make-up nor any colour there.
  static let keepsEyes = Self(rawValue: 1 << 6)
  /// The light on the face and the colour of its skin stay: only lines and folds come. Decoded age lights faces in its own way, in
  /// patches.
  static let keepsLight = Self(rawValue: 1 << 7)
  /// Little gets darker around the eyes: decoded make-up is a bruise there.
  static let softensEyelids = Self(rawValue: 1 << 8)

  private static let restrictions: Self = [.keepsHair, .keepsSkinTone, .keepsContour, .keepsNoseAndMouth, .addsNoShade]

  /// No step at all.
  static let still = restrictions
  /// Colours and marks of the face.
  static let face: Self = [.keepsHair, .keepsContour]
  /// Shapes within the face.
  static let shape: Self = [.face, .keepsSkinTone]
  /// Shapes that move the mouth: the photo's own, and the skin around it in the photo's own colours.
  static let expression: Self = [.shape, .movesMouth, .keepsNoseAndMouth, .keepsLight]
  /// An expression that ends: its folds go.
  static let rest: Self = [.expression, .addsNoShade]
  /// Hair on the face, which lies over its contour.
  static let beard: Self = [.keepsHair, .keepsNoseAndMouth]

  /// The policy of two steps together.
  func combined(with other: Self) -> Self {
    intersection(other).intersection(Self.restrictions).union(union(other).subtracting(Self.restrictions))
  }
}

/// The parts of a face before a step, and of the decoded one after it, as far as a policy asks for them. Each is S × S in [0, 1].
struct SeenParts {
  /// Eyes and brows, the inside of the mouth, hair, and what is beyond the face: 1 × 4 × S × S, as ``Anatomy/otherThanSkin``.
  var other: Tensor
  /// The face that decodes after the step.
  var face: Tensor
  /// The same without a margin along its contour.
  var inner: Tensor
  /// The photo's eyes and brows, as far as they stay where they are kept.
  var eyes: Tensor
  /// The nose, the lips and what is between them.
  var noseAndMouth: Tensor
  /// The surroundings of eyes and brows.
  var aroundEyes: Tensor

  /// - Parameters:
  ///   - other: as of ``other``.
  ///   - outside: as of ``FaceParser/otherThanFace(in:)``, of the face that decodes after the step.
  ///   - eyes: eyes and brows, 1 × 2 × S × S in [0, 1].
  ///   - noseAndLips: 1 × 1 × S × S in [0, 1].
  init(other: Tensor, outside: Tensor, eyes: Tensor, noseAndLips: Tensor) throws {
    self.other = other
    noseAndMouth = try (noseAndLips + other.narrow(1, 1..<2)).blurred(sigma: 1).smoothStep(from: 0.2, to: 0.7)
    face = try 1 - outside.blurred(sigma: 3).smoothStep(from: 0.1, to: 0.5)
    inner = try 1 - outside.blurred(sigma: 4).smoothStep(from: 0.05, to: 0.3)
    aroundEyes = try eyes.sum(dims: [1], keepDim: true).blurred(sigma: 5).smoothStep(from: 0.02, to: 0.2)
    let features = try eyes.blurred(sigma: 2).smoothStep(from: 0.1, to: 0.5)
    self.eyes = try 1 - (1 - features.narrow(1, 0..<1)) * (1 - features.narrow(1, 1..<2) * Self.keptBrows)
  }

  /// The share of brows that stays: those of old people are lighter, too.
  private static let keptBrows = 0.8
}

extension Composition {
  /// The change of each pixel by a step, within a policy; as ``change(of:from:to:)``.
  /// - Parameters:
  ///   - crop: 1 × 3 × S × S in [0, 1].
  ///   - before: the face that decodes before the step.
  ///   - after: the face that decodes after it.
  ///   - policy: the step's.
  ///   - seen: parts that the policy does not ask for may hold anything.
  static func difference(
    of crop: Tensor, from before: Reconstruction, to after: Reconstruction, within policy: DecodePolicy, seen: SeenParts
  ) throws -> Tensor {
    let face = policy.contains(.keepsContour) ? seen.face : nil
    let after = try policy.contains(.keepsSkinTone) ? keepingTint(of: before, in: after, weighted: face) : after
    var change = try Composition.difference.change(of: crop, from: before, to: after)
    if policy.contains(.keepsLight) { change = try keepingLight(in: change, of: crop, shading: !policy.contains(.addsNoShade)) }
    if let face { change = try face * change }
    let lighter = try (crop * change.narrow(1, 3..<4) + change.narrow(1, 0..<3)).mean(dims: [1], keepDim: true)
    if policy.contains(.keepsContour) {
      // A contour is dark, on its inner side, too.
      change = try change * (1 - (-lighter / 0.2).clamp(min: 0, max: 1) * (1 - seen.inner))
    }
    if policy.contains(.softensEyelids) {
      change = try change * (1 - (-lighter / 0.1).clamp(min: 0, max: 1) * seen.aroundEyes * softenedEyelids)
    }
    if policy.contains(.keepsEyes) { change = try change * (1 - seen.eyes) }
    if policy.contains(.keepsNoseAndMouth) { change = try change * (1 - seen.noseAndMouth) }
    if policy.contains(.keepsHair) { change = try change * (1 - seen.other.narrow(1, 2..<3).smoothStep(from: 0.2, to: 0.6)) }
    return change
  }

  /// A change of light in small places only. The photo's own pixels get lighter or darker, so that their colours and their detail stay.
  /// - Parameter shading: whether some of it may get darker.
  private static func keepingLight(in change: Tensor, of crop: Tensor, shading: Bool) throws -> Tensor {
    func light(_ image: Tensor) throws -> Tensor { try (image.mean(dims: [1], keepDim: true).clamp(min: 0) + Double(darkFloor)).log() }
    let lighter = try light(crop.changed(by: change)) - light(crop)
    let fine = try (lighter - lighter.blurred(sigma: broad.sigma) * broad.share).clamp(min: shading ? nil : 0, max: mostLighter)
    return try Tensor.cat([crop * 0, fine.exp() - 1], dim: 1)
  }

  /// How broad a place is whose light stays, in pixels of the crop, and the share of its change that does not come.
  private static let broad = (sigma: 4.5, share: 0.6)
  /// The most that a place gets lighter, in its logarithm: more would glow beside dark lines and lashes, and redden folds.
  private static let mostLighter = 0.06
  /// The share of the darkening around the eyes that goes where eyelids are softened.
  private static let softenedEyelids = 0.7
}

import Torch

/// What steps in latent space are about. Codes are entangled, so a little of everything decodes otherwise; what the steps have no
/// business with stays as the photo has it.
struct EditScope: Sendable, Equatable {
  /// None is about the hair on the head: smiles and beards leave it as it is, whatever decodes there.
  var leavesHair = true
  /// None is about the colour of skin: what decodes is taken in the light and tint of what decoded before.
  var leavesSkinColour = true
  /// None reaches beyond the face that decodes: a smaller face would leave its contour within the photo's own.
  var leavesContour = true
  /// None is about the mouth: beards leave its lips and teeth, though codes have fewer smiles among them.
  var leavesMouth = true
  /// One shuts the mouth, so that nothing of an open one may stay.
  var shutsMouth = false
  /// One moves the mouth, and what the photo has around it moves along.
  var movesMouth = false
  /// One leaves eyes as they are, and brows in part: what decodes of age has neither make-up nor any colour there, and make-up is put
  /// on.
  var sparesEyes = false
  /// One makes nothing lighter than the skin around it: what decodes of age does beside dark hair and dark lines.
  var staysDim = false
  /// One leaves most of what gets darker around the eyes: make-up that decodes is a bruise there, that which is put on is none.
  var sparesLids = false

  /// Of no step.
  static let none = EditScope()

  private init() {}

  /// Of a change of one label, by what its words mean.
  init(_ edit: AttributeState) {
    let name = edit.name
    leavesHair = Self.ofTheFace.contains(name)
    // A beard's shadow is a colour, and so is the make-up that women wear; skin without it is not darker.
    leavesSkinColour = Self.shapes.contains(name) || Self.baring.contains(edit) || edit == .makeup.reversed || (name == "Male" && edit.adds)
    leavesContour = leavesHair && !AttributeParts.facialHair.contains(name)
    // Who gets younger gets no make-up.
    sparesEyes = name == AttributeState.age.name
    sparesLids = edit == AttributeState.age.reversed
    staysDim = edit == .age
    movesMouth = Self.expressions.contains(name)
    leavesMouth = AttributeParts.facialHair.contains(name)
    shutsMouth = !edit.adds && movesMouth
  }

  /// Of a change of several labels at once. The colour of hair beside a beard is the beard's, and none of the skin's: who has blond
  /// hair is fair.
  init(_ edits: [AttributeState]) {
    let isBeard = edits.contains { AttributeParts.facialHair.contains($0.name) }
    self = edits.filter { !isBeard || PartColour($0.name)?.part != .hair }
      .reduce(.none) { $0.and(EditScope($1)) }
    if isBeard, edits.count > 1 { leavesSkinColour = true }
  }

  /// Of this one's steps and of another's.
  func and(_ other: EditScope) -> EditScope {
    var both = self
    both.leavesHair = leavesHair && other.leavesHair
    both.leavesSkinColour = leavesSkinColour && other.leavesSkinColour
    both.leavesContour = leavesContour && other.leavesContour
    both.leavesMouth = leavesMouth && other.leavesMouth
    both.shutsMouth = shutsMouth || other.shutsMouth
    both.movesMouth = movesMouth || other.movesMouth
    both.sparesEyes = sparesEyes || other.sparesEyes
    both.staysDim = staysDim || other.staysDim
    both.sparesLids = sparesLids || other.sparesLids
    return both
  }

  private static let expressions: Set = ["Mouth_Slightly_Open", "Smiling"]

  /// Age is one of shapes: what decodes of it reddens.
  private static let shapes: Set = [
    "Big_Lips", "Big_Nose", "Chubby", "Double_Chin", "High_Cheekbones", "Mouth_Slightly_Open", "Narrow_Eyes", "Oval_Face",
    "Pointy_Nose", "Smiling", "Young",
  ]

  /// Where hair goes, skin of this face comes.
  private static let baring: Set = [
    AttributeState(name: "Bald", adds: true), AttributeState(name: "Receding_Hairline", adds: true), .bangs.reversed,
  ]

  private static let ofTheFace = shapes.union(AttributeParts.facialHair + AttributeParts.makeup)
    .union(["Arched_Eyebrows", "Bags_Under_Eyes", "Bushy_Eyebrows", "Male", "Pale_Skin"]).subtracting(["Sideburns"])
}

/// What the face parser sees in faces before and after steps, as far as scopes ask for it.
struct SeenParts {
  /// Of the photos, as ``FaceParser/otherThanSkin(in:)`` gives it.
  var other: Tensor
  /// How surely a place is within the face that decodes after the steps, N × 1 × S × S in [0, 1].
  var face: Tensor
  /// How surely it is off that face's contour as well, the same.
  var inner: Tensor
  /// How far the photo's own eyes and brows stay where they are spared, the same.
  var eyes: Tensor
  /// How surely a place is of the lips or between them, the same.
  var mouth: Tensor
  /// How near eyes and brows are, the same.
  var aroundEyes: Tensor

  /// - Parameters:
  ///   - other: as of ``other``.
  ///   - outside: as of ``FaceParser/otherThanFace(in:)``, of what decodes after the steps.
  ///   - eyes: of the photos, as ``FaceParser/eyesAndBrows(in:)`` gives it.
  ///   - lips: how surely a place is of the photos' lips, N × 1 × S × S in [0, 1].
  init(other: Tensor, outside: Tensor, eyes: Tensor, lips: Tensor) throws {
    self.other = other
    mouth = try (lips + other.narrow(1, 1..<2)).blurred(sigma: 1).smoothStep(from: 0.2, to: 0.7)
    face = try 1 - outside.blurred(sigma: 3).smoothStep(from: 0.1, to: 0.5)
    inner = try 1 - outside.blurred(sigma: 4).smoothStep(from: 0.05, to: 0.3)
    aroundEyes = try eyes.sum(dims: [1], keepDim: true).blurred(sigma: 5).smoothStep(from: 0.02, to: 0.2)
    let features = try eyes.blurred(sigma: 2).smoothStep(from: 0.1, to: 0.5)
    self.eyes = try 1 - (1 - features.narrow(1, 0..<1)) * (1 - features.narrow(1, 1..<2) * Self.sparedBrows)
  }

  /// Brows of old people are lighter, too.
  private static let sparedBrows = 0.4
}

extension Composition {
  /// What steps do to each pixel, each within its scope; as ``change(of:from:to:)``.
  /// - Parameters:
  ///   - crops: N × 3 × S × S in [0, 1].
  ///   - before: what decodes from their codes.
  ///   - after: what decodes from the moved ones.
  ///   - scopes: of each face's steps.
  ///   - seen: of these faces; parts that no scope asks for may hold anything.
  static func difference(
    of crops: Tensor, from before: Reconstruction, to after: Reconstruction, within scopes: [EditScope], seen: SeenParts
  ) throws -> Tensor {
    func plane(_ asked: (EditScope) -> Bool) throws -> Tensor {
      try Tensor(scopes.map { asked($0) ? Float(1) : 0 }, shape: [scopes.count, 1, 1, 1]).to(crops.device)
    }
    let (other, face) = (seen.other, try 1 - (1 - seen.face) * plane(\.leavesContour))
    let after = try keepingTint(of: before, in: after, for: scopes.map(\.leavesSkinColour), weighted: face)
    let mouth = try other.narrow(1, 1..<2).blurred(sigma: 4).smoothStep(from: 0.05, to: 0.3)
    let change = try face * Composition.difference.change(
      of: crops, from: before, to: after, replacing: mouth * plane(\.shutsMouth))
    let hair = try other.narrow(1, 2..<3).smoothStep(from: 0.2, to: 0.6)
    // A contour is dark, on its inner side, too.
    let lighter = try (crops * change.narrow(1, 3..<4) + change.narrow(1, 0..<3)).mean(dims: [1], keepDim: true)
    let darkened = try (-lighter / 0.2).clamp(min: 0, max: 1)
    let contour = try 1 - darkened * (1 - seen.inner) * plane(\.leavesContour)
    let eyes = try 1 - seen.eyes * plane(\.sparesEyes)
    let lids = try 1 - (-lighter / 0.1).clamp(min: 0, max: 1) * seen.aroundEyes * (plane(\.sparesLids) * Self.sparedLids)
    let scoped = try change * contour * lids * eyes * (1 - seen.mouth * plane(\.leavesMouth)) * (1 - hair * plane(\.leavesHair))
    return scopes.contains(where: \.staysDim) ? try dimmed(scoped, of: crops, seen: other, where: plane(\.staysDim)) : scoped
  }

  /// A change that makes nothing lighter than the skin around it: where a dark line goes that the photo has thinner than what decodes, or
  /// dark hair, a light one would come.
  private static func dimmed(_ change: Tensor, of crops: Tensor, seen other: Tensor, where isAsked: Tensor) throws -> Tensor {
    let skin = try (1 - other.sum(dims: [1], keepDim: true)).clamp(min: 0)
    let colour = try (crops * skin).blurred(sigma: 8) / skin.blurred(sigma: 8).clamp(min: 1e-2)
    let (light, level) = (try crops.mean(dims: [1], keepDim: true), try colour.mean(dims: [1], keepDim: true))
    let stays = try crops * (change.narrow(1, 3..<4) + 1)
    let comes = try stays + change.narrow(1, 0..<3)
    let amount = try comes.mean(dims: [1], keepDim: true)
    let most = try light.maximum(level)
    let lost = try (1 - most / amount.clamp(min: 1e-3)).clamp(min: 0) * isAsked
    // In the skin's colour, too: white that is dimmed is gray.
    let share = try (lost / 0.12).clamp(max: 1)
    let result = try comes * (1 - lost) * (1 - share) + colour * (most / level.clamp(min: 1e-3)) * share
    return try Tensor.cat([result - stays, change.narrow(1, 3..<4)], dim: 1)
  }

  /// How much of what gets darker around the eyes goes where lids are spared.
  private static let sparedLids = 0.7
}

import Facet
import Torch

/// Everything that decides how a decoder is sharpened against a critic; stored in each checkpoint.
public struct DecoderTraining: TrainingRecipe {
  /// The attributes by which half of each step's codes are moved, each face to the side where it is not: what decodes
  /// there has no photo to be compared with, and is what edits are made of.
  public var attributes = AttributeTable.all.filter(\.isSharpened).map(\.name)
  /// Whether the critic compares moved faces with photos of those who have what was asked, rather than with any.
  public var critic: CriticView?
  /// Photos in a step: half as they are, half moved.
  public var batchSize = 32
  /// Seed of all chance.
  public var seed: UInt64 = 1
  /// The highest learning rate of the decoder; the critic's is twice as high.
  public var learningRate = 2e-4
  /// The decay of the averaged weights, which are the ones that ship.
  public var emaDecay = 0.998
  /// Weights of the article's terms, for codes as they are; KL has none, for the encoder stays.
  public var objective = ObjectiveWeights()
  /// Weight of how real decoded faces look to the critic.
  public var realism = 0.1
  /// Weight of the distance between what the critic's stages see in a photo and in its decoded face (Larsen et al. 2016).
  public var features = 1.0
  /// Weight of the distance of moved faces, without their detail, from what the decoder made of them before.
  public var likeness = 4.0
  /// How far codes are moved, in parts of strength 1.
  public var strengths: [Double] = [0.5, 1.1]
  /// Convolutions in bfloat16 where the processor has it, losses in float32.
  public var usesBFloat16 = true
  /// How much is trained.
  public var budget = TrainingConfiguration.Budget(minutes: 60)
  /// Minutes between two checkpoints.
  public var checkpointMinutes = 5.0

  /// What a critic holds moved faces against.
  public enum CriticView: String, Codable, Sendable, CaseIterable {
    /// All photos.
    case faces
    /// Photos of those who have what was asked, the other labels alike on both sides.
    case attributes
  }

  private static let kind = "decoder"

  /// The defaults, for an hour.
  public init() {}

  public func validate() throws {
    try validateCourse(of: Self.kind, emaDecay: emaDecay)
    try require(batchSize % 2 == 0, "batchSize", "even: half of the codes are moved", of: Self.kind)
    try require(!attributes.isEmpty, "attributes", "at least one", of: Self.kind)
    let weights = [
      ("realism", realism), ("features", features), ("likeness", likeness), ("objective.ssim", objective.ssim),
      ("objective.mae", objective.mae), ("objective.mask", objective.mask),
    ]
    for (name, weight) in weights { try require((0...1e6).contains(weight), name, "from 0 to 1000000", of: Self.kind) }
    try require(
      strengths.count == 2 && 0 < strengths[0] && strengths[0] <= strengths[1] && strengths[1] <= 3, "strengths",
      "two rising numbers above 0 and up to 3", of: Self.kind)
  }
}

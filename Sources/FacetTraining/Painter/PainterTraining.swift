import Facet
import Torch

/// Everything that decides how a painter is trained; stored in each checkpoint.
public struct PainterTraining: TrainingRecipe {
  /// The size of the network.
  public var model = PainterConfiguration()
  /// The side of the windows that are cut out of the crops around a hole, in pixels.
  public var window = 160
  /// The parts of the face that holes are cut into, each as often as it stands here.
  public var regions: [PaintedRegion] = [
    .lowerFace, .lowerFace, .lowerFace, .mouth, .mouth, .face, .face, .skin, .eyes, .nose, .brows, .forehead,
  ]
  /// Windows in a step.
  public var batchSize = 12
  /// Seed of all chance.
  public var seed: UInt64 = 1
  /// The highest learning rate of the painter; its course is ``TrainingConfiguration/Schedule/cosine``.
  public var learningRate = 6e-4
  /// The decay of the averaged weights, which are the ones that ship.
  public var emaDecay = 0.998
  /// Weight of the absolute error of the pixels.
  public var pixels = 1.0
  /// Weight of the absolute error of the differences between neighbours.
  public var slopes = 1.0
  /// Weight of the perceptual distance.
  public var perceptual = 1.0
  /// Weight of the moved photo's absolute error where it shows the right person.
  public var alignment = 0.5
  /// Weight of how real the painted holes look to the critic; 0 for none. The critic's own learning rate is twice as high.
  public var realism = 0.0
  /// The part of the budget after which the critic is heard, in 0…1: before it, shapes are learned.
  public var criticStart = 0.3
  /// The share of the faces that is learned from, the sharpest ones.
  public var sharpest = 0.9
  /// The share of examples in which a part of the photo's own pixels is another person's.
  public var foreign = 0.5
  /// The share of examples with a hole at the mouth in which what lies between the lips is another person's.
  public var insideMouth = 0.6
  /// The share of examples that are of glasses, in a set that has them.
  public var glasses = 0.0
  /// The share of examples in which the photo's own pixels are not seen.
  public var blind = 0.1
  /// The share of examples from photos made coarser.
  public var coarse = 0.25
  /// Convolutions in bfloat16 where the processor has it, losses in float32.
  public var usesBFloat16 = false
  /// How much is trained.
  public var budget = TrainingConfiguration.Budget(minutes: 60)
  /// Minutes between two checkpoints.
  public var checkpointMinutes = 5.0

  private static let kind = "painter"

  /// The defaults, for an hour.
  public init() {}

  public func validate() throws {
    try validateCourse(of: Self.kind, emaDecay: emaDecay)
    _ = try model.makeNetwork(seed: nil)
    try require(model.cropSize == CropSet.size, "model.cropSize", "\(CropSet.size), a crop's", of: Self.kind)
    try require(
      (64...CropSet.size).contains(window) && window % model.multiple == 0 && window % 40 == 0, "window",
      "a multiple of 40 and \(model.multiple) from 80 to \(CropSet.size)", of: Self.kind)
    try require((1...100).contains(regions.count), "regions", "1 to 100 parts of the face", of: Self.kind)
    for (name, weight) in [
      ("pixels", pixels), ("slopes", slopes), ("perceptual", perceptual), ("alignment", alignment), ("realism", realism),
    ] { try require((0...1e6).contains(weight), name, "from 0 to 1000000", of: Self.kind) }
    for (name, share) in [("criticStart", criticStart), ("foreign", foreign), ("insideMouth", insideMouth), ("glasses", glasses), ("blind", blind), ("coarse", coarse)] {
      try require((0...1).contains(share), name, "from 0 to 1", of: Self.kind)
    }
    try require(0.01...1 ~= sharpest, "sharpest", "from 0.01 to 1", of: Self.kind)
  }
}

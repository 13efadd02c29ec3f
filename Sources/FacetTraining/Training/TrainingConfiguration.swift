import Facet
import Foundation
import Torch

/// Everything that decides how a model is trained; stored in each checkpoint.
public struct TrainingConfiguration: TrainingRecipe {
  /// What the model is built of.
  public var model: ModelConfiguration
  /// What is read of the data set, and how.
  public var dataset: DatasetConfiguration
  /// Weights of the objective's terms.
  public var objective = ObjectiveWeights()
  /// Training's SSIM looks at every n-th row and column of its map, at other ones each step; validation at all.
  public var ssimStride = 1
  /// How photos are changed by chance.
  public var augmentation = Augmentation()
  /// Images in a step, over all processes together.
  public var batchSize = 32
  /// Seed of the weights, the order of the photos and the noise.
  public var seed: UInt64 = 1
  /// The highest learning rate.
  public var learningRate = 1e-4
  /// The learning rate's course.
  public var schedule = Schedule.constant
  /// The constants of the optimiser.
  public var adam = Adam.Configuration()
  /// How gradients are held down.
  public var clipping = Adam.Clipping.none
  /// The decay of the averaged weights, which are the ones validated and shipped; `nil` for none.
  public var emaDecay: Double?
  /// Whether several processes take batch norm's statistics over all their photos of a step, as one process with the
  /// same batch does, or each over its own, which saves time.
  public var synchronizesBatchNorm = false
  /// Convolutions in bfloat16 where the processor has it, losses and statistics in float32.
  public var usesBFloat16 = false
  /// How much is trained.
  public var budget = Budget()
  /// Images between two validations; `nil` validates at the end of each epoch.
  public var validationInterval: Int?
  /// Minutes between two checkpoints.
  public var checkpointMinutes = 5.0
  /// Validations without a better loss after which training stops.
  public var patience = 50

  /// How much is trained; with neither limit, until ``patience`` runs out.
  public struct Budget: Codable, Sendable, Equatable {
    /// Images seen, over all resumed runs.
    public var images: Int?
    /// Time spent training, validation included, over all resumed runs.
    public var minutes: Double?
    /// Limits; `nil` for none.
    public init(images: Int? = nil, minutes: Double? = nil) {
      self.images = images
      self.minutes = minutes
    }

    /// Whether there is a limit at all.
    public var isLimited: Bool { images != nil || minutes != nil }

    /// The part that is spent, 0 ... 1; 0 without a limit.
    public func progress(images: Int, minutes: Double) -> Double {
      let byImages = self.images.map { Double(images) / Double(max(1, $0)) } ?? 0
      let byTime = self.minutes.map { minutes / max(1e-9, $0) } ?? 0
      return min(1, max(byImages, byTime))
    }
  }

  /// The learning rate's course over the budget.
  public enum Schedule: String, Codable, Sendable, CaseIterable {
    /// The same all the time.
    case constant
    /// Up linearly over the first 2 %, then down to 0 along half a cosine (Loshchilov & Hutter 2017).
    case cosine

    /// The factor on the learning rate at `progress` 0 ... 1 of the budget.
    public func factor(_ progress: Double) -> Double {
      switch self {
      case .constant: 1
      case .cosine:
        progress < Self.warmup
          ? max(0.01, progress / Self.warmup)
          : 0.5 * (1 + cos(.pi * (progress - Self.warmup) / (1 - Self.warmup)))
      }
    }

    private static let warmup = 0.02
  }

  /// Checks the ranges of the fields.
  /// - Throws: ``TrainingError`` that names the field, `ModelError`.
  public func validate() throws {
    try model.validate()
    func require(_ condition: Bool, _ field: String, _ range: String) throws {
      try self.require(condition, field, range, of: "model")
    }
    try validateCourse(of: "model", emaDecay: emaDecay, hasEnd: false)
    try require((1...8).contains(ssimStride), "ssimStride", "from 1 to 8")
    try require((0...64).contains(augmentation.maxShift), "augmentation.maxShift", "from 0 to 64")
    try require((0..<1).contains(augmentation.brightness), "augmentation.brightness", "at least 0 and under 1")
    try require((0..<1).contains(augmentation.tint), "augmentation.tint", "at least 0 and under 1")
    try require((0...45).contains(augmentation.rotation), "augmentation.rotation", "from 0 to 45")
    try require((0...0.5).contains(augmentation.zoom), "augmentation.zoom", "from 0 to 0.5")
    for (field, weight) in [("ssim", objective.ssim), ("mae", objective.mae), ("mask", objective.mask), ("kl", objective.kl)] {
      try require((0...1e6).contains(weight), "objective.\(field)", "from 0 to 1000000")
    }
    try require(objective.labels.map { (0...1e6).contains($0) } ?? true, "objective.labels", "from 0 to 1000000")
    try require(validationInterval.map { $0 > 0 } ?? true, "validationInterval", "above 0")
    try require(patience > 0, "patience", "above 0")
    try require(dataset.size == model.imageSize, "dataset.size", "the model's image size, \(model.imageSize)")
    try require(dataset.requiresMasks, "dataset.requiresMasks", "true: the mask is one of the terms")
  }

  /// The recipe of a preset.
  public init(preset: ModelConfiguration.Architecture) {
    switch preset {
    case .article:
      model = .article
      clipping = .perVariable(1e-3)
    case .compact:
      model = .compact
      learningRate = 1e-3
      schedule = .cosine
      emaDecay = 0.999
      usesBFloat16 = true
      clipping = .global(1)
      ssimStride = 2
      augmentation.maxShift = 4
      augmentation.brightness = 0.15
      augmentation.tint = 0.05
      augmentation.rotation = 5
      augmentation.zoom = 0.06
    }
    dataset = DatasetConfiguration()
    dataset.size = model.imageSize
  }
}

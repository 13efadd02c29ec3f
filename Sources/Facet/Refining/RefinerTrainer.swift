import Files
import Foundation
import Torch

/// Trains a refiner of a model against a critic.
///
/// Photos that lack an attribute are moved in latent space and refined; a critic learns to tell them from photos that have
/// it, and the refiner to be taken for those, while a classifier of photos watches over what is asked and what is not
/// (after StarGAN: Choi et al. 2018). The output folder is a bundle from the first checkpoint on: the model's own, with
/// the refiner. A run that is taken up from a checkpoint does what it would have done without the break, on the CPU to
/// the last bit with the same threads and a budget in images.
public final class RefinerTrainer: SteppingTrainer {
  public let configuration: RefinerTraining
  public let output: URL
  public internal(set) var progress = TrainingProgress()
  let bundle: ModelBundle
  private let directions: AttributeDirections
  private let classifier: AttributeClassifier
  private let parser: FaceParser
  let samples: DecodedCache
  private let photos: [RefinerPhotos]
  let device: Device
  private let refiner: RefinerNetwork
  private let critic: Critic
  private let optimizers: (refiner: Adam, critic: Adam)
  private let average: ExponentialMovingAverage
  /// Of the classifier's names, for each edit: the asked one, with its sign, and those that should stay, edits × names.
  private let asked: Tensor
  private let others: Tensor

  /// Prepares a run.
  /// - Parameters:
  ///   - configuration: the edits and the recipe.
  ///   - bundle: the model, with attribute directions.
  ///   - classifier: of the same view of faces as the model's.
  ///   - samples: the training partition, as the model sees it; masks are not needed.
  ///   - parser: says what is skin; `nil` for the one inside the package.
  ///   - start: begin with the weights of its network that draws just these edits, rather than by chance.
  ///   - output: the folder that becomes the bundle with the refiner.
  ///   - device: where model and classifier are.
  ///   - resume: go on from the last checkpoint if it is there.
  /// - Throws: ``TrainingError`` when the configuration is out of range, a label is unknown or has too few photos, the
  ///   classifier sees another view, or the checkpoint is damaged or of another run; ``BundleError``; `FileError` when
  ///   the folder cannot be written to.
  public init(
    _ configuration: RefinerTraining, of bundle: ModelBundle, by classifier: AttributeClassifier,
    on samples: DecodedCache, parser: FaceParser? = nil, from start: Refiner? = nil, output: URL, device: Device = .cpu,
    resume: Bool = false
  ) throws {
    try configuration.validate()
    (self.configuration, self.bundle, self.classifier, self.samples) = (configuration, bundle, classifier, samples)
    (self.output, self.device) = (output, device)
    self.parser = try parser ?? FaceParser(device: device)
    if device == .cpu { Torch.keepFreedMemory() }
    guard classifier.view == bundle.configuration.view else {
      throw TrainingError(
        "the classifier sees another view of faces (\(classifier.view)) than the model (\(bundle.configuration.view))")
    }
    guard bundle.configuration.imageSize % Refiner.granularity == 0 else {
      throw TrainingError("a refiner cannot draw at the model's size of \(bundle.configuration.imageSize)")
    }
    directions = try AttributeDirections(of: bundle)
    let names = classifier.names
    var (asked, others): ([Float], [Float]) = ([], [])
    for edit in configuration.edits {
      _ = try directions.index(of: edit.name)
      guard let column = names.firstIndex(of: edit.name) else {
        throw TrainingError("the classifier has no label '\(edit.name)'; a refiner needs it there")
      }
      let free = Set(AttributeParts.others(than: column, of: names))
      asked += names.indices.map { $0 == column ? (edit.adds ? 1 : -1) : 0 }
      others += names.indices.map { free.contains($0) ? 1 / Float(free.count) : 0 }
    }
    let shape = [configuration.edits.count, names.count]
    (self.asked, self.others) = (try Tensor(asked, shape: shape).to(device), try Tensor(others, shape: shape).to(device))
    photos = try configuration.edits.map { edit in
      try RefinerPhotos(edit, in: samples, examples: configuration.examples[edit.description].map(Set.init))
    }
    bundle.model.setTraining(false)
    try bundle.model.setRequiresGrad(false)

    refiner = try RefinerNetwork(edits: configuration.edits, seed: configuration.seed)
    if let start {
      guard let known = start.networks.first(where: { $0.edits == configuration.edits }) else {
        throw TrainingError("the refiner to begin with has no network for just these edits; leave '--from' out")
      }
      try refiner.load(known.state())
    }
    critic = try Critic(edits: configuration.edits.count, generator: Generator(seed: configuration.seed ^ 1 << 40))
    for module in [refiner, critic] as [any Module] {
      try module.move(to: device)
      try module.useChannelsLast()
      try module.setRequiresGrad(true)
    }
    var adam = Adam.Configuration()
    (adam.beta1, adam.beta2) = (0.5, 0.99)
    optimizers = (try Adam(refiner, configuration: adam), try Adam(critic, configuration: adam))
    average = try ExponentialMovingAverage(refiner, decay: configuration.emaDecay)
    try takeUp(resume: resume)
  }

  var source: String { bundle.fingerprint }
  public var parameterCount: Int { refiner.parameterCount }
  public var photoCount: Int { samples.count }

  @discardableResult
  public func run(
    shouldStop: () -> Bool = { false }, onEvent: (CriticTrainingEvent<RefinerLosses>) throws -> Void = { _ in }
  ) throws -> Trainer.Ending {
    try train(shouldStop, onEvent)
  }

  // MARK: A step

  /// Photos of a step with what the frozen model makes of them.
  private struct Material {
    /// For each photo its edit.
    var edits: [Int]
    var images: Tensor
    /// What is drawn over: the photos, with the step composed in where the edit decodes it, too.
    var shown: Tensor
    var examples: Tensor
    var before: Reconstruction
    var after: Reconstruction
    /// How surely a place is no skin, as ``FaceParser/otherThanSkin(in:)`` gives it.
    var spared: Tensor
    /// What the edits are not about, with the lids of the eyes: without lashes they look blind. N × 1 × S × S in [0, 1].
    var held: Tensor
  }

  func step(learningRate: Double) throws -> RefinerLosses {
    // A seed for each step, so that a resumed run draws what it would have drawn.
    var chance = SplitMix64(seed: configuration.seed ^ UInt64(progress.step) << 20)
    let generator = try Generator(seed: chance.next(), device: device)
    let material = try withoutGradients { try self.material(&chance) }
    let images = material.images
    let rows = try Tensor(material.edits.map(Int64.init)).to(device)
    let selection = try Tensor.identity(configuration.edits.count).to(.float32).to(device)
      .indexSelect(0, rows).reshape([rows.count, configuration.edits.count, 1, 1])

    let change = try autocast {
      try refiner.change(
        material.edits, of: material.shown, from: material.before, to: material.after, sparing: material.spared)
    }
    let edited = try Composition.difference.composed(over: material.shown, change)

    // The critic's turn.
    let shown = try varied(Tensor.cat([material.examples, edited.detach()]), generator)
    let both = try Tensor.cat([selection, selection])
    let opinions = try autocast { try critic(shown, both, learns: true).realism }
    let count = material.edits.count
    let criticLoss = try Critic.hinge(
      real: opinions.narrow(0, 0..<count), drawn: opinions.narrow(0, count..<2 * count))
    try critic.zeroGrad()
    try criticLoss.backward()
    try checkFinite(criticLoss.item())
    try optimizers.critic.step(learningRate: learningRate)

    // The refiner's.
    let realism = try autocast { try critic(varied(edited, generator), selection, learns: false).realism }.mean()
    let views = try Glimpses()(AttributeClassifier.sized(Tensor.cat([edited, images], dim: 1)), generator)
    let (after, original) = try autocast {
      let original = try withoutGradients { try classifier.logits(of: views.narrow(1, 3..<6).contiguous()) }
      return (try classifier.logits(of: views.narrow(1, 0..<3).contiguous()).to(.float32), try original.to(.float32))
    }
    let odds = try (after * asked.indexSelect(0, rows)).sum(dims: [1])
    let leakage = try ((after.sigmoid() - original.sigmoid()).abs() * others.indexSelect(0, rows)).sum(dims: [1]).mean()
    let pixels = try (edited - material.shown).abs().mean()
    var loss = try (configuration.margin - odds).softplus().mean() * configuration.asked - realism
    loss = try loss + leakage * configuration.leakage + pixels * configuration.pixels
    let opacity = try -change.narrow(1, 3..<4)
    loss = try loss + opacity.mean() * configuration.opacity + (opacity * material.held).mean() * configuration.held
    try refiner.zeroGrad()
    try loss.backward()
    try checkFinite(loss.item())
    try optimizers.refiner.step(learningRate: learningRate)
    try average.update(step: progress.step + 1)
    return RefinerLosses(
      critic: try criticLoss.item(), realism: try realism.item(), seen: try (odds > 0).to(.float32).mean().item(),
      leakage: try leakage.item(), pixels: try pixels.item())
  }

  private func material(_ chance: inout SplitMix64) throws -> Material {
    let size = configuration.batchSize
    let edits = (0..<size).map { (progress.step * size + $0) % configuration.edits.count }
    let drawn = edits.map { photos[$0].draw(&chance) }
    var images = try samples.images(drawn.map(\.source), on: device)
    if chance.next() & 1 == 1 { images = try images.flip([3]) }
    let codes = try autocast { try bundle.model.encode(images).mean }.to(.float32)
    let seen = try codes.to(.cpu)
    let steps = try edits.enumerated().map { row, edit in
      let edit = configuration.edits[edit]
      let share = Double(chance.next() >> 11) * 0x1p-53
      let strength = configuration.strengths[0] * (1 - share) + configuration.strengths[1] * share
      return try directions.step(
        edit.name, strength: edit.adds ? strength : -strength, on: seen.narrow(0, row..<row + 1))
    }
    let spared = try autocast { try parser.otherThanSkin(in: images) }
    let lids = try spared.narrow(1, 0..<1).maxPool2d(4).upsampleBilinear2d(scale: 4)
    let planes = try AttributeState.planes(of: edits.map { configuration.edits[$0] }).to(device)
    let (before, after) = try (
      decoded(codes, by: bundle.model), decoded(codes + Tensor.cat(steps).to(device), by: bundle.model)
    )
    return Material(
      edits: edits, images: images, shown: try shown(edits, images, before, after, spared),
      examples: try samples.images(drawn.map(\.example), on: device), before: before, after: after, spared: spared,
      held: try (Tensor.cat([lids, spared.narrow(1, 1..<4)], dim: 1) * planes).sum(dims: [1], keepDim: true).clamp(max: 1))
  }

  private func shown(
    _ edits: [Int], _ images: Tensor, _ before: Reconstruction, _ after: Reconstruction, _ spared: Tensor
  ) throws -> Tensor {
    let scopes = edits.map { EditScope(configuration.edits[$0]) }
    // Others are drawn over the photo.
    guard scopes.contains(where: \.leavesSkinColour) else { return images }
    let isDecoded = try Tensor(
      scopes.map { $0.leavesSkinColour ? Float(1) : 0 }, shape: [edits.count, 1, 1, 1]).to(device)
    let outside = try autocast { try parser.otherThanFace(in: after.image) }
    let eyes = try scopes.contains(where: \.sparesEyes)
      ? autocast { try parser.eyesAndBrows(in: images) } : .zeros([edits.count, 2, images.size(2), images.size(3)]).to(device)
    let change = try Composition.difference(
      of: images, from: before, to: after, within: scopes,
      seen: SeenParts(other: spared, outside: outside, eyes: eyes, lips: .zeros([edits.count, 1, images.size(2), images.size(3)]).to(device)))
    return try Composition.difference.composed(over: images, change * isDecoded)
  }

  /// Pictures as the critic sees them: moved and relit, so that it cannot learn the few examples by heart. Interpolation
  /// softens them all: a critic that sees every pixel looks at noise and grain before it looks at shapes.
  private func varied(_ images: Tensor, _ generator: Generator) throws -> Tensor {
    func uniform() throws -> Tensor {
      try Tensor.rand([images.size(0), 1, 1, 1], generator: generator, device: device) * 2 - 1
    }
    let moved = try Glimpses(rotation: 6, zoom: 0.06, shift: 0.04)(images, generator)
    return try (moved - 0.5) * (uniform() * 0.2 + 1) + 0.5 + uniform() * 0.1
  }

  // MARK: Checkpoints

  static let format = "facet-refiner-checkpoint-1"

  /// The configuration of the run that the folder `output` holds; `nil` where there is none.
  /// - Throws: ``TrainingError`` or `SafetensorsError` when its checkpoint is damaged.
  public static func savedConfiguration(in output: URL) throws -> RefinerTraining? { try saved(in: output) }

  var stored: [String: StoredPart] {
    [
      "ema": StoredPart(average), "refiner": StoredPart(refiner), "critic": StoredPart(critic),
      "refiner-optimizer": StoredPart(optimizers.refiner), "critic-optimizer": StoredPart(optimizers.critic),
    ]
  }

  func check(_ saved: RefinerTraining) throws {
    guard saved.edits == configuration.edits, saved.examples == configuration.examples else {
      throw TrainingError("made for other edits or examples; resume with the same")
    }
  }

  func writeResult() throws {
    try bundle.copy(to: output)
    try Refiner.write(
      average.state().prefixed("networks.0."), edits: [configuration.edits], fingerprint: bundle.fingerprint, to: output)
  }
}

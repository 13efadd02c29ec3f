import Facet
import Files
import Foundation
import Torch

/// Sharpens the decoder of a trained model against a critic (after VAE-GAN: Larsen et al. 2016).
///
/// A decoder that is trained on the distance to photos alone gives the mean of all that a code could be: skin without
/// pores, teeth without gaps. Here a critic learns to tell photos from decoded faces, and the decoder to be taken for
/// photos, at codes as they are and at codes that edits move. The encoder stays, so codes keep their meaning, and directions
/// stay with them. The output folder is a bundle from the first checkpoint on. A run that is taken up from a
/// checkpoint does what it would have done without the break, on the CPU to the last bit with the same threads and a budget
/// in images.
public final class DecoderTrainer: SteppingTrainer {
  /// The recipe.
  public let configuration: DecoderTraining
  /// The folder that the run is written to.
  public let output: URL
  /// Where the run stands.
  public internal(set) var progress = TrainingProgress()
  /// A line for people on the checkpoint that the run goes on from, where it is not the last one.
  public internal(set) var notice: String?
  var lock: WriteLock?
  let bundle: ModelBundle
  private let directions: AttributeDirections
  private let attributes: [Int]
  /// What may be asked of a moved face, where the critic is to know: each has an output of its own after the first.
  private let edits: [(state: AttributeState, photos: BalancedPhotos)]
  let samples: DecodedCache
  let device: Device
  private let model: any FaceVAE
  private let decoder: Parts
  private let critic: Critic
  private let optimizers: (decoder: Adam, critic: Adam)
  private let average: ExponentialMovingAverage
  private let objective: Objective

  /// Modules as one.
  private final class Parts: Module {
    let parts: [any Module]
    init(_ parts: [any Module]) { self.parts = parts }
  }

  /// Prepares a run.
  /// - Parameters:
  ///   - configuration: the recipe.
  ///   - bundle: the model, with attribute directions.
  ///   - samples: the training partition with masks, as the model sees it.
  ///   - output: the folder that becomes the bundle with the new decoder.
  ///   - device: where the model is.
  ///   - resume: go on from the last checkpoint if it is there.
  /// - Throws: ``TrainingError`` when the configuration is out of range, or the checkpoint is damaged or of another run;
  ///   `AttributeError` for an attribute without a direction; `BundleError`; `FileError` when the folder cannot be
  ///   written to.
  public init(
    _ configuration: DecoderTraining, of bundle: ModelBundle, on samples: DecodedCache, output: URL, device: Device = .cpu,
    resume: Bool = false
  ) throws {
    try configuration.validate()
    (self.configuration, self.bundle, self.samples) = (configuration, bundle, samples)
    (self.output, self.device) = (output, device)
    if device == .cpu { Torch.keepFreedMemory() }
    guard samples.hasMasks else { throw TrainingError("a decoder is trained on the face alone: open the photos with masks") }
    guard output.resolvingSymlinksInPath().path != bundle.url.resolvingSymlinksInPath().path else {
      throw TrainingError("\(output.path): holds the model that is to be sharpened; give another folder")
    }
    directions = try AttributeDirections(of: bundle)
    attributes = try configuration.attributes.map { [directions] in try directions.index(of: $0) }
    edits = try configuration.critic != .attributes
      ? []
      : configuration.attributes.flatMap { name in
        try [true, false].map { adds in
          let state = AttributeState(name: name, adds: adds)
          return (state, try BalancedPhotos(state, in: samples))
        }
      }
    bundle.model.setTraining(false)
    try bundle.model.setRequiresGrad(false)

    model = try bundle.configuration.makeModel(seed: nil)
    try model.load(bundle.model.state())
    // The statistics stay as they are: those of moved codes are others.
    model.setTraining(false)
    critic = try Critic(edits: 1 + edits.count, generator: Generator(seed: configuration.seed ^ 1 << 40))
    for module in [model, critic] as [any Module] {
      try module.move(to: device)
      try module.useChannelsLast()
    }
    decoder = Parts(model.decoders)
    try decoder.setRequiresGrad(true)
    try critic.setRequiresGrad(true)
    var adam = Adam.Configuration()
    (adam.beta1, adam.beta2) = (0.5, 0.99)
    optimizers = (
      try Adam(decoder, configuration: adam, clipping: .global(1)), try Adam(critic, configuration: adam)
    )
    average = try ExponentialMovingAverage(decoder, decay: configuration.emaDecay)
    var weights = configuration.objective
    weights.kl = 0
    objective = try Objective(imageSize: bundle.configuration.imageSize, weights: weights, device: device)
    try takeUp(resume: resume)
  }

  var source: String? { bundle.fingerprint }
  /// The numbers that it trains.
  public var parameterCount: Int { decoder.parameterCount }
  /// The photos that it learns from.
  public var photoCount: Int { samples.count }

  @discardableResult
  public func run(
    shouldStop: () -> Bool = { false }, onEvent: (TrainingEvent) throws -> Void = { _ in }
  ) throws -> Trainer.Ending {
    try train(shouldStop, onEvent)
  }

  // MARK: A step

  /// - Returns: means over the photos: the critic's own loss, 2 where it cannot tell photos from decoded faces; how real
  ///   decoded faces looked to it; the distance between what its stages see in both; 2 − SSIM and the mean absolute
  ///   difference; and the distance of moved faces, without detail, from what decoded there before.
  func step(learningRate: Double) throws -> [(name: String, value: Double)] {
    // A seed for each step, so that a resumed run draws what it would have drawn.
    var chance = SplitMix64(seed: configuration.seed ^ UInt64(progress.step) << 20)
    let generator = try Generator(seed: chance.next(), device: device)
    var rows = (0..<configuration.batchSize).map { _ in Int.random(in: 0..<samples.count, using: &chance) }
    let (still, moved) = (0..<rows.count / 2, rows.count / 2..<rows.count)
    // What is asked of each moved face, and who shows it.
    let asked = edits.isEmpty ? [] : moved.map { _ in Int.random(in: edits.indices, using: &chance) }
    let drawn = asked.map { edits[$0].photos.draw(&chance) }
    if !drawn.isEmpty { rows.replaceSubrange(moved, with: drawn.map(\.source)) }
    let isFlipped = chance.next() & 1 == 1
    func loaded(_ rows: [Int]) throws -> (Tensor, Tensor) {
      let (images, masks) = (try samples.images(rows, on: device), try samples.masks(rows, on: device))
      return isFlipped ? (try images.flip([3]), try masks.flip([3])) : (images, masks)
    }
    let (images, masks) = try loaded(rows)
    let (codes, taught) = try withoutGradients {
      let codes = try autocast { try bundle.model.encode(images).mean }.to(.float32)
      let ahead = try codes.narrow(0, moved) + steps(on: codes.narrow(0, moved), asked, &chance)
      return (try Tensor.cat([codes.narrow(0, still), ahead]), try decoded(ahead, by: bundle.model))
    }
    // Outside the mask what decodes is not trained, and no critic is to see it.
    let places = try Tensor.cat([
      masks.narrow(0, still), masks.narrow(0, moved) * (taught.maskLogits > 0).to(.float32),
    ])
    let faces = try decoded(codes, by: model)

    // The critic's turn.
    let photos = try Self.cut(images, to: masks)
    var real = photos
    if !drawn.isEmpty {
      let (images, masks) = try loaded(drawn.map(\.example))
      real = try Tensor.cat([photos.narrow(0, still), Self.cut(images, to: masks)])
    }
    let selection = try edits.isEmpty ? nil : selection(of: still.map { _ in 0 } + asked.map { $0 + 1 })
    let shown = try varied(Tensor.cat([real, Self.cut(faces.image.detach(), to: places)]), generator)
    let both = try selection.map { try Tensor.cat([$0, $0]) }
    let opinions = try autocast { try critic(shown, both, learns: true).realism }
    let criticLoss = try Critic.hinge(
      real: opinions.narrow(0, 0..<rows.count), drawn: opinions.narrow(0, rows.count..<2 * rows.count))
    try critic.zeroGrad()
    try criticLoss.backward()
    try checkFinite(criticLoss.item())
    try optimizers.critic.step(learningRate: 2 * learningRate)

    // The decoder's. A photo and its face are turned alike: what the critic's stages see of them is compared.
    let pairs = try varied(
      Tensor.cat([Self.cut(faces.image, to: places), photos], dim: 1), generator)
    let opinion = try autocast { try critic(pairs.narrow(1, 0..<3), selection, learns: false) }
    let seen = try withoutGradients {
      try autocast { try critic(pairs.narrow(1, 3..<6).narrow(0, still), learns: false).features }
    }
    let realism = try opinion.realism.mean()
    var features = try Tensor.zeros([], device: device)
    for (face, photo) in zip(opinion.features, seen) {
      features = try features + (face.narrow(0, still) - photo).to(.float32).abs().mean()
    }
    let terms = try objective(
      images: images.narrow(0, still), masks: masks.narrow(0, still),
      reconstruction: Reconstruction(
        image: faces.image.narrow(0, still), maskLogits: faces.maskLogits.narrow(0, still)),
      posterior: Posterior(mean: .zeros([1], device: device), logDeviation: .zeros([1], device: device)),
      sampling: SSIM.Sampling(stride: 2, step: progress.step))
    let (now, before) = (try faces.image.narrow(0, moved), taught.image)
    let likeness = try ((now - before).avgPool2d(4).abs() * places.narrow(0, moved).avgPool2d(4)).mean()
    let mask = try faces.maskLogits.narrow(0, moved).binaryCrossEntropyWithLogits(taught.mask)
    var loss = try terms.total + mask * configuration.objective.mask + likeness * configuration.likeness
    loss = try loss + features * configuration.features - realism * configuration.realism
    try decoder.zeroGrad()
    try loss.backward()
    try checkFinite(loss.item())
    try optimizers.decoder.step(learningRate: learningRate)
    try average.update(step: progress.step + 1)
    return [
      ("critic", try criticLoss.item()), ("realism", try realism.item()), ("features", try features.item()),
      ("ssim_loss", try terms.ssimLoss.item()), ("mae", try terms.mae.item()), ("likeness", try likeness.item()),
    ]
  }

  /// The critic's output for each face, faces × outputs × 1 × 1.
  private func selection(of outputs: [Int]) throws -> Tensor {
    let rows = try Tensor(outputs.map(Int64.init), shape: [outputs.count])
    let table = try Tensor.identity(1 + edits.count).to(.float32).indexSelect(0, rows)
    return try table.reshape([outputs.count, -1, 1, 1]).to(device)
  }

  /// For each code a step by an attribute: what is asked, or to the side where its probe does not see it.
  private func steps(on codes: Tensor, _ asked: [Int], _ chance: inout SplitMix64) throws -> Tensor {
    let seen = try codes.to(.cpu)
    let odds = try directions.probes.logits(of: seen)
    let steps = try (0..<codes.size(0)).map { row in
      let index = attributes.randomElement(using: &chance)!
      let strength = Double.random(in: configuration.strengths[0]...configuration.strengths[1], using: &chance)
      let state = try asked.isEmpty
        ? AttributeState(name: directions.names[index], adds: odds.select(0, row).select(0, index).item() < 0)
        : edits[asked[row]].state
      return try directions.step(
        state.name, strength: state.adds ? strength : -strength, on: seen.narrow(0, row..<row + 1))
    }
    return try Tensor.cat(steps).to(device)
  }

  private static func cut(_ images: Tensor, to masks: Tensor) throws -> Tensor { try images * masks + (1 - masks) * 0.5 }

  /// Pictures as the critic sees them: in every other step turned a little, which softens them, so that it learns shapes; as they
  /// are in the others, or a pattern of single pixels would pass.
  private func varied(_ images: Tensor, _ generator: Generator) throws -> Tensor {
    progress.step % 2 == 0 ? images : try RandomViews(rotation: 4, zoom: 0.04, shift: 0.03)(images, generator)
  }

  // MARK: Checkpoints

  /// What its checkpoints say that they are.
  static let format = "facet-decoder-checkpoint-1"

  /// The configuration of the run that the folder `output` holds; `nil` where there is none.
  /// - Throws: ``TrainingError`` or `SafetensorsError` when its checkpoint is damaged.
  public static func savedConfiguration(in output: URL) throws -> DecoderTraining? { try saved(in: output) }

  /// What a checkpoint holds, by the prefix of its names.
  var stored: [String: StoredPart] {
    [
      "ema": StoredPart(average), "decoder": StoredPart(decoder), "critic": StoredPart(critic),
      "decoder-optimizer": StoredPart(optimizers.decoder), "critic-optimizer": StoredPart(optimizers.critic),
    ]
  }

  /// - Throws: ``TrainingError`` when a run with another recipe cannot be gone on with, for more than another batch or seed.
  func check(_ saved: DecoderTraining) throws {
    let knows = [saved, configuration].map { $0.critic == .attributes ? $0.attributes : [] }
    guard knows[0] == knows[1] else {
      throw TrainingError("made with a critic of other attributes; resume with the same --critic and --attribute")
    }
  }

  func writeResult() throws {
    let shipped = try bundle.configuration.makeModel(seed: nil)
    try shipped.load(bundle.model.state())
    try Parts(shipped.decoders).load(average.state())
    let origin = bundle.origin.map { "; before: \($0)" } ?? ""
    try bundle.write(
      withDecoderOf: shipped.state(),
      origin: "decoder sharpened on \(progress.images) images, by Facet \(facetVersion)\(origin)", to: output)
  }
}

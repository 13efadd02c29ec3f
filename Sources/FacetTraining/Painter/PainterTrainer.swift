import Facet
import Files
import Foundation
import Photo
import Torch

/// Trains a painter on a set of crops: each window's right answer is the photo itself.
///
/// The output folder holds `painter.safetensors`, which a bundle takes as it is, from the first checkpoint on. A run that is
/// taken up from a checkpoint does what it would have done without the break, on the CPU to the last bit with the same threads
/// and a budget in images. From a painter's file alone it goes on with its weights and its critic's, and fresh moments.
public final class PainterTrainer: SteppingTrainer {
  /// The recipe.
  public let configuration: PainterTraining
  /// The folder that the run is written to.
  public let output: URL
  /// Where the run stands.
  public internal(set) var progress = TrainingProgress()
  /// A line for people on the checkpoint that the run goes on from, where it is not the last one.
  public internal(set) var notice: String?
  var lock: WriteLock?
  let device: Device
  private let crops: CropSet
  private let examples: PaintingExamples
  private let distance: PerceptualDistance
  private let network: PainterNetwork
  private let critic: PaintingCritic
  private let optimizers: (network: Adam, critic: Adam)
  private let average: ExponentialMovingAverage

  /// Prepares a run.
  /// - Parameters:
  ///   - configuration: the recipe.
  ///   - crops: from ``CropSetWriter``.
  ///   - distance: the perceptual distance.
  ///   - start: a painter to go on from, with what its critic knew.
  ///   - output: the folder of the run.
  ///   - device: where the work is done.
  ///   - resume: go on from the last checkpoint if it is there.
  /// - Throws: ``TrainingError`` when the configuration is out of range, or the checkpoint is damaged or of another run;
  ///   `ModelError`; `FileError` when the folder cannot be written to.
  public init(
    _ configuration: PainterTraining, on crops: CropSet, distance: PerceptualDistance, from start: Painter? = nil,
    output: URL, device: Device = .cpu, resume: Bool = false
  ) throws {
    try configuration.validate()
    (self.configuration, self.crops, self.distance) = (configuration, crops, distance)
    (self.output, self.device) = (output, device)
    if device == .cpu { Torch.keepFreedMemory() }
    examples = PaintingExamples(crops: crops, training: configuration, device: device)
    network = try configuration.model.makeNetwork(seed: configuration.seed)
    critic = try PaintingCritic(generator: Generator(seed: configuration.seed ^ 1 << 40))
    if let start {
      guard start.configuration == configuration.model else {
        throw TrainingError("the painter to go on from is of another size than the one to be trained")
      }
      try network.load(start.network.state())
      if let state = start.critic { try critic.load(state) }
      progress.images = start.images
    }
    for module in [network, critic] as [any Module] {
      try module.move(to: device)
      try module.useChannelsLast()
      try module.setRequiresGrad(true)
    }
    var adam = Adam.Configuration()
    (adam.beta1, adam.beta2) = (0.5, 0.99)
    optimizers = (
      try Adam(network, configuration: adam, clipping: .global(1)), try Adam(critic, configuration: adam)
    )
    average = try ExponentialMovingAverage(network, decay: configuration.emaDecay)
    try takeUp(resume: resume)
  }

  /// The numbers that it trains.
  public var parameterCount: Int { network.parameterCount }
  /// The photos that it learns from.
  public var photoCount: Int { crops.count }
  var source: String? { "crops" }

  @discardableResult
  public func run(
    shouldStop: () -> Bool = { false }, onEvent: (TrainingEvent) throws -> Void = { _ in }
  ) throws -> Trainer.Ending {
    try train(shouldStop, onEvent)
  }

  // MARK: A step

  /// - Returns: means over the holes: the absolute error of the pixels, of their differences, the perceptual distance, the
  ///   moved photo's absolute error, and the critic's own loss and how real the holes looked to it, 0 before it is heard.
  func step(learningRate: Double) throws -> [(name: String, value: Double)] {
    // A seed for each step, so that a resumed run draws what it would have drawn.
    var chance = SplitMix64(seed: configuration.seed ^ UInt64(progress.images) << 20)
    let rows = (0..<configuration.batchSize).map { _ in chance.next(below: crops.count) }
    let batch = try withoutGradients { try examples(rows, seed: chance.next()) }
    let (photo, hole) = (batch.photo, batch.input.hole)
    let result = try autocast { try network(batch.input) }
    // What the photo does not have is right however it is painted.
    let wrong = try (result.painted - photo) * batch.valid * (hole > 0).to(.float32)
    let painted = try photo + wrong
    let area = try (hole * batch.valid).mean().item() + 1e-3
    let pixels = try wrong.abs().mean() / area
    let (height, width) = (wrong.size(2), wrong.size(3))
    let slopes = try (
      (wrong.narrow(2, 1..<height) - wrong.narrow(2, 0..<height - 1)).abs().mean()
        + (wrong.narrow(3, 1..<width) - wrong.narrow(3, 0..<width - 1)).abs().mean()) / area
    // The network's strides leave a pattern unless the distance sees it at another place each time.
    let (y, x) = (chance.next(below: 16), chance.next(below: 16))
    func shifted(_ picture: Tensor) throws -> Tensor {
      try picture.narrow(2, y..<y + height - 16).narrow(3, x..<x + width - 16)
    }
    let perceptual = try autocast { try distance(shifted(painted), shifted(photo)) } / area
    let trusted = try (hole > 0).to(.float32) * batch.valid * batch.genuine * result.movedSeen.detach()
    let alignment = try ((result.moved - photo).abs() * trusted).mean() / area

    var loss = try pixels * configuration.pixels + slopes * configuration.slopes
    loss = try loss + perceptual * configuration.perceptual + alignment * configuration.alignment
    var (criticLoss, realism) = (0.0, 0.0)
    let spent = configuration.budget.progress(images: progress.images, minutes: progress.minutes)
    if configuration.realism > 0 && spent >= configuration.criticStart {
      let condition = try Tensor.cat([batch.input.guide, hole], dim: 1)
      func opinion(_ picture: Tensor, learns: Bool) throws -> Tensor {
        try autocast { try critic(picture, condition, learns: learns) }.to(.float32)
      }
      let (real, drawn) = (try opinion(photo, learns: true), try opinion(painted.detach(), learns: false))
      // Patches count as far as they see the hole.
      let coarse = try hole.resized(to: (real.size(2), real.size(3)))
      let weight = try coarse / (coarse.mean() + 1e-6)
      let own = try (((1 - real).relu() + (drawn + 1).relu()) * weight).mean()
      try critic.zeroGrad()
      try own.backward()
      criticLoss = try own.item()
      try checkFinite(criticLoss)
      try optimizers.critic.step(learningRate: 2 * learningRate)
      try critic.setRequiresGrad(false)
      let term = try (opinion(painted, learns: false) * weight).mean()
      loss = try loss - term * configuration.realism
      realism = try term.item()
    }
    try network.zeroGrad()
    try loss.backward()
    try critic.setRequiresGrad(true)
    try checkFinite(loss.item())
    try optimizers.network.step(learningRate: learningRate)
    try average.update(step: progress.step + 1)
    return [
      ("pixels", try pixels.item()), ("slopes", try slopes.item()), ("perceptual", try perceptual.item()),
      ("alignment", try alignment.item()), ("critic", criticLoss), ("realism", realism),
    ]
  }

  // MARK: Pictures

  /// Examples as the averaged painter paints them, a row each: what it sees (the guide in the hole), the pixels that it may use,
  /// those moved, its painting, and the photo.
  public func sheet() throws -> Picture? {
    let painter = try configuration.model.makeNetwork(seed: nil)
    try painter.move(to: device)
    try painter.load(average.state())
    try painter.useChannelsLast()
    return try withoutGradients {
      var chance = SplitMix64(seed: configuration.seed ^ 1 << 50)
      let rows = (0..<8).map { _ in chance.next(below: crops.count) }
      let batch = try examples(rows, seed: chance.next())
      let result = try painter(batch.input)
      let input = batch.input
      let columns = [
        try input.photo + (input.guide - input.photo) * input.hole, try input.own * input.seen, result.moved, result.painted,
        batch.photo,
      ]
      return try Picture.sheet(rows.indices.map { row in
        try columns.map { Tile(Picture(try FloatPicture($0.narrow(0, row..<row + 1).clamp(min: 0, max: 1).to(.cpu)))) }
      }, gap: 2)
    }
  }

  // MARK: Checkpoints

  static let format = "facet-painter-checkpoint-1"

  /// The configuration of the run that the folder `output` holds; `nil` where there is none.
  /// - Throws: ``TrainingError`` or `SafetensorsError` when its checkpoint is damaged.
  public static func savedConfiguration(in output: URL) throws -> PainterTraining? { try saved(in: output) }

  var stored: [String: StoredPart] {
    [
      "ema": StoredPart(average), "painter": StoredPart(network), "critic": StoredPart(critic),
      "painter-optimizer": StoredPart(optimizers.network), "critic-optimizer": StoredPart(optimizers.critic),
    ]
  }

  func check(_ saved: PainterTraining) throws {
    if saved.model != configuration.model { throw TrainingError("made for a painter of another size") }
  }

  func writeResult() throws {
    let painter = try Painter(
      configuration.model, weights: average.state(), critic: configuration.realism > 0 ? critic.state() : nil,
      images: progress.images)
    try painter.write(to: output.appendingPathComponent(Painter.file))
  }
}

/// Tells photos from painted holes, patch by patch, told the guide and the hole: an adversary in training only (Isola et al. 2017).
final class PaintingCritic: Module {
  let stages: [NormalizedConv2d]
  let output: NormalizedConv2d

  private static let channels = [48, 96, 144, 192]

  init(generator: Generator) throws {
    var inputs = 7 * PainterNetwork.stem * PainterNetwork.stem
    stages = try Self.channels.enumerated().map { index, channels in
      defer { inputs = channels }
      return try NormalizedConv2d(inputs, channels, kernel: 3, stride: (1...2).contains(index) ? 2 : 1, generator: generator)
    }
    output = try NormalizedConv2d(inputs, 1, kernel: 3, stride: 1, generator: generator)
  }

  /// - Parameters:
  ///   - pictures: N × 3 × H × W in [0, 1].
  ///   - condition: the guide and the hole, N × 4 × H × W.
  ///   - learns: whether the estimates of the weights' norms go on.
  /// - Returns: how real each patch looks, N × 1 × H / 8 × W / 8, without bounds.
  func callAsFunction(_ pictures: Tensor, _ condition: Tensor, learns: Bool) throws -> Tensor {
    var x = try Tensor.cat([pictures * 2 - 1, condition * 2 - 1], dim: 1).pixelUnshuffle(PainterNetwork.stem)
      .contiguous(.channelsLast)
    for stage in stages { x = try stage(x, learns: learns).leakyRelu(0.2) }
    return try output(x, learns: learns)
  }
}

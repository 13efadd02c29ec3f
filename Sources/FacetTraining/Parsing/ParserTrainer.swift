import Facet
import Files
import Foundation
import Torch

/// Everything that decides how a parser is trained; stored in each checkpoint.
public struct ParserTraining: TrainingRecipe {
  /// The size of the network.
  public var model = ParserConfiguration()
  /// How photos are made worse.
  public var degradation = Degradation()
  /// Photos in a step.
  public var batchSize = 16
  /// Seed of the weights, the order and all chance.
  public var seed: UInt64 = 1
  /// The highest learning rate; its course is ``TrainingConfiguration/Schedule/cosine``.
  public var learningRate = 2e-3
  /// The decay of the weights, as of `Adam.Configuration`.
  public var weightDecay = 0.01
  /// The decay of the averaged weights, which are the ones that ship.
  public var emaDecay = 0.998
  /// Rare classes weigh more in the loss: each by its share of the pixels to the power of minus this, up to
  /// ``largestWeight`` times the mean pixel's.
  public var rarity = 0.2
  /// The most that a class weighs, in weights of the mean pixel.
  public var largestWeight = 4.0
  /// What is drawn on pairs, whose classes are then exactly known.
  public var drawn = Drawn()
  /// Convolutions in bfloat16 where the processor has it, losses and statistics in float32.
  public var usesBFloat16 = true
  /// How much is trained.
  public var budget = TrainingConfiguration.Budget(minutes: 30)
  /// Minutes between two checkpoints, each with a measurement on held-out pairs.
  public var checkpointMinutes = 5.0

  /// The shares of pairs on which something is drawn, each from 0 to 1.
  public struct Drawn: Codable, Sendable, Equatable {
    /// Glasses, of pairs made by ``FacePairs/wearingGlasses(drawnBy:variants:progress:)``.
    public var glasses = 0.0
    /// Hands, microphones, masks, scarves and other things in front of the face, which are background.
    public var occluders = 0.0
    /// White or gray hair, before a light background in half of them.
    public var whiteHair = 0.0

    /// Nothing is drawn.
    public init() {}
  }

  /// The defaults, for half an hour.
  public init() {}

  public func validate() throws {
    func require(_ condition: Bool, _ field: String, _ range: String) throws {
      try self.require(condition, field, range, of: "parser")
    }
    try validateCourse(of: "parser", emaDecay: emaDecay)
    try model.validate()
    try require(model.imageSize % 8 == 0, "model.imageSize", "a multiple of 8")
    try require((0..<1).contains(weightDecay), "weightDecay", "at least 0 and under 1")
    try require((0...1).contains(rarity), "rarity", "from 0 to 1")
    try require((1...100).contains(largestWeight), "largestWeight", "from 1 to 100")
    for (name, share) in [("glasses", drawn.glasses), ("occluders", drawn.occluders), ("whiteHair", drawn.whiteHair)] {
      try require((0...1).contains(share), "drawn.\(name)", "from 0 to 1")
    }
    let d = degradation
    try require(d.scale.count == 2 && 0.2 <= d.scale[0] && d.scale[0] <= d.scale[1] && d.scale[1] <= 5,
      "degradation.scale", "two rising factors from 0.2 to 5")
    try require((0...180).contains(d.rotation), "degradation.rotation", "from 0 to 180")
    try require((8...model.imageSize).contains(d.smallest), "degradation.smallest", "from 8 to \(model.imageSize)")
    for (name, value) in [
      ("stretch", d.stretch), ("shift", d.shift), ("light", d.light), ("contrast", d.contrast), ("tint", d.tint),
      ("grey", d.grey), ("noise", d.noise),
    ] {
      try require((0...1).contains(value), "degradation.\(name)", "from 0 to 1")
    }
  }
}

/// Trains a face parser on pairs of photos and label maps.
///
/// The output folder is a parser's folder from the first checkpoint on. A run that is taken up from a checkpoint does
/// what it would have done without the break, on the CPU to the last bit with the same threads and a budget in images.
public final class ParserTrainer: SteppingTrainer {
  /// The recipe.
  public let configuration: ParserTraining
  /// The folder that the run is written to.
  public let output: URL
  /// Where the run stands.
  public internal(set) var progress = TrainingProgress()
  public internal(set) var notice: String?
  /// The measurement on held-out pairs at the last checkpoint of this run.
  public private(set) var report: ParserReport?
  var lock: WriteLock?
  let device: Device
  private let pairs: FacePairs
  private let coarse: FacePairs?
  private let heldOut: LabelledPhotos
  private let network: ParserNetwork
  private let optimizer: Adam
  private let average: ExponentialMovingAverage
  private let classWeights: Tensor
  private var order: EpochOrder?
  private var coarseOrder: EpochOrder?

  /// Prepares a run.
  /// - Parameters:
  ///   - configuration: the parser and the recipe.
  ///   - pairs: to learn from, from ``sourceSide(of:)``.
  ///   - coarse: photos whose maps are right in the large, such as another parser's: beside each photo of `pairs` one of
  ///     them is seen, and only their groups of classes count.
  ///   - start: a parser whose weights are gone on from; its configuration must be the same.
  ///   - heldOut: what the parser is measured on.
  ///   - output: the folder that becomes the parser's.
  ///   - device: where the work is done.
  ///   - resume: go on from the last checkpoint if it is there.
  /// - Throws: ``TrainingError`` when the configuration is out of range, or the checkpoint is damaged or of another
  ///   run; `FileError` when the folder cannot be written to.
  public init(
    _ configuration: ParserTraining, pairs: FacePairs, coarse: FacePairs? = nil, from start: FaceParser? = nil,
    heldOut: LabelledPhotos, output: URL, device: Device = .cpu, resume: Bool = false
  ) throws {
    try configuration.validate()
    guard pairs.count >= configuration.batchSize else {
      throw TrainingError(
        "\(pairs.count) pairs don't fill a batch of \(configuration.batchSize); use a smaller --batch")
    }
    guard coarse.map({ $0.side == pairs.side }) ?? true else {
      throw TrainingError("coarse pairs of \(coarse!.side) pixels a side don't go with others of \(pairs.side)")
    }
    (self.configuration, self.pairs, self.coarse, self.heldOut) = (configuration, pairs, coarse, heldOut)
    (self.output, self.device) = (output, device)
    if device == .cpu { Torch.keepFreedMemory() }
    network = try configuration.model.makeNetwork(seed: configuration.seed)
    if let start {
      guard start.configuration == configuration.model else {
        throw TrainingError("\(start.url.path) is of another size than the parser to be trained")
      }
      try network.load(start.network.state())
    }
    try network.move(to: device)
    try network.useChannelsLast()
    try network.setRequiresGrad(true)
    var adam = Adam.Configuration()
    adam.weightDecay = configuration.weightDecay
    optimizer = try Adam(network, configuration: adam, clipping: .global(1))
    average = try ExponentialMovingAverage(network, decay: configuration.emaDecay)
    let shares = pairs.classShares()
    let weights = shares.map { $0 > 0 ? pow($0, -configuration.rarity) : 0 }
    let mean = zip(shares, weights).reduce(0) { $0 + $1.0 * $1.1 }
    classWeights = try Tensor(weights.map { Float(min($0 / mean, configuration.largestWeight)) }).to(device)
    try takeUp(resume: resume)
  }

  let source: String? = "parser"
  static let format = "facet-parser-checkpoint-2"
  /// The numbers that it trains.
  public var parameterCount: Int { network.parameterCount }
  /// The photos that it learns from.
  public var photoCount: Int { pairs.count + (coarse?.count ?? 0) }

  /// The side at which pairs are kept: larger than what the network sees, so that a face made larger has its detail.
  public static func sourceSide(of model: ParserConfiguration) -> Int { model.imageSize * 4 / 3 }

  /// Trains until the budget is spent or `shouldStop` says so.
  /// - Throws: ``TrainingError`` with the step when the loss is not finite, and what `onEvent` throws.
  @discardableResult
  public func run(
    shouldStop: () -> Bool = { false }, onEvent: (TrainingEvent) throws -> Void = { _ in }
  ) throws -> Trainer.Ending {
    try train(shouldStop, onEvent)
  }

  /// The positions of the next batch of whole ones; where an epoch has no more the next one begins.
  private func nextPositions() -> ArraySlice<Int> {
    let size = configuration.batchSize
    if (progress.batch + 1) * size > pairs.count { (progress.epoch, progress.batch) = (progress.epoch + 1, 0) }
    if order?.epoch != progress.epoch {
      order = EpochOrder(count: pairs.count, seed: configuration.seed, epoch: progress.epoch)
    }
    return order!.positions[progress.batch * size..<(progress.batch + 1) * size]
  }

  /// - Returns: `loss`, the weighted cross-entropy, a mean over the pixels.
  func step(learningRate: Double) throws -> [(name: String, value: Double)] {
    let positions = nextPositions()
    // A seed for each step, so that a resumed run draws what it would have drawn.
    let seed = configuration.seed ^ UInt64(progress.step) << 20
    let source = try pairs.batch(positions, drawn: configuration.drawn, seed: seed, on: device)
    let (count, size) = (positions.count, configuration.model.imageSize)
    var (images, classes) = try configuration.degradation(
      images: source.images, classes: source.classes, size: size, seed: seed)
    if let coarse {
      let more = try coarse.batch(coarsePositions(count, of: coarse)[...], on: device)
      let changed = try configuration.degradation(
        images: more.images, classes: more.classes, size: size, seed: seed ^ 1 << 62, isCut: true)
      (images, classes) = (try .cat([images, changed.images]), try .cat([classes, changed.classes]))
    }
    network.setTraining(true)
    try network.zeroGrad()
    let logits = try autocast { try network(images).to(.float32) }
    // Judged at the picture's own resolution, borders of classes find their place between the coarser pixels.
    let full = try logits.upsampleBilinear2d(scale: ParserNetwork.stem)
    var loss = try full.narrow(0, 0..<count).crossEntropy(classes.narrow(0, 0..<count), weights: classWeights)
    if coarse != nil {
      loss = try loss + Self.coarseLoss(full.narrow(0, count..<2 * count), classes.narrow(0, count..<2 * count))
    }
    let value = try loss.item()
    try checkFinite(value)
    try loss.backward()
    try optimizer.step(learningRate: learningRate)
    try average.update(step: progress.step + 1)
    progress.batch += 1
    return [("loss", value)]
  }

  /// The positions of a step's coarse pairs.
  private func coarsePositions(_ count: Int, of coarse: FacePairs) -> [Int] {
    (progress.step * count..<(progress.step + 1) * count).map { index in
      let epoch = index / coarse.count
      if coarseOrder?.epoch != epoch {
        coarseOrder = EpochOrder(count: coarse.count, seed: configuration.seed ^ 1 << 41, epoch: epoch)
      }
      return coarseOrder!.positions[index % coarse.count]
    }
  }

  /// Mean cross-entropy between ``FaceClass/groups``, whose probabilities are the sums of their classes'.
  /// - Parameters:
  ///   - logits: N × classes × H × W.
  ///   - classes: N × H × W, int64; ``Degradation/noClass`` or `FaceClass.unknown` where a pixel does not count.
  static func coarseLoss(_ logits: Tensor, _ classes: Tensor) throws -> Tensor {
    let members = try Tensor(
      (0..<FaceClass.groupCount).flatMap { group in FaceClass.groups.map { $0 == group ? Float(1) : 0 } },
      shape: [FaceClass.groupCount, FaceClass.groups.count, 1, 1])
    // No logit is so large that its exponential is not a number.
    let weights = try logits.clamp(min: -30, max: 30).exp().conv2d(members.to(logits.device))
    // The first entry is that of no class, the last one of an unknown one.
    let group = try Tensor(([Degradation.noClass] + FaceClass.groups + [Degradation.noClass]).map(Int64.init)).to(logits.device)
    let entries = try (classes - Double(Degradation.noClass)).to(.int64).reshape([-1])
    return try weights.log()
      .crossEntropy(group.indexSelect(0, entries).reshape(classes.shape), ignored: Degradation.noClass)
  }

  // MARK: Checkpoints

  /// The configuration of the run that the folder `output` holds; `nil` where there is none.
  /// - Throws: ``TrainingError`` or `SafetensorsError` when its checkpoint is damaged.
  public static func savedConfiguration(in output: URL) throws -> ParserTraining? {
    try saved(in: output)
  }

  var stored: [String: StoredPart] {
    ["model": StoredPart(network), "optimizer": StoredPart(optimizer), "ema": StoredPart(average)]
  }

  func check(_ saved: ParserTraining) throws {
    if saved.model != configuration.model { throw TrainingError("made for another parser") }
  }

  /// The figures of the last measurement.
  public var figures: [(name: String, value: Double)] {
    report.map { [("mean_iou", $0.meanIoU), ("face_iou", $0.faceIoU)] } ?? []
  }

  private var drawn: String {
    let drawn = configuration.drawn
    let shares = [("glasses", drawn.glasses), ("things in front of the face", drawn.occluders), ("white hair", drawn.whiteHair)]
      .filter { $0.1 > 0 }.map { "\(Int((100 * $0.1).rounded())) % with drawn \($0.0)" }
    return shares.isEmpty ? "" : " (\(shares.joined(separator: ", ")))"
  }
  private var beside: String { coarse.map { " and, of \($0.count) more photos, coarse maps" } ?? "" }

  /// Writes the parser and its card, and measures it.
  func writeResult() throws {
    let origin = "trained on \(progress.images) images of \(pairs.count) pairs\(beside), by Facet \(facetVersion)"
    try FaceParser.write(configuration.model, weights: average.state(), origin: origin, to: output)
    let report = try FaceParser(contentsOf: output, device: device).evaluate(heldOut)
    try AtomicFile.write(Data(card(report).utf8), to: output.appendingPathComponent(NetworkFolder.cardFile))
    self.report = report
  }

  /// A word for people in the parser's folder.
  private func card(_ report: ParserReport) -> String {
    let rows = report.classes.map { "| \($0.name) | \($0.iou.map { String(format: "%.3f", $0) } ?? "–") |" }
    return """
      # A face parser of Facet

      It says of each pixel of a photo of one face which of \(FaceClass.allCases.count) classes it shows: \
      \(network.parameterCount) parameters, \(configuration.model.imageSize) pixels a side. Trained by \
      `facet parse train` on \(pairs.count) pairs of photos and label maps\(drawn)\(beside), \(progress.images) images seen, \
      degraded by chance.

      **Terms.** Those of the pairs that it was trained on; of CelebAMask-HQ: non-commercial research only.

      CelebAMask-HQ may be used for **non-commercial research only**; take a parser that was trained on it as bound \
      by the same terms.

      Intersection over union on \(report.images) pairs that it never saw, mean \
      \(String(format: "%.3f", report.meanIoU)):

      | class | IoU |
      |---|---|
      \(rows.joined(separator: "\n"))

      """
  }
}

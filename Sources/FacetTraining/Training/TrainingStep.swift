import Facet
import Torch

/// One step of gradient descent: encode, sample, decode, objective, backward, Adam, moving average.
///
/// Several processes do it together, each with its part of the batch: noise, augmentation, Dice and the gradient are
/// those of the whole batch.
///
///     let step = try TrainingStep(configuration)
///     let losses = try step(images: images, masks: masks, number: 0, learningRate: 1e-3)
public final class TrainingStep {
  /// How the model is trained.
  public let configuration: TrainingConfiguration
  /// The model.
  public let model: any FaceVAE
  let optimizer: Adam
  let average: ExponentialMovingAverage?
  private let objective: Objective
  private let device: Device
  private let group: ProcessGroup?
  private let reducer: GradientReducer?
  private let share: BatchShare
  private let head: LabelHead?
  private let headOptimizer: Adam?

  /// A model on `device`, and all that training it takes.
  /// - Parameter weights: what it starts from; fresh ones where left out.
  /// - Parameter configuration: the model and the recipe.
  /// - Parameter labelCount: labels of a photo, where the objective weighs them.
  /// - Parameter device: where the work is done.
  /// - Parameter group: the processes that take part; `nil` for this one alone.
  public init(
    _ configuration: TrainingConfiguration, weights: [String: Tensor]? = nil, labelCount: Int = 0, device: Device = .cpu,
    group: ProcessGroup? = nil
  ) throws {
    self.configuration = configuration
    self.group = group
    share = group.map { BatchShare(rank: $0.rank, count: $0.count) } ?? .whole
    self.device = device
    let model = try configuration.model.makeModel(seed: weights == nil ? configuration.seed : nil)
    if let weights { try model.load(weights) }
    try model.move(to: device)
    try model.useChannelsLast()
    try model.setRequiresGrad(true)
    model.setTraining(true)
    self.model = model
    objective = try Objective(imageSize: configuration.model.imageSize, weights: configuration.objective, device: device)
    optimizer = try Adam(model, configuration: configuration.adam, clipping: configuration.clipping)
    average = try configuration.emaDecay.map { try ExponentialMovingAverage(model, decay: $0) }
    if let group, configuration.synchronizesBatchNorm { model.synchronizeBatchNorm(over: group) }
    reducer = try group.map { try GradientReducer(model, over: $0) }
    head = try (configuration.objective.labels ?? 0) == 0
      ? nil
      : LabelHead(latentSize: configuration.model.latentSize, labelCount: labelCount, seed: configuration.seed)
    try head?.move(to: device)
    try head?.setRequiresGrad(true)
    headOptimizer = try head.map { try Adam($0, configuration: configuration.adam) }
  }

  /// Changes the weights by one batch.
  /// - Parameters:
  ///   - images: N × 3 × S × S in [0, 1], channels last; with several processes this one's: every so many-th of the
  ///     whole batch.
  ///   - masks: N × 1 × S × S in {0, 1}.
  ///   - labels: N × labels in {−1, 0, 1}, where the objective weighs them; 0 is not known.
  ///   - number: steps done before; with the seed it decides noise and augmentation.
  ///   - learningRate: Adam's step size.
  /// - Returns: the losses by name, the weighted total first.
  /// - Throws: ``TrainingError`` naming the term when a loss is not finite; the weights are as before.
  public func callAsFunction(
    images: Tensor, masks: Tensor, labels: Tensor? = nil, number: Int, learningRate: Double
  ) throws -> [(name: String, value: Double)] {
    // A seed for each step, so that a resumed run draws the noise that it would have drawn.
    var seeds = SplitMix64(seed: configuration.seed ^ UInt64(number) << 20)
    let generator = try Generator(seed: seeds.next(), device: device)
    let noise = try share.rows(
      of: Tensor.randn(
        [images.size(0) * share.count, configuration.model.latentSize], generator: generator, device: device))
    let (images, masks) = try configuration.augmentation.vary(
      images: images, masks: masks, generator: generator, share: share)

    try model.zeroGrad()
    let (posterior, reconstruction) = try withAutocast(device.precision(bfloat16: configuration.usesBFloat16), on: device) {
      let posterior = try model.encode(images).float32()
      return (posterior, try model.decode(posterior.sample(noise: noise)).float32())
    }
    let terms = try objective(
      images: images, masks: masks, reconstruction: reconstruction, posterior: posterior,
      sampling: SSIM.Sampling(stride: configuration.ssimStride, step: number), over: group)
    var (named, total) = (terms.named, terms.total)
    if let head {
      guard let labels else { throw TrainingError("the objective weighs labels, and the batch has none") }
      let loss = try head.loss(of: posterior.mean, labels: labels)
      total = try total + loss * (configuration.objective.labels ?? 0)
      named[0].value = total
      named.append(("labels", loss))
      try head.zeroGrad()
    }
    let values = try Tensor.stack(named.map { try $0.value.detach() })
    try reducer?.prepare()
    try total.backward()
    // Read once, and after backward: to read is to wait for the device, which has backward to do meanwhile.
    var losses = zip(named.map(\.name), try values.array(Float.self)).map { (name: $0, value: Double($1)) }
    if let group {
      // Also so that all processes stop here when one of them has to.
      let sums = try group.sum(losses.map(\.value))
      losses = zip(losses, sums).map { ($0.name, $1 / Double(group.count)) }
    }
    if let bad = losses.last(where: { !$0.value.isFinite }) {
      throw TrainingError.diverged(at: number + 1, "the loss term '\(bad.name)' is \(bad.value)")
    }
    try optimizer.step(learningRate: learningRate)
    try stepHead(learningRate: learningRate)
    try averageStatistics()
    try average?.update(step: number + 1)
    return losses
  }

  private func stepHead(learningRate: Double) throws {
    guard let head, let headOptimizer else { return }
    if let group {
      try withoutGradients {
        for (_, parameter) in head.parameters {
          guard let gradient = parameter.tensor.grad else { continue }
          try group.allReduce([gradient])
          try gradient.copy(from: gradient / Double(group.count))
        }
      }
    }
    try headOptimizer.step(learningRate: learningRate)
  }

  /// Running statistics are the mean of the processes', so that each process has the whole state.
  private func averageStatistics() throws {
    guard let group, !configuration.synchronizesBatchNorm else { return }
    let buffers = model.buffers.map(\.buffer.tensor)
    try withoutGradients {
      let all = try Tensor.cat(buffers)
      try group.allReduce([all])
      let parts = try (all / Double(group.count)).split(buffers.map { $0.size(0) }, dim: 0)
      for (buffer, part) in zip(buffers, parts) { try buffer.copy(from: part) }
    }
  }

  // MARK: State

  /// All that an exact continuation needs beside the number of steps, by the prefix of its names.
  var stored: [String: StoredPart] {
    var parts = ["model": StoredPart(model), "optimizer": StoredPart(optimizer)]
    parts["ema"] = average.map { StoredPart($0) }
    parts["label-head"] = head.map { StoredPart($0) }
    parts["label-optimizer"] = headOptimizer.map { StoredPart($0) }
    return parts
  }

  /// Gives every process the state of the first.
  func shareState() throws {
    guard let group else { return }
    let state = try stored.state()
    for name in state.keys.sorted() { try group.broadcast(state[name]!) }
    try stored.load(state)
  }

  /// The weights to use and to ship: averaged if there is an average.
  func shippedWeights() throws -> [String: Tensor] { try average?.state() ?? model.state() }
}

extension Posterior {
  fileprivate func float32() throws -> Posterior {
    Posterior(mean: try mean.to(.float32), logDeviation: try logDeviation.to(.float32))
  }
}

extension Reconstruction {
  fileprivate func float32() throws -> Reconstruction {
    Reconstruction(image: try image.to(.float32), maskLogits: try maskLogits.to(.float32))
  }
}

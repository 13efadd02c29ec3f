import Foundation
import Torch

/// Which attributes a picture of an aligned face shows: a small convolutional network, trained on photos and their
/// labels, that knows nothing of a model's codes.
///
/// It looks at an edit from outside: the probes see a code, and a code can say what the decoded picture does not show.
public final class AttributeClassifier: Module {
  /// The labels' names.
  public let names: [String]
  /// What of an aligned face it sees.
  public let view: ModelConfiguration.View
  /// The share of labels that it calls right at probability 0.5, over photos that it was not trained on; `nil` where
  /// there were none.
  public internal(set) var accuracy: Double?
  let stages: [Stage]
  let output: Linear

  /// Side of the square picture that the network takes; others are resized.
  static let inputSize = 96
  private static let channels = [32, 64, 128, 256, 256]
  /// Stages that have a second convolution.
  private static let deep = 1...3

  /// Convolution 3 × 3 → batch norm → leaky ReLU.
  final class Stage: Module {
    let convolution: Conv2d
    let norm: BatchNorm

    init(_ inputs: Int, _ outputs: Int, stride: Int, generator: Generator?) throws {
      convolution = try Conv2d(inputs, outputs, stride: stride, bias: false, generator: generator)
      norm = try BatchNorm(outputs)
    }

    func callAsFunction(_ x: Tensor) throws -> Tensor { try norm(convolution(x)).leakyRelu(0.1, inPlace: true) }
  }

  /// - Parameters:
  ///   - names: the labels' names.
  ///   - view: what of an aligned face it sees.
  ///   - seed: of the weights; `nil` leaves them zero, to be loaded.
  public init(names: [String], view: ModelConfiguration.View, seed: UInt64?) throws {
    (self.names, self.view) = (names, view)
    let generator = try seed.map { try Generator(seed: $0) }
    var stages: [Stage] = []
    var inputs = 3
    for (index, outputs) in Self.channels.enumerated() {
      stages.append(try Stage(inputs, outputs, stride: 2, generator: generator))
      if Self.deep.contains(index) {
        stages.append(try Stage(outputs, outputs, stride: 1, generator: generator))
      }
      inputs = outputs
    }
    self.stages = stages
    let side = Self.inputSize >> Self.channels.count
    output = try Linear(inputs * side * side, names.count, generator: generator)
  }

  /// The log odds of each attribute.
  /// - Parameter images: N × 3 × S × S, sRGB in [0, 1].
  /// - Returns: N × attributes.
  public func logits(of images: Tensor) throws -> Tensor { try logits(of: images, dropping: nil) }

  /// - Parameter dropout: the share of the features that are set to 0, drawn from a generator.
  func logits(of images: Tensor, dropping dropout: (share: Double, generator: Generator)?) throws -> Tensor {
    var x = try Self.sized(images) * 2 - 1
    for stage in stages { x = try stage(x) }
    x = try x.contiguous().reshape([x.size(0), -1])
    if let dropout {
      let stays = try (Tensor.rand(x.shape, generator: dropout.generator, device: x.device) > dropout.share).to(x.dtype)
      x = try x * stays / (1 - dropout.share)
    }
    return try output(x)
  }

  /// Pictures at the network's size.
  static func sized(_ images: Tensor) throws -> Tensor {
    images.size(2) == inputSize && images.size(3) == inputSize ? images : try images.resized(to: (inputSize, inputSize))
  }

  // MARK: On disk

  /// The file in a classifier's folder.
  static let file = "classifier.safetensors"
  private static let format = "facet-classifier-1"
  private static let maximumNames = 1000
  private static let maximumMetadata = 1 << 20

  /// Writes it into a folder, whole or not at all; matrices in float16.
  public func write(to folder: URL) throws {
    let tensors = try state().mapValues { $0.dimensions >= 2 ? try $0.to(.float16) : $0 }
    let url = folder.appendingPathComponent(Self.file)
    for (name, tensor) in tensors where try !tensor.isAllFinite() {
      throw TrainingError("\(url.path): '\(name)' is not finite; train again with other settings")
    }
    var metadata = ["format": Self.format, "names": try JSON.encode(names), "view": view.rawValue]
    metadata["accuracy"] = accuracy.map { "\($0)" }
    try Tensor.save(tensors, metadata: metadata, to: url)
  }

  /// Reads one from a folder, for use.
  /// - Throws: ``BundleError``, `FileError` or `SafetensorsError` that names the file at fault.
  public convenience init(contentsOf folder: URL, device: Device = .cpu) throws {
    let url = folder.appendingPathComponent(Self.file)
    func fault(_ reason: String) -> BundleError { BundleError(path: url.path, reason: reason) }
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw fault("missing; make it with 'facet attributes classifier --data DIR --output \(folder.path)'")
    }
    let (tensors, metadata) = try Tensor.load(from: url)
    guard metadata["format"] == Self.format else { throw fault("not a classifier that this version of Facet reads") }
    guard let text = metadata["names"], text.utf8.count <= Self.maximumMetadata,
      let names = try? JSON.decode([String].self, text), (1...Self.maximumNames).contains(names.count),
      Set(names).count == names.count
    else { throw fault("its names cannot be read") }
    guard let view = metadata["view"].flatMap(ModelConfiguration.View.init) else {
      throw fault("its view cannot be read")
    }
    for (name, tensor) in tensors {
      guard [.float16, .float32].contains(tensor.dtype), try tensor.isAllFinite() else {
        throw fault("'\(name)' holds other than finite numbers of float16 or float32")
      }
    }
    try self.init(names: names, view: view, seed: nil)
    accuracy = metadata["accuracy"].flatMap(Double.init).flatMap { (0...1).contains($0) ? $0 : nil }
    do {
      try load(tensors)
      for stage in stages where try (stage.norm.runningVar.tensor < 0).to(.float32).sum().item() > 0 {
        throw TorchError("a variance is below 0")
      }
    } catch {
      throw fault("\(error)")
    }
    try prepareForUse(on: device)
  }

  func prepareForUse(on device: Device) throws {
    setTraining(false)
    try setRequiresGrad(false)
    try move(to: device)
    try useChannelsLast()
  }
}

// MARK: Training

/// How an ``AttributeClassifier`` is trained.
public struct ClassifierTraining: Sendable, Equatable {
  /// How often each photo is seen.
  public var epochs = 12
  /// Training ends here, if epochs remain or not, with its learning rate at 0; `nil` for no limit.
  public var minutes: Double?
  /// Photos in a step.
  public var batchSize = 64
  /// The highest learning rate; it goes up over the first 2 % and then down to 0 along half a cosine.
  public var learningRate = 2e-3
  public var weightDecay = 0.02
  /// The share of features that a step leaves out.
  public var dropout = 0.4
  /// Labels are taken for this far from certain, for some are wrong.
  public var doubt = 0.01
  public var augmentation: Augmentation
  /// Of the weights, the order and the augmentation.
  public var seed: UInt64 = 1
  /// Convolutions in bfloat16.
  public var usesBFloat16 = true

  public init() {
    augmentation = Augmentation()
    (augmentation.maxShift, augmentation.rotation, augmentation.zoom) = (6, 8, 0.08)
    (augmentation.brightness, augmentation.tint) = (0.25, 0.06)
  }
}

extension AttributeClassifier {
  /// Trains a classifier of a data set's labels.
  /// - Parameters:
  ///   - samples: the training partition; masks are not needed.
  ///   - validation: photos to measure it on, if any.
  ///   - view: what of an aligned face the samples show.
  ///   - training: how.
  ///   - device: where the work is done.
  ///   - progress: called after each step with the spent part of the budget, 0 … 1, and the loss.
  /// - Throws: ``TrainingError`` when the photos don't fill a batch, or a loss is not finite.
  public static func train(
    on samples: DecodedCache, validation: DecodedCache? = nil, view: ModelConfiguration.View = .window,
    training: ClassifierTraining = .init(), device: Device = .cpu,
    progress: (_ spent: Double, _ loss: Double) -> Void = { _, _ in }
  ) throws -> AttributeClassifier {
    guard samples.count >= training.batchSize else {
      throw TrainingError("\(samples.count) training photos don't fill a batch of \(training.batchSize)")
    }
    if device == .cpu { Torch.keepFreedMemory() }
    let classifier = try AttributeClassifier(
      names: samples.dataset.attributeNames, view: view, seed: training.seed)
    try classifier.move(to: device)
    try classifier.useChannelsLast()
    try classifier.setRequiresGrad(true)
    classifier.setTraining(true)
    var adam = Adam.Configuration()
    adam.weightDecay = training.weightDecay
    let optimizer = try Adam(classifier, configuration: adam)
    var options = BatchLoader.Options.training(batchSize: training.batchSize, seed: training.seed)
    options.maxShift = training.augmentation.maxShift
    let loader = BatchLoader(samples, options: options)
    let budget = TrainingConfiguration.Budget(
      images: training.epochs * loader.batchesPerEpoch * training.batchSize, minutes: training.minutes)
    let clock = StopWatch()
    var (step, epoch, spent) = (0, 0, 0.0)
    while spent < 1 {
      loader.start(epoch: epoch)
      while spent < 1, let batch = loader.next() {
        let rate = training.learningRate * TrainingConfiguration.Schedule.cosine.factor(spent)
        var seeds = SplitMix64(seed: training.seed ^ UInt64(step) << 20)
        let generator = try Generator(seed: seeds.next(), device: device)
        let images = try training.varied(sized(batch.imageTensor(on: device)), generator)
        let labels = try (batch.labelTensor().to(device) > 0).to(.float32) * (1 - 2 * training.doubt) + training.doubt
        try classifier.zeroGrad()
        let logits = try withAutocast(training.usesBFloat16 ? .bfloat16 : nil, on: device) {
          try classifier.logits(of: images, dropping: (training.dropout, generator))
        }
        let loss = try logits.to(.float32).binaryCrossEntropyWithLogits(labels)
        let value = try loss.item()
        guard value.isFinite else {
          throw TrainingError("step \(step + 1) of the classifier: the loss is \(value); use a lower learning rate")
        }
        try loss.backward()
        try optimizer.step(learningRate: rate)
        step += 1
        spent = budget.progress(images: step * training.batchSize, minutes: clock.seconds / 60)
        progress(spent, value)
      }
      epoch += 1
    }
    try classifier.prepareForUse(on: device)
    classifier.accuracy = try validation.map { try classifier.measured(on: $0, device) }
    return classifier
  }

  /// The share of labels that it calls right.
  private func measured(on samples: DecodedCache, _ device: Device) throws -> Double {
    let loader = BatchLoader(samples, options: .evaluation(batchSize: 64))
    loader.start(epoch: 0)
    var right = 0.0
    try withoutGradients {
      while let batch = loader.next() {
        let logits = try logits(of: batch.imageTensor(on: device)).to(.cpu).to(.float32)
        right += try (logits * batch.labelTensor() > 0).to(.float64).sum().item()
      }
    }
    return right / Double(samples.count * names.count)
  }
}

extension ClassifierTraining {
  /// Photos as the next step sees them: turned, tinted, and some of them a little blurred or noisy, so that what
  /// decodes from a code is not told by its smoothness.
  fileprivate func varied(_ images: Tensor, _ generator: Generator) throws -> Tensor {
    let masks = try images.narrow(1, 0..<1)
    let images = try augmentation.vary(images: images, masks: masks, generator: generator).images
    func share() throws -> Tensor {
      try Tensor.rand([images.size(0), 1, 1, 1], generator: generator, device: images.device)
    }
    let half = AttributeClassifier.inputSize / 2
    let soft = try images.resized(to: (half, half)).upsampleBilinear2d(scale: 2)
    let blurred = try images + (soft - images) * ((share() * 2 - 1).clamp(min: 0) * 0.9)
    let noise = try Tensor.randn(images.shape, generator: generator, device: images.device)
    return try (blurred + noise * (share() * 0.02)).contiguous(.channelsLast)
  }
}

import Foundation
import Torch

/// A step in latent space that was found by looking at what it does to photos, one for adding an attribute and another
/// for taking it away.
public struct SteeredStep: Sendable {
  /// From lacking the attribute towards having it, for both kinds; 1 × latent size, float32.
  public let vector: Tensor
  /// How many log odds of the probe the whole step is worth: what a face has of them already shortens it.
  public let reach: Double
  /// The part of the step that is taken at strength 1 or −1.
  public var factor = 1.0
}

/// How a step is steered: gradient descent on the step itself, through the frozen decoder and the composition, by a
/// frozen classifier of the composed pictures.
///
/// The step starts as the isolated direction. Each term but the first holds it back; a weight of 0 leaves a term out.
public struct Steering: Sendable, Equatable {
  public var steps = 120
  /// Photos in a step.
  public var batchSize = 24
  /// How far each number of the step goes at most at once, in units of the codes' spread (their root mean variance).
  public var learningRate = 0.017
  /// The log odds that the classifier should see the asked state with: softplus(margin − log odds) is the first term.
  public var margin = 1.5
  /// Weight of the mean change of the other attributes' probabilities, as the classifier sees them.
  public var leakage = 15.0
  /// Weight of the mean change of the pixels.
  public var pixels = 4.0
  /// Weight of 1 − SSIM between the photos and the edited ones: structure that is there stays.
  public var structure = 2.0
  /// Weight of the change of the other attributes' probabilities, as the probes see them in the codes of edited photos.
  public var kept = 5.0
  /// Weight of the step's length in units of the codes' spread (Mahalanobis).
  public var length = 0.02
  /// Of the choice of photos and of what the classifier sees of them.
  public var seed: UInt64 = 1
  /// The model and the classifier in bfloat16.
  public var usesBFloat16 = true

  public init() {}
}

extension AttributeDirections {
  /// These directions with a steered step for one attribute.
  /// - Parameters:
  ///   - attribute: its name, a label of the data set.
  ///   - adding: whether the step adds the attribute or takes it away.
  ///   - model: the model that the directions belong to, for use.
  ///   - classifier: of the same view of faces as the model's.
  ///   - samples: the training partition, as the model sees it; masks are not needed.
  ///   - steering: how.
  ///   - device: where model and classifier are.
  ///   - progress: called after each step with the steps done and the share of faces that the classifier saw as asked.
  /// - Throws: ``AttributeError`` for a name that there is not or directions without probes; ``TrainingError`` when the
  ///   classifier does not know the attribute or sees another view, when too few photos lack what is asked, or when the
  ///   descent leads nowhere.
  public func steered(
    _ attribute: String, adding: Bool, with model: any FaceVAE, by classifier: AttributeClassifier,
    on samples: DecodedCache, steering: Steering = .init(), device: Device = .cpu,
    progress: (_ done: Int, _ asked: Double) -> Void = { _, _ in }
  ) throws -> AttributeDirections {
    let index = try index(of: attribute)
    guard hasProbes else { throw AttributeError(withoutProbes: names[index]) }
    let sign = adding ? 1.0 : -1
    let factor = factors(.isolated)[index][sign]
    let isolated = try vectors(.isolated).narrow(0, index..<index + 1)
    let need = try need(of: index, sign: sign, .isolated)
    let descent = try Descent(
      names[index], adding: adding, model, classifier, samples, steering, device,
      start: isolated * factor, probes: probes, spread: codeFactor)
    for step in 0..<steering.steps {
      let asked = try descent(step) { codes in
        let odds = try probes.logits(of: codes).select(1, index).contiguous().array(Float.self)
        return try Tensor(odds.map { Float(need(Double($0), factor)) }, shape: [odds.count, 1])
      }
      progress(step + 1, asked)
    }
    // As it will be on disk.
    let vector = try descent.vector.detach().to(.cpu).to(.float16).to(.float32)
    guard try vector.isAllFinite(), try gain(of: vector, on: index) > 0 else {
      throw TrainingError("steering '\(names[index])' led nowhere: the step does not move its probe as asked")
    }
    var result = self
    let reach = try gain(of: isolated, on: index) * factor
    result.steered[AttributeState(name: names[index], adds: adding)] = SteeredStep(vector: vector, reach: reach)
    return result
  }
}

extension AttributeDirections {
  /// These directions with the steered steps of others of the same model, as far as the attributes are here too.
  public func takingSteeredSteps(of others: AttributeDirections) -> AttributeDirections {
    var result = self
    result.steered = others.steered.filter { names.contains($0.key.name) }
    return result
  }

  /// These directions without a steered step: the isolated direction takes its place.
  /// - Parameters:
  ///   - attribute: its name.
  ///   - adding: whether the step adds the attribute or takes it away.
  /// - Throws: ``AttributeError`` for a name that there is not, or a step that there is not.
  public func droppingSteeredStep(_ attribute: String, adding: Bool) throws -> AttributeDirections {
    let key = AttributeState(name: names[try index(of: attribute)], adds: adding)
    var result = self
    guard result.steered.removeValue(forKey: key) != nil else {
      throw AttributeError(notSteered: key.name, adding: adding)
    }
    return result
  }
}

/// The gradient descent of one step.
private final class Descent {
  /// All that the descent changes.
  private final class Step: Module {
    let vector: Parameter
    init(_ vector: Tensor) { self.vector = Parameter(vector) }
  }

  /// The step, as a direction towards having the attribute: 1 × latent size.
  var vector: Tensor { step.vector.tensor }
  private let step: Step
  private let optimizer: Adam
  private let model: any FaceVAE
  private let classifier: AttributeClassifier
  private let samples: DecodedCache
  private let steering: Steering
  private let device: Device
  private let sign: Double
  private let rows: [Int]
  /// Positions in the classifier's names and in the probes': the asked attribute, and those that should stay.
  private let asked: Int
  private let others: (seen: Tensor, probed: Tensor)
  private let probes: (mean: Tensor, weights: Tensor, biases: Tensor)
  private let spread: Tensor
  private let learningRate: Double
  private let similarity: SSIM

  init(
    _ attribute: String, adding: Bool, _ model: any FaceVAE, _ classifier: AttributeClassifier,
    _ samples: DecodedCache, _ steering: Steering, _ device: Device, start: Tensor, probes: AttributeProbes,
    spread: Tensor
  ) throws {
    (self.model, self.classifier, self.samples) = (model, classifier, samples)
    (self.steering, self.device, sign) = (steering, device, adding ? 1 : -1)
    let dataset = samples.dataset
    guard classifier.view == model.configuration.view else {
      throw TrainingError(
        "the classifier sees another view of faces (\(classifier.view)) than the model (\(model.configuration.view))")
    }
    guard let asked = classifier.names.firstIndex(of: attribute),
      let column = dataset.attributeNames.firstIndex(of: attribute)
    else {
      throw TrainingError("the classifier or the data set has no label '\(attribute)'; steering needs it in both")
    }
    self.asked = asked
    rows = (0..<samples.count).filter { position in
      let labels = dataset.labels(of: samples.sampleIndices[position])
      return (labels[labels.startIndex + column] == 1) != adding
    }
    guard rows.count >= 8 else {
      throw TrainingError(
        "only \(rows.count) training photos \(adding ? "lack" : "have") '\(attribute)'; steering needs 8")
    }
    let free = AttributeParts.others(than: asked, of: classifier.names)
      .filter { probes.names.contains(classifier.names[$0]) }
    guard !free.isEmpty else {
      throw TrainingError("the classifier knows no label of the model's beside '\(attribute)'")
    }
    others = (
      try Tensor(free.map(Int64.init)).to(device),
      try Tensor(free.map { Int64(probes.names.firstIndex(of: classifier.names[$0])!) }).to(device)
    )
    self.probes = (
      try probes.mean.to(device), try probes.weights.to(device), try Tensor(probes.biases.map(Float.init)).to(device)
    )
    self.spread = try spread.to(device)
    learningRate = try steering.learningRate * (spread.square().sum().item() / Double(spread.size(0))).squareRoot()
    similarity = try SSIM(size: samples.size, device: device)
    model.setTraining(false)
    step = Step(try start.detach().clone().to(device))
    try step.vector.tensor.setRequiresGrad()
    optimizer = try Adam(step)
  }

  /// Improves the step by a batch of photos that lack what is asked.
  /// - Parameter needs: the part of the step that each of some codes needs, N × 1.
  /// - Returns: the share of faces that the classifier saw as asked.
  func callAsFunction(_ number: Int, needs: (_ codes: Tensor) throws -> Tensor) throws -> Double {
    var chance = SplitMix64(seed: steering.seed ^ UInt64(number) << 20)
    let generator = try Generator(seed: chance.next(), device: device)
    let images = try samples.images((0..<steering.batchSize).map { _ in rows[chance.next(below: rows.count)] })
      .to(device)
    let (codes, before) = try withoutGradients {
      let codes = try encode(images)
      return (codes, try decode(codes))
    }
    let steps = try needs(codes).to(device) * vector * sign
    let edited = try Composition.difference.composed(over: images, from: before, to: decode(codes + steps))

    // Both as the classifier would see them in another photo of the same person.
    let views = try Glimpses()(AttributeClassifier.sized(Tensor.cat([edited, images], dim: 1)), generator)
    let (after, original) = try autocast {
      let original = try withoutGradients { try classifier.logits(of: views.narrow(1, 3..<6).contiguous()) }
      return (try classifier.logits(of: views.narrow(1, 0..<3).contiguous()), original)
    }
    let odds = try after.to(.float32).select(1, asked) * sign
    func change(_ after: Tensor, _ before: Tensor, _ columns: Tensor) throws -> Tensor {
      func shown(_ odds: Tensor) throws -> Tensor { try odds.to(.float32).indexSelect(1, columns).sigmoid() }
      return try (shown(after) - shown(before)).abs().mean()
    }
    var loss = try (steering.margin - odds).softplus().mean()
    loss = try loss + change(after, original, others.seen) * steering.leakage
    loss = try loss + (edited - images).abs().mean() * steering.pixels
    if steering.structure > 0 { loss = try loss + (1 - similarity(images, edited).mean()) * steering.structure }
    if steering.kept > 0 {
      loss = try loss + change(probed(encode(edited)), probed(codes), others.probed) * steering.kept
    }
    if steering.length > 0 {
      let column = try vector.transpose(0, 1)
      loss = try loss + (column * column.choleskySolve(spread)).sum().sqrt() * steering.length
    }
    guard try loss.isAllFinite() else {
      throw TrainingError("step \(number + 1): the loss is not finite; the model or the classifier is broken")
    }
    try step.zeroGrad()
    try loss.backward()
    let done = Double(number) / Double(steering.steps)
    try optimizer.step(learningRate: learningRate * min(1, Double(number + 1) / 10) * (1 - done).squareRoot())
    return try (odds > 0).to(.float32).mean().item()
  }

  private func autocast<Result>(_ body: () throws -> Result) throws -> Result {
    try withAutocast(steering.usesBFloat16 ? .bfloat16 : nil, on: device, body)
  }

  private func encode(_ images: Tensor) throws -> Tensor { try autocast { try model.encode(images).mean }.to(.float32) }

  private func decode(_ codes: Tensor) throws -> Reconstruction {
    let decoded = try autocast { try model.decode(codes) }
    return Reconstruction(image: try decoded.image.to(.float32), maskLogits: try decoded.maskLogits.to(.float32))
  }

  private func probed(_ codes: Tensor) throws -> Tensor {
    try (codes - probes.mean).linear(probes.weights, bias: probes.biases)
  }
}

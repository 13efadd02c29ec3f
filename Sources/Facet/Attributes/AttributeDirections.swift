import Foundation
import Torch

/// The origin of the direction of an attribute in the photos' codes.
public enum DirectionMethod: String, Sendable, CaseIterable, Codable {
  /// The difference of the means, less what the labels that were neither asked for nor parts of those explain of it.
  case isolated
  /// The mean code of photos that have the attribute, less that of photos that don't (Toledo 2021; after Larsen et al.
  /// 2016). What goes along with the attribute in the data comes along.
  case meanDifference = "mean-difference"
}

/// A vector that takes the place of an attribute's isolated direction, one way.
public struct DirectionOverride: Sendable {
  /// From lacking the attribute towards having it, for both ways; 1 × latent size, float32.
  public let vector: Tensor
  /// The log odds of the probe that the whole vector is worth: what a face has of them already shortens it.
  public let reach: Double
  /// The part of the vector that is taken at strength 1 or −1.
  public var factor: Double

  package init(vector: Tensor, reach: Double, factor: Double = 1) {
    (self.vector, self.reach, self.factor) = (vector, reach, factor)
  }
}

/// The factors on a direction at strength 1 and −1: enough to be seen as having the attribute, or lacking it.
public struct StrengthFactors: Sendable, Equatable {
  /// The factor at strength 1, above 0.
  public var add: Double
  /// The factor at strength −1, above 0.
  public var remove: Double

  /// Factors for both ways.
  public init(add: Double, remove: Double) { (self.add, self.remove) = (add, remove) }

  package subscript(strength: Double) -> Double { strength < 0 ? remove : add }
}

/// What an attribute's probe says of typical training photos, as log odds: the median of those without the attribute, and
/// of those with it.
public struct TypicalOdds: Sendable, Equatable {
  /// The median of photos without the attribute.
  public var absent: Double
  /// The median of photos with it.
  public var present: Double

  /// Log odds of both groups.
  public init(absent: Double, present: Double) { (self.absent, self.present) = (absent, present) }
}

/// Directions in a model's latent space that change attributes, one for each label of the data set and for each
/// ``CombinedDirection``, with the probes that see the attributes in a code.
public struct AttributeDirections: Sendable {
  /// The attributes' names, such as `Smiling`: the labels, then the combined directions.
  public let names: [String]
  /// The combined directions, the last of ``names``.
  public let definitions: [CombinedDirection]
  /// Photos with each attribute that went into its mean difference.
  public let positives: [Int]
  /// Photos without each attribute that went into its mean difference.
  public let negatives: [Int]
  /// One for each of ``names``.
  public let probes: AttributeProbes
  /// The mean of the training photos' codes, latent size, float32.
  public let codeMean: Tensor
  /// Lower triangular L, latent size × latent size, float32; the codes' covariance is L · Lᵀ.
  public let codeFactor: Tensor
  package let vectorsByMethod: [DirectionMethod: Tensor]
  package var factorsByMethod: [DirectionMethod: [StrengthFactors]]
  /// One for each of ``names``; `nil` where they were not measured, and all faces get the same step.
  public package(set) var typicalOdds: [TypicalOdds]?
  /// Vectors in the place of isolated ones, for some of ``names``.
  public package(set) var overrides: [AttributeState: DirectionOverride]
  /// What the training photos' codes were fitted by beside their mean and covariance; `nil` where they were too few.
  package var mixture: CodeMixture?
  /// For people: where factors on isolated directions come from.
  package var strengthSources: [AttributeState: String] = [:]
  /// The type of the directions on disk.
  package var precision: DType

  package init(
    names: [String], definitions: [CombinedDirection], positives: [Int], negatives: [Int], probes: AttributeProbes,
    codeMean: Tensor, codeFactor: Tensor, vectorsByMethod: [DirectionMethod: Tensor],
    factorsByMethod: [DirectionMethod: [StrengthFactors]], typicalOdds: [TypicalOdds]?,
    overrides: [AttributeState: DirectionOverride] = [:], precision: DType = .float16
  ) {
    (self.names, self.definitions, self.positives, self.negatives) = (names, definitions, positives, negatives)
    (self.probes, self.codeMean, self.codeFactor) = (probes, codeMean, codeFactor)
    (self.vectorsByMethod, self.factorsByMethod, self.typicalOdds) = (vectorsByMethod, factorsByMethod, typicalOdds)
    (self.overrides, self.precision) = (overrides, precision)
  }

  /// No directions: those of a model that has just been trained.
  static func none(latentSize: Int) throws -> AttributeDirections {
    let (mean, none) = (try Tensor.zeros([latentSize]), try Tensor.zeros([0, latentSize]))
    return AttributeDirections(
      names: [], definitions: [], positives: [], negatives: [],
      probes: AttributeProbes(names: [], mean: mean, weights: none, biases: [], figures: []), codeMean: mean,
      codeFactor: try .zeros([latentSize, latentSize]),
      vectorsByMethod: [.isolated: none, .meanDifference: none], factorsByMethod: [.isolated: [], .meanDifference: []],
      typicalOdds: nil)
  }

  /// The factor at strength 1 where nothing else is known: the way from the mean photo without the attribute to the
  /// mean photo with it, and half as far again.
  public static let defaultScale = 1.5
  /// The most combined directions.
  public static let maximumDefinitions = 200

  /// The names of the data set's labels, without the combined directions.
  public var labelNames: [String] { Array(names.dropLast(definitions.count)) }

  /// What a step along an attribute is about: its own label, or those that the positives of a combined one have in common, such as
  /// glasses of women with glasses.
  /// - Throws: ``AttributeError`` where there is no such attribute.
  func states(of attribute: String, adds: Bool) throws -> [AttributeState] {
    let index = try index(of: attribute)
    let known = labelNames
    guard index >= known.count,
      let labels = try LabelQuery(definitions[index - known.count].positives, attributes: known).labels
    else { return [AttributeState(name: names[index], adds: adds)] }
    return labels.map { AttributeState(name: known[$0.attribute], adds: ($0.value > 0) == adds) }
  }

  /// One direction for each of ``names``: attributes × latent size, float32.
  public func vectors(_ method: DirectionMethod) -> Tensor { vectorsByMethod[method]! }

  /// The factors at strength 1 and −1, one pair for each of ``names``.
  public func factors(_ method: DirectionMethod) -> [StrengthFactors] {
    guard method == .isolated else { return factorsByMethod[method]! }
    return zip(names, factorsByMethod[.isolated]!).map { name, factors in
      StrengthFactors(
        add: overrides[.init(name: name, adds: true)]?.factor ?? factors.add,
        remove: overrides[.init(name: name, adds: false)]?.factor ?? factors.remove)
    }
  }

  private func replacement(_ index: Int, _ strength: Double, _ method: DirectionMethod) -> DirectionOverride? {
    method == .isolated ? overrides[AttributeState(name: names[index], adds: strength >= 0)] : nil
  }

  /// The position of an attribute in ``names``; letter case does not matter.
  /// - Throws: ``AttributeError`` with the nearest names when there is no such attribute.
  public func index(of attribute: String) throws -> Int {
    guard let index = names.firstIndex(where: { $0.lowercased() == attribute.lowercased() }) else {
      throw AttributeError(unknown: attribute, known: names)
    }
    return index
  }

  /// The step in latent space for an attribute at a strength, 1 × latent size, float32.
  /// - Parameters:
  ///   - attribute: its name; letter case does not matter.
  ///   - strength: 1 adds the attribute, −1 takes it away.
  ///   - face: the face's own code, 1 × latent size: the more it is on the asked side already, the less it is moved;
  ///     `nil` for a typical face.
  ///   - kept: attributes whose probes the step leaves where they are.
  ///   - method: how the direction was found.
  /// - Throws: ``AttributeError`` for a name that there is not, or one both asked for and kept.
  public func step(
    _ attribute: String, strength: Double, on face: Tensor? = nil, keeping kept: [String] = [],
    method: DirectionMethod = .isolated
  ) throws -> Tensor {
    let index = try index(of: attribute)
    let direction = try direction(index, strength, keeping: kept, method)
    let factor = try factors(method)[index][strength] * (face.map { try requiredPart(of: index, strength, on: $0, method) } ?? 1)
    return try direction * (strength * factor)
  }

  /// How far a face has to be moved, in parts of the way of a typical one that lacks what is asked.
  /// - Parameters:
  ///   - attribute: one of ``names``.
  ///   - strength: its sign says whether the attribute is added.
  ///   - face: the face's code, 1 × latent size.
  ///   - method: how the step is found.
  /// - Throws: ``AttributeError`` for an unknown name.
  package func requiredPart(of attribute: String, strength: Double, on face: Tensor, method: DirectionMethod) throws -> Double {
    try requiredPart(of: index(of: attribute), strength, on: face, method)
  }

  private func requiredPart(
    of index: Int, _ strength: Double, on face: Tensor, _ method: DirectionMethod
  ) throws -> Double {
    let odds = try probes.logits(of: face).select(1, index).item()
    return try requiredPart(of: index, sign: strength < 0 ? -1 : 1, method)(odds, factors(method)[index][strength])
  }

  /// The same as a function of the face's log odds and the factor at strength 1: within limits all faces are brought to
  /// the same log odds.
  package func requiredPart(
    of index: Int, sign: Double, _ method: DirectionMethod
  ) throws -> (_ odds: Double, _ factor: Double) -> Double {
    // The article's vectors are the same for all.
    guard method != .meanDifference, let typical = typicalOdds?[index] else { return { _, _ in 1 } }
    let gain = try replacement(index, sign, method)?.reach
      ?? gain(of: vectors(method).narrow(0, index..<index + 1), on: index)
    guard gain > 0 else { return { _, _ in 1 } }
    let start = sign < 0 ? -typical.present : typical.absent
    return { odds, factor in
      let need = 1 + (start - sign * odds) / (gain * factor)
      return min(Self.needs.upperBound, max(Self.needs.lowerBound, need))
    }
  }

  /// Beyond it codes leave what the model knows; below it a slider would seem to do nothing.
  private static let needs = 0.35...1.4

  /// The strength that brings an attribute's probe to a probability, were the moved code encoded again as it is.
  /// Decoding and encoding lose some of a step: take this as a first guess where that matters.
  /// - Parameters:
  ///   - attribute: its name.
  ///   - latent: the face's code, 1 × latent size.
  ///   - probability: in 0 … 1; what lies within 0.001 of an end is taken as that far from it.
  ///   - kept: attributes held still, as in ``step(_:strength:on:keeping:method:)``.
  ///   - method: how the direction was found.
  /// - Returns: a strength in ``AttributeEdit/range``.
  /// - Throws: ``AttributeError`` as the step does, and where the direction does not move the probe.
  public func strength(
    of attribute: String, from latent: Tensor, to probability: Double, keeping kept: [String] = [],
    method: DirectionMethod = .isolated
  ) throws -> Double {
    let index = try index(of: attribute)
    guard hasProbes else { throw AttributeError(withoutProbes: names[index]) }
    let wanted = min(0.999, max(0.001, probability))
    let present = try probes.logits(of: latent).select(1, index).item()
    let difference = log(wanted / (1 - wanted)) - present
    let gain = try gain(of: direction(index, difference, keeping: kept, method), on: index)
    guard gain > 0 else { throw AttributeError(still: names[index], keeping: kept) }
    let need = try requiredPart(of: index, difference, on: latent, method)
    let strength = difference / (gain * factors(method)[index][difference] * need)
    return min(AttributeEdit.range.upperBound, max(AttributeEdit.range.lowerBound, strength))
  }

  /// How much a step of 1 along a direction moves a probe's log odds.
  package func gain(of direction: Tensor, on index: Int) throws -> Double {
    try (direction.to(.float64) * probes.weights.select(0, index).to(.float64)).sum().item()
  }

  /// The direction with the kept attributes' probes held still: d − Σ Wᵀ (W Σ Wᵀ)⁻¹ W d, with the kept probes' weights
  /// W and the codes' covariance Σ. Of all directions that leave the probes still it is the nearest, as the codes'
  /// spread measures distance.
  private func direction(
    _ index: Int, _ strength: Double, keeping kept: [String], _ method: DirectionMethod
  ) throws -> Tensor {
    let direction = try replacement(index, strength, method)?.vector ?? vectors(method).narrow(0, index..<index + 1)
    let keptIndices = try Set(kept.map { try self.index(of: $0) }).sorted()
    if keptIndices.contains(index) { throw AttributeError(asked: names[index]) }
    guard !keptIndices.isEmpty else { return direction }
    guard hasProbes else { throw AttributeError(withoutProbes: names[keptIndices[0]]) }
    let weights = try probes.weights.indexSelect(0, Tensor(keptIndices.map(Int64.init))).to(.float64)
    let factor = try codeFactor.to(.float64)
    let spread = try factor.matmul(factor.transpose(0, 1).matmul(weights.transpose(0, 1)))
    let among = try weights.matmul(spread)
    let scale = try among.diagonal().mean().item()
    let moved = try weights.matmul(direction.to(.float64).transpose(0, 1))
    let correction = try spread.matmul(moved.choleskySolve(among.withRidge(max(1e-9 * scale, 1e-30)).cholesky()))
    let held = try (direction.to(.float64) - correction.transpose(0, 1)).to(.float32)
    // What the attribute loses to those that are kept is made up for, within reason.
    let (before, after) = (try gain(of: direction, on: index), try gain(of: held, on: index))
    guard before > 0, after > 0 else { return held }
    return try held * min(Self.maximumCompensation, max(1, before / after))
  }

  private static let maximumCompensation = 2.0

  /// Whether the probes see anything; those of imported vectors do not.
  public var hasProbes: Bool { (try? probes.weights.abs().sum().item()) != 0 }

  /// Checks a combined direction's name and queries, without photos.
  /// - Throws: ``CombinedDirectionError``.
  public func check(_ definition: CombinedDirection) throws {
    if names.contains(where: { $0.lowercased() == definition.name.lowercased() }) {
      throw CombinedDirectionError.nameTaken(definition.name)
    }
    _ = try definition.groups([], attributes: labelNames)
  }
}

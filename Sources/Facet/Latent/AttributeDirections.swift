import Foundation
import Torch

/// How the direction of an attribute comes from the photos' codes.
public enum DirectionMethod: String, Sendable, CaseIterable, Codable {
  /// The step that was found by looking at edited photos, where the bundle has one; the isolated direction elsewhere.
  case steered
  /// The difference of the means, less what the labels that were neither asked for nor parts of those explain of it.
  case isolated
  /// The mean code of photos that have the attribute, less that of photos that don't (Toledo 2021; after Larsen et al.
  /// 2016). What goes along with the attribute in the data comes along.
  case meanDifference = "mean-difference"

  /// Those that come from codes and labels alone, for every attribute.
  public static let found = [isolated, meanDifference]
}

/// The factors on a direction at strength 1 and −1: enough to be seen as having the attribute, or lacking it.
public struct StrengthFactors: Sendable, Equatable {
  public var add: Double
  public var remove: Double

  public init(add: Double, remove: Double) { (self.add, self.remove) = (add, remove) }

  subscript(strength: Double) -> Double { strength < 0 ? remove : add }
}

/// What an attribute's probe says of typical training photos, as log odds: the median of those without the attribute, and
/// of those with it.
public struct TypicalOdds: Sendable, Equatable {
  public var absent: Double
  public var present: Double

  public init(absent: Double, present: Double) { (self.absent, self.present) = (absent, present) }
}

/// Directions in a model's latent space that change attributes, one for each label of the data set and for each
/// ``CombinedDirection``, with the probes that see the attributes in a code.
public struct AttributeDirections: Sendable {
  /// The attributes' names, such as `Smiling`: the labels, then the combined directions.
  public let names: [String]
  /// The combined directions, the last of ``names``.
  public let definitions: [CombinedDirection]
  /// Photos with and without each attribute that went into its mean difference.
  public let positives: [Int]
  public let negatives: [Int]
  /// One for each of ``names``.
  public let probes: AttributeProbes
  /// The mean of the training photos' codes, latent size, float32.
  public let codeMean: Tensor
  /// Lower triangular L, latent size × latent size, float32; the codes' covariance is L · Lᵀ.
  public let codeFactor: Tensor
  let vectorsByMethod: [DirectionMethod: Tensor]
  let factorsByMethod: [DirectionMethod: [StrengthFactors]]
  /// One for each of ``names``; `nil` where they were not measured, and all faces get the same step.
  public internal(set) var typicalOdds: [TypicalOdds]?
  /// Steps that were steered, for some of ``names``.
  var steered: [AttributeState: SteeredStep] = [:]
  /// The type of the directions on disk.
  var precision = DType.float16

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

  /// One direction for each of ``names``: attributes × latent size, float32; of the steered method the isolated ones,
  /// which ``steeredStep(_:adding:)`` takes the place of.
  public func vectors(_ method: DirectionMethod) -> Tensor { vectorsByMethod[method == .steered ? .isolated : method]! }

  /// One pair for each of ``names``.
  public func factors(_ method: DirectionMethod) -> [StrengthFactors] {
    guard method == .steered else { return factorsByMethod[method]! }
    return zip(names, factors(.isolated)).map { name, isolated in
      StrengthFactors(
        add: steered[.init(name: name, adds: true)]?.factor ?? isolated.add,
        remove: steered[.init(name: name, adds: false)]?.factor ?? isolated.remove)
    }
  }

  /// The steered step for an attribute, where there is one.
  /// - Parameters:
  ///   - attribute: its name; letter case does not matter.
  ///   - adding: whether it adds the attribute or takes it away.
  /// - Throws: ``AttributeError`` for a name that there is not.
  public func steeredStep(_ attribute: String, adding: Bool) throws -> SteeredStep? {
    steered[AttributeState(name: names[try index(of: attribute)], adds: adding)]
  }

  private func steeredStep(_ index: Int, _ strength: Double, _ method: DirectionMethod) -> SteeredStep? {
    method == .steered ? steered[AttributeState(name: names[index], adds: strength >= 0)] : nil
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
    method: DirectionMethod = .steered
  ) throws -> Tensor {
    let index = try index(of: attribute)
    let direction = try direction(index, strength, keeping: kept, method)
    let factor = try factors(method)[index][strength] * (face.map { try need(of: index, strength, on: $0, method) } ?? 1)
    return try direction * (strength * factor)
  }

  /// How far a face has to be moved, in parts of the way of a typical one that lacks what is asked.
  /// - Parameters:
  ///   - attribute: one of ``names``.
  ///   - strength: its sign says whether the attribute is added.
  ///   - face: the face's code, 1 × latent size.
  ///   - method: how the step is found.
  /// - Throws: ``AttributeError`` for an unknown name.
  func need(of attribute: String, strength: Double, on face: Tensor, method: DirectionMethod) throws -> Double {
    try need(of: index(of: attribute), strength, on: face, method)
  }

  private func need(
    of index: Int, _ strength: Double, on face: Tensor, _ method: DirectionMethod
  ) throws -> Double {
    let odds = try probes.logits(of: face).select(1, index).item()
    return try need(of: index, sign: strength < 0 ? -1 : 1, method)(odds, factors(method)[index][strength])
  }

  /// The same as a function of the face's log odds and the factor at strength 1: within limits all faces are brought to
  /// the same log odds.
  func need(
    of index: Int, sign: Double, _ method: DirectionMethod
  ) throws -> (_ odds: Double, _ factor: Double) -> Double {
    // The article's vectors are the same for all.
    guard method != .meanDifference, let typical = typicalOdds?[index] else { return { _, _ in 1 } }
    let gain = try steeredStep(index, sign, method)?.reach
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
    method: DirectionMethod = .steered
  ) throws -> Double {
    let index = try index(of: attribute)
    guard hasProbes else { throw AttributeError(withoutProbes: names[index]) }
    let wanted = min(0.999, max(0.001, probability))
    let present = try probes.logits(of: latent).select(1, index).item()
    let difference = log(wanted / (1 - wanted)) - present
    let gain = try gain(of: direction(index, difference, keeping: kept, method), on: index)
    guard gain > 0 else { throw AttributeError(still: names[index], keeping: kept) }
    let need = try need(of: index, difference, on: latent, method)
    let strength = difference / (gain * factors(method)[index][difference] * need)
    return min(AttributeEdit.range.upperBound, max(AttributeEdit.range.lowerBound, strength))
  }

  /// How much a step of 1 along a direction moves a probe's log odds.
  func gain(of direction: Tensor, on index: Int) throws -> Double {
    try (direction.to(.float64) * probes.weights.select(0, index).to(.float64)).sum().item()
  }

  /// The direction with the kept attributes' probes held still: d − Σ Wᵀ (W Σ Wᵀ)⁻¹ W d, with the kept probes' weights
  /// W and the codes' covariance Σ. Of all directions that leave the probes still it is the nearest, as the codes'
  /// spread measures distance.
  private func direction(
    _ index: Int, _ strength: Double, keeping kept: [String], _ method: DirectionMethod
  ) throws -> Tensor {
    let direction = try steeredStep(index, strength, method)?.vector ?? vectors(method).narrow(0, index..<index + 1)
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
}

/// An attribute that a bundle cannot change as it was asked to.
public struct AttributeError: Error, Equatable, CustomStringConvertible {
  public let attribute: String
  /// The nearest names where there is no such attribute.
  public let suggestions: [String]
  public let description: String

  init(unknown attribute: String, known: [String]) {
    self.attribute = attribute
    let wanted = attribute.lowercased().prefix(100)
    let near = known.map { (name: $0, distance: editDistance(String(wanted), $0.lowercased())) }
      .filter { $0.distance <= max(2, wanted.count / 3) || $0.name.lowercased().contains(wanted) }
      .sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }
    suggestions = near.isEmpty ? known : near.prefix(3).map(\.name)
    description = "unknown attribute '\(attribute)'; try \(suggestions.joined(separator: ", "))"
  }

  init(withoutProbes attribute: String) {
    (self.attribute, suggestions) = (attribute, [])
    description = "the bundle cannot tell who has '\(attribute)': its vectors are imported, without photos; "
      + "'facet attributes --data DIR' finds both"
  }

  init(notSteered attribute: String, adding: Bool) {
    (self.attribute, suggestions) = (attribute, [])
    description = "the bundle has no steered step that \(adding ? "adds" : "removes") '\(attribute)'; "
      + "'facet attributes steer' makes one"
  }

  init(asked attribute: String) {
    (self.attribute, suggestions) = (attribute, [])
    description = "'\(attribute)' is to be changed and kept; leave it out of one"
  }

  init(still attribute: String, keeping kept: [String]) {
    (self.attribute, suggestions) = (attribute, [])
    description = "the direction of '\(attribute)' does not change it"
      + (kept.isEmpty ? "" : " with \(kept.joined(separator: ", ")) kept; keep less")
  }
}

/// Levenshtein's distance between two words.
private func editDistance(_ a: String, _ b: String) -> Int {
  let b = Array(b)
  var row = Array(0...b.count)
  for (i, character) in a.enumerated() {
    var diagonal = row[0]
    row[0] = i + 1
    for j in b.indices {
      let substituted = diagonal + (b[j] == character ? 0 : 1)
      diagonal = row[j + 1]
      row[j + 1] = min(substituted, diagonal + 1, row[j] + 1)
    }
  }
  return row[b.count]
}

// MARK: Vectors from elsewhere

extension AttributeDirections {
  /// Directions from vectors that others found, without photos: strength 1 is a vector itself, both methods take it,
  /// there are no probes, and codes are taken to be spread as the model's prior N(0, 1).
  init(vectors: [(name: String, values: [Float])], latentSize: Int) throws {
    let count = vectors.count
    let matrix = try Tensor(vectors.flatMap(\.values), shape: [count, latentSize])
    let factors = [StrengthFactors](repeating: StrengthFactors(add: 1, remove: 1), count: count)
    names = vectors.map(\.name)
    definitions = []
    (positives, negatives) = ([Int](repeating: 0, count: count), [Int](repeating: 0, count: count))
    codeMean = try .zeros([latentSize])
    codeFactor = try Tensor.identity(latentSize).to(.float32)
    probes = AttributeProbes(
      names: names, mean: codeMean, weights: try .zeros([count, latentSize]),
      biases: [Double](repeating: 0, count: count), figures: [AttributeProbes.Figures?](repeating: nil, count: count))
    vectorsByMethod = Dictionary(uniqueKeysWithValues: DirectionMethod.found.map { ($0, matrix) })
    factorsByMethod = Dictionary(uniqueKeysWithValues: DirectionMethod.found.map { ($0, factors) })
    typicalOdds = nil
    precision = .float32
  }

  /// Whether the probes see anything; those of imported vectors do not.
  public var hasProbes: Bool { (try? probes.weights.abs().sum().item()) != 0 }
}

// MARK: Finding

extension AttributeDirections {
  /// Finds the directions of all attributes in one pass: each photo is encoded once.
  /// - Parameters:
  ///   - samples: the training partition.
  ///   - limit: the most positives, and the most negatives, that count for a mean difference; the first in the list's
  ///     order.
  ///   - scale: the factor on each direction at strength 1; ``calibrated(with:on:calibration:only:device:progress:)``
  ///     finds better ones.
  ///   - device: where the work is done.
  ///   - model: the model, for use.
  ///   - batchSize: photos encoded at once.
  ///   - progress: called with the photos done and their total.
  /// - Throws: `TrainingError` when an attribute has no positives or no negatives.
  public static func find(
    with model: any FaceVAE, in samples: DecodedCache, limit: Int = 10_000, scale: Double = defaultScale,
    batchSize: Int = 64, device: Device = .cpu, progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> AttributeDirections {
    let photos = try EncodedPhotos(samples, with: model, batchSize: batchSize, device: device, progress: progress)
    return try find(in: photos, limit: limit, scale: scale)
  }

  /// Finds the directions of all attributes, their probes and the codes' mean and covariance.
  /// - Parameters:
  ///   - photos: the training partition.
  ///   - validation: photos to measure the probes on, if any.
  ///   - definitions: combined directions; see ``defining(_:in:validation:limit:scale:)``.
  ///   - limit: the most positives, and the most negatives, that count for a mean difference; the first in the list's
  ///     order. Isolated directions and probes take all.
  ///   - scale: the factor on each direction at strength 1.
  /// - Throws: `TrainingError` when an attribute has no positives or no negatives, ``CombinedDirectionError``.
  public static func find(
    in photos: EncodedPhotos, validation: EncodedPhotos? = nil, definitions: [CombinedDirection] = [],
    limit: Int = 10_000, scale: Double = defaultScale
  ) throws -> AttributeDirections {
    let groups = photos.groups()
    for (name, group) in zip(photos.attributeNames, groups) where group.positives.isEmpty || group.negatives.isEmpty {
      throw TrainingError(
        "attribute '\(name)' has \(group.positives.count) photos with it and \(group.negatives.count) without; "
          + "a direction needs both")
    }
    let statistics = try LatentStatistics(photos)
    var result = AttributeDirections(
      names: [], definitions: [], positives: [], negatives: [],
      probes: AttributeProbes(
        names: [], mean: try statistics.mean.to(.float32), weights: try .zeros([0, photos.latentSize]), biases: [],
        figures: []),
      codeMean: try statistics.mean.to(.float32), codeFactor: try statistics.factor().to(.float32),
      vectorsByMethod: Dictionary(
        uniqueKeysWithValues: try DirectionMethod.found.map { ($0, try .zeros([0, photos.latentSize])) }),
      factorsByMethod: Dictionary(uniqueKeysWithValues: DirectionMethod.found.map { ($0, []) }), typicalOdds: [])
    var names = photos.attributeNames
    var validationGroups = validation?.groups()
    var allGroups = groups
    for definition in definitions {
      try allGroups.append(definition.checkedGroups(in: photos, beside: names))
      try validation.map {
        try validationGroups?.append(definition.groups($0.labels, attributes: $0.attributeNames))
      }
      names.append(definition.name)
    }
    result = try result.appending(
      names, definitions, allGroups, in: photos, statistics, validation.map { ($0, validationGroups ?? []) },
      limit: limit, scale: scale)
    return result
  }

  /// These directions with one more, combined from labels.
  /// - Parameters:
  ///   - definition: what it is.
  ///   - photos: the training partition.
  ///   - validation: photos to measure its probe on, if any.
  ///   - limit: the most photos on each side of its mean difference.
  ///   - scale: the factor at strength 1.
  /// - Throws: ``CombinedDirectionError``.
  public func defining(
    _ definition: CombinedDirection, in photos: EncodedPhotos, validation: EncodedPhotos? = nil, limit: Int = 10_000,
    scale: Double = defaultScale
  ) throws -> AttributeDirections {
    guard photos.attributeNames == labelNames else { throw CombinedDirectionError.otherLabels }
    guard definitions.count < Self.maximumDefinitions else {
      throw CombinedDirectionError.tooMany(limit: Self.maximumDefinitions)
    }
    let groups = try definition.checkedGroups(in: photos, beside: names)
    let measured = try validation.map {
      ($0, [try definition.groups($0.labels, attributes: $0.attributeNames)])
    }
    return try appending(
      [definition.name], [definition], [groups], in: photos, LatentStatistics(photos), measured, limit: limit,
      scale: scale)
  }

  /// Checks a combined direction's name and queries, without photos.
  /// - Throws: ``CombinedDirectionError``.
  public func check(_ definition: CombinedDirection) throws {
    if names.contains(where: { $0.lowercased() == definition.name.lowercased() }) {
      throw CombinedDirectionError.nameTaken(definition.name)
    }
    _ = try definition.groups([], attributes: labelNames)
  }

  /// These directions without a combined one.
  /// - Throws: ``AttributeError`` when there is no such combined direction.
  public func removing(_ name: String) throws -> AttributeDirections {
    guard let position = definitions.firstIndex(where: { $0.name.lowercased() == name.lowercased() }) else {
      throw AttributeError(unknown: name, known: definitions.map(\.name))
    }
    var definitions = definitions
    definitions.remove(at: position)
    let removed = labelNames.count + position
    let left = names.indices.filter { $0 != removed }
    let rows = try Tensor(left.map(Int64.init))
    func pick<Element>(_ elements: [Element]) -> [Element] { left.map { elements[$0] } }
    return AttributeDirections(
      names: pick(names), definitions: definitions, positives: pick(positives), negatives: pick(negatives),
      probes: AttributeProbes(
        names: pick(names), mean: probes.mean, weights: try probes.weights.indexSelect(0, rows),
        biases: pick(probes.biases), figures: pick(probes.figures)),
      codeMean: codeMean, codeFactor: codeFactor,
      vectorsByMethod: try vectorsByMethod.mapValues { try $0.indexSelect(0, rows) },
      factorsByMethod: factorsByMethod.mapValues(pick), typicalOdds: typicalOdds.map(pick),
      steered: steered.filter { $0.key.name != names[removed] }, precision: precision)
  }

  /// These directions with other factors at strength 1 and −1 for one attribute, such as were chosen by eye.
  /// - Parameters:
  ///   - attribute: its name.
  ///   - method: how the direction was found.
  ///   - add: the factor at strength 1, above 0; `nil` leaves it.
  ///   - remove: the factor at strength −1, above 0; `nil` leaves it.
  /// - Throws: ``AttributeError`` for a name that there is not, or a steered step that there is not.
  public func setting(
    _ attribute: String, _ method: DirectionMethod = .isolated, add: Double? = nil, remove: Double? = nil
  ) throws -> AttributeDirections {
    let index = try index(of: attribute)
    var factors = factorsByMethod
    var steered = steered
    for (factor, adds) in [(add, true), (remove, false)] {
      guard let factor else { continue }
      if method == .steered {
        let key = AttributeState(name: names[index], adds: adds)
        guard steered[key] != nil else { throw AttributeError(notSteered: names[index], adding: adds) }
        steered[key]?.factor = factor
      } else if adds {
        factors[method]![index].add = factor
      } else {
        factors[method]![index].remove = factor
      }
    }
    return AttributeDirections(
      names: names, definitions: definitions, positives: positives, negatives: negatives, probes: probes,
      codeMean: codeMean, codeFactor: codeFactor, vectorsByMethod: vectorsByMethod, factorsByMethod: factors,
      typicalOdds: typicalOdds, steered: steered, precision: precision)
  }

  /// These directions with others behind them.
  private func appending(
    _ names: [String], _ definitions: [CombinedDirection], _ groups: [LabelGroups], in photos: EncodedPhotos,
    _ statistics: LatentStatistics, _ validation: (EncodedPhotos, [LabelGroups])?, limit: Int, scale: Double
  ) throws -> AttributeDirections {
    let limited = groups.map { group in
      LabelGroups(
        positives: Array(group.positives.prefix(limit)), negatives: Array(group.negatives.prefix(limit)),
        asked: group.asked)
    }
    let differences = try Self.differences(limited, photos.count)
    let isolated = try Self.isolated(groups, in: photos, statistics)
    let found: [DirectionMethod: Tensor] = [
      .meanDifference: try photos.sums(differences).to(.float32), .isolated: try isolated.to(.float32),
    ]
    var probes = try AttributeProbes.fit(
      names, to: groups, in: photos, statistics: statistics, center: self.probes.mean)
    if let (photos, groups) = validation { probes = try probes.measured(on: photos, groups) }
    let typical = try Self.typicalOdds(groups, probes.logits(of: photos.codes))
    let scales = names.map { _ in StrengthFactors(add: scale, remove: scale) }
    return AttributeDirections(
      names: self.names + names, definitions: self.definitions + definitions,
      positives: positives + limited.map(\.positives.count), negatives: negatives + limited.map(\.negatives.count),
      probes: AttributeProbes(
        names: self.probes.names + names, mean: probes.mean,
        weights: try .cat([self.probes.weights, probes.weights]), biases: self.probes.biases + probes.biases,
        figures: self.probes.figures + probes.figures),
      codeMean: codeMean, codeFactor: codeFactor,
      vectorsByMethod: Dictionary(
        uniqueKeysWithValues: try vectorsByMethod.map { ($0.key, try .cat([$0.value, found[$0.key]!])) }),
      factorsByMethod: factorsByMethod.mapValues { $0 + scales }, typicalOdds: typicalOdds.map { $0 + typical },
      steered: steered, precision: precision)
  }

  /// - Parameters:
  ///   - groups: of the photos, one pair a probe.
  ///   - logits: photos × probes.
  private static func typicalOdds(_ groups: [LabelGroups], _ logits: Tensor) throws -> [TypicalOdds] {
    let (columns, count) = (try logits.transpose(0, 1).contiguous().array(Float.self), logits.size(0))
    return groups.enumerated().map { index, group in
      func median(_ rows: [Int]) -> Double {
        Double(rows.map { columns[index * count + $0] }.sorted()[rows.count / 2])
      }
      return TypicalOdds(absent: median(group.negatives), present: median(group.positives))
    }
  }

  /// The differences of the group means less what the labels that were neither asked for nor parts of those explain:
  /// mean(Z | P) − mean(Z | N) − Σⱼ (mean(yⱼ | P) − mean(yⱼ | N)) · Rⱼ. For a single label without parts that is its own
  /// effect, since the residuals of least squares have the same mean on both sides.
  static func isolated(
    _ groups: [LabelGroups], in photos: EncodedPhotos, _ statistics: LatentStatistics
  ) throws -> Tensor {
    let differences = try differences(groups, photos.count)
    let labels = photos.attributeNames.count
    var isOther = [Double](repeating: 1, count: groups.count * labels)
    for (row, group) in groups.enumerated() {
      for label in AttributeParts.adding(to: group.asked, of: photos.attributeNames) { isOther[row * labels + label] = 0 }
    }
    let others = try differences.matmul(photos.presence()) * Tensor(isOther, shape: [groups.count, labels])
    return try photos.sums(differences) - others.matmul(statistics.effects)
  }

  /// The matrix groups × photos that gives the differences of the groups' means.
  private static func differences(_ groups: [LabelGroups], _ count: Int) throws -> Tensor {
    var weights = [Double](repeating: 0, count: groups.count * count)
    for (row, group) in groups.enumerated() {
      for photo in group.positives { weights[row * count + photo] = 1 / Double(group.positives.count) }
      for photo in group.negatives { weights[row * count + photo] = -1 / Double(group.negatives.count) }
    }
    return try Tensor(weights, shape: [groups.count, count])
  }
}

extension CombinedDirection {
  /// The groups where both are large enough and the name is free.
  fileprivate func checkedGroups(in photos: EncodedPhotos, beside names: [String]) throws -> LabelGroups {
    if names.contains(where: { $0.lowercased() == name.lowercased() }) { throw CombinedDirectionError.nameTaken(name) }
    let groups = try groups(photos.labels, attributes: photos.attributeNames)
    guard min(groups.positives.count, groups.negatives.count) >= Self.minimumPhotos else {
      throw CombinedDirectionError.tooFewPhotos(
        name: name, positives: groups.positives.count, negatives: groups.negatives.count)
    }
    return groups
  }

  /// Of some definitions those that photos are enough for, and for each of the others why not.
  public static func usable(
    _ definitions: [CombinedDirection], in photos: EncodedPhotos
  ) -> (definitions: [CombinedDirection], faults: [any Error]) {
    var names = photos.attributeNames
    var usable: [CombinedDirection] = []
    var faults: [any Error] = []
    for definition in definitions {
      do {
        _ = try definition.checkedGroups(in: photos, beside: names)
        names.append(definition.name)
        usable.append(definition)
      } catch {
        faults.append(error)
      }
    }
    return (usable, faults)
  }
}

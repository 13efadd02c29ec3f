import Facet
import Foundation
import Torch

extension AttributeDirections {
  /// Finds the directions of all attributes in one pass: each photo is encoded once.
  /// - Parameters:
  ///   - samples: the training partition.
  ///   - limit: the most positives, and the most negatives, that count for a mean difference; the first in the list's
  ///     order.
  ///   - scale: the factor on each direction at strength 1; ``calibrated(with:on:calibration:only:device:partial:progress:)``
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

  /// Finds the directions of all attributes, their probes, the codes' mean and covariance, and a mixture of them.
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
        uniqueKeysWithValues: try DirectionMethod.allCases.map { ($0, try .zeros([0, photos.latentSize])) }),
      factorsByMethod: Dictionary(uniqueKeysWithValues: DirectionMethod.allCases.map { ($0, []) }), typicalOdds: [])
    result.mixture = try CodeMixture.fit(photos, statistics)
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
    var result = AttributeDirections(
      names: pick(names), definitions: definitions, positives: pick(positives), negatives: pick(negatives),
      probes: AttributeProbes(
        names: pick(names), mean: probes.mean, weights: try probes.weights.indexSelect(0, rows),
        biases: pick(probes.biases), figures: pick(probes.figures)),
      codeMean: codeMean, codeFactor: codeFactor,
      vectorsByMethod: try vectorsByMethod.mapValues { try $0.indexSelect(0, rows) },
      factorsByMethod: factorsByMethod.mapValues(pick), typicalOdds: typicalOdds.map(pick),
      overrides: overrides.filter { $0.key.name != names[removed] }, precision: precision)
    result.mixture = mixture
    return result
  }

  /// These directions with other factors at strength 1 and −1 for one attribute, such as were chosen by eye.
  /// - Parameters:
  ///   - attribute: its name.
  ///   - method: how the direction was found.
  ///   - add: the factor at strength 1, above 0; `nil` leaves it.
  ///   - remove: the factor at strength −1, above 0; `nil` leaves it.
  /// - Throws: ``AttributeError`` for a name that there is not.
  public func setting(
    _ attribute: String, _ method: DirectionMethod = .isolated, add: Double? = nil, remove: Double? = nil
  ) throws -> AttributeDirections {
    let index = try index(of: attribute)
    var result = self
    for (factor, adds) in [(add, true), (remove, false)] {
      guard let factor else { continue }
      result.set(factor, of: index, adds: adds, method, source: "by hand")
    }
    return result
  }

  /// These directions with the vectors that others of the same model have in the place of isolated ones, as far as the attributes are
  /// here too.
  public func takingOverrides(of others: AttributeDirections) -> AttributeDirections {
    var result = self
    result.overrides = others.overrides.filter { names.contains($0.key.name) }
    return result
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
    var result = AttributeDirections(
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
      overrides: overrides, precision: precision)
    result.mixture = mixture
    return result
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
      for label in AttributeTable.adding(partsOf: group.asked, among: photos.attributeNames) { isOther[row * labels + label] = 0 }
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

import Foundation
import Torch

/// Directions in a model's latent space that change attributes, one for each label of the data set.
///
/// A direction is the mean latent mean of photos that have the attribute, less that of photos that
/// don't, over the training partition (Toledo 2021; after Larsen et al. 2016).
public struct AttributeDirections: Sendable {
  /// The attributes' names, such as `Smiling`.
  public let names: [String]
  /// Attributes × latent size, float32.
  public let vectors: Tensor
  /// Photos with and without each attribute that went into its direction.
  public let positives: [Int]
  public let negatives: [Int]
  /// The factor on a direction at strength 1.
  public let scales: [Double]
  /// Mean and standard deviation of the codes of the training photos, latent size each.
  public let codeMean: Tensor
  public let codeDeviation: Tensor

  /// The factor at strength 1 where nothing else is known: the way from the mean photo without the attribute to the
  /// mean photo with it, and half as far again.
  public static let defaultScale = 1.5

  static let file = "attributes.safetensors"

  /// The step in latent space for an attribute at a strength, 1 × latent size.
  /// - Throws: ``AttributeError`` with the nearest names when there is no such attribute.
  public func step(_ attribute: String, strength: Double) throws -> Tensor {
    guard let index = names.firstIndex(where: { $0.lowercased() == attribute.lowercased() }) else {
      throw AttributeError(unknown: attribute, known: names)
    }
    return try vectors.narrow(0, index..<index + 1) * (strength * scales[index])
  }
}

/// An attribute that a bundle has no direction for.
public struct AttributeError: Error, Equatable, CustomStringConvertible {
  public let attribute: String
  public let suggestions: [String]

  init(unknown attribute: String, known: [String]) {
    self.attribute = attribute
    let wanted = attribute.lowercased()
    let near = known.map { (name: $0, distance: editDistance(wanted, $0.lowercased())) }
      .filter { $0.distance <= max(2, wanted.count / 3) || $0.name.lowercased().contains(wanted) }
      .sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }
    suggestions = near.isEmpty ? known : near.prefix(3).map(\.name)
  }

  public var description: String { "unknown attribute '\(attribute)'; try \(suggestions.joined(separator: ", "))" }
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

// MARK: Finding

extension AttributeDirections {
  /// Finds the directions of all attributes in one pass: each photo is encoded once.
  /// - Parameters:
  ///   - samples: the training partition.
  ///   - limit: the most positives, and the most negatives, that count for an attribute; the first in the list's order.
  ///   - scale: the factor on each direction at strength 1.
  ///   - device: where the work is done.
  ///   - model: the model, for use.
  ///   - batchSize: photos encoded at once.
  ///   - progress: called with the photos done and their total.
  /// - Throws: `TrainingError` when an attribute has no positives or no negatives.
  public static func find(
    with model: any FaceVAE, in samples: DecodedCache, limit: Int = 10_000, scale: Double = defaultScale,
    batchSize: Int = 64, device: Device = .cpu, progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> AttributeDirections {
    let names = samples.dataset.attributeNames
    let loader = BatchLoader(samples, options: .evaluation(batchSize: batchSize))
    loader.start(epoch: 0)
    model.setTraining(false)
    var positives = ClassMeans(attributes: names.count, limit: limit)
    var negatives = ClassMeans(attributes: names.count, limit: limit)
    let latentSize = model.configuration.latentSize
    var sum = try Tensor.zeros([latentSize], dtype: .float64)
    var squares = try Tensor.zeros([latentSize], dtype: .float64)
    var done = 0
    try withoutGradients {
      while let batch = loader.next() {
        let codes = try model.encode(batch.imageTensor(on: device)).mean.to(.cpu).to(.float64)
        try positives.add(codes, labels: batch.labels, where: 1)
        try negatives.add(codes, labels: batch.labels, where: -1)
        sum = try sum + codes.sum(dims: [0])
        squares = try squares + codes.square().sum(dims: [0])
        done += batch.count
        progress(done, samples.count)
      }
    }
    for (index, name) in names.enumerated() where positives.counts[index] == 0 || negatives.counts[index] == 0 {
      throw TrainingError(
        "attribute '\(name)' has \(positives.counts[index]) photos with it and \(negatives.counts[index]) without; "
          + "a direction needs both")
    }
    let mean = try sum / Double(done)
    let variance = try (squares / Double(done) - mean.square()).clamp(min: 0)
    return AttributeDirections(
      names: names,
      vectors: try (positives.means() - negatives.means()).to(.float32),
      positives: positives.counts, negatives: negatives.counts,
      scales: Array(repeating: scale, count: names.count),
      codeMean: try mean.to(.float32), codeDeviation: try variance.sqrt().to(.float32))
  }

  /// Running sums in float64, so that the order of the photos does not show in float32.
  private struct ClassMeans {
    let limit: Int
    private(set) var counts: [Int]
    private var sums: Tensor?

    init(attributes: Int, limit: Int) {
      self.limit = limit
      counts = Array(repeating: 0, count: attributes)
    }

    mutating func add(_ codes: Tensor, labels: UnsafeMutableBufferPointer<Int8>, where value: Int8) throws {
      let rows = codes.size(0)
      var chosen = [Double](repeating: 0, count: counts.count * rows)  // attributes × rows
      for row in 0..<rows {
        for attribute in counts.indices
        where labels[row * counts.count + attribute] == value && counts[attribute] < limit {
          chosen[attribute * rows + row] = 1
          counts[attribute] += 1
        }
      }
      let partial = try Tensor(chosen, shape: [counts.count, rows]).matmul(codes)
      sums = try sums.map { try $0 + partial } ?? partial
    }

    func means() throws -> Tensor {
      guard let sums else { throw TrainingError("there are no photos to find directions in") }
      return try sums / Tensor(counts.map { Double(max(1, $0)) }, shape: [counts.count, 1])
    }
  }
}

// MARK: On disk

extension AttributeDirections {
  /// Writes the directions into a bundle's folder, bound to its weights.
  public func write(to bundle: ModelBundle) throws {
    let tensors = [
      "directions": vectors, "code_mean": codeMean, "code_deviation": codeDeviation,
      "positives": try Tensor(positives.map(Int64.init)), "negatives": try Tensor(negatives.map(Int64.init)),
      "scales": try Tensor(scales),
    ]
    let metadata = ["format": "facet-attributes-1", "model": bundle.fingerprint, "names": names.joined(separator: ",")]
    try Tensor.save(tensors, metadata: metadata, to: bundle.url.appendingPathComponent(Self.file))
  }

  /// Reads the directions of a bundle.
  /// - Throws: ``BundleError`` when there are none, or they belong to other weights.
  public init(of bundle: ModelBundle) throws {
    let url = bundle.url.appendingPathComponent(Self.file)
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw BundleError(path: url.path, reason: "missing; make it with 'facet attributes --model \(bundle.url.path) --data DIR'")
    }
    let (tensors, metadata) = try Tensor.load(from: url)
    func fault(_ reason: String) -> BundleError { BundleError(path: url.path, reason: reason) }
    guard metadata["format"] == "facet-attributes-1" else { throw fault("not a file of attribute directions") }
    guard metadata["model"] == bundle.fingerprint else {
      throw fault("made for other weights; make it anew with 'facet attributes'")
    }
    let names = metadata["names"]?.split(separator: ",").map(String.init) ?? []
    let latentSize = bundle.configuration.latentSize
    func tensor(_ name: String, _ dtype: DType, _ shape: [Int]) throws -> Tensor {
      guard let tensor = tensors[name], tensor.dtype == dtype, tensor.shape == shape else {
        throw fault("'\(name)' is missing or not \(dtype) of shape \(shape)")
      }
      return tensor
    }
    guard !names.isEmpty else { throw fault("it names no attributes") }
    self.names = names
    vectors = try tensor("directions", .float32, [names.count, latentSize])
    codeMean = try tensor("code_mean", .float32, [latentSize])
    codeDeviation = try tensor("code_deviation", .float32, [latentSize])
    positives = try tensor("positives", .int64, [names.count]).array(Int64.self).map(Int.init)
    negatives = try tensor("negatives", .int64, [names.count]).array(Int64.self).map(Int.init)
    scales = try tensor("scales", .float64, [names.count]).array()
    guard scales.allSatisfy(\.isFinite), try vectors.isAllFinite() else { throw fault("it holds numbers that are not finite") }
  }
}

import Foundation
import Torch

extension AttributeDirections {
  package static let file = "attributes.safetensors"
  private static let format = "facet-attributes-2"
  /// More than any data set's attributes, and so little that a forged file cannot ask for much.
  private static let maximumNames = 10_000
  private static let maximumMetadata = 1 << 20

  /// Names are told apart without their letter case.
  private static func canStore(_ names: [String]) -> Bool {
    names.count <= maximumNames && Set(names.map { $0.lowercased() }).count == names.count
  }
  private static let badNames = "it names over \(maximumNames) attributes, or one twice"

  /// Writes the directions into a bundle's folder, bound to its weights.
  ///
  /// Directions (unless they are imported), probes and the covariance's factor are stored in float16.
  /// - Throws: ``BundleError`` when they hold numbers that float16 does not; `FileError`.
  public func write(to bundle: ModelBundle) throws {
    let url = bundle.url.appendingPathComponent(Self.file)
    guard Self.canStore(names) else { throw BundleError(path: url.path, reason: Self.badNames) }
    var tensors = [
      "probes.weights": try probes.weights.to(.float16), "probes.biases": try Tensor(probes.biases),
      "probes.photos": try Tensor(probes.figures.map { Int64($0?.photos ?? 0) }),
      "probes.figures": try Tensor(
        probes.figures.flatMap { [$0?.accuracy ?? 0, $0?.share ?? 0, $0?.calibrationError ?? 0] }.map(Float.init),
        shape: [names.count, 3]),
      "code_mean": codeMean, "code_factor": try codeFactor.to(.float16).lowerTriangle(),
      "positives": try Tensor(positives.map(Int64.init)), "negatives": try Tensor(negatives.map(Int64.init)),
    ]
    for method in DirectionMethod.allCases {
      tensors["directions.\(method.rawValue)"] = try vectors(method).to(precision)
      // Those of isolated directions are a text beside.
      if method == .isolated { continue }
      tensors["factors.\(method.rawValue)"] = try Tensor(
        factorsByMethod[method]!.flatMap { [Float($0.add), Float($0.remove)] }, shape: [names.count, 2])
    }
    if let typicalOdds {
      tensors["probes.typical"] = try Tensor(
        typicalOdds.flatMap { [Float($0.absent), Float($0.present)] }, shape: [names.count, 2])
    }
    if let mixture {
      tensors["mixture.weights"] = try Tensor(mixture.weights)
      (tensors["mixture.means"], tensors["mixture.deviations"]) = (try mixture.means.to(.float16), try mixture.deviations.to(.float16))
    }
    // The same vectors make the same file.
    let steps = overrides.sorted { ($0.key.name, $0.key.adds ? 0 : 1) < ($1.key.name, $1.key.adds ? 0 : 1) }
    if !steps.isEmpty {
      tensors["steered.steps"] = try Tensor.cat(steps.map(\.value.vector)).to(.float16)
      tensors["steered.reach"] = try Tensor(steps.map { Float($0.value.reach) })
      tensors["steered.factors"] = try Tensor(steps.map { Float($0.value.factor) })
    }
    for (name, tensor) in tensors where try !tensor.isAllFinite() {
      throw BundleError(path: url.path, reason: "'\(name)' has no place in float16; the model's codes are out of range")
    }
    var metadata = [
      "format": Self.format, "model": bundle.fingerprint, "names": try JSON.encode(names),
      "definitions": try JSON.encode(definitions),
    ]
    if !steps.isEmpty { metadata["steered"] = try JSON.encode(steps.map(\.key)) }
    try Tensor.save(tensors, metadata: metadata, to: url)
    try strengths.write(in: bundle.url)
  }

  /// The names of a bundle's attributes, without reading its weights; `nil` where they cannot be read.
  package static func names(in bundle: URL) -> [String]? {
    guard let text = try? SafetensorsFile(bundle.appendingPathComponent(file)).metadata["names"],
      text.utf8.count <= maximumMetadata, let names = try? JSON.decode([String].self, text), canStore(names)
    else { return nil }
    return names
  }

  /// Finds out before a model is loaded whether it has attributes.
  /// - Throws: ``AttributeError`` with the nearest names.
  package static func check(_ attributes: [String], in bundle: URL) throws {
    guard let names = names(in: bundle) else { return }
    let known = Set(names.map { $0.lowercased() })
    for attribute in attributes where !known.contains(attribute.lowercased()) && !AttributeEdit.isHair(attribute) {
      throw AttributeError(unknown: attribute, known: names)
    }
  }

  /// Finds out before a model is loaded whether a combined direction can be named and asked for so.
  /// - Throws: ``CombinedDirectionError`` of its name or a query.
  package static func checkWords(of definition: CombinedDirection, in bundle: URL) throws {
    guard CombinedDirection.isName(definition.name) else { throw CombinedDirectionError.badName(definition.name) }
    guard let names = names(in: bundle) else { return }
    // Queries are over labels; the last names are those of combined directions.
    let metadata = try? SafetensorsFile(bundle.appendingPathComponent(file)).metadata["definitions"]
    let combined = metadata.flatMap { try? JSON.decode([CombinedDirection].self, $0) } ?? []
    _ = try definition.groups([], attributes: Array(names.dropLast(combined.count)))
  }

  /// Whether a bundle has directions.
  static func exist(in bundle: ModelBundle) -> Bool {
    FileManager.default.fileExists(atPath: bundle.url.appendingPathComponent(file).path)
  }

  /// Reads the directions of a bundle.
  /// - Throws: ``BundleError`` when there are none, or they belong to other weights.
  public init(of bundle: ModelBundle) throws {
    let url = bundle.url.appendingPathComponent(Self.file)
    let remedy = "make it with 'facet attributes --model \(bundle.url.path) --data DIR'"
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw BundleError(path: url.path, reason: "missing; \(remedy)")
    }
    let (tensors, metadata) = try Tensor.load(from: url)
    func fault(_ reason: String) -> BundleError { BundleError(path: url.path, reason: reason) }
    guard let format = metadata["format"], format.hasPrefix("facet-attributes-") else {
      throw fault("not a file of attribute directions")
    }
    guard format == Self.format else { throw fault("made by another version of Facet (\(format)); \(remedy)") }
    guard metadata["model"] == bundle.fingerprint else { throw fault("made for other weights; \(remedy)") }

    func decoded<Value: Decodable>(_ key: String, _: Value.Type) throws -> Value {
      guard let text = metadata[key], text.utf8.count <= Self.maximumMetadata,
        let value = try? JSON.decode(Value.self, text)
      else { throw fault("its \(key) cannot be read") }
      return value
    }
    let names = try decoded("names", [String].self)
    let definitions = try decoded("definitions", [CombinedDirection].self)
    guard !names.isEmpty else { throw fault("it names no attributes") }
    guard Self.canStore(names) else { throw fault(Self.badNames) }
    guard definitions.count <= min(Self.maximumDefinitions, names.count - 1),
      definitions.map(\.name) == names.suffix(definitions.count)
    else { throw fault("its definitions are not of its last attributes") }
    do {
      let labels = Array(names.dropLast(definitions.count))
      for definition in definitions { _ = try definition.groups([], attributes: labels) }
    } catch {
      throw fault("a definition cannot be read: \(error)")
    }

    let (count, latentSize) = (names.count, bundle.configuration.latentSize)
    func tensor(_ name: String, _ dtype: DType, _ shape: [Int]) throws -> Tensor {
      guard let tensor = tensors[name], tensor.dtype == dtype, tensor.shape == shape else {
        throw fault("'\(name)' is missing or not \(dtype) of shape \(shape)")
      }
      guard try tensor.isAllFinite() else { throw fault("'\(name)' holds numbers that are not finite") }
      return dtype == .float16 ? try tensor.to(.float32) : tensor
    }
    func counts(_ name: String) throws -> [Int] {
      let counts = try tensor(name, .int64, [count]).array(Int64.self)
      guard counts.allSatisfy({ $0 >= 0 }) else { throw fault("'\(name)' holds numbers below 0") }
      return counts.map(Int.init)
    }
    let photos = try counts("probes.photos")
    let figures = try tensor("probes.figures", .float32, [count, 3]).array(Float.self).map(Double.init)
    guard figures.allSatisfy((0...1).contains) else { throw fault("'probes.figures' holds numbers beyond 0 and 1") }
    let codeMean = try tensor("code_mean", .float32, [latentSize])
    self.names = names
    self.definitions = definitions
    self.codeMean = codeMean
    // Files of older versions have the zeros above the diagonal, too.
    codeFactor = tensors["code_factor"]?.dimensions == 2
      ? try tensor("code_factor", .float16, [latentSize, latentSize])
      : try Tensor(
        lowerTriangle: tensor("code_factor", .float16, [latentSize * (latentSize + 1) / 2]), size: latentSize)
    positives = try counts("positives")
    negatives = try counts("negatives")
    probes = AttributeProbes(
      names: names, mean: codeMean, weights: try tensor("probes.weights", .float16, [count, latentSize]),
      biases: try tensor("probes.biases", .float64, [count]).array(),
      figures: photos.enumerated().map { index, photos in
        photos == 0
          ? nil
          : AttributeProbes.Figures(
            photos: photos, accuracy: figures[index * 3], share: figures[index * 3 + 1],
            calibrationError: figures[index * 3 + 2])
      })
    typicalOdds = try tensors["probes.typical"].map { _ in
      let odds = try tensor("probes.typical", .float32, [count, 2]).array(Float.self).map(Double.init)
      return (0..<count).map { TypicalOdds(absent: odds[$0 * 2], present: odds[$0 * 2 + 1]) }
    }
    let stored = tensors["directions.\(DirectionMethod.isolated.rawValue)"]?.dtype == .float32 ? DType.float32 : .float16
    precision = stored
    vectorsByMethod = Dictionary(
      uniqueKeysWithValues: try DirectionMethod.allCases.map {
        ($0, try tensor("directions.\($0.rawValue)", stored, [count, latentSize]))
      })
    let strengths = try Strengths.read(in: bundle.url, names: names)
    factorsByMethod = Dictionary(
      uniqueKeysWithValues: try DirectionMethod.allCases.map { method in
        if method == .isolated, strengths != nil {
          return (method, [StrengthFactors](repeating: .init(add: 1, remove: 1), count: count))
        }
        let name = "factors.\(method.rawValue)"
        let numbers = try tensor(name, .float32, [count, 2]).array(Float.self).map(Double.init)
        guard numbers.allSatisfy({ $0 > 0 && $0 <= 100 }) else {
          throw fault("'\(name)' holds numbers beyond 0 and 100")
        }
        return (method, (0..<count).map { StrengthFactors(add: numbers[$0 * 2], remove: numbers[$0 * 2 + 1]) })
      })
    if let parts = tensors["mixture.weights"]?.shape.first {
      guard (1...CodeMixture.maximumParts).contains(parts) else { throw fault("its mixture has \(parts) parts") }
      let weights = try tensor("mixture.weights", .float64, [parts]).array(Double.self)
      let deviations = try tensor("mixture.deviations", .float16, [parts, latentSize])
      guard weights.allSatisfy({ $0 >= 0 }), abs(weights.reduce(0, +) - 1) < 1e-6,
        try (deviations < 0).to(.float32).sum().item() == 0
      else { throw fault("its mixture's weights or deviations are out of range") }
      mixture = CodeMixture(
        weights: weights, means: try tensor("mixture.means", .float16, [parts, latentSize]), deviations: deviations)
    }
    overrides = [:]
    defer { if let strengths { take(strengths) } }
    guard metadata["steered"] != nil else { return }
    let keys = try decoded("steered", [AttributeState].self)
    guard !keys.isEmpty, Set(keys).count == keys.count, Set(keys.map(\.name)).isSubset(of: names) else {
      throw fault("its vectors are none, one twice, or of other attributes")
    }
    let vectors = try tensor("steered.steps", .float16, [keys.count, latentSize])
    let reach = try tensor("steered.reach", .float32, [keys.count]).array(Float.self).map(Double.init)
    let parts = try tensor("steered.factors", .float32, [keys.count]).array(Float.self).map(Double.init)
    guard parts.allSatisfy({ $0 > 0 && $0 <= 100 }) else {
      throw fault("'steered.factors' holds numbers beyond 0 and 100")
    }
    for (row, key) in keys.enumerated() {
      overrides[key] = DirectionOverride(
        vector: try vectors.narrow(0, row..<row + 1), reach: reach[row], factor: parts[row])
    }
  }
}

extension Tensor {
  /// What a lower triangular matrix holds, row after row: half of the article's 8 MB.
  fileprivate func lowerTriangle() throws -> Tensor {
    let size = size(0)
    var places: [Int64] = []
    for row in 0..<size { for column in 0...row { places.append(Int64(row * size + column)) } }
    return try reshape([-1]).indexSelect(0, Tensor(places))
  }

  /// The lower triangular matrix of size × size values that ``lowerTriangle()`` has taken apart.
  fileprivate init(lowerTriangle values: Tensor, size: Int) throws {
    let zero = Int64(values.size(0))
    var places = [Int64](repeating: zero, count: size * size)
    for row in 0..<size {
      for column in 0...row { places[row * size + column] = Int64(row * (row + 1) / 2 + column) }
    }
    self = try Tensor.cat([values, .zeros([1], dtype: values.dtype)])
      .indexSelect(0, Tensor(places)).reshape([size, size])
  }
}

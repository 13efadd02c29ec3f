import Files
import Foundation
import Testing

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining
@testable import Torch

extension ModelConfiguration {
  /// A compact model that takes no time.
  static let tiny = ModelConfiguration(
    architecture: .compact, imageSize: 16, latentSize: 6, stem: 2, encoderChannels: [4, 8], decoderChannels: [8, 4],
    encoderResiduals: [0, 1], decoderResiduals: [1, 0])
}

@Suite("Models") struct ModelTests {
  // MARK: Configurations

  /// A small bundle has the parts of the one that it was made from, and nearly its faces.
  @Test func aSmallBundleIsTheSameModel() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("facet-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    let (large, small) = (folder.appendingPathComponent("large"), folder.appendingPathComponent("small"))
    let shipped = try ModelBundle()
    try ModelBundle.write(configuration: shipped.configuration, weights: shipped.model.state(), to: large)
    try ModelBundle(contentsOf: large).writeSmall(to: small)
    func bytes(_ folder: URL) throws -> Int {
      try #require(folder.appendingPathComponent(NetworkFolder.weightsFile).resourceValues(forKeys: [.fileSizeKey]).fileSize)
    }
    #expect(try Double(bytes(small)) < 0.6 * Double(bytes(large)))
    let latent = try Tensor.randn([2, shipped.configuration.latentSize], generator: Generator(seed: 3))
    let faces = try [large, small].map { try ModelBundle(contentsOf: $0).model.decode(latent).image }
    #expect(try (faces[0] - faces[1]).abs().mean().item() < 0.01)
    // Of the shipped one with its directions, which are bound to its weights.
    try shipped.writeSmall(to: small)
    let copy = try ModelBundle(contentsOf: small)
    #expect(try AttributeDirections(of: copy).names == AttributeDirections(of: shipped).names)
    #expect(FileManager.default.fileExists(atPath: small.appendingPathComponent(Painter.file).path))
  }

  @Test func presetsAreValid() throws {
    try ModelConfiguration.article.validate()
    try ModelConfiguration.compact.validate()
    try ModelConfiguration.tiny.validate()
  }

  private static let hostile: [(name: String, change: @Sendable (inout ModelConfiguration) -> Void)] = [
    ("imageSize 0", { $0.imageSize = 0 }),
    ("imageSize negative", { $0.imageSize = -128 }),
    ("imageSize least", { $0.imageSize = .min }),
    ("imageSize odd", { $0.imageSize = 130 }),
    ("imageSize huge", { $0.imageSize = 1 << 40 }),
    ("imageSize greatest", { $0.imageSize = .max }),
    ("imageSize without a stage", { $0.imageSize = 256; $0.encoderChannels.append(64) }),
    ("latentSize 0", { $0.latentSize = 0 }),
    ("latentSize negative", { $0.latentSize = -1 }),
    ("latentSize huge", { $0.latentSize = .max }),
    ("stem 0", { $0.stem = 0 }),
    ("stem negative", { $0.stem = -2 }),
    ("stem 3", { $0.stem = 3 }),
    ("stem greatest", { $0.stem = .max }),
    ("encoderChannels empty", { $0.encoderChannels = [] }),
    ("encoderChannels zero", { $0.encoderChannels[1] = 0 }),
    ("encoderChannels negative", { $0.encoderChannels[1] = -64 }),
    ("encoderChannels huge", { $0.encoderChannels[1] = .max }),
    ("encoderChannels many", { $0.encoderChannels = Array(repeating: 8, count: 64) }),
    ("decoderChannels empty", { $0.decoderChannels = [] }),
    ("decoderChannels short", { $0.decoderChannels.removeLast() }),
    ("decoderChannels long", { $0.decoderChannels += [16] }),
    ("decoderChannels huge", { $0.decoderChannels[0] = 1 << 30 }),
    ("encoderResiduals short", { $0.encoderResiduals = [1] }),
    ("encoderResiduals negative", { $0.encoderResiduals[0] = -1 }),
    ("encoderResiduals huge", { $0.encoderResiduals[0] = .max }),
    ("decoderResiduals empty", { $0.decoderResiduals = [] }),
    ("decoderResiduals huge", { $0.decoderResiduals[4] = 9 }),
    (
      // 4 million features times 4096 codes.
      "matrices huge",
      { $0 = .init(architecture: .compact, imageSize: 128, latentSize: 4096, encoderChannels: [1024], decoderChannels: [1]) }
    ),
    (
      "blocks huge",
      { $0.encoderChannels = [32, 64, 128, 1024, 1024]; $0.encoderResiduals = [0, 0, 0, 8, 8] }
    ),
    ("article with another size", { $0 = .article; $0.imageSize = 128 }),
    ("article with another code", { $0 = .article; $0.latentSize = 510 }),
    ("article with channels", { $0 = .article; $0.encoderChannels = [32] }),
  ]

  @Test(arguments: hostile.map(\.name))
  func hostileConfigurationsAreRefused(name: String) throws {
    var configuration = ModelConfiguration.compact
    try #require(Self.hostile.first { $0.name == name }).change(&configuration)
    #expect(throws: ModelError.self) { try configuration.makeModel(seed: nil) }
  }

  @Test func configurationsSurviveJSON() throws {
    for configuration in [ModelConfiguration.article, .compact, .tiny] {
      #expect(try JSON.decode(ModelConfiguration.self, JSON.encode(configuration)) == configuration)
    }
  }

  // MARK: The compact model

  @Test func compactIsSmall() throws {
    let model = try ModelConfiguration.compact.makeModel(seed: nil)
    #expect(model.parameterCount < 9_600_000)
    // Half precision fits the package's 20 MB.
    #expect(model.parameterCount * 2 < 20_000_000)
  }

  @Test(arguments: [128, 64])
  func compactShapes(size: Int) throws {
    var configuration = ModelConfiguration.compact
    configuration.imageSize = size
    let model = try configuration.makeModel(seed: 3)
    try model.useChannelsLast()
    let images = try Tensor.rand([2, 3, size, size], generator: Generator(seed: 1)).contiguous(.channelsLast)
    for isTraining in [false, true] {
      model.setTraining(isTraining)
      try withoutGradients { () throws in
        let posterior = try model.encode(images)
        #expect(posterior.mean.shape == [2, 512])
        #expect(posterior.logDeviation.shape == [2, 512])
        let reconstruction = try model.decode(posterior.mean)
        #expect(reconstruction.image.shape == [2, 3, size, size])
        #expect(reconstruction.maskLogits.shape == [2, 1, size, size])
        #expect(try values(reconstruction.image).allSatisfy { (0...1).contains($0) })
        #expect(try reconstruction.maskLogits.isAllFinite())
      }
    }
    #expect(throws: TorchError.self) { try model.encode(Tensor.zeros([2, 3, size / 2, size / 2])) }
    #expect(throws: TorchError.self) { try model.encode(Tensor.zeros([2, 4, size, size])) }
    #expect(throws: TorchError.self) { try model.encode(Tensor.zeros([3])) }
    #expect(throws: TorchError.self) { try model.decode(Tensor.zeros([2, 511])) }
  }

  @Test func sameSeedSameWeights() throws {
    let (a, b, c) = (
      try ModelConfiguration.tiny.makeModel(seed: 1).state(), try ModelConfiguration.tiny.makeModel(seed: 1).state(),
      try ModelConfiguration.tiny.makeModel(seed: 2).state()
    )
    for (name, tensor) in a { #expect(try tensor.bytes() == b[name]?.bytes(), "\(name)") }
    #expect(try a["encoder.mean.weight"]?.bytes() != c["encoder.mean.weight"]?.bytes())
  }

  /// Every parameter takes part: none is left without a gradient, in both architectures' building blocks.
  @Test func everyParameterLearns() throws {
    let model = try ModelConfiguration.tiny.makeModel(seed: 1)
    try model.setRequiresGrad(true)
    model.setTraining(true)
    let generator = try Generator(seed: 2)
    let images = try Tensor.rand([3, 3, 16, 16], generator: generator)
    let masks = try (Tensor.rand([3, 1, 16, 16], generator: generator) > 0.5).to(.float32)
    let posterior = try model.encode(images)
    let reconstruction = try model.decode(posterior.sample(noise: .randn([3, 6], generator: generator)))
    let terms = try Objective(imageSize: 16)(
      images: images, masks: masks, reconstruction: reconstruction, posterior: posterior)
    try terms.total.backward()
    for (name, parameter) in model.parameters {
      let gradient = try #require(parameter.tensor.grad, "\(name)")
      #expect(try gradient.isAllFinite(), "\(name)")
      #expect(try gradient.norm().item() > 0, "\(name)")
    }
  }

  // MARK: Composition

  @Test func compositions() throws {
    let input = try Tensor([0.2, 0.4] as [Float], shape: [1, 1, 1, 2])
    let reconstruction = Reconstruction(
      image: try Tensor([1, 0] as [Float], shape: [1, 1, 1, 2]), maskLogits: try Tensor.zeros([1, 1, 1, 2]))
    try expectClose(values(reconstruction.composed(over: input)), [0.6, 0.2], tolerance: 1e-6)
    let mask = try Tensor([1, 0] as [Float], shape: [1, 1, 1, 2])
    try expectClose(values(reconstruction.composed(over: input, trueMask: mask)), [1, 0.4], tolerance: 1e-6)
  }

  @Test func sampling() throws {
    let posterior = Posterior(
      mean: try Tensor([1, 2] as [Float]), logDeviation: try Tensor([0, 1.0986123] as [Float]))
    try expectClose(values(posterior.sample(noise: Tensor([2, -1] as [Float]))), [3, -1], tolerance: 1e-6)
  }
}

// MARK: - Bundles

@Suite("Model bundles") final class ModelBundleTests {
  let url = FileManager.default.temporaryDirectory.appending(path: "facet-bundle-\(UUID().uuidString)")

  deinit { try? FileManager.default.removeItem(at: url) }

  private var configurationURL: URL { url.appending(path: "config.json") }
  private var weightsURL: URL { url.appending(path: "model.safetensors") }
  private var attributesURL: URL { url.appending(path: "attributes.safetensors") }

  @discardableResult
  private func write(seed: UInt64 = 1, dtype: DType = .float32) throws -> any FaceVAE {
    let model = try ModelConfiguration.tiny.makeModel(seed: seed)
    try ModelBundle.write(configuration: .tiny, weights: model.state(), dtype: dtype, to: url)
    return model
  }

  /// Reading fails with a typed error that names `file` and says `part`.
  private func expectFault(
    _ file: URL, _ part: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    do {
      _ = try ModelBundle(contentsOf: url)
      Issue.record("the bundle was read", sourceLocation: sourceLocation)
    } catch {
      #expect(
        error is BundleError || error is FileError || error is SafetensorsError, "\(type(of: error))",
        sourceLocation: sourceLocation)
      #expect("\(error)".hasPrefix(file.path), "\(error)", sourceLocation: sourceLocation)
      #expect("\(error)".contains(part), "\(error)", sourceLocation: sourceLocation)
    }
  }

  @Test(arguments: [DType.float32, .float16])
  func comesBack(dtype: DType) throws {
    let model = try write(dtype: dtype)
    let bundle = try ModelBundle(contentsOf: url)
    #expect(bundle.configuration == .tiny)
    let weights = try bundle.model.state()
    for (name, tensor) in try model.state() {
      #expect(weights[name]?.dtype == .float32)
      let stored = name.hasSuffix("logDeviation.weight") ? 5e-3 : 1e-3
      try expectClose(#require(weights[name]), tensor, name, tolerance: dtype == .float32 ? 0 : stored)
    }
    #expect(bundle.model.parameters.allSatisfy { !$0.parameter.tensor.requiresGrad })
    let images = try Tensor.rand([1, 3, 16, 16], generator: Generator(seed: 1))
    let codes = try (bundle.model.encode(images).mean, model.encode(images).mean)
    try expectClose(codes.0, codes.1, tolerance: dtype == .float32 ? 1e-5 : 1e-2)
    #expect(try ModelBundle(contentsOf: url).fingerprint == bundle.fingerprint)
    try write(seed: 2, dtype: dtype)
    #expect(try ModelBundle(contentsOf: url).fingerprint != bundle.fingerprint)
  }

  @Test func whatOnlyTrainingNeedsIsStoredSmall() throws {
    try write(dtype: .float16)
    var tensors = try Tensor.load(from: weightsURL).tensors
    let small = tensors.filter { $0.value.dtype == .int8 }.map(\.key)
    #expect(small == ["encoder.logDeviation.weight"])
    tensors[small[0] + ".scale"] = nil
    try Tensor.save(tensors, to: weightsURL)
    expectFault(weightsURL, "'encoder.logDeviation.weight' has no scales")
  }

  @Test func missingFiles() throws {
    expectFault(configurationURL, "No such file")
    try write()
    try FileManager.default.removeItem(at: weightsURL)
    expectFault(weightsURL, "No such file")
    try write()
    try FileManager.default.removeItem(at: configurationURL)
    expectFault(configurationURL, "No such file")
    try FileManager.default.createDirectory(at: configurationURL, withIntermediateDirectories: true)
    expectFault(configurationURL, "not a regular file")
  }

  @Test func damagedWeights() throws {
    try write()
    let whole = try Data(contentsOf: weightsURL)
    for length in [0, 4, 8, 100, whole.count / 2, whole.count - 1] {
      try whole.prefix(length).write(to: weightsURL)
      expectFault(weightsURL, "not a valid safetensors file")
    }
    try (whole + Data([0])).write(to: weightsURL)
    expectFault(weightsURL, "not a valid safetensors file")
    try Data("not weights at all".utf8).write(to: weightsURL)
    expectFault(weightsURL, "not a valid safetensors file")
  }

  @Test func damagedConfiguration() throws {
    try write()
    let whole = try String(contentsOf: configurationURL, encoding: .utf8)
    func put(_ text: String) throws { try Data(text.utf8).write(to: configurationURL) }
    try put("")
    expectFault(configurationURL, "not a model configuration")
    try put(String(whole.dropLast(10)))
    expectFault(configurationURL, "not a model configuration")
    try put("[]")
    expectFault(configurationURL, "not a model configuration")
    try put("{}")
    expectFault(configurationURL, "is missing")
    try put(whole.replacing("\"compact\"", with: "\"huge\""))
    expectFault(configurationURL, "architecture")
    try put(whole.replacing("\"latentSize\" : 6", with: "\"latentSize\" : \"six\""))
    expectFault(configurationURL, "latentSize")
    try put(whole.replacing("\"latentSize\" : 6", with: "\"latentSize\" : 1e400"))
    expectFault(configurationURL, "not a model configuration")
    try put(whole.replacing("\"latentSize\" : 6", with: "\"latentSize\" : -6"))
    expectFault(configurationURL, "'latentSize' must be")
    try Data(count: 2 << 20).write(to: configurationURL)
    expectFault(configurationURL, "longer than")
  }

  @Test func configurationAndWeightsThatDoNotFit() throws {
    try write()
    let whole = try String(contentsOf: configurationURL, encoding: .utf8)
    try Data(whole.replacing("\"latentSize\" : 6", with: "\"latentSize\" : 7").utf8).write(to: configurationURL)
    expectFault(weightsURL, "has shape")
    try ModelBundle.write(configuration: .article, weights: ModelConfiguration.tiny.makeModel(seed: 1).state(), to: url)
    expectFault(weightsURL, "unknown tensor")
    var weights = try ModelConfiguration.tiny.makeModel(seed: 1).state()
    weights["encoder.mean.bias"] = nil
    try ModelBundle.write(configuration: .tiny, weights: weights, to: url)
    expectFault(weightsURL, "tensor 'encoder.mean.bias' is missing")
  }

  // MARK: Directions

  private let definition = CombinedDirection("smiling_man", positives: "Smiling & Male", within: "Male")

  private func triangle() throws -> Tensor {
    var values = [Float](repeating: 0, count: 36)
    for row in 0..<6 { for column in 0...row { values[row * 6 + column] = Float(row * 6 + column + 1) } }
    return try Tensor(values, shape: [6, 6])
  }

  private func directions() throws -> AttributeDirections {
    func rows(_ first: Float) throws -> Tensor { try Tensor((0..<18).map { first + Float($0) }, shape: [3, 6]) }
    return AttributeDirections(
      names: ["Smiling", "Male", "smiling_man"], definitions: [definition], positives: [3, 4, 5], negatives: [6, 7, 8],
      probes: AttributeProbes(
        names: ["Smiling", "Male", "smiling_man"], mean: try .ones([6]), weights: try rows(-4), biases: [0.5, -1, 0],
        figures: [.init(photos: 9, accuracy: 0.75, share: 0.5, calibrationError: 0.125), nil, nil]),
      codeMean: try .ones([6]),
      codeFactor: try triangle(),
      vectorsByMethod: [.isolated: try rows(0), .meanDifference: try rows(1)],
      factorsByMethod: [
        .isolated: [.init(add: 1.5, remove: 2), .init(add: 2, remove: 3), .init(add: 1, remove: 1)],
        .meanDifference: [.init(add: 1, remove: 1), .init(add: 1, remove: 0.5), .init(add: 1, remove: 1)],
      ],
      typicalOdds: [.init(absent: -2, present: 1.5), .init(absent: -3, present: 4), .init(absent: -1, present: 1)])
  }

  @Test func directionsComeBack() throws {
    try write()
    let bundle = try ModelBundle(contentsOf: url)
    let missing = #expect(throws: BundleError.self) { try AttributeDirections(of: bundle) }
    #expect(missing?.path == attributesURL.path)
    let written = try directions()
    try written.write(to: bundle)
    let read = try AttributeDirections(of: bundle)
    #expect(read.names == written.names && read.definitions == [definition])
    #expect(read.labelNames == ["Smiling", "Male"])
    #expect(read.typicalOdds == written.typicalOdds && read.typicalOdds?.count == 3)
    #expect(read.positives == written.positives && read.negatives == written.negatives)
    #expect(read.probes.figures == written.probes.figures && read.probes.biases == written.probes.biases)
    try expectClose(read.probes.weights, written.probes.weights, tolerance: 0)
    try expectClose(read.codeMean, written.codeMean, tolerance: 0)
    try expectClose(read.codeFactor, written.codeFactor, tolerance: 0)
    for method in DirectionMethod.allCases {
      #expect(read.factors(method) == written.factors(method))
      try expectClose(read.vectors(method), written.vectors(method), tolerance: 0)
    }
    try expectClose(values(read.step("male", strength: -0.5)), [-9, -10.5, -12, -13.5, -15, -16.5], tolerance: 1e-6)
    try expectClose(
      values(read.step("Male", strength: -1, method: .meanDifference)), [-3.5, -4, -4.5, -5, -5.5, -6], tolerance: 1e-6)
    let unknown = #expect(throws: AttributeError.self) { try read.step("Smilling", strength: 1) }
    #expect(unknown?.suggestions.first == "Smiling")
  }

  /// Of a bundle from before faces got what they lack, all get the same.
  @Test func directionsWithoutTypicalOdds() throws {
    try write()
    let bundle = try ModelBundle(contentsOf: url)
    var directions = try directions()
    directions.typicalOdds = nil
    try directions.write(to: bundle)
    let read = try AttributeDirections(of: bundle)
    #expect(read.typicalOdds == nil)
    #expect(try values(read.step("Male", strength: 1, on: .ones([1, 6]))) == values(read.step("Male", strength: 1)))
  }

  @Test func mixturesComeBack() throws {
    try write()
    let bundle = try ModelBundle(contentsOf: url)
    let plain = try self.directions()
    #expect(throws: LatentPriorError.self) { try LatentPrior(.mixture, of: plain) }
    var written = plain
    let rows = try Tensor((0..<12).map { Float($0) }, shape: [2, 6])
    written.mixture = CodeMixture(weights: [0.25, 0.75], means: rows, deviations: try rows + 1)
    try written.write(to: bundle)
    let directions = try AttributeDirections(of: bundle)
    let read = try #require(directions.mixture)
    #expect(read.weights == [0.25, 0.75])
    try expectClose(read.means, rows, tolerance: 0)
    try expectClose(read.deviations, rows + 1, tolerance: 0)
    // Parts are chosen by their weights: means and deviations are those of the part.
    let noise = try Tensor.ones([6])
    #expect(try values(read.draw(noise, choice: 0.24)) == [1, 3, 5, 7, 9, 11])
    #expect(try values(read.draw(noise, choice: 0.26)) == [13, 15, 17, 19, 21, 23])
    let faulty = [([0.25, 0.5], try rows + 1), ([1.25, -0.25], try rows + 1), ([0.25, 0.75], try rows - 1)]
    for (weights, deviations) in faulty {
      written.mixture = CodeMixture(weights: weights, means: rows, deviations: deviations)
      try written.write(to: bundle)
      #expect(throws: BundleError.self) { try AttributeDirections(of: bundle) }
    }
  }

  @Test func directionsThatFloat16DoesNotHold() throws {
    try write()
    let bundle = try ModelBundle(contentsOf: url)
    let whole = try directions()
    let huge = AttributeDirections(
      names: whole.names, definitions: whole.definitions, positives: whole.positives, negatives: whole.negatives,
      probes: whole.probes, codeMean: whole.codeMean, codeFactor: try whole.codeFactor * 1e6,
      vectorsByMethod: whole.vectorsByMethod, factorsByMethod: whole.factorsByMethod, typicalOdds: whole.typicalOdds)
    #expect(throws: BundleError.self) { try huge.write(to: bundle) }
    #expect(!FileManager.default.fileExists(atPath: attributesURL.path))
  }

  @Test func directionsOfOtherWeightsAreRefused() throws {
    try write(seed: 1)
    try directions().write(to: ModelBundle(contentsOf: url))
    let attributes = try Data(contentsOf: attributesURL)
    try write(seed: 2)
    #expect(!FileManager.default.fileExists(atPath: attributesURL.path), "new weights take the directions away")
    try attributes.write(to: attributesURL)
    let bundle = try ModelBundle(contentsOf: url)
    let error = #expect(throws: BundleError.self) { try AttributeDirections(of: bundle) }
    #expect(error?.path == attributesURL.path)
    #expect(error?.reason.contains("other weights") == true)
  }

  @Test func directionsOfAnOlderVersion() throws {
    try write()
    let bundle = try ModelBundle(contentsOf: url)
    let written = try directions()
    try written.write(to: bundle)
    var (tensors, metadata) = try Tensor.load(from: attributesURL)
    #expect(tensors["code_factor"]?.shape == [21])
    tensors["code_factor"] = try written.codeFactor.to(.float16)
    try Tensor.save(tensors, metadata: metadata, to: attributesURL)
    try expectClose(AttributeDirections(of: bundle).codeFactor, written.codeFactor, tolerance: 0)
  }

  @Test func damagedDirections() throws {
    try write()
    let bundle = try ModelBundle(contentsOf: url)
    try directions().write(to: bundle)
    let whole = try Data(contentsOf: attributesURL)
    try whole.dropLast().write(to: attributesURL)
    #expect(throws: SafetensorsError.self) { try AttributeDirections(of: bundle) }

    try whole.write(to: attributesURL)
    let (tensors, metadata) = try Tensor.load(from: attributesURL)
    func refused(_ part: String, _ change: (inout [String: Tensor], inout [String: String]) throws -> Void) throws {
      var (changedTensors, changedMetadata) = (tensors, metadata)
      try change(&changedTensors, &changedMetadata)
      try Tensor.save(changedTensors, metadata: changedMetadata, to: attributesURL)
      let error = #expect(throws: BundleError.self) { try AttributeDirections(of: bundle) }
      #expect(error?.path == attributesURL.path)
      #expect(error?.reason.contains(part) == true, "\(error?.reason ?? "")")
    }
    try refused("not a file of attribute directions") { $1["format"] = "other" }
    try refused("another version of Facet (facet-attributes-1); make it") { $1["format"] = "facet-attributes-1" }
    try refused("other weights") { $1["model"] = nil }
    try refused("names cannot be read") { $1["names"] = "Smiling,Male" }
    try refused("names cannot be read") { $1["names"] = "[" + String(repeating: "\"a\",", count: 1 << 18) + "\"a\"]" }
    try refused("no attributes") { $1["names"] = "[]" }
    try refused("or one twice") { $1["names"] = #"["Smiling","smiling","smiling_man"]"# }
    try refused("not of its last attributes") { $1["names"] = #"["Smiling","Male","other"]"# }
    try refused("definitions cannot be read") { $1["definitions"] = nil }
    try refused("definitions cannot be read") { $1["definitions"] = String(repeating: "[", count: 100_000) }
    try refused("a definition cannot be read: positives query, character 1") {
      $1["definitions"] = #"[{"name":"smiling_man","positives":"Other"}]"#
    }
    try refused("is missing or not") { $1["names"] = #"["Male","smiling_man"]"#; $1["definitions"] = "[]" }
    let arrays = ["directions.isolated", "directions.mean-difference", "probes.weights", "factors.mean-difference", "code_factor"]
    for name in arrays {
      try refused("'\(name)' is missing") { tensors, _ in tensors[name] = nil }
      try refused("'\(name)' is missing or not") { tensors, _ in tensors[name] = try tensors[name]!.to(.float64) }
      try refused("not finite") { tensors, _ in tensors[name] = try tensors[name]! * Double.nan }
    }
    try refused("'code_mean'") { tensors, _ in tensors["code_mean"] = try .zeros([7]) }
    try refused("'code_factor'") { tensors, _ in tensors["code_factor"] = try .zeros([6, 5], dtype: .float16) }
    try refused("'positives' holds numbers below 0") { tensors, _ in
      tensors["positives"] = try Tensor([1, -1, 1] as [Int64])
    }
    try refused("beyond 0 and 100") { tensors, _ in tensors["factors.mean-difference"] = try .zeros([3, 2]) }
    try refused("'probes.typical' is missing or not") { tensors, _ in tensors["probes.typical"] = try .zeros([2, 2]) }
    try refused("'probes.typical' holds numbers that are not finite") { tensors, _ in
      tensors["probes.typical"] = try .full([3, 2], .infinity)
    }
    try refused("beyond 0 and 1") { tensors, _ in tensors["probes.figures"] = try .full([3, 3], 1.5) }
  }
}

// MARK: - Finding directions

@Suite("Finding attribute directions") struct ModelDirectionsTests {
  /// Each sample's code by itself, in float64.
  private func codes(_ model: any FaceVAE, _ cache: DecodedCache) throws -> [[Double]] {
    try (0..<cache.count).map { position in
      let pixels = cache.pixels(position).image.map { Float($0) / 255 }
      let image = try Tensor(pixels, shape: [1, cache.size, cache.size, 3]).permute([0, 3, 1, 2])
      return try values(model.encode(image.contiguous()).mean)
    }
  }

  @Test(arguments: [10_000, 2])
  func equalADirectComputation(limit: Int) throws {
    let fixture = try DatasetFixture(count: 16)
    let cache = try fixture.cache(of: fixture.dataset(size: 16))
    #expect(cache.count == 12)
    let model = try ModelConfiguration.tiny.makeModel(seed: 4)
    model.setTraining(true)  // Finding must not depend on what was before.
    var calls: [Int] = []
    let found = try AttributeDirections.find(with: model, in: cache, limit: limit, batchSize: 5) { done, total in
      #expect(total == 12)
      calls.append(done)
    }
    #expect(calls == [5, 10, 12])
    let codes = try codes(model, cache)
    #expect(found.names == fixture.attributeNames)
    let scale = AttributeDirections.defaultScale
    #expect(found.factors(.isolated) == Array(repeating: StrengthFactors(add: scale, remove: scale), count: 3))
    for attribute in 0..<3 {
      // Photo i has attribute a where bit a of i is set.
      let isPositive = cache.sampleIndices.map { ($0 >> attribute) & 1 == 1 }
      func mean(_ wanted: Bool) -> (count: Int, mean: [Double]) {
        let chosen = zip(codes, isPositive).filter { $0.1 == wanted }.prefix(limit).map(\.0)
        return (chosen.count, (0..<6).map { j in chosen.map { $0[j] }.reduce(0, +) / Double(chosen.count) })
      }
      let (positive, negative) = (mean(true), mean(false))
      #expect(found.positives[attribute] == positive.count)
      #expect(found.negatives[attribute] == negative.count)
      try expectClose(
        values(found.vectors(.meanDifference).select(0, attribute)), zip(positive.mean, negative.mean).map { $0 - $1 },
        fixture.attributeNames[attribute], tolerance: 1e-5, scale: positive.mean.map(abs).max()!)
    }
    func average(_ numbers: [Double]) -> Double { numbers.reduce(0, +) / Double(numbers.count) }
    let mean: [Double] = (0..<6).map { j in average(codes.map { $0[j] }) }
    try expectClose(values(found.codeMean), mean, "mean", tolerance: 1e-5)
    var covariance: [Double] = []
    for i in 0..<6 {
      for j in 0..<6 {
        let products: [Double] = codes.map { code in (code[i] - mean[i]) * (code[j] - mean[j]) }
        covariance.append(average(products))
      }
    }
    let factor = try found.codeFactor.to(.float64)
    try expectClose(values(factor.matmul(factor.transpose(0, 1))), covariance, "covariance", tolerance: 1e-4)
  }

  @Test func anAttributeThatNoPhotoHas() throws {
    let fixture = try DatasetFixture(count: 4)
    // Of photos 0, 1 and 2 none has bit 2 set.
    let cache = try fixture.cache(of: fixture.dataset(size: 16))
    let model = try ModelConfiguration.tiny.makeModel(seed: 4)
    let error = #expect(throws: (any Error).self) { try AttributeDirections.find(with: model, in: cache) }
    #expect("\(try #require(error))".contains("'Male' has 0 photos with it and 3 without"))
  }
}

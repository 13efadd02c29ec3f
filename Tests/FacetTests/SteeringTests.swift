import Files
import Foundation
import Photo
import Testing
import Torch

@testable import Facet

/// Photos of four quarters of one colour each, with what their labels say: smiles are red below, glasses green above,
/// men blue above.
private struct ColouredPhotos: @unchecked Sendable {
  let fixture: DatasetFixture
  let training: DecodedCache
  let validation: DecodedCache
  let classifier: AttributeClassifier
  let photos: EncodedPhotos
  let directions: AttributeDirections

  init() throws {
    let fixture = try DatasetFixture(count: 96, size: (16, 16), masks: false)
    var generator = SplitMix64(seed: 3)
    func noise() -> Double { Double.random(in: -25...25, using: &generator) }
    for i in 0..<96 {
      let labels = (0..<3).map { _ in Bool.random(using: &generator) }
      fixture.attributeRows[i] =
        "\(fixture.attributeRows[i].prefix(10)) \(labels.map { $0 ? "1" : "-1" }.joined(separator: " "))"
      var quarters: [[UInt8]] = []
      for quarter in 0..<4 {
        let isBelow = quarter >= 2
        var colour: [UInt8] = []
        for (label, mayBeLit) in zip(labels, [isBelow, !isBelow, !isBelow]) {
          let level: Double = label && mayBeLit ? 170 : 100
          colour.append(UInt8(level + noise()))
        }
        quarters.append(colour)
      }
      var pixels: [UInt8] = []
      for y in 0..<16 {
        for x in 0..<16 { pixels += quarters[y / 8 * 2 + x / 8] }
      }
      try fixture.write(Picture(width: 16, height: 16, channels: 3, pixels: pixels), to: fixture.imageURL(i))
    }
    try fixture.writeLists()
    var configuration = fixture.configuration(size: 16)
    configuration.requiresMasks = false
    let dataset = try CelebA(directory: fixture.folder, configuration: configuration)
    self.fixture = fixture
    training = try fixture.cache(of: dataset)
    validation = try fixture.cache(.validation, of: dataset)
    var recipe = ClassifierTraining()
    (recipe.epochs, recipe.batchSize, recipe.usesBFloat16) = (16, 12, false)
    // Pictures this small are all border, and their colours are what it is about.
    (recipe.augmentation.maxShift, recipe.augmentation.brightness) = (1, 0)
    classifier = try AttributeClassifier.train(on: training, validation: validation, training: recipe)
    photos = try EncodedPhotos(training, with: QuarterFaces())
    directions = try AttributeDirections.find(in: photos)
  }

  static let steering = {
    var steering = Steering()
    (steering.steps, steering.batchSize, steering.usesBFloat16) = (30, 8, false)
    // A quarter of the usual steps, and colours spread less than they have to move.
    steering.learningRate = 0.19
    return steering
  }()

  /// Directions whose isolated one for smiles turns the upper half blue as well.
  func spoilt() throws -> AttributeDirections {
    let smile = try directions.vectors(.isolated).narrow(0, 0..<1)
    // Codes are red, green and blue of the quarters, in this order.
    let blue = try Tensor([Float](repeating: 0, count: 8) + [0.2, 0.2, 0, 0], shape: [1, 12])
    let isolated = try Tensor.cat([smile + blue, directions.vectors(.isolated).narrow(0, 1..<3)])
    return AttributeDirections(
      names: directions.names, definitions: [], positives: directions.positives, negatives: directions.negatives,
      probes: directions.probes, codeMean: directions.codeMean, codeFactor: directions.codeFactor,
      vectorsByMethod: [.isolated: isolated, .meanDifference: directions.vectors(.meanDifference)],
      factorsByMethod: [.isolated: directions.factors(.isolated), .meanDifference: directions.factors(.meanDifference)],
      typicalOdds: directions.typicalOdds)
  }
}

@Suite("Steered steps") struct SteeringTests {
  private static let made = Result { try ColouredPhotos() }

  // MARK: The classifier

  @Test func aClassifierLearnsWhatPhotosShow() throws {
    let made = try Self.made.get()
    #expect(try #require(made.classifier.accuracy) > 0.95)
    let logits = try made.classifier.logits(of: made.validation.images([0, 1, 2, 3]))
    #expect(logits.shape == [4, 3])
    // Pictures of any size are looked at in its own.
    #expect(try made.classifier.logits(of: .zeros([2, 3, 40, 40])).shape == [2, 3])
  }

  @Test func trainingIsReproducibleAndBounded() throws {
    let made = try Self.made.get()
    var recipe = ClassifierTraining()
    (recipe.epochs, recipe.batchSize) = (1, 24)
    func weights(_ seed: UInt64) throws -> [Double] {
      recipe.seed = seed
      return try values(AttributeClassifier.train(on: made.training, training: recipe).output.weight.tensor)
    }
    let first = try weights(1)
    #expect(try weights(1) == first && weights(2) != first)
    (recipe.epochs, recipe.minutes) = (10_000, 0.02)
    var spent: [Double] = []
    _ = try AttributeClassifier.train(on: made.training, training: recipe) { part, _ in spent.append(part) }
    #expect(spent.last == 1 && zip(spent, spent.dropFirst()).allSatisfy { $0 <= $1 })
    recipe.batchSize = 73
    #expect(throws: TrainingError.self) { try AttributeClassifier.train(on: made.training, training: recipe) }
  }

  @Test func aClassifierComesBack() throws {
    let made = try Self.made.get()
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("facet-classifier-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    let missing = #expect(throws: BundleError.self) { try AttributeClassifier(contentsOf: folder) }
    #expect(missing?.reason.contains("facet attributes classifier") == true)
    try made.classifier.write(to: folder)
    let read = try AttributeClassifier(contentsOf: folder)
    #expect(read.names == made.classifier.names && read.view == .window)
    #expect(read.accuracy == made.classifier.accuracy)
    let images = try made.validation.images([0, 1, 2])
    try expectClose(
      values(read.logits(of: images)), values(made.classifier.logits(of: images)), "logits", tolerance: 0.05)
  }

  @Test func damagedClassifiersAreRefused() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("facet-classifier-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try Self.made.get().classifier.write(to: folder)
    let url = folder.appendingPathComponent(AttributeClassifier.file)
    let whole = try Data(contentsOf: url)
    try whole.dropLast(3).write(to: url)
    #expect(throws: SafetensorsError.self) { try AttributeClassifier(contentsOf: folder) }
    try whole.write(to: url)
    let (tensors, metadata) = try Tensor.load(from: url)
    func refused(_ part: String, _ change: (inout [String: Tensor], inout [String: String]) throws -> Void) throws {
      var (changedTensors, changedMetadata) = (tensors, metadata)
      try change(&changedTensors, &changedMetadata)
      try Tensor.save(changedTensors, metadata: changedMetadata, to: url)
      let error = #expect(throws: BundleError.self) { try AttributeClassifier(contentsOf: folder) }
      #expect(error?.path == url.path)
      #expect(error?.reason.contains(part) == true, "\(error?.reason ?? "")")
    }
    try refused("not a classifier") { $1["format"] = "facet-model-1" }
    for names in [nil, "[]", "[1]", #"["a","a"]"#, "[\"" + String(repeating: "a", count: 1 << 20) + "\"]"] {
      try refused("names cannot be read") { $1["names"] = names }
    }
    try refused("view") { $1["view"] = "profile" }
    try refused("shape") { $1["names"] = #"["Smiling","Male"]"# }
    try refused("missing") { tensors, _ in tensors["output.bias"] = nil }
    try refused("unknown tensor") { tensors, _ in tensors["more"] = try .zeros([1]) }
    try refused("'output.bias' holds other") { tensors, _ in tensors["output.bias"] = try .full([3], .nan) }
    try refused("'output.bias' holds other") { tensors, _ in tensors["output.bias"] = try .zeros([3], dtype: .int64) }
    try refused("variance") { tensors, _ in tensors["stages.0.norm.runningVar"] = try .full([32], -1) }
  }

  // MARK: Steering

  /// The classifier's mean log odds of a smile in the composed pictures of those who do not smile, after a step as long
  /// as another.
  private func smiles(_ step: Tensor, length: Double) throws -> (asked: Double, men: Double) {
    let made = try Self.made.get()
    let model = QuarterFaces()
    let rows = (0..<made.photos.count).filter { made.photos.labels[$0 * 3] != 1 }
    let images = try made.training.images(rows)
    let codes = try model.encode(images).mean
    let after = try model.decode(codes + step * (length / step.norm().item()))
    let edited = try Composition.difference.composed(over: images, from: model.decode(codes), to: after)
    let change = try (made.classifier.logits(of: edited) - made.classifier.logits(of: images)).mean(dims: [0])
    return (try change.select(0, 0).item(), try change.select(0, 2).abs().item())
  }

  @Test func aSteeredStepShowsMoreOfWhatIsAskedAndLessOfTheRest() throws {
    let made = try Self.made.get()
    let spoilt = try made.spoilt()
    var calls: [Int] = []
    let steered = try spoilt.steered(
      "smiling", adding: true, with: QuarterFaces(), by: made.classifier, on: made.training,
      steering: ColouredPhotos.steering
    ) { done, asked in
      calls.append(done)
      #expect((0...1).contains(asked))
    }
    #expect(calls == Array(1...30))
    let before = try spoilt.step("Smiling", strength: 1, method: .isolated)
    let after = try steered.step("Smiling", strength: 1)
    let length = try before.norm().item()
    let (start, end) = (try smiles(before, length: length), try smiles(after, length: length))
    #expect(end.asked > start.asked, "\(start) \(end)")
    #expect(end.men < 0.7 * start.men, "\(start) \(end)")

    // The same seed gives the same step, another one another.
    func again(_ seed: UInt64) throws -> [Double] {
      var steering = ColouredPhotos.steering
      steering.seed = seed
      return try values(
        spoilt.steered(
          "Smiling", adding: true, with: QuarterFaces(), by: made.classifier, on: made.training, steering: steering
        ).step("Smiling", strength: 1))
    }
    #expect(try again(1) == values(after) && again(2) != values(after))
  }

  @Test func stepsAreKeptApartAndFallBack() throws {
    let made = try Self.made.get()
    let found = made.directions
    for method in [DirectionMethod.steered, .isolated] {
      try expectClose(
        values(found.step("Smiling", strength: 1, method: method)), values(found.step("Smiling", strength: 1)), "same",
        tolerance: 0)
    }
    var steering = ColouredPhotos.steering
    steering.steps = 3
    func steer(_ directions: AttributeDirections, adding: Bool) throws -> AttributeDirections {
      try directions.steered(
        "Smiling", adding: adding, with: QuarterFaces(), by: made.classifier, on: made.training, steering: steering)
    }
    let adding = try steer(found, adding: true)
    func step(_ directions: AttributeDirections, _ strength: Double, _ method: DirectionMethod) throws -> [Double] {
      try values(directions.step("Smiling", strength: strength, method: method))
    }
    #expect(try step(adding, 1, .steered) != step(found, 1, .isolated))
    #expect(try step(adding, 1, .isolated) == step(found, 1, .isolated))
    #expect(try step(adding, -1, .steered) == step(found, -1, .isolated))
    let both = try steer(adding, adding: false)
    #expect(try step(both, 1, .steered) == step(adding, 1, .steered))
    #expect(try step(both, -1, .steered) != step(found, -1, .isolated))
    // Both lead away from the other side.
    #expect(zip(try step(both, 1, .steered), try step(both, -1, .steered)).map { $0 * $1 }.reduce(0, +) < 0)

    let stronger = try both.setting("Smiling", .steered, add: 2)
    try expectClose(step(stronger, 1, .steered), step(both, 1, .steered).map { $0 * 2 }, "twice", tolerance: 1e-6)
    #expect(try step(stronger, -1, .steered) == step(both, -1, .steered))
    #expect(stronger.factors(.steered)[0] == StrengthFactors(add: 2, remove: 1))
    #expect(stronger.factors(.steered)[1] == found.factors(.isolated)[1])
    #expect(throws: AttributeError.self) { try both.setting("Male", .steered, add: 2) }

    let dropped = try both.droppingSteeredStep("smiling", adding: true)
    #expect(try step(dropped, 1, .steered) == step(found, 1, .isolated))
    #expect(throws: AttributeError.self) { try dropped.droppingSteeredStep("Smiling", adding: true) }
    #expect(try step(found.takingSteeredSteps(of: both), 1, .steered) == step(both, 1, .steered))

    // A face that has it already is moved less.
    let codes = try [0, 1].map { label in
      let row = try #require((0..<made.photos.count).first { (made.photos.labels[$0 * 3] == 1) == (label == 1) })
      return try made.photos.codes.narrow(0, row..<row + 1)
    }
    let moved = try codes.map { try both.step("Smiling", strength: 1, on: $0).norm().item() }
    #expect(moved[1] < moved[0], "\(moved)")
    // What is asked by probability takes the step of its side.
    for (probability, sign) in [(0.9, 1.0), (0.1, -1)] {
      let code = codes[sign > 0 ? 0 : 1]
      let strength = try both.strength(of: "Smiling", from: code, to: probability)
      let moved = try code + both.step("Smiling", strength: strength, on: code)
      let odds = try both.probes.logits(of: moved).select(1, 0).item()
      #expect(strength * sign > 0 && abs(odds - log(probability / (1 - probability))) < 1e-2, "\(strength) \(odds)")
    }
  }

  @Test func whatCannotBeSteered() throws {
    let made = try Self.made.get()
    func fault(
      _ name: String, _ classifier: AttributeClassifier? = nil, _ directions: AttributeDirections? = nil,
      samples: DecodedCache? = nil, adding: Bool = true
    ) throws -> String {
      let error = #expect(throws: (any Error).self) {
        try (directions ?? made.directions).steered(
          name, adding: adding, with: QuarterFaces(), by: classifier ?? made.classifier, on: samples ?? made.training,
          steering: ColouredPhotos.steering)
      }
      return "\(try #require(error))"
    }
    #expect(try fault("Smilling").contains("try Smiling"))
    let frame = try AttributeClassifier(names: made.classifier.names, view: .frame, seed: 1)
    #expect(try fault("Smiling", frame).contains("another view"))
    let other = try AttributeClassifier(names: ["Male", "Hat"], view: .window, seed: 1)
    #expect(try fault("Smiling", other).contains("no label 'Smiling'"))
    let alone = try AttributeClassifier(names: ["Smiling"], view: .window, seed: 1)
    #expect(try fault("Smiling", alone).contains("beside 'Smiling'"))
    let broken = try AttributeClassifier(names: made.classifier.names, view: .window, seed: 1)
    try broken.load(broken.state().mapValues { try $0 * Double.nan })
    #expect(try fault("Smiling", broken).contains("not finite"))
    let imported = try AttributeDirections(vectors: [("Smiling", [Float](repeating: 1, count: 12))], latentSize: 12)
    #expect(try fault("Smiling", nil, imported).contains("cannot tell who has"))

    let few = try DatasetFixture(count: 12, masks: false)
    var configuration = few.configuration(size: 16)
    configuration.requiresMasks = false
    let samples = try few.cache(of: CelebA(directory: few.folder, configuration: configuration))
    #expect(try fault("Smiling", samples: samples).contains(/only \d training photos lack 'Smiling'/))
  }

  // MARK: On disk

  @Test func stepsComeBackWithTheirBundle() throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("facet-steered-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: url) }
    try ModelBundle.write(
      configuration: .tiny, weights: ModelConfiguration.tiny.makeModel(seed: 1).state(), to: url)
    let bundle = try ModelBundle(contentsOf: url)
    let size = bundle.configuration.latentSize
    var directions = try AttributeDirections(
      vectors: [("Smiling", [Float](repeating: 1, count: size)), ("Male", [Float](repeating: 2, count: size))],
      latentSize: size)
    directions.steered = [
      .init(name: "Male", adds: false): SteeredStep(vector: try .full([1, size], 0.5), reach: 3, factor: 1.25),
      .init(name: "Male", adds: true): SteeredStep(vector: try .full([1, size], -2), reach: -1),
    ]
    try directions.write(to: bundle)
    let read = try AttributeDirections(of: bundle)
    #expect(try read.steeredStep("Smiling", adding: true) == nil)
    let add = try #require(try read.steeredStep("male", adding: true))
    let remove = try #require(try read.steeredStep("Male", adding: false))
    #expect(try values(add.vector) == [Double](repeating: -2, count: size) && add.reach == -1 && add.factor == 1)
    #expect(try values(remove.vector) == [Double](repeating: 0.5, count: size) && remove.reach == 3)
    #expect(try values(read.step("Male", strength: -1)) == [Double](repeating: -0.625, count: size))
    let file = url.appendingPathComponent(AttributeDirections.file)
    let whole = try Data(contentsOf: file)
    try read.write(to: bundle)
    #expect(try Data(contentsOf: file) == whole)

    let (tensors, metadata) = try Tensor.load(from: file)
    func refused(_ part: String, _ change: (inout [String: Tensor], inout [String: String]) throws -> Void) throws {
      var (changedTensors, changedMetadata) = (tensors, metadata)
      try change(&changedTensors, &changedMetadata)
      try Tensor.save(changedTensors, metadata: changedMetadata, to: file)
      let error = #expect(throws: BundleError.self) { try AttributeDirections(of: bundle) }
      #expect(error?.path == file.path)
      #expect(error?.reason.contains(part) == true, "\(error?.reason ?? "")")
    }
    let step = #"{"adds":true,"name":"Male"}"#
    try refused("steered cannot be read") { $1["steered"] = "Male" }
    try refused("none, one twice") { $1["steered"] = "[]" }
    try refused("none, one twice") { $1["steered"] = "[\(step),\(step)]" }
    try refused("of other attributes") { $1["steered"] = #"[{"adds":true,"name":"Hat"},\#(step)]"# }
    try refused("'steered.steps' is missing or not") { $1["steered"] = "[\(step)]" }
    for name in ["steered.steps", "steered.reach", "steered.factors"] {
      try refused("'\(name)' is missing") { tensors, _ in tensors[name] = nil }
      try refused("'\(name)' holds numbers that are not finite") { tensors, _ in
        tensors[name] = try tensors[name]! * Double.nan
      }
    }
    try refused("beyond 0 and 100") { tensors, _ in tensors["steered.factors"] = try .zeros([2]) }
  }
}

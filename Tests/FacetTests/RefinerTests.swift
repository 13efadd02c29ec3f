import Files
import Foundation
import Photo
import Testing
import Torch

@testable import Facet

/// Grey photos of which those that smile have a bright bar below, with a bundle of a model that knows nothing but sees
/// a face everywhere, a parser that sees skin everywhere, and a classifier of the bars.
private struct BarredPhotos: @unchecked Sendable {
  let fixture: DatasetFixture
  let samples: DecodedCache
  let classifier: AttributeClassifier
  let bundle: ModelBundle
  let parser: FaceParser

  init() throws {
    fixture = try DatasetFixture(count: 96, size: (16, 16), masks: false)
    var generator = SplitMix64(seed: 5)
    for i in 0..<96 {
      let level = UInt8(90 + Int.random(in: -20...20, using: &generator))
      let smiles = i & 1 == 1  // The fixture's labels count in binary.
      var pixels: [UInt8] = []
      for y in 0..<16 {
        for _ in 0..<16 { pixels += smiles && (10..<14).contains(y) ? [230, 230, 230] : [level, level, level] }
      }
      try fixture.write(Picture(width: 16, height: 16, channels: 3, pixels: pixels), to: fixture.imageURL(i))
    }
    var configuration = fixture.configuration(size: 16)
    configuration.requiresMasks = false
    samples = try fixture.cache(of: CelebA(directory: fixture.folder, configuration: configuration))
    var recipe = ClassifierTraining()
    (recipe.epochs, recipe.batchSize, recipe.usesBFloat16) = (8, 12, false)
    (recipe.augmentation.maxShift, recipe.augmentation.brightness) = (0, 0)
    classifier = try AttributeClassifier.train(on: samples, training: recipe)
    let url = fixture.folder.appendingPathComponent("model")
    var weights = try ModelConfiguration.tiny.makeModel(seed: 1).state()
    // Of the channels that unfold to the mask.
    weights["decoder.output.bias"] = try Tensor([Float](repeating: 0, count: 12) + [8, 8, 8, 8])
    try ModelBundle.write(configuration: .tiny, weights: weights, dtype: .float32, to: url)
    bundle = try ModelBundle(contentsOf: url)
    var small = ParserConfiguration()
    (small.imageSize, small.channels, small.residuals) = (32, [8, 16], [0, 1])
    var layers = try small.makeNetwork(seed: 1).state()
    layers["output.bias"] = try Tensor(FaceClass.allCases.map { $0 == .skin ? Float(25) : 0 })
    let parserURL = fixture.folder.appendingPathComponent("parser")
    try FaceParser.write(small, weights: layers, origin: "a test", to: parserURL)
    parser = try FaceParser(contentsOf: parserURL)
    try AttributeDirections.find(with: bundle.model, in: samples).write(to: bundle)
  }

  func folder(_ name: String) -> URL { fixture.folder.appendingPathComponent(name) }

  static func training(steps: Int) -> RefinerTraining {
    var training = RefinerTraining(edits: [AttributeState(name: "Smiling", adds: true)])
    // At twice the learning rate two of eight seeds ended with nothing drawn.
    (training.batchSize, training.usesBFloat16, training.emaDecay) = (8, false, 0.9)
    // The other labels are chance, which the classifier knows by heart.
    (training.asked, training.leakage) = (0.5, 0.2)
    training.budget = .init(images: 8 * steps)
    return training
  }

  func trainer(
    _ training: RefinerTraining, _ name: String, from start: Refiner? = nil, resume: Bool = false
  ) throws -> RefinerTrainer {
    try RefinerTrainer(
      training, of: bundle, by: classifier, on: samples, parser: parser, from: start, output: folder(name), resume: resume)
  }

  /// Rows that do not smile.
  var plain: [Int] {
    (0..<samples.count).filter { samples.dataset.labels(of: samples.sampleIndices[$0]).first != 1 }
  }
}

@Suite("The refiner", .serialized) struct RefinerTests {
  private static let made = Result { try BarredPhotos() }
  private static let smile = AttributeState(name: "Smiling", adds: true)
  private static let frown = AttributeState(name: "Smiling", adds: false)

  // MARK: Layers

  @Test func aLayerIsAColourAndAnOpacity() throws {
    let refiner = try Refiner(edits: [Self.smile, Self.frown], seed: 2)
    #expect(refiner.index(of: "Smiling", adding: false) == 1 && refiner.index(of: "Male", adding: true) == nil)
    let generator = try Generator(seed: 1)
    func pictures() throws -> Tensor { try .rand([3, 3, 24, 24], generator: generator) }
    func face(_ odds: Double) throws -> Reconstruction {
      Reconstruction(image: try pictures(), maskLogits: try .full([3, 1, 24, 24], odds))
    }
    let crops = try pictures()
    let layer = try refiner.change([0, 1, 0], of: crops, from: face(9), to: face(9))
    #expect(layer.shape == [3, 4, 24, 24])
    let (colours, opacity) = (try layer.narrow(1, 0..<3), try -layer.narrow(1, 3..<4))
    #expect(try values(opacity).allSatisfy { (0...1).contains($0) })
    #expect(try values(colours).allSatisfy { $0 >= 0 } && values(opacity - colours).allSatisfy { $0 > -1e-6 })
    // It begins as little more than a veil, and draws nothing beside the face.
    #expect(try opacity.mean().item() < 0.25)
    #expect(try refiner.change([0, 0, 0], of: crops, from: face(9), to: face(-9)).abs().sum().item() == 0)
    // What is asked is told to it.
    let (before, after) = (try face(9), try face(9))
    let one = try refiner.change([0, 0, 0], of: crops, from: before, to: after)
    #expect(try (refiner.change([1, 1, 1], of: crops, from: before, to: after) - one).abs().mean().item() > 1e-4)
  }

  @Test func layersLieOverWhatIsThere() throws {
    let generator = try Generator(seed: 4)
    func noise(_ channels: Int) throws -> Tensor { try .rand([2, channels, 8, 8], generator: generator) }
    let crops = try noise(3)
    let (opacity, base) = (try noise(1) * 0.6, try noise(1) * 0.5)
    let layer = try Tensor.cat([noise(3) * opacity, -opacity], dim: 1)
    let change = try Tensor.cat([noise(3) * base, -base], dim: 1)
    let strengths = try Tensor([1, 0.5] as [Float], shape: [2, 1, 1, 1])
    func applied(_ change: Tensor, _ image: Tensor) throws -> Tensor {
      try image * (change.narrow(1, 3..<4) + 1) + change.narrow(1, 0..<3)
    }
    let laid = try Composition.laid(layer, strengths, over: change)
    try expectClose(applied(laid, crops), applied(layer * strengths, applied(change, crops)), "one after the other")
    // Twice as strong it shows twice as much, but never more than all.
    let double = try Composition.laid(layer, .full([2, 1, 1, 1], 2), over: .zeros([2, 4, 8, 8]))
    try expectClose(-double.narrow(1, 3..<4), (opacity * 2).clamp(max: 1), "opacity")
    let colour = try layer.narrow(1, 0..<3) / opacity
    try expectClose(double.narrow(1, 0..<3), colour * (opacity * 2).clamp(max: 1), "colour")
  }

  @Test func droppedEditsLeaveTheOthersAsTheyWere() throws {
    let edits = [Self.smile, Self.frown, AttributeState(name: "Male", adds: true)]
    let refiner = try Refiner(edits: edits, seed: 3)
    let less = try refiner.dropping([Self.frown])
    #expect(less.edits == [edits[0], edits[2]])
    let generator = try Generator(seed: 1)
    func pictures() throws -> Tensor { try .rand([2, 3, 16, 16], generator: generator) }
    let crops = try pictures()
    let face = Reconstruction(image: try pictures(), maskLogits: try .full([2, 1, 16, 16], 9))
    let moved = Reconstruction(image: try pictures(), maskLogits: face.maskLogits)
    try expectClose(
      less.change([0, 1], of: crops, from: face, to: moved), refiner.change([0, 2], of: crops, from: face, to: moved))
    #expect(throws: TrainingError.self) { try less.dropping([Self.frown]) }
    #expect(throws: TrainingError.self) { try less.dropping(less.edits) }
  }

  @Test func joinedRefinersDrawWhatEachDrew() throws {
    let (one, other) = (try Refiner(edits: [Self.smile, Self.frown], seed: 3), try Refiner(edits: [Self.smile], seed: 4))
    let both = try one.adding(other)
    #expect(both.edits == [Self.frown, Self.smile] && both.networks.count == 2)
    let generator = try Generator(seed: 1)
    func pictures() throws -> Tensor { try .rand([3, 3, 16, 16], generator: generator) }
    let crops = try pictures()
    let face = Reconstruction(image: try pictures(), maskLogits: try .full([3, 1, 16, 16], 9))
    let moved = Reconstruction(image: try pictures(), maskLogits: face.maskLogits)
    let drawn = try both.change([1, 0, 1], of: crops, from: face, to: moved)
    let (smiles, frowns) = try (
      other.change([0, 0, 0], of: crops, from: face, to: moved), one.change([1, 1, 1], of: crops, from: face, to: moved)
    )
    for (row, alone) in [smiles, frowns, smiles].enumerated() {
      try expectClose(drawn.narrow(0, row..<row + 1), alone.narrow(0, row..<row + 1), "photo \(row)")
    }
    let many = try (0..<2).map { half in
      try Refiner(edits: (0..<60).map { AttributeState(name: "\(half) \($0)", adds: true) }, seed: nil)
    }
    #expect(throws: TrainingError.self) { try many[0].adding(many[1]) }
    // The frown of the one is left, and nothing of its smile.
    #expect(try both.dropping([Self.smile]).networks.count == 1)
  }

  @Test func skinAloneIsDrawnOn() throws {
    let edits = [Self.frown, AttributeState(name: "Eyeglasses", adds: true)]
    let refiner = try Refiner(edits: edits, seed: 3)
    let generator = try Generator(seed: 1)
    func pictures() throws -> Tensor { try .rand([2, 3, 16, 16], generator: generator) }
    let crops = try pictures()
    let face = Reconstruction(image: try pictures(), maskLogits: try .full([2, 1, 16, 16], 9))
    // The upper half is hair.
    let half = try Tensor.cat([.ones([2, 1, 8, 16]), .zeros([2, 1, 8, 16])], dim: 2)
    let none = try Tensor.zeros([2, 1, 16, 16])
    let hair = try Tensor.cat([none, none, half, none], dim: 1)
    func opacity(_ spared: Tensor?) throws -> Tensor {
      try -refiner.change([0, 1], of: crops, from: face, to: face, sparing: spared).narrow(1, 3..<4)
    }
    let (free, held) = (try opacity(nil), try opacity(hair))
    #expect(try held.narrow(0, 0..<1).narrow(2, 0..<8).sum().item() == 0)
    try expectClose(held.narrow(0, 0..<1).narrow(2, 8..<16), free.narrow(0, 0..<1).narrow(2, 8..<16), "skin")
    // Glasses lie over hair, too.
    try expectClose(held.narrow(0, 1..<2), free.narrow(0, 1..<2), "glasses")
    // A smile is about what is inside the mouth, age is not.
    let mouth = try Tensor.cat([.zeros([1, 1, 16, 16]), .ones([1, 1, 16, 16]), .zeros([1, 2, 16, 16])], dim: 1)
    let aged = try Refiner(edits: [AttributeState(name: "Young", adds: false)], seed: 3)
    func drawn(_ refiner: Refiner) throws -> Double {
      let (crop, face) = (try crops.narrow(0, 0..<1), try face[0])
      return try refiner.change([0], of: crop, from: face, to: face, sparing: mouth).narrow(1, 3..<4).abs().sum().item()
    }
    #expect(try drawn(refiner) > 0 && drawn(aged) == 0)
  }

  @Test func mirroredFacesAreDrawnAsMirrored() throws {
    let refiner = try Refiner(edits: [Self.smile], seed: 3)
    let generator = try Generator(seed: 1)
    func face() throws -> Reconstruction {
      Reconstruction(
        image: try .rand([1, 3, 16, 16], generator: generator), maskLogits: try .randn([1, 1, 16, 16], generator: generator))
    }
    func mirrored(_ face: Reconstruction) throws -> Reconstruction {
      Reconstruction(image: try face.image.flip([3]), maskLogits: try face.maskLogits.flip([3]))
    }
    let (crop, before, after) = (try face().image, try face(), try face())
    let drawn = try refiner.change([0], of: crop, from: before, to: after)
    try expectClose(refiner.change([0], of: crop.flip([3]), from: mirrored(before), to: mirrored(after)), drawn.flip([3]))
  }

  @Test func skinIsNotDrawnLighterThanItDecodes() throws {
    let generator = try Generator(seed: 1)
    func pictures() throws -> Tensor { try .rand([1, 3, 16, 16], generator: generator) }
    let face = Reconstruction(image: try pictures(), maskLogits: try .full([1, 1, 16, 16], 9))
    let crop = try pictures()
    func lightest(_ name: String) throws -> Double {
      let refiner = try Refiner(edits: [AttributeState(name: name, adds: true)], seed: 3)
      let layer = try refiner.change([0], of: crop, from: face, to: face)
      return try values(layer.narrow(1, 0..<3) / -layer.narrow(1, 3..<4) - face.image).max()!
    }
    #expect(try lightest("Mustache") < 1e-5 && lightest("Eyeglasses") > 1e-3)
  }

  @Test func statesAreReadAsTheyAreWritten() {
    for text in ["Smiling=1", "No_Beard=-1"] { #expect(AttributeState(text)?.description == text) }
    for text in ["", "=", "=1", "Smiling", "Smiling=", "Smiling=2", "Smiling=1=1"] { #expect(AttributeState(text) == nil) }
  }

  // MARK: Training

  @Test func theCriticsWeightsAreNormalized() throws {
    let layer = try NormalizedConv2d(3, 5, kernel: 3, stride: 1, generator: Generator(seed: 1))
    let input = try Tensor.zeros([1, 3, 6, 6])
    for _ in 0..<50 { _ = try layer(input, learns: true) }
    let kept = try values(layer.direction.tensor)
    _ = try layer(input, learns: false)
    #expect(try values(layer.direction.tensor) == kept)
    // ‖W‖ by the power method in Swift's own numbers.
    let weights = try values(layer.weight.tensor)
    var vector = [Double](repeating: 1, count: 27)
    var norm = 0.0
    for _ in 0..<200 {
      let image = (0..<5).map { row in (0..<27).reduce(0) { $0 + weights[row * 27 + $1] * vector[$1] } }
      let back = (0..<27).map { column in (0..<5).reduce(0) { $0 + weights[$1 * 27 + column] * image[$1] } }
      norm = back.reduce(0) { $0 + $1 * $1 }.squareRoot().squareRoot()
      vector = back.map { $0 / (norm * norm) }
    }
    let impulse = try Tensor([1] + [Float](repeating: 0, count: 26), shape: [1, 3, 3, 3])
    let answer = try layer(impulse, learns: false) * norm
    // The pixel at 0, 0 meets the middle of the kernel there.
    for row in 0..<5 {
      #expect(abs(try answer.select(0, 0).select(0, row).select(0, 0).select(0, 0).item() - weights[row * 27 + 4]) < 1e-3)
    }
  }

  @Test func bothSidesAreDrawnAlike() throws {
    let made = try Self.made.get()
    // In the fixture glasses and gender are as frequent on both sides; here most who smile are men.
    let dataset = made.samples.dataset
    let photos = try RefinerPhotos(Self.smile, in: made.samples)
    var chance = SplitMix64(seed: 1)
    for _ in 0..<200 {
      let (source, example) = photos.draw(&chance)
      #expect(dataset.labels(of: made.samples.sampleIndices[source]).first == -1)
      #expect(dataset.labels(of: made.samples.sampleIndices[example]).first == 1)
    }
    #expect(throws: TrainingError.self) { try RefinerPhotos(.init(name: "Bald", adds: true), in: made.samples) }

    let skewed = try DatasetFixture(count: 400, size: (16, 16), masks: false)
    var generator = SplitMix64(seed: 2)
    for i in 0..<400 {
      let smiles = Bool.random(using: &generator)
      let isMale = Double.random(in: 0...1, using: &generator) < (smiles ? 0.8 : 0.3)
      skewed.attributeRows[i] = "\(skewed.attributeRows[i].prefix(10)) \(smiles ? 1 : -1) -1 \(isMale ? 1 : -1)"
    }
    try skewed.writeLists()
    var configuration = skewed.configuration(size: 16)
    configuration.requiresMasks = false
    let samples = try skewed.cache(of: CelebA(directory: skewed.folder, configuration: configuration))
    let drawn = try RefinerPhotos(Self.smile, in: samples)
    var men = (sources: 0, examples: 0)
    for _ in 0..<2000 {
      let (source, example) = drawn.draw(&chance)
      if samples.dataset.labels(of: samples.sampleIndices[source]).last == 1 { men.sources += 1 }
      if samples.dataset.labels(of: samples.sampleIndices[example]).last == 1 { men.examples += 1 }
    }
    // 0.3 and 0.8 of the photos.
    #expect(abs(Double(men.sources - men.examples)) < 0.12 * 2000, "\(men)")
  }

  @Test func examplesAreReadAndKeptTo() throws {
    let made = try Self.made.get()
    let list = made.folder("examples.txt")
    // The fixture's photos smile by turns.
    let chosen = (0..<16).map { String(format: "%06d.jpg", 2 * $0 + 2) }
    try chosen.map { "Smiling=1 \($0)" }.joined(separator: "\n").write(to: list, atomically: true, encoding: .utf8)
    let examples = try RefinerTraining.readExamples(list)
    #expect(examples == ["Smiling=1": chosen])
    let photos = try RefinerPhotos(Self.smile, in: made.samples, examples: Set(chosen))
    var chance = SplitMix64(seed: 1)
    for _ in 0..<100 {
      let example = made.samples.sampleIndices[photos.draw(&chance).example]
      #expect(chosen.contains(made.samples.dataset.samples[example].fileName))
    }
    #expect(throws: TrainingError.self) {
      try RefinerPhotos(Self.smile, in: made.samples, examples: Set(chosen.prefix(3)))
    }
    for line in ["Smiling=1", "Smiling 000001.jpg", "Smiling=1 a b"] {
      try "\n\(line)\n".write(to: list, atomically: true, encoding: .utf8)
      let error = #expect(throws: TrainingError.self) { try RefinerTraining.readExamples(list) }
      #expect(error?.description.contains("examples.txt, line 2") == true)
    }
  }

  @Test func itLearnsToDrawWhatTheExamplesShow() throws {
    let made = try Self.made.get()
    // 28 of 28 seeds are there by then, with one thread and with two; after 160 steps one had been lost again.
    let trainer = try made.trainer(BarredPhotos.training(steps: 80), "learned")
    var losses: [RefinerLosses] = []
    let ending = try trainer.run(onEvent: { event in
      if case .step(_, let loss, _) = event { losses.append(loss) }
    })
    #expect(ending == .budgetSpent && losses.count == 80)
    #expect(losses.suffix(20).map(\.seen).reduce(0, +) / 20 > 0.8)

    // The output is a bundle with a refiner, and what it draws is a bright bar in its place.
    let bundle = try ModelBundle(contentsOf: made.folder("learned"))
    let refiner = try #require(try Refiner.of(bundle))
    #expect(refiner.edits == [Self.smile])
    let images = try made.samples.images(made.plain)
    let edited = try withoutGradients {
      let codes = try bundle.model.encode(images).mean
      let steps = try AttributeDirections(of: bundle).step("Smiling", strength: 1)
      let layer = try refiner.change(
        made.plain.map { _ in 0 }, of: images, from: bundle.model.decode(codes), to: bundle.model.decode(codes + steps))
      return try Composition.difference.composed(over: images, layer)
    }
    func light(_ rows: Range<Int>) throws -> Double { try (edited - images).narrow(2, rows).mean().item() }
    let (bar, above) = (try light(10..<14), try light(0..<6))
    #expect(bar > 0.15 && bar > 3 * above, "\(bar), \(above)")
  }

  @Test func aResumedRunEndsWithTheSameWeights() throws {
    let made = try Self.made.get()
    let training = BarredPhotos.training(steps: 6)
    #expect(try made.trainer(training, "whole").run() == .budgetSpent)
    let first = try made.trainer(training, "stopped")
    #expect(try first.run(shouldStop: { first.progress.step == 3 }) == .interrupted)
    #expect(try RefinerTrainer.savedConfiguration(in: made.folder("stopped")) == training)
    let second = try made.trainer(training, "stopped", resume: true)
    #expect(second.progress.step == 3)
    #expect(try second.run() == .budgetSpent)
    let (a, b) = try (
      SafetensorsFile(Trainer.lastCheckpoint(in: made.folder("whole"))).tensors,
      SafetensorsFile(Trainer.lastCheckpoint(in: made.folder("stopped"))).tensors
    )
    #expect(Set(a.keys) == Set(b.keys) && a.keys.contains { $0.hasPrefix("critic-optimizer.mean.") })
    for (name, entry) in a {
      let isSame = entry.withUnsafeBytes { x in b[name]!.withUnsafeBytes { y in x.elementsEqual(y) } }
      #expect(isSame, "\(name) differs")
    }
    var other = training
    other.seed = 9
    let error = #expect(throws: TrainingError.self) { try made.trainer(other, "stopped", resume: true) }
    #expect(error?.description.contains("last.safetensors: cannot resume: made with batch 8, seed 1") == true)
    other = training
    other.edits = [Self.frown]
    #expect(throws: TrainingError.self) { try made.trainer(other, "stopped", resume: true) }
  }

  @Test func aRunMayBeginWithANetwork() throws {
    let made = try Self.made.get()
    let (other, start) = (try Refiner(edits: [Self.frown], seed: 8), try Refiner(edits: [Self.smile], seed: 9))
    let trainer = try made.trainer(BarredPhotos.training(steps: 1), "from", from: other.adding(start))
    #expect(try trainer.run(shouldStop: { true }) == .interrupted)
    let written = try #require(try Refiner.of(ModelBundle(contentsOf: made.folder("from"))))
    try expectClose(
      written.networks[0].stem.weight.tensor, start.networks[0].stem.weight.tensor, "weights", tolerance: 0.5 / 127)
    let error = #expect(throws: TrainingError.self) {
      try made.trainer(BarredPhotos.training(steps: 1), "from", from: other)
    }
    #expect(error?.description.contains("just these edits") == true)
  }

  @Test func impossibleRunsAreRefused() throws {
    let made = try Self.made.get()
    func refused(_ part: String, _ change: (inout RefinerTraining) -> Void) {
      var training = BarredPhotos.training(steps: 1)
      change(&training)
      let error = #expect(throws: (any Error).self) { try made.trainer(training, "refused") }
      #expect(error.map { "\($0)".contains(part) } == true, "\(error.map { "\($0)" } ?? "")")
    }
    refused("'edits'") { $0.edits = [] }
    refused("'edits'") { $0.edits = [Self.smile, Self.smile] }
    refused("try Smiling") { $0.edits = [.init(name: "Smilling", adds: true)] }
    refused("'batchSize'") { $0.batchSize = 0 }
    refused("'learningRate'") { $0.learningRate = .nan }
    refused("'leakage'") { $0.leakage = -1 }
    refused("'held'") { $0.held = .infinity }
    refused("'examples'") { $0.examples = ["Male=1": []] }
    refused("'strengths'") { $0.strengths = [1, 0.5] }
    refused("'budget'") { $0.budget = .init() }
  }

  // MARK: On disk

  @Test func damagedAndForeignRefinersAreRefused() throws {
    let made = try Self.made.get()
    let folder = made.folder("stored")
    try made.bundle.copy(to: folder)
    let bundle = try ModelBundle(contentsOf: folder)
    #expect(try Refiner.of(bundle) == nil)
    let refiner = try Refiner(edits: [Self.smile, Self.frown], seed: 2)
    try Refiner.write(refiner.state(), edits: [refiner.edits], fingerprint: bundle.fingerprint, to: folder)
    let read = try #require(try Refiner.of(bundle))
    #expect(read.edits == refiner.edits)
    // 127 steps to the largest weight of a channel.
    try expectClose(
      read.networks[0].stem.weight.tensor, refiner.networks[0].stem.weight.tensor, "weights", tolerance: 0.5 / 127)

    let url = folder.appendingPathComponent(Refiner.file)
    let (tensors, metadata) = try Tensor.load(from: url)
    func refused(_ part: String, _ change: (inout [String: Tensor], inout [String: String]) throws -> Void) throws {
      var (changedTensors, changedMetadata) = (tensors, metadata)
      try change(&changedTensors, &changedMetadata)
      try Tensor.save(changedTensors, metadata: changedMetadata, to: url)
      let error = #expect(throws: BundleError.self) { try Refiner.of(bundle) }
      #expect(error?.path == url.path && error?.reason.contains(part) == true, "\(error?.reason ?? "")")
    }
    try refused("not a refiner") { $1["format"] = "facet-model-1" }
    try refused("other weights") { $1["model"] = "1234" }
    for edits in [nil, "[]", "[[]]", "[1]", #"[[{"name":"a","adds":true}],[{"name":"a","adds":true}]]"#, String(repeating: " ", count: 1 << 17)] {
      try refused("edits cannot be read") { $1["edits"] = edits }
    }
    try refused("shape") { $1["edits"] = #"[[{"name":"a","adds":true}]]"# }
    try refused("missing") { tensors, _ in tensors["networks.0.output.bias"] = nil }
    try refused("unknown tensor") { tensors, _ in tensors["more"] = try .zeros([1]) }
    try refused("'networks.0.output.bias' holds other") { tensors, _ in
      tensors["networks.0.output.bias"] = try .full([2], .nan)
    }
    for scale in [nil, try Tensor.ones([1, 1, 1, 1]), try .full([2, 1, 1, 1], .nan), try .ones([2, 1, 1, 1], dtype: .float64)] {
      try refused("'networks.0.output.weight' has no scales") { tensors, _ in
        tensors["networks.0.output.weight.scale"] = scale
      }
    }
    try refused("'networks.0.output.bias' has no scales") { tensors, _ in
      tensors["networks.0.output.bias"] = try .zeros([], dtype: .int8)
    }
    try Data("no tensors".utf8).write(to: url)
    #expect(throws: SafetensorsError.self) { try Refiner.of(bundle) }

    // Other weights take it away.
    try ModelBundle.write(configuration: .tiny, weights: ModelConfiguration.tiny.makeModel(seed: 7).state(), to: folder)
    #expect(!FileManager.default.fileExists(atPath: url.path))
  }
}

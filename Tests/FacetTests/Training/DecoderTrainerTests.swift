import Files
import Foundation
import Photo
import Testing
import Torch

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

/// Photos of stripes that begin anywhere, so that no small code can say where, with a model that knows nothing of them.
private struct StripedPhotos: @unchecked Sendable {
  let fixture: DatasetFixture
  let samples: DecodedCache
  let bundle: ModelBundle

  init() throws {
    fixture = try DatasetFixture(count: 96, size: (16, 16))
    var generator = SplitMix64(seed: 5)
    for i in 0..<96 {
      let phase = Int.random(in: 0..<4, using: &generator)
      let pixels = (0..<256).flatMap { place in
        [UInt8](repeating: (place % 16 + phase) % 4 < 2 ? 200 : 60, count: 3)
      }
      try fixture.write(Picture(width: 16, height: 16, channels: 3, pixels: pixels), to: fixture.imageURL(i))
      try fixture.write(
        Picture(width: 16, height: 16, channels: 1, pixels: [UInt8](repeating: 1, count: 256)), to: fixture.maskURL(i))
    }
    samples = try fixture.cache(of: CelebA(directory: fixture.folder, configuration: fixture.configuration(size: 16)))
    let url = fixture.folder.appendingPathComponent("model")
    var weights = try ModelConfiguration.tiny.makeModel(seed: 1).state()
    weights["encoder.mean.weight"] = try weights["encoder.mean.weight"]! * 0  // Whatever the photo, one code.
    // Of the channels that unfold to the mask.
    weights["decoder.output.bias"] = try Tensor([Float](repeating: 0, count: 12) + [8, 8, 8, 8])
    try ModelBundle.write(configuration: .tiny, weights: weights, origin: "a test", to: url)
    bundle = try ModelBundle(contentsOf: url)
    // Codes that tell the photos apart, for directions between them.
    let told = try ModelConfiguration.tiny.makeModel(seed: 1)
    told.setTraining(false)
    try AttributeDirections.find(with: told, in: samples).write(to: bundle)
  }

  func folder(_ name: String) -> URL { fixture.folder.appendingPathComponent(name) }

  static func training(steps: Int) -> DecoderTraining {
    var training = DecoderTraining()
    (training.batchSize, training.usesBFloat16, training.emaDecay) = (16, false, 0.9)
    training.attributes = ["Smiling", "Male"]
    training.learningRate = 2e-3
    training.budget = .init(images: 16 * steps)
    return training
  }

  func trainer(_ training: DecoderTraining, _ name: String, resume: Bool = false) throws -> DecoderTrainer {
    try DecoderTrainer(training, of: bundle, on: samples, output: folder(name), resume: resume)
  }
}

@Suite("Sharpening a decoder", .serialized) struct DecoderTrainerTests {
  private static let made = Result { try StripedPhotos() }

  /// What the mean of all photos has none of: the difference of a pixel from the next but one.
  private func contrast(of images: Tensor) throws -> Double {
    try (images.narrow(3, 0..<14) - images.narrow(3, 2..<16)).abs().mean().item()
  }

  @Test func itPutsBackWhatTheMeanHasNot() throws {
    let made = try Self.made.get()
    let images = try made.samples.images(Array(0..<16))
    #expect(try contrast(of: images) > 0.5)
    func trained(_ name: String, realism: Double, features: Double) throws -> Double {
      var training = StripedPhotos.training(steps: 120)
      (training.realism, training.features) = (realism, features)
      #expect(try made.trainer(training, name).run() == .budgetSpent)
      let model = try ModelBundle(contentsOf: made.folder(name)).model
      return try contrast(of: withoutGradients { try model.decode(model.encode(images).mean).image })
    }
    let (soft, sharp) = (try trained("soft", realism: 0, features: 0), try trained("sharp", realism: 1, features: 0))
    // The distance to photos whose stripes begin anywhere is least without stripes.
    #expect(soft < 0.002 && sharp > 0.01, "\(soft), \(sharp)")
  }

  @Test func codesAndWhatBelongsToThemStay() throws {
    let made = try Self.made.get()
    var losses: [[(name: String, value: Double)]] = []
    try made.trainer(StripedPhotos.training(steps: 3), "stays").run(onEvent: { event in
      if case .step(_, let loss, _) = event { losses.append(loss) }
    })
    #expect(losses.count == 3 && losses.allSatisfy { $0.allSatisfy(\.value.isFinite) })
    // The first step is one from the model as it was.
    let likeness = losses.map { terms in terms.first { $0.name == "likeness" }?.value ?? .nan }
    #expect(likeness[0] < 1e-6 && likeness[2] > 1e-6)
    let bundle = try ModelBundle(contentsOf: made.folder("stays"))
    #expect(bundle.origin == "decoder sharpened on 48 images, by Facet \(facetVersion); before: a test")
    let (before, after) = (try made.bundle.model.state(), try bundle.model.state())
    for (name, tensor) in before {
      let isSame = try values(tensor) == values(#require(after[name]))
      let isTrained = name.hasPrefix("decoder.") && !name.contains("running")
      #expect(isSame != isTrained, "\(name)")
    }
    let (old, new) = (try AttributeDirections(of: made.bundle), try AttributeDirections(of: bundle))
    #expect(try values(old.step("Male", strength: 1)) == values(new.step("Male", strength: 1)))
  }

  @Test func aResumedRunEndsWithTheSameWeights() throws {
    let made = try Self.made.get()
    let training = StripedPhotos.training(steps: 6)
    #expect(try made.trainer(training, "whole").run() == .budgetSpent)
    let first = try made.trainer(training, "stopped")
    #expect(try first.run(shouldStop: { first.progress.step == 3 }) == .interrupted)
    #expect(try DecoderTrainer.savedConfiguration(in: made.folder("stopped")) == training)
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
    #expect(error?.description.contains("last.safetensors: cannot resume: made with batch 16 and seed 1") == true)
    // A sharpened decoder is another model.
    let foreign = #expect(throws: TrainingError.self) {
      try DecoderTrainer(
        training, of: ModelBundle(contentsOf: made.folder("whole")), on: made.samples, output: made.folder("stopped"),
        resume: true)
    }
    #expect(foreign?.description.contains("made for another model") == true)
  }

  @Test func aCriticMayKnowWhatIsAsked() throws {
    let made = try Self.made.get()
    var training = StripedPhotos.training(steps: 6)
    training.critic = .attributes
    var losses: [[(name: String, value: Double)]] = []
    #expect(try made.trainer(training, "knows").run(onEvent: { event in
      if case .step(_, let loss, _) = event { losses.append(loss) }
    }) == .budgetSpent)
    #expect(losses.count == 6 && losses.allSatisfy { $0.allSatisfy(\.value.isFinite) })
    let whole = try SafetensorsFile(Trainer.lastCheckpoint(in: made.folder("knows"))).tensors
    // An output for any face, and one for each attribute added and taken away.
    #expect(whole["critic.output.weight"]?.shape[0] == 5)
    let first = try made.trainer(training, "known")
    #expect(try first.run(shouldStop: { first.progress.step == 3 }) == .interrupted)
    #expect(try made.trainer(training, "known", resume: true).run() == .budgetSpent)
    let parts = try SafetensorsFile(Trainer.lastCheckpoint(in: made.folder("known"))).tensors
    for (name, entry) in whole {
      #expect(entry.withUnsafeBytes { x in parts[name]!.withUnsafeBytes { y in x.elementsEqual(y) } }, "\(name) differs")
    }
    for change in [{ $0.critic = nil }, { $0.attributes = ["Smiling"] }] as [(inout DecoderTraining) -> Void] {
      var other = training
      change(&other)
      let error = #expect(throws: TrainingError.self) { try made.trainer(other, "known", resume: true) }
      #expect(error?.description.contains("a critic of other attributes") == true)
    }
    training.attributes = ["Bald"]
    #expect(throws: (any Error).self) { try made.trainer(training, "none") }
  }

  @Test func impossibleRunsAreRefused() throws {
    let made = try Self.made.get()
    func refused(_ part: String, _ change: (inout DecoderTraining) -> Void) {
      var training = StripedPhotos.training(steps: 1)
      change(&training)
      let error = #expect(throws: (any Error).self) { try made.trainer(training, "refused") }
      #expect(error.map { "\($0)".contains(part) } == true, "\(error.map { "\($0)" } ?? "")")
    }
    refused("'attributes'") { $0.attributes = [] }
    refused("try Smiling") { $0.attributes = ["Smilling"] }
    refused("'batchSize'") { $0.batchSize = 5 }
    refused("'learningRate'") { $0.learningRate = .nan }
    refused("'realism'") { $0.realism = -1 }
    refused("'features'") { $0.features = .infinity }
    refused("'objective.mae'") { $0.objective.mae = .nan }
    refused("'strengths'") { $0.strengths = [1, 0.5] }
    refused("'budget'") { $0.budget = .init() }
    var configuration = made.fixture.configuration(size: 16)
    configuration.requiresMasks = false
    let bare = try made.fixture.cache(of: CelebA(directory: made.fixture.folder, configuration: configuration))
    let error = #expect(throws: TrainingError.self) {
      try DecoderTrainer(StripedPhotos.training(steps: 1), of: made.bundle, on: bare, output: made.folder("refused"))
    }
    #expect(error?.description.contains("with masks") == true)
    let itself = #expect(throws: TrainingError.self) { try made.trainer(StripedPhotos.training(steps: 1), "model") }
    #expect(itself?.description.contains("give another folder") == true)
  }

  @Test func aLossThatIsNotFiniteEndsTheRun() throws {
    let made = try Self.made.get()
    var training = StripedPhotos.training(steps: 40)
    (training.learningRate, training.checkpointMinutes) = (1e30, 0)
    let error = #expect(throws: TrainingError.self) { try made.trainer(training, "burst").run() }
    #expect(error?.description.contains("not finite") == true || error?.description.contains("the loss is") == true)
  }
}

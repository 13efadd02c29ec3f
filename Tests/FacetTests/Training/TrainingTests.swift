import Foundation
import Testing
import Torch

@testable import Facet
@testable import FacetCLI
@testable import FacetConversion
@testable import FacetTraining

@Suite(.serialized) struct TrainingTests {
  let fixture: DatasetFixture
  let training: DecodedCache
  let validation: DecodedCache

  init() throws {
    // Two threads on a busy machine wait for each other.
    try Torch.setThreads(1)
    fixture = try DatasetFixture(count: 24, size: (32, 32))
    let dataset = try fixture.dataset(size: 32)
    training = try fixture.cache(.train, of: dataset)
    validation = try fixture.cache(.validation, of: dataset)
  }

  /// A model of a few thousand weights, in batches of 4.
  private func configuration(images: Int? = nil, minutes: Double? = nil) -> TrainingConfiguration {
    var configuration = TrainingConfiguration(preset: .compact)
    configuration.model = ModelConfiguration(
      architecture: .compact, imageSize: 32, latentSize: 8, encoderChannels: [4, 8, 8, 8],
      decoderChannels: [8, 8, 8, 8])
    configuration.dataset.size = 32
    configuration.batchSize = 4
    configuration.budget = .init(images: images, minutes: minutes)
    return configuration
  }

  private func trainer(_ configuration: TrainingConfiguration, _ name: String, resume: Bool = false) throws -> Trainer {
    try Trainer(configuration, training: training, validation: validation, output: folder(name), resume: resume)
  }

  private func folder(_ name: String) -> URL { fixture.folder.appendingPathComponent(name) }

  private func expectSameCheckpoint(_ a: String, _ b: String) throws {
    let first = try SafetensorsFile(Trainer.lastCheckpoint(in: folder(a))).tensors
    let second = try SafetensorsFile(Trainer.lastCheckpoint(in: folder(b))).tensors
    #expect(first.count > 100 && Set(first.keys) == Set(second.keys))
    for (name, entry) in first {
      let other = try #require(second[name])
      let isSame = entry.withUnsafeBytes { a in other.withUnsafeBytes { b in a.elementsEqual(b) } }
      #expect(isSame, "\(name) differs")
    }
  }

  @Test(arguments: [true, false]) func resumedRunEndsWithTheSameWeights(usesBFloat16: Bool) throws {
    var configuration = configuration(images: 160)
    configuration.usesBFloat16 = usesBFloat16
    #expect(try trainer(configuration, "whole").run() == .budgetSpent)
    // Epochs have 4 batches: one break within an epoch, one at its end.
    for stop in [18, 20] {
      let name = "stopped at \(stop)"
      let first = try trainer(configuration, name)
      #expect(try first.run(shouldStop: { first.progress.step == stop }) == .interrupted)
      let second = try trainer(configuration, name, resume: true)
      #expect(second.progress.step == stop)
      #expect(try second.run() == .budgetSpent)
      #expect(second.progress.step == 40 && second.progress.images == 160)
      try expectSameCheckpoint("whole", name)
    }
  }

  /// Photos in the device's memory: the batches of the loader, and so the same run.
  @Test func photosOnTheDeviceTrainAlike() throws {
    // Rows of masks that do not fill their last byte.
    let cache = try fixture.cache(.train, of: fixture.dataset(size: 20))
    for (rank, size) in [(0, 1), (1, 2)] {
      var options = BatchLoader.Options.training(batchSize: 4, seed: 3)
      (options.maxShift, options.rank, options.worldSize) = (5, rank, size)
      let loaded = LoadedBatches(BatchLoader(cache, options: options), on: .cpu)
      let resident = try ResidentBatches(cache, options: options, on: .cpu)
      for (epoch, start) in [(0, 0), (1, 1), (2, 0)] {
        loaded.start(epoch: epoch, batch: start)
        resident.start(epoch: epoch, batch: start)
        var count = start
        while let expected = try loaded.next() {
          let batch = try #require(try resident.next())
          #expect(batch.images.shape == expected.images.shape && batch.images.isContiguous(.channelsLast))
          #expect(try batch.images.array(Float.self) == expected.images.array(Float.self))
          #expect(batch.masks.shape == expected.masks.shape)
          #expect(try batch.masks.array(Float.self) == expected.masks.array(Float.self))
          #expect(batch.labels.shape == [options.batchSize, cache.dataset.attributeNames.count])
          #expect(try batch.labels.array(Float.self) == expected.labels.array(Float.self))
          count += 1
        }
        #expect(try resident.next() == nil && count == 18 / 4 / size)
      }
    }
    let configuration = configuration(images: 24)
    for residency in Trainer.Residency.allCases {
      try Trainer(
        configuration, training: training, validation: validation, output: folder(residency.rawValue),
        residency: residency
      ).run()
    }
    try expectSameCheckpoint("host", "device")
  }

  @Test func seedsDecide() throws {
    func weights(_ seed: UInt64) throws -> [Float] {
      var configuration = configuration(images: 8)
      configuration.seed = seed
      try trainer(configuration, "seed").run()
      let (tensors, _) = try Tensor.load(from: Trainer.lastCheckpoint(in: folder("seed")))
      return try #require(tensors["model.decoder.output.bias"]).array()
    }
    let first = try weights(1)
    #expect(try weights(1) == first)
    #expect(try weights(2) != first)
  }

  @Test func distancesAreMeasuredAtEachValidation() throws {
    var configuration = configuration(images: 16)
    configuration.validationInterval = 8
    let names = ["perceptual", "frechet"]
    for distance in [nil, try PerceptualDistance.random()] {
      let output = folder("distances \(distance != nil)")
      let trainer = try Trainer(configuration, training: training, validation: validation, output: output, distance: distance)
      var found: [[Double]] = []
      try trainer.run(onEvent: { event in
        guard case .validated(_, let report, _, _) = event else { return }
        found.append(report.figures.filter { names.contains($0.name) }.map(\.value))
        // Without a prior nothing is drawn.
        #expect(report.precision == nil)
      })
      #expect(found.count >= 2)
      #expect(found.allSatisfy { $0.count == (distance == nil ? 0 : 2) && $0.allSatisfy { $0 > 0 } }, "\(found)")
    }
  }

  @Test func bundleIsTheBestValidation() throws {
    var configuration = configuration(images: 400)
    configuration.validationInterval = 40
    var best = Double.infinity
    var count = 0
    let trainer = try trainer(configuration, "best")
    try trainer.run(onEvent: { event in
      guard case .validated(_, let report, let isBest, let sheet) = event else { return }
      #expect(isBest == (report.loss < best))
      best = min(best, report.loss)
      count += 1
      #expect((sheet.width, sheet.height) == (2 + 6 * 34, 2 + 3 * 34))
    })
    #expect(count == 10)
    #expect(trainer.progress.bestLoss == best)
    let bundle = try ModelBundle(contentsOf: folder("best"))
    let loss = try Evaluator(bundle.model, objective: configuration.objective).evaluate(validation).loss
    #expect(abs(loss - best) < 0.01, "weights are stored in half precision")
    #expect(FileManager.default.fileExists(atPath: folder("best/checkpoints/best.safetensors").path))
  }

  @Test func lossFalls() throws {
    var losses: [Double] = []
    var configuration = configuration(images: 400)
    configuration.learningRate = 5e-3
    try trainer(configuration, "falls").run(onEvent: { event in
      if case .step(_, let terms, _) = event { losses.append(terms[0].value) }
    })
    #expect(losses.count == 100)
    #expect(losses.suffix(5).max()! < losses.prefix(5).min()!)
  }

  @Test func labelsAreReadOffTheCode() throws {
    func losses(_ weight: Double?) throws -> [[(name: String, value: Double)]] {
      var losses: [[(name: String, value: Double)]] = []
      var configuration = configuration(images: 3200)
      configuration.learningRate = 1e-2
      configuration.objective.labels = weight
      try trainer(configuration, "labels").run(onEvent: { if case .step(_, let terms, _) = $0 { losses.append(terms) } })
      return losses
    }
    #expect(try losses(nil).allSatisfy { terms in !terms.contains { $0.name == "labels" } })
    let read = try losses(10)
    let values: [Double] = read.map { $0.last!.value }
    // Batches of 4 differ widely.
    let (start, end): (Double, Double) = (values.prefix(5).reduce(0, +) / 5, values.suffix(100).reduce(0, +) / 100)
    #expect(read.allSatisfy { $0.last?.name == "labels" })
    #expect(end < 0.8 * start, "\(values)")
    // The total has it, with its weight.
    let first = Dictionary(uniqueKeysWithValues: read[0].map { ($0.name, $0.value) })
    let weights = ObjectiveWeights()
    let image: Double = first["ssim_loss"]! * weights.ssim + first["mae"]! * weights.mae
    let mask: Double = (first["mask_bce"]! + first["mask_dice"]!) * weights.mask
    let rest: Double = first["kl"]! * weights.kl + 10 * first["labels"]!
    #expect(abs(first["total"]! - image - mask - rest) < 1e-3)
    // It is no part of the bundle, and without it a run cannot be taken up.
    let bundle = try SafetensorsFile(folder("labels/model.safetensors"))
    #expect(!bundle.tensors.keys.contains { $0.contains("label") })
    let checkpoint = try SafetensorsFile(Trainer.lastCheckpoint(in: folder("labels"))).tensors
    #expect(checkpoint["label-head.linear.weight"] != nil && checkpoint["label-optimizer.mean.linear.weight"] != nil)
    try trainer(configuration(images: 8), "plain").run()
    var asking = configuration(images: 16)
    asking.objective.labels = 1
    let error = #expect(throws: TrainingError.self) { try trainer(asking, "plain", resume: true) }
    #expect(error?.description.contains("cannot resume") == true)
  }

  /// With no other term, labels alone train the encoder, and nothing trains the decoder.
  @Test func labelsTrainTheEncoder() throws {
    var configuration = configuration(images: 8)
    (configuration.objective.ssim, configuration.objective.mae, configuration.objective.mask, configuration.objective.kl) = (0, 0, 0, 0)
    configuration.objective.labels = 1
    (configuration.usesBFloat16, configuration.augmentation) = (false, Augmentation())
    let step = try TrainingStep(configuration, labelCount: 3)
    let images = try Tensor.rand([4, 3, 32, 32], generator: Generator(seed: 2))
    let labels = try Tensor([1, -1, 1, -1, 1, -1, 1, 1, -1, -1, -1, 1] as [Float], shape: [4, 3])
    let before = try step.model.state().mapValues { try $0.clone() }
    var losses: [Double] = []
    for number in 0..<40 {
      let terms = try step(
        images: images, masks: .full([4, 1, 32, 32], 1), labels: labels, number: number, learningRate: 1e-2)
      losses.append(terms.last!.value)
    }
    #expect(losses[39] < 0.1 && losses[0] > 0.4)
    for (name, parameter) in step.model.parameters {
      let isSame = try parameter.tensor.bytes() == before[name]!.bytes()
      if name.hasPrefix("decoder.") { #expect(isSame, "\(name)") }
      if name == "encoder.mean.weight" { #expect(!isSame) }
    }
    #expect(throws: TrainingError.self) {
      try step(images: images, masks: .full([4, 1, 32, 32], 1), number: 40, learningRate: 1e-2)
    }
  }

  @Test func lossThatIsNotFiniteStops() throws {
    let first = try trainer(configuration(images: 12), "broken")
    try first.run()
    let checkpoint = Trainer.lastCheckpoint(in: folder("broken"))
    let before = try Data(contentsOf: checkpoint)
    var configuration = configuration(images: 400)
    configuration.learningRate = 1e30
    #expect {
      try trainer(configuration, "broken", resume: true).run()
    } throws: { error in
      error is TrainingError && "\(error)".contains(/^step \d+: .*the run has diverged/)
    }
    #expect(try Data(contentsOf: checkpoint) == before)
  }

  /// Numbers that are finite, and of no use.
  @Test func lossThatGrowsWithoutBoundStops() throws {
    for validationInterval in [4, 4000] {
      var configuration = configuration(images: 40)
      (configuration.learningRate, configuration.validationInterval) = (30, validationInterval)
      let trainer = try trainer(configuration, "grown")
      #expect {
        try trainer.run()
      } throws: { error in
        error is TrainingError && "\(error)".contains(/^step \d+: .*the run has diverged/)
      }
      #expect(!FileManager.default.fileExists(atPath: Trainer.lastCheckpoint(in: folder("grown")).path))
    }
  }

  @Test func patienceEndsTraining() throws {
    var configuration = configuration(images: 4000)
    configuration.validationInterval = 8
    configuration.patience = 2
    configuration.emaDecay = nil
    configuration.schedule = .constant
    configuration.learningRate = 1e-12  // Far too low for any weight to change.
    let trainer = try trainer(configuration, "patience")
    #expect(try trainer.run() == .noImprovement)
    #expect(trainer.progress.validationsSinceBest == 2)
    #expect(trainer.progress.images < 4000)
  }

  @Test func timeIsABudget() throws {
    let trainer = try trainer(configuration(minutes: 0.01), "time")
    #expect(try trainer.run() == .budgetSpent)
    #expect(trainer.progress.minutes >= 0.01)
    #expect(trainer.progress.step > 0)
    // Time counts over resumed runs.
    let spent = try self.trainer(configuration(minutes: 0.01), "time", resume: true)
    let step = spent.progress.step
    #expect(try spent.run() == .budgetSpent)
    #expect(spent.progress.step == step)
    let more = try self.trainer(configuration(images: 4 * (step + 3)), "time", resume: true)
    try more.run()
    #expect(more.progress.step == step + 3)
  }

  @Test func scheduleFollowsTheBudget() {
    var configuration = configuration(images: 1000)
    configuration.learningRate = 1
    #expect(configuration.learningRate(spent: 0) == 0.01)
    #expect(abs(configuration.learningRate(spent: 0.01) - 0.5) < 1e-9)
    #expect(abs(configuration.learningRate(spent: 0.51) - 0.5) < 1e-9)
    #expect(configuration.learningRate(spent: 1) < 1e-9)
    configuration.budget = .init()
    #expect(configuration.learningRate(spent: 0) == 1)
  }

  @Test func checkpointOfAnotherRunIsRefused() throws {
    try trainer(configuration(images: 8), "run").run()
    func refusal(_ change: (inout TrainingConfiguration) -> Void) throws -> String {
      var changed = configuration(images: 16)
      change(&changed)
      let error = #expect(throws: TrainingError.self) { try trainer(changed, "run", resume: true) }
      return error?.description ?? ""
    }
    #expect(try refusal { $0.batchSize = 2 }.contains("batch 4 and seed 1"))
    #expect(try refusal { $0.seed = 3 }.contains("batch 4 and seed 1"))
    #expect(try refusal { $0.model.latentSize = 9 }.contains("another model"))
    let saved = try #require(try Trainer.savedConfiguration(in: folder("run")))
    #expect(saved == configuration(images: 8))
    #expect(try Trainer.savedConfiguration(in: folder("none")) == nil)

    let fewer = try DatasetFixture(count: 16, size: (32, 32))
    let dataset = try fewer.dataset(size: 32)
    #expect {
      try Trainer(
        configuration(images: 16), training: fewer.cache(.train, of: dataset),
        validation: fewer.cache(.validation, of: dataset), output: folder("run"), resume: true)
    } throws: { "\($0)".contains("18 training photos; there are 12 now") }
  }

  @Test func damagedCheckpointIsRefused() throws {
    try trainer(configuration(images: 8), "run").run()
    let url = Trainer.lastCheckpoint(in: folder("run"))
    let good = try Data(contentsOf: url)
    var (tensors, metadata) = try Tensor.load(from: url)
    metadata["checksum"] = nil
    func expectRefusal() {
      #expect {
        try trainer(configuration(images: 16), "run", resume: true)
      } throws: { "\($0)".contains("last.safetensors") }
    }
    for bytes in [Data(), good.prefix(5), good.prefix(good.count - 1), good + [0], Data("not a checkpoint".utf8)] {
      try bytes.write(to: url, options: .atomic)  // The tensors lie over the old file.
      expectRefusal()
    }
    for (key, value) in [
      ("format", "other"), ("progress", "{"), ("configuration", "{}"),
      ("progress", metadata["progress"]!.replacing(/"batch":\d+/, with: "\"batch\":-1")),
    ] {
      try Tensor.save(tensors, metadata: metadata.merging([key: value]) { $1 }, to: url)
      expectRefusal()
    }
    for name in ["model.decoder.output.bias", "optimizer.step", "ema.decoder.output.bias"] {
      try Tensor.save(tensors.filter { $0.key != name }, metadata: metadata, to: url)
      expectRefusal()
    }
  }

  @Test func oneBitOfACheckpointIsNoticed() throws {
    try trainer(configuration(images: 8), "run").run()
    let url = Trainer.lastCheckpoint(in: folder("run"))
    let good = try Data(contentsOf: url)
    for place in [good.count - 1, good.count / 2, good.count - 100_000] {
      var damaged = good
      damaged[place] ^= 4
      try damaged.write(to: url)
      #expect {
        try trainer(configuration(images: 16), "run", resume: true)
      } throws: { "\($0)".contains("last.safetensors") && "\($0)".contains("checksum") }
    }
    try good.write(to: url)
    #expect(try trainer(configuration(images: 16), "run", resume: true).notice == nil)
  }

  /// The run goes on from the checkpoint before, and ends as if nothing had been.
  @Test func theCheckpointBeforeTakesTheDamagedOnesPlace() throws {
    try trainer(configuration(images: 40), "whole").run()
    var configuration = configuration(images: 40)
    configuration.checkpointMinutes = 0
    let stopped = try trainer(configuration, "run")
    #expect(try stopped.run(shouldStop: { stopped.progress.step == 6 }) == .interrupted)
    let url = Trainer.lastCheckpoint(in: folder("run"))
    let good = try Data(contentsOf: url)
    for damaged in [Data(), good.prefix(good.count / 2), Data(repeating: 0, count: good.count)] {
      // A new file: after the first round this one is the checkpoint before, too.
      try damaged.write(to: url, options: .atomic)
      #expect(try Trainer.savedConfiguration(in: folder("run")) == configuration)
      let resumed = try trainer(self.configuration(images: 40), "run", resume: true)
      #expect(resumed.notice?.contains("last.safetensors") == true && resumed.notice?.contains("checkpoint before") == true)
      #expect(resumed.progress.images < 40)
    }
    try trainer(self.configuration(images: 40), "run", resume: true).run()
    let (first, second) = try (
      SafetensorsFile(Trainer.lastCheckpoint(in: folder("whole"))).tensors, SafetensorsFile(url).tensors
    )
    for (name, entry) in first {
      let other = try #require(second[name])
      #expect(entry.withUnsafeBytes { a in other.withUnsafeBytes { a.elementsEqual($0) } }, "\(name)")
    }
  }

  @Test func configurationOutOfRangeIsRefused() throws {
    let changes: [(inout TrainingConfiguration) -> Void] = [
      { $0.batchSize = 0 }, { $0.batchSize = 19 }, { $0.learningRate = .nan }, { $0.emaDecay = 1 },
      { $0.validationInterval = 0 }, { $0.checkpointMinutes = -1 }, { $0.patience = 0 }, { $0.budget.images = 0 },
      { $0.dataset.size = 64 }, { $0.model.imageSize = 40 },
    ]
    for change in changes {
      var configuration = configuration(images: 8)
      change(&configuration)
      #expect(throws: (any Error).self) { try trainer(configuration, "run") }
    }
  }

  @Test func newRunRemovesTheOldOne() throws {
    try trainer(configuration(images: 8), "run").run()
    let leftover = folder("run/checkpoints/.last.safetensors.0.tmp")
    try Data([1]).write(to: leftover)
    var other = configuration(images: 8)
    other.model.latentSize = 9
    _ = try trainer(other, "run")
    for file in ["checkpoints/last.safetensors", "checkpoints/best.safetensors", "model.safetensors", "config.json"] {
      #expect(!FileManager.default.fileExists(atPath: folder("run").appendingPathComponent(file).path))
    }
    #expect(!FileManager.default.fileExists(atPath: leftover.path))
  }

  @Test func weightsNeverLieBesideAnotherConfiguration() throws {
    let bundle = folder("bundle")
    let first = configuration().model
    try ModelBundle.write(configuration: first, weights: first.makeModel(seed: 1).state(), to: bundle)
    // The new weights cannot be written; the old ones must not stay beside the new configuration.
    var second = first
    second.latentSize = 9
    let names = Dictionary(uniqueKeysWithValues: ["__metadata__"].map { ($0, try! Tensor([Float(1)])) })
    #expect(throws: (any Error).self) { try ModelBundle.write(configuration: second, weights: names, to: bundle) }
    #expect(!FileManager.default.fileExists(atPath: bundle.appendingPathComponent("model.safetensors").path))
    // With the same configuration they stay.
    try ModelBundle.write(configuration: first, weights: first.makeModel(seed: 1).state(), to: bundle)
    #expect(throws: (any Error).self) { try ModelBundle.write(configuration: first, weights: names, to: bundle) }
    #expect(try ModelBundle(contentsOf: bundle).configuration == first)
  }

  @Test func folderThatCannotBeWrittenIsNamed() throws {
    let file = folder("file")
    try Data().write(to: file)
    #expect {
      try Trainer(
        configuration(images: 8), training: training, validation: validation,
        output: file.appendingPathComponent("run"))
    } throws: { "\($0)".contains(file.path) }
  }

  @Test(.enabled(if: EventFileTests.python != nil, "no Python with tensorboard; FACET_PYTHON names one"))
  func tensorBoardReadsARun() throws {
    var configuration = configuration(images: 96)
    configuration.validationInterval = 48
    // Interrupted after a point that the resumed run repeats.
    let first = try trainer(configuration, "run")
    let log = try TrainingLog(of: first, as: "train", interval: 4)
    log.finish(try first.run(shouldStop: { first.progress.step == 14 }, onEvent: log.record))
    let second = try trainer(configuration, "run", resume: true)
    let secondLog = try TrainingLog(of: second, as: "train", interval: 4)
    secondLog.finish(try second.run(onEvent: secondLog.record))
    let script = """
      import io, sys
      from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
      a = EventAccumulator(sys.argv[1], size_guidance={'images': 0}); a.Reload()
      print(','.join(sorted(a.Tags()['scalars'])))
      for tag in ['train/total', 'train/learning_rate', 'validation/ssim']:
        print(tag, [e.step for e in a.Scalars(tag)], all(e.value > 0 for e in a.Scalars(tag)))
      print([(e.step, e.width, e.height, e.encoded_image_string[:4]) for e in a.Images('validation/faces')])
      """
    let result = try EventFileTests.run(
      try #require(EventFileTests.python), ["-c", script, folder("run/logs").path])
    #expect(result.status == 0)
    #expect(
      result.output == """
        speed/images_per_second,speed/waiting,train/kl,train/learning_rate,train/mae,train/mask_bce,train/mask_dice,\
        train/ssim_loss,train/total,validation/kl,validation/loss,validation/mae,validation/mask_bce,\
        validation/mask_dice,validation/mask_iou,validation/ssim
        train/total [16, 32, 48, 64, 80, 96] True
        train/learning_rate [16, 32, 48, 64, 80, 96] True
        validation/ssim [48, 96] True
        [(48, 206, 104, b'\\x89PNG'), (96, 206, 104, b'\\x89PNG')]

        """)
  }
}

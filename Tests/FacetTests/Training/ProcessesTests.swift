import Foundation
import Synchronization
import TestProcesses
import Testing
import Torch

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

/// Training, validation and encoding by several processes: threads here, with the connections of processes.
@Suite(.serialized) struct ProcessesTests {
  let fixture: DatasetFixture
  let training: DecodedCache
  let validation: DecodedCache

  init() throws {
    try Torch.setThreads(1)
    fixture = try DatasetFixture(count: 44, size: (32, 32))
    let dataset = try fixture.dataset(size: 32)
    training = try fixture.cache(.train, of: dataset)
    validation = try fixture.cache(.validation, of: dataset)
  }

  /// The compact recipe with all its chance, on a small model; 4 steps an epoch.
  private func configuration(steps: Int, synchronizes: Bool, labels: Double? = nil) -> TrainingConfiguration {
    var configuration = TrainingConfiguration(preset: .compact)
    configuration.model = ModelConfiguration(
      architecture: .compact, imageSize: 32, latentSize: 8, encoderChannels: [4, 8, 8, 8],
      decoderChannels: [8, 8, 8, 8])
    configuration.dataset.size = 32
    configuration.batchSize = 8
    configuration.usesBFloat16 = false
    // Sums of parts differ from those of a whole in the last bit, and among all the activations of 50 steps a few lie that
    // close to a ReLU's corner; the recipe's rate (1e-3) lets what follows grow beyond 1e-4, on some processors.
    configuration.learningRate = 3e-4
    configuration.budget = .init(images: 8 * steps)
    configuration.synchronizesBatchNorm = synchronizes
    configuration.objective.labels = labels
    return configuration
  }

  /// Every loss term of every step.
  typealias Curve = [[Double]]

  /// Trains by several processes until the budget is spent, or to a step.
  private func train(
    _ configuration: TrainingConfiguration, _ name: String, processes: Int, to last: Int = .max, resume: Bool = false
  ) throws -> Curve {
    let output = fixture.folder.appendingPathComponent(name)
    let (training, validation) = (training, validation)
    @Sendable func run(_ group: ProcessGroup?) throws -> Curve {
      try Torch.setThreads(1)
      let trainer = try Trainer(
        configuration, training: training, validation: validation, output: output, resume: resume, group: group)
      var curve: Curve = []
      // One process alone asks to stop.
      let asks = group.map { $0.rank == $0.count - 1 } ?? true
      try trainer.run(
        shouldStop: { asks && trainer.progress.step == last },
        onEvent: { if case .step(_, let losses, _) = $0 { curve.append(losses.map(\.value)) } })
      return curve
    }
    if processes == 1 { return try run(nil) }
    let curves = try withProcesses(processes) { try run($0) }
    #expect(curves.dropFirst().joined().isEmpty, "only the first reports")
    return curves[0]
  }

  private func difference(_ a: Curve, _ b: Curve) -> Double {
    #expect(a.count == b.count)
    return zip(a, b).flatMap { zip($0, $1).map { abs($0 - $1) } }.max() ?? .infinity
  }

  private func checkpoint(_ name: String) throws -> [String: Tensor] {
    try Tensor.load(from: Trainer.lastCheckpoint(in: fixture.folder.appendingPathComponent(name))).tensors
  }

  private func expectSameCheckpoint(_ a: String, _ b: String) throws {
    let (first, second) = try (checkpoint(a), checkpoint(b))
    #expect(first.count > 100 && Set(first.keys) == Set(second.keys))
    for (name, tensor) in first {
      let other = try #require(second[name])
      #expect(try tensor.bytes() == other.bytes(), "\(name) differs")
    }
  }

  @Test func curveIsThatOfOneProcess() throws {
    let configuration = configuration(steps: 50, synchronizes: true)
    let alone = try train(configuration, "1", processes: 1)
    #expect(alone.count == 50 && alone[49][0] < alone[0][0] - 0.1)
    for processes in [2, 4] {
      let together = try train(configuration, "\(processes)", processes: processes)
      let difference = difference(alone, together)
      #expect(difference < 1e-4, "\(processes) processes: \(difference)")
    }
    // With statistics of each process's own, it is another curve.
    let local = try train(self.configuration(steps: 50, synchronizes: false), "local", processes: 2, to: 12)
    #expect(difference(Array(alone.prefix(12)), local) > 1e-3)
    #expect(local[11][0] < local[0][0])
  }

  /// What reads the labels is shared, too. Here one last bit of a whole's sums decides a ReLU after 5 to 13 steps, by the
  /// processor; runs of the same number of processes are as far apart from one processor to another.
  @Test func labelsAreSharedAlike() throws {
    let configuration = configuration(steps: 50, synchronizes: true, labels: 0.5)
    let two = try train(configuration, "two", processes: 2)
    #expect(two.count == 50 && two[0].count == 7)
    for processes in [1, 4] {
      let other = try train(configuration, "\(processes)", processes: processes)
      let (start, whole) = (difference(Array(two.prefix(5)), Array(other.prefix(5))), difference(two, other))
      #expect(start < 1e-5 && whole < 1e-2, "\(processes) processes: \(start), \(whole)")
    }
  }

  @Test(arguments: [true, false]) func resumedRunEndsWithTheSameWeights(synchronizes: Bool) throws {
    let configuration = configuration(steps: 20, synchronizes: synchronizes, labels: 0.5)
    _ = try train(configuration, "whole", processes: 2)
    #expect(try train(configuration, "parts", processes: 2, to: 6).count == 6)
    #expect(try train(configuration, "parts", processes: 2, resume: true).count == 14)
    try expectSameCheckpoint("whole", "parts")
  }

  @Test func anotherNumberOfProcessesGoesOn() throws {
    let configuration = configuration(steps: 20, synchronizes: true, labels: 0.5)
    let alone = try train(configuration, "alone", processes: 1)
    var curve = try train(configuration, "changing", processes: 2, to: 6)
    curve += try train(configuration, "changing", processes: 4, to: 13, resume: true)
    curve += try train(configuration, "changing", processes: 1, resume: true)
    #expect(difference(alone, curve) < 1e-4)
  }

  @Test func batchThatCannotBeSharedIsRefused() throws {
    #expect {
      _ = try train(configuration(steps: 2, synchronizes: false), "odd", processes: 3)
    } throws: { "\($0)".contains("a batch of 8 cannot be shared evenly by 3 processes") }
  }

  @Test func otherPhotosAreNoticed() throws {
    let fewer = try DatasetFixture(count: 40, size: (32, 32))
    let other = try fewer.cache(.train, of: fewer.dataset(size: 32))
    let configuration = configuration(steps: 2, synchronizes: false)
    let (training, validation, output) = (training, validation, fixture.folder.appendingPathComponent("other"))
    #expect {
      try withProcesses(2) { group in
        let own = group.isFirst ? training : other
        let trainer = try Trainer(configuration, training: own, validation: validation, output: output, group: group)
        try trainer.run()
      }
    } throws: { "\($0)".contains("other photos than the first") || $0 is ProcessGroupError }
  }

  @Test(arguments: [2, 3]) func figuresAreThoseOfOneProcess(processes: Int) throws {
    let model = configuration(steps: 1, synchronizes: false).model
    let samples = training  // 33 photos: the batches don't come out even.
    let alone = try Evaluator(model.makeModel(seed: 3)).evaluate(samples, batchSize: 4)
    let reports = try withProcesses(processes) { group in
      try Torch.setThreads(1)
      return try Evaluator(model.makeModel(seed: 3)).evaluate(samples, batchSize: 4, over: group)
    }
    for report in reports {
      #expect(report.images == 33)
      for (found, expected) in zip(report.figures, alone.figures) {
        #expect(abs(found.value - expected.value) < 1e-12, "\(found.name)")
      }
    }
  }

  @Test(arguments: [2, 3]) func codesAreThoseOfOneProcess(processes: Int) throws {
    let model = configuration(steps: 1, synchronizes: false).model
    let samples = training
    let alone = try EncodedPhotos(samples, with: model.makeModel(seed: 3), batchSize: 4)
    let results = try withProcesses(processes) { group -> EncodedPhotos? in
      try Torch.setThreads(1)
      return try EncodedPhotos.encode(samples, with: model.makeModel(seed: 3), batchSize: 4, over: group)
    }
    for other in results.dropFirst() { #expect(other == nil) }
    let together = try #require(results[0])
    #expect(try together.codes.bytes() == alone.codes.bytes())
    #expect(together.labels == alone.labels)
  }
}

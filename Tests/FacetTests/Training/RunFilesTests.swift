import Foundation
import Testing
import Torch

@testable import Facet
@testable import FacetTraining

struct ConfigurationFileTests {
  private func applying(_ text: String, to base: TrainingConfiguration = .init(preset: .compact)) throws -> TrainingConfiguration {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("run-\(UUID()).json")
    defer { try? FileManager.default.removeItem(at: url) }
    try text.write(to: url, atomically: true, encoding: .utf8)
    return try ConfigurationFile.applying(url, to: base)
  }

  @Test func fieldsOfAFileTakeThePlaceOfDefaults() throws {
    let read = try applying(
      #"{"objective": {"labels": 0.1, "ssim": 2}, "clipping": {"perVariable": {"_0": 0.5}}, "emaDecay": null, "budget": {"minutes": 9}, "seed": 18446744073709551615}"#)
    var expected = TrainingConfiguration(preset: .compact)
    (expected.objective.labels, expected.objective.ssim) = (0.1, 2)
    (expected.clipping, expected.emaDecay, expected.budget.minutes, expected.seed) = (.perVariable(0.5), nil, 9, .max)
    #expect(read == expected)
    // A run's own file makes the same run.
    #expect(try applying(ConfigurationFile.text(of: expected), to: .init(preset: .article)) == expected)
  }

  @Test func fieldsAreSetByName() throws {
    let base = TrainingConfiguration(preset: .compact)
    let set = try ["augmentation.rotation=10", "schedule=constant", "dataset.crop={\"whole\": {}}", "validationInterval=500"]
      .reduce(base) { try ConfigurationFile.setting($1, in: $0) }
    #expect(set.augmentation.rotation == 10 && set.schedule == .constant && set.dataset.crop == .whole)
    #expect(set.validationInterval == 500 && set.augmentation.zoom == base.augmentation.zoom)
    #expect(try ConfigurationFile.setting("drawn.glasses=0.5", in: ParserTraining()).drawn.glasses == 0.5)
  }

  @Test func faultsNameTheField() throws {
    func fault(_ text: String, _ expected: String) throws {
      let error = #expect(throws: TrainingError.self) { try applying(text) }
      #expect(error?.description.contains(expected) == true, "\(error?.description ?? "")")
    }
    try fault(#"{"learningrate": 1}"#, "no field 'learningrate'; did you mean 'learningRate'?")
    try fault(#"{"objective": {"sim": 1}}"#, "no field 'objective.sim'; did you mean 'ssim'?")
    try fault(#"{"batchSize": "many"}"#, "'batchSize'")
    try fault("[1]", "not an object")
    try fault("{", "not JSON")
    for text in ["ssim", "=1", "objective.sim=1", "batchSize=many"] {
      #expect(throws: TrainingError.self, "\(text)") { try ConfigurationFile.setting(text, in: TrainingConfiguration(preset: .compact)) }
    }
    var negative = TrainingConfiguration(preset: .compact)
    negative.objective.mae = -1
    #expect(throws: TrainingError.self) { try negative.validate() }
  }
}

struct RunHistoryTests {
  @Test func linesOfARunAreReadAgain() throws {
    let run = FileManager.default.temporaryDirectory.appendingPathComponent("run-\(UUID())", isDirectory: true)
    defer { try? FileManager.default.removeItem(at: run) }
    let logs = run.appendingPathComponent("logs", isDirectory: true)
    #expect(throws: (any Error).self) { try RunHistory(of: run) }
    let writer = try EventFileWriter(directory: logs)
    #expect(throws: TrainingError.self) { try RunHistory(of: run) }
    try writer.addScalars([("train/total", 1.5), ("train/kl", .nan)], step: 100)
    try writer.addScalars([("validation/loss", 0.75), ("validation/ssim", 0.5)], step: 200)
    try writer.addScalar(0.25, tag: "validation/loss", step: 400)
    // What a resumed run repeats counts as it is then; a line that was cut short does not.
    try EventFileWriter(directory: logs, startingAtStep: 300).addScalar(0.875, tag: "validation/loss", step: 400)
    let file = logs.appendingPathComponent(EventFileWriter.linesFile)
    try (String(contentsOf: file, encoding: .utf8) + "{\"step\":500,\"val").write(to: file, atomically: true, encoding: .utf8)
    let history = try RunHistory(of: run)
    #expect(history.points.map(\.step) == [100, 200, 400] && history.images == 400)
    #expect(history.points[0].figures == ["train/total": 1.5])
    #expect(history.best == .init(step: 200, figures: ["validation/loss": 0.75, "validation/ssim": 0.5]))
  }
}

struct PictureDistancesTests {
  /// The same numbers as in the script that gave the expected values.
  private func features(_ a: Double, _ b: Double, count: Int) throws -> Tensor {
    let values = (0..<count).flatMap { i in
      (0..<8).map { j -> Double in
        let (i, j) = (Double(i), Double(j))
        return sin(a * i * (j + 1) + b * j) * (1 + 0.1 * j) + 0.05 * b * j
      }
    }
    return try Tensor(values, shape: [count, 8])
  }

  private func distance(_ x: Tensor, _ y: Tensor) throws -> Double {
    var (a, b) = (try FeatureStatistics(size: 8), try FeatureStatistics(size: 8))
    // In two batches.
    try a.add(x.narrow(0, 0..<2))
    try a.add(x.narrow(0, 2..<x.size(0)))
    try b.add(y)
    return try a.frechetDistance(to: b)
  }

  @Test func frechetDistanceIsThatOfSciPy() throws {
    // NumPy 2.4 and SciPy 1.17: |m₁ − m₂|² + tr(C₁ + C₂ − 2 sqrtm(C₁ C₂)).
    let many = try distance(features(0.7, 0.3, count: 50), features(1.1, 0.9, count: 40))
    #expect(abs(many / 1.4421554536604893 - 1) < 1e-6, "\(many)")
    // Fewer vectors than dimensions: covariances without full rank.
    let few = try distance(features(0.7, 0.3, count: 5), features(1.1, 0.9, count: 6))
    #expect(abs(few / 7.6421467088830815 - 1) < 1e-4, "\(few)")
    let x = try features(0.7, 0.3, count: 50)
    #expect(abs(try distance(x, x)) < 1e-9)
    #expect(abs(try distance(x, x + 2) - 32) < 1e-9)
  }

  /// A share of rows that lie in a ball around any of the others, row by row.
  private func share(of rows: [[Double]], in known: [[Double]]) -> Double {
    func distance(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot() }
    let radii = known.map { row in known.map { distance(row, $0) }.sorted()[3] }
    let inside = rows.filter { row in zip(known, radii).contains { distance(row, $0) < $1 } }
    return Double(inside.count) / Double(rows.count)
  }

  @Test func precisionAndRecallAreThoseRowByRow() throws {
    let generator = try Generator(seed: 4)
    // More than one part of rows; the samples spread less than the photos and lie apart.
    let photos = try Tensor.randn([600, 5], generator: generator)
    let samples = try Tensor.randn([90, 5], generator: generator) * 0.5 + 0.8
    func rows(_ tensor: Tensor) throws -> [[Double]] {
      let values = try tensor.to(.float64).array(Double.self)
      return stride(from: 0, to: values.count, by: 5).map { Array(values[$0..<$0 + 5]) }
    }
    let (a, b) = try (rows(photos), rows(samples))
    let found = try PrecisionRecall(photos: photos, samples: samples)
    #expect(abs(found.precision - share(of: b, in: a)) < 1e-9, "\(found)")
    #expect(abs(found.recall - share(of: a, in: b)) < 1e-9, "\(found)")
    #expect(found.precision > 0.5 && found.recall < found.precision - 0.2, "\(found)")
    let far = try PrecisionRecall(photos: photos, samples: photos + 100)
    #expect((far.precision, far.recall) == (0, 0))
  }
}

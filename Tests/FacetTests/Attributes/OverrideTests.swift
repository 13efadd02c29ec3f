import Foundation
import Testing
import Torch

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

@Suite("Vectors in the place of isolated ones") struct OverrideTests {
  @Test func vectorsComeBackWithTheirBundle() throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("facet-steered-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: url) }
    try ModelBundle.write(
      configuration: .tiny, weights: ModelConfiguration.tiny.makeModel(seed: 1).state(), to: url)
    let bundle = try ModelBundle(contentsOf: url)
    let size = bundle.configuration.latentSize
    var directions = try AttributeDirections(
      vectors: [("Smiling", [Float](repeating: 1, count: size)), ("Male", [Float](repeating: 2, count: size))],
      latentSize: size)
    directions.overrides = [
      .init(name: "Male", adds: false): DirectionOverride(vector: try .full([1, size], 0.5), reach: 3, factor: 1.25),
      .init(name: "Male", adds: true): DirectionOverride(vector: try .full([1, size], -2), reach: -1),
    ]
    try directions.write(to: bundle)
    let read = try AttributeDirections(of: bundle)
    #expect(read.overrides[.init(name: "Smiling", adds: true)] == nil)
    let add = try #require(read.overrides[.init(name: "Male", adds: true)])
    let remove = try #require(read.overrides[.init(name: "Male", adds: false)])
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

  /// A diff shows a change of one strength; what the text lacks is told.
  @Test func strengthsAreAText() throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("facet-strengths-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: url) }
    try ModelBundle.write(
      configuration: .tiny, weights: ModelConfiguration.tiny.makeModel(seed: 1).state(), to: url)
    let bundle = try ModelBundle(contentsOf: url)
    let size = bundle.configuration.latentSize
    let directions = try AttributeDirections(vectors: [("Smiling", [Float](repeating: 1, count: size))], latentSize: size)
    try directions.setting("Smiling", add: 1.5).write(to: bundle)
    let file = url.appendingPathComponent(Strengths.file)
    let text = try String(contentsOf: file, encoding: .utf8)
    #expect(text.contains("\"factor\" : 1.5") && text.contains("by hand"))
    try text.replacing("1.5", with: "2.5").write(to: file, atomically: true, encoding: .utf8)
    #expect(try AttributeDirections(of: bundle).factors(.isolated) == [.init(add: 2.5, remove: 1)])
    for (fault, reason) in [
      ("[]", "not strengths"), ("{}", "'Smiling' is missing"), (text.replacing("1.5", with: "-1.5"), "must be above 0"),
    ] {
      try fault.write(to: file, atomically: true, encoding: .utf8)
      let error = #expect(throws: BundleError.self) { try AttributeDirections(of: bundle) }
      #expect(error?.path == file.path && error?.reason.contains(reason) == true, "\(error?.reason ?? "")")
    }
    // Other weights have other strengths.
    try ModelBundle.write(
      configuration: .tiny, weights: ModelConfiguration.tiny.makeModel(seed: 2).state(), to: url)
    #expect(!FileManager.default.fileExists(atPath: file.path))
  }
}

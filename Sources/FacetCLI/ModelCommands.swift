import ArgumentParser
import Facet
import Foundation
import Torch

struct AttributesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "attributes",
    abstract: "Find the attribute directions of a model and store them in its bundle.")

  @Option(help: "Folder of the model bundle.")
  var model: String
  @Option(help: "Folder laid out as CelebA; its train partition is used.")
  var data: String
  @Option(help: "The most photos with, and the most without, that count for an attribute.")
  var limit = 10_000
  @OptionGroup var engine: EngineOptions

  func run() throws {
    let device = try engine.prepare()
    let bundle = try ModelBundle(contentsOf: URL(fileURLWithPath: model, isDirectory: true), device: device)
    let samples = try open(CelebA(directory: URL(fileURLWithPath: data), configuration: .encoding(bundle.configuration)), .train)
    let directions = try AttributeDirections.find(with: bundle.model, in: samples, limit: limit, device: device)
    try directions.write(to: bundle)
    print("\(directions.names.count) directions from \(samples.count) photos")
  }
}

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Measure how well a model reconstructs the photos of a partition.")

  @Option(help: "Folder laid out as CelebA.")
  var data: String
  @Option(help: "train, val or test.")
  var partition: Partition = .validation
  @OptionGroup var model: ModelOptions
  @Flag(help: "Print one JSON object on the last line.")
  var json = false
  @OptionGroup var engine: EngineOptions

  func run() throws {
    let device = try engine.prepare()
    let bundle = try ModelBundle(contentsOf: model.url, device: device)
    let samples = try open(CelebA(directory: URL(fileURLWithPath: data), configuration: .measuring(bundle.configuration)), partition)
    let report = try Evaluator(bundle.model, device: device).evaluate(samples)
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = .sortedKeys
      print(String(decoding: try encoder.encode(report), as: UTF8.self))
    } else {
      print(report)
    }
  }
}

struct InfoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info", abstract: "Show the model, its bundle, this build and the devices.")

  @OptionGroup var model: ModelOptions

  func run() throws {
    print("facet \(facetVersion), LibTorch \(Torch.version), \(Torch.threads) threads, \(Device.cudaCount) CUDA devices")
    let bundle = try ModelBundle(contentsOf: model.url)
    print("bundle \(bundle.url.path), weights \(bundle.fingerprint)")
    print("\(bundle.configuration.architecture) \(bundle.configuration.imageSize)x\(bundle.configuration.imageSize), latent size \(bundle.configuration.latentSize), \(bundle.model.parameterCount) parameters")
  }
}

extension Partition: ExpressibleByArgument {}

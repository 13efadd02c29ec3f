import ArgumentParser
import Facet
import Foundation
import Torch

struct AttributesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "attributes",
    abstract: "Find the attribute directions of a model and store them in its bundle.",
    discussion: """
      Each photo of the train partition is encoded once for all attributes.

      Examples:
        facet attributes --model runs/a --data celeba
        facet attributes --model runs/a --data celeba --limit 2000 --device cuda
      """)

  @Option(help: "Folder of the model bundle.", completion: .directory)
  var model: String
  @Option(help: "Folder laid out as CelebA; its train partition is used, masks are not needed.", completion: .directory)
  var data: String
  @Option(help: "The most photos with, and the most without, that count for an attribute.")
  var limit = 10_000
  @Option(help: "The factor on a direction at strength 1; 1 is the way from the mean without to the mean with.")
  var scale = AttributeDirections.defaultScale
  @OptionGroup var engine: EngineOptions

  func validate() throws {
    if limit < 1 { throw ValidationError("--limit must be above 0") }
    if !(scale > 0 && scale <= 10) { throw ValidationError("--scale must be above 0 and at most 10") }
  }

  func run() throws {
    let device = try engine.prepare()
    let bundle = try ModelBundle(contentsOf: URL(fileURLWithPath: model, isDirectory: true), device: device)
    let dataset = try CelebA(
      directory: URL(fileURLWithPath: data, isDirectory: true), configuration: .encoding(bundle.configuration))
    let samples = try open(dataset, .train)
    let report = ProgressReport("attributes", total: samples.count, unit: "photos")
    let directions = try AttributeDirections.find(with: bundle.model, in: samples, limit: limit, scale: scale, device: device) {
      done, _ in report.update(done)
    }
    report.finish()
    try directions.write(to: bundle)
    print("\(directions.names.count) directions from \(samples.count) photos, stored in \(bundle.url.path)")
  }
}

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Measure how well a model reconstructs the photos of a partition.",
    discussion: """
      Each photo is decoded from its code's mean and composed with its true mask. With --json the last line on \
      standard output is one object: ssim, mae, mask_bce, mask_dice, mask_iou, kl, loss, images, images_per_second.

      Examples:
        facet evaluate --data celeba --partition val
        facet evaluate --data celeba --partition test --model runs/a --json | tail -1
      """)

  @Option(help: "Folder laid out as CelebA.", completion: .directory)
  var data: String
  @Option(help: "The part of the data set.")
  var partition: Partition = .validation
  @OptionGroup var model: ModelOptions
  @Flag(help: "Print one JSON object on the last line instead of a table.")
  var json = false
  @OptionGroup var engine: EngineOptions

  func run() throws {
    let device = try engine.prepare()
    let bundle = try ModelBundle(contentsOf: model.url, device: device)
    let dataset = try CelebA(
      directory: URL(fileURLWithPath: data, isDirectory: true), configuration: .measuring(bundle.configuration))
    let samples = try open(dataset, partition)
    let report = ProgressReport("evaluate", total: samples.count, unit: "photos")
    let figures = try Evaluator(bundle.model, device: device).evaluate(samples) { done, _ in report.update(done) }
    report.finish()
    print(json ? try line(figures) : table(figures))
  }

  private func line(_ report: EvaluationReport) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    // A broken model's figures are no numbers, which JSON has no word for.
    guard report.figures.allSatisfy(\.value.isFinite) else {
      throw CommandError("the model's figures are not finite; its weights are broken")
    }
    return String(decoding: try encoder.encode(report), as: UTF8.self)
  }

  private func table(_ report: EvaluationReport) -> String {
    let meanings = [
      "ssim": "structural similarity, 1 is the same", "mae": "mean absolute error of values in 0 ... 1",
      "mask_bce": "cross entropy of the mask", "mask_dice": "Dice loss of the mask",
      "mask_iou": "overlap of the mask with its label, 1 is the same",
      "kl": "divergence from the prior, a dimension", "loss": "weighted sum of the training objective",
    ]
    let rows = report.figures.map { figure in
      figure.name.padded(to: 12) + String(format: "%8.4f  ", figure.value) + (meanings[figure.name] ?? "")
    }
    let speed = String(format: "%.1f", report.imagesPerSecond)
    return (rows + ["\(report.images) photos of partition \(partition.rawValue), \(speed) a second"])
      .joined(separator: "\n")
  }
}

struct InfoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info",
    abstract: "Show this build, the devices, a model, and the attributes it can change.",
    discussion: """
      Examples:
        facet info
        facet info --model runs/a
      """)

  @OptionGroup var model: ModelOptions

  func run() throws {
    print("facet       \(facetVersion), LibTorch \(Torch.version)")
    let cuda = (0..<Device.cudaCount).map { ", \(Device.cuda($0))" }.joined()
    print("devices     cpu with \(Torch.threads) threads\(cuda)")
    let bundle = try ModelBundle(contentsOf: model.url)
    let configuration = bundle.configuration
    print("bundle      \(bundle.url.path)")
    print("weights     \(bundle.fingerprint)")
    print(
      "model       \(configuration.architecture), \(configuration.imageSize)x\(configuration.imageSize) pixels, "
        + "latent size \(configuration.latentSize), \(bundle.model.parameterCount) parameters")
    let file = bundle.url.appendingPathComponent("attributes.safetensors")
    guard FileManager.default.fileExists(atPath: file.path) else {
      print("attributes  none yet; 'facet attributes --model \(bundle.url.path) --data DIR' finds them")
      return
    }
    let directions = try AttributeDirections(of: bundle)
    let width = directions.names.map(\.count).max() ?? 0
    print("attributes  \(directions.names.count), with the photos that have and lack them and the factor at strength 1")
    for (index, name) in directions.names.enumerated() {
      let counts = String(format: "%8d %8d", directions.positives[index], directions.negatives[index])
      print("  \(name.padded(to: width))\(counts)  \(String(format: "%.2f", directions.scales[index]))")
    }
  }
}

extension String {
  fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}

extension Partition: ExpressibleByArgument {}

import ArgumentParser
import Facet
import FacetTraining
import Foundation
import Torch

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Measure how well a model reconstructs the photos of a partition.",
    discussion: """
      Each photo is decoded from its code's mean and composed with its true mask. With --json the last line on \
      standard output is one object: ssim, mae, mask_bce, mask_dice, mask_iou, kl, loss, images, images_per_second.

      --distances adds perceptual, the shift-tolerant LPIPS of reconstructions, and frechet and frechet_samples, the Fréchet \
      distance of the features of reconstructed and of drawn faces from those of photos. precision is the share of drawn \
      faces whose features lie among those of photos, recall the reverse. Scripts/perceptual-weights fetches the network's \
      weights once. The fewer photos, the larger a Fréchet distance: compare the same partition.

      Examples:
        facet evaluate --data celeba --partition val
        facet evaluate --data celeba --model runs/a --distances --prior mixture
        facet evaluate --data celeba --partition test --model runs/a --json | tail -1
      """)

  @Option(help: "Folder of 'facet prepare' or laid out as CelebA.", completion: .directory)
  var data: String
  @Option(help: "The part of the data set.")
  var partition: Partition = .validation
  @OptionGroup var model: ModelOptions
  @Flag(help: "Measure perceptual and Fréchet distances, too.")
  var distances = false
  @Option(help: "What drawn faces are drawn from: fitted, mixture or standard-normal; default: as of 'facet sample'.")
  var prior: LatentPrior.Kind?
  @OptionGroup var perceptual: PerceptualOptions
  @Flag(help: "Print one JSON object on the last line instead of a table.")
  var json = false
  @OptionGroup var engine: EngineOptions

  func run() throws {
    let device = try engine.prepare()
    let bundle = try ModelBundle(contentsOf: model.url, device: device)
    let distance = try distances ? perceptual.load(on: device) : nil
    // A model without directions draws from N(0, 1).
    let prior = try distance.map { _ in
      let directions = try? AttributeDirections(of: bundle)
      guard let kind = self.prior ?? directions.map({ _ in .fitted }), kind != .standardNormal else {
        return try LatentPrior(standardNormal: bundle.configuration.latentSize)
      }
      return try LatentPrior(kind, of: directions ?? AttributeDirections(of: bundle))
    }
    let dataset = try CelebA(
      directory: URL(fileURLWithPath: data, isDirectory: true), configuration: .measuring(bundle.configuration))
    let group = try engine.meet()
    let samples = try open(dataset, partition, for: group)
    let report = group.speaks ? ProgressReport("evaluate", total: samples.count, unit: "photos") : nil
    let evaluator = try Evaluator(bundle.model, device: device)
    let figures = try group.watching {
      try evaluator.evaluate(samples, distance: distance, prior: prior, over: group) { done, _ in report?.update(done) }
    }
    report?.finish()
    guard group.speaks else { return }
    if json { try show(json: line(figures)) } else { try show(table(figures)) }
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
      "kl": "divergence from the prior, a dimension", "perceptual": "distance of reconstructions as people see it",
      "frechet": "Fréchet distance of reconstructions", "frechet_samples": "Fréchet distance of faces drawn from the prior",
      "precision": "drawn faces that look like photos, 1 is all", "recall": "photos that drawn faces look like, 1 is all", "loss": "weighted sum of the training objective",
    ]
    let rows = report.figures.map { figure in
      figure.name.padded(to: 16) + String(format: "%8.4f  ", figure.value) + (meanings[figure.name] ?? "")
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
        facet info runs/a
      """)

  @Argument(help: "Folder of a model bundle, as --model.", completion: .directory)
  var bundle: String?
  @OptionGroup var model: ModelOptions

  func validate() throws {
    if bundle != nil, model.model != nil { throw ValidationError("give the bundle once") }
  }

  func run() throws {
    try show("facet       \(facetVersion), LibTorch \(Torch.version)")
    let cuda = (0..<Device.cudaCount).map { ", \(Device.cuda($0))" }.joined()
    try show("devices     cpu with \(Torch.threads) threads\(cuda)")
    let bundle = try ModelBundle(
      contentsOf: self.bundle.map { URL(fileURLWithPath: $0, isDirectory: true) } ?? model.url)
    let configuration = bundle.configuration
    try show("bundle      \(bundle.url.path)")
    try show("origin      \(bundle.origin ?? "not recorded")")
    try show("weights     \(bundle.fingerprint)")
    try show("terms       \(bundle.terms ?? ModelBundle.unknownTerms)")
    try show("            faces: \(FaceDetector.terms)")
    try show(
      "model       \(configuration.architecture), \(configuration.imageSize)x\(configuration.imageSize) pixels, "
        + "latent size \(configuration.latentSize), \(bundle.model.parameterCount) parameters")
    if configuration.view == .frame { try show("view        CelebA's whole aligned frame, its aspect ratio not kept") }
    let file = bundle.url.appendingPathComponent("attributes.safetensors")
    guard FileManager.default.fileExists(atPath: file.path) else {
      try show("attributes  none yet; 'facet attributes --model \(bundle.url.path) --data DIR' finds them")
      return
    }
    try list(AttributeDirections(of: bundle))
    if try GlassesModel.of(bundle) != nil { try show("  drawn: glasses") }
    let shaded = try SkinPrototypes.of(bundle).prototypes
    if !shaded.isEmpty { try show("  prototypes: \(shaded.map(\.edit.description).joined(separator: ", "))") }
  }

  /// A line for each attribute.
  private func list(_ directions: AttributeDirections) throws {
    let labels = directions.labelNames.count
    let combined = directions.definitions.isEmpty ? "" : " and \(directions.definitions.count) combined"
    try show("attributes  \(labels)\(combined)")
    try show("            have, lack: photos that went into the direction")
    try show("            add, remove: factors at strength 1 and -1; those of the mean difference in parentheses")
    try show("            accuracy, base, error: of the probe on val, of the commoner answer, of its probabilities")
    let width = max(10, directions.names.map(\.count).max() ?? 0)
    try show("  \("name".padded(to: width))    have    lack    add         remove      accuracy  base   error")
    let (factors, plain) = (directions.factors(.isolated), directions.factors(.meanDifference))
    for (index, name) in directions.names.enumerated() {
      // None are known of imported vectors.
      let counts = [directions.positives[index], directions.negatives[index]]
        .map { $0 == 0 ? "       -" : String(format: "%8d", $0) }.joined()
      let strengths = String(
        format: "%7.2f (%4.2f)%7.2f (%4.2f)", factors[index].add, plain[index].add, factors[index].remove,
        plain[index].remove)
      let figures = directions.probes.figures[index].map {
        String(format: "%9.3f%8.3f%7.3f", $0.accuracy, $0.baseRate, $0.calibrationError)
      }
      try show("  \(name.padded(to: width))\(counts)\(strengths)\(figures ?? "")")
    }
    let own = directions.overrides.keys.sorted { $0.description < $1.description }
    if !own.isEmpty { try show("  own vectors: \(own.map(\.description).joined(separator: ", "))") }
    for definition in directions.definitions {
      var text = "\(definition.name): \(definition.positives)"
      if let negatives = definition.negatives { text += " against \(negatives)" }
      if let within = definition.within { text += " within \(within)" }
      try show("  \(text)")
    }
  }
}

extension String {
  func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}

extension Partition: ExpressibleByArgument {}

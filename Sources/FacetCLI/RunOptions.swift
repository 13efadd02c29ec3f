import ArgumentParser
import Facet
import FacetTraining
import Files
import Foundation
import Torch

/// Options of every command that trains: where the run is kept, how long it goes on, and what all recipes have.
struct RunOptions: ParsableArguments {
  @Option(help: "Folder of what is trained, the checkpoint and the logs.", completion: .directory)
  var output: String
  @Option(help: "Stop after this many minutes of training, resumed runs counted together.")
  var minutes: Double?
  @Option(help: "Stop after this many images, resumed runs counted together.")
  var images: Int?
  @Flag(help: "Go on from the last checkpoint in the output folder; start where there is none.")
  var resume = false
  @Flag(help: "Remove the run that is in the output folder and start anew.")
  var force = false
  @Option(help: "Photos in a step, over all processes together.")
  var batch: Int?
  @Option(help: "The highest learning rate.")
  var learningRate: Double?
  @Option(help: "Minutes between two checkpoints; 0 writes one after each step.")
  var checkpointMinutes: Double?
  @Option(help: "Seed of the weights, the order and all chance.")
  var seed: UInt64?

  @Option(
    help: "A JSON file with fields of the configuration, such as the run.json of another run; options go before it.",
    completion: .file())
  var config: String?
  @Option(
    name: .customLong("set"),
    help: ArgumentHelp(
      "A field of the configuration, such as objective.ssim=2 or augmentation.rotation=10; may be given several times.",
      valueName: "FIELD=VALUE"))
  var fields: [String] = []

  var folder: URL { URL(fileURLWithPath: output, isDirectory: true) }

  func validate() throws {
    if let minutes, !(minutes > 0) { throw ValidationError("--minutes must be above 0") }
    if let images, images < 1 { throw ValidationError("--images must be above 0") }
    if let batch, !(1...65_536).contains(batch) { throw ValidationError("--batch must be from 1 to 65536") }
    if let learningRate, !(learningRate > 0 && learningRate.isFinite) {
      throw ValidationError("--learning-rate must be above 0")
    }
    if let checkpointMinutes, !(checkpointMinutes >= 0) {
      throw ValidationError("--checkpoint-minutes must be at least 0")
    }
    if resume && force { throw ValidationError("--resume goes on with a run, --force starts anew; give one of them") }
  }

  /// A configuration with the file and the fields that were given in the place of its own.
  func configured<Configuration: Codable>(_ configuration: Configuration) throws -> Configuration {
    let read = try config.map { try ConfigurationFile.applying(URL(fileURLWithPath: $0), to: configuration) } ?? configuration
    return try fields.reduce(read) {
      do { return try ConfigurationFile.setting($1, in: $0) } catch { throw UsageError("--set \(error)") }
    }
  }

  /// Puts the options that were given over those of a recipe.
  func set(in recipe: inout some TrainingRecipe) {
    if let batch { recipe.batchSize = batch }
    if let learningRate { recipe.learningRate = learningRate }
    if let checkpointMinutes { recipe.checkpointMinutes = checkpointMinutes }
    if let seed { recipe.seed = seed }
    if images != nil || minutes != nil { recipe.budget = .init(images: images, minutes: minutes) }
  }

  /// The recipe of a run: of the one that is resumed, or a fresh one, with the options that were given in the place of its
  /// own. It is in range before anything else is read or made.
  func recipe<Recipe: TrainingRecipe>(
    _ fresh: Recipe, saved: (URL) throws -> Recipe?, _ change: (inout Recipe) throws -> Void
  ) throws -> Recipe {
    var recipe = try configured((resume ? saved(folder) : nil) ?? fresh)
    set(in: &recipe)
    try change(&recipe)
    try Self.check(recipe)
    return recipe
  }

  /// - Throws: ``UsageError`` for a recipe that is out of range.
  static func check(_ recipe: some TrainingRecipe) throws {
    do { try recipe.validate() } catch { throw UsageError(of: error) }
  }

  /// The output folder, which nobody else may write to as long as the lock lives; a run or a bundle in it is not
  /// overwritten unasked.
  /// - Parameter resumes: whether the run goes on, if `--resume` does not say so.
  func checkedFolder(resumes: Bool? = nil) throws -> (folder: URL, lock: WriteLock) {
    let lock = try WriteLock.folder(folder)
    if force { return (folder, lock) }
    let resume = resumes ?? resume
    func holds(_ path: String) -> Bool {
      FileManager.default.fileExists(atPath: folder.appendingPathComponent(path).path)
    }
    if holds("checkpoints/last.safetensors"), !resume {
      throw CommandError("\(folder.path) holds a run already; add --resume to go on or --force to start anew")
    }
    if holds("model.safetensors"), !resume || !holds("checkpoints") {
      throw CommandError("\(folder.path) holds a model already; add --force to replace it")
    }
    return (folder, lock)
  }
}

/// Where the network of the perceptual and the Fréchet distance is.
struct PerceptualOptions: ParsableArguments {
  @Option(help: "The perceptual distance's weights; default: where Scripts/perceptual-weights puts them.", completion: .file())
  var perceptualWeights: String?

  func load(on device: Device) throws -> PerceptualDistance {
    try PerceptualDistance(
      contentsOf: perceptualWeights.map { URL(fileURLWithPath: $0) } ?? PerceptualDistance.defaultURL, device: device)
  }
}

import ArgumentParser
import Facet
import FacetTraining
import Foundation

struct SharpenCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sharpen",
    abstract: "Train a model's decoder on against a critic, so that what it decodes looks like a photo.",
    discussion: """
      'facet train' asks for the least distance to each photo, which softens what a code does not say. Here a critic learns \
      to tell photos from decoded faces, and the decoder to be taken for photos. The encoder stays, so attribute \
      directions and codes do, too; reconstructions get sharper and a little farther from their photos. The \
      output folder is a bundle from the first checkpoint on; 'tensorboard --logdir OUTPUT/logs' shows how it goes.

      Ctrl-C or SIGTERM ends training at the next step with a checkpoint and exit code 130; --resume goes on exactly from \
      there, with the options of the run where none are given. Without --minutes or --images it takes 60 minutes.

      Examples:
        facet sharpen --model runs/a --data celeba --output runs/sharp --minutes 40
        facet sharpen --model runs/a --data celeba --output runs/sharp --resume
      """)

  @Option(help: "Folder of the model bundle, with directions; default: the one inside the package.", completion: .directory)
  var model: String?
  @Option(help: "Folder of 'facet prepare' or laid out as CelebA, with masks; train is used.", completion: .directory)
  var data: String
  @Option(help: "An attribute by which codes are moved; may be repeated. Default: eleven that change the face.")
  var attribute: [String] = []
  @Option(help: "What the critic holds moved faces against: all faces, or those with the attributes asked; default: faces.")
  var critic: DecoderTraining.CriticView?
  @OptionGroup var options: RunOptions
  @OptionGroup var engine: EngineOptions

  @Option(help: "Weight of how real decoded faces look to the critic.")
  var realism: Double?
  @Option(help: "Weight of the distance between what the critic sees in photos and in their decoded faces.")
  var features: Double?
  @Option(help: "Weight of the distance of moved faces, without detail, from what decoded there before.")
  var likeness: Double?

  func validate() throws {
    for weight in [realism, features, likeness] {
      if let weight, !(0...1e6).contains(weight) { throw ValidationError("a weight must be from 0 to 1000000") }
    }
  }

  func run() throws {
    let device = try engine.prepare()
    let configuration = try options.recipe(DecoderTraining(), saved: DecoderTrainer.savedConfiguration) {
      if !attribute.isEmpty { $0.attributes = attribute }
      if let critic { $0.critic = critic }
      if let realism { $0.realism = realism }
      if let features { $0.features = features }
      if let likeness { $0.likeness = likeness }
    }
    let url = model.map { URL(fileURLWithPath: $0, isDirectory: true) } ?? ModelBundle.defaultURL
    try AttributeDirections.check(configuration.attributes, in: url)
    let bundle = try ModelBundle(contentsOf: url, device: device)
    // Named wrongly, they would be noticed only once all photos are decoded.
    let directions = try AttributeDirections(of: bundle)
    for name in configuration.attributes { _ = try directions.index(of: name) }
    let (output, lock) = try options.checkedFolder()
    defer { withExtendedLifetime(lock) {} }
    let dataset = try CelebA(
      directory: URL(fileURLWithPath: data, isDirectory: true), configuration: .measuring(bundle.configuration))
    let trainer = try DecoderTrainer(
      configuration, of: bundle, on: open(dataset, .train, for: nil), output: output, device: device,
      resume: options.resume)
    try train(trainer, as: "sharpen")
  }
}

extension DecoderTraining.CriticView: ExpressibleByArgument {}

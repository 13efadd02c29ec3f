import ArgumentParser
import Facet
import FacetTraining
import Foundation

struct PainterCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "painter",
    abstract: "Train the painter, which takes glasses off a photo with the decoded face and the photo's own pixels.",
    discussion: """
      Holes are cut into crops of faces, the decoded face is the guide, and the photo is the right answer. --data is a set \
      that 'facet prepare' made. OUTPUT/painter.safetensors is written at each checkpoint: copied into a bundle, it \
      takes glasses off, which it learns with --glasses. 'tensorboard --logdir OUTPUT/logs' shows figures and pictures. \
      Scripts/perceptual-weights fetches the weights of the perceptual distance once.

      Ctrl-C or SIGTERM ends training at the next step with a checkpoint and exit code 130; --resume goes on exactly from \
      there. --from goes on from a painter's file alone, on another machine. Without --minutes or --images it takes 60 minutes.

      Examples:
        facet painter --data crops --output runs/painter --images 500000 --glasses 0.9
        facet painter --data crops --output runs/painter --images 500000 --glasses 0.9 --resume
        facet painter --data crops --output runs/critic --from runs/painter/painter.safetensors --realism 0.02 --minutes 300
      """)

  @Option(help: "Folder of the set of crops.", completion: .directory)
  var data: String
  @Option(help: "A painter's file to go on from.", completion: .file())
  var from: String?
  @OptionGroup var perceptual: PerceptualOptions
  @OptionGroup var options: RunOptions
  @OptionGroup var engine: EngineOptions

  @Option(help: "Weight of how real holes look to a critic; default 0, no critic.")
  var realism: Double?
  @Option(help: "The part of the budget after which the critic is heard, from 0 to 1.")
  var criticStart: Double?
  @Option(help: "float32, or bfloat16 for convolutions with losses in float32, where the processor has it; default float32.")
  var precision: TrainCommand.Precision?
  @Option(help: "The share of the faces that is learned from, the sharpest ones, from 0.01 to 1.")
  var sharpest: Double?
  @Option(
    parsing: .upToNextOption,
    help: "Parts of the face that holes are cut into, each as often as it is named; default: all, the lower face mostly.")
  var regions: [PaintedRegion] = []
  @Option(help: "The share of windows that learn to remove glasses, from 0 to 1, of a set made with 'prepare --glasses'; default 0.")
  var glasses: Double?

  func run() throws {
    let device = try engine.prepare()
    let configuration = try options.recipe(PainterTraining(), saved: PainterTrainer.savedConfiguration) {
      if let realism { $0.realism = realism }
      if let criticStart { $0.criticStart = criticStart }
      if let precision {
        precision.check(on: device)
        $0.usesBFloat16 = precision == .bfloat16
      }
      if let sharpest { $0.sharpest = sharpest }
      if !regions.isEmpty { $0.regions = regions }
      if let glasses { $0.glasses = glasses }
    }
    let distance = try perceptual.load(on: device)
    let crops = try CropSet(
      contentsOf: URL(fileURLWithPath: data, isDirectory: true), sharpest: configuration.sharpest,
      leastSide: CropSet.paintedSide)
    if configuration.glasses > 0, !crops.hasGlasses {
      throw CommandError("\(data): made without glasses; make it with 'facet prepare --glasses'")
    }
    let (output, lock) = try options.checkedFolder()
    defer { withExtendedLifetime(lock) {} }
    let trainer = try PainterTrainer(
      configuration, on: crops, distance: distance, from: from.map { try Painter(contentsOf: URL(fileURLWithPath: $0)) },
      output: output, device: device, resume: options.resume)
    try train(trainer, as: "painter")
  }
}

extension PaintedRegion: ExpressibleByArgument {}

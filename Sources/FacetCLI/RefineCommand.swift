import ArgumentParser
import Facet
import Foundation

struct RefineCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "refine",
    abstract: "Train a refiner, which draws what a model's decoder is too soft for, join two, or take edits out of one.",
    subcommands: [Train.self, Join.self, Drop.self])

  struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "train",
      abstract: "Train a refiner, which draws what a model's decoder is too soft for.",
      discussion: """
        Photos without an attribute are edited, and a critic learns to tell them from photos that have it; the refiner \
        learns to be taken for those, while a classifier of photos watches over what else changes. The output folder is a \
        bundle from the first checkpoint on: the model's own with refiner.safetensors. Edits that it knows are drawn by \
        it by default; '--method isolated' leaves it out. 'tensorboard --logdir OUTPUT/logs' shows how it goes.

        All edits of a run share one network; 'facet refine join' puts the refiners of several runs together. Ctrl-C or \
        SIGTERM ends training at the next step with a checkpoint and exit code 130; --resume goes on exactly from there, \
        with the options of the run where none are given. Without --minutes or --images it takes 60 minutes.

        Examples:
          facet attributes classifier --data celeba --output runs/classifier
          facet refine train --model runs/a --data celeba --classifier runs/classifier --output runs/refined \\
            --edit Eyeglasses=1 --edit Young=-1 --edit Mustache=1
          facet refine train --model runs/a --data celeba --classifier runs/classifier --output runs/refined --resume
        """)

    @Option(help: "Folder of the model bundle, with directions; default: the one inside the package.", completion: .directory)
    var model: String?
    @Option(help: "Folder laid out as CelebA, masks are not needed; train is used.", completion: .directory)
    var data: String
    @Option(help: "Folder of the classifier.", completion: .directory)
    var classifier: String
    @Option(help: "An attribute that it is to draw, a label of the data set: NAME=1 adds it, NAME=-1 takes it away.")
    var edit: [String] = []
    @Option(
      help: """
        List of photos that are good examples, a line each such as 'Eyeglasses=1 000123.jpg'; edits that it does not \
        name are learned from all photos with the label.
        """, completion: .file())
    var examples: String?
    @Option(
      help: "Folder of a bundle whose refiner has a network for just these edits, to begin with; default: by chance.",
      completion: .directory)
    var from: String?
    @OptionGroup var options: RunOptions
    @OptionGroup var engine: EngineOptions

    @Option(help: "Weight of what is asked, as the classifier sees it.")
    var asked: Double?
    @Option(help: "Weight of the change of other attributes, as the classifier sees them.")
    var leakage: Double?
    @Option(help: "Weight of the change of the pixels.")
    var pixels: Double?
    @Option(help: "Weight of the opacity.")
    var opacity: Double?
    @Option(help: "Weight of the opacity over what an edit is not about, such as eyes, teeth, hair and background.")
    var held: Double?

    func validate() throws {
      for weight in [asked, leakage, pixels, opacity, held] {
        if let weight, !(0...1e6).contains(weight) { throw ValidationError("a weight must be from 0 to 1000000") }
      }
    }

    func run() throws {
      let device = try engine.prepare()
      let output = try options.checkedFolder()
      let states = try edit.map { try AttributeState(argument: $0, of: "--edit") }
      let saved = try options.resume ? RefinerTrainer.savedConfiguration(in: output) : nil
      guard saved != nil || !states.isEmpty else { throw CommandError("name what it is to draw, such as --edit Eyeglasses=1") }
      var configuration = saved ?? RefinerTraining(edits: states)
      if !states.isEmpty { configuration.edits = states }
      if let examples { configuration.examples = try RefinerTraining.readExamples(URL(fileURLWithPath: examples)) }
      options.set(in: &configuration)
      if let asked { configuration.asked = asked }
      if let leakage { configuration.leakage = leakage }
      if let pixels { configuration.pixels = pixels }
      if let opacity { configuration.opacity = opacity }
      if let held { configuration.held = held }
      let url = model.map { URL(fileURLWithPath: $0, isDirectory: true) } ?? ModelBundle.defaultURL
      let bundle = try ModelBundle(contentsOf: url, device: device)
      let seer = try AttributeClassifier(
        contentsOf: URL(fileURLWithPath: classifier, isDirectory: true), device: device)
      let start = try from.map { folder in
        let bundle = try ModelBundle(contentsOf: URL(fileURLWithPath: folder, isDirectory: true))
        guard let refiner = try Refiner.of(bundle) else { throw CommandError("\(folder) has no refiner") }
        return refiner
      }
      let dataset = try CelebA(
        directory: URL(fileURLWithPath: data, isDirectory: true), configuration: .encoding(bundle.configuration))
      let trainer = try RefinerTrainer(
        configuration, of: bundle, by: seer, on: open(dataset, .train, for: nil), from: start, output: output,
        device: device, resume: options.resume)
      try train(trainer, as: "refine")
    }
  }

  struct Join: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Put what another bundle's refiner draws into this one's.",
      discussion: """
        Both must be of the same weights. Each keeps its own network; what both know is drawn by the other's.

        Examples:
          facet refine join runs/aged --model runs/refined
        """)

    @Argument(help: "Folder of the other bundle.", completion: .directory)
    var other: String
    @Option(help: "Folder of the model bundle.", completion: .directory)
    var model: String

    func run() throws {
      let (bundle, source) = try (
        ModelBundle(contentsOf: URL(fileURLWithPath: model, isDirectory: true)),
        ModelBundle(contentsOf: URL(fileURLWithPath: other, isDirectory: true))
      )
      guard bundle.fingerprint == source.fingerprint else {
        throw CommandError("\(other) is of another model than \(model); a refiner draws with the weights that it was made for")
      }
      guard let refiner = try Refiner.of(source) else { throw CommandError("\(other) has no refiner") }
      try (Refiner.of(bundle)?.adding(refiner) ?? refiner).write(to: bundle)
    }
  }

  struct Drop: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take edits out of a bundle's refiner: they are decoded again.",
      discussion: """
        What it draws of the others does not change.

        Examples:
          facet refine drop Pale_Skin=1 --model runs/refined
        """)

    @Argument(help: "The edits, each NAME=1 or NAME=-1; 'facet info' names them.")
    var edits: [String]
    @Option(help: "Folder of the model bundle.", completion: .directory)
    var model: String

    func run() throws {
      let dropped = try edits.map { try AttributeState(argument: $0, of: "edits") }
      let bundle = try ModelBundle(contentsOf: URL(fileURLWithPath: model, isDirectory: true))
      guard let refiner = try Refiner.of(bundle) else { throw CommandError("\(model) has no refiner") }
      try refiner.dropping(dropped).write(to: bundle)
    }
  }
}

extension AttributeState {
  fileprivate init(argument: String, of option: String) throws {
    guard let state = AttributeState(argument) else {
      throw CommandError("\(option): '\(argument)' is not NAME=1 or NAME=-1")
    }
    self = state
  }
}

import ArgumentParser
import Facet
import Foundation
import Torch

extension AttributesCommand {
  struct Classifier: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Train the classifier of photos that steps are steered with.",
      discussion: """
        It learns the labels of the train partition from photos alone and knows nothing of any model. Where there is a \
        val partition, its accuracy is measured there.

        Examples:
          facet attributes classifier --data celeba --output runs/classifier
          facet attributes classifier --data celeba --output runs/classifier --minutes 5
        """)

    @Option(help: "Folder laid out as CelebA, masks are not needed.", completion: .directory)
    var data: String
    @Option(help: "Folder that the classifier is written to.", completion: .directory)
    var output: String
    @Option(help: "What of an aligned face it sees, as the model does: window or frame.")
    var view: ModelConfiguration.View = .window
    @Option(help: "How often each photo is seen.")
    var epochs = ClassifierTraining().epochs
    @Option(help: "Ends here, if photos remain or not.")
    var minutes: Double?
    @Option(help: "Photos in a step.")
    var batch = ClassifierTraining().batchSize
    @Option(help: "Seed of the weights, the order and the augmentation.")
    var seed = ClassifierTraining().seed
    @OptionGroup var engine: EngineOptions

    func validate() throws {
      if !(1...10_000).contains(epochs) { throw ValidationError("--epochs must be from 1 to 10000") }
      if !(2...65_536).contains(batch) { throw ValidationError("--batch must be from 2 to 65536") }
      if let minutes, !(minutes > 0 && minutes.isFinite) { throw ValidationError("--minutes must be above 0") }
    }

    func run() throws {
      let device = try engine.prepare()
      var configuration = DatasetConfiguration()
      configuration.requiresMasks = false
      if view == .frame { configuration.crop = .whole }
      let dataset = try CelebA(
        directory: URL(fileURLWithPath: data, isDirectory: true), configuration: configuration)
      let training = try open(dataset, .train, for: nil)
      let validation = dataset.indices(of: .validation).isEmpty ? nil : try open(dataset, .validation, for: nil)
      var recipe = ClassifierTraining()
      (recipe.epochs, recipe.minutes, recipe.batchSize, recipe.seed) = (epochs, minutes, batch, seed)
      let report = ProgressReport("classifier", total: 1000, unit: "thousandths")
      let classifier = try AttributeClassifier.train(
        on: training, validation: validation, view: view, training: recipe, device: device
      ) { spent, _ in report.update(Int(spent * 1000)) }
      report.finish()
      try classifier.write(to: URL(fileURLWithPath: output, isDirectory: true))
      let accuracy = classifier.accuracy.map { String(format: ", accuracy %.3f on val", $0) } ?? ""
      print("a classifier of \(classifier.names.count) attributes\(accuracy), stored in \(output)")
    }
  }

  struct Steer: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Find a better step for an attribute by looking at what it does to photos.",
      discussion: """
        Starts at the isolated direction and changes it by gradient descent, through the model's decoder and the \
        composition, until the classifier sees the attribute and little else changes. The step is stored in the bundle \
        beside the isolated direction and taken by default; '--method isolated' still takes the other. Look at a \
        spectrum before you keep it: a classifier can be content with what a person would not believe.

        Examples:
          facet attributes steer Heavy_Makeup --add --model runs/a --data celeba --classifier runs/classifier
          facet attributes steer Heavy_Makeup --add --drop --model runs/a
        """)

    @Argument(help: "The attribute, a label of the data set.")
    var name: String
    @Flag(help: "Steer the step that adds it.")
    var add = false
    @Flag(help: "Steer the step that removes it.")
    var remove = false
    @Flag(help: "Take the steered step out of the bundle instead.")
    var drop = false
    @Option(help: "Folder of the model bundle.", completion: .directory)
    var model: String
    @Option(help: "Folder laid out as CelebA, masks are not needed; train is used.", completion: .directory)
    var data: String?
    @Option(help: "Folder of the classifier.", completion: .directory)
    var classifier: String?
    @Option(help: "Steps of gradient descent.")
    var steps = Steering().steps
    @Option(help: "Photos in a step.")
    var batch = Steering().batchSize
    @Option(help: "The log odds that the classifier should see the attribute with.")
    var margin = Steering().margin
    @Option(help: "Weight of the change of other attributes, as the classifier sees them.")
    var leakage = Steering().leakage
    @Option(help: "Weight of the change of the pixels.")
    var pixels = Steering().pixels
    @Option(help: "Weight of the structure that is lost (1 - SSIM).")
    var structure = Steering().structure
    @Option(help: "Weight of the change of other attributes, as the model's probes see them.")
    var kept = Steering().kept
    @Option(help: "Weight of the step's length.")
    var length = Steering().length
    @Option(help: "Seed of the choice of photos.")
    var seed = Steering().seed
    @OptionGroup var engine: EngineOptions

    func validate() throws {
      if !add && !remove { throw ValidationError("give --add, --remove or both") }
      if !drop && (data == nil || classifier == nil) { throw ValidationError("give --data and --classifier") }
      if !(1...100_000).contains(steps) { throw ValidationError("--steps must be from 1 to 100000") }
      if !(1...4096).contains(batch) { throw ValidationError("--batch must be from 1 to 4096") }
      if !(abs(margin) <= 20) { throw ValidationError("--margin must be from -20 to 20") }
      for weight in [leakage, pixels, structure, kept, length] where !(0...1e6).contains(weight) {
        throw ValidationError("a weight must be from 0 to 1000000")
      }
    }

    func run() throws {
      let device = try engine.prepare()
      let bundle = try ModelBundle(contentsOf: URL(fileURLWithPath: model, isDirectory: true), device: device)
      var directions = try AttributeDirections(of: bundle)
      let ways = [true, false].filter { $0 ? add : remove }
      if drop {
        for adding in ways { directions = try directions.droppingSteeredStep(name, adding: adding) }
        return try directions.write(to: bundle)
      }
      guard let data, let classifier else { return }
      _ = try directions.index(of: name)
      let seer = try AttributeClassifier(
        contentsOf: URL(fileURLWithPath: classifier, isDirectory: true), device: device)
      let dataset = try CelebA(
        directory: URL(fileURLWithPath: data, isDirectory: true), configuration: .encoding(bundle.configuration))
      let samples = try open(dataset, .train, for: nil)
      var steering = Steering()
      (steering.steps, steering.batchSize, steering.margin, steering.seed) = (steps, batch, margin, seed)
      (steering.leakage, steering.pixels, steering.structure) = (leakage, pixels, structure)
      (steering.kept, steering.length) = (kept, length)
      for adding in ways {
        let report = ProgressReport("steer \(name)", total: steps, unit: "steps")
        var seen: [Double] = []
        directions = try directions.steered(
          name, adding: adding, with: bundle.model, by: seer, on: samples, steering: steering, device: device
        ) { done, asked in
          seen.append(asked)
          report.update(done)
        }
        report.finish()
        func share(_ part: some Collection<Double>) -> String {
          String(format: "%.0f %%", part.reduce(0, +) / Double(part.count) * 100)
        }
        let part = max(1, seen.count / 10)
        print(
          "\(adding ? "add" : "remove") \(name): the classifier sees it as asked in \(share(seen.suffix(part))) of the "
            + "photos, at the start in \(share(seen.prefix(part)))")
      }
      try directions.write(to: bundle)
    }
  }
}

extension ModelConfiguration.View: ExpressibleByArgument {}

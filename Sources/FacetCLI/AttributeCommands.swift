import ArgumentParser
import Facet
import FacetTraining
import Files
import Foundation
import Torch

struct AttributesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "attributes",
    abstract: "Find the attribute directions of a model and store them in its bundle.",
    discussion: """
      'find', which needs not be written, finds a direction for each label of a data set, two ways, the probes that \
      see it, and how far strength 1 goes. 'define' adds directions between photos that queries over the labels \
      choose.

      A query has names of labels, each by itself or with =1 or =-1, '!' for not, '&', '|' and parentheses.

      Examples:
        facet attributes --model runs/a --data celeba
        facet attributes define bearded_blond --positives 'No_Beard=-1 & Blond_Hair=1' --negatives No_Beard=1 \
      --within Male=1 --model runs/a --data celeba
        facet attributes remove bearded_blond --model runs/a
      """,
    subcommands: [Find.self, Define.self, Remove.self, Strength.self],
    defaultSubcommand: Find.self)

  struct Find: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Find the directions of all attributes anew.",
      discussion: """
        Each photo of the train partition is encoded once for all attributes; where there is a val partition, the \
        probes are measured on it. Combined directions that the bundle has, and those of the article, are made anew \
        too; vectors that take the place of isolated directions stay as they are. The measured strengths are kept on the \
        way: started again, the command goes on with the others.

        Examples:
          facet attributes --model runs/a --data celeba
          facet attributes --model runs/a --data celeba --limit 2000 --device cuda
          torchrun --nproc-per-node 8 --no-python facet attributes --model runs/a --data celeba --device cuda
        """)

    @OptionGroup var source: SourceOptions

    func run() throws {
      let lock = try source.lock()
      defer { withExtendedLifetime(lock) {} }
      let bundle = try source.bundle()
      guard var photos = try source.encode(with: bundle) else { return }
      let (names, missing) = photos.training.usableLabels()
      for fault in missing { note("left out: \(fault)") }
      if names.isEmpty { throw CommandError("\(source.data): no label that some photos have and some lack; a direction needs both") }
      photos = (try photos.training.selecting(names), try photos.validation?.selecting(names))
      var wanted = CombinedDirection.articles
      let present = try? AttributeDirections(of: bundle)
      if let present {
        let names = Set(wanted.map(\.name))
        wanted += present.definitions.filter { !names.contains($0.name) }
      }
      let (definitions, faults) = CombinedDirection.usable(wanted, in: photos.training)
      // Labels of another data set than CelebA are no reason to speak of the article's directions.
      for case let fault as CombinedDirectionError in faults {
        if case .badQuery = fault { continue }
        note("left out: \(fault)")
      }
      note("fitting \(photos.training.attributeNames.count + definitions.count) probes")
      let found = try AttributeDirections.find(
        in: photos.training, validation: photos.validation, definitions: definitions, limit: source.limit,
        scale: source.scale ?? AttributeDirections.defaultScale)
      var directions = try source.calibrate(found, of: bundle, on: photos.training)
      if let present { directions = directions.takingOverrides(of: present) }
      try source.write(directions, to: bundle)
      let combined = definitions.isEmpty ? "" : ", \(definitions.count) of them combined"
      let count = photos.training.count
      try show("\(directions.names.count) directions from \(count) photos\(combined), stored in \(bundle.url.path)")
      let figures = directions.probes.figures.prefix(directions.labelNames.count).compactMap(\.self)
      guard !figures.isEmpty else { return }
      func mean(_ figure: (AttributeProbes.Figures) -> Double) -> Double {
        figures.map(figure).reduce(0, +) / Double(figures.count)
      }
      try show(
        String(
          format: "probes on %d photos of val: accuracy %.3f (base rate %.3f), calibration error %.3f in the mean",
          photos.validation?.count ?? 0, mean(\.accuracy), mean(\.baseRate), mean(\.calibrationError)))
    }
  }

  struct Define: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Add a direction between photos that queries choose.",
      discussion: """
        Example:
          facet attributes define bearded_blond --positives 'No_Beard=-1 & Blond_Hair=1' --negatives No_Beard=1 \
        --within Male=1 --model runs/a --data celeba
        """)

    @Argument(help: "The new attribute's name: letters, digits, '_' and '-'.")
    var name: String
    @Option(help: "A query for the photos that have it.")
    var positives: String
    @Option(help: "A query for the photos that lack it; default: all that are not positive.")
    var negatives: String?
    @Option(help: "A query for the photos that are looked at; default: all.")
    var within: String?
    @Flag(help: "Replace the definition of that name.")
    var replace = false
    @OptionGroup var source: SourceOptions

    func run() throws {
      let definition = CombinedDirection(name, positives: positives, negatives: negatives, within: within)
      try AttributeDirections.checkWords(of: definition, in: URL(fileURLWithPath: source.model, isDirectory: true))
      let lock = try source.lock()
      defer { withExtendedLifetime(lock) {} }
      let bundle = try source.bundle()
      var directions = try AttributeDirections(of: bundle)
      if replace, directions.definitions.contains(where: { $0.name.lowercased() == name.lowercased() }) {
        directions = try directions.removing(name)
      } else if directions.definitions.contains(where: { $0.name.lowercased() == name.lowercased() }) {
        throw CommandError("\(CombinedDirectionError.nameTaken(name)); add --replace to define it anew")
      }
      // Before minutes of work.
      try directions.check(definition)
      guard var photos = try source.encode(with: bundle) else { return }
      let names = directions.labelNames
      photos = (try photos.training.selecting(names), try photos.validation?.selecting(names))
      let defined = try directions.defining(
        definition, in: photos.training, validation: photos.validation, limit: source.limit,
        scale: source.scale ?? AttributeDirections.defaultScale)
      let last = defined.names.count - 1
      try source.write(source.calibrate(defined, of: bundle, on: photos.training, only: [last]), to: bundle)
      try show(
        "\(name): \(defined.positives[last]) photos have it, \(defined.negatives[last]) lack it; "
          + "stored in \(bundle.url.path)")
    }
  }

  struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take a combined direction out of a bundle.",
      discussion: """
        Example:
          facet attributes remove bearded_blond --model runs/a
        """)

    @Argument(help: "The combined direction's name.")
    var name: String
    @Option(help: "Folder of the model bundle.", completion: .directory)
    var model: String

    func run() throws {
      let url = URL(fileURLWithPath: model, isDirectory: true)
      try AttributeDirections.check([name], in: url)
      let lock = try FacetCLI.lock(url)
      defer { withExtendedLifetime(lock) {} }
      let bundle = try ModelBundle(contentsOf: url)
      try AttributeDirections(of: bundle).removing(name).write(to: bundle)
    }
  }

  struct Strength: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "strength",
      abstract: "Set how far strength 1 and -1 of an attribute go, as seen by eye.",
      discussion: """
        The factors are on the direction's own length; 'facet info' shows them.

        Example:
          facet attributes strength Eyeglasses --add 2.8 --model runs/a
        """)

    @Argument(help: "The attribute.")
    var name: String
    @Option(help: "The factor at strength 1.")
    var add: Double?
    @Option(help: "The factor at strength -1.")
    var remove: Double?
    @Option(help: "isolated or mean-difference.")
    var method: DirectionMethod = .isolated
    @Option(help: "Folder of the model bundle.", completion: .directory)
    var model: String

    func validate() throws {
      if add == nil && remove == nil { throw ValidationError("give --add, --remove or both") }
      for factor in [add, remove].compactMap({ $0 }) where !(factor > 0 && factor <= 10) {
        throw ValidationError("a factor must be above 0 and at most 10")
      }
    }

    func run() throws {
      let url = URL(fileURLWithPath: model, isDirectory: true)
      try AttributeDirections.check([name], in: url)
      let lock = try FacetCLI.lock(url)
      defer { withExtendedLifetime(lock) {} }
      let bundle = try ModelBundle(contentsOf: url)
      try AttributeDirections(of: bundle).setting(name, method, add: add, remove: remove).write(to: bundle)
    }
  }

  /// The model, the photos, and what counts.
  struct SourceOptions: ParsableArguments {
    @Option(help: "Folder of the model bundle.", completion: .directory)
    var model: String
    @Option(help: "Folder of 'facet prepare' or laid out as CelebA, masks are not needed; train is used, val to measure.", completion: .directory)
    var data: String
    @Option(help: "The most photos with, and the most without, that count for an attribute's mean difference.")
    var limit = 10_000
    @Option(help: "The most photos that each factor at strength 1 is measured on.")
    var photos = StrengthCalibration().photos
    @Option(help: "The factor at strength 1 for all directions, instead of measuring it.")
    var scale: Double?
    @OptionGroup var engine: EngineOptions

    func validate() throws {
      if limit < 1 { throw ValidationError("--limit must be above 0") }
      if !(8...10_000).contains(photos) { throw ValidationError("--photos must be from 8 to 10000") }
      if let scale, !(scale > 0 && scale <= 10) { throw ValidationError("--scale must be above 0 and at most 10") }
    }

    func lock() throws -> WriteLock? { try FacetCLI.lock(URL(fileURLWithPath: model, isDirectory: true)) }

    func bundle() throws -> ModelBundle {
      try ModelBundle(contentsOf: URL(fileURLWithPath: model, isDirectory: true), device: engine.prepare())
    }

    /// The photos' codes; `nil` on processes other than the first, which goes on alone.
    func encode(with bundle: ModelBundle) throws -> (training: EncodedPhotos, validation: EncodedPhotos?)? {
      let device = try engine.prepare()
      let group = try engine.meet()
      let dataset = try CelebA(
        directory: URL(fileURLWithPath: data, isDirectory: true), configuration: .encoding(bundle.configuration))
      func encode(_ partition: Partition) throws -> EncodedPhotos? {
        let samples = try open(dataset, partition, for: group)
        let report = group.speaks
          ? ProgressReport("attributes \(partition.rawValue)", total: samples.count, unit: "photos") : nil
        let photos = try EncodedPhotos.encode(samples, with: bundle.model, device: device, over: group) { done, _ in
          report?.update(done)
        }
        report?.finish()
        return photos
      }
      let training = try encode(.train)
      let validation = dataset.indices(of: .validation).isEmpty ? nil : try encode(.validation)
      return training.map { ($0, validation) }
    }

    /// The factors that a run which was stopped has left.
    var partialURL: URL { URL(fileURLWithPath: model, isDirectory: true).appendingPathComponent("strengths.partial.json") }

    /// Writes directions, which makes the factors found on the way of no use.
    func write(_ directions: AttributeDirections, to bundle: ModelBundle) throws {
      try directions.write(to: bundle)
      try? FileManager.default.removeItem(at: partialURL)
    }

    func calibrate(
      _ directions: AttributeDirections, of bundle: ModelBundle, on photos: EncodedPhotos, only: [Int]? = nil
    ) throws -> AttributeDirections {
      if scale != nil { return directions }
      var calibration = StrengthCalibration()
      calibration.photos = self.photos
      let total = (only ?? Array(directions.names.indices)).count * 2 * DirectionMethod.allCases.count
      let report = ProgressReport("strengths", total: total, unit: "factors")
      let result = try directions.calibrated(
        with: bundle.model, on: photos, calibration: calibration, only: only, device: engine.prepare(), partial: partialURL
      ) { done, _ in report.update(done) }
      report.finish()
      return result
    }
  }
}

extension DirectionMethod: ExpressibleByArgument {}

import ArgumentParser
import Facet
import Foundation
import Photo

struct SpectrumCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "spectrum",
    abstract: "Show a face under rows of strengths, one row an attribute.",
    discussion: """
      Examples:
        facet spectrum me.jpg --attribute Smiling --strengths -2,-1,0,1,2 -o spectrum.png
        facet spectrum me.jpg --attribute Smiling --attribute Young --attribute Male -o spectrum.png
      """)

  @OptionGroup var photos: PhotoOptions
  @Option(
    help: ArgumentHelp("An attribute; may be given several times, one row each.", valueName: "NAME"),
    completion: .attributes)
  var attribute: [String]
  @Option(help: "Strengths, separated by commas.", transform: strengths)
  var strengths: [Double] = [-2, -1, 0, 1, 2]
  @OptionGroup var editing: EditingOptions

  func validate() throws {
    if attribute.isEmpty { throw ValidationError("give at least one --attribute NAME") }
  }

  func run() throws {
    let jobs = try photos.jobs(ending: "png")
    if jobs.isEmpty { return }
    let editor = try photos.makeEditor(for: attribute + editing.keep)
    let options = editing.options
    try editor.validate(attribute.map { AttributeEdit($0) }, options: options)
    try photos.forEach(jobs) { photo, job in
      let sheet = try editor.spectrum(
        photo, attributes: attribute, strengths: strengths, of: photos.face, options: options,
        isAligned: photos.aligned)
      try job.output.write(figure: sheet)
    }
  }

  private static func strengths(_ text: String) throws -> [Double] {
    try text.split(separator: ",").map { part in
      guard let value = Double(part), AttributeEdit.range.contains(value) else {
        let range = AttributeEdit.range
        throw ValidationError("'\(part)' is not a strength from \(range.lowerBound) to \(range.upperBound)")
      }
      return value
    }
  }
}

struct GridCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "grid",
    abstract: "Show photos under attributes, one row a photo and one column an attribute.",
    discussion: """
      Example:
        facet grid a.jpg b.jpg --attribute Smiling --attribute Eyeglasses --attribute Young=-1 -o grid.png
      """)

  @OptionGroup var inputs: PhotoInputs
  @Option(
    help: ArgumentHelp("An attribute and a strength, 1 where left out, or a style.", valueName: "NAME=STRENGTH"),
    completion: .attributes)
  var attribute: [AttributeArgument]
  @OptionGroup var figure: FigureOptions
  @OptionGroup var faces: FaceOptions
  @Option(help: "Width and height of each face in pixels.")
  var side = 192
  @OptionGroup var editing: EditingOptions
  @OptionGroup var editor: EditorOptions

  /// Beyond that a sheet is of no use, and its memory grows.
  private static let mostFaces = 2500

  func validate() throws {
    if attribute.isEmpty { throw ValidationError("give at least one --attribute NAME=STRENGTH") }
    if !(32...512).contains(side) { throw ValidationError("--side must be from 32 to 512") }
  }

  func run() throws {
    try figure.prepare()
    let photos = try inputs.expanded()
    guard photos.count * (attribute.count + 1) <= Self.mostFaces else {
      throw UsageError("\(photos.count) photos under \(attribute.count) attributes are too many faces for a sheet")
    }
    let editor = try editor.makeEditor(for: attribute.map(\.name) + editing.keep)
    let edits = try attribute.map { try $0.edit() }
    let options = editing.options
    try editor.validate(edits, options: options)
    var rows: [[Tile]] = []
    try inputs.forEach(photos) { _, input in
      rows.append(
        try editor.tiles(
          input.read(), edits, of: faces.face, options: options, isAligned: faces.aligned, side: side,
          caption: ((input.place as NSString).lastPathComponent as NSString).deletingPathExtension))
    }
    if rows.isEmpty { throw CommandError("none of \(photos.count) photos has a face, and a sheet needs one") }
    try figure.write(.sheet(rows))
  }
}

struct ReconstructCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reconstruct",
    abstract: "Show what the model makes of a face: input, reconstruction and mask side by side.",
    discussion: """
      Examples:
        facet reconstruct me.jpg -o reconstruction.png
        facet reconstruct holiday/ -o reconstructions/ --skip
      """)

  @OptionGroup var photos: PhotoOptions

  func run() throws {
    let jobs = try photos.jobs(ending: "png")
    if jobs.isEmpty { return }
    let editor = try photos.editor.makeEditor(requiresDirections: false)
    try photos.forEach(jobs) { photo, job in
      try job.output.write(figure: editor.reconstruction(photo, of: photos.face, isAligned: photos.aligned))
    }
  }
}

struct SampleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sample",
    abstract: "Show faces that nobody has, drawn from the model.",
    discussion: """
      Codes of real faces do not follow N(0, 1); the fitted prior has their mean and covariance. A mixture has parts with \
      a mean and deviations each; 'facet attributes' fits it beside, and 'facet evaluate --distances --prior mixture' compares.

      Examples:
        facet sample --count 24 --seed 7 -o faces.png
        facet sample --count 24 --prior standard-normal -o faces.png
      """)

  @OptionGroup var figure: FigureOptions
  @Option(help: "How many faces.")
  var count = 24
  @Option(help: "The same seed gives the same faces.")
  var seed: UInt64 = 1
  @Option(help: "fitted, mixture or standard-normal; default: fitted, where 'facet attributes' has found it.")
  var prior: LatentPrior.Kind?
  @Option(help: "The factor on the deviation from the mean face; default: that of the prior.")
  var temperature: Double?
  @Option(help: "Faces in a row.")
  var columns = 8
  @OptionGroup var editor: EditorOptions

  func validate() throws {
    if !(1...1024).contains(count) { throw ValidationError("--count must be from 1 to 1024") }
    if !(1...1024).contains(columns) { throw ValidationError("--columns must be from 1 to 1024") }
    if let temperature, !(0...10).contains(temperature) { throw ValidationError("--temperature must be from 0 to 10") }
  }

  func run() throws {
    try figure.prepare()
    let editor = try editor.makeEditor(requiresDirections: false)
    let faces = try editor.sample(
      count: count, seed: seed, prior: prior ?? (editor.directions.names.isEmpty ? .standardNormal : .fitted),
      temperature: temperature)
    let rows = stride(from: 0, to: count, by: columns).map { start in
      faces[start..<min(count, start + columns)].map { Tile($0) }
    }
    try figure.write(.sheet(rows), source: .trainedModel)
  }
}

struct MorphCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "morph",
    abstract: "Turn one face into another, as an animation.",
    discussion: """
      The output's ending says the format: .webp or .gif.

      Examples:
        facet morph me.jpg you.jpg -o morph.webp
        facet morph me.jpg you.jpg --frames 60 --milliseconds 30 --there-and-back -o morph.gif
      """)

  @Argument(help: "The photo to begin with.", completion: .file())
  var first: String
  @Argument(help: "The photo to end with.", completion: .file())
  var last: String
  @OptionGroup var figure: FigureOptions
  @Option(help: "Frames from one face to the other, both included.")
  var frames = 30
  @Option(help: "How long each frame is shown.")
  var milliseconds = 40
  @Flag(help: "Go back to the first face, too.")
  var thereAndBack = false
  @Option(help: "Width and height of the frames in pixels.")
  var side = 256
  @Flag(help: "The photos are CelebA frames or training crops already; no face is searched.")
  var aligned = false
  @OptionGroup var editor: EditorOptions

  func validate() throws {
    if !(2...1000).contains(frames) { throw ValidationError("--frames must be from 2 to 1000") }
    if !(10...60_000).contains(milliseconds) { throw ValidationError("--milliseconds must be from 10 to 60000") }
    if !(32...512).contains(side) { throw ValidationError("--side must be from 32 to 512") }
  }

  func run() throws {
    guard Animation.Format(pathExtension: figure.url.pathExtension) != nil else {
      throw UsageError("-o \(PhotoError.unknownAnimationFormat(file: figure.output))")
    }
    try figure.checkPlace()
    let editor = try editor.makeEditor(requiresDirections: false)
    let ends = try [first, last].map { path in
      let input = PhotoInput(named: path)
      let photo = try input.read()
      do {
        return (photo: photo, face: try editor.face(in: photo.picture, isAligned: aligned))
      } catch {
        throw CommandError(PhotoInputs.describe(error, input))
      }
    }
    var pictures = try editor.morph(from: ends[0], to: ends[1], frames: frames, side: side)
    if thereAndBack { pictures += pictures.dropFirst().dropLast().reversed() }
    var animation = Animation(pictures, milliseconds: milliseconds)
    animation.digitalSource = .compositeWithTrainedModel
    try animation.write(to: figure.url)
  }
}

/// Where a command's one picture goes.
struct FigureOptions: ParsableArguments {
  @Option(name: [.short, .customLong("output")], help: "The picture to write.", completion: .file())
  var output: String
  @Flag(help: "Overwrite a picture that is there.")
  var force = false

  var url: URL { URL(fileURLWithPath: output) }

  /// Finds out before the work whether a picture can be kept there.
  func prepare() throws {
    if output == "-" { return }
    // One without an ending becomes a PNG.
    guard url.pathExtension.isEmpty || Photo.Format(pathExtension: url.pathExtension) != nil else {
      throw UsageError("-o \(PhotoError.unknownFormat(file: output))")
    }
    try checkPlace()
  }

  /// Finds out whether something is there already.
  func checkPlace() throws {
    if !force, FileManager.default.fileExists(atPath: url.path) {
      throw CommandError("\(url.path) is there already; add --force to overwrite it")
    }
  }

  /// Writes a picture that a model had a part in.
  func write(_ picture: Picture, source: DigitalSource = .compositeWithTrainedModel) throws {
    try (output == "-" ? PictureOutput.standardOutput : .file(url)).write(figure: picture, source: source)
  }
}

extension LatentPrior.Kind: ExpressibleByArgument {}

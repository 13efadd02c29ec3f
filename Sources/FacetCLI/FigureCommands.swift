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
  @Option(help: ArgumentHelp("An attribute; may be given several times, one row each.", valueName: "NAME"))
  var attribute: [String]
  @Option(help: "Strengths, separated by commas.", transform: strengths)
  var strengths: [Double] = [-2, -1, 0, 1, 2]
  @OptionGroup var editing: EditingOptions

  func validate() throws {
    if attribute.isEmpty { throw ValidationError("give at least one --attribute NAME") }
  }

  func run() throws {
    let editor = try photos.makeEditor()
    let options = editing.options
    try editor.validate(attribute.map { AttributeEdit($0) }, options: options)
    try photos.forEach(ending: "png") { photo, output in
      let sheet = try editor.spectrum(
        photo, attributes: attribute, strengths: strengths, of: photos.face, options: options,
        isAligned: photos.aligned)
      try sheet.writeFigure(to: output)
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

  @Argument(help: "Photos, or folders of photos.")
  var photo: [String]
  @Option(help: ArgumentHelp("An attribute and a strength, 1 where left out.", valueName: "NAME=STRENGTH"))
  var attribute: [AttributeArgument]
  @OptionGroup var figure: FigureOptions
  @OptionGroup var faces: FaceOptions
  @Flag(help: "Leave out photos that have no face or cannot be read.")
  var skip = false
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
    let inputs = try photo.flatMap(PhotoOptions.expand)
    guard inputs.count * (attribute.count + 1) <= Self.mostFaces else {
      throw CommandError("\(inputs.count) photos under \(attribute.count) attributes are too many faces for a sheet")
    }
    try figure.prepare()
    let editor = try editor.makeEditor()
    let edits = attribute.map { $0.edit() }
    let options = editing.options
    try editor.validate(edits, options: options)
    var rows: [[Tile]] = []
    try PhotoOptions.forEach(inputs, skip: skip) { _, input in
      rows.append(
        try editor.tiles(
          Photo(contentsOf: input), edits, of: faces.face, options: options, isAligned: faces.aligned, side: side,
          caption: input.deletingPathExtension().lastPathComponent))
    }
    try Picture.sheet(rows).writeFigure(to: figure.url)
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
    let editor = try photos.makeEditor()
    try photos.forEach(ending: "png") { photo, output in
      try editor.reconstruction(photo, of: photos.face, isAligned: photos.aligned).writeFigure(to: output)
    }
  }
}

struct SampleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sample",
    abstract: "Show faces that nobody has, drawn from the model.",
    discussion: """
      Codes of real faces do not follow N(0, 1); the fitted prior has their mean and covariance.

      Examples:
        facet sample --count 24 --seed 7 -o faces.png
        facet sample --count 24 --prior standard-normal -o faces.png
      """)

  @OptionGroup var figure: FigureOptions
  @Option(help: "How many faces.")
  var count = 24
  @Option(help: "The same seed gives the same faces.")
  var seed: UInt64 = 1
  @Option(help: "fitted or standard-normal.")
  var prior: LatentPrior.Kind = .fitted
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
    let faces = try editor.makeEditor().sample(count: count, seed: seed, prior: prior, temperature: temperature)
    let rows = stride(from: 0, to: count, by: columns).map { start in
      faces[start..<min(count, start + columns)].map { Tile($0) }
    }
    try Picture.sheet(rows).writeFigure(to: figure.url, source: .trainedModel)
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

  @Argument(help: "The photo to begin with.")
  var first: String
  @Argument(help: "The photo to end with.")
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
    try figure.prepare()
    guard Animation.Format(pathExtension: figure.url.pathExtension) != nil else {
      throw PhotoError.unknownAnimationFormat(file: figure.url.path)
    }
    let editor = try editor.makeEditor()
    let ends = try [first, last].map { path in
      let photo = try Photo(contentsOf: URL(fileURLWithPath: path))
      do {
        return (photo: photo, face: try editor.face(in: photo.picture, isAligned: aligned))
      } catch {
        throw CommandError(PhotoOptions.describe(error, URL(fileURLWithPath: path)))
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
  @Option(name: [.short, .customLong("output")], help: "The picture to write.")
  var output: String
  @Flag(help: "Overwrite a picture that is there.")
  var force = false

  var url: URL { URL(fileURLWithPath: output) }

  /// Finds out before the work whether it can be kept.
  func prepare() throws {
    if !force, FileManager.default.fileExists(atPath: url.path) {
      throw CommandError("\(url.path) is there already; add --force to overwrite it")
    }
  }
}

extension Picture {
  /// Writes a picture that a model had a part in.
  func writeFigure(to url: URL, source: DigitalSource = .compositeWithTrainedModel) throws {
    var photo = Photo(self, format: .png)
    photo.digitalSource = source
    try photo.write(to: url)
  }
}

extension LatentPrior.Kind: ExpressibleByArgument {}

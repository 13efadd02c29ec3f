import ArgumentParser
import Facet
import Foundation
import Photo
import Torch

struct EditCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "edit",
    abstract: "Change attributes of the largest face in each photo.",
    discussion: """
      Strength 1 adds an attribute, -1 takes it away; 'facet info' lists the names.

      Examples:
        facet edit me.jpg --attribute Smiling=1 -o smiling.jpg
        facet edit a.jpg b.png holiday/ --attribute Eyeglasses=1 --attribute Smiling=-0.5 -o edited/ --skip
      """)

  @OptionGroup var photos: PhotoOptions
  @Option(help: ArgumentHelp("An attribute and a strength; may be given several times.", valueName: "NAME=STRENGTH"))
  var attribute: [AttributeEdit]

  func validate() throws {
    if attribute.isEmpty { throw ValidationError("give at least one --attribute NAME=STRENGTH") }
  }

  func run() throws {
    let editor = try photos.makeEditor()
    for edit in attribute { _ = try editor.directions.step(edit.attribute, strength: edit.strength) }
    try photos.forEach(keepingFormat: true) { photo in
      try editor.edit(photo, attribute, composition: photos.composition, isAligned: photos.aligned)
    }
  }
}

struct SpectrumCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "spectrum",
    abstract: "Show a face under a row of strengths of one attribute.",
    discussion: """
      Example:
        facet spectrum me.jpg --attribute Smiling --strengths -2,-1,0,1,2 -o spectrum.png
      """)

  @OptionGroup var photos: PhotoOptions
  @Option(help: "The attribute.")
  var attribute: String
  @Option(
    help: "Strengths, separated by commas.",
    transform: { text in
      try text.split(separator: ",").map { part in
        guard let value = Double(part), AttributeEdit.range.contains(value) else {
          throw ValidationError("'\(part)' is not a strength from \(AttributeEdit.range.lowerBound) to \(AttributeEdit.range.upperBound)")
        }
        return value
      }
    })
  var strengths: [Double] = [-2, -1, 0, 1, 2]

  func run() throws {
    let editor = try photos.makeEditor()
    _ = try editor.directions.step(attribute, strength: 0)
    try photos.forEach(keepingFormat: false) { photo in
      Photo(
        try editor.spectrum(
          photo, attribute: attribute, strengths: strengths, composition: photos.composition,
          isAligned: photos.aligned),
        format: .png)
    }
  }
}

struct ReconstructCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "reconstruct",
    abstract: "Show what the model makes of a face: input, reconstruction and mask side by side.",
    discussion: """
      Example:
        facet reconstruct me.jpg -o reconstruction.png
      """)

  @OptionGroup var photos: PhotoOptions

  func run() throws {
    let editor = try photos.makeEditor()
    try photos.forEach(keepingFormat: false) { photo in
      Photo(try editor.reconstruction(photo, isAligned: photos.aligned), format: .png)
    }
  }
}

/// Inputs and outputs of every command that reads photos and writes pictures.
struct PhotoOptions: ParsableArguments {
  @Argument(help: "Photos, or folders of photos.")
  var photo: [String]
  @Option(name: [.short, .customLong("output")], help: "The picture to write, or a folder for several.")
  var output: String
  @Flag(help: "Go on to the next photo where one has no face or cannot be read.")
  var skip = false
  @Flag(help: "The photos are CelebA frames or training crops already; no face is searched.")
  var aligned = false
  @Flag(help: "Overwrite pictures that are there.")
  var force = false
  @Option(help: "difference keeps the photo's own pixels where nothing changes; article replaces the whole face.")
  var composition: Composition = .difference
  @OptionGroup var model: ModelOptions
  @OptionGroup var engine: EngineOptions

  /// The editor with the face detector loading beside the model.
  func makeEditor() throws -> FaceEditor {
    let detector = FaceDetector()
    let device = try engine.prepare()
    return try FaceEditor(ModelBundle(contentsOf: model.url, device: device), detector: detector)
  }

  /// Calls `body` with each photo and writes what it gives.
  func forEach(keepingFormat: Bool, _ body: (Photo) throws -> Photo) throws {
    let jobs = try jobs(keepingFormat: keepingFormat)
    let report = jobs.count > 1 ? ProgressReport("photos", total: jobs.count, unit: "photos") : nil
    var done = 0
    for (index, job) in jobs.enumerated() {
      do {
        try body(Photo(contentsOf: job.input)).write(to: job.output)
        done += 1
      } catch let error where skip && Self.concernsOnePhoto(error) {
        let line = "skipped: \(Self.describe(error, job.input))"
        if let report { report.note(line) } else { note(line) }
      } catch {
        throw CommandError(Self.describe(error, job.input))
      }
      report?.update(index + 1)
    }
    report?.finish()
    if done == 0 { throw CommandError("none of \(jobs.count) photos could be used") }
  }

  static func concernsOnePhoto(_ error: any Error) -> Bool {
    switch error {
    case is PortraitError: true
    case PhotoError.unreadable, PhotoError.notAPhoto, PhotoError.tooLarge, PhotoError.damaged: true
    default: false
    }
  }

  static func describe(_ error: any Error, _ input: URL) -> String {
    if case PortraitError.noFace(file: nil) = error { return "\(PortraitError.noFace(file: input.path))" }
    return "\(error)"
  }

  private struct Job {
    var input: URL
    var output: URL
  }

  private func jobs(keepingFormat: Bool) throws -> [Job] {
    let inputs = try photo.flatMap(Self.expand)
    let target = URL(fileURLWithPath: output)
    let isFile = inputs.count == 1 && photo.count == 1 && !Self.isFolder(photo[0]) && !Self.isFolder(output)
      && !output.hasSuffix("/")
    if isFile {
      guard Photo.Format(pathExtension: target.pathExtension) != nil else { throw PhotoError.unknownFormat(file: target.path) }
    }
    let jobs = inputs.map { input in
      let name = keepingFormat ? input.lastPathComponent : input.deletingPathExtension().lastPathComponent + ".png"
      return Job(input: input, output: isFile ? target : target.appendingPathComponent(name))
    }
    var seen: [String: URL] = [:]
    for job in jobs {
      if let other = seen.updateValue(job.input, forKey: job.output.path) {
        throw CommandError("\(job.input.path) and \(other.path) would both be written to \(job.output.path)")
      }
      if !force, FileManager.default.fileExists(atPath: job.output.path) {
        throw CommandError("\(job.output.path) is there already; add --force to overwrite it")
      }
      if job.input.standardizedFileURL.path == job.output.standardizedFileURL.path {
        throw CommandError("\(job.input.path) would overwrite itself; choose another -o")
      }
    }
    return jobs
  }

  private static func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }

  /// A file as it is, a folder as the photos in it.
  static func expand(_ path: String) throws -> [URL] {
    let url = URL(fileURLWithPath: path)
    guard isFolder(path) else { return [url] }
    let photos = try FileManager.default.contentsOfDirectory(at: url, includingPropertiesForKeys: nil)
      .filter { Photo.Format(pathExtension: $0.pathExtension) != nil && !$0.lastPathComponent.hasPrefix(".") }
      .sorted { $0.lastPathComponent < $1.lastPathComponent }
    if photos.isEmpty { throw CommandError("\(path): no photos in this folder") }
    return photos
  }
}

extension AttributeEdit: ExpressibleByArgument {
  public init?(argument: String) {
    let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty, let strength = Double(parts[1]), Self.range.contains(strength) else {
      return nil
    }
    self.init(String(parts[0]), strength: strength)
  }
}

extension Composition: ExpressibleByArgument {}

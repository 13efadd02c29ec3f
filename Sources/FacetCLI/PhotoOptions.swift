import ArgumentParser
import Facet
import Foundation
import Photo

/// Which faces of a photo are meant.
struct FaceOptions: ParsableArguments {
  @Option(help: "largest, all, or a number: 2 is the second largest.")
  var face: FaceChoice = .largest
  @Flag(help: "The photos are CelebA frames or training crops already; no face is searched.")
  var aligned = false
}

/// The model at work and where it runs.
struct EditorOptions: ParsableArguments {
  @OptionGroup var model: ModelOptions
  @OptionGroup var engine: EngineOptions

  /// The editor with the face detector loading beside the model.
  func makeEditor() throws -> FaceEditor {
    let detector = FaceDetector()
    let device = try engine.prepare()
    return try FaceEditor(ModelBundle(contentsOf: model.url, device: device), detector: detector)
  }
}

/// Inputs and outputs of every command that reads photos and writes pictures.
struct PhotoOptions: ParsableArguments {
  @Argument(help: "Photos, or folders of photos.")
  var photo: [String]
  @Option(name: [.short, .customLong("output")], help: "The picture to write, or a folder for several.")
  var output: String
  @OptionGroup var faces: FaceOptions
  @Flag(help: "Go on to the next photo where one has no face, or cannot be read or written.")
  var skip = false
  @Flag(help: "Overwrite pictures that are there.")
  var force = false
  @OptionGroup var editor: EditorOptions

  var face: FaceChoice { faces.face }
  var aligned: Bool { faces.aligned }
  func makeEditor() throws -> FaceEditor { try editor.makeEditor() }

  /// Calls `body` with each photo and the file that its picture goes to.
  /// - Parameter ending: of the files in a folder; that of the photo where left out.
  func forEach(ending: String? = nil, _ body: (Photo, URL) throws -> Void) throws {
    let jobs = try jobs(ending: ending)
    let report = jobs.count > 1 ? ProgressReport("photos", total: jobs.count, unit: "photos") : nil
    try Self.forEach(jobs.map(\.input), skip: skip, report: report) { index, file in
      try body(Photo(contentsOf: file), jobs[index].output)
    }
  }

  /// Calls `body` with each file. A fault of one photo names it, and is no more than a note where photos may be skipped.
  /// - Throws: ``CommandError``, of no photo that could be used too.
  static func forEach(
    _ files: [URL], skip: Bool, report: ProgressReport? = nil, _ body: (_ index: Int, _ file: URL) throws -> Void
  ) throws {
    var done = 0
    for (index, file) in files.enumerated() {
      do {
        try body(index, file)
        done += 1
      } catch let error where skip && concernsOnePhoto(error) {
        let line = "skipped: \(describe(error, file))"
        if let report { report.note(line) } else { note(line) }
      } catch {
        throw CommandError(describe(error, file))
      }
      report?.update(index + 1)
    }
    report?.finish()
    if done == 0 { throw CommandError("none of \(files.count) photos could be used") }
  }

  private static func concernsOnePhoto(_ error: any Error) -> Bool {
    switch error {
    case is PortraitError: true
    case let error as PhotoError: concernsOnePhoto(error)
    default: false
    }
  }

  /// Whether others may do where this photo does not: not on a full disk.
  static func concernsOnePhoto(_ error: PhotoError) -> Bool {
    switch error {
    case .unreadable, .notAPhoto, .tooLarge, .tooMuchMemory, .damaged: true
    case .unwritable(_, let reason): ![ENOSPC, EDQUOT, EROFS, EACCES].contains { reason == String(cString: strerror($0)) }
    default: false
    }
  }

  static func describe(_ error: any Error, _ input: URL) -> String {
    (error as? PortraitError).map { "\($0.of(file: input.path))" } ?? "\(error)"
  }

  private struct Job {
    var input: URL
    var output: URL
  }

  private func jobs(ending: String?) throws -> [Job] {
    let inputs = try photo.flatMap(Self.expand)
    let target = URL(fileURLWithPath: output)
    let isFile = inputs.count == 1 && photo.count == 1 && !Self.isFolder(photo[0]) && !Self.isFolder(output)
      && !output.hasSuffix("/")
    if isFile {
      guard Photo.Format(pathExtension: target.pathExtension) != nil else { throw PhotoError.unknownFormat(file: target.path) }
    }
    let jobs = inputs.map { input in
      let name = ending.map { input.deletingPathExtension().lastPathComponent + "." + $0 } ?? input.lastPathComponent
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

extension FaceChoice: ExpressibleByArgument {
  public init?(argument: String) {
    switch argument {
    case "largest": self = .largest
    case "all": self = .all
    default:
      guard let number = Int(argument), number >= 1 else { return nil }
      self = .number(number)
    }
  }

  public var defaultValueDescription: String {
    switch self {
    case .largest: "largest"
    case .all: "all"
    case .number(let number): "\(number)"
    }
  }
}

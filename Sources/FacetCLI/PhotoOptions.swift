import ArgumentParser
import Facet
import Files
import Foundation
import Photo
import Synchronization
import Torch

/// Which faces of a photo are meant.
struct FaceOptions: ParsableArguments {
  @Option(
    help: "largest, all, or a number: 2 is the second largest; 'facet faces' shows who that is.",
    completion: .list(["largest", "all", "1", "2", "3"]))
  var face: FaceChoice = .largest
  @Flag(help: "The photos are CelebA frames or training crops already; no face is searched.")
  var aligned = false
}

/// The model at work and where it runs.
struct EditorOptions: ParsableArguments {
  @OptionGroup var model: ModelOptions
  @OptionGroup var engine: EngineOptions

  /// The editor with the face detector loading beside the model.
  /// - Parameter attributes: that are asked for; one that there is not is found before the weights are read.
  /// - Parameter requiresDirections: whether a model without directions is refused.
  func makeEditor(for attributes: [String] = [], requiresDirections: Bool = true) throws -> FaceEditor {
    try AttributeDirections.check(attributes, in: model.url)
    let detector = FaceDetector()
    let device = try engine.prepare()
    // For one face, several threads wait for each other at every layer, busily, and win nothing.
    if engine.threads == nil { try Torch.setThreads(1) }
    return try FaceEditor(
      ModelBundle(contentsOf: model.url, device: device), detector: detector, requiresDirections: requiresDirections)
  }
}

/// The photos that a command reads.
struct PhotoInputs: ParsableArguments {
  @Argument(help: "Photos, folders of photos, or - for standard input.", completion: .file())
  var photo: [String]
  @Flag(help: "Take the photos in folders of folders, too.")
  var recursive = false
  @Flag(help: "Photos that have no face, or cannot be read or written, are no failure.")
  var skip = false

  func validate() throws {
    if photo.count(where: { $0 == "-" }) > 1 { throw ValidationError("'-', standard input, can be read once") }
  }

  /// The photos, those of folders in the order of their names.
  /// - Parameter output: a folder that is not searched.
  func expanded(without output: URL? = nil) throws -> [PhotoInput] {
    try photo.flatMap { path in
      path == "-" ? [.standardInput] : try PhotoInput.expand(path, recursive: recursive, without: output)
    }
  }

  /// Calls `body` with each photo. Where there are several, or a folder, a fault of one photo is told, and the others follow.
  /// - Throws: ``CommandError``, of no photo that could be used, too; exit code 1 where some failed.
  func forEach(
    _ inputs: [PhotoInput], report: ProgressReport? = nil, _ body: (_ index: Int, _ input: PhotoInput) throws -> Void
  ) throws {
    let outcomes = PhotoOutcomes(of: inputs, skip: skip, report: report)
    for (index, input) in inputs.enumerated() where !outcomes.haveEnded { outcomes.add(input) { try body(index, input) } }
    try outcomes.finish()
  }

  /// Calls `body` with each photo, several at once, in any order. What has no room beside others waits for them.
  /// - Throws: as ``forEach(_:report:_:)``.
  func forEach(
    _ inputs: [PhotoInput], atOnce count: Int, report: ProgressReport?,
    _ body: @Sendable (_ index: Int, _ input: PhotoInput) throws -> Void
  ) throws {
    let outcomes = PhotoOutcomes(of: inputs, skip: skip, report: report)
    let rest = Mutex(inputs.indices), large = Mutex<[Int]>([])
    DispatchQueue.concurrentPerform(iterations: count) { _ in
      while !outcomes.haveEnded, let index = rest.withLock({ $0.popFirst() }) {
        outcomes.add(inputs[index]) {
          do {
            try body(index, inputs[index])
          } catch PhotoError.tooMuchMemory {
            large.withLock { $0.append(index) }
            throw PhotoOutcomes.Later()
          }
        }
      }
    }
    for index in large.withLock({ $0 }) where !outcomes.haveEnded { outcomes.add(inputs[index]) { try body(index, inputs[index]) } }
    try outcomes.finish()
  }

  fileprivate static func concernsOnePhoto(_ error: any Error) -> Bool {
    switch error {
    case is PortraitError, is StrictError: true
    case let error as PhotoError: concernsOnePhoto(error)
    default: false
    }
  }

  /// Whether others may do where this photo does not: not on a full disk.
  static func concernsOnePhoto(_ error: PhotoError) -> Bool {
    switch error {
    case .unreadable, .notAPhoto, .tooLarge, .tooMuchMemory, .severalPictures, .damaged: true
    case .unwritable(_, let reason): ![ENOSPC, EDQUOT, EROFS, EACCES].contains { reason == String(cString: strerror($0)) }
    default: false
    }
  }

  static func describe(_ error: any Error, _ input: PhotoInput) -> String {
    (error as? PortraitError).map { "\($0.of(file: input.name))" } ?? "\(error)"
  }
}

/// What becomes of the photos of a command. Calls may come from any thread.
private final class PhotoOutcomes: Sendable {
  /// Thrown for a photo that will be tried again.
  struct Later: Error {}

  private struct State {
    var (seen, done, faceless, failed) = (0, 0, 0, 0)
    var fault: CommandError?
  }

  private let count: Int
  /// Whether they come from a folder, some of which may have no face.
  private let hasFolder: Bool
  private let skip: Bool
  private let report: ProgressReport?
  private let state = Mutex(State())

  init(of inputs: [PhotoInput], skip: Bool, report: ProgressReport?) {
    (count, self.skip, self.report) = (inputs.count, skip, report)
    hasFolder = inputs.contains { !$0.isNamed }
  }

  /// Whether a fault that concerns all photos has ended the work.
  var haveEnded: Bool { state.withLock { $0.fault != nil } }

  /// Works on a photo, and notes what becomes of it.
  func add(_ input: PhotoInput, _ work: () throws -> Void) {
    var line: String?
    do {
      try work()
      state.withLock { $0.done += 1 }
    } catch is Later {
      return
    } catch let error where (count > 1 || hasFolder || skip) && PhotoInputs.concernsOnePhoto(error) {
      let isFaceless = error is PortraitError && (skip || !input.isNamed)
      state.withLock { if isFaceless { $0.faceless += 1 } else { $0.failed += 1 } }
      line = "\(isFaceless || skip ? "skipped" : "failed"): \(PhotoInputs.describe(error, input))"
    } catch {
      let fault = CommandError(PhotoInputs.describe(error, input))
      return state.withLock { $0.fault = $0.fault ?? fault }
    }
    if let line { if let report { report.note(line) } else { note(line) } }
    let seen = state.withLock { state in
      state.seen += 1
      return state.seen
    }
    report?.update(seen)
  }

  /// Tells how many photos failed.
  /// - Throws: ``CommandError`` that ended the work, or of no photo that could be used; exit code 1 where some failed.
  func finish() throws {
    let state = state.withLock { $0 }
    if let fault = state.fault { throw fault }
    report?.finish()
    if count > 1 || hasFolder {
      let parts = [(state.faceless, "without a face"), (state.failed, skip ? "skipped" : "failed")].filter { $0.0 > 0 }
      if !parts.isEmpty { note(([(state.done, "done")] + parts).map { "\($0.0) \($0.1)" }.joined(separator: ", ")) }
    }
    // A folder without faces is no failure.
    if state.done == 0 && (state.failed > 0 || !hasFolder) { throw CommandError("none of \(count) photos could be used") }
    if state.failed > 0 && !skip { throw ExitCode.failure }
  }
}

/// A photo that a command reads.
struct PhotoInput: Sendable {
  /// Nil for standard input.
  let file: URL?
  /// As it was typed, or behind the folder that was.
  let name: String
  /// In a folder that was named, where it lies there; else its name.
  let place: String
  /// Whether it was named itself.
  let isNamed: Bool

  private init(file: URL?, name: String, place: String, isNamed: Bool) {
    (self.file, self.name, self.place, self.isNamed) = (file, name, place, isNamed)
  }

  /// A file, whatever it is.
  init(named path: String) {
    let url = URL(fileURLWithPath: path)
    self.init(file: url, name: path, place: url.lastPathComponent, isNamed: true)
  }

  static let standardInput = PhotoInput(file: nil, name: "standard input", place: "-", isNamed: true)
  /// More than photos of 50 million pixels take, 16 bits and opacity apart.
  private static let muchMemory = 1_000_000_000
  /// More than any photo's file has.
  private static let standardInputLimit = 1 << 30

  /// The photo.
  /// - Parameter tellsDamage: whether a photo with faults in its data is named in a line.
  func read(tellsDamage: Bool = true) throws -> Photo {
    let photo = try decoded()
    if photo.peakMemory > Self.muchMemory {
      note("\(name): takes up to \(String(format: "%.1f", Double(photo.peakMemory) / 1e9)) GB of memory")
    }
    if tellsDamage {
      for loss in photo.losses() where loss.isDamage { note("\(name): \(loss)") }
    }
    return photo
  }

  private func decoded() throws -> Photo {
    if let file {
      // Swift repairs such a name, and it is then another one.
      if name.contains("\u{FFFD}"), !FileManager.default.fileExists(atPath: file.path) {
        throw PhotoError.unreadable(file: name, reason: "its name is not UTF-8: rename it first")
      }
      return try Photo(contentsOf: file)
    }
    guard let data = try FileHandle.standardInput.read(upToCount: Self.standardInputLimit), !data.isEmpty else {
      throw PhotoError.notAPhoto(file: name)
    }
    return try Photo(data: data, name: name)
  }

  /// A file as it is, a folder as the photos in it.
  static func expand(_ path: String, recursive: Bool = false, without output: URL? = nil) throws -> [PhotoInput] {
    let url = URL(fileURLWithPath: path)
    guard isFolder(url) else { return [PhotoInput(named: path)] }
    var photos: [PhotoInput] = []
    var (folders, others) = (0, 0)
    func search(_ folder: URL, _ place: String, depth: Int) throws {
      for name in try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() where !name.hasPrefix(".") {
        let file = folder.appendingPathComponent(name)
        if isFolder(file) {
          if output.map({ $0.standardizedFileURL.path == file.standardizedFileURL.path }) == true { continue }
          // A link may lead in a circle.
          let isLink = (try? FileManager.default.destinationOfSymbolicLink(atPath: file.path)) != nil
          if recursive && depth < 64 && !isLink { try search(file, "\(place)\(name)/", depth: depth + 1) } else { folders += 1 }
        } else if Photo.Format(pathExtension: file.pathExtension) != nil {
          photos.append(PhotoInput(
            file: file, name: "\(path.hasSuffix("/") ? path : path + "/")\(place)\(name)", place: place + name, isNamed: false))
        } else {
          others += 1
        }
      }
    }
    try search(url, "", depth: 0)
    if photos.isEmpty { throw CommandError("\(path): no photos in this folder\(folders > 0 && !recursive ? "; --recursive takes those in its folders" : "")") }
    let passed = [(folders, folders == 1 ? "folder" : "folders"), (others, others == 1 ? "other file" : "other files")]
      .filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: " and ")
    if !passed.isEmpty { note("\(path): passed over \(passed)\(folders > 0 && !recursive ? "; --recursive takes folders" : "")") }
    return photos
  }

  static func isFolder(_ url: URL) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) && isFolder.boolValue
  }
}

/// Inputs and outputs of every command that reads photos and writes pictures.
struct PhotoOptions: ParsableArguments {
  @OptionGroup var inputs: PhotoInputs
  @Option(
    name: [.short, .customLong("output")], help: "The picture to write, a folder for several, or - for standard output.",
    completion: .file())
  var output: String
  @OptionGroup var faces: FaceOptions
  @Flag(help: "Overwrite pictures that are there.")
  var force = false
  @Flag(help: "Leave the pictures that are there and make the others.")
  var resume = false
  @OptionGroup var editor: EditorOptions

  var face: FaceChoice { faces.face }
  var aligned: Bool { faces.aligned }
  func makeEditor(for attributes: [String]) throws -> FaceEditor { try editor.makeEditor(for: attributes) }

  func validate() throws {
    if resume && force { throw ValidationError("--resume keeps pictures, --force overwrites them; give one of them") }
  }

  /// A photo and where the picture that is made of it goes.
  struct Job: Sendable {
    let input: PhotoInput
    let output: PictureOutput
    /// Keeps others from writing into the folder of the pictures.
    var lock: WriteLock?
  }

  /// The photos and where their pictures go; found out before anything is loaded. A folder of them is this process's as
  /// long as the jobs live.
  /// - Parameter ending: of the files in a folder; that of the photo where left out.
  /// - Throws: ``CommandError``, ``UsageError``; `FileError`, which names who is writing there.
  func jobs(ending: String? = nil) throws -> [Job] {
    let target = URL(fileURLWithPath: output)
    let inputs = try inputs.expanded(without: target)
    let names = self.inputs.photo
    let isFolder = names.count > 1 || PhotoInput.isFolder(target) || output.hasSuffix("/")
      || names[0] != "-" && PhotoInput.isFolder(URL(fileURLWithPath: names[0]))
    if output == "-" {
      guard !isFolder, inputs.count == 1 else { throw UsageError("-o -: standard output takes one picture, of one photo") }
      return [Job(input: inputs[0], output: .standardOutput)]
    }
    if !isFolder {
      guard Photo.Format(pathExtension: target.pathExtension) != nil else {
        throw UsageError("-o \(PhotoError.unknownFormat(file: output))")
      }
    } else if Photo.Format(pathExtension: target.pathExtension) != nil && !PhotoInput.isFolder(target) && !output.hasSuffix("/") {
      throw UsageError("-o \(output): a name of one picture, and there are several; a folder would be '\(output)/'")
    }
    // What is there is looked at once nobody else writes there.
    let lock = isFolder ? try WriteLock.folder(target) : nil
    var seen: [String: PhotoInput] = [:]
    let jobs = try inputs.map { input in
      if isFolder && input.file == nil { throw UsageError("-o: standard input goes to one picture, not into a folder") }
      let place = ending.map { (input.place as NSString).deletingPathExtension + "." + $0 } ?? input.place
      let file = isFolder ? target.appendingPathComponent(place) : target
      if let other = seen.updateValue(input, forKey: file.path) {
        throw CommandError("\(input.name) and \(other.name) would both be written to \(file.path)")
      }
      if !force && !resume, FileManager.default.fileExists(atPath: file.path) {
        throw CommandError(
          "\(file.path) is there already; add --force to overwrite it\(isFolder ? ", or --resume to go on" : "")")
      }
      if input.file?.standardizedFileURL.path == file.standardizedFileURL.path {
        throw CommandError("\(input.name) would overwrite itself; choose another -o")
      }
      return Job(input: input, output: .file(file), lock: lock)
    }
    let rest = resume ? jobs.filter { !$0.output.exists } : jobs
    if rest.count < jobs.count { note("\(jobs.count - rest.count) of \(jobs.count) pictures are there already") }
    return rest
  }

  /// Calls `body` with each photo and where its picture goes, with as many at once as the engine may have threads.
  /// - Parameter tellsDamage: whether photos with faults in their data are named.
  func forEach(_ jobs: [Job], tellsDamage: Bool = true, _ body: @Sendable (Photo, Job) throws -> Void) throws {
    if jobs.isEmpty { return }
    let report = jobs.count > 1 ? ProgressReport("photos", total: jobs.count, unit: "photos") : nil
    let count = min(editor.engine.atOnce, jobs.count)
    guard count > 1 else {
      return try inputs.forEach(jobs.map(\.input), report: report) { index, input in
        try body(input.read(tellsDamage: tellsDamage), jobs[index])
      }
    }
    try inputs.forEach(jobs.map(\.input), atOnce: count, report: report) { index, input in
      // torch's setting is each thread's own.
      try Torch.setThreads(1)
      try body(input.read(tellsDamage: tellsDamage), jobs[index])
    }
  }
}

/// Where a command's picture goes.
enum PictureOutput: Sendable {
  case file(URL)
  case standardOutput

  var exists: Bool {
    if case .file(let url) = self { FileManager.default.fileExists(atPath: url.path) } else { false }
  }

  /// What is written there: the format of a file's ending, else the photo's own.
  func format(of photo: Photo) -> Photo.Format {
    if case .file(let url) = self { Photo.Format(pathExtension: url.pathExtension) ?? photo.format } else { photo.format }
  }

  func write(_ photo: Photo, keepsLocation: Bool = false) throws {
    switch self {
    case .file(let url): try photo.write(to: url, keepsLocation: keepsLocation)
    case .standardOutput:
      guard isatty(STDOUT_FILENO) == 0 else { throw UsageError("-o -: a picture is no text for a terminal; give a file") }
      do {
        try FileHandle.standardOutput.write(contentsOf: photo.encoded(keepsLocation: keepsLocation))
      } catch let error as PhotoError {
        throw error
      } catch {
        throw CommandError("standard output: cannot be written: \(String(cString: strerror(errno)))")
      }
    }
  }

  /// Writes a picture that a model had a part in.
  func write(figure: Picture, source: DigitalSource = .compositeWithTrainedModel) throws {
    var photo = Photo(figure, format: .png)
    photo.digitalSource = source
    try write(photo)
  }
}

/// Something that `--strict` does not let go.
struct StrictError: Error, CustomStringConvertible {
  let description: String
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

extension CompletionKind {
  /// The attributes of the model that the words so far name.
  static var attributes: CompletionKind {
    .custom { words, _, _ in
      let model = words.firstIndex(of: "--model").map { words.index(after: $0) }.flatMap { words.indices.contains($0) ? words[$0] : nil }
      let url = model.map { URL(fileURLWithPath: $0, isDirectory: true) } ?? ModelBundle.defaultURL
      return AttributeDirections.names(in: url) ?? []
    }
  }
}

import Facet
import Files
import Foundation
import Torch

/// What a checkpoint says beside its tensors, in its file's metadata.
struct Checkpoint<Configuration: Codable> {
  var configuration: Configuration
  var progress: TrainingProgress
  /// Training photos; an epoch of another number has another order.
  var photos: Int?

  init(configuration: Configuration, progress: TrainingProgress, photos: Int?) {
    (self.configuration, self.progress, self.photos) = (configuration, progress, photos)
  }

  /// - Parameters:
  ///   - url: the file, for errors.
  ///   - metadata: its own.
  ///   - format: what it must be.
  /// - Throws: ``TrainingError`` that names the file.
  init(_ url: URL, _ metadata: [String: String], format: String) throws {
    do {
      guard metadata["format"] == format else { throw TrainingError("not a checkpoint of a training") }
      configuration = try JSON.decode(Configuration.self, metadata["configuration"] ?? "")
      progress = try JSON.decode(TrainingProgress.self, metadata["progress"] ?? "")
      photos = metadata["photos"].flatMap(Int.init)
      guard progress.isPlausible else { throw TrainingError("its progress is impossible") }
    } catch {
      let reason = (error as? DecodingError)?.brief ?? "\(error)"
      throw TrainingError("\(url.path): cannot resume: \(reason)")
    }
  }

  func metadata(format: String) throws -> [String: String] {
    var result = [
      "format": format, "progress": try JSON.encode(progress), "configuration": try JSON.encode(configuration),
    ]
    result["photos"] = photos.map(String.init)
    return result
  }
}

/// The checkpoint that a run goes on from: `last.safetensors`, and beside it the one before, which takes its place where
/// it is damaged.
struct CheckpointFile {
  let last: URL

  /// The checkpoint of the run in a folder.
  init(in output: URL) { last = output.appendingPathComponent("checkpoints/last.safetensors") }

  private var previous: URL { last.deletingLastPathComponent().appendingPathComponent("previous.safetensors") }

  var exists: Bool { FileManager.default.fileExists(atPath: last.path) }

  /// Finds out now, not at the first checkpoint, whether the folder can be written to, and removes what a killed run
  /// had not finished writing.
  func prepare() throws {
    _ = try AtomicFile(last)
    let checkpoints = last.deletingLastPathComponent()
    for folder in [checkpoints.deletingLastPathComponent(), checkpoints] {
      for name in try FileManager.default.contentsOfDirectory(atPath: folder.path)
      where name.hasPrefix(".") && name.hasSuffix(".tmp") {
        try? FileManager.default.removeItem(at: folder.appendingPathComponent(name))
      }
    }
  }

  /// Writes tensors and metadata, whole or not at all; what was the last one becomes the one before.
  func save(_ tensors: [String: Tensor], metadata: [String: String]) throws {
    if exists { try link(last, to: previous) }
    try Tensor.save(tensors, metadata: metadata, to: last)
  }

  func remove() throws {
    for url in [last, previous] where FileManager.default.fileExists(atPath: url.path) {
      try FileManager.default.removeItem(at: url)
    }
  }

  /// What is read of a run.
  struct Content<Configuration: Codable> {
    let url: URL
    let file: SafetensorsFile
    let checkpoint: Checkpoint<Configuration>
    /// What is wrong with the last checkpoint, where this is the one before.
    let damage: String?
  }

  /// Reads the last checkpoint that is whole.
  /// - Throws: what is wrong with the last one where neither is: ``TrainingError``, `SafetensorsError` or `FileError`.
  func read<Configuration: Codable>(_: Configuration.Type, format: String) throws -> Content<Configuration> {
    func read(_ url: URL, _ damage: String?) throws -> Content<Configuration> {
      let file = try SafetensorsFile(url)
      try file.verify()
      return try Content(url: url, file: file, checkpoint: Checkpoint(url, file.metadata, format: format), damage: damage)
    }
    do { return try read(last, nil) } catch {
      guard FileManager.default.fileExists(atPath: previous.path), let content = try? read(previous, "\(error)") else {
        throw error
      }
      return content
    }
  }

  /// Puts the one before in the place of a damaged one.
  /// - Returns: a line for people.
  func replace(damaged: String, with progress: TrainingProgress) throws -> String {
    try link(previous, to: last)
    return "\(damaged); going on from the checkpoint before, of \(progress.images) images"
  }

  /// Gives a file a second name, in the place of what has it.
  private func link(_ url: URL, to other: URL) throws {
    let spare = other.deletingLastPathComponent().appendingPathComponent(".\(other.lastPathComponent).link.tmp")
    unlink(spare.path)
    guard Foundation.link(url.path, spare.path) == 0 else {
      // Where the file system knows no second names, a copy serves.
      return try MappedFile(url).withBytes { try AtomicFile.write(Data($0), to: other) }
    }
    guard rename(spare.path, other.path) == 0 else {
      throw FileError(path: other.path, operation: "write", reason: String(cString: strerror(errno)))
    }
    // Of two names of one file, rename leaves both.
    unlink(spare.path)
  }
}

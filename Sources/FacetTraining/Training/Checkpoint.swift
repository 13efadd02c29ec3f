import Facet
import Foundation

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

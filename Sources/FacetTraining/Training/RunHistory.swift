import Facet
import Files
import Foundation

/// The figures of a run by its steps, as its folder's `logs/log.jsonl` has them.
public struct RunHistory: Sendable {
  /// The figures of one line.
  public struct Point: Sendable, Equatable {
    /// Images seen.
    public let step: Int
    /// By name, such as `train/total` or `validation/loss`; finite ones alone.
    public let figures: [String: Double]
  }

  /// The points in the order of their steps.
  public let points: [Point]

  /// Reads the figures of the run in a folder; lines that a killed run has left incomplete are passed over.
  /// - Throws: `FileError`; ``TrainingError`` where there is no figure.
  public init(of output: URL) throws {
    let url = output.appendingPathComponent("logs").appendingPathComponent(EventFileWriter.linesFile)
    var points: [Point] = []
    let text = try MappedFile(url).withBytes { String(decoding: $0, as: UTF8.self) }
    for line in text.split(separator: "\n") {
      guard let fields = try? JSONDecoder().decode([String: Double?].self, from: Data(line.utf8)) else { continue }
      if let start = fields["start"] ?? nil { points.removeAll { Double($0.step) >= start } }
      guard let step = fields["step"] ?? nil, step >= 0, step < 1e15 else { continue }
      let figures = fields.compactMapValues { $0 }.filter { $0.key.contains("/") }
      points.append(Point(step: Int(step), figures: figures))
    }
    if points.isEmpty { throw TrainingError("\(url.path): has no figures yet") }
    self.points = points
  }

  /// Images seen at the last point.
  public var images: Int { points.map(\.step).max() ?? 0 }

  /// The validation whose weights are kept: that of the least loss, or the last one of a run that measures no loss.
  public var best: Point? {
    let validations = points.filter { $0.figures.keys.contains { $0.hasPrefix("validation/") } }
    return validations.filter { $0.figures["validation/loss"] != nil }.min { $0.figures["validation/loss"]! < $1.figures["validation/loss"]! }
      ?? validations.last
  }
}

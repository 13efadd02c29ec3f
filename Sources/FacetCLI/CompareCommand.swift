import ArgumentParser
import FacetTraining
import Foundation

struct CompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Show the figures of training runs in one table, a row a run.",
    discussion: """
      The figures are of the validation with the least loss, whose weights a run keeps, or of the last one. They are read from \
      RUN/logs/log.jsonl. With --json the last line on standard output is one array.

      Examples:
        facet compare runs/a runs/b
        facet compare runs/* --json | tail -1
      """)

  @Argument(help: "Folders of runs.", completion: .directory)
  var runs: [String]
  @Flag(help: "Print one JSON array on the last line instead of a table.")
  var json = false

  private struct Row: Encodable {
    let run: String
    let images: Int
    /// Images seen at the validation.
    let at: Int
    let figures: [String: Double]
  }

  func run() throws {
    let rows = try runs.map { path in
      let history = try RunHistory(of: URL(fileURLWithPath: path, isDirectory: true))
      // A run without validation shows its last losses.
      let point = history.best ?? history.points[history.points.count - 1]
      let figures = point.figures.filter { !$0.key.hasPrefix("speed/") }.map { ($0.key.replacing("validation/", with: ""), $0.value) }
      return Row(run: path, images: history.images, at: point.step, figures: Dictionary(figures) { $1 })
    }
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = .sortedKeys
      return try show(json: String(decoding: encoder.encode(rows), as: UTF8.self))
    }
    let names = Set(rows.flatMap(\.figures.keys)).sorted { ($0 == "loss" ? 0 : 1, $0) < ($1 == "loss" ? 0 : 1, $1) }
    let table = [["run", "images", "at"] + names] + rows.map { row in
      [row.run, "\(row.images)", "\(row.at)"] + names.map { row.figures[$0].map { String(format: "%.4f", $0) } ?? "-" }
    }
    let widths = table[0].indices.map { column in table.map { $0[column].count }.max() ?? 0 }
    for line in table { try show(zip(line, widths).map { $0.padded(to: $1) }.joined(separator: "  ").trimmed()) }
  }
}

extension String {
  /// Without blanks at its end.
  fileprivate func trimmed() -> String { String(reversed().drop { $0 == " " }.reversed()) }
}

import Facet
import Files
import Foundation

/// A label made of a column of a table: `Old: age > 50`, `sex = male`, or the column itself, `smile`.
///
///     label := (NAME ':')? COLUMN (('=' | '!=' | '<' | '<=' | '>' | '>=') VALUE)?
///
/// Without a name it is made of the text: `age > 50` becomes `age_50`.
public struct LabelDefinition: Sendable, Equatable {
  /// Letters, digits, `_` and `-`, a letter first.
  public let name: String
  let column: String
  let comparison: Comparison?

  struct Comparison: Sendable, Equatable {
    let sign: String
    let value: String

    /// Whether a cell fulfils it; `nil` for a cell that is no number where one is asked for.
    func holds(for cell: String) -> Bool? {
      let numbers = (Double(cell), Double(value))
      if sign == "=" || sign == "!=" {
        let isEqual = if let a = numbers.0, let b = numbers.1 { a == b } else { cell.lowercased() == value.lowercased() }
        return isEqual == (sign == "=")
      }
      guard let a = numbers.0, let b = numbers.1 else { return nil }
      return switch sign {
      case "<": a < b
      case "<=": a <= b
      case ">": a > b
      default: a >= b
      }
    }
  }

  /// - Throws: ``TrainingError`` that quotes the text.
  public init(_ text: String) throws(TrainingError) {
    func trimmed(_ text: some StringProtocol) -> String { text.trimmingCharacters(in: .whitespaces) }
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let condition = String(parts[parts.count - 1])
    if let sign = condition.firstMatch(of: /!=|<=|>=|=|<|>/) {
      let value = trimmed(condition[sign.range.upperBound...])
      comparison = Comparison(sign: String(sign.output), value: value)
      column = trimmed(condition[..<sign.range.lowerBound])
      guard !value.isEmpty, ["=", "!="].contains(comparison!.sign) || Double(value) != nil else {
        throw TrainingError("label '\(text)': expected a number behind '\(sign.output)'")
      }
    } else {
      (column, comparison) = (trimmed(condition), nil)
    }
    let name = parts.count == 2 ? trimmed(parts[0]) : Self.name(of: condition)
    guard !column.isEmpty, CombinedDirection.isName(name), name != AttributeList.partitionColumn else {
      throw TrainingError("label '\(text)': write it as 'NAME: COLUMN', 'NAME: COLUMN > 50' or 'NAME: COLUMN = value', a letter first in NAME")
    }
    self.name = name
  }

  /// A name that edits can ask for, made of any text.
  static func name(of text: String) -> String {
    let words = text.split { !($0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-")) }
    return words.joined(separator: "_")
  }
}

/// The labels of photos in a table of any names: CSV with a row of names, then a row a photo.
///
/// The photos stand in the first column that is called `file`, `photo`, `image` or the like, otherwise in the first. A cell is
/// `1`, `yes` or `true`, or `0`, `-1`, `no` or `false`; an empty one is not known.
public struct PhotoLabels: Sendable {
  /// The table's file.
  public let url: URL
  /// The labels' names.
  public let names: [String]
  private struct Row: Sendable {
    let photo: [String]
    let line: Int
    /// 1, −1 or, where it is not known, 0, one for each name.
    let labels: [Int8]
    let partition: Partition?
  }
  private let rows: [Row]

  private static let photoColumns = ["file", "photo", "image", "filename", "file_name", "image_id", "path", "name", "img"]
  private static let partitionColumns = [AttributeList.partitionColumn, "split"]
  private static let missing = ["", "?", "na", "n/a", "nan", "null", "none", "unknown"]
  private static let yes = ["1", "+1", "1.0", "yes", "y", "true", "t"], no = ["0", "-1", "0.0", "-1.0", "no", "n", "false", "f"]

  /// Reads a table.
  /// - Parameters:
  ///   - url: the file.
  ///   - definitions: the labels; where there are none, each column is one.
  /// - Throws: ``DatasetError`` that names the line, ``TrainingError``.
  public init(contentsOf url: URL, definitions: [LabelDefinition] = []) throws {
    guard ["csv", "tsv"].contains(url.pathExtension.lowercased()) else {
      throw DatasetError(.malformedList, path: url.path, reason: "labels are read from a file whose name ends in .csv or .tsv")
    }
    let list = try TextList(url)
    var lines = list.lines()
    guard lines.next(), lines.fields.count >= 2 else { throw list.error(line: 1, "expected the names of the columns") }
    let columns = lines.texts
    let lowercased = columns.map { $0.lowercased() }
    let photoColumn = Self.photoColumns.lazy.compactMap { lowercased.firstIndex(of: $0) }.first ?? 0
    let partitionColumn = Self.partitionColumns.lazy.compactMap { lowercased.firstIndex(of: $0) }.first
    var wanted = definitions
    if wanted.isEmpty {
      for (index, column) in columns.enumerated() where index != photoColumn && index != partitionColumn {
        guard !column.contains(":"), let definition = try? LabelDefinition("\(LabelDefinition.name(of: column)): \(column)") else {
          throw list.error(line: 1, "'\(column)' cannot be a label's name; give --label 'NAME: COLUMN' for each label")
        }
        // A name such as 'age > 50' is a column here, not a comparison.
        wanted.append(LabelDefinition(name: definition.name, column: column))
      }
    }
    let places = try wanted.map { definition in
      guard let place = lowercased.firstIndex(of: definition.column.lowercased()) else {
        let nearest = Spelling.nearest(definition.column, among: columns).first.map { "; did you mean \($0)?" } ?? ""
        throw list.error(line: 1, "no column is named \(definition.column)\(nearest)")
      }
      return place
    }
    let names = wanted.map(\.name)
    if let twice = names.indices.first(where: { names[..<$0].map { $0.lowercased() }.contains(names[$0].lowercased()) }) {
      throw list.error(line: 1, "two labels would be named \(names[twice]); give --label 'NAME: COLUMN' for each")
    }
    var rows: [Row] = []
    while lines.next() {
      if lines.fields.isEmpty { continue }
      guard lines.fields.count == columns.count else {
        throw list.error(line: lines.number, "expected \(columns.count) columns, found \(lines.fields.count)")
      }
      let labels = try zip(wanted, places).map { definition, place -> Int8 in
        let cell = lines.text(place)
        if Self.missing.contains(cell.lowercased()) { return 0 }
        if let comparison = definition.comparison {
          guard let holds = comparison.holds(for: cell) else {
            throw list.error(line: lines.number, "\(columns[place]) is '\(cell)'; expected a number or nothing")
          }
          return holds ? 1 : -1
        }
        if Self.yes.contains(cell.lowercased()) { return 1 }
        if Self.no.contains(cell.lowercased()) { return -1 }
        throw list.error(
          line: lines.number,
          "\(columns[place]) is '\(cell)'; expected 1, 0 or nothing. Say what counts, as --label 'NAME: \(columns[place]) = \(cell)'")
      }
      var partition: Partition?
      if let text = partitionColumn.map({ lines.text($0) }), !text.isEmpty {
        partition = Partition(text)
        guard partition != nil else { throw list.error(line: lines.number, "partition is '\(text)'; expected train, val or test") }
      }
      let photo = lines.text(photoColumn)
      rows.append(Row(photo: Self.components(photo), line: lines.number, labels: labels, partition: partition))
    }
    (self.url, self.names, self.rows) = (url, names, rows)
  }

  /// The parts of a path, the name first and without its ending.
  private static func components(_ path: String) -> [String] {
    var parts: [String] = path.split(separator: "/").filter { $0 != "." }.map(String.init).reversed()
    if let name = parts.first { parts[0] = (name as NSString).deletingPathExtension }
    return parts
  }

  /// What became of the rows.
  public struct Report: Sendable {
    /// Faces of the set with a row, and rows without a face in it.
    public var labelled = 0, unused = 0
    /// Faces that have each label, and that lack it.
    public var counts: [(name: String, present: Int, absent: Int)] = []
  }

  /// Writes the labels of a set's faces beside them, as `labels.csv`, which the trainer reads.
  /// - Parameter folder: a set that ``CropSetWriter`` has made.
  /// - Throws: ``DatasetError`` where a row names several photos, or no row names one; `FileError`.
  public func write(to folder: URL) throws -> Report {
    let photos = try CropSet(contentsOf: folder, isVerified: false).photos()
    let parts = photos.map(Self.components)
    let byName = Dictionary(grouping: parts.indices) { parts[$0].first ?? "" }
    var found = [Row?](repeating: nil, count: photos.count)
    var report = Report()
    for row in rows {
      let matches = (byName[row.photo.first ?? ""] ?? []).filter { parts[$0].starts(with: row.photo) }
      func fault(_ reason: String) -> DatasetError {
        DatasetError(.malformedList, path: url.path, line: row.line, reason: "\(row.photo.reversed().joined(separator: "/")) \(reason)")
      }
      guard let face = matches.first else {
        report.unused += 1
        continue
      }
      if matches.count > 1 { throw fault("names \(matches.count) photos; write more of their paths") }
      if found[face] != nil { throw fault("comes a second time") }
      found[face] = row
      report.labelled += 1
    }
    if report.labelled == 0, !photos.isEmpty {
      throw DatasetError(.malformedList, path: url.path, reason: "names none of the photos, such as \(photos[0])")
    }
    var text = (["photo", AttributeList.partitionColumn] + names).joined(separator: ",") + "\n"
    for (face, photo) in photos.enumerated() {
      let row = found[face]
      let partition = row?.partition ?? Partition(ofPhoto: face)
      let labels = names.indices.map { (row?.labels[$0]).map { $0 == 0 ? "" : "\($0)" } ?? "" }
      text += (["\"\(photo.replacing("\"", with: "\"\""))\"", partition.rawValue] + labels).joined(separator: ",") + "\n"
    }
    try AtomicFile.write(Data(text.utf8), to: folder.appendingPathComponent(CelebA.preparedList))
    for (place, name) in names.enumerated() {
      let values = found.compactMap { $0?.labels[place] }
      report.counts.append((name, values.count { $0 == 1 }, values.count { $0 == -1 }))
    }
    return report
  }
}

extension LabelDefinition {
  /// A column as it is.
  fileprivate init(name: String, column: String) { (self.name, self.column, comparison) = (name, column, nil) }
}

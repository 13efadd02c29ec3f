import Facet
import Files
import Foundation

/// A text file of rows: columns between blanks or, where its name ends in `.csv` or `.tsv`, between commas, semicolons or
/// tabs, with quotes as RFC 4180 has them.
struct TextList {
  let file: MappedFile
  /// The mark between columns; `nil` for blanks.
  private let separator: UInt8?
  private let start: Int

  /// - Throws: ``DatasetError`` where the file cannot be read.
  init(_ url: URL) throws(DatasetError) {
    do {
      file = try MappedFile(url)
    } catch {
      throw DatasetError(.missingFile, path: url.path, reason: "cannot \(error.operation): \(error.reason)")
    }
    start = file.bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0  // a byte order mark
    guard ["csv", "tsv"].contains(url.pathExtension.lowercased()) else {
      separator = nil
      return
    }
    let header = file.bytes[start...].prefix { $0 != UInt8(ascii: "\n") }
    separator = [UInt8(ascii: ","), UInt8(ascii: ";"), 9].first(where: header.contains) ?? UInt8(ascii: ",")
  }

  var isCSV: Bool { separator != nil }

  func lines() -> Lines { Lines(list: self, position: start) }

  func error(line: Int, _ reason: String) -> DatasetError {
    DatasetError(.malformedList, path: file.url.path, line: line, reason: reason)
  }

  /// Walks through the lines; the columns of the present one are ranges into the file's bytes.
  struct Lines {
    let list: TextList
    /// The line that the present row begins on, from 1.
    private(set) var number = 0
    private(set) var fields: [Range<Int>] = []
    private var position: Int
    private var following = 1

    fileprivate init(list: TextList, position: Int) { (self.list, self.position) = (list, position) }

    /// Goes to the next row; an empty one has no columns. False at the end of the file.
    mutating func next() -> Bool {
      let bytes = list.file.bytes
      guard position < bytes.count else { return false }
      (number, following) = (following, following + 1)
      fields.removeAll(keepingCapacity: true)
      guard let separator = list.separator else {
        let end = bytes[position...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
        var start = position
        for i in position...end where i == end || Self.isBlank(bytes[i]) {
          if start < i { fields.append(start..<i) }
          start = i + 1
        }
        position = end + 1
        return true
      }
      var (start, end, isQuoted) = (position, position, false)
      while end < bytes.count {
        let byte = bytes[end]
        if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
        if byte == UInt8(ascii: "\n") {
          guard isQuoted else { break }
          following += 1
        }
        if byte == separator, !isQuoted {
          fields.append(trimmed(start..<end))
          start = end + 1
        }
        end += 1
      }
      fields.append(trimmed(start..<end))
      if fields.count == 1, fields[0].isEmpty { fields = [] }
      position = end + 1
      return true
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || (9...13).contains(byte) }

    private func trimmed(_ range: Range<Int>) -> Range<Int> {
      let bytes = list.file.bytes
      var (low, high) = (range.lowerBound, range.upperBound)
      while low < high, Self.isBlank(bytes[low]) { low += 1 }
      while low < high, Self.isBlank(bytes[high - 1]) { high -= 1 }
      return low..<high
    }

    func text(_ column: Int) -> String {
      let text = String(decoding: list.file.bytes[fields[column]], as: UTF8.self)
      guard list.isCSV, text.count >= 2, text.first == "\"", text.last == "\"" else { return text }
      return String(text.dropFirst().dropLast()).replacing("\"\"", with: "\"")
    }

    /// The columns as text.
    var texts: [String] { fields.indices.map(text) }

    /// The label in a column, as it is written; `nil` where it is none.
    func label(_ column: Int) -> WrittenLabel? {
      let (bytes, field) = (list.file.bytes, fields[column])
      switch field.count {
      case 0: return .missing
      case 1: return bytes[field.lowerBound] == UInt8(ascii: "1") ? .one : bytes[field.lowerBound] == UInt8(ascii: "0") ? .zero : nil
      case 2: return bytes[field.lowerBound] == UInt8(ascii: "-") && bytes[field.lowerBound + 1] == UInt8(ascii: "1") ? .minusOne : nil
      default: return nil
      }
    }

    /// The first column, a file name that stays inside its folder.
    func fileName() throws(DatasetError) -> String {
      let name = text(0)
      guard !name.isEmpty, !name.utf8.contains(UInt8(ascii: "/")), name.utf8.first != UInt8(ascii: "."), !name.utf8.contains(0)
      else { throw list.error(line: number, "\(name) is not a plain file name") }
      return name
    }
  }

  /// A label as a list has it. What 0 means depends on the others: of lists with −1, that nobody knows.
  enum WrittenLabel { case one, zero, minusOne, missing }
}

/// The rows of a list of labels: `list_attr_celeba.txt` or `.csv`, that of CelebAMask-HQ, or a set's `labels.csv`.
struct AttributeList {
  static let partitionColumn = "partition"

  private(set) var names: [String] = []
  private(set) var rows: [(name: String, line: Int, partition: Partition?)] = []
  /// 1 has it, −1 lacks it, 0 not known; rows × names, row after row.
  private(set) var labels: [Int8] = []

  /// - Parameter areNamesPlain: whether photos must be named by plain file names.
  /// - Throws: ``DatasetError`` that names the line.
  init(_ list: TextList, areNamesPlain: Bool = true) throws(DatasetError) {
    var lines = list.lines()
    var count: Int?
    if list.isCSV {
      guard lines.next(), lines.fields.count >= 2 else { throw list.error(line: 1, "expected the names of the columns") }
      names = Array(lines.texts.dropFirst())
    } else {
      guard lines.next(), lines.fields.count == 1, let announced = Int(lines.text(0)), announced >= 0 else {
        throw list.error(line: 1, "expected the number of rows, alone on the first line")
      }
      count = announced
      guard lines.next(), !lines.fields.isEmpty else { throw list.error(line: 2, "expected the names of the attributes") }
      names = lines.texts
    }
    let columns = names
    let partitionColumn = names.firstIndex(of: Self.partitionColumn)
    names.removeAll { $0 == Self.partitionColumn }
    guard Set(names.map { $0.lowercased() }).count == names.count else {
      throw list.error(line: lines.number, "an attribute is named twice")
    }
    var (hasMinusOne, zeros) = (false, [Int]())
    while lines.next() {
      if lines.fields.isEmpty { continue }
      guard lines.fields.count == columns.count + 1 else {
        let reason = "expected a file name and \(columns.count) labels, found \(lines.fields.count) columns"
        throw list.error(line: lines.number, reason)
      }
      var partition: Partition?
      for column in columns.indices {
        if column == partitionColumn {
          let text = lines.text(column + 1)
          guard let named = Partition(text) else {
            throw list.error(line: lines.number, "partition is \(text); expected train, val or test")
          }
          partition = named
          continue
        }
        switch lines.label(column + 1) {
        case .one: labels.append(1)
        case .minusOne:
          hasMinusOne = true
          labels.append(-1)
        case .zero:
          zeros.append(labels.count)
          labels.append(0)
        case .missing: labels.append(0)
        case nil:
          throw list.error(line: lines.number, "\(columns[column]) is \(lines.text(column + 1)); expected -1, 0 or 1")
        }
      }
      rows.append((areNamesPlain ? try lines.fileName() : lines.text(0), lines.number, partition))
    }
    if !hasMinusOne { for place in zeros { labels[place] = -1 } }
    if let count, rows.count != count {
      throw list.error(line: 1, "announces \(count) rows, but the file has \(rows.count)")
    }
  }
}

extension Partition {
  /// The partition for its name or its code in CelebA's list.
  init?(_ text: String) {
    if let named = Int(text).flatMap(Self.init(code:)) ?? Partition(rawValue: text.lowercased()) {
      self = named
    } else if ["valid", "validation"].contains(text.lowercased()) {
      self = .validation
    } else {
      return nil
    }
  }

  /// The partition of a photo that no list gives one: every tenth is for validation.
  init(ofPhoto index: Int) { self = index % 10 == 9 ? .validation : .train }
}

import Facet
import Files
import Foundation

/// CelebA as it is on disk: photos, 40 attributes, partitions and, where asked for, label maps.
///
///     DIR/list_attr_celeba.txt       count line, line of names, rows `000001.jpg -1 1 …`
///     DIR/list_eval_partition.txt    rows `000001.jpg 0`
///     DIR/img_align_celeba/          000001.jpg …
///     DIR/mask_faceparsing/          000001.png … (8-bit label maps of the photos' size)
///
/// Reading the lists costs time linear in their size; no picture is opened. A value is immutable.
public struct CelebA: Sendable {
  /// One photo of the data set.
  public struct Sample: Hashable, Sendable {
    /// The photo's name in the image folder, such as `000001.jpg`.
    public let fileName: String
    /// The part of the data set that it is in.
    public let partition: Partition
    /// The line of the attribute list that names the photo, from 1.
    public let line: Int
  }

  /// The name of the list of labels, in the folder.
  public static let attributeList = "list_attr_celeba.txt"
  /// The name of the list of partitions, in the folder.
  public static let partitionList = "list_eval_partition.txt"

  /// The folder.
  public let directory: URL
  /// What is read, and how.
  public let configuration: DatasetConfiguration
  /// Names of the attributes, in the list's order; 40 in CelebA.
  public let attributeNames: [String]
  /// Every photo of the attribute list, in its order.
  public let samples: [Sample]
  /// Labels, −1 or 1, samples × attributes, row after row.
  public let labels: [Int8]

  /// Reads the lists of the data set in `directory`.
  /// - Throws: ``DatasetError`` that names the file and line at fault.
  public init(directory: URL, configuration: DatasetConfiguration = .init()) throws(DatasetError) {
    try configuration.validate()
    self.directory = directory
    self.configuration = configuration
    let attributes = try AttributeList(Self.list(Self.attributeList, in: directory))
    let partitions = try readPartitions(Self.list(Self.partitionList, in: directory))
    try Self.requireFolder(configuration.imageFolder, in: directory, hint: "it holds the photos")
    if configuration.requiresMasks {
      try Self.requireFolder(
        configuration.maskFolder, in: directory,
        hint: "it holds the label maps; leave requiresMasks off where none are needed")
    }
    var samples: [Sample] = []
    samples.reserveCapacity(attributes.rows.count)
    var seen = Set<String>(minimumCapacity: attributes.rows.count)
    let path = directory.appendingPathComponent(Self.attributeList).path
    for row in attributes.rows {
      guard seen.insert(row.name).inserted else {
        throw DatasetError(.malformedList, path: path, line: row.line, reason: "\(row.name) comes a second time")
      }
      guard let partition = partitions[row.name] else {
        let reason = "\(row.name) has no row in \(Self.partitionList)"
        throw DatasetError(.malformedList, path: path, line: row.line, reason: reason)
      }
      samples.append(Sample(fileName: row.name, partition: partition, line: row.line))
    }
    self.samples = samples
    attributeNames = attributes.names
    labels = attributes.labels
  }

  /// Positions in ``samples`` of a partition's photos, ascending.
  public func indices(of partition: Partition) -> [Int] {
    samples.indices.filter { samples[$0].partition == partition }
  }

  /// The labels of one sample, −1 or 1, one per attribute.
  public func labels(of sample: Int) -> ArraySlice<Int8> {
    labels[sample * attributeNames.count..<(sample + 1) * attributeNames.count]
  }

  /// The position of an attribute in ``attributeNames``; letter case does not matter.
  /// - Throws: ``DatasetError`` of kind `unknownAttribute` that suggests the nearest name.
  public func attributeIndex(of name: String) throws(DatasetError) -> Int {
    let wanted = name.lowercased()
    if let index = attributeNames.firstIndex(where: { $0.lowercased() == wanted }) { return index }
    let nearest = Spelling.nearest(name, among: attributeNames).first
    let path = directory.appendingPathComponent(Self.attributeList).path
    let hint = nearest.map { "; did you mean \($0)?" } ?? ""
    throw DatasetError(.unknownAttribute, path: path, line: 2, reason: "no attribute is named \(name)\(hint)")
  }

  /// The photo of a sample, by its position in ``samples``.
  public func imageURL(of sample: Int) -> URL {
    directory.appendingPathComponent(configuration.imageFolder).appendingPathComponent(samples[sample].fileName)
  }

  /// The label map of a sample, by its position in ``samples``.
  public func maskURL(of sample: Int) -> URL {
    let stem = (samples[sample].fileName as NSString).deletingPathExtension
    return directory.appendingPathComponent(configuration.maskFolder).appendingPathComponent(stem + ".png")
  }

  private static func list(_ name: String, in directory: URL) throws(DatasetError) -> TextList {
    let url = directory.appendingPathComponent(name)
    do {
      return TextList(file: try MappedFile(url))
    } catch {
      throw DatasetError(.missingFile, path: url.path, reason: "cannot \(error.operation): \(error.reason)")
    }
  }

  private static func requireFolder(_ name: String, in directory: URL, hint: String) throws(DatasetError) {
    let path = directory.appendingPathComponent(name).path
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
      throw DatasetError(.missingFile, path: path, reason: "the folder is missing; \(hint)")
    }
  }
}

/// The rows of `list_attr_celeba.txt`.
private struct AttributeList {
  var names: [String] = []
  var rows: [(name: String, line: Int)] = []
  var labels: [Int8] = []

  init(_ list: TextList) throws(DatasetError) {
    var lines = list.lines()
    guard lines.next(), lines.fields.count == 1, let count = Int(lines.text(0)), count >= 0 else {
      throw list.error(line: 1, "expected the number of rows, alone on the first line")
    }
    guard lines.next(), !lines.fields.isEmpty else { throw list.error(line: 2, "expected the names of the attributes") }
    names = lines.fields.indices.map { lines.text($0) }
    guard Set(names).count == names.count else { throw list.error(line: 2, "an attribute is named twice") }
    while lines.next() {
      if lines.fields.isEmpty { continue }
      guard lines.fields.count == names.count + 1 else {
        let reason = "expected a file name and \(names.count) labels, found \(lines.fields.count) columns"
        throw list.error(line: lines.number, reason)
      }
      rows.append((try lines.fileName(), lines.number))
      for column in 1...names.count {
        guard let label = lines.label(column) else {
          let reason = "\(names[column - 1]) is \(lines.text(column)); expected -1 or 1"
          throw list.error(line: lines.number, reason)
        }
        labels.append(label)
      }
    }
    guard rows.count == count else {
      throw list.error(line: 1, "announces \(count) rows, but the file has \(rows.count)")
    }
  }
}

/// The rows of `list_eval_partition.txt`.
private func readPartitions(_ list: TextList) throws(DatasetError) -> [String: Partition] {
  var partitions: [String: Partition] = [:]
  var lines = list.lines()
  while lines.next() {
    if lines.fields.isEmpty { continue }
    guard lines.fields.count == 2 else {
      let reason = "expected a file name and a partition, found \(lines.fields.count) columns"
      throw list.error(line: lines.number, reason)
    }
    guard let partition = Int(lines.text(1)).flatMap(Partition.init(code:)) else {
      throw list.error(line: lines.number, "partition is \(lines.text(1)); expected 0, 1 or 2")
    }
    let name = try lines.fileName()
    guard partitions.updateValue(partition, forKey: name) == nil else {
      throw list.error(line: lines.number, "\(name) comes a second time")
    }
  }
  return partitions
}

/// A text file of lines with columns between blanks.
private struct TextList {
  let file: MappedFile

  func lines() -> Lines { Lines(list: self) }

  func error(line: Int, _ reason: String) -> DatasetError {
    DatasetError(.malformedList, path: file.url.path, line: line, reason: reason)
  }

  /// Walks through the lines; the columns of the present one are ranges into the file's bytes.
  struct Lines {
    let list: TextList
    var number = 0
    var fields: [Range<Int>] = []
    private var position = 0

    init(list: TextList) { self.list = list }

    /// Goes to the next line; false at the end of the file.
    mutating func next() -> Bool {
      let bytes = list.file.bytes
      guard position < bytes.count else { return false }
      number += 1
      fields.removeAll(keepingCapacity: true)
      let end = bytes[position...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
      var start = position
      for i in position...end where i == end || bytes[i] == UInt8(ascii: " ") || (9...13).contains(bytes[i]) {
        if start < i { fields.append(start..<i) }
        start = i + 1
      }
      position = end + 1
      return true
    }

    func text(_ column: Int) -> String {
      String(decoding: list.file.bytes[fields[column]], as: UTF8.self)
    }

    /// The label in a column, -1 or 1, or nil where it is neither.
    func label(_ column: Int) -> Int8? {
      let bytes = list.file.bytes
      let field = fields[column]
      guard bytes[field.upperBound - 1] == UInt8(ascii: "1") else { return nil }
      if field.count == 1 { return 1 }
      return field.count == 2 && bytes[field.lowerBound] == UInt8(ascii: "-") ? -1 : nil
    }

    /// The first column, a file name that stays inside its folder.
    func fileName() throws(DatasetError) -> String {
      let name = text(0)
      guard !name.utf8.contains(UInt8(ascii: "/")), name.utf8.first != UInt8(ascii: "."), !name.utf8.contains(0) else {
        throw list.error(line: number, "\(name) is not a plain file name")
      }
      return name
    }
  }
}

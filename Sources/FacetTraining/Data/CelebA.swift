import Facet
import Files
import Foundation

/// A data set of faces on disk: photos, labels, partitions and, where asked for, label maps. CelebA and CelebA-HQ are read as
/// they are published and as Kaggle packs them, and so is a set that ``CropSetWriter`` has made of any photos.
///
///     DIR/list_attr_celeba.txt       count line, line of names, rows `000001.jpg -1 1 …`; or .csv
///     DIR/list_eval_partition.txt    rows `000001.jpg 0`; or .csv
///     DIR/img_align_celeba/          000001.jpg …, or .png
///     DIR/mask_faceparsing/          000001.png … (8-bit label maps of the photos' size)
///
/// The lists may lie in `Anno` and `Eval`, the photos in `Img`. Reading the lists costs time linear in their size; no picture is
/// opened. A value is immutable.
public struct CelebA: Sendable {
  /// One photo of the data set.
  public struct Sample: Hashable, Sendable {
    /// The photo's name in the image folder, such as `000001.jpg`; of a prepared set its path when the set was made.
    public let fileName: String
    /// The part of the data set that it is in.
    public let partition: Partition
    /// The line of the list of labels that names the photo, from 1; 0 where there is none.
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
  /// Labels, samples × attributes, row after row: 1 has it, −1 lacks it, 0 where it is not known.
  public let labels: [Int8]
  /// The pictures of a prepared set.
  let crops: CropSet?
  private let attributeURL: URL
  private let images, masks: URL
  private let ending: String?

  /// The list of labels in a prepared set.
  static let preparedList = "labels.csv"

  /// Reads the lists of the data set in `directory`.
  /// - Throws: ``DatasetError`` that names the file and line at fault.
  public init(directory: URL, configuration: DatasetConfiguration = .init()) throws(DatasetError) {
    try configuration.validate()
    self.directory = directory
    self.configuration = configuration
    if CropSet.exists(at: directory) {
      let crops: CropSet
      do { crops = try CropSet(contentsOf: directory, isVerified: false) } catch {
        throw error as? DatasetError ?? DatasetError(.missingFile, path: directory.path, reason: "\(error)")
      }
      guard configuration.crop != .whole else {
        throw DatasetError(
          .invalidConfiguration, path: directory.path,
          reason: "a prepared set has crops, and this model sees CelebA's whole frames")
      }
      (self.crops, images, masks, ending) = (crops, directory, directory, nil)
      attributeURL = directory.appendingPathComponent(Self.preparedList)
      (attributeNames, samples, labels) = try Self.prepared(crops, attributeURL)
      return
    }
    let layout = try CelebALayout(directory, configuration)
    let list = try AttributeList(TextList(layout.attributes))
    let partitions = try layout.readPartitions()
    let path = layout.attributes.path
    var samples: [Sample] = []
    samples.reserveCapacity(list.rows.count)
    var seen = Set<String>(minimumCapacity: list.rows.count)
    for row in list.rows {
      guard seen.insert(row.name).inserted else {
        throw DatasetError(.malformedList, path: path, line: row.line, reason: "\(row.name) comes a second time")
      }
      let partition = partitions[(row.name as NSString).deletingPathExtension]
      guard partition != nil || partitions.isEmpty && layout.partitions == nil else {
        let reason = "\(row.name) has no row in \((layout.partitions ?? layout.mapping)?.lastPathComponent ?? "")"
        throw DatasetError(.malformedList, path: path, line: row.line, reason: reason)
      }
      samples.append(
        Sample(fileName: row.name, partition: partition ?? Partition(ofPhoto: samples.count), line: row.line))
    }
    (crops, images, masks) = (nil, layout.images, layout.masks)
    ending = layout.ending(of: samples.lazy.map(\.fileName))
    attributeURL = layout.attributes
    self.samples = samples
    attributeNames = list.names
    labels = list.labels
  }

  /// The faces of a prepared set with the labels that its list has of them; a set without one has no labels.
  private static func prepared(
    _ crops: CropSet, _ url: URL
  ) throws(DatasetError) -> (names: [String], samples: [Sample], labels: [Int8]) {
    let list = FileManager.default.fileExists(atPath: url.path) ? try AttributeList(TextList(url), areNamesPlain: false) : nil
    var rows: [String: Int] = [:]
    for (place, row) in (list?.rows ?? []).enumerated() {
      guard rows.updateValue(place, forKey: row.name) == nil else {
        throw DatasetError(.malformedList, path: url.path, line: row.line, reason: "\(row.name) comes a second time")
      }
    }
    let names = list?.names ?? []
    var (samples, labels) = ([Sample](), [Int8]())
    for (face, photo) in try crops.photos().enumerated() {
      let place = rows[photo]
      let row = place.flatMap { list?.rows[$0] }
      samples.append(Sample(fileName: photo, partition: row?.partition ?? Partition(ofPhoto: face), line: row?.line ?? 0))
      if let place, let list {
        labels += list.labels[place * names.count..<(place + 1) * names.count]
      } else {
        labels += [Int8](repeating: 0, count: names.count)
      }
    }
    return (names, samples, labels)
  }

  /// Positions in ``samples`` of a partition's photos, ascending.
  public func indices(of partition: Partition) -> [Int] {
    samples.indices.filter { samples[$0].partition == partition }
  }

  /// The labels of one sample, −1, 1 or, where it is not known, 0, one per attribute.
  public func labels(of sample: Int) -> ArraySlice<Int8> {
    labels[sample * attributeNames.count..<(sample + 1) * attributeNames.count]
  }

  /// The position of an attribute in ``attributeNames``; letter case does not matter.
  /// - Throws: ``DatasetError`` of kind `unknownAttribute` that suggests the nearest name.
  public func attributeIndex(of name: String) throws(DatasetError) -> Int {
    let wanted = name.lowercased()
    if let index = attributeNames.firstIndex(where: { $0.lowercased() == wanted }) { return index }
    let nearest = Spelling.nearest(name, among: attributeNames).first
    let path = attributeURL.path
    let hint = nearest.map { "; did you mean \($0)?" } ?? ""
    throw DatasetError(.unknownAttribute, path: path, line: 2, reason: "no attribute is named \(name)\(hint)")
  }

  /// The file of a photo; of a prepared set the file that holds it with others.
  public func imageURL(of sample: Int) -> URL {
    if let crops { return crops.url(of: sample) }
    let name = samples[sample].fileName
    return images.appendingPathComponent(ending.map { "\((name as NSString).deletingPathExtension).\($0)" } ?? name)
  }

  /// The file of a photo's label map; of a prepared set the file that holds it with others.
  public func maskURL(of sample: Int) -> URL {
    if let crops { return crops.url(of: sample) }
    return masks.appendingPathComponent((samples[sample].fileName as NSString).deletingPathExtension + ".png")
  }

  /// - Throws: ``DatasetError`` where the photos are no files of their own.
  func requireFiles(for purpose: String) throws(DatasetError) {
    guard crops != nil else { return }
    throw DatasetError(
      .invalidConfiguration, path: directory.path, reason: "a prepared set has no photos; \(purpose) needs a folder laid out as CelebA")
  }
}

import Foundation

/// The places of a data set's parts: CelebA as its authors give it (`Anno`, `Eval`, `Img`), as one folder, as Kaggle packs it
/// (CSV lists, a folder in a folder), and CelebA-HQ with the attribute list of CelebAMask-HQ.
struct CelebALayout {
  let attributes: URL
  /// `nil` for CelebA-HQ, whose photos have the partitions of the photos in CelebA.
  let partitions: URL?
  /// CelebA-HQ's list of its photos in CelebA, where it is there.
  let mapping: URL?
  let images, masks: URL

  private static let highQualityList = "CelebAMask-HQ-attribute-anno.txt"
  private static let lists = ["list_attr_celeba.txt", "list_attr_celeba.csv"]

  init(_ directory: URL, _ configuration: DatasetConfiguration) throws(DatasetError) {
    func existing(_ paths: [String], in folder: URL, isFolder: Bool = false) -> URL? {
      paths.lazy.map { folder.appendingPathComponent($0, isDirectory: isFolder) }.first { url in
        var found: ObjCBool = false
        return FileManager.default.fileExists(atPath: url.path, isDirectory: &found) && found.boolValue == isFolder
      }
    }
    func missing(_ path: String, _ reason: String) -> DatasetError {
      DatasetError(.missingFile, path: directory.appendingPathComponent(path).path, reason: reason)
    }
    let candidates = Self.lists + Self.lists.map { "Anno/" + $0 } + [Self.highQualityList]
    let roots = ["", "CelebAMask-HQ", "CelebA", "celeba"].map { $0.isEmpty ? directory : directory.appendingPathComponent($0) }
    guard let (root, attributes) = roots.lazy.compactMap({ root in existing(candidates, in: root).map { (root, $0) } }).first
    else {
      throw missing(
        CelebA.attributeList,
        "the list of labels is missing; take a folder of CelebA's, or make a set of any photos with 'facet prepare'")
    }
    self.attributes = attributes
    let isHighQuality = attributes.lastPathComponent == Self.highQualityList
    let partitionLists = [CelebA.partitionList, "list_eval_partition.csv"]
    partitions = existing(partitionLists + ["Eval/", "Anno/"].flatMap { folder in partitionLists.map { folder + $0 } }, in: root)
    mapping = existing(["CelebA-HQ-to-CelebA-mapping.txt"], in: root)
    if partitions == nil, !isHighQuality {
      throw missing(CelebA.partitionList, "the list is missing; it says which photos are for training")
    }
    let folder = configuration.imageFolder
    let folders = [folder, folder + "_png"]
    guard let images = existing(folders + folders.map { "Img/" + $0 } + ["CelebA-HQ-img"], in: root, isFolder: true) else {
      throw missing(folder, "the folder is missing; it holds the photos")
    }
    self.images = existing([images.lastPathComponent], in: images, isFolder: true) ?? images
    let masks = existing([configuration.maskFolder, "Img/" + configuration.maskFolder], in: root, isFolder: true)
    if masks == nil, configuration.requiresMasks {
      let folder = root.appendingPathComponent(configuration.maskFolder).path
      throw DatasetError(
        .missingFile, path: folder,
        reason: "the folder of label maps is missing; make it with 'facet parse \(self.images.path) -o \(folder) --resume --skip'")
    }
    self.masks = masks ?? root.appendingPathComponent(configuration.maskFolder, isDirectory: true)
  }

  /// The ending of the photos' names, where they are there with another one than the list has: png instead of jpg.
  func ending(of names: some Sequence<String>) -> String? {
    for name in names.prefix(8) {
      func exists(_ name: String) -> Bool {
        FileManager.default.fileExists(atPath: images.appendingPathComponent(name).path)
      }
      if exists(name) { return nil }
      let stem = (name as NSString).deletingPathExtension
      if let ending = ["png", "jpg", "jpeg", "webp"].first(where: { exists("\(stem).\($0)") }) { return ending }
    }
    return nil
  }

  /// The partitions of the photos that have one.
  func readPartitions() throws(DatasetError) -> [String: Partition] {
    if let partitions { return try Self.partitions(TextList(partitions)) }
    guard let mapping else { return [:] }
    // CelebA-HQ: its number, and the number and the name of the photo in CelebA.
    let list = try TextList(mapping)
    var (lines, result) = (list.lines(), [String: Partition]())
    while lines.next() {
      guard lines.fields.count == 3, let number = Int(lines.text(0)) else { continue }
      guard let original = Int((lines.text(2) as NSString).deletingPathExtension) else {
        throw list.error(line: lines.number, "\(lines.text(2)) is not a photo of CelebA")
      }
      result["\(number)"] = original <= 162_770 ? .train : original <= 182_637 ? .validation : .test
    }
    return result
  }

  private static func partitions(_ list: TextList) throws(DatasetError) -> [String: Partition] {
    var partitions: [String: Partition] = [:]
    var lines = list.lines()
    if list.isCSV { _ = lines.next() }
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
      guard partitions.updateValue(partition, forKey: (name as NSString).deletingPathExtension) == nil else {
        throw list.error(line: lines.number, "\(name) comes a second time")
      }
    }
    return partitions
  }
}

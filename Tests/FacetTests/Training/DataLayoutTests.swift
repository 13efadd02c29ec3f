import Foundation
import Photo
import Testing
import Torch

@testable import Facet
@testable import FacetTraining

/// The places in which CelebA and CelebA-HQ come, each made of the drawn data set.
struct DataLayoutTests {
  private let fixture: DatasetFixture
  private let files = FileManager.default

  init() throws { fixture = try DatasetFixture(count: 8) }

  private func url(_ path: String) -> URL { fixture.folder.appendingPathComponent(path) }

  private func move(_ path: String, to target: String) throws {
    try files.createDirectory(at: url(target).deletingLastPathComponent(), withIntermediateDirectories: true)
    try files.moveItem(at: url(path), to: url(target))
  }

  private func rewrite(_ path: String, as target: String? = nil, _ change: (String) -> String) throws {
    let text = try String(contentsOf: url(path), encoding: .utf8)
    try files.removeItem(at: url(path))
    try change(text).write(to: url(target ?? path), atomically: true, encoding: .utf8)
  }

  /// CelebA's list as a CSV file has it.
  private func csv(_ text: String) -> String {
    text.split(whereSeparator: \.isNewline).dropFirst().enumerated().map { index, line in
      (index == 0 ? ["image_id"] : []) + line.split(separator: " ").map(String.init)
    }.map { $0.joined(separator: ",") }.joined(separator: "\r\n")
  }

  /// Expects the data set to be what it is in CelebA's plain folder, to the pixels.
  private func expectSame(_ names: [String]? = nil, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let dataset = try fixture.dataset()
    let expected = try DatasetFixture(count: 8)
    let plain = try expected.dataset()
    #expect(dataset.attributeNames == plain.attributeNames, sourceLocation: sourceLocation)
    #expect(dataset.labels == plain.labels, sourceLocation: sourceLocation)
    #expect(
      dataset.samples.map(\.fileName) == names ?? plain.samples.map(\.fileName), sourceLocation: sourceLocation)
    #expect(dataset.samples.map(\.partition) == plain.samples.map(\.partition), sourceLocation: sourceLocation)
    let (cache, other) = (try fixture.cache(of: dataset), try expected.cache(of: plain))
    #expect(cache.count == 6 && cache.skipped.isEmpty, sourceLocation: sourceLocation)
    for position in 0..<cache.count {
      let (a, b) = (cache.pixels(position), other.pixels(position))
      #expect(a.image == b.image && a.mask == b.mask, sourceLocation: sourceLocation)
    }
  }

  @Test func listsWithAByteOrderMark() throws {
    for list in [CelebA.attributeList, CelebA.partitionList] { try rewrite(list) { "\u{FEFF}" + $0 } }
    try expectSame()
  }

  @Test func photosAsPNG() throws {
    for i in 0..<8 {
      let name = String(format: "img_align_celeba/%06d", i + 1)
      try move(name + ".jpg", to: name + ".png")
    }
    try expectSame()
    try move("img_align_celeba", to: "img_align_celeba_png")
    try expectSame()
  }

  @Test func listsAsCSVAndAFolderInAFolder() throws {
    try rewrite(CelebA.attributeList, as: "list_attr_celeba.csv", csv)
    try rewrite(CelebA.partitionList, as: "list_eval_partition.csv") {
      "image_id,partition\n" + $0.split(whereSeparator: \.isNewline).map { $0.replacing(" ", with: ",") }.joined(separator: "\n")
    }
    try move("img_align_celeba", to: "inner")
    try move("inner", to: "img_align_celeba/img_align_celeba")
    try expectSame()
  }

  @Test func foldersOfTheAuthors() throws {
    try move(CelebA.attributeList, to: "Anno/list_attr_celeba.txt")
    try move(CelebA.partitionList, to: "Eval/list_eval_partition.txt")
    try move("img_align_celeba", to: "Img/img_align_celeba")
    try expectSame()
  }

  @Test func labelsOfZeroAndOne() throws {
    try rewrite(CelebA.attributeList) { $0.replacing("-1", with: " 0") }
    try expectSame()
  }

  @Test func highQualityWithItsOwnList() throws {
    let numbers = Array(0..<8)
    for i in numbers {
      try move(String(format: "img_align_celeba/%06d.jpg", i + 1), to: "CelebAMask-HQ/CelebA-HQ-img/\(i).jpg")
      try move(String(format: "mask_faceparsing/%06d.png", i + 1), to: "CelebAMask-HQ/mask_faceparsing/\(i).png")
    }
    try rewrite(CelebA.attributeList) { text in
      numbers.reduce(text) { $0.replacing(String(format: "%06d.jpg", $1 + 1), with: "\($1).jpg ") }
    }
    try move(CelebA.attributeList, to: "CelebAMask-HQ/CelebAMask-HQ-attribute-anno.txt")
    try files.removeItem(at: url(CelebA.partitionList))
    // Without the list of what they are in CelebA, every tenth is for validation.
    #expect(try fixture.dataset().indices(of: .train).count == 8)
    let rows = numbers.map { "\($0)  \($0 % 4 == 3 ? 170_000 : 5)  \($0 % 4 == 3 ? "170001" : "000006").jpg" }
    try (["idx orig_idx orig_file"] + rows).joined(separator: "\n")
      .write(to: url("CelebAMask-HQ/CelebA-HQ-to-CelebA-mapping.txt"), atomically: true, encoding: .utf8)
    try expectSame(numbers.map { "\($0).jpg" })
  }

  @Test func missingMasksNameTheCommand() throws {
    try files.removeItem(at: url("mask_faceparsing"))
    let error = #expect(throws: DatasetError.self) { try fixture.dataset() }
    #expect(error?.reason.contains("facet parse \(url("img_align_celeba").path) -o \(url("mask_faceparsing").path)") == true)
  }

  @Test func listsOfCSVHaveGaps() throws {
    try files.removeItem(at: url(CelebA.attributeList))
    let rows = (1...8).map { String(format: "%06d.jpg", $0) + ($0 % 2 == 0 ? ",1,," : ",-1,0,1") }
    try (["image_id,Smiling,Eyeglasses,\"Has, \"\"quotes\"\"\""] + rows).joined(separator: "\n")
      .write(to: url("list_attr_celeba.csv"), atomically: true, encoding: .utf8)
    let dataset = try fixture.dataset()
    #expect(dataset.attributeNames == ["Smiling", "Eyeglasses", "Has, \"quotes\""])
    // Beside −1, 0 is not known.
    #expect(Array(dataset.labels(of: 0)) == [-1, 0, 1])
    #expect(Array(dataset.labels(of: 1)) == [1, 0, 0])
  }
}

struct PhotoLabelsTests {
  private func table(_ text: String, _ definitions: [String] = [], in folder: URL) throws -> PhotoLabels {
    let url = folder.appendingPathComponent("people.csv")
    try text.write(to: url, atomically: true, encoding: .utf8)
    return try PhotoLabels(contentsOf: url, definitions: definitions.map { try LabelDefinition($0) })
  }

  @Test func aSetTrainsWithLabelsOfATable() throws {
    let set = try DrawnCrops(count: 12)
    defer { set.remove() }
    // Without labels it is a data set, too.
    let bare = try CelebA(directory: set.folder)
    #expect(bare.attributeNames.isEmpty && bare.samples.count == 12 && bare.indices(of: .validation) == [9])

    let rows = (0..<11).map { "p/\($0)\($0 % 2 == 0 ? ".jpg" : ""),\($0 == 4 ? "" : "\(20 + 8 * $0)"),\($0 % 2 == 0 ? "male" : "female"),yes" }
    let text = (["file,age,sex,human", "strangers/77.jpg,3,male,yes"] + rows).joined(separator: "\r\n")
    let labels = try table(text, ["Old: age > 50", "sex = male", "human"], in: set.folder)
    #expect(labels.names == ["Old", "sex_male", "human"])
    let report = try labels.write(to: set.folder)
    #expect(report.labelled == 11 && report.unused == 1)
    #expect(report.counts.map(\.present) == [6, 6, 11] && report.counts.map(\.absent) == [4, 5, 0])

    var configuration = DatasetConfiguration()
    configuration.size = 32
    let dataset = try CelebA(directory: set.folder, configuration: configuration)
    #expect(dataset.attributeNames == ["Old", "sex_male", "human"])
    #expect(Array(dataset.labels(of: 0)) == [-1, 1, 1])
    #expect(Array(dataset.labels(of: 4)) == [0, 1, 1])
    #expect(Array(dataset.labels(of: 5)) == [1, -1, 1])
    #expect(Array(dataset.labels(of: 11)) == [0, 0, 0])
    let cache = try DecodedCache.open(dataset, partition: .train, in: set.folder.appendingPathComponent("cache"))
    #expect(cache.count == 11 && cache.skipped.isEmpty)
    let expected = try CropSet(contentsOf: set.folder).picture(1).resized(to: (32, 32)).pixels
    #expect(cache.pixels(1).image == expected)
    #expect(cache.pixels(1).mask.allSatisfy { $0 == 1 })

    let photos = EncodedPhotos(
      codes: try .zeros([12, 2]), labels: dataset.labels, attributeNames: dataset.attributeNames)
    let usable = photos.usableLabels()
    #expect(usable.names == ["Old", "sex_male"] && usable.faults == ["'human': 11 photos have it, 0 lack it"])
    let selected = try photos.selecting(usable.names)
    #expect(selected.groups()[0].positives == Array(5...10) && selected.groups()[0].negatives == Array(0...3))
    // What is not known has the mean of what is.
    let presence = try selected.presence().array(Double.self)
    #expect(abs(presence[4 * 2] - 0.6) < 1e-12 && abs(presence[11 * 2 + 1] - 6.0 / 11) < 1e-12)
    #expect(throws: CombinedDirectionError.otherLabels) { try photos.selecting(["Young"]) }
  }

  @Test func partitionsOfATableAreTaken() throws {
    let set = try DrawnCrops(count: 4)
    defer { set.remove() }
    let rows = ["0,1,train", "1,0,val", "2,1,1", "3,,test"]
    _ = try table((["photo,smile,split"] + rows).joined(separator: "\n"), in: set.folder).write(to: set.folder)
    let dataset = try CelebA(directory: set.folder)
    #expect(dataset.attributeNames == ["smile"])
    #expect(dataset.indices(of: .train) == [0] && dataset.indices(of: .validation) == [1, 2])
    #expect(dataset.indices(of: .test) == [3])
  }

  @Test func columnsOfAnyNamesBecomeLabels() throws {
    let set = try DrawnCrops(count: 2)
    defer { set.remove() }
    let labels = try table("file,age > 50,Is smiling?\n0,1,no\n1,,true\n", in: set.folder)
    #expect(labels.names == ["age_50", "Is_smiling"])
    _ = try labels.write(to: set.folder)
    #expect(try CelebA(directory: set.folder).labels == [1, -1, 0, 1])
  }

  @Test func faultsNameTheLineAndTheCure() throws {
    let set = try DrawnCrops(count: 2)
    defer { set.remove() }
    func fault(_ text: String, _ definitions: [String] = [], says expected: String) throws {
      let error = #expect(throws: (any Error).self) { _ = try table(text, definitions, in: set.folder).write(to: set.folder) }
      #expect("\(error.map { "\($0)" } ?? "")".contains(expected), "\(error.map { "\($0)" } ?? "none")")
    }
    try fault("file,sex\n0,male\n", says: "people.csv:2: sex is 'male'")
    try fault("file,sex\n0,male\n", says: "--label 'NAME: sex = male'")
    try fault("file,age\n0,old\n", ["age > 50"], says: "people.csv:2: age is 'old'; expected a number")
    try fault("file,age\n0,60\n", ["aeg > 50"], says: "did you mean age?")
    try fault("file,age\n0,60,7\n", ["age > 50"], says: "people.csv:2: expected 2 columns, found 3")
    try fault("file,smile\n0,1\n0,1\n", says: "people.csv:3: 0 comes a second time")
    try fault("file,smile\n9,1\n", says: "names none of the photos")
    try fault("file,2nd\n0,1\n", says: "cannot be a label's name")
    try fault("file,a b,a?b\n0,1,1\n", says: "two labels would be named a_b")
    for text in ["", "age >", "age > fifty", "2: age", ": age", "partition", "Old: "] {
      #expect(throws: TrainingError.self, "\(text)") { try LabelDefinition(text) }
    }
  }

  @Test func labelsThatAreNotKnownDecideNothing() throws {
    let names = ["A", "B"]
    func truth(_ query: String, _ labels: [Int8]) throws -> Bool? { try LabelQuery(query, attributes: names).truth(of: labels[...]) }
    #expect(try truth("A", [0, 1]) == nil && truth("!A", [0, 1]) == nil && truth("A=-1", [0, 1]) == nil)
    #expect(try truth("A | B", [0, 1]) == true && truth("A & B", [0, 1]) == nil && truth("A & !B", [0, 1]) == false)
    #expect(try truth("A | !B", [0, 1]) == nil && truth("A", [1, 0]) == true && truth("A", [-1, 0]) == false)
    let labels: [Int8] = [1, 0, -1, 0, 0, 1, 1, 1]
    let groups = try CombinedDirection("a", positives: "A").groups(labels, attributes: names)
    #expect(groups.positives == [0, 3] && groups.negatives == [1])
  }

  @Test func labelHeadLearnsNothingFromGaps() throws {
    let head = try LabelHead(latentSize: 4, labelCount: 3, seed: 1)
    let codes = try Tensor.randn([5, 4], generator: Generator(seed: 2))
    let labels = try Tensor([Int8](repeating: 1, count: 15), shape: [5, 3]).to(.float32)
    let plain = try head.linear(codes).binaryCrossEntropyWithLogits((labels > 0).to(.float32)).item()
    #expect(try head.loss(of: codes, labels: labels).item() == plain)
    #expect(try head.loss(of: codes, labels: labels * 0).item() < 1e-12)
    try head.setRequiresGrad(true)
    try head.loss(of: codes, labels: labels * 0).backward()
    #expect(try head.linear.weight.tensor.grad?.abs().sum().item() ?? 0 < 1e-12)
  }
}

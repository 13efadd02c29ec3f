import Foundation
import Photo
import Testing
import Torch

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

struct DataCelebATests {
  @Test func listsAreRead() throws {
    let fixture = try DatasetFixture(count: 8)
    let dataset = try fixture.dataset()
    #expect(dataset.attributeNames == ["Smiling", "Eyeglasses", "Male"])
    #expect(dataset.samples.count == 8)
    #expect(dataset.indices(of: .train) == [0, 1, 2, 4, 5, 6])
    #expect(dataset.indices(of: .validation) == [3, 7])
    #expect(dataset.indices(of: .test).isEmpty)
    #expect(Array(dataset.labels(of: 5)) == [1, -1, 1])
    #expect(dataset.samples[5].line == 8)
    #expect(try dataset.attributeIndex(of: "male") == 2)
    #expect(dataset.imageURL(of: 1).lastPathComponent == "000002.jpg")
    #expect(dataset.maskURL(of: 1).lastPathComponent == "000002.png")
  }

  /// Expects the fault that `change` makes to be told with the file and line.
  private func expectError(
    _ kind: DatasetError.Kind, _ texts: String..., change: (DatasetFixture) throws -> Void,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let fixture = try DatasetFixture(count: 4)
    try change(fixture)
    let error = #expect(throws: DatasetError.self, sourceLocation: sourceLocation) { try fixture.dataset() }
    #expect(error?.kind == kind, sourceLocation: sourceLocation)
    for text in texts {
      #expect(error?.description.contains(text) == true, "\(error?.description ?? "")", sourceLocation: sourceLocation)
    }
  }

  @Test func missingFilesAreNamed() throws {
    for name in ["list_attr_celeba.txt", "list_eval_partition.txt", "img_align_celeba", "mask_faceparsing"] {
      try expectError(.missingFile, "/\(name): ") {
        try FileManager.default.removeItem(at: $0.folder.appendingPathComponent(name))
      }
    }
  }

  @Test func masksMayBeAbsentWhereNoneAreNeeded() throws {
    let fixture = try DatasetFixture(count: 4, masks: false)
    var configuration = fixture.configuration()
    #expect(throws: DatasetError.self) { try CelebA(directory: fixture.folder, configuration: configuration) }
    configuration.requiresMasks = false
    #expect(try CelebA(directory: fixture.folder, configuration: configuration).samples.count == 4)
  }

  @Test func malformedRowsAreNamed() throws {
    try expectError(.malformedList, "list_attr_celeba.txt:4: ", "found 5 columns") {
      $0.attributeRows[1] = "000002.jpg -1 1 1 1"
      try $0.writeLists()
    }
    try expectError(.malformedList, "list_attr_celeba.txt:5: ", "Eyeglasses is 2") {
      $0.attributeRows[2] = "000003.jpg -1 2 1"
      try $0.writeLists()
    }
    try expectError(.malformedList, "list_attr_celeba.txt:1: ", "9", "4") { try $0.writeLists(announcing: 9) }
    try expectError(.malformedList, "list_attr_celeba.txt:6: ", "second time") {
      $0.attributeRows[3] = "000001.jpg -1 1 1"
      try $0.writeLists()
    }
    try expectError(.malformedList, "list_attr_celeba.txt:3: ", "plain file name") {
      $0.attributeRows[0] = "../000001.jpg -1 1 1"
      try $0.writeLists()
    }
    try expectError(.malformedList, "list_eval_partition.txt:2: ", "expected 0, 1 or 2") {
      $0.partitionRows[1] = "000002.jpg 3"
      try $0.writeLists()
    }
    try expectError(.malformedList, "list_eval_partition.txt:3: ", "1 columns") {
      $0.partitionRows[2] = "000003.jpg"
      try $0.writeLists()
    }
    try expectError(.malformedList, "list_attr_celeba.txt:6: ", "000004.jpg has no row") {
      $0.partitionRows.removeLast()
      try $0.writeLists()
    }
    try expectError(.malformedList, "list_attr_celeba.txt:1: ") {
      try Data().write(to: $0.folder.appendingPathComponent("list_attr_celeba.txt"))
    }
    try expectError(.malformedList, "list_attr_celeba.txt:2: ", "twice") {
      $0.attributeNames = ["Smiling", "Male", "Male"]
      try $0.writeLists()
    }
  }

  @Test func hostileBytesInListsAreErrors() throws {
    var generator = SplitMix64(seed: 3)
    for _ in 0..<50 {
      try expectError(.malformedList) { fixture in
        let bytes = (0..<Int.random(in: 1..<400, using: &generator)).map { _ in
          UInt8.random(in: 0...255, using: &generator)
        }
        try Data(bytes).write(to: fixture.folder.appendingPathComponent("list_attr_celeba.txt"))
      }
    }
  }

  @Test func unknownAttributeSuggestsTheNearest() throws {
    let dataset = try DatasetFixture(count: 2).dataset()
    let error = #expect(throws: DatasetError.self) { try dataset.attributeIndex(of: "Smilling") }
    #expect(error?.kind == .unknownAttribute)
    #expect(error?.description.contains("list_attr_celeba.txt:2: ") == true)
    #expect(error?.description.contains("did you mean Smiling?") == true)
  }

  @Test func configurationIsChecked() throws {
    let fixture = try DatasetFixture(count: 2)
    func expect(_ field: String, _ change: (inout DatasetConfiguration) -> Void) {
      var configuration = fixture.configuration()
      change(&configuration)
      let error = #expect(throws: DatasetError.self) {
        try CelebA(directory: fixture.folder, configuration: configuration)
      }
      #expect(error?.kind == .invalidConfiguration)
      #expect(error?.path == field)
    }
    expect("size") { $0.size = 0 }
    expect("size") { $0.size = 1 << 40 }
    expect("crop") { $0.crop = .window(x: -1, y: 0, width: 4, height: 4) }
    expect("crop") { $0.crop = .window(x: .max, y: 0, width: .max, height: 4) }
    expect("backgroundClasses") { $0.backgroundClasses = [0, 256] }
    expect("toleratedFaults") { $0.toleratedFaults = .nan }
  }

  @Test func configurationHasDefaultsInJSON() throws {
    let json = Data(#"{"size": 144, "crop": {"window": {"x": 4, "y": 39, "width": 170, "height": 170}}}"#.utf8)
    let configuration = try JSONDecoder().decode(DatasetConfiguration.self, from: json)
    #expect(configuration.size == 144)
    #expect(configuration.crop == .celebAWindow)
    #expect(configuration.backgroundClasses == [0, 7, 8, 9, 14, 15, 16])
    let again = try JSONDecoder().decode(
      DatasetConfiguration.self, from: try JSONEncoder().encode(configuration))
    #expect(again == configuration)
  }

  @Test func automaticCropKnowsCelebAsFrame() throws {
    let crop = DatasetConfiguration.Crop.automatic
    #expect(try #require(crop.window(inWidth: 178, height: 218)) == Window(x: 4, y: 39, width: 170, height: 170))
    #expect(try #require(crop.window(inWidth: 144, height: 144)) == Window(x: 0, y: 0, width: 144, height: 144))
    #expect(DatasetConfiguration.Crop.celebAWindow.window(inWidth: 144, height: 144) == nil)
  }

  @Test(.enabled(if: realData != nil, "FACET_DATA is not set")) func realListsAreRead() throws {
    let crops = try CelebA(directory: try #require(realData).appendingPathComponent("celeba"))
    #expect(crops.attributeNames.count == 40)
    #expect(crops.attributeNames[31] == "Smiling")
    #expect(crops.indices(of: .train).count == 18_829)
    #expect(crops.indices(of: .validation).count == 1_129)
    #expect(crops.samples[0].fileName == "000002.jpg")
    #expect(crops.labels(of: 0).count { $0 == 1 } == 8)

    var configuration = DatasetConfiguration()
    configuration.requiresMasks = false
    let frames = try CelebA(
      directory: try #require(realData).appendingPathComponent("celeba-original"), configuration: configuration)
    #expect(frames.samples.count == 1_200)
  }
}

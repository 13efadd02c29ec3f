import Files
import Foundation
import Photo
import Testing
import Torch

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

@Suite("Prototypes of skin") struct SkinLinesTests {
  private static let size = SkinPrototype.size
  private static let edit = AttributeState(name: "Young", adds: false)

  /// The astronaut's landmarks, about where CelebA's frame has them.
  private static let landmarks: [Point] = (0..<68).map { index in
    let (x, y) = (PortraitTests.dlibLandmarks[2 * index], PortraitTests.dlibLandmarks[2 * index + 1])
    return Point(x: (Double(x) - 224) * 0.85 + 89, y: Double(y) * 0.85 + 27)
  }

  /// From a crop of the window to CelebA's frame.
  private static func place(_ side: Int) -> Affine {
    let window = FaceAlignment.window
    return Affine(Similarity(scale: window.side / Double(side), tx: window.x, ty: window.y))
  }

  private static func prototype(skin: Double, shade: Double, ratio: Double = 0) throws -> SkinPrototype {
    let planes = try [skin, shade, ratio, ratio].map { try Tensor.full([1, 1, size, size], $0) }
    return SkinPrototype(edit: edit, landmarks: landmarks, maps: try .cat(planes, dim: 1))
  }

  private static func largest(_ tensor: Tensor) throws -> Float { try tensor.array(Float.self).map(abs).max() ?? 0 }

  // MARK: Moving landmarks

  @Test func landmarksTakeWhatIsNearAlong() throws {
    let places = [Self.landmarks[30], Self.landmarks[48], Point(x: 400, y: 400)]
    let warp = try LandmarkWarp(at: Tensor(places), around: Self.landmarks)
    #expect(try Self.largest(warp.moved(by: .zeros([68, 2])) - Tensor(places)) < 1e-4)
    let right = try warp.moved(by: Tensor(Self.landmarks.map { _ in Point(x: 5, y: 0) })).array(Float.self)
    #expect(abs(right[0] - Float(places[0].x) - 5) < 0.5 && abs(right[1] - Float(places[0].y)) < 0.1)
    // What is far from all of them stays.
    #expect(abs(right[4] - 400) < 1e-3)
    // A corner of the mouth by itself.
    let corner = try warp.moved(by: Tensor((0..<68).map { Point(x: $0 == 48 ? -4 : 0, y: 0) })).array(Float.self)
    #expect(corner[2] - Float(places[1].x) < -1 && abs(corner[0] - Float(places[0].x)) < 0.7)
  }

  @Test func aMirroredFaceHasItsLandmarksInOtherPlaces() {
    #expect(DetectedFace.mirrored.count == 68)
    for (index, other) in DetectedFace.mirrored.enumerated() {
      #expect(DetectedFace.mirrored[other] == index)
      // The astronaut looks straight ahead, more or less.
      let (a, b) = (Self.landmarks[index], Self.landmarks[other])
      #expect(abs(a.x + b.x - 178) < 9 && abs(a.y - b.y) < 9, "\(index)")
    }
  }

  // MARK: On skin

  @Test func shadeIsAFactorAndReddens() throws {
    let crop = try Tensor.cat([0.8, 0.5, 0.3].map { try Tensor.full([1, 1, 64, 64], $0) }, dim: 1)
    let none = try Tensor.zeros([1, 1, 64, 64])
    func edited(_ prototype: SkinPrototype, _ strength: Double, sparing spared: Tensor) throws -> Tensor {
      let maps = try prototype.maps(on: Self.landmarks, at: Self.place(64), side: 64)
      let change = try SkinPrototype.change(of: crop, by: maps, strength: strength, sparing: spared)
      return try crop * (change.narrow(1, 3..<4) + 1) + change.narrow(1, 0..<3)
    }
    let dark = try Self.prototype(skin: 1, shade: -0.1)
    let pixel = try edited(dark, 1, sparing: none).select(0, 0).select(1, 32).select(1, 32).array(Float.self)
    #expect(pixel[0] < 0.7 && pixel[0] > 0.5)
    let (green, blue) = (pixel[1] / pixel[0] * 0.8 / 0.5, pixel[2] / pixel[0] * 0.8 / 0.3)
    #expect(green < 0.97 && green > 0.85 && blue < green && blue > 0.75)
    // What is lighter goes a small part of the way.
    let lighter = try edited(Self.prototype(skin: 1, shade: 0.1), 1, sparing: none)
      .select(0, 0).select(1, 32).select(1, 32).array(Float.self)
    #expect(lighter[1] > 0.51 && lighter[1] - 0.5 < 0.4 * (0.5 - pixel[1]))
    // Half as far, half of its log; nothing where it has no business.
    let half = try edited(dark, 0.5, sparing: none).select(0, 0).select(1, 32).select(1, 32).array(Float.self)
    #expect(abs(Double(half[0] + 0.03) - (0.83 * Double(pixel[0] + 0.03)).squareRoot()) < 5e-3)
    #expect(try Self.largest(edited(dark, 1, sparing: none + 1) - crop) < 1e-6)
    // Taken away, shade goes in part, and what would be darker stays.
    let lifted = try edited(dark, -1, sparing: none).select(0, 0).select(1, 32).select(1, 32).array(Float.self)
    #expect(lifted[1] > 0.51 && lifted[1] < 0.65)
    #expect(try Self.largest(edited(Self.prototype(skin: 1, shade: 0.1), -1, sparing: none) - crop) < 1e-4)
    // Skin without detail has none to be deepened.
    #expect(try Self.largest(edited(Self.prototype(skin: 1, shade: 0, ratio: 1), 1, sparing: none) - crop) < 1e-4)
  }

  @Test func ownDetailIsDeepenedAndEdgesAreNot() throws {
    func contrast(step: Double, skin: Double, strength: Double = 1) throws -> Double {
      // Stripes of two pixels.
      let row = (0..<Self.size).map { Float(0.5 + ($0 / 4 % 2 == 0 ? step : -step)) }
      let crop = try Tensor(row, shape: [1, 1, 1, Self.size]).expand([1, 3, Self.size, Self.size]).contiguous()
      let maps = try Self.prototype(skin: skin, shade: 0, ratio: 0.5)
        .maps(on: Self.landmarks, at: Self.place(Self.size), side: Self.size)
      let change = try SkinPrototype.change(
        of: crop, by: maps, strength: strength, sparing: .zeros([1, 1, Self.size, Self.size]))
      let edited = try (crop * (change.narrow(1, 3..<4) + 1) + change.narrow(1, 0..<3))
        .select(0, 0).select(0, 0).select(0, 64).array(Float.self)
      let middle = edited[48..<80]
      return Double(middle.max()! - middle.min()!) / (2 * step)
    }
    let (small, large) = try (contrast(step: 0.03, skin: 1), contrast(step: 0.4, skin: 1))
    #expect(small > 1.2 && large - 1 < (small - 1) / 4, "\(small), \(large)")
    #expect(try abs(contrast(step: 0.03, skin: 0) - 1) < 1e-4)
    // The other way it is smoothed, in part and no farther; edges stay.
    let smooth = try contrast(step: 0.03, skin: 1, strength: -1)
    #expect(smooth < 0.8 && smooth > 0.2, "\(smooth)")
    #expect(try contrast(step: 0.03, skin: 1, strength: -3) == smooth)
    #expect(try contrast(step: 0.4, skin: 1, strength: -1) > 0.9)
  }

  // MARK: Learning

  @Test func linesAreFoundWhateverTheLight() throws {
    var chance = SplitMix64(seed: 3)
    var means = try PrototypeFitting.Means(landmarks: Self.landmarks)
    for index in 0..<80 {
      let (isOld, side) = (index % 2 == 0, index / 2 % 2)
      // One side is darker, and has darker hair over the eyes where it is old.
      let light = 150 + Double(chance.next() % 60) - Double(side) * 40
      var pixels: [UInt8] = []
      var classes: [UInt8] = []
      for y in 0..<218 {
        for x in 0..<178 {
          let isHair = y < 90
          let isLine = isOld && (128..<132).contains(y)
          let isEye = abs(Double(y) - 113) < 5 && (abs(Double(x) - 70) < 8 || abs(Double(x) - 108) < 8)
          let value = isHair ? (isOld ? 200 : 30) : light * (isLine ? 0.8 : isEye ? 0.3 : 1) + Double(chance.next() % 5)
          pixels += [UInt8](repeating: UInt8(value), count: 3)
          classes.append((isHair ? FaceClass.hair : isEye ? .leftEye : .skin).rawValue)
        }
      }
      try means.add(
        Picture(width: 178, height: 218, channels: 3, pixels: pixels),
        Picture(width: 178, height: 218, channels: 1, pixels: classes), Self.landmarks, to: 2 * side + (isOld ? 0 : 1))
    }
    let maps = try means.maps(0..<2).array(Float.self)
    func at(_ map: Int, _ x: Double, _ y: Double) -> Float {
      let (column, row) = (Int((x - 4) / 170 * Double(Self.size)), Int((y - 39) / 170 * Double(Self.size)))
      return maps[(map * Self.size + row) * Self.size + column]
    }
    for x in [50.0, 89, 128] {
      #expect(at(1, x, 130) < -0.1 && abs(at(1, x, 160)) < 0.02, "\(x)")
      #expect(at(0, x, 150) > 0.95 && at(0, x, 70) < 0.05)
      // More detail at the line, and as much as ever elsewhere.
      #expect(at(3, x, 130) > 0.5 && abs(at(3, x, 165)) < 0.2)
    }
    // Hair and eyes are no skin, however they differ.
    #expect(at(0, 70, 113) < 0.05 && at(1, 89, 60) == 0)
  }

  @Test func groupsAreMadeAlike() {
    // Of the others every fourth smiles, of the photos every second.
    let chosen = PrototypeFitting.matching(Array(0..<200), to: Array(0..<40), atMost: 1000) { $0 < 40 ? $0 % 4 == 0 : $0 % 2 == 0 }
    let smiling = chosen.filter { $0 < 40 ? $0 % 4 == 0 : $0 % 2 == 0 }
    #expect(Set(chosen).count == chosen.count && abs(Double(smiling.count) / Double(chosen.count) - 0.25) < 0.01)
    // As many as there are of the rarer kind.
    #expect(chosen.count > 140)
    let few = PrototypeFitting.matching(Array(0..<200), to: Array(0..<40), atMost: 20) { $0 % 2 == 0 }
    #expect(few.count == 20 && few.filter { $0 % 2 == 0 }.count == 10 && few.allSatisfy { $0 < 20 })
    // Without labels, the first.
    #expect(PrototypeFitting.matching([7, 8, 9], to: [1], atMost: 2) { _ in 0 } == [7, 8])
    #expect(PrototypeFitting.matching([7], to: [], atMost: 2) { _ in 0 } == [])
  }

  @Test func groupsThatAreTooSmallAreRefused() throws {
    let fixture = try DatasetFixture(count: 12, size: (32, 32))
    var configuration = DatasetConfiguration()
    configuration.requiresMasks = true
    let dataset = try CelebA(directory: fixture.folder, configuration: configuration)
    let groups = PrototypeFitting.Groups(positives: "Smiling=1", negatives: "Smiling=-1", balanced: "Male")
    #expect {
      try PrototypeFitting(Self.edit, groups, in: dataset, detector: PortraitTests.detector)
    } throws: { "\($0)".contains("the positives are 0 and 0 photos with a face") }
    #expect(throws: CombinedDirectionError.self) {
      try PrototypeFitting(
        Self.edit, .init(positives: "Smilig", negatives: "Smiling", balanced: "Male"), in: dataset, detector: PortraitTests.detector)
    }
    #expect(try PrototypeFitting(Self.edit, groups, in: dataset, detector: PortraitTests.detector) { _, _ in false } == nil)
  }

  @Test(.enabled(if: realData != nil, "FACET_DATA names no folder of real photos"))
  func agesFoldsAreLearned() throws {
    var configuration = DatasetConfiguration()
    configuration.requiresMasks = true
    let dataset = try CelebA(
      directory: #require(realData).appendingPathComponent("celeba"), configuration: configuration)
    let both = "Male=1 & Smiling=1 & Eyeglasses=-1 & No_Beard=1 & Attractive=-1"
    let groups = PrototypeFitting.Groups(
      positives: "Young=-1 & Gray_Hair=1 & \(both)", negatives: "Young=1 & High_Cheekbones=1 & \(both)", balanced: nil)
    let fitting = try #require(try PrototypeFitting(Self.edit, groups, in: dataset, detector: PortraitTests.detector))
    #expect(fitting.positives > 50 && fitting.negatives > 50)
    let maps = try fitting.prototype.maps.array(Float.self)
    /// The mean of a map around a place between two landmarks of the mean face.
    func mean(_ map: Int, _ a: Int, _ b: Int, _ part: Double) -> Float {
      let (p, q) = (fitting.prototype.landmarks[a], fitting.prototype.landmarks[b])
      let (x, y) = (p.x + (q.x - p.x) * part, p.y + (q.y - p.y) * part)
      let (column, row) = (Int((x - 4) / 170 * Double(Self.size)), Int((y - 39) / 170 * Double(Self.size)))
      let near = (-1...1).flatMap { dy in (-1...1).map { maps[(map * Self.size + row + dy) * Self.size + column + $0] } }
      return near.reduce(0, +) / 9
    }
    // From the wing of the nose to the corner of the mouth there is a fold, beside it a cheek.
    #expect(mean(1, 31, 48, 0.4) < mean(1, 31, 3, 0.5) - 0.01)
    // The skin is that of the cheeks, not of eyes and mouth.
    #expect(mean(0, 31, 3, 0.5) > 0.9 && mean(0, 36, 39, 0.5) < 0.2 && mean(0, 51, 57, 0.5) < 0.2)
  }

  // MARK: On disk

  @Test func whatIsReadIsWhatWasWritten() throws {
    let bundle = try ModelBundle()
    #expect(try SkinPrototypes.of(bundle)[Self.edit] != nil)
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("facet-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try bundle.copy(to: folder)
    let copy = try ModelBundle(contentsOf: folder)
    let prototypes = SkinPrototypes([try Self.prototype(skin: 1, shade: -0.5)])
    try prototypes.write(to: copy)
    let read = try #require(try SkinPrototypes.of(copy)[Self.edit])
    #expect(try read.maps.array(Float.self) == prototypes.prototypes[0].maps.array(Float.self))
    #expect(zip(read.landmarks, Self.landmarks).allSatisfy { abs($0.x - $1.x) < 1e-4 && abs($0.y - $1.y) < 1e-4 })
    let file = folder.appendingPathComponent(SkinPrototypes.file)
    let good = try Data(contentsOf: file)
    func refused(_ change: (inout [String: Tensor], inout [String: String]) throws -> Void) throws -> String {
      try AtomicFile.write(good, to: file)
      var (tensors, metadata) = try Tensor.load(from: file)
      try change(&tensors, &metadata)
      try Tensor.save(tensors, metadata: metadata, to: file)
      return #expect(throws: BundleError.self) { try SkinPrototypes.of(copy) }?.description ?? ""
    }
    #expect(try refused { tensors, _ in tensors["0.maps"] = nil }.contains("prototypes.safetensors: '0.maps' is not"))
    #expect(try refused { tensors, _ in tensors["0.landmarks"] = try Tensor.zeros([3]) }.contains("'0.landmarks' is not"))
    #expect(try refused { tensors, _ in tensors["0.maps"] = try tensors["0.maps"]! * Double.infinity }.contains("not finite"))
    #expect(try refused { _, metadata in metadata["edits"] = "[]x" }.contains("edits cannot be read"))
    #expect(try refused { _, metadata in metadata["format"] = "x" }.contains("not prototypes"))
    try AtomicFile.write(good.prefix(50), to: file)
    #expect(throws: (any Error).self) { try FaceEditor(bundle: folder) }
    try FileManager.default.removeItem(at: file)
    #expect(try SkinPrototypes.of(copy).prototypes.isEmpty)
  }

  // MARK: On the portrait

  @Test func ageDeepensTheSkinOfThePortrait() throws {
    let (editor, photo, face) = try FaceEditorTests.portrait.get()
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("facet-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try editor.bundle.copy(to: folder)
    try FileManager.default.removeItem(at: folder.appendingPathComponent(SkinPrototypes.file))
    let plain = try FaceEditor(bundle: folder)
    func edited(_ editor: FaceEditor, _ strength: Double, _ options: EditOptions = .init()) throws -> Picture {
      try editor.apply([AttributeEdit("Young", strength: strength)], to: face, in: photo.picture, options: options)
    }
    let (decoded, whole) = try (edited(plain, -1), edited(editor, -1))
    let place = face.alignment.transform(size: 100)
    var (changed, darker) = (0, 0)
    for y in 0..<photo.height {
      for x in 0..<photo.width where whole[x, y] != decoded[x, y] {
        let point = place(Point(x: Double(x) + 0.5, y: Double(y) + 0.5))
        #expect((10..<90).contains(point.x) && (10..<100).contains(point.y), "\(x), \(y)")
        changed += 1
        if whole[x, y].reduce(0, { $0 + Int($1) }) < decoded[x, y].reduce(0, { $0 + Int($1) }) { darker += 1 }
      }
    }
    #expect(changed > 1000 && darker > changed / 3)
    // Hair grays, unless that is to be kept.
    var kept = EditOptions()
    kept.kept = ["gray_hair"]
    func light(_ picture: Picture) -> Int {
      (0..<60).reduce(0) { $0 + picture[photo.width * 9 / 20, $1].reduce(0) { $0 + Int($1) } }
    }
    #expect(try light(whole) > light(photo.picture) + 300 && abs(light(edited(editor, -1, kept)) - light(photo.picture)) < 60)
    // The other way, skin has less detail.
    func roughness(_ picture: Picture) -> Int {
      let green = stride(from: 1, to: picture.pixels.count, by: picture.channels).map { Int(picture.pixels[$0]) }
      return zip(green, green.dropFirst()).reduce(0) { $0 + abs($1.0 - $1.1) }
    }
    #expect(try roughness(edited(editor, 1)) < roughness(edited(plain, 1)) && edited(editor, 0) == photo.picture)
    var options = EditOptions()
    options.style = .decoded
    #expect(try edited(plain, -1, options) == edited(editor, -1, options))
  }
}

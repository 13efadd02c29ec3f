import Files
import Foundation
import Photo
import Testing
import Torch

@testable import Facet
@testable import FacetTraining

/// A set of faces of one colour each with stripes that a painter can copy, and no decoder.
struct DrawnCrops {
  static let landmarks = FaceFlowTests.landmarks.map { point in
    let scale = Double(CropSet.size) / FaceAlignment.window.side
    return Point(x: (point.x - FaceAlignment.window.x) * scale, y: (point.y - FaceAlignment.window.y) * scale)
  }

  let folder: URL

  /// - Parameter hasGlasses: whether each face but the first is kept with two black bars, too.
  init(count: Int = 12, hasGlasses: Bool = false) throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("crops-\(UUID())", isDirectory: true)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    var chance = SplitMix64(seed: 3)
    let (size, decoded, labels) = (CropSet.size, 32, CropSet.labelSize)
    var crops: [UInt8] = [], faces: [UInt8] = [], points: [Float] = []
    for _ in 0..<count {
      let colour = (0..<3).map { _ in UInt8(chance.next(below: 128) + 64) }
      let phase = chance.next(below: 8)
      for y in 0..<size { for x in 0..<size { for c in 0..<3 { crops.append((x + y + phase) / 4 % 2 == 0 ? colour[c] : colour[c] - 30) } } }
      for _ in 0..<decoded * decoded { faces += colour.map { $0 - 15 } }
      let shift = Float(chance.next(below: 9)) - 4
      points += Self.landmarks.flatMap { [Float($0.x) + shift, Float($0.y)] }
    }
    var tensors = try [
      "crops": Tensor(crops, shape: [count, size, size, 3]), "decoded": Tensor(faces, shape: [count, decoded, decoded, 3]),
      "labels": .full([count, labels, labels], 1, dtype: .uint8), "landmarks": Tensor(points, shape: [count, 68, 2]),
      "sharpness": Tensor((0..<count).map { Float($0) }, shape: [count]),
    ]
    if hasGlasses {
      var (worn, glasses) = (crops, [UInt8](repeating: 0, count: count * labels * labels))
      for index in 1..<count {
        for y in Self.bar { for x in 60..<228 { for c in 0..<3 { worn[((index * size + y) * size + x) * 3 + c] = 0 } } }
        for y in Self.bar { for x in 60..<228 { glasses[(index * labels + y / 2) * labels + x / 2] = 255 } }
      }
      tensors["worn"] = try Tensor(worn, shape: [count, size, size, 3])
      tensors["glasses"] = try Tensor(glasses, shape: [count, labels, labels])
      tensors["bare"] = tensors["decoded"]
    }
    let metadata = [
      "format": CropSet.format, "sources": try JSON.encode((0..<count).map { "/photos/p/\($0).jpg" }), "omitted": "{}",
    ]
    try Tensor.save(tensors, metadata: metadata, to: folder.appendingPathComponent("faces-00000.safetensors"))
  }

  /// The lines of the bars.
  static let bar = 120..<132

  func remove() { try? FileManager.default.removeItem(at: folder) }
}

@Suite struct PaintedRegionTests {
  private let landmarks = DrawnCrops.landmarks
  private let size = (height: 288, width: 288)

  private func covers(_ region: PaintedRegion, _ points: [Point]) -> Bool {
    let mask = region.mask(landmarks, size: size)
    return points.allSatisfy { mask.values[Int($0.y) * 288 + Int($0.x)] == 1 }
  }

  @Test func regionsAreWhereTheirLandmarksAre() {
    #expect(covers(.mouth, Array(landmarks[48...67])))
    #expect(covers(.lowerFace, Array(landmarks[48...67])) && !covers(.lowerFace, [landmarks[37]]))
    for point in landmarks[28...33] { #expect(!covers(.lowerFace, [point]), "a smile's hole takes none of the nose") }
    #expect(covers(.eyes, Array(landmarks[36...47])) && !covers(.eyes, [landmarks[51]]))
    #expect(covers(.nose, [landmarks[30], landmarks[33]]) && !covers(.nose, [landmarks[57]]))
    #expect(covers(.brows, [landmarks[19], landmarks[24]]) && !covers(.brows, [landmarks[27]]))
    #expect(!covers(.skin, [landmarks[51]]) && !covers(.skin, [landmarks[62]]) && covers(.skin, [landmarks[30]]))
  }

  @Test(arguments: PaintedRegion.allCases) func noneReachesTheJaw(_ region: PaintedRegion) {
    let mask = region.mask(landmarks, size: size)
    for point in landmarks[2...14] { #expect(mask.values[Int(point.y) * 288 + Int(point.x)] == 0) }
    #expect(mask.values.contains(1))
  }

  @Test func landmarksBeyondThePictureAreNoFault() {
    for region in PaintedRegion.allCases {
      for factor in [-1e4, 0, 1e4] {
        let far = landmarks.map { Point(x: $0.x * factor, y: $0.y * factor) }
        #expect(region.mask(far, size: size).values.count == 288 * 288)
      }
    }
  }
}

@Suite struct PainterTests {
  private static func painter(seed: UInt64 = 1) throws -> Painter {
    let configuration = PainterConfiguration()
    return try Painter(configuration, weights: configuration.makeNetwork(seed: seed).state(), critic: nil, images: 5)
  }

  private func noise(_ shape: [Int], seed: UInt64) throws -> Tensor { try .rand(shape, generator: Generator(seed: seed)) }

  @Test func outsideTheHoleNothingChanges() throws {
    let painter = try Self.painter()
    let crop = try noise([1, 3, 288, 288], seed: 2)
    let mask = PaintedRegion.mouth.mask(DrawnCrops.landmarks, size: (288, 288))
    let hole = try Tensor(mask.values, shape: [1, 1, 288, 288])
    let (before, guide) = (try noise([1, 3, 128, 128], seed: 3), try noise([1, 3, 128, 128], seed: 4))
    let painting = try #require(try painter.painting(of: crop, from: before, to: guide, in: hole))
    #expect(painting.change.shape == [1, 4, 288, 288] && painting.flow.shape == [1, 2, 288, 288])
    let outside = try 1 - hole
    #expect(try (painting.change * outside).abs().sum().item() == 0)
    #expect(try (painting.flow * outside).abs().sum().item() == 0)
    #expect(try (painting.change * hole).abs().sum().item() > 1)
    #expect(try painter.painting(of: crop, from: before, to: guide, in: hole * 0) == nil)
  }

  @Test func layersGiveWhatTheNetworkPaints() throws {
    let painter = try Self.painter(seed: 7)
    let size = 288
    let crop = try noise([1, 3, size, size], seed: 2)
    let hole = try Tensor.ones([1, 1, size, size])
    let (before, guide) = (try noise([1, 3, 128, 128], seed: 3), try noise([1, 3, 128, 128], seed: 4))
    let painting = try #require(try painter.painting(of: crop, from: before, to: guide, in: hole))
    let grid = try PainterNetwork.Aligner.grid(size, size)
    let faces = try [before, guide].map { try $0.sampled(at: grid).clamp(min: 0, max: 1) }
    let painted = try withoutGradients {
      try painter.network(.init(photo: crop, hole: hole, own: crop, seen: hole, before: faces[0], guide: faces[1])).painted
    }
    let moved = try crop.sampled(at: grid + (painting.flow * (2 / Double(size))).permute([0, 2, 3, 1]), by: .bilinear)
    try expectClose(moved.changed(by: painting.change), painted, "painted", tolerance: 1e-4)
  }

  @Test func aFileHoldsIt() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("painter-\(UUID())", isDirectory: true)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let url = folder.appendingPathComponent(Painter.file)
    let painter = try Self.painter()
    try painter.write(to: url)
    let read = try Painter(contentsOf: url)
    #expect(read.configuration == painter.configuration && read.images == 5 && read.critic == nil)
    for (name, tensor) in try painter.network.state() {
      try expectClose(#require(try read.network.state()[name]), tensor, name, tolerance: 1e-3, scale: 1)
    }
    // Whatever a file holds, it is an error that names it.
    try Data("nonsense".utf8).write(to: url)
    #expect(throws: (any Error).self) { try Painter(contentsOf: url) }
    var tensors = try painter.network.state().prefixed("painter.")
    tensors["painter.output.bias"] = try tensors["painter.output.bias"]! / 0
    try Tensor.save(
      tensors, metadata: ["format": "facet-painter-1", "configuration": JSON.encode(painter.configuration)], to: url)
    #expect(throws: BundleError.self) { try Painter(contentsOf: url) }
    try Tensor.save(
      painter.network.state().prefixed("painter."), metadata: ["format": "facet-painter-1", "configuration": "{}"], to: url)
    let error = #expect(throws: BundleError.self) { try Painter(contentsOf: url) }
    #expect(error?.description == "\(url.path): its configuration cannot be read")
  }
}

@Suite(.serialized) struct PainterTrainerTests {
  private static func training(steps: Int) -> PainterTraining {
    var training = PainterTraining()
    training.model.channels = [8, 16, 16]
    training.model.alignerChannels = [8, 16]
    (training.window, training.batchSize, training.usesBFloat16, training.emaDecay) = (80, 4, false, 0.9)
    (training.learningRate, training.realism, training.criticStart) = (2e-3, 0.01, 0.5)
    training.sharpest = 1
    training.budget = .init(images: 4 * steps)
    return training
  }

  @Test func itLearnsToFillHoles() throws {
    let set = try DrawnCrops()
    defer { set.remove() }
    let output = set.folder.appendingPathComponent("run")
    var training = Self.training(steps: 72)
    // Mouths of one shape in other colours take longer to learn.
    training.insideMouth = 0
    let crops = try CropSet(contentsOf: set.folder)
    // Examples differ too much from step to step to compare steps.
    let examples = PaintingExamples(crops: crops, training: training, device: .cpu)
    func error(_ network: PainterNetwork) throws -> Double {
      try withoutGradients {
        try (0..<8).reduce(0.0) { sum, seed in
          let batch = try examples([0, 1, 2, 3].map { $0 % crops.count }, seed: UInt64(seed))
          return try sum + ((network(batch.input).painted - batch.photo) * batch.valid).abs().mean().item()
        }
      }
    }
    let before = try error(training.model.makeNetwork(seed: training.seed))
    let trainer = try PainterTrainer(training, on: crops, distance: PerceptualDistance.random(), output: output)
    var steps = 0
    let ending = try trainer.run(onEvent: { event in if case .step = event { steps += 1 } })
    #expect(ending == .budgetSpent && steps == 72)
    let after = try error(Painter(contentsOf: output.appendingPathComponent(Painter.file)).network)
    #expect(after < 0.95 * before, "\(before) \(after)")
    #expect(try Painter(contentsOf: output.appendingPathComponent(Painter.file)).images == 288)
    #expect(try trainer.sheet() != nil)
  }

  @Test func examplesOfGlassesHaveThePhotoWithoutAsTheirAnswer() throws {
    let set = try DrawnCrops(hasGlasses: true)
    defer { set.remove() }
    let crops = try CropSet(contentsOf: set.folder)
    #expect(crops.hasGlasses)
    var training = Self.training(steps: 1)
    (training.window, training.glasses, training.coarse) = (160, 1, 0)
    let batch = try PaintingExamples(crops: crops, training: training, device: .cpu)([0, 1, 2, 3], seed: 5)
    let (hole, photo) = (batch.input.hole, batch.input.photo)
    func mean(_ values: Tensor, _ index: Int) throws -> Double { try values.narrow(0, index..<index + 1).mean().item() }
    let wrong = try (photo - batch.photo).abs()
    for index in 1...3 {
      // Something is to be removed, all of it in the hole, and it is in the photo's own pixels, too.
      #expect(try mean(wrong * hole, index) > 0.002 && mean(wrong * (hole < 0.5).to(.float32), index) < 1e-4)
      #expect(try mean((batch.input.own - batch.photo).abs() * hole, index) > 0.002)
      #expect(try mean(batch.genuine, index) == 0)
    }
    // Who has no glasses gets another hole.
    #expect(try mean(wrong, 0) == 0 && mean(hole, 0) > 0.01 && mean(batch.genuine, 0) > 0.1)
    training.glasses = 0
    let none = try PaintingExamples(crops: crops, training: training, device: .cpu)([0, 1, 2, 3], seed: 5)
    #expect(try (none.input.photo - none.photo).abs().sum().item() == 0)
  }

  @Test func itLearnsToTakeBarsAway() throws {
    let set = try DrawnCrops(hasGlasses: true)
    defer { set.remove() }
    var training = Self.training(steps: 60)
    (training.glasses, training.blind) = (1, 0)
    let crops = try CropSet(contentsOf: set.folder)
    let output = set.folder.appendingPathComponent("run")
    try PainterTrainer(training, on: crops, distance: PerceptualDistance.random(), output: output).run()
    let network = try Painter(contentsOf: output.appendingPathComponent(Painter.file)).network
    let batch = try PaintingExamples(crops: crops, training: training, device: .cpu)([1, 2, 3, 4], seed: 77)
    let (left, before) = try withoutGradients {
      (
        try (network(batch.input).painted - batch.photo).abs().mean().item(),
        try (batch.input.photo - batch.photo).abs().mean().item()
      )
    }
    #expect(left < 0.7 * before, "\(left) \(before)")
  }

  @Test func aResumedRunIsTheUndisturbedOne() throws {
    let set = try DrawnCrops()
    defer { set.remove() }
    let (crops, distance) = (try CropSet(contentsOf: set.folder), try PerceptualDistance.random())
    func run(_ name: String, stopAfter steps: Int?, resume: Bool) throws -> [UInt8] {
      let output = set.folder.appendingPathComponent(name)
      var done = 0
      try PainterTrainer(Self.training(steps: 6), on: crops, distance: distance, output: output, resume: resume).run(
        shouldStop: { steps.map { done >= $0 } ?? false },
        onEvent: { if case .step = $0 { done += 1 } })
      return try [UInt8](Data(contentsOf: Trainer.lastCheckpoint(in: output)))
    }
    let whole = try run("whole", stopAfter: nil, resume: false)
    _ = try run("parts", stopAfter: 4, resume: false)
    let parts = try run("parts", stopAfter: nil, resume: true)
    #expect(try tensors(of: whole) == tensors(of: parts))
  }

  private func tensors(of checkpoint: [UInt8]) throws -> [UInt8] {
    // The header names the minutes, which differ.
    let length = checkpoint.prefix(8).enumerated().reduce(0) { $0 + Int($1.element) << (8 * $1.offset) }
    return Array(checkpoint.dropFirst(8 + length))
  }

  @Test func itGoesOnFromAFileAlone() throws {
    let set = try DrawnCrops()
    defer { set.remove() }
    let (crops, distance) = (try CropSet(contentsOf: set.folder), try PerceptualDistance.random())
    let first = set.folder.appendingPathComponent("first")
    try PainterTrainer(Self.training(steps: 4), on: crops, distance: distance, output: first).run()
    let painter = try Painter(contentsOf: first.appendingPathComponent(Painter.file))
    #expect(painter.critic != nil)
    let second = try PainterTrainer(
      Self.training(steps: 6), on: crops, distance: distance, from: painter, output: set.folder.appendingPathComponent("second"))
    #expect(second.progress.images == 16)
    try second.run()
    #expect(second.progress.images == 24)
  }
}

@Suite struct CropSetTests {
  @Test func thePortraitIsFoundAlignedAndKept() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("set-\(UUID())", isDirectory: true)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let photo = folder.appendingPathComponent("astronaut.jpg")
    // Cut at the face, so that the crop reaches beyond the picture.
    let whole = try Picture(contentsOf: FaceEditor.samplePhotoURL)
    let face = try #require(try FaceDetector().largestFace(in: whole))
    let margin = face.width * 0.15
    let window = Window(
      x: Int(face.upperLeft.x - margin), y: Int(face.upperLeft.y - margin), width: Int(face.width + 2 * margin),
      height: Int(face.width + 2 * margin))
    try whole.resized(window: window, to: (320, 320)).write(to: photo)
    let wall = folder.appendingPathComponent("wall.png")
    try Picture(width: 300, height: 300, filledWith: 128).write(to: wall)
    let text = folder.appendingPathComponent("text.jpg")
    try Data("no photo".utf8).write(to: text)

    let writer = try CropSetWriter(bundle: try ModelBundle(), parser: try FaceParser())
    let output = folder.appendingPathComponent("set")
    let report = try #require(try writer.write([photo, wall, text], to: output))
    #expect(report.faces == 1 && report.omitted == [.noFace: 1, .unreadable: 1])
    let set = try CropSet(contentsOf: output)
    #expect(set.count == 1)
    let labels = try set.labels([0]).array(UInt8.self)
    #expect(labels.contains(CropSet.noLabel) && labels.contains(FaceClass.skin.rawValue))
    // The decoded face is that of the crop.
    let crop = try set.crops([0]).permute([0, 3, 1, 2]).to(.float32).resized(to: (128, 128))
    let decoded = try set.decoded([0]).permute([0, 3, 1, 2]).to(.float32)
    let middle = 40..<100
    let difference = try (crop - decoded).narrow(2, middle).narrow(3, middle).abs().mean().item()
    #expect(difference < 30)
    // Of the same photos nothing is made again.
    let file = output.appendingPathComponent("faces-00000.safetensors")
    let before = try FileManager.default.attributesOfItem(atPath: file.path)[.systemFileNumber] as? Int
    #expect(try writer.write([photo, wall, text], to: output)?.faces == 1)
    #expect(try FileManager.default.attributesOfItem(atPath: file.path)[.systemFileNumber] as? Int == before)
    #expect(try writer.write([photo], to: output) { _ in false } == nil)
    // With glasses it is made anew.
    #expect(!set.hasGlasses)
    let other = try CropSetWriter(bundle: try ModelBundle(), parser: try FaceParser(), hasGlasses: true)
    _ = try other.write([photo, wall, text], to: output)
    let worn = try CropSet(contentsOf: output)
    #expect(worn.hasGlasses)
    let changed = try (worn.worn([0]).to(.float32) - worn.crops([0]).to(.float32)).abs().array(Float.self).max() ?? 0
    let seen = try worn.glasses([0]).array(UInt8.self).count { $0 > 128 }
    #expect(changed > 60 && seen > 100, "\(changed) \(seen)")
  }

  @Test func whatIsNoSetIsRefused() throws {
    let set = try DrawnCrops(count: 4)
    defer { set.remove() }
    #expect(try CropSet(contentsOf: set.folder).count == 4)
    #expect(try CropSet(contentsOf: set.folder, sharpest: 0.5).count == 2)
    let file = set.folder.appendingPathComponent("faces-00000.safetensors")
    var (tensors, metadata) = try Tensor.load(from: file)
    tensors["landmarks"] = nil
    try Tensor.save(tensors, metadata: metadata, to: file)
    #expect(throws: DatasetError.self) { try CropSet(contentsOf: set.folder) }
    metadata["format"] = "something else"
    try Tensor.save(tensors, metadata: metadata, to: file)
    #expect(throws: DatasetError.self) { try CropSet(contentsOf: set.folder) }
    try FileManager.default.removeItem(at: file)
    #expect(throws: DatasetError.self) { try CropSet(contentsOf: set.folder) }
  }
}

extension PerceptualDistance {
  /// A distance of random weights: as good for a test as one that was learned.
  static func random() throws -> PerceptualDistance {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("distance-\(UUID()).safetensors")
    defer { try? FileManager.default.removeItem(at: url) }
    let generator = try Generator(seed: 8)
    var tensors: [String: Tensor] = [:]
    for (index, shape) in [[64, 3, 11, 11], [192, 64, 5, 5], [384, 192, 3, 3]].enumerated() {
      tensors["conv\(index).weight"] = try Tensor.randn(shape, generator: generator) * (1 / Double(shape[1] * shape[2] * shape[3]).squareRoot())
      tensors["conv\(index).bias"] = try .zeros([shape[0]])
      tensors["head\(index)"] = try .full([1, shape[0], 1, 1], 1 / Double(shape[0]))
    }
    try Tensor.save(tensors, to: url)
    return try PerceptualDistance(contentsOf: url)
  }
}

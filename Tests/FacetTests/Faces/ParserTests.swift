import Files
import Foundation
import Photo
import Testing
import Torch

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

@Suite(.serialized) struct ParserTests {
  let fixture: DatasetFixture

  init() throws {
    // Two threads on a busy machine wait for each other.
    try Torch.setThreads(1)
    fixture = try DatasetFixture(count: 30, size: (32, 32))
    for (name, target) in [("images", "img_align_celeba"), ("masks", "mask_faceparsing")] {
      try FileManager.default.createSymbolicLink(
        at: fixture.folder.appendingPathComponent(name),
        withDestinationURL: fixture.folder.appendingPathComponent(target))
    }
  }

  private func folder(_ name: String) -> URL { fixture.folder.appendingPathComponent(name) }

  private var tiny: ParserConfiguration {
    var configuration = ParserConfiguration()
    (configuration.imageSize, configuration.channels, configuration.residuals) = (32, [8, 16], [0, 1])
    return configuration
  }

  private func training(images: Int) -> ParserTraining {
    var configuration = ParserTraining()
    configuration.model = tiny
    configuration.batchSize = 8
    configuration.degradation.smallest = 16
    configuration.budget = .init(images: images)
    return configuration
  }

  private func trainer(
    _ configuration: ParserTraining, _ name: String, isCoarse: Bool = false, from start: FaceParser? = nil,
    resume: Bool = false
  ) throws -> ParserTrainer {
    let side = ParserTrainer.sourceSide(of: configuration.model)
    let coarse = try FacePairs(.partition(.train, of: CelebA(directory: fixture.folder)), side: side)
    return try ParserTrainer(
      configuration, pairs: FacePairs(fixture.folder, .training, side: side), coarse: isCoarse ? coarse : nil, from: start,
      heldOut: .heldOut(of: fixture.folder), output: folder(name), resume: resume)
  }

  /// A parser of fresh weights.
  private func parser(_ configuration: ParserConfiguration, _ name: String) throws -> FaceParser {
    try FaceParser.write(
      configuration, weights: configuration.makeNetwork(seed: 3).state(), origin: "a test", to: folder(name))
    return try FaceParser(contentsOf: folder(name))
  }

  // MARK: Classes

  @Test func classesFollowBothOrders() {
    #expect(Set(FaceClass.celebAMaskHQ) == Set(FaceClass.allCases) && FaceClass.celebAMaskHQ.count == 19)
    #expect(FaceClass.allCases.map(\.rawValue) == Array(0..<19))
    // Names as both papers write them, in their orders.
    #expect(
      FaceClass.allCases.map(\.name).joined(separator: " ")
        == "background skin l_brow r_brow l_eye r_eye eyeglasses l_ear r_ear earring nose mouth u_lip l_lip neck "
        + "necklace cloth hair hat")
    #expect(
      FaceClass.celebAMaskHQ.map(\.name).joined(separator: " ")
        == "background skin nose eyeglasses l_eye r_eye l_brow r_brow l_ear r_ear mouth u_lip l_lip hair hat earring "
        + "necklace neck cloth")
    for face in FaceClass.allCases { #expect(face.mirrored.mirrored == face) }
    #expect(FaceClass.allCases.filter { $0.mirrored != $0 }.count == 6)
  }

  @Test func pairsAreReadInOurOrder() throws {
    let training = try FacePairs(fixture.folder, .training, side: 32)
    let heldOut = try LabelledPhotos.heldOut(of: fixture.folder)
    #expect(training.count == 27 && heldOut.count == 3)
    #expect(heldOut.files.map(\.photo.lastPathComponent) == ["000010.jpg", "000020.jpg", "000030.jpg"])
    #expect(Set(training.names).isDisjoint(with: heldOut.files.map(\.photo.lastPathComponent)))
    let (images, classes) = try training.batch([2], on: .cpu)
    let photo = fixture.photo(2)
    #expect(images.shape == [1, 3, 32, 32] && classes.shape == [1, 1, 32, 32])
    #expect(try abs(images.select(1, 0).array(Float.self)[33] - Float(photo[1, 1].first!) / 255) < 1e-6)
    // 1 is skin in both orders; 16 and 17 are necklace and neck in CelebAMask-HQ's.
    let ours: [UInt8: FaceClass] = [0: .background, 1: .skin, 16: .necklace, 17: .neck]
    #expect(try classes.array(Float.self) == fixture.labelMap(2).pixels.map { Float(ours[$0]!.rawValue) })
    #expect(abs(training.classShares().reduce(0, +) - 1) < 1e-9)
  }

  @Test func publishedPartsAreCombined() throws {
    let root = folder("published")
    let photos = root.appendingPathComponent("CelebA-HQ-img")
    let parts = root.appendingPathComponent("CelebAMask-HQ-mask-anno/1")
    for url in [photos, parts] { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }
    /// White in the given columns.
    func write(_ columns: Range<Int>, _ name: String) throws {
      let pixels = (0..<8 * 8).map { columns.contains($0 % 8) ? UInt8(255) : 0 }
      try Picture(width: 8, height: 8, channels: 1, pixels: pixels).write(to: parts.appendingPathComponent(name))
    }
    for number in 2000..<2010 {
      try Picture(width: 16, height: 16, filledWith: 90).write(to: photos.appendingPathComponent("\(number).jpg"))
      try write(0..<6, String(format: "%05d_skin.png", number))
      try write(4..<5, String(format: "%05d_eye_g.png", number))
      try write(5..<7, String(format: "%05d_neck_l.png", number))
    }
    let (_, classes) = try FacePairs(root, .training, side: 8).batch([0], on: .cpu)
    let row: [FaceClass] = [.skin, .skin, .skin, .skin, .eyeglasses, .necklace, .necklace, .background]
    #expect(try classes.array(Float.self) == (0..<64).map { Float(row[$0 % 8].rawValue) })
    #expect(try LabelledPhotos.heldOut(of: root).count == 1)
    for part in ["skin", "eye_g", "neck_l"] {
      try FileManager.default.removeItem(at: parts.appendingPathComponent("02003_\(part).png"))
    }
    let error = #expect(throws: DatasetError.self) { try FacePairs(root, .training, side: 8) }
    #expect(error?.description.contains("02003_skin.png: 2003.jpg has no parts") == true)
  }

  @Test func faultyPairsAreNamed() throws {
    func fault() -> DatasetError? {
      #expect(throws: DatasetError.self) { try FacePairs(fixture.folder, .training, side: 32) }
    }
    try Picture(width: 32, height: 32, channels: 1, filledWith: 19).write(to: fixture.maskURL(3))
    #expect(fault()?.path.hasSuffix("masks/000004.png") == true && fault()?.reason.contains("class 19") == true)
    try Picture(width: 31, height: 32, channels: 1, filledWith: 1).write(to: fixture.maskURL(3))
    #expect(fault()?.kind == .maskSizeMismatch)
    try Data("no picture".utf8).write(to: fixture.maskURL(3))
    #expect(fault()?.description.contains("000004.png") == true)
    try FileManager.default.removeItem(at: folder("masks"))
    #expect(fault()?.kind == .missingFile)
  }

  // MARK: The network

  @Test func networkShapesAndGradient() throws {
    let network = try tiny.makeNetwork(seed: 1)
    try network.useChannelsLast()
    try network.setRequiresGrad(true)
    network.setTraining(true)
    let images = try Tensor.rand([2, 3, 32, 48], generator: Generator(seed: 2))
    let classes = try Tensor((0..<2 * 16 * 24).map { Int64($0 % 19) }, shape: [2, 16, 24])
    #expect(try network(images).shape == [2, 19, 16, 24])
    func loss() throws -> Tensor { try network(images).crossEntropy(classes) }
    try loss().backward()
    for (name, parameter) in network.parameters {
      let grad = try #require(parameter.tensor.grad, "\(name)")
      #expect(try grad.isAllFinite() && grad.abs().sum().item() > 0, "\(name)")
    }
    // The slope along the gradient is its squared norm.
    let weight = network.output.weight.tensor
    let grad = try #require(weight.grad)
    let step = 1e-2
    let (before, slope) = (try weight.detach().clone(), try grad.square().sum().item())
    func shifted(_ factor: Double) throws -> Double {
      try withoutGradients {
        try weight.copy(from: before + grad * factor)
        return try loss().item()
      }
    }
    let measured = try (shifted(step) - shifted(-step)) / (2 * step)
    #expect(abs(measured - slope) < 0.02 * slope, "\(measured) is not \(slope)")
  }

  private static let hostile: [(name: String, change: @Sendable (inout ParserConfiguration) -> Void)] = [
    ("no channels", { ($0.channels, $0.residuals) = ([], []) }),
    ("channels 0", { $0.channels[1] = 0 }),
    ("channels huge", { $0.channels[1] = .max }),
    ("channels many", { $0.channels = Array(repeating: 8, count: 40); $0.residuals = $0.channels.map { _ in 0 } }),
    ("residuals short", { $0.residuals = [1] }),
    ("residuals huge", { $0.residuals[1] = .max }),
    ("residuals negative", { $0.residuals[1] = -1 }),
    ("imageSize 0", { $0.imageSize = 0 }),
    ("imageSize negative", { $0.imageSize = -144 }),
    ("imageSize odd", { $0.imageSize = 145 }),
    ("imageSize huge", { $0.imageSize = 1 << 40 }),
  ]

  @Test(arguments: hostile.map(\.name)) func hostileConfigurationsAreRefused(name: String) throws {
    var configuration = ParserConfiguration()
    try #require(Self.hostile.first { $0.name == name }).change(&configuration)
    #expect(throws: ModelError.self) { try configuration.makeNetwork(seed: nil) }
  }

  // MARK: Degradation

  @Test func mirroringSwapsLeftAndRight() throws {
    var still = Degradation()
    (still.rotation, still.scale, still.stretch, still.shift) = (0, [1, 1], 0, 0)
    let left = Float(FaceClass.leftBrow.rawValue), right = Int64(FaceClass.rightBrow.rawValue)
    // The left half is left brow.
    let map = (0..<64 * 64).map { $0 % 64 < 32 ? left : 0 }
    let (images, classes) = (try Tensor.full([16, 3, 64, 64], 0.5), try Tensor(map, shape: [1, 1, 64, 64]))
    let result = try still(images: images, classes: classes.expand([16, 1, 64, 64]), size: 32, seed: 5).classes
    let rows = try (0..<16).map { try result.select(0, $0).array(Int64.self) }
    let plain = (0..<32 * 32).map { $0 % 32 < 16 ? Int64(left) : 0 }
    let mirrored = (0..<32 * 32).map { $0 % 32 < 16 ? 0 : right }
    #expect(rows.allSatisfy { $0 == plain || $0 == mirrored })
    #expect((3...13).contains(rows.filter { $0 == mirrored }.count))
  }

  @Test func degradationKeepsRangesAndFollowsItsSeed() throws {
    let images = try Tensor.rand([9, 3, 48, 48], generator: Generator(seed: 1))
    let classes = try (Tensor.rand([9, 1, 48, 48], generator: Generator(seed: 2)) * 18).round()
    var strong = Degradation()
    strong.scale = [0.5, 2]
    func run(_ seed: UInt64) throws -> (images: [Float], classes: [Int64]) {
      let result = try strong(images: images, classes: classes, size: 32, seed: seed)
      #expect(result.images.shape == [9, 3, 32, 32] && result.classes.shape == [9, 32, 32])
      return (try result.images.contiguous().array(), try result.classes.array())
    }
    let (a, b, c) = (try run(1), try run(1), try run(2))
    #expect(a.images == b.images && a.classes == b.classes && a.images != c.images && a.classes != c.classes)
    #expect(a.images.allSatisfy { (0...1).contains($0) })
    #expect(a.classes.allSatisfy { (0..<19).contains($0) })
  }

  @Test func beyondACutPictureIsNoClass() throws {
    var wide = Degradation()
    (wide.rotation, wide.scale, wide.stretch, wide.shift) = (0, [0.5, 0.5], 0, 0)
    let (images, classes) = (try Tensor.full([2, 3, 32, 32], 0.5), try Tensor.full([2, 1, 32, 32], 17))
    for isCut in [false, true] {
      let found = try wide(images: images, classes: classes, size: 32, seed: 3, isCut: isCut).classes.array(Int64.self)
      #expect(Set(found) == (isCut ? [17, -1] : [17]))
      // A quarter of the pixels is the picture.
      if isCut { #expect(found.filter { $0 == 17 }.count == 2 * 16 * 16) }
    }
  }

  // MARK: Training

  @Test func lossFallsAndTheFolderIsAParser() throws {
    var configuration = training(images: 960)
    configuration.learningRate = 1e-2
    // The fixture's classes follow its red.
    (configuration.degradation.grey, configuration.degradation.light) = (0, 0.1)
    var losses: [Double] = []
    let trainer = try trainer(configuration, "run")
    let ending = try trainer.run(onEvent: { event in
      if case .step(_, let terms, _) = event { losses.append(terms[0].value) }
    })
    let report = trainer.report
    #expect(ending == .budgetSpent && losses.count == 120)
    let (first, last) = (losses.prefix(5).reduce(0, +) / 5, losses.suffix(10).reduce(0, +) / 10)
    #expect(last < 0.6 * first, "\(first) to \(last)")
    let parser = try FaceParser(contentsOf: folder("run"))
    #expect(parser.configuration == tiny)
    #expect(try parser.evaluate(.heldOut(of: fixture.folder)).accuracy == report?.accuracy)
    #expect(try #require(report).accuracy > 0.5)
    #expect(try String(contentsOf: folder("run/card.md"), encoding: .utf8).contains("960 images seen"))
  }

  @Test(arguments: [false, true]) func resumedRunEndsWithTheSameWeights(isCoarse: Bool) throws {
    // Epochs have 3 batches.
    let configuration = training(images: 80)
    #expect(try trainer(configuration, "whole", isCoarse: isCoarse).run() == .budgetSpent)
    let first = try trainer(configuration, "stopped", isCoarse: isCoarse)
    #expect(try first.run(shouldStop: { first.progress.step == 4 }) == .interrupted)
    #expect(try ParserTrainer.savedConfiguration(in: folder("stopped")) == configuration)
    let second = try trainer(configuration, "stopped", isCoarse: isCoarse, resume: true)
    #expect(second.progress.step == 4)
    #expect(try second.run() == .budgetSpent)
    let (a, b) = try (
      SafetensorsFile(Trainer.lastCheckpoint(in: folder("whole"))).tensors,
      SafetensorsFile(Trainer.lastCheckpoint(in: folder("stopped"))).tensors
    )
    #expect(Set(a.keys) == Set(b.keys) && a.keys.contains { $0.hasPrefix("optimizer.mean.") })
    for (name, entry) in a {
      let isSame = entry.withUnsafeBytes { x in b[name]!.withUnsafeBytes { y in x.elementsEqual(y) } }
      #expect(isSame, "\(name) differs")
    }
    var other = configuration
    other.seed = 9
    let error = #expect(throws: TrainingError.self) { try trainer(other, "stopped", isCoarse: isCoarse, resume: true) }
    #expect(error?.description.contains("last.safetensors: cannot resume: made with batch 8 and seed 1") == true)
    #expect(throws: TrainingError.self) { try trainer(configuration, "stopped", isCoarse: !isCoarse, resume: true) }
  }

  @Test func coarseMapsTellGroupsApart() throws {
    // All classes are as likely: a head has 12 of 19, hair is one.
    let even = try Tensor.zeros([1, 19, 1, 2])
    func loss(_ classes: [FaceClass], _ logits: Tensor) throws -> Double {
      let target = try Tensor(classes.map { Int64($0.rawValue) }, shape: [1, 1, classes.count])
      return try ParserTrainer.coarseLoss(logits, target).item()
    }
    #expect(abs(try loss([.skin, .skin], even) + log(12.0 / 19)) < 1e-5)
    #expect(abs(try loss([.eyeglasses, .eyeglasses], even) + log(1.0 / 19)) < 1e-5)
    #expect(abs(try loss([.hair, .neck], even) + (log(1.0 / 19) + log(2.0 / 19)) / 2) < 1e-5)
    // Left and right are one, whatever the parser says.
    let any = try Tensor.randn([1, 19, 1, 2], generator: Generator(seed: 1)) * 5
    #expect(try loss([.leftBrow, .nose], any) == loss([.rightBrow, .upperLip], any))
    #expect(try loss([.hair, .nose], any) != loss([.background, .nose], any))
    for unknown in [Int64(Degradation.noClass), Int64(FaceClass.unknown)] {
      let target = try Tensor([Int64(FaceClass.hair.rawValue), unknown], shape: [1, 1, 2])
      #expect(abs(try ParserTrainer.coarseLoss(even, target).item() + log(1.0 / 19)) < 1e-5)
    }
  }

  @Test func coarseMapsKnowGlassesWhereTheLabelAgrees() throws {
    let (size, glasses, skin) = (50, FaceClass.eyeglasses.rawValue, FaceClass.skin.rawValue)
    let photo = folder("face.png")
    try Picture(width: size, height: size, filledWith: 90).write(to: photo)
    /// The map as it is read, of a face below hair with glasses in some rows and columns.
    func read(_ rows: Range<Int>, _ columns: Range<Int>, wearsGlasses: Bool?) throws -> (Int, Int) -> UInt8 {
      let pixels = (0..<size * size).map { i -> UInt8 in
        if rows.contains(i / size) && columns.contains(i % size) { return glasses }
        return i / size < 10 ? FaceClass.hair.rawValue : skin
      }
      let map = folder("face-map.png")
      try Picture(width: size, height: size, channels: 1, pixels: pixels).write(to: map)
      let read = try LabelledPhoto(
        photo: photo, map: .file(map, order: FaceClass.allCases), wearsGlasses: wearsGlasses
      ).read().map.pixels
      return { read[$0 * size + $1] }
    }
    let (rows, columns) = (20..<25, 10..<40)  // 6 % of the picture
    let plain = try read(rows, columns, wearsGlasses: nil)
    #expect(plain(22, 20) == glasses && plain(20, 10) == glasses)
    // What is inside of a lens may be an eye.
    let worn = try read(rows, columns, wearsGlasses: true)
    #expect(worn(22, 20) == FaceClass.unknown && worn(20, 20) == glasses && worn(24, 39) == glasses)
    #expect(worn(30, 20) == skin && worn(2, 2) == FaceClass.hair.rawValue)
    // Glasses that the map misses, and those that are not there.
    let missed = try read(20..<21, 10..<15, wearsGlasses: true)
    #expect(missed(20, 12) == FaceClass.unknown && missed(40, 20) == FaceClass.unknown && missed(2, 2) == FaceClass.hair.rawValue)
    let bare = try read(20..<21, 10..<15, wearsGlasses: false)
    #expect(bare(20, 12) == skin && bare(40, 20) == skin)
    let doubtful = try read(rows, columns, wearsGlasses: false)
    #expect(doubtful(22, 20) == FaceClass.unknown && doubtful(40, 20) == skin)
  }

  @Test func glassesAreDrawnOnPairs() throws {
    let sample = try Photo(contentsOf: FaceEditor.samplePhotoURL).picture
    let editor = try FaceEditor()
    let side = 160
    let photo = try editor.face(in: sample).alignment.crop(sample, size: side)
    let drawn = try editor.glasses(on: photo, seeds: [1, 2, 3])
    #expect(drawn.count == 3)
    for (index, glasses) in drawn.enumerated() {
      if let folder = ProcessInfo.processInfo.environment["DUMP"] {
        try glasses.photo.write(to: URL(fileURLWithPath: folder + "/worn\(index).png"))
        for (name, map) in [("frame", glasses.frame), ("whole", glasses.whole)] {
          try Picture(width: side, height: side, channels: 1, pixels: map.map { $0 ? 255 : 0 }).write(to: URL(fileURLWithPath: folder + "/\(name)\(index).png"))
        }
      }
      let count = glasses.whole.count { $0 }
      #expect((side * side / 50...side * side / 6).contains(count), "\(count) pixels")
      #expect(zip(glasses.frame, glasses.whole).allSatisfy { !$0 || $1 })
      // What is drawn lies in them, but for shadows.
      let far = zip(0..., glasses.whole).filter { !$1 && ($0 / side < side / 5 || $0 / side > side * 3 / 4) }.map(\.0)
      #expect(far.allSatisfy { i in (0..<3).allSatisfy { glasses.photo.pixels[3 * i + $0] == photo.pixels[3 * i + $0] } })
      let changed = glasses.whole.indices.filter { i in
        glasses.frame[i] && (0..<3).contains { abs(Int(glasses.photo.pixels[3 * i + $0]) - Int(photo.pixels[3 * i + $0])) > 20 }
      }
      #expect(changed.count > glasses.frame.count { $0 } / 2)
    }
  }

  @Test func trainingGoesOnFromAParser() throws {
    let start = try parser(tiny, "start")
    let trained = try trainer(training(images: 8), "next", isCoarse: true, from: start)
    #expect(try trained.run(shouldStop: { true }) == .interrupted)
    let next = try FaceParser(contentsOf: folder("next")).network.state()
    for (name, tensor) in try start.network.state() {
      try expectClose(#require(next[name]), tensor, name, tolerance: 1e-3)
    }
    var other = training(images: 8)
    other.model.channels[1] = 24
    let error = #expect(throws: TrainingError.self) { try trainer(other, "other", from: start) }
    #expect(error?.description.contains("start is of another size") == true)
  }

  // MARK: Maps

  @Test func mapsHaveThePhotosSizes() throws {
    let parser = try parser(tiny, "fresh")
    let sizes = [(32, 32), (31, 57), (1, 1), (200, 3), (32, 32), (1500, 700)]
    let photos = sizes.enumerated().map {
      Picture(width: $1.0, height: $1.1, channels: $0 % 2 == 0 ? 3 : 1, filledWith: UInt8(40 * $0))
    }
    let maps = try parser.labelMaps(of: photos)
    for (map, size) in zip(maps, sizes) {
      #expect((map.width, map.height, map.channels) == (size.0, size.1, 1))
      #expect(map.pixels.allSatisfy { $0 < 19 })
    }
    // One at a time they are the same.
    #expect(try parser.labelMaps(of: [photos[1]])[0] == maps[1])
  }

  @Test func probabilitiesOfClassesAddUp() throws {
    let parser = try parser(tiny, "fresh")
    let photos = (0..<2).map { fixture.photo($0) }
    let images = try Tensor.cat(photos.map { try Tensor($0) })
    let groups = [[.hair], FaceClass.allCases.filter { $0 != .hair }, FaceClass.allCases]
    let found = try parser.probabilities(of: groups, in: images)
    #expect(found.shape == [2, 3, 32, 32])
    let (hair, rest, all) = (try found.narrow(1, 0..<1), try found.narrow(1, 1..<2), try found.narrow(1, 2..<3))
    try expectClose(all, .ones([2, 1, 32, 32]), "all classes")
    try expectClose(hair + rest, all, "hair and the rest")
    // Photos of the network's own size are seen the same alone.
    for (row, photo) in photos.enumerated() {
      let alone = try parser.probabilities(of: groups, in: photo)
      #expect(alone.count == groups.count)
      try expectClose(values(hair.select(0, row)), alone[0].map(Double.init), "photo \(row)")
    }
  }

  @Test func agreementWithItselfIsPerfect() throws {
    let parser = try parser(tiny, "fresh")
    let jobs = (0..<5).map { FaceParser.Job(photo: fixture.imageURL($0), map: folder("own-\($0).png")) }
    func read(as order: [FaceClass]) -> LabelledPhotos {
      LabelledPhotos(files: jobs.map { LabelledPhoto(photo: $0.photo, map: .file($0.map, order: order)) })
    }
    try parser.write(jobs, batchSize: 2) { job, fault in #expect(fault == nil, "\(job)") }
    let same = try parser.evaluate(read(as: FaceClass.allCases), batchSize: 3)
    #expect(same.meanIoU == 1 && same.accuracy == 1 && same.faceIoU == 1 && same.images == 5)
    #expect(abs(same.classes.map(\.share).reduce(0, +) - 1) < 1e-9)
    // Read in the other order, most classes are others.
    let wrong = try parser.evaluate(read(as: FaceClass.celebAMaskHQ))
    #expect(wrong.accuracy < 1)
  }

  @Test func badPhotosAreNamedAndTheOthersWritten() throws {
    let parser = try parser(tiny, "fresh")
    try Data("no photo".utf8).write(to: fixture.imageURL(1))
    let jobs = (0..<4).map { FaceParser.Job(photo: fixture.imageURL($0), map: folder("maps/\($0).png")) }
    var faults: [String: PhotoError] = [:]
    try parser.write(jobs) { job, fault in faults[job.photo.lastPathComponent] = fault }
    #expect(faults.count == 1)
    #expect(faults["000002.jpg"] == .notAPhoto(file: fixture.imageURL(1).path))
    let written = try FileManager.default.contentsOfDirectory(atPath: folder("maps").path)
    #expect(written.sorted() == ["0.png", "2.png", "3.png"])
  }

  // MARK: Folders from elsewhere

  @Test func damagedFoldersAreRefused() throws {
    _ = try parser(tiny, "good")
    let weights = try Data(contentsOf: folder("good/model.safetensors"))
    let configuration = try Data(contentsOf: folder("good/config.json"))
    func expectRefused(_ what: String, naming file: String) {
      let error = #expect(throws: (any Error).self, "\(what)") { try FaceParser(contentsOf: folder("good")) }
      #expect(
        error is BundleError || error is FileError || error is SafetensorsError, "\(what): \(type(of: error))")
      #expect(error.map { "\($0)".contains(file) } == true, "\(what): \(error.map { "\($0)" } ?? "")")
    }
    for (what, bytes) in [
      ("empty", Data()), ("cut off", weights.dropLast(1)), ("cut in its header", weights.prefix(40)),
      ("noise", Data(repeating: 7, count: 100)),
    ] {
      try bytes.write(to: folder("good/model.safetensors"))
      expectRefused("weights \(what)", naming: "model.safetensors")
    }
    var tensors = try tiny.makeNetwork(seed: 3).state()
    tensors["output.bias"] = try .full([19], .nan)
    try Tensor.save(tensors, to: folder("good/model.safetensors"))
    expectRefused("weights not finite", naming: "output.bias")
    tensors["output.bias"] = nil
    try Tensor.save(tensors, to: folder("good/model.safetensors"))
    expectRefused("weights missing", naming: "output.bias")
    try weights.write(to: folder("good/model.safetensors"))
    for (what, text) in [
      ("no JSON", "{"), ("without a field", "{}"), ("too long", String(repeating: " ", count: 2 << 20)),
      ("too large", #"{"imageSize":32,"channels":[8,1000000],"residuals":[0,1]}"#),
    ] {
      try Data(text.utf8).write(to: folder("good/config.json"))
      expectRefused("configuration \(what)", naming: "config.json")
    }
    try FileManager.default.removeItem(at: folder("good/config.json"))
    expectRefused("configuration missing", naming: "config.json")
    try configuration.write(to: folder("good/config.json"))
    _ = try FaceParser(contentsOf: folder("good"))
  }

  // MARK: The parser that ships

  @Test func shippedParserIsSmall() throws {
    let weights = FaceParser.defaultURL.appendingPathComponent("model.safetensors")
    #expect(try Data(contentsOf: weights).count < 3_000_000)
    #expect(try FaceParser().configuration == ParserConfiguration())
  }

  @Test(.enabled(if: realData != nil, "FACET_DATA names no folder of real photos"))
  func shippedParserAgreesWithGivenMaps() throws {
    let data = try #require(realData)
    let parser = try FaceParser()
    let pairs = LabelledPhotos(
      files: Array(try LabelledPhotos.heldOut(of: data.appendingPathComponent("celebamask-hq")).files.prefix(40)))
    #expect(try parser.evaluate(pairs).faceIoU > 0.88)
    #expect(try parser.evaluate(pairs, reducedTo: 48).faceIoU > 0.84)
    let crops = LabelledPhotos.partition(
      .validation, of: try CelebA(directory: data.appendingPathComponent("celeba")))
    let some = LabelledPhotos(files: Array(crops.files.prefix(80)))
    #expect(try parser.evaluate(some).faceIoU > 0.84)
  }
}

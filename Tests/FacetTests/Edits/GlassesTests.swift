import Files
import Foundation
import Photo
import Testing
import Torch

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

@Suite("Glasses") struct GlassesTests {
  private static let angles = GlassesModel.angles

  /// Round ones, in CelebA's frame.
  private static let round = GlassesShape(
    left: .init(middle: Point(x: 70, y: 116), halfWidth: 14, halfHeight: 12),
    right: .init(middle: Point(x: 108, y: 116), halfWidth: 14, halfHeight: 12),
    outline: [Double](repeating: 1, count: angles), leftEar: Point(x: 38, y: 115), rightEar: Point(x: 140, y: 115))

  // MARK: Drawing

  @Test func rimsAreClosedAroundClearGlass() {
    let size = (width: 178, height: 218)
    let drawn = Self.round.drawn(size, at: Affine(.identity), sigma: 0.5)
    func at(_ plane: [Float], _ x: Double, _ y: Double) -> Float { plane[Int(y) * size.width + Int(x)] }
    for lens in [Self.round.left, Self.round.right] {
      #expect(at(drawn.glass, lens.middle.x, lens.middle.y) > 0.999 && at(drawn.frame, lens.middle.x, lens.middle.y) < 0.001)
      for step in 0..<60 {
        let angle = Double(step) / 60 * 2 * .pi
        // Outwards along a ray comes a rim, whichever way.
        let darkest = stride(from: 0.7, to: 1.1, by: 0.01).map { part in
          at(drawn.frame, lens.middle.x + part * 14 * cos(angle), lens.middle.y + part * 12 * sin(angle))
        }.max()!
        #expect(darkest > 0.8, "at \(angle)")
      }
    }
    // The bridge and both temples, and nothing above, below, or beyond the ears.
    for x in 85...93 {
      let darkest = (105..<116).map { at(drawn.frame, Double(x), Double($0)) }.max()!
      #expect(darkest > 0.8, "bridge at \(x)")
    }
    #expect(at(drawn.frame, 45, 110.6) > 0.8 && at(drawn.frame, 135, 110.6) > 0.8)
    for y in 0..<218 {
      for x in 0..<178 {
        let index = y * 178 + x
        let isNear = (34...144).contains(x) && (100...131).contains(y)
        #expect(isNear || max(drawn.frame[index], drawn.glass[index]) < 0.01, "\(x), \(y)")
        // The face is its own mirror image, and so are its glasses.
        #expect(abs(drawn.frame[index] - drawn.frame[y * 178 + 177 - x]) < 1e-4)
      }
    }
  }

  @Test func aTurnedFaceHidesATemple() {
    var glasses = Self.round
    glasses.rightEar = Point(x: 118, y: 115)
    let drawn = glasses.drawn((178, 218), at: Affine(.identity), sigma: 0.5)
    #expect(drawn.frame[110 * 178 + 45] > 0.8 && (125..<178).allSatisfy { drawn.frame[110 * 178 + $0] == 0 })
  }

  @Test func finerPicturesShowTheSame() {
    let coarse = Self.round.drawn((89, 109), at: Affine(Similarity(scale: 2)), sigma: 1)
    let fine = Self.round.drawn((356, 436), at: Affine(Similarity(scale: 0.5)), sigma: 1)
    func area(_ plane: [Float]) -> Float { plane.reduce(0, +) }
    #expect(abs(area(fine.frame) / area(coarse.frame) / 16 - 1) < 0.02)
    #expect(abs(area(fine.glass) / area(coarse.glass) / 16 - 1) < 0.02)
    // Beyond the picture there is nothing to draw.
    let beyond = Self.round.drawn((10, 10), at: Affine(Similarity(scale: 1, tx: 500)), sigma: 1)
    #expect(beyond.frame.allSatisfy { $0 == 0 } && beyond.glass.allSatisfy { $0 == 0 })
  }

  // MARK: Learning

  /// Somebody's landmarks, in pixels of the map, and the map of the glasses that fit them, rounded squares: wider lenses for eyes that are farther
  /// apart, lower ones for lower noses.
  private static func wearer(_ chance: inout SplitMix64) throws -> (landmarks: [Point], map: Picture, lenses: [GlassesShape.Lens]) {
    func uniform(_ range: ClosedRange<Double>) -> Double {
      range.lowerBound + Double(chance.next() >> 11) * 0x1p-53 * (range.upperBound - range.lowerBound)
    }
    let (stretch, nose, bar) = (uniform(0.85...1.15), uniform(-4...4), uniform(-9...5))
    let flat = PortraitTests.dlibLandmarks
    // The astronaut's, about where CelebA's frame has them.
    var landmarks = (0..<68).map { Point(x: (Double(flat[2 * $0]) - 224) * 0.85 * stretch + 89, y: Double(flat[2 * $0 + 1]) * 0.85 + 27) }
    for i in 27...35 { landmarks[i].y += nose }
    let eyes = [landmarks[Landmark.leftEye].mean, landmarks[Landmark.rightEye].mean]
    let distance = eyes[1].x - eyes[0].x
    let lenses = eyes.map { eye in
      GlassesShape.Lens(middle: Point(x: eye.x, y: eye.y + 3 + nose / 2), halfWidth: 0.38 * distance, halfHeight: 12)
    }
    var pixels = [UInt8](repeating: FaceClass.skin.rawValue, count: 178 * 218)
    for y in 0..<218 {
      for x in 0..<178 {
        let (px, py) = (Double(x) + 0.5, Double(y) + 0.5)
        let isLens = lenses.contains { lens in
          let (dx, dy) = ((px - lens.middle.x) / lens.halfWidth, (py - lens.middle.y) / lens.halfHeight)
          return pow(dx, 4) + pow(dy, 4) < 1
        }
        let isBar = abs(py - lenses[0].middle.y - bar) < 1.5 && px > 40 && px < 140
        if isLens || isBar { pixels[y * 178 + x] = FaceClass.eyeglasses.rawValue }
      }
    }
    return (landmarks, Picture(width: 178, height: 218, channels: 1, pixels: pixels), lenses)
  }

  @Test func lensesAreLearnedFromLandmarks() throws {
    var chance = SplitMix64(seed: 1)
    var worn: [GlassesFitting.Worn] = []
    for _ in 0..<60 {
      let (landmarks, map, lenses) = try Self.wearer(&chance)
      let found = try #require(GlassesFitting.Worn(landmarks, map))
      // As the map has them, bridge and temples aside.
      let toFrame = try #require(FaceAlignment.toFrame(landmarks))
      for (index, lens) in lenses.enumerated() {
        let middle = toFrame(lens.middle)
        #expect(abs(found.lenses[4 * index] - middle.x) < 1.5 && abs(found.lenses[4 * index + 1] - middle.y) < 1)
        #expect(abs(found.lenses[4 * index + 2] - lens.halfWidth * toFrame.scale) < 2)
      }
      worn.append(found)
    }
    let fitting = try GlassesFitting(worn, seen: 60)
    #expect(fitting.used == 60 && fitting.medianError < 0.7)
    for (step, radius) in fitting.model.outline.enumerated() {
      let angle = 2 * Double.pi * Double(step) / Double(Self.angles)
      #expect(abs(radius * pow(pow(cos(angle), 4) + pow(sin(angle), 4), 0.25) - 1) < 0.1, "at \(angle)")
    }
    let (landmarks, _, lenses) = try Self.wearer(&chance)
    let toFrame = try #require(FaceAlignment.toFrame(landmarks))
    let glasses = fitting.model.glasses(on: landmarks.map { toFrame($0) })
    for (lens, expected) in zip([glasses.left, glasses.right], lenses) {
      let middle = toFrame(expected.middle)
      #expect(hypot(lens.middle.x - middle.x, lens.middle.y - middle.y) < 2)
      #expect(abs(lens.halfWidth - expected.halfWidth * toFrame.scale) < 1.5)
    }
    #expect(throws: TrainingError.self) { try GlassesFitting(Array(worn.prefix(5)), seen: 9) }
    // Nobody wears any.
    let bare = Picture(width: 178, height: 218, channels: 1, filledWith: FaceClass.skin.rawValue)
    #expect(GlassesFitting.Worn(landmarks, bare) == nil)
  }

  @Test(.enabled(if: realData != nil, "FACET_DATA names no folder of real photos"))
  func realGlassesAreLearned() throws {
    var configuration = DatasetConfiguration()
    configuration.requiresMasks = true
    let dataset = try CelebA(
      directory: #require(realData).appendingPathComponent("celeba"), configuration: configuration)
    let column = try dataset.attributeIndex(of: "Eyeglasses")
    let names = dataset.indices(of: .train).filter {
      let labels = dataset.labels(of: $0)
      return labels[labels.startIndex + column] > 0
    }.prefix(200).map { dataset.samples[$0].fileName }
    let fitting = try #require(try GlassesFitting(dataset, examples: Set(names), detector: PortraitTests.detector))
    #expect(fitting.seen == 200 && fitting.used > 140 && fitting.medianError < 2)
    print("glasses from \(fitting.used) of \(fitting.seen) photos; median error \(fitting.medianError)")
    // It can be stopped.
    #expect(try GlassesFitting(dataset, detector: PortraitTests.detector) { done, _ in done < 2 } == nil)
  }

  // MARK: On disk

  @Test func whatIsReadIsWhatWasWritten() throws {
    let bundle = try ModelBundle()
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("facet-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try bundle.copy(to: folder)
    let copy = try ModelBundle(contentsOf: folder)
    let glasses = try #require(try GlassesModel.of(copy))
    try glasses.write(to: folder)
    #expect(try GlassesModel.of(copy) == glasses)
    let file = folder.appendingPathComponent(GlassesModel.file)
    let good = try Data(contentsOf: file)
    func refused(_ change: (inout [String: Tensor]) throws -> Void) throws -> String {
      try AtomicFile.write(good, to: file)
      var (tensors, metadata) = try Tensor.load(from: file)
      try change(&tensors)
      try Tensor.save(tensors, metadata: metadata, to: file)
      return #expect(throws: BundleError.self) { try GlassesModel.of(copy) }?.description ?? ""
    }
    #expect(try refused { $0["mean"] = nil }.contains("glasses.safetensors: 'mean' is not"))
    #expect(try refused { $0["outline"] = try Tensor.zeros([3]) }.contains("'outline' is not"))
    #expect(try refused { $0["outline"] = try Tensor.zeros([Self.angles]) }.contains("none of a lens"))
    #expect(try refused { $0["weights"] = try #require($0["weights"]) * Double.nan }.contains("'weights' is not finite"))
    try AtomicFile.write(good.prefix(100), to: file)
    #expect(throws: (any Error).self) { try FaceEditor(bundle: folder) }
    try FileManager.default.removeItem(at: file)
    #expect(try GlassesModel.of(copy) == nil)
  }

  @Test func barsAreLitFromAbove() throws {
    let n = 64
    /// The light on the rows and on the columns of a bar from 20 to 32 across the picture.
    func gleam(lying: Bool, thickness: Double) throws -> [Float] {
      let bar = (0..<n * n).map { (20..<32).contains(lying ? $0 / n : $0 % n) ? Float(1) : 0 }
      let light = try Glasses.gleam(on: Tensor(bar, shape: [1, 1, n, n]), thickness: thickness).select(0, 0).select(0, 0)
      return try (lying ? light.select(1, 30) : light.select(0, 30)).array(Float.self)
    }
    let lying = try gleam(lying: true, thickness: 12)
    let brightest = try #require(lying.indices.max { lying[$0] < lying[$1] })
    #expect((21..<26).contains(brightest) && lying[brightest] > 0.2 && lying.allSatisfy { $0 >= 0 && $0 <= 1 })
    // A line within the bar.
    #expect(lying[18] < 0.02 && lying[30...].allSatisfy { $0 < 0.02 })
    #expect(try gleam(lying: false, thickness: 12).allSatisfy { $0 < 0.01 })
    // What is thin has no sides.
    #expect(try gleam(lying: true, thickness: 1).allSatisfy { $0 == 0 })
  }

  // MARK: On the portrait

  @Test func glassesOfThePortraitAreDrawnOnce() throws {
    let (editor, photo, face) = try FaceEditorTests.portrait.get()
    func edited(_ strength: Double) throws -> Picture {
      try editor.apply([AttributeEdit("Eyeglasses", strength: strength)], to: face, in: photo.picture)
    }
    let whole = try edited(1)
    let place = face.alignment.transform(size: 100)
    var (changed, darkest) = (0, 255)
    for y in 0..<photo.height {
      for x in 0..<photo.width where whole[x, y] != photo.picture[x, y] {
        let point = place(Point(x: Double(x) + 0.5, y: Double(y) + 0.5))
        #expect((30..<62).contains(point.y) && (5..<95).contains(point.x), "\(x), \(y)")
        changed += 1
        darkest = min(darkest, whole[x, y].map(Int.init).max()!)
      }
    }
    #expect(changed > 300 && darkest < 60)
    // The slider fades them in, and does not go beyond what is opaque.
    func distance(_ a: Picture) -> Int { zip(a.pixels, photo.picture.pixels).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) } }
    let half = try distance(edited(0.5))
    #expect(abs(Double(half) / Double(distance(whole)) - 0.5) < 0.1)
    #expect(try edited(1.4) == whole && edited(0) == photo.picture)
    // Somebody who wears some gets no others.
    let wearer = try editor.face(in: whole)
    #expect(try editor.apply([AttributeEdit("Eyeglasses")], to: wearer, in: whole) == whole)
    // Hair hangs over them.
    let covered = try editor.face(in: photo.picture)
    _ = try covered.anatomy.parsed { try .parsed(as: .hair, size: face.crop.width) }
    #expect(try editor.apply([AttributeEdit("Eyeglasses")], to: covered, in: photo.picture) == photo.picture)
    // The model sees them; a probability can be asked for.
    let index = try editor.directions.index(of: "Eyeglasses")
    #expect(try editor.probabilities(in: face, after: [AttributeEdit("Eyeglasses")])[index] > 0.5)
    func strength(_ probability: Double) throws -> Double {
      try editor.strengths(of: [AttributeEdit("Eyeglasses", to: probability)], on: face)[0]
    }
    #expect(try strength(0.9) == 1 && strength(0.3) == 0)
    // Other ways to edit decode them.
    #expect(try editor.change(FaceEdit(face, [AttributeEdit("Eyeglasses")], options: .init(style: .article))).layers.count == 1)
    // A picture that is aligned already has its landmarks looked for.
    let frame = photo.picture.warped(by: face.alignment.transform(size: 170).then(Affine(Similarity(scale: 1, tx: 4, ty: 39))), to: (178, 218))
    let aligned = try editor.face(in: frame, isAligned: true)
    let there = try aligned.anatomy.landmarks
    let known = try #require(face.alignment.landmarks)
    #expect(zip(there, known).allSatisfy { hypot($0.x - $1.x, $0.y - $1.y) < 0.05 })
    #expect(try editor.change(FaceEdit(aligned, [AttributeEdit("Eyeglasses")])).drawn.count == 1)
  }
}

import Files
import Foundation
import Photo
import Testing
import Torch

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

@Suite("Glasses") struct GlassesTests {
  /// A head that looks straight ahead: what the model that ships has learned.
  private static func model() throws -> GlassesModel { try #require(try GlassesModel.of(ModelBundle())) }

  /// A face in CelebA's frame that looks to the right by an angle, in radians.
  private static func landmarks(turned yaw: Double = 0) throws -> [Point] {
    try model().head.map { point in
      Point(x: 89 + point.x * cos(yaw) - point.z * sin(yaw), y: 120 + point.y)
    }
  }

  private static let place = Affine(.identity)
  private static let side = 178

  private static func light() -> FaceLight {
    FaceLight(
      of: [SIMD3<Float>](repeating: SIMD3(0.5, 0.35, 0.3), count: 64 * 64), skin: [Float](repeating: 1, count: 64 * 64),
      at: Affine(Similarity(scale: 178 / 64)), around: Point(x: 89, y: 120))
  }

  private static func drawn(
    _ style: String, turned yaw: Double = 0, beyond: Float = 0, side: Int = side, scale: Double = 1
  ) throws -> GlassesPicture {
    let worn = try #require(try model().place(on: landmarks(turned: yaw)))
    return GlassesPicture(
      try .named(style), at: worn, in: light(), beyond: [Float](repeating: beyond, count: 64), side: side,
      Affine(Similarity(scale: scale)))
  }

  /// What a damaged file holds, or a hostile one: numbers that are finite, and no more.
  @Test(arguments: [1e30, -1e30]) func lensesStayWithinReach(_ value: Double) throws {
    let good = try Self.model()
    let spoilt = [
      GlassesModel(mean: good.mean.map { _ in value }, weights: good.weights, head: good.head),
      GlassesModel(mean: good.mean, weights: good.weights.map { $0.map { _ in value } }, head: good.head),
    ]
    for model in spoilt {
      let (left, right) = try model.lenses(on: Self.landmarks())
      for lens in [left, right] {
        #expect((6...178).contains(lens.halfWidth) && (6...178).contains(lens.halfHeight))
        #expect(abs(lens.middle.x) <= 1000 && abs(lens.middle.y) <= 1000)
      }
    }
  }

  // MARK: Styles

  @Test func allStylesCanBeDrawn() throws {
    #expect(GlassesStyle.names.count >= 8 && GlassesStyle.names.contains(GlassesStyle.standard))
    for name in GlassesStyle.names {
      let picture = try Self.drawn(name)
      let covered = picture.colours.reduce(0) { $0 + 1 - $1.w }
      #expect((100...6000).contains(covered), "\(name): \(covered)")
      #expect(picture.colours.allSatisfy { (0...1).contains($0.w) && (0...1.01).contains($0.max()) && $0.min() >= 0 }, "\(name)")
      #expect(picture.shade.contains { $0 > 0.5 }, "\(name)")
    }
    #expect(try GlassesStyle.named("Round-Metal") == GlassesStyle.named("round-metal"))
  }

  @Test func whatMakesNoGlassesIsRefused() throws {
    func refused(_ name: String) -> String {
      #expect(throws: StyleError.self) { try GlassesStyle.named(name) }?.description ?? ""
    }
    #expect(refused("monocle").contains("'monocle'") && refused("monocle").contains("round-metal"))
    for name in ["", "../default", "/etc/passwd", "round-metal.json"] { #expect(!refused(name).isEmpty) }
    let good = try JSONEncoder().encode(GlassesStyle.named("round-metal"))
    #expect(try GlassesStyle("mine", good) == .named("round-metal"))
    func fault(_ change: (inout [String: Any]) -> Void) throws -> String {
      var members = try #require(try JSONSerialization.jsonObject(with: good) as? [String: Any])
      change(&members)
      let text = try JSONSerialization.data(withJSONObject: members)
      return #expect(throws: StyleError.self) { try GlassesStyle("mine", text) }?.description ?? ""
    }
    #expect(try fault { $0["rim"] = nil }.contains("rim"))
    #expect(try fault { $0["rim"] = ["above": 99, "below": 1, "depth": 2, "bevel": 2] }.contains("rim.above is 99"))
    #expect(try fault { $0["lens"] = ["width": 50, "height": 40, "outline": [[1, 0]]] }.contains("1 points"))
    #expect(
      try fault { $0["lens"] = ["width": 50, "height": 40, "outline": [[Double]](repeating: [9, 0, 1], count: 8)] }.contains("two numbers"))
    #expect(try fault { $0["material"] = ["kind": "metal", "colour": "red"] }.contains("'red' is no colour"))
    #expect(throws: StyleError.self) { try GlassesStyle("mine", Data("{".utf8)) }
    #expect(throws: StyleError.self) { try AttributeEdit("Eyeglasses", style: "monocle").validateStyle() }
    #expect(throws: AttributeError.self) { try AttributeEdit("Smiling", style: "round-metal").validateStyle() }
  }

  // MARK: Drawing

  @Test func rimsAreClosedAroundClearGlass() throws {
    let worn = try #require(try Self.model().place(on: Self.landmarks()))
    let drawn = try Self.drawn("rectangular-acetate")
    func covered(_ x: Double, _ y: Double) -> Float {
      guard (0..<178).contains(Int(x)), (0..<178).contains(Int(y)) else { return 0 }
      return 1 - drawn.colours[Int(y) * Self.side + Int(x)].w
    }
    let style = try GlassesStyle.named("rectangular-acetate")
    let apart = (style.bridge.gap + style.lens.width) / 2 * worn.unit
    for middle in [worn.middle.x - apart, worn.middle.x + apart] {
      #expect(covered(middle, worn.middle.y) < 0.2)
      for step in 0..<60 {
        let angle = Double(step) / 60 * 2 * .pi
        // Outwards along a ray comes a rim, whichever way.
        let darkest = stride(from: 0.6, to: 1.5, by: 0.01).map { part in
          covered(
            middle + part * style.lens.width / 2 * worn.unit * cos(angle), worn.middle.y + part * style.lens.height / 2 * worn.unit * sin(angle))
        }.max() ?? 0
        #expect(darkest > 0.6, "at \(angle)")
      }
    }
    for column in -3...3 {
      let bridge = (-12...8).map { covered(worn.middle.x + Double(column), worn.middle.y + Double($0)) }.max() ?? 0
      #expect(bridge > 0.6, "bridge at \(column)")
    }
  }

  @Test func templesEndAtEarsAndHair() throws {
    func sides(_ picture: GlassesPicture) -> (left: Float, right: Float) {
      var sums = (left: Float(0), right: Float(0))
      for (index, colour) in picture.colours.enumerated() {
        let x = index % Self.side
        if x < 50 { sums.left += 1 - colour.w }
        if x >= 128 { sums.right += 1 - colour.w }
      }
      return sums
    }
    let straight = try sides(Self.drawn("rectangular-acetate"))
    #expect(abs(straight.left / straight.right - 1) < 0.1 && straight.left > 10)
    // A turned head hides the temple of its far side.
    let turned = try sides(Self.drawn("rectangular-acetate", turned: 0.45))
    #expect(max(turned.left, turned.right) > 1.5 * min(turned.left, turned.right))
    let hidden = try sides(Self.drawn("rectangular-acetate", beyond: 1))
    #expect(hidden.left < straight.left && hidden.right < straight.right)
  }

  @Test func finerPicturesShowTheSame() throws {
    func area(_ picture: GlassesPicture) -> Float { picture.colours.reduce(0) { $0 + 1 - $1.w } }
    let (coarse, fine) = (try Self.drawn("round-acetate"), try Self.drawn("round-acetate", side: 356, scale: 0.5))
    #expect(abs(area(fine) / area(coarse) / 4 - 1) < 0.03)
    // Beyond the picture there is nothing to draw.
    #expect(try area(Self.drawn("round-acetate", side: 20)) == 0)
    // Nor where landmarks are nowhere.
    let lost = try Self.model().place(on: [Point](repeating: Point(x: 1, y: 1), count: 68))
    #expect(lost == nil)
  }

  @Test func theHeadTellsItsTurn() throws {
    let model = try Self.model()
    for yaw in [-0.4, 0, 0.3] {
      let pose = try #require(HeadPose(of: model.head, seenAs: Self.landmarks(turned: yaw)))
      #expect(abs(asin(pose.rows[0].z) + yaw) < 0.01 && abs(pose.scale - 1) < 0.01)
    }
    // Learned from turned faces, it is found again, its depth about.
    let head = try #require(HeadPose.head(from: (-10...10).map { try Self.landmarks(turned: Double($0) * 0.04) }))
    for index in HeadPose.rigid {
      #expect(abs(head[index].x - model.head[index].x) < 3 && abs(head[index].y - model.head[index].y) < 3)
    }
    #expect(head[30].z < head[36].z - 10)
  }

  @Test func lightComesFromWhereSkinIsBright() {
    let n = 64
    // Brighter on the viewer's left.
    let colours = (0..<n * n).map { SIMD3<Float>(repeating: 0.7 - 0.5 * Float($0 % n) / Float(n)) }
    let light = FaceLight(
      of: colours, skin: [Float](repeating: 1, count: n * n), at: Affine(Similarity(scale: 178 / Double(n))), around: Point(x: 89, y: 89))
    #expect(light.source.x < -0.1 && light.source.y < 0)
    #expect(light(SIMD3(-0.7, 0, -0.7)) > light(SIMD3(0.7, 0, -0.7)) + 0.2)
    // In a dark photo nothing white is there either.
    let dark = FaceLight(
      of: colours.map { $0 * 0.02 }, skin: [Float](repeating: 1, count: n * n), at: Affine(Similarity(scale: 178 / Double(n))),
      around: Point(x: 89, y: 89))
    #expect(abs(dark.white - 0.02 * light.white) < 0.01 && dark.mirrored(from: SIMD3(0, -1, 0)).max() < 0.1)
    // Without skin it is even.
    let none = FaceLight(of: colours, skin: [Float](repeating: 0, count: n * n), at: Affine(.identity), around: Point(x: 0, y: 0))
    #expect(abs(none(SIMD3(0, 0, -1)) - 1) < 0.1)
  }

  // MARK: Learning

  /// Somebody's landmarks, in pixels of the map, and the map of the glasses that fit them, rounded squares: wider lenses for eyes that are farther
  /// apart, lower ones for lower noses.
  private static func wearer(_ chance: inout SplitMix64) throws -> (landmarks: [Point], map: Picture, lenses: [GlassesPlace.Lens]) {
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
      GlassesPlace.Lens(middle: Point(x: eye.x, y: eye.y + 3 + nose / 2), halfWidth: 0.38 * distance, halfHeight: 12)
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
    let (landmarks, _, lenses) = try Self.wearer(&chance)
    let toFrame = try #require(FaceAlignment.toFrame(landmarks))
    let glasses = fitting.model.lenses(on: landmarks.map { toFrame($0) })
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
    #expect(try refused { $0["head"] = try Tensor.zeros([3]) }.contains("'head' is not"))
    #expect(try refused { $0["head"] = try Tensor.full([68, 3], 1e6) }.contains("its head is none"))
    #expect(try refused { $0["weights"] = try #require($0["weights"]) * Double.nan }.contains("'weights' is not finite"))
    try AtomicFile.write(good.prefix(100), to: file)
    #expect(throws: (any Error).self) { try FaceEditor(bundle: folder) }
    try FileManager.default.removeItem(at: file)
    #expect(try GlassesModel.of(copy) == nil)
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
    // Each style is another picture.
    let round = try editor.apply([AttributeEdit("Eyeglasses", style: "round-metal")], to: face, in: photo.picture)
    #expect(round != whole && round != photo.picture)
    #expect(throws: StyleError.self) {
      try editor.apply([AttributeEdit("Eyeglasses", style: "monocle")], to: face, in: photo.picture)
    }
    // Somebody who wears some gets no others.
    let wearer = try editor.face(in: whole)
    #expect(try editor.apply([AttributeEdit("Eyeglasses")], to: wearer, in: whole) == whole)
    // Hair hangs over them.
    let covered = try editor.face(in: photo.picture)
    _ = try covered.anatomy.parsed { try .parsed(as: .hair, size: face.crop.width) }
    #expect(try editor.apply([AttributeEdit("Eyeglasses")], to: covered, in: photo.picture) == photo.picture)
    // The model sees them; a probability can be asked for.
    #expect(try #require(editor.probabilities(in: face, after: [AttributeEdit("Eyeglasses")])["Eyeglasses"]) > 0.5)
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

import Testing
import Torch

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

@Suite struct CompositionTests {
  private static let side = 32
  private static let sky = try! Tensor.full([1, 3, side, side], 0.5)

  /// A decoded face of one grey, lighter in a square; the mask covers all.
  private func decoded(_ grey: Double, square: Double = 0, at corner: Int = 8, spot: Double = 0) throws -> Reconstruction {
    let n = Self.side
    var values = [Float](repeating: Float(grey), count: 3 * n * n)
    for c in 0..<3 {
      for y in corner..<corner + 8 { for x in corner..<corner + 8 { values[(c * n + y) * n + x] += Float(square) } }
      values[(c * n + n - 2) * n + n - 2] += Float(spot)
    }
    return Reconstruction(
      image: try Tensor(values, shape: [1, 3, n, n]), maskLogits: try Tensor.full([1, 1, n, n], 20))
  }

  @Test(arguments: Composition.allCases) func composingFollowsTheChange(_ composition: Composition) throws {
    let (before, after) = (try decoded(0.4), try decoded(0.4, square: 0.3))
    let change = try composition.change(of: Self.sky, from: before, to: after)
    #expect(change.shape == [1, 4, Self.side, Self.side])
    let composed = try composition.composed(over: Self.sky, from: before, to: after)
    let direct = try Self.sky * (change.narrow(1, 3..<4) + 1) + change.narrow(1, 0..<3)
    #expect(try (composed - direct).abs().sum().item() < 1e-5)
  }

  /// Where a face is replaced the photo's grain stays, but for the article's way of composing, and its edges do not.
  @Test func grainStaysWhereAFaceIsReplaced() throws {
    let n = Self.side
    // A checkerboard of small differences, and one bright line far from the place that is looked at.
    var values = (0..<3 * n * n).map { Float(0.5 + (($0 % n + $0 / n) % 2 == 0 ? 0.02 : -0.02)) }
    for c in 0..<3 { for y in 0..<n { values[(c * n + y) * n + 15] = 0.9 } }
    let crop = try Tensor(values, shape: [1, 3, n, n])
    let (before, after) = (try decoded(0.4, square: 0.3), try decoded(0.4))
    for (composition, grain) in [(Composition.difference, Float(0.03)), (.article, 0)] {
      let slope = try composition.change(of: crop, from: before, to: after).select(0, 0).select(0, 3).array(Float.self)
      let composed = try composition.composed(over: crop, from: before, to: after)
      let row = try composed.select(0, 0).select(0, 0).array(Float.self)
      #expect(slope[12 * n + 8] < -0.8)
      #expect(abs(row[12 * n + 8] - row[12 * n + 9]) > grain - 0.001)
      if composition == .article { #expect(abs(row[12 * n + 8] - row[12 * n + 9]) < 0.001) }
      // The line is an edge: as far as the slope takes it away it is gone.
      let (line, left) = (row[12 * n + 15], 1 + slope[12 * n + 15])
      #expect(line - row[12 * n + 13] < 0.4 * left + 0.06)
    }
  }

  @Test func theSameFaceChangesNothing() throws {
    let face = try decoded(0.4, square: 0.2)
    #expect(try Composition.difference.change(of: face.image, from: face, to: face).abs().sum().item() < 1e-4)
  }

  /// The square's change comes in full, the slight change of everything else not at all.
  @Test func theDifferenceKeepsToWhereMostOfItIs() throws {
    let (before, after) = (try decoded(0.4), try decoded(0.405, square: 0.3, spot: 0.01))
    let change = try Composition.difference.change(of: before.image, from: before, to: after)
    let values = try change.select(0, 0).select(0, 0).array(Float.self)
    #expect(abs(values[12 * Self.side + 12] - 0.305) < 0.01)
    #expect(values[(Self.side - 2) * Self.side + Self.side - 2] == 0)
  }

  /// A square that goes leaves no edge of the photo's own behind; one that stays keeps its detail.
  @Test func detailStaysOnlyWhereItsStructureStays() throws {
    let n = Self.side
    func slope(_ before: Reconstruction, _ after: Reconstruction) throws -> Float {
      // The square's left edge.
      try Composition.difference.change(of: Self.sky, from: before, to: after).select(0, 0).select(0, 3).array(Float.self)[12 * n + 8]
    }
    #expect(try slope(decoded(0.4, square: 0.3), decoded(0.4)) < -0.8)
    #expect(try slope(decoded(0.4, square: 0.3), decoded(0.6, square: 0.3)) > -0.05)
  }

  /// What is replaced gets the photo's own light and tint, as far as the decoded picture lacks them.
  @Test func whatIsReplacedTakesOnTheSkinAroundIt() throws {
    let n = Self.side
    let (before, after) = (try decoded(0.4, square: 0.3), try decoded(0.4))
    let tint = try Tensor([0.1, 0.05, -0.05] as [Float], shape: [1, 3, 1, 1])
    let composed = try Composition.difference.composed(over: before.image + tint, from: before, to: after)
    let plain = try Composition.difference.composed(over: before.image, from: before, to: after)
    #expect(try values(composed - plain - tint).allSatisfy { abs($0) < 0.002 })
    let offsets = try (composed - plain).select(0, 0).select(0, 0).array(Float.self)
    #expect(abs(offsets[12 * n + 8] - 0.1) < 0.002)
  }

  /// How much whiter the photo's teeth are than the decoded ones is nothing that the lips over them take on.
  @Test func whatGoesHasNoSayInTheSkinThatComes() throws {
    let n = Self.side
    let (before, after) = (try decoded(0.4, square: 0.3), try decoded(0.4))
    func middle(_ photo: Tensor) throws -> Float {
      try Composition.difference.composed(over: photo, from: before, to: after).select(0, 0).select(0, 0)
        .array(Float.self)[12 * n + 8]
    }
    #expect(try abs(middle(decoded(0.4, square: 0.45).image) - middle(before.image)) < 0.02)
  }

  /// A new shape in another skin comes in the skin that was there.
  @Test func shapesComeInTheSkinThatWasThere() throws {
    let (before, after, wanted) = (try decoded(0.4), try decoded(0.45, spot: 0.3), try decoded(0.4, spot: 0.3))
    let kept = try Composition.keepingTint(of: before, in: after)
    #expect(try values(kept.image - wanted.image).allSatisfy { abs($0) < 0.01 })
    #expect(try Composition.keepingTint(of: before, in: before).image.array(Float.self) == before.image.array(Float.self))
    // What is no skin says nothing about it.
    let none = try Composition.keepingTint(
      of: before, in: after, weighted: .zeros([1, 1, Self.side, Self.side]))
    #expect(try values(none.image) == values(after.image))
  }

  /// So great a change is another thing in that place, and no light on the one that was there.
  @Test func largeDifferencesAreNoTint() throws {
    let (before, after) = (try decoded(0.2), try decoded(0.7))
    #expect(try values(Composition.keepingTint(of: before, in: after).image) == values(after.image))
  }

  @Test func scopesHoldChangesToTheirBusiness() throws {
    let n = Self.side
    let (before, after) = (try decoded(0.4), try decoded(0.4, square: 0.3))
    func plane(_ columns: Range<Int>) throws -> Tensor {
      try Tensor((0..<n * n).map { columns.contains($0 % n) ? Float(1) : 0 }, shape: [1, 1, n, n])
    }
    /// The change of a row through the square, columns 8 to 15, where hair, an open mouth, or what is outside of the face lies:
    /// offset and slope.
    func change(
      _ edit: String, hair: Range<Int> = 0..<0, mouth: Range<Int> = 0..<0, outside: Range<Int> = 0..<0,
      eyes: Range<Int> = 0..<0, brows: Range<Int> = 0..<0, lips: Range<Int> = 0..<0
    ) throws -> [[Float]] {
      // Age darkens more than it lightens.
      let (before, after) = edit == "Young=-1" ? (after, before) : (before, after)
      let other = try Tensor.cat([.zeros([1, 1, n, n]), plane(mouth), plane(hair), .zeros([1, 1, n, n])], dim: 1)
      let policy = AttributeTable.policy(of: [try #require(AttributeState(edit))])
      let features = try Tensor.cat([plane(eyes), plane(brows)], dim: 1)
      let change = try Composition.difference(
        of: Self.sky, from: before, to: after, within: policy,
        seen: SeenParts(other: other, outside: plane(outside), eyes: features, noseAndLips: plane(lips)))
      return try [0, 3].map { try change.select(0, 0).select(0, $0).array(Float.self)[12 * n..<13 * n].map { $0 } }
    }
    func amount(_ change: [[Float]]) -> Float { change.joined().reduce(0) { $0 + abs($1) } }
    let (whole, smile) = (try amount(change("Male=1")), try amount(change("Smiling=-1")))
    #expect(whole > 0.5 && smile > 0.3)
    // Smiles and a change of gender leave hair, glasses may cross it.
    #expect(try amount(change("Smiling=-1", hair: 0..<n)) == 0 && amount(change("Male=1", hair: 0..<n)) == 0)
    #expect(try amount(change("Straight_Hair=1", hair: 0..<n)) > 0.3 * whole)
    // Beards reach the neck, smiles keep to the face, and a little off its contour.
    #expect(try amount(change("Smiling=-1", outside: 0..<n)) == 0 && amount(change("Goatee=1", outside: 0..<n)) > 0.3 * whole)
    #expect(try abs(change("Male=1", outside: 13..<n)[0][12]) < 0.2 * abs(change("Male=1")[0][12]))
    // Age leaves eyes alone and takes brows along in part; a smile narrows eyes.
    let aged = try amount(change("Young=-1"))
    #expect(try aged > 0.3 && amount(change("Young=-1", eyes: 0..<n)) == 0)
    #expect(try abs(amount(change("Young=-1", brows: 0..<n)) / aged - 0.2) < 0.01)
    #expect(try amount(change("Smiling=1", eyes: 0..<n, brows: 0..<n)) == amount(change("Smiling=1")))
    // Smiles shade the photo's own skin, and move its lips.
    #expect(try change("Smiling=-1")[0].allSatisfy { $0 == 0 } && amount(change("Smiling=1", mouth: 0..<n, lips: 0..<n)) == 0)
    // Beards leave lips and teeth alone.
    #expect(try amount(change("Goatee=1", mouth: 0..<n)) == 0 && amount(change("No_Beard=1", lips: 0..<n)) == 0)
    #expect(try amount(change("Male=1", mouth: 0..<n, lips: 0..<n)) > 0.3 * whole)
  }

  /// Half of a face decodes in other light, with a line across.
  @Test func ageKeepsTheLight() throws {
    let n = 64
    func picture(_ value: (Int) -> Float) throws -> Tensor {
      let plane = (0..<n * n).map { value($0 % n) }
      return try Tensor((0..<3).flatMap { c in plane.map { $0 * (1 - 0.2 * Float(c)) } }, shape: [1, 3, n, n])
    }
    let logits = try Tensor.full([1, 1, n, n], 20)
    let photo = try picture { _ in 0.6 }
    let before = Reconstruction(image: photo, maskLogits: logits)
    func edited(_ policy: DecodePolicy = .keepsLight, _ value: (Int) -> Float) throws -> [[Float]] {
      let after = Reconstruction(image: try picture(value), maskLogits: logits)
      let seen = try SeenParts(
        other: .zeros([1, 4, n, n]), outside: .zeros([1, 1, n, n]), eyes: .zeros([1, 2, n, n]), noseAndLips: .zeros([1, 1, n, n]))
      let change = try Composition.difference(of: photo, from: before, to: after, within: policy, seen: seen)
      let result = try photo.changed(by: change)
      return try (0..<3).map { try Array(result.select(0, 0).select(0, $0).array(Float.self)[32 * n..<33 * n]) }
    }
    // A line comes, a broad shade hardly, and neither has another colour.
    let lined = try edited { 15..<17 ~= $0 ? 0.4 : 0.6 }
    #expect(lined[0][15] < 0.47 && abs(lined[0][40] - 0.6) < 0.01)
    let shaded = try edited { $0 < 32 ? 0.5 : 0.6 }
    #expect((0.55..<0.6).contains(shaded[0][10]))
    let free = try edited([]) { $0 < 32 ? 0.5 : 0.6 }
    #expect(free[0][10] < shaded[0][10] - 0.02, "\(free[0][10]), not below \(shaded[0][10])")
    for line in [lined, shaded] {
      #expect(zip(line[0], line[1]).allSatisfy { abs($1 - 0.8 * $0) < 0.01 } && zip(line[0], line[2]).allSatisfy { abs($1 - 0.6 * $0) < 0.01 })
    }
    #expect(AttributeTable.policy(of: [try #require(AttributeState("Young=-1"))]).contains(.keepsLight))
    // An expression that ends leaves no line, and takes those that there were.
    let ended = try edited([.keepsLight, .addsNoShade]) { 15..<17 ~= $0 ? 0.4 : 40..<42 ~= $0 ? 0.8 : 0.6 }
    #expect(ended[0].min()! > 0.599 && ended[0][40] > 0.61, "\(ended[0].min()!) \(ended[0][40])")
    // What gets lighter does so by little.
    #expect(try edited { 15..<19 ~= $0 ? 0.95 : 0.6 }[0].max()! < 0.65)
  }

  @Test func policiesAddUp() throws {
    func policy(_ texts: String...) throws -> DecodePolicy {
      AttributeTable.policy(of: try texts.map { try #require(AttributeState($0)) })
    }
    #expect(try policy("Smiling=-1", "Male=-1") == policy("Smiling=-1").combined(with: policy("Male=-1")))
    #expect(try !policy("Smiling=1", "Straight_Hair=1").contains(.keepsHair) && !policy("Smiling=1", "Blond_Hair=1").contains(.keepsHair))
    let beard = try policy("No_Beard=-1", "Blond_Hair=1")
    #expect(beard.isSuperset(of: [.keepsNoseAndMouth, .keepsHair, .keepsSkinTone]) && !beard.contains(.keepsContour))
    let both = try policy("Smiling=-1", "Wavy_Hair=1")
    #expect(both.isDisjoint(with: [.keepsHair, .keepsSkinTone, .keepsContour, .keepsNoseAndMouth]) && both.contains(.movesMouth))
    #expect(try DecodePolicy.still.combined(with: policy("Young=-1")) == policy("Young=-1"))
    #expect(try policy("Young=-1", "Smiling=1").isSuperset(of: [.keepsEyes, .movesMouth]))
    // Who gets younger gets no make-up.
    let young = try policy("Young=1")
    #expect(young.isSuperset(of: [.keepsEyes, .softensEyelids]) && !young.contains(.keepsLight))
    #expect(try policy("Mouth_Slightly_Open=1").contains(.movesMouth) && !policy("Young=-1").contains(.movesMouth))
    // A woman's make-up comes with her, a man's skin does not with him.
    #expect(try policy("Male=1").contains(.keepsSkinTone) && !policy("Male=-1").contains(.keepsSkinTone))
    // Skin that hair leaves is this face's, whatever decodes; hair that comes has colours of its own.
    #expect(try policy("Receding_Hairline=1") == .keepsSkinTone && policy("Bangs=-1") == .keepsSkinTone && policy("Bangs=1") == [])
    #expect(try policy("Heavy_Makeup=-1").contains(.keepsSkinTone) && !policy("Heavy_Makeup=1").contains(.keepsSkinTone))
    #expect(try policy("Smiling=1") == .expression && policy("Smiling=-1") == .rest && policy("No_Beard=-1") == .beard)
    // Folds of age are dark, whatever else goes.
    #expect(try policy("Smiling=-1", "Mouth_Slightly_Open=-1") == .rest && policy("Young=-1", "Smiling=-1").isDisjoint(with: .addsNoShade))
  }

  @Test func outsideTheMaskNothingChanges() throws {
    let n = Self.side
    let bare = Reconstruction(image: try decoded(0.4).image, maskLogits: try Tensor.full([1, 1, n, n], -20))
    let after = try decoded(0.4, square: 0.3)
    for composition in Composition.allCases {
      #expect(try composition.change(of: Self.sky, from: bare, to: after).abs().sum().item() < 1e-4)
    }
    // Nor where the edited face no longer is.
    #expect(try Composition.difference.change(of: Self.sky, from: after, to: bare).abs().sum().item() < 1e-4)
  }

  @Test func theArticleReplacesTheFace() throws {
    let after = try decoded(0.1, square: 0.3)
    let composed = try Composition.article.composed(over: Self.sky, from: decoded(0.4), to: after)
    #expect(try (composed - after.image).abs().sum().item() < 1e-3)
  }
}

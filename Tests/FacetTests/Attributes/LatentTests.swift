import Foundation
import Testing
import Torch

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

/// Codes that the tests make from labels, so that what should be found is known.
private struct MadeCodes {
  static let names = ["Smiling", "Male", "Beard", "Blond"]
  static let size = 8
  let photos: EncodedPhotos
  /// What each label adds to a code, attributes × size.
  let effects: [[Double]]

  /// Men are often bearded and seldom blond, women never bearded.
  init(count: Int = 3000, seed: UInt64 = 1, noise: Double = 0.5) throws {
    var generator = SplitMix64(seed: seed)
    func chance(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &generator) < probability }
    let effects = (0..<4).map { attribute in
      (0..<Self.size).map { dimension in sin(Double(attribute * Self.size + dimension) * 1.7) }
    }
    var labels: [Int8] = []
    var codes: [Float] = []
    for _ in 0..<count {
      let male = chance(0.4)
      let presence = [chance(0.5), male, male && chance(0.6), chance(male ? 0.1 : 0.4)]
      labels += presence.map { $0 ? 1 : -1 }
      for dimension in 0..<Self.size {
        // Sums of twelve even numbers are nearly normal; the dimensions have different spreads.
        let normal = (0..<12).map { _ in Double.random(in: 0..<1, using: &generator) }.reduce(-6, +)
        let shown = (0..<4).map { presence[$0] ? effects[$0][dimension] : 0 }.reduce(0, +)
        codes.append(Float(1 + shown + noise * normal * (1 + Double(dimension) / 4)))
      }
    }
    self.effects = effects
    photos = EncodedPhotos(
      codes: try Tensor(codes, shape: [count, Self.size]), labels: labels, attributeNames: Self.names)
  }
}

@Suite("Directions and probes") struct LatentDirectionTests {
  private static let made = Result { try MadeCodes() }
  private static let definition = CombinedDirection(
    "blond_beard", positives: "Beard & Blond", negatives: "Beard=-1", within: "Male")
  private static let found = Result {
    try AttributeDirections.find(
      in: made.get().photos, validation: MadeCodes(count: 1500, seed: 2).photos, definitions: [definition])
  }

  @Test func aSingleLabelsIsolatedDirectionIsItsEffect() throws {
    let photos = try Self.made.get().photos
    let statistics = try LatentStatistics(photos)
    let isolated = try AttributeDirections.isolated(photos.groups(), in: photos, statistics)
    try expectClose(values(isolated), values(statistics.effects), "effects", tolerance: 1e-6)
  }

  @Test func isolatedDirectionsLeaveOutWhatComesAlong() throws {
    let (made, found) = try (Self.made.get(), Self.found.get())
    #expect(found.names == MadeCodes.names + ["blond_beard"])
    let beard = 2
    func distance(_ method: DirectionMethod) throws -> Double {
      zip(try values(found.vectors(method).select(0, beard)), made.effects[beard])
        .map { ($0 - $1) * ($0 - $1) }.reduce(0, +).squareRoot()
    }
    #expect(try distance(.isolated) < 0.25)
    // All bearded are men: their mean has what makes a man in it.
    #expect(try distance(.meanDifference) > 1)
  }

  @Test func combinedDirectionsByTheFormula() throws {
    let (photos, found) = (try Self.made.get().photos, try Self.found.get())
    let groups = try Self.definition.groups(photos.labels, attributes: MadeCodes.names)
    let codes = try values(photos.codes)
    func mean(_ rows: [Int], _ value: (Int) -> Double) -> Double { rows.map(value).reduce(0, +) / Double(rows.count) }
    let effects = try values(LatentStatistics(photos).effects)
    for dimension in 0..<MadeCodes.size {
      func code(_ row: Int) -> Double { codes[row * MadeCodes.size + dimension] }
      let difference = mean(groups.positives, code) - mean(groups.negatives, code)
      var isolated = difference
      for label in [0, 1] {  // Smiling and Male; beard and hair are asked for
        func isPresent(_ row: Int) -> Double { photos.labels[row * 4 + label] == 1 ? 1 : 0 }
        isolated -= (mean(groups.positives, isPresent) - mean(groups.negatives, isPresent))
          * effects[label * MadeCodes.size + dimension]
      }
      #expect(abs(try values(found.vectors(.meanDifference).select(0, 4))[dimension] - difference) < 1e-5)
      #expect(abs(try values(found.vectors(.isolated).select(0, 4))[dimension] - isolated) < 1e-5)
    }
    #expect(found.positives[4] == groups.positives.count && found.negatives[4] == groups.negatives.count)
  }

  @Test func combinedDirectionsComeAndGo() throws {
    let (photos, found) = (try Self.made.get().photos, try Self.found.get())
    let more = try found.defining(CombinedDirection("plain", positives: "!Beard & !Blond"), in: photos)
    #expect(more.names.suffix(2) == ["blond_beard", "plain"] && more.definitions.count == 2)
    #expect(more.probes.figures[4] != nil && more.probes.figures[5] == nil)
    let less = try more.removing("BLOND_beard")
    #expect(less.names == MadeCodes.names + ["plain"])
    try expectClose(
      values(less.step("plain", strength: 1)), values(more.step("plain", strength: 1)), "step", tolerance: 0)
    for (name, error) in [("male", "male"), ("Blond_Beard", "Blond_Beard")] {
      #expect(throws: CombinedDirectionError.nameTaken(error)) {
        try found.defining(CombinedDirection(name, positives: "Beard"), in: photos)
      }
    }
    let few = #expect(throws: CombinedDirectionError.self) {
      try found.defining(CombinedDirection("women", positives: "Beard & !Male"), in: photos)
    }
    #expect("\(try #require(few))".contains("has 0 photos on the positive side and 3000 on the negative"))
    #expect(throws: AttributeError.self) { try found.removing("Male") }
    #expect(CombinedDirection.usable([Self.definition, Self.definition], in: photos).faults.count == 1)
  }

  // MARK: Steps

  @Test func keptAttributesStayStill() throws {
    let found = try Self.found.get()
    for method in DirectionMethod.allCases {
      let free = try found.step("Beard", strength: 1, method: method)
      let held = try found.step("Beard", strength: 1, keeping: ["male", "Smiling", "Male"], method: method)
      #expect(abs(try found.gain(of: free, on: 1)) > 0.1)
      for kept in [0, 1] { #expect(abs(try found.gain(of: held, on: kept)) < 1e-4) }
      #expect(try found.gain(of: held, on: 2) > 0)
    }
  }

  @Test func keepingIsTheLeastChangeAsTheCodesSpread() throws {
    let found = try Self.found.get()
    let free = try found.step("Blond", strength: 1).to(.float64)
    let held = try found.step("Blond", strength: 1, keeping: ["Male"]).to(.float64)
    // What a loss of the asked attribute's own probe is made up for by, undone.
    let scale = max(1, min(2, try found.gain(of: free, on: 3) / found.gain(of: held, on: 3)))
    let plain = scale == 1 ? held : try held * (1 / scale)
    let weights = try found.probes.weights.narrow(0, 1..<2).to(.float64)
    let nearest = try free - weights * (found.gain(of: free, on: 1) / weights.square().sum().item())
    func length(_ step: Tensor) throws -> Double {
      let moved = try (step - free).transpose(0, 1)
      return try (moved * moved.choleskySolve(found.codeFactor.to(.float64))).sum().item()
    }
    #expect(abs(try found.gain(of: nearest, on: 1)) < 1e-6)
    #expect(try length(plain) < length(nearest) * 0.999)
  }

  @Test func faultsOfSteps() throws {
    let found = try Self.found.get()
    #expect { try found.step("Smilin", strength: 1) } throws: { ($0 as? AttributeError)?.suggestions == ["Smiling"] }
    #expect { try found.step("Beard", strength: 1, keeping: ["Mal"]) } throws: {
      ($0 as? AttributeError)?.suggestions.contains("Male") == true
    }
    #expect { try found.step("Beard", strength: 1, keeping: ["beard"]) } throws: {
      "\($0)".contains("'Beard' is to be changed and kept")
    }
  }

  /// Strength 1 brings faces to the same log odds, whatever they have of the attribute, within limits.
  @Test func facesGetWhatTheyLack() throws {
    let (photos, found) = (try Self.made.get().photos, try Self.found.get())
    let typical = try #require(found.typicalOdds)
    #expect(typical.count == found.names.count && typical.allSatisfy { $0.absent < 0 && $0.present > 0 })
    let smiling = try values(found.probes.logits(of: photos.codes).select(1, 0).contiguous())
    let isPresent = (0..<photos.count).map { photos.labels[$0 * 4] == 1 }
    let absent = zip(smiling, isPresent).filter { !$1 }.map(\.0).sorted()
    #expect(absent.contains { abs($0 - typical[0].absent) < 1e-4 })
    #expect(absent.count { $0 < typical[0].absent } == absent.count / 2)

    func step(_ strength: Double, _ row: Int?, _ method: DirectionMethod = .isolated) throws -> [Double] {
      let face = try row.map { try photos.codes.narrow(0, $0..<$0 + 1) }
      return try values(found.step("Smiling", strength: strength, on: face, method: method))
    }
    func length(_ step: [Double]) -> Double { step.map { $0 * $0 }.reduce(0, +).squareRoot() }
    let whole = (try length(step(1, nil)), try length(step(-1, nil)))
    var shares: Set<Int> = []
    for row in 0..<60 {
      let code = try photos.codes.narrow(0, row..<row + 1)
      for (sign, whole) in [(1.0, whole.0), (-1, whole.1)] {
        let share = try length(step(sign, row)) / whole
        shares.insert(Int((share * 100).rounded()))
        #expect(share > 0.3499 && share < 1.4001)
        guard share > 0.3501 && share < 1.3999 else { continue }
        let moved = try found.probes.logits(of: code + Tensor(step(sign, row)).to(.float32)).select(1, 0).item()
        let gain = try found.gain(of: found.vectors(.isolated).narrow(0, 0..<1), on: 0)
        let start = sign > 0 ? typical[0].absent : -typical[0].present
        #expect(abs(sign * moved - (start + gain * found.factors(.isolated)[0][sign])) < 1e-3)
      }
      // Twice the strength is twice the way.
      #expect(abs(try length(step(2, row)) - 2 * length(step(1, row))) < 1e-4)
      #expect(try step(1, row, .meanDifference) == step(1, nil, .meanDifference))
    }
    #expect(shares.count > 10)
  }

  @Test(arguments: [0.02, 0.5, 0.9])
  func strengthForAProbability(probability: Double) throws {
    let found = try Self.found.get()
    let latent = try Self.made.get().photos.codes.narrow(0, 5..<6)
    for (keeping, method) in [([], DirectionMethod.isolated), (["Male"], .isolated), ([], .meanDifference)] {
      let strength = try found.strength(of: "Blond", from: latent, to: probability, keeping: keeping, method: method)
      let moved = try latent
        + found.step("Blond", strength: strength, on: latent, keeping: keeping, method: method)
      #expect(abs(try found.probes.probabilities(of: moved)[3] - probability) < 1e-3)
    }
    // What lies beyond the range of strengths is its end.
    let far = try latent + Tensor.ones([1, MadeCodes.size]) * 1e6
    #expect(AttributeEdit.range.contains(try found.strength(of: "Blond", from: far, to: 0)))
  }

  // MARK: Probes

  @Test func probesAreAtTheMinimumOfTheirLoss() throws {
    let (photos, found) = (try Self.made.get().photos, try Self.found.get())
    let deviation = try LatentStatistics(photos).deviation()
    let inputs = try (photos.codes.to(.float64) - found.codeMean.to(.float64)) / deviation
    let groups = try photos.groups() + [Self.definition.groups(photos.labels, attributes: MadeCodes.names)]
    let probabilities = try found.probes.logits(of: photos.codes).to(.float64).sigmoid()
    for (probe, group) in groups.enumerated() {
      var errors = [Double](repeating: 0, count: photos.count)
      let row = try probabilities.select(1, probe).contiguous().array(Double.self)
      for photo in group.positives { errors[photo] = row[photo] - 1 }
      for photo in group.negatives { errors[photo] = row[photo] }
      let weights = try found.probes.weights.select(0, probe).to(.float64) * deviation
      let gradient = try Tensor(errors, shape: [1, photos.count]).matmul(inputs) / Double(photos.count)
        + weights * AttributeProbes.penalty
      #expect(try gradient.abs().sum().item() < 1e-3)
      #expect(abs(errors.reduce(0, +)) / Double(photos.count) < 1e-4)
    }
  }

  @Test func probesSeeWhatIsThere() throws {
    let found = try Self.found.get()
    for (name, figures) in zip(found.names, found.probes.figures) {
      let figures = try #require(figures)
      #expect(figures.photos == (name == "blond_beard" ? figures.photos : 1500))
      #expect(figures.accuracy > figures.baseRate - 0.02, "\(name): \(figures)")
      #expect(figures.calibrationError < 0.08, "\(name): \(figures)")
    }
    #expect(try #require(found.probes.figures[0]).accuracy > 0.75)
    // The combined one is only measured among men.
    #expect(try #require(found.probes.figures[4]).photos < 700)
  }

  @Test func figuresByHand() throws {
    let figures = try #require(
      AttributeProbes.Figures([(0.9, true), (0.92, false), (0.1, false), (0.6, true), (1, true), (0, true)]))
    #expect(figures.photos == 6 && abs(figures.accuracy - 4 / 6) < 1e-12 && abs(figures.share - 4 / 6) < 1e-12)
    // Bins of a fifteenth: 0.9 and 0.92 in one, 1 in the last, 0 in the first, 0.1 in the second, 0.6 in the tenth.
    #expect(abs(figures.calibrationError - (0.82 + 0 + 1 + 0.1 + 0.4) / 6) < 1e-12)
    #expect(figures.baseRate == figures.share)
    #expect(AttributeProbes.Figures([]) == nil)
  }

  // MARK: Prior

  @Test func theFittedPriorHasTheCodesMoments() throws {
    let (photos, found) = (try Self.made.get().photos, try Self.found.get())
    let prior = try LatentPrior(.fitted, of: found)
    let drawn = try EncodedPhotos(
      codes: prior.sample(count: 4000, seed: 3, temperature: 1), labels: [Int8](repeating: 1, count: 4000),
      attributeNames: ["x"])
    let (given, seen) = try (LatentStatistics(photos), LatentStatistics(drawn))
    try expectClose(values(seen.mean), values(given.mean), "mean", tolerance: 0.1)
    try expectClose(values(seen.covariance), values(given.covariance), "covariance", tolerance: 0.15)
    // The temperature scales the way from the mean.
    let cold = try prior.sample(count: 2, seed: 5, temperature: 0.5)
    let warm = try prior.sample(count: 2, seed: 5, temperature: 1)
    try expectClose(values((cold - found.codeMean) * 2), values(warm - found.codeMean), "scaled", tolerance: 1e-5)
    try expectClose(
      values(prior.sample(count: 1, seed: 5, temperature: 0)), values(found.codeMean), "mean", tolerance: 1e-6)
  }

  @Test func theMixtureDrawsWhatLiesBetweenNoFaces() throws {
    // Two kinds of faces: along one axis codes are near 3 or near −1, three in four of them there.
    let (count, size) = (2000, 4)
    var generator = SplitMix64(seed: 6)
    let isFar = (0..<count).map { _ in Double.random(in: 0..<1, using: &generator) < 0.25 }
    let noise = try Tensor.randn([count, size], generator: Generator(seed: 2)) * 0.4
    let steps = try Tensor(isFar.flatMap { [Float($0 ? 3 : -1), 0, 0, 0] }, shape: [count, size])
    let photos = EncodedPhotos(codes: try noise + steps, labels: isFar.map { $0 ? 1 : -1 }, attributeNames: ["Far"])
    let found = try AttributeDirections.find(in: photos)
    func first(_ kind: LatentPrior.Kind, of directions: AttributeDirections) throws -> [Double] {
      let codes = try LatentPrior(kind, of: directions).sample(count: 1000, seed: 4, temperature: 1)
      return try codes.select(1, 0).contiguous().array(Float.self).map(Double.init)
    }
    func share(_ values: [Double], _ range: Range<Double>) -> Double {
      Double(values.filter(range.contains).count) / Double(values.count)
    }
    let (mixed, normal) = try (first(.mixture, of: found), first(.fitted, of: found))
    #expect(share(normal, 0.5..<1.5) > 0.15)
    #expect(share(mixed, 0.5..<1.5) < 0.05, "\(share(mixed, 0.5..<1.5))")
    #expect(abs(share(mixed, 1.5..<9) - 0.25) < 0.06)
    // Changes of the directions keep it.
    var more = try found.defining(.init("near", positives: "Far=-1", negatives: "Far"), in: photos)
    #expect(try first(.mixture, of: more) == mixed)
    more = try more.removing("near")
    #expect(try first(.mixture, of: more) == mixed)
    // Too few codes for two parts.
    let few = try EncodedPhotos(codes: photos.codes.narrow(0, 0..<30), labels: Array(photos.labels[..<30]), attributeNames: ["Far"])
    let simple = try AttributeDirections.find(in: few)
    #expect(throws: LatentPriorError.self) { try LatentPrior(.mixture, of: simple) }
  }

  @Test func samplesAreReproducible() throws {
    for kind in LatentPrior.Kind.allCases {
      let prior = try LatentPrior(kind, of: Self.found.get())
      let nine = try prior.sample(count: 9, seed: 7)
      #expect(nine.shape == [9, MadeCodes.size] && nine.dtype == .float32)
      try expectClose(values(prior.sample(count: 9, seed: 7)), values(nine), "again", tolerance: 0)
      try expectClose(values(prior.sample(count: 3, seed: 7)), values(nine.narrow(0, 0..<3)), "fewer", tolerance: 0)
      #expect(try (prior.sample(count: 9, seed: 8) - nine).abs().sum().item() > 1)
      for (count, temperature) in [(0, 1.0), (-1, 1), (1 << 40, 1), (1, -0.1), (1, .nan), (1, .infinity)] {
        #expect(throws: LatentPriorError.self) { try prior.sample(count: count, seed: 1, temperature: temperature) }
      }
    }
    let normal = try LatentPrior(.standardNormal, of: Self.found.get()).sample(count: 2000, seed: 1)
    #expect(abs(try normal.mean().item()) < 0.05)
    #expect(abs(try normal.square().mean().item() - 1) < 0.05)
  }
}

// MARK: - Strengths

/// A model that decodes exactly what it encodes: the means of four quarters of a picture.
final class QuarterFaces: FaceVAE {
  let configuration = ModelConfiguration(architecture: .compact, imageSize: 16, latentSize: 12)

  func encode(_ images: Tensor) throws -> Posterior {
    let mean = try images.avgPool2d(8).reshape([images.size(0), 12])
    return Posterior(mean: mean, logDeviation: mean)
  }

  var decoders: [any Module] { [] }

  func decode(_ latents: Tensor) throws -> Reconstruction {
    let image = try latents.reshape([latents.size(0), 3, 2, 2]).upsampleNearest2d(scale: 8)
    return Reconstruction(image: image, maskLogits: try .full([latents.size(0), 1, 16, 16], 40))
  }
}

@Suite("Strengths") struct StrengthTests {
  @Test(arguments: [(0.7, 2.0), (1, 1), (3, 0.5), (5.5, 0.01)])
  func aCrossingIsFound(crossing: Double, slope: Double) throws {
    let calibration = StrengthCalibration()
    var looks = 0
    // Not quite straight, and the slope at 0 a wrong guess.
    func reached(_ factor: Double) -> Double {
      looks += 1
      return slope * (factor - crossing) * (1 + 0.05 * factor)
    }
    let factor = calibration.solve(start: reached(0), slope: slope * 1.5, reached)
    #expect(abs(factor - crossing) < 0.06 || abs(reached(factor)) < 0.05)
    #expect(looks <= 8)
  }

  @Test func factorsStayInTheirRange() throws {
    let calibration = StrengthCalibration()
    #expect(calibration.solve(start: -1, slope: 1) { _ in -1 } == 3)
    #expect(calibration.solve(start: -1, slope: -1) { _ in -1 } == 3)
    #expect(calibration.solve(start: -1, slope: 100) { $0 - 0.1 } == 0.5)
    #expect(calibration.solve(start: -1, slope: 1) { _ in .nan } == AttributeDirections.defaultScale)
    #expect((0.5...3).contains(calibration.solve(start: 0, slope: 0) { $0 - 2 }))
  }

  /// The article encodes those that have an attribute, then those that lack it, for each attribute anew.
  @Test(arguments: [10_000, 5]) func onePassFindsTheArticlesVectors(limit: Int) throws {
    let fixture = try DatasetFixture(count: 40, validationStride: 1000)
    let cache = try fixture.cache(of: fixture.dataset(size: 16))
    let model = QuarterFaces()
    let found = try AttributeDirections.find(with: model, in: cache, limit: limit, batchSize: 16)
    var encoded = 0
    func meanCode(_ rows: [Int]) throws -> Tensor {
      encoded += rows.count
      let pixels = rows.flatMap { cache.pixels($0).image }
      let images = try Tensor(pixels, shape: [rows.count, 16, 16, 3]).permute([0, 3, 1, 2]).to(.float32) / 255
      return try withoutGradients { try model.encode(images).mean.mean(dims: [0]) }
    }
    for attribute in 0..<3 {
      let (with, without) = (0..<40).reduce(into: ([Int](), [Int]())) { groups, row in
        if Array(cache.dataset.labels(of: row))[attribute] == 1 { groups.0.append(row) } else { groups.1.append(row) }
      }
      let vector = try meanCode(Array(with.prefix(limit))) - meanCode(Array(without.prefix(limit)))
      let own = try values(found.vectors(.meanDifference).select(0, attribute))
      #expect(own.contains { abs($0) > 0.01 })
      for (one, other) in zip(own, try values(vector)) { #expect(abs(one - other) < 1e-5) }
    }
    #expect(encoded == (limit > 40 ? 3 * 40 : 3 * 2 * limit))
  }

  /// The pictures' blue rises from photo to photo; those in the upper half have the attribute.
  @Test func mostEditedFacesCross() throws {
    let fixture = try DatasetFixture(count: 24, validationStride: 1000)
    for i in 0..<24 {
      let labels = [i >= 12, i % 2 == 0, i % 3 == 0].map { $0 ? "1" : "-1" }
      fixture.attributeRows[i] = "\(fixture.attributeRows[i].prefix(10)) \(labels.joined(separator: " "))"
    }
    try fixture.writeLists()
    let model = QuarterFaces()
    let photos = try EncodedPhotos(fixture.cache(of: fixture.dataset(size: 16)), with: model, batchSize: 7)
    let found = try AttributeDirections.find(in: photos)
    var calls: [Int] = []
    // These faces are all face, so that the article's composition loses nothing.
    var calibration = StrengthCalibration()
    calibration.compositions = [.isolated: .article, .meanDifference: .article]
    let partial = fixture.folder.appendingPathComponent("strengths.partial.json")
    func calibrate() throws -> AttributeDirections {
      calls = []
      return try found.calibrated(with: model, on: photos, calibration: calibration, only: [0], partial: partial) { done, total in
        #expect(total == 4)
        calls.append(done)
      }
    }
    let calibrated = try calibrate()
    #expect(calls.first == 0 && calls.last == 4 && calls == calls.sorted())
    // Taken up again it has nothing left to do; by other rules it starts anew.
    #expect(try calibrate().factors(.isolated) == calibrated.factors(.isolated) && calls == [4])
    calibration.share = 0.5
    #expect(try calibrate().factors(.isolated) != calibrated.factors(.isolated) && calls.first == 0)
    try Data("{".utf8).write(to: partial)
    calibration.share = 0.9
    #expect(try calibrate().factors(.isolated) == calibrated.factors(.isolated) && calls.first == 0)
    for method in DirectionMethod.allCases {
      #expect(calibrated.factors(method)[0] != found.factors(method)[0])
      #expect(calibrated.factors(method)[1...] == found.factors(method)[1...])
      for sign in [1.0, -1] {
        let rows = (0..<24).filter { sign > 0 ? $0 < 12 : $0 >= 12 }
        let codes = try Tensor.cat(
          rows.map { row in
            let code = try photos.codes.narrow(0, row..<row + 1)
            return try code + calibrated.step("Smiling", strength: sign, on: code, method: method)
          }, dim: 0)
        let odds = try values(found.probes.logits(of: codes).select(1, 0)).map { $0 * sign }.sorted()
        let share = Double(odds.count { $0 > -0.1 }) / Double(odds.count)
        #expect((0.8...1).contains(share), "\(method) \(sign): \(odds)")
      }
    }
  }
}

/// What the default bundle says about itself, on real photos.
@Suite struct LatentRealTests {
  @Test(.enabled(if: realData != nil, "FACET_DATA names no folder of real photos"))
  func theStoredFiguresAreThoseOfTheValidationPhotos() throws {
    let bundle = try ModelBundle()
    let directions = try AttributeDirections(of: bundle)
    let dataset = try CelebA(
      directory: #require(realData).appendingPathComponent("celeba"), configuration: .encoding(bundle.configuration))
    let photos = try EncodedPhotos(DecodedCache.open(dataset, partition: .validation), with: bundle.model)
    #expect(photos.attributeNames == directions.labelNames)
    let combined = try directions.definitions.map { try $0.groups(photos.labels, attributes: photos.attributeNames) }
    let measured = try directions.probes.measured(on: photos, photos.groups() + combined)
    for (name, (stored, now)) in zip(directions.names, zip(directions.probes.figures, measured.figures)) {
      #expect(stored?.photos == now?.photos, "\(name)")
      guard let stored, let now else { continue }
      // Weights were rounded to float16 after they were measured.
      #expect(abs(stored.accuracy - now.accuracy) < 0.003 + 1.5 / Double(now.photos), "\(name)")
      #expect(abs(stored.calibrationError - now.calibrationError) < 0.01, "\(name)")
      #expect(abs(stored.share - now.share) < 1e-6, "\(name)")
    }
    // Between people it never saw, the model's codes tell more than the commoner answer.
    let better = measured.figures.prefix(40).compactMap(\.self).filter { $0.accuracy >= $0.baseRate }
    #expect(better.count >= 32)
  }
}

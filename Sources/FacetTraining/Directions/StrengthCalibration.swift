import Facet
import Files
import Foundation
import Torch

/// How the factors at strength 1 and −1 are found, so that strength 1 means the same for all attributes: enough for
/// most faces to be seen as having it.
public struct StrengthCalibration: Codable, Sendable {
  /// The most photos for one factor.
  public var photos = 96
  /// The share of the edited faces that the probe must see as asked.
  public var share = 0.9
  /// The factors that are taken: beyond three times the way between the means codes leave what the model knows.
  public var range = 0.5...3.0
  /// Photos edited at once.
  public var batchSize = 64
  /// How an edited crop is made with the directions of each method: what is lost on the way counts.
  public var compositions: [DirectionMethod: Composition] = [.isolated: .difference, .meanDifference: .article]

  private enum CodingKeys: CodingKey { case photos, share, range }

  /// The defaults.
  public init() {}
}

extension AttributeDirections {
  /// These directions with factors measured on photos: for each direction, way and method the factor at which the given
  /// share of faces, edited, composed and encoded again, are on the asked side of the attribute's probe.
  ///
  /// The photos are the first that are on the other side by their label and by the probe. Where there are fewer than
  /// eight the factor stays as it is.
  /// - Parameters:
  ///   - model: the model that the directions belong to.
  ///   - photos: the training partition, with its pictures.
  ///   - calibration: how it is done.
  ///   - only: positions in ``names``; `nil` for all.
  ///   - device: where the model is. On the CPU each thread takes factors of its own.
  ///   - partial: a file that keeps the factors found so far: with the same directions and photos the work goes on from it.
  ///   - progress: called with the factors done and their total.
  public func calibrated(
    with model: any FaceVAE, on photos: EncodedPhotos, calibration: StrengthCalibration = .init(),
    only: [Int]? = nil, device: Device = .cpu, partial: URL? = nil,
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> AttributeDirections {
    guard photos.attributeNames == labelNames else { throw CombinedDirectionError.otherLabels }
    model.setTraining(false)
    let combined = try definitions.map { try $0.groups(photos.labels, attributes: photos.attributeNames) }
    let groups = photos.groups() + combined
    let units = (only ?? Array(names.indices)).flatMap { target in
      [true, false].map { CalibratedFactors.Unit(target: target, adds: $0) }
    }
    let perUnit = DirectionMethod.allCases.count
    var found = try CalibratedFactors(key: key(of: model, photos, calibration), from: partial)
    let open = units.filter { found.factors[$0.name(among: names)] == nil }
    progress((units.count - open.count) * perUnit, units.count * perUnit)
    let logits = try withoutGradients { try probes.logits(of: photos.codes).transpose(0, 1).contiguous() }
    // Torch's own threads wait for each other at every layer.
    let threads = device == .cpu ? Torch.threads : 1
    defer { try? Torch.setThreads(max(1, threads)) }
    for start in stride(from: 0, to: open.count, by: threads) {
      let part = Array(open[start..<min(open.count, start + threads)])
      let results = concurrently(part.count) { place in
        Result {
          if threads > 1 { try Torch.setThreads(1) }
          return try withoutGradients {
            try factors(for: part[place], groups[part[place].target], logits, with: model, on: photos, calibration, device)
          }
        }
      }
      for (unit, result) in zip(part, results) { found.factors[unit.name(among: names)] = try result.get() }
      if let partial { try found.write(to: partial) }
      progress((units.count - open.count + start + part.count) * perUnit, units.count * perUnit)
    }
    var result = self
    for unit in units {
      for factor in found.factors[unit.name(among: names)] ?? [] {
        result.set(factor.value, of: unit.target, adds: unit.adds, factor.method, source: factor.source)
      }
    }
    return result
  }

  /// What factors depend on: those of another model, other labels or other rules are not gone on from.
  private func key(
    of model: any FaceVAE, _ photos: EncodedPhotos, _ calibration: StrengthCalibration
  ) throws -> String {
    var hash = FNV1a()
    hash.add("\(try JSON.encode(calibration)) \(try JSON.encode(definitions)) \(names) \(photos.count)")
    photos.labels.withUnsafeBytes { hash.add($0) }
    let weights = try model.state()
    for name in weights.keys.sorted() { try weights[name]!.to(.cpu).to(.float32).array(Float.self).withUnsafeBytes { hash.add($0) } }
    return hash.text
  }

  /// The factors of one attribute one way, by each method; none where there are too few photos.
  private func factors(
    for unit: CalibratedFactors.Unit, _ groups: LabelGroups, _ logits: Tensor, with model: any FaceVAE,
    on photos: EncodedPhotos, _ calibration: StrengthCalibration, _ device: Device
  ) throws -> [CalibratedFactors.Factor] {
    let (target, sign) = (unit.target, unit.adds ? 1.0 : -1)
    let odds = try logits.select(0, target).array(Float.self).map(Double.init)
    let side = unit.adds ? groups.negatives : groups.positives
    let rows = Array(side.lazy.filter { odds[$0] * sign < 0 }.prefix(calibration.photos))
    guard rows.count >= 8 else { return [] }
    let faces = try EditedFaces(rows, of: photos, with: model, calibration.batchSize, device)
    return try DirectionMethod.allCases.map { method in
      let direction = try vectors(method).narrow(0, target..<target + 1)
      let need = try requiredPart(of: target, sign: sign, method)
      let factor = try calibration.solve(
        start: Self.reached(rows.map { odds[$0] * sign }, by: calibration.share),
        slope: gain(of: direction, on: target)
      ) { factor in
        let needs = try Tensor(rows.map { need(odds[$0], factor) }, shape: [rows.count, 1]).to(.float32)
        let codes = try faces.encodedAgain(
          after: needs * direction * (factor * sign), calibration.compositions[method] ?? .difference)
        let odds = try probes.logits(of: codes).select(1, target).contiguous().array(Float.self)
        return Self.reached(odds.map { Double($0) * sign }, by: calibration.share)
      }
      let isBound = factor == calibration.range.lowerBound || factor == calibration.range.upperBound
      return CalibratedFactors.Factor(
        method: method, value: factor,
        source: isBound ? "the search ended at its bound" : "measured on \(rows.count) photos")
    }
  }

  /// The largest number that a share of the values reach.
  private static func reached(_ values: [Double], by share: Double) -> Double {
    values.sorted()[min(values.count - 1, Int((1 - share) * Double(values.count)))]
  }
}

/// Factors that were found so far, on disk.
private struct CalibratedFactors: Codable {
  /// An attribute, one way.
  struct Unit: Sendable {
    let target: Int
    let adds: Bool

    func name(among names: [String]) -> String { "\(names[target])=\(adds ? 1 : -1)" }
  }

  struct Factor: Codable, Sendable {
    let method: DirectionMethod
    let value: Double
    let source: String
  }

  let key: String
  var factors: [String: [Factor]] = [:]

  /// Those in a file, where it is there and of the same work.
  init(key: String, from url: URL?) throws {
    self.key = key
    guard let url, FileManager.default.fileExists(atPath: url.path) else { return }
    let text = try MappedFile(url).withBytes { $0.count < 1 << 24 ? String(decoding: $0, as: UTF8.self) : "" }
    guard let saved = try? JSON.decode(Self.self, text), saved.key == key else { return }
    factors = saved.factors.filter { $0.value.allSatisfy { $0.value > 0 && $0.value <= 100 } }
  }

  func write(to url: URL) throws { try AtomicFile.write(Data(JSON.encode(self).utf8), to: url) }
}

extension StrengthCalibration {
  /// The factor in ``range`` at which `reached` passes 0, or the nearer end where it does nowhere. By secants inside a
  /// bracket: it rises almost straight, and each look at it edits all the faces.
  /// - Parameters:
  ///   - start: its value at factor 0, below 0.
  ///   - slope: its slope there, were nothing lost on the way.
  ///   - reached: the log odds that enough of the faces reach at a factor.
  func solve(start: Double, slope: Double, _ reached: (_ factor: Double) throws -> Double) rethrows -> Double {
    var low = (factor: 0.0, odds: min(start, -1e-6))
    var high: (factor: Double, odds: Double)?
    func held(_ factor: Double) -> Double {
      factor.isFinite ? min(range.upperBound, max(range.lowerBound, factor)) : AttributeDirections.defaultScale
    }
    var factor = held(slope > 0 ? -1.2 * low.odds / slope : AttributeDirections.defaultScale)
    for _ in 0..<5 {
      let odds = try reached(factor)
      guard odds.isFinite else { return held(AttributeDirections.defaultScale) }
      if odds < 0 {
        if factor >= range.upperBound { return range.upperBound }
        low = (factor, odds)
      } else {
        if factor <= range.lowerBound { return range.lowerBound }
        high = (factor, odds)
      }
      if abs(odds) < 0.05 { return factor }
      if let high {
        let width = high.factor - low.factor
        let crossing = low.factor + width * -low.odds / (high.odds - low.odds)
        factor = held(min(high.factor - 0.1 * width, max(low.factor + 0.1 * width, crossing)))
        if width < 0.1 { return factor }
      } else {
        // Not there yet: as far on as the way so far tells, a little more so that the next look lies beyond.
        let rise = (odds - min(start, -1e-6)) / factor
        factor = held(rise > 0 ? min(2.5 * factor, -1.1 * min(start, -1e-6) / rise) : 2.5 * factor)
      }
    }
    return factor
  }
}

/// Faces that one direction after another is tried on.
private struct EditedFaces {
  private struct Part {
    let rows: Range<Int>
    let input: Tensor
    let code: Tensor
    let before: Reconstruction
  }

  private let parts: [Part]
  private let model: any FaceVAE
  private let device: Device

  init(
    _ rows: [Int], of photos: EncodedPhotos, with model: any FaceVAE, _ batchSize: Int,
    _ device: Device
  ) throws {
    (self.model, self.device) = (model, device)
    parts = try stride(from: 0, to: rows.count, by: max(1, batchSize)).map { start in
      let range = start..<min(rows.count, start + max(1, batchSize))
      let rows = Array(rows[range])
      let code = try photos.codes.indexSelect(0, Tensor(rows.map(Int64.init))).to(device)
      return Part(
        rows: range, input: try photos.images(rows, on: device), code: code, before: try model.decode(code))
    }
  }

  /// The codes of the edited pictures.
  /// - Parameter steps: one for each face.
  func encodedAgain(after steps: Tensor, _ composition: Composition) throws -> Tensor {
    try .cat(
      parts.map { part in
        let after = try model.decode(part.code + steps.narrow(0, part.rows).to(device))
        let edited = try composition.composed(over: part.input, from: part.before, to: after)
        return try model.encode(edited).mean.to(.cpu)
      })
  }
}

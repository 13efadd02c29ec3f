import Facet
import Torch

/// How the factors at strength 1 and −1 are found, so that strength 1 means the same for all attributes: enough for
/// most faces to be seen as having it.
public struct StrengthCalibration {
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
  ///   - device: where the model is.
  ///   - progress: called with the factors done and their total.
  public func calibrated(
    with model: any FaceVAE, on photos: EncodedPhotos, calibration: StrengthCalibration = .init(),
    only: [Int]? = nil, device: Device = .cpu, progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> AttributeDirections {
    var result = self
    let targets = only ?? Array(names.indices)
    let total = targets.count * 2 * DirectionMethod.allCases.count
    var done = 0
    model.setTraining(false)
    guard photos.attributeNames == labelNames else { throw CombinedDirectionError.otherLabels }
    let combined = try definitions.map { try $0.groups(photos.labels, attributes: photos.attributeNames) }
    let groups = photos.groups() + combined
    try withoutGradients {
      let logits = try probes.logits(of: photos.codes).transpose(0, 1).contiguous()
      for target in targets {
        let odds = try logits.select(0, target).array(Float.self).map(Double.init)
        for sign in [1.0, -1] {
          let side = sign > 0 ? groups[target].negatives : groups[target].positives
          let rows = Array(side.lazy.filter { odds[$0] * sign < 0 }.prefix(calibration.photos))
          let faces = rows.count < 8 ? nil : try EditedFaces(rows, of: photos, with: model, calibration.batchSize, device)
          for method in DirectionMethod.allCases {
            if let faces {
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
              result.set(
                factor, of: target, adds: sign > 0, method,
                source: isBound ? "the search ended at its bound" : "measured on \(rows.count) photos")
            }
            done += 1
            progress(done, total)
          }
        }
      }
    }
    return result
  }

  /// The largest number that a share of the values reach.
  private static func reached(_ values: [Double], by share: Double) -> Double {
    values.sorted()[min(values.count - 1, Int((1 - share) * Double(values.count)))]
  }
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

import Facet
import Foundation
import Torch

extension AttributeProbes {
  /// The weight of half the squared weights beside the mean cross entropy: the best of six on photos of other people.
  static let penalty = 3e-3

  /// Fits one probe to each pair of groups, all at once.
  ///
  /// The Hessian of the cross entropy nowhere passes ¼ XᵀX (Böhning and Lindsay 1988), which is the same for all probes:
  /// one factorisation serves every step of all of them, where Newton's method takes one a step and probe. Momentum with
  /// restarts (O'Donoghue and Candès 2015) makes up for the shorter steps.
  static func fit(
    _ names: [String], to groups: [LabelGroups], in photos: EncodedPhotos, statistics: LatentStatistics, center: Tensor,
    penalty: Double = penalty
  ) throws -> AttributeProbes {
    let (count, size, probes) = (photos.count, photos.latentSize, groups.count)
    let deviation = try statistics.deviation()
    let inputs = try Tensor.cat(
      [(photos.codes - center.to(.float32)) / deviation.to(.float32), .ones([count, 1])], dim: 1)
    let (targets, isCounted) = try membership(groups, count)

    // The bound, with the penalty on all but the biases.
    let ridge = try Tensor([Double](repeating: penalty, count: size) + [1e-9])
    var products = try Tensor.zeros([size + 1, size + 1], dtype: .float64)
    for start in stride(from: 0, to: count, by: 4096) {
      let part = try inputs.narrow(0, start..<min(count, start + 4096)).to(.float64)
      products = try products + part.transpose(0, 1).matmul(part)
    }
    let bound = try products / (4 * Double(count)) + Tensor.identity(size + 1) * ridge
    let factor = try bound.cholesky()

    let odds = groups.map { log((Double($0.positives.count) + 0.5) / (Double($0.negatives.count) + 0.5)) }
    var weights = try Tensor.cat(
      [.zeros([size, probes], dtype: .float64), Tensor(odds, shape: [1, probes])])
    var ahead = weights
    var momentum = [Double](repeating: 1, count: probes)
    for _ in 0..<1000 {
      let errors = try (inputs.matmul(ahead.to(.float32)).sigmoid() - targets) * isCounted
      let gradient = try inputs.transpose(0, 1).matmul(errors).to(.float64) / Double(count)
        + ridge.unsqueeze(1) * ahead
      let step = try gradient.choleskySolve(factor)
      let decrease = try (gradient * step).sum(dims: [0]).array(Double.self)
      guard decrease.allSatisfy(\.isFinite) else {
        throw TrainingError("the codes are not finite; the model is broken")
      }
      if decrease.allSatisfy({ $0 < 1e-8 }) { break }
      let next = try ahead - step
      let moved = try next - weights
      let uphill = try (gradient * moved).sum(dims: [0]).array(Double.self).map { $0 > 0 }
      var factors = [Double](repeating: 0, count: probes)
      for probe in 0..<probes {
        let before = uphill[probe] ? 1 : momentum[probe]
        momentum[probe] = (1 + (1 + 4 * before * before).squareRoot()) / 2
        factors[probe] = uphill[probe] ? 0 : (before - 1) / momentum[probe]
      }
      ahead = try next + moved * Tensor(factors)
      weights = next
    }
    let slopes = try weights.narrow(0, 0..<size) / deviation.unsqueeze(1)
    return AttributeProbes(
      names: names, mean: try center.to(.float32), weights: try slopes.transpose(0, 1).contiguous().to(.float32),
      biases: try weights.select(0, size).array(), figures: Array(repeating: nil, count: probes))
  }

  /// The same probes with figures over photos.
  /// - Parameter groups: of these photos, one pair a probe.
  func measured(on photos: EncodedPhotos, _ groups: [LabelGroups]) throws -> AttributeProbes {
    let probabilities = try logits(of: photos.codes).to(.float64).sigmoid().transpose(0, 1).array(Double.self)
    let figures = groups.enumerated().map { probe, groups -> Figures? in
      let row = probabilities[probe * photos.count..<(probe + 1) * photos.count]
      func pairs(_ rows: [Int], _ label: Bool) -> [(Double, Bool)] { rows.map { (row[row.startIndex + $0], label) } }
      return Figures(pairs(groups.positives, true) + pairs(groups.negatives, false))
    }
    return AttributeProbes(names: names, mean: mean, weights: weights, biases: biases, figures: figures)
  }

  /// Two matrices photos × groups: 1 where a photo is positive, and where it is on either side.
  private static func membership(_ groups: [LabelGroups], _ count: Int) throws -> (Tensor, Tensor) {
    var targets = [Float](repeating: 0, count: count * groups.count)
    var isCounted = targets
    for (column, group) in groups.enumerated() {
      for row in group.positives { targets[row * groups.count + column] = 1 }
      for row in group.positives { isCounted[row * groups.count + column] = 1 }
      for row in group.negatives { isCounted[row * groups.count + column] = 1 }
    }
    let shape = [count, groups.count]
    return (try Tensor(targets, shape: shape), try Tensor(isCounted, shape: shape))
  }
}

extension AttributeProbes.Figures {
  /// From probabilities and what is true; `nil` for no photos.
  init?(_ pairs: [(probability: Double, isPresent: Bool)]) {
    guard !pairs.isEmpty else { return nil }
    let bins = 15
    var sums = [Double](repeating: 0, count: bins)  // of probabilities less presence
    for pair in pairs {
      let bin = min(bins - 1, max(0, Int((pair.probability * Double(bins)).rounded(.down))))
      sums[bin] += pair.probability - (pair.isPresent ? 1 : 0)
    }
    let count = Double(pairs.count)
    self.init(
      photos: pairs.count,
      accuracy: Double(pairs.count { ($0.probability > 0.5) == $0.isPresent }) / count,
      share: Double(pairs.count(where: \.isPresent)) / count,
      calibrationError: sums.map(abs).reduce(0, +) / count)
  }
}

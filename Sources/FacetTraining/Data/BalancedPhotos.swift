import Facet
import Foundation
import Torch

/// The photos that an edit is learned from: those that lack what is asked, and examples of it.
struct BalancedPhotos {
  /// Both are drawn so that the other labels are alike on both sides: else the critic would ask for those, too.
  private let lacking, showing: (rows: [Int], odds: Cumulative)

  /// - Parameters:
  ///   - edit: what is asked.
  ///   - samples: the training partition.
  /// - Throws: ``TrainingError`` for a label that there is not, or too few photos.
  init(_ edit: AttributeState, in samples: DecodedCache) throws {
    let dataset = samples.dataset
    let names = dataset.attributeNames
    guard let column = names.firstIndex(of: edit.name) else {
      throw TrainingError("the data set has no label '\(edit.name)'; only labels have photos")
    }
    let labels = (0..<samples.count).map { Array(dataset.labels(of: samples.sampleIndices[$0])) }
    let sides = [false, true].map { shows in
      labels.indices.filter { labels[$0][column] != 0 && ((labels[$0][column] == 1) == edit.adds) == shows }
    }
    guard sides.allSatisfy({ $0.count >= 8 }) else {
      throw TrainingError(
        "\(sides[0].count) training photos lack what '\(edit)' asks for, "
          + "\(sides[1].count) show it; training needs 8 of each")
    }
    let others = AttributeTable.others(than: column, among: names)
    func presence(_ rows: [Int]) throws -> Tensor {
      let values = rows.flatMap { row in others.map { Double(labels[row][$0] + 1) / 2 } + [1] }
      return try Tensor(values, shape: [rows.count, others.count + 1])
    }
    let inputs = try sides.map(presence)
    let weights = try Self.regression(of: inputs[1], against: inputs[0])
    func odds(_ side: Int) throws -> [Double] { try inputs[side].matmul(weights).array(Double.self) }
    // Half of the way from each side, and nobody too often.
    lacking = (sides[0], Cumulative(try odds(0).map { exp(0.5 * $0) }, limit: 20))
    showing = (sides[1], Cumulative(try odds(1).map { exp(-0.5 * $0) }, limit: 5))
  }

  func draw(_ chance: inout SplitMix64) -> (source: Int, example: Int) {
    (lacking.rows[lacking.odds.draw(&chance)], showing.rows[showing.odds.draw(&chance)])
  }

  /// Weights of the log odds that a row is of the first matrix: logistic regression by Newton's method, with a ridge.
  private static func regression(of positives: Tensor, against negatives: Tensor) throws -> Tensor {
    let inputs = try Tensor.cat([positives, negatives])
    let (count, width) = (Double(inputs.size(0)), inputs.size(1))
    let targets = try Tensor.cat(
      [.ones([positives.size(0), 1], dtype: .float64), .zeros([negatives.size(0), 1], dtype: .float64)])
    let ridge = 1e-3
    var weights = try Tensor.zeros([width, 1], dtype: .float64)
    for _ in 0..<20 {
      let probabilities = try inputs.matmul(weights).sigmoid()
      let gradient = try inputs.transpose(0, 1).matmul(probabilities - targets) / count + weights * ridge
      let curvature = try (inputs * (probabilities * (1 - probabilities))).transpose(0, 1).matmul(inputs) / count
      weights = try weights - gradient.choleskySolve((curvature + Tensor.identity(width) * ridge).cholesky())
    }
    return weights
  }
}

/// Draws positions by their weights.
private struct Cumulative {
  private let sums: [Double]

  /// - Parameter limit: the largest weight, in parts of the median.
  init(_ weights: [Double], limit: Double) {
    let highest = limit * weights.sorted()[weights.count / 2]
    var sum = 0.0
    sums = weights.map { weight in
      sum += min(weight, highest)
      return sum
    }
  }

  func draw(_ chance: inout SplitMix64) -> Int {
    let wanted = Double(chance.next() >> 11) * 0x1p-53 * sums[sums.count - 1]
    var (low, high) = (0, sums.count - 1)
    while low < high {
      let middle = (low + high) / 2
      if sums[middle] > wanted { high = middle } else { low = middle + 1 }
    }
    return low
  }
}

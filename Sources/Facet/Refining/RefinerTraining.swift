import Files
import Foundation
import Torch

/// Everything that decides how a refiner is trained; stored in each checkpoint.
public struct RefinerTraining: CriticTraining {
  /// What it is to draw.
  public var edits: [AttributeState]
  /// For some of the edits, by their description, the file names of photos that are good examples of them; the others are
  /// learned from all photos that have the label. ``readExamples(_:)`` reads them from a list.
  public var examples: [String: [String]] = [:]
  /// Photos in a step, shared out to the edits in turn.
  public var batchSize = 16
  /// Seed of the weights and all chance.
  public var seed: UInt64 = 1
  /// The highest learning rate, of the refiner and of its critic.
  public var learningRate = 4e-4
  /// The decay of the averaged weights, which are the ones that ship.
  public var emaDecay = 0.998
  /// The log odds that the classifier should see the asked state with: softplus(margin − log odds).
  public var margin = 1.5
  /// Weight of that term; the critic's weighs 1.
  public var asked = 0.3
  /// Weight of the mean change of the other attributes' probabilities, as the classifier sees them.
  public var leakage = 4.0
  /// Weight of the mean change of the pixels.
  public var pixels = 1.0
  /// Weight of the mean opacity.
  public var opacity = 0.3
  /// Weight of the mean opacity over what an edit is not about, as the face parser sees it: eyes, brows, teeth, hair, clothes,
  /// background.
  public var held = 3.0
  /// How strong the steps are that it learns from, in parts of strength 1.
  public var strengths: [Double] = [0.8, 1.15]
  /// Convolutions in bfloat16, losses in float32.
  public var usesBFloat16 = true
  public var budget = TrainingConfiguration.Budget(minutes: 60)
  /// Minutes between two checkpoints.
  public var checkpointMinutes = 5.0

  private static let kind = "refiner"

  public init(edits: [AttributeState]) { self.edits = edits }

  /// Reads a list of examples: lines of an edit and a photo's file name, such as `Eyeglasses=1 000123.jpg`.
  /// - Throws: ``TrainingError`` that names the line, `FileError`.
  public static func readExamples(_ url: URL) throws -> [String: [String]] {
    let text = try MappedFile(url).withBytes { bytes in
      guard bytes.count <= 1 << 26 else { throw TrainingError("\(url.path): longer than a list of examples can be") }
      return String(decoding: bytes, as: UTF8.self)
    }
    var examples: [String: [String]] = [:]
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let words = line.split(whereSeparator: \.isWhitespace)
      if words.isEmpty { continue }
      guard words.count == 2, let edit = AttributeState(String(words[0])) else {
        throw TrainingError("\(url.path), line \(number + 1): not an edit and a file name, as 'Eyeglasses=1 000123.jpg'")
      }
      examples[edit.description, default: []].append(String(words[1]))
    }
    return examples
  }

  /// Checks the ranges of the fields.
  /// - Throws: ``TrainingError`` that names the field.
  func validate() throws {
    try validateCourse(of: Self.kind)
    func require(_ condition: Bool, _ field: String, _ range: String) throws {
      try self.require(condition, field, range, of: Self.kind)
    }
    try require((1...Refiner.maximumEdits).contains(edits.count), "edits", "from 1 to \(Refiner.maximumEdits) edits")
    try require(Set(edits).count == edits.count, "edits", "different from each other")
    try require(
      Set(examples.keys).isSubset(of: edits.map(\.description)), "examples", "of edits that are asked for")
    try require(abs(margin) <= 20, "margin", "from -20 to 20")
    for (name, weight) in [("asked", asked), ("leakage", leakage), ("pixels", pixels), ("opacity", opacity), ("held", held)] {
      try require((0...1e6).contains(weight), name, "from 0 to 1000000")
    }
    try require(
      strengths.count == 2 && 0 < strengths[0] && strengths[0] <= strengths[1] && strengths[1] <= 3, "strengths",
      "two rising numbers above 0 and up to 3")
  }
}

/// What a step of a refiner's training came to, each a mean over its photos.
public struct RefinerLosses: CriticLosses {
  /// The critic's own: max(0, 1 − real) + max(0, 1 + edited); 2 where it cannot tell them apart.
  public let critic: Double
  /// How real edited photos looked to it.
  public let realism: Double
  /// The share of edited photos that the classifier saw as asked.
  public let seen: Double
  /// The change of the other attributes' probabilities.
  public let leakage: Double
  /// The change of the pixels, of 1.
  public let pixels: Double

  public var named: [(name: String, value: Double)] {
    [("critic", critic), ("realism", realism), ("seen", seen), ("leakage", leakage), ("pixels", pixels)]
  }
}

/// The photos that an edit is learned from: those that lack what is asked, and examples of it.
struct RefinerPhotos {
  /// Both are drawn so that the other labels are alike on both sides: else the critic would ask for those, too.
  private let lacking, showing: (rows: [Int], odds: Cumulative)

  /// - Parameters:
  ///   - edit: what is asked.
  ///   - samples: the training partition.
  ///   - chosen: names of the photos that are good examples of what is asked; `nil` for all that have the label.
  /// - Throws: ``TrainingError`` for a label that there is not, or too few photos.
  init(_ edit: AttributeState, in samples: DecodedCache, examples chosen: Set<String>? = nil) throws {
    let dataset = samples.dataset
    let names = dataset.attributeNames
    guard let column = names.firstIndex(of: edit.name) else {
      throw TrainingError("the data set has no label '\(edit.name)'; a refiner learns labels only")
    }
    let labels = (0..<samples.count).map { Array(dataset.labels(of: samples.sampleIndices[$0])) }
    var sides = [false, true].map { shows in
      labels.indices.filter { ((labels[$0][column] == 1) == edit.adds) == shows }
    }
    if let chosen { sides[1] = sides[1].filter { chosen.contains(dataset.samples[samples.sampleIndices[$0]].fileName) } }
    guard sides.allSatisfy({ $0.count >= 8 }) else {
      throw TrainingError(
        "\(sides[0].count) training photos lack what '\(edit)' asks for, "
          + "\(sides[1].count) show it; a refiner needs 8 of each")
    }
    let others = AttributeParts.others(than: column, of: names)
    func presence(_ rows: [Int]) throws -> Tensor {
      let values = rows.flatMap { row in others.map { Double(labels[row][$0] == 1 ? 1 : 0) } + [1] }
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

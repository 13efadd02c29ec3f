import Facet
import Torch

extension AttributeDirections {
  /// Directions from vectors that others found, without photos: strength 1 is a vector itself, both methods take it,
  /// there are no probes, and codes are taken to be spread as the model's prior N(0, 1).
  init(vectors: [(name: String, values: [Float])], latentSize: Int) throws {
    let count = vectors.count
    let matrix = try Tensor(vectors.flatMap(\.values), shape: [count, latentSize])
    let factors = [StrengthFactors](repeating: StrengthFactors(add: 1, remove: 1), count: count)
    let (names, mean, none) = (vectors.map(\.name), try Tensor.zeros([latentSize]), [Int](repeating: 0, count: count))
    self.init(
      names: names, definitions: [], positives: none, negatives: none,
      probes: AttributeProbes(
        names: names, mean: mean, weights: try .zeros([count, latentSize]),
        biases: [Double](repeating: 0, count: count), figures: [AttributeProbes.Figures?](repeating: nil, count: count)),
      codeMean: mean, codeFactor: try Tensor.identity(latentSize).to(.float32),
      vectorsByMethod: Dictionary(uniqueKeysWithValues: DirectionMethod.allCases.map { ($0, matrix) }),
      factorsByMethod: Dictionary(uniqueKeysWithValues: DirectionMethod.allCases.map { ($0, factors) }), typicalOdds: nil,
      precision: .float32)
  }
}

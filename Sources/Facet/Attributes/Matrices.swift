import Torch

extension Tensor {
  /// The identity, float64.
  package static func identity(_ size: Int) throws -> Tensor {
    var values = [Double](repeating: 0, count: size * size)
    for i in 0..<size { values[i * (size + 1)] = 1 }
    return try Tensor(values, shape: [size, size])
  }

  /// The diagonal of a square matrix.
  package func diagonal() throws -> Tensor { try reshape([-1]).strided(0, from: 0, by: size(0) + 1) }

  /// This square matrix with a number added to its diagonal.
  package func withRidge(_ ridge: Double) throws -> Tensor { try self + Tensor.identity(size(0)) * ridge }
}

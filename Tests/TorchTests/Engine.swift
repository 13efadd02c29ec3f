import Foundation
import Testing

@testable import Torch

/// The tests that hold tensors, one after another, so that the count of live ones means something.
@Suite("Engine", .serialized) enum Engine {}

func values(_ tensor: Tensor) throws -> [Double] { try tensor.detach().to(.float64).array() }

/// Checks shape and elements, these to a tolerance relative to the largest.
func expect(
  _ tensor: Tensor, _ expected: [Double], shape: [Int]? = nil, tolerance: Double = 1e-6,
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  if let shape { #expect(tensor.shape == shape, sourceLocation: sourceLocation) }
  let actual = try values(tensor)
  try #require(actual.count == expected.count, sourceLocation: sourceLocation)
  let scale = max(1e-12, expected.map(abs).max() ?? 0)
  let error = zip(actual, expected).map { abs($0 - $1) }.max() ?? 0
  #expect(error <= tolerance * scale, "\(actual.prefix(16)) is not \(expected.prefix(16))", sourceLocation: sourceLocation)
}

/// Checks that `body` throws an error of torch's whose message contains `part`.
func expectTorchError<Result>(
  _ part: String, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Result
) {
  let error = #expect(throws: TorchError.self, sourceLocation: sourceLocation) { _ = try body() }
  let message = error?.message ?? ""
  #expect(message.contains(part), "\(message)", sourceLocation: sourceLocation)
}

/// A convolution, batch norm and an affine map: N × 1 × 6 × 6 to N × 2.
final class SmallNetwork: Module {
  let conv: Conv2d
  let norm: BatchNorm
  let head: Linear

  init(seed: UInt64 = 1) throws {
    let generator = try Generator(seed: seed)
    conv = try Conv2d(1, 3, stride: 2, generator: generator)
    norm = try BatchNorm(3)
    head = try Linear(27, 2, generator: generator)
  }

  func callAsFunction(_ x: Tensor) throws -> Tensor {
    try head(norm(conv(x)).elu().contiguous().reshape([x.size(0), 27]))
  }
}

extension Module {
  /// All parameters and buffers in another element type.
  func convert(to dtype: DType) throws {
    for (_, variable) in variables { variable.tensor = try variable.tensor.detach().to(dtype) }
  }
}

import Foundation
import Testing

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining
@testable import Torch

/// Tensors of a golden fixture; see README.md beside them for what each is.
struct Golden {
  let tensors: [String: Tensor]

  init(_ name: String) throws {
    tensors = try Tensor.load(from: Golden.folder.appending(path: "\(name).safetensors")).tensors
  }

  static var folder: URL { Bundle.module.resourceURL!.appending(path: "Fixtures") }

  subscript(_ name: String) -> Tensor {
    get throws { try #require(tensors[name], "\(name)") }
  }

  /// The tensors `PREFIX.NAME` for a module's names, in Swift's spelling.
  func state(of module: some Module, prefix: String) throws -> [String: Tensor] {
    var state: [String: Tensor] = [:]
    for (name, _) in module.variables { state[name] = try self["\(prefix).\(name.pythonic)"] }
    return state
  }
}

extension String {
  /// A variable's name in the peers' spelling.
  var pythonic: String {
    replacing("runningMean", with: "running_mean").replacing("runningVar", with: "running_var")
  }
}

func values(_ tensor: Tensor) throws -> [Double] { try tensor.detach().to(.float64).array() }

/// Checks that all elements agree to `tolerance` times the largest expected magnitude, or `scale` where that is larger.
func expectClose(
  _ actual: Tensor, _ expected: Tensor, _ what: String = "", tolerance: Double = 1e-4, scale: Double = 0,
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  try #require(actual.shape == expected.shape, "\(what)", sourceLocation: sourceLocation)
  try expectClose(
    values(actual), values(expected), what, tolerance: tolerance, scale: scale, sourceLocation: sourceLocation)
}

func expectClose(
  _ actual: [Double], _ expected: [Double], _ what: String = "", tolerance: Double = 1e-4, scale: Double = 0,
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  try #require(actual.count == expected.count, "\(what)", sourceLocation: sourceLocation)
  let largest = max(scale, expected.map(abs).max() ?? 0)
  let error = zip(actual, expected).map { abs($0 - $1) }.max() ?? 0
  #expect(
    error <= tolerance * largest, "\(what): off by \(error / largest) of the largest value", sourceLocation: sourceLocation)
}

/// The tensor as a new leaf whose gradient is recorded.
func leaf(_ tensor: Tensor) throws -> Tensor {
  let leaf = try tensor.detach().clone()
  try leaf.setRequiresGrad()
  return leaf
}

extension Module {
  /// All parameters and buffers in another element type.
  func convert(to dtype: DType) throws {
    for (_, variable) in variables { variable.tensor = try variable.tensor.detach().to(dtype) }
  }
}

/// Numbers made from a name, as `Scripts/fixtures/procedural.py` makes them.
enum Procedural {
  /// `count` values of centre + scale · u, u in [-1, 1): SplitMix64 seeded with the name's FNV-1a hash.
  static func values(_ name: String, count: Int, center: Double = 0, scale: Double = 1) -> [Float] {
    [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      let seed = name.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
      var state = seed
      var index = 0
      while index < count {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z &>> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z &>> 27)) &* 0x94d0_49bb_1331_11eb
        z ^= z &>> 31
        let unit = 2 * (Double(z &>> 11) * 0x1p-53) - 1
        (buffer.baseAddress! + index).initialize(to: Float(center + scale * unit))
        index += 1
      }
      initialized = count
    }
  }

  /// The value of the article model's parameter or buffer, by its name in Swift.
  static func parameter(_ name: String, shape: [Int]) throws -> Tensor {
    let fanIn =
      name.hasSuffix("up.conv.weight") ? Double(shape[0]) * 2.25 : Double(shape.dropFirst().reduce(1, *))
    let small = ["bottleneck.logDeviation.weight", "imageDecoder.output.weight", "maskDecoder.output.weight"]
    let (center, scale): (Double, Double) =
      if name.hasSuffix("norm.weight") {
        (1, 0.1)
      } else if name.hasSuffix("runningMean") {
        (0, 0.05)
      } else if name.hasSuffix("runningVar") {
        (1, 0.2)
      } else if name.hasSuffix("bias") {
        (0, 0.1)
      } else {
        (0, (small.contains(name) ? 0.25 : 1) * (4.5 / fanIn).squareRoot())
      }
    return try Tensor(values(name.pythonic, count: shape.reduce(1, *), center: center, scale: scale), shape: shape)
  }

  static func noise(_ count: Int, latent: Int) throws -> Tensor {
    try Tensor(values("input.noise", count: count * latent, scale: 3.0.squareRoot()), shape: [count, latent])
  }

  /// Bright and dark waves with a little noise, count × 3 × size × size.
  static func image(_ count: Int, size: Int) throws -> Tensor {
    let grain = values("input.image", count: count * 3 * size * size)
    var elements: [Float] = []
    elements.reserveCapacity(grain.count)
    for image in 0..<count {
      for channel in 0..<3 {
        for row in 0..<size {
          for column in 0..<size {
            let (n, c, y, x) = (Double(image), Double(channel), Double(row), Double(column))
            let bands = sin((0.05 + 0.04 * n) * y + (0.15 - 0.03 * n) * x + 2.1 * c + 0.9 * n)
            let ripple = sin(0.21 * y - (0.09 + 0.05 * n) * x + 1.3 * c)
            let sign = bands >= 0 ? 0.4 : -0.4
            elements.append(Float(0.5 + sign + 0.08 * ripple + 0.02 * Double(grain[elements.count])))
          }
        }
      }
    }
    return try Tensor(elements, shape: [count, 3, size, size])
  }

  /// Ellipses, count × 1 × size × size in {0, 1}.
  static func mask(_ count: Int, size: Int) throws -> Tensor {
    var elements: [Float] = []
    for n in 0..<count {
      for row in 0..<size {
        for column in 0..<size {
          let (y, x) = (Double(row - 72) / 54, Double(column - 70 - 4 * n) / 42)
          elements.append(y * y + x * x <= 1 ? 1 : 0)
        }
      }
    }
    return try Tensor(elements, shape: [count, 1, size, size])
  }
}

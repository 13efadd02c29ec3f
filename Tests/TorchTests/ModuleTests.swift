import Foundation
import Testing

@testable import Torch

extension Engine {
  @Suite("Modules") struct ModuleTests {
    private class Base: Module, @unchecked Sendable {
      let first: Linear
      init() throws { first = try Linear(2, 3, generator: nil) }
    }

    private final class Nested: Base, @unchecked Sendable {
      let stages: [any Module]
      let plain: Conv2d
      let extra: BatchNorm?
      let missing: Linear? = nil
      let constant = try! Buffer(.ones([1]))
      let name = "not a module"

      override init() throws {
        stages = [try Linear(1, 1, generator: nil), try BatchNorm(2)]
        plain = try Conv2d(1, 1, bias: false, generator: nil)
        extra = try BatchNorm(1)
        try super.init()
      }
    }

    @Test func dottedNames() throws {
      let module = try Nested()
      #expect(
        module.parameters.map(\.name) == [
          "first.weight", "first.bias", "stages.0.weight", "stages.0.bias", "stages.1.weight", "stages.1.bias",
          "plain.weight", "extra.weight", "extra.bias",
        ])
      #expect(
        module.buffers.map(\.name) == [
          "stages.1.runningMean", "stages.1.runningVar", "extra.runningMean", "extra.runningVar", "constant",
        ])
      #expect(module.variables.count == 14)
      #expect(module.modules.count == 6)
      #expect(module.parameterCount == 9 + 2 + 4 + 9 + 2)
    }

    @Test func trainingModeReachesEveryNorm() throws {
      let module = try Nested()
      let norms = module.modules.compactMap { $0 as? BatchNorm }
      #expect(norms.count == 2 && norms.allSatisfy { !$0.isTraining })
      module.setTraining(true)
      #expect(norms.allSatisfy { $0.isTraining })
    }

    @Test func stateIsACopy() throws {
      let network = try SmallNetwork()
      let state = try network.state()
      #expect(Set(state.keys) == Set(network.variables.map(\.name)))
      let before = try values(state["head.weight"]!)
      try network.head.weight.tensor.add(inPlace: .ones([2, 27]))
      #expect(try values(state["head.weight"]!) == before)
      try network.load(state)
      #expect(try values(network.head.weight.tensor) == before)
    }

    @Test func loadRefusesAndChangesNothing() throws {
      let network = try SmallNetwork(seed: 1)
      let before = try network.state()
      let good = try SmallNetwork(seed: 2).state()
      func refused(_ part: String, _ change: (inout [String: Tensor]) throws -> Void) throws {
        var state = good
        try change(&state)
        expectTorchError(part) { try network.load(state) }
        for (name, variable) in network.variables {
          #expect(try values(variable.tensor) == values(before[name]!), "\(name)")
        }
      }
      try refused("tensor 'head.bias' is missing") { $0["head.bias"] = nil }
      try refused("tensor 'norm.runningVar' is missing") { $0["norm.runningVar"] = nil }
      try refused("unknown tensor 'head.scale'") { $0["head.scale"] = try .ones([1]) }
      try refused("tensor 'head.weight' has shape [27, 2], the model needs [2, 27]") {
        $0["head.weight"] = try $0["head.weight"]!.transpose(0, 1)
      }
      try refused("tensor 'head.bias' has shape [], the model needs [2]") { $0["head.bias"] = try .zeros([]) }

      try network.load(good.mapValues { try $0.to(.float64) })
      for (name, variable) in network.variables {
        #expect(variable.tensor.dtype == .float32)
        #expect(try values(variable.tensor) == values(good[name]!), "\(name)")
      }
    }

    @Test func loadKeepsLayoutAndGradientFlag() throws {
      let network = try SmallNetwork()
      try network.useChannelsLast()
      try network.setRequiresGrad(true)
      try network.load(SmallNetwork(seed: 3).state())
      #expect(network.conv.weight.tensor.isContiguous(.channelsLast))
      #expect(network.parameters.allSatisfy { $0.parameter.tensor.requiresGrad })
    }

    @Test func freshWeights() throws {
      let conv = try Conv2d(4, 8, generator: Generator(seed: 1))
      let limit = (6.0 / (9 * 4 + 9 * 8)).squareRoot()
      let weights = try values(conv.weight.tensor)
      #expect(weights.allSatisfy { abs($0) <= limit })
      #expect(weights.contains { abs($0) > 0.9 * limit })
      #expect(try values(conv.bias!.tensor) == Array(repeating: 0, count: 8))
      #expect(try values(Conv2d(4, 8, generator: Generator(seed: 1)).weight.tensor) == weights)
      #expect(try values(Linear(2, 2, generator: nil).weight.tensor) == [0, 0, 0, 0])
    }
  }

  // MARK: Files

  @Suite("Tensors on disk") struct TensorFileTests {
    @Test func everyTypeComesBack() throws {
      let folder = FileManager.default.temporaryDirectory.appending(path: "facet-tensors-\(UUID().uuidString)")
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(at: folder) }
      let url = folder.appending(path: "a.safetensors")
      var tensors: [String: Tensor] = [:]
      for dtype in DType.allCases {
        tensors["\(dtype)"] = try Tensor([0, 1, 3, 100, 5, 6] as [Float], shape: [2, 3]).to(dtype)
        tensors["\(dtype).scalar"] = try Tensor.ones([], dtype: dtype)
        tensors["\(dtype).empty"] = try Tensor.ones([0, 4], dtype: dtype)
      }
      tensors["transposed"] = try Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3]).transpose(0, 1)
      tensors["channelsLast"] = try Tensor.rand([2, 3, 4, 5], generator: Generator(seed: 1)).contiguous(.channelsLast)
      let leaf = try Tensor.ones([2])
      try leaf.setRequiresGrad()
      tensors["recorded"] = leaf
      try Tensor.save(tensors, metadata: ["a": "b"], to: url)

      let (loaded, metadata) = try Tensor.load(from: url)
      #expect(metadata == ["a": "b"])
      #expect(loaded.count == tensors.count)
      for (name, tensor) in tensors {
        let back = try #require(loaded[name])
        #expect(back.dtype == tensor.dtype && back.shape == tensor.shape, "\(name)")
        #expect(try back.bytes() == tensor.bytes(), "\(name)")
      }
      // The mapping outlives the file's name.
      try FileManager.default.removeItem(at: url)
      try expect(loaded["transposed"]!, [1, 4, 2, 5, 3, 6], shape: [3, 2])
    }

    @Test func prefixes() throws {
      let state = ["a.b": try Tensor.ones([1]), "c": try Tensor.zeros([1])]
      #expect(Set(state.prefixed("x.").keys) == ["x.a.b", "x.c"])
      #expect(Set(state.prefixed("x.").withPrefix("x.a.").keys) == ["b"])
    }
  }
}

import Foundation
import Testing

@testable import Torch

extension Engine {
  @Suite("Optimizing") struct AdamTests {
    private final class Variables: Module {
      let a: Parameter
      let b: Parameter
      let c: Parameter
      init(_ a: Tensor, _ b: Tensor, _ c: Tensor) {
        self.a = Parameter(a)
        self.b = Parameter(b)
        self.c = Parameter(c)
      }
    }

    private func pair(_ a: [Float], _ b: [Float]) throws -> Variables {
      try Variables(Tensor(a), Tensor(b), Tensor([0] as [Float]))
    }

    private func setGradients(_ module: Variables, _ a: [Float], _ b: [Float]) throws {
      try module.a.tensor.setGrad(Tensor(a))
      try module.b.tensor.setGrad(Tensor(b))
      try module.c.tensor.setGrad(Tensor([0] as [Float]))
    }

    private func golden() throws -> [String: Tensor] {
      let url = try #require(Bundle.module.resourceURL).appending(path: "Fixtures/adam.safetensors")
      return try Tensor.load(from: url).tensors
    }

    /// Six steps with each variable's gradient clipped to norm 1e-3, as PyTorch takes them in float64.
    @Test(arguments: [MemoryFormat.contiguous, .channelsLast])
    func trajectory(layout: MemoryFormat) throws {
      let golden = try golden()
      func start(_ name: String) throws -> Tensor { try golden[name]!.clone() }
      let module = try Variables(start("a").contiguous(layout), start("b"), start("c"))
      var configuration = Adam.Configuration()
      configuration.eps = 1e-8
      let adam = try Adam(module, configuration: configuration, clipping: .perVariable(1e-3))
      for step in 0..<6 {
        for (name, parameter) in module.parameters {
          try parameter.tensor.setGrad(golden["\(name).gradient.\(step)"]!.clone())
        }
        try adam.step(learningRate: 1e-4)
        for (name, parameter) in module.parameters {
          // Values go up to 3 or so and take six roundings to float32; a step moves them by 1e-4.
          let expected = try values(golden["\(name).pytorch.\(step)"]!)
          let error = zip(try values(parameter.tensor), expected).map { abs($0 - $1) }.max()!
          #expect(error < 1e-6, "\(name) after step \(step)")
        }
      }
    }

    @Test func firstStepIsTheLearningRate() throws {
      let module = try pair([1, 1], [5])
      let adam = try Adam(module)
      try setGradients(module, [0.3, -20], [0])
      try adam.step(learningRate: 0.01)
      try expect(module.a.tensor, [0.99, 1.01])
      try expect(module.b.tensor, [5])
    }

    @Test func weightDecayIsApartFromTheGradient() throws {
      let module = try pair([2, 2], [5])
      var configuration = Adam.Configuration()
      configuration.weightDecay = 0.1
      try setGradients(module, [1, -1], [0])
      try Adam(module, configuration: configuration).step(learningRate: 0.01)
      try expect(module.a.tensor, [2 * 0.999 - 0.01, 2 * 0.999 + 0.01])
      try expect(module.b.tensor, [5 * 0.999])
    }

    @Test func clippingEachVariable() throws {
      let module = try pair([0, 0], [0])
      try setGradients(module, [3, 4], [0.5])
      try Adam(module, clipping: .perVariable(1)).step(learningRate: 1)
      try expect(#require(module.a.tensor.grad), [0.6, 0.8])
      try expect(#require(module.b.tensor.grad), [0.5])
      #expect(try values(#require(module.c.tensor.grad)) == [0])
    }

    @Test func clippingAllTogether() throws {
      let module = try pair([0, 0], [0])
      try setGradients(module, [3, 4], [12])
      try Adam(module, clipping: .global(6.5)).step(learningRate: 1)
      try expect(#require(module.a.tensor.grad), [1.5, 2])
      try expect(#require(module.b.tensor.grad), [6])
      try setGradients(module, [3, 4], [12])
      try Adam(module, clipping: .global(14)).step(learningRate: 1)
      try expect(#require(module.a.tensor.grad), [3, 4])
    }

    @Test func stateGoesOn() throws {
      let one = try pair([1, 2], [3])
      let adam = try Adam(one)
      func step(_ adam: Adam, _ module: Variables, _ index: Int) throws {
        try setGradients(module, [Float(index), -0.1], [Float(index * index)])
        try adam.step(learningRate: 0.1)
      }
      for index in 0..<3 { try step(adam, one, index) }
      let (weights, state) = (try one.state(), try adam.state())
      for index in 3..<6 { try step(adam, one, index) }

      let two = try pair([0, 0], [0])
      try two.load(weights)
      let resumed = try Adam(two)
      try resumed.load(state)
      for index in 3..<6 { try step(resumed, two, index) }
      #expect(try values(two.a.tensor) == values(one.a.tensor))
      #expect(try values(two.b.tensor) == values(one.b.tensor))
      #expect(try state["step"]?.item() == 3)

      expectTorchError("'step'") { try resumed.load([:]) }
      expectTorchError("'square.b'") { try resumed.load(state.filter { $0.key != "square.b" }) }
      expectTorchError("'mean.a'") {
        try resumed.load(state.merging(["mean.a": Tensor.ones([1])]) { _, new in new })
      }
    }

    @Test func missingGradient() throws {
      let module = try pair([1, 2], [3])
      try module.a.tensor.setGrad(Tensor([1, 1] as [Float]))
      expectTorchError("parameter 'b' has no gradient") { try Adam(module).step(learningRate: 1) }
      #expect(try values(module.a.tensor) == [1, 2])
    }

    @Test func movingAverage() throws {
      let module = try pair([1, 10], [4])
      let average = try ExponentialMovingAverage(module, decay: 0.5)
      try module.a.tensor.copy(from: Tensor([3, 0] as [Float]))
      // Early on the decay is (1 + step) / (10 + step).
      try average.update(step: 1)
      let early = 2.0 / 11
      let first = [early * 1 + (1 - early) * 3, early * 10]
      try expect(average.state()["a"]!, first)
      try expect(average.state()["b"]!, [4])
      try average.update(step: 1000)
      try expect(average.state()["a"]!, [first[0] / 2 + 1.5, first[1] / 2])
      #expect(try values(module.a.tensor) == [3, 0])

      let other = try ExponentialMovingAverage(module, decay: 0.5)
      try other.load(average.state())
      #expect(try values(other.state()["a"]!) == values(average.state()["a"]!))
      expectTorchError("'a'") { try other.load([:]) }
    }
  }

  // MARK: Memory

  /// Each in a process of its own, where no other test holds tensors or memory.
  @Suite("Memory") struct MemoryTests {
    /// Resident memory of this process in bytes.
    private static func residentBytes() throws -> Int {
      let fields = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
      return Int(fields[1])! * Int(sysconf(Int32(_SC_PAGESIZE)))
    }

    @Test func aThousandStepsHoldNothing() async {
      await #expect(processExitsWith: .success) { try MemoryTests.trainAThousandSteps() }
    }

    private static func trainAThousandSteps() throws {
      try Torch.setThreads(1)  // Waking others takes longer than steps this small.
      let network = try SmallNetwork()
      try network.useChannelsLast()
      try network.setRequiresGrad(true)
      network.setTraining(true)
      let adam = try Adam(network, clipping: .perVariable(0.1))
      let average = try ExponentialMovingAverage(network, decay: 0.99)
      let generator = try Generator(seed: 9)
      func train(_ steps: Range<Int>) throws -> Double {
        var last = 0.0
        for step in steps {
          let x = try Tensor.randn([64, 1, 6, 6], generator: generator)
          let target = try x.mean(dims: [1, 2, 3]).unsqueeze(1)
          let loss = try (network(x) - target).square().mean()
          try network.zeroGrad()
          try loss.backward()
          try adam.step(learningRate: 1e-3)
          try average.update(step: step)
          // Failing calls hold nothing either.
          _ = try? x.matmul(target)
          last = try loss.item()
        }
        return last
      }
      let first = try train(1..<100)
      let (tensors, bytes) = (Torch.liveTensors, try residentBytes())
      let last = try train(100..<1100)
      #expect(Torch.liveTensors == tensors)
      // One leaked feature map a step, 64 × 3 × 3 × 3 floats, would be 7 MB.
      #expect(try residentBytes() - bytes < 6 << 20)
      #expect(last < first)
    }

    @Test func everyTensorIsCounted() async {
      await #expect(processExitsWith: .success) { try MemoryTests.countTensors() }
    }

    private static func countTensors() throws {
      let before = Torch.liveTensors
      do {
        let x = try Tensor.ones([2])
        let copy = x
        #expect(Torch.liveTensors == before + 1)
        _ = try (copy * 2).split([1, 1], dim: 0)
        withExtendedLifetime(x) {}
      }
      #expect(Torch.liveTensors == before)
    }
  }
}

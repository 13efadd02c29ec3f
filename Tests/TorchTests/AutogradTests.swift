import Foundation
import Testing

@testable import Torch

extension Engine {
  @Suite("Autograd") struct AutogradTests {
    struct Failure: Error {}

    @Test func gradientsAddUpUntilCleared() throws {
      let x = try Tensor([1, 2, 3] as [Float])
      #expect(!x.requiresGrad && x.grad == nil)
      try x.setRequiresGrad()
      #expect(x.requiresGrad)
      try x.square().sum().backward()
      try expect(#require(x.grad), [2, 4, 6])
      try x.square().sum().backward()
      try expect(#require(x.grad), [4, 8, 12])
      try x.setGrad(nil)
      #expect(x.grad == nil)
      try x.setGrad(Tensor.ones([3]))
      try expect(#require(x.grad), [1, 1, 1])
    }

    @Test func refusals() throws {
      let x = try Tensor.ones([2])
      expectTorchError("does not require grad") { try x.sum().backward() }
      try x.setRequiresGrad()
      expectTorchError("only for scalar outputs") { try (x * 2).backward() }
      let loss = try (x * x).sum()
      try loss.backward()
      expectTorchError("a second time") { try loss.backward() }
      expectTorchError("floating point") { try Tensor([1] as [Int64]).setRequiresGrad() }
      expectTorchError("leaf") { try x.add(inPlace: x) }
      expectTorchError("does not fit") { try x.setGrad(Tensor.ones([3])) }
      expectTorchError("does not fit") { try x.setGrad(Tensor.ones([2], dtype: .float64)) }
    }

    @Test func gradientsTakeTheTensorsLayout() throws {
      let x = try Tensor.ones([1, 2, 2, 2]).contiguous(.channelsLast)
      let gradient = try Tensor((0..<8).map { Float($0) }, shape: [1, 2, 2, 2])
      try x.setGrad(gradient)
      #expect(x.grad?.isContiguous(.channelsLast) == true)
      try expect(#require(x.grad), (0..<8).map { Double($0) })
    }

    /// Convolution, batch norm in training and an affine map against central differences in float64.
    @Test func backwardAgreesWithDifferences() throws {
      let network = try SmallNetwork()
      try network.convert(to: .float64)
      try network.useChannelsLast()
      network.setTraining(true)
      try network.setRequiresGrad(true)
      let generator = try Generator(seed: 2)
      let x = try Tensor.randn([3, 1, 6, 6], generator: generator).to(.float64)
      let upstream = try Tensor.randn([3, 2], generator: generator).to(.float64)
      func loss() throws -> Tensor { try (network(x).square() * upstream).sum() }

      try loss().backward()
      for (name, parameter) in network.parameters {
        let gradient = try values(#require(parameter.tensor.grad))
        let original = try values(parameter.tensor)
        let scale = max(1, gradient.map(abs).max()!)
        try withoutGradients {
          for index in original.indices {
            func moved(_ step: Double) throws -> Double {
              var changed = original
              changed[index] += step
              try parameter.tensor.copy(from: Tensor(changed, shape: parameter.tensor.shape))
              return try loss().item()
            }
            let difference = try (moved(1e-5) - moved(-1e-5)) / 2e-5
            #expect(abs(difference - gradient[index]) < 1e-6 * scale, "\(name)[\(index)]")
          }
          try parameter.tensor.copy(from: Tensor(original, shape: parameter.tensor.shape))
        }
      }
      try network.zeroGrad()
      #expect(network.parameters.allSatisfy { $0.parameter.tensor.grad == nil })
      try network.setRequiresGrad(false)
      #expect(try !loss().requiresGrad)
    }

    @Test func withoutGradientsRestores() throws {
      let x = try Tensor.ones([2])
      try x.setRequiresGrad()
      let inside = try withoutGradients { () throws(TorchError) in try x * 2 }
      #expect(!inside.requiresGrad)
      #expect(try (x * 2).requiresGrad)
      #expect(throws: Failure.self) { try withoutGradients { throw Failure() } }
      #expect(try (x * 2).requiresGrad)
      try withoutGradients { () throws in
        withoutGradients {}
        #expect(try !(x * 2).requiresGrad)
      }
      #expect(try !x.detach().requiresGrad)
    }

    @Test func autocastRestores() throws {
      let x = try Tensor.ones([1, 2, 4, 4])
      let kernel = try Tensor.ones([1, 2, 3, 3])
      func type() throws -> DType { try x.conv2d(kernel).dtype }
      #expect(try withAutocast(.bfloat16, on: .cpu) { try type() } == .bfloat16)
      #expect(try type() == .float32)
      #expect(throws: Failure.self) { try withAutocast(.bfloat16, on: .cpu) { throw Failure() } }
      #expect(try type() == .float32)
      #expect(try withAutocast(nil, on: .cpu) { try type() } == .float32)
      try withAutocast(.bfloat16, on: .cpu) { () throws in
        #expect(try withAutocast(.float16, on: .cpu) { try x.matmul(x).dtype } == .float16)
        #expect(try x.matmul(x).dtype == .bfloat16)
        #expect(try withAutocast(nil, on: .cpu) { try type() } == .bfloat16)
      }
      try expect(withAutocast(.bfloat16, on: .cpu) { try x.conv2d(kernel) }, [18, 18, 18, 18])
    }

    @Test func autocastTrains() throws {
      let network = try SmallNetwork()
      try network.setRequiresGrad(true)
      network.setTraining(true)
      let x = try Tensor.randn([4, 1, 6, 6], generator: Generator(seed: 4))
      try withAutocast(.bfloat16, on: .cpu) { try network(x).to(.float32).square().mean() }.backward()
      for (name, parameter) in network.parameters {
        #expect(parameter.tensor.grad?.dtype == .float32, "\(name)")
        #expect(try parameter.tensor.grad?.isAllFinite() == true, "\(name)")
      }
    }
  }
}

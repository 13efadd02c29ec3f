import Foundation
import Testing

@testable import Torch

extension Engine {
  @Suite("Operators") struct OperatorTests {
    let a: Tensor
    let b: Tensor
    let matrix: Tensor

    init() throws {
      a = try Tensor([1, -2, 4] as [Float])
      b = try Tensor([2, 4, -8] as [Float])
      matrix = try Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])
    }

    private func ramp(_ shape: [Int]) throws -> Tensor {
      try Tensor((1...shape.reduce(1, *)).map { Float($0) }, shape: shape)
    }

    @Test func arithmetic() throws {
      try expect(a + b, [3, 2, -4])
      try expect(a + 1, [2, -1, 5])
      try expect(1 + a, [2, -1, 5])
      try expect(a - b, [-1, -6, 12])
      try expect(a - 1, [0, -3, 3])
      try expect(1 - a, [0, 3, -3])
      try expect(a * b, [2, -8, -32])
      try expect(a * 2, [2, -4, 8])
      try expect(2 * a, [2, -4, 8])
      try expect(a / b, [0.5, -0.5, -0.5])
      try expect(a / 4, [0.25, -0.5, 1])
      try expect(-a, [-1, 2, -4])
      try expect(matrix + a, [2, 0, 7, 5, 3, 10], shape: [2, 3])
    }

    @Test func bits() throws {
      let bytes = try Tensor([0b1011_0010, 0b0000_0001, 255] as [UInt8])
      try expect(bytes.shiftedRight(Tensor([1, 0, 7] as [UInt8])), [0b0101_1001, 1, 1])
      try expect(bytes.bits(1), [0, 1, 1])
    }

    @Test func tf32IsASwitch() throws {
      let before = Torch.allowsTF32
      for isAllowed in [true, false] {
        try Torch.setTF32(isAllowed)
        #expect(Torch.allowsTF32 == isAllowed)
      }
      try Torch.setTF32(before)
    }

    @Test func resizing() throws {
      let image = try ramp([1, 1, 4, 4])
      try expect(image.resized(to: (4, 4)), (1...16).map { Double($0) }, shape: [1, 1, 4, 4])
      let middle = try image.resized(to: (1, 1)).item()
      #expect(abs(middle - 8.5) < 1e-5)
      #expect(try image.resized(to: (3, 9)).shape == [1, 1, 3, 9])

      // All rows are outside: 0, the border, or the image seen again.
      let transform = try Tensor([3, 0, 0, 0, 3, 0] as [Float], shape: [1, 2, 3])
      func values(_ beyond: Tensor.Beyond) throws -> [Float] {
        try image.resampled(transform, to: (2, 4), by: .nearest, beyond: beyond).array(Float.self)
      }
      #expect(try values(.zeros).allSatisfy { $0 == 0 })
      #expect(try values(.border) == [1, 1, 4, 4, 13, 13, 16, 16])
      #expect(try values(.reflection).allSatisfy { (1...16).contains($0) })
      let identity = try Tensor([1, 0, 0, 0, 1, 0] as [Float], shape: [1, 2, 3])
      for interpolation in [Tensor.Interpolation.nearest, .bilinear, .bicubic] {
        try expect(image.resampled(identity, by: interpolation), (1...16).map { Double($0) }, shape: [1, 1, 4, 4])
      }
      #expect(throws: TorchError.self) { try ramp([4, 4]).resampled(identity) }
    }

    @Test func classes() throws {
      #expect(try matrix.argmax(dim: 1).array(Int64.self) == [2, 2] && matrix.argmax(dim: 0).array(Int64.self) == [1, 1, 1])
      try expect(Tensor([0.5, 1.5, -0.4] as [Float]).round(), [0, 2, 0])
      // −log softmax of the target, weighted by its class; the ignored row does not count.
      let logits = try Tensor([1, 2, 0, 0, 5, 5] as [Float], shape: [3, 2])
      let (first, second) = (log(1 + exp(1.0)), log(2.0))
      let target = try Tensor([0, 1, -1] as [Int64])
      let plain = try logits.crossEntropy(target, ignored: -1).item()
      #expect(abs(plain - (first + second) / 2) < 1e-6)
      let weighted = try logits.crossEntropy(target, weights: Tensor([3, 1] as [Float]), ignored: -1).item()
      #expect(abs(weighted - (3 * first + second) / 4) < 1e-6)
    }

    @Test func elementwise() throws {
      try expect(a.exp(), [exp(1), exp(-2), exp(4)])
      try expect(a.abs().log(), [0, log(2), log(4)])
      try expect(a.abs().sqrt(), [1, 2.0.squareRoot(), 2])
      try expect(a.abs(), [1, 2, 4])
      try expect(a.square(), [1, 4, 16])
      try expect(a.clamp(min: -1), [1, -1, 4])
      try expect(a.clamp(max: 2), [1, -2, 2])
      try expect(a.clamp(min: -1, max: 2), [1, -1, 2])
      try expect(a.maximum(b), [2, 4, 4])
      #expect(try (a > 0).array(Bool.self) == [true, false, true])
      #expect(try (a < 1).array(Bool.self) == [false, true, false])
      #expect(try a.isAllFinite())
      #expect(try !Tensor([1, .infinity] as [Float]).isAllFinite())
      #expect(try !Tensor([.nan, 1] as [Float]).isAllFinite())
    }

    @Test func inPlace() throws {
      let target = try a.clone()
      try target.add(inPlace: b)
      try expect(target, [3, 2, -4])
      try target.copy(from: Tensor([7, 8, 9] as [Int32]))
      try expect(target, [7, 8, 9])
      #expect(target.dtype == .float32)
      try matrix.narrow(0, 1..<2).add(inPlace: a)
      try expect(matrix, [1, 2, 3, 5, 3, 10])
      try expect(a, [1, -2, 4])
    }

    @Test func reductionsAndProducts() throws {
      try expect(matrix.sum(), [21], shape: [])
      try expect(matrix.sum(dims: [0]), [5, 7, 9], shape: [3])
      try expect(matrix.sum(dims: [-1], keepDim: true), [6, 15], shape: [2, 1])
      try expect(matrix.mean(), [3.5], shape: [])
      try expect(matrix.mean(dims: [1]), [2, 5], shape: [2])
      try expect(matrix.mean(dims: [0, 1], keepDim: true), [3.5], shape: [1, 1])
      try expect(matrix.norm(), [sqrt(91)], shape: [])
      try expect(matrix.matmul(matrix.transpose(0, 1)), [14, 32, 32, 77], shape: [2, 2])
      let product = try Tensor([4, 2, 2, 5] as [Float], shape: [2, 2])
      try expect(product.cholesky(), [2, 0, 1, 2], shape: [2, 2])
      let eigen = try Tensor([2, 1, 1, 2] as [Float], shape: [2, 2]).symmetricEigen()
      try expect(eigen.values, [1, 3], shape: [2])
      try expect(eigen.vectors.square(), [0.5, 0.5, 0.5, 0.5], shape: [2, 2])
      try expect(Tensor([8, 0] as [Float], shape: [2, 1]).choleskySolve(product.cholesky()), [2.5, -1], shape: [2, 1])
    }

    @Test func shapes() throws {
      try expect(matrix.reshape([3, -1]), [1, 2, 3, 4, 5, 6], shape: [3, 2])
      try expect(matrix.permute([1, 0]), [1, 4, 2, 5, 3, 6], shape: [3, 2])
      try expect(matrix.transpose(0, 1), [1, 4, 2, 5, 3, 6], shape: [3, 2])
      try expect(matrix.narrow(1, 1..<3), [2, 3, 5, 6], shape: [2, 2])
      try expect(matrix.select(1, 2), [3, 6], shape: [2])
      try expect(a.unsqueeze(1), [1, -2, 4], shape: [3, 1])
      try expect(a.unsqueeze(0).expand([2, 3]), [1, -2, 4, 1, -2, 4], shape: [2, 3])
      try expect(matrix.flip([1]), [3, 2, 1, 6, 5, 4], shape: [2, 3])
      try expect(.cat([a, b]), [1, -2, 4, 2, 4, -8], shape: [6])
      try expect(.cat([matrix, matrix], dim: 1), [1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6], shape: [2, 6])
      try expect(.stack([a, b], dim: 1), [1, 2, -2, 4, 4, -8], shape: [3, 2])
      let parts = try matrix.split([1, 2], dim: 1)
      try expect(parts[0], [1, 4], shape: [2, 1])
      try expect(parts[1], [2, 3, 5, 6], shape: [2, 2])
      try expect(a.gather(0, Tensor([2, 2, 1] as [Int64])), [4, 4, -2], shape: [3])
      try expect(a.sorted(), [-2, 1, 4], shape: [3])
      try expect(a.sorted(descending: true), [4, 1, -2], shape: [3])
      try expect(a.cumulativeSum(dim: 0), [1, -1, 3], shape: [3])
      try expect(a.sin(), [1, -2, 4].map(sin), shape: [3])
      try expect(a.cos(), [1, -2, 4].map(cos), shape: [3])
      try expect(a.indexSelect(0, Tensor([2, 0, 2] as [Int64])), [4, 1, 4], shape: [3])
      #expect(try a.to(.int32).array(Int32.self) == [1, -2, 4])
      #expect(try a.to(.bfloat16).dtype == .bfloat16)
    }

    @Test func linear() throws {
      let weight = try Tensor([1, 0, -1, 2, 2, 2] as [Float], shape: [2, 3])
      try expect(matrix.linear(weight), [-2, 12, -2, 30], shape: [2, 2])
      try expect(matrix.linear(weight, bias: Tensor([10, 20] as [Float])), [8, 32, 8, 50])
    }

    @Test func convolution() throws {
      let x = try ramp([1, 1, 3, 3])
      let ones = try Tensor.ones([1, 1, 2, 2])
      try expect(x.conv2d(ones), [12, 16, 24, 28], shape: [1, 1, 2, 2])
      try expect(x.conv2d(ones, bias: Tensor([1] as [Float]), stride: 2, padding: 1), [2, 6, 12, 29], shape: [1, 1, 2, 2])
      // A kernel is correlated, not flipped.
      let corner = try Tensor([0, 0, 0, 1] as [Float], shape: [1, 1, 2, 2])
      try expect(x.conv2d(corner), [5, 6, 8, 9])
      let pair = try Tensor.cat([x, x * 10], dim: 1)
      let scales = try Tensor([1, 2] as [Float], shape: [2, 1, 1, 1])
      try expect(pair.conv2d(scales, groups: 2).narrow(2, 0..<1), [1, 2, 3, 20, 40, 60], shape: [1, 2, 1, 3])
    }

    @Test func transposedConvolution() throws {
      let x = try ramp([1, 1, 2, 2])
      let ones = try Tensor.ones([1, 1, 3, 3])
      let full: [Double] = [
        1, 1, 3, 2, 2,
        1, 1, 3, 2, 2,
        4, 4, 10, 6, 6,
        3, 3, 7, 4, 4,
        3, 3, 7, 4, 4,
      ]
      try expect(x.convTranspose2d(ones, stride: 2), full, shape: [1, 1, 5, 5])
      try expect(
        x.convTranspose2d(ones, bias: Tensor([1] as [Float]), stride: 2, padding: 1, outputPadding: 1),
        [2, 4, 3, 3, 5, 11, 7, 7, 4, 8, 5, 5, 4, 8, 5, 5], shape: [1, 1, 4, 4])
      // "Same" keeps the first 2 · 2 rows and columns, as Keras does.
      let layer = try ConvTranspose2d(1, 1, generator: nil)
      try layer.load(["weight": ones, "bias": Tensor([0] as [Float])])
      try expect(layer(x), [1, 1, 3, 2, 1, 1, 3, 2, 4, 4, 10, 6, 3, 3, 7, 4], shape: [1, 1, 4, 4])
      expectTorchError("N × C × H × W") { try layer(x.select(0, 0)) }
      let uncropped = try ConvTranspose2d(1, 1, cropsToSame: false, generator: nil)
      #expect(try uncropped(x).shape == [1, 1, 5, 5])
    }

    @Test func batchNormalization() throws {
      let norm = try BatchNorm(1, momentum: 0.1, eps: 0)
      let x = try Tensor([1, 2, 3, 4] as [Float], shape: [4, 1])
      try expect(norm(x), [1, 2, 3, 4])  // Mean 0, variance 1.
      norm.setTraining(true)
      let deviation = 1.25.squareRoot()
      try expect(norm(x), [-1.5, -0.5, 0.5, 1.5].map { $0 / deviation }, shape: [4, 1])
      try expect(norm.runningMean.tensor, [0.25])
      try expect(norm.runningVar.tensor, [0.9 + 0.1 * 5 / 3])  // Unbiased.
      norm.setTraining(false)
      try norm.load([
        "weight": Tensor([3] as [Float]), "bias": Tensor([1] as [Float]), "runningMean": Tensor([2] as [Float]),
        "runningVar": Tensor([4] as [Float]),
      ])
      try expect(norm(x), [-0.5, 1, 2.5, 4])
      norm.setTraining(true)
      expectTorchError("one value a channel") { try norm(Tensor.ones([1, 1])) }
      #expect(try norm.runningVar.tensor.isAllFinite())
    }

    @Test func poolingAndResizing() throws {
      try expect(ramp([1, 1, 3, 3]).maxPool2d(2), [5], shape: [1, 1, 1, 1])
      try expect(MaxPool2d()(ramp([1, 1, 2, 4])), [6, 8], shape: [1, 1, 1, 2])
      try expect(ramp([1, 1, 2, 4]).avgPool2d(2), [3.5, 5.5], shape: [1, 1, 1, 2])
      try expect(ramp([1, 1, 1, 2]).upsampleNearest2d(scale: 2), [1, 1, 2, 2, 1, 1, 2, 2], shape: [1, 1, 2, 4])
      let edge = try Tensor([0, 4] as [Float], shape: [1, 1, 1, 2])
      try expect(edge.upsampleBilinear2d(scale: 2), [0, 1, 3, 4, 0, 1, 3, 4], shape: [1, 1, 2, 4])
      try expect(ramp([1, 4, 1, 2]).pixelShuffle(2), [1, 3, 2, 4, 5, 7, 6, 8], shape: [1, 1, 2, 4])
      try expect(ramp([1, 1, 2, 4]).pixelUnshuffle(2), [1, 3, 2, 4, 5, 7, 6, 8], shape: [1, 4, 1, 2])
    }

    @Test func activations() throws {
      try expect(a.elu(), [1, exp(-2) - 1, 4])
      try expect(a.relu(), [1, 0, 4])
      try expect(a.silu(), [1, -2, 4].map { $0 / (1 + exp(-$0)) })
      try expect(a.leakyRelu(), [1, -0.02, 4])
      try expect(a.leakyRelu(0.5), [1, -1, 4])
      try expect(a.sigmoid(), [1, -2, 4].map { 1 / (1 + exp(-$0)) })
      try expect(a.softplus(), [1, -2, 4].map { log(1 + exp($0)) })
      let logits = try Tensor([0, 2, 1000] as [Float])
      let loss = try logits.binaryCrossEntropyWithLogits(Tensor([1, 0, 1] as [Float]))
      try expect(loss, [(log(2) + log(1 + exp(2))) / 3], shape: [])
    }

    @Test func impossibleShapes() throws {
      let x = try Tensor.ones([1, 2, 4, 4])
      expectTorchError("must match the size of tensor b (2)") { try a + Tensor.ones([2]) }
      expectTorchError("must match the size") { try a.add(inPlace: Tensor.ones([2])) }
      expectTorchError("must match the size") { try a.maximum(Tensor.ones([2])) }
      expectTorchError("shapes cannot be multiplied (2x3 and 2x3)") { try matrix.matmul(matrix) }
      expectTorchError("shapes cannot be multiplied") { try matrix.linear(Tensor.ones([2, 2])) }
      expectTorchError("invalid for input of size 6") { try matrix.reshape([4]) }
      expectTorchError("only one dimension can be inferred") { try matrix.reshape([-1, -1]) }
      expectTorchError("number of dimensions") { try matrix.permute([0]) }
      expectTorchError("Dimension out of range") { try matrix.transpose(0, 2) }
      expectTorchError("exceeds dimension size (3)") { try matrix.narrow(1, 2..<4) }
      expectTorchError("start out of range") { try matrix.narrow(0, (Int.max - 1)..<Int.max) }
      expectTorchError("Dimension out of range") { try matrix.narrow(2, 0..<1) }
      expectTorchError("index 2 out of range") { try matrix.select(0, 2) }
      expectTorchError("Dimension out of range") { try matrix.unsqueeze(4) }
      expectTorchError("expanded size") { try a.expand([2]) }
      expectTorchError("Dimension out of range") { try matrix.flip([2]) }
      expectTorchError("Sizes of tensors must match") { try Tensor.cat([matrix, Tensor.ones([2, 2])]) }
      expectTorchError("non-empty list") { try Tensor.cat([]) }
      expectTorchError("equal size") { try Tensor.stack([a, Tensor.ones([2])]) }
      expectTorchError("non-empty") { try Tensor.stack([]) }
      expectTorchError("sum exactly to 3") { try matrix.split([1, 1], dim: 1) }
      expectTorchError("sum exactly to 3") { try matrix.split([], dim: 1) }
      expectTorchError("non-negative") { try matrix.split([4, -1], dim: 1) }
      expectTorchError("out of range") { try a.indexSelect(0, Tensor([3] as [Int64])) }
      expectTorchError("dtype int32 or int64") { try a.indexSelect(0, Tensor([0] as [Float])) }
      expectTorchError("to have 3 channels, but got 2 channels") { try x.conv2d(Tensor.ones([1, 3, 3, 3])) }
      expectTorchError("greater than actual input size") { try x.conv2d(Tensor.ones([1, 2, 5, 5])) }
      expectTorchError("non-positive stride") { try x.conv2d(Tensor.ones([1, 2, 3, 3]), stride: 0) }
      expectTorchError("non-positive groups") { try x.conv2d(Tensor.ones([1, 2, 3, 3]), groups: 0) }
      expectTorchError("negative padding") { try x.conv2d(Tensor.ones([1, 2, 3, 3]), padding: -1) }
      expectTorchError("to have 3 channels, but got 2 channels") { try x.convTranspose2d(Tensor.ones([3, 1, 3, 3])) }
      expectTorchError("running_mean should contain 2 elements not 3") {
        let three = try Tensor.ones([3])
        return try x.batchNorm(
          weight: three, bias: three, runningMean: three, runningVar: three, training: false, momentum: 0.1, eps: 1e-5)
      }
      expectTorchError("Output size is too small") { try x.maxPool2d(5) }
      expectTorchError("should not be zero") { try x.maxPool2d(0) }
      expectTorchError("Output size is too small") { try x.avgPool2d(5) }
      expectTorchError("greater than 0") { try x.upsampleNearest2d(scale: 0) }
      expectTorchError("spatial_dimensions") { try matrix.upsampleBilinear2d(scale: 2) }
      expectTorchError("pixel_shuffle") { try x.pixelShuffle(2) }
      expectTorchError("positive upscale_factor") { try x.pixelShuffle(0) }
      expectTorchError("pixel_unshuffle") { try x.pixelUnshuffle(3) }
      expectTorchError("At least one of 'min' or 'max'") { try a.clamp() }
      expectTorchError("must match the size") { try a.copy(from: Tensor.ones([2])) }
      expectTorchError("without overflow") { try Tensor.full([1], 300, dtype: .uint8) }
    }

    @Test func wrongCalls() throws {
      expectTorchError("aten::nonsense") { try Operator("aten::nonsense")(.tensor(a)) }
      expectTorchError("aten::add") { try Operator("aten::add", "Nonsense")(.tensor(a), .tensor(a)) }
      expectTorchError("argument 'self' must be a Tensor") { try Operator("aten::relu")(.string("a")) }
      expectTorchError("argument 'self' is missing") { try Operator("aten::relu")() }
      expectTorchError("too many arguments") { try Operator("aten::relu")(.tensor(a), .tensor(a)) }
      expectTorchError("more results than expected") { try Operator("aten::unbind", "int")(.tensor(a), 0) }
      expectTorchError("IntList but got String") { try Operator("aten::conv2d")(.tensor(a), .tensor(a), nil, .string("x")) }
      expectTorchError("Expected TensorList") { try Operator("aten::cat")(.tensor(a), 0) }
      // The engine goes on afterwards.
      try expect(a + 1, [2, -1, 5])
    }
  }
}

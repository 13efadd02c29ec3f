import Testing

@testable import Torch

extension Engine {
  @Suite("Tensors") struct TensorTests {
    @Test func elementsAndShape() throws {
      let tensor = try Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])
      #expect(tensor.shape == [2, 3])
      #expect(tensor.dimensions == 2)
      #expect(tensor.size(1) == 3)
      #expect(tensor.count == 6)
      #expect(tensor.dtype == .float32)
      #expect(tensor.device == .cpu)
      #expect(tensor.isContiguous())
      #expect(try tensor.array(Float.self) == [1, 2, 3, 4, 5, 6])
      #expect(try tensor.transpose(0, 1).array(Float.self) == [1, 4, 2, 5, 3, 6])
      #expect(tensor.description == "Tensor[2, 3] float32 cpu [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]")
      #expect(try Tensor([7] as [Int32]).shape == [1])
      #expect(try Tensor([2.5], shape: []).item() == 2.5)
      #expect(try Tensor([] as [Float]).array(Float.self) == [])
      #expect(try Tensor([] as [Float], shape: [0, 3]).count == 0)
    }

    @Test func everyElementType() throws {
      func roundTrip<Element: TensorElement & Equatable>(_ elements: [Element]) throws {
        let tensor = try Tensor(elements)
        #expect(tensor.dtype == Element.dtype)
        #expect(try tensor.array(Element.self) == elements)
        #expect(try tensor.bytes() == elements.withUnsafeBytes { Array($0) })
      }
      try roundTrip([0, 255] as [UInt8])
      try roundTrip([-128, 127] as [Int8])
      try roundTrip([.min, .max] as [Int32])
      try roundTrip([.min, .max] as [Int64])
      try roundTrip([-1.5, .greatestFiniteMagnitude] as [Float])
      try roundTrip([-1.5, .leastNonzeroMagnitude])
      try roundTrip([true, false])
      for dtype in DType.allCases {
        let ones = try Tensor.ones([3], dtype: dtype)
        #expect(ones.dtype == dtype)
        #expect(try ones.bytes().count == 3 * dtype.size)
        #expect(try values(ones) == [1, 1, 1])
      }
    }

    @Test func filled() throws {
      try expect(.zeros([2]), [0, 0], shape: [2])
      try expect(.ones([1, 2]), [1, 1], shape: [1, 2])
      try expect(.full([2], 2.5, dtype: .float16), [2.5, 2.5])
      #expect(try Tensor.full([], 3, dtype: .int64).array(Int64.self) == [3])
    }

    @Test func hostileShapes() throws {
      let elements: [Float] = [1, 2, 3]
      expectTorchError("takes 16 bytes, not 12") { try Tensor(elements, shape: [4]) }
      expectTorchError("no tensor has the shape") { try Tensor(elements, shape: [-3]) }
      expectTorchError("no tensor has the shape") { try Tensor(elements, shape: [-1, -3]) }
      expectTorchError("no tensor has the shape") { try Tensor(elements, shape: [.max, .max]) }
      expectTorchError("no tensor has the shape") { try Tensor(elements, shape: [1 << 32, 1 << 32]) }
      expectTorchError("no tensor has the shape") { try Tensor(elements, shape: [1 << 62, 2]) }
      expectTorchError("no tensor has the shape") { try Tensor([] as [Float], shape: [.max, 0]) }
      expectTorchError("takes") { try Tensor([] as [Float], shape: [1 << 50]) }
      expectTorchError("negative dimension") { try Tensor.zeros([-1]) }
      expectTorchError("overflowed") { try Tensor.zeros([.max]) }
      expectTorchError("overflowed") { try Tensor.zeros([1 << 33, 1 << 33]) }
      expectTorchError("can't allocate memory") { try Tensor.zeros([1 << 58]) }
      expectTorchError("integers") { try Tensor.rand([.min], generator: Generator(seed: 1)) }
    }

    @Test func readingWrongly() throws {
      let two = try Tensor([1, 2] as [Float])
      expectTorchError("cannot be converted to Scalar") { try two.item() }
      expectTorchError("cannot be converted to Scalar") { try Tensor([] as [Float]).item() }
      expectTorchError("a tensor of float32 cannot be read as float64") { try two.array(Double.self) }
      expectTorchError("a tensor of float32 cannot be read as int32") { try two.array(Int32.self) }
      #expect(try Tensor([true]).item() == 1)
      #expect(try Tensor([-7] as [Int64], shape: [1, 1]).item() == -7)
    }

    @Test func noSuchDevice() throws {
      let tensor = try Tensor.ones([1])
      expectTorchError("no device has the index") { try tensor.to(.cuda(.max)) }
      expectTorchError("no device has the index") { try Generator(seed: 1, device: .cuda(-2)) }
      if Device.cudaCount == 0 {
        expectTorchError("CUDA") { try tensor.to(.cuda(0)) }
        expectTorchError("CUDA") { try Tensor.zeros([1], device: .cuda(0)) }
        expectTorchError("CUDA") { try Generator(seed: 1, device: .cuda(0)) }
      }
      #expect(try tensor.to(.cpu).device == .cpu)
      try Device.cpu.synchronize()
    }

    @Test func deviceNames() {
      #expect(Device("cpu") == .cpu)
      #expect(Device("cuda") == .cuda(0))
      #expect(Device("cuda:3") == .cuda(3))
      for text in ["", "CPU", "cuda:", "cuda:-1", "cuda:128", "cuda:1x", "gpu"] { #expect(Device(text) == nil, "\(text)") }
      #expect(Device.cuda(2).description == "cuda:2")
    }

    @Test func channelsLast() throws {
      let elements = (0..<2 * 3 * 4 * 5).map { Float($0) }
      let plain = try Tensor(elements, shape: [2, 3, 4, 5])
      let last = try plain.contiguous(.channelsLast)
      #expect(last.shape == plain.shape)
      #expect(last.isContiguous(.channelsLast) && !last.isContiguous())
      #expect(plain.isContiguous() && !plain.isContiguous(.channelsLast))
      #expect(try last.array(Float.self) == elements)
      #expect(try last.contiguous().isContiguous())
      #expect(try !Tensor.ones([2]).isContiguous(.channelsLast))
      _ = plain.isContiguous(.preserve)  // Means nothing, but must not crash.
      expectTorchError("rank 4") { try Tensor.ones([2]).contiguous(.channelsLast) }

      let kernel = try Tensor.rand([4, 3, 3, 3], generator: Generator(seed: 2))
      let expected = try plain.conv2d(kernel, padding: 1)
      let result = try last.conv2d(kernel.contiguous(.channelsLast), padding: 1)
      #expect(result.isContiguous(.channelsLast))
      try expect(result, values(expected), shape: [2, 4, 4, 5])
    }

    // MARK: Borrowed memory

    private final class Owner {
      let bytes: UnsafeMutableRawBufferPointer
      init(_ elements: [Float]) {
        bytes = .allocate(byteCount: elements.count * 4, alignment: 16)
        elements.withUnsafeBytes { bytes.copyMemory(from: $0) }
      }
      deinit { bytes.deallocate() }
    }

    @Test func borrowedMemoryGoesWithTheLastTensor() throws {
      weak var watched: Owner?
      var view: Tensor?
      do {
        var tensor: Tensor?
        do {
          let owner = Owner([1, 2, 3, 4])
          watched = owner
          tensor = try Tensor(
            borrowing: UnsafeRawBufferPointer(owner.bytes), owner: owner, dtype: .float32, shape: [2, 2])
        }
        #expect(watched != nil)
        #expect(try tensor?.array(Float.self) == [1, 2, 3, 4])
        view = try tensor?.select(0, 1)
        tensor = nil
      }
      #expect(watched != nil, "a view still reads the memory")
      #expect(try view?.array(Float.self) == [3, 4])
      view = nil
      #expect(watched == nil)
    }

    @Test func borrowingThatFailsKeepsNothing() throws {
      weak var watched: Owner?
      do {
        let owner = Owner([1, 2, 3, 4])
        watched = owner
        let bytes = UnsafeRawBufferPointer(owner.bytes)
        expectTorchError("takes 20 bytes, not 16") {
          try Tensor(borrowing: bytes, owner: owner, dtype: .float32, shape: [5])
        }
        expectTorchError("no tensor has the shape") {
          try Tensor(borrowing: bytes, owner: owner, dtype: .float32, shape: [-4])
        }
        let none = UnsafeRawBufferPointer(rebasing: bytes[..<0])
        let empty = try Tensor(borrowing: none, owner: owner, dtype: .float32, shape: [0, 2])
        #expect(try empty.array(Float.self) == [])
      }
      #expect(watched == nil)
    }

    // MARK: Generators and threads

    @Test func sameSeedSameNumbers() throws {
      func draw(_ seed: UInt64) throws -> [Double] {
        let generator = try Generator(seed: seed)
        return try values(.randn([4], generator: generator)) + values(.rand([4], generator: generator))
      }
      #expect(try draw(7) == draw(7))
      #expect(try draw(7) != draw(8))
      #expect(try draw(.max) == draw(.max))
    }

    @Test func generatorGoesBack() throws {
      let generator = try Generator(seed: 3)
      _ = try Tensor.randn([5], generator: generator)
      let state = try generator.state()
      let after = try values(.randn([5], generator: generator))
      #expect(try values(.randn([5], generator: generator)) != after)
      try generator.restore(state)
      #expect(try values(.randn([5], generator: generator)) == after)

      let other = try Generator(seed: 99)
      try other.restore(state)
      #expect(try values(.randn([5], generator: other)) == after)
      expectTorchError("state size to be 3") { try generator.restore(Tensor([1, 2, 3] as [UInt8])) }
      expectTorchError("ByteTensor") { try generator.restore(Tensor.zeros([state.count])) }
      expectTorchError("Invalid") { try generator.restore(Tensor.full([state.count], 255, dtype: .uint8)) }
    }

    @Test func distributions() throws {
      let generator = try Generator(seed: 5)
      let uniform = try values(.rand([20_000], generator: generator))
      #expect(uniform.allSatisfy { $0 >= 0 && $0 < 1 })
      #expect(abs(uniform.reduce(0, +) / 20_000 - 0.5) < 0.01)
      let normal = try Tensor.randn([20_000], generator: generator)
      #expect(try abs(normal.mean().item()) < 0.03)
      #expect(try abs(normal.square().mean().item() - 1) < 0.04)
    }

    @Test func threads() throws {
      let before = Torch.threads
      defer { try? Torch.setThreads(before) }
      try Torch.setThreads(1)
      #expect(Torch.threads == 1)
      try Torch.setThreads(-3)
      #expect(Torch.threads == 1)
      try Torch.setThreads(2)
      #expect(Torch.threads == 2)
    }

    @Test func version() { #expect(Torch.version.hasPrefix("2.")) }
  }
}

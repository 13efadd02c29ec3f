import Foundation
import Synchronization
import TestProcesses
import Testing

@testable import Torch

extension Engine {
  @Suite struct ProcessGroupTests {
    /// A layer with a batch norm behind it.
    final class Network: Module {
      let conv: Conv2d
      let norm: BatchNorm
      let head: Linear

      init() throws {
        let generator = try Generator(seed: 1)
        conv = try Conv2d(3, 4, generator: generator)
        norm = try BatchNorm(4)
        head = try Linear(4 * 6 * 6, 2, generator: generator)
      }

      func callAsFunction(_ x: Tensor) throws -> Tensor {
        try head(norm(conv(x)).elu().contiguous().reshape([x.size(0), -1]))
      }
    }

    @Test func sumsAndBroadcasts() throws {
      let results = try withProcesses(3) { group in
        let rank = Float(group.rank)
        let (a, b) = (try Tensor([rank, 1]), try Tensor([rank * 10]))
        try group.allReduce([a, b])
        #expect(try a.array() == [Float(3), 3] && b.array() == [Float(30)])
        #expect(try group.sum([Double(group.rank), 0.5]) == [3, 1.5])
        #expect(try group.broadcast(Array("from \(group.rank)".utf8)) == Array("from 0".utf8))
        #expect(try group.broadcast([]) == [])
        let given = try Tensor([rank + 5])
        try group.broadcast(given)
        return try given.item()
      }
      #expect(results == [5, 5, 5])
    }

    /// A process may leave at once, and the others still meet it.
    @Test func oneThatLeavesAtOnceHasBeenMet() throws {
      for _ in 0..<40 {
        #expect(try withProcesses(4) { $0.rank } == [0, 1, 2, 3])
      }
    }

    @Test func sendsAndReceives() throws {
      let received = try withProcesses(2) { group -> [Float] in
        let values: [Float] = [1, 2, 3, 4]
        if group.rank == 1 {
          try group.send(Tensor(values, shape: [2, 2]).transpose(0, 1), to: 0)
          return []
        }
        let tensor = try Tensor.zeros([2, 2])
        try group.receive(tensor, from: 1)
        return try tensor.array()
      }
      #expect(received[0] == [1, 3, 2, 4])
    }

    /// d/dx of Σ over processes of wᵣ · (Σ x)² is 2 (Σ w)(Σ x) on each.
    @Test func gradientFlowsThroughSum() throws {
      let gradients = try withProcesses(2) { group in
        let x = try Tensor([Float(group.rank + 2)])
        try x.setRequiresGrad()
        let weight = Double(group.rank * 2 + 1)
        try (group.sum(x).square().sum() * weight).backward()
        return try #require(x.grad).item()
      }
      #expect(gradients == [40, 40])
    }

    /// Two processes with halves of a batch have the gradients and statistics of one with the whole.
    @Test(arguments: [2, 3]) func sharedBatchIsOneBatch(processes: Int) throws {
      let images = try Tensor.randn([12, 3, 6, 6], generator: Generator(seed: 2))
      @Sendable func step(_ network: Network, _ images: Tensor, _ reducer: GradientReducer?) throws -> [String: [Float]] {
        try network.zeroGrad()
        let loss = try network(images).square().mean()
        try reducer?.prepare()
        try loss.backward()
        var result: [String: [Float]] = [:]
        for (name, parameter) in network.parameters { result[name] = try #require(parameter.tensor.grad).array() }
        for (name, buffer) in network.buffers { result[name] = try buffer.tensor.array() }
        return result
      }
      let whole = try Network()
      whole.setTraining(true)
      try whole.setRequiresGrad(true)
      let expected = try (0..<3).map { _ in try step(whole, images, nil) }
      let found = try withProcesses(processes) { group in
        let network = try Network()
        network.setTraining(true)
        try network.setRequiresGrad(true)
        network.synchronizeBatchNorm(over: group)
        let reducer = try GradientReducer(network, over: group)
        let own = try images.strided(0, from: group.rank, by: processes).contiguous()
        return try (0..<3).map { _ in try step(network, own, reducer) }
      }
      for process in found {
        for (step, reference) in zip(process, expected) {
          #expect(Set(step.keys) == Set(reference.keys))
          for (name, values) in reference {
            let difference = zip(values, step[name]!).map { abs($0 - $1) }.max()!
            #expect(difference < 1e-6, "\(name) is off by \(difference)")
          }
        }
      }
    }

    @Test func synchronizedNormKeepsItsType() throws {
      let dtypes = try withProcesses(2) { group in
        let norm = try BatchNorm(2)
        norm.setTraining(true)
        norm.synchronizeBatchNorm(over: group)
        return try norm(Tensor.ones([2, 2, 3, 3]).to(.bfloat16)).dtype
      }
      #expect(dtypes == [.bfloat16, .bfloat16])
    }

    @Test func processThatIsGoneIsNoticed() throws {
      let start = ContinuousClock.now
      let messages = try withProcesses(2) { group in
        if group.rank == 1 { return "" }
        let error = #expect(throws: ProcessGroupError.self) { try group.watching { _ = try group.sum([1]) } }
        return error?.description ?? ""
      }
      #expect(messages[0].hasPrefix("process 0 of 2 lost the others"), "\(messages[0])")
      #expect(ContinuousClock.now - start < .seconds(30))
      // One that hangs, or whose machine is gone, is noticed after the timeout.
      let done = DispatchSemaphore(value: 0)
      let hung = try withProcesses(2, timeout: 1) { group in
        if group.rank == 1 {
          done.wait()
          return ""
        }
        defer { done.signal() }
        let error = #expect(throws: ProcessGroupError.self) { try group.watching { _ = try group.sum([1]) } }
        return error?.description ?? ""
      }
      #expect(hung[0].hasPrefix("process 0 of 2 lost the others"), "\(hung[0])")
    }

    @Test func firstOfAMachineGoesAhead() throws {
      let order = Mutex<[Int]>([])
      let results = try withProcesses(3, timeout: 5) { group in
        try group.firstOnEachMachine("work") { alive in
          // Longer than the timeout, with signs of life.
          if group.localRank == 0 {
            for _ in 0..<12 {
              Thread.sleep(forTimeInterval: 0.5)
              alive()
            }
          }
          order.withLock { $0.append(group.rank) }
          return group.rank
        }
      }
      #expect(results == [0, 1, 2])
      #expect(order.withLock { $0.first } == 0)
      let errors = try withProcesses(2, timeout: 1) { group -> String in
        let leaver = group.localRank == 0
        return (#expect(throws: (any Error).self) {
          try group.firstOnEachMachine("work") { _ in if leaver { throw TorchError("broken") } }
        }).map { "\($0)" } ?? ""
      }
      #expect(errors[0] == "broken" && errors[1].contains("no sign of work"), "\(errors)")
    }

    @Test func launchIsReadFromTheEnvironment() throws {
      let variables = [
        "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "host",
        "MASTER_PORT": "29500", "TORCHELASTIC_RESTART_COUNT": "2", "TORCHELASTIC_USE_AGENT_STORE": "True",
      ]
      let launch = try #require(try Launch(variables))
      #expect((launch.rank, launch.count, launch.localRank, launch.localCount) == (3, 4, 1, 2))
      #expect(launch.meeting == .port(29500, host: "host", isOpen: true) && launch.restarts == 2)
      #expect(try Launch([:]) == nil)
      #expect(try Launch(["WORLD_SIZE": "1"])?.count == 1)
      for (name, value) in [
        ("RANK", "4"), ("RANK", nil), ("WORLD_SIZE", "0"), ("WORLD_SIZE", "x"), ("MASTER_PORT", "70000"),
        ("MASTER_ADDR", nil), ("MASTER_PORT", nil), ("LOCAL_RANK", "-1"),
      ] as [(String, String?)] {
        var changed = variables
        changed[name] = value
        #expect { _ = try Launch(changed) } throws: { "\($0)".contains(name) }
      }
    }

    @Test func othersThatDoNotComeAreNotWaitedForForever() {
      let file = FileManager.default.temporaryDirectory.appendingPathComponent("facet-alone-\(UUID().uuidString)").path
      defer { try? FileManager.default.removeItem(atPath: file) }
      #expect {
        _ = try ProcessGroup(Launch(rank: 1, count: 2, meeting: .file(file)), meetingTimeout: 0.5)
      } throws: { "\($0)".hasPrefix("process 1 of 2 did not meet the others") }
    }
  }
}

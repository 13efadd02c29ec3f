import Dispatch
import Foundation
import Synchronization
import Torch

/// Runs `body` as several processes would, each on a thread of its own with connections to the others.
public func withProcesses<Result: Sendable>(
  _ count: Int, timeout: Double = 45, _ body: @escaping @Sendable (ProcessGroup) throws -> Result
) throws -> [Result] {
  let file = FileManager.default.temporaryDirectory.appendingPathComponent("facet-meeting-\(UUID().uuidString)").path
  defer { try? FileManager.default.removeItem(atPath: file) }
  let results = Mutex<[Int: Swift.Result<Result, any Error>]>([:])
  let done = DispatchSemaphore(value: 0)
  for rank in 0..<count {
    Thread.detachNewThread {
      let result = Swift.Result {
        var launch = Launch(rank: rank, count: count, meeting: .file(file))
        launch.localRank = rank
        return try body(ProcessGroup(launch, meetingTimeout: 60, timeout: timeout))
      }
      results.withLock { $0[rank] = result }
      done.signal()
    }
  }
  for _ in 0..<count { done.wait() }
  return try (0..<count).map { rank in try results.withLock { $0[rank]! }.get() }
}

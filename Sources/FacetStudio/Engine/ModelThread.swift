import Foundation

/// A thread of its own that runs an actor's jobs one after the other.
///
/// The model keeps a thread busy for many milliseconds, which Swift's own few threads must not be; and torch's pool of
/// helpers belongs to the thread that calls it.
final class ModelThread: SerialExecutor {
  private let queue = Queue()

  init(name: String) {
    let thread = Thread { [queue] in
      while let (job, executor) = queue.next() { job.runSynchronously(on: executor) }
    }
    thread.name = name
    thread.start()
  }

  deinit { queue.stop() }

  func enqueue(_ job: consuming ExecutorJob) { queue.append(UnownedJob(job), asUnownedSerialExecutor()) }

  private final class Queue: @unchecked Sendable {
    // All under the condition's lock.
    private let condition = NSCondition()
    private var jobs: [(UnownedJob, UnownedSerialExecutor)] = []
    private var isStopped = false

    func append(_ job: UnownedJob, _ executor: UnownedSerialExecutor) {
      condition.withLock {
        jobs.append((job, executor))
        condition.signal()
      }
    }

    func stop() {
      condition.withLock {
        isStopped = true
        condition.signal()
      }
    }

    func next() -> (UnownedJob, UnownedSerialExecutor)? {
      condition.withLock {
        while jobs.isEmpty && !isStopped { condition.wait() }
        return jobs.isEmpty ? nil : jobs.removeFirst()
      }
    }
  }
}

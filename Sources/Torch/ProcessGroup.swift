import CLibTorch
import Files
import Foundation

/// Processes that do one task together, on one machine or on several: torch's c10d, with Gloo for tensors on the CPU
/// and NCCL for those on CUDA devices.
///
///     let group = try Launch(ProcessInfo.processInfo.environment).map { try ProcessGroup($0) }
///     try group?.allReduce([sums])
///
/// Operations that take tensors are collective: every process must call them in the same order, with the same shapes.
/// When a process is gone, those of the others throw ``TorchError``, at once where the machine still answers and after
/// ``timeout`` where it does not; ``ProcessGroupError`` says so in words.
public final class ProcessGroup: @unchecked Sendable {
  /// This process among the others, 0 ..< ``count``.
  public let rank: Int
  /// The number of processes.
  public let count: Int
  /// This process among those of its machine.
  public let localRank: Int
  /// Seconds that an operation waits for the other processes.
  public let timeout: Double
  let pointer: OpaquePointer

  /// Whether this is the process that writes files and speaks to people.
  public var isFirst: Bool { rank == 0 }

  /// Where the processes find each other.
  public enum Meeting: Sendable, Equatable {
    /// A new file that all processes can write.
    case file(String)
    /// A port of a host; the first process opens it, or whoever started the processes has (`isOpen`).
    case port(UInt16, host: String, isOpen: Bool)
  }

  /// Waits for the other processes and connects to them.
  /// - Parameters:
  ///   - launch: what this process knows of the others.
  ///   - meetingTimeout: seconds to wait until all are there.
  ///   - timeout: seconds that an operation waits for the others afterwards.
  /// - Throws: ``ProcessGroupError`` when they don't come.
  public init(_ launch: Launch, meetingTimeout: Double = 900, timeout: Double = 45) throws(ProcessGroupError) {
    (rank, count, localRank) = (launch.rank, launch.count, launch.localRank)
    self.timeout = timeout
    var meeting = CTMeeting()
    var result: OpaquePointer?
    let name = "facet/\(launch.restarts)"
    let (path, listens): (String, Bool)
    switch launch.meeting {
    case .file(let file): (path, listens) = (file, false)
    case .port(let port, let host, let isOpen):
      (path, listens) = (host, launch.rank == 0 && !isOpen)
      meeting.port = port
    }
    meeting.listens = listens
    let status = path.withCString { path in
      name.withCString { name in
        meeting.name = name
        if case .file = launch.meeting { meeting.file = path } else { meeting.host = path }
        return ct_group_new(
          &meeting, Int32(launch.rank), Int32(launch.count), Int64(meetingTimeout * 1000), Int64(timeout * 1000),
          &result)
      }
    }
    guard status == 0, let result else {
      let reason = String(cString: ct_last_error())
      throw ProcessGroupError("process \(launch.rank) of \(launch.count) did not meet the others: \(reason)")
    }
    pointer = result
    waitUntilAllAreConnected(for: meetingTimeout)
  }

  deinit { ct_group_free(pointer) }

  /// Waits until the others have connected, too: one that left before would take their connections along.
  private func waitUntilAllAreConnected(for seconds: Double) {
    let key = "connected"
    let end = ContinuousClock.now + .seconds(seconds)
    // A store that no longer answers went with a process that had seen all of them; what comes next says so, if not.
    guard var connected = try? counter(key, add: 1) else { return }
    while connected < count, ContinuousClock.now < end {
      Thread.sleep(forTimeInterval: 0.005)
      guard let now = try? counter(key) else { return }
      connected = now
    }
  }

  /// A number that the processes share, after something was added to it.
  private func counter(_ key: String, add amount: Int64 = 0) throws(TorchError) -> Int64 {
    var result: Int64 = 0
    try TorchError.check(ct_group_count(pointer, key, amount, &result))
    return result
  }

  // MARK: Collective operations

  /// Sums each tensor over the processes, in place; all of one type.
  public func allReduce(_ tensors: [Tensor]) throws(TorchError) {
    let pointers = tensors.map { Optional($0.handle.pointer) }
    let status = ct_group_all_reduce(pointer, pointers, Int64(tensors.count))
    withExtendedLifetime(tensors) {}
    try TorchError.check(status)
  }

  /// The sum of the processes' tensors. Backward adds up the gradients that the processes give for it.
  public func sum(_ tensor: Tensor) throws(TorchError) -> Tensor {
    var result: OpaquePointer?
    try TorchError.check(ct_group_sum(pointer, tensor.handle.pointer, &result))
    return Tensor(owning: result!)
  }

  /// The sums of the processes' numbers, the same ones on each.
  public func sum(_ values: [Double]) throws(TorchError) -> [Double] {
    let tensor = try Tensor(values)
    try allReduce([tensor])
    return try tensor.array()
  }

  /// Overwrites a tensor with that of the first process.
  public func broadcast(_ tensor: Tensor) throws(TorchError) {
    try TorchError.check(ct_group_broadcast(pointer, tensor.handle.pointer, 0))
  }

  /// The first process's bytes; what the others give is ignored.
  public func broadcast(_ bytes: [UInt8]) throws(TorchError) -> [UInt8] {
    let count = try Tensor([Int64(bytes.count)])
    try broadcast(count)
    let tensor = isFirst ? try Tensor(bytes) : try Tensor.zeros([Int(count.item())], dtype: .uint8)
    try broadcast(tensor)
    return try tensor.array()
  }

  /// Sends a tensor to a process that calls ``receive(_:from:)``.
  public func send(_ tensor: Tensor, to rank: Int) throws(TorchError) {
    let tensor = try tensor.contiguous()
    let status = withExtendedLifetime(tensor) { ct_group_send(pointer, tensor.handle.pointer, Int32(rank)) }
    try TorchError.check(status)
  }

  /// Overwrites a contiguous tensor with the one that a process sends.
  public func receive(_ tensor: Tensor, from rank: Int) throws(TorchError) {
    try TorchError.check(ct_group_receive(pointer, tensor.handle.pointer, Int32(rank)))
  }

  // MARK: Taking turns

  /// Runs `body` on the first process of each machine alone, then on the others of that machine: for work that leaves
  /// a file for them. Ends when all processes of all machines are done. It may take any time as long as `body` calls
  /// `alive` more often than every ``timeout``.
  /// - Parameters:
  ///   - name: what is done; another one at each call.
  ///   - body: the work.
  /// - Throws: ``ProcessGroupError`` when a process is gone; what `body` throws.
  public func firstOnEachMachine<Result>(
    _ name: String, body: (_ alive: @escaping () -> Void) throws -> Result
  ) throws -> Result {
    let machine = "\(name) on \(ProcessInfo.processInfo.hostName)"
    /// Waits for a counter as long as there are signs of life.
    func wait(for key: String, toReach goal: Int64) throws {
      var last = (signs: Int64(-1), time: ContinuousClock.now)
      while try counter(key) < goal {
        let signs = try counter("\(name) alive")
        if signs != last.signs { last = (signs, .now) }
        guard ContinuousClock.now - last.time < .seconds(timeout) else {
          throw ProcessGroupError(lost: "no sign of \(name)", self)
        }
        Thread.sleep(forTimeInterval: 0.05)
      }
    }
    if localRank > 0 { try wait(for: "\(machine) done", toReach: 1) }
    let result = try body { _ = try? self.counter("\(name) alive", add: 1) }
    if localRank == 0 { _ = try counter("\(machine) done", add: 1) }
    _ = try counter("\(name) alive", add: 1)
    _ = try counter("\(name) finished", add: 1)
    try wait(for: "\(name) finished", toReach: Int64(count))
    return result
  }

  /// Runs `body`; an error that says that other processes are gone is thrown as ``ProcessGroupError``.
  public func watching<Result>(_ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let error as TorchError where error.isOfProcesses {
      throw ProcessGroupError(lost: error.message, self)
    }
  }
}

/// What whoever started this process says of the others: torchrun, or a job's script, through torch's variables.
public struct Launch: Sendable, Equatable {
  /// This process among all of them, from 0.
  public var rank: Int
  /// All processes.
  public var count: Int
  /// This process among those of its machine, from 0.
  public var localRank = 0
  /// Processes on this machine, where it is known.
  public var localCount: Int?
  /// Where they meet.
  public var meeting: ProcessGroup.Meeting
  /// How often the job has been started again after a fault.
  public var restarts = 0

  /// A process among others.
  public init(rank: Int, count: Int, meeting: ProcessGroup.Meeting) {
    (self.rank, self.count, self.meeting) = (rank, count, meeting)
  }

  /// Reads `RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `LOCAL_WORLD_SIZE`, `MASTER_ADDR`, `MASTER_PORT` and torchrun's
  /// `TORCHELASTIC_RESTART_COUNT` and `TORCHELASTIC_USE_AGENT_STORE`.
  /// - Returns: `nil` without `WORLD_SIZE`: a process by itself.
  /// - Throws: ``ProcessGroupError`` that names a variable that is missing or senseless.
  public init?(_ environment: [String: String]) throws(ProcessGroupError) {
    func number(_ name: String, _ range: Range<Int>, default value: Int? = nil) throws(ProcessGroupError) -> Int {
      guard let text = environment[name], !text.isEmpty else {
        if let value { return value }
        throw ProcessGroupError("WORLD_SIZE is set, but \(name) is not; torchrun sets both")
      }
      guard let number = Int(text), range.contains(number) else {
        throw ProcessGroupError("\(name)=\(text) is not a number from \(range.lowerBound) to \(range.upperBound - 1)")
      }
      return number
    }
    guard environment["WORLD_SIZE"]?.isEmpty == false else { return nil }
    count = try number("WORLD_SIZE", 1..<65_537)
    rank = try number("RANK", 0..<count, default: count == 1 ? 0 : nil)
    localRank = try number("LOCAL_RANK", 0..<count, default: 0)
    localCount = environment["LOCAL_WORLD_SIZE"].flatMap(Int.init).flatMap { $0 > 0 ? $0 : nil }
    restarts = try number("TORCHELASTIC_RESTART_COUNT", 0..<Int.max, default: 0)
    let host = environment["MASTER_ADDR"] ?? ""
    guard count == 1 || !host.isEmpty else {
      throw ProcessGroupError("WORLD_SIZE is set, but MASTER_ADDR is not; torchrun sets both")
    }
    let port = try number("MASTER_PORT", 1..<65_536, default: count == 1 ? 1 : nil)
    meeting = .port(UInt16(port), host: host, isOpen: environment["TORCHELASTIC_USE_AGENT_STORE"] == "True")
  }
}

/// Processes that cannot work together, or no longer.
public struct ProcessGroupError: DescribedError, Equatable {
  /// What is wrong, and what to do.
  public let description: String
  /// A fault with its text.
  public init(_ description: String) { self.description = description }

  init(lost reason: String, _ group: ProcessGroup) {
    self.init(
      "process \(group.rank) of \(group.count) lost the others: one has ended or does not answer (its own message "
        + "says why; here: \(reason)). Started again with --resume, training goes on from the last checkpoint")
  }
}

extension TorchError {
  /// Whether Gloo, NCCL or the store says it: another process is gone, as a rule.
  fileprivate var isOfProcesses: Bool {
    ["gloo", "NCCL", "Connection closed", "Connection reset", "Broken pipe", "TCPStore", "wait timeout"]
      .contains { message.contains($0) }
  }
}

/// Averages the gradients of a module over the processes of a group, in buckets while backward still runs: torch's own
/// reducer, as in DistributedDataParallel.
public final class GradientReducer {
  private let pointer: OpaquePointer
  private let group: ProcessGroup

  /// - Parameter module: on its device, its parameters requiring gradients; the same weights on each process.
  /// - Parameter group: the processes.
  public init(_ module: some Module, over group: ProcessGroup) throws(TorchError) {
    let tensors = module.parameters.map(\.parameter.tensor)
    var result: OpaquePointer?
    let status = ct_reducer_new(
      group.pointer, tensors.map { Optional($0.handle.pointer) }, Int64(tensors.count), &result)
    withExtendedLifetime(tensors) {}
    try TorchError.check(status)
    pointer = result!
    self.group = group
  }

  /// Makes the next backward, in which every parameter must take part, leave mean gradients.
  public func prepare() throws(TorchError) { try TorchError.check(ct_reducer_prepare(pointer)) }

  deinit { ct_reducer_free(pointer) }
}

import ArgumentParser
import Dispatch
import Facet
import FacetTraining
import Files
import Foundation
import Synchronization
import Torch

/// Options of every command that runs a model.
struct EngineOptions: ParsableArguments {
  @Option(
    help: "cpu, cuda or cuda:N; of several processes of a machine, each takes its own cuda.",
    completion: .list(["cpu", "cuda"]))
  var device = "cpu"
  @Option(help: "Threads on the CPU, or photos at once; default: OMP_NUM_THREADS, or this process's share of the cores. One photo takes one.")
  var threads: Int?

  @Flag(
    inversion: .prefixedNo,
    help: "On CUDA, products of float32 numbers rounded to TF32, or not; default: torch's, in convolutions alone.")
  var tf32: Bool?

  func validate() throws {
    if device != "cuda" && Device(device) == nil { throw ValidationError("--device: '\(device)' is not cpu, cuda or cuda:N") }
    if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads must be from 1 to 1024") }
  }

  /// Address space that the engine's threads and the model take, in bytes; with less they wait for each other for ever.
  private static let leastAddressSpace = 600_000_000

  /// - Throws: ``CommandError`` where there is too little.
  static func checkAddressSpace() throws {
    if let left = Memory.addressSpaceLeaves, left < leastAddressSpace {
      throw CommandError(
        "\(left / 1_000_000) MB of address space are left, and at least \(leastAddressSpace / 1_000_000) MB are needed: "
          + "raise the limit (ulimit -v)")
    }
  }

  /// How many photos are worked on at the same time.
  var atOnce: Int {
    threads ?? ProcessInfo.processInfo.environment["OMP_NUM_THREADS"].flatMap { Int($0) }.map { max(1, $0) }
      ?? ProcessInfo.processInfo.activeProcessorCount
  }

  /// Applies the options to the engine.
  func prepare() throws -> Device {
    try Self.checkAddressSpace()
    let launch = try Launch(ProcessInfo.processInfo.environment)
    guard let device = self.device == "cuda" ? .cuda(launch?.localRank ?? 0) : Device(device) else {
      throw CommandError("--device: '\(device)' is not cpu, cuda or cuda:N")
    }
    if case .cuda(let index) = device, index >= Device.cudaCount {
      throw CommandError(
        "--device: \(device) is not here; this LibTorch sees \(Device.cudaCount) CUDA devices "
          + "(LIBTORCH=/path at set-up takes a CUDA build)")
    }
    if let tf32 { try Torch.setTF32(tf32) }
    if let threads {
      try Torch.setThreads(threads)
    } else if let processes = launch?.localCount, ProcessInfo.processInfo.environment["OMP_NUM_THREADS"] == nil {
      try Torch.setThreads(ProcessInfo.processInfo.activeProcessorCount / processes)
    }
    return device
  }

  /// The processes that torchrun or a job's script has started this one among; `nil` when there is no other.
  func meet() throws -> ProcessGroup? {
    guard let launch = try Launch(ProcessInfo.processInfo.environment), launch.count > 1 else { return nil }
    return try ProcessGroup(launch)
  }
}

extension ProcessGroup? {
  /// Whether this process is the one that writes files and speaks to people.
  var speaks: Bool { self?.isFirst ?? true }

  func watching<Result>(_ body: () throws -> Result) throws -> Result {
    guard let self else { return try body() }
    return try self.watching(body)
  }
}

/// The bundle that a command uses.
struct ModelOptions: ParsableArguments {
  @Option(help: "Folder of a model bundle; default: the one inside the package.", completion: .directory)
  var model: String?

  var url: URL { model.map { URL(fileURLWithPath: $0, isDirectory: true) } ?? ModelBundle.defaultURL }
}

/// A fault of the command line's own.
struct CommandError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// SIGINT and SIGTERM as a request to stop at the next good moment.
enum Interruption {
  private static let flag = Atomic<Bool>(false)

  static var requested: Bool { flag.load(ordering: .relaxed) }

  static func watch() {
    _ = requested  // makes the flag before a handler can run
    // Whoever started the process may have left them blocked, as threads of a pool do.
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGINT)
    sigaddset(&signals, SIGTERM)
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    for number in [SIGINT, SIGTERM] {
      signal(number) { number in
        Interruption.flag.store(true, ordering: .relaxed)
        signal(number, SIG_DFL)  // a second one ends the process at once
      }
    }
  }
}

/// Opens a partition, with a report on standard error while it is decoded for the first time, by one process of each
/// machine.
func open(_ dataset: CelebA, _ partition: Partition, for group: ProcessGroup?) throws -> DecodedCache {
  guard let group else { return try open(dataset, partition) }
  return try group.firstOnEachMachine("decode \(partition.rawValue)") { alive in
    try open(dataset, partition, speaks: group.isFirst, alive)
  }
}

private func open(
  _ dataset: CelebA, _ partition: Partition, speaks: Bool = true, _ alive: @escaping () -> Void = {}
) throws -> DecodedCache {
  var report: ProgressReport?
  var hasWaited = false
  let cache = try DecodedCache.open(
    dataset, partition: partition,
    waiting: { holder in
      if !hasWaited { note("waiting for \(holder), which decodes the same photos") }
      hasWaited = true
      alive()
    }
  ) { done, total in
    if report == nil { report = ProgressReport("decode \(partition.rawValue)", total: total, unit: "photos") }
    report?.update(done)
    alive()
  }
  report?.finish()
  guard speaks else { return cache }
  for fault in cache.skipped.prefix(5) { note("skipped: \(fault)") }
  if cache.skipped.count > 5 { note("skipped: \(cache.skipped.count) photos in all") }
  return cache
}

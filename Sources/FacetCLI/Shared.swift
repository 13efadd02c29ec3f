import ArgumentParser
import Dispatch
import Facet
import Foundation
import Synchronization
import Torch

/// Options of every command that runs a model.
struct EngineOptions: ParsableArguments {
  @Option(help: "cpu, cuda or cuda:N.")
  var device = "cpu"
  @Option(help: "Threads on the CPU; default: the cores there are.")
  var threads: Int?

  /// Applies the options to the engine.
  func prepare() throws -> Device {
    guard let device = Device(device) else {
      throw CommandError("--device: '\(device)' is not cpu, cuda or cuda:N")
    }
    if case .cuda(let index) = device, index >= Device.cudaCount {
      throw CommandError(
        "--device: \(device) is not here; this LibTorch sees \(Device.cudaCount) CUDA devices "
          + "(LIBTORCH=/path at set-up takes a CUDA build)")
    }
    if let threads {
      guard threads >= 1 else { throw CommandError("--threads must be above 0") }
      try Torch.setThreads(threads)
    }
    return device
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

/// Opens a partition, with a report on standard error while it is decoded for the first time.
func open(_ dataset: CelebA, _ partition: Partition) throws -> DecodedCache {
  var report: ProgressReport?
  let cache = try DecodedCache.open(dataset, partition: partition) { done, total in
    if report == nil { report = ProgressReport("decode \(partition.rawValue)", total: total, unit: "photos") }
    report?.update(done)
  }
  report?.finish()
  for fault in cache.skipped.prefix(5) { note("skipped: \(fault)") }
  if cache.skipped.count > 5 { note("skipped: \(cache.skipped.count) photos in all") }
  return cache
}

/// Writes a line to standard error.
func note(_ text: String) { try? FileHandle.standardError.write(contentsOf: Data((text + "\n").utf8)) }

import Foundation
import Torch

/// The built `facet`, run as a process of its own.
struct Program {
  /// The program lies beside the tests.
  static let url: URL = {
    let folder = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
    let beside = folder.appendingPathComponent("facet")
    if FileManager.default.isExecutableFile(atPath: beside.path) { return beside }
    return Bundle.main.bundleURL.appendingPathComponent("facet")
  }()

  struct Result {
    let status: Int32
    let bytes: Data
    let output: String
    let errors: String
    var errorLines: [Substring] { errors.split(separator: "\n") }
  }

  /// Where decoded photos are kept, and what the program writes.
  let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("facet-cli-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  func remove() { try? FileManager.default.removeItem(at: folder) }

  /// A process that has been started.
  final class Running {
    let process = Process()
    private let output: URL
    private let errors: URL

    /// - Parameter input: standard input; nothing without it.
    init(
      _ url: URL, _ arguments: [String], in folder: URL, environment more: [String: String] = [:], input: URL? = nil
    ) throws {
      let name = UUID().uuidString
      output = folder.appendingPathComponent("\(name).out")
      errors = folder.appendingPathComponent("\(name).err")
      for file in [output, errors] { try Data().write(to: file) }
      process.executableURL = url
      process.arguments = arguments
      process.standardInput = try input.map { try FileHandle(forReadingFrom: $0) } ?? FileHandle.nullDevice
      process.currentDirectoryURL = folder
      process.standardOutput = try FileHandle(forWritingTo: output)
      process.standardError = try FileHandle(forWritingTo: errors)
      var environment = ProcessInfo.processInfo.environment
      environment["XDG_CACHE_HOME"] = folder.path
      process.environment = environment.merging(more) { $1 }
      try process.run()
    }

    func wait() throws -> Result {
      process.waitUntilExit()
      let bytes = try Data(contentsOf: output)
      return Result(
        status: process.terminationStatus, bytes: bytes, output: String(decoding: bytes, as: UTF8.self),
        errors: String(decoding: try Data(contentsOf: errors), as: UTF8.self))
    }
  }

  func start(_ arguments: [String], environment: [String: String] = [:]) throws -> Running {
    try Running(Self.url, arguments, in: folder, environment: environment)
  }

  func run(_ arguments: [String], input: URL) throws -> Result {
    try Running(Self.url, arguments, in: folder, input: input).wait()
  }

  func run(_ arguments: String...) throws -> Result { try start(arguments).wait() }
  func run(_ arguments: [String]) throws -> Result { try start(arguments).wait() }

  /// The arguments of a short training of a small model; one thread, since two of a busy machine wait for each other.
  func training(_ faces: DrawnFaces, _ name: String, images: Int, _ more: String...) -> [String] {
    [
      "train", "--data", faces.folder.path, "--preset", "compact", "--output", path(name), "--images", "\(images)",
      "--image-size", "32", "--latent-size", "8", "--batch", "8", "--threads", "1",
    ] + more
  }

  func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

  func checkpoint(_ name: String) -> URL {
    folder.appendingPathComponent(name).appendingPathComponent("checkpoints/last.safetensors")
  }

  /// The number of steps that the last checkpoint holds; 0 without one.
  func steps(_ name: String) -> Int {
    struct Progress: Decodable { let step: Int }
    guard let text = try? SafetensorsFile(checkpoint(name)).metadata["progress"],
      let progress = try? JSONDecoder().decode(Progress.self, from: Data(text.utf8))
    else { return 0 }
    return progress.step
  }

  /// Waits until the last checkpoint holds some steps, or the process has ended.
  func wait(for running: Running, toReach steps: Int, of name: String) {
    while running.process.isRunning, self.steps(name) < steps { usleep(2000) }
  }
}

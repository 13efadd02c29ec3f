import Foundation
import Testing
import Torch

/// `facet` started as several processes, as torchrun and the jobs' scripts in Examples do.
@Suite("Several processes", .serialized) struct ProcessesTests {
  let program: Program
  let faces: DrawnFaces

  init() throws {
    program = try Program()
    faces = try DrawnFaces()
  }

  /// torchrun lies beside the Python that has torch.
  static let torchrun: URL? = ProcessInfo.processInfo.environment["FACET_PYTHON"].map {
    URL(fileURLWithPath: $0).deletingLastPathComponent().appendingPathComponent("torchrun")
  }.flatMap { FileManager.default.isExecutableFile(atPath: $0.path) ? $0 : nil }

  /// Starts the ranks by hand, through torch's variables alone.
  private func start(_ arguments: [String], ranks: Int, _ more: [String: String] = [:]) throws -> [Program.Running] {
    let port = try freePort()
    return try (0..<ranks).map { rank in
      try program.start(
        arguments,
        environment: [
          "RANK": "\(rank)", "WORLD_SIZE": "\(ranks)", "LOCAL_RANK": "\(rank)", "LOCAL_WORLD_SIZE": "\(ranks)",
          "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "\(port)",
        ].merging(more) { $1 })
    }
  }

  private func startTorchrun(_ options: [String], _ arguments: [String]) throws -> Program.Running {
    try Program.Running(
      #require(Self.torchrun), ["--standalone", "--nproc-per-node", "2"] + options
        + ["--no-python", Program.url.path] + arguments,
      in: program.folder)
  }

  /// A port that nobody listens on, below those that the system gives to connections on its own (from 32768 on).
  private func freePort() throws -> UInt16 {
    for _ in 0..<100 {
      let handle = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      defer { close(handle) }
      let port = UInt16.random(in: 20_000..<32_000)
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
      address.sin_port = port.bigEndian
      let status = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          bind(handle, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
      if status == 0 { return port }
    }
    throw TorchError("no free port between 20000 and 32000")
  }

  private func expectSameCheckpoint(_ a: String, _ b: String) throws {
    let first = try SafetensorsFile(program.checkpoint(a)).tensors
    let second = try SafetensorsFile(program.checkpoint(b)).tensors
    #expect(first.count > 100 && Set(first.keys) == Set(second.keys))
    for (name, entry) in first {
      let other = try #require(second[name])
      let isSame = entry.withUnsafeBytes { a in other.withUnsafeBytes { b in a.elementsEqual(b) } }
      #expect(isSame, "\(name) differs")
    }
  }

  @Test func rankThatIsKilledEndsTheOthers() throws {
    defer { program.remove() }
    let ranks = try start(
      program.training(faces, "run", images: 1_000_000, "--checkpoint-minutes", "0", "--validate-every", "1000000"),
      ranks: 2)
    program.wait(for: ranks[0], toReach: 5, of: "run")
    kill(ranks[1].process.processIdentifier, SIGKILL)
    let start = ContinuousClock.now
    let survivor = try ranks[0].wait()
    #expect(ContinuousClock.now - start < .seconds(60))
    #expect(survivor.status == 1)
    #expect(
      survivor.errorLines.last?.contains("process 0 of 2 lost the others") == true
        && survivor.errors.contains("--resume"), "\(survivor.errors)")
    _ = try ranks[1].wait()

    // Two others go on from the checkpoint as one would.
    let steps = program.steps("run")
    #expect(steps >= 5)
    for running in try self.start(program.training(faces, "run", images: (steps + 3) * 8, "--resume"), ranks: 2) {
      let result = try running.wait()
      #expect(result.status == 0, "\(result.errors)")
    }
    #expect(program.steps("run") == steps + 3)
    let alone = try program.run(program.training(faces, "run", images: (steps + 5) * 8, "--resume"))
    #expect(alone.status == 0, "\(alone.errors)")
    #expect(program.steps("run") == steps + 5)
  }

  @Test func signalToOneRankEndsAllWithACheckpoint() throws {
    defer { program.remove() }
    let ranks = try start(
      program.training(faces, "run", images: 1_000_000, "--checkpoint-minutes", "0", "--validate-every", "1000000"),
      ranks: 2)
    program.wait(for: ranks[0], toReach: 3, of: "run")
    kill(ranks[1].process.processIdentifier, SIGTERM)
    for running in ranks {
      let result = try running.wait()
      #expect(result.status == 130, "\(result.errors)")
    }
    #expect(program.steps("run") >= 3)
  }

  @Test func attributesAndFiguresAreThoseOfOneProcess() throws {
    defer { program.remove() }
    #expect(try program.run(program.training(faces, "run", images: 80)).status == 0)
    try FileManager.default.copyItem(atPath: program.path("run"), toPath: program.path("other"))
    func attributes(_ name: String) -> [String] {
      ["attributes", "--model", program.path(name), "--data", faces.folder.path, "--photos", "8", "--threads", "1"]
    }
    let alone = try program.run(attributes("run"))
    #expect(alone.status == 0, "\(alone.errors)")
    let ranks = try start(attributes("other"), ranks: 2).map { try $0.wait() }
    for result in ranks { #expect(result.status == 0, "\(result.errors)") }
    #expect(ranks[0].output == alone.output.replacing(program.path("run"), with: program.path("other")))
    #expect(ranks[1].output.isEmpty && ranks[1].errors.isEmpty, "\(ranks[1].errors)")
    let file = "attributes.safetensors"
    #expect(
      try Data(contentsOf: URL(fileURLWithPath: program.path("run") + "/" + file))
        == Data(contentsOf: URL(fileURLWithPath: program.path("other") + "/" + file)))

    let measure = [
      "evaluate", "--model", program.path("run"), "--data", faces.folder.path, "--partition", "train", "--threads", "1",
    ]
    let figures = try program.run(measure)
    let shared = try start(measure, ranks: 3).map { try $0.wait() }
    func table(_ text: String) -> [Substring] { text.split(separator: "\n").filter { !$0.contains("second") } }
    #expect(figures.status == 0 && table(figures.output).count > 5)
    #expect(table(shared[0].output) == table(figures.output))
    #expect(shared[1].output.isEmpty && shared[2].output.isEmpty)
  }

  @Test func faultsAreNamed() throws {
    defer { program.remove() }
    let arguments = program.training(faces, "run", images: 16)
    let incomplete = try program.start(arguments, environment: ["WORLD_SIZE": "2", "RANK": "0"]).wait()
    #expect(incomplete.status == 1 && incomplete.errors.contains("MASTER_ADDR"), "\(incomplete.errors)")
    let odd = try start(arguments, ranks: 3).map { try $0.wait() }
    // The others may notice first that one has ended.
    for result in odd { #expect(result.status == 1) }
    #expect(odd[0].errors.contains("a batch of 8 cannot be shared evenly by 3 processes"), "\(odd[0].errors)")
    // One process by itself, whatever else the variables lack.
    let alone = try program.start(arguments, environment: ["WORLD_SIZE": "1", "RANK": "0"]).wait()
    #expect(alone.status == 0, "\(alone.errors)")
    #expect(program.steps("run") == 2)
  }

  @Test(.enabled(if: torchrun != nil, "no torchrun; FACET_PYTHON names a Python with torch"))
  func torchrunTakesUpARunWhoseRankIsKilled() throws {
    defer { program.remove() }
    let whole = try startTorchrun([], program.training(faces, "whole", images: 320)).wait()
    #expect(whole.status == 0, "\(whole.errors)")
    #expect(program.steps("whole") == 40)

    let running = try startTorchrun(
      ["--max-restarts", "1", "--monitor-interval", "0.1"],
      program.training(faces, "killed", images: 320, "--checkpoint-minutes", "0"))
    program.wait(for: running, toReach: 10, of: "killed")
    let ranks = children(of: running.process.processIdentifier)
    #expect(ranks.count == 2)
    kill(try #require(ranks.last), SIGKILL)
    let result = try running.wait()
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.errors.contains(/on from step \d+/), "\(result.errors)")
    #expect(program.steps("killed") == 40)
    try expectSameCheckpoint("whole", "killed")
  }

  private func children(of parent: Int32) -> [Int32] {
    let text = (try? String(contentsOfFile: "/proc/\(parent)/task/\(parent)/children", encoding: .utf8)) ?? ""
    return text.split(separator: " ").compactMap { Int32($0) }.filter { pid in
      let name = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/exe")
      return name == Program.url.resolvingSymlinksInPath().path
    }
  }

  // MARK: Examples

  private static let cluster = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../Examples/Cluster").standardized

  private func run(_ program: String, _ arguments: [String]) throws -> Program.Result {
    try Program.Running(URL(fileURLWithPath: program), arguments, in: self.program.folder).wait()
  }

  /// The job's script, with Slurm's part played by this test: each rank runs what `srun` is given.
  @Test func slurmScriptStartsTheRanks() throws {
    defer { program.remove() }
    let script = Self.cluster.appendingPathComponent("train.slurm").path
    let syntax = try run("/bin/bash", ["-n", script])
    #expect(syntax.status == 0, "\(syntax.errors)")
    let tools = program.folder.appendingPathComponent("tools")
    try FileManager.default.createDirectory(at: tools, withIntermediateDirectories: true)
    for (name, text) in [
      ("scontrol", "echo first; echo second"),
      ("srun", #"shift; SLURM_PROCID=5 SLURM_NTASKS=8 SLURM_LOCALID=1 SLURM_NTASKS_PER_NODE=4 exec "$@""#),
      (
        "facet",
        #"echo $RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_WORLD_SIZE $MASTER_ADDR:$MASTER_PORT $OMP_NUM_THREADS; echo "$@""#
      ),
    ] {
      let file = tools.appendingPathComponent(name)
      try "#!/bin/bash\n\(text)\n".write(to: file, atomically: true, encoding: .utf8)
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.path)
    }
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    let result = try Program.Running(
      URL(fileURLWithPath: "/bin/bash"), [script], in: program.folder,
      environment: [
        "PATH": "\(tools.path):\(path)", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-2]",
        "SLURM_CPUS_PER_TASK": "8", "DATA": "/d", "OUTPUT": "/o",
      ]
    ).wait()
    let lines = result.output.split(separator: "\n")
    try #require(lines.count == 2, "\(result.errors)")
    #expect(lines[0] == "5/8 1/4 first:20007 8")
    // The options are the program's.
    let arguments = lines[1].split(separator: " ").map(String.init)
    try expectUsable(arguments)
  }

  @Test(.enabled(if: python != nil, "no Python with yaml; FACET_PYTHON names one"))
  func podsAreGivenUsableOptions() throws {
    defer { program.remove() }
    let script = """
      import sys, yaml
      job = yaml.safe_load(open(sys.argv[1]))
      assert (job['apiVersion'], job['kind']) == ('kubeflow.org/v1', 'PyTorchJob')
      replicas = job['spec']['pytorchReplicaSpecs']
      assert set(replicas) == {'Master', 'Worker'} and replicas['Master']['replicas'] == 1
      pods = [r['template']['spec']['containers'][0] for r in replicas.values()]
      assert pods[0] == pods[1] and pods[0]['name'] == 'pytorch'
      print(*pods[0]['command'][1:], *pods[0]['args'])
      """
    let job = Self.cluster.appendingPathComponent("train.pytorchjob.yaml").path
    let result = try run("/usr/bin/env", [#require(Self.python), "-c", script, job])
    try #require(result.status == 0, "\(result.errors)")
    try expectUsable(result.output.split(whereSeparator: \.isWhitespace).map(String.init))
  }

  static let python: String? = {
    let candidate = ProcessInfo.processInfo.environment["FACET_PYTHON"] ?? "python3"
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [candidate, "-c", "import yaml"]
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return nil }
    process.waitUntilExit()
    return process.terminationStatus == 0 ? candidate : nil
  }()

  /// Whether `facet` takes these options and gets as far as to look for the device or the photos.
  private func expectUsable(_ arguments: [String]) throws {
    #expect(arguments.first == "train" && arguments.contains("--resume"))
    let result = try program.run(arguments)
    #expect(result.status == 1, "\(result.errors)")
    #expect(result.errors.contains(/cuda:0 is not here|list_attr_celeba.txt/), "\(result.errors)")
  }
}

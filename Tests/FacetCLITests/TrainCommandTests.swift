import Foundation
import Testing
import Torch

/// The command line's training as a user meets it: processes that are killed, interrupted and taken up again.
@Suite(.serialized) struct TrainCommandTests {
  let faces: DrawnFaces
  let program: Program

  init() throws {
    faces = try DrawnFaces()
    program = try Program()
  }

  private func expectSameTensors(_ a: URL, _ b: URL) throws {
    let (first, second) = (try SafetensorsFile(a).tensors, try SafetensorsFile(b).tensors)
    #expect(Set(first.keys) == Set(second.keys))
    #expect(first.keys.contains { $0.hasPrefix("model.") } && first.keys.contains { $0.hasPrefix("optimizer.") })
    for (name, entry) in first {
      let other = try #require(second[name])
      let isSame = entry.withUnsafeBytes { a in other.withUnsafeBytes { b in a.elementsEqual(b) } }
      #expect(isSame, "\(name) differs")
    }
  }

  @Test func killedRunGoesOnToTheSameWeights() throws {
    defer { program.remove() }
    let whole = try program.run(program.training(faces, "whole", images: 320))
    #expect(whole.status == 0, "\(whole.errors)")
    #expect(program.steps("whole") == 40)

    let killed = try program.start(program.training(faces, "killed", images: 320, "--checkpoint-minutes", "0"))
    program.wait(for: killed, toReach: 10, of: "killed")
    kill(killed.process.processIdentifier, SIGKILL)
    let end = try killed.wait()
    #expect(end.status == SIGKILL)
    #expect((10..<40).contains(program.steps("killed")))
    // The checkpoint knows the options.
    let resumed = try program.run(
      "train", "--data", faces.folder.path, "--output", program.path("killed"), "--resume", "--threads", "1",
      "--checkpoint-minutes", "5")
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(program.steps("killed") == 40)
    try expectSameTensors(program.checkpoint("whole"), program.checkpoint("killed"))

    // A larger budget goes on; a spent one ends at once.
    let more = try program.run(program.training(faces, "whole", images: 336, "--resume"))
    #expect(more.status == 0, "\(more.errors)")
    #expect(program.steps("whole") == 42)
    #expect(try program.run(program.training(faces, "whole", images: 336, "--resume")).status == 0)
    #expect(program.steps("whole") == 42)
  }

  @Test func trainingStartsFromABundle() throws {
    defer { program.remove() }
    #expect(try program.run(program.training(faces, "first", images: 80)).status == 0)
    let more = try program.run(
      program.training(faces, "second", images: 8, "--from", program.path("first"), "--learning-rate", "1e-12"))
    #expect(more.status == 0, "\(more.errors)")
    let (first, second) = try (Tensor.load(from: weights("first")), Tensor.load(from: weights("second")))
    for (name, tensor) in first.tensors where name.hasSuffix("weight") {
      let change = try (#require(second.tensors[name]).to(.float32) - tensor.to(.float32)).abs().sum().item()
      #expect(change < 1e-3, "\(name) moved by \(change)")
    }
  }

  private func weights(_ name: String) -> URL { URL(fileURLWithPath: program.path(name) + "/model.safetensors") }

  @Test(arguments: [SIGINT, SIGTERM]) func signalEndsWithACheckpoint(signal: Int32) throws {
    defer { program.remove() }
    let running = try program.start(
      program.training(faces, "run", images: 1_000_000, "--checkpoint-minutes", "0", "--validate-every", "1000000"))
    program.wait(for: running, toReach: 3, of: "run")
    kill(running.process.processIdentifier, signal)
    let result = try running.wait()
    #expect(running.process.terminationReason == .exit)
    #expect(result.status == 130, "\(result.errors)")
    #expect(result.errors.contains("interrupted"))
    let steps = program.steps("run")
    #expect(steps >= 3)
    let resumed = try program.run(program.training(faces, "run", images: (steps + 2) * 8, "--resume"))
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(program.steps("run") == steps + 2)
  }

  @Test func lossThatIsNotFiniteKeepsTheCheckpoint() throws {
    defer { program.remove() }
    #expect(try program.run(program.training(faces, "run", images: 40)).status == 0)
    let before = try Data(contentsOf: program.checkpoint("run"))
    let result = try program.run(program.training(faces, "run", images: 320, "--resume", "--learning-rate", "1e30"))
    #expect(result.status == 1)
    #expect(result.errorLines.last?.contains(/step \d+: .*the run has diverged/) == true, "\(result.errors)")
    #expect(try Data(contentsOf: program.checkpoint("run")) == before)
  }

  @Test func lossThatGrowsWithoutBoundIsAFailure() throws {
    defer { program.remove() }
    let result = try program.run(program.training(faces, "run", images: 80, "--learning-rate", "1e3"))
    #expect(result.status == 1 && !result.errors.contains("best so far"), "\(result.errors)")
    #expect(result.errorLines.last?.contains(/step \d+: .*the run has diverged/) == true, "\(result.errors)")
  }

  @Test func runThatIsThereIsNotOverwritten() throws {
    defer { program.remove() }
    // --resume without a checkpoint starts anew.
    #expect(try program.run(program.training(faces, "run", images: 16, "--resume")).status == 0)
    let refused = try program.run(program.training(faces, "run", images: 16))
    #expect(refused.status == 1)
    #expect(refused.errors.contains("--resume"))
    for other in [["--batch", "4"], ["--seed", "7"], ["--latent-size", "16"]] {
      let result = try program.run(program.training(faces, "run", images: 64, "--resume") + other)
      #expect(result.status == 1)
      #expect(result.errors.contains("cannot resume"), "\(result.errors)")
    }
    let bytes = try Data(contentsOf: program.checkpoint("run"))
    try bytes.prefix(bytes.count / 2).write(to: program.checkpoint("run"))
    let damaged = try program.run(program.training(faces, "run", images: 64, "--resume"))
    #expect(damaged.status == 1)
    #expect(damaged.errorLines.count == 1 && damaged.errors.contains("last.safetensors"), "\(damaged.errors)")
    #expect(try program.run(program.training(faces, "run", images: 16, "--force")).status == 0)
  }

  @Test func diskThatIsFullIsNamed() throws {
    defer { program.remove() }
    // Files may not grow over 4 MB: a checkpoint is larger. The limit's signal would end the process.
    let command = "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\""
    let result = try Program.Running(
      URL(fileURLWithPath: "/bin/bash"), ["-c", command, Program.url.path] + program.training(faces, "run", images: 16),
      in: program.folder
    ).wait()
    #expect(result.status == 1)
    #expect(result.errorLines.last?.contains(".safetensors: cannot write: ") == true, "\(result.errors)")
    #expect(!FileManager.default.fileExists(atPath: program.checkpoint("run").path))
  }

  @Test func faultsAreOneLine() throws {
    defer { program.remove() }
    var arguments = program.training(faces, "run", images: 16)
    let output = try #require(arguments.firstIndex(of: "--output")) + 1
    arguments[output] = "/proc/none/run"
    let unwritable = try program.run(arguments)
    #expect(unwritable.status == 1)
    #expect(unwritable.errorLines.last?.contains("/proc/none/run") == true, "\(unwritable.errors)")
    let missing = try program.run("train", "--data", "/none", "--output", program.path("x"))
    #expect(missing.status == 1)
    #expect(missing.errorLines.count == 1 && missing.errors.contains("/none/list_attr_celeba.txt"))
    #expect(try program.run("train", "--data", "/none", "--output", "x", "--minutes", "0").status == 64)
    #expect(try program.run("train", "--data", "/none").status == 64)
  }

  /// Of every command that trains, before anything is read or made.
  @Test(arguments: [
    (["train", "--image-size", "40"], "--image-size must be a multiple of 32"), (["train", "--set", "nonsense=1"], "--set 'nonsense=1'"),
    (["train", "--set", "patience=0"], "'patience' must be above 0"), (["train", "--latent-size=0"], "--latent-size must be from 1"),
    (["parse", "train", "--occluders", "3"], "--occluders must be from 0 to 1"), (["sharpen", "--batch", "3"], "--batch must be even"),
    (["painter", "--sharpest", "2"], "--sharpest must be from 0.01 to 1"), (["sharpen", "--attribute", "Smil"], "Smiling"),
  ])
  func optionsOutOfRangeAreRefusedFirst(_ command: [String], _ part: String) throws {
    defer { program.remove() }
    let result = try program.run(command + ["--data", "/none", "--output", program.path("new")])
    #expect(result.status == 64 && result.errorLines.count == 1 && result.errors.contains(part), "\(result.errors)")
    #expect(!FileManager.default.fileExists(atPath: program.path("new")))
  }

  @Test func aMissingDataSetLeavesNoFolder() throws {
    defer { program.remove() }
    let result = try program.run("train", "--data", "/none", "--output", program.path("new"), "--images", "8")
    #expect(result.status == 1 && result.errorLines.count == 1 && result.errors.contains("/none"), "\(result.errors)")
    #expect(!FileManager.default.fileExists(atPath: program.path("new")))
  }
}

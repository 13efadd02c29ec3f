import Facet
import Foundation
import Photo
import Testing
import Torch

/// What goes wrong beside a command, and what it makes of it: no loss that is not told, and no wrong picture with code 0.
@Suite(.serialized) struct TrustTests {
  let program: Program

  init() throws { program = try Program() }

  private static let sample = ModelBundle.defaultURL.deletingLastPathComponent().appendingPathComponent("astronaut.jpg")

  /// A copy of the packaged bundle, which a test may spoil.
  private func bundle(_ name: String = "bundle") throws -> URL {
    let url = program.folder.appendingPathComponent(name)
    try FileManager.default.copyItem(at: ModelBundle.defaultURL, to: url)
    return url
  }

  private func run(with script: String, _ arguments: [String]) throws -> Program.Result {
    try Program.Running(
      URL(fileURLWithPath: "/bin/bash"), ["-c", script, Program.url.path] + arguments, in: program.folder
    ).wait()
  }

  // MARK: Output

  @Test(arguments: [["info"], ["inspect", sample.path, "--json"], ["inspect", sample.path], ["--help"], ["--version"]])
  func outputThatIsLostIsAFault(_ arguments: [String]) throws {
    defer { program.remove() }
    let result = try run(with: #""$0" "$@" > /dev/full"#, arguments)
    #expect(result.status == 1, "\(arguments)")
    #expect(result.errors.contains("standard output: cannot be written"), "\(result.errors)")
  }

  @Test func aServerThatCannotSayWhereItIsEnds() throws {
    defer { program.remove() }
    let result = try run(with: #"timeout -s KILL 60 "$0" serve --port 0 --threads 1 > /dev/full"#, [])
    #expect(result.status == 1 && result.errors.contains("standard output: cannot be written"), "\(result.errors)")
  }

  @Test func aPipeIsNoLook() throws {
    defer { program.remove() }
    let file = program.folder.appendingPathComponent("look.json")
    #expect(mkfifo(file.path, 0o600) == 0)
    let result = try run(
      with: #"timeout -s KILL 60 "$0" "$@""#,
      ["edit", Self.sample.path, "--look", file.path, "-o", program.path("out.png")])
    #expect(result.status == 1 && result.errors.contains("cannot be read"), "\(result.errors)")
  }

  @Test func controlCharactersOfNamesAreShown() throws {
    defer { program.remove() }
    let name = "a\u{1B}[31mred\nline.jpg"
    let file = program.folder.appendingPathComponent(name)
    try Data(contentsOf: Self.sample).prefix(4000).write(to: file)
    let result = try program.run("inspect", file.path)
    #expect(result.status == 1 && !result.errors.contains("\u{1B}") && result.errorLines.count == 1)
    #expect(result.errors.contains("a\\u{1B}[31mred\\u{A}line.jpg"), "\(result.errors)")
    let skipped = try program.run("edit", file.path, Self.sample.path, "--attribute", "Smiling=1", "-o", program.path("out") + "/", "--skip")
    #expect(skipped.status == 0 && !skipped.errors.contains("\u{1B}"), "\(skipped.errors)")
    let long = try program.run("inspect", String(repeating: "x", count: 100_000))
    #expect(long.status == 1 && long.errors.utf8.count < 5000)
  }

  @Test func namesInABundleAreShown() throws {
    defer { program.remove() }
    let url = try bundle()
    let file = url.appendingPathComponent("model.safetensors")
    let (tensors, metadata) = try Tensor.load(from: file)
    try Tensor.save(
      tensors, metadata: metadata.merging(["origin": "me\u{1B}]0;title\u{7}\u{9B}2J"]) { $1 }, to: file)
    try FileManager.default.removeItem(at: url.appendingPathComponent("attributes.safetensors"))
    let info = try program.run("info", url.path)
    #expect(info.status == 0 && info.output.unicodeScalars.allSatisfy { $0 == "\n" || $0.properties.generalCategory != .control })
  }

  // MARK: Folders of photos

  /// A picture that no JPEG can hold, by a JPEG's name.
  @Test func skipPassesOverPhotosThatCannotBeWritten() throws {
    defer { program.remove() }
    let wide = program.folder.appendingPathComponent("wide.jpg")
    try Photo(Picture(width: 66_000, height: 16, filledWith: 90), format: .png).encoded().write(to: wide)
    let arguments = ["edit", wide.path, Self.sample.path, "--aligned", "--attribute", "Young=1", "-o", program.path("out") + "/"]
    let ended = try program.run(arguments)
    #expect(ended.status == 1 && ended.errors.contains("cannot be written"), "\(ended.errors)")
    let skipped = try program.run(arguments + ["--skip", "--force"])
    #expect(skipped.status == 0 && skipped.errors.contains("skipped: "), "\(skipped.errors)")
    #expect(FileManager.default.fileExists(atPath: program.path("out/astronaut.jpg")))
    // A full disk is no one photo's fault.
    let full = try run(with: #"trap '' XFSZ; ulimit -f 1; exec "$0" "$@""#, arguments + ["--skip", "--force"])
    #expect(full.status == 1 && full.errors.contains("File too large"), "\(full.errors)")
  }

  // MARK: Memory

  /// Black, of 16 bits a channel, with opacity: small as a file, 8 bytes a pixel in memory.
  private func black(_ side: Int) throws -> URL {
    let url = program.folder.appendingPathComponent("black.png")
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [
      "python3", "-c",
      """
      import struct, sys, zlib
      side, path = int(sys.argv[1]), sys.argv[2]
      def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
      packer, row = zlib.compressobj(1), bytes(1 + 8 * side)
      data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
      header = struct.pack(">IIBBBBB", side, side, 16, 6, 0, 0, 0)
      open(path, "wb").write(b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
      """, "\(side)", url.path,
    ]
    try process.run()
    process.waitUntilExit()
    return url
  }

  @Test(arguments: [1_400_000, 2_000_000, 2_600_000, 4_000_000])
  func aPhotoThatDoesNotFitIsRefused(_ kilobytes: Int) throws {
    defer { program.remove() }
    let photo = try black(7000)
    let result = try run(
      with: "ulimit -v \(kilobytes); exec \"$0\" \"$@\"",
      ["edit", photo.path, "--aligned", "--attribute", "Young=1", "--threads", "1", "-o", program.path("out.png")])
    #expect([0, 1].contains(result.status), "\(result.status) \(result.errors)")
    if result.status == 1 {
      #expect(["of memory, and", "of address space are left"].contains { result.errors.contains($0) }, "\(result.errors)")
      #expect(result.errorLines.count == 1, "\(result.errors)")
    } else {
      #expect(try Photo(contentsOf: URL(fileURLWithPath: program.path("out.png"))).width == 7000)
    }
  }

  @Test func tooLittleAddressSpaceIsSaid() throws {
    defer { program.remove() }
    let result = try run(
      with: #"ulimit -v 1000000; exec timeout -s KILL 120 "$0" "$@""#,
      ["edit", Self.sample.path, "--attribute", "Young=1", "-o", program.path("out.png")])
    #expect(result.status == 1 && result.errors.contains("address space"), "\(result.status) \(result.errors)")
  }

  // MARK: Bundles

  @Test(arguments: ["config.json", "model.safetensors", "attributes.safetensors", "glasses.safetensors", "prototypes.safetensors"])
  func aPipeInABundleIsRefusedAtOnce(_ name: String) throws {
    defer { program.remove() }
    let url = try bundle()
    let file = url.appendingPathComponent(name)
    try FileManager.default.removeItem(at: file)
    #expect(mkfifo(file.path, 0o600) == 0)
    let result = try run(with: #"timeout -s KILL 60 "$0" "$@""#, ["info", url.path])
    #expect(result.status == 1 && result.errors.contains("not a regular file"), "\(name): \(result.errors)")
  }

  /// One bit of a weight makes another picture, and is seen nowhere.
  @Test(arguments: ["model.safetensors", "attributes.safetensors", "glasses.safetensors", "prototypes.safetensors", "painter.safetensors"])
  func aChangedBitInABundleIsFound(_ name: String) throws {
    defer { program.remove() }
    let url = try bundle()
    let file = url.appendingPathComponent(name)
    var data = try Data(contentsOf: file)
    data[data.count - 100] ^= 1
    try data.write(to: file)
    let result = try run(with: #""$0" "$@""#, [
      "edit", Self.sample.path, "--model", url.path, "--attribute", "Young=-1", "--attribute", "Eyeglasses=1", "-o",
      program.path("a.png"),
    ])
    #expect(result.status == 1 && result.errorLines.count == 1, "\(name): \(result.errors)")
    #expect(result.errors.contains("its checksum does not fit") || result.errors.contains("made for other weights"))
  }

  @Test(arguments: ["decoder.output.bias", "encoder.mean.bias"], [Float.nan, .infinity])
  func weightsThatAreNoNumbersAreRefused(_ name: String, _ value: Float) throws {
    defer { program.remove() }
    let url = try bundle()
    let file = url.appendingPathComponent("model.safetensors")
    var (tensors, metadata) = try Tensor.load(from: file)
    let old = try #require(tensors[name])
    tensors[name] = try Tensor([Float](repeating: value, count: old.count), shape: old.shape).to(old.dtype)
    let spoilt = program.folder.appendingPathComponent("spoilt.safetensors")
    try Tensor.save(tensors, metadata: metadata, to: spoilt)
    metadata = [:]
    tensors = [:]
    try Data(contentsOf: spoilt).write(to: file)
    for command in [
      ["edit", Self.sample.path, "--attribute", "Smiling=1"], ["reconstruct", Self.sample.path], ["sample"],
      ["morph", Self.sample.path, Self.sample.path],
    ] {
      let output = program.path(command[0] == "morph" ? "out.webp" : "out.png")
      let result = try program.run(command + ["--model", url.path, "-o", output])
      #expect(result.status == 1 && result.errors.contains(name) && result.errors.contains("not finite"), "\(result.errors)")
      #expect(!FileManager.default.fileExists(atPath: output))
    }
  }

  @Test func termsAreSaid() throws {
    defer { program.remove() }
    let info = try program.run("info")
    #expect(info.output.lowercased().contains("non-commercial") && info.output.contains("iBUG 300-W"), "\(info.output)")
    let url = try bundle()
    try FileManager.default.removeItem(at: url.appendingPathComponent("card.md"))
    #expect(try program.run("info", url.path).output.contains("no card says"))
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..")
    for file in ["README.md", "NOTICE"] {
      let text = try String(contentsOf: root.appendingPathComponent(file), encoding: .utf8)
      for name in ["iBUG 300-W", "CelebA", "CelebAMask-HQ", "UTKFace"] { #expect(text.contains(name), "\(file): \(name)") }
    }
  }

  // MARK: Two at once

  @Test func oneRunAtATimeWritesAFolder() throws {
    defer { program.remove() }
    let faces = try DrawnFaces()
    let first = try program.start(
      program.training(faces, "run", images: 1_000_000, "--checkpoint-minutes", "0", "--validate-every", "80"))
    program.wait(for: first, toReach: 12, of: "run")
    for option in ["--force", "--resume"] {
      let second = try program.run(program.training(faces, "run", images: 80, option))
      #expect(second.status == 1 && second.errorLines.count == 1, "\(second.errors)")
      #expect(second.errors.contains("is writing there") && second.errors.contains("process \(first.process.processIdentifier)"))
    }
    // The bundle in it, too, is the run's.
    let attributes = try program.run("attributes", "--model", program.path("run"), "--data", faces.folder.path, "--scale", "1")
    #expect(attributes.status == 1 && attributes.errors.contains("is writing there"), "\(attributes.errors)")
    kill(first.process.processIdentifier, SIGTERM)
    #expect(try first.wait().status == 130)
    let steps = program.steps("run")
    #expect(steps >= 12)
    #expect(try program.run(program.training(faces, "run", images: (steps + 1) * 8, "--resume")).status == 0)
    #expect(program.steps("run") == steps + 1)
  }

  @Test func oneCommandAtATimeWritesPicturesIntoAFolder() throws {
    defer { program.remove() }
    let folder = program.folder.appendingPathComponent("out")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let lock = folder.appendingPathComponent(".facet.lock")
    let holder = Process()
    holder.executableURL = URL(fileURLWithPath: "/usr/bin/flock")
    holder.arguments = ["--no-fork", lock.path, "sleep", "600"]
    try holder.run()
    defer { kill(holder.processIdentifier, SIGKILL) }
    while !FileManager.default.fileExists(atPath: lock.path) { usleep(1000) }
    usleep(200_000)
    let commands = [
      ["edit", Self.sample.path, "--attribute", "Smiling=1", "-o", folder.path], ["reconstruct", Self.sample.path, "-o", folder.path],
      ["parse", Self.sample.path, "-o", folder.path],
    ]
    for command in commands {
      let result = try program.run(command)
      #expect(result.status == 1 && result.errors.contains("is writing there"), "\(command[0]): \(result.errors)")
    }
    kill(holder.processIdentifier, SIGKILL)
    holder.waitUntilExit()
    #expect(try program.run(commands[2]).status == 0)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["astronaut.png"])
  }

  @Test func noUpdateOfABundleIsLost() throws {
    defer { program.remove() }
    let faces = try DrawnFaces(count: 96)
    #expect(try program.run(program.training(faces, "run", images: 8)).status == 0)
    let source = ["--model", program.path("run"), "--data", faces.folder.path, "--scale", "1", "--threads", "1"]
    #expect(try program.run(["attributes"] + source).status == 0)
    for round in 0..<3 {
      let names = ["one\(round)", "two\(round)"]
      let running = try zip(names, ["Smiling", "Eyeglasses"]).map { name, label in
        try program.start(["attributes", "define", name, "--positives", label] + source)
      }
      let results = try running.map { try $0.wait() }
      let info = try program.run("info", "--model", program.path("run")).output
      for (name, result) in zip(names, results) {
        // Done is done; who came second is told so.
        #expect(info.contains("\(name):") == (result.status == 0), "\(name): \(result.status) \(result.errors)")
        if result.status != 0 { #expect(result.errors.contains("is writing there"), "\(result.errors)") }
      }
      #expect(results.contains { $0.status == 0 })
    }
  }

  // MARK: Checkpoints

  @Test func aDamagedCheckpointIsSaidAndTheOneBeforeTaken() throws {
    defer { program.remove() }
    let faces = try DrawnFaces()
    #expect(try program.run(program.training(faces, "whole", images: 160)).status == 0)
    #expect(try program.run(program.training(faces, "run", images: 160, "--checkpoint-minutes", "0")).status == 0)
    var bytes = try Data(contentsOf: program.checkpoint("run"))
    bytes[bytes.count - 5000] ^= 1
    try bytes.write(to: program.checkpoint("run"))
    let resumed = try program.run(program.training(faces, "run", images: 160, "--resume"))
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(resumed.errors.contains("checksum") && resumed.errors.contains("going on from the checkpoint before"))
    let (first, second) = try (
      SafetensorsFile(program.checkpoint("whole")).tensors, SafetensorsFile(program.checkpoint("run")).tensors
    )
    for (name, entry) in first {
      let other = try #require(second[name])
      #expect(entry.withUnsafeBytes { a in other.withUnsafeBytes { a.elementsEqual($0) } }, "\(name)")
    }
  }
}

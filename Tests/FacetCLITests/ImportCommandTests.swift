import Foundation
import Testing

/// `facet import keras`, as a process of its own.
@Suite("facet import") struct ImportCommandTests {
  private static let fixture = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../FacetTests/Fixtures/keras").standardizedFileURL

  /// The fixture's weights, unpacked into the program's folder.
  private func weights(for facet: Program) throws -> String {
    let packed = facet.folder.appendingPathComponent("weights.h5.gz")
    try FileManager.default.copyItem(at: Self.fixture.appendingPathComponent("training.h5.gz"), to: packed)
    let gzip = Process()
    gzip.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    gzip.arguments = ["gzip", "-d", packed.path]
    try gzip.run()
    gzip.waitUntilExit()
    return facet.path("weights.h5")
  }

  private static let astronaut = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../Sources/Facet/Resources/astronaut.jpg").standardizedFileURL.path

  @Test func theBundleServesOtherCommands() throws {
    let facet = try Program()
    defer { facet.remove() }
    let weights = try weights(for: facet)
    let vectors = Self.fixture.appendingPathComponent("vectors").path
    let done = try facet.run("import", "keras", weights, "--attributes", vectors, "--output", facet.path("a"))
    #expect(done.status == 0, "\(done.errors)")
    #expect(done.errors.contains("2 attribute vectors") && done.errors.contains("Smiling, Young"))

    let info = try facet.run("info", facet.path("a"))
    #expect(info.output.contains("origin      imported from Keras 2.21.0 weights weights.h5"), "\(info.output)")
    #expect(info.output.contains("article, 144x144 pixels, latent size 32"))
    let edit = try facet.run(
      "edit", Self.astronaut, "--model", facet.path("a"), "--attribute", "Smiling=1", "--style", "article", "-o",
      facet.path("a.png"))
    #expect(edit.status == 0, "\(edit.errors)")
    let inspect = try facet.run("inspect", Self.astronaut, "--model", facet.path("a"))
    #expect(inspect.status == 1 && inspect.errorLines.count == 1)
    #expect(inspect.errors.contains("its vectors are imported"))

    // The photos are cut out as the model sees them, and it can be trained further.
    let faces = try DrawnFaces()
    let trained = try facet.run(
      "train", "--data", faces.folder.path, "--from", facet.path("a"), "--output", facet.path("b"), "--images", "8",
      "--batch", "4", "--threads", "1")
    #expect(trained.status == 0, "\(trained.errors)")
    let evaluated = try facet.run("evaluate", "--data", faces.folder.path, "--partition", "val", "--model", facet.path("b"))
    #expect(evaluated.status == 0, "\(evaluated.errors)")
    #expect(try facet.run("info", facet.path("b")).output.contains("origin      trained on 8 images"))
  }

  @Test func faultsAreOneLine() throws {
    let facet = try Program()
    defer { facet.remove() }
    let weights = try weights(for: facet)
    func expectFault(_ reason: String, _ arguments: String...) throws {
      let result = try facet.run(["import", "keras"] + arguments)
      #expect(result.status == 1 && result.errorLines.count == 1 && result.errors.contains(reason), "\(result.errors)")
      #expect(!FileManager.default.fileExists(atPath: facet.path("a")))
    }
    try expectFault("cannot read", facet.path("none.h5"), "--output", facet.path("a"))
    try expectFault("not an HDF5 file", #filePath, "--output", facet.path("a"))
    try expectFault("not a folder", weights, "--attributes", facet.path("none"), "--output", facet.path("a"))
    try Data().write(to: facet.folder.appendingPathComponent("Bald.npy"))
    try expectFault(
      "Bald.npy: not a NumPy file", weights, "--attributes", facet.folder.path, "--output", facet.path("a"))

    #expect(try facet.run("import", "keras", weights, "--output", facet.path("a")).status == 0)
    let again = try facet.run("import", "keras", weights, "--output", facet.path("a"))
    #expect(again.status == 1 && again.errors.contains("--force"))
    #expect(try facet.run("import", "keras", weights, "--output", facet.path("a"), "--force").status == 0)
  }

  private static let python = ProcessInfo.processInfo.environment["FACET_PYTHON"] ?? "python3"

  /// Damaged files end in exit code 0 or 1, and the largest process in less than a gigabyte.
  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/python3") || python != "python3"))
  func damagedFilesTakeLittleMemory() throws {
    let facet = try Program()
    defer { facet.remove() }
    let script = """
      import random, resource, subprocess, sys
      facet, weights, folder = sys.argv[1:]
      random.seed(6)
      whole = open(weights, "rb").read()
      for number in range(24):
        data = bytearray(whole)
        if number % 4 == 0: data = data[:random.randrange(len(data))]
        for _ in range(number):
          place = random.randrange(max(1, len(data) - 8)) & ~7
          data[place:place + 8] = random.choice([bytes(8), b"\\xff" * 7 + b"\\x7f", (1 << random.randrange(40)).to_bytes(8, "little")])
        open(folder + "/damaged.h5", "wb").write(data)
        command = [facet, "import", "keras", folder + "/damaged.h5", "--output", folder + "/damaged", "--force"]
        status = subprocess.run(command, stderr=subprocess.DEVNULL).returncode
        assert status in (0, 1), status
      memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
      assert memory < 1 << 20, memory
      """
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [Self.python, "-c", script, Program.url.path, try weights(for: facet), facet.folder.path]
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
  }
}

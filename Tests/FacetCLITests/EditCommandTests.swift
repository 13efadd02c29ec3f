import Foundation
import Photo
import Testing

struct EditCommandTests {
  private let astronaut = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../Sources/Facet/Resources/astronaut.jpg").standardizedFileURL

  /// A square around the face, as `--aligned` takes it: debug builds search slowly.
  private func crop(_ program: Program, _ name: String) throws -> String {
    let photo = try Photo(contentsOf: astronaut)
    let square = photo.picture.resized(window: Window(x: 130, y: 20, width: 190, height: 190), to: (144, 144))
    let path = program.path(name)
    try square.write(to: URL(fileURLWithPath: path))
    return path
  }

  @Test func alignedPhotosAreEditedIntoAFolder() throws {
    let program = try Program()
    defer { program.remove() }
    let photos = [try crop(program, "a.png"), try crop(program, "b.jpg")]
    let result = try program.run(
      ["edit"] + photos + ["--attribute", "Smiling=-1", "--attribute", "Eyeglasses=0.5", "--aligned"]
        + ["-o", program.path("out")])
    #expect(result.status == 0, "\(result.errors)")
    for name in ["a.png", "b.jpg"] {
      let edited = try Photo(contentsOf: URL(fileURLWithPath: program.path("out/\(name)")))
      let before = try Photo(contentsOf: URL(fileURLWithPath: program.path(name)))
      #expect(edited.width == 144 && edited.height == 144 && edited.format == before.format)
      #expect(edited.picture != before.picture)
    }
  }

  @Test func nothingIsOverwrittenWithoutForce() throws {
    let program = try Program()
    defer { program.remove() }
    let photo = try crop(program, "a.png")
    let there = program.path("there.png")
    try Data("mine".utf8).write(to: URL(fileURLWithPath: there))
    let arguments = ["edit", photo, "--attribute", "Smiling=1", "--aligned", "-o", there]
    let refused = try program.run(arguments)
    #expect(refused.status == 1)
    #expect(refused.errors.contains("--force"))
    #expect(try Data(contentsOf: URL(fileURLWithPath: there)) == Data("mine".utf8))
    #expect(try program.run(arguments + ["--force"]).status == 0)
    let itself = try program.run(["edit", photo, "--attribute", "Smiling=1", "--aligned", "--force", "-o", photo])
    #expect(itself.status == 1 && itself.errors.contains("overwrite itself"))
  }

  @Test func photosThatCannotBeReadAreSkippedOnRequest() throws {
    let program = try Program()
    defer { program.remove() }
    let good = try crop(program, "good.png")
    let bad = program.path("bad.jpg")
    try Data("text".utf8).write(to: URL(fileURLWithPath: bad))
    let arguments = ["edit", bad, good, "--attribute", "Smiling=1", "--aligned", "-o", program.path("out")]
    let refused = try program.run(arguments)
    #expect(refused.status == 1)
    #expect(refused.errorLines.contains { $0.contains("bad.jpg") && $0.contains("not a photo") })
    let skipped = try program.run(arguments + ["--skip"])
    #expect(skipped.status == 0, "\(skipped.errors)")
    #expect(skipped.errors.contains("bad.jpg"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: program.path("out")) == ["good.png"])
  }

  @Test(arguments: [
    (["--attribute", "Smilling=1"], Int32(1), "try Smiling"),
    (["--attribute", "Smiling"], 64, "NAME=STRENGTH"),
    (["--attribute", "Smiling=nan"], 64, "NAME=STRENGTH"),
    (["--attribute", "Smiling=1e9"], 64, "NAME=STRENGTH"),
    (["--attribute", "Smiling=1", "--device", "tpu"], 1, "--device"),
    (["--attribute", "Smiling=1", "--model", "/nowhere"], 1, "/nowhere/config.json"),
  ])
  func faultsAreNamed(arguments: [String], status: Int32, part: String) throws {
    let program = try Program()
    defer { program.remove() }
    let photo = try crop(program, "a.png")
    let result = try program.run(["edit", photo, "--aligned", "-o", program.path("b.png")] + arguments)
    #expect(result.status == status)
    #expect(result.errors.contains(part), "\(result.errors)")
    #expect(!FileManager.default.fileExists(atPath: program.path("b.png")))
  }

  @Test func figuresAreDrawn() throws {
    let program = try Program()
    defer { program.remove() }
    let photo = try crop(program, "a.png")
    let spectrum = try program.run(
      "spectrum", photo, "--attribute", "Smiling", "--strengths=-1,0,1", "--aligned", "-o", program.path("s.png"))
    #expect(spectrum.status == 0, "\(spectrum.errors)")
    let reconstruction = try program.run("reconstruct", photo, "--aligned", "-o", program.path("r.png"))
    #expect(reconstruction.status == 0, "\(reconstruction.errors)")
    for name in ["s.png", "r.png"] {
      #expect(try Photo(contentsOf: URL(fileURLWithPath: program.path(name))).width > 3 * 128)
    }
  }
}

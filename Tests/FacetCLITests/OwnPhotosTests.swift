import Facet
import Files
import Foundation
import Photo
import Testing

/// The way from a plain folder of photos to an edited one, as docs/guide/own-photos.md has it.
@Suite struct OwnPhotosTests {
  let program: Program

  init() throws { program = try Program() }

  private func run(_ arguments: String...) throws -> Program.Result {
    let result = try program.run(arguments)
    #expect(result.status == 0, "\(arguments): \(result.errors)")
    return result
  }

  private func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: program.path(name)) }

  @Test func aFolderAndATableBecomeAnEdit() throws {
    defer { program.remove() }
    let photos = URL(fileURLWithPath: program.path("photos"), isDirectory: true)
    try FileManager.default.createDirectory(at: photos, withIntermediateDirectories: true)
    let portrait = try Picture(contentsOf: FaceEditor.samplePhotoURL)
    var rows = ["file,age,sex,seen"]
    for i in 0..<10 {
      try portrait.resized(to: (480 + 4 * i, 480 + 4 * i)).write(to: photos.appendingPathComponent("\(i).jpg"))
      rows.append("\(i),\(i == 2 ? "" : "\(30 + 5 * i)"),\(i % 2 == 0 ? "female" : "male"),yes")
    }
    try Picture(width: 64, height: 64, filledWith: 90).write(to: photos.appendingPathComponent("wall.png"))
    try rows.joined(separator: "\n").write(toFile: program.path("people.csv"), atomically: true, encoding: .utf8)

    let prepared = try run(
      "prepare", program.path("photos"), "--output", program.path("faces"), "--labels", program.path("people.csv"),
      "--label", "Old: age > 50", "--label", "Man: sex = male", "--label", "seen")
    #expect(prepared.output.contains("10 faces of 11 photos; left out: 1 without a face"), "\(prepared.output)")
    #expect(prepared.output.contains("Old: 5 have it, 4 lack it"), "\(prepared.output)")

    // Fields of a file, a field by its name, and an option before both.
    try #"{"model": {"latentSize": 16}, "batchSize": 2, "augmentation": {"zoom": 0.01}}"#
      .write(toFile: program.path("small.json"), atomically: true, encoding: .utf8)
    _ = try run(
      "train", "--data", program.path("faces"), "--output", program.path("own"), "--images", "16", "--image-size", "32",
      "--config", program.path("small.json"), "--set", "augmentation.rotation=11", "--batch", "4", "--threads", "1")
    let written = try String(contentsOfFile: program.path("own/run.json"), encoding: .utf8)
    for field in ["\"latentSize\" : 16", "\"batchSize\" : 4", "\"rotation\" : 11", "\"zoom\" : 0.01", "\"maxShift\" : 4"] {
      #expect(written.contains(field), "\(field)")
    }
    #expect(try run("train", "--data", "x", "--output", "y", "--show-config").output.contains("\"emaDecay\" : 0.999"))
    let wrong = try program.run(
      "train", "--data", program.path("faces"), "--output", program.path("other"), "--set", "objective.sim=1")
    #expect(wrong.status == 64 && wrong.errors.contains("did you mean 'ssim'?"), "\(wrong.errors)")

    // A model without directions shows faces; one attribute that all have is left out.
    _ = try run("sample", "--model", program.path("own"), "--count", "2", "-o", program.path("faces.png"))
    _ = try run("reconstruct", FaceEditor.samplePhotoURL.path, "--model", program.path("own"), "-o", program.path("r.png"))
    let photo = FaceEditor.samplePhotoURL.path
    _ = try run("morph", photo, photo, "--frames", "2", "--model", program.path("own"), "-o", program.path("m.webp"))
    let early = try program.run("edit", photo, "--attribute", "Old=1", "--model", program.path("own"), "-o", program.path("e.jpg"))
    #expect(early.status == 1 && early.errors.contains("facet attributes"), "\(early.errors)")
    let fitted = try program.run("sample", "--model", program.path("own"), "--prior", "fitted", "-o", program.path("f.png"))
    #expect(fitted.status == 1 && fitted.errors.contains("no fitted prior yet"), "\(fitted.errors)")
    let found = try run("attributes", "--model", program.path("own"), "--data", program.path("faces"), "--scale", "2")
    #expect(found.errors.contains("left out: 'seen': 9 photos have it, 0 lack it"), "\(found.errors)")
    #expect(found.output.contains("2 directions from 9 photos"), "\(found.output)")
    _ = try run("edit", photo, "--attribute", "Old=1", "--model", program.path("own"), "-o", program.path("e.jpg"))
    for name in ["faces.png", "r.png", "m.webp", "e.jpg"] { #expect(exists(name), "\(name)") }

    let table = try run("compare", program.path("own")).output
    #expect(table.contains("ssim") && table.contains("own  16 "), "\(table)")
    #expect(try run("compare", program.path("own"), "--json").output.contains("\"images\":16"))
    let missing = try program.run("compare", program.path("photos"))
    #expect(missing.status == 1 && missing.errors.contains("log.jsonl"), "\(missing.errors)")

    #expect(try run("cache").output.contains("datasets"))
    #expect(try run("cache", "clear", "--days", "1").output.contains("removed 0 files"))
    #expect(try !run("cache", "clear").output.contains("removed 0 files"))
    #expect(try !run("cache").output.contains("datasets"))
  }

  @Test func whatIsBeingWrittenStaysInTheCache() throws {
    defer { program.remove() }
    let folder = URL(fileURLWithPath: program.path("facet/datasets"), isDirectory: true)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    for name in ["done", ".being-made.1.tmp"] { try Data([1, 2]).write(to: folder.appendingPathComponent(name)) }
    do {
      let lock = try WriteLock.file(folder.appendingPathComponent("being-made"))
      defer { withExtendedLifetime(lock) {} }
      let cleared = try run("cache", "clear").output
      #expect(cleared.contains("removed 1 files") && cleared.contains("left 2 files that"), "\(cleared)")
      #expect(exists("facet/datasets/.being-made.1.tmp") && !exists("facet/datasets/done"))
    }
    #expect(try run("cache", "clear").output.contains("removed 1 files"))
    #expect(!exists("facet/datasets/.being-made.1.tmp"))
  }

  @Test func faultsOfTablesComeBeforeTheWork() throws {
    defer { program.remove() }
    try "file,sex\n1,male\n".write(toFile: program.path("people.csv"), atomically: true, encoding: .utf8)
    let text = try program.run("prepare", "/none", "--output", program.path("faces"), "--labels", program.path("people.csv"))
    #expect(text.status == 1 && text.errorLines.count == 1 && text.errors.contains("people.csv:2: sex is 'male'"), "\(text.errors)")
    #expect(try program.run("prepare", "/none", "--output", "x", "--label", "a").status == 64)
    let label = try program.run(
      "prepare", "/none", "--output", "x", "--labels", program.path("people.csv"), "--label", "old: age > much")
    #expect(label.status == 64 && label.errors.contains("--label 'old: age > much'"), "\(label.errors)")
  }
}

import Facet
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

  @Test func aLookIsReadFromAFile() throws {
    let program = try Program()
    defer { program.remove() }
    let photo = try crop(program, "a.png")
    func write(_ name: String, _ text: String) throws -> String {
      try Data(text.utf8).write(to: URL(fileURLWithPath: program.path(name)))
      return program.path(name)
    }
    let look = try write("look.json", #"{"label": "Mine", "edits": [{"attribute": "Smiling", "strength": -1}, {"attribute": "Heavy_Makeup"}]}"#)
    func edited(_ arguments: [String], _ name: String) throws -> Picture {
      let result = try program.run(["edit", photo, "--aligned", "-o", program.path(name)] + arguments)
      #expect(result.status == 0, "\(result.errors)")
      return try Picture(contentsOf: URL(fileURLWithPath: program.path(name)))
    }
    let named = try edited(["--attribute", "Smiling=-1", "--attribute", "Heavy_Makeup"], "named.png")
    #expect(try edited(["--look", look], "look.png") == named)
    #expect(try edited(["--look", look, "--attribute", "Heavy_Makeup=-1"], "less.png") != named)
    for (text, part) in [
      ("no look", "no look"), (#"{"edits": []}"#, "1 to 256"), (#"{"edits": [{"attribute": "Smiling", "strength": 3}]}"#, "from -2 to 2"),
      (#"{"edits": [{"attribute": "Smilling"}]}"#, "Smiling"),
    ] {
      let result = try program.run(["edit", photo, "--aligned", "-o", program.path("no.png"), "--look", try write("bad.json", text)])
      #expect(result.status != 0 && result.errors.contains(part), "\(result.errors)")
    }
    let missing = try program.run(["edit", photo, "--aligned", "-o", program.path("no.png"), "--look", program.path("gone.json")])
    #expect(missing.status != 0 && missing.errors.contains("gone.json"))
  }

  @Test func aMaskKeepsARegionAsItWas() throws {
    let program = try Program()
    defer { program.remove() }
    let photo = try crop(program, "a.png")
    var mask = Picture(width: 36, height: 36, filledWith: 0)
    mask.paste(Picture(width: 36, height: 18, filledWith: 255), x: 0, y: 0)
    try mask.write(to: URL(fileURLWithPath: program.path("mask.png")))
    func edited(_ arguments: [String], _ name: String) throws -> Picture {
      let result = try program.run(["edit", photo, "--aligned", "--attribute", "Young=-1", "-o", program.path(name)] + arguments)
      #expect(result.status == 0, "\(result.errors)")
      return try Picture(contentsOf: URL(fileURLWithPath: program.path(name)))
    }
    func rows(_ picture: Picture, _ rows: Range<Int>) -> Picture {
      picture.resized(window: Window(x: 0, y: rows.lowerBound, width: 144, height: rows.count), to: (144, rows.count))
    }
    let before = try Picture(contentsOf: URL(fileURLWithPath: photo))
    let all = try edited([], "all.png")
    let kept = try edited(["--protect", program.path("mask.png")], "kept.png")
    #expect(rows(all, 0..<72) != rows(before, 0..<72) && rows(kept, 0..<72) == rows(before, 0..<72))
    #expect(rows(kept, 90..<144) == rows(all, 90..<144) && rows(kept, 90..<144) != rows(before, 90..<144))
    for (file, part) in [("gone.png", "gone.png"), ("notes.png", "notes.png")] {
      if file == "notes.png" { try Data("no picture".utf8).write(to: URL(fileURLWithPath: program.path(file))) }
      let result = try program.run(
        ["edit", photo, "--aligned", "--attribute", "Young=-1", "-o", program.path("no.png"), "--protect", program.path(file)])
      #expect(result.status != 0 && result.errors.contains(part), "\(result.errors)")
      #expect(!FileManager.default.fileExists(atPath: program.path("no.png")))
    }
  }

  @Test func editsThatFindNothingToChangeSaySo() throws {
    let program = try Program()
    defer { program.remove() }
    let photo = try crop(program, "a.png")
    let result = try program.run(["edit", photo, "--attribute", "Eyeglasses=-1", "--aligned", "-o", program.path("same.png")])
    #expect(result.status == 0 && result.errors.contains("a.png: nothing is changed: Eyeglasses"), "\(result.errors)")
    let same = try Photo(contentsOf: URL(fileURLWithPath: program.path("same.png")))
    #expect(try same.picture == Photo(contentsOf: URL(fileURLWithPath: photo)).picture)
    let smile = try program.run(["edit", photo, "--attribute", "Smiling=-1", "--aligned", "-o", program.path("other.png")])
    #expect(smile.status == 0 && !smile.errors.contains("nothing is changed"))
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
    #expect(refused.errorLines.contains { $0.hasPrefix("failed: ") && $0.contains("bad.jpg: not a photo") })
    #expect(refused.errorLines.last == "1 done, 1 failed", "\(refused.errors)")
    let skipped = try program.run(arguments + ["--skip", "--force"])
    #expect(skipped.status == 0, "\(skipped.errors)")
    #expect(skipped.errors.contains("bad.jpg"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: program.path("out")) == ["good.png"])
  }

  @Test(arguments: [
    (["--attribute", "Smilling=1"], Int32(64), "try Smiling"),
    (["--attribute", "Smile=1"], 64, "try Smiling"),
    (["--attribute", "Smiling=1", "--to", "0.5"], 64, "--to"),
    (["--attribute", "Smiling", "--to", "1.5"], 64, "--to"),
    (["--attribute", "Smiling=1", "--keep", "Male,Yuong"], 64, "try Young"),
    (["--attribute", "Smiling=1", "--face", "0"], 64, "--face"),
    (["--attribute", "Smiling=nan"], 64, "NAME=STRENGTH"),
    (["--attribute", "Smiling=1e9"], 64, "NAME=STRENGTH"),
    (["--attribute", "Smiling=1", "--device", "tpu"], 64, "--device"),
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
      "spectrum", photo, "--attribute", "Smiling", "--strengths", "-1,0,1", "--aligned", "-o", program.path("s.png"))
    #expect(spectrum.status == 0, "\(spectrum.errors)")
    let grid = try program.run(
      "grid", photo, photo, "--attribute", "Smiling", "--attribute", "Young=-1", "--aligned", "-o", program.path("g.png"))
    #expect(grid.status == 0, "\(grid.errors)")
    let sample = try program.run("sample", "--count", "5", "--columns", "4", "-o", program.path("f.png"))
    #expect(sample.status == 0, "\(sample.errors)")
    let reconstruction = try program.run("reconstruct", photo, "--aligned", "-o", program.path("r.png"))
    #expect(reconstruction.status == 0, "\(reconstruction.errors)")
    for name in ["s.png", "g.png", "f.png", "r.png"] {
      #expect(try Photo(contentsOf: URL(fileURLWithPath: program.path(name))).width > 3 * 128)
    }
  }

  @Test func facesTurnIntoEachOther() throws {
    let program = try Program()
    defer { program.remove() }
    let (a, b) = (try crop(program, "a.png"), program.path("b.png"))
    try Photo(contentsOf: URL(fileURLWithPath: a)).picture.mirrored().write(to: URL(fileURLWithPath: b))
    let arguments = ["morph", a, b, "--frames", "3", "--side", "64", "--aligned", "-o"]
    for name in ["m.webp", "m.gif"] {
      let result = try program.run(arguments + [program.path(name)])
      #expect(result.status == 0, "\(result.errors)")
      #expect(try Data(contentsOf: URL(fileURLWithPath: program.path(name))).count > 1000)
    }
    let refused = try program.run(arguments + [program.path("m.png")])
    #expect(refused.status == 64 && refused.errors.contains(".webp"))
  }

  @Test func stylesOfGlassesAreListedAndRefused() throws {
    let program = try Program()
    defer { program.remove() }
    let styles = try program.run("glasses")
    #expect(styles.status == 0 && styles.output.split(separator: "\n").contains("round-metal"))
    let photo = FaceEditor.samplePhotoURL.path
    let unknown = try program.run("edit", photo, "--attribute", "Eyeglasses=monocle", "-o", "a.png")
    #expect(unknown.status == 64 && unknown.errors.contains("'monocle'") && unknown.errors.contains("round-metal"))
    // Other attributes have none.
    #expect(try program.run("edit", photo, "--attribute", "Smiling=round-metal", "-o", "a.png").status == 64)
    #expect(try program.run("glasses", "--photo", photo).status == 64)
  }

  @Test func aProbabilityIsBroughtAbout() throws {
    let program = try Program()
    defer { program.remove() }
    let photo = try crop(program, "a.png")
    func probability(_ path: String) throws -> Double {
      let result = try program.run("inspect", path, "--json", "--aligned")
      #expect(result.status == 0, "\(result.errors)")
      let line = try #require(result.output.split(separator: "\n").last)
      let value = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
      return try #require((value?["attributes"] as? [String: Double])?["Mouth_Slightly_Open"])
    }
    let edited = program.path("e.png")
    let result = try program.run("edit", photo, "--attribute", "Mouth_Slightly_Open", "--to", "0.3", "--aligned", "-o", edited)
    #expect(result.status == 0, "\(result.errors)")
    #expect(try probability(photo) > 0.8)
    #expect(abs(try probability(edited) - 0.3) < 0.15)
  }

  @Test func facesAreInspected() throws {
    struct Inspection: Decodable {
      struct Box: Decodable { let x, y, width, height: Double }
      let file: String
      let face: Box
      let attributes: [String: Double]
    }
    let program = try Program()
    defer { program.remove() }
    let photo = try crop(program, "a.png")
    let table = try program.run("inspect", photo, "--aligned")
    #expect(table.status == 0, "\(table.errors)")
    let lines = table.output.split(separator: "\n")
    #expect(lines.count == 41 && lines[0].hasSuffix("a.png: face at 0, 0, 144 x 144 pixels"))
    let percents = lines.dropFirst().compactMap { Double($0.split(separator: " ")[1]) }
    #expect(percents.count == 40 && percents == percents.sorted(by: >))

    try FileManager.default.copyItem(atPath: photo, toPath: program.path("b.png"))
    try Data("text".utf8).write(to: URL(fileURLWithPath: program.path("c.jpg")))
    let photos = [photo, program.path("c.jpg"), program.path("b.png")]
    let json = try program.run(["inspect"] + photos + ["--aligned", "--json", "--skip"])
    #expect(json.status == 0 && json.errors.contains("skipped: "), "\(json.errors)")
    let inspections = try json.output.split(separator: "\n").map {
      try JSONDecoder().decode(Inspection.self, from: Data($0.utf8))
    }
    #expect(inspections.map(\.file) == [photo, program.path("b.png")])
    #expect(inspections[0].face.width == 144 && inspections[0].attributes.count == 40)
    #expect(inspections[0].attributes.values.allSatisfy { (0...1).contains($0) })
    #expect(try #require(inspections[0].attributes["Smiling"]) > 0.5)

    let refused = try program.run(["inspect"] + photos + ["--aligned"])
    #expect(refused.status == 1 && refused.errors.contains("c.jpg: not a photo"), "\(refused.errors)")
    try Picture(width: 90, height: 90, filledWith: 99).write(to: URL(fileURLWithPath: program.path("empty.png")))
    let empty = try program.run("inspect", program.path("empty.png"))
    #expect(empty.status == 1 && empty.errors.contains("empty.png: no face found"), "\(empty.errors)")
  }
}

import ArgumentParser
import Foundation
import Photo
import Testing

@testable import FacetCLI

/// The command line as people type it.
struct CommandLineTests {
  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../..").standardizedFileURL
  private static let model = root.appendingPathComponent("Sources/Facet/Resources/default.facet").path
  private let astronaut = root.appendingPathComponent("Sources/Facet/Resources/astronaut.jpg")

  /// The face and what is around it, a quick photo to search.
  private func portrait(_ program: Program, _ name: String) throws -> String {
    let photo = try Picture(contentsOf: astronaut).resized(window: Window(x: 100, y: 0, width: 250, height: 250), to: (250, 250))
    let url = URL(fileURLWithPath: program.path(name))
    try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try photo.write(to: url)
    return url.path
  }

  // MARK: Words

  private static func parsed(_ line: String, files: Set<String> = []) throws -> [String] {
    try TypedWords(FacetCommand._dumpHelp(), exists: { files.contains($0) }).parsed(line.split(separator: " ").map(String.init))
  }

  @Test func namesThatBeginWithADash() throws {
    #expect(try Self.parsed("edit -dash.jpg -o a.jpg", files: ["-dash.jpg"]) == ["edit", "./-dash.jpg", "-o", "a.jpg"])
    #expect(try Self.parsed("edit -h", files: []) == ["edit", "-h"])
    #expect(try Self.parsed("edit -- -dash.jpg") == ["edit", "--", "-dash.jpg"])
    #expect(try Self.parsed("edit - -o -") == ["edit", "-", "-o", "-"])
    #expect(throws: UsageError.self) { try Self.parsed("edit -dash.jpg") }
  }

  @Test func valuesBelowZero() throws {
    #expect(try Self.parsed("spectrum a.jpg --strengths -2,-1,0") == ["spectrum", "a.jpg", "--strengths=-2,-1,0"])
    #expect(try Self.parsed("spectrum a.jpg --strengths=-2") == ["spectrum", "a.jpg", "--strengths=-2"])
  }

  @Test(arguments: [
    ("edti a.jpg", "'edit'"), ("help edti", "'edit'"), ("attribute find", "'attributes'"), ("edit a.jpg --atribute Smiling", "'--attribute'"),
    ("train --lr 1", "'--learning-rate'"), ("edit a.jpg --forse", "'--force'"), ("export onx a", "'onnx'"),
  ])
  func wordsAreSuggested(_ line: String, _ word: String) throws {
    let error = #expect(throws: UsageError.self) { try Self.parsed(line) }
    #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
  }

  @Test func wrongUsageIs64BeforeAnythingIsLoaded() throws {
    let program = try Program()
    defer { program.remove() }
    for words in [
      ["edti", "a.jpg"], ["edit", "a.jpg", "--atribute", "Smiling=1", "-o", "b.jpg"], ["train", "--lr", "1"],
      ["edit", "a.jpg", "--attribute", "Smiling", "-o", "b.jpg", "--threads", "0"],
      ["edit", "a.jpg", "b.jpg", "--attribute", "Smiling", "-o", "two.jpg"], ["inspect", "a.jpg", "--device", "gpu"],
      ["edit", "a.jpg", "--attribute", "Smile=1", "-o", "b.jpg"], ["edit", "-", "-", "--attribute", "Smiling", "-o", "c/"],
      ["edit", "a.jpg", "--attribute", "Smiling", "-o", "x.gif"], ["faces", "a.jpg", "-o", "x.gif"], ["morph", "a.jpg", "b.jpg", "-o", "q.png"],
      ["sample", "-o", "q.gif"], ["grid", "a.jpg", "--attribute", "Smiling", "-o", "q.gif"], ["glasses", "-o", "q.gif"],
      ["spectrum", "a.jpg", "--attribute", "Smiling", "-o", "q.gif"], ["prototype", "Yung=-1", "--model", "none"],
      ["attributes", "define", "1x", "--positives", "Smiling", "--model", "none", "--data", "none"],
      ["attributes", "define", "x", "--positives", "Smil", "--model", Self.model, "--data", "none"],
      ["attributes", "strength", "Smil", "--add", "2", "--model", Self.model], ["export", "small", Self.model, "--output", Self.model],
    ] {
      let result = try program.run(words)
      #expect(result.status == 64 && result.output.isEmpty, "\(words): \(result.status) \(result.errors)")
    }
    // In Latin-1.
    let shell = try Program.Running(
      URL(fileURLWithPath: "/bin/sh"),
      ["-c", "exec \"$0\" inspect \"$(printf 'caf\\351.jpg')\"", Program.url.path], in: program.folder)
    let result = try shell.wait()
    #expect(result.status == 64 && result.errors.contains("not UTF-8") && result.errorLines.count == 1, "\(result.errors)")
  }

  /// Every command of the help texts, the README and the guides is one that is understood.
  @Test func commandsInTheDocumentsAreUnderstood() throws {
    var lines: [String] = []
    let texts = ["README.md"] + (try FileManager.default.contentsOfDirectory(atPath: Self.root.appendingPathComponent("docs").path))
      .filter { $0.hasSuffix(".md") }.map { "docs/\($0)" }
    for text in texts {
      lines += try String(contentsOf: Self.root.appendingPathComponent(text), encoding: .utf8)
        .replacing("\\\n", with: " ").split(separator: "\n").map(String.init)
    }
    struct Tool: Decodable {
      struct Command: Decodable {
        var discussion: String?
        var subcommands: [Command]?
        var all: [String] { [discussion ?? ""] + (subcommands ?? []).flatMap(\.all) }
      }
      var command: Command
    }
    lines += try JSONDecoder().decode(Tool.self, from: Data(FacetCommand._dumpHelp().utf8)).command.all
      .flatMap { $0.replacing("\\\n", with: " ").split(separator: "\n").map(String.init) }
    let commands = lines.filter { $0.hasPrefix("    facet ") || $0.hasPrefix("  facet ") }
    #expect(commands.count > 60)
    for line in commands {
      // What a shell does: quotes, other commands behind, and whatever comes before.
      let words = Self.words(line)
      guard words.first == "facet" else { continue }
      #expect(throws: Never.self, "\(line)") {
        do {
          _ = try FacetCommand.parseAsRoot(try TypedWords(FacetCommand._dumpHelp()).parsed(Array(words.dropFirst())))
        } catch where FacetCommand.exitCode(for: error) == .success {
        }
      }
    }
  }

  private static func words(_ line: String) -> [String] {
    var words: [String] = []
    var (word, quote): (String?, Character?) = (nil, nil)
    for character in line + " " {
      if character == quote {
        quote = nil
      } else if quote == nil, character == "'" || character == "\"" {
        (quote, word) = (character, word ?? "")
      } else if quote == nil, character == " " {
        if let finished = word {
          if ["|", "<", ">", "#", "&&", "\\"].contains(finished) { break }
          words.append(finished)
        }
        word = nil
      } else {
        word = (word ?? "") + String(character)
      }
    }
    return words
  }

  // MARK: Photos

  @Test func aPhotoGoesThroughPipes() throws {
    let program = try Program()
    defer { program.remove() }
    let photo = try portrait(program, "a.png")
    let result = try program.run(
      ["edit", "-", "--attribute", "Eyeglasses=1", "-o", "-"], input: URL(fileURLWithPath: photo))
    #expect(result.status == 0, "\(result.errors)")
    let edited = try Photo(data: result.bytes)
    #expect(edited.format == .png && edited.width == 250)
    let nothing = try program.run("edit", "-", "--attribute", "Eyeglasses=1", "-o", "-")
    #expect(nothing.status == 1 && nothing.errors.contains("standard input: not a photo"), "\(nothing.errors)")
  }

  @Test func aFolderGoesOn() throws {
    let program = try Program()
    defer { program.remove() }
    _ = try portrait(program, "in/b.png")
    _ = try portrait(program, "in/deep/er/c.png")
    try Picture(width: 90, height: 90, filledWith: 99).write(to: URL(fileURLWithPath: program.path("in/a.png")))
    try Data("text".utf8).write(to: URL(fileURLWithPath: program.path("in/notes.txt")))
    let words = ["edit", "in", "--attribute", "Eyeglasses=1", "-o", "in/out", "--threads", "2"]
    let first = try program.run(words)
    #expect(first.status == 0, "\(first.errors)")
    #expect(first.errors.contains("1 done, 1 without a face") && first.errors.contains("in/a.png: no face found"), "\(first.errors)")
    #expect(first.errors.contains("in: passed over 1 folder and 1 other file; --recursive takes folders"), "\(first.errors)")
    // What is there stays, and is not searched.
    let made = try Data(contentsOf: URL(fileURLWithPath: program.path("in/out/b.png")))
    let second = try program.run(words + ["--recursive", "--resume"])
    #expect(second.status == 0 && second.errors.contains("1 of 3 pictures are there already"), "\(second.errors)")
    #expect(try Data(contentsOf: URL(fileURLWithPath: program.path("in/out/b.png"))) == made)
    #expect(FileManager.default.fileExists(atPath: program.path("in/out/deep/er/c.png")))
    let third = try program.run(words)
    #expect(third.status == 1 && third.errors.contains("--resume"), "\(third.errors)")
    // Damaged ones are a failure, at the end.
    try Data("text".utf8).write(to: URL(fileURLWithPath: program.path("in/a.jpg")))
    let fourth = try program.run(words + ["--force"])
    #expect(fourth.status == 1 && fourth.errorLines.last == "1 done, 1 without a face, 1 failed", "\(fourth.errors)")
  }

  /// What remains to be done, or all that there is, may be one photo without a face.
  @Test func aFolderOfNoFaceIsNoFailure() throws {
    let program = try Program()
    defer { program.remove() }
    _ = try portrait(program, "in/deep/b.png")
    try Picture(width: 90, height: 90, filledWith: 99).write(to: URL(fileURLWithPath: program.path("in/a.png")))
    let words = ["edit", "in", "--attribute", "Eyeglasses=1", "-o", "out"]
    let alone = try program.run(words)
    #expect(alone.status == 0 && alone.errorLines.last == "0 done, 1 without a face", "\(alone.errors)")
    let first = try program.run(words + ["--recursive"])
    #expect(first.status == 0 && first.errorLines.last == "1 done, 1 without a face", "\(first.errors)")
    let rest = try program.run(words + ["--recursive", "--resume"])
    #expect(rest.status == 0 && rest.errorLines.last == "0 done, 1 without a face", "\(rest.errors)")
    // There is no sheet of nobody.
    let sheet = try program.run("grid", "in", "--attribute", "Eyeglasses=1", "-o", "sheet.png")
    #expect(sheet.status == 1 && sheet.errors.contains("a sheet needs one"), "\(sheet.errors)")
    // Named, it is what was asked for; and a photo that cannot be read is a failure anywhere.
    let named = try program.run("edit", "in/a.png", "--attribute", "Eyeglasses=1", "-o", "a.png")
    #expect(named.status == 1 && named.errorLines.count == 1 && named.errors.contains("no face found"), "\(named.errors)")
    try Data("text".utf8).write(to: URL(fileURLWithPath: program.path("in/a.png")))
    let damaged = try program.run(words)
    #expect(damaged.status == 1 && damaged.errors.contains("in/a.png: not a photo"), "\(damaged.errors)")
  }

  @Test func longAndOddNames() throws {
    let program = try Program()
    defer { program.remove() }
    _ = try portrait(program, "-a.png")
    let name = String(repeating: "ä", count: 125) + "n.png"
    #expect(name.utf8.count == 255)
    let result = try program.run("edit", "-a.png", "--attribute", "Eyeglasses=1", "-o", "./\(name)")
    #expect(result.status == 0, "\(result.errors)")
    #expect(FileManager.default.fileExists(atPath: program.path(name)))
  }

  @Test func facesHaveNumbers() throws {
    let program = try Program()
    defer { program.remove() }
    let face = try Picture(contentsOf: URL(fileURLWithPath: portrait(program, "one.png")))
    var two = Picture(width: 450, height: 260, filledWith: 120)
    two.paste(face.resized(to: (170, 170)), x: 10, y: 40)
    two.paste(face, x: 195, y: 5)
    try two.write(to: URL(fileURLWithPath: program.path("two.png")))
    let faces = try program.run("faces", "two.png", "-o", "numbered.png")
    #expect(faces.status == 0, "\(faces.errors)")
    let lines = faces.output.split(separator: "\n")
    #expect(lines.count == 2 && lines[0].hasPrefix("two.png: face 1 at ") && lines[1].hasPrefix("two.png: face 2 at "))
    #expect(try Photo(contentsOf: URL(fileURLWithPath: program.path("numbered.png"))).picture != two)
    let second = try program.run("inspect", "two.png", "--face", "2", "--json")
    struct Inspection: Decodable {
      struct Box: Decodable { let x: Double }
      let face: Box
    }
    #expect(try JSONDecoder().decode(Inspection.self, from: second.bytes).face.x < 150, "\(second.errors)")
    let all = try program.run("inspect", "two.png", "--face", "all", "--json")
    #expect(all.output.split(separator: "\n").count == 2)
  }

  @Test func whatIsNotKeptIsSaid() throws {
    let program = try Program()
    defer { program.remove() }
    _ = try portrait(program, "a.jpg")
    // Damaged behind the face.
    var data = try Data(contentsOf: URL(fileURLWithPath: program.path("a.jpg")))
    data.replaceSubrange(data.count * 9 / 10..<data.count * 9 / 10 + 40, with: (0..<20).flatMap { _ in [0xFF, 0xD3] as [UInt8] })
    try data.write(to: URL(fileURLWithPath: program.path("a.jpg")))
    let words = ["edit", "a.jpg", "--attribute", "Eyeglasses=1", "-o", "b.jpg"]
    let strict = try program.run(words + ["--strict"])
    #expect(strict.status == 1 && strict.errors.contains("a.jpg: part of its data is damaged"), "\(strict.errors)")
    #expect(!FileManager.default.fileExists(atPath: program.path("b.jpg")))
    let result = try program.run(words)
    #expect(result.status == 0 && result.errors.contains("a.jpg: part of its data is damaged"), "\(result.errors)")
    #expect(result.errors.components(separatedBy: "is damaged").count == 2, "\(result.errors)")
    // Where nothing of it is written, too.
    for words in [["inspect", "a.jpg"], ["edit", "b.jpg", "--attribute", "Smiling=1", "--protect", "a.jpg", "-o", "c.jpg"]] {
      let result = try program.run(words)
      #expect(result.status == 0 && result.errors.contains("a.jpg: part of its data is damaged"), "\(result.errors)")
    }
  }

  @Test func probabilitiesSayWhereTheyEnd() throws {
    let program = try Program()
    defer { program.remove() }
    _ = try portrait(program, "a.png")
    // She smiles already.
    let more = try program.run("edit", "a.png", "--attribute", "Smiling", "--to", "0.95", "-o", "more.png")
    #expect(more.status == 0 && more.errors.contains("a.png: Smiling is seen with "), "\(more.errors)")
    #expect(more.errors.contains("nothing is changed"), "\(more.errors)")
    let less = try program.run("edit", "a.png", "--attribute", "Smiling", "--to", "0.2", "-o", "less.png")
    #expect(less.status == 0 && less.errors.contains("asked for 20.0 %"), "\(less.errors)")
    // What is told is what the written picture shows, whose face is found anew.
    struct Inspection: Decodable { let attributes: [String: Double] }
    let told = try #require(less.errors.firstMatch(of: /is seen with ([0-9.]+) %/).flatMap { Double($0.1) })
    let inspection = try program.run("inspect", "less.png", "--json")
    let seen = try #require(try JSONDecoder().decode(Inspection.self, from: inspection.bytes).attributes["Smiling"])
    #expect(abs(told - 100 * seen) < 3, "told \(told) %, seen \(100 * seen) %")
  }
}

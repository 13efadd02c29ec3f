import ArgumentParser
import Facet
import Foundation
import FoundationNetworking
import Photo
import Testing

@testable import FacetCLI

/// All commands of README, guides and help, run as they are written, in folders that have the files they name.
@Suite struct DocumentedWaysTests {
  /// Commands that share a folder, where each finds what those before it have made. Ways run side by side.
  enum Way: CaseIterable { case photos, ownPhotos, parsers, models, studio }

  /// How the commands are run that begin so, and have a part.
  private struct Rule {
    let way: Way
    let start: String
    var part = ""
    /// Options that are added, for budgets and sizes of a test: the last of two counts.
    var more = ""

    func holds(for command: String) -> Bool {
      command.hasPrefix(start) && (part.isEmpty || command.contains(part))
    }
  }

  /// A small model, whose numbers in a code are few enough for a mixture of the few photos.
  private static func small(latent: Int) -> String { "--image-size 32 --latent-size \(latent) --batch 8" }

  /// Of those that hold the one with the longest beginning counts. A way runs its commands in the order of the rules,
  /// then of the documents.
  private static let rules = [
    // Whatever needs no more than photos and the default model.
    Rule(way: .photos, start: ""),
    Rule(way: .photos, start: "morph", part: "--frames", more: "--frames 8"),

    Rule(way: .studio, start: "serve", more: "--port 0 --threads 1"),

    Rule(way: .parsers, start: "parse celeba"),
    Rule(way: .parsers, start: "parse train", more: "--images 16"),
    Rule(way: .parsers, start: "parse train", part: "--resume", more: "--images 32"),
    Rule(way: .parsers, start: "parse"),

    Rule(way: .ownPhotos, start: "prepare ages"),
    Rule(way: .ownPhotos, start: "prepare"),
    Rule(way: .ownPhotos, start: "prepare", part: "--labels"),
    Rule(way: .ownPhotos, start: "train --data faces", more: "--images 16 \(small(latent: 1))"),
    Rule(way: .ownPhotos, start: "attributes --model runs/own", more: "--photos 8"),
    Rule(way: .ownPhotos, start: "", part: "runs/own"),
    Rule(way: .ownPhotos, start: "painter", more: "--images 4 --batch 2"),
    Rule(way: .ownPhotos, start: "painter", part: "--resume", more: "--images 6 --batch 2"),

    Rule(way: .models, start: "import"),
    Rule(way: .models, start: "train", more: "--images 16 \(small(latent: 8))"),
    Rule(way: .models, start: "train", part: "--resume", more: "--images 24 \(small(latent: 8))"),
    Rule(way: .models, start: "attributes --model", more: "--photos 8"),
    Rule(way: .models, start: "attributes define", more: "--photos 8"),
    Rule(way: .models, start: "attributes"),
    Rule(way: .models, start: "sharpen", more: "--images 80 --batch 4"),
    Rule(way: .models, start: "sharpen", part: "--resume", more: "--images 84 --batch 4"),
    Rule(way: .models, start: "", part: "celeba"),
    Rule(way: .models, start: "", part: "runs/"),
    Rule(way: .models, start: "", part: "article.facet"),
    Rule(way: .models, start: "cache"),
  ]

  /// The place of the rule of a command.
  private static func rule(of command: String) -> Int {
    rules.indices.filter { rules[$0].holds(for: command) }
      .max { (rules[$0].start.count, rules[$0].part.count) < (rules[$1].start.count, rules[$1].part.count) } ?? 0
  }

  /// What is not run here, but parsed alone.
  private static let parsedOnly = [(part: "--device cuda", reason: "needs a GPU")]

  /// What documents write for a folder of the reader's.
  private static let placeholders = ["MODEL": "runs/a", "CELEBA": "celeba"]

  /// The commands of all documents and of the help, each once.
  private static func commands() throws -> [String] {
    let texts = try DocumentedCommandsTests.documents().map { try String(contentsOf: $0, encoding: .utf8) }
    var seen: Set<String> = []
    return (texts + help()).flatMap { DocumentedCommandsTests.commands(in: $0) }
      .map { placeholders.reduce($0) { $0.replacing($1.key, with: $1.value) } }.filter { seen.insert($0).inserted }
  }

  /// The examples of the help of each command, set as code of a document is.
  private static func help() -> [String] {
    func text(of command: any ParsableCommand.Type) -> [String] {
      let lines = command.configuration.discussion.split(separator: "\n").map { "  \($0)" }
      return [lines.joined(separator: "\n")] + command.configuration.subcommands.flatMap { text(of: $0) }
    }
    return text(of: FacetCommand.self)
  }

  /// The commands of a way, with the options that are added.
  private static func steps(of way: Way) throws -> [(command: String, more: String)] {
    let commands = try commands().filter { command in !parsedOnly.contains { command.contains($0.part) } }
    let places = commands.map { rule(of: $0) }
    return zip(places, commands).enumerated().filter { rules[$0.element.0].way == way }
      .sorted { ($0.element.0, $0.offset) < ($1.element.0, $1.offset) }
      .map { ($0.element.1, rules[$0.element.0].more) }
  }

  @Test func commandsThatAreNotRunParseAndRulesAreUsed() throws {
    let commands = try Self.commands()
    #expect(commands.count > 100, "\(commands.count)")
    for index in Set(Self.rules.indices).subtracting(commands.map { Self.rule(of: $0) }) {
      Issue.record("no command is of the rule \(Self.rules[index])")
    }
    for (part, reason) in Self.parsedOnly {
      let found = commands.filter { $0.contains(part) }
      #expect(!found.isEmpty, "\(part): \(reason)")
      for command in found {
        #expect(throws: Never.self, "facet \(command)") {
          _ = try FacetCommand.parseAsRoot(DocumentedCommandsTests.split(command))
        }
      }
    }
  }

  @Test(arguments: Way.allCases.filter { $0 != .studio })
  func commandsRunAsTheyAreWritten(_ way: Way) throws {
    let steps = try Self.steps(of: way)
    #expect(steps.count > 8, "\(way): \(steps.count)")
    let folder = try DocumentedFolder()
    defer { folder.program.remove() }
    try folder.fill(for: way)
    for (command, more) in steps {
      let words = DocumentedCommandsTests.split(command)
      let output = Self.output(of: words)
      // Pages write to the same places, each on its own day.
      let isKept = words.contains("--resume") || words.contains("--show-config")
      if let output, !isKept { try? FileManager.default.removeItem(atPath: folder.program.path(output)) }
      let result = try folder.shell("facet \(command)", more: more)
      #expect(result.status == 0, "facet \(command) \(more): \(result.errors)")
      if let output { #expect(folder.holds(output), "facet \(command) wrote no \(output)") }
    }
  }

  /// Where a command writes to: behind its option, or where the shell leads standard output.
  private static func output(of words: [String]) -> String? {
    func word(after name: String) -> String? {
      words.firstIndex(of: name).flatMap { words.indices.contains($0 + 1) ? words[$0 + 1] : nil }
    }
    let place = word(after: "-o") ?? word(after: "--output")
    return place == "-" ? word(after: ">") : place
  }

  @Test func serversStartAnswerAndEnd() async throws {
    let folder = try DocumentedFolder()
    defer { folder.program.remove() }
    try folder.fill(for: .studio)
    let steps = try Self.steps(of: .studio)
    #expect(steps.count > 3)
    for (command, more) in steps {
      let server = try folder.serve(DocumentedCommandsTests.split("\(command) \(more)"))
      defer { if server.process.isRunning { server.process.terminate() } }
      let health = try #require(URL(string: server.address + "/health"))
      let (body, response) = try await URLSession.shared.data(from: health)
      #expect((response as? HTTPURLResponse)?.statusCode == 200, "facet \(command)")
      #expect(String(decoding: body, as: UTF8.self).contains("\"ok\""), "facet \(command)")
      server.process.terminate()
      server.process.waitUntilExit()
      #expect(server.process.terminationStatus == 0 && server.process.terminationReason == .exit, "facet \(command)")
    }
  }

  private static let hasClients = ["curl", "python3"].allSatisfy {
    FileManager.default.isExecutableFile(atPath: "/usr/bin/\($0)")
  }

  /// The lines of curl and the program in Python on the studio's page.
  @Test(.enabled(if: hasClients, "no curl, or no python3")) func theStudioAnswersAsItsPageSays() throws {
    let folder = try DocumentedFolder()
    defer { folder.program.remove() }
    try folder.fill(for: .studio)
    let server = try folder.serve(["serve", "--port", "0", "--threads", "1"])
    defer { server.process.terminate() }
    let url = DocumentedCommandsTests.root.appendingPathComponent("docs/guide/studio.md")
    let lines = try String(contentsOf: url, encoding: .utf8).replacing("http://127.0.0.1:8080", with: server.address)
      .split(separator: "\n", omittingEmptySubsequences: false)
    let blocks = lines.split { !$0.isEmpty && !$0.hasPrefix("    ") }
      .map { $0.map { $0.dropFirst(4) }.joined(separator: "\n") }
    let shell = blocks.filter { $0.contains("curl ") }.joined(separator: "\n")
    #expect(shell.matches(of: /curl .*api/).count > 4)
    let python = blocks.filter { $0.contains("import ") && !$0.contains("curl ") }
      .map { "python3 - <<'END'\n\($0)\nEND" }
    #expect(!python.isEmpty)
    for script in [shell] + python {
      let result = try folder.shell("set -e; curl() { command curl --fail-with-body \"$@\"; }; \(script)")
      #expect(result.status == 0, "\(script): \(result.errors)\(result.output)")
      for file in script.matches(of: /(?:-o |open\(")([a-z]+\.jpg)/).map({ String($0.1) }) {
        let url = URL(fileURLWithPath: folder.program.path(file))
        #expect(throws: Never.self, "\(file)") { _ = try Photo(contentsOf: url) }
      }
    }
  }
}

import Foundation
import Testing

@testable import FacetCLI

/// The commands that the documents show, parsed by the program's own definitions; ``DocumentedWaysTests`` runs them.
@Suite struct DocumentedCommandsTests {
  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  @Test func documentedCommandsParse() throws {
    var count = 0
    for file in try Self.documents() {
      for command in Self.commands(in: try String(contentsOf: file, encoding: .utf8)) {
        count += 1
        let arguments = Self.split(command)
        #expect(throws: Never.self, "\(file.lastPathComponent): facet \(command)") {
          _ = try FacetCommand.parseAsRoot(arguments)
        }
      }
    }
    #expect(count > 50)
  }

  @Test func commandsAreFoundInCodeAlone() {
    let text = """
      Run `facet help`, or:

          facet edit me.jpg --attribute 'Bald & !Male' \\
            -o "a b.jpg"   # a comment
          torchrun --no-python facet train --data celeba

      ```
      facet info
      ```
          make demo
          B=$(facet info)
      """
    let commands = Self.commands(in: text)
    #expect(commands == ["edit me.jpg --attribute 'Bald & !Male' -o \"a b.jpg\"", "train --data celeba", "info"])
    #expect(Self.split(commands[0]) == ["edit", "me.jpg", "--attribute", "Bald & !Male", "-o", "a b.jpg"])
  }

  /// README, the documents and the articles, but for research notes, which keep the commands of their day.
  static func documents() throws -> [URL] {
    let folders = ["docs", "docs/guide", "docs/edits"] + ["Facet", "FacetTraining", "FacetConversion"].map { "Sources/\($0)/\($0).docc" }
    return try [root.appendingPathComponent("README.md")] + folders.flatMap { folder -> [URL] in
      let url = root.appendingPathComponent(folder, isDirectory: true)
      guard FileManager.default.fileExists(atPath: url.path) else { return [] }
      return try FileManager.default.contentsOfDirectory(at: url, includingPropertiesForKeys: nil)
        .filter { $0.pathExtension == "md" }.sorted { $0.path < $1.path }
    }
  }

  /// The arguments of `facet` in lines of code, each as one text.
  static func commands(in text: String) -> [String] {
    var (commands, isFenced) = ([String](), false)
    for line in text.replacing(#/ *\\\n */#, with: " ").split(separator: "\n") {
      if line.hasPrefix("```") { isFenced.toggle() }
      guard isFenced || line.hasPrefix("    "),
        let match = line.firstMatch(of: /^\s*(?:torchrun .*|time )?facet +([^#]*)/)
      else { continue }
      commands.append(match.1.trimmingCharacters(in: .whitespaces))
    }
    return commands
  }

  /// Words as a shell has them, quotes taken off.
  static func split(_ command: String) -> [String] {
    command.matches(of: /'([^']*)'|"([^"]*)"|(\S+)/).map { String($0.1 ?? $0.2 ?? $0.3 ?? "") }
  }
}

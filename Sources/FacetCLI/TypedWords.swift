import Facet
import Foundation

/// Wrong usage: exit code 64.
struct UsageError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }

  /// Options that are not named as the field of a configuration that they set.
  private static let options = [
    "batch-size": "--batch", "kl": "--kl-weight", "labels": "--label-weight", "validation-interval": "--validate-every",
    "attributes": "--attribute",
  ]

  /// A fault of a configuration, its fields named as the options that set them, where these are among the words.
  init(of fault: any Error, typed words: [String] = CommandLine.arguments) {
    description = "\(fault)".replacing(/'([A-Za-z.]+)'/) { match in
      let field = String(match.1.split(separator: ".").last ?? "").replacing(/[A-Z]/) { "-\($0.0.lowercased())" }
      let option = Self.options[field] ?? "--\(field)"
      return words.contains { $0 == option || $0.hasPrefix("\(option)=") } ? option : String(match.0)
    }
  }
}

extension CombinedDirectionError {
  /// Whether the words are at fault: a name or a query that cannot be read.
  var isUsage: Bool {
    switch self {
    case .badName, .badQuery: true
    default: false
    }
  }
}

/// The words of a command line, as they are typed: names of files that begin with a dash, values below zero, and words
/// that are misspelt.
///
/// Words that name neither a command nor an option are refused with the nearest ones that do.
struct TypedWords {
  /// A command as its parser describes it.
  private struct Command: Decodable {
    struct Argument: Decodable {
      struct Name: Decodable {
        var kind: String
        var name: String
      }
      var kind: String
      var names: [Name]?
    }
    var commandName: String
    var subcommands: [Command]?
    var arguments: [Argument]?

    /// The command that is meant where none is named; the description does not tell it.
    var defaultSubcommand: String? { TypedWords.defaults[commandName] }

    subscript(name: String) -> Command? { subcommands?.first { $0.commandName == name } }

    /// Options by name, and whether a value follows.
    func options(_ kind: String) -> [String: Bool] {
      let own = (arguments ?? []).filter { $0.kind != "positional" }.flatMap { argument in
        (argument.names ?? []).filter { $0.kind == kind }.map { ($0.name, argument.kind == "option") }
      }
      let general = kind == "long" ? ["help", "help-hidden", "version"] : ["h"]
      return Dictionary(own + general.map { ($0, false) }) { first, _ in first }
    }
  }

  private static let defaults: [String: String] = {
    var names: [String: String] = [:]
    for command in FacetCommand.configuration.subcommands {
      if let meant = command.configuration.defaultSubcommand { names[command._commandName] = meant._commandName }
    }
    return names
  }()

  private let root: Command
  private let exists: (String) -> Bool

  /// - Parameters:
  ///   - description: what `--experimental-dump-help` prints.
  ///   - exists: whether there is a file of a name.
  init(
    _ description: String, exists: @escaping (String) -> Bool = { FileManager.default.fileExists(atPath: $0) }
  ) throws {
    struct Tool: Decodable { var command: Command }
    root = try JSONDecoder().decode(Tool.self, from: Data(description.utf8)).command
    self.exists = exists
  }

  /// The words as a parser takes them.
  /// - Throws: ``UsageError``.
  func parsed(_ words: [String]) throws -> [String] {
    // Questions of the shell's completion and of other programs.
    if words.first?.hasPrefix("---") == true || words.contains(where: { Self.isQuestion($0) }) { return words }
    var (command, path) = (root, [root.commandName])
    var rest = words[...]
    if rest.first == "help" {
      for word in rest.dropFirst() where !word.hasPrefix("-") { command = try subcommand(word, of: command, &path) }
      return words
    }
    while let word = rest.first, !word.hasPrefix("-"), command.subcommands?.isEmpty == false {
      if command[word] == nil, command.defaultSubcommand != nil { break }
      command = try subcommand(word, of: command, &path)
      rest = rest.dropFirst()
    }
    if let name = command.defaultSubcommand, let next = command[name] { command = next }
    return try Array(words[..<rest.startIndex]) + options(rest, of: command)
  }

  private static func isQuestion(_ word: String) -> Bool {
    word.hasPrefix("--generate-completion-script") || word == "--experimental-dump-help"
  }

  private func subcommand(_ word: String, of command: Command, _ path: inout [String]) throws -> Command {
    guard let next = command[word] else {
      let known = (command.subcommands ?? []).map(\.commandName)
      if known.isEmpty { throw UsageError("'\(path.joined(separator: " "))' has no commands of its own") }
      throw UsageError(
        "unknown command '\(word)'\(Self.question(word, among: known)); '\(path.joined(separator: " ")) --help' lists them")
    }
    path.append(word)
    return next
  }

  private func options(_ words: ArraySlice<String>, of command: Command) throws -> [String] {
    let (long, short) = (command.options("long"), command.options("short"))
    var result: [String] = []
    var rest = words
    while let word = rest.popFirst() {
      if word == "--" { return result + [word] + rest }
      if word == "-" || !word.hasPrefix("-") {
        result.append(word)
      } else if word.hasPrefix("--") {
        let name = String(word.dropFirst(2).prefix { $0 != "=" })
        guard let takesValue = long[name] else {
          throw UsageError("unknown option '--\(name)'\(Self.question(name, among: Array(long.keys), prefix: "--"))")
        }
        if takesValue, !word.contains("="), let value = rest.first, Self.isBelowZero(value) {
          result.append("\(word)=\(value)")
          rest.removeFirst()
        } else {
          result.append(word)
        }
      } else if let takesValue = short[String(word.dropFirst().prefix(1))], takesValue || word.count == 2 {
        result.append(word)
      } else if exists(word) {
        result.append("./\(word)")
      } else {
        throw UsageError("unknown option '\(word)'; a file of that name is './\(word)'")
      }
    }
    return result
  }

  /// -2 or -2,-1,0.
  private static func isBelowZero(_ word: String) -> Bool {
    word.hasPrefix("-") && word.split(separator: ",").allSatisfy { Double($0) != nil }
  }

  private static func question(_ word: String, among known: [String], prefix: String = "") -> String {
    // 'lr' for learning-rate.
    let initials = known.filter { $0.split(separator: "-").compactMap(\.first).map(String.init).joined() == word }
    let near = (initials + Spelling.nearest(word, among: known)).prefix(2)
    return near.isEmpty ? "" : "; did you mean \(near.map { "'\(prefix)\($0)'" }.joined(separator: " or "))?"
  }
}

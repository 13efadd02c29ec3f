import ArgumentParser
import Facet
import Foundation

@main
struct FacetCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "facet",
    abstract: "Edit the attributes of a face in a photo, and train the model that does it.",
    discussion: """
      Exit codes: 0 done; 1 something failed, one line on standard error says what; 64 wrong usage; \
      130 interrupted, training has written a checkpoint.

      Shell completion: 'facet --generate-completion-script bash' (or zsh, fish) prints a script to source.
      """,
    version: facetVersion,
    subcommands: [
      EditCommand.self, FacesCommand.self, InspectCommand.self, GridCommand.self, SpectrumCommand.self, MorphCommand.self,
      SampleCommand.self, ReconstructCommand.self, TrainCommand.self, AttributesCommand.self, SharpenCommand.self,
      GlassesCommand.self, PrototypeCommand.self, PrepareCommand.self, PainterCommand.self, EvaluateCommand.self,
      CompareCommand.self, ParseCommand.self, ServeCommand.self, CacheCommand.self,
      InfoCommand.self, ImportCommand.self, ExportCommand.self,
    ])

  /// Parses and runs.
  static func main() async {
    do {
      let words = try words()
      if let script = completionScript(for: words) {
        try show(script)
        return
      }
      var command = try await asyncParseAsRoot(TypedWords(_dumpHelp()).parsed(words))
      try checkResources()
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
    } catch {
      end(with: error)
    }
  }

  /// Shows what an error says, whatever names of files and parts of files it holds, and ends the process with its code.
  static func end(with error: any Error) -> Never {
    let isQuery = (error as? CombinedDirectionError)?.isUsage ?? false
    let isUsage = error is UsageError || error is AttributeError || error is StyleError || isQuery
    let text = isUsage ? "Error: \(error)" : fullMessage(for: error)
    let code = isUsage ? ExitCode.validationFailure : exitCode(for: error)
    do {
      switch code {
      case .success: if !text.isEmpty { try show(text) }
      // The parser's usage has many lines, a fault one.
      // A fault of a query has its mark below.
      case .validationFailure: note(text, keepsLines: !isUsage || isQuery)
      default: if !text.isEmpty { note(text) }
      }
    } catch {
      note("Error: \(error)")
      leave(with: .failure)
    }
    leave(with: code)
  }

  /// Ends the process without the destructors of its libraries, which threads that still load a model would trip over.
  private static func leave(with code: ExitCode) -> Never {
    fflush(nil)
    _exit(code.rawValue)
  }

  /// Bash's script, completed: 'facet help' takes commands, too. Nil for other words than ask for it.
  private static func completionScript(for words: [String]) -> String? {
    guard ["--generate-completion-script=bash", "--generate-completion-script bash"].contains(words.joined(separator: " "))
    else { return nil }
    let commands = configuration.subcommands.compactMap { $0.configuration.commandName }.joined(separator: " ")
    return completionScript(for: .bash).replacing(
      "_facet_help() {", with: "_facet_help() {\n    COMPREPLY+=($(compgen -W '\(commands)' -- \"${cur}\"))")
  }

  /// What is not beside the program would be looked for where it was built, and its absence end in a crash.
  private static func checkResources() throws {
    let resources = Bundle.main.bundleURL.appendingPathComponent("facet_Facet.resources")
    guard !FileManager.default.fileExists(atPath: resources.path) else { return }
    throw CommandError(
      "\(resources.path) is missing, which belongs beside the program; 'make install' puts both where they are found")
  }

  /// The words behind the program's name. Swift repairs those that are no UTF-8, and would then speak of other files.
  private static func words() throws -> [String] {
    try (1..<Int(CommandLine.argc)).map { index in
      guard let bytes = CommandLine.unsafeArgv[index] else { return "" }
      guard let word = String(validatingCString: bytes) else {
        throw UsageError("'\(String(cString: bytes))': this name is not UTF-8; rename the file first")
      }
      return word
    }
  }
}

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
      EditCommand.self, InspectCommand.self, GridCommand.self, SpectrumCommand.self, MorphCommand.self,
      SampleCommand.self, ReconstructCommand.self, TrainCommand.self, AttributesCommand.self, SharpenCommand.self,
      GlassesCommand.self, PrototypeCommand.self, PrepareCommand.self, PainterCommand.self, EvaluateCommand.self,
      ParseCommand.self, ServeCommand.self,
      InfoCommand.self, ImportCommand.self, ExportCommand.self,
    ])

  /// Parses and runs.
  static func main() async {
    do {
      var command = try parseAsRoot()
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
  private static func end(with error: any Error) -> Never {
    let text = fullMessage(for: error)
    let code = exitCode(for: error)
    do {
      switch code {
      case .success: if !text.isEmpty { try show(text) }
      // Usage has many lines, a fault one.
      case .validationFailure: note(text, keepsLines: true)
      default: if !text.isEmpty { note(text) }
      }
    } catch {
      note("Error: \(error)")
      Foundation.exit(ExitCode.failure.rawValue)
    }
    Foundation.exit(code.rawValue)
  }
}

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
}

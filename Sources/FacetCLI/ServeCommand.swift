import ArgumentParser
import Facet
import FacetStudio
import Foundation
import Torch

struct ServeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Open the studio: edit faces in the browser, live, or by HTTP from other programs.",
    discussion: """
      The page and the service are for this machine alone unless --address says otherwise; then callers must show a \
      token. Photos are kept in memory for a while and never written. /openapi.yaml describes the service.

      Examples:
        facet serve
        facet serve --port 9000 --model runs/a
        facet serve --address 0.0.0.0 --token-file token --host studio.example.org
      """)

  @Option(help: "The port; 0 takes a free one.")
  var port = 8080
  @Option(help: "The address to bind; another than this machine's own needs --token-file.")
  var address = "127.0.0.1"
  @Option(
    help: "A file with the token that callers must show, at least 16 letters and digits.", completion: .file())
  var tokenFile: String?
  @Option(help: "A name that browsers may know the server by, beside localhost; may be given several times.")
  var host: [String] = []
  @Option(help: "An origin whose pages may call the service too, such as https://example.org.")
  var allowOrigin: String?
  @Option(help: "The most photos that are kept at once.")
  var photos = StudioLimits().photos
  @Option(help: "The most megabytes that kept photos take.")
  var memory = StudioLimits().memory / 1_000_000
  @Option(help: "Minutes that a photo is kept after its last use.")
  var minutes = Int(StudioLimits().keptFor.components.seconds / 60)
  @Option(help: "The most megapixels of a photo.")
  var megapixels = StudioLimits().photoPixels / 1_000_000
  @Option(help: "The most megabytes of a photo's file.")
  var megabytes = StudioLimits().photoBytes / 1_000_000
  @Option(help: "The most faces that are decoded as one batch.")
  var batch = StudioLimits().batch
  @Option(help: "Threads on the CPU; default: the cores there are.")
  var threads: Int?
  @OptionGroup var model: ModelOptions

  func validate() throws {
    if !(0...65535).contains(port) { throw ValidationError("--port must be from 0 to 65535") }
    for (name, value, range) in [
      ("photos", photos, 1...10_000), ("memory", memory, 100...1_000_000), ("minutes", minutes, 1...10_000),
      ("megapixels", megapixels, 1...1000), ("megabytes", megabytes, 1...2000), ("batch", batch, 1...256),
      ("threads", threads ?? 1, 1...1024),
    ] where !range.contains(value) {
      throw ValidationError("--\(name) must be from \(range.lowerBound) to \(range.upperBound)")
    }
  }

  func run() async throws {
    try EngineOptions.checkAddressSpace()
    var configuration = StudioConfiguration()
    (configuration.port, configuration.address, configuration.hosts) = (port, address, host)
    configuration.allowedOrigin = allowOrigin
    configuration.bundle = model.url
    if let threads { configuration.threads = threads }
    configuration.limits.photos = photos
    configuration.limits.memory = memory * 1_000_000
    configuration.limits.keptFor = .seconds(minutes * 60)
    configuration.limits.photoPixels = megapixels * 1_000_000
    configuration.limits.photoBytes = megabytes * 1_000_000
    configuration.limits.batch = batch
    if let tokenFile { configuration.token = try token(in: tokenFile) }
    do { try configuration.check() } catch { throw UsageError(error.description) }
    let hasToken = configuration.token != nil
    do {
      try await Studio(configuration).run { url in
        let page = hasToken ? "\(url)#token=TOKEN" : "\(url)"
        // Nobody would find it.
        do { try show("The studio is at \(page) (Ctrl-C ends it)") } catch { FacetCommand.end(with: error) }
      }
    } catch let error as StudioError {
      throw CommandError(error.description)
    }
  }

  private func token(in file: String) throws -> String {
    guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
      throw CommandError("--token-file: \(file) cannot be read")
    }
    return text.trimmingCharacters(in: .whitespacesAndNewlines)
  }
}

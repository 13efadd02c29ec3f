import Dispatch
import Facet
import Foundation
import Photo

/// Adds a smile to the faces of a photo, tells how far that has come, and stops at Ctrl-C or after some seconds:
///
///     swift run -c release portrait me.jpg smiling.jpg 30
@main
struct Portrait {
  static func main() async {
    let arguments = CommandLine.arguments.dropFirst().map(\.self)
    let seconds = arguments.count == 3 ? Double(arguments[2]) : 600
    guard (2...3).contains(arguments.count), let seconds, (0...86_400).contains(seconds) else {
      fail("usage: portrait PHOTO RESULT [SECONDS]", status: 64)
    }
    let (input, output) = (URL(fileURLWithPath: arguments[0]), URL(fileURLWithPath: arguments[1]))

    let work = Task { try await edit(input, to: output) }
    let limit = Task {
      try await Task.sleep(for: .seconds(seconds))
      work.cancel()
    }
    // The source takes the signal in place of the default, which ends the process.
    signal(SIGINT, SIG_IGN)
    let interruption = DispatchSource.makeSignalSource(signal: SIGINT, queue: .global())
    // Called off the main actor, which `main` belongs to.
    interruption.setEventHandler { @Sendable in work.cancel() }
    interruption.resume()
    defer { limit.cancel() }

    do {
      try await work.value
    } catch is CancellationError {
      fail("stopped; nothing was written", status: 130)
    } catch PortraitError.noFace {
      fail("\(input.path): there is no face that can be edited")
    } catch {
      // Each error of Facet's says what is wrong and what to do.
      fail(error.localizedDescription)
    }
    withExtendedLifetime(interruption) {}
  }

  private static func edit(_ input: URL, to output: URL) async throws {
    let photo = try Photo(contentsOf: input)
    // An app makes one and keeps it; any number of tasks may share it.
    let editor = try FaceEditor()
    let edited = try await editor.edit(photo, [AttributeEdit("Smiling", strength: 1)], of: .all) { progress in
      let percent = Int((100 * progress.fraction).rounded())
      print("\(percent) %: \(progress.faceCount == 0 ? "searching faces" : "face \(progress.face) of \(progress.faceCount)")")
    }
    try Task.checkCancellation()
    try edited.write(to: output)
  }

  private static func fail(_ message: String, status: Int32 = 1) -> Never {
    FileHandle.standardError.write(Data("portrait: \(message)\n".utf8))
    exit(status)
  }
}

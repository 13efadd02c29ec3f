import Foundation
import Testing

/// The page in real browsers, Debian's chromium and firefox-esr without a window: `Tests/StudioBrowser` drives them.
@Suite(.serialized) struct BrowserTests {
  private static let python = ProcessInfo.processInfo.environment["FACET_PYTHON"]

  private static func isInstalled(_ program: String) -> Bool {
    let folders = ProcessInfo.processInfo.environment["PATH", default: ""].split(separator: ":")
    return folders.contains { FileManager.default.isExecutableFile(atPath: "\($0)/\(program)") }
  }

  @Test(
    .enabled(if: python != nil, "FACET_PYTHON is not set"),
    .enabled(if: isInstalled("chromium"), "chromium is not installed"),
    .enabled(if: isInstalled("chromedriver"), "chromedriver is not installed (Debian's chromium-driver)"))
  func thePageDoesWhatItShould() throws { try run("test_page", "test_faults", "test_photos", "test_ways") }

  @Test(
    .enabled(if: python != nil, "FACET_PYTHON is not set"),
    .enabled(if: isInstalled("firefox-esr"), "firefox-esr is not installed"))
  func theMainWayWorksInFirefox() throws { try run("test_firefox") }

  private func run(_ modules: String...) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Self.python!)
    // -B: no caches among the sources.
    process.arguments = ["-B", "-m", "unittest", "--verbose"] + modules
    process.currentDirectoryURL = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("StudioBrowser")
    var environment = ProcessInfo.processInfo.environment
    // Given by the Makefile: the release build, which finds faces in a fraction of the time.
    environment["FACET_PROGRAM"] = environment["FACET_PROGRAM"] ?? Server.program.path
    process.environment = environment
    let output = Pipe()
    (process.standardOutput, process.standardError) = (output, output)
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let report = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0, "\(String(decoding: report, as: UTF8.self))")
  }
}

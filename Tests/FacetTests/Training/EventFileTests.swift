import Foundation
import Testing

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

struct EventFileTests {
  /// A Python that has the tensorboard package, or nil.
  static let python: String? = {
    let candidate = ProcessInfo.processInfo.environment["FACET_PYTHON"] ?? "python3"
    let result = try? run(candidate, ["-c", "import tensorboard.backend.event_processing.event_accumulator"])
    return result?.status == 0 ? candidate : nil
  }()

  static func run(_ program: String, _ arguments: [String]) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [program] + arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: data, as: UTF8.self))
  }

  private let folder = FileManager.default.temporaryDirectory
    .appendingPathComponent("facet-events-\(UUID().uuidString)")

  /// A PNG of one red pixel.
  private let png = Data(
    base64Encoded:
      "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC")!

  @Test func checksumIsCastagnoli() {
    // RFC 3720, appendix B.4, and the usual check value.
    #expect(CRC32C.checksum("123456789".utf8) == 0xE306_9283)
    #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(CRC32C.checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
    #expect(CRC32C.checksum(Array(UInt8(0)..<32)) == 0x46DD_794E)
    #expect(CRC32C.checksum([UInt8]()) == 0)
  }

  @Test func fileStartsWithTheVersionRecord() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let writer = try EventFileWriter(directory: folder)
    #expect(writer.url.lastPathComponent.hasPrefix("events.out.tfevents."))
    let bytes = [UInt8](try Data(contentsOf: writer.url))
    // Length 24: tag and double (9), tag and length (2), the text (13).
    #expect(Array(bytes[..<8]) == [24, 0, 0, 0, 0, 0, 0, 0])
    #expect(String(decoding: bytes[23..<36], as: UTF8.self) == "brain.Event:2")
    let second = try EventFileWriter(directory: folder)
    #expect(second.url != writer.url)
  }

  @Test func unwritableFolderIsNamed() {
    #expect { try EventFileWriter(directory: URL(fileURLWithPath: "/proc/none/x")) } throws: {
      "\($0)".contains("/proc/none")
    }
  }

  @Test(.enabled(if: python != nil, "no Python with tensorboard; FACET_PYTHON names one"))
  func tensorBoardReadsIt() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let writer = try EventFileWriter(directory: folder)
    try writer.addScalars([("train/loss", 1.5), ("train/ssim", -0.25)], step: 1)
    try writer.addScalar(0.75, tag: "train/loss", step: 300)
    try writer.addScalar(9, tag: "train/loss", step: 500)
    try writer.addImage(png: png, width: 1, height: 1, tag: "grid", step: 300)
    try writer.synchronize()
    // A run that resumes at step 400 repeats step 500.
    let resumed = try EventFileWriter(directory: folder, startingAtStep: 400)
    try resumed.addScalar(0.5, tag: "train/loss", step: 500)
    let names = [writer.url, resumed.url].map(\.lastPathComponent)
    #expect(names == names.sorted())
    let script = """
      import sys
      from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
      a = EventAccumulator(sys.argv[1]); a.Reload()
      print([(e.step, e.value) for e in a.Scalars('train/loss')])
      print([(e.step, e.value) for e in a.Scalars('train/ssim')])
      print([(e.step, e.width, e.height, e.encoded_image_string.hex()) for e in a.Images('grid')])
      """
    let result = try Self.run(try #require(Self.python), ["-c", script, folder.path])
    let hex = png.map { String(format: "%02x", $0) }.joined()
    #expect(result.status == 0)
    #expect(
      result.output == """
        [(1, 1.5), (300, 0.75), (500, 0.5)]
        [(1, -0.25)]
        [(300, 1, 1, '\(hex)')]

        """)
  }
}

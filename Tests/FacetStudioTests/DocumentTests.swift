import Foundation
import Testing

/// The OpenAPI document against a validator, and against the service.
@Suite(.serialized) struct DocumentTests {
  /// The Python of the tests' packages; `make test` sets it.
  private static let python = ProcessInfo.processInfo.environment["FACET_PYTHON"]

  @Test(.enabled(if: python != nil, "FACET_PYTHON is not set"))
  func theDocumentIsValidAndTheServiceHasAllOfIt() async throws {
    let server = try await Server.shared.value
    let document = try await server.get("/openapi.yaml")
    #expect(document.status == 200 && document.headers["content-type"]?.hasPrefix("application/yaml") == true)
    let script = """
      import sys, yaml
      from openapi_spec_validator import validate
      document = yaml.safe_load(sys.stdin)
      validate(document)
      for path, item in document["paths"].items():
          for method in item:
              if method in ("get", "post", "put", "patch", "delete"):
                  print(method.upper(), path)
      """
    let operations = try run(["-c", script], document.body).split(separator: "\n")
    #expect(operations.count >= 18)
    // The same document as JSON; Scripts/openapi-json makes it.
    let json = try await server.get("/openapi.json").body
    let same = """
      import json, sys, yaml
      a, b = sys.stdin.read().split("\\0")
      print(yaml.safe_load(a) == json.loads(b))
      """
    #expect(try run(["-c", same], document.body + Data([0]) + json) == "True\n")
    for operation in operations {
      let parts = operation.split(separator: " ").map(String.init)
      let path = parts[1].replacing("{id}", with: "AAAAAAAAAAAAAAAAAAAAAA")
      let answer = try await server.send(parts[0], path)
      #expect(answer.status != 405 && answer.problem != "not-found", "\(operation)")
    }
  }

  /// Data at and beyond the bounds of what the document allows; `docs/guide/studio.md` tells how to run all of it.
  @Test(.enabled(if: python != nil, "FACET_PYTHON is not set"))
  func fuzzingFindsNoFault() async throws {
    let server = try await Server.shared.value
    let configuration = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("schemathesis.toml")
    let report = try run(
      [
        "-m", "schemathesis.cli", "--config-file", configuration.path, "run", "\(server.url)openapi.yaml", "--url",
        "\(server.url)", "--seed", "1", "--phases", "coverage", "--request-timeout", "300", "--generation-database", "none", "--no-color",
      ]
        + ["previewEdits", "getPicture", "inspectFace", "addSample", "removePhoto"].flatMap {
          ["--include-operation-id", $0]
        }, Data(), status: nil)
    let isClean = !report.contains("Failures:") && !report.contains("Errors:")
    #expect(report.contains(" generated, ") && isClean, "\(report)")
    #expect(try await server.get("/health").status == 200)
  }

  private func run(_ arguments: [String], _ input: Data, status: Int32? = 0) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: Self.python!)
    process.arguments = arguments
    // What it leaves behind goes with it.
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("facet-studio-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    process.currentDirectoryURL = folder
    let (stdin, stdout) = (Pipe(), Pipe())
    (process.standardInput, process.standardOutput) = (stdin, stdout)
    try process.run()
    try stdin.fileHandleForWriting.write(contentsOf: input)
    try stdin.fileHandleForWriting.close()
    let output = try stdout.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    if let status { try #require(process.terminationStatus == status) }
    return String(decoding: output, as: UTF8.self)
  }
}

import Facet
import Foundation
import Testing

struct ExportCommandTests {
  @Test func exportWritesItsFilesAndOverwritesOnlyWhenForced() throws {
    let program = try Program()
    defer { program.remove() }
    let output = program.path("onnx")
    let first = try program.run("export", "onnx", ModelBundle.defaultURL.path, "--output", output)
    #expect(first.status == 0, "\(first.errors)")
    #expect(Set(try FileManager.default.contentsOfDirectory(atPath: output)) == Set(ModelBundle.onnxFiles))

    let encoder = URL(fileURLWithPath: output).appendingPathComponent("encoder.onnx")
    let bytes = try Data(contentsOf: encoder)
    try Data("mine".utf8).write(to: encoder)
    let again = try program.run("export", "onnx", "--output", output)
    #expect(again.status == 1 && again.errorLines.count == 1, "\(again.errors)")
    #expect(again.errors.contains("encoder.onnx is there already; add --force"), "\(again.errors)")
    #expect(try Data(contentsOf: encoder) == Data("mine".utf8))
    #expect(try program.run("export", "onnx", "--output", output, "--force").status == 0)
    #expect(try Data(contentsOf: encoder) == bytes)
  }

  @Test func exportNamesWhatIsAtFault() throws {
    let program = try Program()
    defer { program.remove() }
    let missing = try program.run("export", "onnx", program.path("none"), "--output", program.path("onnx"))
    #expect(missing.status == 1 && missing.errorLines.count == 1 && missing.errors.contains("none/config.json"))
    let file = program.path("file")
    try Data().write(to: URL(fileURLWithPath: file))
    let blocked = try program.run("export", "onnx", "--output", file)
    #expect(blocked.status == 1 && blocked.errorLines.count == 1 && blocked.errors.contains(file), "\(blocked.errors)")
    #expect(try program.run("export", "onnx").status == 64)
  }
}

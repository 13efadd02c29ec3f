import Files
import Foundation
import Testing

struct FilesTests {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("facet-files-\(UUID().uuidString)")

  @Test func writtenFileIsReadBackByMapping() throws {
    let url = folder.appendingPathComponent("a/b.bin")
    try AtomicFile.write(Data([1, 2, 3]), to: url)
    #expect(try MappedFile(url).withBytes(Array.init) == [1, 2, 3])
  }

  @Test func uncommittedFileLeavesNothing() throws {
    let url = folder.appendingPathComponent("c.bin")
    try AtomicFile(url).write(Data([1]))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }

  @Test func replacingKeepsTheOldFileUntilCommit() throws {
    let url = folder.appendingPathComponent("d.bin")
    try AtomicFile.write(Data([1]), to: url)
    let file = try AtomicFile(url)
    try file.write(Data([2]))
    #expect(try Data(contentsOf: url) == Data([1]))
    try file.commit()
    #expect(try Data(contentsOf: url) == Data([2]))
  }

  @Test func emptyFileMapsToNoBytes() throws {
    let url = folder.appendingPathComponent("e.bin")
    try AtomicFile.write(Data(), to: url)
    #expect(try MappedFile(url).withBytes { $0.isEmpty })
  }

  @Test func missingFileAndFolderAreNamed() {
    let missing = folder.appendingPathComponent("none")
    #expect { try MappedFile(missing) } throws: { "\($0)".contains(missing.path) }
    #expect { try MappedFile(FileManager.default.temporaryDirectory) } throws: { "\($0)".contains("regular") }
    #expect { try AtomicFile(URL(fileURLWithPath: "/proc/none/x")) } throws: { "\($0)".contains("/proc/none") }
  }
}

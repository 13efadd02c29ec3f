@testable import Files
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

  @Test(.timeLimit(.minutes(1))) func whatIsNoFileIsRefusedAtOnce() throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let pipe = folder.appendingPathComponent("pipe")
    #expect(mkfifo(pipe.path, 0o600) == 0)
    for path in [pipe.path, "/dev/zero", "/dev/null"] {
      #expect { try MappedFile(URL(fileURLWithPath: path)) } throws: { "\($0)".contains("not a regular file") }
    }
  }

  /// What `cp` does over a file, and what ends a process that has it mapped.
  @Test func bytesOfASmallFileStayWhateverBecomesOfIt() throws {
    let url = folder.appendingPathComponent("model.bin")
    let bytes = Data((0..<1 << 20).map { UInt8(truncatingIfNeeded: $0 >> 8) })
    try AtomicFile.write(bytes, to: url)
    let file = try MappedFile(url)
    #expect(truncate(url.path, 0) == 0)
    #expect(file.withBytes { Data($0) } == bytes)
    try file.checkUnchanged()
  }

  @Test func aLargeFileThatIsWrittenToIsNotTouchedAgain() throws {
    let url = folder.appendingPathComponent("cache.bin")
    try AtomicFile.write(Data(count: 100_000), to: url)
    let file = try MappedFile(url, copyLimit: 1000)
    try file.checkUnchanged()
    // Replaced by rename, the old one stays.
    try AtomicFile.write(Data(count: 10), to: url)
    try file.checkUnchanged()
    let other = try MappedFile(url, copyLimit: 1)
    #expect(truncate(url.path, 5) == 0)
    #expect { try other.checkUnchanged() } throws: { "\($0)".contains("written to while it was in use") }
  }

  @Test func anyWordThatChangesChangesTheChecksum() {
    var bytes = [UInt8]((0..<1003).map { UInt8(truncatingIfNeeded: $0 * 7) })
    func checksum() -> UInt64 { bytes.withUnsafeBytes { Checksum($0).value } }
    let before = checksum()
    for place in stride(from: 0, to: bytes.count, by: 11) {
      bytes[place] ^= 1 << UInt8(place % 8)
      #expect(checksum() != before)
      bytes[place] ^= 1 << UInt8(place % 8)
    }
    #expect(checksum() == before)
  }

  @Test func controlCharactersAreShown() {
    #expect("a\u{1B}[31mred\r\n".visible() == "a\\u{1B}[31mred\\u{D}\\u{A}")
    #expect("rows\n\tand tabs".visible(keepsLines: true) == "rows\n\tand tabs")
    #expect("\u{202E}gpj.exe \u{9B}".visible() == "\\u{202E}gpj.exe \\u{9B}")
    #expect("Zoë 👩‍🚀 \u{200D}".visible() == "Zoë 👩‍🚀 \u{200D}")
    #expect(String(repeating: "x", count: 10_000_000).visible().count == 2001)
  }

  // MARK: Locks

  /// What a test of several processes runs: it takes the folder and holds it for some time.
  private func hold(_ folder: URL, _ seconds: String) throws -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/flock")
    process.arguments = [folder.appendingPathComponent(".facet.lock").path, "sleep", seconds]
    try process.run()
    return process
  }

  @Test func aFolderIsWrittenToByOneProcess() throws {
    let lock = try WriteLock.folder(folder)
    let file = folder.appendingPathComponent(".facet.lock")
    #expect(try String(contentsOf: file, encoding: .utf8).contains("process \(getpid())"))
    // Another process is kept out, this one not.
    let other = Process()
    other.executableURL = URL(fileURLWithPath: "/usr/bin/flock")
    other.arguments = ["--nonblock", file.path, "true"]
    try other.run()
    other.waitUntilExit()
    #expect(other.terminationStatus == 1)
    #expect(try WriteLock.folder(folder) === lock)
    withExtendedLifetime(lock) {}
  }

  @Test func aLockGoesWithWhoHoldsIt() throws {
    do { _ = try WriteLock.folder(folder) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    let holder = try hold(folder, "5")
    let file = folder.appendingPathComponent(".facet.lock")
    while !FileManager.default.fileExists(atPath: file.path) { usleep(1000) }
    try Data("somebody\u{1B}[2J (process 1)".utf8).write(to: file)
    usleep(200_000)
    #expect { try WriteLock.folder(folder) } throws: {
      "\($0)".contains("somebody\\u{1B}[2J (process 1) is writing there") && "\($0)".contains(folder.path)
    }
    kill(holder.processIdentifier, SIGKILL)
    holder.waitUntilExit()
    // flock's child holds it, too.
    while (try? WriteLock.folder(folder)) == nil { usleep(50_000) }
  }

  @Test func aFileIsWaitedFor() throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let file = folder.appendingPathComponent("cache")
    let holder = Process()
    holder.executableURL = URL(fileURLWithPath: "/usr/bin/flock")
    holder.arguments = [folder.appendingPathComponent(".cache.lock").path, "sleep", "2"]
    try holder.run()
    while !FileManager.default.fileExists(atPath: folder.appendingPathComponent(".cache.lock").path) { usleep(1000) }
    usleep(200_000)
    var waits = 0
    _ = try WriteLock.file(file) { _ in waits += 1 }
    #expect(waits > 0)
  }

  @Test func aFolderThatIsMissingIsNotMadeByAName() {
    #expect(throws: FileError.self) { try WriteLock.folder(folder.appendingPathComponent("typo"), isMade: false) }
    #expect(!FileManager.default.fileExists(atPath: folder.appendingPathComponent("typo").path))
  }
}

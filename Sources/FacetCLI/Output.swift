import Facet
import Files
import Foundation
import Torch

#if canImport(Glibc)
  import Glibc
#endif

/// Writes lines to standard output, all of them or with an error: what a full disk or a closed pipe swallows is no result.
/// - Throws: ``CommandError`` that says why they cannot be written.
func show(_ lines: String) throws { try write(lines.visible(length: .max, keepsLines: true)) }

/// Writes a line of JSON to standard output, as ``show(_:)``.
func show(json line: String) throws {
  // An encoder escapes the oldest control characters alone.
  let plain = line.unicodeScalars.map { scalar in
    String(scalar) == String(scalar).visible() ? String(scalar) : String(format: "\\u%04X", scalar.value)
  }
  try write(plain.joined())
}

private func write(_ text: String) throws {
  let bytes = Array((text + "\n").utf8)
  var done = 0
  while done < bytes.count {
    let count = bytes[done...].withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
    if count < 0 && errno == EINTR { continue }
    guard count > 0 else { throw CommandError("standard output: cannot be written: \(String(cString: strerror(errno)))") }
    done += count
  }
}

/// Writes a line to standard error.
func note(_ text: String, keepsLines: Bool = false) {
  let shown = keepsLines ? text.visible(length: 100_000, keepsLines: true) : text.visible()
  try? FileHandle.standardError.write(contentsOf: Data((shown + "\n").utf8))
}

/// Takes the folder of a model that a command changes, from before it is read until the result is let go of; `nil` on
/// processes other than the first, which do not write.
/// - Throws: `FileError`, which names who is writing there.
func lock(_ folder: URL) throws -> WriteLock? {
  let rank = try Launch(ProcessInfo.processInfo.environment)?.rank ?? 0
  return rank == 0 ? try WriteLock.folder(folder, isMade: false) : nil
}

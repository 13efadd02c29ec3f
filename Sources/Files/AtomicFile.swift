import Dispatch
import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// A file that appears whole or not at all: bytes go to a temporary file in the same folder,
/// which takes the final name only when `commit()` succeeds.
///
/// Dropping the value without `commit()` removes the temporary file.
public final class AtomicFile {
  public let destination: URL
  private let temporary: String
  private var descriptor: Int32

  /// Opens a temporary file beside `destination`; missing parent folders are made.
  /// - Throws: ``FileError`` when the folder cannot be made or written to.
  public init(_ destination: URL) throws(FileError) {
    self.destination = destination
    let folder = destination.deletingLastPathComponent()
    do {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    } catch {
      throw FileError(path: folder.path, operation: "make the folder", reason: error.localizedDescription)
    }
    // A name may have 255 bytes, and keeps its beginning for people to know it by.
    let start = String(destination.lastPathComponent.unicodeScalars.prefix(40))
    temporary = folder.appendingPathComponent(".\(start).\(UUID().uuidString).tmp").path
    descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    if descriptor < 0 { throw FileError(path: destination.path, operation: "write", errno: errno) }
  }

  /// Appends bytes.
  public func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    var rest = bytes
    while !rest.isEmpty {
      let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
      if count < 0 {
        if errno == EINTR { continue }
        throw FileError(path: destination.path, operation: "write", errno: errno)
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }

  /// Appends bytes.
  public func write(_ bytes: some ContiguousBytes) throws(FileError) {
    let result = bytes.withUnsafeBytes { buffer in
      Result { () throws(FileError) in try write(buffer) }
    }
    try result.get()
  }

  private static let flushing = DispatchQueue(label: "facet-flushing")

  /// Lets the disk begin with the bytes written so far while more are made, so that ``commit()`` of a large file finds
  /// most of its work done.
  public func startFlushing() {
    // Of its own, for this file may be closed meanwhile.
    let copy = dup(descriptor)
    guard copy >= 0 else { return }
    Self.flushing.async {
      fdatasync(copy)
      close(copy)
    }
  }

  /// Flushes the bytes to the disk and gives the file its final name, replacing what was there.
  public func commit() throws(FileError) {
    guard fsync(descriptor) == 0 else {
      throw FileError(path: destination.path, operation: "write", errno: errno)
    }
    close(descriptor)
    descriptor = -1
    guard rename(temporary, destination.path) == 0 else {
      let error = FileError(path: destination.path, operation: "write", errno: errno)
      unlink(temporary)
      throw error
    }
  }

  /// Writes `bytes` to `destination`, whole or not at all.
  public static func write(_ bytes: some ContiguousBytes, to destination: URL) throws(FileError) {
    let file = try AtomicFile(destination)
    try file.write(bytes)
    try file.commit()
  }

  deinit {
    if descriptor >= 0 {
      close(descriptor)
      unlink(temporary)
    }
  }
}

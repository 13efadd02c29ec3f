import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// A file's bytes, memory-mapped: pages are read when touched. Whoever writes to them gets a copy; the file stays.
///
/// The mapping lives as long as the object. A file that another process truncates while it is
/// mapped can still fault, so map only files that are replaced by rename, as ``AtomicFile`` does.
public final class MappedFile: @unchecked Sendable {
  public let url: URL
  /// Valid as long as this object lives; ``withBytes(_:)`` sees to that by itself.
  public let bytes: UnsafeRawBufferPointer

  /// Maps a regular file.
  /// - Throws: ``FileError`` when it is missing, unreadable or no regular file.
  public init(_ url: URL) throws(FileError) {
    self.url = url
    let descriptor = open(url.path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0 { throw FileError(path: url.path, operation: "read", errno: errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw FileError(path: url.path, operation: "read", errno: errno)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw FileError(path: url.path, operation: "read", reason: "not a regular file")
    }
    let count = Int(status.st_size)
    guard count > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    guard let address = mmap(nil, count, PROT_READ | PROT_WRITE, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
      throw FileError(path: url.path, operation: "map", errno: errno)
    }
    bytes = UnsafeRawBufferPointer(start: address, count: count)
  }

  /// Calls `body` with the bytes and keeps them mapped until it returns.
  public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try withExtendedLifetime(self) { try body(bytes) }
  }

  deinit {
    if let address = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: address), bytes.count) }
  }
}

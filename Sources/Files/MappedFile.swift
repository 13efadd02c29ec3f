import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// A file's bytes, of a large one memory-mapped: pages are read when touched. Whoever writes to them gets a copy; the file
/// stays.
///
/// The bytes live as long as the object. Those of a file up to ``copyLimit`` are a copy, which nothing done to the file
/// changes. A larger one must not be written in place while it is mapped, only replaced by rename, as ``AtomicFile`` does:
/// where another process cuts it short, touching what is gone ends this one. ``checkUnchanged()`` tells before.
public final class MappedFile: @unchecked Sendable {
  /// The largest file, in bytes, that is copied.
  public static let copyLimit = 128 << 20

  public let url: URL
  /// Valid as long as this object lives; ``withBytes(_:)`` sees to that by itself.
  public let bytes: UnsafeRawBufferPointer
  /// What a file that is mapped was when it was opened.
  private let mapped: stat?

  /// Reads or maps a regular file.
  /// - Parameter copyLimit: the largest file, in bytes, that is copied.
  /// - Throws: ``FileError`` when it is missing, unreadable or no regular file.
  public init(_ url: URL, copyLimit: Int = MappedFile.copyLimit) throws(FileError) {
    self.url = url
    // A pipe would wait for somebody who writes.
    let descriptor = open(url.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
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
      mapped = nil
      return
    }
    let isCopied = count <= copyLimit
    guard
      let address = mmap(
        nil, count, PROT_READ | PROT_WRITE, isCopied ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_PRIVATE,
        isCopied ? -1 : descriptor, 0),
      address != MAP_FAILED
    else {
      throw FileError(path: url.path, operation: "map", errno: errno)
    }
    bytes = UnsafeRawBufferPointer(start: address, count: count)
    if isCopied {
      mapped = nil
      var done = 0
      while done < count {
        let read = pread(descriptor, address + done, count - done, off_t(done))
        if read < 0 && errno == EINTR { continue }
        guard read > 0 else {
          let code = errno
          munmap(address, count)
          if read < 0 { throw FileError(path: url.path, operation: "read", errno: code) }
          throw FileError(path: url.path, operation: "read", reason: "it was cut short while it was read")
        }
        done += read
      }
    } else {
      mapped = status
    }
  }

  /// Whether the file that is mapped is the one that was opened, unwritten since.
  /// - Throws: ``FileError`` where it is not: its bytes are not to be touched any more.
  public func checkUnchanged() throws(FileError) {
    guard let before = mapped else { return }
    var now = stat()
    // Another file by this name, or none, leaves this one alone.
    guard stat(url.path, &now) == 0, now.st_ino == before.st_ino, now.st_dev == before.st_dev else { return }
    guard now.st_size == before.st_size, now.st_mtim.tv_sec == before.st_mtim.tv_sec,
      now.st_mtim.tv_nsec == before.st_mtim.tv_nsec
    else {
      throw FileError(
        path: url.path, operation: "go on reading",
        reason: "it was written to while it was in use; start again, and replace such files by renaming others")
    }
  }

  /// Calls `body` with the bytes and keeps them mapped until it returns.
  public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try withExtendedLifetime(self) { try body(bytes) }
  }

  deinit {
    if let address = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: address), bytes.count) }
  }
}

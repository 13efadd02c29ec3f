import Foundation
import Synchronization

/// The right to write to a folder or a file, held by one process at a time and as long as this lives: a lock (`flock`) on
/// a hidden file there. It goes with the process, however that ends. Who only reads is not kept out.
public final class WriteLock: Sendable {
  private let path: String
  private let descriptor: Int32

  /// Those of this process, by their file: whoever asks again for one that is held shares it.
  private static let held = Mutex<[String: Weak]>([:])

  private struct Weak: Sendable { weak let lock: WriteLock? }

  private init(path: String, descriptor: Int32) { (self.path, self.descriptor) = (path, descriptor) }

  deinit {
    Self.held.withLock { held in
      if held[path]?.lock == nil { held[path] = nil }
      // Before it is let go of, so that nobody holds a lock on a file without a name.
      unlink(path)
      close(descriptor)
    }
  }

  /// Takes a folder.
  /// - Parameter isMade: whether a folder that is missing is made.
  /// - Throws: ``FileError``, which names who is writing there.
  public static func folder(_ folder: URL, isMade: Bool = true) throws(FileError) -> WriteLock {
    do {
      if isMade { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) }
    } catch {
      throw FileError(path: folder.path, operation: "make the folder", reason: error.localizedDescription)
    }
    let lock = folder.resolvingSymlinksInPath().appendingPathComponent(".facet.lock").path
    switch try take(lock, for: folder.path) {
    case .success(let lock): return lock
    case .failure(let holder):
      throw FileError(
        path: folder.path, operation: "write",
        reason: "\(holder.name) is writing there; wait until it ends, or name another folder")
    }
  }

  /// Takes a file that is to be written, and waits for whoever writes it.
  /// - Parameter waiting: called about once a second meanwhile with who that is.
  /// - Throws: ``FileError`` where its folder cannot be written to.
  public static func file(_ file: URL, waiting: (_ holder: String) -> Void = { _ in }) throws(FileError) -> WriteLock {
    try? FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    while true {
      switch try take(path(for: file), for: file.path) {
      case .success(let lock): return lock
      case .failure(let holder):
        waiting(holder.name)
        usleep(1_000_000)
      }
    }
  }

  /// The other process that writes a file, in words.
  /// - Throws: ``FileError`` where its folder cannot be written to.
  public static func writer(of file: URL) throws(FileError) -> String? {
    if case .failure(let holder) = try take(path(for: file), for: file.path) { return holder.name }
    return nil
  }

  private static func path(for file: URL) -> String {
    file.deletingLastPathComponent().resolvingSymlinksInPath().appendingPathComponent(".\(file.lastPathComponent).lock").path
  }

  /// Who holds a lock, in words.
  private struct Holder: Error { let name: String }

  private static func take(_ path: String, for target: String) throws(FileError) -> Result<WriteLock, Holder> {
    for _ in 0..<100 {
      let result = held.withLock { held -> Result<Result<WriteLock, Holder>, FileError>? in
        if let lock = held[path]?.lock { return .success(.success(lock)) }
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o644)
        guard descriptor >= 0 else { return .failure(FileError(path: target, operation: "write", errno: errno)) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
          let code = errno
          defer { close(descriptor) }
          guard code == EWOULDBLOCK else { return .failure(FileError(path: target, operation: "lock", errno: code)) }
          var text = [UInt8](repeating: 0, count: 200)
          let count = max(0, pread(descriptor, &text, text.count, 0))
          let name = String(decoding: text.prefix(count), as: UTF8.self).visible()
          // This process is about to let go of it.
          if name == Self.name { return nil }
          return .success(.failure(Holder(name: name.isEmpty ? "another process" : name)))
        }
        var (own, named) = (stat(), stat())
        // Whoever held it may have removed the file between.
        guard fstat(descriptor, &own) == 0, stat(path, &named) == 0, own.st_ino == named.st_ino, own.st_dev == named.st_dev
        else {
          close(descriptor)
          return nil
        }
        let text = Array(Self.name.utf8)
        _ = ftruncate(descriptor, 0)
        _ = pwrite(descriptor, text, text.count, 0)
        let lock = WriteLock(path: path, descriptor: descriptor)
        held[path] = Weak(lock: lock)
        return .success(.success(lock))
      }
      switch result {
      case .failure(let error)?: throw error
      case .success(let taken)?: return taken
      case nil: usleep(1000)
      }
    }
    return .failure(Holder(name: "another process"))
  }

  /// This process, as others are told of it.
  private static var name: String {
    let arguments = CommandLine.arguments
    let program = arguments.first.map { ($0 as NSString).lastPathComponent } ?? "a program"
    let words = [program] + arguments.dropFirst().prefix { !$0.hasPrefix("-") && !$0.contains("/") }.prefix(2)
    var host = [CChar](repeating: 0, count: 65)
    gethostname(&host, host.count - 1)
    let machine = String(decoding: host.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    return "\(words.joined(separator: " ").prefix(80)) (process \(getpid()) on \(machine))".visible()
  }
}

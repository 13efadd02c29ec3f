import Foundation

/// How much memory this process can still get.
public enum Memory {
  /// Bytes: the least of what the machine has free, what the control group leaves (as in a container), and what the limit
  /// of the address space leaves (`ulimit -v`). `nil` where the system tells nothing.
  public static var available: Int? {
    [free, groupLeaves, addressSpaceLeaves].compactMap(\.self).min()
  }

  /// Bytes of address space that are left; `nil` without a limit.
  public static var addressSpaceLeaves: Int? {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0, limit.rlim_cur < rlim_t(Int.max),
      let pages = text("/proc/self/statm")?.split(separator: " ").first.flatMap({ Int($0) })
    else { return nil }
    return max(0, Int(limit.rlim_cur) - pages * sysconf(Int32(_SC_PAGESIZE)))
  }

  /// What the machine can give without swapping.
  private static var free: Int? {
    guard let line = text("/proc/meminfo")?.split(separator: "\n").first(where: { $0.hasPrefix("MemAvailable:") }),
      let kilobytes = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
    else { return nil }
    return kilobytes * 1024
  }

  /// What the control groups (version 2) that this process is in leave of their limits, the caches of files not counted.
  private static var groupLeaves: Int? {
    guard let line = text("/proc/self/cgroup")?.split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else {
      return nil
    }
    var path = String(line.dropFirst(3))
    var least: Int?
    while true {
      let folder = "/sys/fs/cgroup" + (path == "/" ? "" : path)
      if let limit = number("\(folder)/memory.max"), let used = number("\(folder)/memory.current") {
        let cached = text("\(folder)/memory.stat")?.split(separator: "\n").first { $0.hasPrefix("inactive_file ") }
          .flatMap { $0.split(separator: " ").last }.flatMap { Int($0) } ?? 0
        least = min(least ?? .max, max(0, limit - used + cached))
      }
      guard path != "/" else { return least }
      path = (path as NSString).deletingLastPathComponent
    }
  }

  private static func number(_ path: String) -> Int? {
    text(path).flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
  }

  /// A file of the system's; their sizes are told as 0.
  private static func text(_ path: String) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 1 << 14)
    let count = read(descriptor, &bytes, bytes.count)
    return count < 0 ? nil : String(decoding: bytes.prefix(count), as: UTF8.self)
  }
}

import ArgumentParser
import FacetTraining
import Files
import Foundation

struct CacheCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cache",
    abstract: "Show what Facet keeps in the user's cache, and clear decoded photos.",
    discussion: """
      Photos of a data set are decoded once for each size; the files are found again as long as no photo changes. \
      LibTorch and the weights of the perceptual distance were put there by set-up and by a script, and stay.

      Examples:
        facet cache
        facet cache clear
        facet cache clear --days 30
      """,
    subcommands: [Show.self, Clear.self], defaultSubcommand: Show.self)

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show folders and files with their sizes.")

    func run() throws {
      let folder = DecodedCache.defaultFolder.deletingLastPathComponent()
      try FacetCLI.show(folder.path)
      let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()) ?? []
      let sizes = names.map { CachedFile.all(below: folder.appendingPathComponent($0)) }
      for (name, files) in zip(names, sizes) where !files.isEmpty {
        let count = files.count == 1 ? "1 file" : "\(files.count) files"
        try FacetCLI.show("  \(name.padded(to: 24)) \(CachedFile.size(of: files).padded(to: 12)) \(count)")
      }
      if sizes.allSatisfy(\.isEmpty) { try FacetCLI.show("  is empty") }
    }
  }

  struct Clear: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Remove decoded photos; they are decoded again when they are needed.",
      discussion: """
        What another process is writing stays. A training that runs keeps what it has open.

        Examples:
          facet cache clear
          facet cache clear --days 30
        """)

    @Option(help: "Only what nobody has read for so many days.")
    var days: Double?

    func validate() throws {
      if let days, !(days >= 0 && days.isFinite) { throw ValidationError("--days must be at least 0") }
    }

    func run() throws {
      let limit = days.map { Date().addingTimeInterval(-$0 * 86_400) }
      let all = CachedFile.all(below: DecodedCache.defaultFolder)
      let (written, free) = try Self.split(all)
      let files = free.filter { file in limit.map { file.date < $0 } ?? true }
      for file in files {
        do { try FileManager.default.removeItem(at: file.url) } catch {
          throw CommandError("\(file.url.path): cannot be removed: \(error.localizedDescription)")
        }
      }
      try FacetCLI.show("removed \(files.count) files, \(CachedFile.size(of: files))")
      for writer in written.keys.sorted() { try FacetCLI.show("left \(written[writer]!) files that \(writer) is writing") }
    }

    /// How many files each other process is writing, and the rest.
    private static func split(_ files: [CachedFile]) throws -> (written: [String: Int], free: [CachedFile]) {
      var (written, free) = ([String: Int](), files)
      for lock in files where lock.url.pathExtension == "lock" {
        // Locks and unfinished files are named after the file that they are for.
        let name = lock.url.deletingPathExtension().lastPathComponent.dropFirst()
        let folder = lock.url.deletingLastPathComponent()
        guard let writer = try WriteLock.writer(of: folder.appendingPathComponent(String(name))) else {
          // It was left by a process that is gone, and went with the look at it.
          free.removeAll { $0.url == lock.url }
          continue
        }
        written[writer, default: 0] += free.count { $0.url.lastPathComponent.contains(name) }
        free.removeAll { $0.url.lastPathComponent.contains(name) }
      }
      return (written, free)
    }
  }
}

/// A file in the user's cache.
private struct CachedFile {
  let url: URL
  let bytes: Int
  /// When it was read last, as far as the file system keeps that.
  let date: Date

  static func all(below url: URL) -> [CachedFile] {
    let keys: [URLResourceKey] = [.isRegularFileKey, .fileSizeKey, .contentAccessDateKey, .contentModificationDateKey]
    let nested = FileManager.default.enumerator(at: url, includingPropertiesForKeys: keys)?.compactMap { $0 as? URL } ?? []
    return ([url] + nested).compactMap { url in
      guard let values = try? url.resourceValues(forKeys: Set(keys)), values.isRegularFile == true else { return nil }
      let date = max(values.contentAccessDate ?? .distantPast, values.contentModificationDate ?? .distantPast)
      return CachedFile(url: url, bytes: values.fileSize ?? 0, date: date)
    }
  }

  static func size(of files: [CachedFile]) -> String {
    let bytes = Double(files.reduce(0) { $0 + $1.bytes })
    return bytes >= 1e9 ? String(format: "%.1f GB", bytes / 1e9) : String(format: "%.1f MB", bytes / 1e6)
  }
}

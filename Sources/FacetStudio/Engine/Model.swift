import Facet
import NIOPosix
import Torch

/// The one editor, on threads of its own: the model keeps a thread busy for many milliseconds, which Swift's own few
/// threads must not be. The queue before it gives it one thing at a time.
final class Model: @unchecked Sendable {
  // Made once; decoding and encoding read the model and change nothing in it.
  private let editor: FaceEditor
  private let pool: NIOThreadPool
  let threads: Int

  /// - Parameter threads: that work on a batch.
  init(_ editor: sending FaceEditor, threads: Int) {
    self.editor = editor
    self.threads = threads
    pool = NIOThreadPool(numberOfThreads: threads)
    pool.start()
  }

  deinit { pool.shutdownGracefully { _ in } }

  /// What edits do to faces. Where the batch fails as a whole, each of it is tried alone.
  func changes(_ batch: [[FaceEdit]]) async -> [Result<[FaceChange], any Error>] {
    do {
      var rest = try await changes(batch.flatMap { $0 })[...]
      return batch.map { edits in
        defer { rest = rest.dropFirst(edits.count) }
        return .success(Array(rest.prefix(edits.count)))
      }
    } catch {
      if batch.count == 1 { return [.failure(error)] }
      var results: [Result<[FaceChange], any Error>] = []
      for edits in batch {
        do { results.append(.success(try await changes(edits))) } catch { results.append(.failure(error)) }
      }
      return results
    }
  }

  /// Each thread decodes its part of the batch. Torch's own threads would wait for each other at every layer, and stall
  /// whenever one of them is not given a core: previews are encoded meanwhile, and a browser draws.
  private func changes(_ edits: [FaceEdit]) async throws -> [FaceChange] {
    let parts = min(threads, edits.count)
    return try await withThrowingTaskGroup(of: (Int, [FaceChange]).self) { group in
      for part in 0..<parts {
        let own = Array(edits[edits.count * part / parts..<edits.count * (part + 1) / parts])
        group.addTask { (part, try await self.run { try $0.changes(own) }) }
      }
      return try await group.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }.flatMap(\.1)
    }
  }

  func run<Value: Sendable>(_ body: @escaping @Sendable (FaceEditor) throws -> Value) async throws -> Value {
    try await pool.runIfActive { [self] in
      try Torch.setThreads(1)
      return try body(editor)
    }
  }
}

import Facet
import Torch

/// The one editor, on a thread of its own.
actor Model {
  private let editor: FaceEditor
  private let threads: Int
  private let executor = ModelThread(name: "model")

  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  /// - Parameter threads: the most that a batch takes.
  init(_ editor: sending FaceEditor, threads: Int) {
    self.editor = editor
    self.threads = threads
  }

  /// What edits do to faces. Where the batch fails as a whole, each of it is tried alone.
  func changes(_ batch: [[FaceEdit]]) -> [Result<[FaceChange], any Error>] {
    do {
      try use(threads(for: batch.reduce(0) { $0 + $1.count }))
      var rest = try editor.changes(batch.flatMap { $0 })[...]
      return batch.map { edits in
        defer { rest = rest.dropFirst(edits.count) }
        return .success(Array(rest.prefix(edits.count)))
      }
    } catch {
      if batch.count == 1 { return [.failure(error)] }
      return batch.map { edits in Result { try editor.changes(edits) } }
    }
  }

  func run<Value: Sendable>(_ body: @Sendable (FaceEditor) throws -> Value) throws -> Value {
    try use(1)
    return try body(editor)
  }

  /// Threads that wait for each other at every layer cost more than they bring while there is little for each to do, and
  /// other threads want the same cores.
  private func threads(for count: Int) -> Int { min(threads, max(1, count / 2)) }

  private func use(_ count: Int) throws { try Torch.setThreads(count) }
}

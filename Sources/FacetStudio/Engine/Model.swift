import Dispatch
import Facet
import Synchronization
import Torch

/// The one editor, on a thread of its own.
actor Model {
  private let editor: FaceEditor
  private let threads: Int
  private let executor = ModelThread(name: "model")

  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  /// - Parameter threads: the most that work on a batch.
  init(_ editor: sending FaceEditor, threads: Int) {
    self.editor = editor
    self.threads = threads
  }

  /// What edits do to faces. Where the batch fails as a whole, each of it is tried alone.
  func changes(_ batch: [[FaceEdit]]) -> [Result<[FaceChange], any Error>] {
    do {
      var rest = try changes(batch.flatMap { $0 })[...]
      return batch.map { edits in
        defer { rest = rest.dropFirst(edits.count) }
        return .success(Array(rest.prefix(edits.count)))
      }
    } catch {
      if batch.count == 1 { return [.failure(error)] }
      return batch.map { edits in Result { try editor.changes(edits) } }
    }
  }

  /// Each thread decodes its part of the batch. Torch's own threads would wait for each other at every layer, and stall
  /// whenever one of them is not given a core: previews are encoded meanwhile, and a browser draws.
  private func changes(_ edits: [FaceEdit]) throws -> [FaceChange] {
    let parts = min(threads, edits.count)
    // Decoding reads the model and changes nothing in it.
    nonisolated(unsafe) let editor = editor
    let made = Mutex([Result<[FaceChange], any Error>?](repeating: nil, count: parts))
    DispatchQueue.concurrentPerform(iterations: parts) { part in
      let range = edits.count * part / parts..<edits.count * (part + 1) / parts
      let result = Result {
        try Torch.setThreads(1)
        return try editor.changes(Array(edits[range]))
      }
      made.withLock { $0[part] = result }
    }
    return try made.withLock { try $0.flatMap { try $0!.get() } }
  }

  func run<Value: Sendable>(_ body: @Sendable (FaceEditor) throws -> Value) throws -> Value {
    try Torch.setThreads(1)
    return try body(editor)
  }
}

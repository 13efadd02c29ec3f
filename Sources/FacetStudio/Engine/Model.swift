import Facet
import NIOPosix
import Torch

/// The one editor, on threads of its own: the model keeps a thread busy for many milliseconds, which Swift's own few
/// threads must not be. The queue before it gives it one thing at a time.
final class Model: Sendable {
  private let editor: FaceEditor
  private let pool: NIOThreadPool
  let threads: Int

  /// - Parameter threads: that work on a batch.
  init(_ editor: FaceEditor, threads: Int) {
    self.editor = editor
    self.threads = threads
    pool = NIOThreadPool(numberOfThreads: threads)
    pool.start()
  }

  deinit { pool.shutdownGracefully { _ in } }

  /// The changes of faces by edits, told as soon as they are known.
  ///
  /// Each face is edited on one thread. Torch's own threads would wait for each other at every layer, and stall whenever one of them is
  /// not given a core: previews are encoded meanwhile, and a browser draws.
  /// - Parameters:
  ///   - batch: jobs of one or more edits each.
  ///   - done: called once for each job, by its position.
  func changes(
    _ batch: [[FaceEdit]], _ done: @Sendable (_ job: Int, Result<[FaceChange], any Error>) async -> Void
  ) async {
    var made = batch.map { [FaceChange?](repeating: nil, count: $0.count) }
    var failed = Set<Int>()
    await withTaskGroup(of: (job: Int, place: Int, change: Result<FaceChange, any Error>).self) { group in
      for (job, edits) in batch.enumerated() {
        for (place, edit) in edits.enumerated() {
          group.addTask {
            do { return (job, place, .success(try await self.run { try $0.change(edit) })) } catch {
              return (job, place, .failure(error))
            }
          }
        }
      }
      for await (job, place, change) in group where !failed.contains(job) {
        switch change {
        case .failure(let error):
          failed.insert(job)
          await done(job, .failure(error))
        case .success(let change):
          made[job][place] = change
          let changes = made[job].compactMap { $0 }
          if changes.count == batch[job].count { await done(job, .success(changes)) }
        }
      }
    }
  }

  func run<Value: Sendable>(_ body: @escaping @Sendable (FaceEditor) throws -> Value) async throws -> Value {
    try await pool.runIfActive { [self] in
      try Torch.setThreads(1)
      return try body(editor)
    }
  }
}

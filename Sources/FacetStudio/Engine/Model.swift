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

  /// What edits do to faces, told as soon as it is known. Where faces fail together, each of their jobs is tried alone.
  ///
  /// Each thread decodes its part of the batch. Torch's own threads would wait for each other at every layer, and stall
  /// whenever one of them is not given a core: previews are encoded meanwhile, and a browser draws.
  /// - Parameters:
  ///   - batch: jobs of one or more edits each.
  ///   - done: called once for each job, by its position.
  func changes(
    _ batch: [[FaceEdit]], _ done: @Sendable (_ job: Int, Result<[FaceChange], any Error>) async -> Void
  ) async {
    let edits = batch.flatMap { $0 }
    let portion = max(1, (edits.count + threads - 1) / threads)
    var faces = [FaceChange?](repeating: nil, count: edits.count)
    var open = batch.enumerated().map(\.offset)
    let starts = batch.reduce(into: [0]) { $0.append($0.last! + $1.count) }
    await withTaskGroup(of: (Int, [FaceChange]?).self) { group in
      for start in stride(from: 0, to: edits.count, by: portion) {
        let own = Array(edits[start..<min(edits.count, start + portion)])
        group.addTask { (start, try? await self.run { try $0.changes(own) }) }
      }
      for await case (let start, let made?) in group {
        for (offset, change) in made.enumerated() { faces[start + offset] = change }
        for job in open {
          let own = faces[starts[job]..<starts[job + 1]].compactMap { $0 }
          guard own.count == batch[job].count else { continue }
          open.removeAll { $0 == job }
          await done(job, .success(own))
        }
      }
    }
    for job in open {
      do { await done(job, .success(try await run { try $0.changes(batch[job]) })) } catch {
        await done(job, .failure(error))
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

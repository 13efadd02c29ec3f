import Facet
import Foundation

/// Where a slider is: of two places in one stream the greater number is the later one.
struct StreamPlace: Sendable {
  struct Stream: Hashable, Sendable {
    var photo: PhotoID
    var name: String
  }

  var stream: Stream
  var number: Int
}

/// Everything that the model is asked for. Edits that wait together become one batch; those whose slider has moved on
/// are dropped.
actor BatchingQueue {
  /// What edits do to faces, and how long that took.
  struct Changes: Sendable {
    var changes: [FaceChange]
    var waited: Duration
    var worked: Duration
  }

  private struct Edits {
    var id: UInt64
    var edits: [FaceEdit]
    var place: StreamPlace?
    var since: ContinuousClock.Instant
    var isDrawn: Bool
    var continuation: CheckedContinuation<Changes, any Error>
  }

  private enum Job {
    case edits(Edits)
    case other(id: UInt64, run: @Sendable (Model) async -> Void, fail: @Sendable (any Error) -> Void)

    var id: UInt64 {
      switch self {
      case .edits(let edits): edits.id
      case .other(let id, _, _): id
      }
    }
  }

  private let model: Model
  private let limit: Int
  private let metrics: Metrics
  private var waiting: [Job] = []
  private var isRunning = false
  private var nextID: UInt64 = 0
  /// Pictures that are being drawn of what the model gave.
  private var drawing = 0
  private var pause: CheckedContinuation<Void, Never>?

  /// - Parameter limit: faces in a batch.
  init(_ model: Model, limit: Int, metrics: Metrics) {
    (self.model, self.limit, self.metrics) = (model, limit, metrics)
  }

  /// A picture of what edits do to faces.
  ///
  /// The model waits while as many as it has threads are drawn: there is no core left for it, and what comes meanwhile
  /// makes its next batch larger.
  /// - Parameters:
  ///   - edits: of one photo.
  ///   - place: where their slider is, for edits that a later place makes needless.
  ///   - draw: makes the picture.
  /// - Throws: as ``changes(_:at:)``, and what `draw` throws.
  func picture<Value: Sendable>(
    of edits: [FaceEdit], at place: StreamPlace? = nil, _ draw: @Sendable (Changes) async throws -> Value
  ) async throws -> Value {
    let made = try await changes(edits, at: place, isDrawn: true)
    defer { if !edits.isEmpty { drawn() } }
    return try await draw(made)
  }

  private func drawn() {
    drawing -= 1
    goOn()
  }

  private func goOn() {
    pause?.resume()
    pause = nil
  }

  /// What edits do to faces.
  /// - Parameters:
  ///   - edits: of one photo.
  ///   - place: where their slider is, for edits that a later place makes needless.
  /// - Throws: ``Problem/superseded`` for those, `CancellationError`, and what the editor throws.
  func changes(_ edits: [FaceEdit], at place: StreamPlace? = nil) async throws -> Changes {
    try await changes(edits, at: place, isDrawn: false)
  }

  private func changes(_ edits: [FaceEdit], at place: StreamPlace?, isDrawn: Bool) async throws -> Changes {
    if edits.isEmpty { return Changes(changes: [], waited: .zero, worked: .zero) }
    let id = makeID()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let job = Edits(
          id: id, edits: edits, place: place, since: .now, isDrawn: isDrawn, continuation: continuation)
        if admit(job) { append(.edits(job)) }
      }
    } onCancel: {
      Task { await self.cancel(id) }
    }
  }

  /// Anything else, alone.
  func run<Value: Sendable>(_ body: @escaping @Sendable (FaceEditor) throws -> Value) async throws -> Value {
    let id = makeID()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Value, any Error>) in
        append(
          .other(
            id: id,
            run: { model in
              do { continuation.resume(returning: try await model.run(body)) } catch {
                continuation.resume(throwing: error)
              }
            }, fail: { continuation.resume(throwing: $0) }))
      }
    } onCancel: {
      Task { await self.cancel(id) }
    }
  }

  var count: Int { waiting.count }

  private func makeID() -> UInt64 {
    nextID += 1
    return nextID
  }

  /// Drops what the job overtakes; false when the job itself was overtaken.
  private func admit(_ job: Edits) -> Bool {
    guard let place = job.place else { return true }
    var isLatest = true
    waiting.removeAll { other in
      guard case .edits(let other) = other, let otherPlace = other.place, otherPlace.stream == place.stream else {
        return false
      }
      if otherPlace.number > place.number { isLatest = false }
      guard otherPlace.number < place.number else { return false }
      supersede(other)
      return true
    }
    if !isLatest { supersede(job) }
    return isLatest
  }

  private func supersede(_ job: Edits) {
    metrics.count("facet_superseded_total")
    job.continuation.resume(throwing: Problem.superseded)
  }

  private func cancel(_ id: UInt64) {
    guard let index = waiting.firstIndex(where: { $0.id == id }) else { return }
    switch waiting.remove(at: index) {
    case .edits(let job): job.continuation.resume(throwing: CancellationError())
    case .other(_, _, let fail): fail(CancellationError())
    }
  }

  private func append(_ job: Job) {
    // Who was cancelled before could not be found yet.
    if Task.isCancelled {
      switch job {
      case .edits(let job): job.continuation.resume(throwing: CancellationError())
      case .other(_, _, let fail): fail(CancellationError())
      }
      return
    }
    waiting.append(job)
    guard !isRunning else { return goOn() }
    isRunning = true
    Task { await work() }
  }

  private func work() async {
    while !waiting.isEmpty {
      if case .other(_, let run, _) = waiting[0] {
        waiting.removeFirst()
        await run(model)
      } else if drawing >= model.threads && facesWaiting < limit {
        await withCheckedContinuation { pause = $0 }
      } else {
        await make(takeBatch())
      }
    }
    isRunning = false
  }

  private var facesWaiting: Int {
    waiting.reduce(0) { count, job in
      guard case .edits(let edits) = job else { return count }
      return count + edits.edits.count
    }
  }

  /// The first edits that wait, as many as a batch holds, those behind other work included.
  private func takeBatch() -> [Edits] {
    var batch: [Edits] = []
    var faces = 0
    waiting.removeAll { job in
      guard case .edits(let edits) = job, batch.isEmpty || faces + edits.edits.count <= limit else { return false }
      batch.append(edits)
      faces += edits.edits.count
      return true
    }
    return batch
  }

  private func make(_ batch: [Edits]) async {
    let start = ContinuousClock.now
    metrics.observe("facet_batch_faces", Double(batch.reduce(0) { $0 + $1.edits.count }))
    await model.changes(batch.map(\.edits)) { await self.end(batch[$0], of: start, $1) }
  }

  private func end(_ job: Edits, of start: ContinuousClock.Instant, _ result: Result<[FaceChange], any Error>) {
    if job.isDrawn, case .success = result { drawing += 1 }
    let worked = ContinuousClock.now - start
    job.continuation.resume(with: result.map { Changes(changes: $0, waited: start - job.since, worked: worked) })
  }
}

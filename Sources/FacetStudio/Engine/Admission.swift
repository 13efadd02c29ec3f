import Synchronization

/// Counts the requests that are worked on or wait, and refuses more than there is room for.
final class Admission: Sendable {
  enum Weight: Sendable { case light, heavy }

  private let limits: StudioLimits
  private let present = Mutex((all: 0, heavy: 0))

  init(_ limits: StudioLimits) { self.limits = limits }

  var count: Int { present.withLock { $0.all } }

  /// Runs `body` as one of the requests.
  /// - Throws: ``Problem/busy(_:)`` where there are too many, and what `body` throws.
  func admit<Value>(
    _ weight: Weight, isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Value
  ) async throws -> Value {
    let heavy = weight == .heavy ? 1 : 0
    try present.withLock { present in
      guard present.all < limits.requests, present.heavy + heavy <= limits.heavyRequests else {
        throw Problem.busy("Too many requests wait already.", seconds: 1)
      }
      present.all += 1
      present.heavy += heavy
    }
    defer {
      present.withLock { present in
        present.all -= 1
        present.heavy -= heavy
      }
    }
    return try await body()
  }
}

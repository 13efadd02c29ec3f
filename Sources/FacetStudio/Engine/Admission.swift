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
      guard hasRoom(present, heavy) else { throw Self.full }
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

  /// Says so before a body is received where there would be no room for its request.
  /// - Throws: ``Problem/busy(_:)``.
  func check(_ weight: Weight) throws {
    guard present.withLock({ hasRoom($0, weight == .heavy ? 1 : 0) }) else { throw Self.full }
  }

  private func hasRoom(_ present: (all: Int, heavy: Int), _ heavy: Int) -> Bool {
    present.all < limits.requests && present.heavy + heavy <= limits.heavyRequests
  }

  private static let full = Problem.busy("Too many requests wait already.", seconds: 1)

  // MARK: Bodies

  private let received = Mutex(0)

  /// Counts bytes of a body that is being received; they are given back by negative ones.
  /// - Throws: ``Problem/busy(_:)`` where the bodies that come take as much as the requests that hold photos may.
  func receive(_ count: Int) throws {
    try received.withLock { received in
      guard count < 0 || received + count <= limits.heavyRequests * limits.photoBytes else { throw Self.full }
      received += count
    }
  }
}

import Foundation

/// The photos that are kept, within bounds of number, memory and time.
actor PhotoStore {
  private struct Kept {
    var session: PhotoSession
    var lastUse: ContinuousClock.Instant
  }

  private let limits: StudioLimits
  private var kept: [PhotoID: Kept] = [:]

  init(_ limits: StudioLimits) { self.limits = limits }

  var count: Int { kept.count }
  var byteCount: Int { kept.values.reduce(0) { $0 + $1.session.byteCount } }

  /// Keeps a photo. Where there is no room those that were not used for longest go, but none that is in use.
  /// - Throws: ``Problem/busy(_:)`` where there is still none.
  func add(_ session: PhotoSession) throws {
    removeExpired()
    let size = session.byteCount
    while kept.count >= limits.photos || byteCount + size > limits.memory {
      guard let oldest = kept.min(by: { $0.value.lastUse < $1.value.lastUse }),
        ContinuousClock.now - oldest.value.lastUse > limits.inUse
      else { throw Self.full }
      kept[oldest.key] = nil
    }
    kept[session.id] = Kept(session: session, lastUse: .now)
  }

  /// Says so before the work where there would be no place for another photo.
  /// - Throws: ``Problem/busy(_:)``.
  func checkRoom() throws {
    removeExpired()
    guard kept.count >= limits.photos, kept.values.allSatisfy({ ContinuousClock.now - $0.lastUse <= limits.inUse }) else {
      return
    }
    throw Self.full
  }

  private static let full = Problem.busy("All places for photos are in use.", seconds: 30)

  /// Finds a photo and keeps it for longer.
  /// - Throws: ``Problem/unknownPhoto``.
  func find(_ id: PhotoID) throws -> PhotoSession {
    removeExpired()
    guard let session = kept[id]?.session else { throw Problem.unknownPhoto }
    kept[id]?.lastUse = .now
    return session
  }

  /// - Throws: ``Problem/unknownPhoto``.
  func remove(_ id: PhotoID) throws {
    guard kept.removeValue(forKey: id) != nil else { throw Problem.unknownPhoto }
  }

  func removeExpired() {
    let now = ContinuousClock.now
    kept = kept.filter { now - $0.value.lastUse < limits.keptFor }
  }
}

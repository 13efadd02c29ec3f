import Facet
import Foundation
import Photo
import Synchronization
import Testing

@testable import FacetStudio

/// The batching queue by itself, with the default model.
@Suite struct QueueTests {
  private let metrics = Metrics()
  private let queue: BatchingQueue
  private let face: EncodedFace

  init() async throws {
    queue = BatchingQueue(Model(try FaceEditor(), threads: 1), limit: 4, metrics: metrics)
    face = try await queue.run { editor in
      let picture = try editor.sample(count: 1, seed: 3)[0]
      return try editor.face(in: picture, isAligned: true)
    }
  }

  private func edit(_ strength: Double) throws -> [FaceEdit] {
    [FaceEdit(face, [try AttributeEdit("Smiling", strength: strength)])]
  }

  /// Holds the model until it is called.
  private func hold() async throws -> @Sendable () -> Void {
    let gate = DispatchSemaphore(value: 0)
    let queue = queue
    await withCheckedContinuation { held in
      Task {
        try await queue.run { _ in
          held.resume()
          gate.wait()
        }
      }
    }
    return { gate.signal() }
  }

  private func wait(for count: Int) async throws {
    while await queue.count < count { try await Task.sleep(for: .milliseconds(1)) }
  }

  @Test func editsThatWaitTogetherAreOneBatchAndComeOutAsAlone() async throws {
    let release = try await hold()
    let strengths = [-1.0, 0.5, 1, 2, 1.5, -2]
    async let together = withThrowingTaskGroup(of: (Double, [Layer]).self) { group in
      for strength in strengths {
        group.addTask { (strength, try await queue.changes(edit(strength)).changes[0].layers) }
      }
      return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
    }
    try await wait(for: strengths.count)
    release()
    let layers = try await together
    let text = metrics.text([])
    // Four, as many as a batch holds, and the other two.
    #expect(text.contains("facet_batch_faces_count 2\n") && text.contains("facet_batch_faces_sum 6.0\n"))
    for strength in strengths {
      #expect(try await queue.changes(edit(strength)).changes[0].layers == layers[strength])
    }
  }

  @Test func aSliderThatMovedOnDropsWhatItOvertook() async throws {
    let release = try await hold()
    let photo = PhotoID()
    func place(_ number: Int, _ stream: String = "a", of photo: PhotoID) -> StreamPlace {
      StreamPlace(stream: .init(photo: photo, name: stream), number: number)
    }
    func attempt(_ place: StreamPlace?) async -> String {
      do {
        _ = try await queue.changes(edit(1), at: place)
        return "made"
      } catch let problem as Problem { return problem.name } catch { return "\(error)" }
    }
    async let first = attempt(place(1, of: photo))
    try await wait(for: 1)
    async let otherStream = attempt(place(1, "b", of: photo))
    async let otherPhoto = attempt(place(1, of: PhotoID()))
    async let unnumbered = attempt(nil)
    try await wait(for: 4)
    async let third = attempt(place(3, of: photo))
    // The first is answered at once, while the model is still held.
    #expect(await first == "superseded")
    #expect(await attempt(place(2, of: photo)) == "superseded")
    release()
    #expect(await third == "made")
    for outcome in [await otherStream, await otherPhoto, await unnumbered] { #expect(outcome == "made") }
    #expect(metrics.text([]).contains("facet_superseded_total 2\n"))
  }

  /// Edits that come while all cores draw wait for each other, until they fill a batch.
  @Test(.timeLimit(.minutes(10))) func whatComesWhilePicturesAreDrawnIsOneBatch() async throws {
    let (opening, open) = AsyncStream<Void>.makeStream()
    let (started, start) = AsyncStream<Void>.makeStream()
    let (queue, one) = (queue, try edit(1))
    let drawn = Task {
      try await queue.picture(of: one) { made in
        start.yield()
        for await _ in opening { break }
        return made.changes.count
      }
    }
    for await _ in started { break }
    func ask(_ count: Int) -> [Task<Int, any Error>] {
      (0..<count).map { _ in Task { try await queue.changes(one).changes.count } }
    }
    let few = ask(3)
    try await wait(for: 3)
    // The fourth fills the batch.
    let last = ask(1)
    for task in few + last { #expect(try await task.value == 1) }
    #expect(metrics.text([]).contains("facet_batch_faces_count 2\n"))
    let late = ask(2)
    try await wait(for: 2)
    open.yield()
    #expect(try await drawn.value == 1)
    for task in late { #expect(try await task.value == 1) }
    #expect(metrics.text([]).contains("facet_batch_faces_count 3\n"))
    #expect(metrics.text([]).contains("facet_batch_faces_sum 7.0\n"))
    // Who asks for nothing, and whose drawing fails, keeps nobody waiting.
    #expect(try await queue.picture(of: []) { $0.changes.count } == 0)
    await #expect(throws: Problem.self) { try await queue.picture(of: one) { _ in throw Problem.noFace } as Int }
    #expect(try await queue.changes(one).changes.count == 1)
  }

  @Test func oneThatFailsTakesNoOtherAlong() async throws {
    let release = try await hold()
    async let good = queue.changes(edit(1))
    try await wait(for: 1)
    let queue = queue
    let bad = Task { [face] in try await queue.changes([FaceEdit(face, [AttributeEdit("Nothing")])]) }
    try await wait(for: 2)
    release()
    #expect(try await good.changes.count == 1)
    await #expect(throws: AttributeError.self) { try await bad.value }
  }

  @Test func whoGivesUpWaitsNoLonger() async throws {
    let release = try await hold()
    let queue = queue
    let edits = try edit(1)
    let waiting = Task { try await queue.changes(edits) }
    try await wait(for: 1)
    waiting.cancel()
    await #expect(throws: CancellationError.self) { try await waiting.value }
    #expect(await queue.count == 0)
    release()
    #expect(try await queue.changes(edit(1)).changes.count == 1)
  }

  @Test func metricsAreInPrometheusFormat() throws {
    metrics.count("facet_requests_total", "route=\"/a\"")
    metrics.observe("facet_request_seconds", 0.02, "route=\"/a\"")
    let text = metrics.text([("facet_photos", "Photos.", 3)])
    let sample = /[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? (\+Inf|[0-9.e-]+)/
    for line in text.split(separator: "\n") where !line.hasPrefix("# ") {
      #expect(line.wholeMatch(of: sample) != nil, "\(line)")
    }
    #expect(text.contains("facet_request_seconds_bucket{route=\"/a\",le=\"0.025\"} 1\n"))
    #expect(text.contains("facet_request_seconds_bucket{route=\"/a\",le=\"0.01\"} 0\n"))
    #expect(text.hasSuffix("facet_photos 3.0\n"))
  }

  @Test func idsAreLongAndNeverTheSame() {
    let ids = Set((0..<1000).map { _ in PhotoID().description })
    #expect(ids.count == 1000 && ids.allSatisfy { $0.wholeMatch(of: /[A-Za-z0-9_-]{22}/) != nil })
  }
}

import Facet
import Foundation
import Photo
import Synchronization
import Testing

@testable import FacetStudio

/// The limits, the token and the one allowed origin; each test has a server of its own.
@Suite(.serialized) struct LimitTests {
  @Test func photosAreRefusedByTheirSize() async throws {
    let server = try await Server {
      $0.limits.photoBytes = 20_000
      $0.limits.photoPixels = 10_000
    }
    let large = Photo(Picture(width: 200, height: 100, filledWith: 9), format: .png)
    let answer = try await server.send("POST", "/api/photos", large.encoded())
    #expect(answer.status == 413 && answer.problem == "too-many-pixels")
    let long = try await server.send("POST", "/api/photos", Data(count: 20_001))
    #expect(long.status == 413 && long.problem == "too-large")
    // Without its length given, too.
    let chunk = String(repeating: "x", count: 0x6000)
    let chunked = try await server.raw(
      "POST /api/photos HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        + "6000\r\n\(chunk)\r\n0\r\n\r\n")
    #expect(chunked.hasPrefix("HTTP/1.1 413"))
  }

  /// Nothing stops its encoder.
  @Test func largeFilesThatTakeLongToWriteAreRefused() async throws {
    let server = try await Server { $0.limits.heifPixels = 100_000 }
    let session = try await server.random(seed: 1)
    func render(_ more: String) async throws -> (status: Int, problem: String?) {
      let answer = try await server.post(session.path + "/render", "{\"edits\": []\(more)}")
      return (answer.status, answer.problem)
    }
    let large = try await render(#", "format": "avif""#)
    #expect(large.status == 422 && large.problem == "too-many-pixels")
    #expect(try await render(#", "format": "avif", "size": 128"#).status == 200)
    #expect(try await render(#", "format": "jpeg""#).status == 200)
  }

  @Test func noPhotoInUseMakesRoom() async throws {
    let server = try await Server { $0.limits.photos = 1 }
    let session = try await server.random(seed: 1)
    let refused = try await server.send("POST", "/api/photos/random")
    #expect(refused.status == 503 && refused.problem == "busy" && refused.headers["retry-after"] == "30")
    #expect(try await server.send("DELETE", session.path).status == 204)
    #expect(try await server.send("POST", "/api/photos/random").status == 201)
  }

  @Test func thePhotoNotUsedForLongestMakesRoom() async throws {
    let server = try await Server {
      $0.limits.photos = 2
      $0.limits.inUse = .zero
    }
    let (first, second) = (try await server.random(seed: 1), try await server.random(seed: 2))
    #expect(try await server.get(first.path).status == 200)
    #expect(try await server.send("POST", "/api/photos/random").status == 201)
    #expect(try await server.get(first.path).status == 200)
    #expect(try await server.get(second.path).status == 404)
  }

  @Test func photosAreForgotten() async throws {
    let server = try await Server { $0.limits.keptFor = .seconds(1) }
    let session = try await server.random(seed: 1)
    #expect(session.expiresInSeconds == 1)
    try await Task.sleep(for: .seconds(1.2))
    #expect(try await server.get(session.path).problem == "unknown-photo")
    #expect(try await server.get("/metrics").body.range(of: Data("facet_photos 0.0\n".utf8)) != nil)
  }

  @Test func moreRequestsThanThereIsRoomForAreSentAway() async throws {
    let server = try await Server {
      $0.limits.requests = 2
      $0.limits.heavyRequests = 1
    }
    let session = try await server.random(seed: 1)
    let statuses = try await withThrowingTaskGroup(of: (Int, String?).self) { group in
      for _ in 0..<12 {
        group.addTask {
          let answer = try await server.post(
            session.path + "/inspect", #"{"edits": [{"attribute": "Male", "probability": 0.5}]}"#)
          return (answer.status, answer.headers["retry-after"])
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(statuses.contains { $0.0 == 200 })
    #expect(statuses.contains { $0.0 == 503 && $0.1 == "1" })
    #expect(statuses.allSatisfy { $0.0 == 200 || $0.0 == 503 })
    #expect(try await server.post(session.path + "/inspect", "{}").status == 200)
  }

  @Test func aSlowBodyIsNotWaitedForForEver() async throws {
    let server = try await Server { $0.limits.requestTime = .seconds(1) }
    let answer = try await server.raw(
      "POST /api/photos HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1000\r\n\r\nslow",
      seconds: 300)
    #expect(answer.hasPrefix("HTTP/1.1 503") || answer.isEmpty)
    #expect(try await server.get("/health").status == 200)
  }

  @Test func aBodyThatKeepsComingHasMoreTime() async throws {
    let clock = ArrivalClock(time: .seconds(1))
    let first = clock.end
    try await Task.sleep(for: .milliseconds(200))
    clock.arrived(100_000)
    #expect(clock.end >= first + .milliseconds(190))
    #expect(clock.end <= .now + .seconds(1))
    // A drip does not hold a request for ever: a byte buys no time.
    let drip = ArrivalClock(time: .seconds(1))
    let end = drip.end
    for _ in 0..<5 {
      try await Task.sleep(for: .milliseconds(20))
      drip.arrived(1)
    }
    #expect(drip.end - end < .milliseconds(10))
  }

  @Test func pagesComeCompressed() async throws {
    let server = try await Server()
    let plain = try await server.raw("GET /main.js HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    #expect(!plain.lowercased().contains("content-encoding"))
    let head = try await server.raw(
      "GET /main.js HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip, br\r\nConnection: close\r\n\r\n"
    ).lowercased()
    #expect(head.contains("content-encoding: gzip") && head.contains("vary: accept-encoding"))
  }

  @Test func theTokenIsAskedFor() async throws {
    let token = "0123456789abcdef"
    let server = try await Server { $0.token = token }
    for path in ["/api/attributes", "/metrics", "/api/nothing"] {
      let answer = try await server.get(path)
      #expect(answer.status == 401 && answer.problem == "unauthorized")
      #expect(answer.headers["www-authenticate"] == "Bearer")
      #expect(try await server.get(path, headers: ["Authorization": "Bearer 0123456789abcdeX"]).status == 401)
    }
    #expect(try await server.get("/api/attributes", headers: ["Authorization": "Bearer \(token)"]).status == 200)
    for path in ["/health", "/openapi.yaml", "/", "/api.js", "/texts/en.json", "/docs/"] { #expect(try await server.get(path).status == 200) }
  }

  @Test func unsafeConfigurationsAreRefused() {
    func refusal(_ change: (inout StudioConfiguration) -> Void) -> String? {
      var configuration = StudioConfiguration()
      change(&configuration)
      do { _ = try Studio(configuration) } catch { return "\(error)" }
      return nil
    }
    #expect(refusal { $0.address = "0.0.0.0" }?.contains("token") == true)
    #expect(refusal { $0.token = "short" }?.contains("16") == true)
    #expect(refusal { $0.token = "with spaces, and more" } != nil)
  }

  @Test func oneOriginMayBeAllowed() async throws {
    let server = try await Server { $0.allowedOrigin = "https://friend.example" }
    let friend = ["Origin": "https://friend.example", "Sec-Fetch-Site": "cross-site"]
    let answer = try await server.send("POST", "/api/photos/sample", headers: friend)
    #expect(answer.status == 201 && answer.headers["access-control-allow-origin"] == "https://friend.example")
    let fault = try await server.post("/api/morph", "{}", headers: friend)
    #expect(fault.status == 400 && fault.headers["access-control-allow-origin"] == "https://friend.example")
    let preflight = try await server.send(
      "OPTIONS", "/api/photos", headers: friend.merging(["Access-Control-Request-Method": "POST"]) { $1 })
    #expect(preflight.status == 204 && preflight.headers["access-control-allow-methods"]?.contains("POST") == true)
    let other = try await server.send("POST", "/api/photos/sample", headers: ["Origin": "https://evil.example"])
    #expect(other.status == 403 && other.headers["access-control-allow-origin"] == nil)
  }
}

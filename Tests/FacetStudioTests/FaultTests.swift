import Foundation
import Photo
import Testing

@testable import FacetStudio

/// What the service says to requests that it cannot do, and to those that it must not.
@Suite(.serialized) struct FaultTests {
  private let server: Server

  init() async throws { server = try await Server.shared.value }

  private static let noBodies: [(body: String, problem: String, status: Int)] = [
    ("", "bad-request", 400),
    ("{", "bad-request", 400),
    ("[]", "bad-request", 400),
    ("null", "bad-request", 400),
    (#"{"edits": null}"#, "bad-request", 400),
    (#"{"region": null}"#, "bad-request", 400),
    (#"{"edit": []}"#, "bad-request", 400),
    (#"{"size": 31}"#, "bad-request", 400),
    (#"{"size": 1e9}"#, "bad-request", 400),
    (#"{"size": 100.5}"#, "bad-request", 400),
    (#"{"size": "512"}"#, "bad-request", 400),
    (#"{"size": true}"#, "bad-request", 400),
    (#"{"format": "bmp"}"#, "bad-request", 400),
    (#"{"edits": [{"attribute": "Smiling"}]}"#, "bad-request", 400),
    (#"{"edits": [{"attribute": "Smiling", "strength": 3.1}]}"#, "bad-request", 400),
    (#"{"edits": [{"attribute": "Smiling", "strength": 1e999}]}"#, "bad-request", 400),
    (#"{"edits": [{"attribute": "Smiling", "strength": 1, "probability": 0.5}]}"#, "bad-request", 400),
    (#"{"edits": [{"attribute": "Smiling", "strength": 1, "face": -1}]}"#, "bad-request", 400),
    (#"{"edits": [{"attribute": "Smiling", "strength": 1, "face": 7}]}"#, "no-such-face", 422),
    (#"{"edits": [{"attribute": "Smilling", "strength": 1}]}"#, "unknown-attribute", 422),
    (#"{"edits": [{"attribute": "Smiling", "strength": 1}], "keep": ["Smiling"]}"#, "unknown-attribute", 422),
    (#"{"keep": ["Nothing"]}"#, "unknown-attribute", 422),
  ]

  @Test func badBodiesGetAProblem() async throws {
    let session = try await server.sample()
    for (body, problem, status) in Self.noBodies {
      let answer = try await server.post(session.path + "/preview", body)
      let text = String(decoding: answer.body, as: UTF8.self)
      #expect(answer.status == status && answer.problem == problem, "\(body): \(text)")
    }
    let deep = String(repeating: "[", count: 5000)
    #expect(try await server.post(session.path + "/preview", #"{"edits": \#(deep)"#).status == 400)
    let edit = #"{"attribute": "Smiling", "strength": 1}"#
    let many = "[" + Array(repeating: edit, count: Edit.most + 1).joined(separator: ",") + "]"
    #expect(try await server.post(session.path + "/preview", #"{"edits": \#(many)}"#).status == 400)
    let long = #"{"stream": "\#(String(repeating: "x", count: 300_000))"}"#
    #expect(try await server.post(session.path + "/preview", long).problem == "too-large")
    let plain = try await server.send(
      "POST", session.path + "/preview", Data("{}".utf8), headers: ["Content-Type": "text/plain"])
    #expect(plain.status == 415 && plain.problem == "not-json")
  }

  @Test func aProblemSaysWhatToDoAndNothingOfTheInside() async throws {
    let session = try await server.sample()
    let answer = try await server.post(
      session.path + "/preview", #"{"edits": [{"attribute": "Smilling", "strength": 1}]}"#)
    let problem: Server.Problem = try answer.json()
    #expect(problem.status == 422 && problem.detail.contains("Smiling"))

    let cut = try Data(contentsOf: URL(fileURLWithPath: Self.portrait)).prefix(20_000)
    let damaged = try await server.send("POST", "/api/photos", Data(cut))
    #expect(damaged.status == 422 && damaged.problem == "damaged-photo")
    let text = String(decoding: damaged.body, as: UTF8.self)
    #expect(!text.contains("ips") && !text.contains("/"))
    for body in [Data(), Data("GIF89a, or so".utf8), Data(count: 1000)] {
      let answer = try await server.send("POST", "/api/photos", body)
      #expect(answer.status == 415 && answer.problem == "not-a-photo")
    }
  }

  private static let portrait =
    URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../Sources/Facet/Resources/astronaut.jpg").standardizedFileURL.path

  @Test func addressesAndMethodsThatThereAreNot() async throws {
    for path in [
      "/nothing", "/api", "/api/nothing", "/api/photos/x/nothing", "/..%2f..%2fetc/passwd", "/.git", "/%00", "/a%20b",
    ] {
      let answer = try await server.get(path)
      #expect(answer.status == 404 && answer.problem != nil, "\(path)")
    }
    let up = try await server.raw("GET /../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    #expect(up.hasPrefix("HTTP/1.1 4"))
    let answer = try await server.send("PUT", "/api/photos")
    #expect(answer.status == 405 && answer.headers["allow"] == "POST" && answer.problem == "method-not-allowed")
    #expect(try await server.send("HEAD", "/health").status == 200)
    #expect(try await server.get("/api/photos/AAAAAAAAAAAAAAAAAAAAAA").problem == "unknown-photo")
  }

  @Test func everyAnswerKeepsBrowsersStrict() async throws {
    for path in ["/", "/openapi.yaml", "/api/attributes", "/nothing"] {
      let answer = try await server.get(path)
      let policy = try #require(answer.headers["content-security-policy"])
      #expect(policy.hasPrefix("default-src 'none'") && !policy.contains("unsafe"))
      #expect(answer.headers["x-content-type-options"] == "nosniff")
      #expect(answer.headers["access-control-allow-origin"] == nil)
    }
  }

  @Test func otherSitesAreKeptOut() async throws {
    func host(_ name: String) async throws -> String {
      try await server.raw("GET /health HTTP/1.1\r\nHost: \(name)\r\nConnection: close\r\n\r\n")
    }
    let port = server.url.port!
    for name in ["localhost", "localhost:\(port)", "127.0.0.1:\(port)", "[::1]:\(port)", "LOCALHOST"] {
      #expect(try await host(name).hasPrefix("HTTP/1.1 200"), "\(name)")
    }
    for name in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "1.2.3.4.5", "", "999.0.0.1"] {
      #expect(try await host(name).hasPrefix("HTTP/1.1 421"), "\(name)")
    }
    #expect(try await server.raw("GET /health HTTP/1.1\r\nConnection: close\r\n\r\n").hasPrefix("HTTP/1.1 421"))

    let own = "http://127.0.0.1:\(port)"
    for headers in [["Origin": own], ["Origin": own, "Sec-Fetch-Site": "same-origin"], ["Sec-Fetch-Site": "none"]] {
      #expect(try await server.send("POST", "/api/photos/sample", headers: headers).status == 201)
    }
    for headers in [
      ["Origin": "https://evil.example"], ["Origin": "null"], ["Origin": "http://127.0.0.1:1"],
      ["Sec-Fetch-Site": "cross-site"], ["Sec-Fetch-Site": "same-site"],
    ] {
      let answer = try await server.send("POST", "/api/photos/sample", headers: headers)
      #expect(answer.status == 403 && answer.problem == "foreign-origin")
    }
  }

  @Test func brokenRequestsEndAConnectionNotTheServer() async throws {
    let long = String(repeating: "x", count: 40_000)
    for text in [
      "\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\u{16}\u{3}\u{1}garbage",
      "GET / HTTP/1.1\r\nHost: localhost\r\nX: \(long)\r\n\r\n",
    ] {
      _ = try await server.raw(text, seconds: 1)
    }
    #expect(try await server.get("/health").status == 200)
  }
}

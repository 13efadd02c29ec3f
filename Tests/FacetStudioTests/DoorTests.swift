import Facet
import Foundation
import FoundationNetworking
import Photo
import Testing

@testable import FacetStudio

/// Who gets in, and that nobody can keep others out.
@Suite(.serialized) struct DoorTests {
  private static let token = "0123456789abcdef"

  @Test(arguments: [
    "/api/attributes", "//api/attributes", "///api///attributes", "http://localhost//api/attributes", "/api/attributes/",
    "//metrics", "/metrics/", "/api/nothing", "//api/nothing", "/nothing", "/API/attributes", "//API/photos",
    "/%61pi/attributes", "/studio.css/../api/attributes", "/./api/attributes",
  ])
  func theTokenIsAskedForHoweverAPathIsWritten(_ path: String) async throws {
    let server = try await Self.guarded.value
    #expect(try await server.raw(Self.request("GET", path)).hasPrefix("HTTP/1.1 401"), "\(path)")
  }

  @Test func noPhotoGetsInByASecondSlash() async throws {
    let server = try await Self.guarded.value
    for path in ["//api/photos/sample", "/api//photos/sample", "http://localhost//api/photos/random"] {
      let answer = try await server.raw(Self.request("POST", path, "Content-Length: 0\r\n"))
      #expect(answer.hasPrefix("HTTP/1.1 401"), "\(path)")
    }
  }

  @Test(arguments: ["/health", "//health", "/", "/index.html", "/openapi.yaml", "/studio.css", "//studio.css"])
  func whatSaysNothingOfPhotosIsOpen(_ path: String) async throws {
    let server = try await Self.guarded.value
    #expect(try await server.raw(Self.request("GET", path)).hasPrefix("HTTP/1.1 200"), "\(path)")
  }

  private static let guarded = Task { try await Server { $0.token = token } }

  private static func request(_ method: String, _ path: String, _ headers: String = "") -> String {
    "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\(headers)\r\n"
  }

  // MARK: Connections

  /// Addresses that read a body, and such that do not.
  @Test(arguments: ["GET /", "GET /nothing", "POST /api/photos", "POST /api/photos/x/preview"])
  func bodiesThatDripLockNobodyOut(_ line: String) async throws {
    let server = try await Server {
      $0.limits.connections = 24
      $0.limits.connectionsPerClient = 24
    }
    let lines = try (0..<24).map { _ in try Line(to: server) }
    for one in lines { one.send("\(line) HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\na") }
    try await Task.sleep(for: .seconds(1))
    for _ in 0..<3 {
      for one in lines { one.send("a") }
      #expect(try await server.raw(Self.request("GET", "/health"), seconds: 10).hasPrefix("HTTP/1.1 200"))
    }
    // A photo comes in beside them.
    #expect(try await server.send("POST", "/api/photos", Self.portrait).status == 201)
  }

  /// Far more than lies between the two sides: the server waits for somebody to read.
  private static let manyRequests = String(
    repeating: "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n", count: 1000)

  @Test func answersThatNobodyReadsLockNobodyOut() async throws {
    let server = try await Server {
      $0.limits.connections = 24
      $0.limits.connectionsPerClient = 24
    }
    let lines = try (0..<24).map { _ in try Line(to: server) }
    for one in lines { one.send(Self.manyRequests) }
    // On a busy machine it takes a while until nothing more fits between the two sides.
    func isHealthy() async -> Bool {
      (try? await server.raw(Self.request("GET", "/health"), seconds: 10).hasPrefix("HTTP/1.1 200")) ?? false
    }
    for _ in 0..<60 where await !isHealthy() { try await Task.sleep(for: .seconds(1)) }
    for _ in 0..<3 { #expect(await isHealthy()) }
    withExtendedLifetime(lines) {}
  }

  private static let portrait: Data = {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    return try! Data(contentsOf: folder.appendingPathComponent("../../Sources/Facet/Resources/astronaut.jpg"))
  }()

  @Test func anAnswerWithoutTheBodyClosesItsConnection() async throws {
    let server = try await Server()
    let start = ContinuousClock.now
    let answer = try await server.raw(
      "POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx", seconds: 60)
    #expect(answer.hasPrefix("HTTP/1.1 404") && answer.lowercased().contains("connection: close"))
    #expect(ContinuousClock.now - start < .seconds(20))
    // Another request finds the connection open where the body had come.
    let two = try await server.raw(
      "POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx" + Self.request("GET", "/health"))
    #expect(two.contains("HTTP/1.1 404") && two.contains("HTTP/1.1 200"))
  }

  @Test func oneClientHasAShareOfTheConnections() {
    var limits = StudioLimits()
    (limits.connections, limits.connectionsPerClient) = (3, 2)
    let connections = Connections(limits)
    let a = (0..<3).map { _ in EmbeddedConnection("10.0.0.1") }
    let b = (0..<3).map { _ in EmbeddedConnection("10.0.0.2") }
    #expect(connections.add(a[0].channel) && connections.add(a[1].channel))
    // The third of one client takes the place of its own first.
    #expect(connections.add(a[2].channel) && !a[0].isOpen && a[1].isOpen)
    #expect(connections.add(b[0].channel) && connections.count == 3)
    // Where all are taken, the client that has most gives.
    #expect(connections.add(b[1].channel) && !a[1].isOpen && a[2].isOpen && connections.count == 3)
    // What is worked on stays.
    for one in [a[2], b[0], b[1]] { connections.setWaiting(one.channel, false) }
    #expect(!connections.add(b[2].channel) && a[2].isOpen && b[0].isOpen && connections.count == 3)
  }

  // MARK: The process

  @Test func noDescriptorsLeftIsNoReasonToSpin() async throws {
    let program = try Program(options: [], before: "ulimit -n 48")
    defer { program.end() }
    var lines = (0..<64).compactMap { _ in try? Line(to: program.url) }
    #expect(lines.count == 64)
    try await Task.sleep(for: .seconds(1))
    let before = program.processorSeconds
    try await Task.sleep(for: .seconds(3))
    #expect(program.processorSeconds - before < 1)
    lines = []
    #expect(try await program.answersHealth(within: 20))
  }

  @Test(arguments: [true, false])
  func neitherHalfAnUploadNorAnUnreadAnswerHoldsUpTheEnd(_ isUpload: Bool) async throws {
    let program = try Program(options: [])
    let line = try Line(to: program.url)
    let upload = "POST /api/photos HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nhalf"
    line.send(isUpload ? upload : Self.manyRequests)
    try await Task.sleep(for: .seconds(1))
    let start = ContinuousClock.now
    program.terminate()
    while program.isRunning && ContinuousClock.now - start < .seconds(30) { try await Task.sleep(for: .milliseconds(50)) }
    #expect(ContinuousClock.now - start < .seconds(15))
    withExtendedLifetime(line) {}
    program.end()
  }

  /// `cp` over a model that is served cuts its files short first.
  @Test func aModelThatIsWrittenOverDoesNotEndTheServer() async throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("facet-served-\(UUID().uuidString)")
    try FileManager.default.copyItem(at: ModelBundle.defaultURL, to: folder)
    defer { try? FileManager.default.removeItem(at: folder) }
    let program = try Program(options: ["--model", folder.path])
    defer { program.end() }
    for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
      #expect(truncate(folder.appendingPathComponent(name).path, 0) == 0)
    }
    var request = URLRequest(url: program.url.appendingPathComponent("api/photos"))
    request.httpMethod = "POST"
    let (_, answer) = try await URLSession.shared.upload(for: request, from: Self.portrait)
    #expect((answer as? HTTPURLResponse)?.statusCode == 201)
    #expect(try await program.answersHealth(within: 20))
  }

  // MARK: Small things

  @Test func namesThatAreNoHost() async throws {
    let server = try await Server()
    for name in ["[evil", "[evil]", "[::1]x", "localhost:80@evil.com", "+1.2.3.4", "1.2.3.4@evil.com", "localhost:x"] {
      let answer = try await server.raw("GET /health HTTP/1.1\r\nHost: \(name)\r\nConnection: close\r\n\r\n")
      #expect(answer.hasPrefix("HTTP/1.1 4") && !answer.hasPrefix("HTTP/1.1 404"), "\(name): \(answer.prefix(40))")
    }
  }

  @Test(arguments: ["*", "null", "example.org", "https://example.org/", "https://", "https://a@b", "file://x y"])
  func originsThatAreNone(_ origin: String) {
    var configuration = StudioConfiguration()
    configuration.allowedOrigin = origin
    #expect(throws: StudioError.self) { try Studio(configuration) }
  }

  @Test func aByteOrderMarkIsSpokenOf() async throws {
    let server = try await Server()
    let session = try await server.sample()
    let answer = try await server.post(session.path + "/inspect", "\u{FEFF}{}")
    #expect(answer.status == 400 && String(decoding: answer.body, as: UTF8.self).contains("byte order mark"))
  }

  @Test func noPhotoIsDecodedWhereThereIsNoPlaceForIt() async throws {
    let server = try await Server { $0.limits.photos = 1 }
    _ = try await server.sample()
    let answer = try await server.send("POST", "/api/photos", Data("not a photo".utf8))
    #expect(answer.status == 503 && answer.problem == "busy")
  }
}

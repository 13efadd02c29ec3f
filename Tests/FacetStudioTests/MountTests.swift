import Foundation
import FoundationNetworking
import Hummingbird
import Testing

@testable import FacetStudio

/// Follows no redirections.
private final class StayHere: NSObject, URLSessionTaskDelegate {
  func urlSession(
    _: URLSession, task _: URLSessionTask, willPerformHTTPRedirection _: HTTPURLResponse, newRequest _: URLRequest,
    completionHandler: @escaping (URLRequest?) -> Void
  ) {
    completionHandler(nil)
  }
}

/// The studio under a path of another application.
@Suite struct MountTests {
  @Test func anotherApplicationHasTheStudioUnderAPath() async throws {
    let router = Router()
    router.get("/") { _, _ in "my own page" }
    var configuration = StudioConfiguration()
    configuration.threads = 1
    configuration.limits.requestTime = .seconds(600)
    try Studio(configuration).addRoutes(to: router.group("shop").group("faces"))
    let (ports, continuation) = AsyncStream<Int>.makeStream()
    let application = Application(
      router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)),
      onServerRunning: { continuation.yield($0.localAddress?.port ?? 0) })
    let task = Task { try await application.runService() }
    defer { task.cancel() }
    var iterator = ports.makeAsyncIterator()
    let server = "http://127.0.0.1:\(try #require(await iterator.next()))"
    let session = URLSession(configuration: .ephemeral, delegate: StayHere(), delegateQueue: nil)
    func send(_ method: String, _ path: String) async throws -> (status: Int, response: HTTPURLResponse, body: Data) {
      var request = URLRequest(url: try #require(URL(string: server + path)))
      (request.httpMethod, request.timeoutInterval) = (method, 600)
      let (data, response) = try await session.data(for: request)
      let http = try #require(response as? HTTPURLResponse)
      return (http.statusCode, http, data)
    }

    #expect(try await String(decoding: send("GET", "/").body, as: UTF8.self) == "my own page")
    #expect(try await send("GET", "/api/attributes").status == 404)
    for path in ["/shop/faces/", "/shop/faces/studio.css", "/shop/faces/api/attributes?language=es", "/shop/faces/health"] {
      #expect(try await send("GET", path).status == 200, "\(path)")
    }
    #expect(try await send("HEAD", "/shop/faces/main.js").status == 200)
    #expect(try await send("GET", "/shop/faces/nothing").status == 404)
    // The page's addresses are relative to its folder, and so is that of its documents.
    for (path, end) in [
      ("/shop/faces", "/shop/faces/"), ("/shop/faces?a=b", "/shop/faces/?a=b"), ("/shop/faces/docs", "/shop/faces/docs/"),
    ] {
      let answer = try await send("GET", path)
      #expect([301, 308].contains(answer.status) && answer.response.value(forHTTPHeaderField: "Location") == end, "\(path)")
    }
    #expect(try await send("GET", "/shop/faces/docs/").status == 200)
    let added = try await send("POST", "/shop/faces/api/photos/sample")
    #expect(added.status == 201)
    let place = try #require(added.response.value(forHTTPHeaderField: "Location"))
    #expect(place.hasPrefix("/shop/faces/api/photos/"))
    #expect(try await send("GET", place).status == 200)
    #expect(try await send("DELETE", place).status == 204)
  }

  @Test(arguments: [
    ("/studio/api/x", "/studio/**", "/studio", "/api/x"), ("/studio", "/studio", "/studio", ""),
    ("//a//b//c", "/a/b/**", "//a//b", "//c"), ("/api/x", "/**", "", "/api/x"), ("/", "", "", "/"),
  ])
  func aPathIsCutBehindItsRoute(_ path: String, _ route: String, _ prefix: String, _ rest: String) {
    let parts = Studio.split(path, below: route)
    #expect(parts.prefix == prefix && parts.rest == rest)
  }
}

import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import Synchronization

// What each request passes through before it is answered, the outermost first.

/// Counts and times answers, turns faults into problems, and gives every answer the headers that keep browsers strict.
struct Frame<Context: RequestContext>: RouterMiddleware {
  let metrics: Metrics

  func handle(
    _ request: Request, context: Context, next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    let start = ContinuousClock.now
    var response: Response
    do {
      response = try await next(request, context)
    } catch {
      let problem = Problem(of: error)
      if problem == .internalFault {
        context.logger.error("\(request.method) \(context.endpointPath ?? ""): \(error)")
      }
      metrics.count("facet_refused_total", "problem=\"\(problem.name)\"")
      response = problem.response
      if request.method == .head { response = response.createHeadResponse() }
    }
    for (name, value) in Self.headers where response.headers[name] == nil { response.headers[name] = value }
    // Routes only: what is asked for otherwise could be anything.
    let route = context.endpointPath ?? "none"
    let method = Self.methods.contains(request.method) ? request.method.rawValue : "other"
    metrics.count(
      "facet_requests_total", "route=\"\(route)\",method=\"\(method)\",status=\"\(response.status.code)\"")
    metrics.observe("facet_request_seconds", (ContinuousClock.now - start).seconds, "route=\"\(route)\"")
    return response
  }

  private static var methods: [HTTPRequest.Method] { [.get, .head, .post, .put, .delete, .patch, .options] }

  private static var headers: [(HTTPField.Name, String)] {
    [
      (
        .contentSecurityPolicy,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
          + "font-src 'self'; media-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
          + "frame-ancestors 'none'"
      ),
      (.xContentTypeOptions, "nosniff"),
      (HTTPField.Name("Referrer-Policy")!, "no-referrer"),
      (HTTPField.Name("Cross-Origin-Opener-Policy")!, "same-origin"),
      (HTTPField.Name("Cross-Origin-Resource-Policy")!, "same-origin"),
      (HTTPField.Name("Permissions-Policy")!, "camera=(self), geolocation=(), microphone=()"),
    ]
  }
}

/// Refuses names that another site could have made point here (DNS rebinding), and requests that a browser says come
/// from another site's page.
struct SiteGuard<Context: RequestContext>: RouterMiddleware {
  let hosts: Set<String>
  let allowedOrigin: String?

  init(hosts: [String], allowedOrigin: String?) {
    self.hosts = Set((hosts + ["localhost"]).map { $0.lowercased() })
    self.allowedOrigin = allowedOrigin
  }

  func handle(
    _ request: Request, context: Context, next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    guard let authority = request.head.authority, let host = Self.host(of: authority), isOwn(host) else {
      throw Problem.foreignHost
    }
    let isReading = request.method == .get || request.method == .head
    let origin = request.headers[.origin]
    if origin != nil && origin == allowedOrigin {
      return try await answer(request, context, next, to: origin!)
    }
    if !isReading {
      if let site = request.headers[HTTPField.Name("Sec-Fetch-Site")!], site != "same-origin", site != "none" {
        throw Problem.foreignOrigin
      }
      if let origin, origin.lowercased() != "http://\(authority.lowercased())",
        origin.lowercased() != "https://\(authority.lowercased())"
      {
        throw Problem.foreignOrigin
      }
    }
    return try await next(request, context)
  }

  /// An answer that the allowed origin's pages may read.
  private func answer(
    _ request: Request, _ context: Context, _ next: (Request, Context) async throws -> Response, to origin: String
  ) async throws -> Response {
    var response: Response
    if request.method == .options && request.headers[.accessControlRequestMethod] != nil {
      response = Response(
        status: .noContent,
        headers: [
          .accessControlAllowMethods: "GET, POST, DELETE", .accessControlAllowHeaders: "Authorization, Content-Type",
          .accessControlMaxAge: "600",
        ])
    } else {
      do { response = try await next(request, context) } catch { response = Problem(of: error).response }
    }
    response.headers[.accessControlAllowOrigin] = origin
    response.headers[.accessControlExposeHeaders] = "Content-Disposition, Facet-Strengths, Retry-After, Server-Timing"
    response.headers[HTTPField.Name("Cross-Origin-Resource-Policy")!] = "cross-origin"
    response.headers[.vary] = "Origin"
    return response
  }

  /// A name that was given, or an address of digits.
  private func isOwn(_ host: String) -> Bool {
    hosts.contains(host) || (try? SocketAddress(ipAddress: host, port: 0)) != nil
  }

  /// The host without its port, nor the brackets of an IPv6 address; nil for what is no host with a port.
  private static func host(of authority: String) -> String? {
    guard let parts = authority.wholeMatch(of: /(?:\[([0-9A-Fa-f:.]+)\]|([^:@\[\]\/]+))(?::[0-9]*)?/) else { return nil }
    return (parts.1 ?? parts.2)?.lowercased()
  }
}

/// Asks for the token for everything but what says nothing of photos: whether the server is up, what it can do, and the
/// page's own files.
struct TokenGuard<Context: RequestContext>: RouterMiddleware {
  let token: String
  /// The files' paths below the page's folder.
  let pageFiles: Set<String>

  func handle(
    _ request: Request, context: Context, next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    if !isOpen(request, context) {
      guard let shown = request.headers[.authorization], Self.areEqual(shown, "Bearer \(token)") else {
        throw Problem.unauthorized
      }
    }
    return try await next(request, context)
  }

  private static var openRoutes: Set<String> { ["health", "docs", "openapi.yaml", "openapi.json"] }

  /// By the route that the router has found: a path can be written in many ways.
  private func isOpen(_ request: Request, _ context: Context) -> Bool {
    let path = (context.endpointPath ?? request.uri.path).split(separator: "/").joined(separator: "/")
    if context.endpointPath != nil { return Self.openRoutes.contains(path) }
    return Self.openRoutes.contains(path) || path.isEmpty || pageFiles.contains(path)
  }

  /// Takes the same time wherever they differ.
  private static func areEqual(_ a: String, _ b: String) -> Bool {
    let (a, b) = (Array(a.utf8), Array(b.utf8))
    guard a.count == b.count else { return false }
    return zip(a, b).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
  }
}

/// Gives up requests that take too long. A body may take longer while it keeps coming: a large photo over a slow line is
/// no fault, silence is.
struct Deadline<Context: RequestContext>: RouterMiddleware {
  let time: Duration

  func handle(
    _ request: Request, context: Context, next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    let clock = ArrivalClock(time: time)
    var request = request
    request.body = RequestBody(asyncSequence: ArrivingBody(body: request.body, clock: clock))
    let timed = request
    return try await withoutActuallyEscaping(next) { next in
      nonisolated(unsafe) let next = next
      return try await withThrowingTaskGroup(of: Response.self) { group in
        group.addTask { try await next(timed, context) }
        group.addTask {
          while clock.end > .now { try await Task.sleep(until: clock.end, clock: .continuous) }
          throw Problem.timedOut
        }
        defer { group.cancelAll() }
        return try await group.next()!
      }
    }
  }
}

/// When a request is given up: some time after the last part of its body, which must come at a least rate.
final class ArrivalClock: Sendable {
  /// Bytes a second; a phone far from its mast has ten times as much.
  static let leastRate = 8192.0

  private let time: Duration
  private let start = ContinuousClock.now
  private let state: Mutex<(end: ContinuousClock.Instant, bytes: Int)>

  init(time: Duration) {
    self.time = time
    state = Mutex((start + time, 0))
  }

  var end: ContinuousClock.Instant { state.withLock { $0.end } }

  func arrived(_ bytes: Int) {
    let now = ContinuousClock.now
    state.withLock { state in
      state.bytes += bytes
      let most = start + time + .seconds(Double(state.bytes) / Self.leastRate)
      state.end = max(state.end, min(now + time, most))
    }
  }
}

/// A body that tells a clock of its parts.
private struct ArrivingBody: AsyncSequence, Sendable {
  let body: RequestBody
  let clock: ArrivalClock

  struct AsyncIterator: AsyncIteratorProtocol {
    var iterator: RequestBody.AsyncIterator
    let clock: ArrivalClock

    mutating func next() async throws -> ByteBuffer? {
      let part = try await iterator.next()
      if let part { clock.arrived(part.readableBytes) }
      return part
    }
  }

  func makeAsyncIterator() -> AsyncIterator { AsyncIterator(iterator: body.makeAsyncIterator(), clock: clock) }
}

/// Lets only plain paths reach the files of the page, and whole files only.
struct PlainPaths<Context: RequestContext>: RouterMiddleware {
  func handle(
    _ request: Request, context: Context, next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    let isPlain = request.uri.path.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "."), UInt8(ascii: "-"),
        UInt8(ascii: "_"):
        true
      default: false
      }
    }
    guard isPlain, !request.uri.path.contains("/.") else { throw Problem.notFound }
    var head = request.head
    head.headerFields[.range] = nil
    return try await next(Request(head: head, body: request.body), context)
  }
}

/// Closes connections on which nothing has come or gone for a while: a client that does not read its answer would
/// otherwise hold one for ever.
final class CloseWhenIdle: ChannelInboundHandler, RemovableChannelHandler, Sendable {
  typealias InboundIn = Any

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if event is IdleStateHandler.IdleStateEvent {
      context.close(promise: nil)
    } else {
      context.fireUserInboundEventTriggered(event)
    }
  }
}

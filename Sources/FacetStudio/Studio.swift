import Facet
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOPosix

/// The studio: a page that edits faces live, and the HTTP service behind it, which other programs can call.
///
/// Photos and faces are kept in memory alone, within bounds; nothing is written, and nothing leaves the machine.
public struct Studio: Sendable {
  private let configuration: StudioConfiguration
  private let workshop: Workshop
  private let languages: StudioLanguages
  private let metrics = Metrics()

  /// Loads the model and the texts.
  /// - Throws: ``StudioError`` for a configuration that is not safe or texts that are damaged, `BundleError` for a model that cannot
  ///   be read.
  public init(_ configuration: StudioConfiguration = .init()) throws {
    try configuration.check()
    self.configuration = configuration
    languages = try StudioLanguages(in: Self.page.appendingPathComponent("texts"))
    workshop = try Workshop(configuration, metrics: metrics)
  }

  /// Serves until the task is cancelled, or the process is asked to end by SIGTERM or SIGINT; requests that have come
  /// are still answered then.
  /// - Parameter onRunning: called once with the page's address.
  /// - Throws: ``StudioError`` where the address is taken, or none of this machine.
  public func run(onRunning: @escaping @Sendable (URL) -> Void = { _ in }) async throws {
    var logger = Logger(label: "studio") { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = .warning
    let connections = Connections(configuration.limits)
    let requestTime = configuration.limits.requestTime
    // As long again for the answer to be read.
    let exchangeTime = TimeAmount(requestTime) * 2
    let studio = responder(logger)
    let application = Application(
      responder: CallbackResponder<BasicRequestContext> { request, context in
        try await studio.respond(to: request, context: StudioContext(source: .init(logger: context.logger)))
      },
      server: .http1(
        configuration: .init(
          additionalChannelHandlers: [
            IdleStateHandler(allTimeout: .seconds(Int64(requestTime.seconds.rounded(.up)) + 15)), CloseWhenIdle(),
            ConnectionGuard(connections, exchangeTime: exchangeTime),
          ],
          httpDecoderConfiguration: .init(
            maxHeaderFieldSize: 8192, maxHeaderListSize: 16384, maxHeaderFieldCount: 64))),
      configuration: .init(
        address: .hostname(configuration.address, port: configuration.port)),
      onServerRunning: { [configuration, logger] channel in
        try? await channel.pipeline.addHandler(AcceptPause(logger), position: .first).get()
        let host = configuration.address.contains(":") ? "[\(configuration.address)]" : configuration.address
        let port = channel.localAddress?.port ?? configuration.port
        onRunning(URL(string: "http://\(host):\(port)/")!)
      },
      logger: logger)
    do {
      try await application.runService()
    } catch let error as IOError where error.errnoCode == EADDRINUSE {
      throw StudioError(description: "\(configuration.address):\(configuration.port) is taken: take another port")
    } catch let error as IOError {
      let reason = String(cString: strerror(error.errnoCode))
      throw StudioError(description: "\(configuration.address):\(configuration.port) cannot be served: \(reason)")
    } catch is SocketAddressError {
      throw StudioError(description: "'\(configuration.address)' is no address of this machine: give one, such as 127.0.0.1")
    }
  }

  /// Answers below the path of a group of another application's router, which has its own page, API and photos there:
  /// `studio.addRoutes(to: router.group("studio"))`.
  ///
  /// Limits of requests and photos are the configuration's. Its address and port are not used, and those limits that
  /// concern connections are the application's to keep. Names by which browsers know the server belong into
  /// ``StudioConfiguration/hosts``.
  public func addRoutes<Context: RequestContext>(to group: some RouterMethods<Context>) {
    let studio = responder(Logger(label: "studio"))
    for method in [HTTPRequest.Method.get, .head, .post, .put, .patch, .delete, .options] {
      for path: RouterPath in ["", "**"] {
        group.on(path, method: method) { request, context -> Response in
          let (prefix, rest) = Self.split(request.uri.path, below: context.endpointPath ?? "")
          let query = request.uri.query.map { "?\($0)" } ?? ""
          guard rest.hasPrefix("/") else {
            // The page's addresses are relative to its folder.
            return .redirect(to: "\(prefix)/\(query)", type: .permanent)
          }
          var head = request.head
          head.path = rest + query
          var response = try await studio.respond(
            to: Request(head: head, body: request.body), context: StudioContext(source: .init(logger: context.logger)))
          if let place = response.headers[.location], place.hasPrefix("/") { response.headers[.location] = prefix + place }
          return response
        }
      }
    }
  }

  /// A path cut behind as many parts as the route before its wildcard has.
  static func split(_ path: String, below route: String) -> (prefix: String, rest: String) {
    var rest = path[...]
    for part in route.split(separator: "/") where part != "**" {
      rest = rest.drop { $0 == "/" }.drop { $0 != "/" }
    }
    return (String(path[..<rest.startIndex]), String(rest))
  }

  /// What answers requests, with photos of its own.
  private func responder(_ logger: Logger) -> some HTTPResponder<StudioContext> {
    let store = PhotoStore(configuration.limits)
    // Photos that nobody comes back for are forgotten, too.
    Task { [weak store] in
      while true {
        try? await Task.sleep(for: .seconds(15))
        guard let store else { return }
        await store.removeExpired()
      }
    }
    let router = Router(context: StudioContext.self)
    router.add(middleware: Frame(metrics: metrics))
    router.add(middleware: SiteGuard(hosts: configuration.hosts, allowedOrigin: configuration.allowedOrigin))
    if let token = configuration.token {
      router.add(middleware: TokenGuard(token: token, pageFiles: Self.pageFiles))
    }
    router.add(middleware: Deadline(time: configuration.limits.requestTime))
    router.add(middleware: PlainPaths())
    router.add(middleware: Gzip(folder: Self.page))
    router.add(
      middleware: FileMiddleware(
        Self.page.path, cacheControl: .init([]), searchForIndexHtml: true, logger: logger
      ).withAdditionalMediaTypes(forFileExtensions: [
        "yaml": MediaType(type: .application, subType: "yaml"), "webmanifest": .applicationJson,
      ]))
    Routes(
      configuration: configuration, workshop: workshop, store: store, admission: Admission(configuration.limits),
      metrics: metrics, languages: languages
    ).add(to: router)
    return router.buildResponder()
  }

  /// Paths below the page's folder.
  private static var pageFiles: Set<String> {
    Set(FileManager.default.enumerator(atPath: page.path)?.compactMap { $0 as? String } ?? [])
  }

  private static var page: URL { Bundle.module.resourceURL!.appendingPathComponent("Page") }
}

/// What a request is answered with, whichever application it came to.
struct StudioContext: RequestContext {
  struct Source: RequestContextSource {
    let logger: Logger
  }

  var coreContext: CoreRequestContextStorage

  init(source: Source) { coreContext = .init(source: source) }
}

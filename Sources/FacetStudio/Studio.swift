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
  private let metrics = Metrics()

  /// Loads the model.
  /// - Throws: ``StudioError`` for a configuration that is not safe, `BundleError` for a model that cannot be read.
  public init(_ configuration: StudioConfiguration = .init()) throws {
    if !configuration.isLocal && configuration.token == nil {
      throw StudioError(
        description: "\(configuration.address) can be reached from other machines: set a token (--token-file)")
    }
    if let token = configuration.token?.utf8, token.count < 16 || !token.allSatisfy({ (0x21...0x7E).contains($0) }) {
      throw StudioError(description: "the token must have at least 16 letters, digits or signs, and no spaces")
    }
    if let origin = configuration.allowedOrigin, origin.wholeMatch(of: /https?:\/\/[^\/\s*@?#]+/) == nil {
      throw StudioError(description: "--allow-origin: give one origin, such as https://example.org, not '\(origin)'")
    }
    self.configuration = configuration
    workshop = try Workshop(configuration, metrics: metrics)
  }

  /// Serves until the task is cancelled, or the process is asked to end by SIGTERM or SIGINT; requests that have come
  /// are still answered then.
  /// - Parameter onRunning: called once with the page's address.
  /// - Throws: ``StudioError`` where the address is taken, or none of this machine.
  public func run(onRunning: @escaping @Sendable (URL) -> Void = { _ in }) async throws {
    var logger = Logger(label: "studio") { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = .warning
    let store = PhotoStore(configuration.limits)
    let connections = Connections(configuration.limits)
    let requestTime = configuration.limits.requestTime
    // As long again for the answer to be read.
    let exchangeTime = TimeAmount(requestTime) * 2
    let application = Application(
      router: router(store, logger),
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
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await application.runService() }
        // Photos that nobody comes back for are forgotten, too.
        group.addTask {
          while true {
            try await Task.sleep(for: .seconds(15))
            await store.removeExpired()
          }
        }
        defer { group.cancelAll() }
        try await group.next()
      }
    } catch let error as IOError where error.errnoCode == EADDRINUSE {
      throw StudioError(description: "\(configuration.address):\(configuration.port) is taken: take another port")
    } catch let error as IOError {
      let reason = String(cString: strerror(error.errnoCode))
      throw StudioError(description: "\(configuration.address):\(configuration.port) cannot be served: \(reason)")
    } catch is SocketAddressError {
      throw StudioError(description: "'\(configuration.address)' is no address of this machine: give one, such as 127.0.0.1")
    }
  }

  private func router(_ store: PhotoStore, _ logger: Logger) -> Router<BasicRequestContext> {
    let router = Router()
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
      metrics: metrics, languages: StudioLanguage.all(in: Self.page.appendingPathComponent("texts"))
    ).add(to: router)
    return router
  }

  /// Paths below the page's folder.
  private static var pageFiles: Set<String> {
    Set(FileManager.default.enumerator(atPath: page.path)?.compactMap { $0 as? String } ?? [])
  }

  private static var page: URL { Bundle.module.resourceURL!.appendingPathComponent("Page") }
}

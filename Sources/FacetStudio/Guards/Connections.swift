import Foundation
import HTTPTypes
import Logging
import NIOCore
import NIOHTTPTypes
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// The connections that are open, within bounds: so many in all, and so many of one client.
///
/// Where there is no room for another, the connection goes that has kept the server waiting longest: without a request,
/// with half of one, or with an answer that it does not read. One whose request is worked on stays.
final class Connections: Sendable {
  /// Told to a connection that goes for another.
  struct Displaced: Sendable {}

  private struct Open {
    let channel: any Channel
    let client: Client
    /// Since when it is the client's turn; nil while it is the server's.
    var waitingSince: NIODeadline?
  }

  /// Who has one IPv6 address has a network of them: its first half counts.
  private enum Client: Hashable {
    case address(String)
    case network([UInt8])

    init(_ address: SocketAddress?) {
      let text = address?.ipAddress ?? ""
      // An IPv4 address as an IPv6 socket sees it is written with dots.
      if case .v6(let address)? = address, !text.contains(".") {
        self = .network(withUnsafeBytes(of: address.address.sin6_addr) { Array($0.prefix(8)) })
      } else {
        self = .address(text)
      }
    }
  }

  private let limit: Int
  private let clientLimit: Int
  private let open = Mutex<[ObjectIdentifier: Open]>([:])

  init(_ limits: StudioLimits) {
    (limit, clientLimit) = (limits.connections, limits.connectionsPerClient)
  }

  var count: Int { open.withLock { $0.count } }

  /// Takes a connection in.
  /// - Returns: false where there is no room and no connection that may go.
  func add(_ channel: any Channel) -> Bool {
    let (id, client) = (ObjectIdentifier(channel), Client(channel.remoteAddress))
    let (isTaken, displaced) = open.withLock { open -> (Bool, (any Channel)?) in
      let counts = open.values.reduce(into: [Client: Int]()) { $0[$1.client, default: 0] += 1 }
      let isOverShare = counts[client, default: 0] >= clientLimit
      var displaced: (any Channel)?
      if isOverShare || open.count >= limit {
        let oldest = open.filter { $0.value.waitingSince != nil && (!isOverShare || $0.value.client == client) }
          .min { first, second in
            // The client that has most gives first.
            let (one, other) = (counts[first.value.client]!, counts[second.value.client]!)
            return one != other ? one > other : first.value.waitingSince! < second.value.waitingSince!
          }
        guard let oldest else { return (false, nil) }
        displaced = open.removeValue(forKey: oldest.key)?.channel
      }
      open[id] = Open(channel: channel, client: client, waitingSince: .now())
      return (true, displaced)
    }
    // By a guard's own way, which waits for no answer that is on its way.
    displaced?.pipeline.fireUserInboundEventTriggered(Displaced())
    displaced?.close(promise: nil)
    if isTaken { channel.closeFuture.whenComplete { [self] _ in open.withLock { _ = $0.removeValue(forKey: id) } } }
    return isTaken
  }

  /// Tells whose turn it is on a connection.
  func setWaiting(_ channel: any Channel, _ isWaiting: Bool) {
    open.withLock { $0[ObjectIdentifier(channel)]?.waitingSince = isWaiting ? .now() : nil }
  }
}

/// Keeps a connection to its bounds: it ends where its client does not go on, and after an answer that came before the
/// whole request.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPRequestPart
  typealias InboundOut = HTTPRequestPart
  typealias OutboundIn = HTTPResponsePart
  typealias OutboundOut = HTTPResponsePart

  private let connections: Connections
  private let exchangeTime: TimeAmount
  private var isKnown = false
  /// Requests without an answer, and those whose answer has not gone out whole.
  private var (unanswered, present) = (0, 0)
  /// Of the last request.
  private var (bodyIsComing, asksToClose) = (false, false)
  /// The answer that is written is the last one.
  private var isLast = false
  /// The last answer has gone; what still comes is not looked at.
  private var isEnding = false
  private var heldClose: (mode: CloseMode, promise: EventLoopPromise<Void>?)?
  private var timer: Scheduled<Void>?
  /// Since when the exchange goes on, and the bytes of a body that have come in it.
  private var (began, received) = (NIODeadline.now(), 0)

  /// How long a client is given to read its last answer: a socket that is closed over unread bytes takes back what it
  /// has sent.
  private static let lingering = TimeAmount.seconds(2)
  /// How long the rest of a request is waited for once the server is to end.
  private static let grace = TimeAmount.seconds(1)
  /// How often a client that does not read its answer is looked at then; where nothing has gone out since, it goes.
  private static let readingTime = TimeAmount.seconds(3)

  /// - Parameter exchangeTime: from a request's first line to its answer's last byte, beside what a body takes at the
  ///   least rate.
  init(_ connections: Connections, exchangeTime: TimeAmount) {
    (self.connections, self.exchangeTime) = (connections, exchangeTime)
  }

  func handlerAdded(context: ChannelHandlerContext) {
    if context.channel.isActive { begin(context) }
  }

  func channelActive(context: ChannelHandlerContext) {
    context.fireChannelActive()
    begin(context)
  }

  private func begin(_ context: ChannelHandlerContext) {
    if isKnown { return }
    isKnown = true
    if !connections.add(context.channel) { context.close(promise: nil) }
  }

  func channelInactive(context: ChannelHandlerContext) {
    timer?.cancel()
    context.fireChannelInactive()
  }

  // MARK: Requests

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    if isEnding { return }
    switch unwrapInboundIn(data) {
    case .head(let head):
      (unanswered, present) = (unanswered + 1, present + 1)
      (bodyIsComing, asksToClose) = (true, head.headerFields[.connection]?.lowercased() == "close")
      if timer == nil { startTimer(context) }
    case .body(let part):
      received += part.readableBytes
    case .end:
      bodyIsComing = false
      connections.setWaiting(context.channel, waits(context))
    }
    context.fireChannelRead(data)
  }

  /// Whether the next step is the client's: to send the rest of its request, or to read its answers.
  private func waits(_ context: ChannelHandlerContext) -> Bool {
    !context.channel.isWritable || unanswered == 0 || (unanswered == 1 && bodyIsComing)
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    // Requests that come one behind the other are worked on no further while nobody reads.
    if unanswered > 0 { connections.setWaiting(context.channel, waits(context)) }
    context.fireChannelWritabilityChanged()
  }

  private func startTimer(_ context: ChannelHandlerContext) {
    timer?.cancel()
    (began, received) = (.now(), 0)
    close(context, at: began + exchangeTime)
  }

  /// Closes the connection at a time, or later where a body has come since.
  private func close(_ context: ChannelHandlerContext, at time: NIODeadline) {
    timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: time) {
      let bodyTime = TimeAmount(.seconds(Double(self.received) / ArrivalClock.leastRate))
      let end = self.began + self.exchangeTime + bodyTime
      if end > .now() { self.close(context, at: end) } else { context.close(promise: nil) }
    }
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    switch event {
    case is ChannelShouldQuiesceEvent:
      // Half a request would hold the server's end up for as long as its client likes.
      context.eventLoop.assumeIsolated().scheduleTask(in: Self.grace) {
        if self.bodyIsComing { context.close(promise: nil) }
      }
      closeUnread(context)
    case is Connections.Displaced:
      context.close(promise: nil)
    case ChannelEvent.inputClosed where isEnding:
      context.close(promise: nil)
    default:
      break
    }
    context.fireUserInboundEventTriggered(event)
  }

  /// So would answers that it does not read. One that it reads slowly goes out whole.
  private func closeUnread(_ context: ChannelHandlerContext, unsent before: Int? = nil) {
    context.eventLoop.assumeIsolated().scheduleTask(in: Self.readingTime) {
      guard context.channel.isActive else { return }
      let unsent = self.waits(context) ? (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0 : nil
      if let unsent, let before, unsent >= before {
        context.close(promise: nil)
      } else {
        self.closeUnread(context, unsent: unsent)
      }
    }
  }

  // MARK: Answers

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    switch unwrapOutboundIn(data) {
    case .head(var head) where head.status.kind != .informational:
      isLast = unanswered <= 1 && (bodyIsComing || asksToClose) || head.headerFields[.connection] == "close"
      if isLast { head.headerFields[.connection] = "close" }
      context.write(wrapOutboundOut(.head(head)), promise: promise)
    case .end:
      unanswered = max(0, unanswered - 1)
      if unanswered == 0 { connections.setWaiting(context.channel, true) }
      let gone = promise ?? context.eventLoop.makePromise()
      let wasLast = isLast
      gone.futureResult.assumeIsolated().whenComplete { _ in self.answered(context, wasLast) }
      context.write(data, promise: gone)
    default:
      context.write(data, promise: promise)
    }
  }

  private func answered(_ context: ChannelHandlerContext, _ wasLast: Bool) {
    present = max(0, present - 1)
    timer?.cancel()
    timer = nil
    if let (mode, promise) = heldClose {
      context.close(mode: mode, promise: promise)
    } else if wasLast {
      isEnding = true
      context.close(mode: .output, promise: nil)
      timer = context.eventLoop.assumeIsolated().scheduleTask(in: Self.lingering) { context.close(promise: nil) }
    } else if present > 0 {
      startTimer(context)
    }
  }

  /// Whoever closes the connection waits for an answer that is on its way.
  func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
    guard mode == .all, present > unanswered, heldClose == nil else {
      return context.close(mode: mode, promise: promise)
    }
    heldClose = (mode, promise)
  }
}

/// Stops taking connections for a moment when the process has no descriptors left: the connection that waits would
/// otherwise be tried again at once, without end.
final class AcceptPause: ChannelInboundHandler, Sendable {
  typealias InboundIn = any Channel

  private let logger: Logger
  private let lastWarning = Mutex<NIODeadline?>(nil)

  init(_ logger: Logger) { self.logger = logger }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard let error = error as? IOError, [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error.errnoCode) else {
      return context.fireErrorCaught(error)
    }
    let isNews = lastWarning.withLock { last in
      if let last, .now() - last < .minutes(1) { return false }
      last = .now()
      return true
    }
    if isNews {
      logger.warning("connections wait: \(String(cString: strerror(error.errnoCode))) (ulimit -n says how many)")
    }
    let channel = context.channel
    channel.setOption(.autoRead, value: false).whenComplete { _ in
      channel.eventLoop.scheduleTask(in: .milliseconds(250)) { _ = channel.setOption(.autoRead, value: true) }
    }
  }
}

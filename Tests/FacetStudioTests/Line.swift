import Foundation
import FoundationNetworking
import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded

#if canImport(Glibc)
  import Glibc
#endif

@testable import FacetStudio

/// A TCP connection that is written to by hand, open as long as this lives.
final class Line: @unchecked Sendable {
  private let descriptor: Int32

  convenience init(to server: Server) throws { try self.init(to: server.url) }

  init(to url: URL) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(url.port!).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let status = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard status == 0 else { throw Server.Failure(reason: "no connection: \(String(cString: strerror(errno)))") }
  }

  deinit { close(descriptor) }

  /// What the other side has closed takes nothing more.
  func send(_ text: String) {
    let bytes = Array(text.utf8)
    _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
  }
}

/// A connection of nobody, from an address.
final class EmbeddedConnection {
  let channel = EmbeddedChannel()
  private let isClosed = NIOLockedValueBox(false)

  init(_ address: String) {
    channel.remoteAddress = try! SocketAddress(ipAddress: address, port: 1)
    channel.closeFuture.whenComplete { [isClosed] _ in isClosed.withLockedValue { $0 = true } }
  }

  var isOpen: Bool {
    channel.embeddedEventLoop.run()
    return !isClosed.withLockedValue { $0 }
  }
}

/// The built program as a process of its own.
final class Program: @unchecked Sendable {
  let url: URL
  private let process = Process()
  private let input = Pipe()

  /// - Parameter before: a command of the shell that starts it.
  init(options: [String], before: String = "true") throws {
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = ["-c", "\(before); exec \"$0\" serve --port 0 --threads 1 \"$@\"", Server.program.path] + options
    process.standardOutput = output
    try process.run()
    var line = Data()
    while !line.contains(UInt8(ascii: "\n")), let more = try output.fileHandleForReading.read(upToCount: 1) {
      line += more
    }
    guard let found = String(decoding: line, as: UTF8.self).firstMatch(of: /http:[^ ]+/) else {
      throw Server.Failure(reason: "the server did not start")
    }
    url = URL(string: String(found.0))!
  }

  var isRunning: Bool { process.isRunning }

  func terminate() { process.terminate() }

  func end() { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

  deinit { end() }

  /// What it has used of the processor's time.
  var processorSeconds: Double {
    guard let text = try? String(contentsOfFile: "/proc/\(process.processIdentifier)/stat", encoding: .utf8) else {
      return .infinity
    }
    let fields = text[text.lastIndex(of: ")")!...].split(separator: " ")
    return (Double(fields[12])! + Double(fields[13])!) / Double(sysconf(Int32(_SC_CLK_TCK)))
  }

  func answersHealth(within seconds: Double) async throws -> Bool {
    let end = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < end {
      if let (_, answer) = try? await URLSession.shared.data(from: url.appendingPathComponent("health")),
        (answer as? HTTPURLResponse)?.statusCode == 200
      {
        return true
      }
      try await Task.sleep(for: .milliseconds(200))
    }
    return false
  }
}

import Foundation
import FoundationNetworking
import Synchronization
import Testing

private final class Flag: Sendable {
  private let raised = Mutex(false)
  var isRaised: Bool { raised.withLock { $0 } }
  func raise() { raised.withLock { $0 = true } }
}

/// `facet serve` as a process of its own.
@Suite struct ServeCommandTests {
  private struct Session: Decodable { var id: String }

  private let program: Program

  init() throws { program = try Program() }

  /// Starts a server on a free port and waits for its address.
  private func serve(_ arguments: String...) async throws -> (process: Process, url: URL) {
    let process = Process()
    let output = Pipe()
    process.executableURL = Program.url
    process.arguments = ["serve", "--port", "0", "--threads", "1"] + arguments
    process.standardOutput = output
    try process.run()
    var line = Data()
    while !line.contains(UInt8(ascii: "\n")), let more = try output.fileHandleForReading.read(upToCount: 1) {
      line += more
    }
    let text = String(decoding: line, as: UTF8.self)
    let address = try #require(text.firstMatch(of: /http:\/\/[^ #]+/))
    return (process, URL(string: String(address.0))!)
  }

  @Test func aRequestThatHasComeIsAnsweredBeforeTheEnd() async throws {
    defer { program.remove() }
    let (process, url) = try await serve()
    func post(_ path: String, _ json: String) async throws -> (Data, HTTPURLResponse) {
      var request = URLRequest(url: URL(string: path, relativeTo: url)!)
      request.httpMethod = "POST"
      request.httpBody = Data(json.utf8)
      request.setValue("application/json", forHTTPHeaderField: "Content-Type")
      let (data, response) = try await URLSession.shared.data(for: request)
      return (data, response as! HTTPURLResponse)
    }
    func random(_ seed: Int) async throws -> String {
      let answer: (Data, HTTPURLResponse) = try await post("/api/photos/random", #"{"seed": \#(seed)}"#)
      return try JSONDecoder().decode(Session.self, from: answer.0).id
    }
    let (first, second) = (try await random(1), try await random(2))
    /// Whether the server has a request besides this one.
    func isBusy() async throws -> Bool {
      let metrics = try await URLSession.shared.data(from: URL(string: "/metrics", relativeTo: url)!).0
      return String(decoding: metrics, as: UTF8.self).contains("facet_requests_present 1.0")
    }
    // One morph after the other, for on a busy machine one may be over before it is seen.
    let signalled = Flag()
    async let last = {
      while true {
        let answer = try await post(
          "/api/morph", #"{"from": {"photo": "\#(first)"}, "to": {"photo": "\#(second)"}, "frames": 16, "size": 128}"#)
        if signalled.isRaised { return answer }
      }
    }()
    var polls = 0
    while try await !isBusy() {
      polls += 1
      try #require(polls < 100_000, "no morph was ever seen")
    }
    signalled.raise()
    process.terminate()
    let (animation, response) = try await last
    #expect(response.statusCode == 200 && animation.range(of: Data("ANIM".utf8)) != nil)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0 && process.terminationReason == .exit)
  }

  @Test func whatCannotBeServedIsSaidInOneLine() async throws {
    defer { program.remove() }
    let open = try program.run("serve", "--address", "0.0.0.0", "--port", "0")
    #expect(open.status == 64 && open.errorLines.count == 1 && open.errors.contains("token"))
    let origin = try program.run("serve", "--port", "0", "--allow-origin", "example")
    #expect(origin.status == 64 && origin.errorLines.count == 1 && origin.errors.contains("--allow-origin"))
    let missing = try program.run("serve", "--token-file", program.path("nothing"))
    #expect(missing.status == 1 && missing.errorLines.count == 1 && missing.errors.contains("nothing"))
    #expect(try program.run("serve", "--port", "70000").status == 64)
    let (process, url) = try await serve()
    let taken = try program.run("serve", "--port", "\(url.port!)")
    #expect(taken.status == 1 && taken.errorLines.count == 1 && taken.errors.contains("\(url.port!) is taken"))
    process.terminate()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
  }
}

import Facet
import Foundation
import FoundationNetworking
import Photo
import Synchronization

@testable import FacetStudio

/// A studio on a free port, spoken to by HTTP.
final class Server: Sendable {
  let url: URL
  private let end: @Sendable () -> Void

  struct Failure: Error { let reason: String }

  /// The built program, which lies beside the tests.
  static let program: URL = {
    let beside = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
      .appendingPathComponent("facet")
    let isThere = FileManager.default.isExecutableFile(atPath: beside.path)
    return isThere ? beside : Bundle.main.bundleURL.appendingPathComponent("facet")
  }()

  /// The built program with the usual limits, for all tests that change none. It has its own threads: those of this
  /// process are kept busy by other tests.
  static let shared = Task { try Server(program: ()) }

  private init(program: Void) throws {
    let process = Process()
    // It ends with this process, however that ends: its standard input is closed then.
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = [
      "-c", #""$0" serve --port 0 --threads 1 --photos 100 & cat > /dev/null; kill $!"#, Self.program.path,
    ]
    let (input, output) = (Pipe(), Pipe())
    (process.standardInput, process.standardOutput) = (input, output)
    try process.run()
    var line = Data()
    while !line.contains(UInt8(ascii: "\n")), let more = try output.fileHandleForReading.read(upToCount: 1) {
      line += more
    }
    guard let found = String(decoding: line, as: UTF8.self).firstMatch(of: /http:[^ ]+/) else {
      throw Failure(reason: "the server did not start")
    }
    url = URL(string: String(found.0))!
    end = { try? input.fileHandleForWriting.close() }
  }

  init(_ change: (inout StudioConfiguration) -> Void = { _ in }) async throws {
    var configuration = StudioConfiguration()
    configuration.port = 0
    configuration.threads = 1
    // Other tests keep this process's threads busy.
    configuration.limits.requestTime = .seconds(600)
    change(&configuration)
    let studio = try Studio(configuration)
    let (addresses, continuation) = AsyncStream<URL>.makeStream()
    let task = Task {
      defer { continuation.finish() }
      try await studio.run { continuation.yield($0) }
    }
    var iterator = addresses.makeAsyncIterator()
    guard let url = await iterator.next() else { throw Failure(reason: "the server did not start") }
    self.url = url
    end = { task.cancel() }
  }

  deinit { end() }

  struct Answer {
    var status: Int
    var headers: [String: String]
    var body: Data

    func json<Value: Decodable>(_: Value.Type = Value.self) throws -> Value {
      try JSONDecoder().decode(Value.self, from: body)
    }

    /// The problem's name.
    var problem: String? {
      guard headers["content-type"] == "application/problem+json" else { return nil }
      return (try? json(Problem.self))?.type.replacing("urn:facet:problem:", with: "")
    }

    var picture: Picture { get throws { try Photo(data: body).picture } }
  }

  struct Problem: Decodable {
    var type: String
    var status: Int
    var detail: String
  }

  func send(
    _ method: String, _ path: String, _ body: Data? = nil, headers: [String: String] = [:]
  ) async throws -> Answer {
    var request = URLRequest(url: URL(string: path, relativeTo: url)!)
    request.httpMethod = method
    request.httpBody = body
    request.timeoutInterval = 600
    for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
    let (data, response) = try await Self.session.data(for: request)
    let http = response as! HTTPURLResponse
    let pairs = http.allHeaderFields.map { ("\($0.key)".lowercased(), "\($0.value)") }
    return Answer(status: http.statusCode, headers: Dictionary(pairs) { $1 }, body: data)
  }

  private static let session = URLSession(configuration: .ephemeral)

  func get(_ path: String, headers: [String: String] = [:]) async throws -> Answer {
    try await send("GET", path, headers: headers)
  }

  /// Posts JSON.
  func post(_ path: String, _ json: String, headers: [String: String] = [:]) async throws -> Answer {
    try await send(
      "POST", path, Data(json.utf8), headers: headers.merging(["Content-Type": "application/json"]) { $1 })
  }

  /// What the tests read of a photo.
  struct Session: Decodable {
    struct Face: Decodable {
      var box: [String: Double]
      var outline: [[Double]]
      var attributes: [String: Double]
    }

    var id: String
    var kind: String
    var width: Int
    var height: Int
    var seed: UInt64?
    var faces: [Face]
    var expiresInSeconds: Int

    var path: String { "/api/photos/\(id)" }
  }

  func sample() async throws -> Session {
    let answer = try await send("POST", "/api/photos/sample")
    guard answer.status == 201 else { throw Failure(reason: String(decoding: answer.body, as: UTF8.self)) }
    return try answer.json()
  }

  func random(seed: Int) async throws -> Session {
    try await post("/api/photos/random", #"{"seed": \#(seed)}"#).json()
  }

  /// Sends bytes as they are and returns all that comes back until the server closes, or for some seconds.
  func raw(_ text: String, seconds: Int = 300) async throws -> String {
    // Waiting must not hold one of the few threads that the server runs on.
    try await withCheckedThrowingContinuation { continuation in
      Thread { continuation.resume(with: Result { try self.exchange(text, seconds) }) }.start()
    }
  }

  private func exchange(_ text: String, _ seconds: Int) throws -> String {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(url.port!).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let status = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard status == 0 else { throw Failure(reason: "no connection") }
    var wait = timeval(tv_sec: seconds, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &wait, socklen_t(MemoryLayout<timeval>.size))
    _ = Array(text.utf8).withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    var result: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      if count <= 0 { break }
      result += buffer[0..<count]
    }
    return String(decoding: result, as: UTF8.self)
  }
}

extension Picture {
  /// The mean difference of two pictures' values.
  func difference(from other: Picture) -> Double {
    guard width == other.width, height == other.height else { return .infinity }
    let sum = zip(pixels, other.pixels).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
    return Double(sum) / Double(pixels.count)
  }
}

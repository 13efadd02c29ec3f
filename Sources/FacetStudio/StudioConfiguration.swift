import Facet
import Files
import Foundation

/// How the studio is served, and the limits that it keeps.
public struct StudioConfiguration: Sendable {
  /// The address that is bound. Another than this machine's own needs a ``token``.
  public var address = "127.0.0.1"
  /// 0 takes a free one.
  public var port = 8080
  /// What callers of the API must show, as `Authorization: Bearer TOKEN`; `nil` for nothing.
  public var token: String?
  /// Names that browsers may know the server by, beside `localhost` and addresses of digits, which no other site can
  /// take over.
  public var hosts: [String] = []
  /// The one other origin whose pages may call the API, such as `https://example.org`.
  public var allowedOrigin: String?
  /// The model.
  public var bundle = ModelBundle.defaultURL
  /// Threads of the model on the CPU.
  public var threads = ProcessInfo.processInfo.activeProcessorCount
  /// What is refused.
  public var limits = StudioLimits()

  /// A server of this machine alone, at port 8080.
  public init() {}

  /// Whether only this machine can reach the server.
  var isLocal: Bool { ["127.0.0.1", "::1", "localhost"].contains(address) }

  /// Looks whether it is safe, before anything is loaded.
  package func check() throws(StudioError) {
    if !isLocal && token == nil {
      throw StudioError(description: "\(address) can be reached from other machines: set a token (--token-file)")
    }
    if let token = token?.utf8, token.count < 16 || !token.allSatisfy({ (0x21...0x7E).contains($0) }) {
      throw StudioError(description: "the token must have at least 16 letters, digits or signs, and no spaces")
    }
    if let origin = allowedOrigin, origin.wholeMatch(of: /https?:\/\/[^\/\s*@?#]+/) == nil {
      throw StudioError(description: "--allow-origin: give one origin, such as https://example.org, not '\(origin)'")
    }
  }
}

/// What the studio refuses to go beyond.
public struct StudioLimits: Sendable {
  /// The most bytes of a photo's file.
  public var photoBytes = 50_000_000
  /// The most pixels of a photo, by its header.
  public var photoPixels = 50_000_000
  /// The most pixels of a HEIC or AVIF file that is written: its encoder takes 2 to 4 s a million, and does not stop when it is asked to.
  public var heifPixels = 12_500_000
  /// Photos that are kept at once.
  public var photos = 32
  /// Bytes of memory that kept photos take together.
  public var memory = 2_000_000_000
  /// How long a photo is kept after its last use.
  public var keptFor = Duration.seconds(1800)
  /// A photo that was used within this time is not dropped to make room.
  public var inUse = Duration.seconds(60)
  /// Faces of a photo that are looked at, the largest.
  public var faces = 32
  /// Requests that are worked on or wait; more get 503.
  public var requests = 64
  /// Those among them that hold whole photos: uploads, renders, morphs.
  public var heavyRequests = 8
  /// Connections that are open at once.
  public var connections = 256
  /// Those among them of one client, by its address.
  public var connectionsPerClient = 128
  /// How long a request may take, its body's arrival included.
  public var requestTime = Duration.seconds(60)
  /// Faces that are decoded as one batch; 1 for no batching.
  public var batch = 16

  /// The limits of a studio for a few people.
  public init() {}
}

/// A configuration that the studio cannot be served with.
public struct StudioError: DescribedError, Equatable {
  public let description: String
}

import Facet
import Foundation
import Hummingbird
import Photo

/// A fault as the service tells it: RFC 9457's problem details. It says nothing of the server's insides.
struct Problem: Error, Equatable {
  let name: String
  let status: HTTPResponse.Status
  let title: String
  var detail: String
  var headers = HTTPFields()

  init(_ name: String, _ status: HTTPResponse.Status, _ title: String, _ detail: String, headers: HTTPFields = [:]) {
    (self.name, self.status, self.title, self.detail, self.headers) = (name, status, title, detail, headers)
  }

  static let unknownPhoto = Problem(
    "unknown-photo", .notFound, "Unknown photo", "There is no such photo, or it has expired; send it again.")
  static let superseded = Problem(
    "superseded", .conflict, "Superseded", "A later edit of the same stream has taken this one's place.")
  static let noFace = Problem(
    "no-face", .unprocessableContent, "No face found",
    "No face was found. Take a photo of a face seen from the front, at least 48 pixels wide.")
  static let unclearFace = Problem(
    "no-face", .unprocessableContent, "No face found",
    "The face is seen from the side, or covered too far to be edited. Take a photo of a face seen from the front.")
  private static let tooLittleMemory = busy("There is not enough memory for this photo now.", seconds: 30)
  static let notFound = Problem("not-found", .notFound, "Not found", "There is nothing at this address.")
  static let internalFault = Problem(
    "internal", .internalServerError, "Internal fault", "Something went wrong in the server; its log says more.")
  static let timedOut = Problem(
    "timed-out", .serviceUnavailable, "Timed out", "The request took too long.", headers: [.retryAfter: "5"])
  static let unauthorized = Problem(
    "unauthorized", .unauthorized, "Unauthorized", "This server asks for its token.",
    headers: [.wwwAuthenticate: "Bearer"])
  static let foreignOrigin = Problem(
    "foreign-origin", .forbidden, "Foreign origin", "Pages of other sites may not change anything here.")
  static let foreignHost = Problem(
    "foreign-host", .misdirectedRequest, "Foreign host", "This server is not known by that name.")

  static func busy(_ detail: String, seconds: Int) -> Problem {
    Problem("busy", .serviceUnavailable, "Busy", detail, headers: [.retryAfter: "\(seconds)"])
  }

  static func badRequest(_ detail: String) -> Problem { Problem("bad-request", .badRequest, "Bad request", detail) }

  static func notJSON() -> Problem {
    Problem("not-json", .unsupportedMediaType, "Not JSON", "Send the request as application/json.")
  }

  static func tooLarge(limit: Int) -> Problem {
    Problem("too-large", .contentTooLarge, "Too large", "More than \(limit) bytes are not taken here.")
  }

  static func methodNotAllowed(_ allowed: [HTTPRequest.Method]) -> Problem {
    let list = allowed.map(\.rawValue).sorted().joined(separator: ", ")
    return Problem(
      "method-not-allowed", .methodNotAllowed, "Method not allowed", "This address takes \(list).",
      headers: [.allow: list])
  }

  static func noSuchFace(_ index: Int, of count: Int) -> Problem {
    Problem(
      "no-such-face", .unprocessableContent, "No such face",
      "There is no face \(index); the photo has \(count), from 0.")
  }

  static let notAMask = Problem(
    "not-a-mask", .unprocessableContent, "Not a mask",
    "'protect' is not a picture of at most \(PhotoSession.maskPixels / 1_000_000) million pixels, such as a PNG file, in base64 where it stands in JSON.")

  static func tooManyPixels(for format: Photo.Format, limit: Int) -> Problem {
    Problem(
      "too-many-pixels", .unprocessableContent, "Too many pixels",
      "\(format.rawValue) is written up to \(Double(limit) / 1_000_000) million pixels here. Ask for jpeg, or for a smaller size.")
  }

  static func outside(_ detail: String) -> Problem {
    Problem("outside", .unprocessableContent, "Outside the photo", detail)
  }

  /// Whatever a handler threw.
  init(of error: any Error) {
    switch error {
    case let problem as Problem: self = problem
    case let error as DecodingError: self.init(error)
    case PhotoError.stopped: self = .timedOut
    case PhotoError.tooMuchMemory: self = .tooLittleMemory
    case is CancellationError: self = .timedOut
    case let error as any HTTPResponseError:
      switch error.status.code {
      case 404: self = .notFound
      case 413: self.init("too-large", .contentTooLarge, "Too large", "The body is larger than is taken here.")
      case 400..<500: self.init("bad-request", error.status, "Bad request", "The request cannot be read.")
      default: self = .internalFault
      }
    default: self = .internalFault
    }
  }

  init(_ error: AttributeError) {
    // Where none is near, all are told: too many to read.
    let what = error.suggestions.count > 3 ? "unknown attribute '\(error.attribute)'" : error.description
    self.init("unknown-attribute", .unprocessableContent, "No such edit", Self.sentence(what))
  }

  init(_ error: StyleError) { self.init("unknown-style", .unprocessableContent, "No such style", Self.sentence(error.description)) }

  /// The libraries' own words are for the log: they may tell of versions and paths.
  init(_ error: PhotoError) {
    switch error {
    case .notAPhoto, .unreadable:
      self.init(
        "not-a-photo", .unsupportedMediaType, "Not a photo",
        "This is not a photo that can be read. Take a JPEG, PNG, WebP, TIFF, HEIC or AVIF file.")
    case .tooLarge(_, let width, let height, let limit):
      self.init(
        "too-many-pixels", .contentTooLarge, "Too many pixels",
        "The photo has \(width) × \(height) pixels; \(limit / 1_000_000) million are taken. Reduce it first.")
    case .tooMuchMemory:
      self = .tooLittleMemory
    case .severalPictures(_, let count, let name):
      self.init(
        "several-pictures", .unprocessableContent, "Several pictures",
        "The file has \(count) \(name), and one picture at a time is edited. Save the one that is meant as a file of its own.")
    case .damaged:
      self.init(
        "damaged-photo", .unprocessableContent, "Damaged photo", "The file is truncated or damaged.")
    case .stopped:
      self = .timedOut
    case .unwritable, .unknownFormat, .unknownAnimationFormat, .captionFailed:
      self.init(
        "unwritable", .unprocessableContent, "Cannot be written", "The picture cannot be written in this format.")
    }
  }

  /// What JSON is not as it should be.
  init(_ error: DecodingError) {
    let (context, what): (DecodingError.Context, String) =
      switch error {
      case .keyNotFound(let key, let context): (context, "'\(key.stringValue)' is missing")
      case .typeMismatch(_, let context), .valueNotFound(_, let context): (context, "is of the wrong type")
      case .dataCorrupted(let context): (context, context.debugDescription)
      @unknown default: (.init(codingPath: [], debugDescription: ""), "cannot be read")
      }
    // What Foundation says of broken JSON is of no use to people.
    if context.codingPath.isEmpty, what.hasPrefix("The given data") {
      self = .badRequest("The body is not JSON.")
      return
    }
    var path = ""
    for key in context.codingPath {
      path += key.intValue.map { "[\($0)]" } ?? (path.isEmpty ? key.stringValue : ".\(key.stringValue)")
    }
    self = .badRequest(path.isEmpty ? Self.sentence(what) : "\(path): \(what).")
  }

  private static func sentence(_ text: String) -> String { text.prefix(1).uppercased() + text.dropFirst() + "." }

  private struct Body: Encodable {
    var type: String
    var title: String
    var status: Int
    var detail: String
  }

  var response: Response {
    let body = Body(type: "urn:facet:problem:\(name)", title: title, status: status.code, detail: detail)
    var response = Response.json(body, status: status)
    response.headers.append(contentsOf: headers)
    response.headers[.contentType] = "application/problem+json"
    return response
  }
}

extension Response {
  static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) -> Response {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // What the service says is made of strings and finite numbers.
    let data = (try? encoder.encode(value)) ?? Data("{}".utf8)
    return .bytes(data, type: "application/json", status: status)
  }

  static func bytes(_ data: Data, type: String, status: HTTPResponse.Status = .ok) -> Response {
    Response(
      status: status, headers: [.contentType: type, .cacheControl: "no-store"],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: data)))
  }
}

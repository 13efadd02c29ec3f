import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import Synchronization
import Zlib

/// Sends the page's files compressed to browsers that take that: a third of the bytes. Each is compressed once.
struct Gzip<Context: RequestContext>: RouterMiddleware {
  private let folder: URL
  private let cache = Cache()

  /// - Parameter folder: where the files are that the next handler sends.
  init(folder: URL) { self.folder = folder }

  func handle(
    _ request: Request, context: Context, next: (Request, Context) async throws -> Response
  ) async throws -> Response {
    var response = try await next(request, context)
    guard request.method == .get, response.status == .ok, let etag = response.headers[.eTag],
      let type = response.headers[.contentType], Self.types.contains(where: { type.contains($0) }),
      request.headers[.acceptEncoding]?.contains("gzip") == true
    else { return response }
    let path = request.uri.path == "/" ? "/index.html" : request.uri.path
    guard let bytes = cache.bytes(of: folder.appendingPathComponent(path), etag: etag) else { return response }
    response.body = ResponseBody(byteBuffer: bytes)
    response.headers[.contentEncoding] = "gzip"
    response.headers[.contentLength] = "\(bytes.readableBytes)"
    response.headers[.vary] = "Accept-Encoding"
    return response
  }

  private static var types: [String] { ["javascript", "css", "html", "json", "yaml", "svg"] }

  private final class Cache: Sendable {
    private let known = Mutex<[URL: (etag: String, bytes: ByteBuffer)]>([:])

    func bytes(of file: URL, etag: String) -> ByteBuffer? {
      if let found = known.withLock({ $0[file] }), found.etag == etag { return found.bytes }
      guard let data = try? Data(contentsOf: file), let made = gzip(data) else { return nil }
      let bytes = ByteBuffer(bytes: made)
      known.withLock { $0[file] = (etag, bytes) }
      return bytes
    }
  }
}

/// A file in gzip's format (RFC 1952); nil where zlib has no memory.
private func gzip(_ data: Data) -> [UInt8]? {
  var stream = z_stream()
  // 15 bits of window, and 16 for gzip's own header.
  let status = deflateInit2_(
    &stream, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
    Int32(MemoryLayout<z_stream>.size))
  guard status == Z_OK else { return nil }
  defer { deflateEnd(&stream) }
  var input = [UInt8](data)
  var output = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(input.count))))
  return input.withUnsafeMutableBufferPointer { input in
    output.withUnsafeMutableBufferPointer { output -> [UInt8]? in
      (stream.next_in, stream.avail_in) = (input.baseAddress, UInt32(input.count))
      (stream.next_out, stream.avail_out) = (output.baseAddress, UInt32(output.count))
      guard deflate(&stream, Z_FINISH) == Z_STREAM_END else { return nil }
      return Array(output.prefix(Int(stream.total_out)))
    }
  }
}

import CJPEG
import Foundation

extension Picture {
  /// Files larger than any picture that is decoded here.
  private static let plainBytes = 4 << 20
  /// Larger pictures are decoded on several threads by libvips.
  private static let plainPixels = 1 << 20

  /// Decodes a small JPEG file without profile, orientation or other information, to the pixels that libvips gives but
  /// without its cost of a millisecond a picture: a training set has hundreds of thousands of them.
  /// - Returns: `nil` for every other file, a damaged one included.
  init?(plainJPEG url: URL, pixelLimit: Int) {
    guard let bytes = Self.bytes(of: url.path) else { return nil }
    let picture = bytes.withUnsafeBufferPointer { bytes -> Picture? in
      guard let reader = cj_open(bytes.baseAddress, bytes.count) else { return nil }
      defer { cj_close(reader) }
      let (width, height) = (Int(cj_width(reader)), Int(cj_height(reader)))
      guard width * height <= min(pixelLimit, Self.plainPixels) else { return nil }
      var isWhole = false
      let pixels = [UInt8](unsafeUninitializedCapacity: width * height * 3) { memory, count in
        isWhole = cj_decode(reader, memory.baseAddress)
        count = isWhole ? width * height * 3 : 0
      }
      return isWhole ? Picture(width: width, height: height, channels: 3, pixels: pixels) : nil
    }
    guard let picture else { return nil }
    self = picture
  }

  /// A small regular file that starts as JPEG does.
  private static func bytes(of path: String) -> [UInt8]? {
    // A pipe would block.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
      (4...plainBytes).contains(Int(status.st_size))
    else { return nil }
    let size = Int(status.st_size)
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { memory, count in
      count = max(0, read(descriptor, memory.baseAddress, size))
    }
    return bytes.count == size && bytes.starts(with: [0xFF, 0xD8, 0xFF]) ? bytes : nil
  }
}

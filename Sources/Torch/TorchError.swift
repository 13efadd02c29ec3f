import CLibTorch
import Files

/// A file or folder that could not be read or written. It is the same type in each module that throws it.
public typealias FileError = Files.FileError

/// A failure inside LibTorch, with torch's own message: shapes that don't fit, an unknown operator,
/// no memory, no such device.
public struct TorchError: DescribedError, Equatable {
  /// Torch's own message.
  public let message: String

  /// A failure with its message.
  public init(_ message: String) { self.message = message }

  public var description: String { message }

  /// Turns a status of the C interface into a thrown error.
  static func check(_ status: Int32) throws(TorchError) {
    guard status == 0 else { throw TorchError(String(cString: ct_last_error())) }
  }
}

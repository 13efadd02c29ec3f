import CLibTorch

/// A failure inside LibTorch, with torch's own message: shapes that don't fit, an unknown operator,
/// no memory, no such device.
public struct TorchError: Error, Equatable, CustomStringConvertible {
  public let message: String

  public init(_ message: String) { self.message = message }

  public var description: String { message }

  /// Turns a status of the C interface into a thrown error.
  static func check(_ status: Int32) throws(TorchError) {
    guard status == 0 else { throw TorchError(String(cString: ct_last_error())) }
  }
}

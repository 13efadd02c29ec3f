import Foundation

/// A file or folder that could not be read or written.
public struct FileError: DescribedError, Equatable {
  /// The file or folder.
  public let path: String
  /// What could not be done, as a verb: "read", "write".
  public let operation: String
  /// Why, in the system's words.
  public let reason: String

  /// A fault of a file.
  public init(path: String, operation: String, reason: String) {
    self.path = path
    self.operation = operation
    self.reason = reason
  }

  init(path: String, operation: String, errno code: Int32) {
    self.init(path: path, operation: operation, reason: String(cString: strerror(code)))
  }

  public var description: String { "\(path): cannot \(operation): \(reason)" }
}

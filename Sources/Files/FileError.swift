import Foundation

/// A file or folder that could not be read or written.
public struct FileError: Error, Equatable, CustomStringConvertible {
  public let path: String
  public let operation: String
  public let reason: String

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

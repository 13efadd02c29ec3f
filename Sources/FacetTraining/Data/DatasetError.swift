import Facet
import Files
import Foundation

/// A file or folder that could not be read or written. It is the same type in each module that throws it.
public typealias FileError = Files.FileError

/// A fault in a data set on disk or in its configuration, with the file (and line) at fault.
public struct DatasetError: DescribedError, Hashable, Codable {
  /// What kind of fault it is.
  public enum Kind: String, Codable, Sendable {
    /// A file or folder that the data set needs is not there or cannot be read.
    case missingFile
    /// A list has a line that does not follow the format.
    case malformedList
    /// An attribute was asked for that the data set's list does not name.
    case unknownAttribute
    /// A picture does not decode, or is smaller than the crop window.
    case unreadableImage
    /// A label map has another size than its photo.
    case maskSizeMismatch
    /// More photos are faulty than the configuration tolerates.
    case tooManyFaults
    /// A field of ``DatasetConfiguration`` has a value that cannot be used.
    case invalidConfiguration
  }

  /// The kind of the fault.
  public let kind: Kind
  /// The file or folder at fault; for ``Kind/invalidConfiguration`` the name of the field.
  public let path: String
  /// The line in ``path``, from 1, where the fault has one.
  public let line: Int?
  /// What is wrong and what to do about it.
  public let reason: String

  /// A fault with its place and its text.
  public init(_ kind: Kind, path: String, line: Int? = nil, reason: String) {
    self.kind = kind
    self.path = path
    self.line = line
    self.reason = reason
  }

  public var description: String { "\(path)\(line.map { ":\($0)" } ?? ""): \(reason)" }
}

import Foundation

/// An error whose description is what people are told: the fault, the file or option at fault, and what to do.
public protocol DescribedError: LocalizedError, CustomStringConvertible {}

extension DescribedError {
  /// The description.
  public var errorDescription: String? { description }
}

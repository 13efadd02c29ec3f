import Files

/// A style of an attribute that there is not, or that cannot be drawn.
public struct StyleError: DescribedError, Equatable {
  public let description: String

  init(_ description: String) { self.description = description }

  init(glasses name: String, _ reason: String) { description = "the style of glasses '\(name)' cannot be used: \(reason)" }
}

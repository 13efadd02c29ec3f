/// A style of an attribute that there is not, or that cannot be drawn.
public struct StyleError: Error, Equatable, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }

  init(glasses name: String, _ reason: String) { description = "the style of glasses '\(name)' cannot be used: \(reason)" }
}

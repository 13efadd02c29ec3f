/// An attribute as it is asked for: present, or absent.
public struct AttributeState: Hashable, Codable, Sendable, CustomStringConvertible {
  /// A label's name.
  public var name: String
  /// Whether it is added or taken away.
  public var adds: Bool

  /// An attribute that is added or taken away.
  public init(name: String, adds: Bool) { (self.name, self.adds) = (name, adds) }

  /// Reads `NAME=1`, which adds it, or `NAME=-1`; `nil` for anything else.
  public init?(_ text: String) {
    let parts = text.split(separator: "=", omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty, parts[1] == "1" || parts[1] == "-1" else { return nil }
    self.init(name: String(parts[0]), adds: parts[1] == "1")
  }

  public var description: String { "\(name)=\(adds ? 1 : -1)" }
}

extension AttributeState {
  /// The other way.
  package var reversed: AttributeState { AttributeState(name: name, adds: !adds) }
}

/// An attribute as it is asked for: present, or absent.
public struct AttributeState: Hashable, Codable, Sendable {
  /// A label's name.
  public var name: String
  /// Whether it is added or taken away.
  public var adds: Bool

  public init(name: String, adds: Bool) { (self.name, self.adds) = (name, adds) }
}

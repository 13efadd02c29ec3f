/// An attribute that a bundle cannot change as it was asked to.
public struct AttributeError: Error, Equatable, CustomStringConvertible {
  public let attribute: String
  /// The nearest names where there is no such attribute.
  public let suggestions: [String]
  public let description: String

  package init(unknown attribute: String, known: [String]) {
    self.attribute = attribute
    let near = Spelling.nearest(attribute, among: known)
    suggestions = near.isEmpty ? known : near
    description = "unknown attribute '\(attribute)'; try \(suggestions.joined(separator: ", "))"
  }

  package init(withoutProbes attribute: String) {
    (self.attribute, suggestions) = (attribute, [])
    description = "the bundle cannot tell who has '\(attribute)': its vectors are imported, without photos; "
      + "'facet attributes --data DIR' finds both"
  }

  init(withoutStyles attribute: String, asked style: String) {
    (self.attribute, suggestions) = (attribute, [])
    description = "'\(attribute)' has no style '\(style)'; give a strength"
  }

  init(neverDecoded attribute: String) {
    (self.attribute, suggestions) = (attribute, [])
    description = "'\(attribute)' is drawn, and never decoded; leave out the style of all edits"
  }

  init(asked attribute: String) {
    (self.attribute, suggestions) = (attribute, [])
    description = "'\(attribute)' is to be changed and kept; leave it out of one"
  }

  init(still attribute: String, keeping kept: [String]) {
    (self.attribute, suggestions) = (attribute, [])
    description = "the direction of '\(attribute)' does not change it"
      + (kept.isEmpty ? "" : " with \(kept.joined(separator: ", ")) kept; keep less")
  }
}

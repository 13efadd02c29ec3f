import Files
import Foundation

/// An attribute that a bundle cannot change as it was asked to.
public struct AttributeError: DescribedError, Equatable {
  /// The attribute's name, as it was given.
  public let attribute: String
  /// The nearest names where there is no such attribute.
  public let suggestions: [String]
  /// What is wrong, and what to do.
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

  /// A number that is none, or out of its range.
  init(_ attribute: String, _ name: String, _ value: Double, in range: ClosedRange<Double>) {
    (self.attribute, suggestions) = (attribute, [])
    description = String(
      format: "the %@ of '%@' must be from %g to %g, not %g", name, attribute, range.lowerBound, range.upperBound, value)
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

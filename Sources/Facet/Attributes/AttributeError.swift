/// An attribute that a bundle cannot change as it was asked to.
public struct AttributeError: Error, Equatable, CustomStringConvertible {
  public let attribute: String
  /// The nearest names where there is no such attribute.
  public let suggestions: [String]
  public let description: String

  package init(unknown attribute: String, known: [String]) {
    self.attribute = attribute
    let wanted = attribute.lowercased().prefix(100)
    let near = known.map { (name: $0, distance: editDistance(String(wanted), $0.lowercased())) }
      .filter { $0.distance <= max(2, wanted.count / 3) || $0.name.lowercased().contains(wanted) }
      .sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }
    suggestions = near.isEmpty ? known : near.prefix(3).map(\.name)
    description = "unknown attribute '\(attribute)'; try \(suggestions.joined(separator: ", "))"
  }

  package init(withoutProbes attribute: String) {
    (self.attribute, suggestions) = (attribute, [])
    description = "the bundle cannot tell who has '\(attribute)': its vectors are imported, without photos; "
      + "'facet attributes --data DIR' finds both"
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

/// Levenshtein's distance between two words.
private func editDistance(_ a: String, _ b: String) -> Int {
  let b = Array(b)
  var row = Array(0...b.count)
  for (i, character) in a.enumerated() {
    var diagonal = row[0]
    row[0] = i + 1
    for j in b.indices {
      let substituted = diagonal + (b[j] == character ? 0 : 1)
      diagonal = row[j + 1]
      row[j + 1] = min(substituted, diagonal + 1, row[j] + 1)
    }
  }
  return row[b.count]
}

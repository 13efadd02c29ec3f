/// What somebody may have meant who wrote a name that there is not.
package enum Spelling {
  /// The names that are near a word, the nearest first, at most three: those with few other letters, or that begin alike.
  package static func nearest(_ word: String, among names: [String]) -> [String] {
    let wanted = word.lowercased().prefix(100)
    let near = names.compactMap { name -> (name: String, distance: Int)? in
      let lower = name.lowercased()
      let distance = editDistance(String(wanted), lower)
      let start = zip(wanted, lower).prefix { $0 == $1 }.count
      guard distance <= max(2, wanted.count / 3) || wanted.count > 1 && lower.contains(wanted) || start > 3 else { return nil }
      return (name, distance - start)
    }
    return near.sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }.prefix(3).map(\.name)
  }

  /// Levenshtein's distance between two words.
  private static func editDistance(_ a: String, _ b: String) -> Int {
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
}

extension String {
  /// The text as it can be shown on a terminal wherever it comes from: control characters, and those that change the
  /// direction of writing, as `\u{1B}`; the middle of a long one left out.
  /// - Parameters:
  ///   - length: the most characters.
  ///   - keepsLines: whether ends of lines and tabs stay.
  public func visible(length: Int = 2000, keepsLines: Bool = false) -> String {
    var result = String.UnicodeScalarView()
    for scalar in unicodeScalars {
      let isPlain =
        switch scalar.properties.generalCategory {
        case .control: keepsLines && (scalar == "\n" || scalar == "\t")
        case .lineSeparator, .paragraphSeparator, .surrogate: false
        case .format: !("\u{202A}"..."\u{202E}" ~= scalar || "\u{2066}"..."\u{2069}" ~= scalar)
        default: true
        }
      if isPlain {
        result.append(scalar)
      } else {
        result.append(contentsOf: "\\u{\(String(scalar.value, radix: 16, uppercase: true))}".unicodeScalars)
      }
    }
    let text = String(result)
    guard text.unicodeScalars.count > length else { return text }
    let scalars = text.unicodeScalars
    return String(scalars.prefix(length / 2)) + "…" + String(scalars.suffix(length / 2))
  }
}

import Files

/// A condition on the labels of a photo, such as `No_Beard=-1 & (Blond_Hair | Gray_Hair) & !Young`.
///
///     or  := and ('|' and)*
///     and := not ('&' not)*
///     not := '!' not | '(' or ')' | NAME ('=' ('1' | '-1'))?
///
/// A name by itself means `=1`; letter case does not matter in names.
public struct LabelQuery: Sendable, Equatable, CustomStringConvertible {
  /// The most characters in a query.
  public static let maximumLength = 1000
  /// The most parentheses and exclamation marks inside each other.
  public static let maximumDepth = 50

  public let description: String
  /// Positions of the attributes that the query names, ascending.
  public let attributes: [Int]
  private let root: Node

  /// The labels that it asks for, with their values, −1 or 1, where it asks for all of some; `nil` for any other condition.
  var labels: [(attribute: Int, value: Int8)]? {
    let nodes = if case .all(let nodes) = root { nodes } else { [root] }
    var labels: [(Int, Int8)] = []
    for node in nodes {
      guard case .label(let attribute, let value) = node else { return nil }
      labels.append((attribute, value))
    }
    return labels
  }

  fileprivate indirect enum Node: Sendable, Equatable {
    case label(Int, Int8)
    case not(Node)
    case all([Node])
    case any([Node])
  }

  /// Reads a query.
  /// - Parameters:
  ///   - text: the query.
  ///   - names: the attributes' names, in the order of their labels.
  /// - Throws: ``QueryError`` that points at the character at fault.
  public init(_ text: String, attributes names: [String]) throws(QueryError) {
    var parser = Parser(text, names)
    root = try parser.query()
    description = text
    attributes = parser.named.sorted()
  }

  /// Whether the condition holds for a photo.
  /// - Parameter labels: −1 or 1, one an attribute.
  public func matches(_ labels: ArraySlice<Int8>) -> Bool {
    func holds(_ node: Node) -> Bool {
      switch node {
      case .label(let attribute, let value): labels[labels.startIndex + attribute] == value
      case .not(let node): !holds(node)
      case .all(let nodes): nodes.allSatisfy(holds)
      case .any(let nodes): nodes.contains(where: holds)
      }
    }
    return holds(root)
  }
}

/// A query that cannot be read: what was expected, and where.
public struct QueryError: DescribedError, Equatable {
  /// The query, as it was given.
  public let query: String
  /// The character at fault, from 0; the query's length for its end.
  public let position: Int
  /// What was expected.
  public let reason: String

  /// The reason and, below it, the query with a mark under the character.
  public var description: String {
    let characters = Array(query)
    let start = max(0, position - 60)
    // Anything that moves the terminal's column would move the mark.
    let shown = characters[min(start, characters.count)..<min(characters.count, position + 20)].map { character in
      character.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control && $0 != "\u{2028}" }
        ? character : " "
    }
    let mark = String(repeating: " ", count: position - start) + "^"
    return "query, character \(position + 1): \(reason)\n  \(String(shown))\n  \(mark)"
  }
}

/// A parser by recursive descent.
private struct Parser {
  private let text: String
  private let characters: [Character]
  private let names: [String]
  private var position = 0
  private var depth = 0
  private(set) var named: Set<Int> = []

  init(_ text: String, _ names: [String]) {
    (self.text, self.names) = (text, names)
    characters = Array(text.prefix(LabelQuery.maximumLength + 1))
  }

  private func error(_ reason: String, at position: Int? = nil) -> QueryError {
    QueryError(query: text, position: position ?? self.position, reason: reason)
  }

  mutating func query() throws(QueryError) -> LabelQuery.Node {
    guard characters.count <= LabelQuery.maximumLength else {
      throw error("a query has at most \(LabelQuery.maximumLength) characters", at: LabelQuery.maximumLength)
    }
    let node = try or()
    guard position == characters.count else { throw error("expected '&', '|' or the end") }
    return node
  }

  private mutating func or() throws(QueryError) -> LabelQuery.Node {
    var nodes = [try and()]
    while accept("|") { nodes.append(try and()) }
    return nodes.count == 1 ? nodes[0] : .any(nodes)
  }

  private mutating func and() throws(QueryError) -> LabelQuery.Node {
    var nodes = [try not()]
    while accept("&") { nodes.append(try not()) }
    return nodes.count == 1 ? nodes[0] : .all(nodes)
  }

  private mutating func not() throws(QueryError) -> LabelQuery.Node {
    skipSpace()
    let start = position
    depth += 1
    defer { depth -= 1 }
    guard depth <= LabelQuery.maximumDepth else {
      throw error("at most \(LabelQuery.maximumDepth) parentheses and '!' inside each other")
    }
    if accept("!") { return .not(try not()) }
    if accept("(") {
      let node = try or()
      guard accept(")") else { throw error("expected '&', '|' or ')' for the '(' at character \(start + 1)") }
      return node
    }
    let name = word()
    guard !name.isEmpty else { throw error("expected an attribute, '!' or '('") }
    guard let attribute = names.firstIndex(where: { $0.lowercased() == name.lowercased() }) else {
      let unknown = AttributeError(unknown: name, known: names)
      throw error("no attribute is named '\(name)'; try \(unknown.suggestions.joined(separator: ", "))", at: start)
    }
    named.insert(attribute)
    guard accept("=") else { return .label(attribute, 1) }
    skipSpace()
    let valueStart = position
    switch word() {
    case "1": return .label(attribute, 1)
    case "-1": return .label(attribute, -1)
    default: throw error("expected 1 or -1", at: valueStart)
    }
  }

  private mutating func skipSpace() {
    while position < characters.count, characters[position].isWhitespace { position += 1 }
  }

  /// Passes a character if it comes next, behind white space.
  private mutating func accept(_ character: Character) -> Bool {
    skipSpace()
    guard position < characters.count, characters[position] == character else { return false }
    position += 1
    return true
  }

  /// The characters up to the next white space or sign.
  private mutating func word() -> String {
    let start = position
    while position < characters.count, !characters[position].isWhitespace, !"&|!()=".contains(characters[position]) {
      position += 1
    }
    return String(characters[start..<position])
  }
}

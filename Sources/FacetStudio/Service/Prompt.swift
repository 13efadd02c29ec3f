import Facet
import Foundation

/// A wish in words: `older, glasses, no beard`, read by the attributes' words alone.
struct Prompt {
  /// What an attribute is brought to.
  struct Wish: Equatable {
    var label: String
    var strength: Double
    /// How it is drawn; `nil` for the standard style.
    var style: String?
  }

  static let longest = 300

  private(set) var wishes: [Wish] = []
  /// Words that nothing was made of.
  private(set) var unknown: [String] = []

  /// - Parameters:
  ///   - text: what a person wrote.
  ///   - labels: attributes that there are.
  ///   - languages: that are understood, the text's own first.
  init(_ text: String, labels: [String], languages: [StudioLanguage]) {
    let vocabulary = Vocabulary(labels, languages)
    let grammar = Grammar(languages.map(\.prompt))
    // A comma parts wishes, and words stay together otherwise.
    for clause in Self.fold(text).split(whereSeparator: { ",;.!?+&/\n".contains($0) }) {
      read(clause.split(separator: " ").map(String.init), vocabulary, grammar)
    }
  }

  private mutating func read(_ words: [String], _ vocabulary: Vocabulary, _ grammar: Grammar) {
    var (isNegated, amount) = (false, 1.0)
    var hasWish = false
    var index = 0
    while index < words.count {
      let word = words[index]
      if let (wish, length) = vocabulary.wish(at: index, of: words) {
        let strength = max(-2, min(2, wish.strength * amount * (isNegated ? -1 : 1)))
        // There is no opposite of a colour.
        if strength > 0 || wish.style == nil { add(Wish(label: wish.label, strength: strength, style: wish.style)) }
        (isNegated, amount, hasWish) = (false, 1, true)
        index += length
        continue
      }
      if grammar.separators.contains(word) {
        (isNegated, amount) = (false, 1)
      } else if grammar.negations.contains(word) {
        isNegated.toggle()
      } else if grammar.weak.contains(word) {
        amount = 0.5
      } else if grammar.strong.contains(word) {
        amount = 1.5
      } else if let percent = Self.percent(words[index...]) {
        amount = percent.value
        index += percent.length - 1
      } else if !grammar.fillers.contains(word) {
        unknown.append(word)
      }
      index += 1
    }
    // An amount may follow, too: `beard 50 %`.
    if hasWish && amount != 1 { wishes[wishes.count - 1].strength *= amount }
  }

  /// What is said later counts.
  private mutating func add(_ wish: Wish) {
    wishes.removeAll { $0.label == wish.label }
    wishes.append(wish)
  }

  /// `50%` or `50 %` as 0.5.
  private static func percent(_ words: ArraySlice<String>) -> (value: Double, length: Int)? {
    guard let first = words.first else { return nil }
    if first.hasSuffix("%"), let number = Double(first.dropLast()) { return (number / 100, 1) }
    if words.dropFirst().first == "%", let number = Double(first) { return (number / 100, 2) }
    return nil
  }

  /// Lower case, without accents and hyphens.
  static func fold(_ text: String) -> String {
    text.folding(options: [.caseInsensitive, .diacriticInsensitive, .widthInsensitive], locale: nil)
      .replacing("’", with: "'").replacing("-", with: " ").replacing("_", with: " ")
  }

  private struct Grammar {
    let negations, separators, weak, strong, fillers: Set<String>

    init(_ prompts: [StudioLanguage.Prompt]) {
      func folded(_ words: (StudioLanguage.Prompt) -> [String]) -> Set<String> { Set(prompts.flatMap(words).map(Prompt.fold)) }
      negations = folded(\.negations)
      separators = folded(\.separators)
      weak = folded(\.weak)
      strong = folded(\.strong)
      fillers = folded(\.fillers)
    }
  }

  /// Phrases and what they ask for.
  private struct Vocabulary {
    private var phrases: [String: Wish] = [:]
    private var longest = 1

    init(_ labels: [String], _ languages: [StudioLanguage]) {
      for language in languages {
        for label in labels where !AttributeTable.isOpinion(label) && !AttributeEdit.isHair(label) {
          let words = language.words(label)
          for phrase in [words.more] + words.moreWords { add(phrase, Wish(label: label, strength: 1)) }
          for phrase in [words.less] + words.lessWords { add(phrase, Wish(label: label, strength: -1)) }
        }
      }
      for language in languages {
        for name in HairPalette.names {
          for phrase in language.prompt.hair {
            add(phrase.replacing("{}", with: language.style(name)), Wish(label: HairPalette.attribute, strength: 1, style: name))
          }
        }
      }
    }

    private mutating func add(_ phrase: String, _ wish: Wish) {
      let key = Prompt.fold(phrase).split(separator: " ").joined(separator: " ")
      guard !key.isEmpty, key.contains(where: \.isLetter), phrases[key] == nil else { return }
      phrases[key] = wish
      longest = max(longest, key.split(separator: " ").count)
    }

    /// The longest phrase that begins at a word, with how many words it has.
    func wish(at index: Int, of words: [String]) -> (Wish, Int)? {
      for length in stride(from: min(longest, words.count - index), through: 1, by: -1) {
        if let wish = phrases[words[index..<index + length].joined(separator: " ")] { return (wish, length) }
      }
      return typo(words[index]).map { ($0, 1) }
    }

    /// A word with one letter wrong, where that leaves one meaning.
    private func typo(_ word: String) -> Wish? {
      guard word.count >= 5 else { return nil }
      let near = Set(phrases.filter { Self.areNear($0.key, word) }.values.map { "\($0.label) \($0.strength) \($0.style ?? "")" })
      guard near.count == 1 else { return nil }
      return phrases.first { Self.areNear($0.key, word) }?.value
    }

    /// Whether two words differ by one letter, or by two that changed places.
    private static func areNear(_ a: String, _ b: String) -> Bool {
      let (a, b) = (Array(a), Array(b))
      guard abs(a.count - b.count) <= 1, a != b else { return false }
      let head = zip(a, b).prefix { $0 == $1 }.count
      let tail = zip(a.dropFirst(head).reversed(), b.dropFirst(head).reversed()).prefix { $0 == $1 }.count
      let (restA, restB) = (a.count - head - tail, b.count - head - tail)
      if max(restA, restB) <= 1 { return true }
      return restA == 2 && restB == 2 && a[head] == b[head + 1] && a[head + 1] == b[head]
    }
  }
}

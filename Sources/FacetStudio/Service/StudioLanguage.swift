import Foundation

/// What people call an attribute and its two ends.
struct AttributeWords: Decodable, Sendable {
  /// What the attribute is about: `Age`.
  var title: String
  /// What strength −1 shows: `Older`.
  var less: String
  /// What strength 1 shows: `Younger`.
  var more: String
  /// Other words for strength −1, in lower case.
  var lessWords: [String] = []
  /// Other words for strength 1, in lower case.
  var moreWords: [String] = []
  /// Words that a search finds the attribute by, and that ask for nothing.
  var topics: [String] = []
}

/// The words of one language. `Page/texts/LANGUAGE.json` has them beside those of the page itself.
struct StudioLanguage: Decodable, Sendable {
  /// How people qualify what they ask for.
  struct Prompt: Decodable, Sendable {
    /// Turn what follows around: `no`.
    var negations: [String]
    /// Begin another wish: `and`.
    var separators: [String]
    /// Half as much: `slightly`.
    var weak: [String]
    /// Half as much again: `very`.
    var strong: [String]
    /// Say nothing: `make`.
    var fillers: [String]
    /// Ask for a colour of hair, which stands in place of `{}`: `{} hair`.
    var hair: [String]
  }

  private enum CodingKeys: CodingKey { case attributes, groups, prompt, styles }

  private(set) var code = ""
  /// By label.
  let attributes: [String: AttributeWords]
  /// Titles by name.
  let groups: [String: String]
  let prompt: Prompt
  /// By the names of colours of hair and of glasses.
  let styles: [String: String]

  /// Reads a language's file.
  /// - Throws: ``StudioError`` for one that is damaged.
  init(contentsOf url: URL) throws {
    do {
      self = try JSONDecoder().decode(Self.self, from: Data(contentsOf: url))
    } catch {
      throw StudioError(description: "the texts \(url.path) cannot be read: \(error)")
    }
    code = url.deletingPathExtension().lastPathComponent
  }

  func words(_ label: String) -> AttributeWords {
    attributes[label] ?? AttributeWords(title: Self.words(of: label), less: "−", more: "+")
  }

  /// What people call a style: `round-metal` as `Round metal`.
  func style(_ name: String) -> String { styles[name] ?? Self.words(of: name) }

  func title(ofGroup name: String) -> String { groups[name] ?? Self.words(of: name) }

  /// A name that the file lacks, in words: `Mouth_Slightly_Open` as `Mouth slightly open`.
  private static func words(of name: String) -> String {
    let words = name.split { "_-".contains($0) }.joined(separator: " ").lowercased()
    return words.prefix(1).uppercased() + words.dropFirst()
  }
}

/// The languages of the studio.
struct StudioLanguages: Sendable {
  /// By code.
  let all: [String: StudioLanguage]
  /// The language of callers that ask for none.
  let standard: StudioLanguage

  /// Reads the languages, a file each.
  /// - Throws: ``StudioError`` for a damaged file.
  init(in folder: URL) throws {
    let files = (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
    let languages = try files.filter { $0.pathExtension == "json" }.map(StudioLanguage.init(contentsOf:))
    all = Dictionary(uniqueKeysWithValues: languages.map { ($0.code, $0) })
    standard = try all["en"] ?? StudioLanguage(contentsOf: folder.appendingPathComponent("en.json"))
  }

  /// The languages of a prompt: its own and, as people mix them, the standard one.
  func understood(in language: StudioLanguage) -> [StudioLanguage] {
    language.code == standard.code ? [language] : [language, standard]
  }
}

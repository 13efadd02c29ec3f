import Facet
import Foundation
import Testing

@testable import FacetStudio

/// Wishes in words.
@Suite struct PromptTests {
  private static let labels = AttributeTable.all.map(\.name)
  private static let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Sources/FacetStudio/Page")
  private let languages: StudioLanguages

  init() throws { languages = try StudioLanguages(in: Self.page.appendingPathComponent("texts")) }

  private func prompt(_ text: String, _ code: String) throws -> Prompt {
    Prompt(text, labels: Self.labels, languages: languages.understood(in: try #require(languages.all[code])))
  }

  private func read(_ text: String, _ code: String = "en") throws -> (wishes: [String: Double], unknown: [String]) {
    let prompt = try prompt(text, code)
    return (Dictionary(uniqueKeysWithValues: prompt.wishes.map { ($0.label, $0.strength) }), prompt.unknown)
  }

  @Test(arguments: [
    ("older, glasses, no beard", ["Young": -1, "Eyeglasses": 1, "No_Beard": 1]),
    ("make her smile and a bit younger", ["Smiling": 1, "Young": 0.5]),
    ("Without glasses; very old!", ["Eyeglasses": -1, "Young": -1.5]),
    ("beard 50 %, no wrinkles", ["No_Beard": -0.5, "Young": 1]),
    ("dark hair with bangs", ["Black_Hair": 1, "Bangs": 1]),
    ("glases and a moustach", ["Eyeglasses": 1, "Mustache": 1]),
    ("older, younger", ["Young": 1]),
    ("not smiling", ["Smiling": -1]),
    ("300% smile", ["Smiling": 2]),
    ("", [:]),
  ]) func wordsBecomeEdits(_ text: String, _ wanted: [String: Double]) throws {
    let found = try read(text)
    #expect(found.wishes == wanted)
    #expect(found.unknown == [])
  }

  @Test func whatIsNotUnderstoodIsSaid() throws {
    let found = try read("purple glasses, attractive")
    #expect(found.wishes == ["Eyeglasses": 1])
    #expect(found.unknown == ["purple", "attractive"])
  }

  @Test func coloursOfHairAreUnderstood() throws {
    for (text, language, style) in [("pink hair", "en", "pink"), ("very dark-brown hair", "en", "dark-brown"), ("pelo caoba", "es", "auburn")] {
      let wishes = try prompt(text, language).wishes
      #expect(wishes.map(\.label) == ["Hair"] && wishes.map(\.style) == [style], "\(text)")
    }
    // There is no opposite of pink.
    #expect(try read("no pink hair").wishes == [:])
  }

  @Test func spanishIsUnderstoodToo() throws {
    #expect(try read("mayor, gafas, sin barba", "es").wishes == ["Young": -1, "Eyeglasses": 1, "No_Beard": 1])
    #expect(try read("un poco más joven y older", "es").wishes == ["Young": -1])
  }

  /// Each language has words for all that the studio offers, and for nothing else.
  @Test func everyLanguageHasAllWords() throws {
    let groups = AttributeTable.groups(of: Self.labels)
    let names = groups.flatMap(\.attributes)
    for language in languages.all.values {
      #expect(Set(language.attributes.keys) == Set(names), "\(language.code)")
      #expect(Set(language.groups.keys) == Set(groups.map(\.name)), "\(language.code)")
      #expect(Set(language.styles.keys) == Set(names.flatMap(AttributeEdit.styles(of:))), "\(language.code)")
      for (label, words) in language.attributes {
        #expect(!words.title.isEmpty && words.less != words.more, "\(label) in \(language.code)")
      }
    }
  }

  /// The page offers the languages that there are, the standard one first.
  @Test func thePageNamesTheLanguages() throws {
    let page = try String(contentsOf: Self.page.appendingPathComponent("index.html"), encoding: .utf8)
    let named = try #require(page.firstMatch(of: /data-languages="([^"]*)"/)).1.split(separator: " ").map(String.init)
    #expect(named.first == languages.standard.code && named.sorted() == languages.all.keys.sorted())
  }

  @Test func aModelsOwnLabelsHaveTheirNamesForWords() throws {
    let words = languages.standard.words("Light_Freckles")
    #expect(words.title == "Light freckles" && words.less == "−" && words.more == "+")
  }

  @Test func damagedTextsAreAFault() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.copyItem(at: Self.page.appendingPathComponent("texts"), to: folder)
    defer { try? FileManager.default.removeItem(at: folder) }
    try Data("{}".utf8).write(to: folder.appendingPathComponent("xx.json"))
    #expect(throws: StudioError.self) { try StudioLanguages(in: folder) }
  }
}

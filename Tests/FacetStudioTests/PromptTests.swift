import Facet
import Foundation
import Testing

@testable import FacetStudio

/// Wishes in words.
@Suite struct PromptTests {
  private static let labels = AttributeRow.all.map(\.label)
  private static let languages = StudioLanguage.all(
    in: URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Sources/FacetStudio/Page/texts"))

  private func read(_ text: String, _ language: String = "en") throws -> (wishes: [String: Double], unknown: [String]) {
    let prompt = Prompt(text, labels: Self.labels, language: try #require(Self.languages[language]))
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
      let wishes = Prompt(text, labels: Self.labels, language: try #require(Self.languages[language])).wishes
      #expect(wishes.map(\.label) == ["Hair"] && wishes.map(\.style) == [style], "\(text)")
    }
    // There is no opposite of pink.
    #expect(try read("no pink hair").wishes == [:])
  }

  @Test func spanishIsUnderstoodToo() throws {
    #expect(try read("mayor, gafas, sin barba", "es").wishes == ["Young": -1, "Eyeglasses": 1, "No_Beard": 1])
    #expect(try read("un poco más joven y older", "es").wishes == ["Young": -1])
  }

  /// Each row has words for both ends in each language, and none twice.
  @Test func everyLabelHasItsWords() throws {
    #expect(Set(Self.labels).count == Self.labels.count)
    for language in Self.languages.values {
      for label in Self.labels where AttributeRow.byLabel[label]?.group != .withheld {
        let words = language.words(label)
        #expect(!words.title.isEmpty && words.less != words.more && words.less != "−", "\(label) in \(language.code)")
      }
    }
    #expect(Self.languages.keys.sorted() == ["en", "es"])
  }
}

import Facet
import Foundation

/// What people call the attributes, in groups, in the order in which they look for them.
///
/// The one table of names in the studio. English stands here; `Page/texts/LANGUAGE.json` has the same words of another
/// language under `attributes`.
struct AttributeWords: Decodable, Sendable {
  /// What the attribute is about: `Age`.
  var title: String
  /// What strength −1 shows: `Older`.
  var less: String
  /// What strength 1 shows: `Younger`.
  var more: String
  /// Other words for strength −1, in lower case.
  var lessWords: [String]
  /// Other words for strength 1, in lower case.
  var moreWords: [String]
  /// Words that a search finds the attribute by, and that ask for nothing.
  var topics: [String]

  init(
    _ title: String, _ less: String, _ more: String, _ lessWords: [String] = [], _ moreWords: [String] = [],
    topics: [String] = []
  ) {
    (self.title, self.less, self.more) = (title, less, more)
    (self.lessWords, self.moreWords, self.topics) = (lessWords, moreWords, topics)
  }

  /// Of a label that the table does not have: `Mouth_Slightly_Open` as `Mouth slightly open`.
  init(label: String) {
    let words = label.split(separator: "_").joined(separator: " ").lowercased()
    self.init(words.prefix(1).uppercased() + words.dropFirst(), "−", "+")
  }
}

/// A label of CelebA for people.
struct AttributeRow: Sendable {
  enum Group: String, CaseIterable, Sendable {
    /// The edits that people recognise at once.
    case lead
    case expression, hair, beard, face, makeup
    case ageAndGender = "age-and-gender"
    /// What often fails.
    case experimental
    /// What the page does not offer: a verdict about looks.
    case withheld

    /// In English.
    var title: String {
      switch self {
      case .lead: "Best"
      case .expression: "Expression"
      case .hair: "Hair"
      case .beard: "Beard"
      case .face: "Face"
      case .makeup: "Make-up"
      case .ageAndGender: "Gender"
      case .experimental: "Experimental"
      case .withheld: ""
      }
    }
  }

  var label: String
  var group: Group
  var words: AttributeWords
  /// Whether the page may show how likely the model finds the attribute: not where that judges a person.
  var isShown = true

  private init(_ label: String, _ group: Group, _ words: AttributeWords, isShown: Bool = true) {
    (self.label, self.group, self.words, self.isShown) = (label, group, words, isShown)
  }

  static let all: [AttributeRow] = [
    .init(
      "Smiling", .lead,
      .init(
        "Smile", "Serious", "Smiling", ["sad", "stern", "neutral", "frown", "grim"],
        ["smile", "happy", "happier", "cheerful", "laugh", "laughing", "grin", "joy"])),
    .init(
      "Eyeglasses", .lead,
      .init(
        "Glasses", "No glasses", "Glasses", ["remove glasses", "take off glasses"],
        ["glasses", "eyeglasses", "spectacles", "specs", "reading glasses", "sunglasses"])),
    .init(
      "Black_Hair", .lead,
      .init(
        "Black hair", "Lighter hair", "Black hair", ["lighter hair"], ["dark hair", "darker hair"], topics: ["hair colour", "hair color"])),
    .init(
      HairPalette.attribute, .lead,
      .init("Hair colour", "As is", "Hair colour", topics: ["hair color", "dye", "tint", "palette"]), isShown: false),
    .init(
      "Heavy_Makeup", .lead,
      .init("Make-up", "No make-up", "Make-up", ["natural"], ["makeup", "make up", "cosmetics", "eyeshadow", "mascara"])),
    .init(
      "Young", .lead,
      .init(
        "Age", "Older", "Younger", ["old", "older", "aged", "elderly", "wrinkles", "wrinkled"],
        ["young", "youthful", "rejuvenate"], topics: ["age", "ageing", "aging"]), isShown: false),

    .init(
      "Mouth_Slightly_Open", .expression,
      .init(
        "Mouth", "Mouth closed", "Mouth open", ["close mouth", "closed mouth", "lips together"],
        ["open mouth", "mouth open", "teeth", "speaking"])),
    .init("High_Cheekbones", .expression, .init("Cheekbones", "Lower cheekbones", "Higher cheekbones", [], ["cheekbones"])),
    .init(
      "Narrow_Eyes", .expression,
      .init("Eyes", "Wide eyes", "Narrow eyes", ["open eyes", "big eyes", "larger eyes"], ["small eyes", "squint"])),

    .init(
      "Bangs", .hair,
      .init("Bangs", "No bangs", "Bangs", ["bare forehead", "hair up"], ["bangs", "fringe"])),
    .init("Blond_Hair", .hair, .init("Blond hair", "Not blond", "Blond hair", [], ["blond", "blonde", "blonde hair", "fair hair"], topics: ["hair colour", "hair color"])),
    .init("Brown_Hair", .hair, .init("Brown hair", "Not brown", "Brown hair", [], ["brunette", "brown-haired"], topics: ["hair colour", "hair color"])),
    .init(
      "Gray_Hair", .hair, .init("Grey hair", "No grey", "Grey hair", ["no gray"], ["gray hair", "white hair", "grey-haired"], topics: ["hair colour", "hair color"])),
    .init("Straight_Hair", .hair, .init("Straight hair", "Less straight", "Straight hair", [], ["smooth hair"])),
    .init(
      "Receding_Hairline", .hair,
      .init("Hairline", "Fuller hairline", "Receding hairline", ["more hair"], ["thin hair", "high forehead"])),

    .init(
      "No_Beard", .beard,
      .init(
        "Beard", "Beard", "Clean-shaven", ["beard", "bearded", "facial hair"],
        ["shaved", "shaven", "shave", "clean shaven", "beardless"])),
    .init("5_o_Clock_Shadow", .beard, .init("Stubble", "No stubble", "Stubble", [], ["five o'clock shadow", "unshaven", "scruff"])),
    .init("Goatee", .beard, .init("Goatee", "No goatee", "Goatee", [], ["chin beard"])),
    .init("Mustache", .beard, .init("Moustache", "No moustache", "Moustache", [], ["mustache"])),
    .init("Sideburns", .beard, .init("Sideburns", "No sideburns", "Sideburns", [], ["whiskers"])),

    .init("Oval_Face", .face, .init("Face shape", "Less oval", "Oval face")),
    .init(
      "Chubby", .face,
      .init("Cheeks", "Slimmer", "Rounder", ["thin", "thinner", "slim", "skinny"], ["chubby", "round", "round cheeks", "fuller face"]),
      isShown: false),
    .init("Double_Chin", .face, .init("Chin", "Firm chin", "Double chin")),
    .init("Big_Nose", .face, .init("Nose size", "Smaller nose", "Larger nose", ["small nose"], ["big nose", "large nose"])),
    .init("Pointy_Nose", .face, .init("Nose tip", "Rounder nose", "Pointed nose", ["round nose"], ["pointy nose"])),
    .init("Big_Lips", .face, .init("Lips", "Thinner lips", "Fuller lips", ["thin lips"], ["full lips", "big lips"])),
    .init("Arched_Eyebrows", .face, .init("Brow shape", "Flatter brows", "Arched brows", [], ["arched eyebrows"], topics: ["eyebrows"])),
    .init(
      "Bushy_Eyebrows", .face,
      .init("Brow thickness", "Thinner brows", "Thicker brows", ["thin eyebrows"], ["bushy eyebrows", "thick eyebrows"], topics: ["eyebrows"])),
    .init(
      "Bags_Under_Eyes", .face,
      .init("Bags under eyes", "Rested eyes", "Tired eyes", ["awake", "fresh", "rested"], ["tired", "bags under the eyes", "eye bags"])),

    .init("Wearing_Lipstick", .makeup, .init("Lipstick", "No lipstick", "Lipstick", [], ["red lips"])),
    .init("Rosy_Cheeks", .makeup, .init("Blush", "Paler cheeks", "Rosy cheeks", [], ["rouge", "blush", "red cheeks"])),

    .init(
      "Male", .ageAndGender,
      .init(
        "Gender", "More feminine", "More masculine", ["woman", "female", "feminine", "girl"],
        ["man", "male", "masculine", "boy"]), isShown: false),

    .init("Wavy_Hair", .experimental, .init("Waves", "Less wavy", "Wavy hair", [], ["curly", "curls", "curly hair", "waves"])),
    .init(
      "Pale_Skin", .experimental,
      .init("Skin tone", "Warmer skin", "Paler skin", ["tan", "tanned", "darker skin"], ["pale", "lighter skin"]),
      isShown: false),
    .init("Bald", .experimental, .init("Bald", "More hair", "Bald", [], ["no hair"])),
    .init("Wearing_Hat", .experimental, .init("Hat", "No hat", "Hat", [], ["cap"])),
    .init("Wearing_Earrings", .experimental, .init("Earrings", "No earrings", "Earrings", [], ["jewellery", "jewelry"])),
    .init("Wearing_Necklace", .experimental, .init("Necklace", "No necklace", "Necklace", [], ["chain"])),
    .init("Wearing_Necktie", .experimental, .init("Necktie", "No necktie", "Necktie", [], ["tie"])),
    .init("Blurry", .experimental, .init("Sharpness", "Sharper", "Blurry", ["sharp"], ["blur", "soft"])),

    .init("Attractive", .withheld, .init("Attractive", "Less attractive", "Attractive"), isShown: false),
  ]

  static let byLabel = Dictionary(uniqueKeysWithValues: all.map { ($0.label, $0) })

  /// Edits that one click gives, shown on the user's own face: an attribute's end each.
  static let looks: [(label: String, strength: Double)] = [
    ("Smiling", 1), ("Smiling", -1), ("Eyeglasses", 1), ("Heavy_Makeup", 1), ("Black_Hair", 1), ("Blond_Hair", 1), ("Young", 1),
  ]
}

/// The words of one language.
struct StudioLanguage: Sendable {
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

    static let english = Prompt(
      negations: ["no", "not", "without", "remove", "less", "off", "isn't", "don't", "dont", "never"],
      separators: ["and", "but", "then", "plus"],
      weak: ["slightly", "bit", "little", "somewhat", "subtle", "subtly"],
      strong: ["very", "much", "lot", "really", "extremely", "strongly", "strong", "way"],
      fillers: [
        "a", "an", "the", "make", "makes", "her", "him", "them", "me", "it", "his", "their", "my", "with", "more", "look",
        "looks", "looking", "wearing", "wear", "wears", "please", "give", "gives", "add", "put", "on", "be", "is", "to",
        "have", "has", "some", "of", "take", "face", "person", "people", "she", "he", "they", "i", "should", "bigger", "big",
      ],
      hair: ["{} hair"])
  }

  private struct File: Decodable {
    var attributes: [String: AttributeWords]
    var styles: [String: String]
    var groups: [String: String]
    var prompt: Prompt
  }

  let code: String
  let prompt: Prompt
  private let attributes: [String: AttributeWords]
  private let styles: [String: String]
  private let groups: [String: String]

  static let english = StudioLanguage(code: "en", prompt: .english, attributes: [:], styles: [:], groups: [:])

  private init(
    code: String, prompt: Prompt, attributes: [String: AttributeWords], styles: [String: String], groups: [String: String]
  ) {
    (self.code, self.prompt, self.attributes, self.styles, self.groups) = (code, prompt, attributes, styles, groups)
  }

  /// Reads a language's file; nil where there is none that is whole.
  private init?(code: String, contentsOf url: URL) {
    guard let data = try? Data(contentsOf: url), let file = try? JSONDecoder().decode(File.self, from: data) else {
      return nil
    }
    self.init(code: code, prompt: file.prompt, attributes: file.attributes, styles: file.styles, groups: file.groups)
  }

  /// All languages, by code: English and one for each file.
  /// - Parameter folder: of the files.
  static func all(in folder: URL) -> [String: StudioLanguage] {
    let files = (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
    var found = ["en": english]
    for file in files where file.pathExtension == "json" {
      let code = file.deletingPathExtension().lastPathComponent
      if code != "en" { found[code] = StudioLanguage(code: code, contentsOf: file) }
    }
    return found
  }

  func words(_ label: String) -> AttributeWords {
    attributes[label] ?? AttributeRow.byLabel[label]?.words ?? AttributeWords(label: label)
  }

  /// What people call a style: `round-metal` as `Round metal`.
  func style(_ name: String) -> String {
    if let own = styles[name] { return own }
    let words = name.replacing("-", with: " ")
    return words.prefix(1).uppercased() + words.dropFirst()
  }

  func title(_ group: AttributeRow.Group) -> String { groups[group.rawValue] ?? group.title }
}

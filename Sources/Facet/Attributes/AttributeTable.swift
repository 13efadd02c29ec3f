/// The way to add or to remove an attribute.
struct Recipe: Sendable {
  /// The strength of an edit.
  struct Amount: Sendable {
    /// 0 changes nothing, 1 is the whole edit.
    var strength: Double
    /// The same times the part that this face needs: who is old already gets fewer lines.
    var needed: Double
    /// Labels that stay.
    var kept: [String]
    /// How the attribute is drawn; `nil` for the standard style.
    var style: String?

    /// The edits, unless a label that they change on the side is to stay.
    func unlessKept(_ label: String, _ edits: [any Edit]) -> [any Edit] { kept.containsName(label) ? [] : edits }
  }

  /// The parts of the photo that stay when the latent step is decoded.
  var policy: DecodePolicy
  /// The part of the face that the decoded step stays within.
  var region: FaceRegion?
  /// The share of the latent step that is decoded; 0 where nothing is.
  var decoded: Double
  /// Whether the decoded step tells where hair grows, and is not composed itself.
  var growsHair = false
  /// Whether the lips come together, as far as the strength says.
  var closesMouth = false
  /// The edits besides.
  var edits: @Sendable (Amount) -> [any Edit]

  static func decoded(
    _ policy: DecodePolicy = [], within region: FaceRegion? = nil, amount: Double = 1,
    and edits: @escaping @Sendable (Amount) -> [any Edit] = { _ in [] }
  ) -> Recipe { Recipe(policy: policy, region: region, decoded: amount, edits: edits) }

  static func closesMouth(_ policy: DecodePolicy) -> Recipe {
    Recipe(policy: policy, decoded: 1, closesMouth: true) { _ in [] }
  }

  /// Hair that grows on the face.
  /// - Parameter policy: for the styles that decode everything.
  static func grown(_ policy: DecodePolicy = .beard, within region: FaceRegion? = nil) -> Recipe {
    Recipe(policy: policy, region: region, decoded: 1, growsHair: true) { _ in [] }
  }

  /// - Parameter policy: for the styles that decode everything.
  static func drawn(_ policy: DecodePolicy = [], _ edits: @escaping @Sendable (Amount) -> [any Edit]) -> Recipe {
    Recipe(policy: policy, decoded: 0, edits: edits)
  }
}

/// An attribute of the table: a label of CelebA, and all that it means.
package struct Attribute: Sendable {
  /// The label's name.
  package let name: String
  let group: AttributeTable.Group
  /// Labels that belong to it by what the words mean: a smile opens the mouth and lifts the cheeks, one hair colour takes the place of
  /// another. An isolated direction leaves them in. With them regressed out of it a smile is a shut mouth that hardly smiles.
  let parts: [String]
  /// Whether it judges the whole face, which every change changes. The studio does not offer it.
  let isOpinion: Bool
  /// Whether its probability would judge a person. The studio does not show it.
  let isVerdict: Bool
  /// Whether a decoder is sharpened at codes that it moves, by default.
  package let isSharpened: Bool
  /// Whether a face has it or not, with nothing between.
  let isBinary: Bool
  let add, remove: Recipe

  init(
    _ name: String, _ group: AttributeTable.Group, parts: [String] = [], isOpinion: Bool = false, isVerdict: Bool = false,
    isSharpened: Bool = false, isBinary: Bool = false, add: Recipe = .decoded(), remove: Recipe? = nil
  ) {
    (self.name, self.group, self.parts, self.isOpinion, self.isVerdict) = (name, group, parts, isOpinion, isVerdict)
    (self.isSharpened, self.isBinary, self.add, self.remove) = (isSharpened, isBinary, add, remove ?? add)
  }
}

/// All that Facet knows of what attributes mean: the one place where a label's name decides anything. Words for people are the
/// studio's texts.
package enum AttributeTable {
  /// The order of the groups is that in which people look for them.
  enum Group: String, Sendable, CaseIterable {
    case expression, hair, beard, face
    /// Glasses, too.
    case makeup
    case ageAndGender = "age-and-gender"
    /// Attributes that often fail: hats come as shadows, and hair that goes leaves no head.
    case experimental
  }

  private static let hairColours = ["Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"]
  private static let facialHair = ["5_o_Clock_Shadow", "Goatee", "Mustache", "No_Beard", "Sideburns"]
  private static let makeup = ["Heavy_Makeup", "Rosy_Cheeks", "Wearing_Lipstick"]

  /// The rows, in the order in which people look for them.
  package static let all: [Attribute] = [
    Attribute(
      "Smiling", .expression, parts: ["High_Cheekbones", "Mouth_Slightly_Open", "Narrow_Eyes"], isSharpened: true,
      add: .decoded(.expression) { _ in [Teeth()] },
      remove: .closesMouth(.rest)),
    Attribute(
      "Mouth_Slightly_Open", .expression, isSharpened: true, add: .decoded(.expression) { _ in [Teeth()] },
      remove: .closesMouth(.rest)),
    Attribute("High_Cheekbones", .expression, add: .decoded(.shape)),
    Attribute("Narrow_Eyes", .expression, isSharpened: true, add: .decoded(.shape)),

    Attribute(
      "Bangs", .hair, parts: ["Receding_Hairline"], isSharpened: true, add: .drawn { [Bangs(length: $0.strength)] },
      remove: .decoded(.keepsSkinTone)),
    hairColour("Blond_Hair"),
    hairColour("Brown_Hair"),
    hairColour("Black_Hair"),
    hairColour("Gray_Hair", parts: ["Young"], byStrands: true),
    Attribute("Straight_Hair", .hair, parts: ["Wavy_Hair"]),
    Attribute("Wavy_Hair", .experimental, parts: ["Straight_Hair"]),
    Attribute(
      "Receding_Hairline", .hair, parts: ["Bald", "Bangs"], add: .decoded(.keepsSkinTone), remove: .decoded()),
    Attribute("No_Beard", .beard, parts: facialHair, isSharpened: true, add: .decoded(.beard), remove: .grown()),
    Attribute("5_o_Clock_Shadow", .beard, parts: facialHair, add: .grown(), remove: .decoded(.beard)),
    Attribute("Goatee", .beard, parts: facialHair, add: .grown(), remove: .decoded(.beard)),
    // A moustache is no beard on the chin or beside the ears.
    Attribute(
      "Mustache", .beard, parts: ["5_o_Clock_Shadow", "No_Beard"], isSharpened: true, add: .grown(within: .upperLip),
      remove: .decoded(.beard, within: .upperLip)),
    Attribute(
      "Sideburns", .beard, parts: facialHair, add: .grown(.keepsNoseAndMouth, within: .besideEars),
      remove: .decoded(.keepsNoseAndMouth, within: .besideEars)),

    Attribute("Attractive", .face, isOpinion: true),
    Attribute("Oval_Face", .face, add: .decoded(.shape)),
    Attribute("Chubby", .face, isVerdict: true, add: .decoded(.shape)),
    Attribute("Double_Chin", .face, add: .decoded(.shape)),
    Attribute("Big_Nose", .face, add: .decoded(.shape)),
    Attribute("Pointy_Nose", .face, add: .decoded(.shape)),
    Attribute("Big_Lips", .face, add: .decoded(.shape)),
    Attribute("Arched_Eyebrows", .face, add: .decoded(.face)),
    Attribute("Bushy_Eyebrows", .face, add: .decoded(.face)),
    Attribute("Bags_Under_Eyes", .face, add: .decoded(.face, within: .underEyes)),
    Attribute(
      "Pale_Skin", .experimental, parts: ["Rosy_Cheeks"], isVerdict: true, isSharpened: true,
      add: .drawn(.face) { [SkinTint(.pale, $0.strength)] },
      remove: .drawn(.face) { [SkinTint(.pale, -$0.strength)] }),

    Attribute(
      "Eyeglasses", .makeup, isSharpened: true, isBinary: true,
      // Other glasses than those that a face wears come in their place.
      add: .drawn {
        [Glasses(opacity: $0.strength, style: $0.style)] + ($0.style == nil ? [] : [GlassesRemoval(amount: $0.strength)])
      },
      remove: .drawn { [GlassesRemoval(amount: $0.strength)] }),
    // What is put on is pigment alone, so skin stays the photo's; what is taken off needs decoding for lashes, but all of it makes men
    // of women.
    Attribute(
      "Heavy_Makeup", .makeup, parts: makeup + ["Arched_Eyebrows"], isSharpened: true,
      add: .drawn(.face) { [Makeup(all: 0.7 * $0.strength)] },
      remove: .decoded(.shape, amount: 0.6) { [Makeup([.lips: -$0.strength, .lids: -$0.strength, .cheeks: -$0.strength])] }),
    Attribute(
      "Wearing_Lipstick", .makeup, parts: makeup, add: .drawn(.face) { [Makeup([.lips: $0.strength])] },
      remove: .drawn(.face) { [Makeup([.lips: -$0.strength])] }),
    Attribute(
      "Rosy_Cheeks", .makeup, parts: makeup, add: .drawn(.face) { [Makeup([.cheeks: 1.8 * $0.strength])] },
      remove: .drawn(.face) { [Makeup([.cheeks: -$0.strength])] }),

    Attribute(
      "Young", .ageAndGender, parts: ["Bags_Under_Eyes", "Chubby", "Double_Chin", "Gray_Hair", "Receding_Hairline"],
      isVerdict: true, isSharpened: true, add: .decoded([.shape, .keepsEyes, .softensEyelids]),
      remove: .decoded([.shape, .keepsEyes, .keepsNoseAndMouth, .keepsLight]) {
        $0.unlessKept("Gray_Hair", [HairTint("Gray_Hair", 0.3 * $0.needed, byStrands: true)])
      }),
    Attribute(
      "Male", .ageAndGender, parts: facialHair + makeup + ["Arched_Eyebrows", "Bushy_Eyebrows"], isVerdict: true,
      isSharpened: true, add: .decoded(.shape), remove: .decoded(.face)),

    Attribute(
      "Bald", .experimental, parts: hairColours + ["Bangs", "Receding_Hairline", "Straight_Hair", "Wavy_Hair"],
      add: .decoded(.keepsSkinTone), remove: .decoded()),
    Attribute("Wearing_Hat", .experimental),
    Attribute("Wearing_Earrings", .experimental),
    Attribute("Wearing_Necklace", .experimental),
    Attribute("Wearing_Necktie", .experimental),
    Attribute("Blurry", .experimental),
  ]

  private static func hairColour(_ name: String, parts: [String] = [], byStrands: Bool = false) -> Attribute {
    Attribute(
      name, .hair, parts: hairColours + parts, add: .drawn { [HairTint(name, $0.strength, byStrands: byStrands)] },
      remove: .drawn { [HairTint(name, -$0.strength)] })
  }

  private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

  // MARK: The studio's order

  /// The edits that people recognise at once.
  private static let lead = ["Smiling", glasses, "Black_Hair", HairPalette.attribute, "Heavy_Makeup", "Young"]

  /// Edits that one click gives: an attribute's end each.
  package static let looks: [(name: String, strength: Double)] = [
    ("Smiling", 1), ("Smiling", -1), (glasses, 1), ("Heavy_Makeup", 1), ("Black_Hair", 1), ("Blond_Hair", 1), ("Young", 1),
  ]

  /// The attributes that the studio offers, in groups: those that lead, then the others of each group.
  /// - Parameter labels: of a model. Those without a row come last.
  package static func groups(of labels: [String]) -> [(name: String, attributes: [String])] {
    let known = labels + [HairPalette.attribute]
    let others = all.filter { known.contains($0.name) && !lead.contains($0.name) && !$0.isOpinion }
    let own = labels.filter { byName[$0] == nil && !lead.contains($0) }
    let groups = [("lead", lead.filter(known.contains))] + Group.allCases.map { group in
      (group.rawValue, others.filter { $0.group == group }.map(\.name) + (group == .experimental ? own : []))
    }
    return groups.filter { !$0.1.isEmpty }
  }

  /// Whether an attribute judges the whole face.
  package static func isOpinion(_ name: String) -> Bool { byName[name]?.isOpinion ?? false }

  /// Whether an attribute's probability would judge a person.
  package static func isVerdict(_ name: String) -> Bool { byName[name]?.isVerdict ?? false }

  // MARK: Recipes

  /// The label that examples are of, where a model has it.
  package static let example = "Smiling"
  /// The label on whose two sides groups of photos are compared apart: else old faces would be men's.
  package static let balanced = "Male"
  /// The label that glasses models are learned from.
  package static let glasses = "Eyeglasses"
  /// The labels whose colours natural hair is between, from dark to light.
  static let naturalHair = ["Black_Hair", "Brown_Hair", "Blond_Hair"]

  private static func recipe(of state: AttributeState) -> Recipe {
    byName[state.name].map { state.adds ? $0.add : $0.remove } ?? .decoded()
  }

  /// The recipe of a change of some labels at once: of one label that label's own, of several the decoded step.
  static func recipe(for states: [AttributeState], with tools: EditTools) -> Recipe {
    guard states.count == 1 else { return .decoded(policy(of: states)) }
    let recipe = recipe(of: states[0])
    // A bundle without a model of glasses decodes them, and one without a painter decodes faces without.
    let isDecoded = states[0].name == glasses && (states[0].adds ? tools.glasses == nil : tools.painter == nil)
    return isDecoded ? .decoded(recipe.policy) : recipe
  }

  /// The policy of a change of some labels at once. The colour of hair beside a beard is the beard's, and none of the skin's: who has
  /// blond hair is fair.
  static func policy(of states: [AttributeState]) -> DecodePolicy {
    let isBeard = states.count > 1 && states.contains { facialHair.contains($0.name) }
    let policies = states.filter { !isBeard || !hairColours.contains($0.name) }.map { recipe(of: $0).policy }
    let policy = policies.reduce(DecodePolicy.still) { $0.combined(with: $1) }
    return isBeard ? policy.union(.keepsSkinTone) : policy
  }

  /// Whether a face has what some labels say, or not, with nothing between.
  static func isBinary(_ states: [AttributeState]) -> Bool {
    states.count == 1 && byName[states[0].name]?.isBinary ?? false
  }

  // MARK: Labels that belong together

  /// Positions of labels with those of their parts.
  package static func adding(partsOf asked: Set<Int>, among names: [String]) -> Set<Int> {
    let parts = Set(asked.flatMap { byName[names[$0]]?.parts ?? [] })
    return asked.union(names.indices.filter { parts.contains(names[$0]) })
  }

  /// Positions of the labels that a change of one should leave alone: neither its parts, nor what judges the whole face.
  package static func others(than asked: Int, among names: [String]) -> [Int] {
    let parts = adding(partsOf: [asked], among: names)
    return names.indices.filter { !parts.contains($0) && !isOpinion(names[$0]) }
  }
}

extension [String] {
  /// Whether a name is among these; letter case does not matter.
  func containsName(_ name: String) -> Bool { contains { $0.lowercased() == name.lowercased() } }
}

/// Labels that belong to an attribute by what the words mean: a smile opens the mouth and lifts the cheeks, one hair
/// colour takes the place of another.
///
/// An isolated direction leaves them in. With them regressed out of it a smile is a shut mouth that hardly smiles.
package enum AttributeParts {
  private static let hairColours = ["Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"]
  static let facialHair = ["5_o_Clock_Shadow", "Goatee", "Mustache", "No_Beard", "Sideburns"]
  static let makeup = ["Heavy_Makeup", "Rosy_Cheeks", "Wearing_Lipstick"]

  private static let byName: [String: [String]] = {
    var parts = [
      "Bald": hairColours + ["Bangs", "Receding_Hairline", "Straight_Hair", "Wavy_Hair"],
      "Bangs": ["Receding_Hairline"],
      "Male": facialHair + makeup + ["Arched_Eyebrows", "Bushy_Eyebrows"],
      "Pale_Skin": ["Rosy_Cheeks"],
      "Receding_Hairline": ["Bald", "Bangs"],
      "Smiling": ["High_Cheekbones", "Mouth_Slightly_Open", "Narrow_Eyes"],
      "Straight_Hair": ["Wavy_Hair"],
      "Wavy_Hair": ["Straight_Hair"],
      "Young": ["Bags_Under_Eyes", "Chubby", "Double_Chin", "Gray_Hair", "Receding_Hairline"],
    ]
    for name in hairColours { parts[name] = hairColours }
    parts["Gray_Hair"]?.append("Young")
    for name in facialHair { parts[name] = facialHair }
    // A mustache is no beard on the chin or beside the ears.
    parts["Mustache"] = ["5_o_Clock_Shadow", "No_Beard"]
    for name in makeup { parts[name] = makeup }
    parts["Heavy_Makeup"]?.append("Arched_Eyebrows")
    return parts
  }()

  /// Positions of labels with those of their parts.
  package static func adding(to asked: Set<Int>, of names: [String]) -> Set<Int> {
    let parts = Set(asked.flatMap { byName[names[$0]] ?? [] })
    return asked.union(names.indices.filter { parts.contains(names[$0]) })
  }

  /// Positions of the labels that a change of one should leave alone: neither its parts, nor what judges the whole face.
  package static func others(than asked: Int, of names: [String]) -> [Int] {
    let parts = adding(to: [asked], of: names)
    return names.indices.filter { !parts.contains($0) && !opinions.contains(names[$0]) }
  }

  private static let opinions: Set = ["Attractive"]
}

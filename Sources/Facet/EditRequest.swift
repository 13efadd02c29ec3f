/// One attribute to change and how far.
public struct AttributeEdit: Sendable, Equatable {
  public enum Amount: Sendable, Equatable {
    /// 1 adds the attribute, −1 takes it away, 0 changes nothing.
    case strength(Double)
    /// As much as the model then sees the attribute with this probability in the edited face.
    case probability(Double)
  }

  public var attribute: String
  public var amount: Amount

  /// The largest strength that is taken; beyond it codes leave what the model knows.
  public static let range = -10.0...10.0

  public init(_ attribute: String, strength: Double = 1) {
    self.attribute = attribute
    amount = .strength(strength)
  }

  /// - Parameters:
  ///   - attribute: its name.
  ///   - probability: 0 … 1.
  public init(_ attribute: String, to probability: Double) {
    self.attribute = attribute
    amount = .probability(probability)
  }
}

/// How edits are made.
public struct EditOptions: Sendable, Equatable {
  /// How the decoded face becomes part of the photo.
  public var composition = Composition.difference
  /// How the attributes' directions were found.
  public var method = DirectionMethod.steered
  /// Attributes that the edits leave still.
  public var kept: [String] = []

  public init() {}

  /// Whether edits of a part act on that alone: colours are given to hair and skin, found in the photo, and not decoded; a
  /// mustache decodes under the nose, and nothing else with it.
  var keepsToParts: Bool { composition == .difference && method == .steered }
  /// Whether what the bundle can draw is drawn, such as glasses.
  var draws: Bool { composition == .difference && method == .steered }

  /// Whether a label is left still; letter case does not matter.
  func keeps(_ label: String) -> Bool { kept.contains { $0.lowercased() == label.lowercased() } }

  /// The article's own way: mean differences, and the whole decoded face in place of the photo's.
  public static var article: EditOptions {
    var options = EditOptions()
    (options.composition, options.method) = (.article, .meanDifference)
    return options
  }
}

/// Which of a photo's faces are meant.
public enum FaceChoice: Sendable, Equatable {
  case largest
  case all
  /// The n-th largest, from 1.
  case number(Int)
}

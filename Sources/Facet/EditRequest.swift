/// One attribute to change and how far.
public struct AttributeEdit: Sendable, Equatable {
  /// How far an attribute is changed.
  public enum Amount: Sendable, Equatable {
    /// 1 adds the attribute, −1 takes it away, 0 changes nothing; within ``AttributeEdit/range``.
    case strength(Double)
    /// As much as the model then sees the attribute with this probability, 0 … 1, in the edited face.
    case probability(Double)
  }

  /// The attribute's name; letter case does not matter.
  public var attribute: String
  /// How far it is changed.
  public private(set) var amount: Amount
  /// How it is drawn, where an attribute can be drawn in several styles: one of ``styles(of:)``, letter case does not matter; `nil` for
  /// the standard one. The attribute `Hair` needs one, and takes any colour as `#rrggbb`, too.
  public var style: String?

  /// The largest strength that is taken; beyond it codes leave what the model knows.
  public static let range = -2.0...2.0

  /// An attribute that is added, with strength 1.
  /// - Parameters:
  ///   - attribute: its name.
  ///   - style: how it is drawn; `nil` for the standard style.
  public init(_ attribute: String, style: String? = nil) {
    (self.attribute, self.style, amount) = (attribute, style, .strength(1))
  }

  /// An attribute that is changed by a strength.
  /// - Parameters:
  ///   - attribute: its name.
  ///   - strength: within ``range``.
  ///   - style: how it is drawn; `nil` for the standard style.
  /// - Throws: ``AttributeError`` for a strength out of range.
  public init(_ attribute: String, strength: Double, style: String? = nil) throws(AttributeError) {
    guard Self.range.contains(strength) else {
      throw AttributeError(attribute, "strength", strength, in: Self.range)
    }
    (self.attribute, self.style, amount) = (attribute, style, .strength(strength))
  }

  /// An attribute that is brought to a probability.
  /// - Parameters:
  ///   - attribute: its name.
  ///   - probability: 0 … 1.
  /// - Throws: ``AttributeError`` for a probability out of range.
  public init(_ attribute: String, to probability: Double) throws(AttributeError) {
    guard (0...1).contains(probability) else { throw AttributeError(attribute, "probability", probability, in: 0...1) }
    (self.attribute, style, amount) = (attribute, nil, .probability(probability))
  }

  /// The names of the styles that an attribute can be drawn in; none for most.
  public static func styles(of attribute: String) -> [String] {
    if isHair(attribute) { return HairPalette.names }
    return attribute.lowercased() == AttributeTable.glasses.lowercased() ? GlassesStyle.names : []
  }

  /// Whether an attribute is `Hair`, hair of any colour: it is no label of the model, and is drawn without it.
  package static func isHair(_ attribute: String) -> Bool { attribute.lowercased() == HairPalette.attribute.lowercased() }

  /// - Throws: ``AttributeError`` or ``StyleError`` for a style that there is not.
  package func validateStyle() throws {
    if Self.isHair(attribute) {
      _ = try HairPalette.colour(style)
      guard case .strength(0...) = amount else { throw StyleError("'Hair' takes a strength from 0, and no probability") }
      return
    }
    guard let style else { return }
    if Self.styles(of: attribute).isEmpty { throw AttributeError(withoutStyles: attribute, asked: style) }
    _ = try GlassesStyle.named(style)
  }
}

/// The way in which edits are made.
public enum EditStyle: String, Sendable, CaseIterable {
  /// Each attribute in its own way: drawn, tinted, removed, or decoded with the photo's own pixels where nothing changes.
  case natural
  /// Every attribute is decoded, with the photo's own pixels where nothing changes.
  case decoded
  /// The article's way: mean differences, and the whole decoded face in place of the photo's.
  case article

  /// The way in which a decoded face becomes part of the photo.
  var composition: Composition { self == .article ? .article : .difference }
  /// The origin of the directions.
  var method: DirectionMethod { self == .article ? .meanDifference : .isolated }
}

/// How edits are made.
public struct EditOptions: Sendable, Equatable {
  /// The way in which all edits are made.
  public var style: EditStyle
  /// Attributes that the edits leave still; letter case does not matter.
  public var kept: [String]

  /// Options; left out, each attribute is edited in its own way, and nothing is held still.
  public init(style: EditStyle = .natural, keeping kept: [String] = []) { (self.style, self.kept) = (style, kept) }
}

/// A face and the edits that it gets.
public struct FaceEdit: Sendable {
  /// The face, as the photo has it.
  public var face: EncodedFace
  /// The attributes that are changed; they add up.
  public var edits: [AttributeEdit]
  /// The way.
  public var options: EditOptions

  /// A face with its edits.
  public init(_ face: EncodedFace, _ edits: [AttributeEdit], options: EditOptions = .init()) {
    (self.face, self.edits, self.options) = (face, edits, options)
  }
}

/// The faces of a photo that are meant.
public enum FaceChoice: Sendable, Equatable {
  /// The largest one.
  case largest
  /// All of them.
  case all
  /// The n-th largest, from 1.
  case number(Int)
}

/// How far the edit of a photo has come.
public struct EditProgress: Sendable, Equatable {
  /// The part of the work that is done, 0 … 1; never less than before.
  public let fraction: Double
  /// The face that is edited, from 1, the largest; 0 while faces are searched.
  public let face: Int
  /// How many faces are edited; 0 while they are searched.
  public let faceCount: Int

  /// Faces are searched.
  static let searching = EditProgress(fraction: 0, face: 0, faceCount: 0)

  /// A face is edited.
  /// - Parameter part: of the face that is done, 0 … 1.
  static func face(_ face: Int, of count: Int, part: Double) -> EditProgress {
    let done = (Double(face - 1) + part) / Double(count)
    return EditProgress(fraction: searched + (changed - searched) * done, face: face, faceCount: count)
  }

  /// All is done.
  static func done(_ count: Int) -> EditProgress { EditProgress(fraction: 1, face: count, faceCount: count) }

  /// The part of the work that is done once faces are found, and once their changes are: then these are laid over the photo.
  private static let (searched, changed) = (0.1, 0.95)
}

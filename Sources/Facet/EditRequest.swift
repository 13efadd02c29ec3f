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
  /// How it is drawn, where an attribute can be drawn in several styles: one of ``styles(of:)``, letter case does not matter; `nil` for
  /// the standard one. The attribute `Hair` needs one, and takes any colour as `#rrggbb`, too.
  public var style: String?

  /// The largest strength that is taken; beyond it codes leave what the model knows.
  public static let range = -2.0...2.0

  /// - Parameters:
  ///   - attribute: its name.
  ///   - strength: within ``range``.
  ///   - style: how it is drawn; `nil` for the standard style.
  public init(_ attribute: String, strength: Double = 1, style: String? = nil) {
    (self.attribute, self.style) = (attribute, style)
    amount = .strength(strength)
  }

  /// - Parameters:
  ///   - attribute: its name.
  ///   - probability: 0 … 1.
  public init(_ attribute: String, to probability: Double) {
    self.attribute = attribute
    amount = .probability(probability)
  }

  /// The names of the styles that an attribute can be drawn in; none for most.
  public static func styles(of attribute: String) -> [String] {
    if isHair(attribute) { return HairPalette.names }
    return attribute.lowercased() == AttributeTable.glasses.lowercased() ? GlassesStyle.names : []
  }

  /// Whether an attribute is `Hair`, hair of any colour: it is no label of the model, and is drawn without it.
  package static func isHair(_ attribute: String) -> Bool { attribute.lowercased() == HairPalette.attribute.lowercased() }

  /// - Throws: ``AttributeError`` or ``StyleError`` for a style that there is not.
  func validateStyle() throws {
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
  public var style: EditStyle
  /// Attributes that the edits leave still; letter case does not matter.
  public var kept: [String]

  public init(style: EditStyle = .natural, keeping kept: [String] = []) { (self.style, self.kept) = (style, kept) }
}

/// A face and the edits that it gets.
public struct FaceEdit: Sendable {
  public var face: EncodedFace
  public var edits: [AttributeEdit]
  public var options: EditOptions

  public init(_ face: EncodedFace, _ edits: [AttributeEdit], options: EditOptions = .init()) {
    (self.face, self.edits, self.options) = (face, edits, options)
  }
}

/// The faces of a photo that are meant.
public enum FaceChoice: Sendable, Equatable {
  case largest
  case all
  /// The n-th largest, from 1.
  case number(Int)
}

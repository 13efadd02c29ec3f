import Files
import Foundation

/// A direction between two groups of photos that queries over the labels choose, such as blond beards against none.
public struct CombinedDirection: Codable, Sendable, Equatable {
  /// By which edits ask for it: letters, digits, `_` and `-`, a letter first.
  public var name: String
  /// The photos that have it, a ``LabelQuery``.
  public var positives: String
  /// The photos that lack it; `nil` for all that are not positive. A photo on both sides counts as positive.
  public var negatives: String?
  /// The photos that are looked at; `nil` for all.
  public var within: String?

  /// The fewest photos on a side that make a direction.
  public static let minimumPhotos = 20

  /// A direction by its queries, which are checked when it is found.
  public init(_ name: String, positives: String, negatives: String? = nil, within: String? = nil) {
    (self.name, self.positives, self.negatives, self.within) = (name, positives, negatives, within)
  }

  /// The article's own set: beards against none, and women with an attribute against women without.
  public static let articles = [
    beard("black_beard", hair: "Black_Hair"),
    beard("blond_beard", hair: "Blond_Hair"),
    beard("gray_beard", hair: "Gray_Hair"),
    CombinedDirection("male_no_beard", positives: "No_Beard=1", within: "Male=1"),
    CombinedDirection("female_blond", positives: "Blond_Hair=1", within: "Male=-1"),
    CombinedDirection("female_eyeglasses", positives: "Eyeglasses=1", within: "Male=-1"),
    CombinedDirection("female_makeup", positives: "Heavy_Makeup=1", within: "Male=-1"),
    CombinedDirection("female_narrow_eyes", positives: "Narrow_Eyes=1", within: "Male=-1"),
    CombinedDirection("female_smiling", positives: "Smiling=1", within: "Male=-1"),
    CombinedDirection("female_young", positives: "Young=1", within: "Male=-1"),
  ]

  private static func beard(_ name: String, hair: String) -> CombinedDirection {
    CombinedDirection(name, positives: "No_Beard=-1 & \(hair)=1", negatives: "No_Beard=1", within: "Male=1")
  }

  /// Whether edits can ask for a direction of this name.
  package static func isName(_ name: String) -> Bool {
    name.utf8.count <= 64 && (name.first?.isLetter ?? false)
      && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-") }
  }

  /// The two groups among photos with labels.
  package func groups(_ labels: [Int8], attributes names: [String]) throws(CombinedDirectionError) -> LabelGroups {
    guard Self.isName(name) else { throw .badName(name) }
    func query(_ option: String, _ text: String?) throws(CombinedDirectionError) -> LabelQuery? {
      guard let text else { return nil }
      do { return try LabelQuery(text, attributes: names) } catch { throw .badQuery(option: option, error) }
    }
    guard let positives = try query("positives", positives) else { throw .badName(name) }
    let (negatives, within) = (try query("negatives", negatives), try query("within", within))
    var groups = LabelGroups(asked: Set(positives.attributes).union(negatives?.attributes ?? []))
    for row in 0..<(names.isEmpty ? 0 : labels.count / names.count) {
      let labels = labels[row * names.count..<(row + 1) * names.count]
      if let within, !within.matches(labels) { continue }
      if positives.matches(labels) {
        groups.positives.append(row)
      } else if negatives?.matches(labels) ?? true {
        groups.negatives.append(row)
      }
    }
    return groups
  }
}

/// The photos that have an attribute and those that lack it.
package struct LabelGroups {
  package var positives: [Int] = []
  package var negatives: [Int] = []
  /// The labels that the attribute is made of.
  package var asked: Set<Int>

  package init(positives: [Int] = [], negatives: [Int] = [], asked: Set<Int>) {
    (self.positives, self.negatives, self.asked) = (positives, negatives, asked)
  }
}

/// A combined direction that cannot be made.
public enum CombinedDirectionError: DescribedError, Equatable {
  /// A name that edits could not ask for.
  case badName(String)
  /// A name that the bundle has already.
  case nameTaken(String)
  /// A query that cannot be read; `option` names which one.
  case badQuery(option: String, QueryError)
  /// Fewer photos on a side than ``CombinedDirection/minimumPhotos``.
  case tooFewPhotos(name: String, positives: Int, negatives: Int)
  /// The photos are labelled with other attributes than the directions.
  case otherLabels
  /// More directions than a bundle holds.
  case tooMany(limit: Int)

  public var description: String {
    switch self {
    case .badName(let name):
      "'\(name)' cannot name a direction; take a letter, then at most 63 letters, digits, '_' or '-'"
    case .nameTaken(let name): "there is an attribute '\(name)' already"
    case .badQuery(let option, let error): "\(option) \(error)"
    case .tooFewPhotos(let name, let positives, let negatives):
      "'\(name)' has \(positives) photos on the positive side and \(negatives) on the negative; "
        + "a direction needs \(CombinedDirection.minimumPhotos) on each"
    case .otherLabels: "the photos are labelled with other attributes than the bundle's; find its directions anew"
    case .tooMany(let limit): "a bundle holds at most \(limit) combined directions"
    }
  }
}

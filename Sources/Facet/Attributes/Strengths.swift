import Files
import Foundation

/// The factors on directions at strength 1 and −1, each with its source: `strengths.json` of a bundle, a text, so that a change of one
/// number shows as such.
struct Strengths: Codable, Equatable {
  /// One way of an attribute.
  struct Entry: Codable, Equatable {
    /// Above 0, at most 100.
    var factor: Double
    /// For people, such as "by eye, 2026-11-26".
    var source: String
  }

  struct Pair: Codable, Equatable {
    var add, remove: Entry
  }

  /// By the attributes' names.
  var pairs: [String: Pair]

  /// The file in a bundle's folder.
  static let file = "strengths.json"

  init(pairs: [String: Pair]) { self.pairs = pairs }

  init(from decoder: any Decoder) throws { pairs = try [String: Pair](from: decoder) }

  func encode(to encoder: any Encoder) throws { try pairs.encode(to: encoder) }

  /// Reads a bundle's file; `nil` where there is none.
  /// - Parameters:
  ///   - folder: the bundle's.
  ///   - names: the attributes that there must be.
  /// - Throws: ``BundleError`` or `FileError` that names the file.
  static func read(in folder: URL, names: [String]) throws -> Strengths? {
    let url = folder.appendingPathComponent(file)
    guard FileManager.default.fileExists(atPath: url.path) else { return nil }
    func fault(_ reason: String) -> BundleError { BundleError(path: url.path, reason: reason) }
    let strengths = try JSON.read(Strengths.self, from: url, content: "strengths", limit: 1 << 22)
    for name in names {
      guard let pair = strengths.pairs[name] else { throw fault("'\(name)' is missing") }
      for entry in [pair.add, pair.remove] where !(entry.factor > 0 && entry.factor <= 100) {
        throw fault("'\(name)' has the factor \(entry.factor); it must be above 0 and at most 100")
      }
    }
    return strengths
  }

  /// Writes the file into a bundle's folder, whole or not at all.
  /// - Throws: `FileError`.
  func write(in folder: URL) throws {
    try AtomicFile.write(JSON.pretty(self) + Data("\n".utf8), to: folder.appendingPathComponent(Self.file))
  }
}

extension AttributeDirections {
  /// The factors of isolated directions with their sources.
  var strengths: Strengths {
    func entry(_ name: String, _ adds: Bool, _ factor: Double) -> Strengths.Entry {
      Strengths.Entry(factor: factor, source: strengthSources[.init(name: name, adds: adds)] ?? "the default")
    }
    let pairs = zip(names, factors(.isolated)).map { name, factors in
      (name, Strengths.Pair(add: entry(name, true, factors.add), remove: entry(name, false, factors.remove)))
    }
    return Strengths(pairs: Dictionary(uniqueKeysWithValues: pairs))
  }

  /// Takes the factors of a bundle's strengths.
  mutating func take(_ strengths: Strengths) {
    for (index, name) in names.enumerated() {
      guard let pair = strengths.pairs[name] else { continue }
      for (entry, adds) in [(pair.add, true), (pair.remove, false)] {
        set(entry.factor, of: index, adds: adds, .isolated, source: entry.source)
      }
    }
  }

  /// Sets one factor.
  package mutating func set(_ factor: Double, of index: Int, adds: Bool, _ method: DirectionMethod, source: String) {
    let state = AttributeState(name: names[index], adds: adds)
    if method == .isolated { strengthSources[state] = source }
    if method == .isolated, overrides[state] != nil {
      overrides[state]?.factor = factor
    } else if adds {
      factorsByMethod[method]![index].add = factor
    } else {
      factorsByMethod[method]![index].remove = factor
    }
  }
}

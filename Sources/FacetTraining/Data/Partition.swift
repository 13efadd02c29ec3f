import Facet

/// A part of a data set, with the codes of CelebA's `list_eval_partition.txt`.
public enum Partition: String, CaseIterable, Codable, Sendable {
  case train
  case validation = "val"
  case test

  /// The partition for CelebA's code (0 train, 1 validation, 2 test), or nil for any other.
  public init?(code: Int) {
    guard Self.allCases.indices.contains(code) else { return nil }
    self = Self.allCases[code]
  }
}

import Facet

/// A part of a data set, with the codes of CelebA's `list_eval_partition.txt`.
public enum Partition: String, CaseIterable, Codable, Sendable {
  /// What models learn from.
  case train
  /// What checkpoints are compared by.
  case validation = "val"
  /// What figures are told of.
  case test

  /// The partition for CelebA's code (0 train, 1 validation, 2 test), or nil for any other.
  public init?(code: Int) {
    guard Self.allCases.indices.contains(code) else { return nil }
    self = Self.allCases[code]
  }
}

import Foundation

/// The search for the strength that brings an edited face to a probability: the secant method from a first guess.
struct StrengthSearch {
  private let target: Double

  /// - Parameter probability: 0…1; what lies within 0.001 of an end is taken as that far from it.
  init(to probability: Double) {
    let wanted = min(0.999, max(0.001, probability))
    target = log(wanted / (1 - wanted))
  }

  /// - Parameters:
  ///   - start: the strength that would do if codes were kept by decoding and encoding.
  ///   - odds: the log odds of the attribute in the face edited with a strength.
  /// - Returns: the strength that comes nearest, never on the other side than was asked for; 0 where it is seen more surely
  ///   already than a probability of 0.95 or 0.05 asks for: less of it could be seen by eye, and not by the model.
  func strength(from start: Double, _ odds: (Double) throws -> Double) rethrows -> Double {
    var (last, value) = (0.0, try odds(0))
    let isMore = target > value
    if abs(target) >= Self.sureOdds && isMore != (target > 0) { return 0 }
    func limited(_ strength: Double) -> Double { isMore ? max(0, strength) : min(0, strength) }
    var best = (strength: last, miss: abs(value - target))
    // A code that is decoded and encoded again has moved: its strength may lie on the other side.
    var next = limited(start) != 0 ? start : isMore ? Self.firstGuess : -Self.firstGuess
    for _ in 0..<Self.searches where abs(value - target) > 0.05 && abs(next - last) > 1e-3 {
      let reached = try odds(next)
      let slope = (reached - value) / (next - last)
      (last, value) = (next, reached)
      if abs(value - target) < best.miss { best = (last, abs(value - target)) }
      // More of an attribute that shows no more of it leads nowhere.
      guard slope > 0.01 else { break }
      let farthest = max(1, 2 * abs(last))
      next = min(farthest, max(-farthest, last + (target - value) / slope))
      next = limited(min(AttributeEdit.range.upperBound, max(AttributeEdit.range.lowerBound, next)))
    }
    return best.strength
  }

  private static let searches = 5
  private static let firstGuess = 0.5
  /// Of a probability of 0.95.
  private static let sureOdds = 2.94
}

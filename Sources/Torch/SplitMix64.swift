/// The generator SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// OOPSLA 2014): 64 bits of state, the same numbers on every machine and in every version.
public struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// A generator; each seed gives its own numbers.
  public init(seed: UInt64) { state = seed }

  /// A generator for a tuple of numbers: each is mixed into the state in turn.
  package init(_ numbers: UInt64...) {
    state = numbers.reduce(0) { Self.mix($0 &+ 0x9E37_79B9_7F4A_7C15) ^ $1 }
    state = Self.mix(state)
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return Self.mix(state)
  }

  /// A number in 0 ..< bound: the high half of `next() × bound`. Its bias, below bound / 2⁶⁴, is
  /// far under what any sample shows, and it takes exactly one number, whatever the standard library does.
  package mutating func next(below bound: Int) -> Int {
    Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

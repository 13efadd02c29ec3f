/// FNV-1a with 64 bits over words of 64 bits (the rest by bytes): finds chance damage, not forgery. Any one word that is
/// changed changes it.
package struct Checksum: Sendable {
  private var state: UInt64 = 0xcbf2_9ce4_8422_2325
  private static let prime: UInt64 = 0x100_0000_01b3

  package init() {}

  package init(_ bytes: UnsafeRawBufferPointer) {
    self.init()
    add(bytes)
  }

  package mutating func add(_ bytes: UnsafeRawBufferPointer) {
    let words = bytes.count & ~7
    var hash = state
    for offset in stride(from: 0, to: words, by: 8) {
      hash = (hash ^ UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))) &* Self.prime
    }
    for byte in bytes[words...] { hash = (hash ^ UInt64(byte)) &* Self.prime }
    state = hash
  }

  /// Adds a text and where it ends.
  package mutating func add(_ text: String) {
    for byte in text.utf8 { state = (state ^ UInt64(byte)) &* Self.prime }
    state = (state ^ 0x100) &* Self.prime
  }

  package var value: UInt64 { state }
  package var text: String { String(state, radix: 16) }
}

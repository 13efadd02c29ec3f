/// A cyclic redundancy check of 32 bits, lowest bit first.
package struct CRC32: Sendable {
  private let table: [UInt32]

  /// That of ZIP, PNG and Ethernet.
  package static let zip = CRC32(0xEDB8_8320)
  /// CRC-32C (Castagnoli; RFC 3720, appendix B.4).
  package static let castagnoli = CRC32(0x82F6_3B78)

  private init(_ polynomial: UInt32) {
    table = (0..<256).map { byte in
      (0..<8).reduce(UInt32(byte)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ polynomial : crc >> 1 }
    }
  }

  package func checksum(_ bytes: some Sequence<UInt8>) -> UInt32 {
    table.withUnsafeBufferPointer { table in
      ~bytes.reduce(~0) { $0 >> 8 ^ table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] }
    }
  }
}

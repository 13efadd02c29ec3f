/// The checked header of a safetensors file: its length as a little-endian `UInt64`, then a JSON object
///
///     {"__metadata__": {"key": "value"}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
///
/// padded with spaces, then the tensors' bytes, to which the offsets refer.
struct SafetensorsHeader {
  typealias Fault = SafetensorsError.Fault

  struct Tensor: Equatable {
    var dtype: DType
    var shape: [Int]
    /// The tensor's bytes, counted from the file's start.
    var range: Range<Int>
  }

  /// The limit of the format's reference implementation, in bytes.
  static let maximumLength = 100_000_000
  static let maximumNameLength = 4096
  static let maximumRank = 64
  static let metadataName = "__metadata__"
  /// Bytes of the header's length in front of it.
  static let prefix = 8

  private(set) var metadata: [String: String] = [:]
  private(set) var tensors: [String: Tensor] = [:]

  /// Reads and checks the header of a whole file's bytes.
  init(of file: UnsafeRawBufferPointer) throws(Fault) {
    guard file.count >= Self.prefix else { throw .truncatedHeader }
    let length = UInt64(littleEndian: file.loadUnaligned(as: UInt64.self))
    guard length <= Self.maximumLength else { throw .headerTooLarge(bytes: length) }
    let dataStart = Self.prefix + Int(length)
    guard dataStart <= file.count else { throw .truncatedHeader }

    var scanner = HeaderScanner(bytes: UnsafeRawBufferPointer(rebasing: file[..<dataStart]), position: Self.prefix)
    // The format wants the brace first, so that no padding can hide another kind of file.
    guard scanner.peek == UInt8(ascii: "{") else { throw scanner.fault("'{'") }
    var hasMetadata = false
    try scanner.object { (scanner, name) throws(Fault) in
      if name == Self.metadataName {
        guard !hasMetadata else { throw .duplicateName(name) }
        hasMetadata = true
        try scanner.object { (scanner, key) throws(Fault) in
          let value = try scanner.string()
          guard metadata.updateValue(value, forKey: key) == nil else { throw .duplicateName(key) }
        }
      } else {
        let tensor = try scanner.tensor(named: name, in: dataStart..<file.count)
        guard tensors.updateValue(tensor, forKey: name) == nil else { throw .duplicateName(name) }
      }
    }
    try scanner.end()
    try checkCover(of: dataStart..<file.count)
  }

  /// The tensors' ranges, each of them in the file already, must follow one another without gap or overlap.
  private func checkCover(of data: Range<Int>) throws(Fault) {
    let sorted = tensors.sorted {
      ($0.value.range.lowerBound, $0.value.range.upperBound) < ($1.value.range.lowerBound, $1.value.range.upperBound)
    }
    var end = data.lowerBound
    for (name, tensor) in sorted {
      if tensor.range.lowerBound < end { throw .overlap(tensor: name) }
      if tensor.range.lowerBound > end { throw .gap(before: name) }
      end = tensor.range.upperBound
    }
    if end < data.upperBound { throw .gap(before: nil) }
  }

  /// Bytes of a tensor; `nil` when a dimension is negative or the product overflows.
  static func byteCount(_ dtype: DType, _ shape: [Int]) -> Int? {
    // A zero dimension makes an empty tensor, but must not hide an overflow of the others.
    var count = dtype.size
    for dimension in shape where dimension != 0 {
      guard dimension > 0 else { return nil }
      let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
      if overflow { return nil }
      count = product
    }
    return shape.contains(0) ? 0 : count
  }

  /// The header, its length in front, of tensors whose bytes follow in this order.
  static func encode(
    _ tensors: [(name: String, dtype: DType, shape: [Int], byteCount: Int)],
    metadata: [String: String]
  ) throws(Fault) -> [UInt8] {
    var names: Set<String> = []
    var members: [String] = []
    for key in metadata.keys { try check(name: key) }
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(quoted($0.value))" }
      members.append("\(quoted(metadataName)):{\(pairs.joined(separator: ","))}")
    }
    var offset = 0
    for (name, dtype, shape, count) in tensors {
      try check(name: name)
      guard name != metadataName else { throw .reservedName(name) }
      guard names.insert(name).inserted else { throw .duplicateName(name) }
      guard shape.count <= maximumRank else { throw .tooManyDimensions(tensor: name) }
      guard byteCount(dtype, shape) == count else { throw .sizeMismatch(tensor: name) }
      let dimensions = shape.map(String.init).joined(separator: ",")
      members.append(
        #"\#(quoted(name)):{"dtype":"\#(dtype.safetensorsName)","shape":[\#(dimensions)],"#
          + #""data_offsets":[\#(offset),\#(offset + count)]}"#)
      offset += count
    }
    var json = Array("{\(members.joined(separator: ","))}".utf8)
    json += Array(repeating: UInt8(ascii: " "), count: -json.count & 7)
    guard json.count <= maximumLength else { throw .headerTooLarge(bytes: UInt64(json.count)) }
    return withUnsafeBytes(of: UInt64(json.count).littleEndian) { Array($0) } + json
  }

  static func check(name: String) throws(Fault) {
    guard name.utf8.count <= maximumNameLength else { throw .nameTooLong(bytes: name.utf8.count) }
  }

  private static func quoted(_ string: String) -> String {
    var result = "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"", "\\": result += "\\\(scalar)"
      case "\0"..<" ":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}

/// Reads exactly the JSON that a header may hold. General parsers will not do: they drop duplicate keys silently and
/// follow nesting as deep as it goes; here the depth is the grammar's.
private struct HeaderScanner {
  typealias Fault = SafetensorsError.Fault

  let bytes: UnsafeRawBufferPointer
  var position: Int

  var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

  func fault(_ expected: String) -> Fault { .malformedHeader(offset: position, expected: expected) }

  mutating func skipSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { position += 1 }
  }

  /// Passes `character` if it comes next, behind white space.
  mutating func accept(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard peek == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  mutating func expect(_ character: Unicode.Scalar) throws(Fault) {
    guard accept(character) else { throw fault("'\(character)'") }
  }

  mutating func end() throws(Fault) {
    skipSpace()
    guard position == bytes.count else { throw fault("the header's end") }
  }

  /// An object; `member` reads each value.
  mutating func object(_ member: (inout Self, _ key: String) throws(Fault) -> Void) throws(Fault) {
    try expect("{")
    if accept("}") { return }
    repeat {
      let key = try string()
      try SafetensorsHeader.check(name: key)
      try expect(":")
      try member(&self, key)
    } while accept(",")
    try expect("}")
  }

  /// An array of at most `limit` natural numbers; `nil` when there are more.
  mutating func naturals(limit: Int) throws(Fault) -> [Int]? {
    try expect("[")
    if accept("]") { return [] }
    var result: [Int] = []
    repeat {
      let number = try natural()
      guard result.count < limit else { return nil }
      result.append(number)
    } while accept(",")
    try expect("]")
    return result
  }

  mutating func natural() throws(Fault) -> Int {
    skipSpace()
    let start = position
    var value = 0
    while let byte = peek, (0x30...0x39).contains(byte) {
      let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = tens.addingReportingOverflow(Int(byte) - 0x30)
      guard !overflow, !carry else { throw fault("a number under 2^63") }
      value = sum
      position += 1
    }
    let hasLeadingZero = position > start + 1 && bytes[start] == 0x30
    guard position > start, !hasLeadingZero else { throw fault("a natural number") }
    return value
  }

  mutating func string() throws(Fault) -> String {
    try expect("\"")
    let start = position
    var utf8: [UInt8] = []
    var plain = start  // where the bytes begin that are not yet in utf8
    while let byte = peek {
      switch byte {
      case UInt8(ascii: "\""):
        utf8 += bytes[plain..<position]
        guard let string = String(validating: utf8, as: UTF8.self) else {
          throw .malformedHeader(offset: start, expected: "valid UTF-8")
        }
        position += 1
        return string
      case UInt8(ascii: "\\"):
        utf8 += bytes[plain..<position]
        position += 1
        try utf8 += escape().utf8
        plain = position
      case 0..<0x20:
        throw fault("no control character")
      default:
        position += 1
      }
    }
    throw fault("'\"'")
  }

  /// The character that an escape stands for; the backslash is passed already.
  private mutating func escape() throws(Fault) -> String {
    let byte = peek
    position += 1
    switch byte {
    case UInt8(ascii: "\""): return "\""
    case UInt8(ascii: "\\"): return "\\"
    case UInt8(ascii: "/"): return "/"
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      var units = [try hexUnit()]
      if UTF16.isLeadSurrogate(units[0]), peek == UInt8(ascii: "\\") {
        position += 1
        guard peek == UInt8(ascii: "u") else { throw fault("a low surrogate") }
        position += 1
        units.append(try hexUnit())
      }
      guard let string = String(validating: units, as: UTF16.self) else { throw fault("paired surrogates") }
      return string
    default:
      position -= 1
      throw fault("an escape")
    }
  }

  private mutating func hexUnit() throws(Fault) -> UInt16 {
    var unit: UInt16 = 0
    for _ in 0..<4 {
      guard let digit = peek.flatMap({ Character(Unicode.Scalar($0)).hexDigitValue }) else {
        throw fault("four hexadecimal digits")
      }
      unit = unit << 4 | UInt16(digit)
      position += 1
    }
    return unit
  }

  /// A tensor's description, checked by itself: its range lies in `data`, the file's bytes behind the header, and
  /// holds exactly its elements.
  mutating func tensor(named name: String, in data: Range<Int>) throws(Fault) -> SafetensorsHeader.Tensor {
    var dtype: DType?
    var shape: [Int]?
    var offsets: [Int]?
    try object { (scanner, key) throws(Fault) in
      let start = scanner.position
      switch key {
      case "dtype" where dtype == nil:
        let text = try scanner.string()
        dtype = DType(safetensorsName: text)
        if dtype == nil { throw .unsupportedDType(tensor: name, dtype: text) }
      case "shape" where shape == nil:
        shape = try scanner.naturals(limit: SafetensorsHeader.maximumRank)
        if shape == nil { throw .tooManyDimensions(tensor: name) }
      case "data_offsets" where offsets == nil:
        offsets = try scanner.naturals(limit: 2)
        guard offsets?.count == 2 else { throw .malformedHeader(offset: start, expected: "two offsets") }
      case "dtype", "shape", "data_offsets":
        throw .duplicateName(key)
      default:
        throw .malformedHeader(offset: start, expected: "dtype, shape or data_offsets before the colon")
      }
    }
    guard let dtype, let shape, let offsets else {
      throw fault("dtype, shape and data_offsets of \(name.debugDescription)")
    }
    guard offsets[0] <= offsets[1] else { throw .overlap(tensor: name) }
    guard offsets[1] <= data.count else { throw .outOfFile(tensor: name) }
    guard SafetensorsHeader.byteCount(dtype, shape) == offsets[1] - offsets[0] else {
      throw .sizeMismatch(tensor: name)
    }
    let range = data.lowerBound + offsets[0]..<data.lowerBound + offsets[1]
    return SafetensorsHeader.Tensor(dtype: dtype, shape: shape, range: range)
  }
}

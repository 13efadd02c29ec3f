import Files
import Foundation
import Testing

@testable import Torch

@Suite("Safetensors")
struct SafetensorsTests {
  let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "facet-safetensors-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  // MARK: Round trip

  @Test("What is written comes back, every element type")
  func roundTrip() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let url = folder.appending(path: "a.safetensors")
    let metadata = ["format": "pt", "note": "tab\t, quote \", backslash \\, bell \u{7}, é, 😀", "": ""]
    try write(Sample.all, metadata: metadata, to: url)

    let file = try SafetensorsFile(url)
    #expect(file.metadata == metadata)
    #expect(file.tensors.count == Sample.all.count)
    for sample in Sample.all {
      let entry = try #require(file.tensors[sample.name])
      #expect(entry.dtype == sample.dtype)
      #expect(entry.shape == sample.shape)
      #expect(entry.withUnsafeBytes { Array($0) } == sample.bytes)
      let isAligned = entry.withUnsafeBytes { Int(bitPattern: $0.baseAddress!) % sample.dtype.size == 0 }
      #expect(isAligned, "\(sample.name)")
    }
  }

  @Test("The order of tensors does not change the file")
  func orderIndependent() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let (a, b) = (folder.appending(path: "a"), folder.appending(path: "b"))
    try write(Sample.all, metadata: ["x": "1", "y": "2"], to: a)
    try write(Sample.all.reversed(), metadata: ["y": "2", "x": "1"], to: b)
    #expect(try Data(contentsOf: a) == Data(contentsOf: b))
  }

  @Test("A file without tensors")
  func empty() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let url = folder.appending(path: "empty.safetensors")
    try write([], to: url)
    #expect(try SafetensorsFile(url).tensors.isEmpty)
    #expect(try Data(contentsOf: url).count == 16)
  }

  @Test("An entry keeps the file mapped")
  func lifetime() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let url = folder.appending(path: "a.safetensors")
    try write(Sample.all, to: url)
    let entry = try #require(try SafetensorsFile(url).tensors["f32"])
    try FileManager.default.removeItem(at: url)
    #expect(entry.withUnsafeBytes { Array($0) } == Sample.all.first { $0.name == "f32" }?.bytes)
  }

  @Test(
    "Refuses to write what it would not read, and leaves no file",
    arguments: [
      ([Sample("a", .uint8, [1]), Sample("a", .float32, [1])], .duplicateName("a")),
      ([Sample("__metadata__", .uint8, [1])], .reservedName("__metadata__")),
      ([Sample("a", .float32, [3], bytes: Array(repeating: 0, count: 8))], .sizeMismatch(tensor: "a")),
      ([Sample("a", .float32, [-1, -2], bytes: Array(repeating: 0, count: 8))], .sizeMismatch(tensor: "a")),
      ([Sample("a", .float32, [.max, 4], bytes: [])], .sizeMismatch(tensor: "a")),
      ([Sample("a", .uint8, Array(repeating: 1, count: 65))], .tooManyDimensions(tensor: "a")),
      ([Sample(String(repeating: "a", count: 4097), .uint8, [1])], .nameTooLong(bytes: 4097)),
    ] as [([Sample], SafetensorsError.Fault)])
  func refusesToWrite(samples: [Sample], fault: SafetensorsError.Fault) throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let url = folder.appending(path: "a.safetensors")
    #expect(throws: SafetensorsError(path: url.path, fault: fault)) { try write(samples, to: url) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }

  // MARK: Hostile files

  @Test("A missing file, a folder and an empty file")
  func unreadable() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    #expect(throws: FileError.self) { try SafetensorsFile(folder.appending(path: "none")) }
    #expect(throws: FileError.self) { try SafetensorsFile(folder) }
    let url = folder.appending(path: "empty")
    try Data().write(to: url)
    #expect(throws: SafetensorsError(path: url.path, fault: .truncatedHeader)) { try SafetensorsFile(url) }
  }

  @Test("A header's length over the file, over the limit, or absurd")
  func lengths() throws {
    let json = Array(#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#.utf8)
    #expect(throws: Fault.truncatedHeader) { try parse(length: 60, json + [0]) }
    #expect(throws: Fault.truncatedHeader) { try parse(length: 100_000_000, json + [0]) }
    #expect(throws: Fault.headerTooLarge(bytes: 100_000_001)) { try parse(length: 100_000_001, json + [0]) }
    #expect(throws: Fault.headerTooLarge(bytes: .max)) { try parse(length: .max, json + [0]) }
    #expect(throws: Fault.headerTooLarge(bytes: 1 << 63)) { try parse(length: 1 << 63, json + [0]) }
    #expect(throws: Fault.truncatedHeader) { try header(Array(repeating: 0, count: 7)) }
    #expect(throws: Fault.malformedHeader(offset: 8, expected: "'{'")) { try parse(length: 0, []) }
    #expect(try parse(length: UInt64(json.count), json + [0]).tensors.count == 1)
  }

  @Test(
    "Ranges and shapes that disagree",
    arguments: [
      // Two tensors of four bytes each, in various wrong places; the file holds eight bytes.
      (#""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#,
        8, nil),
      (#""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[3,7]}"#,
        8, .overlap(tensor: "b")),
      (#""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[5,9]}"#,
        9, .gap(before: "b")),
      (#""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#,
        7, .outOfFile(tensor: "b")),
      (#""a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#, 8, .gap(before: "a")),
      (#""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#, 5, .gap(before: nil)),
      (#""a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}"#, 8, .overlap(tensor: "a")),
      (#""a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}"#, 4, .sizeMismatch(tensor: "a")),
      (#""a":{"dtype":"F16","shape":[1],"data_offsets":[0,4]}"#, 4, .sizeMismatch(tensor: "a")),
      (#""a":{"dtype":"F32","shape":[0],"data_offsets":[0,4]}"#, 4, .sizeMismatch(tensor: "a")),
      (#""a":{"dtype":"F32","shape":[],"data_offsets":[0,0]}"#, 0, .sizeMismatch(tensor: "a")),
      // 2^32 · 2^32 elements: zero bytes if the product wrapped around; so does 2^62 · 4 bytes.
      (#""a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}"#, 0, .sizeMismatch(tensor: "a")),
      (#""a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}"#, 0, .sizeMismatch(tensor: "a")),
      (#""a":{"dtype":"U8","shape":[4294967296,0,4294967296],"data_offsets":[0,0]}"#, 0, .sizeMismatch(tensor: "a")),
      (#""a":{"dtype":"U8","shape":[1],"data_offsets":[0,9223372036854775807]}"#, 1, .outOfFile(tensor: "a")),
      (#""a":{"dtype":"U8","shape":[1],"data_offsets":[9223372036854775806,9223372036854775807]}"#,
        1, .outOfFile(tensor: "a")),
      (#""a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}"#,
        1, .unsupportedDType(tensor: "a", dtype: "F8_E4M3")),
      (#""a":{"dtype":"f32","shape":[1],"data_offsets":[0,4]}"#, 4, .unsupportedDType(tensor: "a", dtype: "f32")),
      ("", 1, .gap(before: nil)),
    ] as [(String, Int, SafetensorsError.Fault?)])
  func ranges(members: String, bytes: Int, fault: SafetensorsError.Fault?) throws {
    do {
      _ = try parse("{\(members)}", bytes: bytes)
      Issue.record("loaded")
    } catch {
      // Of two tensors with the very same range, either may be named.
      let possible = fault.map { [$0] } ?? [.overlap(tensor: "a"), .overlap(tensor: "b")]
      #expect(possible.contains(error))
    }
  }

  @Test("Empty tensors may lie anywhere between others, and overlap nothing")
  func emptyTensors() throws {
    let members = [
      #""e":{"dtype":"F32","shape":[0,3],"data_offsets":[4,4]}"#,
      #""a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}"#,
      #""f":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#,
      #""g":{"dtype":"F32","shape":[0],"data_offsets":[5,5]}"#,
    ]
    #expect(try parse("{\(members[0...2].joined(separator: ","))}", bytes: 4).tensors.count == 3)
    #expect(throws: Fault.outOfFile(tensor: "g")) { try parse("{\(members.joined(separator: ","))}", bytes: 4) }
  }

  @Test("Names that occur twice, however they are spelled")
  func duplicates() {
    let a = #"{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#
    #expect(throws: Fault.duplicateName("a")) { try parse(#"{"a":\#(a),"a":\#(a)}"#) }
    #expect(throws: Fault.duplicateName("a")) { try parse(#"{"a":\#(a),"\u0061":\#(a)}"#) }
    #expect(throws: Fault.duplicateName("é")) { try parse(#"{"\u00e9":\#(a),"e\u0301":\#(a)}"#) }
    #expect(throws: Fault.duplicateName("__metadata__")) { try parse(#"{"__metadata__":{},"__metadata__":{}}"#) }
    #expect(throws: Fault.duplicateName("k")) { try parse(#"{"__metadata__":{"k":"1","k":"2"}}"#) }
    for field in [#""dtype":"U8""#, #""shape":[0]"#, #""data_offsets":[0,0]"#] {
      #expect(throws: Fault.self) { try parse(#"{"a":{\#(field),"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#) }
    }
  }

  @Test("Too many dimensions, too long a name")
  func limits() throws {
    func tensor(rank: Int) -> String {
      let ones = Array(repeating: "1", count: rank).joined(separator: ",")
      return #"{"a":{"dtype":"U8","shape":[\#(ones)],"data_offsets":[0,1]}}"#
    }
    #expect(try parse(tensor(rank: 64), bytes: 1).tensors["a"]?.shape.count == 64)
    #expect(throws: Fault.tooManyDimensions(tensor: "a")) { try parse(tensor(rank: 65), bytes: 1) }
    #expect(throws: Fault.tooManyDimensions(tensor: "a")) { try parse(tensor(rank: 1_000_000), bytes: 1) }
    let name = String(repeating: "n", count: 5000)
    #expect(throws: Fault.nameTooLong(bytes: 5000)) {
      try parse(#"{"\#(name)":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#)
    }
    // Values of metadata may be long: whole configurations are kept there.
    #expect(try parse(#"{"__metadata__":{"k":"\#(name)"}}"#).metadata == ["k": name])
  }

  @Test(
    "Not the JSON of a header",
    arguments: [
      "", " {}", "\u{FEFF}{}", "[]", "null", "0", #""a""#, "{", "{}}", "{} {}", "{}\0", "{,}", #"{"a"}"#, #"{"a":}"#,
      #"{"a":null}"#, #"{"a":[]}"#, #"{"a":{}}"#, #"{"a":1}"#, #"{"a":{"dtype":"U8"}}"#,
      #"{"a":{"dtype":"U8","shape":[0]}}"#, #"{"a":{"shape":[0],"data_offsets":[0,0]}}"#,
      #"{"a":{"dtype":1,"shape":[0],"data_offsets":[0,0]}}"#,
      #"{"a":{"dtype":"U8","shape":0,"data_offsets":[0,0]}}"#,
      #"{"a":{"dtype":"U8","shape":["0"],"data_offsets":[0,0]}}"#,
      #"{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}}"#,
      #"{"a":{"dtype":"U8","shape":[0.0],"data_offsets":[0,0]}}"#,
      #"{"a":{"dtype":"U8","shape":[0e1],"data_offsets":[0,0]}}"#,
      #"{"a":{"dtype":"U8","shape":[00],"data_offsets":[0,0]}}"#,
      #"{"a":{"dtype":"U8","shape":[0x0],"data_offsets":[0,0]}}"#,
      #"{"a":{"dtype":"U8","shape":[0,],"data_offsets":[0,0]}}"#,
      #"{"a":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,0]}}"#,
      #"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,18446744073709551616]}}"#,
      #"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0]}}"#,
      #"{"a":{"dtype":"U8","shape":[0],"data_offsets":[]}}"#,
      #"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0,0]}}"#,
      #"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],}}"#,
      #"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"more":1}}"#,
      #"{"__metadata__":[]}"#, #"{"__metadata__":{"a":1}}"#, #"{"__metadata__":{"a":{}}}"#, #"{"__metadata__":null}"#,
      "{\"__metadata__\":{\"a\":\"\n\"}}", #"{"__metadata__":{"a":"\x"}}"#, #"{"__metadata__":{"a":"\u12"}}"#,
      #"{"__metadata__":{"a":"\ud800"}}"#, #"{"__metadata__":{"a":"\udc00"}}"#, #"{"__metadata__":{"a":"\ud800\n"}}"#,
      #"{"__metadata__":{"a":"\ud800\ud800"}}"#, #"{"__metadata__":{"a":"\"#, #"{"__metadata__":{"a":"\u"#,
      #"{"__metadata__":{"a":"\ud800\"#, #"{"__metadata__":{'a':'b'}}"#, #"{"__metadata__":{"a":"b"}"#, #"{/**/}"#,
    ])
  func malformed(json: String) {
    do {
      _ = try parse(json)
      Issue.record("loaded")
    } catch {
      guard case .malformedHeader = error else {
        Issue.record("\(error)")
        return
      }
    }
  }

  @Test("Bytes that are no UTF-8", arguments: [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xE2, 0x82]] as [[UInt8]])
  func invalidUTF8(bytes: [UInt8]) {
    let json = Array(#"{"__metadata__":{"a":""#.utf8) + bytes + Array(#""}}"#.utf8)
    #expect(throws: Fault.malformedHeader(offset: 30, expected: "valid UTF-8")) {
      try parse(length: UInt64(json.count), json)
    }
  }

  @Test("Nesting as deep as the header is long ends at the first wrong character")
  func nesting() {
    for bomb in ["[", "{\"a\":", "{\"__metadata__\":", "{\"a\":{\"shape\":["] {
      let json = String(repeating: bomb, count: 1_000_000)
      #expect(throws: Fault.self) { try parse(json) }
    }
  }

  @Test("White space and escapes that JSON allows")
  func lenient() throws {
    let json =
      "{ \"\\u0061\\/\\ud83d\\ude00\" :\t{\"data_offsets\" : [ 0 , 2 ] ,\r\n\"shape\":[ 1 ],\"dtype\":\"F16\"} }  \n"
    let start = 8 + json.utf8.count
    #expect(
      try parse(json, bytes: 2).tensors
        == ["a/😀": .init(dtype: .float16, shape: [1], range: start..<start + 2)])
  }

  @Test("Errors name the file and the fault, with no raw control characters from it")
  func descriptions() {
    let error = SafetensorsError(path: "m.safetensors", fault: .overlap(tensor: "\u{1B}[2J"))
    #expect(
      error.description
        == #"m.safetensors: not a valid safetensors file: the bytes of tensor "\u{1B}[2J" overlap another's"#)
  }

  @Test("Thousands of mutated files are refused or load whole, and never crash")
  func fuzz() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let url = folder.appending(path: "seed.safetensors")
    try write(Sample.all, metadata: ["format": "pt", "note": "é\n"], to: url)
    let original = try Array(Data(contentsOf: url))
    let headerEnd = original[..<8].reversed().reduce(0) { $0 << 8 | Int($1) } + 8
    let tokens = [
      "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "\\ud800", "0", "-1", "1e9", "9223372036854775807", "null",
      "\"shape\":", "\"dtype\":\"F32\",", "\"data_offsets\":[0,4]", "\"__metadata__\":{", " ", "\0", "\u{FF}",
    ].map { Array($0.utf8) }
    var random = SplitMix64(state: 20_240_601)
    var loaded = 0
    for round in 0..<6000 {
      var bytes = original
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let end = min(headerEnd, bytes.count)
        guard end > 8 else { break }
        let at = Int.random(in: 8..<end, using: &random)
        let span = at..<min(bytes.count, at + Int.random(in: 1...24, using: &random))
        switch Int.random(in: 0..<8, using: &random) {
        case 0: bytes[at] = .random(in: .min ... .max, using: &random)
        case 1: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 2: bytes.removeSubrange(span)
        case 3: bytes.insert(contentsOf: bytes[span], at: at)
        case 4: bytes.insert(contentsOf: tokens.randomElement(using: &random)!, at: at)
        case 5: bytes.replaceSubrange(span, with: tokens.randomElement(using: &random)!)
        case 6:  // another digit for a digit: the JSON stays valid, the ranges do not
          let digits = (8..<end).filter { (0x30...0x39).contains(bytes[$0]) }
          if let digit = digits.randomElement(using: &random) {
            bytes[digit] = .random(in: 0x30...0x39, using: &random)
          }
        default: bytes.removeLast(min(bytes.count, .random(in: 1...200, using: &random)))
        }
      }
      // Mostly the length follows the header, so that the parser is reached; sometimes it lies.
      let length =
        round % 10 == 0
        ? UInt64.random(in: 0...UInt64(2 * original.count), using: &random)
        : UInt64(max(0, headerEnd - 8 + bytes.count - original.count))
      if bytes.count >= 8 { withUnsafeBytes(of: length.littleEndian) { bytes.replaceSubrange(0..<8, with: $0) } }

      guard let header = try? header(bytes) else { continue }
      loaded += 1
      let ranges = header.tensors.values.map(\.range).sorted { $0.lowerBound < $1.lowerBound }
      #expect(ranges.allSatisfy { $0.lowerBound >= 8 && $0.upperBound <= bytes.count })
      #expect(ranges.reduce(0) { $0 + $1.count } == bytes.count - 8 - Int(length))
      for tensor in header.tensors.values {
        #expect(tensor.shape.reduce(tensor.dtype.size, *) == tensor.range.count)
      }
    }
    // Some mutations are harmless (another letter in a name), most are not.
    #expect((20..<2000).contains(loaded), "\(loaded) loaded")
  }

  // MARK: Python's safetensors package

  @Test("Python reads what is written here", .enabled(if: Python.hasSafetensors, Python.hint))
  func readByPython() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let url = folder.appending(path: "swift.safetensors")
    try write(Sample.all, metadata: ["format": "pt", "note": "é \"\\\n\u{1F}😀"], to: url)
    let output = try Python.run(
      """
      import sys, json, safetensors
      from safetensors import safe_open
      with open(sys.argv[1], "rb") as file:
        for name, tensor in sorted(safetensors.deserialize(file.read())):
          print(name, tensor["dtype"], tensor["shape"], bytes(tensor["data"]).hex())
      with safe_open(sys.argv[1], "np") as file:
        print(json.dumps(file.metadata(), sort_keys=True))
      """, url.path)
    let expected =
      Sample.all.sorted { $0.name < $1.name }.map {
        "\($0.name) \($0.dtype.safetensorsName) \($0.shape) \($0.bytes.map { String(format: "%02x", $0) }.joined())"
      } + [#"{"format": "pt", "note": "\u00e9 \"\\\n\u001f\ud83d\ude00"}"#]
    #expect(output == expected)
  }

  @Test("What Python writes is read here", .enabled(if: Python.hasSafetensors, Python.hint))
  func writtenByPython() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let url = folder.appending(path: "python.safetensors")
    let names: [DType: String] = [
      .float64: "float64", .float32: "float32", .float16: "float16", .bfloat16: "bfloat16", .int64: "int64",
      .int32: "int32", .int16: "int16", .int8: "int8", .uint8: "uint8", .bool: "bool",
    ]
    let tensors = Sample.all.map { "'\($0.name)': ('\(names[$0.dtype]!)', \($0.shape), bytes(\($0.bytes)))" }
    _ = try Python.run(
      """
      import sys, ctypes, safetensors
      tensors, buffers = {}, []
      for name, (dtype, shape, data) in {\(tensors.joined(separator: ", "))}.items():
        buffers.append(ctypes.create_string_buffer(data, len(data)))
        tensors[name] = safetensors.TensorSpec(
          dtype=dtype, shape=shape, data_ptr=ctypes.addressof(buffers[-1]), data_len=len(data))
      safetensors.serialize_file(tensors, sys.argv[1], {"note": "\\u00e9 \\"\\n\\x1f"})
      """, url.path)
    let file = try SafetensorsFile(url)
    #expect(file.metadata == ["note": "é \"\n\u{1F}"])
    #expect(file.tensors.count == Sample.all.count)
    for sample in Sample.all {
      let entry = try #require(file.tensors[sample.name])
      #expect((entry.dtype, entry.shape) == (sample.dtype, sample.shape))
      #expect(entry.withUnsafeBytes { Array($0) } == sample.bytes)
    }
  }
}

// MARK: Helpers

private typealias Fault = SafetensorsError.Fault

/// A tensor to write; its bytes count up where none are given.
struct Sample: Sendable {
  let name: String
  let dtype: DType
  let shape: [Int]
  let bytes: [UInt8]

  init(_ name: String, _ dtype: DType, _ shape: [Int], bytes: [UInt8]? = nil) {
    self.name = name
    self.dtype = dtype
    self.shape = shape
    let limit = dtype == .bool ? 2 : 251
    self.bytes = bytes ?? (0..<shape.reduce(dtype.size, *)).map { UInt8($0 % limit) }
  }

  static let all = [
    Sample("u8", .uint8, [3]), Sample("bool", .bool, [5]), Sample("i8", .int8, [1, 1, 7]), Sample("f16", .float16, [3]),
    Sample("f64", .float64, [2, 1]), Sample("f32", .float32, [2, 3]), Sample("bf16", .bfloat16, [1]),
    Sample("i64", .int64, []), Sample("i32", .int32, [1]), Sample("i16", .int16, [2, 2]),
    Sample("empty", .float32, [0, 4]),
  ]
}

private func write(_ samples: [Sample], metadata: [String: String] = [:], to url: URL) throws {
  let buffers = samples.map { sample in
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: sample.bytes.count, alignment: 8)
    buffer.copyBytes(from: sample.bytes)
    return buffer
  }
  defer { buffers.forEach { $0.deallocate() } }
  try SafetensorsFile.write(
    zip(samples, buffers).map { ($0.name, $0.dtype, $0.shape, UnsafeRawBufferPointer($1)) }, metadata: metadata,
    to: url)
}

private func header(_ file: [UInt8]) throws(Fault) -> SafetensorsHeader {
  try file.withUnsafeBytes { bytes in Result { () throws(Fault) in try SafetensorsHeader(of: bytes) } }.get()
}

private func parse(length: UInt64, _ rest: [UInt8]) throws(Fault) -> SafetensorsHeader {
  try header(withUnsafeBytes(of: length.littleEndian) { Array($0) } + rest)
}

/// The header `json`, followed by `bytes` bytes of tensors.
private func parse(_ json: String, bytes: Int = 0) throws(Fault) -> SafetensorsHeader {
  try parse(length: UInt64(json.utf8.count), Array(json.utf8) + Array(repeating: 0, count: bytes))
}

/// Steele, Lea and Flood: Fast splittable pseudorandom number generators, 2014.
private struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}

/// The Python that FACET_PYTHON names, else `python3`.
private enum Python {
  static let hint: Comment = "needs a Python (FACET_PYTHON, else python3) with safetensors 0.8 and numpy"
  static let hasSafetensors = (try? run("import numpy; from safetensors import TensorSpec", quietly: true)) != nil

  struct Failure: Error {
    let status: Int32
  }

  /// Runs a script and returns the lines that it prints.
  static func run(_ script: String, _ arguments: String..., quietly: Bool = false) throws -> [String] {
    let process = Process()
    let output = Pipe()
    let python = ProcessInfo.processInfo.environment["FACET_PYTHON"] ?? "python3"
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [python, "-c", script] + arguments
    process.standardOutput = output
    if quietly { process.standardError = FileHandle.nullDevice }
    try process.run()
    let data = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw Failure(status: process.terminationStatus) }
    return String(decoding: data, as: UTF8.self).split(separator: "\n").map(String.init)
  }
}

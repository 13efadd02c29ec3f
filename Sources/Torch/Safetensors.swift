import Files
import Foundation

/// A file of named tensors in the [safetensors](https://github.com/huggingface/safetensors) format, memory-mapped:
/// opening one reads and checks its header; a tensor's bytes are read when they are touched.
///
/// The header is trusted with nothing. A file opens only when every tensor's range lies in the file and equals its
/// shape times the size of its element type, the ranges cover the data without gap or overlap, and no name occurs
/// twice.
///
///     let file = try SafetensorsFile(URL(filePath: "model.safetensors"))
///     file.tensors["encoder.conv1.weight"]?.shape  // [32, 3, 3, 3]
public struct SafetensorsFile: Sendable {
  /// One tensor in the file. It keeps the file mapped as long as it lives.
  public struct Entry: Sendable, ContiguousBytes {
    /// The type of the elements.
    public let dtype: DType
    /// The size of each dimension; empty for a scalar.
    public let shape: [Int]
    let file: MappedFile
    private let range: Range<Int>

    fileprivate init(_ tensor: SafetensorsHeader.Tensor, in file: MappedFile) {
      dtype = tensor.dtype
      shape = tensor.shape
      self.file = file
      range = tensor.range
    }

    /// The elements, valid as long as ``file`` lives.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: file.bytes[range]) }

    /// Calls `body` with the elements in row-major order, not necessarily aligned to their size. The pointer is valid
    /// until it returns.
    public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
      try withExtendedLifetime(file) { try body(bytes) }
    }
  }

  /// The file's own notes, its `__metadata__`.
  public let metadata: [String: String]
  /// The tensors by name.
  public let tensors: [String: Entry]
  private let url: URL

  /// Opens the file at `url` and checks its header.
  /// - Parameter copyLimit: the largest file, in bytes, that is copied and not mapped.
  /// - Throws: `FileError` when the file cannot be read, ``SafetensorsError`` when it is no valid safetensors file.
  public init(_ url: URL, copyLimit: Int = MappedFile.copyLimit) throws {
    let file = try MappedFile(url, copyLimit: copyLimit)
    let header: SafetensorsHeader
    do {
      header = try SafetensorsHeader(of: file.bytes)
    } catch {
      throw SafetensorsError(path: url.path, fault: error)
    }
    self.url = url
    metadata = header.metadata
    tensors = header.tensors.mapValues { Entry($0, in: file) }
  }

  /// Writes `tensors` to `url`, whole or not at all, replacing what was there. The same tensors and metadata give the
  /// same bytes, whatever their order: larger element types come first, so that every tensor is aligned, then names.
  ///
  /// - Parameter tensors: Names, element types, shapes and the elements in row-major order, little-endian.
  /// - Parameter hasChecksum: whether the metadata get a `checksum` of everything, which ``verify()`` looks at.
  /// - Throws: `FileError` when the file cannot be written, ``SafetensorsError`` when a name occurs twice or is
  ///   reserved, bytes do not fill their shape, or the header passes the format's limit.
  public static func write(
    _ tensors: [(name: String, dtype: DType, shape: [Int], bytes: UnsafeRawBufferPointer)],
    metadata: [String: String] = [:],
    hasChecksum: Bool = false,
    to url: URL
  ) throws {
    let sorted = tensors.sorted { ($1.dtype.size, $0.name) < ($0.dtype.size, $1.name) }
    var metadata = metadata
    // One that was read with the metadata is of another file.
    metadata[checksumKey] = hasChecksum ? checksum(of: sorted, metadata) : nil
    let header: [UInt8]
    do {
      header = try SafetensorsHeader.encode(
        sorted.map { ($0.name, $0.dtype, $0.shape, $0.bytes.count) }, metadata: metadata)
    } catch {
      throw SafetensorsError(path: url.path, fault: error)
    }
    let file = try AtomicFile(url)
    try file.write(header)
    for tensor in sorted { try file.write(tensor.bytes) }
    try file.commit()
  }

  static let checksumKey = "checksum"

  private static func checksum(
    of tensors: [(name: String, dtype: DType, shape: [Int], bytes: UnsafeRawBufferPointer)], _ metadata: [String: String]
  ) -> String {
    var sum = Checksum()
    for (key, value) in metadata.sorted(by: { $0.key < $1.key }) where key != checksumKey {
      sum.add(key)
      sum.add(value)
    }
    for (name, dtype, shape, bytes) in tensors {
      sum.add("\(name) \(dtype.safetensorsName) \(shape)")
      sum.add(bytes)
    }
    return sum.text
  }

  /// Whether the file, where it is mapped, is as it was opened.
  /// - Throws: `FileError` where it was written to since: its tensors are not to be touched any more.
  public func checkUnchanged() throws { try tensors.values.first?.file.checkUnchanged() }

  /// Reads the whole file and compares it with the checksum that it was written with, if it has one.
  /// - Throws: ``SafetensorsError`` when a bit has changed since.
  public func verify() throws {
    guard let expected = metadata[Self.checksumKey] else { return }
    let sorted = tensors.sorted { ($1.value.dtype.size, $0.key) < ($0.value.dtype.size, $1.key) }
    let found = Self.checksum(of: sorted.map { ($0.key, $0.value.dtype, $0.value.shape, $0.value.bytes) }, metadata)
    guard found == expected else { throw SafetensorsError(path: url.path, fault: .wrongChecksum) }
  }
}

/// A file that is no valid safetensors file, or tensors that cannot become one.
public struct SafetensorsError: DescribedError, Equatable {
  /// What is wrong.
  public enum Fault: DescribedError, Equatable {
    /// The file ends inside its header.
    case truncatedHeader
    /// The header is longer than the format allows.
    case headerTooLarge(bytes: UInt64)
    /// The header is not the JSON that the format asks for; `offset` counts bytes from the file's start.
    case malformedHeader(offset: Int, expected: String)
    /// Two tensors have one name.
    case duplicateName(String)
    /// A name that the format keeps for itself, `__metadata__`.
    case reservedName(String)
    /// A name with more bytes than a reader would take.
    case nameTooLong(bytes: Int)
    /// A tensor of more dimensions than a reader would take.
    case tooManyDimensions(tensor: String)
    /// A type of elements that torch does not have.
    case unsupportedDType(tensor: String, dtype: String)
    /// The byte range does not hold exactly the elements that the shape asks for.
    case sizeMismatch(tensor: String)
    /// The byte range begins inside another tensor's, or ends before it begins.
    case overlap(tensor: String)
    /// Bytes before this tensor, or behind the last one, belong to none.
    case gap(before: String?)
    /// The byte range passes the end of the file.
    case outOfFile(tensor: String)
    /// The bytes are not those that were written.
    case wrongChecksum

    public var description: String {
      switch self {
      case .truncatedHeader: "the file ends inside its header"
      case .headerTooLarge(let bytes):
        "the header of \(bytes) bytes passes the limit of \(SafetensorsHeader.maximumLength)"
      case .malformedHeader(let offset, let expected): "malformed header: expected \(expected) at byte \(offset)"
      case .duplicateName(let name): "\(name.debugDescription) occurs twice"
      case .reservedName(let name): "\(name.debugDescription) cannot name a tensor"
      case .nameTooLong(let bytes):
        "a name of \(bytes) bytes passes the limit of \(SafetensorsHeader.maximumNameLength)"
      case .tooManyDimensions(let tensor):
        "tensor \(tensor.debugDescription) has over \(SafetensorsHeader.maximumRank) dimensions"
      case .unsupportedDType(let tensor, let dtype):
        "tensor \(tensor.debugDescription) has the unsupported element type \(dtype.debugDescription)"
      case .sizeMismatch(let tensor): "the bytes of tensor \(tensor.debugDescription) do not fill its shape"
      case .overlap(let tensor): "the bytes of tensor \(tensor.debugDescription) overlap another's"
      case .gap(let tensor?): "bytes before tensor \(tensor.debugDescription) belong to none"
      case .gap(nil): "bytes behind the last tensor belong to none"
      case .outOfFile(let tensor): "tensor \(tensor.debugDescription) passes the end of the file"
      case .wrongChecksum: "its checksum does not fit its bytes: it is damaged"
      }
    }
  }

  /// The file.
  public let path: String
  /// What is wrong with it.
  public let fault: Fault

  public var description: String { "\(path): not a valid safetensors file: \(fault)" }
}

extension DType {
  /// The type's name in a safetensors file; elements are little-endian.
  var safetensorsName: String {
    switch self {
    case .float64: "F64"
    case .float32: "F32"
    case .float16: "F16"
    case .bfloat16: "BF16"
    case .int64: "I64"
    case .int32: "I32"
    case .int16: "I16"
    case .int8: "I8"
    case .uint8: "U8"
    case .bool: "BOOL"
    }
  }

  init?(safetensorsName name: String) {
    guard let dtype = DType.allCases.first(where: { $0.safetensorsName == name }) else { return nil }
    self = dtype
  }
}

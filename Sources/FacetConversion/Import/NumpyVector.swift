import Facet
import Files
import Foundation

/// A vector of float32 in NumPy's own format, named as its file.
///
/// The format: `\x93NUMPY`, a version, the header's length, a header such as
/// `{'descr': '<f4', 'fortran_order': False, 'shape': (2048,), }`, and the values.
public struct NumpyVector: Sendable {
  /// The file's name without its ending.
  public let name: String
  /// The numbers, finite.
  public let values: [Float]

  /// The most vectors, and the deepest folders below the one that is named.
  private static let (mostFiles, mostDepth) = (1000, 4)

  /// Reads all `.npy` files in folders, sorted by name.
  /// - Parameters:
  ///   - folders: the folders; those in them count too, hidden files do not.
  ///   - count: the numbers that each vector must have.
  /// - Throws: ``ImportError`` that names the file at fault; `FileError`.
  static func read(_ folders: [URL], count: Int) throws -> [NumpyVector] {
    var files: [URL] = []
    for folder in folders { files += try self.files(in: folder) }
    var taken: [String: URL] = [:]
    return try files.map { url in
      let vector = try NumpyVector(contentsOf: url, count: count)
      if let other = taken.updateValue(url, forKey: vector.name.lowercased()) {
        throw ImportError(path: url.path, reason: "\(other.path) has the same name; attributes are told apart by it")
      }
      return vector
    }.sorted { $0.name < $1.name }
  }

  private static func files(in folder: URL) throws -> [URL] {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: folder.path, isDirectory: &isFolder), isFolder.boolValue else {
      throw ImportError(path: folder.path, reason: "not a folder")
    }
    let walk = FileManager.default.enumerator(
      at: folder, includingPropertiesForKeys: nil, options: [.skipsHiddenFiles])
    var files: [URL] = []
    while let url = walk?.nextObject() as? URL {
      if let walk, walk.level > mostDepth { walk.skipDescendants() }
      guard url.pathExtension.lowercased() == "npy" else { continue }
      files.append(url)
      guard files.count <= mostFiles else { throw ImportError(path: folder.path, reason: "over \(mostFiles) .npy files") }
    }
    guard !files.isEmpty else { throw ImportError(path: folder.path, reason: "no .npy files in this folder") }
    return files.sorted { $0.path < $1.path }
  }

  /// - Parameters:
  ///   - url: the file.
  ///   - count: the numbers that it must have.
  /// - Throws: ``ImportError``, `FileError`.
  init(contentsOf url: URL, count: Int) throws {
    func fault(_ reason: String) -> ImportError { ImportError(path: url.path, reason: reason) }
    name = url.deletingPathExtension().lastPathComponent
    guard CombinedDirection.isName(name) else {
      throw fault("its name is to be an attribute's: up to 64 letters, digits, _ and -, a letter first")
    }
    values = try MappedFile(url).withBytes { bytes in
      guard bytes.count >= 10, bytes.starts(with: Array("\u{93}NUMPY".unicodeScalars.map { UInt8($0.value) })) else {
        throw fault("not a NumPy file")
      }
      // Version 1 has 2 bytes for the header's length, later ones 4.
      let start = bytes[6] == 1 ? 10 : 12
      guard (1...3).contains(bytes[6]), bytes.count >= start else { throw fault("of an unknown version of the format") }
      let length = (8..<start).reversed().reduce(0) { $0 << 8 | Int(bytes[$1]) }
      guard length <= min(1 << 16, bytes.count - start) else { throw fault("its header is cut off") }
      let header = String(decoding: bytes[start..<start + length], as: UTF8.self)

      func field(_ pattern: Regex<(Substring, Substring)>) -> String? {
        header.firstMatch(of: pattern).map { String($0.output.1) }
      }
      guard let type = field(/'descr' *: *'([^']{0,40})'/) else {
        throw fault("its elements are records; expected float32")
      }
      guard !type.hasSuffix("O") else { throw fault("it holds Python objects, which are not read; expected float32") }
      guard type == "<f4" else { throw fault("its elements are of type '\(type.filter(\.isASCII))'; expected float32, '<f4'") }
      guard let shape = field(/'shape' *: *\(([0-9, ]{0,100})\)/) else { throw fault("its header cannot be read") }
      let sizes = shape.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
      guard sizes == [String(count)] else {
        throw fault("its shape is (\(shape)); expected (\(count),), the model's latent size")
      }
      guard bytes.count - start - length == 4 * count else {
        throw fault("it has \(bytes.count - start - length) bytes of values; expected \(4 * count)")
      }
      return try (0..<count).map { index in
        let bits = bytes.loadUnaligned(fromByteOffset: start + length + 4 * index, as: UInt32.self)
        let value = Float(bitPattern: UInt32(littleEndian: bits))
        guard value.isFinite else { throw fault("number \(index + 1) is \(value); expected finite numbers") }
        return value
      }
    }
  }
}

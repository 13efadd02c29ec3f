import Facet
import Files
import Foundation

/// Configurations of runs as JSON: files that need not have all fields, and single fields such as `objective.ssim=2`.
public enum ConfigurationFile {
  /// The file that each run writes into its folder, with all fields.
  public static let name = "run.json"

  /// A configuration with the fields of a file in the place of its own.
  /// - Throws: `FileError`; ``TrainingError`` that names the file and the field.
  public static func applying<Configuration: Codable>(
    _ url: URL, to configuration: Configuration
  ) throws -> Configuration {
    let patch = try MappedFile(url).withBytes { bytes in
      guard bytes.count < 1 << 20 else { throw TrainingError("\(url.path): longer than a configuration can be") }
      do { return try JSONDecoder().decode(JSONValue.self, from: Data(bytes)) } catch {
        throw TrainingError("\(url.path): not JSON: \((error as? DecodingError)?.brief ?? "\(error)")")
      }
    }
    do { return try configuration.applying(patch) } catch { throw TrainingError("\(url.path): \(error)") }
  }

  /// A configuration with one field set.
  /// - Parameter text: `FIELD=VALUE`, the field with its parents, as `augmentation.rotation=10`; the value as JSON has it.
  /// - Throws: ``TrainingError`` that quotes the text.
  public static func setting<Configuration: Codable>(
    _ text: String, in configuration: Configuration
  ) throws -> Configuration {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty else { throw TrainingError("'\(text)': write it as FIELD=VALUE, as objective.ssim=2") }
    let value = (try? JSONDecoder().decode(JSONValue.self, from: Data(parts[1].utf8))) ?? .string(String(parts[1]))
    let patch = parts[0].split(separator: ".").reversed().reduce(value) { .object([String($1): $0]) }
    do { return try configuration.applying(patch) } catch { throw TrainingError("'\(text)': \(error)") }
  }

  /// Writes all fields of a configuration into a run's folder.
  static func write(_ configuration: some Codable, in output: URL) throws {
    try AtomicFile.write(Data((text(of: configuration) + "\n").utf8), to: output.appendingPathComponent(name))
  }

  /// All fields of a configuration, for people.
  public static func text(of configuration: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return String(decoding: try encoder.encode(configuration), as: UTF8.self)
  }
}

extension Decodable where Self: Encodable {
  fileprivate func applying(_ patch: JSONValue) throws -> Self {
    guard case .object = patch else { throw TrainingError("not an object with fields") }
    let merged = try JSONDecoder().decode(JSONValue.self, from: JSONEncoder().encode(self)).merged(with: patch)
    let result: Self
    do { result = try JSONDecoder().decode(Self.self, from: JSONEncoder().encode(merged)) } catch let error as DecodingError {
      throw TrainingError(error.brief)
    }
    // A field that was read is written again.
    if let unknown = patch.paths(missingIn: try JSONDecoder().decode(JSONValue.self, from: JSONEncoder().encode(result))).first {
      let nearest = Spelling.nearest(unknown.name, among: unknown.known).first.map { "; did you mean '\($0)'?" } ?? ""
      throw TrainingError("there is no field '\(unknown.path)'\(nearest)")
    }
    return result
  }
}

/// Any JSON.
private enum JSONValue: Codable {
  case null
  case bool(Bool)
  case integer(Int64)
  case unsigned(UInt64)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() { self = .null }
    else if let value = try? container.decode(Bool.self) { self = .bool(value) }
    else if let value = try? container.decode(Int64.self) { self = .integer(value) }
    else if let value = try? container.decode(UInt64.self) { self = .unsigned(value) }
    else if let value = try? container.decode(Double.self) { self = .number(value) }
    else if let value = try? container.decode(String.self) { self = .string(value) }
    else if let value = try? container.decode([JSONValue].self) { self = .array(value) }
    else { self = .object(try container.decode([String: JSONValue].self)) }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .bool(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .unsigned(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .string(let value): try container.encode(value)
    case .array(let values): try container.encode(values)
    case .object(let fields): try container.encode(fields)
    }
  }

  func merged(with patch: JSONValue) -> JSONValue {
    guard case .object(let new) = patch, case .object(let old) = self else { return patch }
    // One of several cases, such as {"global": {"_0": 1}}, takes the other's place.
    if old.count == 1, new.count == 1, case .object? = old.values.first { return patch }
    return .object(old.merging(new) { $0.merged(with: $1) })
  }

  /// The fields of this that are not in another, with the other's fields beside them.
  func paths(missingIn other: JSONValue, below parent: String = "") -> [(path: String, name: String, known: [String])] {
    guard case .object(let own) = self, case .object(let others) = other else { return [] }
    return own.sorted { $0.key < $1.key }.flatMap { name, value in
      if case .null = value { return [] as [(path: String, name: String, known: [String])] }
      guard let present = others[name] else { return [(parent + name, name, others.keys.sorted())] }
      return value.paths(missingIn: present, below: parent + name + ".")
    }
  }
}

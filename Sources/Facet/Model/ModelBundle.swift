import Files
import Foundation
import Torch

/// A model on disk: a folder with `config.json`, `model.safetensors`, once they have been found `attributes.safetensors`,
/// `glasses.safetensors` where glasses are drawn,
/// `prototypes.safetensors` where lines are deepened, and a `card.md` for people.
public struct ModelBundle: Sendable {
  /// The folder.
  public let url: URL
  /// The model with its weights, for use: batch norm on running statistics, no gradients.
  public let model: any FaceVAE
  /// A number over the bytes of the weights; attribute directions are bound to it.
  public let fingerprint: String
  /// A line for people on where the weights are from; `nil` where it was not recorded.
  public let origin: String?

  /// What the model is built of.
  public var configuration: ModelConfiguration { model.configuration }

  /// The bundle that ships inside the package.
  public static var defaultURL: URL {
    Bundle.module.url(forResource: "default", withExtension: "facet")
      ?? Bundle.module.bundleURL.appendingPathComponent("default.facet")
  }

  /// Reads a bundle.
  /// - Throws: ``BundleError``, `FileError` or `SafetensorsError` that names the file at fault.
  public init(contentsOf url: URL = ModelBundle.defaultURL, device: Device = .cpu) throws {
    self.url = url
    let folder = NetworkFolder(url)
    model = try folder.network(of: "a model configuration") { (configuration: ModelConfiguration) in
      try configuration.makeModel(seed: nil)
    }
    let metadata = try folder.load(into: model, on: device)
    // It may come from anywhere.
    origin = metadata["origin"].map { $0.visible(length: 500) }
    fingerprint = try Self.fingerprint(of: folder.weightsURL)
  }

  /// What the weights may be used for, as the card says behind `**Terms.**`; `nil` where it does not.
  public var terms: String? {
    guard let card = try? MappedFile(url.appendingPathComponent(NetworkFolder.cardFile)).withBytes({ Data($0.prefix(1 << 16)) })
    else { return nil }
    let line = String(decoding: card, as: UTF8.self).split(whereSeparator: \.isNewline)
      .first { $0.hasPrefix(Self.termsMark) }
    return line.map { $0.dropFirst(Self.termsMark.count).trimmingCharacters(in: .whitespaces).visible(length: 500) }
  }

  /// What is said of weights whose card says nothing.
  public static let unknownTerms =
    "no card says; weights trained on CelebA, CelebAMask-HQ or UTKFace allow no commercial use"
  private static let termsMark = "**Terms.**"

  /// Writes configuration and weights into a folder; directions there belong to other weights and go.
  ///
  /// Each file is replaced whole. A process that is killed in between leaves the old bundle, the new one, or (where the
  /// configuration changes) one without weights, never weights of another configuration.
  /// - Parameter dtype: the type of weight matrices on disk; vectors stay float32. With float16 the matrix of the posterior's
  ///   deviation, which only training draws from, is int8.
  /// - Parameter configuration: the model that they belong to.
  /// - Parameter weights: the tensors by name.
  /// - Parameter origin: a line for people on where the weights are from.
  /// - Parameter url: the bundle's folder.
  public static func write(
    configuration: ModelConfiguration, weights: [String: Tensor], dtype: DType = .float16, origin: String? = nil,
    to url: URL
  ) throws {
    let folder = NetworkFolder(url)
    let json = try JSON.pretty(configuration)
    if (try? MappedFile(folder.configurationURL).withBytes { Data($0) }) != json {
      try remove(at: url)
      try AtomicFile.write(json, to: folder.configurationURL)
    }
    let converted = try weights.withMatrices(as: dtype)
    let stored = dtype == .float16 ? try converted.quantized { $0.hasSuffix(deviationSuffix) } : converted
    var metadata = ["format": weightsFormat]
    metadata["origin"] = origin
    try Tensor.save(stored, metadata: metadata, to: folder.weightsURL)
    // Until here a reader refused them by their fingerprint.
    for file in boundFiles + boundTexts { try? FileManager.default.removeItem(at: url.appendingPathComponent(file)) }
  }

  /// Copies what makes a bundle into another folder, each file whole; what is there of other weights goes.
  package func copy(to folder: URL) throws {
    if (try? Self.fingerprint(of: NetworkFolder(folder).weightsURL)) != fingerprint {
      try Self.remove(at: folder)
    }
    let network = [NetworkFolder.configurationFile, NetworkFolder.weightsFile]
    try copy(network + Self.boundFiles + Self.boundTexts + Self.freeFiles, to: folder)
  }

  private func copy(_ files: [String], to folder: URL) throws {
    for file in files {
      let source = url.appendingPathComponent(file)
      guard FileManager.default.fileExists(atPath: source.path) else { continue }
      let bytes = try MappedFile(source).withBytes { Data($0) }
      try AtomicFile.write(bytes, to: folder.appendingPathComponent(file))
    }
  }

  /// Writes this model with another decoder into a folder, with what belongs to its codes: directions; glasses, card.
  /// - Parameters:
  ///   - weights: the tensors by name, those of the encoder as they are here.
  ///   - origin: a line for people on where the weights are from.
  ///   - folder: the other bundle's.
  package func write(withDecoderOf weights: [String: Tensor], origin: String, to folder: URL) throws {
    try Self.write(configuration: configuration, weights: weights, origin: origin, to: folder)
    try bindParts(to: folder)
  }

  /// Writes this bundle into a folder with its matrices as 8-bit numbers, half of the bytes: a row's numbers are off by 0.4 % of its
  /// largest at most.
  package func writeSmall(to folder: URL) throws {
    try Self.remove(at: folder)
    var (weights, metadata) = try Tensor.load(from: NetworkFolder(url).weightsURL)
    weights = try weights.dequantized().quantized()
    metadata["format"] = Self.weightsFormat
    try copy([NetworkFolder.configurationFile], to: folder)
    try Tensor.save(weights, metadata: metadata, to: NetworkFolder(folder).weightsURL)
    try bindParts(to: folder)
  }

  /// Copies what belongs to this model's codes into a folder of other weights for the same codes.
  private func bindParts(to folder: URL) throws {
    let other = try Self.fingerprint(of: NetworkFolder(folder).weightsURL)
    for file in Self.boundFiles {
      let source = url.appendingPathComponent(file)
      guard FileManager.default.fileExists(atPath: source.path) else { continue }
      var (tensors, metadata) = try Tensor.load(from: source)
      metadata["model"] = other
      try Tensor.save(tensors, metadata: metadata, to: folder.appendingPathComponent(file))
    }
    try copy(Self.boundTexts + Self.freeFiles, to: folder)
  }

  /// What belongs to the weights that it was made for.
  private static let boundFiles = [AttributeDirections.file]

  /// Texts that belong to these.
  private static let boundTexts = [Strengths.file]

  /// What does not depend on the weights.
  private static let freeFiles = [GlassesModel.file, SkinPrototypes.file, Painter.file, NetworkFolder.cardFile]

  /// Removes a bundle's files, the weights first, except for those that do not depend on them.
  package static func remove(at url: URL) throws {
    let files = [NetworkFolder.weightsFile] + boundFiles + boundTexts + [NetworkFolder.configurationFile]
    for file in files.map(url.appendingPathComponent) where FileManager.default.fileExists(atPath: file.path) {
      try FileManager.default.removeItem(at: file)
    }
  }

  /// A checksum of the file: a check against mix-ups, not against forgery.
  private static func fingerprint(of url: URL) throws -> String { try MappedFile(url).withBytes { Checksum($0).text } }

  private static let deviationSuffix = "logDeviation.weight"
  private static let weightsFormat = "facet-model-1"
}

/// A file or folder that could not be read or written. It is the same type in each module that throws it.
public typealias FileError = Files.FileError

/// A model bundle that cannot be read.
public struct BundleError: DescribedError, Equatable {
  /// The file at fault.
  public let path: String
  /// What is wrong with it, and what to do.
  public let reason: String
  public var description: String { "\(path): \(reason)" }

  package init(path: String, reason: String) { (self.path, self.reason) = (path, reason) }
}

package enum JSON {
  package static func encode(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }

  /// For files that people read.
  static func pretty(_ value: some Encodable) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(value)
  }

  package static func decode<Value: Decodable>(_: Value.Type, _ text: String) throws -> Value {
    try JSONDecoder().decode(Value.self, from: Data(text.utf8))
  }
}

extension DecodingError {
  /// One line for people.
  package var brief: String {
    switch self {
    case .keyNotFound(let key, _): "'\(key.stringValue)' is missing"
    case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
      context.codingPath.isEmpty
        ? context.debugDescription
        : "'\(context.codingPath.map(\.stringValue).joined(separator: "."))': \(context.debugDescription)"
    @unknown default: "\(self)"
    }
  }
}

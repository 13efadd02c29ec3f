import Facet
import Files
import Foundation
import Torch

extension ModelBundle {
  /// The files that ``exportONNX(to:)`` writes, as far as a bundle has what goes into them.
  public static let onnxFiles = ["encoder.onnx", "decoder.onnx", "attributes.npz", NetworkFolder.cardFile, "README.md"]

  /// Writes the model for any program that runs ONNX, its attribute directions for numpy, and a README with a whole
  /// edit in Python.
  ///
  /// The encoder takes N × 3 × S × S, sRGB in [0, 1], S the configuration's image size, and gives mean and log σ,
  /// each N × latent size. The decoder takes N × latent size and gives the image, as the encoder takes it, and the
  /// probability of "face", N × 1 × S × S. Batch norm is folded into the weights, in float32.
  ///
  /// Files of those names are replaced, each whole, once all of them can be written.
  /// - Parameter folder: made where it is missing.
  /// - Throws: ``BundleError`` when the weights are not finite or the directions cannot be read; `FileError`.
  public func exportONNX(to folder: URL) throws {
    guard let model = model as? any ONNXExportable else {
      throw BundleError(path: url.path, reason: "a model of this architecture cannot be exported")
    }
    var contents: [String: Data] = [:]
    do {
      contents["encoder.onnx"] = try encoder(of: model)
      contents["decoder.onnx"] = try decoder(of: model)
    } catch let error as ModelError {
      throw BundleError(path: url.path, reason: "\(error)")
    }
    var attributes: [String] = []
    if FileManager.default.fileExists(atPath: url.appendingPathComponent(AttributeDirections.file).path) {
      let directions = try AttributeDirections(of: self)
      contents["attributes.npz"] = try npz(directions)
      attributes = directions.names
    }
    contents[NetworkFolder.cardFile] = try card()
    contents["README.md"] = Data(onnxReadme(attributes: attributes).utf8)

    // README.md comes last, so where it is all is.
    let files = try Self.onnxFiles.compactMap { name in
      try contents[name].map { data in
        let file = try AtomicFile(folder.appendingPathComponent(name))
        try file.write(data)
        return file
      }
    }
    // Those of another model.
    for name in Self.onnxFiles where contents[name] == nil {
      try? FileManager.default.removeItem(at: folder.appendingPathComponent(name))
    }
    for file in files { try file.commit() }
  }

  private func card() throws -> Data? {
    let file = url.appendingPathComponent(NetworkFolder.cardFile)
    guard FileManager.default.fileExists(atPath: file.path) else { return nil }
    return try MappedFile(file).withBytes { bytes in
      guard bytes.count < 1 << 20 else { throw BundleError(path: file.path, reason: "longer than a card can be") }
      return Data(bytes)
    }
  }

  private var metadata: KeyValuePairs<String, String> {
    ["architecture": configuration.architecture.rawValue, "weights": fingerprint]
  }

  private var pictureShape: [Int] { [3, configuration.imageSize, configuration.imageSize] }

  private func encoder(of model: any ONNXExportable) throws -> Data {
    let graph = ONNXGraph(name: "encoder")
    let code = try model.encode(graph.input("image", pictureShape, about: "Aligned faces, sRGB in [0, 1]."))
    graph.output(code.mean, "mean", [configuration.latentSize], about: "The latent codes' means.")
    graph.output(code.logDeviation, "log_deviation", [configuration.latentSize], about: "log σ around them.")
    return try graph.serialized(metadata: metadata)
  }

  private func decoder(of model: any ONNXExportable) throws -> Data {
    let graph = ONNXGraph(name: "decoder")
    let face = try model.decode(graph.input("latent", [configuration.latentSize], about: "Latent codes."))
    graph.output(face.image, "image", pictureShape, about: "Faces, sRGB in [0, 1].")
    let shape = [1] + pictureShape.dropFirst()
    graph.output(face.maskLogits.sigmoid(), "mask", shape, about: "The probability of face, in [0, 1].")
    return try graph.serialized(metadata: metadata)
  }

  private func npz(_ directions: AttributeDirections) throws -> Data {
    let longest = 1000
    guard directions.names.allSatisfy({ $0.unicodeScalars.count <= longest }) else {
      let file = url.appendingPathComponent(AttributeDirections.file)
      throw BundleError(path: file.path, reason: "an attribute's name has over \(longest) characters")
    }
    var arrays = NPZ()
    arrays.add("names", directions.names)
    for method in DirectionMethod.allCases {
      let name = method.rawValue.replacing("-", with: "_")
      let factors = directions.factors(method).flatMap { [Float($0.add), Float($0.remove)] }
      try arrays.add(name, directions.vectors(method))
      try arrays.add("\(name)_factors", Tensor(factors, shape: [directions.names.count, 2]))
    }
    return arrays.data
  }
}

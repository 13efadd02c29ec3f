import Files
import Foundation
import Torch

extension ModelBundle {
  /// The files that ``exportONNX(to:)`` writes, as far as a bundle has what goes into them.
  public static let onnxFiles = ["encoder.onnx", "decoder.onnx", "attributes.npz", cardFile, "README.md"]

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
    contents[Self.cardFile] = try? Data(contentsOf: url.appendingPathComponent(Self.cardFile))
    contents["README.md"] = Data(readme(attributes: attributes).utf8)

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

  /// - Parameter attributes: names; without any the example reconstructs.
  private func readme(attributes: [String]) -> String {
    let (size, latents) = (configuration.imageSize, configuration.latentSize)
    let attribute = attributes.contains("Smiling") ? "Smiling" : attributes.first
    let choice = attribute.map { attribute in
      // A JSON text is a Python one but for the slash.
      let name = (try? JSON.encode(attribute))?.replacing("\\/", with: "/") ?? ""
      return """
      attributes, strength = np.load("attributes.npz"), 1.0  # 1 adds the attribute, -1 takes it away
      row = attributes["names"].tolist().index(\(name))
      factor = attributes["isolated_factors"][row, 0 if strength > 0 else 1]
      step = strength * factor * attributes["isolated"][row]

      """
    }
    let result = attribute == nil ? "edited = x + (before - x) * mask" : """
      after, _ = decoder.run(None, {"latent": code + step})
      edited = x + (after - before) * mask  # the photo keeps its own detail
      """
    let arrays = attribute == nil ? "" : """

      `attributes.npz` is for numpy: `names` of \(attributes.count) attributes; for each of them its direction \
      (`isolated`, or `mean_difference` with what goes along with it in the training photos), \(latents) numbers, and in \
      `isolated_factors` and `mean_difference_factors` the factors on it at strength 1 and -1.

      """
    return """
      # A Facet model in ONNX

      Made by `facet export onnx` \(facetVersion) from a model of the \(configuration.architecture) architecture, weights \
      \(fingerprint). Opset 17; the batch N is free; all numbers are float32.

      | file | input | outputs |
      |---|---|---|
      | `encoder.onnx` | `image` N×3×\(size)×\(size), sRGB in 0…1 | `mean` and `log_deviation` of the code, N×\(latents) |
      | `decoder.onnx` | `latent` N×\(latents) | `image` N×3×\(size)×\(size); `mask` N×1×\(size)×\(size), the probability \
      of face |
      \(arrays)
      \(attribute == nil ? "A reconstruction" : "An edit"), with `pip install numpy onnxruntime pillow`: save it here as \
      `edit.py` and run `python edit.py face.png edited.png`.

      ```python
      import sys
      import numpy as np
      from onnxruntime import InferenceSession
      from PIL import Image

      encoder, decoder = InferenceSession("encoder.onnx"), InferenceSession("decoder.onnx")
      \(choice ?? "")
      face = Image.open(sys.argv[1]).convert("RGB").resize((\(size), \(size)), Image.Resampling.LANCZOS)
      x = np.asarray(face, np.float32).transpose(2, 0, 1)[None] / 255
      code, _ = encoder.run(None, {"image": x})
      before, mask = decoder.run(None, {"latent": code})
      \(result)
      pixels = np.rint(edited[0].clip(0, 1).transpose(1, 2, 0) * 255).astype(np.uint8)
      Image.fromarray(pixels).save(sys.argv[2])
      ```

      `face.png` is a face alone and upright, as the model was trained: in an aligned CelebA photo of 178×218 the square \
      x 4…174, y 39…209; in any other, the box that `facet inspect --json` gives.

      """
  }
}

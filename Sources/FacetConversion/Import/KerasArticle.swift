import Facet
import Foundation
import Torch

/// The article's network as its author published it: weights that Keras 2 saved with `save_weights`, from the training
/// network or from the one for prediction, and attribute vectors of NumPy.
///
/// Keras names layers by kind and a number that rises as the network is built: the encoder, the image decoder, the mask
/// decoder. The file has them by their distance from the outputs, so that the two decoders' alternate, the one with the
/// longer way to the composed picture ahead: the image decoder in training, where the mask is an input, the mask decoder
/// in prediction.
public struct KerasArticle {
  /// The article's, with the file's numbers of filters and the whole frame as the model's view.
  public let configuration: ModelConfiguration
  /// By their names in the model, in its layouts.
  public let weights: [String: Tensor]
  /// The attribute vectors, sorted by name.
  public let vectors: [NumpyVector]
  /// A line for people on where all this is from.
  public let origin: String

  /// Reads weights and vectors.
  /// - Parameters:
  ///   - url: the HDF5 file.
  ///   - folders: of `.npy` files, one vector each, named as the attribute; folders in them count too.
  /// - Throws: ``ImportError`` that names the file and the layer at fault, with the shape that was found and the one
  ///   that was expected; `FileError`.
  public init(weights url: URL, attributes folders: [URL] = []) throws {
    let file = try KerasWeights(contentsOf: url)
    let network = try ArticleLayers(file)
    configuration = try network.configuration()
    weights = try network.state(of: configuration)
    vectors = try NumpyVector.read(folders, count: configuration.latentSize)
    let version = file.version.map { "Keras \($0)" } ?? "Keras 2"
    let imported = vectors.isEmpty ? "" : " with \(vectors.count) attribute vectors"
    origin = "imported from \(version) weights \(url.lastPathComponent)\(imported), by Facet \(facetVersion)"
  }

  /// Writes a bundle in float32.
  ///
  /// Strength 1 is the vector itself, as in the article. Without labels there is no isolated direction: both methods
  /// take the vector, and there are no probes.
  /// - Throws: `BundleError`, `FileError`.
  public func write(to url: URL) throws {
    try ModelBundle.write(configuration: configuration, weights: weights, dtype: .float32, origin: origin, to: url)
    guard !vectors.isEmpty else { return }
    let directions = try AttributeDirections(
      vectors: vectors.map { ($0.name, $0.values) }, latentSize: configuration.latentSize)
    try directions.write(to: ModelBundle(contentsOf: url))
  }
}

/// The file's layers at their places in the article's network.
private struct ArticleLayers {
  typealias Layer = KerasWeights.Layer

  private struct Decoder {
    var ups: [Layer] = []
    var convolutions: [Layer] = []
    var norms: [Layer] = []
    var output: Layer
  }

  private let file: KerasWeights
  private let convolutions: [Layer]
  private let norms: [Layer]
  private let dense: [Layer]  // hidden, mean, log-deviation
  private let image: Decoder
  private let mask: Decoder

  /// How Keras lays a kernel out: the axes that take it to LibTorch's layout.
  private enum Layout {
    /// H, W, in, out → out, in, H, W; transposed H, W, out, in → in, out, H, W.
    static let convolution = [3, 2, 0, 1]
    static let dense = [1, 0]
  }

  init(_ file: KerasWeights) throws {
    self.file = file
    var (all, ups, norms, dense): ([Layer], [Layer], [Layer], [Layer]) = ([], [], [], [])
    var places: [String: Int] = [:]
    for (place, layer) in file.layers.enumerated() {
      guard places.updateValue(place, forKey: layer.name) == nil else {
        throw file.fault("layer '\(layer.name)' comes twice")
      }
      switch (Set(layer.weights.keys), layer.weights["kernel"]?.dimensions) {
      case (["gamma", "beta", "moving_mean", "moving_variance"], _): norms.append(layer)
      case (["kernel", "bias"], 2): dense.append(layer)
      case (["kernel", "bias"], 4): if layer.name.contains("transpose") { ups.append(layer) } else { all.append(layer) }
      default:
        let found = layer.weights.map { "\($0.key) \(Self.text($0.value.shape))" }.sorted().joined(separator: ", ")
        throw file.fault(
          "layer '\(layer.name)' holds \(found.isEmpty ? "nothing" : found); the article's network has convolutions "
            + "and dense layers, each of kernel and bias, and batch norms of gamma, beta, moving_mean, moving_variance")
      }
    }
    func require(_ layers: [Layer], _ count: Int, _ kind: String) throws {
      guard layers.count == count else {
        throw file.fault("it has \(layers.count) \(kind); the article's network has \(count)")
      }
    }
    try require(all, 32, "convolutions")
    try require(ups, 12, "transposed convolutions")
    try require(norms, 43, "batch norms")
    try require(dense, 3, "dense layers")

    // The author named the outputs; else they are the last convolutions of each decoder.
    var outputs = all.filter { Self.number(of: $0, "conv2d") == nil }
    if outputs.isEmpty {
      let numbered = try Self.sorted(all, "conv2d", in: file)
      outputs = [numbered[20], numbered[31]]
    }
    guard outputs.count == 2 else {
      let names = outputs.map { "'\($0.name)'" }.joined(separator: ", ")
      throw file.fault("layers \(names): only the two outputs have names of their own, the others Keras's, as conv2d_7")
    }
    let isOutput = Set(outputs.map(\.name))
    outputs.sort { places[$0.name]! < places[$1.name]! }
    let inner = try Self.sorted(all.filter { !isOutput.contains($0.name) }, "conv2d", in: file)
    ups = try Self.sorted(ups, "conv2d_transpose", in: file)
    self.norms = Array(try Self.sorted(norms, "batch_normalization", in: file)[..<11])
    norms = Array(try Self.sorted(norms, "batch_normalization", in: file)[11...])
    convolutions = Array(inner[..<10])

    // The decoder that comes first in the file ends first in it.
    let isFirst = places[ups[0].name]! < places[ups[6].name]!
    let built = [
      Decoder(
        ups: Array(ups[..<6]), convolutions: Array(inner[10..<20]), norms: Array(norms[..<16]),
        output: outputs[isFirst ? 0 : 1]),
      Decoder(
        ups: Array(ups[6...]), convolutions: Array(inner[20...]), norms: Array(norms[16...]),
        output: outputs[isFirst ? 1 : 0]),
    ]
    let channels = built.map { $0.output.weights["kernel"]!.shape[3] }
    guard Set(channels) == [3, 1] else {
      let found = built.map { "'\($0.output.name)' \(Self.text($0.output.weights["kernel"]!.shape))" }
      throw file.fault(
        "output layers \(found.joined(separator: " and ")): expected one of 3 channels, the image, and one of 1, the mask")
    }
    image = built[channels[0] == 3 ? 0 : 1]
    mask = built[channels[0] == 3 ? 1 : 0]

    // The chain up to the code has one order. The heads are side by side, the mean first where names do not tell.
    let heads = dense[1].name.contains("mean") || !dense[2].name.contains("mean") ? [1, 2] : [2, 1]
    self.dense = [dense[0]] + heads.map { dense[$0] }
  }

  /// The number that Keras gave a layer of a kind: none is 0.
  private static func number(of layer: Layer, _ kind: String) -> Int? {
    if layer.name == kind { return 0 }
    guard layer.name.hasPrefix(kind + "_") else { return nil }
    let digits = layer.name.dropFirst(kind.count + 1)
    return digits.allSatisfy { $0.isASCII && $0.isNumber } ? Int(digits) : nil
  }

  /// Layers in the order that they were made in.
  private static func sorted(_ layers: [Layer], _ kind: String, in file: KerasWeights) throws -> [Layer] {
    let numbers = try layers.map { layer in
      guard let number = number(of: layer, kind) else {
        throw file.fault("layer '\(layer.name)': its name does not tell its place, as Keras's own, \(kind)_7, does")
      }
      return number
    }
    return zip(layers, numbers).sorted { $0.1 < $1.1 }.map(\.0)
  }

  private static func text(_ shape: [Int]) -> String { shape.map(String.init).joined(separator: " × ") }

  /// The article's configuration with the filters of the file.
  func configuration() throws -> ModelConfiguration {
    func outputs(_ layer: Layer, axis: Int = 3) -> Int { layer.weights["kernel"]!.shape[axis] }
    var result = ModelConfiguration.article
    result.view = .frame
    result.latentSize = outputs(dense[1], axis: 1)
    result.hiddenSize = outputs(dense[0], axis: 1)
    result.upChannels = outputs(image.ups[0], axis: 2)
    let (encoder, decoder) = (convolutions.map { outputs($0) }, image.convolutions.map { outputs($0) })
    if encoder != result.articleEncoder { result.encoderChannels = encoder }
    if decoder != result.articleDecoder { result.decoderChannels = decoder }
    do {
      try result.validate()
    } catch {
      throw file.fault("its layers make no model: \(error)")
    }
    return result
  }

  /// The weights by their names in the model.
  func state(of configuration: ModelConfiguration) throws -> [String: Tensor] {
    let model = try configuration.makeModel(seed: nil)
    let shapes = Dictionary(uniqueKeysWithValues: model.variables.map { ($0.name, $0.variable.tensor.shape) })
    var state: [String: Tensor] = [:]

    func take(_ layer: Layer, _ weight: String, as name: String, axes: [Int]? = nil) throws {
      guard let found = layer.weights[weight], let shape = shapes[name] else {
        throw file.fault("layer '\(layer.name)' has no place in the article's network")
      }
      var expected = shape
      if let axes { for (axis, from) in axes.enumerated() { expected[from] = shape[axis] } }
      guard found.shape == expected else {
        throw file.fault(
          "layer '\(layer.name)', \(weight): the shape is \(Self.text(found.shape)), expected \(Self.text(expected))")
      }
      if weight == "moving_variance", try found.array(Float.self).contains(where: { $0 < 0 }) {
        throw file.fault("layer '\(layer.name)', \(weight): holds numbers below 0")
      }
      state[name] = try axes.map { try found.permute($0).contiguous() } ?? found
    }
    func linear(_ layer: Layer, _ name: String, axes: [Int]) throws {
      try take(layer, "kernel", as: "\(name).weight", axes: axes)
      try take(layer, "bias", as: "\(name).bias")
    }
    func norm(_ layer: Layer, _ name: String) throws {
      try take(layer, "gamma", as: "\(name).weight")
      try take(layer, "beta", as: "\(name).bias")
      try take(layer, "moving_mean", as: "\(name).runningMean")
      try take(layer, "moving_variance", as: "\(name).runningVar")
    }
    /// Of each stage's blocks, the stage and the place in it.
    func blocks(_ counts: [Int]) -> [(stage: Int, block: Int)] {
      counts.enumerated().flatMap { stage, count in (0..<count).map { (stage, $0) } }
    }

    for (index, place) in blocks(ArticleVAE.Encoder.blocks).enumerated() {
      let name = "encoder.stages.\(place.stage).blocks.\(place.block)"
      try linear(convolutions[index], "\(name).conv", axes: Layout.convolution)
      try norm(norms[index], "\(name).norm")
    }
    try linear(dense[0], "bottleneck.hidden", axes: Layout.dense)
    try norm(norms[10], "bottleneck.norm")
    try linear(dense[1], "bottleneck.mean", axes: Layout.dense)
    try linear(dense[2], "bottleneck.logDeviation", axes: Layout.dense)
    for (decoder, part) in [(image, "imageDecoder"), (mask, "maskDecoder")] {
      var remaining = decoder.norms[...]
      for (index, place) in blocks(ArticleVAE.Decoder.blocks).enumerated() {
        let stage = "\(part).stages.\(place.stage)"
        if place.block == 0 {
          try linear(decoder.ups[place.stage], "\(stage).up.conv", axes: Layout.convolution)
          try norm(remaining.removeFirst(), "\(stage).up.norm")
        }
        try linear(decoder.convolutions[index], "\(stage).blocks.\(place.block).conv", axes: Layout.convolution)
        try norm(remaining.removeFirst(), "\(stage).blocks.\(place.block).norm")
      }
      try linear(decoder.output, "\(part).output", axes: Layout.convolution)
    }
    return state
  }
}

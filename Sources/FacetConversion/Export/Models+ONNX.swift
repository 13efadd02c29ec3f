import Facet
import Torch

/// A model that writes itself down as it computes.
protocol ONNXExportable: FaceVAE {
  /// As ``FaceVAE/encode(_:)``.
  func encode(_ images: ONNXValue) throws -> (mean: ONNXValue, logDeviation: ONNXValue)
  /// As ``FaceVAE/decode(_:)``.
  func decode(_ latents: ONNXValue) throws -> (image: ONNXValue, maskLogits: ONNXValue)
}

// MARK: The article's

extension ArticleVAE: ONNXExportable {
  func encode(_ images: ONNXValue) throws -> (mean: ONNXValue, logDeviation: ONNXValue) {
    let features = try encoder.stages.reduce(images) { try $1($0) }
    let flat = features.permute([0, 2, 3, 1]).reshape([-1, bottleneck.hidden.weight.tensor.size(1)])
    let h = try bottleneck.hidden(flat, bottleneck.norm).elu()
    return (try bottleneck.mean(h), try bottleneck.logDeviation(h))
  }

  func decode(_ latents: ONNXValue) throws -> (image: ONNXValue, maskLogits: ONNXValue) {
    let features = latents.reshape([-1, 2, 2, configuration.latentSize / 4]).permute([0, 3, 1, 2])
    return (try imageDecoder(features).sigmoid(), try maskDecoder(features))
  }
}

extension ArticleVAE.ConvBlock {
  func callAsFunction(_ x: ONNXValue) throws -> ONNXValue { try conv(x, norm).elu() }
}

extension ArticleVAE.UpBlock {
  func callAsFunction(_ x: ONNXValue) throws -> ONNXValue { try conv(x, norm).elu() }
}

extension ArticleVAE.Encoder.Stage {
  func callAsFunction(_ x: ONNXValue) throws -> ONNXValue { pool(try blocks.reduce(x) { try $1($0) }) }
}

extension ArticleVAE.Decoder {
  func callAsFunction(_ x: ONNXValue) throws -> ONNXValue { try output(stages.reduce(x) { try $1($0) }) }
}

extension ArticleVAE.Decoder.Stage {
  func callAsFunction(_ x: ONNXValue) throws -> ONNXValue { try blocks.reduce(up(x)) { try $1($0) } }
}

// MARK: The compact one

extension CompactVAE: ONNXExportable {
  func encode(_ images: ONNXValue) throws -> (mean: ONNXValue, logDeviation: ONNXValue) {
    let input = images.pixelUnshuffle(encoder.stem, channels: 3, size: configuration.imageSize)
    let features = try encoder.stages.reduce(input) { try $1($0) }.reshape([-1, encoder.mean.weight.tensor.size(1)])
    return (try encoder.mean(features), try encoder.logDeviation(features).clamp(Encoder.logDeviationRange))
  }

  func decode(_ latents: ONNXValue) throws -> (image: ONNXValue, maskLogits: ONNXValue) {
    let code = try decoder.input(latents, decoder.norm)
      .reshape([-1, decoder.innerChannels, decoder.innerSize, decoder.innerSize])
    var x = try decoder.blocks.reduce(activation(code)) { try $1($0) }
    for stage in decoder.stages { x = try stage(x.upsampleNearest2d(scale: 2)) }
    let parts = try decoder.output(x).pixelShuffle(Self.shuffle).split([3, 1], dim: 1)
    return (parts[0].sigmoid(), parts[1])
  }
}

extension CompactVAE.ConvBlock {
  func callAsFunction(_ x: ONNXValue) throws -> ONNXValue { activation(try conv(x, norm)) }
}

extension CompactVAE.ResidualBlock {
  func callAsFunction(_ x: ONNXValue) throws -> ONNXValue { activation(x + (try conv(first(x), norm))) }
}

extension CompactVAE.Stage {
  func callAsFunction(_ x: ONNXValue) throws -> ONNXValue { try blocks.reduce(conv(x)) { try $1($0) } }
}

private func activation(_ x: ONNXValue) -> ONNXValue { x.leakyRelu(CompactVAE.slope) }

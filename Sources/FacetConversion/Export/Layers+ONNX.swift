import Facet
import Torch

// Each layer takes the batch norm that follows it, for use: on running statistics both are one affine map.

extension Conv2d {
  func callAsFunction(_ x: ONNXValue, _ norm: BatchNorm? = nil) throws -> ONNXValue {
    let bias = try bias?.tensor ?? .zeros([weight.tensor.size(0)])
    let (weight, shift) = try folding(norm, into: weight.tensor, bias, outputs: 0)
    return try x.conv2d(weight, shift, stride: stride, padding: padding)
  }
}

extension ConvTranspose2d {
  func callAsFunction(_ x: ONNXValue, _ norm: BatchNorm) throws -> ONNXValue {
    let surplus = cropsToSame ? weight.tensor.size(2) - stride : 0
    let (weight, bias) = try folding(norm, into: weight.tensor, bias.tensor, outputs: 1)
    return try x.convTranspose2d(weight, bias, stride: stride, crop: (surplus / 2, surplus - surplus / 2))
  }
}

extension Linear {
  /// - Parameter norm: of the outputs, or of feature maps that they are reshaped to.
  func callAsFunction(_ x: ONNXValue, _ norm: BatchNorm? = nil) throws -> ONNXValue {
    let (weight, bias) = try folding(norm, into: weight.tensor, bias.tensor, outputs: 0)
    return try x.linear(weight, bias)
  }
}

extension MaxPool2d {
  func callAsFunction(_ x: ONNXValue) -> ONNXValue { x.maxPool2d(size) }
}

/// Weights and bias with γ (y − μ) / √(σ² + ε) + β of what comes out, in float64.
/// - Parameter outputs: the weight's dimension that counts outputs; a channel of the norm may be several in a row.
private func folding(
  _ norm: BatchNorm?, into weight: Tensor, _ bias: Tensor, outputs: Int
) throws -> (weight: Tensor, bias: Tensor) {
  guard let norm else { return (weight, bias) }
  let count = weight.size(outputs)
  func each(_ channels: Tensor) throws -> Tensor {
    let channel = try channels.detach().to(.float64).unsqueeze(1)
    return try channel.expand([channel.size(0), count / channel.size(0)]).reshape([count])
  }
  let scale = try each(norm.weight.tensor) / (each(norm.runningVar.tensor) + norm.eps).sqrt()
  let shift = try (bias.to(.float64) - each(norm.runningMean.tensor)) * scale + each(norm.bias.tensor)
  var shape = [Int](repeating: 1, count: weight.dimensions)
  shape[outputs] = count
  return (try weight.to(.float64) * scale.reshape(shape), shift)
}

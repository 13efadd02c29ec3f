import Facet
import Files
import Foundation
import Torch

/// A distance between pictures that is near to what people see: the shift-tolerant LPIPS of the first three stages of AlexNet
/// (Ghildyal & Liu, "Shift-tolerant Perceptual Similarity Metric", ECCV 2022; LPIPS: Zhang et al. 2018).
///
/// Its weights are those of the Python package stlpips-pytorch (BSD 2-clause); `Scripts/perceptual-weights` puts them into the cache.
public struct PerceptualDistance {
  private let kernels, biases, heads: [Tensor]
  private let blur: Tensor
  private let shift, scale: Tensor

  /// Where `Scripts/perceptual-weights` puts the file.
  public static var defaultURL: URL {
    let cache = ProcessInfo.processInfo.environment["XDG_CACHE_HOME"].map { URL(fileURLWithPath: $0, isDirectory: true) }
      ?? FileManager.default.homeDirectoryForCurrentUser.appendingPathComponent(".cache", isDirectory: true)
    return cache.appendingPathComponent("facet/perceptual.safetensors")
  }

  /// - Throws: ``TrainingError`` that says where the file comes from when it is missing or of another shape.
  public init(contentsOf url: URL = PerceptualDistance.defaultURL, device: Device = .cpu) throws {
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw TrainingError("\(url.path): is missing; run Scripts/perceptual-weights")
    }
    let (tensors, _) = try Tensor.load(from: url)
    func tensor(_ name: String, _ shape: [Int]) throws -> Tensor {
      guard let value = tensors[name], value.shape == shape, try value.isAllFinite() else {
        throw TrainingError("\(url.path): '\(name)' is missing or of another shape; run Scripts/perceptual-weights")
      }
      return try value.to(.float32).to(device)
    }
    let shapes = [[64, 3, 11, 11], [192, 64, 5, 5], [384, 192, 3, 3]]
    var kernels = try shapes.enumerated().map { try tensor("conv\($0).weight", $1) }
    biases = try shapes.enumerated().map { try tensor("conv\($0).bias", [$1[0]]) }
    heads = try shapes.enumerated().map { try tensor("head\($0)", [1, $1[0], 1, 1]).abs() }
    let row = try Tensor([Float(0.25), 0.5, 0.25])
    let kernel = try (row.reshape([3, 1]) * row.reshape([1, 3])).reshape([1, 1, 3, 3]).to(device)
    // The first convolution has stride 1 and a blur with stride 2 follows; both are linear, so they are one of 13 × 13.
    kernels[0] = try kernels[0].reshape([-1, 1, 11, 11]).convTranspose2d(kernel).reshape([64, 3, 13, 13])
    self.kernels = try kernels.map { try $0.contiguous(.channelsLast) }
    blur = kernel
    shift = try Tensor([Float(-0.030), -0.088, -0.188], shape: [1, 3, 1, 1]).to(device)
    scale = try Tensor([Float(0.458), 0.448, 0.450], shape: [1, 3, 1, 1]).to(device)
  }

  /// The mean distance of pairs of pictures, a scalar.
  /// - Parameters:
  ///   - pictures: N × 3 × H × W, sRGB in [0, 1]; gradients flow to them.
  ///   - others: what they are compared with, no gradients.
  public func callAsFunction(_ pictures: Tensor, _ others: Tensor) throws -> Tensor {
    let seen = try withoutGradients { try stages(of: others).map(unit) }
    var sum: Tensor?
    for (index, (a, b)) in zip(try stages(of: pictures), seen).enumerated() {
      let term = try ((unit(a) - b).square() * heads[index]).sum(dims: [1]).mean()
      sum = try sum.map { try $0 + term } ?? term
    }
    return sum!
  }

  /// What the last stage sees of pictures, the mean over the places.
  /// - Parameter pictures: N × 3 × H × W, sRGB in [0, 1].
  /// - Returns: N × ``featureCount``, float32.
  func features(of pictures: Tensor) throws -> Tensor { try stages(of: pictures)[2].to(.float32).mean(dims: [2, 3]) }

  /// The numbers that ``features(of:)`` gives for a picture.
  static let featureCount = 384

  private func unit(_ features: Tensor) throws -> Tensor {
    let wide = try features.to(.float32)
    return try wide / (wide.square().sum(dims: [1], keepDim: true) + 1e-10).sqrt()
  }

  private func stages(of pictures: Tensor) throws -> [Tensor] {
    let input = try ((pictures * 2 - 1 - shift) / scale).contiguous(.channelsLast)
    let first = try input.conv2d(kernels[0], bias: biases[0], stride: 2, padding: 3).relu()
    let second = try halved(first).conv2d(kernels[1], bias: biases[1], padding: 2).relu()
    let third = try halved(second).conv2d(kernels[2], bias: biases[2], padding: 1).relu()
    return [first, second, third]
  }

  /// The largest of 3 × 3, then every other pixel of a blur.
  private func halved(_ x: Tensor) throws -> Tensor {
    let channels = x.size(1)
    return try x.maxPool2d(3, stride: 1).paddedByBorder(1)
      .conv2d(blur.to(x.dtype).expand([channels, 1, 3, 3]).contiguous(), stride: 2, groups: channels)
  }
}

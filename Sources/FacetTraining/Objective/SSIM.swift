import Facet
import Foundation
import Torch

/// The structural similarity index (Wang, Bovik, Sheikh & Simoncelli 2004) for images in [0, 1]:
/// a Gaussian window, K1 = 0.01, K2 = 0.03, borders left out, as `tf.image.ssim` computes it.
public struct SSIM: Sendable {
  // Blurring is a product with banded matrices from both sides: it runs at matrix speed, and all
  // maps of a batch go through one call.
  private let rows: Tensor  // (H − window + 1) × H
  private let columns: Tensor  // W × (W − window + 1)

  /// - Parameters:
  ///   - size: side of the square images in pixels, at least `window`.
  ///   - window: side of the Gaussian window, 9 in the article.
  ///   - sigma: its standard deviation in pixels.
  ///   - dtype: of the images.
  ///   - device: where the work is done.
  public init(
    size: Int, window: Int = 9, sigma: Double = 1.5, dtype: DType = .float32, device: Device = .cpu
  ) throws {
    try self.init(height: size, width: size, window: window, sigma: sigma, dtype: dtype, device: device)
  }

  init(
    height: Int, width: Int, window: Int = 9, sigma: Double = 1.5, dtype: DType = .float32, device: Device = .cpu
  ) throws {
    guard window >= 1, height >= window, width >= window else {
      throw ModelError("an image of \(height)x\(width) is smaller than the SSIM window of \(window)")
    }
    rows = try Self.bandedBlur(height, window: window, sigma: sigma).to(dtype).to(device)
    columns = try Self.bandedBlur(width, window: window, sigma: sigma).transpose(0, 1).contiguous().to(dtype).to(device)
  }

  /// The rows and columns of the map that are averaged: the mean over them estimates the mean over all without bias
  /// when each step starts at another one, for a quarter of the work at stride 2.
  public struct Sampling: Sendable, Equatable {
    /// Rows and columns from one that is averaged to the next.
    public let stride: Int
    /// The first row.
    public let row: Int
    /// The first column.
    public let column: Int

    /// All rows and columns.
    public static let all = Sampling(stride: 1, step: 0)

    /// The starts take turns with the step.
    /// - Precondition: `stride` is at least 1.
    public init(stride: Int, step: Int) {
      precondition(stride >= 1, "a stride of at least 1")
      self.stride = stride
      row = step % stride
      column = step / stride % stride
    }
  }

  /// The index of each image, averaged over its pixels and channels.
  /// - Parameters:
  ///   - x: the reference, N × C × H × W in [0, 1]; no gradient flows to it.
  ///   - y: the image that is judged, of the same shape.
  ///   - sampling: the part of the map that is averaged.
  /// - Returns: N values in [-1, 1].
  /// - Throws: `TorchError` when the shapes differ from each other or from the size at hand.
  public func callAsFunction(_ x: Tensor, _ y: Tensor, sampling: Sampling = .all) throws -> Tensor {
    guard x.dimensions == 4, x.shape == y.shape else {
      throw TorchError("SSIM compares pictures N × C × H × W of one shape, not \(x.shape) and \(y.shape)")
    }
    let c1 = 0.01 * 0.01
    let c2 = 0.03 * 0.03
    let x = try x.detach().contiguous()
    let y = try y.contiguous()
    let channels = x.size(1)
    let rows = try rows.strided(0, from: sampling.row, by: sampling.stride).contiguous()
    let columns = try columns.strided(1, from: sampling.column, by: sampling.stride).contiguous()
    func blur(_ x: Tensor) throws(TorchError) -> Tensor { try rows.matmul(x.matmul(columns)) }
    let meanX = try withoutGradients { () throws(TorchError) in try blur(x) }
    let moments = try blur(Tensor.cat([y, x * y, x.square() + y.square()], dim: 1))
      .split([channels, channels, channels], dim: 1)
    let (meanY, meanXY, meanSquares) = (moments[0], moments[1], moments[2])
    let product = try meanX * meanY * 2
    let squares = try meanX.square() + meanY.square()
    let luminance = try (product + c1) / (squares + c1)
    let contrastStructure = try (meanXY * 2 - product + c2) / (meanSquares - squares + c2)
    return try (luminance * contrastStructure).mean(dims: [1, 2, 3])
  }

  private static func bandedBlur(_ size: Int, window: Int, sigma: Double) throws -> Tensor {
    let taps = gaussian(window, sigma: sigma)
    let outputs = size - window + 1
    var matrix = [Double](repeating: 0, count: outputs * size)
    for row in 0..<outputs {
      for (offset, tap) in taps.enumerated() { matrix[row * size + row + offset] = tap }
    }
    return try Tensor(matrix, shape: [outputs, size])
  }

  private static func gaussian(_ window: Int, sigma: Double) -> [Double] {
    let center = Double(window - 1) / 2
    let values = (0..<window).map { offset in
      let distance = Double(offset) - center
      return exp(-distance * distance / (2 * sigma * sigma))
    }
    let sum = values.reduce(0, +)
    return values.map { $0 / sum }
  }
}

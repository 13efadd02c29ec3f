import Foundation
import Photo
import Synchronization
import Torch

/// How a decoded face becomes part of the photo.
public enum Composition: String, Sendable, CaseIterable {
  /// The change between the decoded pictures, carried over to the photo where most of it is: what the edit leaves alone
  /// keeps its own pixels, and what it replaces leaves no trace of its own.
  case difference
  /// The article's: the decoded face after the edit in place of the photo, inside the mask of the unedited code.
  case article

  /// What an edit does to each pixel of the crop: value · (1 + slope) + offset.
  ///
  /// It is small, so it is found at the model's size and laid over the photo at the photo's own.
  /// - Parameters:
  ///   - crops: what it is done to, N × 3 × S × S in [0, 1].
  ///   - before: what decodes from the photo's codes.
  ///   - after: what decodes from the moved ones.
  /// - Returns: N × 4 × S × S: the offset of red, green and blue in sRGB units, and the slope, −1 for a pixel that goes.
  public func change(of crops: Tensor, from before: Reconstruction, to after: Reconstruction) throws -> Tensor {
    switch self {
    case .difference:
      // Outside their masks both pictures are untrained. Where an edit goes has no gradient: what is steered by one
      // should change the picture, not hide from it.
      let weight = try (before.mask * after.mask).detach().smoothStep(from: 0.2, to: 0.8)
      let focus = try Self.focus((after.image - before.image).detach() * weight)
      let carried = try Self.carried(from: before, to: after)
      let cast = try Self.cast(of: crops, over: before, replacing: -carried.narrow(1, 3..<4))
      return try Tensor.cat([carried.narrow(1, 0..<3) + cast, carried.narrow(1, 3..<4)], dim: 1) * (weight * focus)
    case .article:
      let mask = try before.mask
      return try Tensor.cat([after.image * mask, -mask], dim: 1)
    }
  }

  /// The crops with an edit, in [0, 1].
  /// - Parameters:
  ///   - crops: N × 3 × S × S in [0, 1].
  ///   - before: what decodes from their codes.
  ///   - after: what decodes from the moved ones.
  public func composed(over crops: Tensor, from before: Reconstruction, to after: Reconstruction) throws -> Tensor {
    try composed(over: crops, change(of: crops, from: before, to: after))
  }

  /// The crops with a change, in [0, 1].
  package func composed(over crops: Tensor, _ change: Tensor) throws -> Tensor {
    var composed = try crops.changed(by: change)
    if keepsGrain {
      let slope = try change.narrow(1, 3..<4)
      let difference = try crops - Self.smooth(crops)
      let weight = try (1 - (difference / Double(FloatPicture.largestGrain)).square()).clamp(min: 0, max: 1).square()
      composed = try composed - slope * difference * weight
    }
    return try composed.clamp(min: 0, max: 1)
  }

  /// A change and another one after it, as one.
  /// - Parameters:
  ///   - change: as of ``change(of:from:to:)``.
  ///   - next: the same.
  static func then(_ change: Tensor, _ next: Tensor) throws -> Tensor {
    let steepness = try next.narrow(1, 3..<4) + 1
    return try Tensor.cat([
      change.narrow(1, 0..<3) * steepness + next.narrow(1, 0..<3), (change.narrow(1, 3..<4) + 1) * steepness - 1,
    ], dim: 1)
  }

  /// Whether the photo's grain stays where an edit takes its pixels away: what decodes has none, and skin without pores
  /// looks polished.
  var keepsGrain: Bool { self != .article }

  /// Crops without their grain.
  /// - Parameter crops: N × 3 × S × S in [0, 1].
  static func smooth(_ crops: Tensor) throws -> Tensor { try crops.blurred(sigma: 1.5) }

  /// The whole change: after + agreement · (photo − before), the photo's own detail as far as it still belongs there.
  /// - Parameters:
  ///   - before: what decodes from the photo's codes.
  ///   - after: what decodes from other ones.
  /// - Returns: as of ``change(of:from:to:)``.
  static func carried(from before: Reconstruction, to after: Reconstruction) throws -> Tensor {
    let agreement = try agreement(of: before.image, with: after.image.detach())
    return try Tensor.cat([after.image - agreement * before.image, agreement - 1], dim: 1)
  }

  /// The face after a step of shapes alone, in the light and tint of the face before it, as far as their structure agrees: a mouth that
  /// closes in lighter skin is a patch on the photo's own.
  /// - Parameters:
  ///   - before: the face that decodes before the step.
  ///   - after: the face that decodes after it.
  ///   - face: how much each pixel says about the skin, N × 1 × S × S in [0, 1]; `nil` for all alike.
  static func keepingTint(
    of before: Reconstruction, in after: Reconstruction, weighted face: Tensor? = nil
  ) throws -> Reconstruction {
    var weights = try agreement(of: before.image, with: after.image)
    if let face { weights = try weights * face }
    // So large a difference is none of light (Tukey's biweight).
    let amount = try (after.image - before.image).abs().mean(dims: [1], keepDim: true)
    weights = try weights * (1 - (amount / largestTint).square()).clamp(min: 0).square()
    let shift = try mean(of: after.image - before.image, within: before.mask, weighted: weights)
    return Reconstruction(image: try (after.image - shift).clamp(min: 0, max: 1), maskLogits: after.maskLogits)
  }

  /// The light and the tint that the photo has and its decoded picture has not, N × 3 × S × S, as far as a part of the face
  /// is replaced, N × 1 × S × S in [0, 1]: what comes there takes them on, or it would be a patch of another skin. What goes
  /// there has no say: white teeth are no light on the lips that close over them.
  private static func cast(of crops: Tensor, over before: Reconstruction, replacing replaced: Tensor) throws -> Tensor {
    let replaced = try replaced.detach()
    return try mean(of: crops - before.image.detach(), within: before.mask.detach(), weighted: 1 - replaced) * replaced
  }

  /// The mean difference around each place, N × 3 × S × S; 0 where nothing near has a weight.
  /// - Parameters:
  ///   - difference: N × 3 × S × S.
  ///   - mask: where it has a meaning, N × 1 × S × S in [0, 1].
  ///   - weights: N × 1 × S × S.
  private static func mean(of difference: Tensor, within mask: Tensor, weighted weights: Tensor) throws -> Tensor {
    let weights = try mask.smoothStep(from: 0.2, to: 0.8) * weights
    let sums = try Tensor.cat([difference * weights, weights], dim: 1).blurred(sigma: 8)
    return try sums.narrow(1, 0..<3) / sums.narrow(1, 3..<4).clamp(min: 1e-2)
  }

  /// Where the greater part of each difference is, N × 1 × S × S in [0, 1].
  ///
  /// Codes of different attributes are entangled, so a direction moves a little of everything; what it is about moves
  /// most. The region is the smallest that holds most of the squared change, with a soft border.
  private static func focus(_ difference: Tensor) throws -> Tensor {
    let amount = try difference.abs().mean(dims: [1], keepDim: true).blurred(sigma: 3)
    // So smooth a picture has nothing between every other pixel.
    let sorted = try amount.avgPool2d(2).reshape([amount.size(0), -1]).sorted(descending: true)
    let energy = try sorted.square().cumulativeSum(dim: 1)
    let total = try energy.narrow(1, energy.size(1) - 1..<energy.size(1))
    let inside = try (total * share - energy > 0).to(.int64).sum(dims: [1], keepDim: true)
    let threshold = try sorted.gather(1, inside).reshape([-1, 1, 1, 1])
    // The smallest threshold counts as half a step of 8 bits, for a difference of 0 has no region.
    return try (amount / threshold.clamp(min: 0.002)).smoothStep(from: 0.6, to: 1.4)
  }

  /// How far the structure of the pictures before is that of the pictures after, N × 1 × S × S in [0, 1]: the slope of
  /// the linear regression of one on the other around each pixel, as in the guided filter (He, Sun & Tang 2013). Where
  /// both are flat it is 1.
  private static func agreement(of before: Tensor, with after: Tensor) throws -> Tensor {
    func mean(_ x: Tensor) throws -> Tensor { try x.blurred(sigma: 2) }
    func sum(_ x: Tensor) throws -> Tensor { try x.sum(dims: [1], keepDim: true) }
    let (a, b) = (try mean(before), try mean(after))
    let covariance = try mean(sum(before * after)) - sum(a * b)
    let variance = try mean(sum(before.square())) - sum(a.square())
    return try ((covariance + flatness) / (variance + flatness)).clamp(min: 0, max: 1)
  }

  private static let share = 0.9
  private static let largestTint = 0.2
  /// The variance, of the three colours together, up to which a neighbourhood counts as flat.
  private static let flatness = 0.004
}

extension Float {
  /// 0 up to `low`, 1 from `high` on, 3t² − 2t³ between them.
  package func smoothStep(from low: Float, to high: Float) -> Float {
    let t = min(1, max(0, (self - low) / (high - low)))
    return t * t * (3 - 2 * t)
  }
}

extension Tensor {
  /// Crops, N × 3 × S × S, with a change as ``Composition/change(of:from:to:)`` gives it.
  func changed(by change: Tensor) throws -> Tensor {
    try self * (change.narrow(1, 3..<4) + 1) + change.narrow(1, 0..<3)
  }

  /// 0 up to `low`, 1 from `high` on, 3t² − 2t³ between them.
  package func smoothStep(from low: Double, to high: Double) throws -> Tensor {
    let t = try ((self - low) / (high - low)).clamp(min: 0, max: 1)
    return try t.square() * (3 - 2 * t)
  }

  /// Images under a Gaussian, as if the border went on: a product with a banded matrix for rows, one for columns.
  package func blurred(sigma: Double) throws -> Tensor {
    let rows = try contiguous().matmul(Gaussian(size: size(3), sigma: sigma).matrix().to(device).transpose(0, 1))
    return try Gaussian(size: size(2), sigma: sigma).matrix().to(device).matmul(rows)
  }
}

/// The matrix of a blur. Edits ask for the same few in each preview.
private struct Gaussian: Hashable {
  let size: Int, sigma: Double

  private static let known = Mutex<[Gaussian: Tensor]>([:])
  /// Sizes are those of models and photos.
  private static let (most, largest) = (32, 384)

  func matrix() throws -> Tensor {
    if let known = Self.known.withLock({ $0[self] }) { return known }
    let matrix = try Tensor(bandedGaussian(size, sigma: sigma), shape: [size, size])
    if size <= Self.largest {
      Self.known.withLock { known in
        if known.count >= Self.most { known.removeAll() }
        known[self] = matrix
      }
    }
    return matrix
  }
}

/// Row-major size × size: each row a bell around its own place, out to three standard deviations, with the sum 1.
private func bandedGaussian(_ size: Int, sigma: Double) -> [Float] {
  let radius = Int((3 * sigma).rounded(.up))
  let bell = (0...radius).map { exp(-Double($0 * $0) / (2 * sigma * sigma)) }
  var matrix = [Float](repeating: 0, count: size * size)
  for row in 0..<size {
    let columns = max(0, row - radius)...min(size - 1, row + radius)
    let sum = columns.reduce(0) { $0 + bell[abs($1 - row)] }
    for column in columns { matrix[row * size + column] = Float(bell[abs(column - row)] / sum) }
  }
  return matrix
}

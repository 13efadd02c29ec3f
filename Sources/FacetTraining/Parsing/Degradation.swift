import Facet
import Foundation
import Torch

/// What happens to photos and label maps before a parser learns from them: another place, size and turn of the face,
/// other light, and the loss of detail of small, soft, compressed pictures.
///
/// Good photos alone teach a parser to rely on detail that most do not have.
public struct Degradation: Codable, Sendable, Equatable {
  /// Degrees by which a face is turned at most.
  public var rotation = 20.0
  /// The smallest and largest factor on a face's size. CelebA's crops show more around the face than CelebAMask-HQ's
  /// frames, which is 0.85; single photos differ.
  public var scale = [0.6, 1.35]
  /// The part by which height and width are stretched against each other at most: whole frames may be squeezed.
  public var stretch = 0.15
  /// The part of the picture by which a face is moved at most, each way.
  public var shift = 0.15
  /// The part by which light changes at most.
  public var light = 0.35
  /// The part by which contrast changes at most.
  public var contrast = 0.4
  /// The part by which each colour changes at most.
  public var tint = 0.12
  /// The share of photos that lose their colour.
  public var grey = 0.1
  /// Pixels a side that detail is reduced to at the least.
  public var smallest = 24
  /// The deviation of noise at most.
  public var noise = 0.06

  /// The defaults.
  public init() {}

  /// Groups that a batch is parted into; each has its own resolution.
  private static let groups = 4

  /// Of pixels that do not count.
  static let noClass = -1

  /// A batch, changed by chance.
  /// - Parameters:
  ///   - images: N × 3 × H × W in [0, 1].
  ///   - classes: N × 1 × H × W, of ``FaceClass``.
  ///   - size: of the result.
  ///   - seed: decides all chance.
  ///   - isCut: the pictures are cut out of larger ones, through hair and shoulders; what goes on beyond them has no class.
  /// - Returns: images, N × 3 × size × size, and classes, N × size × size, int64, or ``noClass``.
  func callAsFunction(
    images: Tensor, classes: Tensor, size: Int, seed: UInt64, isCut: Bool = false
  ) throws -> (images: Tensor, classes: Tensor) {
    var seeds = SplitMix64(seed: seed)
    let generator = try Generator(seed: seeds.next(), device: images.device)
    // Frames that show more than the source go on as CelebA's do, with their last pixels, or else with what they show;
    // so do the maps, for a parser must look at what is there, not where.
    let beyond = seeds.next() >> 63 == 0 ? Tensor.Beyond.border : .reflection
    let moved = try move(images, classes, size, beyond, isCut, generator)
    let lit = try relight(moved.images, generator)
    let count = images.size(0)
    let parts = min(Self.groups, count)
    let degraded = try (0..<parts).map { part in
      try coarsen(lit.narrow(0, count * part / parts..<count * (part + 1) / parts), generator, &seeds)
    }
    return (try Tensor.cat(degraded).clamp(min: 0, max: 1), moved.classes)
  }

  /// Mirrors, turns, scales, stretches and moves.
  private func move(
    _ images: Tensor, _ classes: Tensor, _ size: Int, _ beyond: Tensor.Beyond, _ isCut: Bool, _ generator: Generator
  ) throws -> (images: Tensor, classes: Tensor) {
    let count = images.size(0)
    /// Evenly from −1 to 1.
    func chance() throws -> Tensor { try Tensor.rand([count, 1], generator: generator, device: images.device) * 2 - 1 }
    let isMirrored = try (chance() > 0).to(.float32)
    let angle = try chance() * (rotation * .pi / 180)
    let (low, high) = (log(scale[0]), log(scale[1]))
    // The transform leads from the result to the source: a larger face comes from a smaller part of it.
    let inverse = try (chance() * ((low - high) / 2) - (low + high) / 2).exp()
    let wide = try chance() * (stretch / 2) + 1
    let (cosine, sine) = (try angle.cos() * inverse, try angle.sin() * inverse)
    let side = try 1 - isMirrored * 2
    let transform = try Tensor.cat(
      [
        cosine * wide * side, -sine * wide * side, chance() * shift * 2,
        sine / wide, cosine / wide, chance() * shift * 2,
      ], dim: 1
    ).reshape([count, 2, 3])
    // Twice the size and the mean of four, so that a face made smaller is no sieve of its pixels.
    let moved = try images.resampled(
      transform, to: (2 * size, 2 * size), by: .bilinear, beyond: beyond
    ).avgPool2d(2)

    let classesMirrored = FaceClass.allCases.map { Float($0.mirrored.rawValue) } + [Float(FaceClass.unknown)]
    let mirrored = try Tensor(classesMirrored).to(images.device)
    let swapped = try mirrored.indexSelect(0, classes.reshape([-1]).to(.int64)).reshape(classes.shape)
    let own = try classes + (swapped - classes) * isMirrored.reshape([count, 1, 1, 1])
    // Beyond the picture there are zeros.
    let labels = try isCut
      ? (own + 1).resampled(transform, to: (size, size), by: .nearest, beyond: .zeros) - 1
      : own.resampled(transform, to: (size, size), by: .nearest, beyond: beyond)
    return (moved, try labels.round().to(.int64).reshape([count, size, size]))
  }

  private func relight(_ images: Tensor, _ generator: Generator) throws -> Tensor {
    let count = images.size(0)
    func chance(_ channels: Int = 1) throws -> Tensor {
      try Tensor.rand([count, channels, 1, 1], generator: generator, device: images.device) * 2 - 1
    }
    let middle = try images.mean(dims: [1, 2, 3], keepDim: true)
    let contrasted = try (images - middle) * (chance() * contrast + 1) + middle
    let coloured = try contrasted * (chance() * light + 1) * (chance(3) * tint + 1)
    let isGrey = try (chance() < 2 * grey - 1).to(.float32)
    let plain = try coloured.mean(dims: [1], keepDim: true)
    return try (coloured + (plain - coloured) * isGrey).clamp(min: 0, max: 1)
  }

  /// Takes detail away: fewer pixels, noise, the blocks of a JPEG file, and enlarged again.
  private func coarsen(_ images: Tensor, _ generator: Generator, _ seeds: inout SplitMix64) throws -> Tensor {
    func chance() -> Double { Double(seeds.next() >> 11) / Double(1 << 53) }
    let size = images.size(2)
    // Every fourth group keeps its pixels; the others' have any magnitude alike.
    let wanted = chance() < 0.25 ? Double(size) : Double(smallest) * pow(Double(size) / Double(smallest), chance())
    let small = min(size, max(8, Int(wanted / 8) * 8))
    var x = small < size ? try images.resized(to: (small, small)) : images
    // Squared, so that little noise is the rule.
    let deviation = try Tensor.rand([images.size(0), 1, 1, 1], generator: generator, device: images.device).square()
    x = try x + Tensor.randn(x.shape, generator: generator, device: images.device) * deviation * noise
    if chance() < 0.5 { x = try blocked(x, coarseness: 0.02 + 0.1 * chance()) }
    return small < size ? try x.resized(to: (size, size)) : x
  }

  /// Rounds the cosine coefficients of blocks of 8 × 8 pixels, as JPEG does: high frequencies more coarsely.
  private func blocked(_ images: Tensor, coarseness: Double) throws -> Tensor {
    let basis = try Self.cosines().to(images.device)
    let shape = images.shape
    let planes = try images.reshape([-1, 1, shape[2], shape[3]])
    let steps = (0..<64).map { k -> Float in
      let frequency = Double(k / 8 + k % 8)
      return Float(coarseness * (1 + 0.5 * frequency))
    }
    let step = try Tensor(steps, shape: [1, 64, 1, 1]).to(images.device)
    let coefficients = try (planes.conv2d(basis, stride: 8) / step).round() * step
    return try coefficients.convTranspose2d(basis, stride: 8).reshape(shape)
  }

  /// The orthonormal two-dimensional cosine transform (DCT-II), 64 × 1 × 8 × 8.
  private static func cosines() throws -> Tensor {
    var line = [[Double]](repeating: [Double](repeating: 0.125.squareRoot(), count: 8), count: 8)
    for k in 1..<8 {
      for n in 0..<8 { line[k][n] = 0.5 * cos(Double.pi / 8 * (Double(n) + 0.5) * Double(k)) }
    }
    var values: [Float] = []
    for k in 0..<64 {
      for n in 0..<64 { values.append(Float(line[k / 8][n / 8] * line[k % 8][n % 8])) }
    }
    return try Tensor(values, shape: [64, 1, 8, 8])
  }
}

import Foundation
import Photo
import Torch

/// Puts make-up on the photo's own skin, or takes it off. Pigments take away some of the light that skin throws back: skin keeps its
/// texture, and dark skin stays dark.
struct Makeup: Edit {
  static let stage = EditStage.makeup

  /// Lipstick, eye shadow, the line along the lashes, rouge, and colour for brows.
  enum Pigment: Int, CaseIterable, Sendable {
    case lips, lids, lashes, cheeks, brows

    /// What is left of red, green and blue light where there is all of it.
    private var kept: SIMD3<Float> {
      switch self {
      case .lips: [0.94, 0.54, 0.63]
      case .lids: [0.72, 0.6, 0.63]
      case .lashes: [0.27, 0.23, 0.23]
      case .cheeks: [1, 0.9, 0.9]
      case .brows: [0.86, 0.83, 0.83]
      }
    }

    /// What it does to the logarithm of light.
    var tone: SIMD3<Float> { kept.logarithm }

    /// The logarithm of what a part without it throws back, less that of the skin; `nil` where its own colour is not known.
    private var bare: SIMD3<Float>? {
      switch self {
      case .lips: [-0.13, -0.31, -0.22]
      case .lids: [-0.07, -0.1, -0.1]
      case .cheeks: [0.02, -0.02, -0.02]
      case .lashes, .brows: nil
      }
    }

    /// What taking it off does to the logarithm of light: nothing where the part is as light as a bare one.
    /// - Parameters:
    ///   - part: the mean colour of where it lies, 0…1.
    ///   - skin: that of the face's skin.
    func removal(from part: SIMD3<Float>, on skin: SIMD3<Float>) -> Removal? {
      guard let bare else { return nil }
      let own = (part + darkFloor).logarithm
      var change = bare + (skin + darkFloor).logarithm - own
      // Cheeks lie in other light than the rest.
      if self == .cheeks { change -= change.sum() / 3 }
      // Pigments take green before all else.
      change *= change.y.smoothStep(from: 0, to: 0.12)
      return (change * change).sum() > 1e-6 ? Removal(change: change, end: own + change) : nil
    }

    /// More than this no skin can carry.
    var most: Double { self == .cheeks ? 5 : 2 }
  }

  /// How a part loses its pigment, in logarithms of light: by a change, on the mean, to an end.
  struct Removal: Sendable, Equatable {
    var change, end: SIMD3<Float>
    /// How many times the change a pixel goes where there is most of the pigment.
    static let farthest = 1.6
  }

  /// The amount of each pigment: 1 for what is seen, 2 is twice as much. At −1 all that is taken off is gone.
  private(set) var amounts: [Pigment: Double]

  init(_ amounts: [Pigment: Double]) { self.amounts = amounts }

  init(all amount: Double) { amounts = Dictionary(uniqueKeysWithValues: Pigment.allCases.map { ($0, amount) }) }

  mutating func add(_ other: Makeup) { amounts.merge(other.amounts, uniquingKeysWith: +) }

  func apply(to canvas: inout Canvas) throws {
    let face = canvas.face
    if amounts.values.allSatisfy({ $0 == 0 }) { return }
    let anatomy = try canvas.anatomy()
    guard let parts = try anatomy.cached({ try MadeUpParts(on: anatomy, size: face.crop.width * Layer.oversampling(of: face)) })
    else { return }
    // What is not there is not taken off.
    let wanted = zip(Pigment.allCases, parts.removals).map { pigment, removal in
      min(pigment.most, max(removal == nil ? 0 : -1, amounts[pigment] ?? 0))
    }
    if wanted.allSatisfy({ $0 == 0 }) { return }
    let (count, side) = (parts.coverage.size(1), parts.coverage.size(3))
    let shown = try canvas.image.enlarged(to: side)
    let tones = zip(Pigment.allCases, wanted).map { $0.tone * Float(max(0, $1)) }
    var change = try Tensor((0..<3).flatMap { c in tones.map { $0[c] } }, shape: [3, count])
      .matmul(parts.coverage.reshape([count, side * side])).reshape([1, 3, side, side])
    for (index, removal) in parts.removals.enumerated() where wanted[index] < 0 {
      guard let removal else { continue }
      change = try change + Self.removal(removal, from: shown) * parts.coverage.narrow(1, index..<index + 1) * -wanted[index]
    }
    let kept = try change.exp()
    // What all colours lose the photo's own pixels do; hues, which have no detail, come from the crop.
    let light = try kept.mean(dims: [1], keepDim: true)
    try canvas.draw(.cat([(kept - light) * shown, light - 1], dim: 1))
  }

  /// What taking a pigment off does to the logarithm of light: a pixel goes as far as it is away from bare skin in the pigment's own
  /// direction, so that none beside it gets lighter.
  private static func removal(_ removal: Removal, from shown: Tensor) throws -> Tensor {
    func colour(_ value: SIMD3<Float>) throws -> Tensor { try Tensor([value.x, value.y, value.z], shape: [1, 3, 1, 1]) }
    let change = removal.change
    let rest = try colour(removal.end) - (shown + Double(darkFloor)).log()
    let part = try (rest * colour(change / (change * change).sum())).sum(dims: [1], keepDim: true)
      .clamp(min: 0, max: Removal.farthest)
    return try part * colour(change)
  }
}

/// The places of make-up on a face.
private struct MadeUpParts: Sized {
  /// As ``MakeupPlacement/coverage``, 1 × pigments × (k · S) × (k · S).
  let coverage: Tensor
  /// The way to take each pigment off, where there is some.
  let removals: [Makeup.Removal?]

  var byteCount: Int { coverage.byteCount + removals.count * MemoryLayout<Makeup.Removal?>.stride }

  /// - Parameters:
  ///   - anatomy: the face's.
  ///   - size: of the coverage.
  /// - Returns: `nil` where the landmarks fall into one place.
  init?(on anatomy: Anatomy, size: Int) throws {
    guard let frame = try anatomy.frame(size: size) else { return nil }
    let crop = anatomy.image
    let (lips, eyes, brows, skin) = (try anatomy.lips, try anatomy.eyes, try anatomy.brows, try anatomy.skin)
    func fine(_ part: Tensor) throws -> Tensor { try part.blurred(sigma: 0.5).enlarged(to: size) }
    let placement = MakeupPlacement(
      on: frame.landmarks, at: frame.place,
      parts: MakeupPlacement.Parts(
        lips: try fine(lips).array(), eyes: try fine(eyes).array(), brows: try fine(brows).array(), skin: try fine(skin).array(),
        covered: try fine(anatomy.coverings).smoothStep(from: 0.3, to: 0.7).array()))
    let coverage = try Tensor(placement.coverage.flatMap(\.self), shape: [1, placement.coverage.count, size, size])
    /// The mean colour within a region, 1 × 1 × S × S.
    func mean(_ region: Tensor) throws -> SIMD3<Float> {
      let sums = try (crop * region).sum(dims: [2, 3]).array(Float.self)
      return try SIMD3(sums[0], sums[1], sums[2]) / Float(max(1e-3, region.sum().item()))
    }
    let bare = try mean(skin.blurred(sigma: 1.5).smoothStep(from: 0.7, to: 0.95))
    let coarse = try coverage.avgPool2d(size / crop.size(3))
    self.coverage = coverage
    removals = try Makeup.Pigment.allCases.map { pigment in
      pigment.removal(from: try mean(coarse.narrow(1, pigment.rawValue..<pigment.rawValue + 1)), on: bare)
    }
  }
}

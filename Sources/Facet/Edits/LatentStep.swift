import Photo
import Torch

/// Steps in latent space: the code is moved and decoded, and the change of the decoded face is composed over the photo.
struct LatentStep: Edit {
  static let stage = EditStage.decode

  /// The steps that are decoded together, each 1 × latent size.
  private var steps: [Tensor] = []
  private var policy: DecodePolicy
  /// How much of the mouth's opening goes, 0…1.
  private var closing: Float = 0
  /// Steps that stay within a region of the face. Each is decoded by itself, after the others.
  private var regional: [(region: FaceRegion, step: Tensor)] = []
  private var composition = Composition.difference

  init(
    _ steps: [Tensor] = [], policy: DecodePolicy = .still, closing: Double = 0, composition: Composition = .difference
  ) {
    (self.steps, self.policy, self.closing, self.composition) = (steps, policy, Float(closing), composition)
  }

  init(_ step: Tensor, within region: FaceRegion) {
    (policy, regional) = (.still, [(region, step)])
  }

  mutating func add(_ other: LatentStep) {
    steps += other.steps
    policy = policy.combined(with: other.policy)
    closing = max(closing, other.closing)
    regional += other.regional
  }

  func apply(to canvas: inout Canvas) throws {
    if !steps.isEmpty || composition == .article { try decode(on: &canvas) }
    for (region, step) in regional { try decode(step, within: region, on: &canvas) }
  }

  private func decode(on canvas: inout Canvas) throws {
    let before = canvas.decoded
    if let first = steps.first { try canvas.move(steps.dropFirst().reduce(first) { try $0 + $1 }) }
    let after = canvas.decoded.reconstruction
    switch composition {
    case .article:
      try canvas.replace(by: Composition.article.change(of: canvas.image, from: before.reconstruction, to: after))
    case .difference:
      let moved = try warp(canvas: &canvas, from: before)
      let seen = try Self.seenParts(of: canvas, after, for: policy)
      try canvas.lay(Composition.difference(of: canvas.image, from: moved, to: after, within: policy, seen: seen))
      if policy.contains(.movesMouth) { canvas.featuresMoved() }
    }
  }

  private func decode(_ step: Tensor, within region: FaceRegion, on canvas: inout Canvas) throws {
    let before = canvas.decoded.reconstruction
    try canvas.move(step)
    let change = try Composition.difference.change(of: canvas.image, from: before, to: canvas.decoded.reconstruction)
    try canvas.lay(change * canvas.face.anatomy.mask(of: region))
  }

  /// Warps the photo's mouth to the decoded one's place, where the policy asks for it.
  /// - Returns: the face before the step, warped with it.
  private func warp(canvas: inout Canvas, from before: DecodedFace) throws -> Reconstruction {
    guard policy.contains(.movesMouth) else { return before.reconstruction }
    let (alignment, detector) = (canvas.face.alignment, canvas.tools.observer.detector)
    let anatomy = canvas.face.anatomy
    let outside = try anatomy.outside.blurred(sigma: 3).smoothStep(from: 0.1, to: 0.5)
    let hair = try anatomy.probability(of: .hair, .hat).smoothStep(from: 0.2, to: 0.6)
    let flow = try alignment.flow(
      of: anatomy.landmarks, from: before.landmarks(in: alignment, by: detector),
      to: canvas.decoded.landmarks(in: alignment, by: detector), closing: closing, within: (1 - outside) * (1 - hair))
    guard let flow else { return before.reconstruction }
    let size = canvas.face.crop.width * canvas.oversampling
    let unmoved = try closing > 0 ? Tensor(canvas.crop(size: size)) : nil
    try canvas.move(by: flow)
    if let unmoved, let place = try anatomy.frame(size: size)?.place {
      try flow.closedLips(of: unmoved, at: place, inside: anatomy.mouth).map { try canvas.draw($0) }
    }
    return Reconstruction(
      image: try flow.moved(before.reconstruction.image),
      maskLogits: try flow.moved(before.reconstruction.maskLogits, by: .bilinear))
  }

  /// The parts that a policy asks for.
  static func seenParts(of canvas: Canvas, _ after: Reconstruction, for policy: DecodePolicy) throws -> SeenParts {
    let anatomy = canvas.face.anatomy
    let side = canvas.face.crop.width
    func planes(_ count: Int, if isAsked: Bool, _ find: () throws -> Tensor) throws -> Tensor {
      isAsked ? try find() : try .zeros([1, count, side, side])
    }
    let isOther = !policy.isDisjoint(with: [.keepsHair, .keepsNoseAndMouth])
    let other = try planes(4, if: isOther) { try anatomy.otherThanSkin }
    func moved(_ planes: Tensor) throws -> Tensor { try canvas.flow?.moved(planes, by: .bilinear) ?? planes }
    return try SeenParts(
      other: isOther ? moved(other) : other,
      outside: planes(1, if: policy.contains(.keepsContour)) { try canvas.tools.observer.otherThanFace(in: after.image) },
      // Worn glasses are kept with the eyes: decoded faces have none, or others.
      eyes: planes(2, if: !policy.isDisjoint(with: [.keepsEyes, .softensEyelids])) {
        try .cat([canvas.glasses.map { try anatomy.eyes + $0 } ?? anatomy.eyes, anatomy.brows], dim: 1)
      },
      noseAndLips: planes(1, if: policy.contains(.keepsNoseAndMouth)) { try moved(anatomy.lips + anatomy.nose) })
  }
}

extension Canvas {
  /// Moves the latent code by a step and decodes it.
  mutating func move(_ step: Tensor) throws {
    latent = try latent + step
    decoded = DecodedFace(try tools.model.decode(latent))
  }
}

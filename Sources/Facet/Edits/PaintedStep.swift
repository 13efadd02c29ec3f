import Photo
import Torch

/// Steps in latent space that a painter draws: the decoded faces before and after the step guide it, and skin, stubble and folds
/// come from the photo itself.
struct PaintedStep: Edit {
  static let stage = EditStage.decode

  /// Each 1 × latent size.
  private var steps: [Tensor]
  /// The parts of the face that the steps are about.
  private var regions: Set<PaintedRegion>

  init(_ step: Tensor, of region: PaintedRegion) { (steps, regions) = ([step], [region]) }

  mutating func add(_ other: PaintedStep) {
    steps += other.steps
    regions.formUnion(other.regions)
  }

  func apply(to canvas: inout Canvas) throws {
    guard let painter = canvas.tools.painter else { return }
    let unedited = canvas.decoded
    let before = unedited.reconstruction.image
    try canvas.move(steps.dropFirst().reduce(steps[0]) { try $0 + $1 })
    let after = try held(canvas.decoded, at: unedited, in: canvas)
    let hole = try hole(in: canvas, from: before, to: after)
    let crop = try Tensor(canvas.fineCrop())
    guard let painting = try painter.painting(of: crop, from: before, to: after, in: hole) else { return }
    try canvas.lay(painting)
    canvas.featuresMoved()
  }

  /// The decoded face after a step, with all landmarks but those of the regions where the face before the step has them: a step moves
  /// the jaw and the nose a little, which would be painted beside the photo's own.
  private func held(_ after: DecodedFace, at before: DecodedFace, in canvas: Canvas) throws -> Tensor {
    let free = Set(regions.flatMap(\.landmarks))
    func points(_ face: DecodedFace) throws -> [Point] {
      let all = try face.landmarks(in: canvas.face.alignment, by: canvas.tools.observer.detector)
      return all.indices.filter { !free.contains($0) }.map { all[$0] }
    }
    return try Self.moved(after.reconstruction.image, from: points(after), to: points(before))
  }

  /// A face warped so that landmarks come to other places.
  /// - Parameters:
  ///   - image: 1 × C × S × S.
  ///   - points: where the landmarks are in it, 1 wide.
  ///   - targets: where they are to be.
  static func moved(_ image: Tensor, from points: [Point], to targets: [Point]) throws -> Tensor {
    let frame = FaceAlignment.window.side
    let (side, step) = (image.size(3), image.size(3).isMultiple(of: 4) ? 4 : 1)
    let places = try SkinPrototype.centres(side / step, Affine(Similarity(scale: frame * Double(step) / Double(side))))
    let (from, to) = (try Tensor(points) * frame, try Tensor(targets) * frame)
    // The way changes so slowly that every few pixels will do.
    let ways = try (LandmarkWarp(at: places, around: to).moved(by: from - to) - places).transpose(0, 1)
      .reshape([1, 2, side / step, side / step]).upsampleBilinear2d(scale: step).permute([0, 2, 3, 1])
    return try image.sampled(at: PainterNetwork.Aligner.grid(side, side) + ways * (2 / frame))
  }

  /// The pixels that are painted: those of the regions where the decoded face changes, off hair and all that lies over the face.
  private func hole(in canvas: Canvas, from before: Tensor, to after: Tensor) throws -> Tensor {
    let size = Painter.cropSize
    let anatomy = canvas.face.anatomy
    let landmarks = try anatomy.landmarks.map { Point(x: $0.x * Double(size), y: $0.y * Double(size)) }
    var inside = [Float](repeating: 0, count: size * size)
    for region in regions {
      let mask = region.mask(landmarks, size: (size, size), contour: Self.contour)
      for (i, value) in mask.values.enumerated() { inside[i] = max(inside[i], value) }
    }
    let difference = try (after - before).abs().mean(dims: [1], keepDim: true).blurred(sigma: 2)
    // The painter surrounds what changes: a smile's cheeks change little where the mouth changes much.
    let reach = try difference.smoothStep(from: 0.004, to: 0.02).blurred(sigma: 4).smoothStep(from: 0, to: 0.4)
    let covered = try anatomy.coverings.smoothStep(from: 0.2, to: 0.6)
    let shown = try (reach * (1 - covered)).resized(to: (size, size))
    return try Tensor(inside, shape: [1, 1, size, size]).blurred(sigma: 3).smoothStep(from: 0.25, to: 0.75) * shown
  }

  /// How far inside of the jaw line a hole ends: where it reached the line, the face had a second contour.
  private static let contour = 0.86
}

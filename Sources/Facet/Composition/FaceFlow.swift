import Photo
import Torch

/// Where the features of a face go between what decodes before a step and after it, and the skin around them with them: what the photo
/// has there is moved along, so that the new mouth lies over the old one and not beside it.
struct FaceFlow: Sendable {
  /// Where each pixel's value comes from: how far to the right and how far below, in pixels of the crop, 1 × 2 × S × S.
  private let vectors: Tensor
  /// The photo's landmarks as they have moved, in CelebA's frame, and the way from the crop there.
  let landmarks: [Point]
  /// The photo's landmarks before, the same.
  let sources: [Point]
  let place: Affine
  /// How much of the mouth's opening goes, 0…1.
  let closing: Float

  /// - Parameters:
  ///   - landmarks: the photo's, in CelebA's frame.
  ///   - before: those of what decodes before the step, the same.
  ///   - after: those of what decodes after it, the same.
  ///   - place: from the crop there.
  ///   - closing: how much of the mouth's opening goes, 0…1.
  ///   - region: where the photo may move, 1 × 1 × S × S in [0, 1].
  init(
    of landmarks: [Point], from before: [Point], to after: [Point], closing: Float, at place: Affine, within region: Tensor
  ) throws {
    let side = region.size(3)
    // Decoded mouths that shut are pursed, and their noses narrow.
    func share(of index: Int) -> Point {
      let shut = Landmark.mouth.contains(index) ? Self.shutShare : Point(x: 0, y: 0)
      return Point(x: 1 - (1 - shut.x) * Double(closing), y: 1 - (1 - shut.y) * Double(closing))
    }
    var targets = landmarks.indices.map { index -> Point in
      let point = landmarks[index]
      guard Self.moved.contains(index) else { return point }
      let share = share(of: index)
      return Point(x: point.x + share.x * (after[index].x - before[index].x), y: point.y + share.y * (after[index].y - before[index].y))
    }
    if closing > 0 { Self.close(&targets, from: landmarks, by: Double(closing)) }
    (self.landmarks, self.place, self.closing, sources) = (targets, place, closing, landmarks)
    // The way changes so slowly that every few pixels will do.
    let step = side.isMultiple(of: Self.step) ? Self.step : 1
    let coarse = Affine(.identity).scaled(x: Double(step), y: Double(step)).then(place)
    let centres = try SkinPrototype.centres(side / step, coarse)
    let sources = try LandmarkWarp(at: centres, around: targets).moved(by: Tensor(landmarks) - Tensor(targets))
    let back = place.inverse
    let matrix = try Tensor([Float(back.xx), Float(back.yx), Float(back.xy), Float(back.yy)], shape: [2, 2])
    let ways = try (sources - centres).matmul(matrix).transpose(0, 1).reshape([1, 2, side / step, side / step])
      .upsampleBilinear2d(scale: step) * region
    // What the kernels move by a fraction of a pixel, far from the mouth, stays.
    let lengths = try ways.square().sum(dims: [1], keepDim: true).sqrt()
    vectors = try ways * lengths.smoothStep(from: 0.05, to: 0.3)
  }

  /// Brings the lips together, as far as is asked: decoded mouths open and close less than the photo's.
  private static func close(_ targets: inout [Point], from photo: [Point], by closing: Double) {
    for (upper, lower) in zip(Landmark.upperEdge, Landmark.lowerEdge).dropFirst().dropLast() {
      func opening(_ face: [Point]) -> Point { Point(x: face[lower].x - face[upper].x, y: face[lower].y - face[upper].y) }
      let (now, before) = (opening(targets), opening(photo))
      let way = Point(x: now.x - (1 - closing) * before.x, y: now.y - (1 - closing) * before.y)
      // It is the upper lip that a smile has lifted.
      for (edge, part) in [(upper, 0.6), (lower, -0.4)] {
        for index in [edge] + outer[edge, default: []] {
          let amount = part * (index == edge ? 1 : beside.contains(index) ? outerShare / 2 : outerShare)
          targets[index] = Point(x: targets[index].x + amount * way.x, y: targets[index].y + amount * way.y)
        }
      }
    }
  }

  /// How far the outer line of a lip follows the inner one: lips at rest are higher than in a smile.
  private static let outerShare = 0.65
  /// The share of the decoded mouth's way, across the face and down, that one goes that shuts.
  private static let shutShare = Point(x: 0.5, y: 0.85)
  /// The landmarks of a lip's outer line that move with each of its inner line, and those beside them, which move half as far.
  private static let outer = [61: [49, 50], 62: [51], 63: [52, 53], 65: [55, 56], 66: [57], 67: [58, 59]]
  private static let beside: Set = [49, 53, 55, 59]

  /// Planes of the crop as they are moved, 1 × C × S × S.
  func moved(_ planes: Tensor, by interpolation: Tensor.Interpolation = .bicubic) throws -> Tensor {
    let side = planes.size(3)
    let steps = try Tensor((0..<side).map { (Float($0) + 0.5) * 2 / Float(side) - 1 })
    let own = try Tensor.cat([
      steps.reshape([1, 1, 1, side]).expand([1, 1, side, side]), steps.reshape([1, 1, side, 1]).expand([1, 1, side, side]),
    ], dim: 1)
    return try planes.sampled(at: (own + vectors * (2 / Double(side))).permute([0, 2, 3, 1]), by: interpolation)
  }

  /// As of `Picture.move(by:place:)`.
  var picture: FloatPicture { get throws { try FloatPicture(vectors) } }

  /// Pixels; a third of the width of a kernel.
  private static let step = 4
  /// The nostrils and the mouth of the 68 landmarks: jaw, brows and eyes hold what is around them in its place.
  private static let moved = Set(Landmark.noseBase).union(Landmark.mouth)
}

extension FaceAlignment {
  /// How the photo's features follow a step.
  /// - Parameters:
  ///   - landmarks: the photo's, in the crop, 1 wide.
  ///   - before: those of what decodes before the step, the same.
  ///   - after: those of what decodes after it, the same.
  ///   - closing: how much of the mouth's opening goes, 0…1.
  ///   - region: where the photo may move, 1 × 1 × S × S in [0, 1].
  /// - Returns: `nil` where landmarks fall into one place.
  func flow(
    of landmarks: [Point], from before: [Point], to after: [Point], closing: Float, within region: Tensor
  ) throws -> FaceFlow? {
    guard let toFrame = Self.toFrame(landmarks), let frame = frame(of: landmarks, size: region.size(3)) else { return nil }
    return try FaceFlow(
      of: frame.landmarks, from: before.map { toFrame($0) }, to: after.map { toFrame($0) }, closing: closing,
      at: frame.place, within: region)
  }
}

import Facet
import Foundation
import Photo
import Torch

/// Learns a `SkinPrototype` from photos with labels and label maps.
///
/// Two groups of photos are brought to their mean landmarks. Of each place only those photos count that show skin there. Where a
/// label is to be balanced, the groups are compared on both of its sides apart, and the mean of the differences counts: else old
/// faces would be men's.
public struct PrototypeFitting {
  /// Which photos are compared.
  public struct Groups: Sendable {
    /// Queries (`LabelQuery`) for the photos that have it and those that lack it.
    public var positives, negatives: String
    /// A label on whose two sides they are compared apart; `nil` for none.
    public var balanced: String?
    /// Labels that are to be as frequent among the negatives as among the positives: else an older face would be one that smiles.
    public var matched: [String]

    /// Groups by their queries.
    public init(positives: String, negatives: String, balanced: String?, matched: [String] = []) {
      (self.positives, self.negatives, self.balanced, self.matched) = (positives, negatives, balanced, matched)
    }
  }

  /// The prototype.
  public let prototype: SkinPrototype
  /// How many photos of each group were used, with it and without it.
  public let positives, negatives: Int

  /// - Parameters:
  ///   - edit: what it is of.
  ///   - groups: photos of `train`; of each group, and side, 1000 at most.
  ///   - dataset: with label maps.
  ///   - detector: finds landmarks.
  ///   - onPhoto: called after each photo with how many were looked at, of how many; stops where it gives false.
  /// - Returns: `nil` where it was stopped.
  /// - Throws: `CombinedDirectionError`, ``DatasetError``, `PortraitError`, and ``TrainingError`` where a group has too few photos.
  public init?(
    _ edit: AttributeState, _ groups: Groups, in dataset: CelebA, detector: FaceDetector = FaceDetector(),
    onPhoto: (_ done: Int, _ count: Int) -> Bool = { _, _ in true }
  ) throws {
    let chosen = try CombinedDirection("prototype", positives: groups.positives, negatives: groups.negatives)
      .groups(dataset.labels, attributes: dataset.attributeNames)
    let balanced = try groups.balanced.map { try dataset.attributeIndex(of: $0) }
    let matched = try groups.matched.map { try dataset.attributeIndex(of: $0) }
    var samples: [[Int]] = Array(repeating: [], count: 4)
    for (group, rows) in [chosen.positives, chosen.negatives].enumerated() {
      for sample in rows where dataset.samples[sample].partition == .train {
        let labels = dataset.labels(of: sample)
        let side = balanced.map { labels[labels.startIndex + $0] > 0 ? 1 : 0 } ?? 0
        samples[2 * side + group].append(sample)
      }
    }
    for side in 0..<2 {
      samples[2 * side] = Array(samples[2 * side].prefix(Self.most))
      samples[2 * side + 1] = Self.matching(samples[2 * side + 1], to: samples[2 * side], atMost: Self.most) { sample in
        let labels = dataset.labels(of: sample)
        return matched.map { labels[labels.startIndex + $0] > 0 }
      }
    }
    let count = 2 * samples.joined().count
    var done = 0
    func isStopped() -> Bool {
      done += 1
      return !onPhoto(done, count)
    }
    func read(_ sample: Int) throws -> (photo: Picture, map: Picture) {
      try LabelledPhoto(
        photo: dataset.imageURL(of: sample), map: .file(dataset.maskURL(of: sample), order: FaceClass.allCases)
      ).read()
    }
    // Landmarks first, for their mean; the photos of a large set are not held in memory.
    var found: [[(sample: Int, landmarks: [Point])]] = Array(repeating: [], count: 4)
    for (group, samples) in samples.enumerated() {
      for sample in samples {
        if let face = try detector.clearFace(in: read(sample).photo), FaceAlignment.toFrame(face.landmarks) != nil {
          found[group].append((sample, face.landmarks))
        }
        if isStopped() { return nil }
      }
    }
    let sides = balanced == nil ? 0..<1 : 0..<2
    for (group, name) in ["positives", "negatives"].enumerated() {
      guard sides.allSatisfy({ found[2 * $0 + group].count >= Self.least }) else {
        let counts = sides.map { "\(found[2 * $0 + group].count)" }.joined(separator: " and ")
        throw TrainingError("the \(name) are \(counts) photos with a face; at least \(Self.least) are needed on each side")
      }
    }
    let all = found.joined().map(\.landmarks)
    var means = try Means(landmarks: Self.mean(of: all.map { landmarks in
      let toFrame = FaceAlignment.toFrame(landmarks) ?? .identity
      return landmarks.map { toFrame($0) }
    }))
    for (group, photos) in found.enumerated() {
      for (sample, landmarks) in photos {
        let (photo, map) = try read(sample)
        try means.add(photo, map, landmarks, to: group)
        if isStopped() { return nil }
      }
    }
    prototype = SkinPrototype(edit: edit, landmarks: means.landmarks, maps: try means.maps(sides))
    positives = sides.reduce(0) { $0 + found[2 * $1].count }
    negatives = sides.reduce(0) { $0 + found[2 * $1 + 1].count }
  }

  /// As many of some photos, the first ones, as can be had with each kind as frequent as among others.
  /// - Parameters:
  ///   - photos: that are chosen from.
  ///   - others: that say how frequent each kind is; kinds of fewer than one in thirty do not limit how many are chosen.
  ///   - most: how many are chosen at most.
  ///   - kind: of a photo.
  static func matching<Kind: Hashable>(_ photos: [Int], to others: [Int], atMost most: Int, by kind: (Int) -> Kind) -> [Int] {
    let wanted = Dictionary(grouping: others, by: kind).mapValues { Double($0.count) / Double(others.count) }
    let kinds = Dictionary(grouping: photos, by: kind)
    let count = wanted.filter { $0.value > 1.0 / 30 }.map { Double(kinds[$0.key]?.count ?? 0) / $0.value }.min() ?? 0
    return wanted.flatMap { kind, share in
      (kinds[kind] ?? []).prefix(Int((min(Double(most), count) * share).rounded()))
    }.sorted()
  }

  /// The mean landmarks of faces and their mirror images.
  private static func mean(of faces: [[Point]]) -> [Point] {
    let mean = (0..<68).map { faces.reduced(at: $0) }
    let middle = FaceAlignment.window.x + FaceAlignment.window.side / 2
    return (0..<68).map { index in
      let other = mean[DetectedFace.mirrored[index]]
      return Point(x: (mean[index].x + 2 * middle - other.x) / 2, y: (mean[index].y + other.y) / 2)
    }
  }

  /// Sums over the photos of each group, at the mean face's places.
  struct Means {
    let landmarks: [Point]
    private let warp: LandmarkWarp
    private var sums: [Tensor?] = Array(repeating: nil, count: 4)
    private var counts = [0, 0, 0, 0]

    init(landmarks: [Point]) throws {
      self.landmarks = landmarks
      let window = FaceAlignment.window
      let place = Affine(Similarity(scale: window.side / Double(SkinPrototype.size), tx: window.x, ty: window.y))
      warp = try LandmarkWarp(at: SkinPrototype.centres(SkinPrototype.size, place), around: landmarks)
    }

    /// - Parameters:
    ///   - photo: the photo.
    ///   - map: of ``FaceClass``, of its size.
    ///   - landmarks: in its pixels.
    ///   - group: whose sums it adds to.
    mutating func add(_ photo: Picture, _ map: Picture, _ landmarks: [Point], to group: Int) throws {
      guard let toFrame = FaceAlignment.toFrame(landmarks) else { return }
      let size = SkinPrototype.size
      let places = try warp.moved(by: Tensor(landmarks.map { toFrame($0) }) - Tensor(self.landmarks))
      let back = toFrame.inverse
      let turn = try Tensor([Float(back.a), Float(back.b), Float(-back.b), Float(back.a)], shape: [2, 2])
      let pixels = try places.matmul(turn) + Tensor([Float(back.tx), Float(back.ty)])
      let grid = try (pixels * (Tensor([Float(2), 2]) / Tensor([Float(photo.width), Float(photo.height)])) - 1)
        .reshape([1, size, size, 2])
      let luma = try SkinPrototype.logLuma(Tensor(photo).sampled(at: grid))
      let isSkin = map.pixels.map { $0 == FaceClass.skin.rawValue || $0 == FaceClass.nose.rawValue ? Float(1) : 0 }
      let skin = try Tensor(isSkin, shape: [1, 1, map.height, map.width])
        .sampled(at: grid, by: .bilinear, beyond: .zeros).blurred(sigma: 1).smoothStep(from: 0.7, to: 1)
      // However light a photo is.
      let light = try (luma * skin).sum() / skin.sum().clamp(min: 1)
      let bands = try SkinPrototype.bands(of: luma)
      let values = try Tensor.cat([
        Tensor.full([1, 1, size, size], 1), luma - light, bands.fine.abs().clamp(max: Self.edge),
        bands.coarse.abs().clamp(max: Self.edge),
      ], dim: 1) * skin
      sums[group] = try sums[group].map { try $0 + values } ?? values
      counts[group] += 1
    }

    /// As of ``SkinPrototype/maps``.
    func maps(_ sides: Range<Int>) throws -> Tensor {
      let parts = try sides.map { side -> Tensor in
        guard let with = sums[2 * side], let without = sums[2 * side + 1] else {
          throw TrainingError("a prototype needs photos of each group, on each side")
        }
        func mean(_ sums: Tensor, _ index: Int) throws -> Tensor {
          try sums.narrow(1, index..<index + 1) / sums.narrow(1, 0..<1).clamp(min: 1)
        }
        func share(_ sums: Tensor, _ count: Int) throws -> Tensor { try sums.narrow(1, 0..<1) / Double(count) }
        let skin = try share(with, counts[2 * side]) * share(without, counts[2 * side + 1])
        let ratios = try (2...3).map { try mean(with, $0) / mean(without, $0).clamp(min: 1e-4) - 1 }
        return try Tensor.cat([skin, mean(with, 1) - mean(without, 1)] + ratios, dim: 1)
      }
      let mean = try parts.dropFirst().reduce(parts[0]) { try $0 + $1 } / Double(parts.count)
      let both = try (mean + mean.flip([3])) / 2
      let skin = try both.narrow(1, 0..<1).smoothStep(from: 0.3, to: 0.8).blurred(sigma: 1.5)
      // What is so slow is make-up and the light of studios, not lines.
      let shade = try both.narrow(1, 1..<2)
      let slow = try (shade * skin).blurred(sigma: Self.slow) / skin.blurred(sigma: Self.slow).clamp(min: 0.05)
      let lines = try (shade - slow) * skin
      let ratios = try both.narrow(1, 2..<4).clamp(min: -0.2, max: 1)
      return try Tensor.cat([skin, lines, ratios], dim: 1)
    }

    private static let edge = 0.3
    private static let slow = 11.0
  }

  private static let (most, least) = (1000, 20)
}

extension Sequence<[Point]> {
  /// The mean of the points at an index.
  fileprivate func reduced(at index: Int) -> Point {
    var (x, y, count) = (0.0, 0.0, 0.0)
    for points in self {
      x += points[index].x
      y += points[index].y
      count += 1
    }
    return Point(x: x / count, y: y / count)
  }
}

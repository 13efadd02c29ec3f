import Dispatch
import Files
import Foundation
import Photo
import Synchronization
import Torch

/// Finds skin, eyes, hair and the other classes of ``FaceClass`` in photos of one face each, such as CelebA's.
///
/// On disk it is a folder with `config.json`, `model.safetensors` and a `card.md` for people.
///
///     let parser = try FaceParser()
///     let map = try parser.labelMaps(of: [Picture(contentsOf: photo)])[0]
public final class FaceParser: Sendable {
  /// The folder that it was read from.
  public let url: URL
  /// The size of its network.
  public var configuration: ParserConfiguration { network.configuration }
  package let network: ParserNetwork
  private let device: Device

  /// The most pixels of a photo: a hostile file cannot take all memory on every core.
  package static let pixelLimit = 50_000_000
  /// The longest side at which classes are told apart; maps of larger photos are enlarged from there.
  static let longestMap = 1024

  /// The parser that ships inside the package.
  public static var defaultURL: URL {
    Bundle.module.url(forResource: "default", withExtension: "parser")
      ?? Bundle.module.bundleURL.appendingPathComponent("default.parser")
  }

  /// Reads a parser's folder.
  /// - Throws: ``BundleError``, `FileError` or `SafetensorsError` that names the file at fault.
  public init(contentsOf url: URL = FaceParser.defaultURL, device: Device = .cpu) throws {
    self.url = url
    self.device = device
    let folder = NetworkFolder(url)
    network = try folder.network(of: "a parser's configuration") { (configuration: ParserConfiguration) in
      try configuration.makeNetwork(seed: nil)
    }
    try folder.load(into: network, on: device)
  }

  /// Writes configuration and weights, kernels in half precision; each file whole or not at all.
  package static func write(
    _ configuration: ParserConfiguration, weights: [String: Tensor], origin: String, to url: URL
  ) throws {
    let folder = NetworkFolder(url)
    try AtomicFile.write(JSON.pretty(configuration), to: folder.configurationURL)
    try Tensor.save(
      weights.withMatrices(as: .float16), metadata: ["format": "facet-parser-1", "origin": origin], to: folder.weightsURL)
  }

  // MARK: Pictures

  /// The label maps of photos: one channel of ``FaceClass`` values, of each photo's own size.
  /// - Parameter photos: one face each, upright and near the middle; three channels or one.
  public func labelMaps(of photos: [Picture]) throws -> [Picture] {
    let maps = try labelMaps(of: photos.map(configuration.view))
    return zip(maps, photos).map { $0.enlarged(to: $1.width, $1.height) }
  }

  /// Maps of the photos' own sizes, or smaller where these are large.
  ///
  /// On the CPU each thread takes its part of them: torch's own threads wait for each other at every layer.
  private func labelMaps(of views: [ParserView]) throws -> [Picture] {
    let threads = Torch.threads
    let parts = min(threads, views.count)
    guard device == .cpu, parts > 1 else { return try labelMapsTogether(of: views) }
    defer { try? Torch.setThreads(threads) }
    let maps = concurrently(parts) { part in
      Result {
        try Torch.setThreads(1)
        return try self.labelMapsTogether(
          of: Array(views[views.count * part / parts..<views.count * (part + 1) / parts]))
      }
    }
    return try maps.flatMap { try $0.get() }
  }

  private func labelMapsTogether(of views: [ParserView]) throws -> [Picture] {
    var maps: [Int: Picture] = [:]
    // Pictures of one size go through the network together.
    let groups = Dictionary(grouping: views.indices) { [views[$0].picture.width, views[$0].picture.height] }
    for indices in groups.values {
      let (width, height) = (views[indices[0]].picture.width, views[indices[0]].picture.height)
      let bytes = try Tensor(
        indices.flatMap { views[$0].picture.pixels }, shape: [indices.count, height, width, 3])
      let logits = try logits(bytes.to(device).permute([0, 3, 1, 2]).to(.float32) / 255)
      for (row, index) in indices.enumerated() {
        let view = views[index]
        maps[index] = try withoutGradients {
          let full = try logits.narrow(0, row..<row + 1).resized(to: (view.mapHeight, view.mapWidth))
          let classes = try full.argmax(dim: 1).to(.uint8).to(.cpu)
          return Picture(width: view.mapWidth, height: view.mapHeight, channels: 1, pixels: try classes.array())
        }
      }
    }
    return views.indices.map { maps[$0]! }
  }

  /// How probable it is that each pixel of a photo is of any class of a group.
  /// - Parameters:
  ///   - groups: classes.
  ///   - photo: of one face, upright and near the middle.
  /// - Returns: for each group the probabilities, row by row.
  func probabilities(of groups: [[FaceClass]], in photo: Picture) throws -> [[Float]] {
    let view = configuration.view(of: photo).picture
    let logits = try logits(Tensor(view).to(device))
    let found = try probabilities(of: groups, logits, (photo.height, photo.width)).to(.cpu)
    return try groups.indices.map { try found.select(1, $0).array(Float.self) }
  }

  /// How probable it is that each pixel is of any class of a group.
  /// - Parameters:
  ///   - groups: classes, for each channel of the result.
  ///   - images: N × 3 × S × S in [0, 1], of one face each, upright and near the middle.
  ///   - isRough: looked at from farther off, in less than half the time.
  /// - Returns: N × groups × S × S in [0, 1].
  func probabilities(of groups: [[FaceClass]], in images: Tensor, isRough: Bool = false) throws -> Tensor {
    let multiple = configuration.multiple
    let side = isRough ? max(1, configuration.imageSize * 2 / 3 / multiple) * multiple : configuration.imageSize
    let logits = try logits(images.resized(to: (side, side))).to(.float32)
    return try probabilities(of: groups, logits, (images.size(2), images.size(3)))
  }

  /// How probable it is that each pixel is outside of the face: hair, ears, the neck and all beyond. Each preview asks, and a
  /// rough border is enough.
  /// - Parameter images: as of ``probabilities(of:in:)``.
  /// - Returns: N × 1 × S × S in [0, 1].
  func otherThanFace(in images: Tensor) throws -> Tensor {
    try probabilities(
      of: [[.background, .hair, .hat, .leftEar, .rightEar, .earring, .neck, .necklace, .cloth]], in: images,
      isRough: true)
  }

  private func probabilities(
    of groups: [[FaceClass]], _ logits: Tensor, _ size: (height: Int, width: Int)
  ) throws -> Tensor {
    try withoutGradients {
      // No logit is so large that its exponential is not a number.
      let weights = try logits.resized(to: size).clamp(min: -30, max: 30).exp()
      let sums = try groups.map { classes in
        let chosen = try Tensor(classes.map { Int64($0.rawValue) }).to(weights.device)
        return try weights.indexSelect(1, chosen).sum(dims: [1], keepDim: true)
      }
      return try Tensor.cat(sums, dim: 1) / weights.sum(dims: [1], keepDim: true)
    }
  }

  /// - Parameter images: N × 3 × H × W in [0, 1].
  /// - Returns: N × classes × H / 2 × W / 2, channels first in memory.
  private func logits(_ images: Tensor) throws -> Tensor {
    try withoutGradients { try network(images).contiguous() }
  }

  // MARK: Files

  /// A photo and where its label map goes.
  public struct Job: Sendable {
    /// The photo.
    public var photo: URL
    /// The file that its label map is written to.
    public var map: URL

    /// A photo and the file of its label map.
    public init(photo: URL, map: URL) { (self.photo, self.map) = (photo, map) }
  }

  /// Writes the label maps of photos, each whole or not at all: 8-bit PNG of the photo's own size.
  /// - Parameters:
  ///   - jobs: the photos, and the files to write.
  ///   - batchSize: photos at once.
  ///   - onOutcome: called with each job, in order, and its error if it failed; what it throws ends the work.
  public func write(
    _ jobs: [Job], batchSize: Int = 32, onOutcome: (Job, PhotoError?) throws -> Void
  ) throws {
    let configuration = configuration
    for start in stride(from: 0, to: jobs.count, by: batchSize) {
      let part = Array(jobs[start..<min(start + batchSize, jobs.count)])
      let views = concurrently(part.count) { i in
        Result { () throws(PhotoError) in
          configuration.view(of: try Picture(contentsOf: part[i].photo, pixelLimit: Self.pixelLimit))
        }
      }
      let good = views.indices.filter { (try? views[$0].get()) != nil }
      let maps = try labelMaps(of: good.map { try views[$0].get() })
      let sizes = try good.map { try views[$0].get() }.map { ($0.width, $0.height) }
      let written = concurrently(good.count) { i in
        Result { () throws(PhotoError) in
          try maps[i].enlarged(to: sizes[i].0, sizes[i].1).write(to: part[good[i]].map)
        }
      }
      var faults: [Int: PhotoError] = [:]
      for index in views.indices { if case .failure(let error) = views[index] { faults[index] = error } }
      for index in good.indices { if case .failure(let error) = written[index] { faults[good[index]] = error } }
      for (index, job) in part.enumerated() { try onOutcome(job, faults[index]) }
    }
  }
}

/// A photo as the network sees it.
private struct ParserView: Sendable {
  let picture: Picture
  /// The photo's own size.
  let width: Int
  let height: Int

  /// The size at which classes are told apart.
  var mapWidth: Int { reduced(width) }
  var mapHeight: Int { reduced(height) }

  private func reduced(_ length: Int) -> Int {
    max(1, length * FaceParser.longestMap / max(FaceParser.longestMap, width, height))
  }
}

extension ParserConfiguration {
  /// The shorter side becomes ``imageSize``, the longer one follows as far as the network's grid allows, but not beyond
  /// four times that.
  fileprivate func view(of photo: Picture) -> ParserView {
    let scale = Double(imageSize) / Double(min(photo.width, photo.height))
    func fitted(_ length: Int) -> Int {
      min(4 * imageSize, max(imageSize, Int((Double(length) * scale / Double(multiple)).rounded()) * multiple))
    }
    return ParserView(
      picture: photo.rgb().resized(to: (fitted(photo.width), fitted(photo.height))), width: photo.width,
      height: photo.height)
  }
}

extension Picture {
  fileprivate func enlarged(to width: Int, _ height: Int) -> Picture {
    (self.width, self.height) == (width, height) ? self : resizedLabels(to: (width, height))
  }
}

/// The results of `count` calls of `body`, made on all cores.
package func concurrently<Result: Sendable>(_ count: Int, _ body: @Sendable (Int) -> Result) -> [Result] {
  let results = Mutex<[Result?]>(Array(repeating: nil, count: count))
  DispatchQueue.concurrentPerform(iterations: count) { i in
    let result = body(i)
    results.withLock { $0[i] = result }
  }
  return results.withLock { $0.map { $0! } }
}

import Facet
import Torch

/// The latent codes of a partition's photos with their labels: what directions, probes and the prior are found in.
public struct EncodedPhotos: Sendable {
  /// Posterior means, photos × latent size, float32, on the CPU.
  public let codes: Tensor
  /// −1 or 1, photos × attributes, row after row.
  public let labels: [Int8]
  /// The attributes' names.
  public let attributeNames: [String]
  /// The photos themselves.
  private let samples: DecodedCache?

  /// The number of photos.
  public var count: Int { codes.size(0) }
  var latentSize: Int { codes.size(1) }

  /// Encodes each photo once.
  /// - Parameters:
  ///   - samples: the photos.
  ///   - model: the model, for use.
  ///   - batchSize: photos encoded at once.
  ///   - device: where the model is.
  ///   - progress: called with the photos done and their total.
  public init(
    _ samples: DecodedCache, with model: any FaceVAE, batchSize: Int = 64, device: Device = .cpu,
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws {
    let codes = try Self.codes(of: samples, with: model, batchSize, device, nil, progress)
    try self.init(codes: codes, of: samples)
  }

  /// Encodes each photo once, several processes together.
  /// - Parameters:
  ///   - samples: the photos, the same on each process.
  ///   - model: the model, for use.
  ///   - batchSize: photos that a process encodes at once.
  ///   - device: where the model is.
  ///   - group: the processes, which take turns batch by batch; `nil` for this one alone.
  ///   - progress: called on the first with the photos done and their total.
  /// - Returns: all codes, in the order and with the values that one process would give, on the first process; `nil`
  ///   on the others, whose work is done.
  /// - Throws: `ProcessGroupError` when a process is gone.
  public static func encode(
    _ samples: DecodedCache, with model: any FaceVAE, batchSize: Int = 64, device: Device = .cpu,
    over group: ProcessGroup?, progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> EncodedPhotos? {
    func codes() throws -> [Tensor] {
      let codes = try Self.codes(of: samples, with: model, batchSize, device, group, progress)
      // So that nobody leaves while another still needs the first, where all meet.
      _ = try group?.sum([0])
      return codes
    }
    guard let group else { return try EncodedPhotos(codes: codes(), of: samples) }
    let all = try group.watching(codes)
    return group.isFirst ? try EncodedPhotos(codes: all, of: samples) : nil
  }

  private init(codes: [Tensor], of samples: DecodedCache) throws {
    guard !codes.isEmpty else { throw TrainingError("there are no photos to encode") }
    self.init(
      codes: try .cat(codes), labels: samples.sampleIndices.flatMap { samples.dataset.labels(of: $0) },
      attributeNames: samples.dataset.attributeNames, samples: samples)
  }

  /// The batches' codes in order; none on other processes than the first, which get theirs there.
  private static func codes(
    of samples: DecodedCache, with model: any FaceVAE, _ batchSize: Int, _ device: Device, _ group: ProcessGroup?,
    _ progress: (_ done: Int, _ total: Int) -> Void
  ) throws -> [Tensor] {
    let loader = BatchLoader(samples, options: .evaluation(batchSize: batchSize, over: group))
    loader.start(epoch: 0)
    model.setTraining(false)
    var codes: [Tensor] = []
    var done = 0
    func add(_ tensor: Tensor) {
      codes.append(tensor)
      done += tensor.size(0)
      progress(done, samples.count)
    }
    try withoutGradients {
      while let batch = try loader.next() {
        let own = try model.encode(batch.imageTensor(on: device)).mean.to(.cpu).to(.float32)
        guard let group else {
          add(own)
          continue
        }
        guard group.isFirst else {
          try group.send(own, to: 0)
          continue
        }
        add(own)
        for rank in 1..<group.count where done < samples.count {
          let other = try Tensor.zeros([min(batchSize, samples.count - done), own.size(1)])
          try group.receive(other, from: rank)
          add(other)
        }
      }
    }
    return codes
  }

  init(codes: Tensor, labels: [Int8], attributeNames: [String], samples: DecodedCache? = nil) {
    precondition(labels.count == codes.size(0) * attributeNames.count, "labels of other photos")
    (self.codes, self.labels, self.attributeNames, self.samples) = (codes, labels, attributeNames, samples)
  }

  /// The photos of some rows, rows × 3 × S × S in [0, 1].
  func images(_ rows: [Int], on device: Device = .cpu) throws -> Tensor {
    guard let samples else { throw TrainingError("these codes came without photos") }
    return try samples.images(rows, on: device)
  }

  /// The groups of each attribute: who has it, and who lacks it.
  func groups() -> [LabelGroups] {
    let width = attributeNames.count
    return (0..<width).map { attribute in
      let rows = 0..<count
      return LabelGroups(
        positives: rows.filter { labels[$0 * width + attribute] == 1 },
        negatives: rows.filter { labels[$0 * width + attribute] != 1 }, asked: [attribute])
    }
  }

  /// The labels as photos × attributes in {0, 1}, float64.
  func presence() throws -> Tensor {
    try (Tensor(labels, shape: [count, attributeNames.count]) > 0).to(.float64)
  }

  /// Calls `body` with float64 codes, a few thousand at a time: all of a large data set's would fill the memory.
  func forEachPart(_ body: (_ rows: Range<Int>, _ codes: Tensor) throws -> Void) throws {
    for start in stride(from: 0, to: count, by: 4096) {
      let rows = start..<min(count, start + 4096)
      try body(rows, codes.narrow(0, rows).to(.float64))
    }
  }

  /// `weights` · codes in float64, so that the order of the photos does not show in float32.
  /// - Parameter weights: any number of rows × photos, float64.
  func sums(_ weights: Tensor) throws -> Tensor {
    var total = try Tensor.zeros([weights.size(0), latentSize], dtype: .float64)
    try forEachPart { rows, codes in total = try total + weights.narrow(1, rows).matmul(codes) }
    return total
  }
}

/// What the training photos' codes look like together, in float64.
struct LatentStatistics {
  /// Latent size.
  let mean: Tensor
  /// Latent size × latent size.
  let covariance: Tensor
  /// The effect on the code of each label with the others held, attributes × latent size: the least-squares R of
  /// codes ≈ presence · R + constant, over all photos.
  let effects: Tensor

  init(_ photos: EncodedPhotos) throws {
    let (count, size) = (Double(photos.count), photos.latentSize)
    let presence = try photos.presence()
    var sum = try Tensor.zeros([size], dtype: .float64)
    var products = try Tensor.zeros([size, size], dtype: .float64)
    var mixed = try Tensor.zeros([photos.attributeNames.count, size], dtype: .float64)
    try photos.forEachPart { rows, codes in
      sum = try sum + codes.sum(dims: [0])
      products = try products + codes.transpose(0, 1).matmul(codes)
      mixed = try mixed + presence.narrow(0, rows).transpose(0, 1).matmul(codes)
    }
    mean = try sum / count
    covariance = try products / count - mean.unsqueeze(1).matmul(mean.unsqueeze(0))
    let share = try presence.mean(dims: [0])
    let among = try presence.transpose(0, 1).matmul(presence) / count - share.unsqueeze(1).matmul(share.unsqueeze(0))
    // The ridge only matters for labels that others determine.
    effects = try (mixed / count - share.unsqueeze(1).matmul(mean.unsqueeze(0)))
      .choleskySolve(among.withRidge(1e-9).cholesky())
  }

  /// Lower triangular L with covariance = L · Lᵀ.
  func factor() throws -> Tensor {
    let scale = try covariance.diagonal().mean().item()
    // Fewer photos than dimensions leave some without any spread.
    return try covariance.withRidge(max(1e-6 * scale, 1e-30)).cholesky()
  }

  /// The codes' standard deviation in each dimension; nearly constant ones get a floor, for others divide by it.
  func deviation() throws -> Tensor {
    let variance = try covariance.diagonal().clamp(min: 0)
    let mean = try variance.mean().item()
    return try variance.clamp(min: max(1e-4 * mean, 1e-30)).sqrt()
  }
}

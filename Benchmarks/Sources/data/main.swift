// What becomes of a CelebA folder, measured; answers are lines of JSON.
//
//     facet-data load CELEBA SIZE CACHES         for each line on standard input, decodes the train photos into a new cache
//     facet-data waiting CELEBA PRESET EPOCHS CACHES
//                                                trains, and says how long steps waited from the second epoch on
//     facet-data directions CELEBA PHOTOS CACHES finds directions of the train photos in one pass and as the article does
import Facet
import FacetTraining
import Foundation
import Torch

func answer(_ values: [String: Double]) throws {
  let json = try JSONSerialization.data(withJSONObject: values, options: .sortedKeys)
  FileHandle.standardOutput.write(json + Data("\n".utf8))
}

func seconds(_ body: () throws -> Void) rethrows -> Double {
  let start = ContinuousClock.now
  try body()
  return (ContinuousClock.now - start) / .seconds(1)
}

func dataset(_ path: String, _ configuration: DatasetConfiguration) throws -> CelebA {
  try CelebA(directory: URL(fileURLWithPath: path, isDirectory: true), configuration: configuration)
}

/// First passes over the photos: read, decode, crop, resize, and write the cache.
func load(_ data: String, size: Int, caches: URL) throws {
  var configuration = DatasetConfiguration()
  configuration.size = size
  configuration.requiresMasks = false
  let dataset = try dataset(data, configuration)
  try answer(["ready": 1])
  while readLine() != nil {
    var count = 0
    let time = try seconds {
      let cache = try DecodedCache.open(dataset, partition: .train, in: caches)
      guard cache.decodedCount == cache.count else { fatalError("the cache was there already") }
      count = cache.count
    }
    try FileManager.default.removeItem(at: caches)
    try answer(["seconds": time, "images": Double(count)])
  }
}

/// Training as `facet train` does it.
func waiting(_ data: String, preset: ModelConfiguration.Architecture, epochs: Int, caches: URL) throws {
  var configuration = TrainingConfiguration(preset: preset)
  let dataset = try dataset(data, configuration.dataset)
  let training = try DecodedCache.open(dataset, partition: .train, in: caches)
  let validation = try DecodedCache.open(dataset, partition: .validation, in: caches)
  let steps = training.count / configuration.batchSize
  configuration.budget = .init(images: epochs * steps * configuration.batchSize)
  let output = caches.appendingPathComponent("run", isDirectory: true)
  let trainer = try Trainer(configuration, training: training, validation: validation, output: output)
  var start: (time: ContinuousClock.Instant, waited: Duration)?
  var end: (time: ContinuousClock.Instant, waited: Duration)?
  try trainer.run(onEvent: { event in
    guard case .step(let progress, _, _) = event, let waited = trainer.waited else { return }
    if progress.step == steps { start = (.now, waited) }
    end = (.now, waited)
  })
  guard let start, let end else { fatalError("no epoch ended") }
  let time = (end.time - start.time) / .seconds(1)
  try answer([
    "epochs": Double(epochs - 1), "steps": Double((epochs - 1) * steps), "seconds": time,
    "waited": (end.waited - start.waited) / .seconds(1),
    "images_per_second": Double((epochs - 1) * steps * configuration.batchSize) / time,
  ])
}

/// The article's way: a pass over those that have an attribute and one over those that lack it, for each attribute. Both
/// ways with the article's encoder, on the first photos of the list; and what both come to on all of them.
func directions(_ data: String, photos: Int, caches: URL) throws {
  let limit = 10_000  // the article's
  func passes(_ rows: some Collection<Int>, _ dataset: CelebA) -> [(positives: [Int], negatives: [Int])] {
    dataset.attributeNames.indices.map { attribute in
      let (with, without) = rows.reduce(into: ([Int](), [Int]())) { groups, row in
        if dataset.labels(of: row).dropFirst(attribute).first == 1 { groups.0.append(row) } else { groups.1.append(row) }
      }
      return (Array(with.prefix(limit)), Array(without.prefix(limit)))
    }
  }
  let configuration = DatasetConfiguration.encoding(.article)
  let all = try dataset(data, configuration)
  let rows = all.indices(of: .train)
  let work = passes(rows, all).map { $0.positives.count + $0.negatives.count }.reduce(0, +)

  let cache = try DecodedCache.open(all, partition: .train, in: caches)
  let model = try ModelConfiguration.article.makeModel(seed: 1)
  try model.useChannelsLast()
  model.setTraining(false)
  let pixels = cache.size * cache.size * 3
  var encoded = 0
  /// The codes of some rows of the cache, in batches of 32.
  func codes(_ rows: [Int], by model: any FaceVAE) throws -> Tensor {
    try withoutGradients {
      try .cat(stride(from: 0, to: rows.count, by: 32).map { start in
        let part = rows[start..<min(start + 32, rows.count)]
        var bytes = [UInt8](repeating: 0, count: part.count * pixels)
        try bytes.withUnsafeMutableBytes { bytes in
          for (place, row) in part.enumerated() {
            try cache.copy(
              row, image: UnsafeMutableRawBufferPointer(rebasing: bytes[place * pixels..<(place + 1) * pixels]),
              mask: nil)
          }
        }
        encoded += part.count
        let images = try Tensor(bytes, shape: [part.count, cache.size, cache.size, 3])
        return try model.encode(images.permute([0, 3, 1, 2]).to(.float32) / 255).mean.to(.float64)
      })
    }
  }
  let few = Array(0..<min(photos, cache.count))
  let groups = passes(few.map { cache.sampleIndices[$0] }, all).map { group in
    (group.positives.map { cache.sampleIndices.firstIndex(of: $0)! },
     group.negatives.map { cache.sampleIndices.firstIndex(of: $0)! })
  }
  var once: [Tensor] = []
  let secondsOnce = try seconds {
    let table = try codes(few, by: model)
    func mean(_ rows: [Int]) throws -> Tensor {
      try table.indexSelect(0, Tensor(rows.map(Int64.init))).mean(dims: [0])
    }
    once = try groups.map { $0.0.isEmpty || $0.1.isEmpty ? try .zeros([1]) : try mean($0.0) - mean($0.1) }
  }
  let encodedOnce = encoded
  encoded = 0
  var difference = 0.0
  let secondsArticle = try seconds {
    for (group, vector) in zip(groups, once) where !group.0.isEmpty && !group.1.isEmpty {
      let again = try codes(group.0, by: model).mean(dims: [0]) - codes(group.1, by: model).mean(dims: [0])
      difference = max(difference, try (again - vector).abs().sorted(descending: true).select(0, 0).item())
    }
  }
  // What a photo costs the article's encoder and that of the default model, which take turns.
  var costs: [[Double]] = [[], []]
  for round in 0..<6 {
    for (place, configuration) in [ModelConfiguration.article, .compact].enumerated() {
      let encoder = place == 0 ? model : try configuration.makeModel(seed: 1)
      try encoder.useChannelsLast()
      encoder.setTraining(false)
      let side = configuration.imageSize
      let batch = try Tensor.rand([32, 3, side, side], generator: Generator(seed: 1)).contiguous(.channelsLast)
      let time = try seconds { _ = try withoutGradients { try encoder.encode(batch).mean.sum().item() } }
      if round > 0 { costs[place].append(time / 32) }
    }
  }
  func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
  try answer([
    "photos": Double(rows.count), "article_images": Double(work), "article_encoder": median(costs[0]),
    "compact_encoder": median(costs[1]), "verified_photos": Double(few.count),
    "verified_images": Double(encodedOnce), "verified_article_images": Double(encoded), "difference": difference,
    "seconds": secondsOnce, "article_seconds": secondsArticle,
  ])
}

let arguments = Array(CommandLine.arguments.dropFirst())
func number(_ position: Int) -> Int { Int(arguments[position]) ?? 0 }
switch (arguments.first, arguments.count) {
case ("load", 4): try load(arguments[1], size: number(2), caches: URL(fileURLWithPath: arguments[3]))
case ("waiting", 5):
  guard let preset = ModelConfiguration.Architecture(rawValue: arguments[2]) else { fatalError("article or compact") }
  try waiting(arguments[1], preset: preset, epochs: number(3), caches: URL(fileURLWithPath: arguments[4]))
case ("directions", 4):
  try directions(arguments[1], photos: number(2), caches: URL(fileURLWithPath: arguments[3]))
default: fatalError("usage: facet-data load|waiting|directions …")
}

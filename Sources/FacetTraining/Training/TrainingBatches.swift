import Facet
import Torch

/// The batches of one epoch after another, on the model's device.
protocol TrainingBatches: AnyObject {
  /// The time that ``next()`` has taken, over all epochs.
  var waited: Duration { get }
  /// Starts an epoch, at its first batch or at a later one.
  func start(epoch: Int, batch: Int)
  /// The next batch, or nil at the epoch's end: images N × 3 × S × S in [0, 1], channels last, masks
  /// N × 1 × S × S in {0, 1}, and labels N × attributes in {−1, 0, 1}.
  func next() throws -> (images: Tensor, masks: Tensor, labels: Tensor)?
}

/// Batches that a loader's threads make ahead.
final class LoadedBatches: TrainingBatches {
  private let loader: BatchLoader
  private let device: Device

  init(_ loader: BatchLoader, on device: Device) { (self.loader, self.device) = (loader, device) }

  var waited: Duration { loader.waited }
  func start(epoch: Int, batch: Int) { loader.start(epoch: epoch, batch: batch) }

  func next() throws -> (images: Tensor, masks: Tensor, labels: Tensor)? {
    guard let batch = try loader.next() else { return nil }
    return (try batch.imageTensor(on: device), try batch.maskTensor(on: device), try batch.labelTensor().to(device))
  }
}

/// Batches made of a whole partition in the device's memory, the same to the last bit as a loader's: CelebA's
/// 162 770 training photos take 10.5 GB at 144 × 144.
final class ResidentBatches: TrainingBatches {
  private(set) var waited = Duration.zero
  private let cache: DecodedCache
  private let options: BatchLoader.Options
  private let device: Device
  /// Pixels × 3, those of all photos.
  private let pixels: Tensor
  /// Bytes of eight mask values each, those of all photos.
  private let masks: Tensor
  private let labels: Tensor
  /// Of each column its place in a row of mask bytes, and its bit there.
  private let columnByte: Tensor
  private let columnBit: Tensor
  private var order: EpochOrder?
  private var index = 0

  /// Copies the partition to the device.
  /// - Throws: `TrainingError` when its memory is too small.
  init(_ cache: DecodedCache, options: BatchLoader.Options, on device: Device) throws {
    guard cache.hasMasks else {
      throw DatasetError(.missingFile, path: "masks", reason: "the data set was opened without masks")
    }
    (self.cache, self.options, self.device) = (cache, options, device)
    let (size, count) = (cache.size, cache.count)
    let imageBytes = size * size * 3
    let maskBytes = size * SampleDecoder.maskRowBytes(size: size)
    do {
      pixels = try .zeros([count * size * size, 3], dtype: .uint8, device: device)
      masks = try .zeros([count * maskBytes], dtype: .uint8, device: device)
    } catch {
      throw TrainingError(
        "\(device) has no room for \(count * (imageBytes + maskBytes) >> 20) MB of decoded photos: "
          + "keep them in the host's memory (--photos-on host)")
    }
    let table = try (pixels.reshape([count, imageBytes]), masks.reshape([count, maskBytes]))
    let part = 1024
    for start in stride(from: 0, to: count, by: part) {
      let rows = start..<min(start + part, count)
      let records = try cache.withRecords(rows) { bytes in
        try Tensor(copying: bytes, dtype: .uint8, shape: [rows.count, imageBytes + maskBytes])
      }
      try table.0.narrow(0, rows).copy(from: records.narrow(1, 0..<imageBytes))
      try table.1.narrow(0, rows).copy(from: records.narrow(1, imageBytes..<imageBytes + maskBytes))
    }
    let dataset = cache.dataset
    labels = try Tensor(
      cache.sampleIndices.flatMap { dataset.labels(of: $0) }, shape: [count, dataset.attributeNames.count]
    ).to(device).to(.float32)
    columnByte = try Tensor((0..<size).map { Int64($0 / 8) }, shape: [size]).to(device)
    columnBit = try Tensor((0..<size).map { UInt8($0 % 8) }, shape: [size]).to(device)
  }

  func start(epoch: Int, batch: Int) {
    order = options.order(epoch: epoch, count: cache.count)
    index = batch
  }

  func next() throws -> (images: Tensor, masks: Tensor, labels: Tensor)? {
    let start = ContinuousClock.now
    defer { waited += ContinuousClock.now - start }
    guard let order, index < options.batchesPerEpoch(of: cache.count) else { return nil }
    let first = index * options.batchSize
    index += 1
    let positions = order.positions[first..<min(first + options.batchSize, order.positions.count)]
    let (count, size) = (positions.count, cache.size)
    // Where each row of pixels, each row of mask bytes and each column comes from, as the loader mirrors a photo and
    // moves it then.
    let rowBytes = SampleDecoder.maskRowBytes(size: size)
    var (pixelRows, maskRows, columns) = ([Int64](), [Int64](), [Int64]())
    for position in positions {
      let isFlipped = options.flips && cache.dataset.configuration.flips && order.isFlipped(position)
      let shift = order.shift(position, limit: options.maxShift)
      for place in 0..<size {
        let row = min(max(place - shift.y, 0), size - 1)
        let column = min(max(place - shift.x, 0), size - 1)
        pixelRows.append(Int64((position * size + row) * size))
        maskRows.append(Int64((position * size + row) * rowBytes))
        columns.append(Int64(isFlipped ? size - 1 - column : column))
      }
    }
    let pixelRow = try Tensor(pixelRows, shape: [count, size, 1]).to(device)
    let maskRow = try Tensor(maskRows, shape: [count, size, 1]).to(device)
    let column = try Tensor(columns, shape: [count * size]).to(device)
    let pixel = try (pixelRow + column.reshape([count, 1, size])).reshape([-1])
    let images = try pixels.indexSelect(0, pixel).reshape([count, size, size, 3]).permute([0, 3, 1, 2]).to(.float32) / 255
    let byte = try columnByte.indexSelect(0, column).reshape([count, 1, size])
    let bit = try columnBit.indexSelect(0, column).reshape([count, 1, size])
    let bytes = try masks.indexSelect(0, (maskRow + byte).reshape([-1]))
    let mask = try bytes.reshape([count, size, size]).shiftedRight(bit).bits(1).to(.float32).unsqueeze(1)
    let rows = try Tensor(positions.map(Int64.init), shape: [count]).to(device)
    return (images, mask, try labels.indexSelect(0, rows))
  }
}

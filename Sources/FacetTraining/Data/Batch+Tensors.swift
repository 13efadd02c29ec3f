import Facet
import Torch

extension Batch {
  /// The images as float32 N × 3 × S × S in [0, 1], channels last in memory. The batch's own bytes are borrowed, not
  /// copied.
  public func imageTensor(on device: Device = .cpu) throws -> Tensor {
    let bytes = try Tensor(
      borrowing: UnsafeRawBufferPointer(images), owner: self, dtype: .uint8, shape: [count, size, size, 3])
    return try bytes.to(device).permute([0, 3, 1, 2]).to(.float32) / 255
  }

  /// The masks as float32 N × 1 × S × S in {0, 1}.
  /// - Throws: `DatasetError` when the data set was opened without masks.
  public func maskTensor(on device: Device = .cpu) throws -> Tensor {
    guard let masks else {
      throw DatasetError(.missingFile, path: "masks", reason: "the data set was opened without masks")
    }
    let bytes = try Tensor(
      borrowing: UnsafeRawBufferPointer(masks), owner: self, dtype: .uint8, shape: [count, 1, size, size])
    return try bytes.to(device).to(.float32)
  }

  /// The labels as float32 N × attributes in {−1, 0, 1}; 0 is not known.
  public func labelTensor() throws -> Tensor {
    try Tensor(
      copying: UnsafeRawBufferPointer(labels), dtype: .int8, shape: [count, attributeCount]
    ).to(.float32)
  }
}

extension DecodedCache {
  /// Some samples' images as float32 N × 3 × S × S in [0, 1], channels last in memory.
  func images(_ positions: [Int], on device: Device = .cpu) throws -> Tensor {
    let tensor = try Tensor(bytes(of: positions, masks: false).images, shape: [positions.count, size, size, 3])
    return try tensor.to(device).permute([0, 3, 1, 2]).to(.float32) / 255
  }

  /// The same samples' masks as float32 N × 1 × S × S in {0, 1}; the data set must have been opened with masks.
  func masks(_ positions: [Int], on device: Device = .cpu) throws -> Tensor {
    try Tensor(bytes(of: positions, masks: true).masks, shape: [positions.count, 1, size, size]).to(device).to(.float32)
  }

  private func bytes(of positions: [Int], masks isAsked: Bool) throws -> (images: [UInt8], masks: [UInt8]) {
    let area = size * size
    var images = [UInt8](repeating: 0, count: positions.count * area * 3)
    var masks = [UInt8](repeating: 0, count: isAsked ? positions.count * area : 0)
    try images.withUnsafeMutableBytes { images in
      try masks.withUnsafeMutableBytes { masks in
        for (row, position) in positions.enumerated() {
          let image = UnsafeMutableRawBufferPointer(rebasing: images[row * area * 3..<(row + 1) * area * 3])
          let mask = isAsked ? UnsafeMutableRawBufferPointer(rebasing: masks[row * area..<(row + 1) * area]) : nil
          try copy(position, image: image, mask: mask)
        }
      }
    }
    return (images, masks)
  }
}

extension DatasetConfiguration {
  /// Photos and masks as a model sees them.
  public static func measuring(_ model: ModelConfiguration) -> DatasetConfiguration {
    var result = DatasetConfiguration()
    result.fit(model)
    return result
  }

  /// Takes the size and the crop that a model sees.
  public mutating func fit(_ model: ModelConfiguration) {
    size = model.imageSize
    if model.view == .frame { crop = .whole }
  }

  /// Photos at a model's size; no masks are needed to encode.
  public static func encoding(_ model: ModelConfiguration) -> DatasetConfiguration {
    var result = measuring(model)
    result.requiresMasks = false
    return result
  }
}

import Photo
import Torch

extension Tensor {
  /// A picture of three channels as 1 × 3 × height × width in [0, 1], channels last.
  package init(_ picture: Picture) throws {
    let bytes = try picture.pixels.withUnsafeBytes {
      try Tensor(copying: $0, dtype: .uint8, shape: [1, picture.height, picture.width, picture.channels])
    }
    self = try bytes.permute([0, 3, 1, 2]).to(.float32) / 255
  }
}

extension FloatPicture {
  /// The first image of a batch N × channels × height × width.
  package init(_ batch: Tensor) throws {
    let image = try batch.select(0, 0)
    self.init(
      width: image.size(2), height: image.size(1), channels: image.size(0),
      values: try image.permute([1, 2, 0]).to(.float32).array(Float.self))
  }
}

extension Reconstruction {
  /// One of a batch.
  package subscript(index: Int) -> Reconstruction {
    get throws {
      Reconstruction(
        image: try image.narrow(0, index..<index + 1), maskLogits: try maskLogits.narrow(0, index..<index + 1))
    }
  }
}

import Facet
import Files
import Foundation
import Photo
import Torch

/// Aligned crops of faces on disk, with what a model and the face parser see in them: what a painter is trained on.
///
/// A set is a folder of `faces-NNNNN.safetensors`, each of the faces of 256 photos. ``CropSetWriter`` makes one from any photos.
public struct CropSet: Sendable {
  /// The side of a crop, in pixels.
  public static let size = Painter.cropSize
  /// The side of a label map.
  static let labelSize = 144
  /// The label of a place that the photo does not have.
  static let noLabel: UInt8 = 255

  /// A face of the set.
  struct Face: Sendable {
    let shard: Int
    let row: Int
    /// The 68 landmarks in pixels of the crop, x and y in turn.
    let landmarks: [Float]
    /// The mean absolute Laplacian of its luma, in 255ths: low in a blurred picture.
    let sharpness: Float
  }

  /// The folder.
  public let url: URL
  let faces: [Face]
  let decodedSize: Int
  /// Whether crops are kept with glasses drawn on them, too.
  public let hasGlasses: Bool
  private let shards: [SafetensorsFile]

  /// Opens a set.
  /// - Parameters:
  ///   - url: its folder.
  ///   - sharpest: the share of the faces that is kept, the sharpest ones, in 0…1.
  /// - Throws: ``DatasetError`` where there is no face or a file is not of a set; `FileError`, `SafetensorsError`.
  public init(contentsOf url: URL, sharpest: Double = 1) throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: url.path)
      .filter { $0.hasPrefix("faces-") && $0.hasSuffix(".safetensors") }.sorted()
    var faces: [Face] = []
    var shards: [SafetensorsFile] = []
    var decodedSize = 0
    var hasGlasses = true
    for name in names {
      // A set is larger than memory: its files are mapped.
      let file = try SafetensorsFile(url.appendingPathComponent(name), copyLimit: 0)
      try file.verify()
      func fault(_ reason: String) -> DatasetError {
        DatasetError(.malformedList, path: url.appendingPathComponent(name).path, reason: reason)
      }
      guard file.metadata["format"] == Self.format else { throw fault("not faces of a set; make it with 'facet prepare'") }
      guard let crops = file.tensors["crops"] else { continue }  // none of its photos shows a face
      let count = crops.shape[0]
      func check(_ name: String, _ dtype: DType, _ shape: [Int]) throws -> SafetensorsFile.Entry {
        guard let entry = file.tensors[name], entry.dtype == dtype, entry.shape == [count] + shape else {
          throw fault("'\(name)' is missing or of another shape; make it again with 'facet prepare'")
        }
        return entry
      }
      _ = try check("crops", .uint8, [Self.size, Self.size, 3])
      _ = try check("labels", .uint8, [Self.labelSize, Self.labelSize])
      decodedSize = file.tensors["decoded"]?.shape.dropFirst().first ?? 0
      _ = try check("decoded", .uint8, [decodedSize, decodedSize, 3])
      if file.tensors["worn"] != nil {
        _ = try check("worn", .uint8, [Self.size, Self.size, 3])
        _ = try check("glasses", .uint8, [Self.labelSize, Self.labelSize])
        _ = try check("bare", .uint8, [decodedSize, decodedSize, 3])
      } else {
        hasGlasses = false
      }
      let landmarks = try check("landmarks", .float32, [68, 2]).floats
      let sharpness = try check("sharpness", .float32, []).floats
      guard landmarks.allSatisfy({ abs($0) < 1e5 }), sharpness.allSatisfy(\.isFinite) else { throw fault("its numbers are impossible") }
      for row in 0..<count {
        faces.append(
          Face(
            shard: shards.count, row: row, landmarks: Array(landmarks[row * 136..<(row + 1) * 136]),
            sharpness: sharpness[row]))
      }
      shards.append(file)
    }
    if faces.isEmpty { throw DatasetError(.missingFile, path: url.path, reason: "no faces; make a set with 'facet prepare'") }
    let threshold = faces.map(\.sharpness).sorted()[min(faces.count - 1, Int((1 - sharpest) * Double(faces.count)))]
    (self.url, self.faces, self.shards) = (url, faces.filter { $0.sharpness >= threshold }, shards)
    (self.decodedSize, self.hasGlasses) = (decodedSize, hasGlasses)
  }

  /// The number of crops that are learned from.
  public var count: Int { faces.count }

  /// Crops, N × 288 × 288 × 3 of bytes.
  func crops(_ indices: [Int]) throws -> Tensor { try rows("crops", of: indices, [Self.size, Self.size, 3]) }

  /// The faces that the model decodes from the crops' own codes, N × S × S × 3 of bytes.
  func decoded(_ indices: [Int]) throws -> Tensor { try rows("decoded", of: indices, [decodedSize, decodedSize, 3]) }

  /// Label maps, N × 144 × 144 of bytes, ``noLabel`` beyond the photo.
  func labels(_ indices: [Int]) throws -> Tensor { try rows("labels", of: indices, [Self.labelSize, Self.labelSize]) }

  /// Crops with glasses drawn on them, N × 288 × 288 × 3 of bytes; where the face wears glasses already, of 0.
  func worn(_ indices: [Int]) throws -> Tensor { try rows("worn", of: indices, [Self.size, Self.size, 3]) }

  /// How surely each pixel of these is of glasses, as the parser sees them, N × 144 × 144 of bytes; none where none were drawn.
  func glasses(_ indices: [Int]) throws -> Tensor { try rows("glasses", of: indices, [Self.labelSize, Self.labelSize]) }

  /// The faces without glasses that the model decodes for them, N × S × S × 3 of bytes.
  func bare(_ indices: [Int]) throws -> Tensor { try rows("bare", of: indices, [decodedSize, decodedSize, 3]) }

  private func rows(_ name: String, of indices: [Int], _ shape: [Int]) throws -> Tensor {
    let size = shape.reduce(1, *)
    for shard in Set(indices.map { faces[$0].shard }) { try shards[shard].checkUnchanged() }
    let bytes = [UInt8](unsafeUninitializedCapacity: indices.count * size) { buffer, initialized in
      for (place, index) in indices.enumerated() {
        let face = faces[index]
        shards[face.shard].tensors[name]!.withUnsafeBytes { source in
          UnsafeMutableRawBufferPointer(buffer).baseAddress!.advanced(by: place * size)
            .copyMemory(from: source.baseAddress!.advanced(by: face.row * size), byteCount: size)
        }
      }
      initialized = indices.count * size
    }
    return try Tensor(bytes, shape: [indices.count] + shape)
  }

  static let format = "facet-crops-1"
}

extension SafetensorsFile.Entry {
  /// The elements of a float32 tensor.
  fileprivate var floats: [Float] {
    withUnsafeBytes { bytes in (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) } }
  }
}

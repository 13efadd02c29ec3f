import Photo
import Torch

/// A face as the model sees it: its place in the photo, its latent code and the face that decodes from it.
public struct EncodedFace: Sendable {
  /// Where the face lies in the photo.
  public let alignment: FaceAlignment
  /// The face cut out at the model's size.
  public let crop: Picture
  /// The same at the painter's size.
  let fine: Picture
  /// The crop without its grain, N × N × 3 in [0, 1].
  let smooth: FloatPicture
  let surroundings: Surroundings
  /// The posterior's mean, 1 × latent size.
  public let latent: Tensor
  let decoded: DecodedFace
  /// The parts of the crop.
  let anatomy: Anatomy

  /// The face that decodes from the latent code.
  public var reconstruction: Reconstruction { decoded.reconstruction }

  /// The bytes that it holds now: edits that were asked for leave their lasting work in it.
  public var byteCount: Int {
    crop.pixels.count + fine.pixels.count + smooth.values.count * 4 + surroundings.byteCount + latent.byteCount + decoded.byteCount
      + anatomy.byteCount
  }
}

/// A face cut out of a photo for an editor.
public struct FaceCrop: Sendable {
  /// Where the face lies in the photo.
  public let alignment: FaceAlignment
  /// The face at the model's size.
  public let picture: Picture
  /// The face at the painter's size.
  let fine: Picture
  let surroundings: Surroundings

  /// - Parameters:
  ///   - photo: the photo, three channels.
  ///   - alignment: the face's place.
  ///   - size: the model's.
  public init(of photo: Picture, _ alignment: FaceAlignment, size: Int) {
    self.alignment = alignment
    picture = alignment.crop(photo, size: size)
    fine = alignment.crop(photo, size: Painter.cropSize)
    surroundings = Surroundings(photo, alignment)
  }
}

/// A face that the model decodes, and its landmarks.
final class DecodedFace: Sendable, Sized {
  let reconstruction: Reconstruction
  private let found = Lazy<[Point]>()

  init(_ reconstruction: Reconstruction) { self.reconstruction = reconstruction }

  /// The 68 landmarks in the crop, 1 wide.
  func landmarks(in alignment: FaceAlignment, by detector: FaceDetector) throws -> [Point] {
    try found { try alignment.detectLandmarks(in: Picture(FloatPicture(reconstruction.image)), by: detector) }
  }

  var byteCount: Int { reconstruction.byteCount }
}

/// A value that counts its memory.
protocol Sized {
  /// Bytes.
  var byteCount: Int { get }
}

extension Tensor: Sized {
  package var byteCount: Int { count * dtype.size }
}

extension Reconstruction: Sized {
  var byteCount: Int { image.byteCount + maskLogits.byteCount }
}

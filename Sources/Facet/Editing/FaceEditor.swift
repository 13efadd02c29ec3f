import Foundation
import Photo
import Torch

/// One attribute to change and how far: 1 adds it, −1 takes it away, 0 changes nothing.
public struct AttributeEdit: Sendable, Equatable {
  public var attribute: String
  public var strength: Double

  /// The largest strength that is taken; beyond it codes leave what the model knows.
  public static let range = -10.0...10.0

  public init(_ attribute: String, strength: Double = 1) {
    self.attribute = attribute
    self.strength = strength
  }
}

/// How a decoded face becomes part of the photo.
public enum Composition: String, Sendable, CaseIterable {
  /// The decoded picture after the edit, less the one before, added to the photo inside the mask: what the edit leaves
  /// alone keeps its own pixels.
  case difference
  /// The article's: the decoded face after the edit in place of the photo, inside the mask of the unedited code.
  case article
}

/// A face as the model sees it: where it is, its latent code and what decodes from it.
public struct EncodedFace: Sendable {
  public let alignment: FaceAlignment
  /// The face cut out at the model's size.
  public let crop: Picture
  /// The posterior's mean, 1 × latent size.
  public let latent: Tensor
  public let reconstruction: Reconstruction
}

/// Edits faces in photos: found, aligned, encoded, moved in latent space, decoded and composed back.
///
/// One editor serves one task at a time; the model in it is shared state.
public final class FaceEditor {
  public let bundle: ModelBundle
  public let directions: AttributeDirections
  private let detector: FaceDetector

  /// - Parameter detector: made beforehand, it loads while the model does.
  /// - Parameter bundle: the model and its directions.
  /// - Throws: ``BundleError`` when the bundle has no directions or a file of it is damaged.
  public init(_ bundle: ModelBundle, detector: FaceDetector) throws {
    self.bundle = bundle
    self.detector = detector
    directions = try AttributeDirections(of: bundle)
    bundle.model.setTraining(false)
  }

  /// Edits with the default bundle, or the one in `url`.
  public convenience init(bundle url: URL = ModelBundle.defaultURL) throws {
    let detector = FaceDetector()
    try self.init(ModelBundle(contentsOf: url), detector: detector)
  }

  /// The photo with its largest face edited, at its own resolution; nothing outside the face's region changes.
  /// - Parameter isAligned: the photo is already a CelebA frame or a training crop; no face is searched.
  /// - Parameter composition: how the decoded face becomes part of the photo.
  /// - Parameter photo: the photo.
  /// - Parameter edits: attributes and strengths; they add up.
  /// - Throws: ``PortraitError/noFace(file:)``, ``AttributeError``.
  public func edit(
    _ photo: Photo, _ edits: [AttributeEdit], composition: Composition = .difference, isAligned: Bool = false
  ) throws -> Photo {
    var result = photo
    let face = try face(in: photo.picture, isAligned: isAligned)
    result.picture = try apply(edits, to: face, in: photo.picture, composition: composition)
    return result
  }

  /// Finds and encodes the largest face of a picture.
  public func face(in picture: Picture, isAligned: Bool = false) throws -> EncodedFace {
    let picture = picture.rgb()
    return try encode(picture, alignment: isAligned ? FaceAlignment(aligned: picture) : largestFace(in: picture))
  }

  private func largestFace(in picture: Picture) throws -> FaceAlignment {
    if let face = try detector.largestFace(in: picture), let alignment = FaceAlignment(face) { return alignment }
    throw PortraitError.noFace(file: nil)
  }

  private func encode(_ picture: Picture, alignment: FaceAlignment) throws -> EncodedFace {
    let size = bundle.configuration.imageSize
    let crop = alignment.crop(picture, size: size)
    return try withoutGradients {
      let latent = try bundle.model.encode(Tensor(crop)).mean
      return EncodedFace(
        alignment: alignment, crop: crop, latent: latent, reconstruction: try bundle.model.decode(latent))
    }
  }

  /// The picture with an encoded face of it edited.
  public func apply(
    _ edits: [AttributeEdit], to face: EncodedFace, in picture: Picture, composition: Composition = .difference
  ) throws -> Picture {
    let after = try decode(face, edits)
    var result = picture
    switch composition {
    case .difference:
      // Where the edit grows the face, a beard's edge or a fringe, its own mask must let it through.
      let mask = try face.reconstruction.mask.maximum(after.mask)
      let difference = try after.image - face.reconstruction.image
      try face.alignment.add(FloatPicture(difference), mask: FloatPicture(mask), to: &result)
    case .article:
      try face.alignment.blend(
        FloatPicture(after.image), mask: FloatPicture(face.reconstruction.mask), into: &result)
    }
    return result
  }

  /// What decodes from a face's code after the edits.
  public func decode(_ face: EncodedFace, _ edits: [AttributeEdit]) throws -> Reconstruction {
    try withoutGradients {
      let moved = try edits.reduce(face.latent) { latent, edit in
        try latent + directions.step(edit.attribute, strength: edit.strength)
      }
      return try bundle.model.decode(moved)
    }
  }
}

extension Tensor {
  /// A picture of three channels as 1 × 3 × height × width in [0, 1], channels last.
  init(_ picture: Picture) throws {
    let bytes = try picture.pixels.withUnsafeBytes {
      try Tensor(copying: $0, dtype: .uint8, shape: [1, picture.height, picture.width, picture.channels])
    }
    self = try bytes.permute([0, 3, 1, 2]).to(.float32) / 255
  }
}

extension FloatPicture {
  /// The first image of a batch N × channels × height × width.
  init(_ batch: Tensor) throws {
    let image = try batch.select(0, 0)
    self.init(
      width: image.size(2), height: image.size(1), channels: image.size(0),
      values: try image.permute([1, 2, 0]).to(.float32).array(Float.self))
  }
}

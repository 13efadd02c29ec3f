import Foundation
import Photo
import Torch

/// The article's figures, as captioned pictures.
extension FaceEditor {
  /// The face in a photo under a row of strengths, the unedited photo first.
  /// - Parameter side: of each face in pixels; `nil` for the face's own, at most 256.
  /// - Parameter composition: how the decoded face becomes part of the photo.
  /// - Parameter isAligned: the photo is already in the training frame; no face is searched.
  /// - Parameter attribute: the attribute's name.
  /// - Parameter strengths: one a tile.
  /// - Parameter photo: the photo.
  public func spectrum(
    _ photo: Photo, attribute: String, strengths: [Double], composition: Composition = .difference,
    isAligned: Bool = false, side: Int? = nil
  ) throws -> Picture {
    let face = try face(in: photo.picture, isAligned: isAligned)
    let side = side ?? min(256, max(bundle.configuration.imageSize, Int(face.alignment.side)))
    var row = [Tile(face.alignment.crop(photo.picture, size: side), caption: "photo")]
    for strength in strengths {
      let edited = try apply(
        [AttributeEdit(attribute, strength: strength)], to: face, in: photo.picture, composition: composition)
      let caption = "\(attribute) \(strength.formatted(.number.sign(strategy: .always(includingZero: false))))"
      row.append(Tile(face.alignment.crop(edited, size: side), caption: caption))
    }
    return try Picture.sheet([row])
  }

  /// Input, reconstruction composed over it, and mask side by side, at the model's size.
  public func reconstruction(_ photo: Photo, isAligned: Bool = false) throws -> Picture {
    let face = try face(in: photo.picture, isAligned: isAligned)
    let composed = try withoutGradients { try face.reconstruction.composed(over: Tensor(face.crop)) }
    let mask = try FloatPicture(face.reconstruction.mask)
    return try Picture.sheet([
      [
        Tile(face.crop, caption: "input"),
        Tile(Picture(try FloatPicture(composed)), caption: "reconstruction"),
        Tile(Picture(mask), caption: "mask"),
      ]
    ])
  }
}

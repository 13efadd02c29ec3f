import Foundation
import Photo
import Torch

/// The article's figures, as captioned pictures.
extension FaceEditor {
  /// A face under rows of strengths, one row an attribute, each with the unedited photo first.
  /// - Parameters:
  ///   - photo: the photo.
  ///   - attributes: their names.
  ///   - strengths: one a tile.
  ///   - choice: the face; of several the largest.
  ///   - options: how the edits are made.
  ///   - isAligned: the photo is already in the training frame; no face is searched.
  ///   - side: of each face in pixels; `nil` for the face's own, at most 256.
  public func spectrum(
    _ photo: Photo, attributes: [String], strengths: [Double], of choice: FaceChoice = .largest,
    options: EditOptions = .init(), isAligned: Bool = false, side: Int? = nil
  ) throws -> Picture {
    let face = try faces(in: photo.picture, choice, isAligned: isAligned)[0]
    let side = side ?? min(256, max(bundle.configuration.imageSize, Int(face.alignment.side)))
    let rows = try attributes.map { attribute in
      try row(of: face, in: photo, strengths.map { try AttributeEdit(attribute, strength: $0) }, options, side: side)
    }
    return try Picture.sheet(rows)
  }

  /// A face under edits, the unedited photo first: a row of a grid.
  /// - Parameters:
  ///   - photo: the photo.
  ///   - edits: one a tile.
  ///   - choice: the face; of several the largest.
  ///   - options: how the edits are made.
  ///   - isAligned: the photo is already in the training frame; no face is searched.
  ///   - side: of each face in pixels.
  ///   - caption: of the unedited photo.
  public func tiles(
    _ photo: Photo, _ edits: [AttributeEdit], of choice: FaceChoice = .largest, options: EditOptions = .init(),
    isAligned: Bool = false, side: Int = 192, caption: String = "photo"
  ) throws -> [Tile] {
    let face = try faces(in: photo.picture, choice, isAligned: isAligned)[0]
    return try row(of: face, in: photo, edits, options, side: side, caption: caption)
  }

  private func row(
    of face: EncodedFace, in photo: Photo, _ edits: [AttributeEdit], _ options: EditOptions, side: Int,
    caption: String = "photo"
  ) throws -> [Tile] {
    let tint = photo.tint
    var row = [Tile(face.alignment.crop(photo.picture, size: side), caption: caption)]
    for edit in edits {
      var edited = try apply([edit], to: face, in: photo.picture, options: options)
      tint?.apply(to: &edited, changedFrom: photo.picture)
      row.append(Tile(face.alignment.crop(edited, size: side), caption: edit.description))
    }
    return row
  }

  /// Input, reconstruction composed over it, and mask side by side, at the model's size.
  /// - Parameters:
  ///   - photo: the photo.
  ///   - choice: the face; of several the largest.
  ///   - isAligned: the photo is already in the training frame; no face is searched.
  public func reconstruction(
    _ photo: Photo, of choice: FaceChoice = .largest, isAligned: Bool = false
  ) throws -> Picture {
    let face = try faces(in: photo.picture, choice, isAligned: isAligned)[0]
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

  /// Faces that nobody has, decoded from codes drawn from a prior, on grey.
  /// - Parameters:
  ///   - count: how many, at most 10 000.
  ///   - seed: the same seed gives the same faces.
  ///   - prior: what the codes are drawn from.
  ///   - temperature: on the codes' deviation from their mean; `nil` for the prior's own.
  /// - Throws: ``LatentPriorError``.
  public func sample(
    count: Int, seed: UInt64, prior: LatentPrior.Kind = .fitted, temperature: Double? = nil
  ) throws -> [Picture] {
    let codes = try LatentPrior(prior, of: directions).sample(count: count, seed: seed, temperature: temperature)
    return try withoutGradients {
      try (0..<count).map { index in
        let face = try bundle.model.decode(codes.narrow(0, index..<index + 1))
        let grey = try Tensor.full([1, 3, face.image.size(2), face.image.size(3)], 0.85)
        return Picture(try FloatPicture(face.composed(over: grey)))
      }
    }
  }

  /// One face becoming another: the crops of both photos, with the detail of each fading as its face does.
  /// - Parameters:
  ///   - first: the photo to begin with, and the face in it.
  ///   - last: the photo to end with, and the face in it.
  ///   - frames: how many, at least 2, both photos included.
  ///   - side: of the frames in pixels.
  /// - Precondition: at least 2 frames.
  public func morph(
    from first: (photo: Photo, face: EncodedFace), to last: (photo: Photo, face: EncodedFace), frames: Int,
    side: Int = 256
  ) throws -> [Picture] {
    precondition(frames >= 2, "a morph has two ends")
    let ends = [first, last].map { photo, face in
      let crop = face.alignment.crop(photo.picture, size: side)
      return photo.isGrey ? crop.desaturated() : crop
    }
    return try (0..<frames).map { number in
      let step = try morph(from: first.face, to: last.face, at: [Double(number) / Double(frames - 1)])[0]
      return step.frame(between: ends[0], ends[1])
    }
  }

  /// What makes one face into another, at places on the way, decoded as one batch.
  /// - Parameters:
  ///   - first: the face to begin with.
  ///   - last: the face to end with.
  ///   - places: 0 … 1, from the first face to the last.
  public func morph(from first: EncodedFace, to last: EncodedFace, at places: [Double]) throws -> [MorphStep] {
    if places.isEmpty { return [] }
    return try withoutGradients {
      let eased = places.map { $0 * $0 * (3 - 2 * $0) }
      let latents = try eased.map { try first.latent * (1 - $0) + last.latent * $0 }
      let between = try bundle.model.decode(Tensor.cat(latents, dim: 0))
      return try eased.enumerated().map { index, amount in
        let patches = try [first, last].map {
          try FloatPicture(Composition.carried(from: $0.reconstruction, to: between[index]))
        }
        return MorphStep(patches: patches, amount: amount)
      }
    }
  }
}

/// A place on the way from one face to another.
public struct MorphStep: Sendable {
  /// What it does to each end's crop.
  let patches: [FloatPicture]
  /// How much of the last face there is, 0 … 1.
  let amount: Double

  /// The picture of it.
  /// - Parameters:
  ///   - first: the crop of the face to begin with, square.
  ///   - last: the crop of the face to end with, of the same size.
  public func frame(between first: Picture, _ last: Picture) -> Picture {
    let parts = zip([first, last], patches).map { crop, patch in
      var part = crop
      part.change(by: patch, place: Similarity(scale: Double(crop.width) / Double(patch.width)))
      return part
    }
    return parts[0].mixed(with: parts[1], amount: amount)
  }
}

extension AttributeEdit: CustomStringConvertible {
  /// A caption such as `Smiling +1`, `Smiling 90 %` or `Eyeglasses round-metal`.
  public var description: String {
    switch amount {
    case .strength(1) where style != nil: "\(attribute) \(style ?? "")"
    case .strength(let strength):
      "\(attribute) \(strength.formatted(.number.sign(strategy: .always(includingZero: false))))"
    case .probability(let probability): "\(attribute) \((probability * 100).formatted(.number.precision(.fractionLength(0)))) %"
    }
  }
}

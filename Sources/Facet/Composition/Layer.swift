import Photo

/// One change of the pixels of a face, valid at any resolution.
public struct Layer: Sendable, Equatable {
  /// The square that a layer covers.
  enum Extent: Sendable { case crop, surroundings }

  /// The change of each pixel, on a square grid of its own.
  enum Content: Sendable, Equatable {
    /// value · (1 + slope) + offset, N × N × 4: the offset of red, green and blue in sRGB units, and the slope. `smooth` is the face
    /// without its grain, N × N × 3, which stays where the slope takes the face away; `nil` where the grain goes with the face.
    case change(FloatPicture, smooth: FloatPicture? = nil)
    /// The way to each pixel's source, N × N × 2, as of `Picture.move(by:place:)`.
    case flow(FloatPicture)
  }

  var extent = Extent.crop
  var content: Content
}

/// The result of edits of one face: layers for the photo, or for a copy of it at another size.
public struct FaceChange: Sendable, Equatable {
  /// Where the face lies in the picture that it was found in.
  public let alignment: FaceAlignment
  /// The lowest one first.
  public let layers: [Layer]

  /// Changes the picture that the face was found in, or a copy of it, for a view. The result itself is made by `Photo.changed(by:)`,
  /// which keeps the photo's tint and marks it as edited.
  /// - Parameters:
  ///   - picture: the picture; pixels outside the layers keep their bits.
  ///   - place: from the picture that the face was found in to this one.
  public func apply(to picture: inout Picture, at place: Similarity = .identity) {
    let alignment = alignment.moved(by: place)
    for layer in layers { alignment.apply(layer, to: &picture, in: .photo) }
  }

  /// Changes a crop of the face, of any size.
  public func apply(toCrop crop: inout Picture) {
    for layer in layers { alignment.apply(layer, to: &crop, in: .crop) }
  }
}

extension Photo {
  /// The photo with faces changed: marked as edited, in its own tint, and with its gain map where that still fits.
  /// - Parameters:
  ///   - changes: none for a photo that stays as it came.
  ///   - region: what stays as it was within the changed faces, too.
  public func changed(by changes: [FaceChange], protecting region: ProtectedRegion? = nil) -> Photo {
    if changes.isEmpty { return self }
    var result = self
    for change in changes { change.apply(to: &result.picture) }
    tint?.apply(to: &result.picture, changedFrom: picture)
    region?.restore(&result.picture, from: picture)
    // Hair in another colour reaches beyond the face.
    if changes.contains(where: { $0.layers.contains { $0.extent == .surroundings } }) { result.removeGainMap() }
    result.digitalSource = .compositeWithTrainedModel
    return result
  }
}

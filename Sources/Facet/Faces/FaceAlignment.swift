import Foundation
import Photo

/// Where a face lies in a photo, and so how to cut it out as the model knows faces and to put it back.
///
/// The model sees a square crop: the window x 4…174, y 39…209 of CelebA's aligned frame of 178×218, or the whole frame,
/// its aspect ratio not kept.
public struct FaceAlignment: Equatable, Sendable {
  /// The aligned frame, and the window of it that is the crop.
  package static let frame = (width: 178.0, height: 218.0)
  package static let window = (x: 4.0, y: 39.0, side: 170.0)

  /// Where CelebA's frame has the eyes, the root of the nose and the corners of the mouth, as the
  /// detector sees them: medians over 1180 frames.
  private static let reference = [
    Point(x: 70, y: 113.2), Point(x: 108.2, y: 113.2), Point(x: 89.1, y: 112.7),
    Point(x: 72.1, y: 153.2), Point(x: 106.1, y: 153.2),
  ]
  /// Chosen for the frames to come out nearest to themselves: the crop's corners then move by 4 pixels
  /// of 170 in the mean; by the eyes alone they move by 8.
  private static let weights = [1, 1, 0.25, 0.5, 0.5]
  /// Where the detector's square lies in CelebA's frame: medians over 293 frames.
  package static let square = (upperLeft: Point(x: 45, y: 93), lowerRight: Point(x: 132, y: 180))

  /// From the photo to the crop, 1 wide and `height` high.
  private var toUnit: Similarity
  /// The crop's height in the photo over its width.
  private let height: Double
  /// How far from its border, in parts of its side, the crop's weight falls to 0.
  private let feather: Double
  /// The face's 68 landmarks in the crop, 1 wide, where a detector saw them.
  package let landmarks: [Point]?
  private let view: ModelConfiguration.View

  /// From a face's landmarks; nil when they fall into one place.
  /// - Parameters:
  ///   - face: as the detector found it.
  ///   - view: what of the aligned face is cut out.
  public init?(_ face: DetectedFace, view: ModelConfiguration.View = .window) {
    guard let toFrame = Self.toFrame(face.landmarks) else { return nil }
    let height = view == .window ? 1 : Self.frame.height / Self.frame.width
    self.init(
      toUnit: Self.toUnit(toFrame, view), view, height: height, feather: 0.08, landmarks: face.landmarks)
  }

  /// From where the 68 landmarks of a face are to CelebA's frame; nil when they fall into one place.
  package static func toFrame(_ landmarks: [Point]) -> Similarity? {
    let points = [
      landmarks[DetectedFace.leftEye].mean, landmarks[DetectedFace.rightEye].mean, landmarks[27], landmarks[48], landmarks[54],
    ]
    return Similarity(from: points, to: reference, weights: weights)
  }

  /// For a picture that is already in the training frame: a whole frame, 178×218 or the same at another
  /// size, or else the crop itself.
  /// - Parameters:
  ///   - picture: the frame or the crop.
  ///   - view: what of the frame is cut out; where it is the whole frame, that is all of the picture.
  public init(aligned picture: Picture, view: ModelConfiguration.View = .window) {
    let (width, height) = (Double(picture.width), Double(picture.height))
    if view == .frame {
      self.init(toUnit: Similarity(scale: 1 / width), view, height: height / width, feather: 0)
      return
    }
    let isFrame = abs(width / height - Self.frame.width / Self.frame.height) < 0.02
    if isFrame {
      let toUnit = Self.toUnit(Similarity(scale: Self.frame.width / width), view)
      self.init(toUnit: toUnit, view, height: 1, feather: 0.08)
    } else {
      // A crop's middle square; it has no surroundings to be blended into.
      let side = min(width, height)
      let toUnit = Similarity(scale: 1 / side, tx: (side - width) / 2 / side, ty: (side - height) / 2 / side)
      self.init(toUnit: toUnit, view, height: 1, feather: 0)
    }
  }

  /// - Parameter landmarks: in the photo.
  private init(
    toUnit: Similarity, _ view: ModelConfiguration.View, height: Double, feather: Double, landmarks: [Point]? = nil
  ) {
    (self.toUnit, self.view, self.height, self.feather) = (toUnit, view, height, feather)
    self.landmarks = landmarks?.map { toUnit($0) }
  }

  /// From the photo to a crop, 1 wide.
  /// - Parameter toFrame: from the photo to CelebA's frame.
  private static func toUnit(_ toFrame: Similarity, _ view: ModelConfiguration.View) -> Similarity {
    switch view {
    case .window:
      toFrame.then(Similarity(scale: 1 / window.side, tx: -window.x / window.side, ty: -window.y / window.side))
    case .frame: toFrame.then(Similarity(scale: 1 / frame.width))
    }
  }

  /// From the photo to a crop of `size` × `size` pixels.
  public func transform(size: Int) -> Affine {
    Affine(toUnit).scaled(x: Double(size), y: Double(size) / height)
  }

  /// Where the same face lies in a copy of the photo that was moved or scaled.
  /// - Parameter place: from the photo to the copy.
  public func moved(by place: Similarity) -> FaceAlignment {
    var copy = self
    copy.toUnit = place.inverse.then(toUnit)
    return copy
  }

  /// The face's 68 landmarks in the crop, 1 wide: a detector's, or for a picture that was aligned already those that it finds where
  /// faces are in one.
  /// - Parameter crop: the face cut out.
  func landmarks(in crop: Picture, by detector: FaceDetector) throws(PortraitError) -> [Point] {
    if let landmarks { return landmarks }
    return try foundLandmarks(in: crop, by: detector)
  }

  /// The landmarks that a detector finds in a picture of the face's crop, 1 wide, where faces have them.
  /// - Parameter crop: the face cut out, or what decodes for it.
  func foundLandmarks(in crop: Picture, by detector: FaceDetector) throws(PortraitError) -> [Point] {
    let width = Double(crop.width)
    let upright = height == 1 ? crop : crop.resized(to: (crop.width, max(1, Int((width * height).rounded()))))
    let back = Self.toUnit(.identity, view).then(Similarity(scale: width))
    let square = (back(Self.square.upperLeft), back(Self.square.lowerRight))
    return try detector.landmarks(in: upright, within: square).map { Point(x: $0.x / width, y: $0.y / width) }
  }

  /// The way from a crop of `size` × `size` pixels to CelebA's frame as its landmarks have it, and where they are there: of a
  /// picture that was aligned already they may lie elsewhere than where faces mostly do. Nil when they fall into one place.
  func frame(of landmarks: [Point], size: Int) -> (place: Affine, landmarks: [Point])? {
    guard let toFrame = Self.toFrame(landmarks) else { return nil }
    let unit = Affine(.identity).scaled(x: 1 / Double(size), y: height / Double(size))
    return (unit.then(Affine(toFrame)), landmarks.map { toFrame($0) })
  }

  /// The side of the crop in the photo's pixels; its width where it is not square there.
  public var side: Double { 1 / toUnit.scale }

  /// Cuts the face out, `size` × `size`. Beyond the photo its border is repeated.
  public func crop(_ picture: Picture, size: Int) -> Picture {
    picture.warped(by: transform(size: size), to: (size, size))
  }

  /// From the photo to a picture of `size` × `size` pixels of all that is around the face, half again as wide as the crop
  /// and as much of it above as there is room for hair.
  func surroundings(size: Int) -> Affine {
    let side = 1.5
    let window = Similarity(scale: 1 / side, tx: 0.5 - 0.5 / side, ty: 0.5 - 0.4 * height / side)
    return Affine(toUnit.then(window)).scaled(x: Double(size), y: Double(size))
  }

  /// Changes the face in the photo, at the photo's own resolution: value · (1 + slope) + offset.
  ///
  /// The change fades out towards the crop's border, so that no seam is left; pixels outside the crop keep
  /// their bits.
  /// - Parameters:
  ///   - picture: the photo.
  ///   - patch: N × N × 4, the offset of three colours in sRGB units and the slope.
  ///   - smooth: N × N × 3, the face without its grain, which stays where the slope takes the face away; `nil` for none.
  public func change(_ picture: inout Picture, by patch: FloatPicture, smooth: FloatPicture? = nil) {
    picture.change(by: feathered(patch), smooth: smooth, place: transform(size: patch.width).inverse)
  }

  /// Changes a crop of the face as the photo is changed.
  func change(crop: inout Picture, by patch: FloatPicture, smooth: FloatPicture? = nil) {
    let place = Similarity(scale: Double(crop.width) / Double(patch.width))
    crop.change(by: feathered(patch), smooth: smooth, place: place)
  }

  /// Moves what is in the face's crop, at the photo's own resolution.
  /// - Parameters:
  ///   - picture: the photo.
  ///   - flow: N × N × 2, as of `Picture.move(by:place:)`.
  func move(_ picture: inout Picture, by flow: FloatPicture) {
    picture.move(by: feathered(flow), place: transform(size: flow.width).inverse)
  }

  /// Moves what is in a crop of the face as it is moved in the photo.
  func move(crop: inout Picture, by flow: FloatPicture) {
    crop.move(by: feathered(flow), place: Affine(Similarity(scale: Double(crop.width) / Double(flow.width))))
  }

  /// Changes the face in what ``surroundings(size:)`` cuts out as it is changed in the photo.
  func change(surroundings picture: inout Picture, by patch: FloatPicture) {
    picture.change(
      by: feathered(patch), smooth: nil, place: transform(size: patch.width).inverse.then(surroundings(size: picture.width)))
  }

  /// Changes what is around the face as ``surroundings(size:)`` cuts it out.
  func change(_ picture: inout Picture, bySurroundings patch: FloatPicture) {
    picture.change(by: patch.feathered(0.08), place: surroundings(size: patch.width).inverse)
  }

  /// Changes a crop of the face as the photo is changed.
  func change(crop: inout Picture, bySurroundings patch: FloatPicture) {
    let place = surroundings(size: patch.width).inverse.then(transform(size: crop.width))
    crop.change(by: patch.feathered(0.08), place: place)
  }

  private func feathered(_ patch: FloatPicture) -> FloatPicture { feather > 0 ? patch.feathered(feather) : patch }
}

extension FloatPicture {
  /// The picture times a window that rises from 0 at the border to 1.
  /// - Parameter part: of the side, along which it rises.
  func feathered(_ part: Double) -> FloatPicture {
    precondition(width == height, "a square patch")
    let n = width
    let ramp = (0..<n).map { i -> Float in
      // The outermost pixel is 0, for interpolation reaches half a pixel beyond its middle.
      let t = min(1, max(0, Double(min(i, n - 1 - i)) / (part * Double(n))))
      return Float(t * t * (3 - 2 * t))
    }
    let values = values.enumerated().map { i, value in value * ramp[i / channels % n] * ramp[i / channels / n] }
    return FloatPicture(width: n, height: n, channels: channels, values: values)
  }
}

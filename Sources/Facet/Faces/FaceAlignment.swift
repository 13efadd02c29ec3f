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
      landmarks[Landmark.leftEye].mean, landmarks[Landmark.rightEye].mean, landmarks[Landmark.noseRoot],
      landmarks[Landmark.leftCorner], landmarks[Landmark.rightCorner],
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

  /// For a picture that is the crop, with its landmarks.
  /// - Parameter landmarks: the 68 in the crop, 1 wide.
  init(crop: Picture, landmarks: [Point]) {
    let side = Double(crop.width)
    self.init(
      toUnit: Similarity(scale: 1 / side), .window, height: 1, feather: 0, landmarks: landmarks.map { Point(x: $0.x * side, y: $0.y * side) })
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

  /// The landmarks that a detector finds in a picture of the face's crop, 1 wide, where faces have them.
  /// - Parameter crop: the face cut out, or the decoded face.
  func detectLandmarks(in crop: Picture, by detector: FaceDetector) throws(PortraitError) -> [Point] {
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

  /// From the photo to a picture of `size` × `size` pixels of all that is around the face, with room for long hair.
  func surroundings(size: Int) -> Affine {
    let (x, y, side) = Self.surroundings
    let window = Similarity(scale: 1 / side, tx: -x / side, ty: -y * height / side)
    return Affine(toUnit.then(window)).scaled(x: Double(size), y: Double(size))
  }

  /// Where the surroundings lie, in sides of the crop from its upper left corner.
  static let surroundings = (x: -0.7, y: -0.55, side: 2.4)

  /// The picture that a layer is applied to.
  enum Frame: Sendable {
    /// The photo, at its own resolution.
    case photo
    /// A crop of the face, of any size.
    case crop
    /// A picture that ``surroundings(size:)`` cuts out, of any size.
    case surroundings
  }

  /// Applies a layer. It fades out towards its border, so that no seam is left; pixels outside keep their bits.
  func apply(_ layer: Layer, to picture: inout Picture, in frame: Frame) {
    let part = layer.extent == .crop ? feather : Self.surroundingsFeather
    func faded(_ patch: FloatPicture) -> FloatPicture { part > 0 ? patch.feathered(part) : patch }
    switch layer.content {
    case .change(let patch, let smooth):
      let place = place(of: layer.extent, size: patch.width, in: frame, side: picture.width)
      picture.change(by: faded(patch), smooth: smooth, place: place)
    case .flow(let flow):
      picture.move(by: faded(flow), place: place(of: layer.extent, size: flow.width, in: frame, side: picture.width))
    }
  }

  /// From a layer of `size` pixels a side to a picture.
  private func place(of extent: Layer.Extent, size: Int, in frame: Frame, side: Int) -> Affine {
    if extent == .crop, frame == .crop { return Affine(Similarity(scale: Double(side) / Double(size))) }
    let toPhoto = (extent == .crop ? transform(size: size) : surroundings(size: size)).inverse
    switch frame {
    case .photo: return toPhoto
    case .crop: return toPhoto.then(transform(size: side))
    case .surroundings: return toPhoto.then(surroundings(size: side))
    }
  }

  /// How far from their border the surroundings' weight falls to 0, in parts of their side.
  private static let surroundingsFeather = 0.05
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
    // Most of it stays: each preview passes here several times.
    let border = ramp.firstIndex { $0 >= 1 } ?? n
    var values = values
    values.withUnsafeMutableBufferPointer { values in
      for y in 0..<n {
        let isBorder = y < border || y >= n - border
        for columns in isBorder ? [0..<n] : [0..<border, n - border..<n] {
          for x in columns {
            for i in (y * n + x) * channels..<(y * n + x + 1) * channels { values[i] = values[i] * ramp[x] * ramp[y] }
          }
        }
      }
    }
    return FloatPicture(width: n, height: n, channels: channels, values: values)
  }
}

import Photo
import Torch

/// A part of a face that something can be in front of.
public enum FaceFeature: String, CaseIterable, Sendable {
  /// As people name them; the eyes with their lids, the mouth with the lips.
  case eyes, nose, mouth, chin

  /// Those of the 68 landmarks that lie in it.
  fileprivate var landmarks: [Int] {
    switch self {
    case .eyes: Array(Landmark.leftEye) + Array(Landmark.rightEye)
    case .nose: Array(Landmark.noseRoot...Landmark.noseBase.upperBound)
    case .mouth: Array(Landmark.mouth)
    case .chin: Array(6...10)
    }
  }
}

/// What is in front of a face: hands, microphones, masks, other people. Edits leave it as it is.
struct Occlusion: Sendable, Sized {
  /// How much of each pixel of the crop is in front of the face, at the painter's size: 1 × 1 × N × N in [0, 1].
  let cover: Tensor
  /// What is hidden, in part at least.
  let features: [FaceFeature]

  var byteCount: Int { cover.byteCount }
}

extension EncodedFace {
  /// The parts of the face that something is in front of; edits leave these as they are.
  /// - Throws: ``BundleError`` where the parser is damaged.
  public var hiddenFeatures: [FaceFeature] { get throws { try withoutGradients { try occlusion?.features ?? [] } } }

  /// What is in front of the face; `nil` where nothing is.
  var occlusion: Occlusion? { get throws { try anatomy.cached { try Occlusion(of: anatomy, fine) } } }
}

extension Occlusion {
  /// - Parameters:
  ///   - anatomy: of the face's crop.
  ///   - fine: the crop at the painter's size.
  fileprivate init?(of anatomy: Anatomy, _ fine: Picture) throws {
    let size = fine.width
    let landmarks = try anatomy.landmarks.map { Point(x: $0.x * Double(size), y: $0.y * Double(size)) }
    let face = PaintedRegion.face.mask(landmarks, size: (size, size), contour: Self.contour)
    let inside = try Tensor(face.values, shape: [1, 1, size, size]).blurred(sigma: 2)
    let seen = try anatomy.beyond.resized(to: (size, size)) * inside
    guard try (seen > 0.5).to(.float32).sum().item() > Self.least * inside.sum().item() else { return nil }
    // The edge is where the photo's own is.
    let guide = try Tensor(fine).mean(dims: [1], keepDim: true)
    cover = try Self.guided(seen, by: guide).smoothStep(from: 0.25, to: 0.75) * inside
    let values = try cover.array(Float.self)
    features = FaceFeature.allCases.filter { feature in
      feature.landmarks.contains { index in
        let (x, y) = (Int(landmarks[index].x), Int(landmarks[index].y))
        return (0..<size).contains(x) && (0..<size).contains(y) && values[y * size + x] > 0.5
      }
    }
  }

  /// Guided filter of one plane by another one (He, Sun & Tang 2013), with Gaussian windows.
  private static func guided(_ plane: Tensor, by guide: Tensor) throws -> Tensor {
    func mean(_ x: Tensor) throws -> Tensor { try x.blurred(sigma: 5) }
    let (planes, guides) = (try mean(plane), try mean(guide))
    let slope = try (mean(plane * guide) - planes * guides) / (mean(guide.square()) - guides.square() + 1e-3)
    return try mean(slope) * guide + mean(planes - slope * guides)
  }

  /// The jaw line is brought in by this factor: beyond it lies what is behind the face.
  private static let contour = 0.92
  /// The least part of a face that counts.
  private static let least = 0.01
}

extension FaceChange {
  /// The change where nothing is in front of the face. Layers around the face keep off things by themselves.
  func cut(by occlusion: Occlusion) throws -> FaceChange {
    var planes: [Int: [Float]] = [:]
    func kept(_ size: Int) throws -> [Float] {
      if let plane = planes[size] { return plane }
      let plane = try (1 - occlusion.cover.resized(to: (size, size))).array(Float.self)
      planes[size] = plane
      return plane
    }
    func cut(_ picture: FloatPicture) throws -> FloatPicture {
      let part = try kept(picture.width)
      return FloatPicture(
        width: picture.width, height: picture.height, channels: picture.channels,
        values: picture.values.enumerated().map { $1 * part[$0 / picture.channels] })
    }
    let layers = try layers.map { layer in
      guard layer.extent == .crop else { return layer }
      var layer = layer
      switch layer.content {
      case .change(let change, let smooth): layer.content = .change(try cut(change), smooth: smooth)
      case .flow(let flow): layer.content = .flow(try cut(flow))
      }
      return layer
    }
    return FaceChange(alignment: alignment, layers: layers)
  }
}

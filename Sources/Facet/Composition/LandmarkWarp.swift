import Photo
import Torch

/// A smooth map of the plane that takes landmarks to other places, and what is between them along: the displacements' ridge
/// regression with Gaussian kernels around the landmarks. All in pixels of CelebA's frame.
package struct LandmarkWarp {
  /// Places × landmarks: what each landmark's displacement adds to a place's.
  private let weights: Tensor
  /// Places × 2.
  private let places: Tensor

  /// - Parameters:
  ///   - places: where it will be asked for, N × 2.
  ///   - landmarks: that are displaced.
  package init(at places: Tensor, around landmarks: [Point]) throws { try self.init(at: places, around: Tensor(landmarks)) }

  /// - Parameters:
  ///   - places: where it will be asked for, N × 2.
  ///   - sources: the landmarks that are displaced, landmarks × 2.
  init(at places: Tensor, around sources: Tensor) throws {
    let among = try Self.kernel(sources, sources) + Tensor.identity(sources.size(0)).to(.float32) * Self.ridge
    // Symmetric: K(x, l) · A⁻¹ = (A⁻¹ · K(l, x))ᵀ.
    weights = try Self.kernel(sources, places).choleskySolve(among.cholesky()).transpose(0, 1)
    self.places = places
  }

  /// Where the places come to, N × 2.
  /// - Parameter displacements: of the landmarks, landmarks × 2.
  package func moved(by displacements: Tensor) throws -> Tensor { try places + weights.matmul(displacements) }

  private static func kernel(_ a: Tensor, _ b: Tensor) throws -> Tensor {
    let squares = try a.square().sum(dims: [1], keepDim: true) + b.square().sum(dims: [1]).unsqueeze(0)
    return try ((squares - a.matmul(b.transpose(0, 1)) * 2) / (-2 * width * width)).exp()
  }

  /// A tenth of the frame: features move by themselves, and the skin between them smoothly.
  private static let width = 18.5
  private static let ridge = 0.05
}

extension Tensor {
  /// Points × 2.
  package init(_ points: [Point]) throws {
    self = try Tensor(points.flatMap { [Float($0.x), Float($0.y)] }, shape: [points.count, 2])
  }
}

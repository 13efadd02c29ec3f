import Photo
import Torch

@testable import Facet

extension FaceChange {
  /// Colours of hair and skin.
  var tints: [FloatPicture] {
    layers.compactMap { layer in
      guard layer.extent == .surroundings, case .change(let patch, _) = layer.content else { return nil }
      return patch
    }
  }

  /// The way of the features.
  var flow: FloatPicture? {
    for case .flow(let flow) in layers.map(\.content) { return flow }
    return nil
  }

  /// The decoded change, under which the photo's grain stays.
  var patch: FloatPicture? {
    for case .change(let patch, .some) in layers.map(\.content) { return patch }
    return nil
  }

  /// Drawings and removals, under which it does not.
  var drawn: [FloatPicture] {
    layers.compactMap { layer in
      guard layer.extent == .crop, case .change(let patch, nil) = layer.content else { return nil }
      return patch
    }
  }
}

extension Tensor {
  /// What a parser gives that sees one class everywhere, 1 × 19 × size × size.
  static func parsed(as shown: FaceClass, size: Int) throws -> Tensor {
    try .cat(FaceClass.allCases.map { try .full([1, 1, size, size], $0 == shown ? 1 : 0) }, dim: 1)
  }
}

import Foundation
import Photo

extension FaceAlignment: CustomStringConvertible {
  /// The corners of the face's crop in the photo's pixels: upper left, upper right, lower right, lower left, as the face sees them. They
  /// may lie beyond the photo.
  public var corners: [Point] {
    let place = transform(size: 1).inverse
    return [(0.0, 0.0), (1, 0), (1, 1), (0, 1)].map { place(Point(x: $0, y: $1)) }
  }

  /// The upright box around the face's crop, in the photo's pixels. It may reach beyond the photo.
  public var box: CGRect {
    let (x, y) = (corners.map(\.x), corners.map(\.y))
    let (left, top) = (x.min() ?? 0, y.min() ?? 0)
    return CGRect(x: left, y: top, width: (x.max() ?? 0) - left, height: (y.max() ?? 0) - top)
  }

  /// The box, such as "120, 80, 300 x 300 pixels".
  public var description: String {
    String(format: "%.0f, %.0f, %.0f x %.0f pixels", box.minX, box.minY, box.width, box.height)
  }
}

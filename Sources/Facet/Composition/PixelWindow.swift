import Photo
import Torch

/// A part of a square picture.
struct PixelWindow {
  /// The picture's side.
  let size: Int
  let rows, columns: Range<Int>

  init(rows: Range<Int>, columns: Range<Int>, in size: Int) { (self.rows, self.columns, self.size) = (rows, columns, size) }

  /// The least window that holds points.
  /// - Parameters:
  ///   - points: in the picture's pixels.
  ///   - margin: pixels around them.
  /// - Returns: `nil` where they lie beside the picture, or nowhere.
  init?(around points: [Point], margin: Double, in size: Int) {
    func range(_ values: [Double]) -> Range<Int>? {
      guard let low = values.min(), let high = values.max(), low.isFinite, high.isFinite, low < Double(size), high > 0 else { return nil }
      return Int(max(0, low - margin))..<Int(min(Double(size), high + margin + 1))
    }
    guard let rows = range(points.map(\.y)), let columns = range(points.map(\.x)) else { return nil }
    self.init(rows: rows, columns: columns, in: size)
  }

  /// How many pixels it has.
  var count: Int { rows.count * columns.count }

  /// Calls a body with the middle of each pixel, row by row.
  func forEach(_ body: (_ index: Int, _ middle: Point) -> Void) {
    var index = 0
    for row in rows {
      for column in columns {
        body(index, Point(x: Double(column) + 0.5, y: Double(row) + 0.5))
        index += 1
      }
    }
  }

  /// Planes of the window with zeros around, N × C × size × size.
  func inPicture(_ planes: Tensor) throws -> Tensor {
    let (n, channels) = (planes.size(0), planes.size(1))
    func zeros(_ height: Int, _ width: Int) throws -> Tensor { try .zeros([n, channels, height, width]) }
    let wide = try Tensor.cat([zeros(rows.count, columns.lowerBound), planes, zeros(rows.count, size - columns.upperBound)], dim: 3)
    return try .cat([zeros(rows.lowerBound, size), wide, zeros(size - rows.upperBound, size)], dim: 2)
  }
}

import Photo
import Torch

extension Painter {
  /// What is painted into a crop: pixels that are moved, and a change over them.
  struct Painting {
    /// How far to the right and how far below each pixel's new value lies, 1 × 2 × S × S in pixels of the crop.
    let flow: Tensor
    /// 1 × 4 × S × S, as of ``Composition/change(of:from:to:)``.
    let change: Tensor
  }

  /// Paints a hole by what changes between two decoded faces.
  ///
  /// Offset and slope are smooth where the photo's own pixels stay, so the painting is laid over a photo of any size: its detail is
  /// moved, not drawn anew.
  /// - Parameters:
  ///   - crop: 1 × 3 × S × S in [0, 1], S of ``PainterConfiguration/cropSize``.
  ///   - before: the decoded face of the code as it is, 1 × 3 × s × s.
  ///   - guide: the decoded face that is asked for, the same.
  ///   - hole: 1 × 1 × S × S in [0, 1].
  ///   - seen: 0 where the photo's own pixels are not to be used, 1 × 1 × S × S; `nil` for none.
  /// - Returns: `nil` where there is no hole.
  func painting(
    of crop: Tensor, from before: Tensor, to guide: Tensor, in hole: Tensor, seen: Tensor? = nil
  ) throws -> Painting? {
    let size = configuration.cropSize
    guard let window = try window(of: hole) else { return nil }
    let (rows, columns) = (window.rows, window.columns)
    return try withoutGradients {
      let grid = try PainterNetwork.Aligner.grid(size, size)
      func cut(_ planes: Tensor) throws -> Tensor { try planes.narrow(2, rows).narrow(3, columns).contiguous() }
      let faces = try Tensor.cat([before, guide], dim: 1).sampled(at: grid).clamp(min: 0, max: 1)
      let (photo, hole) = (try cut(crop), try cut(hole))
      let input = PainterNetwork.Input(
        photo: photo, hole: hole, own: photo, seen: try seen.map(cut) ?? .ones([1, 1, rows.count, columns.count]),
        before: try cut(faces.narrow(1, 0..<3)), guide: try cut(faces.narrow(1, 3..<6)))
      let output = try network(input)
      let replaced = try (1 - output.share) * hole
      let change = try Tensor.cat([output.drawn * hole + output.guide * replaced, replaced * -1], dim: 1)
      return Painting(flow: try window.inPicture(output.flow), change: try window.inPicture(change))
    }
  }

  /// The rows and columns around a hole, as many as the network takes; `nil` where there is no hole.
  private func window(of hole: Tensor) throws -> PixelWindow? {
    let (size, multiple) = (configuration.cropSize, configuration.multiple)
    func range(_ dim: Int) throws -> Range<Int>? {
      let sums = try hole.sum(dims: [0, 1, dim]).array(Float.self)
      guard let first = sums.firstIndex(where: { $0 > 1e-3 }), let last = sums.lastIndex(where: { $0 > 1e-3 }) else { return nil }
      // With some of the photo around it.
      let wanted = last - first + 1 + 2 * Self.surroundings
      let count = min(size, (wanted + multiple - 1) / multiple * multiple)
      let start = min(size - count, max(0, (first + last + 1 - count) / 2))
      return start..<start + count
    }
    guard let rows = try range(3), let columns = try range(2) else { return nil }
    return PixelWindow(rows: rows, columns: columns, in: size)
  }

  private static let surroundings = 16
}

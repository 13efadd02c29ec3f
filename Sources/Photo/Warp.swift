import Foundation

extension Picture {
  /// The picture moved by `transform`, as a picture of another size.
  ///
  /// Interpolates with cubics; where the transform reduces, each new pixel is the mean of samples no
  /// farther than 17/16 of a pixel apart all over its footprint. Beyond the picture its border is repeated.
  public func warped(by transform: Similarity, to size: (width: Int, height: Int)) -> Picture {
    warped(by: Affine(transform), to: size)
  }

  /// The picture under an affine map, as a picture of another size; otherwise as with a similarity.
  public func warped(by transform: Affine, to size: (width: Int, height: Int)) -> Picture {
    var result = Picture(width: size.width, height: size.height, channels: channels, filledWith: 0)
    let channels = channels
    pixels.withUnsafeBufferPointer { source in
      result.pixels.withUnsafeMutableBufferPointer { buffer in
        nonisolated(unsafe) let texels = ByteTexels(pixels: source, width: width, height: height, channels: channels)
        nonisolated(unsafe) let buffer = buffer
        let sampler = Sampler(transform)
        rows(size.height, work: size.width * size.height * sampler.cost) { range in
          for y in range {
            for x in 0..<size.width {
              let value = sampler.sample(texels, x: x, y: y)
              for c in 0..<channels { buffer[(y * size.width + x) * channels + c] = byte(value[c]) }
            }
          }
        }
      }
    }
    return result
  }

  /// Changes the pixels inside a patch: value · (1 + slope) + 255 · offset, clamped.
  ///
  /// Pixels outside the patch, and those inside whose change is less than half a step, keep their bits.
  /// - Parameters:
  ///   - patch: four channels: the offset of red, green and blue in sRGB units, and the slope, −1 for a pixel that is
  ///     replaced by the offset, 0 for one that it is added to. 0 at the patch's border leaves no seam.
  ///   - smooth: this picture inside the patch without its grain, three channels 0…1 of the patch's size: as far as the
  ///     slope takes a pixel away its grain stays; `nil` for none.
  ///   - place: from the patch to this picture.
  /// - Precondition: three channels; four in the patch.
  public mutating func change(by patch: FloatPicture, smooth: FloatPicture? = nil, place: Similarity) {
    change(by: patch, smooth: smooth, place: Affine(place))
  }

  /// Changes the pixels inside a patch that lies under an affine map; otherwise as with a similarity.
  /// - Parameters:
  ///   - patch: four channels: the offset of red, green and blue in sRGB units, and the slope.
  ///   - smooth: this picture inside the patch without its grain, three channels; `nil` for none.
  ///   - place: from the patch to this picture.
  /// - Precondition: three channels; four in the patch, and as many pixels in `smooth` as in it.
  public mutating func change(by patch: FloatPicture, smooth: FloatPicture? = nil, place: Affine) {
    precondition(channels == 3 && patch.channels == 4, "a colour picture, and a patch of offset and slope")
    precondition(
      smooth.map { $0.width == patch.width && $0.height == patch.height && $0.channels == 3 } ?? true,
      "a smooth picture of the patch's size")
    let values = patch.values
    let changes = stride(from: 0, to: values.count, by: 4).map { i -> SIMD4<Float> in
      SIMD4<Float>(values[i], values[i + 1], values[i + 2], values[i + 3]) * SIMD4<Float>(255, 255, 255, 1)
    }
    let base = smooth?.values ?? []
    let bases = stride(from: 0, to: base.count, by: 3).map { 255 * SIMD4<Float>(base[$0], base[$0 + 1], base[$0 + 2], 0) }
    let (right, bottom) = (Double(patch.width), Double(patch.height))
    let (columns, lines) = reach(of: place, (right, bottom))
    let sampler = Sampler(place)
    let changing = ChangingCells(changes, width: patch.width, height: patch.height)
    let width = width
    changes.withUnsafeBufferPointer { source in bases.withUnsafeBufferPointer { base in
      pixels.withUnsafeMutableBufferPointer { buffer in
        nonisolated(unsafe) let texels = WideTexels(values: source, width: patch.width, height: patch.height)
        nonisolated(unsafe) let base = WideTexels(values: base, width: patch.width, height: patch.height)
        nonisolated(unsafe) let buffer = buffer
        rows(lines.count, work: lines.count * columns.count * sampler.cost) { part in
          for y in part.lowerBound + lines.lowerBound..<part.upperBound + lines.lowerBound {
            for x in columns {
              let point = sampler.inverse(Point(x: Double(x) + 0.5, y: Double(y) + 0.5))
              guard point.x > 0, point.y > 0, point.x < right, point.y < bottom else { continue }
              // Most edits leave most of the face alone.
              if sampler.samples == 1, !changing[point] { continue }
              let change = sampler.sample(texels, x: x, y: y)
              if change == .zero { continue }
              let i = (y * width + x) * 3
              let value = SIMD4(Float(buffer[i]), Float(buffer[i + 1]), Float(buffer[i + 2]), 0)
              var changed = value * (1 + change.w) + change
              if change.w < 0, !base.values.isEmpty {
                changed -= change.w * grain(value - sampler.smooth(base, x: x, y: y))
              }
              for c in 0..<3 { buffer[i + c] = byte(changed[c]) }
            }
          }
        }
      }
    } }
  }
}

extension Picture {
  /// Moves what is inside a patch: each pixel takes the value of another place.
  ///
  /// Pixels outside the patch, and those that are not moved, keep their bits.
  /// - Parameters:
  ///   - flow: two channels: how far to the right and how far below a pixel's new value lies, in pixels of the patch. 0 at the
  ///     patch's border leaves no seam.
  ///   - place: from the patch to this picture.
  /// - Precondition: two channels in the flow.
  public mutating func move(by flow: FloatPicture, place: Affine) {
    precondition(flow.channels == 2, "a flow to the right and down")
    let vectors = stride(from: 0, to: flow.values.count, by: 2).map { SIMD4<Float>(flow.values[$0], flow.values[$0 + 1], 0, 0) }
    let (right, bottom) = (Double(flow.width), Double(flow.height))
    let (columns, lines) = reach(of: place, (right, bottom))
    let sampler = Sampler(place)
    let (width, height, channels) = (width, height, channels)
    let old = pixels
    old.withUnsafeBufferPointer { old in vectors.withUnsafeBufferPointer { vectors in
      pixels.withUnsafeMutableBufferPointer { buffer in
        nonisolated(unsafe) let texels = ByteTexels(pixels: old, width: width, height: height, channels: channels)
        nonisolated(unsafe) let vectors = WideTexels(values: vectors, width: flow.width, height: flow.height)
        nonisolated(unsafe) let buffer = buffer
        rows(lines.count, work: lines.count * columns.count * sampler.cost) { part in
          for y in part.lowerBound + lines.lowerBound..<part.upperBound + lines.lowerBound {
            for x in columns {
              let point = sampler.inverse(Point(x: Double(x) + 0.5, y: Double(y) + 0.5))
              guard point.x > 0, point.y > 0, point.x < right, point.y < bottom else { continue }
              let vector = sampler.linear(vectors, point)
              if abs(vector.x) < Self.still, abs(vector.y) < Self.still { continue }
              let source = place(Point(x: point.x + Double(vector.x), y: point.y + Double(vector.y)))
              let value = sampler.cubic(texels, source)
              for c in 0..<channels { buffer[(y * width + x) * channels + c] = byte(value[c]) }
            }
          }
        }
      }
    } }
  }

  /// A shorter way than this, in pixels of the patch, is none.
  private static let still: Float = 0.01

  /// The columns and rows that a patch lies over.
  fileprivate func reach(of place: Affine, _ size: (width: Double, height: Double)) -> (columns: Range<Int>, lines: Range<Int>) {
    let corners = [(0, 0), (size.width, 0), (0, size.height), (size.width, size.height)].map { place(Point(x: $0.0, y: $0.1)) }
    func range(_ values: [Double], _ limit: Int) -> Range<Int> {
      let (low, high) = (values.min() ?? 0, values.max() ?? 0)
      guard low < Double(limit), high > 0 else { return 0..<0 }
      return Int(max(0, low))..<Int(min(Double(limit), high.rounded(.up)))
    }
    return (range(corners.map(\.x), width), range(corners.map(\.y), height))
  }
}

/// What is grain of a picture's difference from itself without it, in steps of 8 bits: small differences stay, large ones
/// are edges and none (Tukey's biweight).
@inline(__always)
private func grain(_ difference: SIMD4<Float>) -> SIMD4<Float> {
  let part = difference / (255 * FloatPicture.largestGrain)
  let weight = 1 - part * part
  return (difference * weight * weight).replacing(with: 0, where: weight .< 0)
}

/// Between which four pixels of a patch the cubics through their neighbours may be anything but 0.
private struct ChangingCells {
  private let cells: [Bool]
  private let stride: Int

  init(_ changes: [SIMD4<Float>], width: Int, height: Int) {
    stride = width + 1
    var cells = [Bool](repeating: false, count: stride * (height + 1))
    for y in 0..<height {
      for x in 0..<width where changes[y * width + x] != .zero {
        // Cell i lies before pixel i and reaches two pixels to each side; at the border the outermost is repeated.
        for row in max(0, y - 1)...min(height, y + 2) {
          for column in max(0, x - 1)...min(width, x + 2) { cells[row * stride + column] = true }
        }
      }
    }
    self.cells = cells
  }

  /// - Parameter point: inside the patch.
  @inline(__always)
  subscript(point: Point) -> Bool { cells[Int(point.y + 0.5) * stride + Int(point.x + 0.5)] }
}

/// Pixels as vectors, the border repeated.
private protocol Texels {
  var width: Int { get }
  var height: Int { get }
  /// The value at column x, row y, clamped to the picture.
  func callAsFunction(_ x: Int, _ y: Int) -> SIMD4<Float>
  /// The weighted sum of four texels of a row, from column x on, all inside the picture and above its last row.
  func sum(_ x: Int, _ y: Int, _ weights: SIMD4<Float>) -> SIMD4<Float>
}

private struct ByteTexels: Texels {
  let pixels: UnsafeBufferPointer<UInt8>
  let width: Int
  let height: Int
  let channels: Int

  @inline(__always)
  func callAsFunction(_ x: Int, _ y: Int) -> SIMD4<Float> {
    let i = (min(height - 1, max(0, y)) * width + min(width - 1, max(0, x))) * channels
    if channels == 1 { return SIMD4(Float(pixels[i]), 0, 0, 0) }
    return SIMD4(Float(pixels[i]), Float(pixels[i + 1]), Float(pixels[i + 2]), 0)
  }

  /// Reads four bytes at once: values beyond the pixel's channels are those of the next one.
  @inline(__always)
  func sum(_ x: Int, _ y: Int, _ weights: SIMD4<Float>) -> SIMD4<Float> {
    let bytes = UnsafeRawPointer(pixels.baseAddress!) + (y &* width &+ x) &* channels
    func texel(_ i: Int) -> SIMD4<Float> {
      let values = bytes.loadUnaligned(fromByteOffset: i &* channels, as: SIMD4<UInt8>.self)
      return SIMD4<Float>(SIMD4<Int32>(truncatingIfNeeded: values))
    }
    return weights.x * texel(0) + weights.y * texel(1) + weights.z * texel(2) + weights.w * texel(3)
  }
}

private struct WideTexels: Texels {
  let values: UnsafeBufferPointer<SIMD4<Float>>
  let width: Int
  let height: Int

  @inline(__always)
  func callAsFunction(_ x: Int, _ y: Int) -> SIMD4<Float> {
    values[min(height - 1, max(0, y)) * width + min(width - 1, max(0, x))]
  }

  @inline(__always)
  func sum(_ x: Int, _ y: Int, _ weights: SIMD4<Float>) -> SIMD4<Float> {
    let row = values.baseAddress! + (y &* width &+ x)
    return weights.x * row[0] + weights.y * row[1] + weights.z * row[2] + weights.w * row[3]
  }
}

/// Takes the values of new pixels out of an old picture.
private struct Sampler {
  /// From the new picture to the old.
  let inverse: Affine
  /// Samples along each axis of a new pixel.
  let samples: Int

  init(_ transform: Affine) {
    inverse = transform.inverse
    // A turned pixel is one pixel large but for rounding, and a sixteenth more is not seen. Past 64 the footprint is
    // sampled thinly: that is a face of 8000 pixels in a crop of 128.
    samples = max(1, Int(min(64, (inverse.largestScale * 15 / 16).rounded(.up))))
  }

  /// Rough number of operations a pixel.
  var cost: Int { samples * samples * 16 }

  @inline(__always)
  func sample(_ texels: some Texels, x: Int, y: Int) -> SIMD4<Float> {
    if samples == 1 { return cubic(texels, inverse(Point(x: Double(x) + 0.5, y: Double(y) + 0.5))) }
    var sum = SIMD4<Float>.zero
    let step = 1 / Double(samples)
    for j in 0..<samples {
      for i in 0..<samples {
        let point = Point(x: Double(x) + (Double(i) + 0.5) * step, y: Double(y) + (Double(j) + 0.5) * step)
        // Two by two samples keep their sharpness; of more, the mean is the same with less work.
        sum += samples == 2 ? cubic(texels, inverse(point)) : linear(texels, inverse(point))
      }
    }
    return sum / Float(samples * samples)
  }

  /// As `sample`, of texels that are smooth enough for linear interpolation.
  @inline(__always)
  func smooth(_ texels: some Texels, x: Int, y: Int) -> SIMD4<Float> {
    if samples > 1 { return sample(texels, x: x, y: y) }
    return linear(texels, inverse(Point(x: Double(x) + 0.5, y: Double(y) + 0.5)))
  }

  @inline(__always)
  func cubic(_ texels: some Texels, _ point: Point) -> SIMD4<Float> {
    let (column, row, dx, dy) = cell(point)
    let (across, down) = (cubicWeights(dx), cubicWeights(dy))
    if column >= 1, row >= 1, column < texels.width - 2, row < texels.height - 3 {
      let (left, top) = (column &- 1, row &- 1)
      return down.x * texels.sum(left, top, across) + down.y * texels.sum(left, top &+ 1, across)
        + down.z * texels.sum(left, top &+ 2, across) + down.w * texels.sum(left, top &+ 3, across)
    }
    var sum = SIMD4<Float>.zero
    for j in 0..<4 {
      var line = SIMD4<Float>.zero
      for i in 0..<4 { line += across[i] * texels(column - 1 + i, row - 1 + j) }
      sum += down[j] * line
    }
    return sum
  }

  @inline(__always)
  func linear(_ texels: some Texels, _ point: Point) -> SIMD4<Float> {
    let (column, row, dx, dy) = cell(point)
    let upper = texels(column, row) * (1 - dx) + texels(column + 1, row) * dx
    let lower = texels(column, row + 1) * (1 - dx) + texels(column + 1, row + 1) * dx
    return upper * (1 - dy) + lower * dy
  }

  /// The pixel whose middle lies up and left of a point, and how far beyond it the point lies (0…1).
  @inline(__always)
  private func cell(_ point: Point) -> (column: Int, row: Int, dx: Float, dy: Float) {
    // Places far outside any picture are all the same.
    let (x, y) = (max(-1e6, min(1e6, point.x - 0.5)), max(-1e6, min(1e6, point.y - 0.5)))
    // Rounding towards 0 is rounding down of what is not negative, and needs no call.
    let (column, row) = (Int(x + 1e6) - 1_000_000, Int(y + 1e6) - 1_000_000)
    return (column, row, Float(x - Double(column)), Float(y - Double(row)))
  }
}

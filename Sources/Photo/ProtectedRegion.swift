/// A part of a photo that edits leave as it was. Around it the edit sets in smoothly.
public struct ProtectedRegion: Equatable, Sendable {
  /// How much of the photo stays, 0…255: a square of cells over the whole photo, rows from the top.
  private let weights: [UInt8]

  /// Cells along a side, and those over which an edge goes from white to black.
  private static let (side, softness) = (1024, 4)

  /// The bytes of memory that one takes.
  public static var byteCount: Int { side * side }

  /// - Parameter mask: a picture of any size, stretched over the photo. What is white in it stays to the bit, what is black or
  ///   transparent is edited, grey is between.
  public init(mask: Photo) {
    let picture = mask.picture
    let (alpha, pixels) = (mask.alpha, picture.pixels)
    let values = (0..<picture.width * picture.height).map { i in
      let luma = lumaOf(Float(pixels[3 * i]), Float(pixels[3 * i + 1]), Float(pixels[3 * i + 2]))
      return byte(luma * Float(alpha?[i] ?? 255) / 255)
    }
    var grid = Grid(values: values, lines: picture.height, length: picture.width)
    // Along the lines, then across them.
    for _ in 0..<2 { grid = grid.largest(in: Self.side).turned() }
    // The edge lies outside the white: as far as the mean reaches, and one cell, for a pixel is between two.
    for _ in 0..<2 { grid = grid.largest(within: Self.softness + 1).turned() }
    for _ in 0..<2 { grid = grid.mean(within: Self.softness).turned() }
    weights = grid.values
  }

  /// Gives an edited picture the region back as it was.
  /// - Parameters:
  ///   - picture: three channels.
  ///   - before: the same picture before the edits.
  ///   - place: from the whole photo to this picture.
  ///   - size: the whole photo's size in pixels; this picture's where left out.
  public func restore(
    _ picture: inout Picture, from before: Picture, at place: Affine = Affine(.identity), of size: (width: Int, height: Int)? = nil
  ) {
    precondition(picture.pixels.count == before.pixels.count && picture.channels == 3, "pictures of one shape")
    let size = size ?? (picture.width, picture.height)
    let (across, down) = (Double(Self.side) / Double(size.width), Double(Self.side) / Double(size.height))
    let back = place.inverse
    let (columns, rowCount) = (picture.width, picture.height)
    picture.pixels.withUnsafeMutableBufferPointer { new in
      before.pixels.withUnsafeBufferPointer { old in
        nonisolated(unsafe) let (new, old) = (new, old)
        rows(rowCount, work: rowCount * columns) { range in
          for y in range {
            for x in 0..<columns {
              let i = 3 * (y * columns + x)
              if new[i] == old[i] && new[i + 1] == old[i + 1] && new[i + 2] == old[i + 2] { continue }
              let point = back(Point(x: Double(x) + 0.5, y: Double(y) + 0.5))
              let weight = weight(x: Float(point.x * across) - 0.5, y: Float(point.y * down) - 0.5)
              for c in i..<i + 3 { new[c] = byte(Float(new[c]) + (Float(old[c]) - Float(new[c])) * weight) }
            }
          }
        }
      }
    }
  }

  /// The weight between four cells, 0…1; exactly 1 among white ones.
  private func weight(x: Float, y: Float) -> Float {
    let last = Self.side - 1
    let (x, y) = (max(0, min(Float(last), x)), max(0, min(Float(last), y)))
    let (left, top) = (Int(x), Int(y))
    let (right, bottom) = (min(left + 1, last), min(top + 1, last))
    let (fx, fy) = (x - Float(left), y - Float(top))
    func line(_ y: Int) -> Float {
      let first = Float(weights[y * Self.side + left])
      return first + fx * (Float(weights[y * Self.side + right]) - first)
    }
    let upper = line(top)
    return (upper + fy * (line(bottom) - upper)) / 255
  }
}

/// Values in lines, each step of which is made along the lines and then, turned, across them.
private struct Grid {
  var values: [UInt8]
  var lines: Int
  var length: Int

  func turned() -> Grid {
    var turned = [UInt8](repeating: 0, count: values.count)
    for line in 0..<lines {
      for place in 0..<length { turned[place * lines + line] = values[line * length + place] }
    }
    return Grid(values: turned, lines: length, length: lines)
  }

  /// Each line brought to a length: the largest of the values that a new one covers.
  func largest(in count: Int) -> Grid {
    if count == length { return self }
    return mapped(to: count) { line, place in
      let end = ((place + 1) * length + count - 1) / count
      return line[place * length / count..<min(length, end)].max()!
    }
  }

  /// The largest of the values so far around each.
  func largest(within reach: Int) -> Grid {
    mapped(to: length) { line, place in line[max(0, place - reach)...min(length - 1, place + reach)].max()! }
  }

  /// The mean of the values so far around each; the last value goes on beyond the ends.
  func mean(within reach: Int) -> Grid {
    mapped(to: length) { line, place in
      var sum = 0
      for near in place - reach...place + reach { sum += Int(line[max(0, min(length - 1, near))]) }
      return UInt8((2 * sum + 2 * reach + 1) / (2 * (2 * reach + 1)))
    }
  }

  private func mapped(to count: Int, _ value: (UnsafeBufferPointer<UInt8>, Int) -> UInt8) -> Grid {
    let mapped = [UInt8](unsafeUninitializedCapacity: lines * count) { target, initialized in
      values.withUnsafeBufferPointer { source in
        for line in 0..<lines {
          let old = UnsafeBufferPointer(rebasing: source[line * length..<(line + 1) * length])
          for place in 0..<count { target[line * count + place] = value(old, place) }
        }
      }
      initialized = lines * count
    }
    return Grid(values: mapped, lines: lines, length: count)
  }
}

/// The colours of a picture that has but one tint, such as grey or sepia: one for each brightness.
///
/// What a model draws into such a picture takes its colour from here, so that a black-and-white photo stays one, however
/// many channels its file has.
public struct Tint: Equatable, Sendable {
  /// 256 × 3 sRGB values, by luma.
  private let colours: [UInt8]

  /// What colours may differ from the tint's in 98 and in 99.5 of 100 squares, by noise or coding: prints of one tint
  /// that were scanned and saved as JPEG have up to 5, photos in colour from 8 on.
  private static let (mostly, nearly): (Float, Float) = (5, 7)
  /// Squares that are looked at, first a few, which tell nearly all pictures with colours.
  private static let samples = (few: 128, many: 1 << 12)

  /// The tint of a picture; nil for one with colours.
  public init?(of picture: Picture) {
    guard picture.channels == 3 else {
      self.init { (Float($0), Float($0), Float($0)) }
      return
    }
    let count = Squares(of: picture).count
    guard Self.curve(of: picture, step: max(1, count / Self.samples.few)) != nil,
      let curve = Self.curve(of: picture, step: max(1, count / Self.samples.many))
    else { return nil }
    self.init { curve[$0] }
  }

  private init(_ colour: (Int) -> (Float, Float, Float)) {
    colours = (0..<256).flatMap { luma in
      let (r, g, b) = colour(luma)
      return [byte(r), byte(g), byte(b)]
    }
  }

  /// The colour at each luma, if every `step`-th square has about that.
  private static func curve(of picture: Picture, step: Int) -> [(Float, Float, Float)]? {
    picture.pixels.withUnsafeBufferPointer { pixels -> [(Float, Float, Float)]? in
      let squares = Squares(of: picture)
      let looked = stride(from: 0, to: squares.count, by: step)
      func chroma(_ i: Int) -> (luma: Int, SIMD3<Float>) {
        let colour = SIMD3(Float(pixels[i]), Float(pixels[i + 1]), Float(pixels[i + 2]))
        let luma = lumaOf(colour.x, colour.y, colour.z)
        return (Int(byte(luma)), colour - luma)
      }
      var sums = [SIMD3<Float>](repeating: .zero, count: 256)
      var counts = [Float](repeating: 0, count: 256)
      var isGrey = true
      for square in looked {
        squares.forEachPixel(of: square) { i in
          let (luma, chroma) = chroma(i)
          sums[luma] += chroma
          counts[luma] += 1
          isGrey = isGrey && pixels[i] == pixels[i + 1] && pixels[i] == pixels[i + 2]
        }
      }
      if isGrey { return (0..<256).map { (Float($0), Float($0), Float($0)) } }
      // The mean of lumas nearby, more of them where there are few pixels.
      let means = (0..<256).map { luma -> SIMD3<Float> in
        var (sum, count, reach) = (sums[luma], counts[luma], 0)
        while reach < 256, reach < 4 || count < 16 {
          reach += 1
          for near in [luma - reach, luma + reach] where counts.indices.contains(near) {
            sum += sums[near]
            count += counts[near]
          }
        }
        return sum / max(count, 1)
      }
      var histogram = [Int](repeating: 0, count: 256)
      for square in looked {
        var (rest, count) = (SIMD3<Float>.zero, Float(0))
        squares.forEachPixel(of: square) { i in
          let (luma, chroma) = chroma(i)
          rest += chroma - means[luma]
          count += 1
        }
        rest /= count
        histogram[min(255, Int(max(rest.max(), -rest.min())))] += 1
      }
      let total = histogram.reduce(0, +)
      func beyond(_ limit: Float) -> Int { histogram[Int(limit)...].reduce(0, +) }
      guard beyond(mostly) * 50 <= total, beyond(nearly) * 200 <= total else { return nil }
      return means.enumerated().map { luma, mean in
        (Float(luma) + mean.x, Float(luma) + mean.y, Float(luma) + mean.z)
      }
    }
  }

  /// Gives the tint to the pixels that differ from those of the picture before, if these had it: a colour photo on a grey page
  /// keeps its colours.
  /// - Parameters:
  ///   - picture: three channels.
  ///   - before: of the same size; its pixels keep their bits.
  public func apply(to picture: inout Picture, changedFrom before: Picture) {
    precondition(picture.pixels.count == before.pixels.count && picture.channels == 3, "pictures of one shape")
    picture.pixels.withUnsafeMutableBufferPointer { new in
      before.pixels.withUnsafeBufferPointer { old in
        func isChanged(_ i: Int) -> Bool { new[i] != old[i] || new[i + 1] != old[i + 1] || new[i + 2] != old[i + 2] }
        func place(_ pixels: UnsafeBufferPointer<UInt8>, _ i: Int) -> Int {
          3 * Int(byte(lumaOf(Float(pixels[i]), Float(pixels[i + 1]), Float(pixels[i + 2]))))
        }
        let squares = Squares(of: before)
        var (changed, coloured) = (0, 0)
        for square in 0..<squares.count {
          var touched = false
          squares.forEachPixel(of: square) { touched = touched || isChanged($0) }
          if !touched { continue }
          var (rest, count) = (SIMD3<Float>.zero, Float(0))
          squares.forEachPixel(of: square) { i in
            let tint = place(old, i)
            for c in 0..<3 { rest[c] += Float(old[i + c]) - Float(colours[tint + c]) }
            count += 1
          }
          changed += 1
          if max(rest.max(), -rest.min()) > (Self.nearly + 1) * count { coloured += 1 }
        }
        if coloured * 50 > changed { return }
        for i in stride(from: 0, to: new.count, by: 3) where isChanged(i) {
          let tint = place(UnsafeBufferPointer(new), i)
          for c in 0..<3 { new[i + c] = colours[tint + c] }
        }
      }
    }
  }
}

/// The squares of a picture that are compared with a tint in the mean. JPEG keeps colours at half the resolution: beside an edge a
/// pixel has a colour of another brightness.
private struct Squares {
  private static let side = 8
  private let width, height, columns: Int
  let count: Int

  init(of picture: Picture) {
    (width, height) = (picture.width, picture.height)
    columns = (width + Self.side - 1) / Self.side
    count = columns * ((height + Self.side - 1) / Self.side)
  }

  /// - Parameter body: called with the place of each pixel's first channel.
  @inline(__always)
  func forEachPixel(of square: Int, _ body: (Int) -> Void) {
    let (row, column) = square.quotientAndRemainder(dividingBy: columns)
    for y in row * Self.side..<min(height, (row + 1) * Self.side) {
      for x in column * Self.side..<min(width, (column + 1) * Self.side) { body(3 * (y * width + x)) }
    }
  }
}

extension Photo {
  /// Grey, or the one tint that all of the photo has; nil for a photo with colours. It looks at all of the picture.
  public var tint: Tint? { Tint(of: picture) }
}

/// Rec. 709's weights on sRGB values; that of grey is its value, exactly.
@inline(__always)
func lumaOf(_ r: Float, _ g: Float, _ b: Float) -> Float { g + 0.2126 * (r - g) + 0.0722 * (b - g) }

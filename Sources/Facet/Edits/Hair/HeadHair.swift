import Files
import Photo

/// The hair of a head: its matte, and how light it is where.
struct HeadHair: Sendable {
  /// The side of the picture that the hair was found in: the head as ``FaceAlignment/surroundings(size:)`` cuts it out.
  let side: Int
  /// The part of it that may show hair; all else is about that part.
  private let box: Window
  private let picture: Picture
  private let matte: Matte
  /// The mean colour of what is surely hair.
  let colour: SIMD3<Float>
  /// The mean colour of the skin beside it; `nil` where there is none.
  private let skin: SIMD3<Float>?
  /// The luma of the hair without its strands.
  private let light: [Float]
  /// For 256 steps of luma the part of the hair that is darker, 0…1.
  private let quantiles: [Float]
  /// How wide the neighbourhood is that strands stand out of, in pixels.
  private let strandReach: Int
  private let foundRelief = Lazy<[Float]>()

  /// - Parameters:
  ///   - head: three channels, as wide as high.
  ///   - hair: how probable it is that each pixel is hair, 0…1.
  ///   - other: the same for what is neither hair nor background.
  ///   - cropSide: the side of the face's crop, in pixels of the picture.
  ///   - skin: the mean colour of the skin.
  /// - Returns: `nil` where there is too little hair.
  init?(in head: Picture, hair: [Float], other: [Float], cropSide: Double, skin: SIMD3<Float>?) {
    func pixels(_ part: Double) -> Int { max(1, Int((part * cropSide).rounded())) }
    let reach = (outer: pixels(0.04), colour: pixels(0.16))
    guard let box = Window(around: hair.map { $0 > 0.3 }, width: head.width, margin: reach.outer + reach.colour) else { return nil }
    (side, self.box, self.skin) = (head.width, box, skin)
    let (hair, other) = (box.part(of: hair, width: side), box.part(of: other, width: side))
    picture = Picture(width: box.width, height: box.height, channels: 3, pixels: box.part(of: head.pixels, width: side, channels: 3))
    // The parser's borders are off by some pixels, towards the background more than towards the face; single hairs reach farther.
    let sure = Pixels(
      width: picture.width, height: picture.height,
      zip(hair, other).map { SIMD4($0 > 0.5 ? 1 : 0, $1 > 0.5 ? 1 : 0, $0 > 0.3 ? 1 : 0, 0) })
    let (outer, beside) = (sure.blurred(reach.outer), sure.blurred(pixels(0.016)))
    let area = sure.values.reduce(Float(0)) { $0 + $1.x }
    // Short hair is a narrow band, of which a wide border would leave nothing.
    let within = Self.borders.lazy.map { border in sure.blurred(pixels(border)).values.map { $0.x > 0.999 } }
      .first { Float($0.count { $0 }) > Self.core * area }
    guard let within, Double(within.count { $0 }) > Self.least * cropSide * cropSide else { return nil }
    let known = hair.indices.map { i -> Bool? in
      if within[i] { return true }
      return outer[i].z < 0.001 || beside[i].y > 0.999 ? false : nil
    }
    matte = Matte(of: picture, probable: hair, known: known, reach: reach.colour)
    var (sum, weights) = (SIMD4<Float>.zero, Float(0))
    for colour in matte.colours.values where colour.w > 0.9 {
      sum += colour
      weights += 1
    }
    colour = (sum / max(1, weights)).colour
    light = Self.smooth(matte, radius: pixels(0.018))
    strandReach = pixels(0.06)
    quantiles = Self.quantiles(of: light, matte.alpha)
  }

  /// The luma of the hair, smoothed where it is even: a guided filter (He, Sun & Tang 2013).
  private static func smooth(_ matte: Matte, radius: Int) -> [Float] {
    let lumas = matte.colours.changed { i, colour in
      let luma = colour.colour.luma
      return SIMD4(luma, luma * luma, 0, 0)
    }
    let functions = lumas.blurred(radius).changed { _, mean in
      let variance = max(0, mean.y - mean.x * mean.x)
      let slope = variance / (variance + flatness)
      return SIMD4(slope, mean.x * (1 - slope), 0, 0)
    }.blurred(radius)
    return lumas.values.indices.map { functions[$0].x * lumas[$0].x + functions[$0].y }
  }

  private static func quantiles(of light: [Float], _ alpha: [Float]) -> [Float] {
    var histogram = [Float](repeating: 0, count: 256)
    for (luma, alpha) in zip(light, alpha) where alpha > 0.5 { histogram[min(255, max(0, Int(luma * 255)))] += alpha }
    // Hair of one luma has a width, too: a step of quantiles would be an edge in the picture.
    let smooth = (0..<256).map { level in
      (-spread...spread).reduce(Float(0)) { sum, step in
        sum + histogram[min(255, max(0, level + step))] * Float(spread + 1 - abs(step))
      }
    }
    let total = max(1e-6, smooth.reduce(0, +))
    var sum: Float = 0
    return smooth.map { part in
      sum += part
      return (sum - part / 2) / total
    }
  }

  var byteCount: Int { picture.pixels.count + 2 * light.count * MemoryLayout<Float>.stride + matte.colours.byteCount }

  /// How much of each pixel of the head is hair, 0…1.
  var alpha: FloatPicture {
    var values = [Float](repeating: 0, count: side * side)
    for (i, alpha) in matte.alpha.enumerated() { values[place(of: i)] = alpha }
    return FloatPicture(width: side, height: side, channels: 1, values: values)
  }

  /// Where the head has a pixel of the box.
  private func place(of pixel: Int) -> Int {
    (box.y + pixel / box.width) * side + box.x + pixel % box.width
  }

  /// A change of hair's colour.
  struct Tint {
    var colour: HairColour
    /// 1 gives the colour, −1 that of others.
    var strength: Double
    /// Whether strands take it, some before others, as hair grays; otherwise all hair does alike.
    var byStrands = false
  }

  /// The head with its hair in other colours: a patch as ``FaceChange`` has them.
  /// - Parameter tints: what is asked, one after the other; strands come last.
  /// - Returns: `nil` where nothing changes.
  func tinted(_ tints: [Tint]) -> FloatPicture? {
    let grays = tints.filter { $0.byStrands && $0.strength > 0 }
    let even = TintCurve(tints.filter { !$0.byStrands || $0.strength <= 0 }, on: self)
    let gray = TintCurve(grays.map { Tint(colour: $0.colour, strength: 1) }, on: self)
    if even == nil && gray == nil { return nil }
    let amount = Float(1 - grays.reduce(1) { $0 * max(0, 1 - Self.strands.amount * min(Self.farthest, $1.strength)) })
    let relief = gray == nil ? [] : relief
    // Of half gray hair strands differ the most.
    let contrast = Self.strands.contrast * max(0, amount * (1 - amount)).squareRoot()
    var values = [Float](repeating: 0, count: side * side * 4)
    for i in light.indices where matte.colours[i].w > 0.004 {
      let (alpha, old, base) = (matte.colours[i].w, matte.colours[i].colour, light[i])
      let quantile = Self.value(quantiles, at: base * 255) { $0 + $2 * ($1 - $0) }
      var change = even?.change(of: old, in: base, at: quantile) ?? (.zero, 0)
      if let gray {
        let whole = gray.change(of: old, in: base, at: quantile)
        // Strands that catch the light are the first.
        let part = min(1, max(0, amount + contrast * min(2, max(-2, relief[i]))))
        change = (change.colour + part * (whole.colour - change.colour), change.steepness + part * (whole.steepness - change.steepness))
      }
      // What the photo has finer than this picture comes along with the slope.
      let steepness = alpha * change.steepness
      let offset = alpha * change.colour - steepness * picture.colour(i)
      let place = 4 * place(of: i)
      for c in 0..<3 { values[place + c] = offset[c] }
      values[place + 3] = steepness
    }
    return FloatPicture(width: side, height: side, channels: 4, values: values)
  }

  /// How far each pixel's luma stands out of the light around it, in standard deviations of its neighbourhood.
  private var relief: [Float] {
    foundRelief {
      let fine = matte.colours.changed { i, colour in
        let luma = colour.colour.luma - light[i]
        return SIMD4(luma, luma * luma, 0, 0)
      }
      let around = fine.blurred(strandReach)
      return fine.values.indices.map { fine[$0].x / (max(0, around[$0].y).squareRoot() + 0.004) }
    }
  }

  /// From old to new colours.
  private struct TintCurve {
    private let targets: [(colour: SIMD3<Float>, amount: Float)]
    /// New lumas for 256 steps of the old one, and how steep they are in it.
    private let lumas, slopes: [Float]

    /// - Returns: `nil` where nothing changes.
    init?(_ tints: [Tint], on hair: HeadHair) {
      var targets = (0..<256).map { _ in (colour: SIMD3<Float>.zero, amount: Float(0)) }
      for tint in tints {
        let lit = hair.skin.map(tint.colour.beside) ?? tint.colour
        let amount = Float(min(HeadHair.farthest, abs(tint.strength))) * (tint.strength < 0 ? lit.presence(in: hair.colour) : 1)
        for (step, target) in lit.steps(isAdded: tint.strength > 0).enumerated() {
          targets[step].colour += amount * (target - targets[step].colour)
          targets[step].amount += amount * (1 - targets[step].amount)
        }
      }
      if targets.allSatisfy({ $0.amount == 0 }) { return nil }
      self.targets = targets
      // How steep the new luma is in the old one, of the whole way.
      let lumas = hair.even(hair.quantiles.map { quantile -> Float in
        let target = targets[Int(quantile * 255)]
        return target.amount > 0 ? target.colour.luma / target.amount : 0
      })
      self.lumas = lumas
      slopes = (0..<256).map { level -> Float in
        let (low, high) = (max(0, level - HeadHair.spread), min(255, level + HeadHair.spread))
        return min(HeadHair.steepest, max(HeadHair.flattest, (lumas[high] - lumas[low]) * 255 / Float(high - low)))
      }
    }

    /// How a colour changes, and how much steeper the new luma is in the old one.
    /// - Parameters:
    ///   - old: the colour.
    ///   - base: the luma of the hair around.
    ///   - quantile: the part of the hair that is darker, 0…1.
    func change(of old: SIMD3<Float>, in base: Float, at quantile: Float) -> (colour: SIMD3<Float>, steepness: Float) {
      let target = HeadHair.value(targets, at: quantile * 255) {
        ($0.colour + $2 * ($1.colour - $0.colour), $0.amount + $2 * ($1.amount - $0.amount))
      }
      let slope = HeadHair.value(slopes, at: base * 255) { $0 + $2 * ($1 - $0) }
      // Strands stand out of the light around them as they did, in the new colour.
      let shade = HeadHair.value(lumas, at: base * 255) { $0 + $2 * ($1 - $0) }
      let luma = (shade + (old.luma - base) * slope) * target.amount
      let colour = target.colour * max(0.2, min(3, luma / max(target.colour.luma, 0.01)))
      let becomes = (old + colour - target.amount * old).clamped(lowerBound: .zero, upperBound: .one)
      return (becomes - old, target.amount * (slope - 1))
    }
  }

  /// New lumas for 256 steps of the old one, about as steep everywhere as between shade and highlight: where much hair has one luma,
  /// the order of its places alone would make contrast, and highlights would be flat.
  private func even(_ lumas: [Float]) -> [Float] {
    func level(_ part: Float) -> Int { quantiles.firstIndex { $0 >= part } ?? 255 }
    let (dark, middle, bright) = (level(0.1), level(0.5), level(0.9))
    let slope = min(Self.steepest / 255, (lumas[bright] - lumas[dark]) / Float(max(1, bright - dark)))
    func step(_ value: Float) -> Float { min(Self.variation.upperBound * slope, max(Self.variation.lowerBound * slope, value)) }
    var result = lumas
    for i in stride(from: middle + 1, to: 256, by: 1) { result[i] = result[i - 1] + step(lumas[i] - lumas[i - 1]) }
    for i in stride(from: middle - 1, through: 0, by: -1) { result[i] = max(0, result[i + 1] - step(lumas[i + 1] - lumas[i])) }
    return result
  }

  /// What a table of 256 steps has between two of them: steps would be seen in the picture.
  private static func value<Element>(
    _ table: [Element], at place: Float, between: (Element, Element, Float) -> Element
  ) -> Element {
    let place = min(255, max(0, place))
    let step = min(254, Int(place))
    return between(table[step], table[step + 1], place - Float(step))
  }

  /// The least part of the crop's area that is surely hair.
  private static let least = 0.003
  /// Widths of the border within which the parser may be wrong, in sides of the crop: the widest is taken that leaves this part of
  /// the hair.
  private static let (borders, core): ([Double], Float) = ([0.026, 0.013, 0.0065], 0.35)
  private static let flatness: Float = 0.006
  private static let spread = 5
  /// Strands of the new colour have so much of the contrast of the old ones: more would be noise.
  private static let (flattest, steepest): (Float, Float) = (0.35, 1.4)
  /// How much flatter and steeper than in the mean single places may be.
  private static let variation: ClosedRange<Float> = 0.4...1.35
  /// The part of strands that strength 1 gives a colour, and how much sooner those take it that stand out by a
  /// deviation: more would be wires.
  private static let strands: (amount: Double, contrast: Float) = (0.85, 0.22)
  /// The strength from which on no colour changes further.
  private static let farthest = 1.5
}

extension Window {
  /// The smallest window around some pixels of a picture, with a margin; `nil` where there are none.
  fileprivate init?(around pixels: [Bool], width: Int, margin: Int) {
    let height = pixels.count / width
    var (left, right, top, bottom) = (width, -1, height, -1)
    for (i, isIn) in pixels.enumerated() where isIn {
      (left, right) = (min(left, i % width), max(right, i % width))
      (top, bottom) = (min(top, i / width), max(bottom, i / width))
    }
    guard right >= 0 else { return nil }
    (left, top) = (max(0, left - margin), max(0, top - margin))
    (right, bottom) = (min(width - 1, right + margin), min(height - 1, bottom + margin))
    self.init(x: left, y: top, width: right - left + 1, height: bottom - top + 1)
  }

  /// What a picture has within the window, row by row.
  fileprivate func part<Element>(of values: [Element], width: Int, channels: Int = 1) -> [Element] {
    (y..<y + height).flatMap { (row: Int) -> ArraySlice<Element> in
      let start = (row * width + x) * channels
      return values[start..<start + self.width * channels]
    }
  }
}

import Foundation
import Photo
import Testing

@Suite struct SimilarityTests {
  @Test func inverseAndComposition() {
    let s = Similarity(scale: 2.5, rotation: 0.7, tx: 30, ty: -4)
    let t = Similarity(scale: 0.3, rotation: -1.2, tx: -3, ty: 8)
    let p = Point(x: 12, y: 34)
    let back = s.inverse(s(p))
    #expect(abs(back.x - p.x) < 1e-9 && abs(back.y - p.y) < 1e-9)
    let (one, two) = (s.then(t)(p), t(s(p)))
    #expect(abs(one.x - two.x) < 1e-9 && abs(one.y - two.y) < 1e-9)
    #expect(abs(s.scale - 2.5) < 1e-12 && abs(s.rotation - 0.7) < 1e-12)
  }

  @Test func fitFindsTheTransform() throws {
    let s = Similarity(scale: 1.7, rotation: 0.4, tx: 3, ty: 9)
    let from = [Point(x: 0, y: 0), Point(x: 10, y: 2), Point(x: 4, y: 20), Point(x: -3, y: 7)]
    let fit = try #require(Similarity(from: from, to: from.map { s($0) }, weights: [1, 2, 3, 4]))
    #expect(abs(fit.a - s.a) + abs(fit.b - s.b) + abs(fit.tx - s.tx) + abs(fit.ty - s.ty) < 1e-9)
  }

  @Test func coincidingPointsHaveNoFit() {
    let same = [Point(x: 1, y: 1), Point(x: 1, y: 1)]
    let apart = [Point(x: 1, y: 1), Point(x: 2, y: 1)]
    #expect(Similarity(from: same, to: apart) == nil)
    #expect(Similarity(from: apart, to: same) == nil)
  }
}

@Suite struct WarpTests {
  @Test func identityKeepsEveryBit() {
    let picture = Drawn.gradient(50, 30)
    #expect(picture.warped(by: .identity, to: (50, 30)) == picture)
    #expect(picture.resized(to: (50, 30)) == picture)
  }

  @Test func movingByWholePixels() {
    let picture = Drawn.gradient(50, 30)
    let moved = picture.warped(by: Similarity(scale: 1, tx: 7, ty: -3), to: (50, 30))
    #expect(moved[20, 10] == picture[13, 13][...] || Array(moved[20, 10]) == Array(picture[13, 13]))
    // The border is repeated.
    #expect(Array(moved[0, 10]) == Array(picture[0, 13]))
  }

  @Test func quarterTurn() {
    let picture = Drawn.gradient(30, 20)
    // x′ = 20 − y, y′ = x: the upper left corner comes to the upper right.
    let turned = picture.warped(by: Similarity(scale: 1, rotation: .pi / 2, tx: 20), to: (20, 30))
    #expect(zip(turned[19, 0], picture[0, 0]).allSatisfy { abs(Int($0) - Int($1)) <= 1 })
    #expect(zip(turned[4, 25], picture[25, 15]).allSatisfy { abs(Int($0) - Int($1)) <= 1 })
  }

  @Test(arguments: [2.0, 3.7, 12.0]) func reducingDoesNotAlias(_ factor: Double) {
    let picture = Drawn.chessboard(240, 240)
    let side = Int(240 / factor)
    let reduced = picture.warped(by: Similarity(scale: 1 / factor, rotation: 0.1, tx: 2), to: (side, side))
    let middle = (side / 4..<side * 3 / 4).flatMap { y in (side / 4..<side * 3 / 4).map { reduced[$0, y].first ?? 0 } }
    #expect(middle.allSatisfy { abs(Int($0) - 128) < 30 })
    #expect(picture.resized(to: (side, side)).pixels.allSatisfy { abs(Int($0) - 128) < 40 })
  }

  @Test func resizedAveragesAreas() {
    let picture = Picture(width: 4, height: 2, channels: 1, pixels: [0, 100, 200, 40, 20, 80, 0, 0])
    #expect(picture.resized(to: (2, 1)).pixels == [50, 60])
    let window = Window(x: 1, y: 0, width: 2, height: 2)
    #expect(picture.resized(window: window, to: (1, 1)).pixels == [95])
    // 3 → 2: the middle pixel is shared.
    let three = Picture(width: 3, height: 1, channels: 1, pixels: [30, 90, 150])
    #expect(three.resized(to: (2, 1)).pixels == [50, 130])
  }

  /// By the definition: the mean over the part of the plane that becomes a pixel.
  @Test(arguments: [1, 3]) func reducingIsTheMeanOverAnArea(channels: Int) {
    let colours = Drawn.gradient(178, 218)
    let picture = channels == 3
      ? colours
      : Picture(
        width: 178, height: 218, channels: 1, pixels: (0..<178 * 218).map { UInt8($0 * 7919 % 256) })
    let window = Window(x: 4, y: 39, width: 170, height: 170)
    let reduced = picture.resized(window: window, to: (128, 100))
    func overlap(_ pixel: Int, _ position: Int, _ ratio: Double) -> Double {
      max(0, min(Double(pixel + 1), Double(position + 1) * ratio) - max(Double(pixel), Double(position) * ratio))
    }
    for (x, y) in [(0, 0), (1, 1), (64, 50), (100, 3), (127, 99)] {
      for channel in 0..<channels {
        var sum = 0.0
        for row in 0..<170 {
          let high = overlap(row, y, 1.7)
          for column in 0..<170 where high > 0 {
            let wide = overlap(column, x, 170.0 / 128)
            if wide > 0 {
              sum += high * wide * Double(picture.pixels[((39 + row) * 178 + 4 + column) * channels + channel])
            }
          }
        }
        let mean = sum / (1.7 * 170 / 128)
        #expect(abs(Double(reduced.pixels[(y * 128 + x) * channels + channel]) - mean) < 0.502, "\(x), \(y)")
      }
    }
  }

  /// Halves go up, in each number of channels.
  @Test func halvesGoUp() {
    let grey = Picture(width: 4, height: 1, channels: 1, pixels: [2, 3, 254, 255])
    #expect(grey.resized(to: (2, 1)).pixels == [3, 255])
    #expect(grey.rgb().resized(to: (2, 1)).pixels == [3, 3, 3, 255, 255, 255])
  }

  @Test func windowsMayReachBeyondThePicture() {
    let picture = Drawn.gradient(20, 20)
    let wide = picture.resized(window: Window(x: -5, y: -5, width: 30, height: 30), to: (30, 30))
    #expect(Array(wide[0, 0]) == Array(picture[0, 0]))
    #expect(Array(wide[12, 9]) == Array(picture[7, 4]))
    #expect(Array(wide[29, 29]) == Array(picture[19, 19]))
  }

  @Test func labelsAreNeverMixed() {
    let labels = Picture(width: 4, height: 4, channels: 1, pixels: (0..<16).map { UInt8($0 * 15) })
    #expect(labels.resizedLabels(to: (2, 2)).pixels == [75, 105, 195, 225])
    #expect(labels.resizedLabels(to: (8, 8)).pixels.allSatisfy { $0 % 15 == 0 })
  }

  @Test func warpAgreesWithResize() {
    let picture = Drawn.gradient(170, 170)
    let warped = picture.warped(by: Similarity(scale: 128.0 / 170), to: (128, 128))
    #expect(Drawn.largestDifference(warped, picture.resized(to: (128, 128))) <= 2)
  }

  @Test func mirrored() {
    let picture = Drawn.gradient(9, 4)
    #expect(Array(picture.mirrored()[0, 2]) == Array(picture[8, 2]))
    #expect(picture.mirrored().mirrored() == picture)
  }
}

@Suite struct ChangeTests {
  /// A patch of one offset for all colours, and one slope; `inside` says where they hold.
  private func patch(
    _ n: Int, offset: Float = 0, slope: Float = 0, inside: (Int, Int) -> Bool = { _, _ in true }
  ) -> FloatPicture {
    FloatPicture(
      width: n, height: n, channels: 4,
      values: (0..<n * n).flatMap { inside($0 % n, $0 / n) ? [offset, offset, offset, slope] : [0, 0, 0, 0] })
  }

  @Test func offsetsAreAddedInTheirPlaceAndNowhereElse() {
    let before = Drawn.gradient(200, 150)
    var after = before
    // 5 pixels of the picture to one of the patch, from 60, 40 on.
    let place = Similarity(scale: 5, tx: 60, ty: 40)
    after.change(by: patch(16, offset: 0.1) { x, y in (4..<12).contains(x) && (4..<12).contains(y) }, place: place)
    #expect(Array(after[100, 80]) == before[100, 80].map { UInt8(min(255, Int((Float($0) + 25.5).rounded()))) })
    for y in 0..<150 {
      for x in 0..<200 where !(70..<130).contains(x) || !(50..<110).contains(y) {
        #expect(after[x, y] == before[x, y])
      }
    }
  }

  @Test func noChangeChangesNothing() {
    let before = Drawn.gradient(90, 90)
    var after = before
    after.change(by: patch(8), place: Similarity(scale: 9, rotation: 0.3, tx: 20))
    #expect(after == before)
  }

  @Test func sumsAreClamped() {
    var picture = Drawn.gradient(40, 40)
    picture.change(by: patch(4, offset: 1), place: Similarity(scale: 10))
    #expect(picture.pixels.allSatisfy { $0 == 255 })
    picture.change(by: patch(4, offset: -1), place: Similarity(scale: 10))
    #expect(picture.pixels.allSatisfy { $0 == 0 })
  }

  @Test func notANumberDoesNotCrash() {
    var picture = Drawn.gradient(20, 20)
    picture.change(by: patch(4, offset: .nan), place: Similarity(scale: 5))
    picture.change(by: patch(4, offset: .infinity, slope: -.infinity), place: Similarity(scale: 5))
  }

  @Test func slopesScale() {
    var picture = Picture(width: 60, height: 60, filledWith: 100)
    picture.change(by: patch(6, offset: 50.0 / 255, slope: -0.25), place: Similarity(scale: 10))
    #expect(picture.pixels.allSatisfy { $0 == 125 })
    picture.change(by: patch(6, offset: 7.0 / 255, slope: -1), place: Similarity(scale: 10))
    #expect(picture.pixels.allSatisfy { $0 == 7 })
  }

  /// Where a pixel is replaced its grain stays, and what is no grain goes with it.
  @Test func grainStays() {
    var picture = Picture(width: 60, height: 60, filledWith: 100)
    picture.paint(20, 20, [104, 98, 100])
    picture.paint(40, 40, [200, 10, 100])
    let smooth = FloatPicture(
      width: 6, height: 6, channels: 3, values: [Float](repeating: 100.0 / 255, count: 6 * 6 * 3))
    var half = picture
    picture.change(by: patch(6, offset: 150.0 / 255, slope: -1), smooth: smooth, place: Similarity(scale: 10))
    #expect(Array(picture[20, 20]) == [154, 148, 150])
    #expect(Array(picture[40, 40]) == [150, 150, 150])
    #expect(Array(picture[10, 10]) == [150, 150, 150])
    // What half stays brings half of its grain itself.
    half.change(by: patch(6, slope: -0.5), smooth: smooth, place: Similarity(scale: 10))
    #expect(Array(half[20, 20]) == [54, 48, 50])
    // Nothing that is added to loses any.
    var lighter = Picture(width: 60, height: 60, filledWith: 100)
    lighter.paint(20, 20, [104, 98, 100])
    lighter.change(by: patch(6, offset: 10.0 / 255), smooth: smooth, place: Similarity(scale: 10))
    #expect(Array(lighter[20, 20]) == [114, 108, 110])
  }

  /// Enlarged eight times, a smooth patch stays smooth: no step between neighbours is much above the slope.
  @Test func enlargingShowsNoGrid() {
    let n = 16
    var picture = Picture(width: 128, height: 128, filledWith: 128)
    let wave = FloatPicture(
      width: n, height: n, channels: 4,
      values: (0..<n * n * 4).map { $0 % 4 == 3 ? 0 : Float(0.4 * sin(Double($0 / 4 % n) / 2.5)) })
    picture.change(by: wave, place: Similarity(scale: 8))
    let row = (16..<112).map { Int(picture[$0, 64].first ?? 0) }
    let second = zip(zip(row, row.dropFirst()), row.dropFirst(2)).map { abs($0.0.0 - 2 * $0.0.1 + $0.1) }
    #expect((second.max() ?? 0) <= 3)
    // The wave's own values are hit: cubic interpolation passes through them.
    let exact = (16..<112).map { 128 + 255 * 0.4 * sin(((Double($0) + 0.5) / 8 - 0.5) / 2.5) }
    #expect(zip(row, exact).allSatisfy { abs(Double($0) - $1) < 2 })
  }

  @Test func pixelsAreMovedWithinAPatch() {
    let picture = Drawn.gradient(40, 30)
    func flow(_ right: Float, _ down: Float) -> FloatPicture {
      FloatPicture(width: 10, height: 10, channels: 2, values: (0..<100).flatMap { _ in [right, down] })
    }
    let place = Affine(Similarity(scale: 2, tx: 10, ty: 4))
    var moved = picture
    moved.move(by: flow(1, -0.5), place: place)
    for (x, y) in [(12, 8), (20, 12), (28, 20)] { #expect(moved[x, y] == picture[x + 2, y - 1], "\(x), \(y)") }
    // The patch ends at 30, 24.
    for (x, y) in [(9, 10), (30, 10), (20, 3), (20, 24)] { #expect(moved[x, y] == picture[x, y], "\(x), \(y)") }
    moved = picture
    moved.move(by: flow(0, 0), place: place)
    moved.move(by: flow(3, 3), place: Affine(Similarity(scale: 2, tx: 100, ty: -80)))
    #expect(moved == picture)
    // Far away is the border, and what is no number no fault.
    moved.move(by: flow(-1e9, 0), place: place)
    #expect(moved[20, 10] == picture[0, 10])
    moved.move(by: flow(.nan, .infinity), place: place)
    var grey = Picture(width: 40, height: 30, channels: 1, pixels: (0..<1200).map { UInt8($0 % 40 * 6) })
    grey.move(by: flow(1, 0), place: place)
    #expect(grey[20, 10] == [22 * 6])
  }

  @Test func patchesOutsideThePictureDoNothing() {
    let before = Drawn.gradient(30, 30)
    var after = before
    for (x, y) in [(500.0, 0.0), (-500, 0), (0, 1e7), (0, -1e7)] {
      after.change(by: patch(8, offset: 0.5), place: Similarity(scale: 2, tx: x, ty: y))
    }
    #expect(after == before)
  }

  /// A patch finer than the picture is averaged, not sampled.
  @Test func reducingAPatchDoesNotAlias() {
    var picture = Picture(width: 40, height: 40, filledWith: 100)
    picture.change(by: patch(64, offset: 0.2) { x, _ in x % 2 == 0 }, place: Similarity(scale: 0.5))
    #expect((4..<28).allSatisfy { abs(Int(picture[$0, 16].first ?? 0) - 125) <= 4 })
  }
}

@Suite struct SheetTests {
  @Test func tilesStandInTheirCells() throws {
    let (a, b) = (Drawn.gradient(40, 30), Drawn.chessboard(40, 30))
    let sheet = try Picture.sheet([[Tile(a), Tile(b)], [Tile(b)]], gap: 5)
    #expect(sheet.width == 5 + 2 * 45 && sheet.height == 5 + 2 * 35)
    #expect(Array(sheet[5, 5]) == Array(a[0, 0]) && Array(sheet[50 + 7, 5 + 3]) == Array(b[7, 3]))
    #expect(sheet[70, 60].allSatisfy { $0 == 255 })
  }

  @Test func captionsLeaveInkBelow() throws {
    let tile = Drawn.gradient(80, 40)
    let sheet = try Picture.sheet([[Tile(tile, caption: "Smiling <+1.5> & more"), Tile(tile)]])
    let below = (48..<sheet.height).flatMap { y in (0..<sheet.width).map { Int(sheet[$0, y].first ?? 255) } }
    #expect((below.min() ?? 255) < 80)
    #expect(below.filter { $0 < 128 }.count > 40)
  }

  @Test func pastingCutsOffWhatLiesOutside() {
    var picture = Picture(width: 10, height: 10, filledWith: 0)
    let white = Picture(width: 6, height: 6, filledWith: 255)
    for (x, y) in [(-3, -3), (8, 8), (20, 0), (-9, 4)] { picture.paste(white, x: x, y: y) }
    #expect(picture.pixels.filter { $0 == 255 }.count == 3 * (9 + 4))
  }
}

extension Picture {
  /// Gives one pixel a colour.
  fileprivate mutating func paint(_ x: Int, _ y: Int, _ colour: [UInt8]) {
    var pixels = pixels
    let start = (y * width + x) * channels
    pixels.replaceSubrange(start..<start + channels, with: colour)
    self = Picture(width: width, height: height, channels: channels, pixels: pixels)
  }
}

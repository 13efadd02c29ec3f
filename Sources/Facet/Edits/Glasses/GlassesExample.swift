import Foundation
import Photo
import Torch

/// Glasses drawn on a face that wears none, and what their removal finds of them: what a painter learns to remove glasses from.
package struct GlassesExample: Sendable {
  /// The crop with glasses, of its size.
  package let worn: Picture
  /// How surely a pixel is of glasses, as the parser sees them, 1 × 1 × S × S in [0, 1].
  package let glasses: Tensor
  /// The face without glasses that decodes for the crop with them, 1 × 3 × S × S.
  package let bare: Tensor
}

extension FaceEditor {
  /// - Parameters:
  ///   - crop: a face of the painter's size, as the alignment cuts it out.
  ///   - landmarks: its 68, 1 wide.
  ///   - seed: of the style: one that ships, of other measures and colours.
  /// - Returns: `nil` where the face wears glasses already, or those drawn are not seen.
  package func glassesExample(on crop: Picture, landmarks: [Point], seed: UInt64) throws -> GlassesExample? {
    try withoutGradients {
      let alignment = FaceAlignment(crop: crop, landmarks: landmarks)
      func face(_ crop: Picture) throws -> EncodedFace {
        try encode(FaceCrop(of: crop, alignment, size: bundle.configuration.imageSize))
      }
      let unedited = try face(crop)
      guard try unedited.anatomy.glasses == nil, let fitting = try FittedGlasses(on: unedited, unedited.anatomy, with: tools)
      else { return nil }
      let drawing = try fitting.draw(.random(seed: seed))
      var worn = crop
      alignment.apply(Layer(content: .change(try FloatPicture(FittedGlasses.change(drawing)))), to: &worn, in: .crop)
      let edited = try face(worn)
      guard let glasses = try edited.anatomy.glasses, let removed = try FaceWithoutGlasses(edited, with: tools) else { return nil }
      return GlassesExample(worn: worn, glasses: glasses, bare: removed.decoded.reconstruction.image)
    }
  }
}

/// Glasses of random style drawn on the face of a photo, and the pixels that are theirs, row by row.
package struct DrawnGlasses: Sendable {
  package let photo: Picture
  /// The frame, with the glass where that is dark.
  package let frame: [Bool]
  /// Frame and glass.
  package let whole: [Bool]
}

extension FaceEditor {
  /// - Parameters:
  ///   - photo: of one face, three channels.
  ///   - seeds: of the style of each.
  /// - Returns: glasses for each seed; none where no face is found, or one that wears glasses.
  package func glasses(on photo: Picture, seeds: [UInt64]) throws -> [DrawnGlasses] {
    try withoutGradients {
      guard let found = try tools.observer.detector.clearFace(in: photo),
        let alignment = FaceAlignment(found, view: bundle.configuration.view)
      else { return [] }
      let face = try encode(FaceCrop(of: photo, alignment, size: bundle.configuration.imageSize))
      guard try !face.anatomy.wearsGlasses, let fitting = try FittedGlasses(on: face, face.anatomy, with: tools) else { return [] }
      func laid(_ change: Tensor, on picture: Picture) throws -> Picture {
        var picture = picture
        alignment.apply(Layer(content: .change(try FloatPicture(change))), to: &picture, in: .photo)
        return picture
      }
      let black = Picture(width: photo.width, height: photo.height, channels: 3, pixels: photo.pixels.map { _ in 0 })
      func place(_ style: GlassesStyle) throws -> [Bool] {
        let cover = try fitting.cover(of: style)
        let map = try laid(.cat([cover, cover, cover, cover * 0], dim: 1), on: black)
        return stride(from: 0, to: map.pixels.count, by: 3).map { map.pixels[$0] > 127 }
      }
      return try seeds.map { seed in
        let style = try GlassesStyle.random(seed: seed)
        var (clear, opaque) = (style, style)
        (clear.glass.above, clear.glass.below) = (0, 0)
        (opaque.glass.above, opaque.glass.below) = (1, 1)
        let whole = try place(opaque)
        let isDark = style.glass.above > Self.darkGlass
        return DrawnGlasses(
          photo: try laid(FittedGlasses.change(fitting.draw(style)), on: photo), frame: try isDark ? whole : place(clear), whole: whole)
      }
    }
  }

  /// Eyes behind glass of this tint or more are not told.
  private static var darkGlass: Double { 0.3 }
}

extension GlassesStyle {
  /// A style that ships, of other measures and colours.
  fileprivate static func random(seed: UInt64) throws -> GlassesStyle {
    var chance = SplitMix64(seed: seed)
    func draw(_ range: ClosedRange<Double>) -> Double { .random(in: range, using: &chance) }
    var style = try named(names.randomElement(using: &chance) ?? standard)
    style.lens.width *= draw(0.88...1.12)
    style.lens.height *= draw(0.8...1.2)
    let width = draw(0.6...1.5)
    style.rim.above *= width
    style.rim.below *= width
    style.temple.height *= draw(0.7...1.3)
    for index in style.bridge.bars.indices { style.bridge.bars[index].thickness *= draw(0.7...1.4) }
    func colour() -> String {
      // Most are dark or of metal.
      let light = draw(0...1) < 0.6 ? draw(10...70) : draw(70...220)
      let bytes = (0..<3).map { _ in Int(min(255, max(0, light * draw(0.7...1.3)))) }
      return "#" + bytes.map { String(format: "%02x", $0) }.joined()
    }
    if draw(0...1) < 0.7 {
      style.material.colour = colour()
      if style.material.spots != nil { style.material.spots = colour() }
      style.lower = nil
    }
    // Clear glass mostly; sunglasses hide eyes, which nobody can know.
    let tint = draw(0...1) < 0.8 ? draw(0...0.1) : draw(0.1...0.45)
    (style.glass.above, style.glass.below) = (tint, tint * draw(0.5...1))
    return style
  }
}

import Foundation

/// The shape, the colours and the glass of a pair of glasses. Each is a small text that people can write: `NAME.json` among the
/// resources. Lengths are of real glasses, in millimetres.
struct GlassesStyle: Codable, Equatable, Sendable {
  /// A lens of which the right one is the mirror image.
  struct Lens: Codable, Equatable, Sendable {
    var width, height: Double
    /// Points around the viewer's right lens, from the outermost one downwards: x outwards and y down, in halves of width and height.
    /// A smooth curve joins them.
    var outline: [[Double]]
  }

  /// The edge around a lens. What lies above the middle may be another than what lies below it.
  struct Rim: Codable, Equatable, Sendable {
    /// Its width as seen from the front; 0 for a lens without a rim.
    var above, below: Double
    /// Its depth from front to back.
    var depth: Double
    /// The exponent of the superellipse that it is when cut: 2 is round, larger ones have flat sides and narrower bevels.
    var bevel: Double
  }

  struct Bridge: Codable, Equatable, Sendable {
    /// A bar from lens to lens.
    struct Bar: Codable, Equatable, Sendable {
      /// How far below the middle of the lenses it begins, how thick it is, and how far its middle lies above its ends.
      var y, thickness, rise: Double
    }

    /// Between the lenses.
    var gap: Double
    var bars: [Bar]
    /// Whether pads on wires rest on the nose.
    var hasPads: Bool
  }

  struct Temple: Codable, Equatable, Sendable {
    /// How far below the middle of the lenses it begins, how high it is there, and how thick.
    var y, height, thickness: Double
  }

  struct Material: Codable, Equatable, Sendable {
    enum Kind: String, Codable, Sendable { case acetate, metal }

    var kind: Kind
    /// As `#rrggbb`.
    var colour: String
    /// The colour of spots within the first one, as tortoiseshell has them.
    var spots: String?
  }

  struct Glass: Codable, Equatable, Sendable {
    var colour: String
    /// How much of the light it takes away at its upper and its lower edge, 0…1.
    var above, below: Double
  }

  /// For people.
  var title: String
  var lens: Lens
  var bridge: Bridge
  var rim: Rim
  var temple: Temple
  var material: Material
  /// Of the rims below the middle of the lenses, where it is another, and of the bridge.
  var lower: Material?
  var glass: Glass
}

// MARK: Reading

extension GlassesStyle {
  /// The one that is drawn where none is named.
  static let standard = "tortoise-acetate"
  /// The names of all styles, in alphabetical order.
  static let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
    .compactMap { $0.hasSuffix(ending) ? String($0.dropLast(ending.count)) : nil }.sorted()

  private static let folder = Bundle.module.bundleURL.appendingPathComponent("glasses")
  private static let ending = ".json"

  /// Reads a style that ships.
  /// - Throws: ``StyleError``.
  static func named(_ name: String) throws(StyleError) -> GlassesStyle {
    let known = names
    // Nothing but a name that is listed becomes a path.
    guard let name = known.first(where: { $0 == name.lowercased() }) else {
      throw StyleError("unknown style of glasses '\(name)'; there are \(known.joined(separator: ", "))")
    }
    guard let text = try? Data(contentsOf: folder.appendingPathComponent(name + ending)) else {
      throw StyleError(glasses: name, "cannot be read")
    }
    return try GlassesStyle(name, text)
  }

  /// - Parameters:
  ///   - name: for errors.
  ///   - text: JSON.
  /// - Throws: ``StyleError`` where it is none, or what it says makes no glasses.
  init(_ name: String, _ text: Data) throws(StyleError) {
    do {
      self = try JSONDecoder().decode(GlassesStyle.self, from: text)
    } catch {
      throw StyleError(glasses: name, (error as? DecodingError)?.brief ?? "\(error)")
    }
    if let fault { throw StyleError(glasses: name, fault) }
  }

  /// The first thing that makes no glasses.
  private var fault: String? {
    func check(_ name: String, _ value: Double, _ range: ClosedRange<Double>) -> String? {
      range.contains(value) ? nil : "\(name) is \(value); it must be from \(range.lowerBound) to \(range.upperBound)"
    }
    let numbers: [(String, Double, ClosedRange<Double>)] = [
      ("lens.width", lens.width, 20...80), ("lens.height", lens.height, 15...80), ("bridge.gap", bridge.gap, 8...40),
      ("rim.above", rim.above, 0...12), ("rim.below", rim.below, 0...12), ("rim.depth", rim.depth, 0.5...8),
      ("rim.bevel", rim.bevel, 2...12), ("temple.y", temple.y, -40...40), ("temple.height", temple.height, 0.5...25),
      ("temple.thickness", temple.thickness, 0.5...8), ("glass.above", glass.above, 0...1), ("glass.below", glass.below, 0...1),
    ] + bridge.bars.flatMap { [("bar.y", $0.y, -40...40), ("bar.thickness", $0.thickness, 0.3...12), ("bar.rise", $0.rise, -20...20)] }
    if let fault = numbers.lazy.compactMap({ check($0, $1, $2) }).first { return fault }
    if !(6...64).contains(lens.outline.count) { return "lens.outline has \(lens.outline.count) points; it must have 6 to 64" }
    if !lens.outline.allSatisfy({ $0.count == 2 && $0.allSatisfy { (-1.5...1.5).contains($0) } }) {
      return "lens.outline must have points of two numbers from -1.5 to 1.5"
    }
    if bridge.bars.count > 4 { return "bridge.bars has \(bridge.bars.count) bars; it may have 4" }
    let colours = [material.colour, material.spots, lower?.colour, lower?.spots, glass.colour].compactMap { $0 }
    if let colour = colours.first(where: { Self.colour($0) == nil }) { return "'\(colour)' is no colour such as #1a1512" }
    return nil
  }

  /// The light that a colour `#rrggbb` reflects of each primary, linear, 0…1.
  static func colour(_ text: String) -> SIMD3<Float>? { SIMD3<Float>(hex: text)?.map(\.linear) }
}

extension SIMD3<Float> {
  func map(_ transform: (Float) -> Float) -> SIMD3<Float> { SIMD3(transform(x), transform(y), transform(z)) }
}

extension Float {
  /// The light of an sRGB value, both 0…1.
  var linear: Float { self <= 0.04045 ? self / 12.92 : Foundation.pow((self + 0.055) / 1.055, 2.4) }
  /// The sRGB value of light, both 0…1.
  var encoded: Float { self <= 0.0031308 ? 12.92 * self : 1.055 * Foundation.pow(self, 1 / 2.4) - 0.055 }
}

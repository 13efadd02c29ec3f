import Files
import Foundation
import Photo

/// Colours of hair by name, and any other as `#rrggbb`: what `Hair` can be.
package enum HairPalette {
  /// The name under which edits ask for a colour. It is no label, and no code is moved for it.
  package static let attribute = "Hair"
  /// The colour that the page begins with.
  package static let standard = "auburn"

  package struct Colour: Decodable, Sendable {
    /// Such as `auburn`.
    package let name: String
    /// `#rrggbb`, in sRGB.
    package let colour: String
  }

  /// The named colours, in the order in which people look for them: from dark to light, then those that no hair has by itself.
  package static let named: [Colour] = {
    guard let url = Bundle.module.url(forResource: "hair-palette", withExtension: "json"), let text = try? Data(contentsOf: url)
    else { return [] }
    return (try? JSONDecoder().decode([Colour].self, from: text)) ?? []
  }()
  package static let names = named.map(\.name)

  /// The colour of hair that a style means.
  /// - Parameter style: one of ``names``, letter case does not matter, or `#rrggbb`.
  /// - Throws: ``StyleError``; ``BundleError`` where a file of the package is damaged.
  static func colour(_ style: String?) throws -> HairColour {
    guard let style else { throw StyleError("'Hair' needs a colour: \(known)") }
    let text = named.first { $0.name == style.lowercased() }?.colour ?? style
    guard let colour = SIMD3<Float>(hex: text) else { throw StyleError("'\(style)' is no colour of hair; there are \(known)") }
    return try HairColour(of: colour)
  }

  private static var known: String { names.joined(separator: ", ") + ", or any as #rrggbb" }
}

extension HairColour {
  /// Hair that is of a colour where light falls on it.
  ///
  /// Its luma is spread over a head as that of natural hair of about this luma. Each place is the same pigment seen through more or
  /// less of it, so its channels are the colour's raised to a common power, by the law of Beer and Lambert.
  /// - Parameter colour: sRGB, 0…1.
  init(of colour: SIMD3<Float>) throws {
    let natural = try AttributeTable.naturalHair.map(HairColour.named)
    let middles = natural.map { $0.seen.luma }
    let colour = colour.clamped(lowerBound: .init(repeating: 0.02), upperBound: .init(repeating: 0.98))
    let middle = colour.luma
    let next = middles.firstIndex { $0 >= middle } ?? middles.count - 1
    let last = max(0, next - 1)
    let part = next == last ? 0 : min(1, max(0, (middle - middles[last]) / (middles[next] - middles[last])))
    let colours = natural[0].quantiles.indices.map { i -> SIMD3<Float> in
      func spread(_ k: Int) -> Float { log(max(0.004, natural[k].having[i].luma) / middles[k]) }
      let wanted = middle * exp(spread(last) + part * (spread(next) - spread(last)))
      return colour.raised(toLuma: min(0.96, wanted))
    }
    self.init(having: colours, lacking: colours, skin: natural[1].skin, quantiles: natural[0].quantiles)
  }

  /// The colour that people name: lighter than the median, which has much shade.
  var seen: SIMD3<Float> { steps(isAdded: true)[178] }
}

extension SIMD3<Float> {
  /// `#rrggbb`, in sRGB, 0…1.
  init?(hex text: String) {
    guard text.utf8.count == 7, text.hasPrefix("#"), text.dropFirst().allSatisfy(\.isHexDigit),
      let number = Int(text.dropFirst(), radix: 16)
    else { return nil }
    self = SIMD3(Float(number >> 16), Float(number >> 8 & 255), Float(number & 255)) / 255
  }

  /// The channels raised to the power that brings them to a luma.
  fileprivate func raised(toLuma wanted: Float) -> Self {
    var (low, high): (Float, Float) = (0.02, 12)
    for _ in 0..<24 {
      let power = (low + high) / 2
      if raised(to: .init(repeating: power)).luma > wanted { low = power } else { high = power }
    }
    return raised(to: .init(repeating: (low + high) / 2))
  }
}

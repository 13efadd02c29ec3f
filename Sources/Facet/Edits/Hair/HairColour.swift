import Files
import Foundation
import Photo

/// A colour of hair as photos have it: not one colour, but one for each place of a head between its deepest shade and its brightest
/// highlight.
struct HairColour: Sendable, Equatable {
  /// The colour at each of ``quantiles`` of the luma of a head's hair, 0…1 in sRGB: of hair with the label, and of other hair.
  let having, lacking: [SIMD3<Float>]
  /// The skin that was beside it.
  let skin: SIMD3<Float>
  let quantiles: [Float]

  // MARK: Named colours

  private struct File: Decodable {
    struct Colour: Decodable { let having, lacking: [[Float]]; let skin: [Float] }
    let quantiles: [Float]
    let colours: [String: Colour]
  }

  private static let read = Lazy<[String: HairColour]>()

  /// The colour of a label, such as `Blond_Hair`, as `Benchmarks/run tints` measures it.
  /// - Throws: ``BundleError`` where the file of the package is damaged.
  static func named(_ label: String) throws -> HairColour {
    let url = Bundle.module.url(forResource: "hair-colours", withExtension: "json")
      ?? Bundle.module.bundleURL.appendingPathComponent("hair-colours.json")
    let colours = try read {
      guard let data = try? Data(contentsOf: url), let file = try? JSONDecoder().decode(File.self, from: data),
        file.quantiles.count > 1, file.quantiles == file.quantiles.sorted()
      else { throw BundleError(path: url.path, reason: "missing, or not a file of hair's colours") }
      return try file.colours.mapValues { colour in
        let lists = [colour.having, colour.lacking, [colour.skin]]
        guard lists.joined().allSatisfy({ $0.count == 3 && $0.allSatisfy { 0...1 ~= $0 } }),
          [colour.having, colour.lacking].allSatisfy({ $0.count == file.quantiles.count })
        else { throw BundleError(path: url.path, reason: "a colour is no colour") }
        return HairColour(
          having: colour.having.map { SIMD3($0) }, lacking: colour.lacking.map { SIMD3($0) }, skin: SIMD3(colour.skin),
          quantiles: file.quantiles)
      }
    }
    guard let colour = colours[label] else { throw BundleError(path: url.path, reason: "'\(label)' is missing") }
    return colour
  }

  // MARK: Recolouring

  /// The same colour in a photo whose skin has another colour: hair is seen in the light that skin is seen in.
  func beside(skin seen: SIMD3<Float>) -> HairColour {
    let ratio = (seen + Self.floor) / (skin + Self.floor)
    let light = min(1.15, max(0.6, pow((seen.luma + Self.floor) / (skin.luma + Self.floor), Self.sharedLight)))
    let hue = ratio.raised(to: SIMD3(repeating: Self.sharedHue))
    func lit(_ colour: SIMD3<Float>) -> SIMD3<Float> {
      let tinted = colour * hue
      return (tinted * (light * colour.luma / max(tinted.luma, 1e-4))).clamped(lowerBound: .zero, upperBound: .one)
    }
    return HairColour(having: having.map(lit), lacking: lacking.map(lit), skin: seen, quantiles: quantiles)
  }

  /// How far a head's mean colour is on the way from other hair to hair of this colour, 0…1.
  func presence(in colour: SIMD3<Float>) -> Float {
    let other = lacking.mean
    let way = having.mean - other
    return min(1, max(0, ((colour - other) * way).sum() / max(1e-6, (way * way).sum())))
  }

  /// The colours at 256 steps of quantiles from 0 to 1.
  /// - Parameter isAdded: hair of this colour; otherwise other hair.
  func steps(isAdded: Bool) -> [SIMD3<Float>] {
    let colours = isAdded ? having : lacking
    return (0..<256).map { step in
      let place = Float(step) / 255
      let next = quantiles.firstIndex { $0 >= place } ?? quantiles.count - 1
      let last = max(0, next - 1)
      let width = quantiles[next] - quantiles[last]
      let part = width > 0 ? min(1, max(0, (place - quantiles[last]) / width)) : 0
      return colours[last] + part * (colours[next] - colours[last])
    }
  }

  private static let floor = darkFloor
  /// How much of what is unusual in the light and the hue of skin is in hair, too: in photos with a label, the logarithms of hair's
  /// and skin's ratios of colours go together by slopes of 0.3 to 0.7.
  private static let (sharedLight, sharedHue): (Float, Float) = (0.4, 0.3)
}

extension [SIMD3<Float>] {
  fileprivate var mean: SIMD3<Float> { reduce(.zero, +) / Float(Swift.max(1, count)) }
}

import Foundation

extension Picture {
  /// The picture without colour, in three channels of its luma (Rec. 709's weights on sRGB values); a grey pixel keeps
  /// its value.
  public func desaturated() -> Picture {
    guard channels == 3 else { return rgb() }
    var result = self
    result.pixels.withUnsafeMutableBufferPointer { pixels in
      for i in stride(from: 0, to: pixels.count, by: 3) {
        let (r, g, b) = (Float(pixels[i]), Float(pixels[i + 1]), Float(pixels[i + 2]))
        let luma = byte(lumaOf(r, g, b))
        (pixels[i], pixels[i + 1], pixels[i + 2]) = (luma, luma, luma)
      }
    }
    return result
  }

  /// This picture fading into another one, in linear light, in which half of each is as bright as their mean.
  /// - Parameters:
  ///   - other: of the same size and channels.
  ///   - amount: 0 is this picture, 1 the other.
  /// - Precondition: the sizes match.
  public func mixed(with other: Picture, amount: Double) -> Picture {
    precondition(width == other.width && height == other.height && channels == other.channels, "pictures of one shape")
    let amount = Float(amount)
    var result = self
    result.pixels.withUnsafeMutableBufferPointer { pixels in
      other.pixels.withUnsafeBufferPointer { others in
        for i in pixels.indices where pixels[i] != others[i] {
          let light = (1 - amount) * linearLight[Int(pixels[i])] + amount * linearLight[Int(others[i])]
          pixels[i] = byte(255 * sRGB(light))
        }
      }
    }
    return result
  }
}

/// Light, 0…1, of the 256 sRGB values (IEC 61966-2-1).
private let linearLight: [Float] = (0..<256).map {
  let value = Float($0) / 255
  return value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4)
}

private func sRGB(_ light: Float) -> Float {
  light <= 0.0031308 ? 12.92 * light : 1.055 * pow(light, 1 / 2.4) - 0.055
}

/// A file's own values, kept where they are not the 8-bit sRGB ones that are worked on: of another ICC profile, or
/// of 16 bits a channel. What was not edited is written from them.
struct Source: Sendable {
  /// Grey, red, green and blue, or inks, then alpha; interleaved, `bits` each in the machine's order.
  let values: [UInt8]
  /// 1, 3 or 4.
  let colours: Int
  let hasAlpha: Bool
  /// 8 or 16.
  let bits: Int
  /// Whether the file's metadata holds a profile that the values are meant in.
  let isProfiled: Bool
  /// What was decoded from the values. It shares its memory with the photo's picture until that is edited.
  let decoded: Picture

  var channels: Int { colours + (hasAlpha ? 1 : 0) }

  /// Whether a picture may be an edited one of it.
  func fits(_ picture: Picture) -> Bool { picture.width == decoded.width && picture.height == decoded.height }

  /// The values with a picture's changes: where it differs from the decoded one, the new colour in the file's
  /// profile. What sRGB or 8 bits could not say of the old one is added, the less the greater the change.
  ///
  /// Nil where the picture is of another size, or where grey with a profile became colour.
  func edited(
    _ picture: Picture, _ metadata: Metadata, name: String
  ) throws(PhotoError) -> (values: [UInt8], channels: Int)? {
    guard fits(picture) else { return nil }
    let parts = stride(from: 0, to: picture.width * picture.height, by: 1 << 20).map {
      $0..<min(picture.width * picture.height, $0 + 1 << 20)
    }
    guard let first = parts.first(where: { !changes(picture, in: $0).isEmpty }) else { return (values, channels) }
    var (values, colours) = (values, colours)
    if colours == 1 && parts.contains(where: { changes(picture, in: $0).contains { !picture.isGrey(at: $0) } }) {
      if isProfiled { return nil }
      (values, colours) = (inColour(), 3)
    }
    let pixel = colours + (hasAlpha ? 1 : 0)
    // Conversion takes memory: a part at a time.
    for range in parts where range.lowerBound >= first.lowerBound {
      let part = changes(picture, in: range)
      if part.isEmpty { continue }
      let before = try wide(decoded, part, colours, metadata, name: name)
      let after = try wide(picture, part, colours, metadata, name: name)
      values.withUnsafeMutableBytes { bytes in
        for (i, place) in part.enumerated() {
          let kept = keptPart(picture, place)
          for c in 0..<colours {
            let index = place * pixel + c
            let own =
              bits == 16
              ? Float(bytes.load(fromByteOffset: 2 * index, as: UInt16.self)) : Float(bytes[index]) * 257
            let rest = (own - Float(before[i * colours + c])) * kept
            let value = max(0, min(65535, (Float(after[i * colours + c]) + rest).rounded()))
            if bits == 16 {
              bytes.storeBytes(of: UInt16(value), toByteOffset: 2 * index, as: UInt16.self)
            } else {
              bytes[index] = UInt8((value / 257).rounded())
            }
          }
        }
      }
    }
    return (values, pixel)
  }

  /// How much of what the decoded colour left out stays with a pixel: all up to a change by 16, nothing from 64.
  private func keptPart(_ picture: Picture, _ place: Int) -> Float {
    let change = (3 * place..<3 * place + 3).reduce(0) {
      max($0, abs(Int(picture.pixels[$1]) - Int(decoded.pixels[$1])))
    }
    return max(0, min(1, Float(64 - change) / 48))
  }

  /// Indices of the pixels that differ, of some.
  private func changes(_ picture: Picture, in range: Range<Int>) -> [Int] {
    picture.pixels.withUnsafeBufferPointer { new in
      decoded.pixels.withUnsafeBufferPointer { old in
        // Unedited, the two are one array.
        if new.baseAddress == old.baseAddress { return [] }
        return range.filter { i in
          new[3 * i] != old[3 * i] || new[3 * i + 1] != old[3 * i + 1] || new[3 * i + 2] != old[3 * i + 2]
        }
      }
    }
  }

  /// Some pixels of a picture in the file's profile, 16 bits a channel.
  private func wide(
    _ picture: Picture, _ places: [Int], _ colours: Int, _ metadata: Metadata, name: String
  ) throws(PhotoError) -> [UInt16] {
    if isProfiled {
      let rgb = places.flatMap { picture.pixels[3 * $0..<3 * $0 + 3] }
      return try Codec.convert(rgb, to: metadata, channels: colours, name: name)
    }
    // As libvips takes 16 bits to 8: the lower half is cut off.
    return places.flatMap { picture.pixels[3 * $0..<3 * $0 + colours].map { UInt16($0) << 8 } }
  }

  /// Grey values as red, green and blue.
  private func inColour() -> [UInt8] {
    let size = bits / 8
    var result: [UInt8] = []
    result.reserveCapacity(values.count / channels * (channels + 2))
    for start in stride(from: 0, to: values.count, by: channels * size) {
      let grey = values[start..<start + size]
      result += grey
      result += grey
      result += values[start..<start + channels * size]
    }
    return result
  }
}

extension Picture {
  /// Whether a pixel of three channels has no colour.
  func isGrey(at index: Int) -> Bool {
    let i = 3 * index
    return pixels[i] == pixels[i + 1] && pixels[i] == pixels[i + 2]
  }

  /// The one channel of a picture whose three are the same everywhere; nil for one with colour.
  func grey() -> Picture? {
    guard channels == 3 else { return self }
    let values = pixels.withUnsafeBufferPointer { from -> [UInt8]? in
      for i in stride(from: 0, to: from.count, by: 3) where from[i] != from[i + 1] || from[i] != from[i + 2] {
        return nil
      }
      return stride(from: 0, to: from.count, by: 3).map { from[$0] }
    }
    return values.map { Picture(width: width, height: height, channels: 1, pixels: $0) }
  }
}

import Dispatch

extension Picture {
  /// A window of the picture at another size.
  ///
  /// Reducing averages over each new pixel's area (as OpenCV's INTER_AREA does), enlarging interpolates
  /// with cubics, each axis by itself. Beyond the picture its border is repeated.
  public func resized(window: Window? = nil, to size: (width: Int, height: Int)) -> Picture {
    let window = window ?? Window(x: 0, y: 0, width: width, height: height)
    precondition(window.width > 0 && window.height > 0 && size.width > 0 && size.height > 0, "an empty window")
    let across = Taps(from: window.width, to: size.width, offset: window.x, limit: width)
    let down = Taps(from: window.height, to: size.height, offset: window.y, limit: height)
    let rowLength = size.width * channels
    var result = Picture(width: size.width, height: size.height, channels: channels, filledWith: 0)
    let (width, channels) = (width, channels)
    result.pixels.withUnsafeMutableBufferPointer { buffer in
      pixels.withUnsafeBufferPointer { source in
        nonisolated(unsafe) let (buffer, source) = (buffer, source)
        rows(size.height, work: size.height * down.count * size.width * across.count) { range in
          // Each source row is reduced once and kept while the next new rows need it.
          var kept = [Int: [Float]]()
          var sum = [Float](repeating: 0, count: rowLength)
          for y in range {
            let needed = down.index[y * down.count..<(y + 1) * down.count]
            kept = kept.filter { needed.contains($0.key) }
            for i in sum.indices { sum[i] = 0 }
            for (tap, row) in needed.enumerated() {
              let weight = down.weight[y * down.count + tap]
              if weight == 0 { continue }
              let line = kept[row] ?? across.apply(source, row: row * width * channels, channels: channels)
              kept[row] = line
              for i in 0..<rowLength { sum[i] += weight * line[i] }
            }
            for i in 0..<rowLength { buffer[y * rowLength + i] = byte(sum[i]) }
          }
        }
      }
    }
    return result
  }

  /// A window of a label map at another size: each new pixel takes the value nearest to its middle.
  public func resizedLabels(window: Window? = nil, to size: (width: Int, height: Int)) -> Picture {
    let window = window ?? Window(x: 0, y: 0, width: width, height: height)
    precondition(window.width > 0 && window.height > 0 && size.width > 0 && size.height > 0, "an empty window")
    var values = [UInt8]()
    values.reserveCapacity(size.width * size.height * channels)
    let columns = (0..<size.width).map { x in
      min(width - 1, max(0, window.x + (2 * x + 1) * window.width / (2 * size.width)))
    }
    for y in 0..<size.height {
      let row = min(height - 1, max(0, window.y + (2 * y + 1) * window.height / (2 * size.height)))
      for column in columns { values.append(contentsOf: self[column, row]) }
    }
    return Picture(width: size.width, height: size.height, channels: channels, pixels: values)
  }
}

/// For each of `to` new pixels along an axis, `count` old ones and their weights.
private struct Taps {
  let count: Int
  var index: [Int] = []
  var weight: [Float] = []

  init(from: Int, to: Int, offset: Int, limit: Int) {
    let ratio = Double(from) / Double(to)
    count = ratio > 1 ? Int(ratio.rounded(.up)) + 1 : 4
    index.reserveCapacity(to * count)
    weight.reserveCapacity(to * count)
    for i in 0..<to {
      let start: Int
      if ratio > 1 {
        let (low, high) = (Double(i) * ratio, Double(i + 1) * ratio)
        start = Int(low)
        for tap in start..<start + count {
          weight.append(Float(max(0, min(high, Double(tap + 1)) - max(low, Double(tap))) / ratio))
        }
      } else {
        let middle = (Double(i) + 0.5) * ratio - 0.5
        start = Int(middle.rounded(.down)) - 1
        let cubic = cubicWeights(Float(middle - middle.rounded(.down)))
        for tap in 0..<4 { weight.append(cubic[tap]) }
      }
      for tap in start..<start + count { index.append(min(limit - 1, max(0, offset + tap))) }
    }
  }

  func apply(_ source: UnsafeBufferPointer<UInt8>, row: Int, channels: Int) -> [Float] {
    let pixels = index.count / count
    return [Float](unsafeUninitializedCapacity: pixels * channels) { line, initialized in
      index.withUnsafeBufferPointer { index in
        weight.withUnsafeBufferPointer { weight in
          for x in 0..<pixels {
            for c in 0..<channels {
              var sum: Float = 0
              for tap in x * count..<(x + 1) * count {
                sum += weight[tap] * Float(source[row + index[tap] * channels + c])
              }
              line[x * channels + c] = sum
            }
          }
        }
      }
      initialized = pixels * channels
    }
  }
}

/// Weights of the four pixels around a place `t` (0…1) between the second and the third:
/// Catmull and Rom's cubic, which passes through the pixels.
@inline(__always)
func cubicWeights(_ t: Float) -> SIMD4<Float> {
  let (t2, t3) = (t * t, t * t * t)
  return SIMD4(
    -0.5 * t3 + t2 - 0.5 * t, 1.5 * t3 - 2.5 * t2 + 1, -1.5 * t3 + 2 * t2 + 0.5 * t, 0.5 * t3 - 0.5 * t2)
}

/// Runs `body` on ranges that cover `0..<count`, on all cores where `work` (operations) is worth it.
func rows(_ count: Int, work: Int, _ body: @Sendable (Range<Int>) -> Void) {
  let parts = work > 4_000_000 ? min(count, 16) : 1
  if parts == 1 { return body(0..<count) }
  DispatchQueue.concurrentPerform(iterations: parts) { part in
    body(count * part / parts..<count * (part + 1) / parts)
  }
}

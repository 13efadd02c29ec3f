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
    var result = Picture(width: size.width, height: size.height, channels: channels, filledWith: 0)
    let (width, channels) = (width, channels)
    let reduces = window.width >= size.width && window.height >= size.height
    result.pixels.withUnsafeMutableBufferPointer { buffer in
      pixels.withUnsafeBufferPointer { source in
        nonisolated(unsafe) let (buffer, source) = (buffer, source)
        rows(size.height, work: size.height * down.count * size.width * across.count) { range in
          if reduces {
            reduce(source, rowLength: width * channels, channels, across, down, range, into: buffer)
          } else {
            enlarge(source, rowLength: width * channels, channels, across, down, range, into: buffer)
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

/// Makes the new rows `range`: of each, first its old rows' sum (whole rows at a time, which is what vector units do
/// best), then the sums along it.
private func reduce(
  _ source: UnsafeBufferPointer<UInt8>, rowLength: Int, _ channels: Int, _ across: Taps, _ down: Taps,
  _ range: Range<Int>, into result: UnsafeMutableBufferPointer<UInt8>
) {
  let pixels = across.index.count / across.count
  // The columns that are looked at.
  let (first, last) = (across.index[0], across.index[across.index.count - 1])
  let length = (last - first + 1) * channels
  let index = across.index.map { ($0 - first) * channels }
  // One more, so that four numbers can be read where a pixel has three.
  withUnsafeTemporaryAllocation(of: Float.self, capacity: length + 1) { line in
    line[length] = 0
    let sums = line.baseAddress!
    for y in range {
      var isFirst = true
      for tap in y * down.count..<(y + 1) * down.count where down.weight[tap] != 0 {
        let (weight, row) = (down.weight[tap], source.baseAddress! + down.index[tap] * rowLength + first * channels)
        if isFirst {
          for i in 0..<length { sums[i] = weight * Float(row[i]) }
        } else {
          for i in 0..<length { sums[i] += weight * Float(row[i]) }
        }
        isFirst = false
      }
      let target = result.baseAddress! + y * pixels * channels
      index.withUnsafeBufferPointer { index in
        across.weight.withUnsafeBufferPointer { weight in
          let (index, weight) = (index.baseAddress!, weight.baseAddress!)
          if channels == 3 { return sumThree(sums, across.count, index, weight, pixels, target) }
          for x in 0..<pixels {
            for channel in 0..<channels {
              var sum: Float = 0
              for tap in x * across.count..<(x + 1) * across.count { sum += weight[tap] * sums[index[tap] + channel] }
              target[x * channels + channel] = byte(sum)
            }
          }
        }
      }
    }
  }
}

/// The sums along a row of pixels of three channels, which are averages of values 0…255, rounded.
private func sumThree(
  _ line: UnsafePointer<Float>, _ count: Int, _ index: UnsafePointer<Int>, _ weight: UnsafePointer<Float>,
  _ pixels: Int, _ result: UnsafeMutablePointer<UInt8>
) {
  // 2²³ has no fraction bits left, so that the sum is rounded and stands in the lowest bits; the rest lets halves go up.
  let rounding = SIMD4<Float>(repeating: 0x1p23)
  let up = SIMD4<Float>(repeating: 0x1p-12)
  for x in 0..<pixels {
    var sum = up
    for tap in x * count..<(x + 1) * count {
      let pixel = UnsafeRawPointer(line + index[tap]).loadUnaligned(as: SIMD4<Float>.self)
      sum += weight[tap] * pixel
    }
    let bits = unsafeBitCast(sum + rounding, to: SIMD4<UInt32>.self)
    result[x * 3] = UInt8(truncatingIfNeeded: bits[0])
    result[x * 3 + 1] = UInt8(truncatingIfNeeded: bits[1])
    result[x * 3 + 2] = UInt8(truncatingIfNeeded: bits[2])
  }
}

/// Makes the new rows `range`: each old row is changed along itself once and kept while the next new rows need it.
private func enlarge(
  _ source: UnsafeBufferPointer<UInt8>, rowLength: Int, _ channels: Int, _ across: Taps, _ down: Taps,
  _ range: Range<Int>, into result: UnsafeMutableBufferPointer<UInt8>
) {
  let newLength = across.index.count / across.count * channels
  var kept = [Int: [Float]]()
  var sum = [Float](repeating: 0, count: newLength)
  for y in range {
    let needed = down.index[y * down.count..<(y + 1) * down.count]
    kept = kept.filter { needed.contains($0.key) }
    for i in sum.indices { sum[i] = 0 }
    for (tap, row) in needed.enumerated() {
      let weight = down.weight[y * down.count + tap]
      if weight == 0 { continue }
      let line = kept[row] ?? across.apply(source, row: row * rowLength, channels: channels)
      kept[row] = line
      for i in 0..<newLength { sum[i] += weight * line[i] }
    }
    for i in 0..<newLength { result[y * newLength + i] = byte(sum[i]) }
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

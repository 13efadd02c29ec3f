import CJPEG
import Foundation

/// A JPEG file that was read. Written again, the blocks that an edit leaves alone keep their coefficients, so that nothing is lost outside
/// of it however often a photo is edited.
struct JPEGBlocks: Sendable {
  let file: [UInt8]
  /// EXIF's, with which its blocks lie in the file.
  let orientation: Int
  /// What was decoded from it. It shares its memory with the photo's picture until that is edited.
  let decoded: Picture
  private let layout: Layout

  private struct Layout: Sendable {
    let width, height, components, unitWidth, unitHeight: Int
    var columns: Int { (width + unitWidth - 1) / unitWidth }
    var rows: Int { (height + unitHeight - 1) / unitHeight }
  }

  /// - Parameters:
  ///   - file: its bytes.
  ///   - orientation: EXIF's.
  ///   - decoded: its pixels, upright.
  /// - Returns: `nil` where its blocks cannot be replaced: inks, arithmetic codes, damage.
  init?(_ file: [UInt8], orientation: Int, decoded: Picture) {
    var found = CJLayout()
    guard file.withUnsafeBufferPointer({ cj_layout($0.baseAddress, $0.count, &found) }) else { return nil }
    layout = Layout(
      width: Int(found.width), height: Int(found.height), components: Int(found.components), unitWidth: Int(found.unit_width),
      unitHeight: Int(found.unit_height))
    let size = orientation >= 5 ? (decoded.height, decoded.width) : (decoded.width, decoded.height)
    guard size == (layout.width, layout.height) else { return nil }
    (self.file, self.orientation, self.decoded) = (file, orientation, decoded)
  }

  /// The file with the blocks replaced where a picture differs from the decoded one.
  /// - Parameters:
  ///   - picture: the photo's pixels.
  ///   - pixels: the same as they are written, of the file's own profile.
  ///   - header: a JPEG of this picture's size, whose metadata is taken.
  /// - Returns: `nil` where they do not fit, or libjpeg finds a fault.
  func edited(_ picture: Picture, _ pixels: Codec.Pixels, header: Data) -> Data? {
    guard picture.width == decoded.width, picture.height == decoded.height, pixels.bits == 8, pixels.channels == layout.components
    else { return nil }
    var values = Picture(width: pixels.width, height: pixels.height, channels: pixels.channels, pixels: pixels.values)
    var (new, old) = (picture, decoded)
    if orientation > 1 {
      let back = orientation == 6 ? 8 : orientation == 8 ? 6 : orientation
      (values, new, old) = (values.turned(back), new.turned(back), old.turned(back))
    }
    let changed = changedUnits(new, old)
    let places = changed.indices.filter { changed[$0] != 0 }
    var patch = CJPatch()
    var part = [UInt8]()
    if let first = places.first, let last = places.last {
      let rows = first / layout.columns...last / layout.columns
      let columns = places.reduce((low: Int.max, high: 0)) { (min($0.low, $1 % layout.columns), max($0.high, $1 % layout.columns)) }
      let (left, top) = (columns.low * layout.unitWidth, rows.lowerBound * layout.unitHeight)
      let right = min(layout.width, (columns.high + 1) * layout.unitWidth)
      let bottom = min(layout.height, (rows.upperBound + 1) * layout.unitHeight)
      for y in top..<bottom {
        let start = (y * layout.width + left) * values.channels
        part += values.pixels[start..<start + (right - left) * values.channels]
      }
      (patch.x, patch.y) = (Int64(columns.low), Int64(rows.lowerBound))
      (patch.width, patch.height) = (Int64(right - left), Int64(bottom - top))
    }
    var (result, count): (UnsafeMutablePointer<UInt8>?, Int) = (nil, 0)
    let isWritten = changed.withUnsafeBufferPointer { changed in
      part.withUnsafeBufferPointer { part in
        file.withUnsafeBufferPointer { file in
          (patch.changed, patch.pixels) = (changed.baseAddress, part.baseAddress)
          return cj_patch(file.baseAddress, file.count, patch, &result, &count)
        }
      }
    }
    guard isWritten, let result else { return nil }
    let coded = Data(bytesNoCopy: result, count: count, deallocator: .free)
    return Self.metadata(of: [UInt8](header)) + coded.dropFirst(2)
  }

  /// Whether any pixel of each unit differs, row by row.
  private func changedUnits(_ new: Picture, _ old: Picture) -> [UInt8] {
    var changed = [UInt8](repeating: 0, count: layout.columns * layout.rows)
    new.pixels.withUnsafeBufferPointer { new in
      old.pixels.withUnsafeBufferPointer { old in
        // Unedited, the two are one array.
        if new.baseAddress == old.baseAddress { return }
        for y in 0..<layout.height {
          let row = y / layout.unitHeight * layout.columns
          for column in 0..<layout.columns where changed[row + column] == 0 {
            let start = column * layout.unitWidth
            let count = min(layout.unitWidth, layout.width - start)
            let place = 3 * (y * layout.width + start)
            if memcmp(new.baseAddress! + place, old.baseAddress! + place, 3 * count) != 0 { changed[row + column] = 1 }
          }
        }
      }
    }
    return changed
  }

  /// The start of a JPEG with the segments that say how to see it.
  private static func metadata(of file: [UInt8]) -> Data {
    func read(_ offset: Int, _ count: Int) -> [UInt8] { Array(file[min(offset, file.count)..<min(offset + count, file.count)]) }
    return JPEGSegments(read).all.filter { 0xE0...0xEF ~= $0.marker || $0.marker == 0xFE }
      .reduce(into: Data([0xFF, 0xD8])) { $0 += file[$1.start..<$1.body.upperBound] }
  }

  /// The first fault that libjpeg warns of in a file, up to its end; `nil` for none.
  static func damage(of file: [UInt8]) -> String? {
    var message = [CChar](repeating: 0, count: Int(CJ_MESSAGE))
    let isDamaged = file.withUnsafeBufferPointer { cj_damage($0.baseAddress, $0.count, &message) }
    return isDamaged ? String(decoding: message.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self) : nil
  }

  /// A component's coefficients, 64 for each block, row by row; `nil` where there are none.
  static func coefficients(of file: [UInt8], component: Int) -> [Int16]? {
    file.withUnsafeBufferPointer { file in
      var count = 0
      guard cj_coefficients(file.baseAddress, file.count, Int32(component), nil, &count) else { return nil }
      return [Int16](unsafeUninitializedCapacity: count) { values, initialized in
        initialized = cj_coefficients(file.baseAddress, file.count, Int32(component), values.baseAddress, &count) ? count : 0
      }
    }
  }
}

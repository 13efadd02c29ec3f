import Facet
import Files
import Foundation
import Torch

/// Arrays in one file as numpy's `savez` writes them: a ZIP archive of `.npy` files, not compressed.
struct NPZ {
  private var local = Data()
  private var directory = Data()
  private var count: UInt16 = 0

  /// Adds numbers of float32.
  mutating func add(_ name: String, _ tensor: Tensor) throws {
    add(name, type: "<f4", shape: tensor.shape, Data(try tensor.to(.float32).bytes()))
  }

  /// Adds a list of texts; each takes as much room as the longest.
  mutating func add(_ name: String, _ texts: [String]) {
    let scalars = texts.map { $0.unicodeScalars.map(\.value) }
    let longest = max(1, scalars.map(\.count).max() ?? 1)
    var data = Data()
    for text in scalars {
      for value in text + [UInt32](repeating: 0, count: longest - text.count) { data.append(value) }
    }
    add(name, type: "<U\(longest)", shape: [texts.count], data)
  }

  /// The format of NPY 1.0 (numpy.lib.format) inside of ZIP's (PKWARE's APPNOTE, 4.3).
  private mutating func add(_ name: String, type: String, shape: [Int], _ content: Data) {
    let sizes = shape.map { "\($0)," }.joined(separator: " ")
    var header = "{'descr': '\(type)', 'fortran_order': False, 'shape': (\(sizes)), }"
    header += String(repeating: " ", count: 63 - (10 + header.utf8.count) % 64) + "\n"
    var file = Data([0x93]) + Data("NUMPY".utf8) + Data([1, 0])
    file.append(UInt16(header.utf8.count))
    file += Data(header.utf8) + content

    let path = Data("\(name).npy".utf8)
    var entry = Data()
    entry.append(UInt16(20))  // version
    entry.append(UInt32(0))  // flags; stored
    entry.append(UInt32(0x21 << 16))  // 1980-01-01, so that the same arrays give the same file
    entry.append(CRC32.zip.checksum(file))
    entry.append(UInt32(file.count))
    entry.append(UInt32(file.count))
    entry.append(UInt16(path.count))
    entry.append(UInt16(0))  // extra field

    directory.append(UInt32(0x0201_4b50))
    directory.append(UInt16(20))
    directory += entry
    directory += Data(repeating: 0, count: 10)  // comment, disk, attributes
    directory.append(UInt32(local.count))
    directory += path
    local.append(UInt32(0x0403_4b50))
    local += entry + path + file
    count += 1
  }

  /// The file's bytes.
  var data: Data {
    var end = Data()
    end.append(UInt32(0x0605_4b50))
    end.append(UInt32(0))  // disks
    end.append(count)
    end.append(count)
    end.append(UInt32(directory.count))
    end.append(UInt32(local.count))
    end.append(UInt16(0))  // comment
    return local + directory + end
  }
}

extension Data {
  /// Appends a number, its lowest byte first.
  fileprivate mutating func append(_ value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }
}

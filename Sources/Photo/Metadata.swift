import CVips

/// EXIF, XMP, IPTC, ICC profile and resolution of a file that was read, for the one that is written.
final class Metadata: @unchecked Sendable {
  // Changed only by who makes it.
  let pointer: OpaquePointer

  /// A JPEG's segment has 65533 bytes, of which 29 name what it is.
  static let segmentLimit = 65_000

  private init(_ pointer: OpaquePointer) { self.pointer = pointer }
  deinit { cv_metadata_free(pointer) }

  /// An image's metadata, or none for nil. Nil where there is no memory for it.
  convenience init?(of image: OpaquePointer?) {
    guard let pointer = cv_metadata(image) else { return nil }
    self.init(pointer)
  }

  /// What is written into a file.
  /// - Parameter gainMap: the bytes of the gain map that goes with it.
  func written(
    as format: Photo.Format?, keepsLocation: Bool, source: DigitalSource?, gainMap: Int? = nil
  ) -> Metadata? {
    guard let copy = cv_metadata_copy(pointer, keepsLocation).map(Metadata.init(_:)) else { return nil }
    let limit = format == .jpeg ? Self.segmentLimit : XMPPacket.sizeLimit
    copy["xmp-data"] = XMPPacket.edited(
      self["xmp-data"], keepsLocation: keepsLocation, source: source, gainMap: gainMap, limit: limit)
    copy["iptc-data"] = self["iptc-data"].flatMap {
      IPTC.edited($0, keepsLocation: keepsLocation, for: format ?? .webp)
    }
    return copy
  }

  /// The EXIF block as a JPEG would have it: without a thumbnail, and with a place only where that is kept.
  var exif: [UInt8]? {
    guard self["exif-data"] != nil,
      let file = try? Codec.encode(
        Codec.Pixels(Picture(width: 1, height: 1, filledWith: 0)), metadata: self, format: .jpeg, quality: 50, name: "EXIF")
    else { return nil }
    let read = reader(of: [UInt8](file))
    return JPEGSegments(read).body(0xE1, named: JPEGSegments.exif, read)
      .map { Array(JPEGSegments.exif.utf8) + read($0.lowerBound, $0.count) }
  }

  /// Puts sRGB's profile in the place of the file's own, if it has one.
  func replaceProfile() { cv_metadata_replace_profile(pointer) }

  /// The bytes of libvips' field of this name.
  subscript(field: String) -> [UInt8]? {
    get {
      var count = 0
      guard let bytes = cv_metadata_get(pointer, field, &count) else { return nil }
      return Array(UnsafeRawBufferPointer(start: bytes, count: count))
    }
    set {
      if let newValue {
        newValue.withUnsafeBytes { cv_metadata_set(pointer, field, $0.baseAddress, $0.count) }
      } else {
        cv_metadata_set(pointer, field, nil, 0)
      }
    }
  }
}

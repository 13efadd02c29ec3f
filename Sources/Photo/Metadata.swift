import CVips

/// EXIF, XMP, IPTC, ICC profile and resolution of a file that was read, for the one that is written.
final class Metadata: @unchecked Sendable {
  // Changed only by who makes it.
  let pointer: OpaquePointer

  private init(_ pointer: OpaquePointer) { self.pointer = pointer }
  deinit { cv_metadata_free(pointer) }

  /// An image's metadata, or none for nil. Nil where there is no memory for it.
  convenience init?(of image: OpaquePointer?) {
    guard let pointer = cv_metadata(image) else { return nil }
    self.init(pointer)
  }

  /// What is written into a file.
  func written(as format: Photo.Format?, keepsLocation: Bool, source: DigitalSource?) -> Metadata? {
    guard let copy = cv_metadata_copy(pointer, keepsLocation).map(Metadata.init(_:)) else { return nil }
    // A JPEG's segment has 65533 bytes, of which 29 name what it is.
    let limit = format == .jpeg ? 65_000 : XMPPacket.sizeLimit
    copy["xmp-data"] = XMPPacket.edited(self["xmp-data"], keepsLocation: keepsLocation, source: source, limit: limit)
    copy["iptc-data"] = self["iptc-data"].flatMap {
      IPTC.edited($0, keepsLocation: keepsLocation, for: format ?? .webp)
    }
    return copy
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

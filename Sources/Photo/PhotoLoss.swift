/// Something that a photo's file carries and the file that is written of it does not. The description goes on from
/// the file's name.
public enum PhotoLoss: Hashable, Sendable, CustomStringConvertible {
  /// The file's data has faults; what they hide is grey, or shifted.
  case damagedData(reason: String)
  /// What makes it brighter on a screen with more light.
  case gainMap
  /// A motion photo's: it shows the face before the edit.
  case video
  /// A motion photo's sound.
  case sound
  /// How far away each pixel is.
  case depthMap
  /// Pictures beside the one that is edited: of a stereo pair, a burst, masks.
  case otherPictures
  /// A TIFF's, as Photoshop writes them.
  case layers
  /// A JPEG's comment.
  case comment
  /// Signed words on the file's origin, as Content Credentials (C2PA) are; they hold for the bytes that they were made of alone.
  case credentials
  /// The part of the XMP that does not fit into a JPEG's segment.
  case extendedXMP
  /// XMP, because a JPEG does not hold as much.
  case xmp
  /// IPTC datasets, which JPEG and TIFF have alone.
  case iptc
  /// CMYK or Lab.
  case colourSpace(String)
  /// Values with a point become ones of 16 bits.
  case floatValues
  /// Values of 16 bits become ones of fewer.
  case depth
  /// Opacity; white shows instead.
  case transparency

  /// Whether the picture itself is not what it was.
  public var isDamage: Bool {
    if case .damagedData = self { true } else { false }
  }

  public var description: String {
    switch self {
    case .damagedData(let reason): "part of its data is damaged, and shows as grey or shifted: \(reason)"
    case .gainMap: "its HDR gain map is left out: it looks the same on other screens, and less bright on an HDR one"
    case .video: "the video in it is left out, for it shows the photo before the edit"
    case .sound: "the sound in it is left out"
    case .depthMap: "its depth map is left out"
    case .otherPictures: "the other pictures in it are left out"
    case .layers: "its layers are left out; the picture that they make together is kept"
    case .comment: "its comment is left out"
    case .credentials: "its Content Credentials (C2PA, JUMBF) are left out, for they are of the photo before the edit"
    case .extendedXMP: "the extended part of its XMP is left out"
    case .xmp: "its XMP is left out, for a JPEG holds no more than 65 kB"
    case .iptc: "its IPTC data is left out, which only .jpg and .tif hold"
    case .colourSpace(let name): "its colours are \(name) and become RGB"
    case .floatValues: "its values of 32 bits become ones of 16"
    case .depth: "its 16 bits a channel become fewer; .tif and .png keep them"
    case .transparency: "its transparency becomes white; .png, .webp and .tif keep it"
    }
  }
}

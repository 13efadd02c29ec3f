/// A picture with a line of text under it.
public struct Tile: Sendable {
  public var picture: Picture
  public var caption: String

  public init(_ picture: Picture, caption: String = "") {
    self.picture = picture
    self.caption = caption
  }
}

extension Picture {
  /// Rows of tiles on white, each in a cell of the widest and highest tile's size, captions centred below.
  /// - Parameters:
  ///   - rows: at least one tile; rows may differ in length.
  ///   - gap: white pixels between the cells and around them.
  ///   - captionHeight: letter size in pixels.
  /// - Throws: ``PhotoError/captionFailed(text:reason:)``.
  public static func sheet(
    _ rows: [[Tile]], gap: Int = 8, captionHeight: Int = 14
  ) throws(PhotoError) -> Picture {
    let tiles = rows.joined()
    precondition(!tiles.isEmpty, "a sheet without tiles")
    // A caption wider than its cell widens the cells.
    var captions: [[Picture?]] = []
    for row in rows {
      var line: [Picture?] = []
      for tile in row { line.append(try Codec.draw(tile.caption, height: captionHeight)?.inverted().rgb()) }
      captions.append(line)
    }
    let drawn = captions.joined().compactMap { $0 }
    let width = max(tiles.map(\.picture.width).max() ?? 1, drawn.map(\.width).max() ?? 0)
    let height = tiles.map(\.picture.height).max() ?? 1
    let below = drawn.isEmpty ? 0 : max(captionHeight * 2, (drawn.map(\.height).max() ?? 0) + 6)
    let columns = rows.map(\.count).max() ?? 1
    var sheet = Picture(
      width: gap + columns * (width + gap), height: gap + rows.count * (height + below + gap), filledWith: 255)
    for (r, row) in rows.enumerated() {
      for (c, tile) in row.enumerated() {
        let (x, y) = (gap + c * (width + gap), gap + r * (height + below + gap))
        sheet.paste(
          tile.picture.rgb(), x: x + (width - tile.picture.width) / 2, y: y + (height - tile.picture.height) / 2)
        if let caption = captions[r][c] {
          sheet.paste(caption, x: x + (width - caption.width) / 2, y: y + height + (below - caption.height) / 2)
        }
      }
    }
    return sheet
  }

  private func inverted() -> Picture {
    Picture(width: width, height: height, channels: channels, pixels: pixels.map { 255 - $0 })
  }
}

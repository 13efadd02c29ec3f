/// A picture with a line of text under it.
public struct Tile: Sendable {
  /// The picture.
  public var picture: Picture
  /// The line under it; empty for none.
  public var caption: String

  /// A picture and the line under it.
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

  /// Draws a frame with a line of text in its corner, white in black.
  /// - Parameters:
  ///   - window: what is framed; what lies outside of the picture is cut off.
  ///   - text: such as a number.
  /// - Throws: ``PhotoError/captionFailed(text:reason:)``.
  public mutating func mark(_ window: Window, with text: String) throws(PhotoError) {
    let line = max(1, max(width, height) / 400)
    for (inset, value) in [(0, UInt8(0)), (line, 255)] {
      let (x, y) = (window.x + inset, window.y + inset)
      let (wide, high) = (max(1, window.width - 2 * inset), max(1, window.height - 2 * inset))
      let across = Picture(width: wide, height: line, channels: channels, filledWith: value)
      let down = Picture(width: line, height: high, channels: channels, filledWith: value)
      for place in [(x, y), (x, y + high - line)] { paste(across, x: place.0, y: place.1) }
      for place in [(x, y), (x + wide - line, y)] { paste(down, x: place.0, y: place.1) }
    }
    guard let drawn = try Codec.draw(text, height: max(12, min(window.height / 4, 12 * line))) else { return }
    let label = channels == 3 ? drawn.rgb() : drawn
    let (x, y) = (max(0, window.x) + 2 * line, max(0, window.y) + 2 * line)
    paste(Picture(width: label.width + 4 * line, height: label.height + 4 * line, channels: channels, filledWith: 0), x: x, y: y)
    paste(label, x: x + 2 * line, y: y + 2 * line)
  }

  private func inverted() -> Picture {
    Picture(width: width, height: height, channels: channels, pixels: pixels.map { 255 - $0 })
  }
}

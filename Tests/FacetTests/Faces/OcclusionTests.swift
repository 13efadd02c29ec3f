import Foundation
import Photo
import Testing
import Torch

@testable import Facet
@testable import FacetTraining

/// Things in front of a face.
@Suite struct OcclusionTests {
  @Test func nothingIsInFrontOfThePortrait() throws {
    let face = try FaceEditorTests.portrait.get().face
    #expect(try face.hiddenFeatures.isEmpty && face.occlusion == nil)
  }

  /// A black microphone before the mouth: its pixels keep their bits, and those of the lips beside it do not.
  @Test func whatIsInFrontStaysAsItIs() throws {
    let (editor, photo, face) = try FaceEditorTests.portrait.get()
    let landmarks = try face.anatomy.landmarks
    let toCrop = face.alignment.transform(size: 1)
    let (left, right) = (landmarks[48], landmarks[54])
    let radius = 0.5 * hypot(right.x - left.x, right.y - left.y)
    // Its head hides the right half of the mouth.
    let middle = Point(x: right.x, y: right.y + 0.2 * radius)
    func depth(_ x: Int, _ y: Int) -> Double {
      let point = toCrop(Point(x: Double(x) + 0.5, y: Double(y) + 0.5))
      let (dx, dy) = (point.x - middle.x, point.y - middle.y)
      return min(hypot(dx, dy) - radius, dy > 0 ? abs(dx - 0.3 * dy) - 0.45 * radius : .infinity)
    }
    let (width, height) = (photo.width, photo.height)
    var pixels = photo.picture.pixels
    for y in 0..<height {
      for x in 0..<width where depth(x, y) < 0 {
        // Wire mesh.
        for channel in 0..<3 { pixels[3 * (y * width + x) + channel] = UInt8(30 + 22 * ((x / 2 + y / 2) % 2)) }
      }
    }
    let covered = Picture(width: width, height: height, channels: 3, pixels: pixels)
    let occluded = try editor.encode(FaceCrop(of: covered, face.alignment, size: editor.bundle.configuration.imageSize))
    let hidden = try occluded.hiddenFeatures
    #expect(hidden.contains(.mouth) && !hidden.contains(.eyes), "\(hidden)")
    let edited = try editor.apply([AttributeEdit("Heavy_Makeup"), AttributeEdit("Smiling", strength: -1)], to: occluded, in: covered)
    var (inside, changed, beside) = (0, 0, 0)
    for y in 0..<height {
      for x in 0..<width {
        let difference = zip(edited[x, y], covered[x, y]).map { abs(Int($0) - Int($1)) }.max()!
        if depth(x, y) < -0.15 * radius {
          inside += 1
          changed += difference > 8 ? 1 : 0
        } else if depth(x, y) > 0.15 * radius {
          beside += difference > 8 ? 1 : 0
        }
      }
    }
    #expect(inside > 300 && Double(changed) < 0.03 * Double(inside), "\(changed) of \(inside)")
    #expect(beside > 300)
  }

  /// Records of the trainer: drawn things are background, and nothing else changes its class.
  @Test func drawnThingsAreBackground() throws {
    let record = try Self.record()
    let (pixels, classes) = (3 * Self.side * Self.side, Self.side * Self.side)
    var covered = 0
    for seed in UInt64(0)..<60 {
      var (once, again) = (record, record)
      DrawnOccluder.draw(on: &once, from: record, side: Self.side, seed: seed)
      DrawnOccluder.draw(on: &again, from: record, side: Self.side, seed: seed)
      #expect(once == again, "seed \(seed)")
      for pixel in 0..<classes where once[pixels + pixel] != record[pixels + pixel] {
        #expect(once[pixels + pixel] == FaceClass.background.rawValue)
        covered += 1
      }
    }
    #expect(covered > 60 * classes / 50)
    // Without a face nothing is drawn.
    var none = [UInt8](repeating: 0, count: 4 * classes)
    DrawnOccluder.draw(on: &none, from: record, side: Self.side, seed: 1)
    #expect(none.allSatisfy { $0 == 0 })
  }

  @Test func whiteHairKeepsItsPlace() throws {
    let record = try Self.record()
    let (pixels, classes) = (3 * Self.side * Self.side, Self.side * Self.side)
    for seed in UInt64(0)..<20 {
      var white = record
      WhiteHair.draw(on: &white, side: Self.side, seed: seed)
      #expect(white[pixels...] == record[pixels...])
      let hair = (0..<classes).filter { record[pixels + $0] == FaceClass.hair.rawValue }
      let mean = hair.reduce(0) { $0 + Int(white[3 * $1 + 1]) } / hair.count
      #expect((90...240).contains(mean), "seed \(seed): \(mean)")
      let skin = (0..<classes).filter { record[pixels + $0] == FaceClass.nose.rawValue }
      #expect(skin.allSatisfy { white[3 * $0] == record[3 * $0] })
    }
  }

  private static let side = 96

  /// The sample portrait with the parser's own map.
  private static func record() throws -> [UInt8] {
    let face = try FaceEditorTests.portrait.get().face
    let map = try FaceParser().labelMaps(of: [face.crop])[0]
    return face.crop.resized(to: (side, side)).pixels + map.resizedLabels(to: (side, side)).pixels
  }
}

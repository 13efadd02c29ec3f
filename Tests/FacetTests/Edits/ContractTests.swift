import Foundation
import Photo
import Testing
import Torch

@testable import Facet

/// What holds for every row of the table, added and removed, on every face.
@Suite("The contract of every edit", .serialized) struct ContractTests {
  static let states = AttributeTable.all.flatMap { row in
    [true, false].map { AttributeState(name: row.name, adds: $0) }
  }

  /// Attributes that people ask for first.
  private static let leading: Set = ["Smiling", "Mouth_Slightly_Open", "Blond_Hair", "Eyeglasses", "Male"]
  /// The model reads a smile off the nose and the folds, too, which stay.
  private static let unseen = AttributeState(name: "Smiling", adds: false)

  /// A face in a photo.
  private struct Sitter {
    let name: String
    let picture: Picture
    let face: EncodedFace
  }

  /// The portrait that ships, and of `FACET_DATA` portraits of dark skin, of men, and with glasses.
  private static let made = Result {
    let editor = try FaceEditorTests.portrait.get().editor
    let (_, photo, face) = try FaceEditorTests.portrait.get()
    var sitters = [Sitter(name: "astronaut", picture: photo.picture, face: face)]
    if let data = ProcessInfo.processInfo.environment["FACET_DATA"] {
      for name in ["020106", "029110", "021300", "021507"] {
        let url = URL(fileURLWithPath: data).appendingPathComponent("../portraits/\(name).jpg").standardizedFileURL
        guard FileManager.default.fileExists(atPath: url.path) else { continue }
        let picture = try Picture(contentsOf: url)
        sitters.append(Sitter(name: name, picture: picture, face: try editor.face(in: picture)))
      }
    }
    return (editor: editor, sitters: sitters)
  }

  private func edit(_ state: AttributeState, _ strength: Double = 1) throws -> AttributeEdit {
    try AttributeEdit(state.name, strength: state.adds ? strength : -strength)
  }

  @Test(arguments: states) func strengthZeroLaysNothing(_ state: AttributeState) throws {
    let (editor, sitters) = try Self.made.get()
    for sitter in sitters {
      #expect(try editor.change(FaceEdit(sitter.face, [edit(state, 0)])).layers.isEmpty, "\(sitter.name)")
    }
  }

  @Test(arguments: states) func theOrderDoesNotMatter(_ state: AttributeState) throws {
    let (editor, sitters) = try Self.made.get()
    let other = AttributeEdit(state.name == "Bangs" ? "Pale_Skin" : "Bangs")
    for sitter in sitters {
      let first = try editor.change(FaceEdit(sitter.face, [edit(state), other]))
      #expect(try editor.change(FaceEdit(sitter.face, [other, edit(state)])) == first, "\(sitter.name)")
    }
  }

  @Test(arguments: states) func cropAndPhotoAgree(_ state: AttributeState) throws {
    let (editor, sitters) = try Self.made.get()
    for sitter in sitters {
      let change = try editor.change(FaceEdit(sitter.face, [edit(state)]))
      var (photo, crop) = (sitter.picture, sitter.face.crop)
      change.apply(to: &photo)
      change.apply(toCrop: &crop)
      let cut = sitter.face.alignment.crop(photo, size: crop.width)
      let difference = zip(cut.pixels, crop.pixels).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
      #expect(Double(difference) / Double(crop.pixels.count) < 2, "\(sitter.name)")
    }
  }

  @Test(arguments: states) func nothingChangesOutsideTheLayers(_ state: AttributeState) throws {
    let (editor, sitters) = try Self.made.get()
    for sitter in sitters {
      let change = try editor.change(FaceEdit(sitter.face, [edit(state)]))
      var edited = sitter.picture
      change.apply(to: &edited)
      let alignment = sitter.face.alignment
      let isWide = change.layers.contains { $0.extent == .surroundings }
      let place = isWide ? alignment.surroundings(size: 1) : alignment.transform(size: 1)
      var strays = 0
      for y in 0..<edited.height {
        for x in 0..<edited.width where edited[x, y] != sitter.picture[x, y] {
          let point = place(Point(x: Double(x) + 0.5, y: Double(y) + 0.5))
          if !(0...1).contains(point.x) || !(0...1).contains(point.y) { strays += 1 }
        }
      }
      #expect(strays == 0, "\(sitter.name)")
    }
  }

  @Test(arguments: states) func theProbeDoesNotMoveAgainstTheAskedWay(_ state: AttributeState) throws {
    let (editor, sitters) = try Self.made.get()
    let isLeading = Self.leading.contains(state.name) && state != Self.unseen
    for sitter in sitters {
      let before = try #require(editor.probabilities(in: sitter.face)[state.name])
      let after = try #require(editor.probabilities(in: sitter.face, after: [edit(state)])[state.name])
      let way = state.adds ? after - before : before - after
      #expect(way > -0.05, "\(sitter.name): \(before) to \(after)")
      // Who shows it already cannot show much more of it.
      if isLeading, (state.adds ? 1 - before : before) > 0.4 { #expect(way > 0.1, "\(sitter.name): \(before) to \(after)") }
    }
  }

  @Test(arguments: states) func theArticleLaysOneLayer(_ state: AttributeState) throws {
    let (editor, sitters) = try Self.made.get()
    for sitter in sitters {
      #expect(try editor.change(FaceEdit(sitter.face, [edit(state)], options: .init(style: .article))).layers.count == 1)
    }
  }

  /// All edits of a face look at one parse of its crop, and the memory that they leave in it is counted.
  @Test func aCropIsParsedOnce() throws {
    let editor = try FaceEditor()
    let (_, photo, _) = try FaceEditorTests.portrait.get()
    let face = try editor.face(in: photo.picture)
    let fresh = face.byteCount
    #expect(editor.tools.observer.parses == 0)
    for state in Self.states { _ = try editor.change(FaceEdit(face, [edit(state)])) }
    #expect(editor.tools.observer.parses == 1)
    // The classes of each pixel alone are 19 numbers of 4 bytes.
    #expect(face.byteCount > fresh + 19 * 4 * face.crop.width * face.crop.width)
  }
}

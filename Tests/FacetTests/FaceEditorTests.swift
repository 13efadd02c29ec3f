import Foundation
import Photo
import Testing
import Torch

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

/// The editor with the default bundle, on a face of the portrait that ships with the package.
@Suite(.serialized) struct FaceEditorTests {
  /// Debug builds search slowly, so the face is encoded once; the suite runs one test at a time.
  static let portrait = Result {
    let photo = try Photo(contentsOf: PortraitTests.astronaut)
    let editor = try FaceEditor()
    return (editor: editor, photo: photo, face: try editor.face(in: photo.picture))
  }

  @Test func anEditChangesTheFaceAndNothingElse() throws {
    let (editor, photo, face) = try Self.portrait.get()
    for options in [EditOptions(), .init(style: .article)] {
      let edited = try editor.apply(
        [AttributeEdit("Smiling", strength: -1)], to: face, in: photo.picture, options: options)
      #expect(edited.width == photo.width && edited.height == photo.height)
      #expect(edited != photo.picture)
      let place = face.alignment.transform(size: 1)
      var outside = 0
      for y in 0..<photo.height {
        for x in 0..<photo.width {
          let point = place(Point(x: Double(x) + 0.5, y: Double(y) + 0.5))
          if (0...1).contains(point.x), (0...1).contains(point.y) { continue }
          outside += 1
          #expect(edited[x, y] == photo.picture[x, y], "\(options.style) at \(x), \(y)")
        }
      }
      #expect(outside > 1000)
    }
  }

  @Test func theHairOfThePortraitChangesAlone() throws {
    let (editor, photo, face) = try Self.portrait.get()
    let parser = try FaceParser()
    let side = Surroundings.size
    let surroundings = photo.picture.warped(by: face.alignment.surroundings(size: side), to: (side, side))
    let probable = try parser.probabilities(of: [[.hair]], in: surroundings)[0]
    #expect(probable.count == surroundings.width * surroundings.height)
    #expect(probable.allSatisfy { (0...1).contains($0) })
    let labels = try parser.labelMaps(of: [surroundings])[0].pixels
    for (part, label) in zip(probable, labels) where part > 0.6 { #expect(label == FaceClass.hair.rawValue) }

    let blond = [AttributeEdit("Blond_Hair")]
    let change = try editor.change(FaceEdit(face, blond))
    let patch = try #require(change.tints.first)
    var edited = photo.picture
    change.apply(to: &edited)
    let place = face.alignment.surroundings(size: patch.width)
    /// Whether hair is so near that interpolation may reach a place.
    func isNearHair(_ column: Int, _ row: Int) -> Bool {
      let around = (-3...3).map { min(patch.width - 1, max(0, $0 + column)) }
      return (-3...3).contains { y in
        let row = min(patch.height - 1, max(0, row + y))
        return around.contains { column in
          patch.values[(row * patch.width + column) * 4..<(row * patch.width + column + 1) * 4].contains { $0 != 0 }
        }
      }
    }
    var (lighter, kept) = (0, 0)
    for y in 0..<photo.height {
      for x in 0..<photo.width {
        let point = place(Point(x: Double(x) + 0.5, y: Double(y) + 0.5))
        let (column, row) = (Int(point.x.rounded(.down)), Int(point.y.rounded(.down)))
        if isNearHair(column, row) {
          if edited[x, y].reduce(0, { $0 + Int($1) }) > photo.picture[x, y].reduce(60, { $0 + Int($1) }) { lighter += 1 }
        } else if edited[x, y] == photo.picture[x, y] {
          kept += 1
        } else {
          Issue.record("\(x), \(y) is no hair and changed")
          return
        }
      }
    }
    #expect(lighter > 2000 && kept > 100_000)

    // The model's own view of the edited face follows.
    let name = "Blond_Hair"
    #expect(try #require(editor.probabilities(in: face, after: blond)[name]) > #require(editor.probabilities(in: face)[name]))
    // The ways to compare with decode the colour, as ever.
    var options = EditOptions()
    options.style = .decoded
    #expect(try editor.change(FaceEdit(face, blond, options: options)).tints.isEmpty)
    #expect(try editor.change(FaceEdit(face, blond, options: .init(style: .article))).tints.isEmpty)
  }

  @Test func aMustacheOfThePortraitIsNoBeard() throws {
    let (editor, photo, face) = try Self.portrait.get()
    let unit = face.alignment.transform(size: 100)
    /// The mean change of a crop's rows, in its middle.
    func change(_ edits: [AttributeEdit], _ rows: Range<Int>) throws -> Double {
      let edited = try editor.apply(edits, to: face, in: photo.picture)
      var sum = 0.0
      for row in rows {
        for column in 35..<65 {
          let point = unit.inverse(Point(x: Double(column) + 0.5, y: Double(row) + 0.5))
          let (x, y) = (Int(point.x), Int(point.y))
          sum += zip(edited[x, y], photo.picture[x, y]).reduce(0) { $0 + abs(Double($1.0) - Double($1.1)) } / 3
        }
      }
      return sum / Double(30 * rows.count)
    }
    let mustache = [AttributeEdit("Mustache")]
    #expect(try change(mustache, 55..<75) > 5 && change(mustache, 75..<85) == 0)
    // What is asked besides it is there as well.
    let both = try mustache + [AttributeEdit("No_Beard", strength: -1)]
    #expect(try change(both, 75..<85) > 10)
    // As ever where directions are compared.
    var options = EditOptions()
    options.style = .decoded
    let isolated = try #require(editor.change(FaceEdit(face, mustache, options: options)).patch)
    let placed = try #require(editor.change(FaceEdit(face, mustache)).drawn.first)
    func extent(_ patch: FloatPicture) -> Int { stride(from: 3, to: patch.values.count, by: 4).count { patch.values[$0] < -0.05 } }
    #expect(extent(isolated) * (placed.width / isolated.width) * (placed.width / isolated.width) > 2 * extent(placed))
  }

  @Test func theSkinOfThePortraitChangesUnderOtherEdits() throws {
    let (editor, photo, face) = try Self.portrait.get()
    let cheek = face.alignment.transform(size: 100).inverse(Point(x: 32, y: 62))
    let backdrop = Point(x: 10, y: 10)
    func colour(_ picture: Picture, _ point: Point) -> [Int] { picture[Int(point.x), Int(point.y)].map(Int.init) }
    func edited(_ edits: [AttributeEdit]) throws -> Picture { try editor.apply(edits, to: face, in: photo.picture) }
    let own = colour(photo.picture, cheek)
    let pale = try edited([AttributeEdit("Pale_Skin")])
    #expect(zip(colour(pale, cheek), own).allSatisfy { $0 > $1 } && colour(pale, backdrop) == colour(photo.picture, backdrop))
    // Less red than light.
    #expect(colour(pale, cheek)[0] - colour(pale, cheek)[2] < own[0] - own[2])
    // Frames are drawn over pale skin, as dark as over the photo's own.
    func darkest(_ picture: Picture) -> Int {
      (20...80).map { x in colour(picture, face.alignment.transform(size: 100).inverse(Point(x: Double(x), y: 45))).reduce(0, +) }.min()!
    }
    let glasses = AttributeEdit("Eyeglasses")
    #expect(try darkest(edited([glasses, AttributeEdit("Pale_Skin")])) < darkest(edited([glasses])) + 90)
    // Skin and hair together are both changed.
    let both = try editor.change(FaceEdit(face, [AttributeEdit("Blond_Hair"), AttributeEdit("Pale_Skin")]))
    let alone = try ["Blond_Hair", "Pale_Skin"].map { try editor.change(FaceEdit(face, [AttributeEdit($0)])) }
    // Skin before hair, each as it is alone.
    #expect(both.tints.map(\.values) == alone.reversed().flatMap(\.tints).map(\.values))
  }

  /// The article's own set is in the default bundle.
  @Test func combinedDirectionsAreAboutTheirLabels() throws {
    let (editor, _, face) = try Self.portrait.get()
    func states(_ name: String, adds: Bool) throws -> String {
      try editor.directions.states(of: name, adds: adds).map(\.description).joined(separator: " ")
    }
    #expect(try states("Smiling", adds: false) == "Smiling=-1")
    #expect(try states("female_smiling", adds: false) == "Smiling=-1")
    #expect(try states("black_beard", adds: true) == "No_Beard=-1 Black_Hair=1")
    #expect(try states("black_beard", adds: false) == "No_Beard=1 Black_Hair=-1")
    #expect(throws: AttributeError.self) { try editor.directions.states(of: "nothing", adds: true) }
    // What is of one label is done as that label's is.
    func change(_ name: String, _ strength: Double = 1) throws -> FaceChange {
      try editor.change(FaceEdit(face, [AttributeEdit(name, strength: strength)]))
    }
    #expect(try change("female_eyeglasses").drawn == change("Eyeglasses").drawn)
    #expect(try change("female_eyeglasses", -1).drawn.isEmpty)
    #expect(try change("female_blond").tints == change("Blond_Hair").tints)
    // What is of several is decoded; a beard leaves the hair alone.
    let beard = try change("black_beard")
    #expect(beard.tints.isEmpty && beard.drawn.isEmpty)
    let (hair, patch) = (try face.anatomy.hair.array(Float.self), try #require(beard.patch))
    #expect(hair.indices.allSatisfy { hair[$0] < 0.9 || patch.values[4 * $0..<4 * $0 + 4].allSatisfy { abs($0) < 0.02 } })
  }

  /// A smile is none of the fringe above it; straight hair is.
  @Test func smilesLeaveTheHairAsItIs() throws {
    let (editor, _, face) = try Self.portrait.get()
    let hair = try withoutGradients { try face.anatomy.otherThanSkin.narrow(1, 2..<3) > 0.7 }.to(.float32)
    #expect(try hair.mean().item() > 0.05)
    func changed(_ name: String, _ strength: Double, _ options: EditOptions = .init()) throws -> Double {
      var crop = face.crop
      try editor.change(FaceEdit(face, [AttributeEdit(name, strength: strength)], options: options)).apply(toCrop: &crop)
      return try ((Tensor(crop) - Tensor(face.crop)).abs() * hair).sum().item()
    }
    #expect(try changed("Smiling", -1) == 0)
    #expect(try changed("Male", 1) == 0)
    #expect(try changed("Straight_Hair", 1) > 1)
    #expect(try changed("Smiling", -1, .init(style: .article)) > 1)
  }

  /// Nothing of a smaller face's contour is laid over the photo's own.
  @Test func aSmileThatGoesStaysWithinTheFaceThatDecodes() throws {
    let (editor, _, face) = try Self.portrait.get()
    let edits = [try AttributeEdit("Smiling", strength: -1)]
    let outside = try withoutGradients {
      let step = try editor.directions.step("Smiling", strength: -1, on: face.latent)
      return try FaceParser().otherThanFace(in: editor.bundle.model.decode(face.latent + step).image) > 0.9
    }.to(.float32)
    #expect(try outside.mean().item() > 0.1)
    let change = try editor.change(FaceEdit(face, edits))
    // Over what the photo has there once its mouth has moved.
    var (crop, moved) = (face.crop, face.crop)
    change.apply(toCrop: &crop)
    face.alignment.apply(Layer(content: .flow(try #require(change.flow))), to: &moved, in: .crop)
    let changed = try ((Tensor(crop) - Tensor(moved)).abs() * outside).array(Float.self)
    #expect(crop != face.crop && changed.allSatisfy { $0 < 1.01 / 255 })
  }

  /// A fringe covers the forehead in the colour of the hair, and nothing else.
  @Test func bangsAreOfThePhotosOwnHair() throws {
    let (editor, _, face) = try Self.portrait.get()
    let size = face.crop.width
    func edited(_ edits: [AttributeEdit]) throws -> Picture {
      var crop = face.crop
      try editor.change(FaceEdit(face, edits)).apply(toCrop: &crop)
      return crop
    }
    func mean(_ picture: Picture, where isIn: (Int) -> Bool) -> [Double] {
      let places = (0..<size * size).filter(isIn)
      return (0..<3).map { c in places.reduce(0.0) { $0 + Double(picture.pixels[$1 * 3 + c]) } / Double(max(1, places.count)) }
    }
    let hair = try withoutGradients {
      try FaceParser().probabilities(of: [[.hair]], in: Tensor(face.crop)).array(Float.self)
    }
    let bangs = try edited([AttributeEdit("Bangs")])
    let isCovered = (0..<size * size).map { place in
      (0..<3).reduce(0) { $0 + abs(Int(bangs.pixels[place * 3 + $1]) - Int(face.crop.pixels[place * 3 + $1])) } > 120
    }
    #expect(isCovered.count(where: \.self) > size * size / 100)
    // Below the eyes nothing changes.
    #expect(bangs.pixels.suffix(size * size * 3 / 2) == face.crop.pixels.suffix(size * size * 3 / 2))
    func distance(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).map { abs($0 - $1) }.max()! }
    let own = mean(face.crop) { hair[$0] > 0.9 }
    #expect(distance(mean(bangs) { isCovered[$0] }, own) < 0.7 * distance(mean(face.crop) { isCovered[$0] }, own))
    // In another colour, where hair gets that.
    let blond = try edited([AttributeEdit("Bangs"), AttributeEdit("Blond_Hair")])
    #expect(mean(blond) { isCovered[$0] }.reduce(0, +) > mean(bangs) { isCovered[$0] }.reduce(30, +))
    // Half the strength is half the length.
    let short = try edited([AttributeEdit("Bangs", strength: 0.5)])
    func covered(_ picture: Picture) -> Int {
      (0..<size * size).count { abs(Int(picture.pixels[$0 * 3 + 2]) - Int(face.crop.pixels[$0 * 3 + 2])) > 30 }
    }
    #expect(covered(short) > 50 && covered(short) < covered(bangs) * 4 / 5)
    // What goes is decoded as ever, and so is what comes in other ways.
    #expect(try edited([AttributeEdit("Bangs", strength: -1)]) != face.crop)
    #expect(try editor.change(FaceEdit(face, [AttributeEdit("Bangs")], options: .init(style: .article))).layers.count == 1)
  }

  @Test func noStrengthIsNoChangeInTheDifference() throws {
    let (editor, photo, face) = try Self.portrait.get()
    #expect(try editor.apply([AttributeEdit("Smiling", strength: 0)], to: face, in: photo.picture) == photo.picture)
  }

  @Test func theReconstructionIsOfThisFace() throws {
    let (_, _, face) = try Self.portrait.get()
    let input = try Tensor(face.crop)
    let composed = try withoutGradients { try face.reconstruction.composed(over: input) }
    #expect(try (composed - input).abs().mean().item() < 0.06)
    // The mask covers the middle and leaves the corners.
    let mask = try FloatPicture(face.reconstruction.mask)
    #expect(mask.values[mask.width * mask.height / 2 + mask.width / 2] > 0.9)
    #expect(mask.values[0] < 0.1)
  }

  @Test func unknownAttributesAreRefusedWithSuggestions() throws {
    let (editor, _, face) = try Self.portrait.get()
    #expect { try editor.change(FaceEdit(face, [AttributeEdit("Eyeglases")])) } throws: {
      ($0 as? AttributeError)?.suggestions.first == "Eyeglasses"
    }
  }

  @Test func theProbesSeeThePortrait() throws {
    let (editor, _, face) = try Self.portrait.get()
    let probes = editor.directions.probes
    let seen = Dictionary(uniqueKeysWithValues: zip(probes.names, try probes.probabilities(of: face.latent)))
    #expect(try #require(seen["Smiling"]) > 0.8 && #require(seen["No_Beard"]) > 0.9)
    #expect(try #require(seen["Bald"]) < 0.1 && #require(seen["Eyeglasses"]) < 0.2)
    // An edit at strength -1 is enough to be seen, by what decodes too.
    let step = try editor.directions.step("Smiling", strength: -1, on: face.latent)
    let again = try withoutGradients {
      try editor.bundle.model.encode(editor.bundle.model.decode(face.latent + step).image).mean
    }
    let index = try editor.directions.index(of: "Smiling")
    #expect(try probes.probabilities(of: again)[index] < 0.5)
  }

  @Test func alignedPicturesNeedNoSearch() throws {
    let (editor, photo, face) = try Self.portrait.get()
    // A picture without a face is taken as aligned all the same.
    let crop = Photo(face.alignment.crop(photo.picture, size: 144), format: .png)
    let edited = try editor.edit(crop, [AttributeEdit("Smiling", strength: -1)], isAligned: true)
    #expect(edited.width == 144 && edited.height == 144)
    #expect(edited.picture != crop.picture)
  }

  @Test func aPictureWithoutAFaceIsRefused() throws {
    let (editor, _, _) = try Self.portrait.get()
    let empty = Picture(width: 120, height: 90, filledWith: 128)
    #expect(throws: PortraitError.noFace(file: nil)) { try editor.face(in: empty) }
  }

  @Test func sheetsShowEveryStrength() throws {
    let (editor, photo, face) = try Self.portrait.get()
    let crop = Photo(face.alignment.crop(photo.picture, size: 128), format: .png)
    let sheet = try editor.spectrum(crop, attributes: ["Smiling", "Young"], strengths: [-1, 0, 1], isAligned: true)
    #expect(sheet.width > 4 * 128 && sheet.height > 2 * 128)
    let row = try editor.reconstruction(crop, isAligned: true)
    #expect(row.width > 3 * 128)
  }

  @Test func samplesFollowTheSeed() throws {
    let (editor, _, _) = try Self.portrait.get()
    let faces = try editor.sample(count: 3, seed: 7)
    #expect(try editor.sample(count: 2, seed: 7) == Array(faces[..<2]))
    #expect(faces[0] != faces[1] && faces[0].width == editor.bundle.configuration.imageSize)
    #expect(try editor.sample(count: 1, seed: 7, prior: .standardNormal)[0] != faces[0])
  }

  /// A morph begins with one photo's own pixels and ends with the other's.
  @Test func morphsEndInThePhotos() throws {
    let (editor, photo, face) = try Self.portrait.get()
    let mirrored = Photo(photo.picture.mirrored())
    let other = try editor.face(in: Photo(face.alignment.crop(mirrored.picture, size: 144)).picture, isAligned: true)
    let crop = Photo(face.alignment.crop(mirrored.picture, size: 144))
    let frames = try editor.morph(from: (photo, face), to: (crop, other), frames: 5, side: 160)
    #expect(frames.count == 5)
    func distance(_ a: Picture, _ b: Picture) -> Int {
      zip(a.pixels, b.pixels).map { abs(Int($0) - Int($1)) }.max() ?? 0
    }
    #expect(distance(frames[0], face.alignment.crop(photo.picture, size: 160)) <= 2)
    #expect(distance(frames[4], other.alignment.crop(crop.picture, size: 160)) <= 2)
    #expect(frames[2] != frames[0] && frames[2] != frames[4])
  }

  @Test func aGreyPhotoStaysGrey() throws {
    let (editor, photo, face) = try Self.portrait.get()
    let crop = face.alignment.crop(photo.picture, size: 144)
    let grey = Photo(Picture(width: 144, height: 144, channels: 1, pixels: stride(from: 0, to: crop.pixels.count, by: 3).map { crop.pixels[$0] }))
    let edited = try editor.edit(grey, [AttributeEdit("Heavy_Makeup")], isAligned: true)
    #expect(edited.picture != grey.picture)
    #expect(edited.picture == edited.picture.desaturated())
  }

  /// Black and white, or brown, in three channels: make-up, lips and hair get the photo's tint, and not their own.
  @Test(arguments: [0, 40]) func aTintedPhotoKeepsItsTint(_ warmth: Int) throws {
    let (editor, photo, face) = try Self.portrait.get()
    let crop = face.alignment.crop(photo.picture, size: 144).desaturated()
    let pixels = stride(from: 0, to: crop.pixels.count, by: 3).flatMap { i -> [UInt8] in
      let value = Int(crop.pixels[i])
      return [UInt8(min(255, value + warmth * value / 255)), UInt8(value), UInt8(max(0, value - warmth * value / 255))]
    }
    let tinted = Photo(Picture(width: 144, height: 144, channels: 3, pixels: pixels))
    for attribute in ["Heavy_Makeup", "Blond_Hair", "Smiling"] {
      let strength = attribute == "Smiling" ? -1.0 : 1
      let edited = try editor.edit(tinted, [AttributeEdit(attribute, strength: strength)], isAligned: true)
      #expect(edited.picture != tinted.picture)
      for i in stride(from: 0, to: edited.picture.pixels.count, by: 3) {
        let (red, green, blue) = (Int(edited.picture.pixels[i]), Int(edited.picture.pixels[i + 1]), Int(edited.picture.pixels[i + 2]))
        let fits = warmth == 0
          ? red == green && green == blue
          : abs(red - min(255, green + warmth * green / 255)) <= 4 && abs(blue - max(0, green - warmth * green / 255)) <= 4
        if !fits {
          Issue.record("\(attribute): \(red) \(green) \(blue)")
          break
        }
      }
    }
  }

  /// A probability is approached from the face's own side, and one that is surely there already asks for nothing.
  @Test func probabilitiesAreNeverSoughtOnTheOtherSide() {
    func strength(to probability: Double, from start: Double, _ odds: (Double) -> Double) -> Double {
      StrengthSearch(to: probability).strength(from: start, odds)
    }
    #expect(strength(to: 0.99, from: -1) { 8.5 + 2 * $0 } == 0)
    #expect(strength(to: 0.02, from: 1) { -6 + 2 * $0 } == 0)
    // More is asked for, and first guessed to be on the other side.
    #expect(strength(to: 0.9, from: -0.5) { 2 * $0 } >= 0)
    #expect(abs(strength(to: 0.9, from: 0.5) { 2 * $0 } - log(9) / 2) < 0.05)
    #expect(strength(to: 0.6, from: 0.4) { 3 + 2 * $0 } < 0)
    #expect(strength(to: 0.6, from: -0.4) { 3 - 2 * $0 } <= 0)
  }

  @Test func facesAreChosen() throws {
    let (editor, photo, _) = try Self.portrait.get()
    #expect(throws: PortraitError.noSuchFace(file: nil, number: 2, found: 1)) {
      try editor.faces(in: photo.picture, .number(2))
    }
    #expect(try editor.faces(in: photo.picture, .all).count == 1)
  }

  @Test func theDefaultBundleHasAllOfCelebAsAttributes() throws {
    let (editor, _, _) = try Self.portrait.get()
    let directions = editor.directions
    #expect(directions.labelNames.count == 40)
    #expect(directions.labelNames.contains("Smiling"))
    #expect(directions.definitions == CombinedDirection.articles)
    #expect(directions.positives.allSatisfy { $0 >= 20 })
    let figures = directions.probes.figures.prefix(40).compactMap(\.self)
    #expect(figures.count == 40)
    #expect(figures.map(\.accuracy).reduce(0, +) / 40 > 0.86)
    for method in DirectionMethod.allCases {
      #expect(directions.factors(method).allSatisfy { (0.5...9).contains($0.add) && (0.5...9).contains($0.remove) })
    }
    #expect(editor.bundle.configuration.imageSize >= 128)
    let sizes = try FileManager.default.contentsOfDirectory(atPath: editor.bundle.url.path).map {
      try FileManager.default.attributesOfItem(atPath: editor.bundle.url.appendingPathComponent($0).path)[.size] as? Int ?? 0
    }
    #expect(sizes.reduce(0, +) <= 20 << 20)
  }
}

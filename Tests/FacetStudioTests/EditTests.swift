import Facet
import Foundation
import Photo
import Testing

/// What edits give over HTTP, against what the library gives.
@Suite(.serialized) struct EditTests {
  private let server: Server

  init() async throws { server = try await Server.shared.value }

  @Test func aPreviewIsTheLibrarysEdit() async throws {
    let session = try await server.sample()
    #expect(session.kind == "sample" && session.faces.count == 1)
    let photo = try Photo(contentsOf: FaceEditor.samplePhotoURL)
    #expect(session.width == photo.width && session.height == photo.height)
    let smile = try #require(session.faces[0].attributes["Smiling"])
    #expect(smile > 0.9)
    #expect(session.faces[0].attributes.count == 40)

    let answer = try await server.post(
      session.path + "/preview", #"{"edits": [{"attribute": "Smiling", "strength": -1}], "size": 512}"#)
    #expect(answer.status == 200 && answer.headers["content-type"] == "image/jpeg")
    #expect(answer.headers["server-timing"]?.contains("model;dur=") == true)
    let edited = try await FaceEditor().edit(photo, [AttributeEdit("Smiling", strength: -1)])
    #expect(try answer.picture.difference(from: asJPEG(edited.picture)) < 0.1)
    // The face, a small part of the picture, is another one.
    func face(_ picture: Picture) -> Picture {
      picture.resized(window: Window(x: 180, y: 70, width: 90, height: 105), to: (90, 105))
    }
    #expect(try face(answer.picture).difference(from: face(asJPEG(photo.picture))) > 5)
    #expect(try face(answer.picture).difference(from: face(asJPEG(edited.picture))) < 1)

    let unedited = try await server.post(session.path + "/preview", #"{"size": 512}"#)
    #expect(try unedited.picture == asJPEG(photo.picture))
    let picture = try await server.get(session.path + "/picture?size=256&format=webp")
    #expect(picture.headers["content-type"] == "image/webp")
    #expect(try picture.picture.width == 256)
  }

  @Test func aRegionShowsAPartAtItsOwnSize() async throws {
    let session = try await server.sample()
    let region = #""region": {"x": 100, "y": 40, "width": 200, "height": 150}"#
    let edits = #""edits": [{"attribute": "Smiling", "strength": -1}]"#
    let part = try await server.post(session.path + "/preview", "{\(edits), \(region), \"size\": 200}").picture
    #expect(part.width == 200 && part.height == 150)
    let edited = try await FaceEditor().edit(
      Photo(contentsOf: FaceEditor.samplePhotoURL), [AttributeEdit("Smiling", strength: -1)])
    let expected = edited.picture.resized(window: Window(x: 100, y: 40, width: 200, height: 150), to: (200, 150))
    #expect(try part.difference(from: asJPEG(expected)) < 0.2)
    let outside = try await server.post(
      session.path + "/preview", #"{"region": {"x": 400, "y": 0, "width": 200, "height": 10}}"#)
    #expect(outside.status == 422 && outside.problem == "outside")
  }

  @Test func aRenderKeepsTheFileAndSaysWhatItIs() async throws {
    let session = try await server.sample()
    let answer = try await server.post(
      session.path + "/render", #"{"edits": [{"attribute": "Eyeglasses", "strength": 1}]}"#)
    #expect(answer.status == 200 && answer.headers["content-type"] == "image/jpeg")
    #expect(answer.headers["content-disposition"] == #"attachment; filename="facet.jpg""#)
    #expect(String(decoding: answer.body, as: UTF8.self).contains("compositeWithTrainedAlgorithmicMedia"))
    let photo = try Photo(contentsOf: FaceEditor.samplePhotoURL)
    let edited = try await FaceEditor().edit(photo, [AttributeEdit("Eyeglasses", strength: 1)])
    let expected = try Photo(data: edited.encoded()).picture
    #expect(try answer.picture.difference(from: expected) < 0.2)

    let png = try await server.post(session.path + "/render", #"{"format": "png"}"#)
    #expect(png.headers["content-type"] == "image/png")
    #expect(try png.picture == photo.picture)
  }

  @Test func oneCallEditsAFile() async throws {
    let file = try Data(contentsOf: FaceEditor.samplePhotoURL)
    let answer = try await server.send("POST", "/api/edit?Eyeglasses=1", file)
    #expect(answer.status == 200 && answer.headers["content-type"] == "image/jpeg")
    let session = try await server.sample()
    let rendered = try await server.post(
      session.path + "/render", #"{"edits": [{"attribute": "Eyeglasses", "strength": 1}]}"#)
    #expect(try answer.picture.difference(from: rendered.picture) < 0.2)
    // The same as a form, smaller and in another format.
    let boundary = "----facet-test"
    var form = Data("--\(boundary)\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n".utf8)
    form += Data(
      "--\(boundary)\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a.jpg\"\r\n\r\n".utf8)
    form += file + Data("\r\n--\(boundary)--\r\n".utf8)
    let small = try await server.send(
      "POST", "/api/edit?Eyeglasses=1&size=256&format=png&face=all", form,
      headers: ["Content-Type": "multipart/form-data; boundary=\(boundary)"])
    #expect(small.status == 200 && small.headers["content-type"] == "image/png")
    #expect(try small.picture.width == 256)
    for (query, problem) in [
      ("Smiling=3", "bad-request"), ("Smiling=x", "bad-request"), ("Smilin=1", "unknown-attribute"),
      ("face=9&Smiling=1", "no-such-face"), ("Smiling=1&Smiling=1", "bad-request"), ("Hair=1", "unknown-style"),
      ("Hair=purplish", "unknown-style"), ("Eyeglasses=monocle", "unknown-style"), ("Smiling=round-metal", "bad-request"),
    ] {
      #expect(try await server.send("POST", "/api/edit?\(query)", file).problem == problem, "\(query)")
    }
  }

  @Test func aMaskKeepsARegionAtEverySize() async throws {
    let session = try await server.sample()
    let photo = try Photo(contentsOf: FaceEditor.samplePhotoURL)
    // Glasses stay away from the left half of the face.
    var picture = Picture(width: 64, height: 64, filledWith: 0)
    picture.paste(Picture(width: 28, height: 64, filledWith: 255), x: 0, y: 0)
    let mask = try Photo(picture, format: .png).encoded()
    let edits = #""edits": [{"attribute": "Eyeglasses", "strength": 1}]"#
    let protect = #""protect": "\#(mask.base64EncodedString())""#
    func part(_ picture: Picture, from x: Double, to end: Double) -> Picture {
      let (x, end) = (Int(x * Double(picture.width)), Int(end * Double(picture.width)))
      return picture.resized(window: Window(x: x, y: 0, width: end - x, height: picture.height), to: (end - x, picture.height))
    }
    let plain = try await server.post(session.path + "/render", "{\(edits), \"format\": \"png\"}").picture
    let kept = try await server.post(session.path + "/render", "{\(edits), \(protect), \"format\": \"png\"}").picture
    #expect(part(plain, from: 0, to: 0.43) != part(photo.picture, from: 0, to: 0.43))
    #expect(part(kept, from: 0, to: 0.43) == part(photo.picture, from: 0, to: 0.43))
    #expect(part(kept, from: 0.5, to: 1) == part(plain, from: 0.5, to: 1))
    // A preview shows the same, of the whole and of a region.
    for view in [#""size": 256"#, #""size": 200, "region": {"x": 100, "y": 40, "width": 200, "height": 150}"#] {
      let shown = try await server.post(session.path + "/preview", "{\(edits), \(protect), \(view)}").picture
      let edited = try await server.post(session.path + "/preview", "{\(edits), \(view)}").picture
      let bare = try await server.post(session.path + "/preview", "{\(view)}").picture
      let (from, to) = view.contains("region") ? (0.0, 0.55) : (0.0, 0.42)
      #expect(part(shown, from: from, to: to).difference(from: part(bare, from: from, to: to)) < 0.3)
      #expect(part(shown, from: 0.7, to: 1).difference(from: part(edited, from: 0.7, to: 1)) < 0.1)
      #expect(shown != bare && shown != edited)
    }
    // A tile of the face and the end of a morph do, too.
    let tiles = #""tiles": [[{"attribute": "Eyeglasses", "strength": 1}]], "size": 128"#
    let tile = try await server.post(session.path + "/tiles", "{\(tiles), \(protect)}").picture
    let bareTile = try await server.post(session.path + "/tiles", #"{"tiles": [[]], "size": 128}"#).picture
    let editedTile = try await server.post(session.path + "/tiles", "{\(tiles)}").picture
    #expect(part(tile, from: 0, to: 0.35).difference(from: part(bareTile, from: 0, to: 0.35)) < 0.5)
    #expect(part(tile, from: 0.6, to: 1).difference(from: part(editedTile, from: 0.6, to: 1)) < 0.5)
    #expect(editedTile.difference(from: tile) > 0.5)
    func morph(_ more: String) async throws -> Picture {
      let end = "\"photo\": \"\(session.id)\""
      return try await server.post(
        "/api/morph",
        "{\"from\": {\(end), \(edits)\(more)}, \"to\": {\(end)}, \"frames\": 2, \"format\": \"jpeg\", \"thereAndBack\": false}").picture
    }
    let (keptMorph, plainMorph) = (try await morph(", \(protect)"), try await morph(""))
    #expect(keptMorph != plainMorph)
    // One call takes it as a field.
    let boundary = "----facet-test"
    var form = Data()
    for (name, bytes) in [("protect", mask), ("photo", try Data(contentsOf: FaceEditor.samplePhotoURL))] {
      form += Data("--\(boundary)\r\nContent-Disposition: form-data; name=\"\(name)\"; filename=\"\(name)\"\r\n\r\n".utf8)
      form += bytes + Data("\r\n".utf8)
    }
    form += Data("--\(boundary)--\r\n".utf8)
    let headers = ["Content-Type": "multipart/form-data; boundary=\(boundary)"]
    let once = try await server.send("POST", "/api/edit?Eyeglasses=1&format=png", form, headers: headers)
    #expect(try once.picture == kept)
    for wrong in ["x", "AAAA", Data("no picture".utf8).base64EncodedString()] {
      let answer = try await server.post(session.path + "/render", "{\(edits), \"protect\": \"\(wrong)\"}")
      #expect(answer.status == 422 && answer.problem == "not-a-mask", "\(wrong)")
    }
  }

  @Test func anEditHasAStyle() async throws {
    let session = try await server.sample()
    func render(_ edit: String) async throws -> Server.Answer {
      try await server.post(session.path + "/render", #"{"format": "png", "edits": [\#(edit)]}"#)
    }
    let file = try Data(contentsOf: FaceEditor.samplePhotoURL)
    let pink = try await render(##"{"attribute": "Hair", "strength": 1, "style": "#c97a98"}"##)
    let byName = try await server.send("POST", "/api/edit?Hair=pink&format=png", file)
    #expect(try pink.picture.difference(from: byName.picture) == 0)
    #expect(try pink.picture.difference(from: Photo(contentsOf: FaceEditor.samplePhotoURL).picture) > 1)
    #expect(try await render(#"{"attribute": "Hair", "strength": 1}"#).problem == "unknown-style")
    #expect(try await render(#"{"attribute": "Hair", "strength": -1, "style": "pink"}"#).problem == "unknown-style")
    #expect(try await render(#"{"attribute": "Hair", "probability": 1, "style": "pink"}"#).problem == "unknown-style")
    #expect(try await render(#"{"attribute": "Eyeglasses", "probability": 1, "style": "rimless"}"#).status == 200)
  }

  @Test func tilesAreOneFaceUnderSeveralEdits() async throws {
    let session = try await server.sample()
    let answer = try await server.post(
      session.path + "/tiles",
      #"{"tiles": [[], [{"attribute": "Eyeglasses", "strength": 1}]], "size": 96}"#)
    #expect(answer.status == 200)
    let strip = try answer.picture
    #expect(strip.width == 192 && strip.height == 96)
    func tile(_ index: Int) -> Picture {
      strip.resized(window: Window(x: 96 * index, y: 0, width: 96, height: 96), to: (96, 96))
    }
    #expect(tile(0).difference(from: tile(1)) > 1)
    #expect(try await server.post(session.path + "/tiles", #"{"tiles": []}"#).status == 400)
  }

  @Test func aSpectrumIsARowOfTiles() async throws {
    let session = try await server.random(seed: 4)
    let answer = try await server.post(
      session.path + "/spectrum",
      #"{"attribute": "Blond_Hair", "strengths": [-2, 0, 2], "size": 64, "#
        + #""edits": [{"attribute": "Blond_Hair", "strength": 2}]}"#)
    #expect(answer.status == 200 && answer.headers["facet-strengths"] == "-2.0,0.0,2.0")
    let strip = try answer.picture
    #expect(strip.width == 192 && strip.height == 64)
    let photo = try await server.get(session.path + "/picture?size=64").picture
    let tiles = (0..<3).map { strip.resized(window: Window(x: $0 * 64, y: 0, width: 64, height: 64), to: (64, 64)) }
    #expect(tiles[1].difference(from: photo) < 4)
    #expect(tiles[0].difference(from: tiles[2]) > 2)
  }

  @Test func inspectionFollowsTheEdits() async throws {
    struct Inspection: Decodable {
      var attributes: [String: Double]
      var strengths: [Double]
    }
    let session = try await server.sample()
    let before: Inspection = try await server.post(session.path + "/inspect", "{}").json()
    #expect(before.attributes == session.faces[0].attributes && before.strengths.isEmpty)
    let after: Inspection = try await server.post(
      session.path + "/inspect", #"{"edits": [{"attribute": "mouth_slightly_open", "strength": -1.5}]}"#
    ).json()
    #expect(after.strengths == [-1.5])
    #expect(try #require(after.attributes["Mouth_Slightly_Open"]) < 0.5)
    let asked: Inspection = try await server.post(
      session.path + "/inspect", #"{"edits": [{"attribute": "Mouth_Slightly_Open", "probability": 0.3}]}"#
    ).json()
    #expect(abs(try #require(asked.attributes["Mouth_Slightly_Open"]) - 0.3) < 0.15)
    #expect(asked.strengths[0] < 0)
  }

  @Test func theSameSeedGivesTheSameFace() async throws {
    var sessions: [Server.Session] = []
    for seed in [1, 1, 2] { sessions.append(try await server.random(seed: seed)) }
    #expect(sessions.map(\.kind) == ["random", "random", "random"] && sessions[0].seed == 1)
    #expect(Set(sessions.map(\.id)).count == 3)
    #expect(sessions[0].faces[0].attributes == sessions[1].faces[0].attributes)
    #expect(sessions[0].faces[0].attributes != sessions[2].faces[0].attributes)
    let rendered = try await server.post(sessions[0].path + "/render", #"{"format": "webp"}"#)
    #expect(String(decoding: rendered.body, as: UTF8.self).contains("digitalsourcetype/trainedAlgorithmicMedia"))
    let unseeded = try await server.send("POST", "/api/photos/random")
    #expect(unseeded.status == 201)
  }

  @Test func aMorphIsAnAnimation() async throws {
    let (first, last) = (try await server.random(seed: 5), try await server.random(seed: 6))
    func morph(_ more: String) async throws -> Server.Answer {
      try await server.post(
        "/api/morph",
        #"{"from": {"photo": "\#(first.id)"}, "to": {"photo": "\#(last.id)", "face": 0}, "size": 64\#(more)}"#)
    }
    let webp = try await morph(#", "frames": 5"#)
    #expect(webp.status == 200 && webp.headers["content-type"] == "image/webp")
    // Chunks that an animated WebP has; there and back, five frames are eight.
    #expect(webp.body.range(of: Data("ANIM".utf8)) != nil)
    #expect(webp.body.count(of: Data("ANMF".utf8)) == 8)
    let gif = try await morph(#", "frames": 2, "format": "gif", "thereAndBack": false"#)
    #expect(gif.headers["content-type"] == "image/gif" && gif.body.starts(with: Data("GIF89a".utf8)))
    #expect(try await morph(#", "frames": 61"#).problem == "bad-request")
  }

  /// The one test that searches a sent photo for its faces; a small one, for the search is slow without optimization.
  @Test func aSentPhotoIsSearchedForFaces() async throws {
    let portrait = try Photo(contentsOf: FaceEditor.samplePhotoURL)
    let small = portrait.picture.resized(window: Window(x: 130, y: 20, width: 240, height: 240), to: (150, 150))
    let answer = try await server.send("POST", "/api/photos", Photo(small, format: .webp).encoded())
    #expect(answer.status == 201)
    let session: Server.Session = try answer.json()
    #expect(answer.headers["location"] == session.path)
    #expect(session.kind == "upload" && session.width == 150 && session.faces.count == 1)
    let outline = session.faces[0].outline
    #expect(outline.count == 4 && outline[0][0] < outline[1][0] && outline[0][1] < outline[3][1])
    #expect(try await server.get(session.path).status == 200)
    let preview = try await server.post(
      session.path + "/preview", #"{"edits": [{"attribute": "Young", "strength": -1}]}"#)
    #expect(try preview.picture.width == 150)

    #expect(try await server.send("DELETE", session.path).status == 204)
    for path in ["", "/picture"] { #expect(try await server.get(session.path + path).problem == "unknown-photo") }
    #expect(try await server.post(session.path + "/preview", "{}").status == 404)
    #expect(try await server.send("DELETE", session.path).status == 404)
  }

  @Test func aPhotoWithoutAFaceIsRefused() async throws {
    let plain = Photo(Picture(width: 40, height: 40, filledWith: 120), format: .png)
    let answer = try await server.send("POST", "/api/photos", plain.encoded())
    #expect(answer.status == 422 && answer.problem == "no-face")
  }
}

/// What is left of a picture in a preview's JPEG.
private func asJPEG(_ picture: Picture) throws -> Picture {
  try Photo(data: Photo(picture, format: .jpeg).encoded(quality: 88, isQuick: true)).picture
}

extension Data {
  func count(of part: Data) -> Int {
    var (count, start) = (0, startIndex)
    while let found = range(of: part, in: start..<endIndex) { (count, start) = (count + 1, found.upperBound) }
    return count
  }
}

import Facet
import Foundation
import Photo
import Synchronization
import Testing
import Torch

/// What an app relies on that embeds the library: seen through the products alone.
@Suite struct EmbeddingTests {
  private static let portrait = Result {
    (editor: try FaceEditor(), photo: try Photo(contentsOf: FaceEditor.samplePhotoURL))
  }

  // MARK: Edits of a task

  @Test func anEditTellsItsProgress() async throws {
    let (editor, photo) = try Self.portrait.get()
    let told = Mutex<[EditProgress]>([])
    let edits = [AttributeEdit("Pale_Skin"), AttributeEdit("Mustache")]
    let edited = try await editor.edit(photo, edits) { step in told.withLock { $0.append(step) } }
    let steps = told.withLock { $0 }
    let fractions = steps.map(\.fraction)
    #expect(fractions.first == 0 && fractions.last == 1 && fractions == fractions.sorted() && Set(fractions).count > 4)
    #expect(steps.first?.faceCount == 0 && steps.dropFirst().allSatisfy { $0.face == 1 && $0.faceCount == 1 })
    // The same as without a task.
    let face = try editor.face(in: photo.picture)
    let same = try editor.apply(edits, to: face, in: photo)
    #expect(edited.picture == same.picture && edited.picture != photo.picture)
    #expect(edited.digitalSource == .compositeWithTrainedModel && same.digitalSource == .compositeWithTrainedModel)
  }

  @Test(arguments: [0.0, 0.1, 0.3, 0.6]) func anEditEndsWithItsTask(_ fraction: Double) async throws {
    let (editor, photo) = try Self.portrait.get()
    let last = Mutex(EditProgress?.none)
    let edits = try [AttributeEdit("Pale_Skin"), AttributeEdit("Mustache"), AttributeEdit("Smiling", to: 0.1)]
    let task = Task {
      try await editor.edit(photo, edits) { step in
        last.withLock { $0 = step }
        // Told by the thread that edits, and so within the task.
        if step.fraction >= fraction { withUnsafeCurrentTask { $0?.cancel() } }
      }
    }
    await #expect(throws: CancellationError.self) { try await task.value }
    // It went one step further at most.
    let reached = try #require(last.withLock { $0 }).fraction
    #expect(reached >= fraction && reached < fraction + 0.4)
  }

  @Test func everyEditLooksWhetherItsTaskIsCancelled() async throws {
    let (editor, photo) = try Self.portrait.get()
    let face = try editor.face(in: photo.picture)
    let edit = try AttributeEdit("Smiling", strength: -1)
    let wanted = try AttributeEdit("Smiling", to: 0.2)
    let task = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      #expect(throws: CancellationError.self) { try editor.change(FaceEdit(face, [edit])) }
      #expect(throws: CancellationError.self) { try editor.apply([edit], to: face, in: photo) }
      #expect(throws: CancellationError.self) { try editor.probabilities(in: face, after: [edit]) }
      #expect(throws: CancellationError.self) { try editor.strengths(of: [wanted], on: face) }
    }
    await task.value
    #expect(try !editor.change(FaceEdit(face, [edit])).layers.isEmpty)
  }

  @Test func namesAreCheckedBeforeFacesAreSearched() async throws {
    let (editor, _) = try Self.portrait.get()
    let empty = Photo(Picture(width: 64, height: 64, filledWith: 128))
    await #expect(throws: AttributeError.self) { try await editor.edit(empty, [AttributeEdit("Smilling")]) }
    await #expect(throws: PortraitError.self) { try await editor.edit(empty, [AttributeEdit("Smiling")]) }
  }

  // MARK: Values

  @Test(arguments: [2.1, -2.1, .nan, .infinity]) func strengthsOutOfRangeAreRefused(_ strength: Double) {
    let error = #expect(throws: AttributeError.self) { try AttributeEdit("Smiling", strength: strength) }
    #expect(error?.attribute == "Smiling")
    #expect(error?.description.hasPrefix("the strength of 'Smiling' must be from -2 to 2, not ") == true)
  }

  @Test(arguments: [-0.1, 1.1, .nan]) func probabilitiesOutOfRangeAreRefused(_ probability: Double) {
    let error = #expect(throws: AttributeError.self) { try AttributeEdit("Smiling", to: probability) }
    #expect(error?.description.hasPrefix("the probability of 'Smiling' must be from 0 to 1, not ") == true)
  }

  @Test func probabilitiesHaveNames() throws {
    let (editor, photo) = try Self.portrait.get()
    let seen = try editor.probabilities(in: editor.face(in: photo.picture))
    #expect(Set(seen.keys) == Set(editor.directions.names))
    #expect(try #require(seen["Smiling"]) > 0.8 && #require(seen["Bald"]) < 0.1)
  }

  @Test func aFaceHasABox() throws {
    let (editor, photo) = try Self.portrait.get()
    let alignment = try editor.face(in: photo.picture).alignment
    let frame = CGRect(x: 0, y: 0, width: photo.width, height: photo.height)
    #expect(frame.contains(alignment.box) && alignment.corners.count == 4)
    #expect(abs(alignment.box.midX - 225) < 25 && abs(alignment.box.midY - 120) < 30)
    for corner in alignment.corners { #expect(alignment.box.insetBy(dx: -0.01, dy: -0.01).contains(CGPoint(x: corner.x, y: corner.y))) }
    // A crop's is all of it.
    let crop = FaceAlignment(aligned: Picture(width: 144, height: 144, filledWith: 0))
    #expect(abs(crop.box.width - 144) < 1e-9 && abs(crop.box.minX) < 1e-9 && abs(crop.box.maxY - 144) < 1e-9)
    #expect("\(crop)" == "0, 0, 144 x 144 pixels")
  }

  // MARK: Errors

  @Test func errorsTellPeopleWhatIsWrong() throws {
    let missing = URL(fileURLWithPath: "/nowhere/me.jpg")
    let errors: [any Error] = [
      FileError(path: "a", operation: "read", reason: "it is not there"), PhotoError.notAPhoto(file: "a"), TorchError("no memory"),
      PortraitError.noFace(file: "a"), ModelError("no model"),
      try #require(#expect(throws: PhotoError.self) { try Photo(contentsOf: missing) }),
      try #require(#expect(throws: AttributeError.self) { try AttributeEdit("Smiling", strength: 3) }),
      try #require(#expect(throws: (any Error).self) { try ModelBundle(contentsOf: missing) }),
    ]
    for error in errors { #expect(error.localizedDescription == "\(error)") }
  }

  /// Without the module that declares it.
  @Test func faultsOfFilesAreCaughtByType() throws {
    let missing = URL(fileURLWithPath: "/nowhere/bundle", isDirectory: true)
    do {
      _ = try FaceEditor(bundle: missing)
      Issue.record("a bundle that is not there was read")
    } catch let error as FileError {
      #expect(error.path == "/nowhere/bundle/config.json")
    }
  }

  // MARK: Bundles

  /// A folder for a bundle, which goes with the test.
  private final class Folder {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("bundle-\(UUID())", isDirectory: true)
    deinit { try? FileManager.default.removeItem(at: url) }
  }

  /// As Facet 0.1 wrote it: no view and no sizes of the article's model, weights alone and without an origin.
  private static let first = """
    {
      "architecture" : "compact", "decoderChannels" : [8, 8], "decoderResiduals" : [0, 0], "encoderChannels" : [8, 8],
      "encoderResiduals" : [0, 0], "imageSize" : 16, "latentSize" : 4, "stem" : 2
    }
    """

  @Test func bundlesOfTheFirstVersionOpen() throws {
    let folder = Folder()
    let configuration = try JSONDecoder().decode(ModelConfiguration.self, from: Data(Self.first.utf8))
    #expect(configuration.view == .window)
    try FileManager.default.createDirectory(at: folder.url, withIntermediateDirectories: true)
    try Data(Self.first.utf8).write(to: folder.url.appendingPathComponent("config.json"))
    let model = try configuration.makeModel(seed: 1)
    try Tensor.save(
      model.state().mapValues { $0.dimensions >= 2 ? try $0.to(.float16) : $0 }, metadata: ["format": "facet-model-1"],
      to: folder.url.appendingPathComponent("model.safetensors"))
    let bundle = try ModelBundle(contentsOf: folder.url)
    #expect(bundle.configuration == configuration && bundle.origin == nil)
    // What it has not yet is found anew.
    let error = #expect(throws: BundleError.self) { try FaceEditor(bundle: folder.url) }
    #expect(error?.reason.contains("'facet attributes --model \(folder.url.path) --data DIR'") == true)
  }

  /// What an earlier version made of another form names the command that makes it anew.
  @Test(arguments: [
    ("glasses.safetensors", "facet-glasses-1", "facet glasses --model"), ("prototypes.safetensors", "facet-prototypes-0", "facet prototype --model"),
    ("attributes.safetensors", "facet-attributes-1", "facet attributes --model"), ("painter.safetensors", "facet-painter-0", "facet painter"),
  ]) func partsOfAnotherVersionNameTheirCommand(_ file: String, _ format: String, _ command: String) throws {
    let folder = Folder()
    try FileManager.default.copyItem(at: ModelBundle.defaultURL, to: folder.url)
    try Tensor.save(["a": .zeros([1])], metadata: ["format": format], to: folder.url.appendingPathComponent(file))
    let error = #expect(throws: BundleError.self) { try FaceEditor(bundle: folder.url) }
    #expect(error?.path.hasSuffix(file) == true && error?.reason.contains("'\(command)") == true, "\(String(describing: error))")
  }
}

import Foundation
import Testing

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining
@testable import Photo
@testable import Torch

/// The article's network out of Keras's files, against what Keras predicts. Fixtures/README.md says how they were made.
@Suite("Keras import") struct KerasImportTests {
  fileprivate static let fixture = Golden.folder.appending(path: "keras")
  /// A folder that `keras_weights.py --full` made.
  private static let full = ProcessInfo.processInfo.environment["FACET_KERAS"]
  private static let data = ProcessInfo.processInfo.environment["FACET_DATA"]

  /// A folder for one test's files.
  private final class Scratch {
    let url = FileManager.default.temporaryDirectory.appending(path: "facet-keras-\(UUID().uuidString)")
    init() throws { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(at: url) }

    /// A weights file of the fixture, unpacked.
    func weights(_ name: String = "training") throws -> URL {
      let unpacked = url.appending(path: "\(name).h5")
      guard !FileManager.default.fileExists(atPath: unpacked.path) else { return unpacked }
      try FileManager.default.copyItem(
        at: KerasImportTests.fixture.appending(path: "\(name).h5.gz"), to: url.appending(path: "\(name).h5.gz"))
      try KerasImportTests.run("/usr/bin/env", "gzip", "-d", url.appending(path: "\(name).h5.gz").path)
      return unpacked
    }
  }

  @discardableResult
  fileprivate static func run(_ arguments: String...) throws -> Int32 {
    let process = Process()
    process.executableURL = URL(filePath: arguments[0])
    process.arguments = Array(arguments.dropFirst())
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    return process.terminationStatus
  }

  // MARK: Against Keras

  @Test(arguments: ["training", "prediction"])
  func agreesWithKeras(name: String) throws {
    let scratch = try Scratch()
    let golden = try Tensor.load(from: Self.fixture.appending(path: "golden.safetensors")).tensors
    try check(
      scratch.weights(name), vectors: Self.fixture.appending(path: "vectors"), golden, stride: 37,
      input: Procedural.image(2, size: 144), in: scratch)
  }

  @Test(.enabled(if: full != nil, "FACET_KERAS names no folder of keras_weights.py --full"))
  func agreesWithKerasInFull() throws {
    let folder = URL(filePath: Self.full ?? "")
    let golden = try Tensor.load(from: folder.appending(path: "golden.safetensors")).tensors
    for name in ["training", "prediction"] {
      try check(
        folder.appending(path: "\(name).h5"), vectors: folder.appending(path: "vectors"), golden, stride: 1,
        input: #require(golden["input"]), in: Scratch(), reports: true)
    }
  }

  /// Imports, writes and reads a bundle, and compares what it makes of the pictures.
  private func check(
    _ weights: URL, vectors: URL, _ golden: [String: Tensor], stride: Int, input: Tensor, in scratch: Scratch,
    reports: Bool = false
  ) throws {
    let article = try KerasArticle(weights: weights, attributes: [vectors])
    let url = scratch.url.appending(path: "bundle")
    try article.write(to: url)
    let bundle = try ModelBundle(contentsOf: url)
    #expect(bundle.origin?.contains(weights.lastPathComponent) == true)
    #expect(bundle.configuration.view == .frame)

    func compare(_ name: String, _ tensor: Tensor) throws {
      let values = try tensor.to(.float32).contiguous().array(Float.self)
      let thinned = Swift.stride(from: 0, to: values.count, by: stride).map { values[$0] }
      let expected = try #require(golden[name], "\(name)").array(Float.self)
      try #require(thinned.count == expected.count, "\(name)")
      let error = zip(thinned, expected).map { abs($0 - $1) }.max() ?? 0
      if reports { print("\(weights.lastPathComponent) \(name): at most \(error) from Keras") }
      #expect(error <= 1e-4, "\(name)")
    }
    try withoutGradients { () throws in
      let mean = try bundle.model.encode(input).mean
      let decoded = try bundle.model.decode(mean)
      try compare("mean", mean)
      try compare("image", decoded.image)
      try compare("mask", decoded.mask)
      try compare("composed", decoded.composed(over: input))

      let directions = try AttributeDirections(of: bundle)
      #expect(directions.names == article.vectors.map(\.name))
      #expect(directions.hasProbes == false)
      let first = try input.narrow(0, 0..<1)
      let before = try bundle.model.decode(mean.narrow(0, 0..<1))
      for method in DirectionMethod.allCases {
        for name in directions.names where method == .meanDifference || stride > 1 {
          let spectrum = try [-2.0, -1, 0, 1, 2].map { strength in
            let step = try directions.step(name, strength: strength, method: method)
            let after = try bundle.model.decode(mean.narrow(0, 0..<1) + step)
            return try Composition.article.composed(over: first, from: before, to: after)
          }
          try compare("spectrum.\(name)", .cat(spectrum))
        }
      }
    }
  }

  // MARK: What it becomes

  @Test func isAnOrdinaryBundle() throws {
    let scratch = try Scratch()
    let url = scratch.url.appending(path: "bundle")
    let article = try KerasArticle(weights: scratch.weights(), attributes: [Self.fixture.appending(path: "vectors")])
    try article.write(to: url)
    let editor = try FaceEditor(bundle: url)
    let photo = try Photo(contentsOf: PortraitTests.astronaut)
    let edited = try editor.edit(photo, [AttributeEdit("smiling")], options: .init(style: .article))
    #expect(edited.picture != photo.picture)
    _ = try editor.spectrum(photo, attributes: ["Young"], strengths: [-1, 1])
    _ = try editor.sample(count: 1, seed: 1)
    #expect(try editor.probabilities(in: editor.face(in: photo.picture)).isEmpty)
    #expect(throws: AttributeError.self) { try editor.edit(photo, [AttributeEdit("Smiling", to: 0.9)]) }
    var options = EditOptions()
    options.kept = ["Young"]
    #expect(throws: AttributeError.self) { try editor.edit(photo, [AttributeEdit("Smiling")], options: options) }

    // Directions that are changed and written again stay as exact as they were.
    let changed = try AttributeDirections(of: editor.bundle).setting("Young", .meanDifference, add: 2)
    try changed.write(to: editor.bundle)
    let again = try AttributeDirections(of: editor.bundle)
    #expect(again.factors(.meanDifference)[1].add == 2)
    #expect(try again.vectors(.meanDifference).array(Float.self) == changed.vectors(.meanDifference).array(Float.self))
  }

  @Test func seesTheWholeFrame() throws {
    let frame = Picture(width: 178, height: 218, filledWith: 9)
    let transform = FaceAlignment(aligned: frame, view: .frame).transform(size: 144)
    let corner = transform(Point(x: 178, y: 218))
    #expect(abs(corner.x - 144) < 1e-9 && abs(corner.y - 144) < 1e-9)
    #expect(transform(Point(x: 0, y: 0)) == Point(x: 0, y: 0))
    let back = transform.inverse(Point(x: 72, y: 36))
    #expect(abs(back.x - 89) < 1e-9 && abs(back.y - 54.5) < 1e-9)
    var model = ModelConfiguration.article
    #expect(DatasetConfiguration.measuring(model).crop == .automatic)
    model.view = .frame
    #expect(DatasetConfiguration.measuring(model).crop == .whole)

    // The same face, found in a photo: the frame is around the window.
    let photo = try Picture(contentsOf: PortraitTests.astronaut).rgb()
    let face = try #require(try FaceDetector().largestFace(in: photo))
    let whole = try #require(FaceAlignment(face, view: .frame)).transform(size: 1)
    let window = try #require(FaceAlignment(face)).transform(size: 1).inverse
    for (corner, x, y) in [(Point(x: 0, y: 0), 4.0, 39.0), (Point(x: 1, y: 1), 174, 209)] {
      let place = whole(window(corner))
      #expect(abs(place.x - x / 178) < 1e-9 && abs(place.y - y / 218) < 1e-9)
    }
  }

  @Test func olderConfigurationsStayReadable() throws {
    let json = """
      {"architecture": "article", "decoderChannels": [], "decoderResiduals": [], "encoderChannels": [],
       "encoderResiduals": [], "imageSize": 144, "latentSize": 2048, "stem": 2}
      """
    #expect(try JSONDecoder().decode(ModelConfiguration.self, from: Data(json.utf8)) == .article)
  }

  @Test(.enabled(if: data != nil, "FACET_DATA names no folder of real photos"))
  func publishedVectors() throws {
    let folder = URL(filePath: Self.data ?? "").appending(path: "seed")
    let vectors = try NumpyVector.read([folder], count: 2048)
    #expect(vectors.count == 21)
    #expect(vectors.map(\.name).contains("male_nobeard_gray"))
  }

  // MARK: Faults

  /// A `.npy` file as NumPy writes it.
  private static func npy(_ values: [Float], type: String = "<f4", shape: String? = nil) -> Data {
    var header = "{'descr': '\(type)', 'fortran_order': False, 'shape': (\(shape ?? "\(values.count),")), }"
    header += String(repeating: " ", count: 63 - (header.utf8.count + 10) % 64) + "\n"
    var data = Data([0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.utf8.count & 255), UInt8(header.utf8.count >> 8)])
    data += Data(header.utf8)
    return data + values.withUnsafeBytes { Data($0) }
  }

  @Test(arguments: [
    ("length", npy([1, 2, 3]), "its shape is (3,); expected (4,)"),
    ("matrix", npy([1, 2, 3, 4], shape: "2, 2"), "its shape is (2, 2); expected (4,)"),
    ("doubles", npy([1, 2, 3, 4], type: "<f8", shape: "2,"), "type '<f8'; expected float32"),
    ("nan", npy([1, 2, .nan, 4]), "number 3 is nan"),
    ("objects", npy([1, 2, 3, 4], type: "|O"), "Python objects"),
    ("cut", npy([1, 2, 3, 4]).dropLast(), "15 bytes of values; expected 16"),
    ("header", npy([1, 2, 3, 4]).prefix(40), "header is cut off"),
    ("huge", npy([1, 2, 3, 4], shape: "99999999999999999999,"), "expected (4,)"),
    ("empty", Data(), "not a NumPy file"),
    ("no name", npy([1, 2, 3, 4]), "its name"),
  ])
  func badVectors(name: String, bytes: Data, reason: String) throws {
    let scratch = try Scratch()
    let url = scratch.url.appending(path: "\(name).npy")
    try bytes.write(to: url)
    let error = #expect(throws: ImportError.self) { try NumpyVector.read([scratch.url], count: 4) }
    #expect(error?.path == url.path && error?.reason.contains(reason) == true, "\(error?.description ?? "")")
  }

  @Test func vectorsOfOneName() throws {
    let scratch = try Scratch()
    for folder in ["a", "b"] {
      let url = scratch.url.appending(path: folder)
      try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
      try Self.npy([1, 2, 3, 4]).write(to: url.appending(path: folder == "a" ? "Smiling.npy" : "smiling.npy"))
    }
    #expect(throws: ImportError.self) { try NumpyVector.read([scratch.url], count: 4) }
    #expect(try NumpyVector.read([scratch.url.appending(path: "a")], count: 4).map(\.values) == [[1, 2, 3, 4]])
    #expect(throws: ImportError.self) { try NumpyVector.read([scratch.url.appending(path: "c")], count: 4) }
  }

  private static let python = ProcessInfo.processInfo.environment["FACET_PYTHON"] ?? "python3"
  private static let hasHDF5 = (try? run("/usr/bin/env", python, "-c", "import h5py")) == 0

  /// Files as h5py makes them, each with one fault.
  @Test(.enabled(if: hasHDF5, "needs a Python (FACET_PYTHON, else python3) with h5py"))
  func badWeights() throws {
    let scratch = try Scratch()
    let good = try scratch.weights()
    let script = Golden.folder.appending(path: "hostile_keras.py").path
    #expect(try Self.run("/usr/bin/env", Self.python, script, good.path, scratch.url.path) == 0)
    let reasons = [
      "shape": "'conv2d_13', bias: the shape is 7, expected 6",
      "transposed": "'conv2d_transpose_2', kernel: the shape is 3 × 3 × 8 × 6, expected 3 × 3 × 6 × 8",
      "statistics": "'batch_normalization_20', moving_variance: holds numbers below 0",
      "nan": "'dense', kernel: holds numbers that are not finite",
      "missing-layer": "it has 31 convolutions; the article's network has 32",
      "missing-weight": "'conv2d_5': 'conv2d_5/bias:0' is missing",
      "unlisted-weight": "'conv2d_5' holds kernel 3 × 3 × 6 × 6;",
      "renamed": "layers 'hairline', 'out_image_pre', 'out_mask'",
      "two-images": "'out_mask' 3 × 3 × 4 × 3: expected one of 3 channels",
      "soft-loop": "'conv2d' is missing or a link",
      "other-file": "'conv2d' is missing or a link",
      "outside-storage": "'conv2d/kernel:0' lies in another file",
      "virtual": "'conv2d/kernel:0' lies in another file",
      "filter": "'conv2d/kernel:0' is packed by filter 32000",
      "huge": "'conv2d/kernel:0' makes it larger than a model can be",
      "huge-sparse": "'conv2d/kernel:0' has no values in the file",
      "huge-chunk": "'conv2d/kernel:0' has chunks that are too large",
      "no-floats": "'conv2d/kernel:0' holds no float32",
      "objects": "'conv2d/kernel:0' holds no float32",
      "long-names": "a name in it is longer than 1024 bytes",
      "many-names": "'layer_names8' has over 8192 names",
      "no-keras": "has no 'layer_names'",
    ]
    for (name, reason) in reasons {
      let url = scratch.url.appending(path: "\(name).h5")
      let error = #expect(throws: ImportError.self, "\(name)") { try KerasArticle(weights: url) }
      #expect(error?.path == url.path && error?.reason.contains(reason) == true, "\(name): \(error?.reason ?? "")")
    }
    let expected = try KerasArticle(weights: good).weights
    for name in ["parts", "packed", "whole-model"] {
      let weights = try KerasArticle(weights: scratch.url.appending(path: "good-\(name).h5")).weights
      for (key, tensor) in expected {
        #expect(try weights[key]?.array(Float.self) == tensor.array(Float.self), "\(name) \(key)")
      }
    }
  }

  // MARK: Mutations

  /// Damages some bytes, or the length.
  static func mutate(_ data: Data, _ random: inout SplitMix64) -> Data {
    var data = data
    func below(_ limit: Int) -> Int { Int(random.next() % UInt64(limit)) }
    switch below(4) {
    case 0:
      for _ in 0..<[1, 4, 32, 256][below(4)] { data[below(data.count)] = UInt8(below(256)) }
    case 1:
      // Sizes and addresses are 8 bytes, most at multiples of them.
      for _ in 0..<[1, 4, 16][below(3)] {
        let value = [0, .max, UInt64(Int64.max), 1 << UInt64(below(63))][below(4)]
        let place = below(max(1, data.count - 8)) & ~7
        withUnsafeBytes(of: value) { bytes in
          for (offset, byte) in bytes.enumerated() where place + offset < data.count { data[place + offset] = byte }
        }
      }
    case 2: data = data.prefix(below(data.count))
    default:
      let place = below(data.count)
      if below(2) == 0 {
        data.insert(contentsOf: [UInt8](repeating: UInt8(below(256)), count: 1 + below(64)), at: place)
      } else {
        data.removeSubrange(place..<min(data.count, place + 1 + below(64)))
      }
      for _ in 0..<8 where !data.isEmpty { data[below(min(4096, data.count))] ^= 1 << UInt8(below(8)) }
    }
    return Data(data)
  }

  /// Each is either read or refused; a crash would end the tests, a hang the time limit.
  @Test(.timeLimit(.minutes(10)))
  func mutatedFiles() throws {
    let scratch = try Scratch()
    var random = SplitMix64(seed: 6)
    let weights = try ["training", "prediction"].map { try Data(contentsOf: scratch.weights($0)) }
    let file = scratch.url.appending(path: "mutated.h5")
    var refused = 0
    for index in 0..<700 {
      try Self.mutate(weights[index % 2], &random).write(to: file)
      do { _ = try KerasArticle(weights: file) } catch let error as ImportError {
        #expect(error.path == file.path && !error.reason.isEmpty)
        refused += 1
      }
    }
    #expect(refused > 350)

    let folder = scratch.url.appending(path: "vectors")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let vector = try Data(contentsOf: Self.fixture.appending(path: "vectors/Smiling.npy"))
    refused = 0
    for _ in 0..<300 {
      try Self.mutate(vector, &random).write(to: folder.appending(path: "Smiling.npy"))
      do { _ = try NumpyVector.read([folder], count: 32) } catch is ImportError { refused += 1 }
    }
    #expect(refused > 150)
  }
}

import Files
import Foundation
import Photo
import Testing

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining
@testable import Torch

/// What is exported, in the hands of the programs that it is for.
@Suite struct ONNXExportTests {
  private static let python = ProcessInfo.processInfo.environment["FACET_PYTHON"]
  private static let hint: Comment = "needs FACET_PYTHON, a Python with the packages of Tests/requirements.txt"

  private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("facet-onnx-\(UUID().uuidString)")
  private var exported: URL { folder.appendingPathComponent("exported") }

  /// A bundle of random weights, and of random statistics, which a fold that forgets them would not survive.
  private func randomBundle(_ configuration: ModelConfiguration) throws -> ModelBundle {
    let model = try configuration.makeModel(seed: 3)
    let generator = try Generator(seed: 4)
    for case let norm as BatchNorm in model.modules {
      let shape = norm.weight.tensor.shape
      norm.weight.tensor = try Tensor.rand(shape, generator: generator) + 0.5
      norm.bias.tensor = try Tensor.randn(shape, generator: generator) * 0.3
      norm.runningMean.tensor = try Tensor.randn(shape, generator: generator) * 0.3
      norm.runningVar.tensor = try Tensor.rand(shape, generator: generator) + 0.2
    }
    let url = folder.appendingPathComponent("random.facet")
    try ModelBundle.write(configuration: configuration, weights: model.state(), to: url)
    return try ModelBundle(contentsOf: url)
  }

  private func run(_ arguments: [String], in folder: URL) throws -> [String] {
    let process = Process()
    let (output, errors) = (Pipe(), folder.appendingPathComponent("errors.txt"))
    try Data().write(to: errors)
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [try #require(Self.python)] + arguments
    process.currentDirectoryURL = folder
    process.standardOutput = output
    process.standardError = try FileHandle(forWritingTo: errors)
    try process.run()
    let data = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    let complaint = String(decoding: try Data(contentsOf: errors), as: UTF8.self)
    try #require(process.terminationStatus == 0, "\(complaint)")
    return String(decoding: data, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  /// Computes what Facet computed with each engine, for three faces at once and for the first alone.
  private static let compare = """
    import numpy, onnx, onnxruntime, openvino
    from safetensors.numpy import load_file
    expected = load_file("expected.safetensors")
    for name, source, results in (("encoder", "image", ("mean", "log_deviation")),
                                  ("decoder", "latent", ("image", "mask"))):
        model = onnx.load(name + ".onnx")
        onnx.checker.check_model(model, full_check=True)
        assert model.opset_import[0].version >= 17
        assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
        session = onnxruntime.InferenceSession(name + ".onnx")
        compiled = openvino.Core().compile_model(name + ".onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        for count in (3, 1):
            x = expected[name + "." + source][:count]
            engines = {"onnxruntime": session.run(results, {source: x}),
                       "openvino": [compiled({source: x})[result] for result in results]}
            for engine, arrays in engines.items():
                for result, array in zip(results, arrays):
                    y = expected[name + "." + result][:count]
                    assert array.shape == y.shape, (array.shape, y.shape)
                    print(engine, name, result, count, numpy.abs(array - y).max(), numpy.abs(y).max())
    """

  private static let configurations: [(name: String, value: ModelConfiguration?)] = {
    var stem = ModelConfiguration.tiny
    (stem.stem, stem.imageSize, stem.decoderChannels, stem.decoderResiduals) = (4, 32, [8, 6, 4], [1, 0, 1])
    return [("the default bundle", nil), ("article", .article), ("tiny", .tiny), ("stem of 4", stem)]
  }()

  @Test(.enabled(if: python != nil, hint), arguments: configurations)
  func enginesComputeTheSame(_ name: String, _ configuration: ModelConfiguration?) throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let bundle = try configuration.map(randomBundle) ?? ModelBundle()
    try bundle.exportONNX(to: exported)

    let (size, latents) = (bundle.configuration.imageSize, bundle.configuration.latentSize)
    let generator = try Generator(seed: 5)
    let image = try Tensor.rand([3, 3, size, size], generator: generator)
    let latent = try Tensor.randn([3, latents], generator: generator)
    let (code, face) = try withoutGradients { (try bundle.model.encode(image), try bundle.model.decode(latent)) }
    let expected = [
      "encoder.image": image, "encoder.mean": code.mean, "encoder.log_deviation": code.logDeviation,
      "decoder.latent": latent, "decoder.image": face.image, "decoder.mask": try face.mask,
    ]
    try Tensor.save(
      expected.mapValues { try $0.contiguous() }, metadata: [:], to: exported.appending(path: "expected.safetensors"))

    let lines = try run(["-c", Self.compare], in: exported)
    #expect(lines.count == 16)
    for line in lines {
      let words = line.split(separator: " ")
      let (error, largest) = (try #require(Double(words[4])), try #require(Double(words[5])))
      #expect(error <= 1e-4, "\(name): \(line)")
      #expect(largest > 0.01, "\(name): nothing to compare in \(line)")
    }
  }

  @Test(.enabled(if: python != nil, hint)) func numpyReadsTheDirections() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let bundle = try ModelBundle()
    try bundle.exportONNX(to: exported)
    let script = """
      import numpy, safetensors.numpy, zipfile
      assert zipfile.ZipFile("attributes.npz").testzip() is None
      arrays = dict(numpy.load("attributes.npz", allow_pickle=False))
      print("\\n".join(arrays.pop("names").tolist()))
      safetensors.numpy.save_file(arrays, "arrays.safetensors")
      """
    let directions = try AttributeDirections(of: bundle)
    #expect(try run(["-c", script], in: exported) == directions.names)
    let arrays = try Tensor.load(from: exported.appending(path: "arrays.safetensors")).tensors
    #expect(arrays.count == 4)
    for (name, method) in [("isolated", DirectionMethod.isolated), ("mean_difference", .meanDifference)] {
      #expect(try #require(arrays[name]).array(Float.self) == directions.vectors(method).array())
      #expect(try #require(arrays[name]).shape == directions.vectors(method).shape)
      let factors = directions.factors(method).flatMap { [Float($0.add), Float($0.remove)] }
      #expect(try #require(arrays["\(name)_factors"]).array(Float.self) == factors)
    }
  }

  @Test(.enabled(if: python != nil, hint)) func numpyReadsArraysOfAllShapes() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    var arrays = NPZ()
    arrays.add("texts", ["ä", "𝔘nicode", ""])
    arrays.add("none", [String]())
    try arrays.add("line", Tensor([1, -2.5, 3] as [Float]))
    try arrays.add("box", Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [1, 3, 2]))
    try AtomicFile.write(arrays.data, to: folder.appendingPathComponent("arrays.npz"))
    let script = """
      import numpy
      for name, array in numpy.load("arrays.npz", allow_pickle=False).items(): print(name, array.tolist())
      """
    #expect(
      try run(["-c", script], in: folder) == [
        "texts ['ä', '𝔘nicode', '']", "none []", "line [1.0, -2.5, 3.0]",
        "box [[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]",
      ])
  }

  /// The Python of the README, as it stands there.
  private func example() throws -> String {
    let text = try String(contentsOf: exported.appendingPathComponent("README.md"), encoding: .utf8)
    return String(try #require(text.firstMatch(of: /```python\n((?s).*?)```/)).1)
  }

  @Test(.enabled(if: python != nil, hint)) func readmeMakesAnEdit() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let editor = try FaceEditor()
    try editor.bundle.exportONNX(to: exported)
    let script = try example()
    #expect(script.split(separator: "\n", omittingEmptySubsequences: false).count <= 21)  // a last line's end
    try script.write(to: exported.appendingPathComponent("edit.py"), atomically: true, encoding: .utf8)
    // Larger than the model's own size, as of a photo.
    let face = try editor.face(in: Photo(contentsOf: PortraitTests.astronaut).picture)
    let picture = try face.alignment.crop(Photo(contentsOf: PortraitTests.astronaut).picture, size: 200)
    try Photo(picture, format: .png).write(to: exported.appendingPathComponent("face.png"))

    _ = try run(["edit.py", "face.png", "edited.png"], in: exported)
    let edited = try Photo(contentsOf: exported.appendingPathComponent("edited.png")).picture
    #expect(edited.width == editor.bundle.configuration.imageSize && edited.height == edited.width)
    let after = try editor.face(in: edited, isAligned: true)
    let smiling = try editor.directions.index(of: "Smiling")
    func smile(_ face: EncodedFace) throws -> Double {
      try editor.directions.probes.logits(of: face.latent).select(1, smiling).item()
    }
    #expect(try smile(after) > smile(face) + 1)
    // It is the same face still.
    #expect(try (Tensor(edited) - Tensor(face.crop)).abs().mean().item() < 0.05)
  }

  @Test(.enabled(if: python != nil, hint)) func withoutDirectionsTheReadmeReconstructs() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let bundle = try randomBundle(.tiny)
    try ModelBundle().exportONNX(to: exported)
    try bundle.exportONNX(to: exported)
    // Those of the model that was there before are gone.
    #expect(Set(try FileManager.default.contentsOfDirectory(atPath: exported.path))
      == ["encoder.onnx", "decoder.onnx", "README.md"])
    try example().write(to: exported.appendingPathComponent("edit.py"), atomically: true, encoding: .utf8)
    _ = try run(["edit.py", PortraitTests.astronaut.path, "out.png"], in: exported)
    #expect(try Photo(contentsOf: exported.appendingPathComponent("out.png")).picture.width == 16)
  }

  @Test func brokenWeightsAreNotExported() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let model = try ModelConfiguration.tiny.makeModel(seed: 1)
    var weights = try model.state()
    weights["decoder.output.weight"] = try #require(weights["decoder.output.weight"]) * .nan
    let url = folder.appendingPathComponent("broken.facet")
    try ModelBundle.write(configuration: .tiny, weights: weights, to: url)
    #expect {
      try ModelBundle(contentsOf: url).exportONNX(to: exported)
    } throws: { "\($0)".contains("decoder.output.weight") && "\($0)".contains("not finite") }
    #expect(!FileManager.default.fileExists(atPath: exported.path))
  }

  @Test func directionsOfOtherWeightsAreNotExported() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let bundle = try randomBundle(.tiny)
    try FileManager.default.copyItem(
      at: ModelBundle.defaultURL.appendingPathComponent(AttributeDirections.file),
      to: bundle.url.appendingPathComponent(AttributeDirections.file))
    #expect(throws: BundleError.self) { try bundle.exportONNX(to: exported) }
    #expect(!FileManager.default.fileExists(atPath: exported.path))
  }
}

import Facet
import Foundation
import Photo
import Torch

/// A folder with the files that documents name, small ones, and a shell in it that finds `facet`.
struct DocumentedFolder {
  struct Failure: Error { let reason: String }

  let program: Program

  init() throws { program = try Program() }

  /// Runs a line as somebody types it.
  /// - Parameter more: options that each `facet` gets behind its own.
  func shell(_ line: String, more: String = "") throws -> Program.Result {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    // A command that never ends is at fault.
    let function = "facet() { timeout 120 facet \"$@\" \(more); }"
    return try Program.Running(
      URL(fileURLWithPath: "/bin/bash"), ["-c", "set -o pipefail; \(function); \(line)"], in: program.folder,
      environment: ["PATH": "\(Program.url.deletingLastPathComponent().path):\(path)", "OMP_NUM_THREADS": "1"]
    ).wait()
  }

  /// Starts a server and waits for its address, as this machine reaches it.
  func serve(_ arguments: [String]) throws -> (process: Process, address: String) {
    let (process, output) = (Process(), Pipe())
    process.executableURL = Program.url
    process.arguments = arguments
    process.currentDirectoryURL = program.folder
    process.standardOutput = output
    try process.run()
    var line = Data()
    let source = output.fileHandleForReading
    while !line.contains(UInt8(ascii: "\n")), let more = try source.read(upToCount: 1), !more.isEmpty { line += more }
    guard let port = String(decoding: line, as: UTF8.self).firstMatch(of: /http:\/\/[^ ]*:([0-9]+)/)?.1 else {
      throw Failure(reason: "\(arguments): no address")
    }
    return (process, "http://127.0.0.1:\(port)")
  }

  /// Whether there is a file that is not empty, or a folder with something in it.
  func holds(_ name: String) -> Bool {
    var isFolder: ObjCBool = false
    let path = program.path(name)
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else { return false }
    if isFolder.boolValue { return (try? FileManager.default.contentsOfDirectory(atPath: path).isEmpty) == false }
    return (try? Data(contentsOf: URL(fileURLWithPath: path)).isEmpty) == false
  }

  /// Writes the files that the commands of a way read.
  func fill(for way: DocumentedWaysTests.Way) throws {
    let portrait = try Picture(contentsOf: FaceEditor.samplePhotoURL)
    try write(portrait, "me.jpg", "a.jpg")
    try write(portrait.mirrored(), "you.jpg", "b.jpg", "b.png")
    switch way {
    case .photos:
      var group = Picture(width: 2 * portrait.width, height: portrait.height, filledWith: 200)
      group.paste(portrait, x: 0, y: 0)
      group.paste(portrait.resized(to: (400, 400)), x: portrait.width, y: 50)
      try write(group, "group.jpg", "holiday/group.jpg")
      try write(Picture(width: 64, height: 64, filledWith: 90), "holiday/wall.jpg")
      try write(portrait, "holiday/beach/me.jpg")
      try write(mask, "mouth.png")
      let look = #"{"edits": [{"attribute": "Hair", "style": "auburn"}, {"attribute": "Smiling", "strength": 1}]}"#
      try write(look, "party.json")
    case .studio:
      try write(mask, "mask.png")
      try write("0123456789abcdefghij\n", "token")
      try link("runs/a", to: ModelBundle.defaultURL)
    case .ownPhotos:
      var people = "file,age,sex,smiles\n"
      for i in 1...10 {
        let name = String(format: "%04d.jpg", i)
        try write(portrait.darkened(to: 1 - 0.05 * Double(i)), "photos/\(name)")
        let age = i % 4 == 0 ? "" : "\(24 + 5 * i)"
        people += "\(name),\(age),\(i % 2 == 0 ? "female" : "male"),\(i % 3 == 0 ? 1 : 0)\n"
      }
      try write(people, "people.csv")
      for folder in ["ages/images", "celebamask-hq/images"] {
        try write(portrait, "\(folder)/1.jpg", "\(folder)/2.jpg")
      }
      try link("Sources", to: DocumentedCommandsTests.root.appendingPathComponent("Sources"))
      try writePerceptualWeights()
      let faces = try DrawnFaces()
      try withExtendedLifetime(faces) { try make(program.training(faces, "runs/other", images: 8)) }
    case .parsers:
      let celebA = try writeCelebA(groupsOf: 4)
      for photo in celebA.prefix(20) { try copy("celeba/img_align_celeba/\(photo)", "celebamask-hq/images/\(photo)") }
      // In another order of classes than CelebAMask-HQ's, which nothing here depends on.
      try make(["parse", program.path("celebamask-hq/images"), "-o", program.path("celebamask-hq/masks")])
    case .models:
      // A query needs 20 photos on each side, whose faces must be found, too.
      try writeCelebA(groupsOf: 24)
      try make(["parse", program.path("celeba/img_align_celeba"), "-o", program.path("celeba/mask_faceparsing")])
      try writeArticle()
      try writePerceptualWeights()
    }
  }

  /// The lower half of any photo.
  private var mask: Picture {
    var mask = Picture(width: 32, height: 32, filledWith: 0)
    mask.paste(Picture(width: 32, height: 16, filledWith: 255), x: 0, y: 16)
    return mask
  }

  // MARK: Data sets and weights

  /// Faces that the default model draws, in CelebA's layout without label maps, and a list of those with glasses.
  /// Queries of the documents ask for the groups.
  /// - Parameter size: photos of `train` in a group, and photos of `val` and `test` together.
  /// - Returns: the names of the photos.
  @discardableResult private func writeCelebA(groupsOf size: Int) throws -> [String] {
    let editor = try FaceEditor()
    let groups: [Set<String>] = [
      ["Male", "Gray_Hair", "No_Beard", "Bald"], ["Male", "Young", "No_Beard"], ["Gray_Hair", "No_Beard"],
      ["Young", "No_Beard"], ["Male", "Young", "Blond_Hair", "Eyeglasses"],
    ]
    let grouped = groups.reduce(Set()) { $0.union($1) }
    let names = editor.directions.labelNames
    let count = (groups.count + 1) * size
    var (list, partitions, clear) = ("\(count)\n\(names.joined(separator: " "))\n", "", "")
    var photos: [String] = []
    for (i, face) in try editor.sample(count: count, seed: 1).enumerated() {
      let (place, group) = i.quotientAndRemainder(dividingBy: groups.count)
      let photo = String(format: "%06d.jpg", i + 1)
      var chance = SplitMix64(seed: UInt64(i))
      let labels = names.enumerated().map { column, name in
        let isRandom = chance.next() & 1 == 0
        if grouped.contains(name) { return groups[group].contains(name) }
        // What groups are to have alike.
        if ["Smiling", "High_Cheekbones", "Heavy_Makeup"].contains(name) { return (place >> (column % 3)) & 1 == 0 }
        return isRandom
      }
      list += "\(photo) \(labels.map { $0 ? "1" : "-1" }.joined(separator: " "))\n"
      partitions += "\(photo) \(place < size ? 0 : 1 + i % 2)\n"
      photos.append(photo)
      var shown = face
      if groups[group].contains("Eyeglasses") {
        clear += "Eyeglasses=1 \(photo)\n"
        let worn = try AttributeEdit("Eyeglasses", strength: 1)
        shown = try editor.apply([worn], to: editor.face(in: face, isAligned: true), in: face)
      }
      var frame = Picture(width: 178, height: 218, filledWith: 217)
      frame.paste(shown.resized(to: (170, 170)), x: 4, y: 39)
      try write(frame, "celeba/img_align_celeba/\(photo)")
    }
    try write(list, "celeba/list_attr_celeba.txt")
    try write(partitions, "celeba/list_eval_partition.txt")
    try write(clear, "clear.txt")
    return photos
  }

  /// A small model of the article's and its vectors, as Keras and NumPy saved them.
  private func writeArticle() throws {
    let fixture = DocumentedCommandsTests.root.appendingPathComponent("Tests/FacetTests/Fixtures/keras")
    for folder in ["cache", "vectors"] {
      try FileManager.default.copyItem(at: fixture.appendingPathComponent("vectors"), to: place(folder))
    }
    _ = try shell("gzip -dc '\(fixture.path)/training.h5.gz' > weights.best.h5")
  }

  /// Random weights of the perceptual distance, where the program looks for those that were learned.
  private func writePerceptualWeights() throws {
    let generator = try Generator(seed: 8)
    var tensors: [String: Tensor] = [:]
    for (index, shape) in [[64, 3, 11, 11], [192, 64, 5, 5], [384, 192, 3, 3]].enumerated() {
      let deviation = 1 / Double(shape.dropFirst().reduce(1, *)).squareRoot()
      tensors["conv\(index).weight"] = try Tensor.randn(shape, generator: generator) * deviation
      tensors["conv\(index).bias"] = try .zeros([shape[0]])
      tensors["head\(index)"] = try .full([1, shape[0], 1, 1], 1 / Double(shape[0]))
    }
    try Tensor.save(tensors, to: place("facet/perceptual.safetensors"))
  }

  // MARK: Files

  private func make(_ arguments: [String]) throws {
    let result = try program.run(arguments)
    if result.status != 0 { throw Failure(reason: "\(arguments): \(result.errors)") }
  }

  /// The place of a file, in a folder that is there.
  private func place(_ name: String) throws -> URL {
    let url = URL(fileURLWithPath: program.path(name))
    try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    return url
  }

  private func write(_ picture: Picture, _ names: String...) throws {
    for name in names { try picture.write(to: place(name)) }
  }

  private func write(_ text: String, _ name: String) throws { try Data(text.utf8).write(to: place(name)) }

  private func copy(_ name: String, _ copy: String) throws {
    try FileManager.default.copyItem(at: place(name), to: place(copy))
  }

  private func link(_ name: String, to url: URL) throws {
    try FileManager.default.createSymbolicLink(at: place(name), withDestinationURL: url)
  }
}

extension Picture {
  fileprivate func darkened(to share: Double) -> Picture {
    Picture(width: width, height: height, channels: channels, pixels: pixels.map { UInt8(share * Double($0)) })
  }
}

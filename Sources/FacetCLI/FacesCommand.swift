import ArgumentParser
import Facet
import Foundation
import Photo

struct FacesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "faces",
    abstract: "Show which faces are found in photos, and their numbers.",
    discussion: """
      --face of other commands takes these numbers; the largest face is 1. With -o the numbers are drawn into the photo. \
      With --json each face gives one line, an object of file, number and face (the box in the photo's pixels).

      Examples:
        facet faces group.jpg
        facet faces group.jpg -o numbered.jpg
        facet edit group.jpg --face 2 --attribute Smiling=1 -o smiling.jpg
      """)

  @OptionGroup var inputs: PhotoInputs
  @Option(
    name: [.short, .customLong("output")], help: "Where one photo is written with the faces' numbers in it.",
    completion: .file())
  var output: String?
  @Flag(help: "Overwrite a picture that is there.")
  var force = false
  @Flag(help: "Print one JSON object a face, each on its line.")
  var json = false

  private struct Line: Encodable {
    var file: String
    var number: Int
    var face: FaceBox
  }

  func run() throws {
    let photos = try inputs.expanded()
    if let output {
      if photos.count != 1 { throw UsageError("-o takes one picture, and there are \(photos.count) photos") }
      if Photo.Format(pathExtension: URL(fileURLWithPath: output).pathExtension) == nil {
        throw UsageError("-o \(PhotoError.unknownFormat(file: output))")
      }
      if !force, FileManager.default.fileExists(atPath: output) {
        throw CommandError("\(output) is there already; add --force to overwrite it")
      }
    }
    let detector = FaceDetector()
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    try inputs.forEach(photos) { _, input in
      var photo = try input.read()
      let boxes = try detector.faces(in: photo.picture).compactMap { FaceAlignment($0) }.map(FaceBox.init)
      if boxes.isEmpty { throw PortraitError.noFace(file: nil) }
      for (index, box) in boxes.enumerated() {
        let line = Line(file: input.name, number: index + 1, face: box)
        if json {
          try show(json: String(decoding: encoder.encode(line), as: UTF8.self))
        } else {
          try show("\(input.name): face \(index + 1) at \(box)")
        }
        if output != nil { try photo.picture.mark(box.window, with: "\(index + 1)") }
      }
      if let output { try photo.write(to: URL(fileURLWithPath: output)) }
    }
  }
}

/// The box around a face's crop, in the photo's pixels.
struct FaceBox: Encodable, CustomStringConvertible {
  var x, y, width, height: Double

  init(_ alignment: FaceAlignment) {
    let box = alignment.box
    func rounded(_ value: Double) -> Double { (value * 10).rounded() / 10 }
    (x, y, width, height) = (rounded(box.minX), rounded(box.minY), rounded(box.width), rounded(box.height))
  }

  var description: String { String(format: "%.0f, %.0f, %.0f x %.0f pixels", x, y, width, height) }

  var window: Window { Window(x: Int(x), y: Int(y), width: Int(width), height: Int(height)) }
}

import Facet
import FacetTraining
import Foundation
import Photo
import Testing

/// The command line's label maps as a user makes them.
@Suite(.serialized) struct ParseCommandTests {
  let faces: DrawnFaces
  let program: Program

  init() throws {
    faces = try DrawnFaces(count: 20)
    program = try Program()
  }

  private var photos: String { faces.folder.appendingPathComponent("img_align_celeba").path }
  private func url(_ name: String) -> URL { URL(fileURLWithPath: program.path(name)) }

  @Test func mapsAreWrittenAndAnInterruptedRunGoesOn() throws {
    defer { program.remove() }
    let first = try program.run("parse", photos, "-o", program.path("maps"), "--threads", "1", "--batch", "8")
    #expect(first.status == 0, "\(first.errors)")
    let names = try FileManager.default.contentsOfDirectory(atPath: program.path("maps")).sorted()
    #expect(names == (1...20).map { String(format: "%06d.png", $0) })
    let map = try Picture(labelMap: url("maps/000003.png"))
    #expect((map.width, map.height, map.channels) == (32, 32, 1) && map.pixels.allSatisfy { $0 < 19 })

    let again = try program.run("parse", photos, "-o", program.path("maps"))
    #expect(again.status == 1 && again.errorLines.count == 1 && again.errors.contains("add --resume"), "\(again.errors)")
    // What is there stays; what is missing is made.
    try Data("mine".utf8).write(to: url("maps/000001.png"))
    try FileManager.default.removeItem(at: url("maps/000003.png"))
    let resumed = try program.run("parse", photos, "-o", program.path("maps"), "--resume", "--threads", "1")
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(try Data(contentsOf: url("maps/000001.png")) == Data("mine".utf8))
    #expect(try Picture(labelMap: url("maps/000003.png")) == map)
    #expect(try program.run("parse", photos, "-o", program.path("maps"), "--force", "--threads", "2").status == 0)
    #expect(try Picture(labelMap: url("maps/000001.png")).width == 32)
  }

  @Test func badPhotosAreNamed() throws {
    defer { program.remove() }
    try Data("no photo".utf8).write(to: URL(fileURLWithPath: photos + "/000002.jpg"))
    let refused = try program.run("parse", photos, "-o", program.path("a"), "--threads", "1")
    #expect(refused.status == 1 && refused.errors.contains("000002.jpg: not a photo"), "\(refused.errors)")
    let skipped = try program.run("parse", photos, "-o", program.path("b"), "--skip", "--threads", "1")
    #expect(skipped.status == 0 && skipped.errors.contains("skipped: ") && skipped.errors.contains("000002.jpg"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: program.path("b")).count == 19)
    let missing = try program.run("parse", photos, "-o", program.path("c"), "--parser", program.path("none"))
    #expect(missing.status == 1 && missing.errors.contains("none/config.json"), "\(missing.errors)")
    #expect(try program.run("parse", photos).status == 64)
    #expect(try program.run("parse", photos, "-o", "x", "--resume", "--force").status == 64)
  }

  @Test func parsersAreTrainedAndMeasured() throws {
    defer { program.remove() }
    for (name, target) in [("images", "img_align_celeba"), ("masks", "mask_faceparsing")] {
      try FileManager.default.createSymbolicLink(
        at: faces.folder.appendingPathComponent(name), withDestinationURL: faces.folder.appendingPathComponent(target))
    }
    // Anything but the partition list makes it a folder of pairs.
    try FileManager.default.removeItem(at: faces.folder.appendingPathComponent(CelebA.partitionList))
    let options = ["--data", faces.folder.path, "--output", program.path("run"), "--batch", "4", "--threads", "1"]
    let trained = try program.run(["parse", "train"] + options + ["--images", "8"])
    #expect(trained.status == 0, "\(trained.errors)")
    #expect(trained.errors.contains("mean_iou") && program.steps("run") == 2)
    let again = try program.run(["parse", "train"] + options + ["--images", "12"])
    #expect(again.status == 1 && again.errors.contains("add --resume"), "\(again.errors)")
    #expect(try program.run(["parse", "train"] + options + ["--images", "12", "--resume"]).status == 0)
    #expect(program.steps("run") == 3)
    let celebA = try DrawnFaces(count: 8)
    let next = try program.run([
      "parse", "train", "--data", faces.folder.path, "--output", program.path("next"), "--batch", "4", "--threads", "1",
      "--images", "4", "--coarse", celebA.folder.path, "--from", program.path("run"),
    ])
    #expect(next.status == 0 && program.steps("next") == 1, "\(next.errors)")
    let card = try String(contentsOf: url("next/card.md"), encoding: .utf8)
    #expect(card.contains("18 pairs of photos and label maps and, of 6 more photos, coarse maps"), "\(card)")
    let evaluated = try program.run(
      "parse", "evaluate", "--data", faces.folder.path, "--parser", program.path("run"), "--json", "--threads", "1")
    #expect(evaluated.status == 0, "\(evaluated.errors)")
    let report = try JSONDecoder().decode(ParserReport.self, from: Data(evaluated.output.utf8))
    #expect(report.images == 2 && report.classes.count == 19 && (0...1).contains(report.meanIoU))
    let table = try program.run(
      "parse", "evaluate", "--data", faces.folder.path, "--side", "16", "--threads", "1")
    #expect(table.status == 0 && table.output.contains("l_brow"), "\(table.errors)")
  }
}

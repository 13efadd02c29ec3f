import Foundation
import Testing

struct ModelCommandTests {
  @Test func trainedBundleIsMeasuredAndGetsDirections() throws {
    let faces = try DrawnFaces()
    let program = try Program()
    defer { program.remove() }
    #expect(try program.run(program.training(faces, "run", images: 80)).status == 0)
    let (data, model) = (faces.folder.path, program.path("run"))

    let json = try program.run("evaluate", "--data", data, "--partition", "val", "--model", model, "--json")
    #expect(json.status == 0, "\(json.errors)")
    let line = try #require(json.output.split(separator: "\n").last)
    let figures = try JSONDecoder().decode([String: Double].self, from: Data(line.utf8))
    let keys = ["ssim", "mae", "mask_bce", "mask_dice", "mask_iou", "kl", "images", "images_per_second", "loss"]
    #expect(Set(figures.keys) == Set(keys))
    #expect(figures["images"] == 8)
    #expect(json.errors.contains("evaluate  100%"))
    let table = try program.run("evaluate", "--data", data, "--model", model)
    #expect(table.output.contains("mask_iou") && table.output.contains("8 photos of partition val"))
    let empty = try program.run("evaluate", "--data", data, "--partition", "test", "--model", model)
    #expect(empty.status == 1)
    #expect(empty.errorLines.count == 1 && empty.errors.contains("partition test"), "\(empty.errors)")

    #expect(try program.run("info", "--model", model).output.contains("none yet"))
    let attributes = try program.run("attributes", "--model", model, "--data", data, "--limit", "5")
    #expect(attributes.status == 0, "\(attributes.errors)")
    #expect(attributes.output.hasPrefix("2 directions from 24 photos"))
    let info = try program.run("info", "--model", model)
    #expect(info.status == 0, "\(info.errors)")
    #expect(info.output.contains("compact, 32x32 pixels, latent size 8"))
    #expect(info.output.contains(/Smiling +5 +5/))
  }

  @Test func helpAndErrors() throws {
    let program = try Program()
    defer { program.remove() }
    for command in ["train", "attributes", "evaluate", "info", "edit", "spectrum", "reconstruct"] {
      let help = try program.run(command, "--help")
      #expect(help.status == 0)
      #expect(help.output.contains("facet \(command)"), "no example in the help of \(command)")
    }
    #expect(try program.run("evaluate", "--data", "x", "--partition", "all").status == 64)
    let missing = try program.run("info", "--model", "/none")
    #expect(missing.status == 1)
    #expect(missing.errorLines.count == 1 && missing.errors.contains("/none/config.json"), "\(missing.errors)")
    for shell in ["bash", "zsh", "fish"] {
      let script = try program.run("--generate-completion-script", shell)
      #expect(script.status == 0)
      #expect(script.output.contains("checkpoint-minutes"))
    }
    let device = try program.run("evaluate", "--data", "x", "--device", "tpu")
    #expect(device.status == 1)
    #expect(device.errors.contains("--device"))
  }
}

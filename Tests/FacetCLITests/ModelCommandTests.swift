import Facet
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
    let attributes = try program.run("attributes", "--model", model, "--data", data, "--limit", "5", "--threads", "2")
    #expect(attributes.status == 0, "\(attributes.errors)")
    #expect(attributes.output.hasPrefix("2 directions from 24 photos"))
    let info = try program.run("info", "--model", model)
    #expect(info.status == 0, "\(info.errors)")
    #expect(info.output.contains("compact, 32x32 pixels, latent size 8"))
    #expect(info.output.contains(/Smiling +5 +5/))
    #expect(info.output.contains("attributes  2\n") && info.output.contains("accuracy"))
    #expect(attributes.output.contains("probes on 8 photos of val"))

    let few = try program.run(
      ["attributes", "define", "both", "--positives", "Smiling & Eyeglasses", "--model", model, "--data", data])
    #expect(few.status == 1)
    #expect(few.errors.contains(/'both' has \d+ photos on the positive side and \d+ on the negative/), "\(few.errors)")
  }

  @Test func combinedDirectionsAreDefinedAndRemoved() throws {
    let faces = try DrawnFaces(count: 96)
    let program = try Program()
    defer { program.remove() }
    #expect(try program.run(program.training(faces, "run", images: 8)).status == 0)
    let source = ["--model", program.path("run"), "--data", faces.folder.path]
    let without = try program.run(["attributes", "define", "plain", "--positives", "Smiling"] + source)
    #expect(without.status == 1 && without.errors.contains("attributes.safetensors: missing"), "\(without.errors)")
    #expect(try program.run(["attributes", "find", "--scale", "2"] + source).status == 0)

    let define = ["attributes", "define", "plain", "--positives", "!Smiling & !Eyeglasses | !Smiling"]
    let defined = try program.run(define + ["--photos", "8"] + source)
    #expect(defined.status == 0, "\(defined.errors)")
    #expect(defined.output.hasPrefix("plain: 24 photos have it, 48 lack it"), "\(defined.output)")
    let info = try program.run(["info", "--model", program.path("run")])
    #expect(info.output.contains("attributes  2 and 1 combined"))
    #expect(info.output.contains("plain: !Smiling & !Eyeglasses | !Smiling"))
    let again = try program.run(define + source)
    #expect(again.status == 1 && again.errors.contains("--replace"), "\(again.errors)")
    let replaced = try program.run(
      ["attributes", "define", "Plain", "--positives", "Smiling", "--negatives", "!Smiling", "--replace"]
        + ["--scale", "1"] + source)
    #expect(replaced.output.hasPrefix("Plain: 48 photos have it, 24 lack it"), "\(replaced.errors)")
    // Found anew, the bundle keeps its definitions.
    let anew = try program.run(["attributes", "--scale", "1.5"] + source)
    #expect(anew.output.hasPrefix("3 directions from 72 photos, 1 of them combined"), "\(anew.output)")

    #expect(try program.run(["attributes", "remove", "plain", "--model", program.path("run")]).status == 0)
    let gone = try program.run(["attributes", "remove", "plain", "--model", program.path("run")])
    #expect(gone.status == 64 && gone.errorLines.count == 1, "\(gone.errors)")

    let fault = try program.run(["attributes", "define", "x", "--positives", "Smiling & Eyeglases"] + source)
    #expect(fault.status == 64)
    #expect(fault.errors.contains("positives query, character 11: no attribute is named 'Eyeglases'; try Eyeglasses"))
    // The mark stands under the name.
    let column = try #require(fault.errorLines.last).count - 1
    #expect(try #require(fault.errorLines.dropLast().last).dropFirst(column).hasPrefix("Eyeglases"), "\(fault.errors)")
    #expect(try program.run(["attributes", "define", "x"] + source).status == 64)
    #expect(try program.run(["attributes", "--photos", "0"] + source).status == 64)
  }

  @Test func aDecoderIsSharpenedAndResumed() throws {
    let faces = try DrawnFaces()
    let program = try Program()
    defer { program.remove() }
    #expect(try program.run(program.training(faces, "run", images: 80)).status == 0)
    let (model, data) = (["--model", program.path("run")], ["--data", faces.folder.path])
    let sharpen = ["sharpen", "--output", program.path("sharp"), "--batch", "4"] + model + data
    let bare = try program.run(sharpen + ["--images", "8"])
    #expect(bare.status == 1 && bare.errors.contains("make it with 'facet attributes"), "\(bare.errors)")
    #expect(try program.run(["attributes", "--scale", "2"] + model + data).status == 0)
    let attributes = ["--attribute", "Smiling", "--attribute", "Eyeglasses"]
    let trained = try program.run(sharpen + attributes + ["--images", "8"])
    #expect(trained.status == 0 && trained.errors.contains("checkpoint  8 images seen"), "\(trained.errors)")
    let again = try program.run(sharpen + attributes + ["--images", "8"])
    #expect(again.status == 1 && again.errors.contains("holds a run already"), "\(again.errors)")
    let resumed = try program.run(sharpen + ["--resume", "--images", "16"])
    #expect(resumed.status == 0 && resumed.errors.contains("from step 2"), "\(resumed.errors)")
    let info = try program.run(["info", "--model", program.path("sharp")])
    #expect(info.output.contains("decoder sharpened on 16 images"), "\(info.output)")
    let photo = faces.folder.appendingPathComponent("img_align_celeba/000001.jpg").path
    let edit = ["edit", photo, "--aligned", "--attribute", "Smiling=1", "-o", program.path("out.png"), "--model", program.path("sharp")]
    let edited = try program.run(edit)
    #expect(edited.status == 0, "\(edited.errors)")
    let unknown = try program.run(sharpen + ["--force", "--attribute", "Smilling", "--images", "8"])
    #expect(unknown.status == 64 && unknown.errors.contains("Smiling"), "\(unknown.errors)")
    #expect(try program.run(sharpen + ["--realism", "-1"]).status == 64)
  }

  @Test func glassesAreTakenOverOrLearned() throws {
    let faces = try DrawnFaces()
    let program = try Program()
    defer { program.remove() }
    #expect(try program.run(program.training(faces, "run", images: 8)).status == 0)
    let model = ["--model", program.path("run")]
    let file = URL(fileURLWithPath: program.path("run")).appendingPathComponent("glasses.safetensors")
    #expect(try program.run(["glasses"] + model).status == 0)
    let shipped = ModelBundle.defaultURL.appendingPathComponent("glasses.safetensors")
    #expect(try Data(contentsOf: file) == Data(contentsOf: shipped))
    #expect(try program.run(["info"]).output.contains("drawn: glasses\n"))

    // No face is found in what is drawn there, and what was learned before stays.
    let few = try program.run(["glasses", "--data", faces.folder.path] + model)
    #expect(few.status == 1 && few.errors.contains("only 0 of 8 photos with Eyeglasses show lenses"), "\(few.errors)")
    #expect(try Data(contentsOf: file) == Data(contentsOf: shipped))
    let list = faces.folder.appendingPathComponent("list.txt")
    try "Smiling=1 000001.jpg\n".write(to: list, atomically: true, encoding: .utf8)
    let other = try program.run(["glasses", "--data", faces.folder.path, "--examples", list.path] + model)
    #expect(other.status == 1 && other.errors.contains("list.txt names no example of Eyeglasses=1"), "\(other.errors)")
    #expect(try program.run(["glasses", "--examples", list.path] + model).status == 64)
  }

  @Test func prototypesAreTakenOver() throws {
    let faces = try DrawnFaces()
    let program = try Program()
    defer { program.remove() }
    #expect(try program.run(program.training(faces, "run", images: 8)).status == 0)
    let model = ["--model", program.path("run")]
    #expect(try program.run(["prototype", "Young=-1"] + model).status == 0)
    let file = URL(fileURLWithPath: program.path("run")).appendingPathComponent("prototypes.safetensors")
    let shipped = ModelBundle.defaultURL.appendingPathComponent("prototypes.safetensors")
    #expect(try Data(contentsOf: file) == Data(contentsOf: shipped))
    #expect(try program.run(["info"]).output.contains("prototypes: Young=-1\n"))
    let unknown = try program.run(["prototype", "Bald=1"] + model)
    #expect(unknown.status == 1 && unknown.errors.contains("no prototype of Bald=1; it has Young=-1"), "\(unknown.errors)")
    let few = try program.run(["prototype", "Smiling=1", "--data", faces.folder.path, "--balance", "none"] + model)
    #expect(few.status == 1 && few.errors.contains("the positives are 0 photos with a face"), "\(few.errors)")
    let strange = try program.run(["prototype", "Smiling=2"] + model)
    #expect(strange.status == 64 && strange.errors.contains("'Smiling=2' is not NAME=1 or NAME=-1"), "\(strange.errors)")
    #expect(try program.run(["prototype", "Smiling=1", "--positives", "Smiling"] + model).status == 64)
    #expect(try Data(contentsOf: file) == Data(contentsOf: shipped))
  }

  @Test func helpAndErrors() throws {
    let program = try Program()
    defer { program.remove() }
    for command in ["train", "attributes", "evaluate", "info", "edit", "spectrum", "reconstruct", "inspect"] {
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
    #expect(device.status == 64)
    #expect(device.errors.contains("--device"))
  }
}

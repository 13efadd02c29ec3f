import ArgumentParser
import Facet
import FacetTraining
import Files
import Foundation
import Photo
import Torch

struct ParseCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "parse",
    abstract: "Write the label maps of photos that training needs, with a face parser; train and measure parsers.",
    discussion: """
      'write', which needs not be written, makes NNNNNN.png of each NNNNNN.jpg: an 8-bit map of the photo's own size, \
      each pixel one of 19 classes: 0 background, 1 skin, 2 l_brow, 3 r_brow, 4 l_eye, 5 r_eye, 6 eyeglasses, 7 l_ear, \
      8 r_ear, 9 earring, 10 nose, 11 mouth, 12 u_lip, 13 l_lip, 14 neck, 15 necklace, 16 cloth, 17 hair, 18 hat.

      Examples:
        facet parse celeba/img_align_celeba -o celeba/mask_faceparsing --resume --skip
        facet parse train --data celebamask-hq --output runs/parser --minutes 25
        facet parse evaluate --data celebamask-hq --parser runs/parser
      """,
    subcommands: [Write.self, Train.self, Evaluate.self], defaultSubcommand: Write.self)

  struct ParserOptions: ParsableArguments {
    @Option(help: "Folder of a face parser; default: the one inside the package.", completion: .directory)
    var parser: String?
    @OptionGroup var engine: EngineOptions

    func load() throws -> FaceParser {
      let device = try engine.prepare()
      let url = parser.map { URL(fileURLWithPath: $0, isDirectory: true) } ?? FaceParser.defaultURL
      return try FaceParser(contentsOf: url, device: device)
    }
  }

  struct Write: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Write the label maps of photos of one face each, such as CelebA's.",
      discussion: """
        Each map is written whole or not at all. Ctrl-C or SIGTERM ends the work with exit code 130; --resume goes on \
        with the photos that have no map yet.

        Examples:
          facet parse celeba/img_align_celeba -o celeba/mask_faceparsing
          facet parse celeba/img_align_celeba -o celeba/mask_faceparsing --resume --skip
          facet parse a.jpg b.png --parser runs/parser -o maps
        """)

    @Argument(help: "Photos, or folders of photos.", completion: .file())
    var photo: [String]
    @Option(name: [.short, .customLong("output")], help: "The folder of the maps.", completion: .directory)
    var output: String
    @Flag(help: "Leave the maps that are there and make the others.")
    var resume = false
    @Flag(help: "Overwrite maps that are there.")
    var force = false
    @Flag(help: "Go on to the next photo where one cannot be read.")
    var skip = false
    @Option(help: "Photos at once.")
    var batch = 32
    @OptionGroup var parser: ParserOptions

    func validate() throws {
      if !(1...4096).contains(batch) { throw ValidationError("--batch must be from 1 to 4096") }
      if resume && force { throw ValidationError("--resume keeps maps, --force overwrites them; give one of them") }
    }

    func run() throws {
      let lock = try WriteLock.folder(URL(fileURLWithPath: output, isDirectory: true))
      defer { withExtendedLifetime(lock) {} }
      let all = try jobs()
      let jobs = resume ? all.filter { !FileManager.default.fileExists(atPath: $0.map.path) } : all
      let report = ProgressReport("parse", total: all.count, unit: "photos", completed: all.count - jobs.count)
      let parser = try parser.load()
      Interruption.watch()
      var (seen, good) = (all.count - jobs.count, all.count - jobs.count)
      try parser.write(jobs, batchSize: batch) { _, fault in
        switch fault {
        case nil: good += 1
        case let fault? where !PhotoInputs.concernsOnePhoto(fault): throw CommandError("\(fault)")
        case let fault?:
          guard skip else { throw CommandError("\(fault); --skip goes on without it") }
          report.note("skipped: \(fault)")
        }
        seen += 1
        report.update(seen)
        if Interruption.requested, seen < all.count {
          report.finish()
          throw ExitCode(130)
        }
      }
      report.finish()
      if good == 0 { throw CommandError("none of \(all.count) photos could be used") }
    }

    private func jobs() throws -> [FaceParser.Job] {
      let folder = URL(fileURLWithPath: output, isDirectory: true)
      var seen: [String: URL] = [:]
      return try photo.flatMap { try PhotoInput.expand($0) }.compactMap(\.file).map { photo in
        let map = folder.appendingPathComponent(photo.deletingPathExtension().lastPathComponent + ".png")
        if let other = seen.updateValue(photo, forKey: map.path) {
          throw CommandError("\(photo.path) and \(other.path) would both be written to \(map.path)")
        }
        if photo.standardizedFileURL.path == map.standardizedFileURL.path {
          throw CommandError("\(photo.path) would be overwritten by its map; choose another -o")
        }
        if !resume, !force, FileManager.default.fileExists(atPath: map.path) {
          throw CommandError("\(map.path) is there already; add --resume to keep it or --force to overwrite it")
        }
        return FaceParser.Job(photo: photo, map: map)
      }
    }
  }

  struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Train a face parser on photos with label maps.",
      discussion: """
        The folder has images/NAME.jpg and masks/NAME.png, 8-bit maps of the photos' size in the class order of \
        CelebAMask-HQ: 0 background, 1 skin, 2 nose, 3 eyeglasses, 4 l_eye, 5 r_eye, 6 l_brow, 7 r_brow, 8 l_ear, \
        9 r_ear, 10 mouth, 11 u_lip, 12 l_lip, 13 hair, 14 hat, 15 earring, 16 necklace, 17 neck, 18 cloth; or it is \
        CelebAMask-HQ as published, with CelebA-HQ-img/ and CelebAMask-HQ-mask-anno/. Every tenth pair, in the order \
        of names, is kept for measuring. Pairs are held in memory, 150 KB each, with --glasses 600 KB.

        Photos are turned, scaled, moved, mirrored, relit, reduced to few pixels and compressed by chance, so that the \
        parser holds on small, soft photos. 'tensorboard --logdir OUTPUT/logs' shows how it goes. Ctrl-C or SIGTERM \
        ends training at the next step with a checkpoint and exit code 130; --resume goes on exactly from there, with the \
        options of the run where none are given.

        Examples:
          facet parse train --data celebamask-hq --output runs/parser --minutes 25
          facet parse train --data celebamask-hq --output runs/parser --resume
        """)

    @Option(help: "Folder with images/ and masks/, or CelebAMask-HQ's own.", completion: .directory)
    var data: String
    @Option(
      help: """
        Folder laid out as CelebA, whose label maps are right in the large: as many of its photos are seen beside the \
        others, and only background, hair, hat, neck, clothes and head are told apart there; train is used.
        """, completion: .directory)
    var coarse: String?
    @Option(help: "Start from the weights of this parser.", completion: .directory)
    var from: String?
    @Option(
      help: """
        The share of the photos on whose faces glasses are drawn, from 0 to 1; default 0. They are drawn once, three for \
        each face.
        """)
    var glasses: Double?
    @Option(help: "The share of the photos on which things in front of the face are drawn, from 0 to 1; default 0.")
    var occluders: Double?
    @Option(help: "The share of the photos whose hair becomes white or gray, from 0 to 1; default 0.")
    var whiteHair: Double?
    @OptionGroup var options: RunOptions
    @OptionGroup var engine: EngineOptions

    func run() throws {
      let configuration = try options.recipe(ParserTraining(), saved: ParserTrainer.savedConfiguration) {
        if let glasses { $0.drawn.glasses = glasses }
        if let occluders { $0.drawn.occluders = occluders }
        if let whiteHair { $0.drawn.whiteHair = whiteHair }
      }
      let data = URL(fileURLWithPath: data, isDirectory: true)
      let device = try engine.prepare()
      // Named wrongly, they would be noticed only once all pairs are read.
      let start = try from.map { try FaceParser(contentsOf: URL(fileURLWithPath: $0, isDirectory: true), device: device) }
      let coarseSet = try coarse.map { try CelebA(directory: URL(fileURLWithPath: $0, isDirectory: true)) }
      let (output, lock) = try options.checkedFolder()
      defer { withExtendedLifetime(lock) {} }
      let side = ParserTrainer.sourceSide(of: configuration.model)
      var pairs = try report("decode") { try FacePairs(data, .training, side: side, progress: $0) }
      if configuration.drawn.glasses > 0 {
        let editor = try FaceEditor()
        pairs = try report("draw glasses") { try pairs.wearingGlasses(drawnBy: editor, progress: $0) }
      }
      let more = try coarseSet.map { dataset in
        try report("decode") { try FacePairs(.coarse(.train, of: dataset), side: side, progress: $0) }
      }
      let trainer = try ParserTrainer(
        configuration, pairs: pairs, coarse: more, from: start, heldOut: .heldOut(of: data), output: output, device: device, resume: options.resume)
      try FacetCLI.train(trainer, as: "parse train")
    }

    private func report(_ name: String, _ make: (@escaping (Int, Int) -> Void) throws -> FacePairs) rethrows -> FacePairs {
      var report: ProgressReport?
      defer { report?.finish() }
      return try make { done, total in
        if report == nil { report = ProgressReport(name, total: total, unit: "pairs") }
        report?.update(done)
      }
    }
  }

  struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Measure a parser against given label maps.",
      discussion: """
        Of a folder that 'facet parse train' reads, the pairs that training holds out are \
        measured; of a folder laid out as CelebA, the photos of a partition against the maps in mask_faceparsing/. \
        'iou' is intersection over union; 'face' that of the face mask that 'facet train' makes of a map.

        Examples:
          facet parse evaluate --data celebamask-hq
          facet parse evaluate --data celebamask-hq --side 48
          facet parse evaluate --data celeba --partition val --json | tail -1
        """)

    @Option(help: "Folder with images/ and masks/, or laid out as CelebA.", completion: .directory)
    var data: String
    @Option(help: "The part of a folder laid out as CelebA.")
    var partition: Partition = .validation
    @Option(help: "Reduce each photo to this many pixels a side first, and enlarge it again.")
    var side: Int?
    @Flag(help: "Print one JSON object on the last line instead of a table.")
    var json = false
    @OptionGroup var parser: ParserOptions

    func validate() throws {
      if let side, !(4...4096).contains(side) { throw ValidationError("--side must be from 4 to 4096") }
    }

    func run() throws {
      let data = URL(fileURLWithPath: data, isDirectory: true)
      let isCelebA = FileManager.default.fileExists(
        atPath: data.appendingPathComponent(CelebA.partitionList).path)
      let photos = try isCelebA ? .partition(partition, of: CelebA(directory: data)) : LabelledPhotos.heldOut(of: data)
      guard photos.count > 0 else {
        throw CommandError("\(data.path): no photo belongs to partition \(partition.rawValue)")
      }
      let parser = try parser.load()
      let progress = ProgressReport("evaluate", total: photos.count, unit: "photos")
      let report = try parser.evaluate(photos, reducedTo: side) { done, _ in progress.update(done) }
      progress.finish()
      if json {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        try show(json: String(decoding: encoder.encode(report), as: UTF8.self))
      } else {
        try show(report.table)
      }
    }
  }
}

extension ParserReport {
  fileprivate var table: String {
    let rows = classes.map { figure in
      figure.name.padded(to: 12) + (figure.iou.map { String(format: "%6.3f", $0) } ?? "     –")
        + String(format: "%8.2f%%", figure.share * 100)
    }
    return (["class          iou    share"] + rows + [
      "mean".padded(to: 12) + String(format: "%6.3f", meanIoU),
      "face".padded(to: 12) + String(format: "%6.3f", faceIoU),
      "accuracy".padded(to: 12) + String(format: "%6.3f", accuracy),
      "\(images) photos, \(String(format: "%.1f", imagesPerSecond)) a second",
    ]).joined(separator: "\n")
  }
}

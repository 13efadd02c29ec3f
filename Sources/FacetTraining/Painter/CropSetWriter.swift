import Dispatch
import Facet
import Files
import Foundation
import Photo
import Torch

/// Makes a ``CropSet`` from photos: the largest face of each is found, aligned and cut out as the editor does, encoded,
/// decoded and parsed.
///
/// Files are written one after the other, each whole; what is there already of the same photos is not made again.
public struct CropSetWriter {
  /// Why a photo is not in the set.
  public enum Omission: String, Codable, Sendable, CaseIterable {
    /// The file cannot be read; it has no face that can be edited; its face has too few pixels.
    case unreadable, noFace, tooSmall
  }

  /// What became of the photos.
  public struct Report: Sendable {
    /// Faces in the set.
    public var faces = 0
    /// Photos that are not, by the reason.
    public var omitted: [Omission: Int] = [:]
  }

  private let bundle: ModelBundle
  private let parser: FaceParser
  private let detectors: [FaceDetector]
  /// Draws glasses, where the set is to have them.
  private let editor: FaceEditor?
  private static let photosInFile = 256
  /// The side of a crop in its photo's pixels below which nothing of a face is to be seen.
  private static let leastSide = 48.0

  /// - Parameters:
  ///   - bundle: the model whose codes are kept.
  ///   - parser: of the label maps.
  ///   - hasGlasses: whether each crop is kept with glasses drawn on it, too, to learn their removal from.
  /// - Throws: ``BundleError`` where glasses are asked for and the bundle has no directions.
  public init(bundle: ModelBundle, parser: FaceParser, hasGlasses: Bool = false) throws {
    (self.bundle, self.parser) = (bundle, parser)
    bundle.model.setTraining(false)
    // Crops and padded photos of one size after another.
    Torch.keepFreedMemory()
    editor = try hasGlasses ? FaceEditor(bundle, detector: FaceDetector()) : nil
    detectors = (0..<max(1, ProcessInfo.processInfo.activeProcessorCount)).map { _ in FaceDetector() }
  }

  /// Writes a set.
  /// - Parameters:
  ///   - photos: the photos, in the order in which they are kept.
  ///   - folder: of the set; its parent must exist.
  ///   - onPhoto: called now and then with how many photos are done; stops where it gives false.
  /// - Returns: what became of the photos; `nil` where it was stopped.
  /// - Throws: `FileError` where the folder cannot be written to, `PortraitError`.
  public func write(
    _ photos: [URL], to folder: URL, onPhoto: (_ done: Int) -> Bool = { _ in true }
  ) throws -> Report? {
    let lock = try WriteLock.folder(folder)
    defer { withExtendedLifetime(lock) {} }
    var report = Report()
    let files = (photos.count + Self.photosInFile - 1) / Self.photosInFile
    for file in 0..<files {
      let part = Array(photos[file * Self.photosInFile..<min(photos.count, (file + 1) * Self.photosInFile)])
      let url = folder.appendingPathComponent(CropSet.fileName(file))
      let sources = try JSON.encode(part.map(\.path))
      var metadata = try? SafetensorsFile(url).metadata
      if metadata?["sources"] != sources || metadata?["model"] != bundle.fingerprint || metadata?["glasses"] != glasses {
        guard let made = try write(part, sources, to: url, { onPhoto(file * Self.photosInFile + $0) }) else { return nil }
        metadata = made
      }
      report.faces += Int(metadata?["faces"] ?? "") ?? 0
      let omitted = (try? JSON.decode([String: Omission].self, metadata?["omitted"] ?? "")) ?? [:]
      for reason in omitted.values { report.omitted[reason, default: 0] += 1 }
      if !onPhoto(file * Self.photosInFile + part.count) { return nil }
    }
    return report
  }

  /// What a file's metadata says of glasses.
  private var glasses: String? { editor == nil ? nil : "drawn" }

  /// A face cut out.
  private struct Cut: Sendable {
    var crop: Picture
    /// The same at the model's size and at that of label maps.
    var small, coarse: Picture
    var landmarks: [Float]
    var isMissing: [Bool]
    /// Of the crop, in the photo's pixels.
    var side: Double
  }

  private func write(_ photos: [URL], _ sources: String, to url: URL, _ onPhoto: (Int) -> Bool) throws -> [String: String]? {
    var cuts: [Cut] = []
    var omitted: [String: Omission] = [:]
    let batch = 32
    var decoded: [Tensor] = []
    var latents: [Tensor] = []
    var labels: [UInt8] = []
    var worn: [String: [Tensor]] = [:]
    for start in stride(from: 0, to: photos.count, by: batch) {
      let part = Array(photos[start..<min(start + batch, photos.count)])
      let size = bundle.configuration.imageSize
      let (detectors, view) = (detectors, bundle.configuration.view)
      let found = concurrently(part.count) { i in
        Result { try Self.cut(part[i], by: detectors[i % detectors.count], modelSize: size, view: view) }
      }
      var new: [Cut] = []
      for (photo, result) in zip(part, found) {
        switch try result.get() {
        case .success(let cut): new.append(cut)
        case .failure(let omission): omitted[photo.path] = omission.reason
        }
      }
      if !new.isEmpty {
        try withoutGradients {
          let codes = try bundle.model.encode(Tensor.cat(new.map { try Tensor($0.small) })).mean.to(.float32)
          latents.append(codes)
          let faces = try bundle.model.decode(codes).image.to(.float32)
          decoded.append(try (faces.clamp(min: 0, max: 1) * 255 + 0.5).to(.uint8).permute([0, 2, 3, 1]).contiguous())
        }
        for (map, cut) in zip(try parser.labelMaps(of: new.map(\.coarse)), new) {
          labels += zip(map.pixels, cut.isMissing).map { $1 ? CropSet.noLabel : $0 }
        }
        if let editor {
          let (faces, first) = (new, cuts.count)
          let drawn = concurrently(faces.count) { i in Result { try Self.glasses(on: faces[i], by: editor, seed: UInt64(first + i)) } }
          for example in drawn { for (name, part) in try example.get() { worn[name, default: []].append(part) } }
        }
        cuts += new
      }
      if !onPhoto(start + part.count) { return nil }
    }
    let n = cuts.count
    var metadata = [
      "format": CropSet.format, "model": bundle.fingerprint, "sources": sources, "faces": "\(n)",
      "omitted": try JSON.encode(omitted),
    ]
    metadata["glasses"] = glasses
    var tensors: [String: Tensor] = [:]
    if n > 0 {
      tensors = [
        "crops": try Tensor(cuts.flatMap(\.crop.pixels), shape: [n, CropSet.size, CropSet.size, 3]),
        "decoded": try .cat(decoded), "latents": try .cat(latents),
        "labels": try Tensor(labels, shape: [n, CropSet.labelSize, CropSet.labelSize]),
        "landmarks": try Tensor(cuts.flatMap(\.landmarks), shape: [n, 68, 2]),
        "sharpness": try Tensor(cuts.map { Self.sharpness(of: $0.crop) }, shape: [n]),
        "sides": try Tensor(cuts.map { Float($0.side) }, shape: [n]),
      ]
    }
    for (name, parts) in worn { tensors[name] = try .cat(parts) }
    try Tensor.save(tensors, metadata: metadata, to: url)
    return metadata
  }

  /// The crop with glasses, where they are, and the face that decodes without them; all 0 where none are drawn.
  private static func glasses(on cut: Cut, by editor: FaceEditor, seed: UInt64) throws -> [String: Tensor] {
    let side = CropSet.size
    let landmarks = stride(from: 0, to: cut.landmarks.count, by: 2).map { i in
      Point(x: Double(cut.landmarks[i]) / Double(side), y: Double(cut.landmarks[i + 1]) / Double(side))
    }
    let example = try editor.glassesExample(on: cut.crop, landmarks: landmarks, seed: seed)
    let size = editor.bundle.configuration.imageSize
    func bytes(_ planes: Tensor) throws -> Tensor { try (planes.clamp(min: 0, max: 1) * 255 + 0.5).to(.uint8).permute([0, 2, 3, 1]).contiguous() }
    return [
      "worn": try Tensor(example?.worn.pixels ?? [UInt8](repeating: 0, count: 3 * side * side), shape: [1, side, side, 3]),
      "glasses": try bytes(example?.glasses.resized(to: (CropSet.labelSize, CropSet.labelSize)) ?? .zeros([1, 1, CropSet.labelSize, CropSet.labelSize]))
        .reshape([1, CropSet.labelSize, CropSet.labelSize]),
      "bare": try bytes(example?.bare ?? .zeros([1, 3, size, size])),
    ]
  }

  private struct Omitted: Error { let reason: Omission }

  private static func cut(
    _ url: URL, by detector: FaceDetector, modelSize: Int, view: ModelConfiguration.View
  ) throws -> Result<Cut, Omitted> {
    guard let photo = try? Picture(contentsOf: url).rgb() else { return .failure(Omitted(reason: .unreadable)) }
    // Data sets often cut pictures at the face, where the detector does not look; and crops reach beyond.
    let border = min(photo.width, photo.height) * 3 / 10
    let padded = photo.mirroredBeyond(border)
    guard let face = try detector.clearFace(in: padded), let alignment = FaceAlignment(face, view: view),
      let points = alignment.landmarks
    else { return .failure(Omitted(reason: .noFace)) }
    let size = Double(CropSet.size)
    guard alignment.side >= leastSide else { return .failure(Omitted(reason: .tooSmall)) }
    let back = alignment.transform(size: CropSet.size).inverse
    let step = size / Double(CropSet.labelSize)
    var isMissing: [Bool] = []
    isMissing.reserveCapacity(CropSet.labelSize * CropSet.labelSize)
    for y in 0..<CropSet.labelSize {
      for x in 0..<CropSet.labelSize {
        let place = back(Point(x: (Double(x) + 0.5) * step, y: (Double(y) + 0.5) * step))
        let (u, v) = (place.x - Double(border), place.y - Double(border))
        isMissing.append(u < 1 || v < 1 || u > Double(photo.width - 1) || v > Double(photo.height - 1))
      }
    }
    return .success(
      Cut(
        crop: alignment.crop(padded, size: CropSet.size), small: alignment.crop(padded, size: modelSize),
        coarse: alignment.crop(padded, size: CropSet.labelSize),
        landmarks: points.flatMap { [Float($0.x * size), Float($0.y * size)] }, isMissing: isMissing, side: alignment.side))
  }

  /// The mean absolute Laplacian of the luma in the middle of a crop.
  static func sharpness(of crop: Picture) -> Float {
    let n = crop.width
    let luma = stride(from: 0, to: crop.pixels.count, by: 3).map { (i: Int) -> Float in
      let (red, green, blue) = (Float(crop.pixels[i]), Float(crop.pixels[i + 1]), Float(crop.pixels[i + 2]))
      return 0.299 * red + 0.587 * green + 0.114 * blue
    }
    var sum: Float = 0
    let (lines, columns) = (n / 4..<n * 7 / 8, n / 4..<n * 3 / 4)
    for y in lines {
      for x in columns {
        let i = y * n + x
        let around: Float = luma[i - 1] + luma[i + 1] + luma[i - n] + luma[i + n]
        sum += abs(4 * luma[i] - around)
      }
    }
    return sum / Float(lines.count * columns.count)
  }
}

extension Picture {
  /// The picture with `border` pixels more on each side, mirrored from within.
  fileprivate func mirroredBeyond(_ border: Int) -> Picture {
    func source(_ place: Int, _ length: Int) -> Int {
      let q = place - border
      return q < 0 ? min(length - 1, -q - 1) : q >= length ? max(0, 2 * length - q - 1) : q
    }
    let (width, height) = (self.width + 2 * border, self.height + 2 * border)
    var bytes = [UInt8](repeating: 0, count: width * height * 3)
    let columns = (0..<width).map { source($0, self.width) * 3 }
    pixels.withUnsafeBufferPointer { from in
      for y in 0..<height {
        let row = source(y, self.height) * self.width * 3
        for x in 0..<width {
          let (i, j) = ((y * width + x) * 3, row + columns[x])
          bytes[i] = from[j]
          bytes[i + 1] = from[j + 1]
          bytes[i + 2] = from[j + 2]
        }
      }
    }
    return Picture(width: width, height: height, channels: 3, pixels: bytes)
  }
}

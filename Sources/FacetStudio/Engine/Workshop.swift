import Facet
import Foundation
import NIOPosix
import Photo
import Synchronization

/// All that is done with photos: decoding and detection on threads for what takes long, previews on others, the model
/// on its own.
final class Workshop: Sendable {
  let directions: AttributeDirections
  private let editor: FaceEditor
  let queue: BatchingQueue
  private let configuration: ModelConfiguration
  private let detector: FaceDetector
  private let limits: StudioLimits
  private let quick: NIOThreadPool
  fileprivate let slow: NIOThreadPool

  /// Loads the model.
  init(_ configuration: StudioConfiguration, metrics: Metrics) throws {
    let detector = FaceDetector()
    let editor = try FaceEditor(ModelBundle(contentsOf: configuration.bundle), detector: detector)
    self.detector = detector
    (directions, self.editor) = (editor.directions, editor)
    self.configuration = editor.bundle.configuration
    limits = configuration.limits
    queue = BatchingQueue(
      Model(editor, threads: configuration.threads), limit: configuration.limits.batch, metrics: metrics)
    quick = NIOThreadPool(numberOfThreads: max(1, configuration.threads))
    slow = NIOThreadPool(numberOfThreads: max(1, configuration.threads / 2))
    quick.start()
    slow.start()
  }

  deinit {
    quick.shutdownGracefully { _ in }
    slow.shutdownGracefully { _ in }
  }

  /// Runs on the threads for what takes long. Files that are being decoded or encoded are given up with the task.
  private func slowly<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    let isCancelled = Flag()
    return try await withTaskCancellationHandler {
      try await slow.runIfActive {
        try PhotoWork.$shouldStop.withValue(.init { isCancelled.value.load(ordering: .relaxed) }) { try body() }
      }
    } onCancel: {
      isCancelled.value.store(true, ordering: .relaxed)
    }
  }

  private final class Flag: Sendable { let value = Atomic(false) }

  // MARK: Photos

  /// Decodes a file and encodes its faces.
  func open(_ bytes: Data) async throws -> PhotoSession {
    let photo: Photo
    do {
      photo = try await slowly { [limits] in try Photo(data: bytes, pixelLimit: limits.photoPixels) }
    } catch let error as PhotoError {
      throw Problem(error)
    }
    return try await session(.upload, photo)
  }

  /// The portrait that comes with Facet.
  func sample() async throws -> PhotoSession {
    let (photo, face) = try await slowly { [detector, configuration] in
      let photo = try Photo(contentsOf: FaceEditor.samplePhotoURL)
      // It has one face, easy to see.
      return (photo, try detector.largestFace(in: photo.picture).flatMap { FaceAlignment($0, view: configuration.view) })
    }
    return try await session(.sample, photo, face.map { [$0] })
  }

  /// A face that nobody has.
  func random(seed: UInt64) async throws -> PhotoSession {
    let drawn = try await queue.run { try $0.sample(count: 1, seed: seed)[0] }
    let side = Self.randomSide
    let photo = try await slowly {
      var photo = Photo(drawn.resized(to: (side, side)), format: .png)
      photo.digitalSource = .trainedModel
      return photo
    }
    return try await session(.random, seed: seed, photo, [FaceAlignment(aligned: photo.picture, view: configuration.view)])
  }

  private static let randomSide = 512

  /// Smaller ones are hard to click, and to search them takes longer than people wait for a photo to open.
  private static func smallestFace(in photo: Picture) -> Double {
    max(FaceDetector.leastWidth, Double(max(photo.width, photo.height)) / 16)
  }

  private func session(
    _ kind: PhotoSession.Kind, seed: UInt64? = nil, _ photo: Photo, _ alignments: [FaceAlignment]? = nil
  ) async throws -> PhotoSession {
    let crops = try await slowly { [detector, limits, configuration] in
      let found: [FaceAlignment]
      do {
        found = try alignments
          ?? detector.faces(in: photo.picture, smallest: Self.smallestFace(in: photo.picture))
          .compactMap { FaceAlignment($0, view: configuration.view) }
      } catch PortraitError.unclearFace {
        throw Problem.unclearFace
      }
      return found.prefix(limits.faces).map { FaceCrop(of: photo.picture, $0, size: configuration.imageSize) }
    }
    if crops.isEmpty { throw Problem.noFace }
    let (faces, probabilities) = try await queue.run { editor in
      let faces = try crops.map { try editor.encode($0) }
      return (faces, try faces.map { try editor.probabilities(in: $0) })
    }
    guard probabilities.allSatisfy({ $0.values.allSatisfy(\.isFinite) }) else { throw Problem.noFace }
    return PhotoSession(kind, seed: seed, photo, faces, probabilities: probabilities)
  }

  // MARK: Edits

  /// Checks edits without a face.
  /// - Throws: ``Problem``.
  func validate(_ edits: [AttributeEdit], keeping kept: [String]) throws {
    do {
      try editor.validate(edits, options: EditOptions(keeping: kept))
    } catch let error as AttributeError {
      throw Problem(error)
    } catch let error as StyleError {
      throw Problem(error)
    }
  }

  /// The edits of each face that has some, with strengths where probabilities were asked for.
  func resolve(_ edits: [Edit], keeping kept: [String], in session: PhotoSession) async throws -> [FaceEdit] {
    let options = EditOptions(keeping: kept)
    try validate(edits.map { try $0.edit }, keeping: kept)
    var result: [FaceEdit] = []
    for index in Set(edits.map(\.face)).sorted() {
      guard session.faces.indices.contains(index) else { throw Problem.noSuchFace(index, of: session.faces.count) }
      let own = edits.filter { $0.face == index }
      var wanted = FaceEdit(session.faces[index], try own.map { try $0.edit }, options: options)
      if own.contains(where: { $0.probability != nil }) {
        let asked = wanted
        let strengths = try await queue.run {
          try $0.strengths(of: asked.edits, on: asked.face, options: asked.options)
        }
        wanted.edits = try zip(asked.edits, strengths).map { try AttributeEdit($0.attribute, strength: $1, style: $0.style) }
      }
      // What changes nothing needs no decoding.
      if wanted.edits.contains(where: { $0.amount != .strength(0) }) { result.append(wanted) }
    }
    return result
  }

  /// One face and edits with strengths.
  /// - Throws: ``Problem`` for a name that the model does not have.
  func edit(_ face: EncodedFace, _ edits: [AttributeEdit], keeping kept: [String]) throws -> FaceEdit {
    try validate(edits, keeping: kept)
    return FaceEdit(face, edits, options: EditOptions(keeping: kept))
  }

  /// The region that a mask's file in base64 protects; the last one of a session is kept.
  /// - Throws: ``Problem/notAMask``.
  func region(_ mask: String?, of session: PhotoSession) async throws -> ProtectedRegion? {
    guard let mask else { return nil }
    if let known = session.protected.withLock({ $0 }), known.mask == mask { return known.region }
    guard let bytes = Data(base64Encoded: mask), let region = try await region(of: bytes) else { throw Problem.notAMask }
    session.protected.withLock { $0 = (mask, region) }
    return region
  }

  /// The region that a mask's file protects.
  /// - Throws: ``Problem/notAMask``.
  func region(of mask: Data?) async throws -> ProtectedRegion? {
    guard let mask else { return nil }
    return try await slowly {
      do {
        return ProtectedRegion(mask: try Photo(data: mask, pixelLimit: PhotoSession.maskPixels))
      } catch PhotoError.stopped {
        throw Problem.timedOut
      } catch is PhotoError {
        throw Problem.notAMask
      }
    }
  }

  /// The edited photo as a view shows it.
  func preview(
    _ session: PhotoSession, _ edits: [FaceEdit], _ view: PhotoSession.View, protecting region: ProtectedRegion? = nil,
    as format: PreviewFormat, at place: StreamPlace? = nil
  ) async throws -> (bytes: Data, timing: Timing) {
    try await queue.picture(of: edits, at: place) { [quick] made in
      try await quick.runIfActive {
        let start = ContinuousClock.now
        let copy = session.copy(for: view)
        var picture = copy.picture
        for change in made.changes { change.apply(to: &picture, at: copy.place) }
        session.tint?.apply(to: &picture, changedFrom: copy.picture)
        region?.restore(
          &picture, from: copy.picture, at: Affine(copy.place), of: (session.photo.width, session.photo.height))
        let laid = ContinuousClock.now
        let bytes = try format.encode(
          picture, alpha: copy.alpha, source: session.digitalSource(isEdited: !edits.isEmpty))
        return (bytes, Timing(made, lay: laid - start, encode: .now - laid))
      }
    }
  }

  /// The edited photo as a file.
  func render(
    _ session: PhotoSession, _ edits: [FaceEdit], protecting region: ProtectedRegion? = nil, as format: Photo.Format?,
    quality: Int?, size: Int?, keepsLocation: Bool
  ) async throws -> (bytes: Data, timing: Timing) {
    let made = try await queue.changes(edits)
    return try await slowly { [limits] in
      let start = ContinuousClock.now
      let (original, written) = (session.photo, format ?? session.photo.format)
      let view = size.flatMap { $0 < max(original.width, original.height) ? session.view(size: $0, of: nil) : nil }
      let pixels = (view?.width ?? original.width) * (view?.height ?? original.height)
      if [.heic, .avif].contains(written), pixels > limits.heifPixels {
        throw Problem.tooManyPixels(for: written, limit: limits.heifPixels)
      }
      try original.checkMemory()
      var photo = original.changed(by: made.changes, protecting: region)
      photo.digitalSource = session.digitalSource(isEdited: !edits.isEmpty) ?? photo.digitalSource
      if let view { photo.resize(to: (view.width, view.height)) }
      let laid = ContinuousClock.now
      let bytes = try photo.encoded(as: format, quality: quality, keepsLocation: keepsLocation)
      return (bytes, Timing(made, lay: laid - start, encode: .now - laid))
    }
  }

  /// A face under each of some sets of edits, side by side.
  func strip(
    _ session: PhotoSession, _ tiles: [FaceEdit], protecting region: ProtectedRegion? = nil, side: Int, as format: PreviewFormat
  ) async throws -> (bytes: Data, timing: Timing) {
    let made = try await queue.changes(tiles)
    return try await quick.runIfActive {
      let start = ContinuousClock.now
      let alignment = tiles[0].face.alignment
      let crop = alignment.crop(session.photo.picture, size: side)
      var strip = Picture(width: side * tiles.count, height: side, filledWith: 0)
      for (index, change) in made.changes.enumerated() {
        var tile = crop
        change.apply(toCrop: &tile)
        session.tint?.apply(to: &tile, changedFrom: crop)
        region?.restore(
          &tile, from: crop, at: alignment.transform(size: side), of: (session.photo.width, session.photo.height))
        strip.paste(tile, x: index * side, y: 0)
      }
      let laid = ContinuousClock.now
      let bytes = try format.encode(strip, source: session.digitalSource(isEdited: true))
      return (bytes, Timing(made, lay: laid - start, encode: .now - laid))
    }
  }

  /// What the model sees in a face after edits, one probability a label.
  func probabilities(_ edit: FaceEdit) async throws -> [String: Double] {
    try await queue.run { try $0.probabilities(in: edit.face, after: edit.edits, options: edit.options) }
  }

  /// A face of a morph with the photo that it is in, after edits of that face.
  private func end(
    _ end: (session: PhotoSession, face: Int), _ wanted: MorphRequest.End
  ) async throws -> (picture: Picture, face: EncodedFace, isGrey: Bool) {
    let (session, index) = end
    let own = try await resolve(wanted.edits.filter { $0.face == index }, keeping: [], in: session)
    guard !own.isEmpty else { return (session.photo.picture, session.faces[index], session.photo.isGrey) }
    let region = try await region(wanted.protect, of: session)
    let made = try await queue.changes(own)
    let (picture, crop) = try await slowly { [configuration] in
      try session.photo.checkMemory()
      let picture = session.photo.changed(by: made.changes, protecting: region).picture
      return (picture, FaceCrop(of: picture, session.faces[index].alignment, size: configuration.imageSize))
    }
    return (picture, try await queue.run { try $0.encode(crop) }, session.photo.isGrey)
  }

  /// One face becoming another.
  func morph(
    from first: (session: PhotoSession, face: Int), to last: (session: PhotoSession, face: Int), _ request: MorphRequest
  ) async throws -> (bytes: Data, timing: Timing) {
    let start = ContinuousClock.now
    let ends = [
      try await end(first, request.from), try await end(last, request.to),
    ]
    let crops = try await slowly {
      ends.map { picture, face, isGrey in
        let crop = face.alignment.crop(picture, size: request.size)
        return isGrey ? crop.desaturated() : crop
      }
    }
    var frames: [Picture] = []
    // A few at a time, for sliders not to wait.
    for begin in stride(from: 0, to: request.frames, by: 4) {
      let places = (begin..<min(request.frames, begin + 4)).map { Double($0) / Double(request.frames - 1) }
      let steps = try await queue.run { try $0.morph(from: ends[0].face, to: ends[1].face, at: places) }
      frames += try await slowly { steps.map { $0.frame(between: crops[0], crops[1]) } }
    }
    if request.thereAndBack { frames += frames.dropFirst().dropLast().reversed() }
    let made = frames
    let isRandom = first.session.kind == .random && last.session.kind == .random
    let laid = ContinuousClock.now
    let bytes = try await slowly {
      try request.format.encode(
        made, milliseconds: request.milliseconds, source: isRandom ? .trainedModel : .compositeWithTrainedModel)
    }
    return (bytes, Timing(wait: .zero, model: laid - start, lay: .zero, encode: .now - laid))
  }
}

extension Workshop {
  /// The photo becoming the edited one and back, with a rest at both ends.
  func animation(
    _ session: PhotoSession, _ edits: [FaceEdit], protecting region: ProtectedRegion? = nil, _ request: AnimationRequest
  ) async throws -> (bytes: Data, timing: Timing) {
    let start = ContinuousClock.now
    let view = session.view(size: request.size, of: nil)
    var frames: [Picture] = []
    for index in 0..<request.frames {
      let way = Double(index) / Double(request.frames - 1)
      let eased = way * way * (3 - 2 * way)
      let steps = try edits.map { edit in
        var step = edit
        step.edits = try edit.edits.map { try $0.scaled(by: eased) }
        return step
      }
      let made = try await queue.changes(index == 0 ? [] : steps)
      frames.append(
        try await slowly {
          let copy = session.copy(for: view)
          var picture = copy.picture
          for change in made.changes { change.apply(to: &picture, at: copy.place) }
          session.tint?.apply(to: &picture, changedFrom: copy.picture)
          region?.restore(
            &picture, from: copy.picture, at: Affine(copy.place), of: (session.photo.width, session.photo.height))
          return picture
        })
    }
    let rest = 10
    let there = [Picture](repeating: frames[0], count: rest) + frames
    let all = there + [Picture](repeating: frames[frames.count - 1], count: rest) + frames.dropFirst().dropLast().reversed()
    let laid = ContinuousClock.now
    let bytes = try await slowly {
      try request.format.encode(
        all, milliseconds: request.milliseconds, source: session.digitalSource(isEdited: true) ?? .compositeWithTrainedModel)
    }
    return (bytes, Timing(wait: .zero, model: laid - start, lay: .zero, encode: .now - laid))
  }
}

extension AttributeEdit {
  /// The same with a part of its strength, 0 … 1.
  func scaled(by part: Double) throws(AttributeError) -> AttributeEdit {
    guard case .strength(let strength) = amount else { return self }
    return try AttributeEdit(attribute, strength: strength * part, style: style)
  }
}

extension PhotoSession {
  /// What a picture made from it says of its origin; `nil` for the photo as it came.
  func digitalSource(isEdited: Bool) -> DigitalSource? {
    kind == .random ? .trainedModel : isEdited ? .compositeWithTrainedModel : nil
  }
}

extension PreviewFormat {
  /// - Parameter alpha: opacity, a value a pixel, which JPEG leaves out.
  func encode(_ picture: Picture, alpha: [UInt8]? = nil, source: DigitalSource?) throws -> Data {
    var photo = Photo(picture, format: self == .jpeg ? .jpeg : .webp, alpha: self == .jpeg ? nil : alpha)
    photo.digitalSource = source
    return try photo.encoded(quality: self == .jpeg ? 88 : 82, isQuick: true)
  }
}

/// How long the parts of an answer took.
struct Timing: Sendable {
  var wait: Duration
  var model: Duration
  var lay: Duration
  var encode: Duration

  init(wait: Duration, model: Duration, lay: Duration, encode: Duration) {
    (self.wait, self.model, self.lay, self.encode) = (wait, model, lay, encode)
  }

  init(_ changes: BatchingQueue.Changes, lay: Duration, encode: Duration) {
    self.init(wait: changes.waited, model: changes.worked, lay: lay, encode: encode)
  }

  var parts: [(name: String, time: Duration)] {
    [("wait", wait), ("model", model), ("lay", lay), ("encode", encode)]
  }
}

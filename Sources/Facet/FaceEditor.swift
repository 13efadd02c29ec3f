import Foundation
import Photo
import Torch

/// Edits faces in photos: found, aligned, encoded, moved in latent space, decoded and composed back.
///
/// One editor serves any number of threads; each face is edited on the thread that asks.
public final class FaceEditor: Sendable {
  /// A portrait in the public domain (NASA) to try edits on.
  public static let samplePhotoURL = Bundle.module.url(forResource: "astronaut", withExtension: "jpg")!

  /// The model.
  public let bundle: ModelBundle
  /// The directions of the model's attributes, and the probes that see them.
  public let directions: AttributeDirections
  let tools: EditTools

  /// Edits with a bundle.
  /// - Parameters:
  ///   - bundle: the model and its directions.
  ///   - detector: made beforehand, it loads while the model does.
  ///   - requiresDirections: whether a bundle without directions is refused; without them no attribute can be edited, but
  ///     faces can be drawn, reconstructed and morphed.
  /// - Throws: ``BundleError`` when the bundle has no directions or a file of it is damaged; ``FileError``, `SafetensorsError`.
  public init(_ bundle: ModelBundle, detector: FaceDetector, requiresDirections: Bool = true) throws {
    self.bundle = bundle
    directions = try requiresDirections || AttributeDirections.exist(in: bundle)
      ? AttributeDirections(of: bundle) : .none(latentSize: bundle.configuration.latentSize)
    tools = EditTools(
      model: bundle.model, directions: directions, glasses: try GlassesModel.of(bundle),
      prototypes: try SkinPrototypes.of(bundle), painter: try Painter.of(bundle), observer: FaceObserver(detector))
    bundle.model.setTraining(false)
  }

  /// Edits with the default bundle, or the one in `url`. Loading takes about a second.
  /// - Throws: as ``init(_:detector:)``.
  public convenience init(bundle url: URL = ModelBundle.defaultURL) throws {
    let detector = FaceDetector()
    try self.init(ModelBundle(contentsOf: url), detector: detector)
  }

  // MARK: Photos

  /// The photo with faces edited, at its own resolution; nothing outside the faces' regions changes. It carries the mark of a picture
  /// edited with a trained model.
  /// - Parameters:
  ///   - photo: the photo.
  ///   - edits: attributes and how far each is changed; they add up.
  ///   - choice: the faces that are edited.
  ///   - options: the way.
  ///   - isAligned: the photo is already a CelebA frame or a training crop; no face is searched.
  ///   - region: what stays as it was within the faces, too.
  /// - Throws: ``PortraitError`` where there is no such face, ``AttributeError``, ``StyleError``; `CancellationError` in a task that is
  ///   cancelled.
  public func edit(
    _ photo: Photo, _ edits: [AttributeEdit], of choice: FaceChoice = .largest, options: EditOptions = .init(),
    isAligned: Bool = false, protecting region: ProtectedRegion? = nil
  ) throws -> Photo {
    try edited(photo, edits, of: choice, options: options, isAligned: isAligned, protecting: region) { _ in }
  }

  /// The photo with faces edited, away from the caller's actor. Cancelling the task ends it before its next step, within a fraction of
  /// a second.
  /// - Parameters:
  ///   - photo: the photo.
  ///   - edits: attributes and how far each is changed; they add up.
  ///   - choice: the faces that are edited.
  ///   - options: the way.
  ///   - isAligned: the photo is already a CelebA frame or a training crop; no face is searched.
  ///   - region: what stays as it was within the faces, too.
  ///   - progress: told how far the edit has come, in order, by the thread that edits.
  /// - Throws: ``PortraitError`` where there is no such face, ``AttributeError``, ``StyleError``; `CancellationError`.
  @concurrent
  public func edit(
    _ photo: Photo, _ edits: [AttributeEdit], of choice: FaceChoice = .largest, options: EditOptions = .init(),
    isAligned: Bool = false, protecting region: ProtectedRegion? = nil, progress: @Sendable (EditProgress) -> Void = { _ in }
  ) async throws -> Photo {
    try edited(photo, edits, of: choice, options: options, isAligned: isAligned, protecting: region, progress)
  }

  private func edited(
    _ photo: Photo, _ edits: [AttributeEdit], of choice: FaceChoice, options: EditOptions, isAligned: Bool,
    protecting region: ProtectedRegion?, _ progress: (EditProgress) -> Void
  ) throws -> Photo {
    try Task.checkCancellation()
    progress(.searching)
    try validate(edits, options: options)
    let alignments = try alignments(in: photo.picture, choice, isAligned: isAligned)
    // Each face is seen as the photo has it; what neighbours share is changed by both.
    let changes = try alignments.enumerated().map { index, alignment in
      func tell(_ part: Double) { progress(.face(index + 1, of: alignments.count, part: part)) }
      try Task.checkCancellation()
      tell(0)
      let face = try encode(photo.picture, alignment: alignment)
      tell(Self.encoding)
      return try change(FaceEdit(face, edits, options: options)) { tell(Self.encoding + (1 - Self.encoding) * $0) }
    }
    try Task.checkCancellation()
    let result = photo.changed(by: changes, protecting: region)
    progress(.done(changes.count))
    return result
  }

  /// The part of the work on a face that encoding it is.
  private static let encoding = 0.4

  // MARK: Faces

  /// Finds and encodes the largest face of a picture.
  /// - Parameters:
  ///   - picture: the photo's pixels.
  ///   - isAligned: the picture is already a CelebA frame or a training crop; no face is searched.
  /// - Throws: ``PortraitError/noFace(file:)``.
  public func face(in picture: Picture, isAligned: Bool = false) throws -> EncodedFace {
    try faces(in: picture, .largest, isAligned: isAligned)[0]
  }

  /// Finds and encodes faces of a picture, the largest first.
  /// - Parameters:
  ///   - picture: the photo's pixels.
  ///   - choice: the faces that are meant.
  ///   - isAligned: the picture is already a CelebA frame or a training crop; no face is searched.
  /// - Returns: at least one face.
  /// - Throws: ``PortraitError`` where there is no such face.
  public func faces(in picture: Picture, _ choice: FaceChoice, isAligned: Bool = false) throws -> [EncodedFace] {
    let picture = picture.rgb()
    let alignments = try alignments(in: picture, choice, isAligned: isAligned)
    // Of many, those that are seen from the front.
    let faces = try alignments.compactMap { alignment in
      do {
        return try encode(picture, alignment: alignment)
      } catch PortraitError.unclearFace where alignments.count > 1 { return nil }
    }
    if faces.isEmpty { throw PortraitError.unclearFace(file: nil) }
    return faces
  }

  /// Encodes a face that was found and cut out elsewhere.
  /// - Throws: ``PortraitError/unclearFace(file:)`` for a profile.
  public func encode(_ crop: FaceCrop) throws -> EncodedFace {
    try withoutGradients {
      let input = try Tensor(crop.picture)
      let alignment = crop.alignment
      let anatomy = Anatomy(of: input, alignment, landmarks: alignment.landmarks, by: tools.observer)
      if try anatomy.isProfile { throw PortraitError.unclearFace(file: nil) }
      let latent = try bundle.model.encode(input).mean
      return EncodedFace(
        alignment: alignment, crop: crop.picture, fine: crop.fine, smooth: try FloatPicture(Composition.smooth(input)),
        surroundings: crop.surroundings, latent: latent, decoded: DecodedFace(try bundle.model.decode(latent)),
        anatomy: anatomy)
    }
  }

  private func encode(_ picture: Picture, alignment: FaceAlignment) throws -> EncodedFace {
    try encode(FaceCrop(of: picture, alignment, size: bundle.configuration.imageSize))
  }

  private func alignments(in picture: Picture, _ choice: FaceChoice, isAligned: Bool) throws -> [FaceAlignment] {
    let (view, detector) = (bundle.configuration.view, tools.observer.detector)
    if isAligned { return [FaceAlignment(aligned: picture, view: view)] }
    guard choice != .largest else {
      guard let face = try detector.largestFace(in: picture).flatMap({ FaceAlignment($0, view: view) }) else {
        throw PortraitError.noFace(file: nil)
      }
      return [face]
    }
    let found = try detector.faces(in: picture).compactMap { FaceAlignment($0, view: view) }
    if found.isEmpty { throw PortraitError.noFace(file: nil) }
    guard case .number(let number) = choice else { return found }
    guard found.indices.contains(number - 1) else {
      throw PortraitError.noSuchFace(file: nil, number: number, found: found.count)
    }
    return [found[number - 1]]
  }

  // MARK: Edits

  /// Checks edits without a face.
  /// - Throws: ``AttributeError`` for an attribute that there is not, or one that is to be changed and kept;
  ///   ``StyleError`` for a style that there is not.
  public func validate(_ edits: [AttributeEdit], options: EditOptions = .init()) throws {
    for edit in edits {
      try edit.validateStyle()
      if AttributeEdit.isHair(edit.attribute) {
        guard options.style == .natural else { throw AttributeError(neverDecoded: edit.attribute) }
        continue
      }
      _ = try directions.step(edit.attribute, strength: 0, keeping: options.kept, method: options.style.method)
    }
    for name in options.kept { _ = try directions.index(of: name) }
  }

  /// The photo with an encoded face of it edited. It carries the mark of a picture edited with a trained model.
  /// - Parameters:
  ///   - edits: attributes and how far each is changed.
  ///   - face: from ``faces(in:_:isAligned:)``.
  ///   - photo: the one that the face was found in, or an edited one of the same size.
  ///   - options: the way.
  /// - Throws: ``AttributeError``, ``StyleError``; `CancellationError` in a task that is cancelled.
  public func apply(
    _ edits: [AttributeEdit], to face: EncodedFace, in photo: Photo, options: EditOptions = .init()
  ) throws -> Photo {
    photo.changed(by: [try change(FaceEdit(face, edits, options: options))])
  }

  /// The pixels alone, without tint and mark.
  package func apply(
    _ edits: [AttributeEdit], to face: EncodedFace, in picture: Picture, options: EditOptions = .init()
  ) throws -> Picture {
    var result = picture
    try change(FaceEdit(face, edits, options: options)).apply(to: &result)
    return result
  }

  /// The change of a face by edits.
  /// - Throws: ``AttributeError``, ``StyleError``; `CancellationError` in a task that is cancelled.
  public func change(_ edit: FaceEdit) throws -> FaceChange { try change(edit) { _ in } }

  /// - Parameter onEdit: told after each edit which part of the work is done, 0 … 1.
  private func change(_ edit: FaceEdit, onEdit: (Double) -> Void) throws -> FaceChange {
    try withoutGradients {
      let plan = try planner(for: edit.face, edit.edits, edit.options).plan
      let layers = try plan.applied(to: edit.face, with: tools, onEdit: onEdit).layers
      let change = FaceChange(alignment: edit.face.alignment, layers: layers)
      guard edit.options.style == .natural, !change.layers.isEmpty, let occlusion = try edit.face.occlusion else { return change }
      return try change.cut(by: occlusion)
    }
  }

  /// The attributes that the encoder sees in a face after edits, where it lies now. Edits that move the mouth move what a search finds
  /// in the edited photo, and so what is seen there.
  /// - Parameters:
  ///   - face: from ``faces(in:_:isAligned:)``.
  ///   - edits: attributes and how far each is changed; none for the face as it is.
  ///   - options: the way.
  /// - Returns: the probability, 0 … 1, of each of ``AttributeDirections/names``; nothing where the bundle has no probes.
  /// - Throws: ``AttributeError``, ``StyleError``; `CancellationError` in a task that is cancelled.
  public func probabilities(
    in face: EncodedFace, after edits: [AttributeEdit] = [], options: EditOptions = .init()
  ) throws -> [String: Double] {
    guard directions.hasProbes else { return [:] }
    return try withoutGradients {
      let code = try edits.isEmpty ? face.latent : code(after: planner(for: face, edits, options).plan, of: face)
      return Dictionary(uniqueKeysWithValues: zip(directions.names, try directions.probes.probabilities(of: code)))
    }
  }

  /// The attributes that are seen in an edited picture where a face was: as whoever opens the picture finds it.
  /// - Parameters:
  ///   - edited: the picture.
  ///   - face: as it was before the edits.
  ///   - choice: that it was found with.
  ///   - isAligned: no face is searched.
  /// - Returns: as ``probabilities(in:after:options:)``.
  package func probabilities(
    in edited: Picture, where face: EncodedFace, _ choice: FaceChoice, isAligned: Bool
  ) throws -> [String: Double] {
    guard directions.hasProbes else { return [:] }
    let picture = edited.rgb()
    var found: [FaceAlignment] = []
    // A number may be another face's now.
    do { found = try alignments(in: picture, choice == .largest ? .largest : .all, isAligned: isAligned) } catch is PortraitError {}
    let box = face.alignment.box
    func distance(_ other: FaceAlignment) -> Double { hypot(other.box.midX - box.midX, other.box.midY - box.midY) }
    // One that is no longer found is seen where it was.
    let nearest = found.min { distance($0) < distance($1) }.flatMap { distance($0) < box.width / 2 ? $0 : nil }
    return try withoutGradients {
      let crop = FaceCrop(of: picture, nearest ?? face.alignment, size: bundle.configuration.imageSize)
      let code = try bundle.model.encode(Tensor(crop.picture)).mean
      return Dictionary(uniqueKeysWithValues: zip(directions.names, try directions.probes.probabilities(of: code)))
    }
  }

  /// The strengths that edits come to on a face, in their order: those of edits to a probability are searched.
  /// - Parameters:
  ///   - edits: attributes and how far each is changed.
  ///   - face: from ``faces(in:_:isAligned:)``.
  ///   - options: the way.
  /// - Returns: one of each edit, within ``AttributeEdit/range``.
  /// - Throws: ``AttributeError``, ``StyleError``; `CancellationError` in a task that is cancelled.
  public func strengths(
    of edits: [AttributeEdit], on face: EncodedFace, options: EditOptions = .init()
  ) throws -> [Double] {
    try withoutGradients {
      var planner = EditPlanner(for: face, options, with: tools)
      return try edits.map { edit in
        let strength = try strength(of: edit, after: planner)
        try planner.add(edit.attribute, strength, style: edit.style)
        return strength
      }
    }
  }

  private func planner(for face: EncodedFace, _ edits: [AttributeEdit], _ options: EditOptions) throws -> EditPlanner {
    var planner = EditPlanner(for: face, options, with: tools)
    for edit in edits {
      try edit.validateStyle()
      try planner.add(edit.attribute, strength(of: edit, after: planner), style: edit.style)
    }
    return planner
  }

  /// The latent code of a face after edits, 1 × latent size.
  private func code(after plan: EditPlan, of face: EncodedFace) throws -> Tensor {
    try bundle.model.encode(plan.applied(to: face, with: tools).image).mean
  }

  /// The strength that an edit asks for, or that brings the edited face to the probability that it asks for.
  private func strength(of edit: AttributeEdit, after planner: EditPlanner) throws -> Double {
    guard case .probability(let probability) = edit.amount else {
      guard case .strength(let strength) = edit.amount else { return 0 }
      return strength
    }
    let (face, index) = (planner.face, try directions.index(of: edit.attribute))
    if let strength = try planner.binaryStrength(of: edit.attribute, isPresent: probability > 0.5) { return strength }
    let start = try directions.strength(
      of: edit.attribute, from: planner.latent, to: probability, keeping: planner.options.kept,
      method: planner.options.style.method)
    return try StrengthSearch(to: probability).strength(from: start) { strength in
      var next = planner
      try next.add(edit.attribute, strength)
      return try directions.probes.logits(of: code(after: next.plan, of: face)).select(1, index).item()
    }
  }
}

import Foundation
import Photo
import Torch

/// A face as the model sees it: where it is, its latent code and what decodes from it.
public struct EncodedFace: Sendable {
  public let alignment: FaceAlignment
  /// The face cut out at the model's size.
  public let crop: Picture
  /// The crop without its grain, N × N × 3 in [0, 1].
  let smooth: FloatPicture
  let surroundings: Surroundings
  /// The posterior's mean, 1 × latent size.
  public let latent: Tensor
  public let reconstruction: Reconstruction
  /// How surely a place is no skin, 1 × 4 × N × N, as ``FaceParser/otherThanSkin(in:)`` gives it; once somebody asks.
  let otherThanSkin = Once<Tensor>()
  /// How surely a place is of an eye, and of a brow, 1 × 2 × N × N; once somebody asks.
  let eyesAndBrows = Once<Tensor>()
  /// How surely a place is hair, 1 × 1 × N × N; once somebody asks.
  let hair = Once<Tensor>()
  /// Where its features may move: within the face and off the hair, 1 × 1 × N × N; once somebody asks.
  let movable = Once<Tensor>()
  /// Where its places are, each 1 × 1 × N × N; once somebody asks.
  let places = Once<[FacePlace: Tensor]>()
  /// Landmarks in the crop, 1 wide; once somebody asks.
  let landmarks = Once<[Point]>()
  /// The same of what decodes from its code; once somebody asks.
  let decodedLandmarks = Once<[Point]>()
  /// The face without glasses, if it wears some; once somebody asks.
  let bare = Once<BareFace?>()
  /// Glasses for it, unless it wears some; once somebody asks.
  let glasses = Once<WornGlasses?>()
  /// What make-up and mustaches are drawn on, 1 × 7 × N × N, as ``PartFinder/paintable(in:)`` gives it; once somebody asks.
  let paintable = Once<Tensor>()
  /// How far it shows teeth of its own, 0…1; once somebody asks.
  let shownTeeth = Once<Double>()
  /// Where make-up goes on it, if it is found; once somebody asks.
  let madeUp = Once<MadeUpParts?>()
  /// Where bangs would hang, if hair grows above its forehead; once somebody asks.
  let fringe = Once<Fringe?>()
  /// What prototypes do at its features, each 1 × 4 × N × N; once somebody asks.
  let prototypes = Once<[AttributeState: Tensor]>()
}

/// A face cut out of a photo for an editor.
public struct FaceCrop: Sendable {
  public let alignment: FaceAlignment
  /// The face at the model's size.
  public let picture: Picture
  let surroundings: Surroundings

  /// - Parameters:
  ///   - photo: the photo, three channels.
  ///   - alignment: where the face is.
  ///   - size: the model's.
  public init(of photo: Picture, _ alignment: FaceAlignment, size: Int) {
    self.alignment = alignment
    picture = alignment.crop(photo, size: size)
    surroundings = Surroundings(photo, alignment)
  }
}

/// A face and the edits that it gets; several of them are edited as one batch.
public struct FaceEdit: Sendable {
  public var face: EncodedFace
  public var edits: [AttributeEdit]
  public var options: EditOptions

  public init(_ face: EncodedFace, _ edits: [AttributeEdit], options: EditOptions = .init()) {
    (self.face, self.edits, self.options) = (face, edits, options)
  }
}

/// What edits do to a face, found at the model's size: it can be laid over the photo, or a copy of it at another size.
public struct FaceChange: Sendable {
  public let alignment: FaceAlignment
  /// What takes glasses off, before all else, as `patch`, but without grain.
  let bare: FloatPicture?
  /// What skin and hair become, each as `patch`, but of all that is around the face, and before it.
  let tints: [FloatPicture]
  /// Where the crop's pixels come from before they are changed, N × N × 2, as of `Picture.move(by:place:)`.
  let flow: FloatPicture?
  /// As ``Composition/change(of:from:to:)`` gives it: N × N × 4.
  public let patch: FloatPicture
  /// The tinted crop without its grain, N × N × 3, where that stays.
  let smooth: FloatPicture?
  /// What is drawn over all of it, one after the other, each as `patch`, but of its own size and without grain.
  let drawn: [FloatPicture]

  /// Changes the picture that the face was found in, or a copy of it.
  /// - Parameters:
  ///   - picture: the picture; pixels outside the face's crop keep their bits, but for hair and skin in another colour.
  ///   - place: from the picture that the face was found in to this one.
  public func apply(to picture: inout Picture, at place: Similarity = .identity) {
    let alignment = alignment.moved(by: place)
    if let bare { alignment.change(&picture, by: bare) }
    for tint in tints { alignment.change(&picture, bySurroundings: tint) }
    if let flow { alignment.move(&picture, by: flow) }
    alignment.change(&picture, by: patch, smooth: smooth)
    for layer in drawn { alignment.change(&picture, by: layer) }
  }

  /// Changes a crop of the face, of any size.
  public func apply(toCrop crop: inout Picture) {
    if let bare { alignment.change(crop: &crop, by: bare) }
    for tint in tints { alignment.change(crop: &crop, bySurroundings: tint) }
    if let flow { alignment.move(crop: &crop, by: flow) }
    alignment.change(crop: &crop, by: patch, smooth: smooth)
    for layer in drawn { alignment.change(crop: &crop, by: layer) }
  }
}

/// Edits faces in photos: found, aligned, encoded, moved in latent space, decoded and composed back.
///
/// One editor serves one task at a time; the model in it is shared state.
public final class FaceEditor {
  /// A portrait in the public domain (NASA) to try edits on.
  public static let samplePhotoURL = Bundle.module.url(forResource: "astronaut", withExtension: "jpg")!

  public let bundle: ModelBundle
  public let directions: AttributeDirections
  let glasses: GlassesModel?
  let prototypes: SkinPrototypes
  let detector: FaceDetector
  let partFinder = PartFinder()

  /// - Parameter detector: made beforehand, it loads while the model does.
  /// - Parameter bundle: the model and its directions.
  /// - Throws: ``BundleError`` when the bundle has no directions or a file of it is damaged.
  public init(_ bundle: ModelBundle, detector: FaceDetector) throws {
    self.bundle = bundle
    self.detector = detector
    directions = try AttributeDirections(of: bundle)
    glasses = try GlassesModel.of(bundle)
    prototypes = try SkinPrototypes.of(bundle)
    bundle.model.setTraining(false)
  }

  /// Edits with the default bundle, or the one in `url`.
  public convenience init(bundle url: URL = ModelBundle.defaultURL) throws {
    let detector = FaceDetector()
    try self.init(ModelBundle(contentsOf: url), detector: detector)
  }

  /// The photo with faces edited, at its own resolution; nothing outside the faces' regions changes.
  /// - Parameters:
  ///   - photo: the photo.
  ///   - edits: attributes and how far each is changed; they add up.
  ///   - choice: the faces that are edited.
  ///   - options: how.
  ///   - isAligned: the photo is already a CelebA frame or a training crop; no face is searched.
  /// - Throws: ``PortraitError`` where there is no such face, ``AttributeError``.
  public func edit(
    _ photo: Photo, _ edits: [AttributeEdit], of choice: FaceChoice = .largest, options: EditOptions = .init(),
    isAligned: Bool = false
  ) throws -> Photo {
    var result = photo
    for alignment in try alignments(in: photo.picture, choice, isAligned: isAligned) {
      // Each face is seen as the photo has it; what neighbours share is changed by both.
      let face = try encode(photo.picture, alignment: alignment)
      result.picture = try apply(edits, to: face, in: result.picture, options: options)
    }
    if photo.isGrey { result.picture = result.picture.desaturated() }
    result.digitalSource = .compositeWithTrainedModel
    return result
  }

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
    return try alignments(in: picture, choice, isAligned: isAligned).map { try encode(picture, alignment: $0) }
  }

  /// Encodes faces that were found and cut out elsewhere, as one batch.
  public func encode(_ crops: [FaceCrop]) throws -> [EncodedFace] {
    if crops.isEmpty { return [] }
    return try withoutGradients {
      let inputs = try Tensor.cat(crops.map { try Tensor($0.picture) }, dim: 0)
      let latents = try bundle.model.encode(inputs).mean
      let decoded = try bundle.model.decode(latents)
      let smooth = try Composition.smooth(inputs)
      return try crops.enumerated().map { index, crop in
        EncodedFace(
          alignment: crop.alignment, crop: crop.picture,
          smooth: try FloatPicture(smooth.narrow(0, index..<index + 1)), surroundings: crop.surroundings,
          latent: try latents.narrow(0, index..<index + 1), reconstruction: try decoded[index])
      }
    }
  }

  private func alignments(in picture: Picture, _ choice: FaceChoice, isAligned: Bool) throws -> [FaceAlignment] {
    let view = bundle.configuration.view
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

  private func encode(_ picture: Picture, alignment: FaceAlignment) throws -> EncodedFace {
    try encode([FaceCrop(of: picture, alignment, size: bundle.configuration.imageSize)])[0]
  }

  /// The picture with an encoded face of it edited.
  /// - Parameters:
  ///   - edits: attributes and how far each is changed.
  ///   - face: from ``faces(in:_:isAligned:)``.
  ///   - picture: the one that the face was found in, or an edited one of the same size.
  ///   - options: how.
  /// - Throws: ``AttributeError``.
  public func apply(
    _ edits: [AttributeEdit], to face: EncodedFace, in picture: Picture, options: EditOptions = .init()
  ) throws -> Picture {
    var result = picture
    try changes([FaceEdit(face, edits, options: options)])[0].apply(to: &result)
    return result
  }

  /// What edits do to faces, of one photo or of several, decoded and composed as one batch.
  /// - Parameter work: faces and their edits; how they are composed may differ.
  /// - Returns: one change for each of `work`, in its order.
  /// - Throws: ``AttributeError``.
  public func changes(_ work: [FaceEdit]) throws -> [FaceChange] {
    if work.isEmpty { return [] }
    return try withoutGradients {
      let moved = try work.map { try self.moved($0.face, $0.edits, $0.options) }
      let work = work.map { (face: $0.face, composition: $0.options.composition) }
      let canvases = try canvases(of: work, moved)
      let changes = try changes(of: work, canvases, moved)
      return try work.indices.map {
        let face = work[$0].face
        let drawn = try drawn(on: face, moved[$0], over: canvases[$0], changes[$0])
        return FaceChange(
          alignment: face.alignment, bare: canvases[$0].bare, tints: canvases[$0].tints, flow: try canvases[$0].flow?.picture,
          patch: try FloatPicture(changes[$0]), smooth: work[$0].composition.keepsGrain ? canvases[$0].smooth : nil,
          drawn: try drawn.map { try FloatPicture($0) })
      }
    }
  }

  /// What the encoder sees in a face after edits.
  /// - Parameters:
  ///   - face: from ``faces(in:_:isAligned:)``.
  ///   - edits: attributes and how far each is changed; none for the face as it is.
  ///   - options: how.
  /// - Returns: the probability of each of ``AttributeDirections/names``, in their order; nothing where the bundle has
  ///   no probes.
  /// - Throws: ``AttributeError``.
  public func probabilities(
    in face: EncodedFace, after edits: [AttributeEdit] = [], options: EditOptions = .init()
  ) throws -> [Double] {
    guard directions.hasProbes else { return [] }
    return try withoutGradients {
      if edits.isEmpty { return try directions.probes.probabilities(of: face.latent) }
      let edited = try crop(of: face, moved(face, edits, options), options)
      return try directions.probes.probabilities(of: bundle.model.encode(edited).mean)
    }
  }

  /// The strengths that edits come to on a face, in their order: those of edits to a probability are searched.
  /// - Parameters:
  ///   - edits: attributes and how far each is changed.
  ///   - face: from ``faces(in:_:isAligned:)``.
  ///   - options: how.
  /// - Throws: ``AttributeError``.
  public func strengths(
    of edits: [AttributeEdit], on face: EncodedFace, options: EditOptions = .init()
  ) throws -> [Double] {
    try withoutGradients {
      var moved = Moved(latent: face.latent)
      return try edits.map { edit in
        let strength = try strength(of: edit, on: face, after: moved, options)
        try move(&moved, edit.attribute, strength, on: face, options)
        return strength
      }
    }
  }

  private func moved(_ face: EncodedFace, _ edits: [AttributeEdit], _ options: EditOptions) throws -> Moved {
    var moved = Moved(latent: face.latent)
    for edit in edits {
      let strength = try strength(of: edit, on: face, after: moved, options)
      try move(&moved, edit.attribute, strength, on: face, options)
    }
    return moved
  }

  private func move(
    _ moved: inout Moved, _ attribute: String, _ strength: Double, on face: EncodedFace, _ options: EditOptions
  ) throws {
    let states = try directions.states(of: attribute, adds: strength >= 0)
    var scope = EditScope(states)
    /// How much of it is a step.
    var decoded = strength
    // What is of one label alone may be more than a step.
    let state = states.count == 1 ? states[0] : nil
    if options.keepsToParts, let state, let colour = PartColour(state.name) {
      moved.tints.append((colour, state.adds ? abs(strength) : -abs(strength)))
      return
    }
    if strength >= 0, try draws(glassesBy: attribute, options) {
      moved.glasses += strength
      return
    }
    if options.draws, state == .bareEyes {
      // Who wears none stays as the photo has it.
      guard let bare = try bare(face) else { return }
      let opacity = min(1, moved.bared + abs(strength))
      moved.latent = try moved.latent + (bare.latent - face.latent) * (opacity - moved.bared)
      moved.bared = opacity
      return
    }
    if options.draws, let state, let amounts = Makeup.amounts(for: state) {
      moved.makeup.merge(amounts.mapValues { $0 * abs(strength) }, uniquingKeysWith: +)
      guard state.name == AttributeState.makeup.name else { return }
      // What is put on needs no decoding at the eyes; what is taken off there does, for lashes.
      if state.adds { (scope.sparesEyes, scope.sparesLids) = (true, true) } else { decoded *= Makeup.decodedPart }
    }
    if options.draws, strength > 0, scope.movesMouth { moved.teeth = true }
    if options.draws, let state {
      if state == .bangs { moved.bangs += strength }
      if state == .mustache { moved.mustache += strength }
      if state == .bangs || state == .mustache { return }
    }
    let prototype = options.draws ? state.flatMap { prototypes[$0] ?? prototypes[$0.reversed] } : nil
    let grays = options.keepsToParts && state == .age && !options.keeps(PartColour.graying.label)
    if prototype != nil || grays {
      // Who is old already gets fewer lines, as the step is shorter.
      let amount = try abs(strength)
        * directions.need(of: attribute, strength: strength, on: face.latent, method: options.method)
      if let prototype { moved.shaded.append((prototype.edit, prototype.edit == state ? amount : -amount)) }
      if grays { moved.tints.append((PartColour.graying.colour, PartColour.graying.part * amount)) }
    }
    let step = try step(attribute, decoded, on: face, options)
    if options.keepsToParts, let place = state.flatMap(FacePlace.init) {
      moved.placed.append((place, step))
      return
    }
    moved.latent = try moved.latent + step
    moved.steps += 1
    moved.scope = moved.scope.and(scope)
  }

  /// The edited face at the model's size, in [0, 1].
  private func crop(of face: EncodedFace, _ moved: Moved, _ options: EditOptions) throws -> Tensor {
    let work = [(face: face, composition: options.composition)]
    let canvas = try canvases(of: work, [moved])[0]
    let change = try changes(of: work, [canvas], [moved])[0]
    let edited = try options.composition.composed(over: canvas.crop, change)
    return try drawn(on: face, moved, over: canvas, change).reduce(edited) { edited, layer in
      try edited.changed(by: layer.avgPool2d(layer.size(3) / canvas.crop.size(3)))
    }
  }

  /// What is drawn over a face and not decoded: make-up over teeth, glasses over make-up and beards, and hair over glasses.
  private func drawn(on face: EncodedFace, _ moved: Moved, over canvas: Canvas, _ change: Tensor) throws -> [Tensor] {
    var layers: [Tensor?] = []
    let flow = try moved.teeth && shownTeeth(of: face) < 1 ? canvas.flow : nil
    if flow != nil || !moved.makeup.isEmpty || moved.mustache > 0 {
      let (shown, isElsewhere) = (try Composition.difference.composed(over: canvas.crop, change), moved.scope.movesMouth)
      if let flow { layers.append(try teeth(on: face, in: shown, flow)) }
      layers.append(try makeup(on: face, moved.makeup, in: shown, isElsewhere: isElsewhere))
      layers.append(try mustache(on: face, moved.mustache, in: shown, isElsewhere: isElsewhere))
    }
    layers.append(try glasses(on: face, moved.glasses, in: canvas.crop))
    layers.append(try fringe(on: face, moved.bangs, in: canvas.crop))
    return layers.compactMap(\.self)
  }

  private func step(
    _ attribute: String, _ strength: Double, on face: EncodedFace, _ options: EditOptions
  ) throws -> Tensor {
    // By the face's own code, so that edits may be asked for in any order.
    try directions.step(
      attribute, strength: strength, on: face.latent, keeping: options.kept, method: options.method)
  }

  /// The strength that an edit asks for, or that brings the edited face to the probability that it asks for.
  private func strength(
    of edit: AttributeEdit, on face: EncodedFace, after moved: Moved, _ options: EditOptions
  ) throws -> Double {
    let probability: Double
    switch edit.amount {
    case .strength(let strength): return strength
    case .probability(let asked): probability = asked
    }
    let index = try directions.index(of: edit.attribute)
    /// Log odds of the attribute in the edited face, as the encoder sees it.
    func seen(_ strength: Double) throws -> Double {
      var next = moved
      try move(&next, edit.attribute, strength, on: face, options)
      let edited = try crop(of: face, next, options)
      return try directions.probes.logits(of: bundle.model.encode(edited).mean).select(1, index).item()
    }
    let wanted = min(0.999, max(0.001, probability))
    // Glasses are there or not.
    if probability > 0.5, try draws(glassesBy: edit.attribute, options) { return 1 }
    if probability < 0.5, options.draws, try directions.states(of: edit.attribute, adds: false) == [.bareEyes] {
      return try bare(face) == nil ? 0 : -1
    }
    let target = log(wanted / (1 - wanted))
    // The secant method from the strength that would do if codes were kept by decoding and encoding.
    var (last, value) = (0.0, try seen(0))
    var best = (strength: last, miss: abs(value - target))
    var next = try directions.strength(
      of: edit.attribute, from: moved.latent, to: probability, keeping: options.kept, method: options.method)
    for _ in 0..<Self.searches where abs(value - target) > 0.05 && abs(next - last) > 1e-3 {
      let reached = try seen(next)
      let slope = (reached - value) / (next - last)
      (last, value) = (next, reached)
      if abs(value - target) < best.miss { best = (last, abs(value - target)) }
      // More of an attribute that shows no more of it leads nowhere.
      guard slope > 0.01 else { break }
      let farthest = max(1, 2 * abs(last))
      next = min(farthest, max(-farthest, last + (target - value) / slope))
      next = min(AttributeEdit.range.upperBound, max(AttributeEdit.range.lowerBound, next))
    }
    return try best.strength > 0 && draws(glassesBy: edit.attribute, options) ? 0 : best.strength
  }

  private func draws(glassesBy attribute: String, _ options: EditOptions) throws -> Bool {
    try options.draws && glasses != nil && directions.states(of: attribute, adds: true) == [GlassesModel.edit]
  }

  private static let searches = 5
}

extension Tensor {
  /// A picture of three channels as 1 × 3 × height × width in [0, 1], channels last.
  package init(_ picture: Picture) throws {
    let bytes = try picture.pixels.withUnsafeBytes {
      try Tensor(copying: $0, dtype: .uint8, shape: [1, picture.height, picture.width, picture.channels])
    }
    self = try bytes.permute([0, 3, 1, 2]).to(.float32) / 255
  }
}

extension Reconstruction {
  /// One of a batch.
  package subscript(index: Int) -> Reconstruction {
    get throws {
      Reconstruction(
        image: try image.narrow(0, index..<index + 1), maskLogits: try maskLogits.narrow(0, index..<index + 1))
    }
  }

  /// Several as a batch.
  package init(_ parts: [Reconstruction]) throws {
    self.init(image: try .cat(parts.map(\.image), dim: 0), maskLogits: try .cat(parts.map(\.maskLogits), dim: 0))
  }
}

extension FloatPicture {
  /// The first image of a batch N × channels × height × width.
  package init(_ batch: Tensor) throws {
    let image = try batch.select(0, 0)
    self.init(
      width: image.size(2), height: image.size(1), channels: image.size(0),
      values: try image.permute([1, 2, 0]).to(.float32).array(Float.self))
  }
}

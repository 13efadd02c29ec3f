import Foundation
import Photo
import Torch

/// What edits do to faces, one kind after the other: colours of hair and skin; steps in latent space, decoded and composed; and steps
/// that stay within a place.
extension FaceEditor {
  /// What edits come to: another code, and other colours of hair and skin, which are given to these themselves.
  struct Moved {
    typealias Tint = (colour: PartColour, strength: Double)
    var latent: Tensor
    /// How far the face is one without its glasses, 0…1.
    var bared = 0.0
    /// Edits that moved it.
    var steps = 0
    /// What they are about, together.
    var scope = EditScope.none
    var tints: [Tint] = []
    /// Steps that are decoded each by itself, for they stay within a place.
    var placed: [(place: FacePlace, step: Tensor)] = []
    /// What is done to the skin after all of these, and how far.
    var shaded: [(edit: AttributeState, strength: Double)] = []
    /// What is drawn over all of it: teeth where a mouth opens, how much of which make-up, how opaque a mustache and glasses, and how
    /// long bangs over these.
    var teeth = false
    var makeup = Makeup.Amounts()
    var mustache = 0.0
    var glasses = 0.0
    var bangs = 0.0
  }

  /// What decodes before edits: of who takes glasses off, the face without them.
  private func decoded(_ moved: Moved, before face: EncodedFace) throws -> Reconstruction {
    guard moved.bared > 0, let bare = try bare(face) else { return face.reconstruction }
    return moved.bared == 1
      ? bare.reconstruction : try bundle.model.decode(face.latent + (bare.latent - face.latent) * moved.bared)
  }

  /// What decodes after edits; codes that were not moved are not decoded again.
  private func decoded(_ moved: [Moved], after before: [Reconstruction]) throws -> [Reconstruction] {
    var all = before
    let stepped = moved.indices.filter { moved[$0].steps > 0 }
    if stepped.isEmpty { return all }
    let after = try bundle.model.decode(Tensor.cat(stepped.map { moved[$0].latent }, dim: 0))
    for (row, index) in stepped.enumerated() { all[index] = try after[row] }
    return all
  }

  /// A face as its edits find it.
  struct Canvas {
    /// 1 × 3 × S × S in [0, 1].
    var crop: Tensor
    /// What decodes before the edits, and after those that are decoded together.
    var before, after: Reconstruction
    /// How the photo's features follow these edits; all but `after` is as they have moved.
    var flow: FaceFlow?
    var smooth: FloatPicture
    /// What took glasses off.
    var bare: FloatPicture?
    var tints: [FloatPicture] = []
    /// Which part of each pixel of the crop is hair that got its colour by itself.
    var tintedHair: Picture?
  }

  /// Faces with their hair and skin in the colours that are asked for, their features where what decodes has them.
  func canvases(of work: [(face: EncodedFace, composition: Composition)], _ moved: [Moved]) throws -> [Canvas] {
    let before = try work.indices.map { try decoded(moved[$0], before: work[$0].face) }
    let after = try decoded(moved, after: before)
    return try work.indices.map { index in
      let (face, moved) = (work[index].face, moved[index])
      var canvas = try canvas(of: face, before[index], after[index], moved)
      guard moved.scope.movesMouth, work[index].composition == .difference else { return canvas }
      let movable = try face.movable {
        let outside = try partFinder.otherThanFace(in: Tensor(face.crop)).blurred(sigma: 3).smoothStep(from: 0.1, to: 0.5)
        return try (1 - outside) * (1 - otherThanSkin(of: face).narrow(1, 2..<3).smoothStep(from: 0.2, to: 0.6))
      }
      func found(_ decoded: Reconstruction) throws -> [Point] {
        try face.alignment.foundLandmarks(in: Picture(FloatPicture(decoded.image)), by: detector)
      }
      let bare = try moved.bared > 0 ? bare(face) : nil
      let from = try bare.map { bare in try bare.decodedLandmarks { try found(bare.reconstruction) } }
        ?? face.decodedLandmarks { try found(face.reconstruction) }
      canvas.flow = try face.alignment.flow(
        of: landmarks(of: face), from: from, to: found(canvas.after),
        within: movable)
      guard let flow = canvas.flow else { return canvas }
      canvas.crop = try flow.moved(canvas.crop)
      canvas.smooth = try FloatPicture(Composition.smooth(canvas.crop))
      canvas.before = try Reconstruction(
        image: flow.moved(canvas.before.image), maskLogits: flow.moved(canvas.before.maskLogits, by: .bilinear))
      return canvas
    }
  }

  private func canvas(
    of face: EncodedFace, _ before: Reconstruction, _ after: Reconstruction, _ moved: Moved
  ) throws -> Canvas {
    var canvas = Canvas(crop: try Tensor(face.crop), before: before, after: after, smooth: face.smooth)
    var crop = face.crop
    if moved.bared > 0, let bare = try bare(face) {
      let change = try FloatPicture(bare.change * moved.bared)
      face.alignment.change(crop: &crop, by: change)
      canvas.bare = change
      canvas.crop = try Tensor(crop)
      canvas.smooth = try FloatPicture(Composition.smooth(canvas.crop))
    }
    let tints = moved.tints
    if tints.isEmpty { return canvas }
    var regions = try regions(of: face)
    if let change = canvas.bare {
      // What was behind glasses is skin, and as light.
      regions.skin = regions.skin.changed { face.alignment.change(surroundings: &$0, by: change) }
      regions.hair = regions.hair.changed { face.alignment.change(surroundings: &$0, by: change) }
    }
    let skin = regions.skin.tinted(tints.filter { $0.colour.part == .skin })
    let hair = regions.hair.tinted(tints.filter { $0.colour.part == .hair })
    canvas.tints = [skin, hair].compactMap(\.self)
    if canvas.tints.isEmpty { return canvas }
    if hair != nil {
      let size = face.crop.width
      let coverage = regions.hair.coverage
      let place = face.alignment.surroundings(size: coverage.width).inverse.then(face.alignment.transform(size: size))
      canvas.tintedHair = coverage.warped(by: place, to: (size, size))
    }
    for tint in canvas.tints { face.alignment.change(crop: &crop, bySurroundings: tint) }
    canvas.crop = try Tensor(crop)
    canvas.smooth = try FloatPicture(Composition.smooth(canvas.crop))
    return canvas
  }

  private func regions(of face: EncodedFace) throws -> Surroundings.Regions {
    try face.surroundings.regions { picture in
      let found = try partFinder.hairAndSkin(in: picture)
      // The parser may take what is dark behind a head for hair, the model's own mask does not; it ends where the crop
      // does, and goes on there as it is at the border.
      let mask = try Picture(FloatPicture(face.reconstruction.mask))
      let place = face.alignment.transform(size: mask.width).inverse
      let wide = mask.warped(
        by: place.then(face.alignment.surroundings(size: picture.width)), to: (picture.width, picture.height))
      let own = wide.pixels.map { (Float($0) / 255).smoothStep(from: 0.75, to: 1) }
      let hair = zip(found.hair, own).map { $0.smoothStep(from: 0.2, to: 0.5) * $1 }
      // Skin of the face alone, but with no edge along the jaw.
      let near = Surroundings.near(own, reach: 11)
      return (hair, zip(found.skin, near).map { $0 * $1 })
    }
  }

  /// Faces half-way through their edits.
  private struct Faces {
    let work: [(face: EncodedFace, composition: Composition)]
    /// As edits find them.
    let canvases: [Canvas]
    let moved: [Moved]
    /// The codes so far, and what decodes from them.
    var latents: [Tensor]
    var decoded: [Reconstruction]
    /// What was done so far, each 1 × 4 × S × S as ``Composition/change(of:from:to:)`` gives it.
    var changes: [Tensor] = []

    func crops(_ rows: [Int]) throws -> Tensor { try .cat(rows.map { canvases[$0].crop }) }

    mutating func set(_ rows: [Int], _ changed: Tensor, _ next: Tensor, _ decoded: Reconstruction) throws {
      for (index, row) in rows.enumerated() {
        changes[row] = try changed.narrow(0, index..<index + 1)
        latents[row] = try next.narrow(0, index..<index + 1)
        self.decoded[row] = try decoded[index]
      }
    }
  }

  /// What edits do to faces, each 1 × 4 × S × S.
  func changes(
    of work: [(face: EncodedFace, composition: Composition)], _ canvases: [Canvas], _ moved: [Moved]
  ) throws -> [Tensor] {
    var faces = Faces(
      work: work, canvases: canvases, moved: moved, latents: moved.map(\.latent), decoded: canvases.map(\.after))
    try compose(&faces)
    for turn in 0..<(moved.map(\.placed.count).max() ?? 0) { try place(&faces, turn) }
    try shade(&faces)
    // Hair that gets its colour by itself takes none from what decodes there.
    return try zip(faces.changes, canvases).map { change, canvas in
      try canvas.tintedHair.map { try change * (1 - Tensor($0)) } ?? change
    }
  }

  /// What the steps do that are decoded together.
  private func compose(_ faces: inout Faces) throws {
    let size = bundle.configuration.imageSize
    faces.changes = [Tensor](repeating: try .zeros([1, 4, size, size]), count: faces.work.count)
    for composition in Composition.allCases {
      // The article's replaces the face even where nothing is asked.
      let rows = faces.work.indices.filter {
        faces.work[$0].composition == composition && (composition == .article || faces.moved[$0].steps > 0)
      }
      if rows.isEmpty { continue }
      let (before, after) = try (
        Reconstruction(rows.map { faces.canvases[$0].before }), Reconstruction(rows.map { faces.decoded[$0] })
      )
      let change =
        switch composition {
        case .article: try composition.change(of: faces.crops(rows), from: before, to: after)
        case .difference:
          try Composition.difference(
            of: faces.crops(rows), from: before, to: after, within: rows.map { faces.moved[$0].scope },
            seen: seenParts(of: faces, rows))
        }
      for (index, row) in rows.enumerated() { faces.changes[row] = try change.narrow(0, index..<index + 1) }
    }
  }

  /// What each face's next step within a place does, over what is there by then.
  private func place(_ faces: inout Faces, _ turn: Int) throws {
    let rows = faces.moved.indices.filter { faces.moved[$0].placed.count > turn }
    let latents = try Tensor.cat(rows.map { try faces.latents[$0] + faces.moved[$0].placed[turn].step })
    let next = try bundle.model.decode(latents)
    let changed = try rows.enumerated().map { index, row in
      let shown = try Composition.difference.composed(over: faces.canvases[row].crop, faces.changes[row])
      let region = try region(of: faces.moved[row].placed[turn].place, in: faces.work[row].face)
      let change = try Composition.difference.change(of: shown, from: faces.decoded[row], to: next[index]) * region
      return try Composition.followed(faces.changes[row], by: change)
    }
    try faces.set(rows, .cat(changed), latents, next)
  }

  /// What prototypes do to each face's skin, as it is by then.
  private func shade(_ faces: inout Faces) throws {
    for row in faces.moved.indices {
      for (edit, strength) in faces.moved[row].shaded where strength != 0 {
        let face = faces.work[row].face
        guard let maps = try face.prototypes({ try maps(on: face) })[edit] else { continue }
        let shown = try Composition.difference.composed(over: faces.canvases[row].crop, faces.changes[row])
        let spared = try otherThanSkin(of: face).sum(dims: [1], keepDim: true).blurred(sigma: 1).smoothStep(from: 0.1, to: 0.6)
        let change = try SkinPrototype.change(of: shown, by: maps, strength: strength, sparing: spared)
        faces.changes[row] = try Composition.followed(faces.changes[row], by: change)
      }
    }
  }

  private func maps(on face: EncodedFace) throws -> [AttributeState: Tensor] {
    let size = bundle.configuration.imageSize
    guard let frame = try face.alignment.frame(of: landmarks(of: face), size: size) else { return [:] }
    return try Dictionary(uniqueKeysWithValues: prototypes.prototypes.map {
      ($0.edit, try $0.maps(on: frame.landmarks, at: frame.place, side: size))
    })
  }

  /// The 68 landmarks of a face in its crop, 1 wide.
  func landmarks(of face: EncodedFace) throws -> [Point] {
    try face.landmarks { try face.alignment.landmarks(in: face.crop, by: detector) }
  }

  /// What scopes of steps ask for, of faces and of what decodes after these steps.
  private func seenParts(of faces: Faces, _ rows: [Int]) throws -> SeenParts {
    let side = bundle.configuration.imageSize
    var (other, eyes, lips) = ([Tensor](), [Tensor](), [Tensor]())
    var outside = [Tensor](repeating: try .zeros([1, 1, side, side]), count: rows.count)
    for row in rows {
      let (face, scope, flow) = (faces.work[row].face, faces.moved[row].scope, faces.canvases[row].flow)
      let parts = try scope.leavesHair || scope.leavesMouth || scope.shutsMouth ? otherThanSkin(of: face) : .zeros([1, 4, side, side])
      other.append(try flow?.moved(parts, by: .bilinear) ?? parts)
      eyes.append(try scope.sparesEyes ? eyesAndBrows(of: face) : .zeros([1, 2, side, side]))
      lips.append(try scope.leavesMouth ? paintable(of: face).narrow(1, 0..<1) : .zeros([1, 1, side, side]))
    }
    let asking = rows.indices.filter { faces.moved[rows[$0]].scope.leavesContour }
    if !asking.isEmpty {
      let found = try partFinder.otherThanFace(in: Tensor.cat(asking.map { faces.decoded[rows[$0]].image }))
      for (place, index) in asking.enumerated() { outside[index] = try found.narrow(0, place..<place + 1) }
    }
    return try SeenParts(other: .cat(other), outside: .cat(outside), eyes: .cat(eyes), lips: .cat(lips))
  }

  private func region(of place: FacePlace, in face: EncodedFace) throws -> Tensor {
    try face.places { try partFinder.places(in: Tensor(face.crop)) }[place]!
  }

  func hair(of face: EncodedFace) throws -> Tensor {
    try face.hair { try partFinder.hair(in: Tensor(face.crop)) }
  }

  func paintable(of face: EncodedFace) throws -> Tensor {
    try face.paintable { try partFinder.paintable(in: Tensor(face.crop)) }
  }

  func otherThanSkin(of face: EncodedFace) throws -> Tensor {
    try face.otherThanSkin { try partFinder.otherThanSkin(in: Tensor(face.crop)) }
  }

  private func eyesAndBrows(of face: EncodedFace) throws -> Tensor {
    try face.eyesAndBrows { try partFinder.eyesAndBrows(in: Tensor(face.crop)) }
  }
}

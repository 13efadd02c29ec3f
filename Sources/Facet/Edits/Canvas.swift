import Photo
import Torch

/// A face while it is edited: the layers so far, and what the next edit finds under them.
struct Canvas {
  let face: EncodedFace
  let tools: EditTools
  private(set) var layers: [Layer] = []
  /// The latent code so far, and the face that it decodes to.
  var latent: Tensor
  var decoded: DecodedFace
  /// The way of the photo's features, where an edit has moved them.
  private(set) var flow: FaceFlow?
  /// The part of each pixel where later changes at the model's size do not show, 1 × 1 × S × S: hair that has its colour already.
  var protected: Tensor?
  /// The face without its glasses, where these have been taken off.
  private(set) var uncovered: FaceWithoutGlasses?
  /// The image under ``open``, 1 × 3 × S × S in [0, 1], and the same without grain.
  private var base: Tensor
  private var smooth: FloatPicture?
  /// The changes at the model's size that become one layer, 1 × 4 × S × S as ``Composition/change(of:from:to:)`` gives one.
  private var open: Tensor?
  private var seen: Anatomy?

  init(_ face: EncodedFace, _ tools: EditTools) {
    (self.face, self.tools) = (face, tools)
    (latent, decoded) = (face.latent, face.decoded)
    (base, smooth, seen) = (face.anatomy.image, face.smooth, face.anatomy)
  }

  /// The face with the layers so far, at the model's size: 1 × 3 × S × S in [0, 1].
  var image: Tensor {
    get throws {
      guard let open else { return base }
      return try Composition.difference.composed(over: base, open)
    }
  }

  /// The multiple of the model's size that shows all of the photo's detail.
  var oversampling: Int { Layer.oversampling(of: face) }

  /// The parts and landmarks of the face: the photo's own while its features are where they were, else those of ``image``.
  mutating func anatomy() throws -> Anatomy {
    if let seen { return seen }
    let anatomy = Anatomy(of: try image, face.alignment, by: tools.observer)
    seen = anatomy
    return anatomy
  }

  /// How surely a pixel is of glasses that the face wears, 1 × 1 × S × S in [0, 1]; `nil` where none are seen, or they are off.
  var glasses: Tensor? { get throws { try uncovered == nil ? face.anatomy.glasses : nil } }

  /// Tells that glasses have been taken off. Where all of them are gone, the parts are those of the bare face.
  mutating func uncover(_ bare: FaceWithoutGlasses, wholly: Bool) {
    uncovered = bare
    if wholly { seen = bare.anatomy }
  }

  /// Tells that an edit has moved the face's features.
  mutating func featuresMoved() { seen = nil }

  // MARK: Laying

  /// Lays a change at the model's size, under which the photo's grain stays.
  /// - Parameter change: 1 × 4 × S × S, as ``Composition/change(of:from:to:)`` gives it.
  mutating func lay(_ change: Tensor) throws { open = try open.map { try Composition.then($0, change) } ?? change }

  /// Lays a change that takes the photo's grain along.
  /// - Parameter change: 1 × 4 × S × S, as ``Composition/change(of:from:to:)`` gives it.
  mutating func replace(by change: Tensor) throws {
    try close()
    layers.append(Layer(content: .change(try FloatPicture(change))))
    (base, smooth) = (try base.changed(by: change).clamp(min: 0, max: 1), nil)
  }

  /// Lays a drawing, as fine as it is.
  /// - Parameter change: 1 × 4 × (k · S) × (k · S), as ``Composition/change(of:from:to:)`` gives it.
  mutating func draw(_ change: Tensor) throws {
    try close()
    layers.append(Layer(content: .change(try FloatPicture(change))))
    (base, smooth) = (try base.changed(by: change.avgPool2d(change.size(3) / base.size(3))), nil)
  }

  /// Lays a layer on what is there, as it is laid on the photo.
  mutating func lay(_ layer: Layer) throws {
    try close()
    var picture = Picture(try FloatPicture(base))
    face.alignment.apply(layer, to: &picture, in: .crop)
    layers.append(layer)
    (base, smooth) = (try Tensor(picture), nil)
  }

  /// The face with the layers so far, at the painter's size.
  mutating func fineCrop() throws -> Picture { try crop(size: Painter.cropSize) }

  /// The face with the layers so far.
  /// - Parameter size: its side, in pixels.
  mutating func crop(size: Int) throws -> Picture {
    try close()
    var picture = size == face.fine.width ? face.fine : face.surroundings.crop(size: size)
    for layer in layers { face.alignment.apply(layer, to: &picture, in: .crop) }
    return picture
  }

  /// Lays a painting: its pixels are moved, then changed. Detail finer than the painting stays the photo's.
  mutating func lay(_ painting: Painter.Painting) throws {
    try lay(Layer(content: .flow(try FloatPicture(painting.flow))))
    let isLarge = face.alignment.side > Double(Painter.cropSize)
    let smooth = try isLarge ? FloatPicture(fineCrop()) : nil
    try lay(Layer(content: .change(try FloatPicture(painting.change), smooth: smooth)))
  }

  /// Warps the photo, so that a mouth lies where the next change has it.
  mutating func move(by flow: FaceFlow) throws {
    try close()
    layers.append(Layer(content: .flow(try flow.picture)))
    (base, smooth) = (try flow.moved(base), nil)
    self.flow = flow
  }

  /// Ends the change at the model's size that is open.
  mutating func close() throws {
    guard let change = open else { return }
    open = nil
    // Hair that has its colour already takes none from the decoded face.
    let shown = try protected.map { try change * (1 - $0) } ?? change
    let smooth = try self.smooth ?? FloatPicture(Composition.smooth(base))
    layers.append(Layer(content: .change(try FloatPicture(shown), smooth: smooth)))
    (base, self.smooth) = (try Composition.difference.composed(over: base, shown), nil)
  }
}

extension Layer {
  /// The multiple of the model's size at which a drawing on a face shows all of the photo's detail.
  static func oversampling(of face: EncodedFace) -> Int {
    Int(min(finest, max(1, (face.alignment.side / Double(face.crop.width)).rounded(.up))))
  }

  private static let finest = 4.0
}

extension Tensor {
  /// Planes at a multiple of their size.
  func enlarged(to size: Int) throws -> Tensor {
    let scale = size / self.size(3)
    return scale == 1 ? self : try upsampleBilinear2d(scale: scale)
  }
}

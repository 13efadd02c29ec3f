import Torch

/// The order in which edits change a face. Each edit sees the result of the earlier ones.
enum EditStage: Int, Comparable, CaseIterable, Sendable {
  /// Removes what lies over the face.
  case uncover
  /// Colours skin.
  case skin
  /// Colours hair.
  case tint
  /// Moves the latent code, decodes it and composes the change.
  case decode
  /// Deepens or smooths the lines of the skin.
  case shade
  // Drawing, from the skin outwards.
  case teeth, makeup, beard, glasses, hair

  static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// One way to change a face.
protocol Edit: Sendable {
  static var stage: EditStage { get }
  /// Adds another edit of the same type. A plan holds each type once.
  mutating func add(_ other: Self)
  /// Lays this edit on the canvas. Lays nothing where the face has no place for it.
  func apply(to canvas: inout Canvas) throws
}

/// The models that edits are made with. Edits read them and change nothing in them.
struct EditTools: Sendable {
  let model: any FaceVAE
  let directions: AttributeDirections
  let glasses: GlassesModel?
  let prototypes: SkinPrototypes
  /// Paints the steps of attributes whose part of the face it knows; `nil` for a model of another view.
  let painter: Painter?
  let observer: FaceObserver
}

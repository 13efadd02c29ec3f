import Torch

/// The edits of one face, resolved and in the order in which they are applied. It holds each type of edit once.
struct EditPlan: Sendable {
  private(set) var edits: [any Edit] = []

  mutating func add<New: Edit>(_ edit: New) {
    if let index = edits.firstIndex(where: { $0 is New }), var present = edits[index] as? New {
      present.add(edit)
      edits[index] = present
    } else {
      let place = edits.firstIndex { type(of: $0).stage > New.stage } ?? edits.endIndex
      edits.insert(edit, at: place)
    }
  }

  /// Applies the edits to a face.
  /// - Parameter onEdit: told after each edit which part of them is done, 0 … 1.
  /// - Throws: `CancellationError` once the task that runs this is cancelled.
  func applied(to face: EncodedFace, with tools: EditTools, onEdit: (Double) -> Void = { _ in }) throws -> Canvas {
    var canvas = Canvas(face, tools)
    for (index, edit) in edits.enumerated() {
      try Task.checkCancellation()
      try edit.apply(to: &canvas)
      onEdit(Double(index + 1) / Double(edits.count))
    }
    try canvas.close()
    return canvas
  }
}

/// Turns attributes and strengths into a plan for one face.
struct EditPlanner {
  let face: EncodedFace
  let options: EditOptions
  let tools: EditTools
  private(set) var plan = EditPlan()
  /// The latent code after the steps so far, 1 × latent size: what a search for a strength starts from.
  private(set) var latent: Tensor

  init(for face: EncodedFace, _ options: EditOptions, with tools: EditTools) {
    (self.face, self.options, self.tools, latent) = (face, options, tools, face.latent)
    // The article's way replaces the face even where nothing is asked.
    if options.style == .article { plan.add(LatentStep(composition: .article)) }
  }

  /// Plans a change of an attribute. Strength 0 changes nothing.
  /// - Parameters:
  ///   - attribute: its name.
  ///   - strength: how far it is changed.
  ///   - style: how it is drawn; `nil` for the standard style.
  /// - Throws: ``AttributeError``, ``StyleError``.
  mutating func add(_ attribute: String, _ strength: Double, style: String? = nil) throws {
    if AttributeEdit.isHair(attribute) {
      guard options.style == .natural else { throw AttributeError(neverDecoded: attribute) }
      if strength > 0 { plan.add(HairTint(try HairPalette.colour(style), strength)) }
      return
    }
    let states = try tools.directions.states(of: attribute, adds: strength >= 0)
    if strength == 0 { return }
    guard options.style == .natural else {
      let step = try step(attribute, strength)
      latent = try latent + step
      let policy = AttributeTable.policy(of: states)
      return plan.add(LatentStep([step], policy: policy, composition: options.style.composition))
    }
    let recipe = AttributeTable.recipe(for: states, with: tools)
    for edit in recipe.edits(try amount(of: attribute, strength, style)) { plan.add(edit) }
    if states.count == 1, let prototype = tools.prototypes[states[0]] ?? tools.prototypes[states[0].reversed] {
      let amount = try amount(of: attribute, strength, nil).needed
      plan.add(SkinLines(prototype.edit, prototype.edit == states[0] ? amount : -amount))
    }
    guard recipe.decoded > 0 else { return }
    let step = try step(attribute, recipe.decoded * strength)
    latent = try latent + step
    if recipe.growsHair {
      plan.add(Beard(step, within: recipe.region))
    } else {
      let closing = recipe.closesMouth ? min(1, abs(strength)) : 0
      plan.add(
        recipe.region.map { LatentStep(step, within: $0) } ?? LatentStep([step], policy: recipe.policy, closing: closing))
    }
  }

  /// The strength of an edit to a probability, where a face has the attribute or not, with nothing between.
  /// - Parameter isPresent: whether the face is to have it.
  /// - Returns: `nil` for an attribute with something between.
  func binaryStrength(of attribute: String, isPresent: Bool) throws -> Double? {
    let states = try tools.directions.states(of: attribute, adds: isPresent)
    guard options.style == .natural, AttributeTable.isBinary(states), AttributeTable.recipe(for: states, with: tools).decoded == 0
    else { return nil }
    if isPresent { return 1 }
    // Who has it not loses nothing.
    var removal = EditPlanner(for: face, options, with: tools)
    try removal.add(attribute, -1)
    return try removal.plan.applied(to: face, with: tools).layers.isEmpty ? 0 : -1
  }

  // By the face's own code, so that edits may be asked for in any order.
  private func step(_ attribute: String, _ strength: Double) throws -> Tensor {
    try tools.directions.step(
      attribute, strength: strength, on: face.latent, keeping: options.kept, method: options.style.method)
  }

  private func amount(of attribute: String, _ strength: Double, _ style: String?) throws -> Recipe.Amount {
    // Who is old already gets fewer lines, as the step is shorter.
    let part = try tools.directions.requiredPart(
      of: attribute, strength: strength, on: face.latent, method: options.style.method)
    return Recipe.Amount(strength: abs(strength), needed: abs(strength) * part, kept: options.kept, style: style)
  }
}

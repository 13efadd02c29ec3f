import ArgumentParser
import Facet
import Foundation
import Photo

struct EditCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "edit",
    abstract: "Change attributes of the faces in photos.",
    discussion: """
      Strength 1 is enough to be seen as having an attribute, -1 to be seen as lacking it; --to asks for a \
      probability instead, as the model sees the edited face. 'facet info' lists the names.

      A picture keeps its format, quality, colour profile and metadata, but for the place where it was taken, and \
      carries the standard mark of a picture edited with a trained model (IPTC digital source type). A line tells each \
      thing that cannot be kept; with --strict such a photo is not edited.

      Of several photos, those that fail are told and the others edited; a photo in a folder that has no face is no failure.

      Glasses can be drawn in several styles, which 'facet glasses' lists; a style's name stands in place of a strength, \
      and STYLE:STRENGTH gives both. Hair takes a colour so: a name such as auburn, or any as '#rrggbb'.

      Examples:
        facet edit me.jpg --attribute Smiling=1 -o smiling.jpg
        facet edit me.jpg --attribute Eyeglasses=round-metal -o glasses.jpg
        facet edit me.jpg --attribute Smiling --to 0.2 --keep Male,Young -o calm.jpg
        facet edit a.jpg b.png holiday/ --attribute Blond_Hair=1 --attribute Smiling=-0.5 --face all -o edited/
        facet edit holiday/ --recursive --attribute Eyeglasses -o edited/ --resume
        facet edit me.jpg --look party.json -o party.jpg
        facet edit me.jpg --attribute Young=-1 --protect mouth.png -o older.jpg
        facet edit - --attribute Smiling=1 -o - < me.jpg > smiling.jpg
      """)

  @OptionGroup var photos: PhotoOptions
  @Option(
    help: ArgumentHelp(
      "An attribute and a strength from -2 to 2, 1 where left out, or a style; may be given several times.",
      valueName: "NAME=STRENGTH"), completion: .attributes)
  var attribute: [AttributeArgument] = []
  @Option(
    help: "A file of edits, a look that was saved in the studio; edits of --attribute are added.", completion: .file(extensions: ["json"]))
  var look: String?
  @Option(
    help: """
      The probability, 0 to 1, that attributes given without a strength are brought to; a line tells where they end. What \
      is seen more surely already stays, for 0.95 and more, or 0.05 and less.
      """)
  var to: Double?
  @Option(
    help: ArgumentHelp(
      "A picture of what stays as it was: its white, stretched over each photo. Black and transparent parts are edited.",
      valueName: "MASK"), completion: .file())
  var protect: String?
  @OptionGroup var editing: EditingOptions
  @Flag(help: "Keep in the metadata where the photo was taken.")
  var keepLocation = false
  @Flag(help: "Fail where something that a photo's file carries cannot be kept, such as a depth map.")
  var strict = false

  func validate() throws {
    if attribute.isEmpty, look == nil { throw ValidationError("give at least one --attribute NAME=STRENGTH, or a --look") }
    if let to, !(0...1).contains(to) { throw ValidationError("--to must be from 0 to 1") }
    if to != nil, !attribute.contains(where: { $0.strength == nil && $0.style == nil }) {
      throw ValidationError("--to is for attributes without a strength: --attribute NAME --to 0.9")
    }
  }

  func run() throws {
    let jobs = try photos.jobs()
    if jobs.isEmpty { return }
    let edits = try (look.map { try LookFile(contentsOf: $0).edits } ?? []) + attribute.map { try $0.edit(to: to) }
    // Before a model is read, for it has no say in them.
    for edit in edits { try edit.validateStyle() }
    let region = try protect.map { try ProtectedRegion(mask: PhotoInput(named: $0).read()) }
    let editor = try photos.makeEditor(for: edits.map(\.attribute) + editing.keep)
    let options = editing.options
    try editor.validate(edits, options: options)
    // What the written file loses is told below, damage among it.
    try photos.forEach(jobs, tellsDamage: false) { photo, job in
      let faces = try editor.faces(in: photo.picture, photos.face, isAligned: photos.aligned)
      let settled = try faces.map { try resolved(edits, on: $0, with: editor, options) }
      let changes = try zip(faces, settled).map { face, edits in
        let change = try editor.change(FaceEdit(face, edits, options: options))
        if !change.layers.isEmpty, options.style == .natural, case let hidden = try face.hiddenFeatures, !hidden.isEmpty {
          let names = hidden.map(\.rawValue).joined(separator: ", ")
          note("\(job.input.name): something is in front of the face (\(names)); what is covered stays as it is")
        }
        return change
      }
      if to == nil, changes.allSatisfy(\.layers.isEmpty), edits.contains(where: { $0.amount != .strength(0) }) {
        note("\(job.input.name): nothing is changed: \(edits.map(\.attribute).joined(separator: ", ")) finds nothing to change in the face")
      }
      let edited = photo.changed(by: changes, protecting: region)
      for loss in edited.losses(as: job.output.format(of: photo)) {
        let line = "\(job.input.name): \(loss)"
        if strict { throw StrictError(description: line) }
        note(line)
      }
      for (face, settled) in zip(faces, settled) { try tell(edits, settled, on: face, in: edited.picture, with: editor, job) }
      try job.output.write(edited, keepsLocation: keepLocation)
    }
  }

  /// The edits with strengths in place of probabilities.
  private func resolved(
    _ edits: [AttributeEdit], on face: EncodedFace, with editor: FaceEditor, _ options: EditOptions
  ) throws -> [AttributeEdit] {
    if to == nil { return edits }
    return try zip(edits, editor.strengths(of: edits, on: face, options: options)).map {
      try AttributeEdit($0.attribute, strength: $1, style: $0.style)
    }
  }

  /// Tells where edits to a probability end, as 'facet inspect' sees the edited picture.
  private func tell(
    _ edits: [AttributeEdit], _ resolved: [AttributeEdit], on face: EncodedFace, in edited: Picture, with editor: FaceEditor,
    _ job: PhotoOptions.Job
  ) throws {
    guard let to else { return }
    let reached = try editor.probabilities(in: edited, where: face, photos.face, isAligned: photos.aligned)
    for (edit, last) in zip(edits, resolved) {
      guard case .probability = edit.amount, let index = try? editor.directions.index(of: edit.attribute),
        let probability = reached[editor.directions.names[index]]
      else { continue }
      let seen = String(format: "%.1f %%", 100 * probability)
      let asked = String(format: "asked for %.1f %%", 100 * to)
      let rest = last.amount == .strength(0) ? "; nothing is changed" : ""
      note("\(job.input.name): \(edit.attribute) is seen with \(seen), \(asked)\(rest)")
    }
  }
}

/// How edits are made.
struct EditingOptions: ParsableArguments {
  @Option(
    help: """
      natural edits each attribute in its own way and keeps the photo's own pixels where nothing changes; decoded decodes \
      them all; article replaces the whole face, by the article's directions.
      """)
  var style: EditStyle = .natural
  @Option(
    help: ArgumentHelp("Attributes that are held still, separated by commas.", valueName: "NAME,NAME"),
    completion: .attributes,
    transform: { $0.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) } })
  var keep: [String] = []

  var options: EditOptions { EditOptions(style: style, keeping: keep) }
}

/// NAME, NAME=STRENGTH, or NAME=STYLE or NAME=STYLE:STRENGTH of an attribute that can be drawn in several styles.
struct AttributeArgument: ExpressibleByArgument {
  let name: String
  let strength: Double?
  let style: String?

  init?(argument: String) {
    let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard let name = parts.first, !name.isEmpty else { return nil }
    let value = parts.count == 1 ? [] : parts[1].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let hasStyle = value.first.map { Double($0) == nil } ?? false
    style = hasStyle ? value[0] : nil
    let amount = value.dropFirst(hasStyle ? 1 : 0)
    strength = amount.first.flatMap(Double.init)
    if amount.count > 1 || amount.count == 1 && strength == nil { return nil }
    if let strength, !AttributeEdit.range.contains(strength) { return nil }
    if let style, style.isEmpty || AttributeEdit.styles(of: String(name)).isEmpty { return nil }
    self.name = String(name)
  }

  /// Brings what has no strength of its own to a probability, or to strength 1 without one.
  func edit(to probability: Double? = nil) throws(AttributeError) -> AttributeEdit {
    if strength == nil, style == nil, let probability { return try AttributeEdit(name, to: probability) }
    return try AttributeEdit(name, strength: strength ?? 1, style: style)
  }
}

extension EditStyle: ExpressibleByArgument {}

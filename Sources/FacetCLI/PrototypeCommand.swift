import ArgumentParser
import Facet
import FacetTraining
import Foundation

struct PrototypeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prototype",
    abstract: "Learn what an edit does to the light and the lines of skin, which a code does not keep.",
    discussion: """
      The photos that --positives chooses and those that --negatives chooses are brought to their mean landmarks; what is \
      lighter, darker and more lined in the mean of the former is done to the photo's own skin when the edit is asked for, \
      beside what decodes. Label maps say what is skin. It does not depend on the model's weights; without --data the \
      default model's is copied. 'facet info' names what a bundle has.

      Examples:
        facet prototype Young=-1 --model runs/a
        facet prototype Young=-1 --model runs/a --data celeba --positives 'Young=-1 & Gray_Hair=1 & Eyeglasses=-1' \\
          --negatives 'Young=1 & Eyeglasses=-1' --alike Smiling
      """)

  @Argument(help: "The edit: NAME=1 adds an attribute, NAME=-1 takes it away.")
  var edit: String
  @Option(help: "Folder of the model bundle, which gets the prototype.", completion: .directory)
  var model: String
  @Option(help: "Folder laid out as CelebA, with masks; train is used.", completion: .directory)
  var data: String?
  @Option(help: "A query for photos of what the edit makes of a face; default: the edit itself.")
  var positives: String?
  @Option(help: "A query for photos of what it is without; default: all that are not as the edit says.")
  var negatives: String?
  @Option(help: "A label on whose two sides photos are compared apart; 'none' for none.")
  var balance = AttributeTable.balanced
  @Option(help: "Labels that --negatives are to have as often as --positives, separated by commas.")
  var alike: String?

  func validate() throws {
    if AttributeState(edit) == nil { throw ValidationError("'\(edit)' is not NAME=1 or NAME=-1") }
    if data == nil, positives != nil || negatives != nil || alike != nil {
      throw ValidationError("queries and --alike choose photos of --data; give it, too")
    }
  }

  func run() throws {
    guard let state = AttributeState(edit) else { return }
    let url = URL(fileURLWithPath: model, isDirectory: true)
    // Without photos the name is one of the default model's.
    try AttributeDirections.check([state.name], in: data == nil ? ModelBundle.defaultURL : url)
    let lock = try FacetCLI.lock(url)
    defer { withExtendedLifetime(lock) {} }
    let bundle = try ModelBundle(contentsOf: url)
    var own = try SkinPrototypes.of(bundle)
    own.prototypes.removeAll { $0.edit == state }
    guard let data else {
      let known = try SkinPrototypes.of(ModelBundle()).prototypes
      guard let taken = known.first(where: { $0.edit == state }) else {
        throw CommandError("the default model has no prototype of \(edit); it has \(known.map(\.edit.description).joined(separator: ", "))")
      }
      own.prototypes.append(taken)
      return try own.write(to: bundle)
    }
    var configuration = DatasetConfiguration()
    configuration.requiresMasks = true
    let dataset = try CelebA(directory: URL(fileURLWithPath: data, isDirectory: true), configuration: configuration)
    let opposite = AttributeState(name: state.name, adds: !state.adds)
    let groups = PrototypeFitting.Groups(
      positives: positives ?? state.description, negatives: negatives ?? opposite.description,
      balanced: balance == "none" ? nil : balance,
      matched: alike.map { $0.split(separator: ",").map(String.init) } ?? [])
    Interruption.watch()
    var report: ProgressReport?
    let fitting = try PrototypeFitting(state, groups, in: dataset) { done, count in
      if report == nil { report = ProgressReport("prototype", total: count, unit: "photos", completed: 0) }
      report?.update(done)
      return !Interruption.requested
    }
    report?.finish()
    guard let fitting else { throw ExitCode(130) }
    own.prototypes.append(fitting.prototype)
    try own.write(to: bundle)
    try show("\(edit): from \(fitting.positives) photos against \(fitting.negatives)")
  }
}

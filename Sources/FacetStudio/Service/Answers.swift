import Facet
import Foundation
import Photo

// What the service says, as `openapi.yaml` describes it.

struct PhotoAnswer: Encodable {
  struct Box: Encodable { var x, y, width, height: Double }

  struct Face: Encodable {
    var index: Int
    var box: Box
    var outline: [[Double]]
    var attributes: [String: Double]
  }

  var id: String
  var kind: PhotoSession.Kind
  var format: String
  var width: Int
  var height: Int
  var hasAlpha: Bool
  var seed: UInt64?
  var faces: [Face]
  var expiresInSeconds: Int

  init(_ session: PhotoSession, labels: [String], keptFor: Duration) {
    id = session.id.description
    kind = session.kind
    format = session.photo.format.rawValue
    (width, height) = (session.photo.width, session.photo.height)
    hasAlpha = session.photo.alpha != nil
    seed = session.seed
    faces = zip(session.faces, session.probabilities).enumerated().map { index, face in
      let (box, corners) = (face.0.alignment.box, face.0.alignment.corners)
      let outline = corners.map { [rounded($0.x, 10), rounded($0.y, 10)] }
      return Face(
        index: index,
        box: Box(
          x: rounded(box.minX, 10), y: rounded(box.minY, 10), width: rounded(box.width, 10), height: rounded(box.height, 10)),
        outline: outline, attributes: named(face.1, labels))
    }
    expiresInSeconds = Int(keptFor.seconds)
  }
}

struct InspectionAnswer: Encodable {
  var face: Int
  var attributes: [String: Double]
  var strengths: [Double]

  init(face: Int, _ probabilities: [String: Double], labels: [String], strengths: [Double]) {
    self.face = face
    attributes = named(probabilities, labels)
    self.strengths = strengths.map { rounded($0, 1000) }
  }
}

/// Combined directions are only defined among some photos: they have no probability of their own.
private func named(_ probabilities: [String: Double], _ labels: [String]) -> [String: Double] {
  let labels = Set(labels)
  return probabilities.filter { labels.contains($0.key) }.mapValues { rounded($0, 10_000) }
}

private func rounded(_ value: Double, _ parts: Double) -> Double { (value * parts).rounded() / parts }

struct HealthAnswer: Encodable {
  var status = "ok"
  var version = facetVersion
}

struct AttributesAnswer: Encodable {
  struct Attribute: Encodable {
    var name: String
    var label: String
    var less: String
    var more: String
    var words: [String]
    var isVerdict: Bool
    var accuracy: Double?
    var commonAnswer: Double?
    /// What it can be drawn as; left out where that is one thing alone.
    var styles: [Style]?
    /// The style where none is chosen, of an attribute that needs one.
    var neededStyle: String?
    /// Whether strengths begin at 0.
    var isOneSided: Bool
  }

  struct Style: Encodable {
    var name: String
    var label: String
    /// `#rrggbb` where it is a colour.
    var colour: String?
  }

  struct Group: Encodable {
    var name: String
    var label: String
    var attributes: [Attribute]
  }

  struct Look: Encodable {
    var name: String
    var label: String
    var edits: [LookEdit]
  }

  struct LookEdit: Encodable {
    var attribute: String
    var strength: Double
  }

  struct Strength: Encodable {
    var minimum = Edit.strengths.lowerBound
    var maximum = Edit.strengths.upperBound
    /// As far as most faces stay faces.
    var usual = 1.0
    var step = 0.05
  }

  struct Limits: Encodable {
    var photoBytes: Int
    var photoPixels: Int
    var previewSize = PhotoSession.longestSide
    var edits = Edit.most
    var morphFrames = MorphRequest.mostFrames
    var animations = FramesFormat.files.map(\.rawValue)
    var photoSeconds: Int
  }

  var language: String
  var groups: [Group]
  var looks: [Look]
  var strength = Strength()
  var limits: Limits

  init(_ directions: AttributeDirections, _ limits: StudioLimits, in language: StudioLanguage) {
    func attribute(_ name: String) -> Attribute {
      let figures = directions.names.firstIndex(of: name).flatMap { directions.probes.figures[$0] }
      let (words, isHair) = (language.words(name), AttributeEdit.isHair(name))
      return Attribute(
        name: name, label: words.title, less: words.less, more: words.more,
        words: words.lessWords + words.moreWords + words.topics,
        // A colour of hair has no probability.
        isVerdict: isHair || AttributeTable.isVerdict(name),
        accuracy: figures.map { rounded($0.accuracy, 1000) }, commonAnswer: figures.map { rounded($0.baseRate, 1000) },
        styles: styles(of: name), neededStyle: isHair ? HairPalette.standard : nil, isOneSided: isHair)
    }
    func styles(of name: String) -> [Style]? {
      if AttributeEdit.isHair(name) {
        return HairPalette.named.map { Style(name: $0.name, label: language.style($0.name), colour: $0.colour) }
      }
      let names = AttributeEdit.styles(of: name)
      return names.isEmpty ? nil : names.map { Style(name: $0, label: language.style($0)) }
    }
    groups = AttributeTable.groups(of: directions.labelNames).map { name, attributes in
      Group(name: name, label: language.title(ofGroup: name), attributes: attributes.map(attribute))
    }
    self.language = language.code
    looks = AttributeTable.looks.filter { directions.labelNames.contains($0.name) }.map { label, strength in
      let words = language.words(label)
      return Look(
        name: "\(label)\(strength < 0 ? "-less" : "")", label: strength < 0 ? words.less : words.more,
        edits: [LookEdit(attribute: label, strength: strength)])
    }
    self.limits = Limits(
      photoBytes: limits.photoBytes, photoPixels: limits.photoPixels, photoSeconds: Int(limits.keptFor.seconds))
  }
}

struct PromptAnswer: Encodable {
  struct Wish: Encodable {
    var attribute: String
    var strength: Double
    var style: String?
    var label: String
  }

  var edits: [Wish]
  var unknown: [String]

  init(_ prompt: Prompt, in language: StudioLanguage) {
    edits = prompt.wishes.map { wish in
      let words = language.words(wish.label)
      let label = wish.style.map { "\(words.more) (\(language.style($0)))" } ?? (wish.strength < 0 ? words.less : words.more)
      return Wish(attribute: wish.label, strength: wish.strength, style: wish.style, label: label)
    }
    unknown = prompt.unknown
  }
}

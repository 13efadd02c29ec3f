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
  var seed: UInt64?
  var faces: [Face]
  var expiresInSeconds: Int

  init(_ session: PhotoSession, labels: [String], keptFor: Duration) {
    id = session.id.description
    kind = session.kind
    format = session.photo.format.rawValue
    (width, height) = (session.photo.width, session.photo.height)
    seed = session.seed
    faces = zip(session.faces, session.probabilities).enumerated().map { index, face in
      let place = face.0.alignment.transform(size: 1).inverse
      let corners = [(0.0, 0.0), (1, 0), (1, 1), (0, 1)].map { place(Point(x: $0, y: $1)) }
      let outline = corners.map { [rounded($0.x, 10), rounded($0.y, 10)] }
      let (x, y) = (outline.map { $0[0] }, outline.map { $0[1] })
      return Face(
        index: index,
        box: Box(
          x: x.min()!, y: y.min()!, width: rounded(x.max()! - x.min()!, 10), height: rounded(y.max()! - y.min()!, 10)),
        outline: outline, attributes: named(face.1, labels))
    }
    expiresInSeconds = Int(keptFor.seconds)
  }
}

struct InspectionAnswer: Encodable {
  var face: Int
  var attributes: [String: Double]
  var strengths: [Double]

  init(face: Int, _ probabilities: [Double], labels: [String], strengths: [Double]) {
    self.face = face
    attributes = named(probabilities, labels)
    self.strengths = strengths.map { rounded($0, 1000) }
  }
}

/// Combined directions are only defined among some photos: they have no probability of their own.
private func named(_ probabilities: [Double], _ labels: [String]) -> [String: Double] {
  Dictionary(uniqueKeysWithValues: zip(labels, probabilities.map { rounded($0, 10_000) }))
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
    var accuracy: Double?
    var commonAnswer: Double?
  }

  struct Group: Encodable {
    var name: String
    var label: String
    var attributes: [Attribute]
  }

  struct Strength: Encodable {
    var minimum = Edit.strengths.lowerBound
    var maximum = Edit.strengths.upperBound
    var step = 0.05
  }

  struct Limits: Encodable {
    var photoBytes: Int
    var photoPixels: Int
    var previewSize = PhotoSession.longestSide
    var edits = Edit.most
    var morphFrames = MorphRequest.mostFrames
    var photoSeconds: Int
  }

  var groups: [Group]
  var strength = Strength()
  var limits: Limits

  init(_ directions: AttributeDirections, _ limits: StudioLimits) {
    func attribute(_ name: String) -> Attribute {
      let index = directions.names.firstIndex(of: name)
      let figures = index.flatMap { directions.probes.figures[$0] }
      return Attribute(
        name: name, label: AttributeTable.title(of: name), accuracy: figures.map { rounded($0.accuracy, 1000) },
        commonAnswer: figures.map { rounded($0.baseRate, 1000) })
    }
    let labels = directions.labelNames
    groups = AttributeTable.Group.allCases.map { group in
      let rows = AttributeTable.all.filter { $0.group == group && labels.contains($0.name) }
      return Group(name: group.rawValue, label: group.title, attributes: rows.map { attribute($0.name) })
    }
    let known = Set(AttributeTable.all.map(\.name))
    groups.append(
      Group(name: "other", label: "Other", attributes: labels.filter { !known.contains($0) }.map(attribute)))
    groups.append(
      Group(name: "presets", label: "Presets", attributes: directions.definitions.map { attribute($0.name) }))
    groups.removeAll { $0.attributes.isEmpty }
    self.limits = Limits(
      photoBytes: limits.photoBytes, photoPixels: limits.photoPixels, photoSeconds: Int(limits.keptFor.seconds))
  }
}

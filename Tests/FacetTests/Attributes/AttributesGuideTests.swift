import Foundation
import Testing

@testable import Facet

/// The tables of docs/guide/attributes.md against the table of attributes.
@Suite struct AttributesGuideTests {
  private struct Row: Equatable {
    var group: AttributeTable.Group
    var name: String
    var addIsDecoded, removeIsDecoded, addIsRegional, removeIsRegional: Bool
    var addGrowsHair, removeGrowsHair: Bool
  }

  @Test func guideShowsTheTable() throws {
    let guide = URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("docs/guide/attributes.md")
    var (shown, group) = ([Row](), AttributeTable.Group?.none)
    for line in try String(contentsOf: guide, encoding: .utf8).split(separator: "\n") {
      if line.hasPrefix("#") {
        let letters = line.lowercased().filter(\.isLetter)
        group = AttributeTable.Group.allCases.first { letters.hasPrefix($0.rawValue.filter(\.isLetter)) }
      }
      let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
      guard cells.count == 4, cells[0].hasPrefix("`"), cells[0].hasSuffix("`"), let group else { continue }
      shown.append(
        Row(
          group: group, name: cells[0].trimmingCharacters(in: ["`"]), addIsDecoded: cells[1].contains("decoded"),
          removeIsDecoded: cells[2].contains("decoded"), addIsRegional: cells[1].contains("region"),
          removeIsRegional: cells[2].contains("region"), addGrowsHair: cells[1].contains("beard"),
          removeGrowsHair: cells[2].contains("beard")))
    }
    let table = AttributeTable.Group.allCases.flatMap { group in
      AttributeTable.all.filter { $0.group == group }.map {
        Row(
          group: group, name: $0.name, addIsDecoded: $0.add.decoded > 0 && !$0.add.growsHair,
          removeIsDecoded: $0.remove.decoded > 0 && !$0.remove.growsHair,
          addIsRegional: $0.add.region != nil, removeIsRegional: $0.remove.region != nil,
          addGrowsHair: $0.add.growsHair, removeGrowsHair: $0.remove.growsHair)
      }
    }
    #expect(shown == table)
  }
}

import Testing

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

@Suite struct AttributeTableTests {
  private let names = ["Male", "Smiling", "High_Cheekbones", "Blond_Hair", "Black_Hair", "Young"]

  @Test func partsComeWithTheirAttribute() {
    #expect(AttributeTable.adding(partsOf: [1], among: names) == [1, 2])
    #expect(AttributeTable.adding(partsOf: [3, 5], among: names) == [3, 4, 5])
    #expect(AttributeTable.adding(partsOf: [2], among: names) == [2])
    #expect(AttributeTable.adding(partsOf: [], among: names) == [])
  }

  @Test func labelsOfAnotherDataSetHaveNone() {
    #expect(AttributeTable.adding(partsOf: [0], among: ["Fur", "Whiskers"]) == [0])
  }

  @Test func theStudioOffersEachLabelOnce() throws {
    let labels = AttributeTable.all.map(\.name)
    let groups = AttributeTable.groups(of: labels + ["Freckles"])
    let names = groups.flatMap(\.attributes)
    #expect(names.sorted() == (labels.filter { $0 != "Attractive" } + ["Freckles", "Hair"]).sorted())
    #expect(groups.first?.attributes == ["Smiling", "Eyeglasses", "Black_Hair", "Hair", "Heavy_Makeup", "Young"])
    #expect(names.last == "Freckles")
    #expect(AttributeTable.looks.allSatisfy { labels.contains($0.name) })
    let few = AttributeTable.groups(of: ["Young", "Bangs"])
    #expect(few.map(\.name) == ["lead", "hair"] && few.map(\.attributes) == [["Hair", "Young"], ["Bangs"]])
  }
}

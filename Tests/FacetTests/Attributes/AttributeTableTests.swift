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
}

import Testing

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

@Suite struct AttributePartsTests {
  private let names = ["Male", "Smiling", "High_Cheekbones", "Blond_Hair", "Black_Hair", "Young"]

  @Test func partsComeWithTheirAttribute() {
    #expect(AttributeParts.adding(to: [1], of: names) == [1, 2])
    #expect(AttributeParts.adding(to: [3, 5], of: names) == [3, 4, 5])
    #expect(AttributeParts.adding(to: [2], of: names) == [2])
    #expect(AttributeParts.adding(to: [], of: names) == [])
  }

  @Test func labelsOfAnotherDataSetHaveNone() {
    #expect(AttributeParts.adding(to: [0], of: ["Fur", "Whiskers"]) == [0])
  }
}

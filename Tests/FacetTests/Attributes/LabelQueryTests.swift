import Testing

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

@Suite("Label queries") struct LabelQueryTests {
  private let names = ["Smiling", "Male", "No_Beard", "5_o_Clock_Shadow"]

  /// The rows of all sixteen combinations, as bits, that a query holds for.
  private func matches(_ text: String) throws -> [Int] {
    let query = try LabelQuery(text, attributes: names)
    return (0..<16).filter { bits in
      let labels = [Int8](repeating: 9, count: 3) + (0..<4).map { bits >> $0 & 1 == 1 ? 1 : -1 }
      return query.matches(labels[3...])
    }
  }

  @Test func labelsAndSigns() throws {
    let all = Array(0..<16)
    func smiling(_ bits: Int) -> Bool { bits & 1 == 1 }
    func male(_ bits: Int) -> Bool { bits & 2 == 2 }
    func beardless(_ bits: Int) -> Bool { bits & 4 == 4 }
    #expect(try matches("Smiling") == all.filter(smiling))
    #expect(try matches("smiling=1") == all.filter(smiling))
    #expect(try matches(" Smiling = -1 ") == all.filter { !smiling($0) })
    #expect(try matches("!Smiling") == all.filter { !smiling($0) })
    #expect(try matches("!!Smiling=-1") == all.filter { !smiling($0) })
    #expect(try matches("5_O_CLOCK_shadow") == all.filter { $0 & 8 == 8 })
    #expect(try matches("No_Beard=-1&Male") == all.filter { !beardless($0) && male($0) })
    // '&' binds tighter than '|', '!' tighter than both.
    #expect(try matches("Smiling | Male & No_Beard") == all.filter { smiling($0) || male($0) && beardless($0) })
    #expect(try matches("(Smiling | Male) & No_Beard") == all.filter { (smiling($0) || male($0)) && beardless($0) })
    #expect(try matches("!Smiling & Male") == all.filter { !smiling($0) && male($0) })
    #expect(try matches("!(Smiling & Male)") == all.filter { !(smiling($0) && male($0)) })
    #expect(try LabelQuery("No_Beard & !Smiling | no_beard=-1", attributes: names).attributes == [0, 2])
  }

  @Test(arguments: [
    ("", 0, "expected an attribute"),
    ("   ", 3, "expected an attribute"),
    ("Smiling &", 9, "expected an attribute"),
    ("Smiling && Male", 9, "expected an attribute"),
    ("Smiling Male", 8, "expected '&', '|' or the end"),
    ("Smiling)", 7, "expected '&', '|' or the end"),
    ("(Smiling", 8, "')' for the '(' at character 1"),
    ("Male & (Smiling | No_Beard", 26, "')' for the '(' at character 8"),
    ("Smiling=", 8, "expected 1 or -1"),
    ("Smiling=2", 8, "expected 1 or -1"),
    ("Smiling= -2", 9, "expected 1 or -1"),
    ("Male | Smilling", 7, "no attribute is named 'Smilling'; try Smiling"),
    ("=1", 0, "expected an attribute"),
    ("é👨‍👩‍👧|Male", 0, "no attribute is named 'é👨‍👩‍👧'"),
  ])
  func faultsPointAtTheirCharacter(query: String, position: Int, reason: String) throws {
    let error = #expect(throws: QueryError.self) { try LabelQuery(query, attributes: names) }
    #expect(error?.position == position)
    #expect(error?.reason.contains(reason) == true, "\(error?.reason ?? "")")
    #expect(error?.query == query)
  }

  @Test func theMarkStandsUnderTheCharacter() throws {
    let error = QueryError(query: "Male |\t& Smiling", position: 7, reason: "expected an attribute, '!' or '('")
    #expect(
      error.description == """
        query, character 8: expected an attribute, '!' or '('
          Male | & Smiling
                 ^
        """)
    let long = QueryError(query: String(repeating: "x", count: 500), position: 400, reason: "r")
    let lines = long.description.split(separator: "\n")
    #expect(lines.count == 3 && lines[1].count < 100 && lines[2].count == 63)
  }

  @Test func lengthAndDepthAreLimited() throws {
    let limit = LabelQuery.maximumDepth - 1
    let deep = String(repeating: "(", count: limit) + "Male" + String(repeating: ")", count: limit)
    #expect(try LabelQuery(deep, attributes: names).attributes == [1])
    for sign in ["(", "!"] {
      let deeper = String(repeating: sign, count: LabelQuery.maximumLength)
      let error = #expect(throws: QueryError.self) { try LabelQuery(deeper, attributes: names) }
      #expect(error?.position == LabelQuery.maximumDepth)
      #expect(error?.reason.contains("at most 50") == true)
    }
    let long = String(repeating: " ", count: LabelQuery.maximumLength) + "Male"
    #expect(throws: QueryError.self) { try LabelQuery(long, attributes: names) }
    let wide = Array(repeating: "Male", count: 140).joined(separator: " | ")
    #expect(try LabelQuery(wide, attributes: names).attributes == [1])
  }

  // MARK: Definitions

  @Test func groupsOfADefinition() throws {
    // Smiling, Male, No_Beard, Shadow: five photos.
    let labels: [Int8] = [1, 1, -1, 1] + [1, 1, 1, -1] + [-1, 1, -1, 1] + [1, -1, 1, -1] + [-1, 1, 1, -1]
    func groups(_ definition: CombinedDirection) throws -> LabelGroups {
      try definition.groups(labels, attributes: names)
    }
    let bearded = try groups(.init("a", positives: "No_Beard=-1 & Smiling", negatives: "No_Beard", within: "Male"))
    #expect(bearded.positives == [0] && bearded.negatives == [1, 4] && bearded.asked == [0, 2])
    let rest = try groups(.init("a", positives: "Male & !Smiling"))
    #expect(rest.positives == [2, 4] && rest.negatives == [0, 1, 3])
    let both = try groups(.init("a", positives: "Smiling", negatives: "Male"))
    #expect(both.positives == [0, 1, 3] && both.negatives == [2, 4])
  }

  @Test func definitionsThatCannotBe() throws {
    for name in ["", "1a", "a b", "a=b", "é", String(repeating: "a", count: 65), "_a"] {
      #expect(throws: CombinedDirectionError.badName(name)) {
        try CombinedDirection(name, positives: "Male").groups([], attributes: names)
      }
    }
    #expect {
      try CombinedDirection("a", positives: "Male", within: "Femal").groups([], attributes: names)
    } throws: {
      "\($0)".hasPrefix("within query, character 1: no attribute is named 'Femal'")
    }
  }

  @Test func labelsThatAreAskedForTogether() throws {
    func labels(_ text: String) throws -> String? {
      try LabelQuery(text, attributes: names).labels?.map { "\(names[$0.attribute])=\($0.value)" }.joined(separator: " ")
    }
    #expect(try labels("smiling") == "Smiling=1")
    #expect(try labels("No_Beard=-1 & Male") == "No_Beard=-1 Male=1")
    for text in ["Smiling | Male", "!Smiling", "Male & (Smiling | No_Beard)", "Male & !Smiling"] {
      #expect(try labels(text) == nil, "\(text)")
    }
  }

  @Test func theArticlesOwnSetReads() throws {
    let names = ["No_Beard", "Black_Hair", "Blond_Hair", "Gray_Hair", "Male", "Eyeglasses", "Heavy_Makeup",
      "Narrow_Eyes", "Smiling", "Young"]
    for definition in CombinedDirection.articles { _ = try definition.groups([], attributes: names) }
    #expect(Set(CombinedDirection.articles.map(\.name)).count == 10)
  }
}

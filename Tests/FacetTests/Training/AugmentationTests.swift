import Foundation
import Testing
import Torch

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining

@Suite struct AugmentationTests {
  private let images = try! Tensor.rand([16, 3, 32, 32], generator: Generator(seed: 4))
  private let masks = try! (Tensor.rand([16, 1, 32, 32], generator: Generator(seed: 5)) > 0.5).to(.float32)

  private func varied(seed: UInt64, _ set: (inout Augmentation) -> Void) throws -> (images: Tensor, masks: Tensor) {
    var augmentation = Augmentation()
    set(&augmentation)
    return try augmentation.vary(images: images, masks: masks, generator: Generator(seed: seed))
  }

  private func distance(_ a: Tensor, _ b: Tensor) throws -> Double { try (a - b).abs().mean().item() }

  @Test func noneIsTheIdentity() throws {
    let same = try varied(seed: 1) { _ in }
    #expect(try distance(same.images, images) == 0 && distance(same.masks, masks) == 0)
  }

  @Test func turningChangesHalfOfThePhotosAndTheirMasksWithThem() throws {
    let turned = try varied(seed: 1) { ($0.rotation, $0.zoom) = (10, 0.1) }
    let changes = try (0..<16).map { i in
      (
        try distance(turned.images.select(0, i), images.select(0, i)) > 1e-3,
        try distance(turned.masks.select(0, i), masks.select(0, i)) > 1e-3
      )
    }
    #expect(changes.allSatisfy { $0.0 == $0.1 })
    #expect((3...13).contains(changes.filter(\.0).count))
    #expect(try turned.masks.array(Float.self).allSatisfy { $0 == 0 || $0 == 1 })
    let values = try turned.images.contiguous().array(Float.self)
    #expect(values.allSatisfy { (0...1).contains($0) })
  }

  /// A bar that stands upright leans by the angle, clockwise for some photos and the other way for others.
  @Test func turningTurns() throws {
    let upright = try Tensor((0..<32 * 32).map { Float((14..<18).contains($0 % 32) ? 1 : 0) }, shape: [1, 1, 32, 32])
    let angle = 0.3
    let transform = try Tensor(
      [cos(angle), -sin(angle), 0, sin(angle), cos(angle), 0].map { Float($0) }, shape: [1, 2, 3])
    let leaning = try upright.resampled(transform).array(Float.self)
    func middle(_ y: Int) -> Double {
      let row = (0..<32).map { max(0, Double(leaning[y * 32 + $0])) }
      return row.enumerated().reduce(0) { $0 + Double($1.offset) * $1.element } / row.reduce(0, +)
    }
    #expect(abs((middle(24) - middle(8)) / 16 - tan(angle)) < 0.03)
  }

  @Test func chanceFollowsTheSeed() throws {
    let set: (inout Augmentation) -> Void = { ($0.rotation, $0.zoom, $0.brightness, $0.tint) = (8, 0.1, 0.2, 0.1) }
    let (a, b, c) = (try varied(seed: 1, set), try varied(seed: 1, set), try varied(seed: 2, set))
    #expect(try distance(a.images, b.images) == 0 && distance(a.masks, b.masks) == 0)
    #expect(try distance(a.images, c.images) > 1e-3)
  }
}

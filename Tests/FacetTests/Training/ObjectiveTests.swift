import Foundation
import Testing

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining
@testable import Torch

/// The objective's terms against TensorFlow and PyTorch.
@Suite("Objective") struct ObjectiveTests {
  private static let pictures = [
    ("noisy.32x32", 32, 32), ("smooth.32x32", 32, 32), ("noisy.48x40", 48, 40), ("smooth.48x40", 48, 40),
  ]

  // MARK: SSIM

  @Test(arguments: pictures, [DType.float32, .float64])
  func ssim(picture: (name: String, height: Int, width: Int), dtype: DType) throws {
    let golden = try Golden("ssim")
    let ssim = try SSIM(height: picture.height, width: picture.width, dtype: dtype)
    let x = try golden["\(picture.name).x"].to(dtype)
    let y = try leaf(golden["\(picture.name).y"].to(dtype))
    let index = try ssim(x, y)
    let loss = try 2 - index.mean()
    try loss.backward()
    let tolerance = dtype == .float64 ? 1e-6 : 1e-4
    try expectClose(index, golden["\(picture.name).values"], "values", tolerance: tolerance)
    try expectClose(values(loss), values(golden["\(picture.name).loss"]), "loss", tolerance: tolerance)
    try expectClose(#require(y.grad), golden["\(picture.name).gradient"], "gradient", tolerance: tolerance)
  }

  /// The compact decoder's image is a slice of a channels-last tensor of four channels.
  @Test(arguments: pictures)
  func ssimOfAChannelSlice(name: String, height: Int, width: Int) throws {
    let golden = try Golden("ssim")
    let ssim = try SSIM(height: height, width: width)
    let (x, y) = (try golden["\(name).x"], try leaf(golden["\(name).y"]))
    try (2 - ssim(x, y).mean()).backward()

    let padded = try leaf(Tensor.cat([y.detach(), Tensor.ones([2, 1, height, width])], dim: 1).contiguous(.channelsLast))
    let slice = try padded.split([3, 1], dim: 1)[0]
    #expect(!slice.isContiguous() && !slice.isContiguous(.channelsLast))
    let sliced = try ssim(x.contiguous(.channelsLast), slice)
    try (2 - sliced.mean()).backward()
    try expectClose(sliced, golden["\(name).values"])
    let gradient = try #require(padded.grad)
    try expectClose(gradient.narrow(1, 0..<3), #require(y.grad), tolerance: 1e-6)
    #expect(try values(gradient.narrow(1, 3..<4)).allSatisfy { $0 == 0 })
  }

  @Test func ssimOfEqualPictures() throws {
    let x = try Procedural.image(2, size: 24)
    try expectClose(values(SSIM(size: 24)(x, x)), [1, 1], tolerance: 1e-6)
    #expect(try SSIM(size: 24)(x, 1 - x).mean().item() < 0)
  }

  @Test func ssimKeepsTheReferenceOutOfTheGradient() throws {
    let x = try leaf(Procedural.image(1, size: 16))
    let y = try leaf(Procedural.image(1, size: 16).square())
    try SSIM(size: 16)(x, y).mean().backward()
    #expect(x.grad == nil && y.grad != nil)
  }

  @Test func ssimRefuses() throws {
    #expect(throws: ModelError.self) { try SSIM(size: 8) }
    #expect(throws: ModelError.self) { try SSIM(size: 32, window: 0) }
    let ssim = try SSIM(size: 16)
    let x = try Tensor.ones([1, 3, 16, 16])
    #expect(throws: TorchError.self) { try ssim(x, Tensor.ones([1, 1, 16, 16])) }
    #expect(throws: TorchError.self) { try ssim(x.select(0, 0), x.select(0, 0)) }
    #expect(throws: TorchError.self) { try ssim(Tensor.ones([1, 3, 17, 17]), Tensor.ones([1, 3, 17, 17])) }
  }

  // MARK: The other terms

  @Test(arguments: [DType.float32, .float64])
  func terms(dtype: DType) throws {
    let golden = try Golden("losses")
    func check(_ name: String, _ loss: Tensor, _ leaves: (name: String, leaf: Tensor)...) throws {
      let tolerance = dtype == .float64 ? 1e-6 : 1e-5
      try expectClose(values(loss), values(golden["\(name).value"]), name, tolerance: tolerance)
      try loss.backward()
      for (leafName, leaf) in leaves {
        let expected = try golden["\(name).gradient.\(leafName)"]
        try expectClose(#require(leaf.grad), expected, "\(name) by \(leafName)", tolerance: tolerance)
      }
    }
    func input(_ name: String) throws -> Tensor { try leaf(golden[name].to(dtype)) }
    let (x, mask) = (try golden["x"].to(dtype), try golden["mask"].to(dtype))

    let y = try input("y")
    try check("mae", (x - y).abs().mean(), ("y", y))
    var logits = try input("logits")
    try check("bce", logits.binaryCrossEntropyWithLogits(mask), ("logits", logits))
    logits = try input("logits")
    try check("dice", Objective.dice(mask, logits.sigmoid()), ("logits", logits))
    let (mean, logDeviation) = (try input("mean"), try input("logDeviation"))
    try check(
      "kl", Objective.kl(Posterior(mean: mean, logDeviation: logDeviation)), ("mean", mean), ("logDeviation", logDeviation))
  }

  @Test func closedForms() throws {
    let zeros = try Tensor.zeros([4, 8])
    try expectClose(values(Objective.kl(Posterior(mean: zeros, logDeviation: zeros))), [0], scale: 1e-6)
    let mask = try Procedural.mask(1, size: 144)
    #expect(try abs(Objective.dice(mask, mask).item()) < 1e-6)
    let empty = try Tensor.zeros([1, 1, 4, 4])
    #expect(try abs(Objective.dice(empty, empty).item()) < 1e-6)
    #expect(try abs(Objective.dice(empty, Tensor.ones([1, 1, 4, 4])).item() - 16.0 / 17) < 1e-6)
  }

  @Test func articleWeights() {
    let weights = ObjectiveWeights()
    #expect([weights.ssim, weights.mae, weights.mask, weights.kl] == [1, 4, 1, 1e-3])
  }

  /// A perfect reconstruction leaves 2 − SSIM = 1 and nothing else.
  @Test func perfectReconstruction() throws {
    let images = try Procedural.image(2, size: 144)
    let masks = try Procedural.mask(2, size: 144)
    let zeros = try Tensor.zeros([2, 8])
    let reconstruction = Reconstruction(image: images, maskLogits: try (masks - 0.5) * 100)
    let terms = try Objective(imageSize: 144)(
      images: images, masks: masks, reconstruction: reconstruction,
      posterior: Posterior(mean: zeros, logDeviation: zeros))
    #expect(terms.named.map(\.name) == ["total", "ssim_loss", "mae", "mask_bce", "mask_dice", "kl"])
    for ((name, value), expected) in zip(terms.named, [1, 1, 0, 0, 0, 0]) {
      #expect(try abs(value.item() - Double(expected)) < 1e-5, "\(name)")
    }
  }

  @Test func theTotalIsTheWeightedSum() throws {
    let images = try Procedural.image(2, size: 32)
    let masks = try (images.narrow(1, 0..<1) > 0.5).to(.float32)
    let generator = try Generator(seed: 1)
    let reconstruction = Reconstruction(
      image: try .rand([2, 3, 32, 32], generator: generator), maskLogits: try .randn([2, 1, 32, 32], generator: generator))
    let posterior = Posterior(
      mean: try .randn([2, 8], generator: generator), logDeviation: try .randn([2, 8], generator: generator))
    var weights = ObjectiveWeights()
    (weights.ssim, weights.mae, weights.mask, weights.kl) = (2, 3, 5, 7)
    let terms = try Objective(imageSize: 32, weights: weights)(
      images: images, masks: masks, reconstruction: reconstruction, posterior: posterior)
    let parts = try [terms.ssimLoss, terms.mae, terms.maskBCE, terms.maskDice, terms.kl].map { try $0.item() }
    let sum = 2 * parts[0] + 3 * parts[1] + 5 * (parts[2] + parts[3]) + 7 * parts[4]
    #expect(try abs(terms.total.item() - sum) < 1e-4 * sum)
  }
}

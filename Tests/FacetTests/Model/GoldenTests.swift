import Foundation
import Testing

@testable import Facet
@testable import FacetConversion
@testable import FacetTraining
@testable import Torch

/// Blocks and the article's whole model against Keras and PyTorch. One after another: the whole model in float64
/// takes memory.
@Suite("Golden", .serialized) struct GoldenTests {
  /// A `dense` block as the fixture has it: the article's bottleneck in small.
  private final class Dense: Module {
    let hidden: Linear
    let norm: BatchNorm
    init() throws {
      hidden = try Linear(12, 7, generator: nil)
      norm = try BatchNorm(7, momentum: 0.01, eps: 1e-3)
    }
    func callAsFunction(_ x: Tensor) throws -> Tensor { try norm(hidden(x)).elu() }
  }

  // MARK: Blocks

  @Test(arguments: ["conv", "upSame", "upValid", "dense"], [false, true])
  func block(name: String, isChannelsLast: Bool) throws {
    let golden = try Golden("blocks")
    let module: any Module
    let run: (Tensor) throws -> Tensor
    switch name {
    case "conv":
      let block = try ArticleVAE.ConvBlock(3, 8, generator: nil)
      (module, run) = (block, { try block($0) })
    case "dense":
      let block = try Dense()
      (module, run) = (block, { try block($0) })
    default:
      // The article's has 64 filters; the fixture's 5.
      let conv = try ConvTranspose2d(6, 5, cropsToSame: name == "upSame", generator: nil)
      let block = try Up(conv: conv)
      (module, run) = (block, { try block($0) })
    }
    try module.load(golden.state(of: module, prefix: name))
    if isChannelsLast { try module.useChannelsLast() }
    func input() throws -> Tensor {
      let x = try golden["\(name).input"]
      return try isChannelsLast && x.dimensions == 4 ? x.contiguous(.channelsLast) : x
    }
    try expectClose(run(input()), golden["\(name).output.inference"], "inference")

    module.setTraining(true)
    try module.setRequiresGrad(true)
    let x = try leaf(input())
    let output = try run(x)
    try expectClose(output, golden["\(name).output.training"], "training")
    try (output * golden["\(name).upstream"]).sum().backward()
    try expectClose(#require(x.grad), golden["\(name).gradient.input"], "input's gradient")
    for (parameterName, parameter) in module.parameters {
      // Batch norm takes the bias before it away; what remains is rounding.
      let weights = try values(golden["\(name).gradient.\(parameterName.replacing(".bias", with: ".weight"))"])
      try expectClose(
        #require(parameter.tensor.grad), golden["\(name).gradient.\(parameterName)"], parameterName,
        scale: weights.map(abs).max()!)
    }

    let norm = try #require(module.modules.lazy.compactMap { $0 as? BatchNorm }.first)
    try expectClose(norm.runningMean.tensor, golden["\(name).updated.running_mean"], "moving mean", tolerance: 1e-5)
    try expectClose(
      norm.runningVar.tensor, golden["\(name).updated.running_var.unbiased"], "moving variance", tolerance: 1e-5)
    // Keras 3 averages the biased variance: (n − 1) / n of the unbiased, n the values a channel.
    let count = Double(output.count / output.size(1))
    let before = try golden["\(name).norm.running_var"] * 0.99
    let biased = try (norm.runningVar.tensor - before) * ((count - 1) / count) + before
    try expectClose(biased, golden["\(name).updated.running_var.biased"], "biased moving variance", tolerance: 1e-5)
  }

  /// `ArticleVAE.UpBlock` with any number of filters.
  private final class Up: Module {
    let conv: ConvTranspose2d
    let norm: BatchNorm
    init(conv: ConvTranspose2d) throws {
      self.conv = conv
      norm = try BatchNorm(conv.weight.tensor.size(1), momentum: 0.01, eps: 1e-3)
    }
    func callAsFunction(_ x: Tensor) throws -> Tensor { try norm(conv(x)).elu() }
  }

  @Test func poolingAndOrder() throws {
    let golden = try Golden("blocks")
    try expectClose(golden["pool.input"].maxPool2d(2), golden["pool.output"], tolerance: 0)
    let flat = try golden["flatten.input"].permute([0, 2, 3, 1]).reshape([2, 30])
    try expectClose(flat, golden["flatten.output"], tolerance: 0)
    let grid = try golden["reshape.input"].reshape([-1, 2, 2, 8]).permute([0, 3, 1, 2])
    try expectClose(grid, golden["reshape.output"], tolerance: 0)
  }

  // MARK: The article's model

  private struct Layer: Decodable {
    var name: String
    var kind: String
    var output: [Int]
    var trainable: Int
  }

  private static let batch = 4
  private static let thinning = 37

  private func article() throws -> ArticleVAE {
    try #require(ModelConfiguration.article.makeModel(seed: nil) as? ArticleVAE)
  }

  /// The article's model with the procedure's weights.
  private func procedural() throws -> ArticleVAE {
    let model = try article()
    var state: [String: Tensor] = [:]
    for (name, variable) in model.variables { state[name] = try Procedural.parameter(name, shape: variable.tensor.shape) }
    try model.load(state)
    return model
  }

  @Test func layerByLayer() throws {
    let json = try Data(contentsOf: Golden.folder.appending(path: "article-layers.json"))
    let layers = try JSONDecoder().decode([Layer].self, from: json)
    #expect(layers.count == 145)
    let model = try article()
    #expect(model.parameterCount == 16_615_076)
    #expect(layers.map(\.trainable).reduce(0, +) == 16_615_076)

    // Every layer with weights, with as many of them.
    var trainable: [String: Int] = [:]
    for (name, parameter) in model.parameters {
      trainable[String(name[..<name.lastIndex(of: ".")!]), default: 0] += parameter.tensor.count
    }
    #expect(trainable == Dictionary(uniqueKeysWithValues: layers.filter { $0.trainable > 0 }.map { ($0.name, $0.trainable) }))

    // What comes out of every block and pool.
    let outputs = Dictionary(uniqueKeysWithValues: layers.map { ($0.name, $0.output) })
    func check(_ name: String, _ x: Tensor) throws {
      #expect(Array(x.shape.dropFirst()) == outputs[name], "\(name)")
    }
    try withoutGradients { () throws in
      var x = try Tensor.zeros([1, 3, 144, 144])
      for (i, stage) in model.encoder.stages.enumerated() {
        for (j, block) in stage.blocks.enumerated() {
          x = try block(x)
          try check("encoder.stages.\(i).blocks.\(j).elu", x)
        }
        x = try stage.pool(x)
        try check("encoder.stages.\(i).pool", x)
      }
      let flat = try x.reshape([1, -1])
      try check("bottleneck.flatten", flat)
      try check("bottleneck.hidden", model.bottleneck.hidden(flat))
      let posterior = try model.bottleneck(flat)
      try check("bottleneck.mean", posterior.mean)
      try check("bottleneck.logDeviation", posterior.logDeviation)
      for (name, decoder) in [("imageDecoder", model.imageDecoder), ("maskDecoder", model.maskDecoder)] {
        x = try posterior.mean.reshape([1, 2, 2, 512]).permute([0, 3, 1, 2])
        try check("\(name).reshape", x)
        for (i, stage) in decoder.stages.enumerated() {
          x = try stage.up(x)
          try check("\(name).stages.\(i).up.elu", x)
          for (j, block) in stage.blocks.enumerated() {
            x = try block(x)
            try check("\(name).stages.\(i).blocks.\(j).elu", x)
          }
        }
        try check("\(name).output", decoder.output(x))
      }
    }
  }

  @Test func procedureAgrees() throws {
    let golden = try Golden("article")
    func thinned(_ tensor: Tensor) throws -> [Double] { try everyStride(values(tensor)) }
    try expectClose(thinned(Procedural.image(4, size: 144)), values(golden["input.image"]), tolerance: 1e-7)
    try expectClose(thinned(Procedural.noise(4, latent: 2048)), values(golden["input.noise"]), tolerance: 1e-7)
    #expect(try Procedural.mask(4, size: 144).sum().item() == golden["input.mask.sum"].item())
    for (name, variable) in try article().variables {
      let first = try values(Procedural.parameter(name, shape: variable.tensor.shape)).prefix(8)
      try expectClose(Array(first), values(golden["parameter.\(name.pythonic)"]), name, tolerance: 1e-7)
    }
  }

  private func everyStride(_ values: [Double]) -> [Double] {
    stride(from: 0, to: values.count, by: Self.thinning).map { values[$0] }
  }

  /// Outputs, every term under both compositions, and the gradients of one total.
  ///
  /// Training: batch statistics, a sampled code, the true mask. Inference: running statistics, the mean, the predicted
  /// mask. Gradients are compared in float64: in float32 two values of a pooling window now and then swap order.
  @Test(arguments: [false, true], [DType.float32, .float64])
  func wholeModel(isTraining: Bool, dtype: DType) throws {
    let golden = try Golden("article")
    let mode = isTraining ? "training" : "inference"
    let model = try procedural()
    try model.convert(to: dtype)
    try model.useChannelsLast()
    model.setTraining(isTraining)
    let comparesGradients = dtype == .float64
    try model.setRequiresGrad(comparesGradients)

    let images = try Procedural.image(Self.batch, size: 144).to(dtype).contiguous(.channelsLast)
    let masks = try Procedural.mask(Self.batch, size: 144).to(dtype)
    let posterior = try model.encode(images)
    let noise = try Procedural.noise(Self.batch, latent: 2048).to(dtype)
    let latents = try isTraining ? posterior.sample(noise: noise) : posterior.mean
    let reconstruction = try model.decode(latents)
    let composedTrue = try reconstruction.composed(over: images, trueMask: masks)
    let composedPredicted = try reconstruction.composed(over: images)

    let outputs = [
      "mean": posterior.mean, "logDeviation": posterior.logDeviation, "image": reconstruction.image,
      "maskLogits": reconstruction.maskLogits, "mask": try reconstruction.mask, "composedTrue": composedTrue,
      "composedPredicted": composedPredicted,
    ]
    for (name, output) in outputs {
      try expectClose(everyStride(values(output)), values(golden["\(mode).\(name)"]), "\(mode) \(name)")
    }

    func check(_ composition: String, _ terms: [(String, Tensor)]) throws {
      for (name, term) in terms {
        try expectClose(
          values(term), [golden["\(mode).loss.\(composition).\(name)"].item()], "\(composition) \(name)",
          tolerance: comparesGradients ? 1e-6 : 1e-4)
      }
    }
    let terms = try Objective(imageSize: 144, dtype: dtype)(
      images: images, masks: masks, reconstruction: reconstruction, posterior: posterior)
    try check(
      "true",
      [
        ("total", terms.total), ("ssim", terms.ssimLoss), ("mae", terms.mae), ("bce", terms.maskBCE),
        ("dice", terms.maskDice), ("kl", terms.kl),
      ])
    let ssimLoss = try 2 - SSIM(size: 144, dtype: dtype)(images, composedPredicted).mean()
    let mae = try (images - composedPredicted).abs().mean()
    let total = try ssimLoss + mae * 4 + terms.maskBCE + terms.maskDice + terms.kl * 1e-3
    try check("predicted", [("total", total), ("ssim", ssimLoss), ("mae", mae), ("bce", terms.maskBCE)])

    guard comparesGradients else { return }
    try (isTraining ? terms.total : total).backward()
    for (name, parameter) in model.parameters {
      let gradient = try values(#require(parameter.tensor.grad))
      let norm = gradient.reduce(0) { $0 + $1 * $1 }.squareRoot()
      let strided = stride(from: 0, to: gradient.count, by: max(1, gradient.count / 8)).prefix(8).map { gradient[$0] }
      let expected = try values(golden["\(mode).gradient.\(name)"])
      if isTraining, name.hasSuffix("conv.bias") || name == "bottleneck.hidden.bias" {
        // Batch norm takes this bias away again.
        let weight = name.replacing("bias", with: "weight")
        #expect(expected.allSatisfy { $0 == 0 })
        #expect(try norm < 1e-8 * golden["\(mode).gradient.\(weight)"].array(Float.self).map { Double($0) }[0], "\(name)")
        continue
      }
      try expectClose([norm], [expected[0]], "norm of \(name)'s gradient")
      try expectClose(gradient.prefix(8) + strided, Array(expected.dropFirst()), "\(name)'s gradient")
    }
  }
}

import Files
import Torch

/// A variational autoencoder of aligned faces with a mask: q(z | x) from the encoder, an image and a
/// face mask from z.
public protocol FaceVAE: Module {
  /// What the model is built of.
  var configuration: ModelConfiguration { get }

  /// The posterior of faces.
  /// - Parameter images: N × 3 × S × S, sRGB in [0, 1], S the configuration's image size.
  func encode(_ images: Tensor) throws -> Posterior

  /// The faces and masks of latent codes.
  /// - Parameter latents: N × latent size.
  func decode(_ latents: Tensor) throws -> Reconstruction

  /// The parts that ``decode(_:)`` is made of.
  var decoders: [any Module] { get }
}

/// The diagonal normal distribution q(z | x) of a batch, each part N × latent size.
public struct Posterior: Sendable {
  /// The mean μ.
  public let mean: Tensor
  /// log σ, not log σ².
  public let logDeviation: Tensor

  /// A distribution by its parameters.
  public init(mean: Tensor, logDeviation: Tensor) {
    self.mean = mean
    self.logDeviation = logDeviation
  }

  /// A sample mean + ε · σ (Kingma & Welling 2014).
  /// - Parameter noise: ε of N(0, 1) in the same shape.
  public func sample(noise: Tensor) throws -> Tensor { try mean + noise * logDeviation.exp() }
}

/// What a model decodes from latent codes.
public struct Reconstruction: Sendable {
  /// N × 3 × S × S, sRGB in [0, 1].
  public let image: Tensor
  /// Log odds of "face", N × 1 × S × S.
  public let maskLogits: Tensor

  /// A decoded face.
  public init(image: Tensor, maskLogits: Tensor) {
    self.image = image
    self.maskLogits = maskLogits
  }

  /// The probability of "face", N × 1 × S × S in [0, 1].
  public var mask: Tensor { get throws { try maskLogits.sigmoid() } }

  /// The decoded face on the input's background: image · mask + input · (1 − mask).
  /// - Parameter trueMask: the label, as in training; `nil` takes the predicted mask, as in use.
  /// - Parameter input: the faces, N × 3 × S × S in [0, 1].
  public func composed(over input: Tensor, trueMask: Tensor? = nil) throws -> Tensor {
    let mask = try trueMask ?? self.mask
    return try input + (image - input) * mask
  }
}

/// What a model is: enough to build it before its weights are read.
public struct ModelConfiguration: Codable, Sendable, Equatable {
  /// The kinds of models.
  public enum Architecture: String, Codable, Sendable, CaseIterable {
    /// The article's: one encoder, two decoders, 144 × 144, 16.6 million parameters.
    case article
    /// One encoder and one decoder with image and mask outputs, for real time without a GPU.
    case compact
  }

  /// What of an aligned face a model sees.
  public enum View: String, Codable, Sendable, CaseIterable {
    /// The square window x 4…174, y 39…209 of CelebA's aligned frame.
    case window
    /// CelebA's whole aligned frame of 178×218, its aspect ratio not kept.
    case frame
  }

  /// Which of the two models.
  public var architecture: Architecture
  /// What of an aligned face the model sees.
  public var view = View.window
  /// Side of the square image in pixels.
  public var imageSize: Int
  /// Numbers in a latent code.
  public var latentSize: Int
  /// Pixels in a row that the encoder folds into channels before its first convolution: 2 or 4; compact only.
  public var stem: Int
  /// Channels of the encoder from the image inwards. Compact: of its stages, each at half the resolution of the one
  /// before. Article: of its 10 convolutions; empty for the article's own.
  public var encoderChannels: [Int]
  /// Channels of the decoder from the code outwards. Compact: of its stages, each at twice the resolution; a last
  /// doubling follows. Article: of each decoder's 10 convolutions; empty for the article's own.
  public var decoderChannels: [Int]
  /// Residual blocks in each stage of the encoder; compact only.
  public var encoderResiduals: [Int]
  /// Residual blocks in each stage of the decoder; compact only.
  public var decoderResiduals: [Int]
  /// Channels of the decoders' transposed convolutions; article only.
  public var upChannels = 64
  /// Numbers between the encoder's last convolution and the latent code; article only.
  public var hiddenSize = 1024

  /// The article's model.
  public static let article = ModelConfiguration(architecture: .article, imageSize: 144, latentSize: 2048)

  /// The default model's.
  public static let compact = ModelConfiguration(
    architecture: .compact, imageSize: 128, latentSize: 512, stem: 2, encoderChannels: [32, 64, 128, 256, 192],
    decoderChannels: [192, 256, 192, 96, 48], encoderResiduals: [0, 0, 1, 1, 0], decoderResiduals: [0, 1, 0, 0, 0])

  /// - Parameter encoderResiduals: none where left out, as in the decoder.
  /// - Parameter stem: pixels in a row that the encoder folds into channels, 2 or 4.
  /// - Parameter latentSize: numbers in a latent code.
  /// - Parameter encoderChannels: channels of the encoder's stages from the image inwards.
  /// - Parameter decoderChannels: channels of the decoder's stages from the code outwards.
  /// - Parameter imageSize: side of the square images in pixels.
  /// - Parameter decoderResiduals: residual blocks in each of the decoder's stages; none where left out.
  /// - Parameter architecture: which of the two models.
  public init(
    architecture: Architecture, imageSize: Int, latentSize: Int, stem: Int = 2, encoderChannels: [Int] = [],
    decoderChannels: [Int] = [], encoderResiduals: [Int]? = nil, decoderResiduals: [Int]? = nil
  ) {
    self.architecture = architecture
    self.imageSize = imageSize
    self.latentSize = latentSize
    self.stem = stem
    self.encoderChannels = encoderChannels
    self.decoderChannels = decoderChannels
    self.encoderResiduals = encoderResiduals ?? encoderChannels.map { _ in 0 }
    self.decoderResiduals = decoderResiduals ?? decoderChannels.map { _ in 0 }
  }

  /// Reads a configuration; what older versions of Facet did not write has its default.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    architecture = try container.decode(Architecture.self, forKey: .architecture)
    view = try container.decodeIfPresent(View.self, forKey: .view) ?? view
    imageSize = try container.decode(Int.self, forKey: .imageSize)
    latentSize = try container.decode(Int.self, forKey: .latentSize)
    stem = try container.decode(Int.self, forKey: .stem)
    encoderChannels = try container.decode([Int].self, forKey: .encoderChannels)
    decoderChannels = try container.decode([Int].self, forKey: .decoderChannels)
    encoderResiduals = try container.decode([Int].self, forKey: .encoderResiduals)
    decoderResiduals = try container.decode([Int].self, forKey: .decoderResiduals)
    upChannels = try container.decodeIfPresent(Int.self, forKey: .upChannels) ?? upChannels
    hiddenSize = try container.decodeIfPresent(Int.self, forKey: .hiddenSize) ?? hiddenSize
  }

  /// Builds the model with fresh weights.
  /// - Parameter seed: of the weights; `nil` leaves them zero, to be loaded.
  /// - Throws: ``ModelError`` when the numbers don't fit the architecture or are out of bounds.
  public func makeModel(seed: UInt64?) throws -> any FaceVAE {
    try validate()
    let generator = try seed.map { try Generator(seed: $0) }
    switch architecture {
    case .article: return try ArticleVAE(self, generator: generator)
    case .compact: return try CompactVAE(self, generator: generator)
    }
  }
}

/// A model configuration that cannot be built.
public struct ModelError: DescribedError, Equatable {
  public let description: String
  /// A fault with its text.
  public init(_ description: String) { self.description = description }
}

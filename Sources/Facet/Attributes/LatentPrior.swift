import Files
import Torch

/// A distribution of latent codes, to draw new faces from.
public struct LatentPrior: Sendable {
  /// What codes are drawn from.
  public enum Kind: String, Sendable, CaseIterable {
    /// The normal distribution with the mean and covariance of the training photos' codes: these do not follow N(0, 1).
    case fitted
    /// A mixture of normal distributions that was fitted to the same codes: faces of one kind are drawn together.
    case mixture
    /// N(0, 1), towards which training pulls each code.
    case standardNormal = "standard-normal"
  }

  /// The most codes drawn at once.
  package static let maximumCount = 10_000

  /// What codes are drawn from.
  public let kind: Kind
  private let mean: Tensor
  private let factor: Tensor?
  private var mixture: CodeMixture?

  /// A distribution of the codes that directions were found in.
  /// - Throws: ``LatentPriorError`` where nothing was fitted, for there are no directions; `TorchError` where there is no memory.
  public init(_ kind: Kind, of directions: AttributeDirections) throws {
    if kind != .standardNormal, directions.names.isEmpty {
      throw LatentPriorError(description: "this model has no fitted prior yet: 'facet attributes' finds it; N(0, 1) needs none")
    }
    self.kind = kind
    switch kind {
    case .fitted: (mean, factor) = (directions.codeMean, directions.codeFactor)
    case .mixture:
      guard let mixture = directions.mixture else {
        throw LatentPriorError(
          description: "this model has no mixture: 'facet attributes' fits one, from some thousand photos on; the fitted prior needs none")
      }
      (mean, factor, self.mixture) = (directions.codeMean, directions.codeFactor, mixture)
    case .standardNormal: (mean, factor) = (try .zeros(directions.codeMean.shape), nil)
    }
  }

  /// N(0, 1) for codes of a size.
  public init(standardNormal latentSize: Int) throws { (kind, mean, factor) = (.standardNormal, try .zeros([latentSize]), nil) }

  /// The temperature where none is given. Fitted at 1, colours and shapes get extreme: the codes are not quite
  /// normal.
  package var defaultTemperature: Double { kind == .standardNormal ? 1 : 0.75 }

  /// Draws codes, count × latent size, float32.
  /// - Parameters:
  ///   - count: at least 1, at most 10 000.
  ///   - seed: the same seed gives the same codes; fewer of them are the first of more.
  ///   - temperature: on the deviation from the mean, at least 0; `nil` for 1 of N(0, 1), else 0.75.
  /// - Throws: ``LatentPriorError`` for a count or a temperature out of its range.
  public func sample(count: Int, seed: UInt64, temperature: Double? = nil) throws -> Tensor {
    let temperature = temperature ?? defaultTemperature
    guard (1...Self.maximumCount).contains(count) else {
      throw LatentPriorError(description: "\(count) codes were asked for; take 1 to \(Self.maximumCount)")
    }
    guard temperature >= 0, temperature <= 10 else {
      throw LatentPriorError(description: "the temperature is \(temperature); take 0 to 10")
    }
    let noise = try Tensor.stack(
      (0..<count).map { index in
        var mixed = SplitMix64(seed, UInt64(index))
        let noise = try Tensor.randn(mean.shape, generator: Generator(seed: mixed.next()))
        return try mixture.map { try $0.draw(noise, choice: .random(in: 0..<1, using: &mixed)) } ?? noise
      })
    let spread = try factor.map { try noise.matmul($0.transpose(0, 1)) } ?? noise
    return try mean + spread * temperature
  }
}

/// A request for codes that a prior cannot answer.
public struct LatentPriorError: DescribedError, Equatable {
  public let description: String
}

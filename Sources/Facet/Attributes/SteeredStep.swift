import Torch

/// A step in latent space that was found by looking at what it does to photos, one for adding an attribute and another
/// for taking it away.
public struct SteeredStep: Sendable {
  /// From lacking the attribute towards having it, for both kinds; 1 × latent size, float32.
  public let vector: Tensor
  /// How many log odds of the probe the whole step is worth: what a face has of them already shortens it.
  public let reach: Double
  /// The part of the step that is taken at strength 1 or −1.
  public var factor = 1.0
}

extension AttributeDirections {
  /// These directions with the steered steps of others of the same model, as far as the attributes are here too.
  public func takingSteeredSteps(of others: AttributeDirections) -> AttributeDirections {
    var result = self
    result.steered = others.steered.filter { names.contains($0.key.name) }
    return result
  }
}

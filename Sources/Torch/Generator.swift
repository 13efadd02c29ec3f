import CLibTorch

/// A seeded source of random numbers; the same seed gives the same numbers on the same device.
public final class Generator: @unchecked Sendable {
  let pointer: OpaquePointer

  /// A generator for a device.
  /// - Throws: ``TorchError`` where there is no such device.
  public init(seed: UInt64, device: Device = .cpu) throws(TorchError) {
    var result: OpaquePointer?
    try TorchError.check(ct_generator_new(device.type, device.index, seed, &result))
    pointer = result!
  }

  /// The whole state as a tensor of bytes, to go on from exactly here later.
  public func state() throws(TorchError) -> Tensor {
    var result: OpaquePointer?
    try TorchError.check(ct_generator_state(pointer, &result))
    return Tensor(owning: result!)
  }

  /// Goes back to a state.
  /// - Throws: ``TorchError`` when the bytes are no state of such a generator.
  public func restore(_ state: Tensor) throws(TorchError) {
    try TorchError.check(ct_generator_set_state(pointer, state.handle.pointer))
  }

  deinit { ct_generator_free(pointer) }
}

import CLibTorch

extension Tensor {
  /// Whether operations on this tensor are recorded for ``backward()``.
  public var requiresGrad: Bool { ct_tensor_requires_grad(handle.pointer) }

  /// Sets whether operations on this leaf tensor are recorded.
  public func setRequiresGrad(_ value: Bool = true) throws(TorchError) {
    try TorchError.check(ct_tensor_set_requires_grad(handle.pointer, value))
  }

  /// The gradient that ``backward()`` has summed up for this leaf, if any.
  public var grad: Tensor? {
    var pointer: OpaquePointer?
    guard ct_tensor_grad(handle.pointer, &pointer) == 0, let pointer else { return nil }
    return Tensor(owning: pointer)
  }

  /// Replaces the gradient; `nil` clears it.
  /// - Throws: ``TorchError`` when its shape, type or device is not this tensor's.
  public func setGrad(_ grad: Tensor?) throws(TorchError) {
    try TorchError.check(ct_tensor_set_grad(handle.pointer, grad?.handle.pointer))
  }

  /// Adds the gradient of this scalar to every leaf that it came from.
  /// - Throws: ``TorchError`` when it is no scalar or nothing was recorded.
  public func backward() throws(TorchError) {
    try TorchError.check(ct_tensor_backward(handle.pointer))
  }
}

/// Runs `body` without recording for autograd on this thread.
public func withoutGradients<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
  let before = ct_grad_enabled()
  ct_set_grad_enabled(false)
  defer { ct_set_grad_enabled(before) }
  return try body()
}

/// Runs `body` with torch's autocast on this thread: convolutions and matrix products in `dtype`,
/// sensitive operators in float32. With `nil` the body runs as it is.
public func withAutocast<Result>(_ dtype: DType?, on device: Device, _ body: () throws -> Result) throws -> Result {
  guard let dtype else { return try body() }
  let before = (isEnabled: ct_autocast_enabled(device.type), dtype: ct_autocast_dtype(device.type))
  try TorchError.check(ct_set_autocast(device.type, true, dtype.rawValue))
  defer { ct_set_autocast(device.type, before.isEnabled, before.dtype) }
  return try body()
}

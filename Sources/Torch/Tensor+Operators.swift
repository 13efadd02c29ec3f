// Tensor operators under torch's names. Shapes broadcast as in torch; every one throws
// ``TorchError`` with torch's message when shapes, types or devices don't fit.

private enum Op {
  static let add = Operator("aten::add", "Tensor")
  static let addScalar = Operator("aten::add", "Scalar")
  static let sub = Operator("aten::sub", "Tensor")
  static let subScalar = Operator("aten::sub", "Scalar")
  static let rsubScalar = Operator("aten::rsub", "Scalar")
  static let mul = Operator("aten::mul", "Tensor")
  static let mulScalar = Operator("aten::mul", "Scalar")
  static let div = Operator("aten::div", "Tensor")
  static let divScalar = Operator("aten::div", "Scalar")
  static let neg = Operator("aten::neg")
  static let exp = Operator("aten::exp")
  static let log = Operator("aten::log")
  static let sqrt = Operator("aten::sqrt")
  static let sin = Operator("aten::sin")
  static let cos = Operator("aten::cos")
  static let abs = Operator("aten::abs")
  static let round = Operator("aten::round")
  static let square = Operator("aten::square")
  static let clamp = Operator("aten::clamp")
  static let maximum = Operator("aten::maximum")
  static let addInPlace = Operator("aten::add_", "Tensor")
  static let copy = Operator("aten::copy_")
  static let greaterScalar = Operator("aten::gt", "Scalar")
  static let lessScalar = Operator("aten::lt", "Scalar")
  static let shiftRight = Operator("aten::bitwise_right_shift", "Tensor")
  static let andScalar = Operator("aten::bitwise_and", "Scalar")
  static let isFinite = Operator("aten::isfinite")
  static let allElements = Operator("aten::all")

  static let sumAll = Operator("aten::sum")
  static let sum = Operator("aten::sum", "dim_IntList")
  static let meanAll = Operator("aten::mean")
  static let mean = Operator("aten::mean", "dim")
  static let cumulativeSum = Operator("aten::cumsum")
  static let sort = Operator("aten::sort")
  static let gather = Operator("aten::gather")
  static let argmax = Operator("aten::argmax")
  static let norm = Operator("aten::linalg_vector_norm")
  static let matmul = Operator("aten::matmul")
  static let cholesky = Operator("aten::linalg_cholesky")
  static let choleskySolve = Operator("aten::cholesky_solve")

  static let reshape = Operator("aten::reshape")
  static let permute = Operator("aten::permute")
  static let transpose = Operator("aten::transpose", "int")
  static let narrow = Operator("aten::narrow")
  static let slice = Operator("aten::slice", "Tensor")
  static let select = Operator("aten::select", "int")
  static let unsqueeze = Operator("aten::unsqueeze")
  static let expand = Operator("aten::expand")
  static let flip = Operator("aten::flip")
  static let cat = Operator("aten::cat")
  static let stack = Operator("aten::stack")
  static let split = Operator("aten::split_with_sizes")
  static let indexSelect = Operator("aten::index_select")
  static let toDType = Operator("aten::to", "dtype")
  static let toDevice = Operator("aten::to", "device")
  static let contiguous = Operator("aten::contiguous")
  static let clone = Operator("aten::clone")
  static let detach = Operator("aten::detach")

  static let full = Operator("aten::full")
  static let randn = Operator("aten::randn", "generator")
  static let rand = Operator("aten::rand", "generator")

  static let linear = Operator("aten::linear")
  static let conv2d = Operator("aten::conv2d")
  static let convTranspose2d = Operator("aten::conv_transpose2d", "input")
  static let batchNorm = Operator("aten::batch_norm")
  static let groupNorm = Operator("aten::group_norm")
  static let maxPool2d = Operator("aten::max_pool2d")
  static let avgPool2d = Operator("aten::avg_pool2d")
  static let interpolateNearest = Operator("aten::upsample_nearest2d", "vec")
  static let interpolateBilinear = Operator("aten::upsample_bilinear2d", "vec")
  static let interpolateAntialiased = Operator("aten::_upsample_bilinear2d_aa")
  static let affineGrid = Operator("aten::affine_grid_generator")
  static let gridSample = Operator("aten::grid_sampler")
  static let replicationPad2d = Operator("aten::replication_pad2d")
  static let pixelShuffle = Operator("aten::pixel_shuffle")
  static let pixelUnshuffle = Operator("aten::pixel_unshuffle")
  static let elu = Operator("aten::elu")
  static let eluInPlace = Operator("aten::elu_")
  static let relu = Operator("aten::relu")
  static let silu = Operator("aten::silu")
  static let leakyRelu = Operator("aten::leaky_relu")
  static let leakyReluInPlace = Operator("aten::leaky_relu_")
  static let tanh = Operator("aten::tanh")
  static let sigmoid = Operator("aten::sigmoid")
  static let softplus = Operator("aten::softplus")
  static let bceWithLogits = Operator("aten::binary_cross_entropy_with_logits")
  static let crossEntropy = Operator("aten::cross_entropy_loss")
}

// MARK: Making tensors

extension Tensor {
  /// A tensor filled with one value.
  public static func full(
    _ shape: [Int], _ value: Double, dtype: DType = .float32, device: Device = .cpu
  ) throws(TorchError) -> Tensor {
    try Op.full(.ints(shape), .double(value), .dtype(dtype), nil, .device(device))
  }

  /// A tensor of zeros.
  public static func zeros(_ shape: [Int], dtype: DType = .float32, device: Device = .cpu) throws(TorchError) -> Tensor {
    try full(shape, 0, dtype: dtype, device: device)
  }

  /// A tensor of ones.
  public static func ones(_ shape: [Int], dtype: DType = .float32, device: Device = .cpu) throws(TorchError) -> Tensor {
    try full(shape, 1, dtype: dtype, device: device)
  }

  /// Samples of the normal distribution N(0, 1), float32.
  public static func randn(_ shape: [Int], generator: Generator, device: Device = .cpu) throws(TorchError) -> Tensor {
    try Op.randn(.ints(shape), .generator(generator), .dtype(.float32), nil, .device(device))
  }

  /// Samples of the uniform distribution over [0, 1), float32.
  public static func rand(_ shape: [Int], generator: Generator, device: Device = .cpu) throws(TorchError) -> Tensor {
    try Op.rand(.ints(shape), .generator(generator), .dtype(.float32), nil, .device(device))
  }

  /// Joins tensors along an existing dimension.
  public static func cat(_ tensors: [Tensor], dim: Int = 0) throws(TorchError) -> Tensor {
    try Op.cat(.tensors(tensors), .int(dim))
  }

  /// Joins tensors of one shape along a new dimension.
  public static func stack(_ tensors: [Tensor], dim: Int = 0) throws(TorchError) -> Tensor {
    try Op.stack(.tensors(tensors), .int(dim))
  }
}

// MARK: Arithmetic

extension Tensor {
  public static func + (a: Tensor, b: Tensor) throws(TorchError) -> Tensor { try Op.add(.tensor(a), .tensor(b)) }
  public static func + (a: Tensor, b: Double) throws(TorchError) -> Tensor { try Op.addScalar(.tensor(a), .double(b)) }
  public static func + (a: Double, b: Tensor) throws(TorchError) -> Tensor { try b + a }
  public static func - (a: Tensor, b: Tensor) throws(TorchError) -> Tensor { try Op.sub(.tensor(a), .tensor(b)) }
  public static func - (a: Tensor, b: Double) throws(TorchError) -> Tensor { try Op.subScalar(.tensor(a), .double(b)) }
  public static func - (a: Double, b: Tensor) throws(TorchError) -> Tensor { try Op.rsubScalar(.tensor(b), .double(a)) }
  public static func * (a: Tensor, b: Tensor) throws(TorchError) -> Tensor { try Op.mul(.tensor(a), .tensor(b)) }
  public static func * (a: Tensor, b: Double) throws(TorchError) -> Tensor { try Op.mulScalar(.tensor(a), .double(b)) }
  public static func * (a: Double, b: Tensor) throws(TorchError) -> Tensor { try b * a }
  public static func / (a: Tensor, b: Tensor) throws(TorchError) -> Tensor { try Op.div(.tensor(a), .tensor(b)) }
  public static func / (a: Tensor, b: Double) throws(TorchError) -> Tensor { try Op.divScalar(.tensor(a), .double(b)) }
  public static prefix func - (a: Tensor) throws(TorchError) -> Tensor { try Op.neg(.tensor(a)) }

  /// e to the power of each element.
  public func exp() throws(TorchError) -> Tensor { try Op.exp(.tensor(self)) }
  /// The natural logarithm of each element.
  public func log() throws(TorchError) -> Tensor { try Op.log(.tensor(self)) }
  /// The square root of each element.
  public func sqrt() throws(TorchError) -> Tensor { try Op.sqrt(.tensor(self)) }
  /// The sine of each element, in radians.
  public func sin() throws(TorchError) -> Tensor { try Op.sin(.tensor(self)) }
  /// The cosine of each element, in radians.
  public func cos() throws(TorchError) -> Tensor { try Op.cos(.tensor(self)) }
  /// The absolute value of each element.
  public func abs() throws(TorchError) -> Tensor { try Op.abs(.tensor(self)) }
  /// Each element rounded to the nearest whole number, halves to the even one.
  public func round() throws(TorchError) -> Tensor { try Op.round(.tensor(self)) }
  /// The square of each element.
  public func square() throws(TorchError) -> Tensor { try Op.square(.tensor(self)) }

  /// Each element held inside the range; `nil` leaves a side open.
  public func clamp(min: Double? = nil, max: Double? = nil) throws(TorchError) -> Tensor {
    try Op.clamp(.tensor(self), min.map(Argument.double) ?? nil, max.map(Argument.double) ?? nil)
  }

  /// The larger of two elements.
  public func maximum(_ other: Tensor) throws(TorchError) -> Tensor { try Op.maximum(.tensor(self), .tensor(other)) }

  public static func > (a: Tensor, b: Double) throws(TorchError) -> Tensor { try Op.greaterScalar(.tensor(a), .double(b)) }
  public static func < (a: Tensor, b: Double) throws(TorchError) -> Tensor { try Op.lessScalar(.tensor(a), .double(b)) }

  /// Each integer moved right by as many bits as `bits` says.
  public func shiftedRight(_ bits: Tensor) throws(TorchError) -> Tensor { try Op.shiftRight(.tensor(self), .tensor(bits)) }

  /// Each integer's bits that `mask` has, too.
  public func bits(_ mask: Int) throws(TorchError) -> Tensor { try Op.andScalar(.tensor(self), .int(mask)) }

  /// Whether every element is a finite number. Waits for the device.
  public func isAllFinite() throws(TorchError) -> Bool {
    try Op.allElements(.tensor(Op.isFinite(.tensor(self)))).item() != 0
  }

  /// Adds `other` to this tensor's own elements.
  public func add(inPlace other: Tensor) throws(TorchError) { try Op.addInPlace.call(.tensor(self), .tensor(other)) }

  /// Overwrites this tensor's elements, converting type and device.
  public func copy(from other: Tensor) throws(TorchError) { try Op.copy.call(.tensor(self), .tensor(other)) }
}

// MARK: Reductions and products

extension Tensor {
  /// The sum of all elements.
  public func sum() throws(TorchError) -> Tensor { try Op.sumAll(.tensor(self)) }
  /// The sums along dimensions, which stay with size 1 or go away.
  public func sum(dims: [Int], keepDim: Bool = false) throws(TorchError) -> Tensor {
    try Op.sum(.tensor(self), .ints(dims), .bool(keepDim))
  }
  /// The mean of all elements.
  public func mean() throws(TorchError) -> Tensor { try Op.meanAll(.tensor(self)) }
  /// The means along dimensions, which stay with size 1 or go away.
  public func mean(dims: [Int], keepDim: Bool = false) throws(TorchError) -> Tensor {
    try Op.mean(.tensor(self), .ints(dims), .bool(keepDim))
  }

  /// The sums of all elements up to each one along a dimension.
  public func cumulativeSum(dim: Int) throws(TorchError) -> Tensor { try Op.cumulativeSum(.tensor(self), .int(dim)) }

  /// The values along the last dimension in order.
  public func sorted(descending: Bool = false) throws(TorchError) -> Tensor {
    try Op.sort.call(.tensor(self), -1, .bool(descending))[0]
  }

  /// The values at `indices`, int64, along a dimension.
  public func gather(_ dim: Int, _ indices: Tensor) throws(TorchError) -> Tensor {
    try Op.gather(.tensor(self), .int(dim), .tensor(indices))
  }

  /// The index of the largest value along a dimension, which goes away; int64.
  public func argmax(dim: Int) throws(TorchError) -> Tensor { try Op.argmax(.tensor(self), .int(dim), false) }

  /// The Euclidean norm of all elements.
  public func norm() throws(TorchError) -> Tensor { try Op.norm(.tensor(self)) }

  /// The matrix product, batched over leading dimensions.
  public func matmul(_ other: Tensor) throws(TorchError) -> Tensor { try Op.matmul(.tensor(self), .tensor(other)) }

  /// The lower triangular L of this symmetric matrix L · Lᵀ.
  /// - Throws: ``TorchError`` when it is not positive definite.
  public func cholesky() throws(TorchError) -> Tensor { try Op.cholesky(.tensor(self)) }

  /// X of A · X = `self`.
  /// - Parameter factor: A's ``cholesky()``.
  public func choleskySolve(_ factor: Tensor) throws(TorchError) -> Tensor {
    try Op.choleskySolve(.tensor(self), .tensor(factor))
  }
}

// MARK: Shape, type, place

extension Tensor {
  /// The same elements in another shape; one size may be -1.
  public func reshape(_ shape: [Int]) throws(TorchError) -> Tensor { try Op.reshape(.tensor(self), .ints(shape)) }
  /// The dimensions in another order, as a view.
  public func permute(_ dims: [Int]) throws(TorchError) -> Tensor { try Op.permute(.tensor(self), .ints(dims)) }
  /// Two dimensions in each other's place, as a view.
  public func transpose(_ a: Int, _ b: Int) throws(TorchError) -> Tensor { try Op.transpose(.tensor(self), .int(a), .int(b)) }

  /// Elements `range` along a dimension, as a view.
  public func narrow(_ dim: Int, _ range: Range<Int>) throws(TorchError) -> Tensor {
    try Op.narrow(.tensor(self), .int(dim), .int(range.lowerBound), .int(range.count))
  }

  /// Every `step`-th element along a dimension from `start` on, as a view.
  public func strided(_ dim: Int, from start: Int, by step: Int) throws(TorchError) -> Tensor {
    try Op.slice(.tensor(self), .int(dim), .int(start), nil, .int(step))
  }

  /// One index along a dimension, which goes away; a view.
  public func select(_ dim: Int, _ index: Int) throws(TorchError) -> Tensor {
    try Op.select(.tensor(self), .int(dim), .int(index))
  }
  /// A new dimension of size 1 at a place, as a view.
  public func unsqueeze(_ dim: Int) throws(TorchError) -> Tensor { try Op.unsqueeze(.tensor(self), .int(dim)) }
  /// Dimensions of size 1 repeated to a shape, as a view.
  public func expand(_ shape: [Int]) throws(TorchError) -> Tensor { try Op.expand(.tensor(self), .ints(shape)) }
  /// The elements along dimensions in reverse order.
  public func flip(_ dims: [Int]) throws(TorchError) -> Tensor { try Op.flip(.tensor(self), .ints(dims)) }

  /// Parts of the given sizes along a dimension, as views.
  public func split(_ sizes: [Int], dim: Int) throws(TorchError) -> [Tensor] {
    try Op.split.call(.tensor(self), .ints(sizes), .int(dim), results: sizes.count)
  }

  /// The rows at `indices` (int64) along a dimension.
  public func indexSelect(_ dim: Int, _ indices: Tensor) throws(TorchError) -> Tensor {
    try Op.indexSelect(.tensor(self), .int(dim), .tensor(indices))
  }

  /// The same values as another type; itself when they are already.
  public func to(_ dtype: DType) throws(TorchError) -> Tensor { try Op.toDType(.tensor(self), .dtype(dtype)) }

  /// The same values on another device; itself when it is there already.
  public func to(_ device: Device) throws(TorchError) -> Tensor {
    try Op.toDevice(.tensor(self), .device(device), .dtype(dtype))
  }

  /// The same values laid out in `format`; itself when they are already.
  public func contiguous(_ format: MemoryFormat = .contiguous) throws(TorchError) -> Tensor {
    try Op.contiguous(.tensor(self), .format(format))
  }
  /// A copy with memory of its own.
  public func clone() throws(TorchError) -> Tensor { try Op.clone(.tensor(self)) }

  /// The same elements outside autograd's record.
  public func detach() throws(TorchError) -> Tensor { try Op.detach(.tensor(self)) }
}

// MARK: Neural networks

extension Tensor {
  /// `self · weightᵀ + bias`; `weight` is out × in.
  public func linear(_ weight: Tensor, bias: Tensor? = nil) throws(TorchError) -> Tensor {
    try Op.linear(.tensor(self), .tensor(weight), .optional(bias))
  }

  /// Two-dimensional convolution of N × C × H × W with `weight` out × (C / groups) × kH × kW.
  public func conv2d(
    _ weight: Tensor, bias: Tensor? = nil, stride: Int = 1, padding: Int = 0, groups: Int = 1
  ) throws(TorchError) -> Tensor {
    try Op.conv2d(
      .tensor(self), .tensor(weight), .optional(bias), .ints([stride, stride]), .ints([padding, padding]), .ints([1, 1]),
      .int(groups))
  }

  /// Transposed convolution with `weight` in × out × kH × kW.
  public func convTranspose2d(
    _ weight: Tensor, bias: Tensor? = nil, stride: Int = 1, padding: Int = 0, outputPadding: Int = 0
  ) throws(TorchError) -> Tensor {
    try Op.convTranspose2d(
      .tensor(self), .tensor(weight), .optional(bias), .ints([stride, stride]), .ints([padding, padding]),
      .ints([outputPadding, outputPadding]))
  }

  /// Batch normalization over all but dimension 1. In training the batch's own statistics are used
  /// and the running ones moved towards them by `momentum`, the variance unbiased, as in torch.
  public func batchNorm(
    weight: Tensor, bias: Tensor, runningMean: Tensor, runningVar: Tensor, training: Bool, momentum: Double, eps: Double
  ) throws(TorchError) -> Tensor {
    try Op.batchNorm(
      .tensor(self), .tensor(weight), .tensor(bias), .tensor(runningMean), .tensor(runningVar), .bool(training),
      .double(momentum), .double(eps), true)
  }

  /// Group normalization of dimension 1 in `groups` equal parts (Wu & He 2018).
  func groupNorm(_ groups: Int, weight: Tensor, bias: Tensor, eps: Double) throws(TorchError) -> Tensor {
    try Op.groupNorm(.tensor(self), .int(groups), .tensor(weight), .tensor(bias), .double(eps), false)
  }

  /// The largest value of each window of `size` × `size`, side by side.
  public func maxPool2d(_ size: Int) throws(TorchError) -> Tensor {
    try Op.maxPool2d(.tensor(self), .ints([size, size]), .ints([size, size]))
  }
  /// The largest value of each window of `size` × `size`, `stride` pixels apart.
  public func maxPool2d(_ size: Int, stride: Int) throws(TorchError) -> Tensor {
    try Op.maxPool2d(.tensor(self), .ints([size, size]), .ints([stride, stride]))
  }
  /// The mean of each window of `size` × `size`, side by side.
  public func avgPool2d(_ size: Int) throws(TorchError) -> Tensor {
    try Op.avgPool2d(.tensor(self), .ints([size, size]), .ints([size, size]))
  }

  /// Each pixel repeated `scale` times in both directions.
  public func upsampleNearest2d(scale: Int) throws(TorchError) -> Tensor {
    try Op.interpolateNearest(.tensor(self), nil, .doubles([Double(scale), Double(scale)]))
  }
  /// Each picture at `scale` times its size, bilinear between pixels.
  public func upsampleBilinear2d(scale: Int) throws(TorchError) -> Tensor {
    try Op.interpolateBilinear(.tensor(self), nil, false, .doubles([Double(scale), Double(scale)]))
  }

  /// N × C × H × W at another size, between bilinear pixels where it grows and over all of them where it shrinks.
  public func resized(to size: (height: Int, width: Int)) throws(TorchError) -> Tensor {
    try Op.interpolateAntialiased(.tensor(self), .ints([size.height, size.width]), false)
  }

  /// How values between pixels are found; raw values are torch's.
  public enum Interpolation: Int, Sendable { case bilinear, nearest, bicubic }

  /// What lies beyond an image; raw values are torch's.
  public enum Beyond: Int, Sendable { case zeros, border, reflection }

  /// Each image of N × C × H × W taken where its transform leads from the output.
  /// - Parameters:
  ///   - transform: N × 2 × 3, from coordinates of −1 … 1 from border to border of the output to those of the image.
  ///   - size: of the output; the image's own where left out.
  ///   - interpolation: between pixels.
  ///   - beyond: what is taken outside the image.
  public func resampled(
    _ transform: Tensor, to size: (height: Int, width: Int)? = nil, by interpolation: Interpolation = .bicubic,
    beyond: Beyond = .border
  ) throws(TorchError) -> Tensor {
    guard dimensions == 4 else { throw TorchError("images are N × C × H × W, not \(shape)") }
    let output = [self.size(0), self.size(1), size?.height ?? self.size(2), size?.width ?? self.size(3)]
    return try sampled(
      at: Op.affineGrid(.tensor(transform), .ints(output), false), by: interpolation, beyond: beyond)
  }

  /// Each image of N × C × H × W at places of its own.
  /// - Parameters:
  ///   - places: N × h × w × 2, x and y from −1 to 1 from border to border.
  ///   - interpolation: between pixels.
  ///   - beyond: what is taken outside the image.
  /// - Returns: N × C × h × w.
  public func sampled(
    at places: Tensor, by interpolation: Interpolation = .bicubic, beyond: Beyond = .border
  ) throws(TorchError) -> Tensor {
    try Op.gridSample(.tensor(self), .tensor(places), .int(interpolation.rawValue), .int(beyond.rawValue), false)
  }

  /// The border repeated `width` times on each side.
  public func paddedByBorder(_ width: Int) throws(TorchError) -> Tensor {
    try Op.replicationPad2d(.tensor(self), .ints([width, width, width, width]))
  }

  /// N × C·r² × H × W to N × C × H·r × W·r.
  public func pixelShuffle(_ factor: Int) throws(TorchError) -> Tensor { try Op.pixelShuffle(.tensor(self), .int(factor)) }

  /// N × C × H·r × W·r to N × C·r² × H × W.
  public func pixelUnshuffle(_ factor: Int) throws(TorchError) -> Tensor {
    try Op.pixelUnshuffle(.tensor(self), .int(factor))
  }
  /// - Parameter inPlace: whether it overwrites this tensor, which saves its memory; nothing else may need the values,
  ///   backward included.
  public func elu(inPlace: Bool = false) throws(TorchError) -> Tensor {
    try (inPlace ? Op.eluInPlace : Op.elu)(.tensor(self))
  }
  /// max(x, 0).
  public func relu() throws(TorchError) -> Tensor { try Op.relu(.tensor(self)) }
  /// x · sigmoid(x).
  public func silu() throws(TorchError) -> Tensor { try Op.silu(.tensor(self)) }
  /// - Parameter slope: of the negative side.
  /// - Parameter inPlace: as in ``elu(inPlace:)``.
  public func leakyRelu(_ slope: Double = 0.01, inPlace: Bool = false) throws(TorchError) -> Tensor {
    try (inPlace ? Op.leakyReluInPlace : Op.leakyRelu)(.tensor(self), .double(slope))
  }
  /// The hyperbolic tangent of each element.
  public func tanh() throws(TorchError) -> Tensor { try Op.tanh(.tensor(self)) }
  /// 1 / (1 + e⁻ˣ) of each element.
  public func sigmoid() throws(TorchError) -> Tensor { try Op.sigmoid(.tensor(self)) }
  /// log(1 + eˣ) of each element.
  public func softplus() throws(TorchError) -> Tensor { try Op.softplus(.tensor(self)) }

  /// Mean cross-entropy between softmax(self) over dimension 1 and classes.
  /// - Parameters:
  ///   - target: int64, of this shape without dimension 1.
  ///   - weights: one for each class; the mean is weighted by them.
  ///   - ignored: the class of places that do not count.
  public func crossEntropy(_ target: Tensor, weights: Tensor? = nil, ignored: Int = -100) throws(TorchError) -> Tensor {
    try Op.crossEntropy(.tensor(self), .tensor(target), .optional(weights), 1, .int(ignored))
  }

  /// Mean binary cross-entropy between sigmoid(self) and `target` in [0, 1], stable for any logit.
  public func binaryCrossEntropyWithLogits(_ target: Tensor) throws(TorchError) -> Tensor {
    try Op.bceWithLogits(.tensor(self), .tensor(target))
  }
}

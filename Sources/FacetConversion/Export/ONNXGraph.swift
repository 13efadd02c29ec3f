import Facet
import Foundation
import ONNX
import Torch

/// A network being written down as nodes of ONNX, version 17 of its operators.
///
/// A layer takes an ``ONNXValue`` as it takes a tensor, and so writes itself into the value's graph.
final class ONNXGraph {
  private var graph = GraphProto()

  init(name: String) { graph.name = name }

  /// An input of N × shape, float32.
  func input(_ name: String, _ shape: [Int], about: String) -> ONNXValue {
    graph.input.append(Self.info(name, shape, about))
    return ONNXValue(graph: self, name: name)
  }

  /// Makes a value an output of N × shape.
  func output(_ value: ONNXValue, _ name: String, _ shape: [Int], about: String) {
    append("Identity", [value], [:], [name])
    graph.output.append(Self.info(name, shape, about))
  }

  /// Weights, stored in float32.
  /// - Throws: ``ModelError`` where they are not finite.
  func constant(_ tensor: Tensor) throws -> ONNXValue {
    let tensor = try tensor.to(.float32)
    guard try tensor.isAllFinite() else { throw ModelError("its weights are not finite; they are broken") }
    return constant(.float, tensor.shape, Data(try tensor.bytes()))
  }

  /// A list of numbers, as operators take shapes.
  func constant(_ numbers: [Int]) -> ONNXValue {
    let data = numbers.map { Int64($0).littleEndian }.withUnsafeBytes { Data($0) }
    return constant(.int64, [numbers.count], data)
  }

  private func constant(_ type: TensorProto.DataType, _ shape: [Int], _ data: Data) -> ONNXValue {
    var tensor = TensorProto()
    tensor.name = "weight_\(graph.initializer.count)"
    tensor.dataType = Int32(type.rawValue)
    tensor.dims = shape.map(Int64.init)
    tensor.rawData = data
    graph.initializer.append(tensor)
    return ONNXValue(graph: self, name: tensor.name)
  }

  /// Adds a node and gives what comes out of it; an input that is `nil` is left out.
  func node(
    _ operation: String, _ inputs: [ONNXValue?], _ attributes: KeyValuePairs<String, Attribute> = [:], outputs: Int = 1
  ) -> [ONNXValue] {
    let names = (0..<outputs).map { "\(operation)_\(graph.node.count)" + (outputs > 1 ? "_\($0)" : "") }
    append(operation, inputs, attributes, names)
    return names.map { ONNXValue(graph: self, name: $0) }
  }

  private func append(
    _ operation: String, _ inputs: [ONNXValue?], _ attributes: KeyValuePairs<String, Attribute>, _ outputs: [String]
  ) {
    var node = NodeProto()
    node.name = "\(operation)_\(graph.node.count)"
    node.opType = operation
    node.input = inputs.map { $0?.name ?? "" }
    node.output = outputs
    node.attribute = attributes.map { $1.named($0) }
    graph.node.append(node)
  }

  private static func info(_ name: String, _ shape: [Int], _ about: String) -> ValueInfoProto {
    var info = ValueInfoProto()
    info.name = name
    info.docString = about
    info.type.tensorType.elemType = Int32(TensorProto.DataType.float.rawValue)
    var batch = TensorShapeProto.Dimension()
    batch.dimParam = "batch"
    info.type.tensorType.shape.dim = [batch] + shape.map { size in
      var dimension = TensorShapeProto.Dimension()
      dimension.dimValue = Int64(size)
      return dimension
    }
    return info
  }

  /// The file's bytes.
  /// - Parameter metadata: notes about the model, by name.
  func serialized(metadata: KeyValuePairs<String, String>) throws -> Data {
    var model = ModelProto()
    model.irVersion = 8  // goes with version 17 of the operators
    var operators = OperatorSetIdProto()
    operators.domain = ""
    operators.version = 17
    model.opsetImport = [operators]
    model.producerName = "facet"
    model.producerVersion = facetVersion
    model.metadataProps = metadata.map { key, value in
      var entry = StringStringEntryProto()
      (entry.key, entry.value) = (key, value)
      return entry
    }
    model.graph = graph
    return try model.serializedData()
  }

  /// A setting of a node.
  enum Attribute {
    case int(Int)
    case ints([Int])
    case float(Double)
    case string(String)

    fileprivate func named(_ name: String) -> AttributeProto {
      var attribute = AttributeProto()
      attribute.name = name
      switch self {
      case .int(let value): (attribute.type, attribute.i) = (.int, Int64(value))
      case .ints(let values): (attribute.type, attribute.ints) = (.ints, values.map(Int64.init))
      case .float(let value): (attribute.type, attribute.f) = (.float, Float(value))
      case .string(let value): (attribute.type, attribute.s) = (.string, Data(value.utf8))
      }
      return attribute
    }
  }
}

/// What comes out of a node: a tensor yet to be computed.
struct ONNXValue {
  let graph: ONNXGraph
  let name: String

  private func then(
    _ operation: String, _ inputs: ONNXValue?..., attributes: KeyValuePairs<String, ONNXGraph.Attribute> = [:]
  ) -> ONNXValue { graph.node(operation, [self] + inputs, attributes)[0] }

  static func + (a: ONNXValue, b: ONNXValue) -> ONNXValue { a.then("Add", b) }

  func elu() -> ONNXValue { then("Elu") }
  func leakyRelu(_ slope: Double) -> ONNXValue { then("LeakyRelu", attributes: ["alpha": .float(slope)]) }
  func sigmoid() -> ONNXValue { then("Sigmoid") }
  func clamp(_ range: ClosedRange<Double>) throws -> ONNXValue {
    then("Clip", try graph.constant(.full([], range.lowerBound)), try graph.constant(.full([], range.upperBound)))
  }

  func permute(_ dimensions: [Int]) -> ONNXValue { then("Transpose", attributes: ["perm": .ints(dimensions)]) }
  func reshape(_ shape: [Int]) -> ONNXValue { then("Reshape", graph.constant(shape)) }
  func split(_ sizes: [Int], dim: Int) -> [ONNXValue] {
    graph.node("Split", [self, graph.constant(sizes)], ["axis": .int(dim)], outputs: sizes.count)
  }

  func maxPool2d(_ size: Int) -> ONNXValue {
    then("MaxPool", attributes: ["kernel_shape": .ints([size, size]), "strides": .ints([size, size])])
  }
  func upsampleNearest2d(scale: Double) throws -> ONNXValue {
    then(
      "Resize", nil, try graph.constant(Tensor([1, 1, Float(scale), Float(scale)])),
      attributes: [
        "mode": .string("nearest"), "coordinate_transformation_mode": .string("asymmetric"),
        "nearest_mode": .string("floor"),
      ])
  }
  func pixelShuffle(_ factor: Int) -> ONNXValue {
    then("DepthToSpace", attributes: ["blocksize": .int(factor), "mode": .string("CRD")])
  }
  /// ONNX's own SpaceToDepth has no mode in which channels vary slowest, as they do in torch.
  func pixelUnshuffle(_ factor: Int, channels: Int, size: Int) -> ONNXValue {
    let inner = size / factor
    return reshape([-1, channels, inner, factor, inner, factor]).permute([0, 1, 3, 5, 2, 4])
      .reshape([-1, channels * factor * factor, inner, inner])
  }

  func conv2d(_ weight: Tensor, _ bias: Tensor, stride: Int, padding: Int) throws -> ONNXValue {
    then(
      "Conv", try graph.constant(weight), try graph.constant(bias),
      attributes: [
        "kernel_shape": .ints([weight.size(2), weight.size(3)]), "strides": .ints([stride, stride]),
        "pads": .ints([padding, padding, padding, padding]),
      ])
  }
  /// - Parameter crop: rows and columns that the output loses at its start and its end.
  func convTranspose2d(
    _ weight: Tensor, _ bias: Tensor, stride: Int, crop: (start: Int, end: Int)
  ) throws -> ONNXValue {
    then(
      "ConvTranspose", try graph.constant(weight), try graph.constant(bias),
      attributes: [
        "kernel_shape": .ints([weight.size(2), weight.size(3)]), "strides": .ints([stride, stride]),
        "pads": .ints([crop.start, crop.start, crop.end, crop.end]),
      ])
  }
  func linear(_ weight: Tensor, _ bias: Tensor) throws -> ONNXValue {
    then("Gemm", try graph.constant(weight), try graph.constant(bias), attributes: ["transB": .int(1)])
  }
}

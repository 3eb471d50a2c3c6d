// Goes through a graph and collects the operators and constants of an ONNX model, which ONNXOperators.swift makes of
// each node.

import Checkpoints

/// A value that an operator takes, with what is known of its shape.
struct ONNXOperand {
  let value: String
  /// Nil for sizes that depend on the model's input.
  let shape: [Int?]
}

/// A model in the making.
struct ONNXBuilder {
  typealias Attributes = [(name: String, value: ONNXNode.Attribute)]

  /// What is called so in every model.
  static let input = "input"

  private let graph: Graph
  private let stateDict: StateDict
  private let options: ONNXOptions
  /// What the result is called: `features` where no layer gives logits.
  private let output: String
  private var nodeNames = UniqueNames()
  private var valueNames: UniqueNames
  private var parameters: Set<CodeUnitKey> = []

  var nodes: [ONNXNode] = []
  private(set) var initializers: [ONNXInitializer] = []
  private(set) var inputs: [ONNXValue] = []
  private(set) var outputs: [ONNXValue] = []

  init(_ graph: Graph, _ stateDict: StateDict, _ options: ONNXOptions) throws {
    self.graph = graph
    self.stateDict = stateDict
    self.options = options
    if case .linear = graph.nodes[graph.output].operation { output = "logits" } else { output = "features" }
    valueNames = UniqueNames(graph.nodes.flatMap(\.operation.parameterNames) + [ONNXBuilder.input, output])
    try addNodes()
  }

  private mutating func addNodes() throws {
    let shapes = try options.shapes(of: graph)
    let (operators, outputNames) = (graph.operatorNames, graph.outputNames)
    var values: [String] = []
    for (index, node) in graph.nodes.enumerated() {
      guard node.operation != .input else {
        values.append(ONNXBuilder.input)
        continue
      }
      let name = nodeNames.name(operators[index])
      let value = index == graph.output ? output : valueNames.name(outputNames[index] ?? name)
      do throws(InputError) {
        try add(
          node.operation, node.inputs.map { ONNXOperand(value: values[$0], shape: shapes[$0]) }, name: name,
          output: value)
      } catch {
        throw InputError("\(quoted(name)) can't be exported: \(error.description)")
      }
      values.append(value)
    }
    if values[graph.output] != output {
      append(nodeNames.name("output"), "Identity", [values[graph.output]], output)
    }
    inputs = [ONNXValue(name: ONNXBuilder.input, shape: options.dimensions(shapes[0], isInput: true))]
    outputs = [ONNXValue(name: output, shape: options.dimensions(shapes[graph.output], isInput: false))]
  }

  // MARK: What operations add

  /// Adds an operator whose name and result's name are known to be its own.
  mutating func append(
    _ name: String, _ operatorName: String, _ inputs: [String], _ output: String,
    _ attributes: Attributes = []
  ) {
    nodes.append(
      ONNXNode(
        name: name, operatorName: operatorName, inputs: inputs, output: output, attributes: attributes))
  }

  /// Adds an operator on the way to an operation's result.
  ///
  /// - Returns: what its result is called.
  mutating func step(
    _ name: String, _ operatorName: String, _ inputs: [String], _ attributes: Attributes = []
  ) -> String {
    let output = valueNames.name(name)
    append(nodeNames.name(name), operatorName, inputs, output, attributes)
    return output
  }

  /// Makes sure that a parameter of this shape is among the constants.
  mutating func parameter(_ name: String, _ shape: [Int]) throws(InputError) {
    let tensor = try stateDict.parameter(name, shape: shape)
    guard parameters.insert(CodeUnitKey(name)).inserted else { return }
    do throws(CheckpointError) {
      initializers.append(ONNXInitializer(name: name, tensor: try tensor.inFloat32()))
    } catch {
      throw InputError(error.forTensor(name).description)
    }
  }

  /// Adds a constant list of whole numbers.
  ///
  /// - Returns: what it is called.
  mutating func constant(_ name: String, _ numbers: [Int]) -> String {
    constant(name, .int64, [numbers.count], numbers.map { UInt64(bitPattern: Int64($0)) })
  }

  /// Adds a constant tensor.
  ///
  /// - Returns: what it is called.
  mutating func constant(_ name: String, _ shape: [Int], _ values: [Float]) -> String {
    constant(name, .float32, shape, values.map { UInt64($0.bitPattern) })
  }

  private mutating func constant(_ name: String, _ dtype: DType, _ shape: [Int], _ elements: [UInt64])
    -> String
  {
    let name = valueNames.name(name)
    let bytes = elements.flatMap { bits in
      (0..<dtype.size).map { UInt8(truncatingIfNeeded: bits >> UInt64(8 * $0)) }
    }
    // As many bytes as the shape needs, so that there is such a tensor.
    if let tensor = try? Tensor(dtype: dtype, shape: shape, storage: Storage(Bytes(bytes))) {
      initializers.append(ONNXInitializer(name: name, tensor: tensor))
    }
    return name
  }
}

extension Tensor {
  /// The tensor in float32, which the model computes in; converted when the elements are asked for.
  fileprivate func inFloat32() throws(CheckpointError) -> Tensor {
    if dtype == .float32, layout == .strided { return self }
    guard dtype.isFloatingPoint, layout != .meta else {
      throw CheckpointError(.notRepresentable, "is \(dtype), which is not converted to float32.")
    }
    if layout == .strided, byteCount <= storage.byteCount { return try converted(to: .float32) }
    let source = self
    return try Tensor(shape: shape, origin: storage.origin) { () throws(CheckpointError) in
      try source.floats()
    }
  }
}

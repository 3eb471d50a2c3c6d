// A network without its BatchNorms: each that follows a convolution becomes part of the convolution's weight and
// bias, for files that are smaller and need no such step (Jacob et al. 2017, arXiv 1712.05877, section 3.2).
//
//   γ · (w ∗ x + b − μ) / √(σ² + ε) + β  =  (s · w) ∗ x + (b − μ) · s + β      with s = γ / √(σ² + ε)

public import Checkpoints
public import NN

extension Graph {
  /// The network with every BatchNorm that directly follows a convolution folded into it.
  ///
  /// Convolutions keep the names of their weights. Those without bias get one, called as the weight with `bias` in the place
  /// of `weight`. BatchNorms that follow something else stay.
  ///
  /// - Parameter stateDict: the parameters.
  /// - Returns: the network, and its parameters in the order of `stateDict`; those that are changed are float32, computed
  ///   in double precision. What no operation takes, such as `num_batches_tracked`, is left out.
  /// - Throws: `InputError` for a parameter that is missing or has another shape, `CheckpointError` for one that can't
  ///   be read.
  public func foldingBatchNorm(_ stateDict: StateDict) throws -> (graph: Graph, stateDict: StateDict) {
    let folds = folds
    var convolutions: [CodeUnitKey: Convolution] = [:]
    var newNodes: [Node] = []
    // Where each node's result comes from in the new graph.
    var places: [Int] = []
    for node in nodes {
      var operation = node.operation
      switch operation {
      case .conv2d(let convolution) where folds[CodeUnitKey(convolution.weight)] != nil:
        operation = .conv2d(convolution.withBias)
        convolutions[CodeUnitKey(convolution.weight)] = convolution
      case .batchNorm2d(let norm):
        if let convolution = nodes[node.inputs[0]].operation.convolution,
          folds[CodeUnitKey(convolution.weight)] == norm
        {
          places.append(places[node.inputs[0]])
          continue
        }
      default: break
      }
      places.append(newNodes.count)
      newNodes.append(
        Node(operation: operation, inputs: node.inputs.map { places[$0] }, module: node.module))
    }
    let graph = Graph(nodes: newNodes, output: places[output], names: names.mapValues { places[$0] })

    let needed = Set(newNodes.flatMap(\.operation.parameterNames).map(CodeUnitKey.init))
    var result = StateDict()
    for (name, tensor) in stateDict where needed.contains(CodeUnitKey(name)) {
      guard let convolution = convolutions[CodeUnitKey(name)], let norm = folds[CodeUnitKey(name)] else {
        // A bias may be there already, with a norm in it.
        if result[name] == nil { try result.append(name, tensor) }
        continue
      }
      let (weight, bias) = try convolution.folding(norm, stateDict)
      result.update(name, weight)
      if let name = convolution.withBias.bias { result.update(name, bias) }
    }
    return (graph, result)
  }

  /// The BatchNorms to fold, by the names of the weights that take them in.
  private var folds: [CodeUnitKey: BatchNormalization] {
    let consumers = consumers
    // For each weight what follows its convolutions, which may be several.
    var followers: [CodeUnitKey: [BatchNormalization?]] = [:]
    for (index, node) in nodes.enumerated() {
      guard let convolution = node.operation.convolution else { continue }
      var norm: BatchNormalization?
      if index != output, consumers[index].count == 1 {
        norm = nodes[consumers[index][0]].operation.batchNormalization
      }
      followers[CodeUnitKey(convolution.weight), default: []].append(norm)
    }
    return followers.compactMapValues { norms in
      norms.allSatisfy { $0 == norms[0] } ? norms[0] : nil
    }
  }
}

extension Operation {
  fileprivate var convolution: Convolution? {
    if case .conv2d(let convolution) = self { convolution } else { nil }
  }

  fileprivate var batchNormalization: BatchNormalization? {
    if case .batchNorm2d(let norm) = self { norm } else { nil }
  }
}

extension Convolution {
  /// The same with a bias, whose name follows the weight's where there was none.
  fileprivate var withBias: Convolution {
    let path = weight.droppingSuffix(".weight").map { $0 + "." } ?? weight + "."
    return Convolution(
      weight: weight, bias: bias ?? path + "bias", inChannels: inChannels, outChannels: outChannels,
      window: window, groups: groups)
  }

  /// The weight and the bias with a norm in them, rounded once; computed when they are asked for.
  fileprivate func folding(
    _ norm: BatchNormalization, _ stateDict: StateDict
  ) throws -> (weight: Tensor, bias: Tensor) {
    try checkGroups()
    let (name, bias) = (weight, bias)
    let weight = try stateDict.parameter(
      name, shape: [outChannels, inChannels / groups, window.kernel, window.kernel])
    for name in Operation.batchNorm2d(norm).parameterNames + (bias.map { [$0] } ?? []) {
      _ = try stateDict.parameter(name, shape: [outChannels])
    }
    let size = weight.shape.dropFirst().reduce(1, *)
    return (
      try Tensor(shape: weight.shape, origin: weight.storage.origin) { () throws(CheckpointError) in
        let scale = try NormFactors(norm, stateDict).scale
        return try stateDict.parameter(name).enumerated().map { index, value in
          Float(Double(value) * scale[index / size])
        }
      },
      try Tensor(shape: [outChannels], origin: weight.storage.origin) { () throws(CheckpointError) in
        let factors = try NormFactors(norm, stateDict)
        guard let bias else { return factors.shift.map { Float($0) } }
        return try zip(stateDict.parameter(bias), zip(factors.scale, factors.shift)).map { bias, factors in
          Float(Double(bias) * factors.0 + factors.1)
        }
      }
    )
  }
}

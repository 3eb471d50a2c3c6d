// BatchNorm goes into the convolution that it follows, and nowhere else.

import Checkpoints
import Inference
import NN
import TestSupport
import Testing

@Suite struct FoldingTests: ComparesWithOracle {
  /// Compares the folded network with the network itself, in double precision.
  private func fold(
    _ model: Model<Network>, _ input: Tensor, _ what: String
  ) throws -> (graph: Graph, stateDict: StateDict) {
    let folded = try model.graph.foldingBatchNorm(model.stateDict)
    let expected = try ReferenceInterpreter(model.graph, model.stateDict).run(input)[model.graph.output]
    let actual = try ReferenceInterpreter(folded.graph, folded.stateDict).run(input)[folded.graph.output]
    let difference = difference(
      actual.values.map { Float($0) }, expected.values.map { Float($0) }, tolerance: 1e-6)
    #expect(difference == nil, "\(what): \(difference ?? "")")
    #expect(Set(folded.stateDict.names) == Set(folded.graph.nodes.flatMap(\.operation.parameterNames)))
    return folded
  }

  private func norms(_ graph: Graph) -> Int {
    graph.nodes.count { if case .batchNorm2d = $0.operation { true } else { false } }
  }

  @Test(arguments: [1, 2, 4], [false, true]) func convolutionsTakeTheirNorm(_ groups: Int, _ bias: Bool)
    throws
  {
    var random = SplitMix64(state: UInt64(groups))
    var model = Model { scope in
      let conv = Conv2d(scope["conv"], 4, 8, kernel: 3, stride: 2, padding: 1, groups: groups, bias: bias)
      let bn = BatchNorm2d(scope["bn"], 8, eps: 1e-3)
      return Network { relu(bn(conv($0))) }
    }
    try randomize(&model, &random)
    let folded = try fold(model, self.random([2, 4, 9, 7], &random), "\(groups) groups, bias \(bias)")
    #expect(folded.stateDict.names == ["conv.weight", "conv.bias"])
    #expect(folded.graph.nodes.map(\.operation).count == 3 && norms(folded.graph) == 0)
    #expect(folded.graph.names == ["conv": 1, "bn": 1])
  }

  @Test func otherNormsStay() throws {
    var random = SplitMix64(state: 3)
    var model = Model { scope in
      let (first, last) = (BatchNorm2d(scope["first"], 3), BatchNorm2d(scope["last"], 6))
      let (conv, norm) = (Conv2d(scope["conv"], 3, 6, kernel: 1), BatchNorm2d(scope["norm"], 6))
      // The convolution's own result is needed too.
      return Network { x in
        let y = conv(first(x))
        return last(y + norm(y))
      }
    }
    try randomize(&model, &random)
    let folded = try fold(model, self.random([1, 3, 5, 4], &random), "other norms")
    #expect(norms(folded.graph) == 3)
    #expect(folded.stateDict.names == model.stateDict.names.filter { !$0.hasSuffix("num_batches_tracked") })
  }

  @Test func weightsThatAreUsedTwiceTakeOneNormOnly() throws {
    var random = SplitMix64(state: 4)
    for isShared in [true, false] {
      var model = Model { scope in
        let conv = Conv2d(scope["conv"], 3, 3, kernel: 3, padding: 1, bias: false)
        let (a, b) = (BatchNorm2d(scope["a"], 3), BatchNorm2d(scope["b"], 3))
        return Network { x in relu(a(conv(x))) + (isShared ? a : b)(conv(relu(x))) }
      }
      try randomize(&model, &random)
      let folded = try fold(model, self.random([1, 3, 5, 4], &random), "shared \(isShared)")
      #expect(norms(folded.graph) == (isShared ? 0 : 2))
    }
  }

  @Test func aConvolutionThatIsTheOutputKeepsItsResult() throws {
    var random = SplitMix64(state: 5)
    var model = Model { scope in
      let (conv, bn) = (Conv2d(scope["conv"], 3, 3, kernel: 1), BatchNorm2d(scope["bn"], 3))
      return Network { x in
        let y = conv(x)
        _ = bn(y)
        return y
      }
    }
    try randomize(&model, &random)
    #expect(norms(try fold(model, self.random([1, 3, 5, 4], &random), "output").graph) == 1)
  }

  @Test func parametersHaveToFit() throws {
    let model = Model { scope in
      let (conv, bn) = (Conv2d(scope["conv"], 3, 4, kernel: 1), BatchNorm2d(scope["bn"], 4))
      return Network { bn(conv($0)) }
    }
    for name in ["conv.weight", "conv.bias", "bn.weight", "bn.running_var"] {
      var stateDict = model.stateDict
      stateDict.update(name, try Tensor(shape: [2], [1, 1]))
      let error = #expect(throws: InputError.self) { try model.graph.foldingBatchNorm(stateDict) }
      #expect(error?.description.contains("\"\(name)\" has shape [2]") == true)
    }
  }
}

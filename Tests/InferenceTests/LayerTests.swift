// Pooling, normalisation, gates and shortcuts give what the reference interpreter gives, alone and with
// what plans fuse with them.

import Checkpoints
import Inference
import NN
import TestSupport
import Testing

@Suite struct LayerTests: ComparesWithOracle {
  private func pick<Element>(_ choices: [Element], _ random: inout SplitMix64) -> Element {
    choices[Int(random.next() % UInt64(choices.count))]
  }

  /// A shape of odd sizes, with channels that fill no vector or more than one.
  private func shape(_ random: inout SplitMix64, channels: [Int] = [1, 3, 8, 17, 40], smallest: Int = 1)
    -> [Int]
  {
    let sizes = [0, 1, 2, 5, 8, 13, 22].map { $0 + smallest }
    return [
      pick([1, 1, 2, 3, 5], &random), pick(channels, &random), pick(sizes, &random), pick(sizes, &random),
    ]
  }

  @Test(arguments: 0..<250) func pooling(_ seed: Int) throws {
    var random = SplitMix64(state: UInt64(seed))
    let kernel = pick([1, 2, 2, 3, 3, 5], &random)
    let (stride, padding) = (pick([1, 2, 2, 3], &random), pick([0, kernel / 2], &random))
    let (ceilMode, include) = (pick([false, true], &random), pick([false, true], &random))
    let layers: [(String, (Scope) -> any Module, smallest: Int)] = [
      (
        "max",
        { MaxPool2d($0, kernel: kernel, stride: stride, padding: padding, ceilMode: ceilMode) }, kernel
      ),
      (
        "average",
        {
          AvgPool2d(
            $0, kernel: kernel, stride: stride, padding: padding, ceilMode: ceilMode, countIncludePad: include
          )
        }, kernel
      ),
      ("same", { AvgPool2dSame($0, kernel: kernel, stride: stride) }, 1),
      ("blur", { BlurPool2d($0, stride: stride) }, 3),
      ("adaptive", { AdaptiveAvgPool2d($0, (kernel, stride)) }, 1),
      ("squeeze", { AdaptiveAvgPool2d($0) }, 1),
    ]
    let (name, make, smallest) = layers[seed % layers.count]
    let rectified = pick([false, true], &random)
    let shape = shape(&random, smallest: smallest)
    let model = Model { scope in
      let pool = make(scope["pool"])
      return Network { x in pool(rectified ? relu(x) : x) }
    }
    try check(
      model, self.random(shape, &random),
      "\(name) of \(shape), kernel \(kernel), stride \(stride), padding \(padding), ceil \(ceilMode), "
        + "include \(include), relu \(rectified)", [(nil, 1e-6)])
  }

  @Test(arguments: 0..<60) func paddedShortcut(_ seed: Int) throws {
    var random = SplitMix64(state: UInt64(seed))
    let shape = shape(&random)
    let (stride, added) = (pick([1, 2, 3], &random), pick([0, 1, 2, 7, shape[1]], &random))
    var model = Model { scope in
      let conv = Conv2d(
        scope["conv"], shape[1], shape[1] + added, kernel: 3, stride: stride, padding: 1, bias: false)
      let bn = BatchNorm2d(scope["bn"], shape[1] + added)
      let shortcut = PaddedShortcut(
        scope["shortcut"], stride: stride, inChannels: shape[1], outChannels: shape[1] + added)
      return Network { x in relu(bn(conv(x)) + shortcut(x)) }
    }
    try randomize(&model, &random)
    try check(
      model, self.random(shape, &random), "\(shape), stride \(stride), \(added) channels more",
      [(.im2col, 2e-6)], magnitude: 1)
  }

  /// What may follow a layer, and what it is added to.
  private enum Tail: CaseIterable {
    case nothing, rectify, addInput, addInputAndRectify, addBranchAndRectify, addItself
  }

  /// `layer` on a convolution's result or on the input itself, with a tail.
  private func network(
    _ scope: Scope, _ tail: Tail, channels: Int, afterConvolution: Bool, _ layer: any Module
  ) -> Network {
    let conv = Conv2d(scope["conv"], channels, channels, kernel: 1, bias: false)
    let bn = BatchNorm2d(scope["bn"], channels)
    let branch = Conv2d(scope["branch"], channels, channels, kernel: 1)
    return Network { x in
      let y = afterConvolution ? bn(conv(x)) : x
      switch tail {
      case .nothing: return layer(y)
      case .rectify: return relu(layer(y))
      case .addInput: return layer(y) + x
      case .addInputAndRectify: return relu(layer(y) + x)
      case .addBranchAndRectify: return relu(branch(x) + layer(y))
      case .addItself: return relu(layer(y) + y)
      }
    }
  }

  @Test(arguments: 0..<200) func gates(_ seed: Int) throws {
    var random = SplitMix64(state: UInt64(seed))
    let shape = shape(&random)
    let (tail, afterConvolution) = (pick(Tail.allCases, &random), pick([false, true], &random))
    let (reduced, kernel) = (pick([1, 4, 9], &random), pick([1, 3, 5, 9], &random))
    var model = Model { scope in
      let gate: any Module =
        seed.isMultiple(of: 2)
        ? SqueezeExcitation(scope["gate"], shape[1], reduced: reduced)
        : EfficientChannelAttention(scope["gate"], kernel: kernel)
      return network(scope, tail, channels: shape[1], afterConvolution: afterConvolution, gate)
    }
    try randomize(&model, &random)
    try check(
      model, self.random(shape, &random),
      "\(shape), \(seed.isMultiple(of: 2) ? "SE \(reduced)" : "ECA \(kernel)"), \(tail), "
        + "after a convolution \(afterConvolution)", [(nil, 2e-6)], magnitude: 1)
  }

  @Test(arguments: 0..<200) func groupNorm(_ seed: Int) throws {
    var random = SplitMix64(state: UInt64(seed))
    let groups = pick([1, 2, 3, 8], &random)
    let shape = shape(&random, channels: [1, 2, 4, 9].map { $0 * groups })
    let (tail, afterConvolution) = (pick(Tail.allCases, &random), pick([false, true], &random))
    var model = Model { scope in
      let norm = GroupNorm(scope["norm"], shape[1], groups: groups, eps: 1e-3)
      return network(scope, tail, channels: shape[1], afterConvolution: afterConvolution, norm)
    }
    try randomize(&model, &random)
    try check(
      model, self.random(shape, &random),
      "\(shape), \(groups) groups, \(tail), after a convolution \(afterConvolution)", [(nil, 2e-6)],
      magnitude: 1)
  }

  /// Images so large that sums in single precision alone would be off in the fifth digit, with means that are
  /// large beside the deviation.
  @Test(arguments: [1, 2]) func statisticsOfLargeImagesAreExact(_ threads: Int) throws {
    var random = SplitMix64(state: 12)
    var model = Model { scope in
      let (pool, norm) = (AdaptiveAvgPool2d(scope["pool"]), GroupNorm(scope["norm"], 6, groups: 2))
      return Network { x in pool(x) + pool(norm(x)) }
    }
    try randomize(&model, &random)
    model.threadCount = threads
    let shape = [2, 6, 301, 407]
    let input = try Tensor(shape: shape, (0..<shape.reduce(1, *)).map { _ in Float(300 + random.normal()) })
    let expected = try ReferenceInterpreter(model.graph, model.stateDict).run(input)
    for (path, output) in zip(["pool", "norm"], try model.outputs(input, at: ["pool", "norm"])) {
      // The pooling that is called last has the name.
      let node = try #require(model.graph.names[path])
      let difference = try difference(
        output.floats(), expected[node].values.map { Float($0) }, tolerance: path == "pool" ? 1e-6 : 2e-6)
      #expect(difference == nil, "\(path): \(difference ?? "")")
    }
  }

  /// A network of bottlenecks with gates, on images so large that a batch goes through it in chunks.
  @Test(arguments: [1, 2]) func gatesStayInTheChunkOfTheirBlock(_ threads: Int) throws {
    var random = SplitMix64(state: 13)
    var model = Model { scope in
      let stem = Conv2d(scope["stem"], 3, 16, kernel: 3, stride: 2, padding: 1)
      let (a, b) = (Conv2d(scope["a"], 16, 16, kernel: 1), Conv2d(scope["b"], 16, 16, kernel: 1))
      let se = SqueezeExcitation(scope["se"], 16, reduced: 4)
      let eca = EfficientChannelAttention(scope["eca"], kernel: 3)
      let (norm, pool) = (GroupNorm(scope["norm"], 16, groups: 4), BlurPool2d(scope["pool"]))
      let (mean, fc) = (AdaptiveAvgPool2d(scope["mean"]), Linear(scope["fc"], 16, 5))
      return Network { x in
        let first = relu(stem(x))
        let second = relu(se(a(first)) + first)
        let third = relu(eca(norm(b(second))) + second)
        return fc(flatten(mean(pool(third))))
      }
    }
    try randomize(&model, &random)
    model.threadCount = threads
    let (images, size) = (5, [3, 700, 500])
    let input = try self.random([images] + size, &random)
    let profile = try model.profile(input, repetitions: 1)
    // One segment from the first block to the last, whose chunk is smaller than the batch.
    let block = try #require(profile.firstIndex { $0.name == "a" })
    let end = try #require(profile.firstIndex { $0.name == "pool" })
    #expect(Set(profile[block..<end].map(\.images)).count == 1, "\(profile.map { ($0.name, $0.images) })")
    #expect(profile[block].images < images)

    let whole = try model(input).floats()
    let values = try input.floats()
    let count = size.reduce(1, *)
    for image in 0..<images {
      let single = try Tensor(shape: [1] + size, [Float](values[image * count..<(image + 1) * count]))
      let expected = try model(single).floats()
      let difference = difference([Float](whole[image * 5..<(image + 1) * 5]), expected, tolerance: 2e-6)
      #expect(difference == nil, "image \(image): \(difference ?? "")")
    }
    let again = try model(input).floats()
    #expect(again == whole, "the same bits from run to run")
  }

  @Test func wantedOutputsOfGatesAndNormsAreNotFusedAway() throws {
    var random = SplitMix64(state: 14)
    var model = Model { scope in
      let conv = Conv2d(scope["conv"], 6, 6, kernel: 3, padding: 1)
      let (norm, se) = (GroupNorm(scope["norm"], 6, groups: 3), SqueezeExcitation(scope["se"], 6, reduced: 2))
      let (same, act) = (Identity(scope["same"]), ReLU(scope["act"]))
      return Network { x in act(se(norm(conv(x))) + same(x)) }
    }
    try randomize(&model, &random)
    let input = try self.random([2, 6, 9, 7], &random)
    let expected = try ReferenceInterpreter(model.graph, model.stateDict).run(input)
    let paths = ["conv", "norm", "se", "same", "act", "se.fc1"]
    for wanted in paths.map({ [$0] }) + [paths] {
      for (path, output) in zip(wanted, try model.outputs(input, at: wanted)) {
        let node = try #require(model.graph.names[path])
        let difference = try difference(
          output.floats(), expected[node].values.map { Float($0) }, tolerance: 4e-6)
        #expect(difference == nil, "\(path) of \(wanted): \(difference ?? "")")
      }
    }
  }

  @Test func sigmoidHasPyTorchsLimits() throws {
    let model = Model { scope in
      let layer = Sigmoid(scope["layer"])
      return Network { layer($0) }
    }
    let values: [Float] = [0, .infinity, -.infinity, .nan, 200, -200, 1]
    let output = try model(Tensor(shape: [1, 1, 1, 7], values)).floats()
    #expect(output[0] == 0.5 && output[1] == 1 && output[2] == 0 && output[3].isNaN)
    #expect(output[4] == 1 && output[5] == 0 && abs(output[6] - 0.7310586) < 1e-7)
  }

  @Test func whatDoesNotFitIsAnError() throws {
    let cases: [(String, [Int], @Sendable (Scope) -> any Module)] = [
      ("reflected", [1, 3, 1, 8], { BlurPool2d($0) }),
      ("reflected", [1, 3, 8, 2], { BlurPool2d($0, stride: 3) }),
      ("groups", [1, 6, 2, 2], { GroupNorm($0, 6, groups: 4) }),
      ("groups", [1, 6, 2, 2], { GroupNorm($0, 6, groups: 0) }),
      ("[N, 6, H, W]", [1, 5, 2, 2], { GroupNorm($0, 6, groups: 3) }),
      ("[N, 6, H, W]", [1, 5, 2, 2], { SqueezeExcitation($0, 6, reduced: 2) }),
      ("odd", [1, 6, 2, 2], { EfficientChannelAttention($0, kernel: 4) }),
      ("zeros", [1, 6, 2, 2], { PaddedShortcut($0, stride: 2, inChannels: 6, outChannels: 4) }),
      ("[N, 6, H, W]", [1, 5, 2, 2], { PaddedShortcut($0, stride: 2, inChannels: 6, outChannels: 8) }),
      ("smaller", [1, 6, 2, 2], { AvgPool2d($0, kernel: 3) }),
      ("smaller", [1, 6, 2, 2], { MaxPool2d($0, kernel: 5, stride: 2, ceilMode: true) }),
      ("4 groups", [1, 6, 9, 9], { Conv2d($0, 6, 8, kernel: 1, groups: 4) }),
      ("4 groups", [1, 8, 9, 9], { Conv2d($0, 8, 6, kernel: 1, groups: 4) }),
      ("0 groups", [1, 8, 9, 9], { Conv2d($0, 8, 6, kernel: 1, groups: 0) }),
      ("dilation", [1, 6, 9, 9], { Conv2d($0, 6, 6, kernel: 3, dilation: 0, groups: 6) }),
      ("stride", [1, 6, 9, 9], { Conv2d($0, 6, 6, kernel: 3, stride: 0) }),
      ("padding", [1, 6, 9, 9], { Conv2d($0, 6, 6, kernel: 3, padding: -1) }),
      ("half", [1, 6, 9, 9], { AvgPool2d($0, kernel: 3, padding: 2, countIncludePad: false) }),
    ]
    for (text, shape, make) in cases {
      let model = Model { scope in
        let layer = make(scope["layer"])
        return Network { layer($0) }
      }
      let input = try Tensor(shape: shape, [Float](repeating: 0, count: shape.reduce(1, *)))
      let error = #expect(throws: InputError.self) { try model(input) }
      #expect(error?.description.contains(text) == true, "\(error?.description ?? "")")
    }
    let product = Model { _ in Network { x in x * x } }
    let error = #expect(throws: InputError.self) {
      try product(Tensor(shape: [1, 2, 1, 3], [Float](repeating: 1, count: 6)))
    }
    #expect(error?.description.contains("gate") == true)
  }
}

// Plans give what the reference interpreter gives, for layers of every shape, and always the same.

import Checkpoints
import Inference
import NN
import TestSupport
import Testing

@Suite struct PlanTests: ComparesWithOracle {
  @Test(arguments: 0..<300) func randomConvolutionsMatchTheOracle(_ seed: Int) throws {
    var random = SplitMix64(state: UInt64(seed))
    func pick(_ choices: [Int]) -> Int { choices[Int(random.next() % UInt64(choices.count))] }
    let kernel = pick([1, 1, 2, 3, 3, 3, 3, 5, 7])
    let dilation = pick([1, 1, 1, 2])
    let stride = pick([1, 1, 2, 3])
    let padding = pick([0, kernel / 2, kernel])
    let groups = pick([1, 1, 1, 2, 4])
    let (inputs, outputs) = (groups * pick([1, 2, 3, 8, 17, 40]), groups * pick([1, 2, 5, 16, 70]))
    let smallest = max(1, dilation * (kernel - 1) + 1 - 2 * padding)
    let shape = [
      pick([1, 1, 2, 5]), inputs, smallest + pick([0, 1, 6, 13, 30]), smallest + pick([0, 2, 5, 20]),
    ]
    let (norm, residual, rectify, bias) = (pick([0, 1]), pick([0, 1]), pick([0, 1]), pick([0, 1]))

    var model = Model { scope in
      let conv = Conv2d(
        scope["conv"], inputs, outputs, kernel: kernel, stride: stride, padding: padding, dilation: dilation,
        groups: groups, bias: bias == 1)
      let other = Conv2d(
        scope["other"], inputs, outputs, kernel: kernel, stride: stride, padding: padding, dilation: dilation,
        groups: groups)
      let bn = BatchNorm2d(scope["bn"], outputs)
      return Network { x in
        var y = conv(x)
        if norm == 1 { y = bn(y) }
        if residual == 1 { y = y + other(x) }
        return rectify == 1 ? relu(y) : y
      }
    }
    try randomize(&model, &random)
    try check(
      model, self.random(shape, &random),
      "\(shape), kernel \(kernel), stride \(stride), padding \(padding), dilation \(dilation), groups \(groups), "
        + "outputs \(outputs), norm \(norm), residual \(residual), relu \(rectify), bias \(bias)")
  }

  /// Convolutions of a group for each channel, with one or several outputs, under every activation.
  @Test(arguments: 0..<200) func depthwiseConvolutionsMatchTheOracle(_ seed: Int) throws {
    var random = SplitMix64(state: UInt64(1000 + seed))
    func pick(_ choices: [Int]) -> Int { choices[Int(random.next() % UInt64(choices.count))] }
    let kernel = pick([1, 2, 3, 3, 3, 5, 7])
    let (stride, dilation) = (pick([1, 1, 2, 3]), pick([1, 1, 1, 2, 3]))
    let padding = pick([0, kernel / 2, kernel, 2 * kernel])
    let (channels, outputsOfChannel) = (pick([1, 2, 3, 8, 17, 24, 32, 40]), pick([1, 1, 1, 2, 3]))
    let smallest = max(1, dilation * (kernel - 1) + 1 - 2 * padding)
    let shape = [
      pick([1, 1, 2, 5]), channels, smallest + pick([0, 1, 6, 13, 30]), smallest + pick([0, 2, 5, 20]),
    ]
    let (norm, residual, activation, bias) = (pick([0, 1]), pick([0, 1]), pick([0, 1, 2]), pick([0, 1]))

    var model = Model { scope in
      func make(_ name: String, bias: Bool) -> Conv2d {
        Conv2d(
          scope[name], channels, channels * outputsOfChannel, kernel: kernel, stride: stride,
          padding: padding,
          dilation: dilation, groups: channels, bias: bias)
      }
      let (conv, other) = (make("conv", bias: bias == 1), make("other", bias: true))
      let bn = BatchNorm2d(scope["bn"], channels * outputsOfChannel)
      return Network { x in
        var y = conv(x)
        if norm == 1 { y = bn(y) }
        if residual == 1 { y = y + other(x) }
        return activation == 0 ? y : activation == 1 ? relu(y) : relu6(y + y)
      }
    }
    try randomize(&model, &random)
    try check(
      model, self.random(shape, &random),
      "\(shape), kernel \(kernel), stride \(stride), padding \(padding), dilation \(dilation), "
        + "\(outputsOfChannel) outputs each, norm \(norm), residual \(residual), activation \(activation), "
        + "bias \(bias)",
      [(nil, 2e-6), (.im2col, 2e-6), (.depthwise, 2e-6)], magnitude: Double(6 * kernel))
  }

  /// ReLU6 alone and behind everything that takes it along, on values on either side of 6.
  @Test(arguments: [1, 7, 40]) func relu6IsFused(_ channels: Int) throws {
    var random = SplitMix64(state: UInt64(channels))
    let networks: [(String, (Scope) -> Network)] = [
      ("alone", { _ in Network { relu6($0) } }),
      (
        "1 × 1",
        { scope in
          let conv = Conv2d(scope["conv"], channels, 2 * channels + 1, kernel: 1)
          return Network { relu6(conv($0)) }
        }
      ),
      (
        "3 × 3 with residual",
        { scope in
          let conv = Conv2d(scope["conv"], channels, channels, kernel: 3, padding: 1)
          return Network { relu6(conv($0) + $0) }
        }
      ),
      (
        "norm and add",
        { scope in
          let norm = BatchNorm2d(scope["norm"], channels)
          return Network { relu6(relu6(norm($0)) + $0) }
        }
      ),
      (
        "group norm and gate",
        { scope in
          let norm = GroupNorm(scope["norm"], channels, groups: 1)
          let gate = SqueezeExcitation(scope["gate"], channels, reduced: 2)
          return Network { relu6(gate(relu6(norm($0) + $0)) + $0) }
        }
      ),
      (
        "linear",
        { scope in
          let fc = Linear(scope["fc"], channels * 9 * 9, 33)
          return Network { relu6(fc(flatten($0))) }
        }
      ),
    ]
    for (name, build) in networks {
      var model = Model(build)
      try randomize(&model, &random)
      let input = try Tensor(
        shape: [2, channels, 9, 9], (0..<2 * channels * 81).map { _ in Float(6 * random.normal()) })
      let expected = try ReferenceInterpreter(model.graph, model.stateDict).run(input)[model.graph.output]
      #expect(expected.values.contains(6) && expected.values.contains(0), "\(name) reaches both bounds")
      // What is cut off at 6 was larger.
      let magnitude = 20 * Double(channels).squareRoot()
      try check(model, input, name, [(nil, 2e-5), (.im2col, 2e-6), (.winograd4, 2e-5)], magnitude: magnitude)
    }
  }

  @Test(arguments: [
    [1, 1, 1], [1, 1, 7], [2, 33, 1], [3, 5, 4], [64, 9, 10], [1, 255, 257], [1, 1024, 768],
  ]) func everySizeMatchesTheOracle(_ size: [Int]) throws {
    var random = SplitMix64(state: 9)
    var model = Model { scope in
      let (first, second) = (
        Conv2d(scope["first"], 2, 5, kernel: 3, padding: 1),
        Conv2d(scope["second"], 5, 3, kernel: 3, stride: 2, padding: 1)
      )
      return Network { x in second(relu(first(x))) }
    }
    try randomize(&model, &random)
    try check(model, self.random([size[0], 2, size[1], size[2]], &random), "\(size)")
  }

  /// Images so large that a batch goes through the network in chunks: results on the way lie in
  /// buffers for a chunk or for the batch, and must be those of each image alone.
  @Test(arguments: [1, 2]) func chunksOfABatchGiveWhatEachImageGives(_ threads: Int) throws {
    var random = SplitMix64(state: 10)
    var model = Model { scope in
      let stem = Conv2d(scope["stem"], 3, 24, kernel: 3, padding: 1)
      let (block, norm) = (
        Conv2d(scope["block"], 24, 24, kernel: 3, padding: 1), BatchNorm2d(scope["norm"], 24)
      )
      let pool = MaxPool2d(scope["pool"], kernel: 3, stride: 2, padding: 1)
      let (narrow, last) = (
        Conv2d(scope["narrow"], 24, 8, kernel: 1), Conv2d(scope["last"], 8, 8, kernel: 3, stride: 4)
      )
      return Network { x in
        let wide = relu(stem(x))
        let y = pool(relu(norm(block(wide)) + wide))
        return last(narrow(y)) + last(narrow(y))
      }
    }
    try randomize(&model, &random)
    model.threadCount = threads
    let (images, size) = (5, [3, 400, 500])
    let input = try self.random([images] + size, &random)
    let chunks = Set(try model.profile(input, repetitions: 1).map(\.images))
    #expect(chunks.count > 1 && chunks.contains { $0 < images }, "\(chunks)")

    let all = try model.outputs(input, at: ["stem", "pool", "last"])
    let values = try input.floats()
    let count = size.reduce(1, *)
    for image in 0..<images {
      let single = try Tensor(shape: [1] + size, [Float](values[image * count..<(image + 1) * count]))
      for (path, (whole, alone)) in zip(
        ["stem", "pool", "last"], zip(all, try model.outputs(single, at: ["stem", "pool", "last"])))
      {
        let expected = try alone.floats()
        let actual = [Float](try whole.floats()[image * expected.count..<(image + 1) * expected.count])
        let difference = difference(actual, expected, tolerance: 2e-6)
        #expect(difference == nil, "image \(image), \(path): \(difference ?? "")")
      }
    }
  }

  /// Threads that take images of their own give what they give together, for shares of different sizes too.
  @Test(arguments: [8, 12, 17, 18]) func sharesOfABatchGiveWhatEachImageGives(_ images: Int) throws {
    var random = SplitMix64(state: UInt64(images))
    var model = Model { scope in
      let stem = Conv2d(scope["stem"], 3, 16, kernel: 7, stride: 2, padding: 3)
      let (block, norm) = (
        Conv2d(scope["block"], 16, 16, kernel: 3, padding: 1), BatchNorm2d(scope["norm"], 16)
      )
      let (pool, fc) = (AdaptiveAvgPool2d(scope["pool"]), Linear(scope["fc"], 16, 5))
      return Network { x in
        let wide = relu(stem(x))
        return fc(flatten(pool(relu(norm(block(wide)) + wide))))
      }
    }
    try randomize(&model, &random)
    let input = try self.random([images, 3, 21, 34], &random)
    try check(model, input, "\(images) images")
    model.threadCount = 2
    #expect(try model.profile(input, repetitions: 1)[0].images <= (images + 1) / 2, "a share at most")
    let stages = try model.outputs(input, at: ["stem", "fc"])
    #expect(stages.map(\.shape) == [[images, 16, 11, 17], [images, 5]])
    let memory = try model.memory(for: input.shape).workspace
    model.threadCount = 1
    #expect(
      try memory < 2 * model.memory(for: input.shape).workspace, "a share has room for its images alone")
  }

  @Test func aPassHasFourThreadsACPUAtMost() {
    var model = Model { _ in Network { $0 } }
    model.threadCount = .max
    #expect(model.threadCount == 4 * ThreadPool.availableCPUs)
  }

  @Test(arguments: [0, -3]) func aPassHasOneThreadAtLeast(_ threads: Int) throws {
    var random = SplitMix64(state: 4)
    var model = Model { scope in
      let conv = Conv2d(scope["conv"], 3, 16, kernel: 3)
      return Network { relu(conv($0)) }
    }
    try randomize(&model, &random)
    let input = try self.random([9, 3, 12, 13], &random)
    model.threadCount = 1
    let expected = try model(input).floats()
    model.threadCount = threads
    #expect(try model(input).floats() == expected)
    #expect(try model.memory(for: input.shape).workspace > 0)
  }

  @Test func sharesAreEvenOrNone() {
    for threads in 1...9 {
      for images in 0...200 {
        let shares = BatchShares(images: images, threads: threads)
        let ranges = (0..<shares.count).map { shares[$0] }
        #expect(ranges.flatMap { Array($0) } == Array(0..<images), "\(images) images, \(threads) threads")
        #expect(shares.count == 1 || shares.count == threads, "\(images) images, \(threads) threads")
        #expect(
          shares.count == 1 || shares.size >= 4 && (shares.size * threads - images) * 16 <= images,
          "\(images) images, \(threads) threads")
      }
    }
    #expect(BatchShares(images: 16, threads: 2).size == 8)
    #expect(BatchShares(images: 17, threads: 2).size == 9)
    #expect(BatchShares(images: 9, threads: 2).count == 1, "one of ten would be waited for")
    #expect(BatchShares(images: 6, threads: 2).count == 1)
  }

  @Test func theAlgorithmFollowsFromTheShape() throws {
    func algorithm(
      _ pixels: Int, _ channels: Int, kernel: Int = 3, stride: Int = 1, batch: Int = 1, groups: Int = 1,
      threads: Int = 1, _ accuracy: Accuracy = .standard
    ) throws -> String {
      var model = Model { scope in
        let conv = Conv2d(
          scope["conv"], channels, channels, kernel: kernel, stride: stride, padding: kernel / 2,
          groups: groups)
        return Network { conv($0) }
      }
      (model.accuracy, model.threadCount) = (accuracy, threads)
      var random = SplitMix64(state: 11)
      return try model.profile(self.random([batch, channels, pixels, pixels], &random), repetitions: 1)[0]
        .algorithm
    }
    #expect(try algorithm(28, 64, kernel: 1) == "direct")
    #expect(try algorithm(28, 64, kernel: 5) == "im2col")
    #expect(try algorithm(32, 4, kernel: 5) == "implicit")
    #expect(try algorithm(56, 64) == "winograd4")
    #expect(try algorithm(56, 64, .strict) == "winograd2")
    #expect(try algorithm(28, 128) == "winograd4")
    #expect(try algorithm(14, 256, .strict) == "winograd2")
    #expect(try algorithm(7, 512) == "winograd2", "4 tiles don't pay for 36 matrices")
    #expect(try algorithm(7, 512, batch: 16) == "winograd4")
    #expect(try algorithm(56, 128, stride: 2) == "winogradStrided2")
    #expect(try algorithm(28, 256, stride: 2, .strict) == "winogradStrided2", "is as exact as F(2×2)")
    #expect(try algorithm(14, 512, stride: 2) == "winogradStrided2")
    #expect(try algorithm(14, 512, stride: 2, threads: 2) == "im2col", "the threads share the memory's speed")
    #expect(try algorithm(56, 144, groups: 144) == "depthwise")
    #expect(try algorithm(56, 144, kernel: 5, groups: 144) == "depthwise")
    #expect(try algorithm(56, 128, groups: 32) != "depthwise", "4 channels a group")
  }

  @Test(arguments: [(1, 1), (7, 7), (9, 14), (15, 8)]) func poolingMatchesTheOracle(
    _ height: Int, _ width: Int
  ) throws {
    var random = SplitMix64(state: 5)
    let networks: [(Scope) -> any Module] = [
      { MaxPool2d($0["pool"], kernel: 3, stride: 2, padding: 1) },
      { AvgPool2d($0["pool"], kernel: 3, stride: 2, padding: 1) },
      { AdaptiveAvgPool2d($0["pool"]) }, { AdaptiveAvgPool2d($0["pool"], (3, 2)) },
    ]
    for (index, make) in networks.enumerated() {
      let model = Model { scope in
        let pool = make(scope)
        return Network { pool($0) }
      }
      try check(
        model, self.random([2, 5, height, width], &random), "pooling \(index) of \(height) × \(width)")
    }
  }

  @Test func stepsOfMoreThanAMillionTasksAreRun() throws {
    var model = Model { scope in
      let pool = MaxPool2d(scope["pool"], kernel: 1)
      return Network { pool($0) }
    }
    model.threadCount = 2
    let count = (1 << 20) + 3
    let values = (0..<count).map { Float($0) }
    let output = try model(Tensor(shape: [1, 1, count, 1], values)).floats()
    #expect(difference(output, values, tolerance: 0) == nil)
  }

  @Test func layersWithoutAConvolutionMatchTheOracle() throws {
    var random = SplitMix64(state: 6)
    var model = Model { scope in
      let (bn, fc) = (BatchNorm2d(scope["bn"], 3), Linear(scope["fc"], 3 * 4 * 5, 7))
      return Network { x in fc(flatten(relu(x + bn(relu(x))))) }
    }
    try randomize(&model, &random)
    try check(model, self.random([3, 3, 4, 5], &random), "affine, add, flatten, linear")
  }

  @Test func resultsAreTheSameBitsFromRunToRunAndFromManyThreadsAtOnce() async throws {
    var random = SplitMix64(state: 7)
    var model = Model { scope in
      let (a, b) = (Conv2d(scope["a"], 3, 40, kernel: 3, padding: 1), Conv2d(scope["b"], 40, 24, kernel: 3))
      return Network { x in relu(b(relu(a(x)))) }
    }
    try randomize(&model, &random)
    model.threadCount = 2
    let input = try self.random([2, 3, 41, 37], &random)
    let first = try model(input).contiguousBytes()
    let shared = model
    // Another model competes for the same threads.
    var other = model
    other.accuracy = .strict
    let competitor = other
    let second = try competitor(input).contiguousBytes()
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for _ in 0..<16 {
        group.addTask {
          for _ in 0..<20 {
            if try shared(input).contiguousBytes() != first { return false }
            if try competitor(input).contiguousBytes() != second { return false }
          }
          return true
        }
      }
      for try await same in group { #expect(same) }
    }
  }

  @Test func wantedOutputsAreNotFusedAway() throws {
    var random = SplitMix64(state: 8)
    var model = Model { scope in
      let (conv, bn) = (Conv2d(scope["conv"], 3, 4, kernel: 3), BatchNorm2d(scope["bn"], 4))
      return Network { x in relu(bn(conv(x))) }
    }
    try randomize(&model, &random)
    let input = try self.random([1, 3, 8, 9], &random)
    let expected = try ReferenceInterpreter(model.graph, model.stateDict).run(input)
    for (path, output) in zip(["conv", "bn"], try model.outputs(input, at: ["conv", "bn"])) {
      let node = try #require(model.graph.names[path])
      let difference = try difference(
        output.floats(), expected[node].values.map { Float($0) }, tolerance: 2e-6)
      #expect(difference == nil, "\(path): \(difference ?? "")")
    }
    let error = #expect(throws: InputError.self) { try model.outputs(input, at: ["pool"]) }
    #expect(error?.description.contains("\"pool\"") == true)
  }

  @Test func notANumberComesOutWherePyTorchHasIt() throws {
    let model = Model { scope in
      let pool = MaxPool2d(scope["pool"], kernel: 2)
      return Network { x in relu(pool(x)) }
    }
    let output = try model(Tensor(shape: [1, 1, 2, 4], [1, .nan, -1, -2, 3, 4, -.infinity, -5])).floats()
    #expect(output[0].isNaN && output[1] == 0)
  }

  /// Weights that the file has as bfloat16 take half the memory where they are multiplied as they are, and the
  /// BatchNorm behind them is exact.
  @Test func bfloat16WeightsStayThat() throws {
    var random = SplitMix64(state: 23)
    var model = Model { scope in
      let stem = Conv2d(scope["stem"], 3, 40, kernel: 5, stride: 2, padding: 2, bias: true)
      let (norm, conv) = (BatchNorm2d(scope["norm"], 40), Conv2d(scope["conv"], 40, 40, kernel: 1))
      let (wide, last) = (
        Conv2d(scope["wide"], 40, 24, kernel: 3, padding: 1, dilation: 2, groups: 1), scope["last"]
      )
      let (pool, linear) = (AdaptiveAvgPool2d(scope["pool"]), Linear(last, 24, 21))
      return Network { x in
        let y = relu(norm(stem(x)))
        return linear(flatten(pool(relu(wide(conv(y) + y)))))
      }
    }
    model.engine = .native
    try randomize(&model, &random)
    let shape = [2, 3, 19, 23]
    let floats = try model.memory(for: shape).weights
    var weights = StateDict()
    for (name, tensor) in model.stateDict {
      let isMatrix = name.hasSuffix(".weight") && tensor.shape.count > 1
      try weights.append(name, isMatrix ? tensor.converted(to: .bfloat16) : tensor)
    }
    try model.load(weights)
    #expect(try model.memory(for: shape).weights < floats * 7 / 10, "all but the stem take half")
    try check(
      model, self.random(shape, &random), "bfloat16",
      [(nil, 4e-6), (.direct, 4e-6), (.im2col, 4e-6), (.implicit, 4e-6)])
  }

  /// Groups of two channels are multiplied as one. What isn't finite must stay in its own; inside it, Winograd's
  /// algorithms spread it over a tile.
  @Test(arguments: [Float.nan, .infinity]) func whatIsNotFiniteStaysInItsGroup(_ value: Float) throws {
    var random = SplitMix64(state: 21)
    for (kernel, stride) in [(3, 1), (3, 2), (1, 1)] {
      var model = Model { scope in
        let conv = Conv2d(
          scope["conv"], 16, 32, kernel: kernel, stride: stride, padding: kernel / 2, groups: 8)
        return Network { conv($0) }
      }
      try randomize(&model, &random)
      var values = try self.random([1, 16, 9, 9], &random).floats()
      values[5 * 81 + 4 * 9 + 4] = value
      let input = try Tensor(shape: [1, 16, 9, 9], values)
      let expected = try ReferenceInterpreter(model.graph, model.stateDict).run(input)[model.graph.output]
      let outputs = expected.values.count / 32
      let isFinite = expected.values.map(\.isFinite)
      #expect(isFinite.contains(false) && isFinite[..<(8 * outputs)].allSatisfy { $0 })
      for engine in MatrixEngine.allCases {
        for algorithm in ConvolutionAlgorithm.allCases where algorithm != .depthwise {
          var model = model
          (model.engine, model.algorithm, model.threadCount) = (engine, algorithm, 2)
          let actual = try model(input).floats()
          let what = "\(value), \(kernel) × \(kernel), stride \(stride), \(engine), \(algorithm)"
          for (place, value) in actual.enumerated() {
            let isInGroup = (8 * outputs..<12 * outputs).contains(place)
            if isFinite[place], !isInGroup || value.isFinite {
              let error = abs(Double(value) - expected.values[place])
              #expect(error < 1e-4, "\(what): \(value) at \(place)")
            } else {
              #expect(isInGroup && !value.isFinite, "\(what): \(value) at \(place)")
            }
          }
        }
      }
    }
  }

  @Test func inputsThatDoNotFitAreErrors() throws {
    let model = Model { scope in
      let conv = Conv2d(scope["conv"], 3, 4, kernel: 5)
      return Network { conv($0) }
    }
    for shape in [[1, 4, 8, 8], [3, 8, 8], [1, 3, 4, 9], [0, 3, 8, 8]] {
      let input = try Tensor(shape: shape, [Float](repeating: 0, count: shape.reduce(1, *)))
      let error = #expect(throws: InputError.self) { try model(input) }
      #expect(error?.description.contains("\(shape)") == true)
    }
    let doubles = try Tensor(
      dtype: .float64, shape: [1, 3, 8, 8], storage: Storage(Bytes([UInt8](repeating: 0, count: 1536))))
    #expect(throws: InputError.self) { try model(doubles) }
  }
}

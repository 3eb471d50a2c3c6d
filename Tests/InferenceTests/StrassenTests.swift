// 1×1 convolutions by Strassen's algorithm give what the definition gives, for every cut into halves.

import Checkpoints
import Inference
import NN
import TestSupport
import Testing

@Suite struct StrassenTests: ComparesWithOracle {
  /// A 1×1 convolution with BatchNorm, and what is added to it.
  private func model(
    _ inputs: Int, _ outputs: Int, stride: Int = 1, hasResidual: Bool = false, _ random: inout SplitMix64
  ) throws -> Model<Network> {
    var model = Model { scope in
      let conv = Conv2d(scope["conv"], inputs, outputs, kernel: 1, stride: stride, bias: !hasResidual)
      let (norm, other) = (
        BatchNorm2d(scope["norm"], outputs),
        Conv2d(scope["other"], inputs, outputs, kernel: 1, stride: stride)
      )
      return Network { x in hasResidual ? relu(norm(conv(x)) + other(x)) : relu(norm(conv(x))) }
    }
    try randomize(&model, &random)
    return model
  }

  /// Single pixels, halves of different sizes, several blocks, channels that end inside a vector, and more of them than a
  /// product takes at once.
  @Test(arguments: [
    (1, 1, 2, 1), (1, 3, 34, 1), (1, 7, 64, 2), (1, 8, 30, 1), (2, 15, 66, 1), (1, 9, 1100, 1),
    (1, 14, 128, 1),
    (5, 7, 98, 1), (1, 31, 6, 2), (3, 33, 16, 2),
  ]) func matchesTheOracle(_ images: Int, _ size: Int, _ inputs: Int, _ stride: Int) throws {
    var random = SplitMix64(state: UInt64(images * size + inputs))
    // Half of them are whole panels with vectors of any width.
    for (outputs, hasResidual) in [(64, false), (64, true), (192, true)] {
      let model = try model(inputs, outputs, stride: stride, hasResidual: hasResidual, &random)
      try check(
        model, self.random([images, inputs, size, size], &random),
        "\(images) × \(inputs) × \(size) × \(size) to \(outputs)\(hasResidual ? " with a residual" : "")",
        [(.strassen, 3e-6)])
    }
  }

  @Test func isTakenWhereItPays() throws {
    func algorithm(
      _ pixels: Int, _ inputs: Int, _ outputs: Int, stride: Int = 1, threads: Int = 1,
      _ accuracy: Accuracy = .standard, _ dtype: DType = .float32
    ) throws -> String {
      var random = SplitMix64(state: 3)
      var model = Model { scope in
        let conv = Conv2d(scope["conv"], inputs, outputs, kernel: 1, stride: stride, bias: false)
        return Network { conv($0) }
      }
      try model.load(model.stateDict.converted(to: dtype) { _, _ in true }.stateDict)
      (model.accuracy, model.threadCount, model.engine) = (accuracy, threads, .native)
      return try model.profile(self.random([1, inputs, pixels, pixels], &random), repetitions: 1)[0].algorithm
    }
    #expect(try algorithm(14, 1024, 256) == "strassen")
    #expect(try algorithm(14, 256, 1024, threads: 2) == "strassen")
    #expect(try algorithm(7, 512, 2048) == "strassen")
    #expect(try algorithm(14, 512, 1024, stride: 2) == "strassen")
    #expect(try algorithm(14, 1024, 256, .strict) == "direct")
    #expect(try algorithm(14, 1024, 256, .standard, .bfloat16) == "direct", "its weights stay bfloat16")
    #expect(try algorithm(56, 64, 256) == "direct", "too few channels to pay for the sums")
    #expect(try algorithm(7, 2048, 512, threads: 2) == "direct", "the threads share the memory's speed")
    #expect(try algorithm(14, 1024, 250) == "direct", "half the outputs end inside a panel")
  }

  /// Sums of pixels would spread what isn't finite, so that a block of such pixels is multiplied as the definition has it.
  @Test(arguments: [Float.nan, .infinity, -.infinity])
  func whatIsNotFiniteStaysInItsPixel(_ value: Float) throws {
    var random = SplitMix64(state: 8)
    let inputs = 64
    let model = try model(inputs, 128, hasResidual: true, &random)
    var values = try self.random([1, inputs, 9, 9], &random).floats()
    for place in [3 * 81 + 5, 40 * 81 + 5, 50 * 81 + 77] { values[place] = value }
    let input = try Tensor(shape: [1, inputs, 9, 9], values)
    let expected = try ReferenceInterpreter(model.graph, model.stateDict).run(input)[model.graph.output]
      .values
    for threads in [1, 2] {
      var model = model
      (model.engine, model.algorithm, model.threadCount) = (MatrixEngine.native, .strassen, threads)
      for (place, actual) in try model(input).floats().enumerated() {
        let expected = Float(expected[place])
        if [5, 77].contains(place % 81) {
          #expect(
            actual.isNaN == expected.isNaN && (actual == expected || actual.isFinite == expected.isFinite))
        } else {
          #expect(abs(actual - expected) < 1e-4, "\(value), \(threads) threads: \(actual) at \(place)")
        }
      }
    }
  }
}

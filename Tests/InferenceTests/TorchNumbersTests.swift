// Small results of PyTorch 2.13 and timm 1.0, so that the reference interpreter is checked too.

import Checkpoints
import Inference
import NN
import TestSupport
import Testing

@Suite struct TorchNumbersTests: ComparesWithOracle {
  /// Compares the interpreter and a plan with what PyTorch gave.
  ///
  /// - Parameter weights: the layer's parameters, in the order of their declaration.
  private func check(
    _ what: String, _ shape: [Int], _ values: [Float], weights: [[Float]] = [], _ expected: [Float],
    sourceLocation: SourceLocation = #_sourceLocation, _ make: (Scope) -> any Module
  ) throws {
    var model = Model { scope in
      let layer = make(scope["layer"])
      return Network { layer($0) }
    }
    var stateDict = StateDict()
    for (parameter, values) in zip(model.parameters, weights) {
      try stateDict.append(parameter.name, Tensor(shape: parameter.shape, values))
    }
    try model.load(stateDict)
    let input = try Tensor(shape: shape, values)
    let oracle = try ReferenceInterpreter(model.graph, model.stateDict).run(input)[model.graph.output]
    let results = [("oracle", oracle.values.map { Float($0) }), ("plan", try model(input).floats())]
    for (name, result) in results {
      let difference = difference(result, expected, tolerance: 5e-7)
      #expect(difference == nil, "\(name), \(what): \(difference ?? "")", sourceLocation: sourceLocation)
    }
  }

  private let ramp = (1...25).map { Float($0) }
  private let primes: [Float] = [1, 2, 4, 8, 3, 5, 7, 11, 13, 17, 19, 23]
  private let small: [Float] = [1, 2, 3, -1, 0, 4, -2, 2, 5, -3, 1, 1]

  @Test func averagePooling() throws {
    let cases: [(Int, stride: Int, padding: Int, include: Bool, [Float])] = [
      (
        3, 2, 1, true,
        [16.0 / 9, 11.0 / 3, 28.0 / 9, 23.0 / 3, 13, 29.0 / 3, 76.0 / 9, 41.0 / 3, 88.0 / 9]
      ),
      (3, 2, 1, false, [4, 5.5, 7, 11.5, 13, 14.5, 19, 20.5, 22]),
      (2, 2, 0, true, [4, 6, 7.5, 14, 16, 17.5, 21.5, 23.5, 25]),
      (2, 2, 0, false, [4, 6, 7.5, 14, 16, 17.5, 21.5, 23.5, 25]),
      (3, 3, 1, true, [16.0 / 9, 13.0 / 3, 11, 19]),
      (2, 3, 1, true, [0.25, 1.75, 6.75, 16]),
    ]
    for (kernel, stride, padding, include, expected) in cases {
      try check("\(kernel), \(stride), \(padding), \(include)", [1, 1, 5, 5], ramp, expected) {
        AvgPool2d(
          $0, kernel: kernel, stride: stride, padding: padding, ceilMode: true, countIncludePad: include)
      }
    }
    try check("one pixel", [1, 1, 1, 1], [7], [7]) { AvgPool2d($0, kernel: 2, ceilMode: true) }
  }

  @Test func maxPooling() throws {
    let cases: [(Int, stride: Int, padding: Int, [Float])] = [
      (2, 2, 0, [7, 9, 10, 17, 19, 20, 22, 24, 25]), (3, 2, 1, [7, 9, 10, 17, 19, 20, 22, 24, 25]),
      (2, 3, 1, [1, 4, 16, 19]), (3, 2, 0, [13, 15, 23, 25]),
    ]
    for (kernel, stride, padding, expected) in cases {
      try check("\(kernel), \(stride), \(padding)", [1, 1, 5, 5], ramp, expected) {
        MaxPool2d($0, kernel: kernel, stride: stride, padding: padding, ceilMode: true)
      }
    }
  }

  @Test func averagePoolingWithSamePadding() throws {
    let expected: [Float] = [2.75, 4.5, 7.5, 4.75, 9.5, 12, 15, 8.5, 7.5, 9, 10.5, 5.75]
    try check("2, 1", [1, 1, 3, 4], primes, expected) { AvgPool2dSame($0, kernel: 2, stride: 1) }
    try check("3, 2", [1, 1, 3, 4], primes, [22.0 / 9, 10.0 / 3, 64.0 / 9, 20.0 / 3]) {
      AvgPool2dSame($0, kernel: 3, stride: 2)
    }
  }

  @Test func blurPooling() throws {
    let all: [Float] = [2.75, 3.625, 6, 7.5, 6.125, 7.1875, 9.75, 11.25, 9.5, 10.75, 13.5, 15]
    try check("stride 1", [1, 1, 3, 4], primes, all) { BlurPool2d($0, stride: 1) }
    try check("stride 2", [1, 1, 3, 4], primes, [2.75, 6, 9.5, 13.5]) { BlurPool2d($0) }
    try check("stride 3", [1, 1, 5, 5], ramp, [7, 8, 9, 12, 13, 14, 17, 18, 19]) { BlurPool2d($0, stride: 3) }
  }

  @Test func groupNormalization() throws {
    let expected: [Float] = [
      -0.16903043, 0.5070914, 3.3664267, -2.0425482, 0.9472132, -0.8416394, -1.6708198, -0.7763942,
    ]
    try check(
      "2 groups", [1, 4, 1, 2], [1, 2, 3, -1, 0, 4, -2, 2], weights: [[1, 2, -1, 0.5], [0, 1, 0.5, -1]],
      expected
    ) { GroupNorm($0, 4, groups: 2) }
  }

  @Test func squeezeExcitation() throws {
    let expected: [Float] = [
      0.76629364, 1.5325873, 2.298881, -0.76629364, 0, 3.407811, -1.7039055, 1.7039055, 0.48352897,
      -0.29011738, 0.09670579, 0.09670579,
    ]
    let weights: [[Float]] = [
      [1, -1, 0.5, 0.25, 1, -1], [0.5, -0.25], [1, -1, 0.5, 2, -1, 0.25], [0, 1, -1],
    ]
    try check("SE", [1, 3, 2, 2], small, weights: weights, expected) {
      SqueezeExcitation($0, 3, reduced: 2)
    }
  }

  @Test func efficientChannelAttention() throws {
    let expected: [Float] = [
      0.6791787, 1.3583574, 2.0375361, -0.6791787, 0, 3.3419342, -1.6709671, 1.6709671, 1.8877034,
      -1.132622, 0.37754068, 0.37754068,
    ]
    try check("ECA", [1, 3, 2, 2], small, weights: [[0.5, -1, 2]], expected) {
      EfficientChannelAttention($0, kernel: 3)
    }
  }

  @Test func depthwiseConvolutionAndReLU6() throws {
    let weights: [[Float]] = [
      [1, -1, 0.5, 2, 0.25, 1, -2, 1, 3, -1, 1, 0.5, -1, 2, 0.5, 1], [0.5, 1, -1, 4],
    ]
    let sums: [Float] = [2.5, 7.5, 1.5, -3.5, 2, 0, 0, 5, -2, 3.5, 2, 1, 2, 10, -2, 5]
    let make: @Sendable (Scope) -> Conv2d = {
      Conv2d($0, 2, 4, kernel: 2, stride: 2, padding: 1, groups: 2)
    }
    try check("two outputs a channel", [1, 2, 2, 3], small, weights: weights, sums) { make($0) }
    try check("ReLU6", [1, 2, 2, 3], small, weights: weights, sums.map { min(max($0, 0), 6) }) {
      Sequential($0, [{ make($0) }, { ReLU6($0) }])
    }
  }
}

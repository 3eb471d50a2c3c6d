// Weights as the steps of a plan want them: BatchNorm folded in, transposed for the product
// [pixels, inputs] · [inputs, outputs] or transformed for Winograd's. They depend on no input shape,
// so all plans share them.

import Checkpoints
import NN
import Vectors

/// The matrices and the bias of a layer.
final class PackedWeights: Sendable {
  /// For each group: [tap y][tap x][input channel][output channel]; for Winograd's algorithms
  /// [element of the transformed filter][input channel][output channel].
  let matrix: FloatBuffer
  /// One for each output channel.
  let bias: FloatBuffer

  init(
    _ convolution: Convolution, norm: BatchNormalization?, _ algorithm: ConvolutionAlgorithm,
    _ stateDict: StateDict
  ) throws {
    let outputs = convolution.outChannels
    var scale = [Float](repeating: 1, count: outputs)
    var shift = try convolution.bias.map { try stateDict.parameter($0).map(Double.init) }
    if let norm {
      // γ · (x − μ) / √(σ² + ε) + β
      let fold = try NormFactors(norm, stateDict)
      scale = fold.scale.map { Float($0) }
      shift = (0..<outputs).map { fold.shift[$0] + (shift?[$0] ?? 0) * fold.scale[$0] }
    }
    bias = FloatBuffer((shift ?? [Double](repeating: 0, count: outputs)).map { Float($0) })

    let groups = convolution.groups
    let filters = FilterBank(
      inputs: convolution.inChannels / groups, outputs: outputs / groups, kernel: convolution.window.kernel)
    let matrix = FloatBuffer(count: groups * filters.packedCount(algorithm))
    try stateDict.withParameter(convolution.weight) { weight in
      scale.withUnsafeBufferPointer { scale in
        guard let weight = weight.baseAddress, let scale = scale.baseAddress else { return }
        for group in 0..<groups {
          filters.pack(
            weight + group * filters.count, scale: scale + group * filters.outputs, algorithm,
            to: matrix.start + group * filters.packedCount(algorithm))
        }
      }
    }
    self.matrix = matrix
  }

  /// The factors of a BatchNorm that follows no convolution, as matrix and bias.
  init(_ norm: BatchNormalization, _ stateDict: StateDict) throws {
    let factors = try NormFactors(norm, stateDict)
    matrix = FloatBuffer(factors.scale.map { Float($0) })
    bias = FloatBuffer(factors.shift.map { Float($0) })
  }

  init(_ layer: FullyConnected, _ stateDict: StateDict) throws {
    let matrix = FloatBuffer(count: layer.inFeatures * layer.outFeatures)
    try stateDict.withParameter(layer.weight) { weight in
      [Float](repeating: 1, count: layer.outFeatures).withUnsafeBufferPointer { scale in
        guard let weight = weight.baseAddress, let scale = scale.baseAddress else { return }
        Layout.transpose(
          weight, rows: layer.outFeatures, columns: layer.inFeatures, stride: layer.inFeatures, scale: scale,
          to: matrix.start, stride: layer.outFeatures)
      }
    }
    self.matrix = matrix
    bias = FloatBuffer(
      try layer.bias.map { try stateDict.parameter($0) } ?? [Float](repeating: 0, count: layer.outFeatures))
  }
}

/// What a BatchNorm multiplies by and adds, in double so that folding adds no error of its own.
struct NormFactors {
  let scale: [Double]
  let shift: [Double]

  init(_ norm: BatchNormalization, _ stateDict: StateDict) throws {
    let (gamma, beta) = (try stateDict.parameter(norm.weight), try stateDict.parameter(norm.bias))
    let (mean, variance) = (try stateDict.parameter(norm.mean), try stateDict.parameter(norm.variance))
    let scale = (0..<norm.channels).map { Double(gamma[$0]) / (Double(variance[$0]) + norm.eps).squareRoot() }
    shift = (0..<norm.channels).map { Double(beta[$0]) - Double(mean[$0]) * scale[$0] }
    self.scale = scale
  }
}

/// The filters of one group of a convolution: [output][input][tap] in a state dict.
private struct FilterBank {
  let inputs: Int
  let outputs: Int
  let kernel: Int

  private var taps: Int { kernel * kernel }
  var count: Int { inputs * outputs * taps }

  func packedCount(_ algorithm: ConvolutionAlgorithm) -> Int {
    inputs * outputs * algorithm.packedTaps(kernel: kernel)
  }

  /// So many outputs at a time fill whole cache lines of what is written.
  private static let lanes = 16
  /// So many inputs at a time stay in cache between transposition and transform.
  private static let inputsAtOnce = 64

  /// Writes all filters, each output's scaled, as an algorithm wants them.
  func pack(
    _ weight: ConstantFloats, scale: ConstantFloats, _ algorithm: ConvolutionAlgorithm, to target: Floats
  ) {
    if kernel == 1 {
      // A matrix [output][input]: the algorithms for one tap take its transpose.
      Layout.transpose(
        weight, rows: outputs, columns: inputs, stride: inputs, scale: scale, to: target, stride: outputs)
      return
    }
    // Of some filters, [input][tap][output]; behind them what a transform needs.
    let transposed = FloatBuffer(count: (FilterBank.inputsAtOnce * taps + 36) * FilterBank.lanes)
    for first in stride(from: 0, to: outputs, by: FilterBank.lanes) {
      let lanes = min(FilterBank.lanes, outputs - first)
      for firstInput in stride(from: 0, to: inputs, by: FilterBank.inputsAtOnce) {
        let count = min(FilterBank.inputsAtOnce, inputs - firstInput)
        Layout.transpose(
          weight + (first * inputs + firstInput) * taps, rows: lanes, columns: count * taps,
          stride: inputs * taps, scale: scale + first, to: transposed.start, stride: lanes)
        write(
          transposed.start, inputs: firstInput..<firstInput + count, lanes: lanes, algorithm,
          scratch: transposed.start + FilterBank.inputsAtOnce * taps * FilterBank.lanes, to: target + first)
      }
    }
  }

  /// Writes filters that are given as [input][tap][lane] to their places for some outputs, the first of
  /// which is at `target`.
  private func write(
    _ filters: Floats, inputs range: Range<Int>, lanes: Int, _ algorithm: ConvolutionAlgorithm,
    scratch: Floats, to target: Floats
  ) {
    let kernels = VectorKernels.widest
    for input in range {
      let filter = filters + (input - range.lowerBound) * taps * lanes
      let destination = target + input * outputs
      switch algorithm {
      case .direct, .im2col:
        for tap in 0..<taps {
          kernels.copy(filter + tap * lanes, lanes, destination + tap * inputs * outputs)
        }
      case .winograd2: kernels.winogradWeights2(filter, lanes, destination, inputs * outputs, scratch)
      case .winograd4: kernels.winogradWeights4(filter, lanes, destination, inputs * outputs, scratch)
      }
    }
  }
}

extension StateDict {
  /// Calls `body` with the named parameter's Floats.
  fileprivate func withParameter<Result>(
    _ name: String, _ body: (UnsafeBufferPointer<Float>) -> Result
  ) throws -> Result {
    guard let tensor = self[name] else { throw InputError("the model has no parameter \"\(name)\".") }
    do {
      return try tensor.withFloats(body)
    } catch {
      throw error.forTensor(name)
    }
  }

  /// The named parameter as Floats.
  fileprivate func parameter(_ name: String) throws -> [Float] {
    try withParameter(name) { [Float]($0) }
  }
}

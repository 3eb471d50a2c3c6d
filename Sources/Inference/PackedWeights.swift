// Weights as the steps of a plan want them: BatchNorm folded in, transposed for the product
// [pixels, inputs] · [inputs, outputs] or transformed for Winograd's. They depend on no input shape,
// so all plans share them.

import Checkpoints
import NN
import Vectors

/// The matrices and the bias of a layer.
final class PackedWeights: Sendable {
  /// For each group a matrix [tap y][tap x][input channel] × [output channel]; for Winograd's algorithms
  /// for each element of the transformed filter one [input channel] × [output channel]. Each lies as
  /// its ``WeightLayout`` says.
  let matrix: FloatBuffer
  /// One for each output channel.
  let bias: FloatBuffer

  init(
    _ convolution: Convolution, norm: BatchNormalization?, _ filters: FilterBank, _ stateDict: StateDict
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
    let matrix = FloatBuffer(count: groups * filters.packedCount)
    try stateDict.withParameter(convolution.weight) { weight in
      scale.withUnsafeBufferPointer { scale in
        guard let weight = weight.baseAddress, let scale = scale.baseAddress else { return }
        for group in 0..<groups {
          filters.pack(
            weight + group * filters.count, scale: scale + group * filters.outputs,
            to: matrix.start + group * filters.packedCount)
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

  init(_ layer: FullyConnected, _ engine: MatrixEngine, _ stateDict: StateDict) throws {
    let layout = WeightLayout(engine, depth: layer.inFeatures, columns: layer.outFeatures)
    let matrix = FloatBuffer(count: layout.count)
    try stateDict.withParameter(layer.weight) { weight in
      [Float](repeating: 1, count: layer.outFeatures).withUnsafeBufferPointer { scale in
        guard let weight = weight.baseAddress, let scale = scale.baseAddress else { return }
        layout.fill(matrix.start, transposing: weight, scale: scale)
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

extension WeightLayout {
  /// Writes the transpose of `[columns, depth]`, each row times its element of `scale`.
  func fill(_ target: Floats, transposing source: ConstantFloats, scale: ConstantFloats) {
    clearRest(of: target)
    for first in Swift.stride(from: 0, to: columns, by: rowStride) {
      Layout.transpose(
        source + first * depth, rows: min(rowStride, columns - first), columns: depth, stride: depth,
        scale: scale + first, to: target + place(first), stride: rowStride)
    }
  }
}

/// The filters of one group of a convolution, [output][input][tap] in a state dict, and how they are packed.
struct FilterBank {
  let inputs: Int
  let outputs: Int
  private let kernel: Int
  private let algorithm: ConvolutionAlgorithm
  private let layout: WeightLayout

  init(_ convolution: Convolution, _ algorithm: ConvolutionAlgorithm, _ engine: MatrixEngine) {
    inputs = convolution.inChannels / convolution.groups
    outputs = convolution.outChannels / convolution.groups
    kernel = convolution.window.kernel
    self.algorithm = algorithm
    layout = WeightLayout(
      engine, depth: inputs * (algorithm.tile == nil ? kernel * kernel : 1), columns: outputs)
  }

  private var taps: Int { kernel * kernel }
  /// Matrices: one, or one for each element of a transformed filter.
  private var points: Int { algorithm.tile.map { ($0 + 2) * ($0 + 2) } ?? 1 }

  var count: Int { inputs * outputs * taps }
  var packedCount: Int { layout.count * points }

  /// So many outputs at a time fill whole cache lines of what is written, and lie in one panel.
  private var lanes: Int { min(16, layout.rowStride) }
  /// So many inputs at a time stay in cache between transposition and transform.
  private static let inputsAtOnce = 64

  /// Writes all filters, each output's scaled.
  func pack(_ weight: ConstantFloats, scale: ConstantFloats, to target: Floats) {
    if kernel == 1 { return layout.fill(target, transposing: weight, scale: scale) }
    for point in 0..<points { layout.clearRest(of: target + point * layout.count) }
    // Of some filters, [input][tap][output]; behind them what a transform needs.
    let transposed = FloatBuffer(count: FilterBank.inputsAtOnce * taps * lanes + 36 * 16)
    let scratch = transposed.start + FilterBank.inputsAtOnce * taps * lanes
    for first in stride(from: 0, to: outputs, by: lanes) {
      let lanes = min(lanes, outputs - first)
      for firstInput in stride(from: 0, to: inputs, by: FilterBank.inputsAtOnce) {
        let count = min(FilterBank.inputsAtOnce, inputs - firstInput)
        Layout.transpose(
          weight + (first * inputs + firstInput) * taps, rows: lanes, columns: count * taps,
          stride: inputs * taps, scale: scale + first, to: transposed.start, stride: lanes)
        write(
          transposed.start, inputs: firstInput..<firstInput + count, lanes: lanes, scratch: scratch,
          to: target + layout.place(first))
      }
    }
  }

  /// Writes filters that are given as [input][tap][lane] to their places for some outputs, the first of
  /// which is at `target`.
  private func write(
    _ filters: Floats, inputs range: Range<Int>, lanes: Int, scratch: Floats, to target: Floats
  ) {
    let kernels = VectorKernels.widest
    for input in range {
      let filter = filters + (input - range.lowerBound) * taps * lanes
      let destination = target + input * layout.rowStride
      switch algorithm {
      case .direct, .im2col:
        for tap in 0..<taps {
          kernels.copy(filter + tap * lanes, lanes, destination + tap * inputs * layout.rowStride)
        }
      case .winograd2: kernels.winogradWeights2(filter, lanes, destination, layout.count, scratch)
      case .winograd4: kernels.winogradWeights4(filter, lanes, destination, layout.count, scratch)
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

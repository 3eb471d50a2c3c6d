// Weights as the steps of a plan want them: BatchNorm folded in, transposed for the product
// [pixels, inputs] · [inputs, outputs] or transformed for Winograd's. They depend on no input shape,
// so all plans share them.

import Checkpoints
import NN
import Vectors

/// The matrices and the bias of a layer.
final class PackedWeights: Sendable {
  /// For each group a matrix [tap y][tap x][input channel] × [output channel]; for Winograd's algorithms
  /// one [input channel] × [output channel] for each element of the transformed filter, and for Strassen's seven of half
  /// the channels. Each lies as
  /// its ``WeightLayout`` says.
  let matrix: FloatBuffer
  /// One for each output channel.
  let bias: FloatBuffer
  /// What the matrices don't have in them as they are bfloat16: a factor for each output channel. nil where they
  /// are Floats.
  let scale: FloatBuffer?

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

    if let layout = filters.bfloat16Layout, stateDict[convolution.weight]?.dtype == .bfloat16 {
      let matrix = FloatBuffer(count: layout.count * convolution.groups)
      try stateDict.withParameter(convolution.weight) { weight in
        if let weight = weight.baseAddress { filters.packBFloat16(weight, layout, to: matrix.start) }
      }
      self.matrix = matrix
      self.scale = FloatBuffer(scale)
      return
    }
    let matrix = FloatBuffer(count: filters.packedCount)
    try stateDict.withParameter(convolution.weight) { weight in
      scale.withUnsafeBufferPointer { scale in
        guard let weight = weight.baseAddress, let scale = scale.baseAddress else { return }
        filters.pack(weight, scale: scale, to: matrix.start)
      }
    }
    self.matrix = matrix
    self.scale = nil
  }

  /// The factors of a BatchNorm that follows no convolution, as matrix and bias.
  init(_ norm: BatchNormalization, _ stateDict: StateDict) throws {
    let factors = try NormFactors(norm, stateDict)
    matrix = FloatBuffer(factors.scale.map { Float($0) })
    bias = FloatBuffer(factors.shift.map { Float($0) })
    scale = nil
  }

  /// A weight and a bias as they are.
  init(weight: String, bias: String?, _ stateDict: StateDict) throws {
    matrix = FloatBuffer(try stateDict.parameter(weight))
    self.bias = FloatBuffer(try bias.map { try stateDict.parameter($0) } ?? [])
    scale = nil
  }

  init(_ layer: FullyConnected, _ engine: MatrixEngine, _ stateDict: StateDict) throws {
    var layout = WeightLayout(engine, depth: layer.inFeatures, columns: layer.outFeatures)
    var matrix = FloatBuffer(count: layout.count)
    let ones = [Float](repeating: 1, count: layer.outFeatures)
    try stateDict.withParameter(layer.weight) { weight in
      ones.withUnsafeBufferPointer { scale in
        guard let weight = weight.baseAddress, let scale = scale.baseAddress else { return }
        layout.fill(matrix.start, transposing: weight, stride: layout.depth, scale: scale)
      }
    }
    if engine == .native, stateDict[layer.weight]?.dtype == .bfloat16 {
      let floats = matrix
      layout.isBFloat16 = true
      matrix = FloatBuffer(count: layout.count)
      layout.pack(floats.start, to: matrix.start)
      scale = FloatBuffer(ones)
    } else {
      scale = nil
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

  init(_ norm: BatchNormalization, _ stateDict: StateDict) throws(CheckpointError) {
    let (gamma, beta) = (try stateDict.parameter(norm.weight), try stateDict.parameter(norm.bias))
    let (mean, variance) = (try stateDict.parameter(norm.mean), try stateDict.parameter(norm.variance))
    let scale = (0..<norm.channels).map { Double(gamma[$0]) / (Double(variance[$0]) + norm.eps).squareRoot() }
    shift = (0..<norm.channels).map { Double(beta[$0]) - Double(mean[$0]) * scale[$0] }
    self.scale = scale
  }
}

extension WeightLayout {
  /// Writes the transpose of `[columns, depth]`, whose rows begin `stride` apart, each times its element of `scale`.
  func fill(_ target: Floats, transposing source: ConstantFloats, stride: Int, scale: ConstantFloats) {
    clearRest(of: target)
    for first in Swift.stride(from: 0, to: columns, by: rowStride) {
      Layout.transpose(
        source + first * stride, rows: min(rowStride, columns - first), columns: depth, stride: stride,
        scale: scale + first, to: target + place(first), stride: rowStride)
    }
  }
}

extension StateDict {
  /// Calls `body` with the named parameter's Floats.
  func withParameter<Result>(
    _ name: String, _ body: (UnsafeBufferPointer<Float>) -> Result
  ) throws(CheckpointError) -> Result {
    guard let tensor = self[name] else {
      throw CheckpointError(.malformed, "is missing, and the model needs it.", key: name)
    }
    do throws(CheckpointError) {
      return try tensor.withFloats(body)
    } catch {
      throw error.forTensor(name)
    }
  }

  /// The named parameter as Floats.
  func parameter(_ name: String) throws(CheckpointError) -> [Float] {
    try withParameter(name) { [Float]($0) }
  }
}

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
    let weight = try stateDict.parameter(convolution.weight)
    let matrix = FloatBuffer(count: groups * filters.packedCount(algorithm))
    weight.withUnsafeBufferPointer { weight in
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
    let weight = try stateDict.parameter(layer.weight)
    let matrix = FloatBuffer(count: weight.count)
    weight.withUnsafeBufferPointer { weight in
      guard let start = weight.baseAddress else { return }
      Layout.transpose(start, rows: layer.outFeatures, columns: layer.inFeatures, to: matrix.start)
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

  /// Writes all filters, each output's scaled, as an algorithm wants them.
  func pack(
    _ weight: ConstantFloats, scale: ConstantFloats, _ algorithm: ConvolutionAlgorithm, to target: Floats
  ) {
    let kernels = VectorKernels.widest
    // The taps of some outputs for one input, [tap][output], and what a transform needs.
    let scratch = FloatBuffer(count: (taps + 36) * FilterBank.lanes)
    for first in stride(from: 0, to: outputs, by: FilterBank.lanes) {
      let lanes = min(FilterBank.lanes, outputs - first)
      for input in 0..<inputs {
        let source = weight + (first &* inputs &+ input) &* taps
        let destination = target + (input &* outputs &+ first)
        switch algorithm {
        case .direct, .im2col:
          for tap in 0..<taps {
            let line = destination + tap &* inputs &* outputs
            for lane in 0..<lanes {
              line[lane] = source[lane &* inputs &* taps &+ tap] * scale[first &+ lane]
            }
          }
        case .winograd2, .winograd4:
          for lane in 0..<lanes {
            let filter = source + lane &* inputs &* taps
            for tap in 0..<taps { scratch.start[tap &* lanes &+ lane] = filter[tap] * scale[first &+ lane] }
          }
          let transform = algorithm == .winograd2 ? kernels.winogradWeights2 : kernels.winogradWeights4
          transform(
            scratch.start, lanes, destination, inputs &* outputs, scratch.start + taps &* FilterBank.lanes)
        }
      }
    }
  }
}

extension StateDict {
  /// The named parameter as Floats.
  fileprivate func parameter(_ name: String) throws -> [Float] {
    guard let tensor = self[name] else { throw InputError("the model has no parameter \"\(name)\".") }
    do {
      return try tensor.floats()
    } catch {
      throw error.forTensor(name)
    }
  }
}

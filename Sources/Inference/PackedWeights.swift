// Weights as the steps of a plan want them: BatchNorm folded in, transposed for the product
// [pixels, inputs] · [inputs, outputs]. They depend on no input shape, so all plans share them.

import Checkpoints
import NN

/// The matrices and the bias of a convolution or fully connected layer.
final class PackedWeights: Sendable {
  /// For each group: [tap y][tap x][input channel][output channel].
  let matrix: FloatBuffer
  /// One for each output channel; nil when there is nothing to add.
  let bias: FloatBuffer?

  init(_ convolution: Convolution, norm: BatchNormalization?, _ stateDict: StateDict) throws {
    let weight = try stateDict.parameter(convolution.weight)
    let outputs = convolution.outChannels
    var scale = [Double](repeating: 1, count: outputs)
    var shift = try convolution.bias.map { try stateDict.parameter($0).map(Double.init) }
    if let norm {
      // γ · (x − μ) / √(σ² + ε) + β, in double so that folding adds no error of its own.
      let (gamma, beta) = (try stateDict.parameter(norm.weight), try stateDict.parameter(norm.bias))
      let (mean, variance) = (try stateDict.parameter(norm.mean), try stateDict.parameter(norm.variance))
      scale = (0..<outputs).map { Double(gamma[$0]) / (Double(variance[$0]) + norm.eps).squareRoot() }
      shift = (0..<outputs).map { Double(beta[$0]) + ((shift?[$0] ?? 0) - Double(mean[$0])) * scale[$0] }
    }

    let groups = convolution.groups
    let area = convolution.window.kernel * convolution.window.kernel
    let (groupInputs, groupOutputs) = (convolution.inChannels / groups, outputs / groups)
    let depth = area * groupInputs
    let matrix = FloatBuffer(count: weight.count)
    weight.withUnsafeBufferPointer { weight in
      for group in 0..<groups {
        for tap in 0..<area {
          PackedWeights.transpose(
            weight, from: group * groupOutputs * groupInputs * area + tap, step: area, columns: groupInputs,
            scale: scale[group * groupOutputs..<(group + 1) * groupOutputs],
            to: matrix.start + (group * depth + tap * groupInputs) * groupOutputs)
        }
      }
    }
    self.matrix = matrix
    bias = shift.map { FloatBuffer($0.map { Float($0) }) }
  }

  /// Writes one tap's weights, a matrix [output][input], as [input][output], each output's scaled.
  private static func transpose(
    _ weight: UnsafeBufferPointer<Float>, from start: Int, step: Int, columns: Int, scale: ArraySlice<Double>,
    to target: Floats
  ) {
    let rows = scale.count
    scale.withUnsafeBufferPointer { scale in
      let tile = 16  // so that the lines written stay in cache until they are full
      for tileStart in stride(from: 0, to: rows, by: tile) {
        let tileEnd = min(rows, tileStart + tile)
        for column in 0..<columns {
          for row in tileStart..<tileEnd {
            let value = weight[start &+ (row &* columns &+ column) &* step]
            target[column &* rows &+ row] = Float(Double(value) * scale[row])
          }
        }
      }
    }
  }

  init(_ layer: FullyConnected, _ stateDict: StateDict) throws {
    let weight = try stateDict.parameter(layer.weight)
    let matrix = FloatBuffer(count: weight.count)
    weight.withUnsafeBufferPointer { weight in
      guard let start = weight.baseAddress else { return }
      Layout.transpose(start, rows: layer.outFeatures, columns: layer.inFeatures, to: matrix.start)
    }
    self.matrix = matrix
    bias = try layer.bias.map { FloatBuffer(try stateDict.parameter($0)) }
  }

  /// What a BatchNorm that follows no convolution multiplies by and adds.
  static func affine(_ norm: BatchNormalization, _ stateDict: StateDict) throws -> (
    scale: FloatBuffer, shift: FloatBuffer
  ) {
    let (gamma, beta) = (try stateDict.parameter(norm.weight), try stateDict.parameter(norm.bias))
    let (mean, variance) = (try stateDict.parameter(norm.mean), try stateDict.parameter(norm.variance))
    let scale = (0..<norm.channels).map { Double(gamma[$0]) / (Double(variance[$0]) + norm.eps).squareRoot() }
    let shift = (0..<norm.channels).map { Double(beta[$0]) - Double(mean[$0]) * scale[$0] }
    return (FloatBuffer(scale.map { Float($0) }), FloatBuffer(shift.map { Float($0) }))
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

/// Floats at a fixed place, aligned for the widest vectors. Written by its maker before it is shared,
/// or by one pass at a time.
final class FloatBuffer: @unchecked Sendable {
  let start: Floats
  let count: Int

  init(count: Int) {
    self.count = count
    let bytes = UnsafeMutableRawPointer.allocate(
      byteCount: max(1, count) * MemoryLayout<Float>.stride, alignment: 64)
    start = bytes.bindMemory(to: Float.self, capacity: count)
    start.initialize(repeating: 0, count: count)
  }

  convenience init(_ values: [Float]) {
    self.init(count: values.count)
    values.withUnsafeBufferPointer { values in
      if let source = values.baseAddress { start.update(from: source, count: values.count) }
    }
  }

  deinit { start.deallocate() }
}

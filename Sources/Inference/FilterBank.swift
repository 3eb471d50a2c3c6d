// The filters of a convolution, as the algorithms take them.

import NN
import Vectors

extension Convolution {
  /// Groups as they are multiplied.
  ///
  /// A group of few channels, such as ResNeXt's 4, would leave most of a panel empty. So many of them that
  /// they fill it are taken as one group, whose weights are zero from one of them to another.
  func groups(_ engine: MatrixEngine) -> Int {
    let panel = VectorKernels.chosen.panelColumns
    let most = max(1, panel / (outChannels / groups))
    let together = (1...min(most, groups)).last { groups.isMultiple(of: $0) } ?? 1
    return groups / together
  }
}

/// The filters of all groups, [output][input][tap] in a state dict, and how they are packed.
struct FilterBank {
  /// Channels of a filter, and filters of a group.
  private let inputs: Int
  private let outputs: Int
  private let groups: Int
  /// How many groups are multiplied as one.
  private let together: Int
  private let kernel: Int
  private let algorithm: ConvolutionAlgorithm
  private let layout: WeightLayout

  init(_ convolution: Convolution, _ algorithm: ConvolutionAlgorithm, _ engine: MatrixEngine) {
    groups = convolution.groups
    inputs = convolution.inChannels / groups
    outputs = convolution.outChannels / groups
    together = groups / convolution.groups(engine)
    kernel = convolution.window.kernel
    self.algorithm = algorithm
    layout = algorithm.layout(
      engine, inputs: together * inputs, outputs: together * outputs, taps: kernel * kernel)
  }

  private var taps: Int { kernel * kernel }
  /// Matrices of a group: one, one for each element of a transformed filter, or Strassen's.
  private var points: Int { algorithm.filterPoints }

  /// Floats of all matrices; of a depthwise convolution, of all filters.
  var packedCount: Int {
    switch algorithm {
    case .depthwise: taps * groups * outputs
    case .winograd3: points * PhaseConvolution.phases * inputs * outputs
    default: groups / together * points * layout.count
    }
  }

  /// How they lie where they can stay bfloat16, group after group: where they are multiplied as they are.
  var bfloat16Layout: WeightLayout? {
    guard layout.engine == .native, together == 1, algorithm == .direct || algorithm == .im2col else {
      return nil
    }
    var layout = layout
    layout.isBFloat16 = true
    return layout
  }

  /// Writes all filters as bfloat16, which they must be, for ``bfloat16Layout``.
  func packBFloat16(_ weight: ConstantFloats, _ layout: WeightLayout, to target: Floats) {
    let floats = FloatBuffer(count: packedCount)
    [Float](repeating: 1, count: groups * outputs).withUnsafeBufferPointer { scale in
      guard let scale = scale.baseAddress else { return }
      pack(weight, scale: scale, to: floats.start)
    }
    for group in 0..<groups {
      layout.pack(floats.start + group * self.layout.count, to: target + group * layout.count)
    }
  }

  /// So many outputs at a time fill whole cache lines of what is written, and lie in one panel.
  private var lanes: Int { min(16, layout.rowStride) }
  /// So many inputs at a time stay in cache between transposition and transform.
  private static let inputsAtOnce = 64

  /// Writes all filters, each output's scaled.
  func pack(_ weight: ConstantFloats, scale: ConstantFloats, to target: Floats) {
    if algorithm == .depthwise {
      // [tap][output]
      Layout.transpose(
        weight, rows: groups * outputs, columns: taps, stride: taps, scale: scale, to: target,
        stride: groups * outputs)
      return
    }
    if algorithm == .strassen {
      packStrassen(weight, scale: scale, to: target)
      return
    }
    if algorithm == .winograd3 {
      packPhases(weight, scale: scale, to: target)
      return
    }
    if together > 1 {
      target.update(repeating: 0, count: packedCount)
    } else {
      for matrix in 0..<groups * points { layout.clearRest(of: target + matrix * layout.count) }
    }
    for group in 0..<groups {
      let source = weight + group * inputs * outputs * taps
      let matrix = target + group / together * points * layout.count
      if kernel == 1, together == 1 {
        layout.fill(matrix, transposing: source, stride: inputs, scale: scale + group * outputs)
      } else {
        pack(source, scale: scale + group * outputs, place: group % together, to: matrix)
      }
    }
  }

  /// Writes the matrices of ``StrassenMatrix``.
  private func packStrassen(_ weight: ConstantFloats, scale: ConstantFloats, to target: Floats) {
    func matrix(_ matrix: StrassenMatrix) -> Floats { target + matrix.rawValue * layout.count }
    /// Writes a quarter of the weights' transpose.
    func fill(_ target: Floats, row: Int, column: Int) {
      layout.fill(
        target, transposing: weight + column * layout.columns * inputs + row * layout.depth, stride: inputs,
        scale: scale + column * layout.columns)
    }
    func subtract(_ a: Floats, _ b: Floats, to target: Floats) {
      for index in 0..<layout.count { target[index] = a[index] - b[index] }
    }
    fill(matrix(.b11), row: 0, column: 0)
    fill(matrix(.b21), row: 1, column: 0)
    fill(matrix(.b22), row: 1, column: 1)
    let b12 = matrix(.t4)
    fill(b12, row: 0, column: 1)
    subtract(b12, matrix(.b11), to: matrix(.t1))
    subtract(matrix(.b22), matrix(.t1), to: matrix(.t2))
    subtract(matrix(.b22), b12, to: matrix(.t3))
    subtract(matrix(.b21), matrix(.t2), to: matrix(.t4))
  }

  /// Writes the transformed phases of the filters as ``PhaseTiles`` take them, for 16 outputs at a time: every second tap in
  /// both directions, and zeros where the kernel has ended.
  private func packPhases(_ weight: ConstantFloats, scale: ConstantFloats, to target: Floats) {
    let (lanes, side, depth) = (PhaseKernel.lanes, WinogradF3.taps, PhaseConvolution.phases * inputs)
    let transform = WinogradTile.f3.functions(.chosen).weights
    let filters = FloatBuffer(count: side * side * lanes + points * lanes)
    let scratch = filters.start + side * side * lanes
    for first in stride(from: 0, to: outputs, by: lanes) {
      for channel in 0..<depth {
        let (phase, input) = channel.quotientAndRemainder(dividingBy: inputs)
        for index in 0..<side * side * lanes {
          let (tap, output) = (index / lanes, first + index % lanes)
          let (y, x) = (tap / side * 2 + phase / 2, tap % side * 2 + phase % 2)
          filters.start[index] =
            y < kernel && x < kernel
            ? weight[((output * inputs + input) * kernel + y) * kernel + x] * scale[output] : 0
        }
        transform(
          filters.start, lanes, target + (first * points * depth + channel * lanes), depth * lanes, scratch)
      }
    }
  }

  /// Writes the filters of one group, the `place`th of those that are multiplied as one.
  private func pack(_ weight: ConstantFloats, scale: ConstantFloats, place: Int, to target: Floats) {
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
          transposed.start, count: count, lanes: lanes, scratch: scratch,
          to: target + layout.place(place * outputs + first)
            + (place * inputs + firstInput) * layout.rowStride)
      }
    }
  }

  /// Writes filters that are given as [input][tap][lane] to their places for some outputs and inputs, the
  /// first of which is at `target`.
  private func write(_ filters: Floats, count: Int, lanes: Int, scratch: Floats, to target: Floats) {
    let kernels = VectorKernels.chosen
    let transform = algorithm.tile?.functions(kernels).weights
    for input in 0..<count {
      let filter = filters + input * taps * lanes
      let destination = target + input * layout.rowStride
      if let transform {
        transform(filter, lanes, destination, layout.count, scratch)
      } else {
        for tap in 0..<taps {
          kernels.copy(filter + tap * lanes, lanes, destination + tap * together * inputs * layout.rowStride)
        }
      }
    }
  }
}

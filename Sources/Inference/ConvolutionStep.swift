// A convolution as matrix products over blocks of output pixels: [pixels, inputs] · [inputs, outputs].
//
// In NHWC the input of a 1×1 convolution of stride 1 is the left matrix as it lies. For every other
// one, im2col writes a block of that matrix to the worker's scratch, right before its product.

import NN

/// What a convolution does in a plan, with everything that is known before the input is.
struct ConvolutionStep {
  let geometry: ConvolutionGeometry
  let outChannels: Int
  let groups: Int
  let weights: PackedWeights
  let relu: Bool
  /// Output pixels of the whole batch.
  let rows: Int
  private let blockRows: Int
  private let blockColumns: Int

  /// At most so many rows a block: enough for OpenBLAS to pay for packing the weights in each call,
  /// few enough for the block to stay in cache until its epilogue.
  private static let mostRows = 392
  /// Narrower column blocks leave OpenBLAS's kernels with too little to do.
  private static let fewestColumns = 64

  init(
    _ convolution: Convolution, weights: PackedWeights, input: [Int], output: [Int], relu: Bool, threads: Int
  ) {
    let window = convolution.window
    geometry = ConvolutionGeometry(
      inHeight: input[2], inWidth: input[3], inChannels: input[1], outHeight: output[2], outWidth: output[3],
      kernel: window.kernel, stride: window.stride, padding: window.padding, dilation: window.dilation)
    outChannels = convolution.outChannels
    groups = convolution.groups
    self.weights = weights
    self.relu = relu
    rows = output[0] * output[2] * output[3]

    let groupOutputs = outChannels / groups
    // Few rows: every thread takes all of them for a part of the columns, so that each weight is
    // packed once. Many rows: blocks of rows, a multiple of the threads so that all end together.
    if rows <= ConvolutionStep.mostRows, groups == 1, groupOutputs >= threads * ConvolutionStep.fewestColumns
    {
      blockRows = rows
      blockColumns = (groupOutputs + threads - 1) / threads
    } else {
      let blocks = max(1, (rows + ConvolutionStep.mostRows - 1) / ConvolutionStep.mostRows)
      let evened = (blocks + threads - 1) / threads * threads
      blockRows = max(1, (rows + evened - 1) / evened)
      blockColumns = groupOutputs
    }
  }

  private var depth: Int { geometry.kernel * geometry.kernel * geometry.inChannels / groups }

  /// Floats of scratch that each worker needs.
  var scratchCount: Int { geometry.isPointwise ? 0 : blockRows * depth }

  func run(
    _ crew: ThreadPool.Crew, input: ConstantFloats, residual: ConstantFloats?, output: Floats,
    scratch: [Floats]
  ) {
    let groupOutputs = outChannels / groups
    let rowBlocks = (rows + blockRows - 1) / blockRows
    let columnBlocks = (groupOutputs + blockColumns - 1) / blockColumns
    crew.run(tasks: rowBlocks * groups * columnBlocks) { task, worker in
      let columnBlock = task % columnBlocks
      let group = task / columnBlocks % groups
      let rowBlock = task / columnBlocks / groups
      let rowRange = rowBlock * blockRows..<min(rows, (rowBlock + 1) * blockRows)
      let first = columnBlock * blockColumns
      let count = min(groupOutputs - first, blockColumns)
      multiply(
        rowRange, group: group, columns: first..<first + count, input: input, output: output,
        scratch: scratch[worker])
      let columns = group * groupOutputs + first..<group * groupOutputs + first + count
      Epilogue.apply(
        Block(rows: rowRange, columns: columns), of: output, stride: outChannels,
        bias: weights.bias.map { ConstantFloats($0.start) }, residual: residual, relu: relu)
    }
  }

  /// The product for some pixels and some output channels of one group.
  private func multiply(
    _ rowRange: Range<Int>, group: Int, columns: Range<Int>, input: ConstantFloats, output: Floats,
    scratch: Floats
  ) {
    let groupInputs = geometry.inChannels / groups
    let groupOutputs = outChannels / groups
    let left: ConstantFloats
    let leftStride: Int
    if geometry.isPointwise {
      left = input + rowRange.lowerBound * geometry.inChannels + group * groupInputs
      leftStride = geometry.inChannels
    } else {
      let channels = group * groupInputs..<(group + 1) * groupInputs
      Im2col.gather(rowRange, of: input, geometry, channels: channels, to: scratch)
      left = ConstantFloats(scratch)
      leftStride = depth
    }
    MatrixProduct.multiply(
      rows: rowRange.count, columns: columns.count, depth: depth, left, aStride: leftStride,
      weights.matrix.start + group * depth * groupOutputs + columns.lowerBound, bStride: groupOutputs,
      output + rowRange.lowerBound * outChannels + group * groupOutputs + columns.lowerBound,
      cStride: outChannels)
  }
}

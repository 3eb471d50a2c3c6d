// A convolution in which every channel is by itself (Howard et al. 2017, "MobileNets", arXiv:1704.04861): a
// group for each channel of the input, with one output or a few. There is no matrix to multiply with; a row
// of the result is made from the rows of the input that are under the window, as they lie.
//
// Where a channel has several outputs, its values are repeated for each of them first.

import Vectors

enum DepthwiseConvolution {
  static func run(_ step: ConvolutionStep, _ pass: StepContext, _ data: ConvolutionData) {
    let geometry = step.geometry
    let rowCount = geometry.outWidth * geometry.outChannels
    pass.crew.run(tasks: data.images * geometry.outHeight) { task, worker in
      let (image, y) = task.quotientAndRemainder(dividingBy: geometry.outHeight)
      let top = y * geometry.stride - geometry.padding
      // Which rows of the window lie inside the image.
      let first = top < 0 ? min(geometry.kernel, (geometry.dilation - 1 - top) / geometry.dilation) : 0
      let room = geometry.inHeight - top
      let end = room <= 0 ? 0 : min(geometry.kernel, (room + geometry.dilation - 1) / geometry.dilation)
      let windowRows = max(0, end - first)

      let lineCount = geometry.inWidth * geometry.inChannels
      let line = windowRows == 0 ? 0 : top + first * geometry.dilation
      var source = data.input + image * geometry.inputCount + line * lineCount
      var sourceStride = geometry.dilation * lineCount
      if geometry.outChannels > geometry.inChannels {
        let scratch = pass.scratch + worker * scratchCount(geometry)
        repeatChannels(of: source, stride: sourceStride, rows: windowRows, geometry, to: scratch)
        source = ConstantFloats(scratch)
        sourceStride = geometry.inWidth * geometry.outChannels
      }
      let row = DepthwiseRow(
        source: source, sourceStride: sourceStride, windowRows: windowRows, inWidth: geometry.inWidth,
        outWidth: geometry.outWidth, channels: geometry.outChannels, kernel: geometry.kernel,
        stride: geometry.stride, padding: geometry.padding, dilation: geometry.dilation,
        weights: ConstantFloats(data.weights.matrix.start) + first * geometry.kernel * geometry.outChannels,
        bias: ConstantFloats(data.weights.bias.start), residual: data.residual.map { $0 + task * rowCount },
        bounds: step.bounds, target: data.output + task * rowCount)
      withUnsafePointer(to: row) { pass.kernels.depthwise($0) }
    }
  }

  /// Floats of scratch that a step needs.
  static func scratchCount(_ step: ConvolutionStep, threads: Int) -> Int {
    threads * scratchCount(step.geometry)
  }

  /// Of one worker: the rows under a window, with as many channels as the output has.
  private static func scratchCount(_ geometry: ConvolutionGeometry) -> Int {
    geometry.outChannels > geometry.inChannels ? geometry.kernel * geometry.inWidth * geometry.outChannels : 0
  }

  /// Writes some rows of the input one after the other, each channel as often as it has outputs.
  private static func repeatChannels(
    of source: ConstantFloats, stride: Int, rows: Int, _ geometry: ConvolutionGeometry, to target: Floats
  ) {
    let outputs = geometry.outChannels / geometry.inChannels
    let lineCount = geometry.inWidth * geometry.inChannels
    var target = target
    for row in 0..<rows {
      let line = source + row * stride
      for index in 0..<lineCount {
        target.update(repeating: line[index], count: outputs)
        target += outputs
      }
    }
  }
}

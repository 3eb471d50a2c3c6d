// A convolution as matrix products that read their input where it lies.
//
// In NHWC the pixels under a row of the window lie side by side, and the windows of an output row begin
// `stride` pixels apart. So an output row is a product whose left matrix has rows that overlap, and each of
// them as many segments as the window has rows:
//
//     left[x] = [input[y · stride][x · stride ..< x · stride + kernel], input[y · stride + 1][…], …]
//
// Nothing is copied but the input, once, into a border of zeros. The weights are gone through for each output
// row, so they have to stay in cache: it is the way for layers of few channels, such as the first.

import Vectors

enum ImplicitConvolution {
  static func run(_ step: ConvolutionStep, _ pass: StepContext, _ data: ConvolutionData) {
    let geometry = step.geometry
    let (lines, line) = (geometry.paddedHeight, geometry.paddedWidth * geometry.inChannels)
    var input = data.input
    if geometry.padding > 0 {
      let padded = pass.scratch
      pass.split(data.images * lines) { range in
        for index in range { pad(index, of: data.input, geometry, to: padded + index * line) }
      }
      input = ConstantFloats(padded)
    }
    let rows = data.images * geometry.outHeight
    let rowsOfTask = max(1, rows / (pass.threads * MatrixBlocks.tasksOfThread))
    pass.crew.run(tasks: (rows + rowsOfTask - 1) / rowsOfTask) { task, _ in
      for row in task * rowsOfTask..<min(rows, (task + 1) * rowsOfTask) {
        let (image, y) = row.quotientAndRemainder(dividingBy: geometry.outHeight)
        step.multiply(
          row * geometry.outWidth..<(row + 1) * geometry.outWidth, group: 0,
          columns: 0..<geometry.outChannels,
          left: input + (image * lines + y * geometry.stride) * line,
          stride: geometry.stride * geometry.inChannels, segments: (geometry.kernel, line), data, pass.kernels
        )
      }
    }
  }

  /// Floats of scratch that a step needs.
  static func scratchCount(_ geometry: ConvolutionGeometry, images: Int) -> Int {
    geometry.padding == 0
      ? 0 : images * geometry.paddedHeight * geometry.paddedWidth * geometry.inChannels
  }

  /// Writes a line of an image with its border; lines are counted through all images.
  private static func pad(
    _ index: Int, of input: ConstantFloats, _ geometry: ConvolutionGeometry, to target: Floats
  ) {
    let (image, line) = index.quotientAndRemainder(dividingBy: geometry.paddedHeight)
    let (channels, y) = (geometry.inChannels, line - geometry.padding)
    guard y >= 0, y < geometry.inHeight else {
      target.update(repeating: 0, count: geometry.paddedWidth * channels)
      return
    }
    let (border, count) = (geometry.padding * channels, geometry.inWidth * channels)
    target.update(repeating: 0, count: border)
    (target + border).update(from: input + (image * geometry.inHeight + y) * count, count: count)
    (target + (border + count)).update(repeating: 0, count: border)
  }
}

// Pooling over NHWC images, along the channels: which input pixels each output pixel sees.

import Vectors

enum Pooling {
  /// One output row (all x, all channels) of max-pooling. NaN wins, as in PyTorch.
  static func maxRow(
    _ row: Int, of input: ConstantFloats, _ geometry: ConvolutionGeometry, to output: Floats,
    _ kernels: VectorKernels
  ) {
    forEachPixel(row, geometry) { source, rows, columns, target in
      kernels.maximum(
        input + source, rows, columns, geometry.inWidth * geometry.inChannels, geometry.inChannels,
        output + target)
    }
  }

  /// One output row of average-pooling, where padding counts as zeros.
  static func averageRow(
    _ row: Int, of input: ConstantFloats, _ geometry: ConvolutionGeometry, to output: Floats,
    _ kernels: VectorKernels
  ) {
    forEachPixel(row, geometry) { source, rows, columns, target in
      kernels.sum(
        input + source, rows, columns, geometry.inWidth * geometry.inChannels, geometry.inChannels,
        1 / Float(geometry.taps), output + target)
    }
  }

  /// One output row of adaptive average-pooling.
  static func adaptiveRow(
    _ row: Int, of input: ConstantFloats, _ geometry: ConvolutionGeometry, to output: Floats,
    _ kernels: VectorKernels
  ) {
    let rows = adaptiveWindow(row % geometry.outHeight, of: geometry.outHeight, over: geometry.inHeight)
    for x in 0..<geometry.outWidth {
      let columns = adaptiveWindow(x, of: geometry.outWidth, over: geometry.inWidth)
      let source = pixel(row / geometry.outHeight, rows.lowerBound, columns.lowerBound, geometry)
      kernels.sum(
        input + source, rows.count, columns.count, geometry.inWidth * geometry.inChannels,
        geometry.inChannels, 1 / Float(rows.count * columns.count),
        output + (row * geometry.outWidth + x) * geometry.inChannels)
    }
  }

  /// Calls `body` for each pixel of an output row with where its window begins in the input, the rows and
  /// columns of it that are inside, and where the pixel goes.
  @inline(__always)
  private static func forEachPixel(
    _ row: Int, _ geometry: ConvolutionGeometry,
    _ body: (_ source: Int, _ rows: Int, _ columns: Int, _ target: Int) -> Void
  ) {
    let rows = window(row % geometry.outHeight, geometry, size: geometry.inHeight)
    for x in 0..<geometry.outWidth {
      let columns = window(x, geometry, size: geometry.inWidth)
      body(
        pixel(row / geometry.outHeight, rows.lowerBound, columns.lowerBound, geometry), rows.count,
        columns.count, (row * geometry.outWidth + x) * geometry.inChannels)
    }
  }

  private static func window(_ index: Int, _ geometry: ConvolutionGeometry, size: Int) -> Range<Int> {
    let start = index * geometry.stride - geometry.padding
    let first = max(0, start)
    return first..<max(first, min(size, start + geometry.kernel))
  }

  @inline(__always)
  private static func pixel(_ image: Int, _ y: Int, _ x: Int, _ geometry: ConvolutionGeometry) -> Int {
    ((image * geometry.inHeight + y) * geometry.inWidth + x) * geometry.inChannels
  }
}

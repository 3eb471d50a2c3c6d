// Pooling over NHWC images, along the channels: which input pixels each output pixel sees.

import Vectors

/// What average-pooling sees and divides by along height and width.
struct AveragePoolingAxes {
  let rows: PoolingAxis
  let columns: PoolingAxis
}

/// The windows of average-pooling along one dimension.
struct PoolingAxis {
  /// Elements of the input.
  let size: Int
  /// Elements of the output.
  let count: Int
  let kernel: Int
  let stride: Int
  /// Elements of padding before the input.
  let padding: Int
  let divisor: Divisor

  /// What a window's sum is divided by.
  enum Divisor {
    /// All of its elements.
    case whole
    /// Those in the input and in the padding on either side of it.
    case padded
    /// Those in the input.
    case inside
  }

  /// The elements of the input in the window at `index`, and the number to divide by.
  func window(_ index: Int) -> (elements: Range<Int>, divisor: Int) {
    let start = index * stride - padding
    let first = max(0, start)
    let elements = first..<max(first, min(size, start + kernel))
    switch divisor {
    case .whole: return (elements, kernel)
    case .padded: return (elements, min(size + padding, start + kernel) - start)
    case .inside: return (elements, elements.count)
    }
  }

  /// Whether there is one window, of all elements.
  var isMeanOfAll: Bool { count == 1 && window(0) == (0..<size, size) }
}

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

  /// One output row of average-pooling.
  static func averageRow(
    _ row: Int, of input: ConstantFloats, _ axes: AveragePoolingAxes, channels: Int, to output: Floats,
    _ kernels: VectorKernels
  ) {
    let (image, y) = row.quotientAndRemainder(dividingBy: axes.rows.count)
    let (rows, height) = axes.rows.window(y)
    for x in 0..<axes.columns.count {
      let (columns, width) = axes.columns.window(x)
      let pixel = (image * axes.rows.size + rows.lowerBound) * axes.columns.size + columns.lowerBound
      kernels.sum(
        input + pixel * channels, rows.count, columns.count, axes.columns.size * channels, channels,
        1 / Float(height * width), output + (row * axes.columns.count + x) * channels)
    }
  }

  /// One output row of blur-pooling.
  static func blurRow(
    _ row: Int, of input: ConstantFloats, _ geometry: ConvolutionGeometry, to output: Floats,
    _ kernels: VectorKernels
  ) {
    let channels = geometry.inChannels
    let (image, y) = row.quotientAndRemainder(dividingBy: geometry.outHeight)
    withUnsafeTemporaryAllocation(of: ConstantFloats.self, capacity: 9) { pixels in
      guard let pixels = pixels.baseAddress else { return }
      for x in 0..<geometry.outWidth {
        for tapY in 0..<3 {
          let inY = reflected(y * geometry.stride + tapY - geometry.padding, in: geometry.inHeight)
          for tapX in 0..<3 {
            let inX = reflected(x * geometry.stride + tapX - geometry.padding, in: geometry.inWidth)
            (pixels + (tapY * 3 + tapX)).initialize(to: input + pixel(image, inY, inX, geometry))
          }
        }
        kernels.blur(pixels, channels, output + (row * geometry.outWidth + x) * channels)
      }
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

// Pooling over NHWC images, along the channels.

enum Pooling {
  /// One output row (all x, all channels) of max-pooling. NaN wins, as in PyTorch.
  static func maxRow(_ row: Int, of input: ConstantFloats, _ geometry: ConvolutionGeometry, to output: Floats)
  {
    forEachPixel(row, geometry) { image, rows, columns, index in
      let target = output + index
      target.update(repeating: -.infinity, count: geometry.inChannels)
      for y in rows {
        for x in columns {
          let source = input + pixel(image, y, x, geometry)
          for channel in 0..<geometry.inChannels {
            let value = source[channel]
            target[channel] = value > target[channel] || value != value ? value : target[channel]
          }
        }
      }
    }
  }

  /// One output row of average-pooling, where padding counts as zeros.
  static func averageRow(
    _ row: Int, of input: ConstantFloats, _ geometry: ConvolutionGeometry, to output: Floats
  ) {
    let area = geometry.kernel * geometry.kernel
    forEachPixel(row, geometry) { image, rows, columns, index in
      mean(of: input, image, rows, columns, geometry, area: area, to: output + index)
    }
  }

  /// One output row of adaptive average-pooling.
  static func adaptiveRow(
    _ row: Int, of input: ConstantFloats, _ geometry: ConvolutionGeometry, to output: Floats
  ) {
    let y = row % geometry.outHeight
    let rows = adaptiveWindow(y, of: geometry.outHeight, over: geometry.inHeight)
    for x in 0..<geometry.outWidth {
      let columns = adaptiveWindow(x, of: geometry.outWidth, over: geometry.inWidth)
      let index = (row * geometry.outWidth + x) * geometry.inChannels
      mean(
        of: input, row / geometry.outHeight, rows, columns, geometry, area: rows.count * columns.count,
        to: output + index)
    }
  }

  /// The sum over a part of an image, divided by `area`.
  private static func mean(
    of input: ConstantFloats, _ image: Int, _ rows: Range<Int>, _ columns: Range<Int>,
    _ geometry: ConvolutionGeometry,
    area: Int, to target: Floats
  ) {
    target.update(repeating: 0, count: geometry.inChannels)
    for y in rows {
      for x in columns {
        let source = input + pixel(image, y, x, geometry)
        for channel in 0..<geometry.inChannels { target[channel] += source[channel] }
      }
    }
    let scale = 1 / Float(area)
    for channel in 0..<geometry.inChannels { target[channel] *= scale }
  }

  /// Calls `body` for each pixel of an output row with the input rows and columns under its window.
  @inline(__always)
  private static func forEachPixel(
    _ row: Int, _ geometry: ConvolutionGeometry,
    _ body: (_ image: Int, _ rows: Range<Int>, _ columns: Range<Int>, _ index: Int) -> Void
  ) {
    let y = row % geometry.outHeight
    let rows = window(y, geometry, size: geometry.inHeight)
    for x in 0..<geometry.outWidth {
      let columns = window(x, geometry, size: geometry.inWidth)
      body(row / geometry.outHeight, rows, columns, (row * geometry.outWidth + x) * geometry.inChannels)
    }
  }

  private static func window(_ index: Int, _ geometry: ConvolutionGeometry, size: Int) -> Range<Int> {
    let start = index * geometry.stride - geometry.padding
    return max(0, start)..<max(0, min(size, start + geometry.kernel))
  }

  @inline(__always)
  private static func pixel(_ image: Int, _ y: Int, _ x: Int, _ geometry: ConvolutionGeometry) -> Int {
    ((image * geometry.inHeight + y) * geometry.inWidth + x) * geometry.inChannels
  }
}

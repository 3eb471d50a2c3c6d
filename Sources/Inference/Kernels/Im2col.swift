// im2col: the rows of the matrix whose product with the weights is a convolution (Chellapilla et
// al. 2006, "High performance convolutional neural networks for document processing").
//
// Row r belongs to one output pixel. It holds the input pixels under the window, tap after tap, each
// with its channels side by side: [tap y][tap x][channel]. Taps in the padding are zeros.

/// The sizes of a convolution over NHWC images.
struct ConvolutionGeometry {
  let inHeight: Int
  let inWidth: Int
  let inChannels: Int
  let outHeight: Int
  let outWidth: Int
  let kernel: Int
  let stride: Int
  let padding: Int
  let dilation: Int

  /// Whether the input itself is the matrix: one tap, every pixel.
  var isPointwise: Bool { kernel == 1 && stride == 1 && padding == 0 }
}

enum Im2col {
  /// Writes the given rows for `channels` of the input, one after the other, to `target`.
  static func gather(
    _ rows: Range<Int>, of input: ConstantFloats, _ geometry: ConvolutionGeometry, channels: Range<Int>,
    to target: Floats
  ) {
    let count = channels.count
    var to = target
    for row in rows {
      let x = row % geometry.outWidth
      let y = row / geometry.outWidth % geometry.outHeight
      let image = row / (geometry.outWidth * geometry.outHeight)
      let top = y * geometry.stride - geometry.padding
      let left = x * geometry.stride - geometry.padding
      let rowIsWhole =
        count == geometry.inChannels && geometry.dilation == 1 && left >= 0
        && left + geometry.kernel <= geometry.inWidth

      for tapY in 0..<geometry.kernel {
        let inY = top + tapY * geometry.dilation
        guard inY >= 0, inY < geometry.inHeight else {
          to.update(repeating: 0, count: geometry.kernel * count)
          to += geometry.kernel * count
          continue
        }
        let line = input + ((image * geometry.inHeight + inY) * geometry.inWidth) * geometry.inChannels
        if rowIsWhole {
          // Taps beside each other lie side by side in the input too.
          to.update(from: line + left * geometry.inChannels, count: geometry.kernel * count)
          to += geometry.kernel * count
          continue
        }
        for tapX in 0..<geometry.kernel {
          let inX = left + tapX * geometry.dilation
          if inX >= 0, inX < geometry.inWidth {
            to.update(from: line + inX * geometry.inChannels + channels.lowerBound, count: count)
          } else {
            to.update(repeating: 0, count: count)
          }
          to += count
        }
      }
    }
  }
}

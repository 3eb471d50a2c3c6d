// The sizes of a convolution or of pooling over NHWC images.

import NN

/// The sizes of one image's way through a window.
struct ConvolutionGeometry {
  let inHeight: Int
  let inWidth: Int
  let inChannels: Int
  let outHeight: Int
  let outWidth: Int
  let outChannels: Int
  let kernel: Int
  let stride: Int
  let padding: Int
  let dilation: Int

  /// - Parameters:
  ///   - input: the shape `[N, C, H, W]` of what comes in.
  ///   - output: the shape of what comes out.
  init(input: [Int], output: [Int], window: Window) {
    (inChannels, inHeight, inWidth) = (input[1], input[2], input[3])
    (outChannels, outHeight, outWidth) = (output[1], output[2], output[3])
    (kernel, stride) = (window.kernel, window.stride)
    (padding, dilation) = (window.padding, window.dilation)
  }

  /// Whether each pixel of the output is made of one of the input, in the same order.
  var isPointwise: Bool { kernel == 1 && stride == 1 && padding == 0 }
  /// Floats of an image that comes in.
  var inputCount: Int { inHeight * inWidth * inChannels }
  /// Pixels of an image that comes out.
  var outPixels: Int { outHeight * outWidth }
  /// The height of an image with its padding.
  var paddedHeight: Int { inHeight + 2 * padding }
  /// The width of an image with its padding.
  var paddedWidth: Int { inWidth + 2 * padding }
  /// Positions of the window's elements.
  var taps: Int { kernel * kernel }
}

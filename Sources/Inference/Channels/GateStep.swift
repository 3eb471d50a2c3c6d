// A gate: each channel of each image times its factor, with the residual and the ReLU that follow, in one pass
// over the pixels. And the small steps that gates are made with.

import NN
import Vectors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

struct GateStep {
  private let parts: PixelParts
  private let channels: Int
  private let bounds: Bounds

  init(pixels: Int, channels: Int, images: Int, threads: Int, bounds: Bounds) {
    parts = PixelParts(pixels: pixels, images: images, threads: threads)
    (self.channels, self.bounds) = (channels, bounds)
  }

  /// `output = input · gate + residual`, within the bounds; the output may be where the input or the residual is.
  func run(
    _ pass: StepContext, images: Int, _ input: ConstantFloats, gate: ConstantFloats,
    residual: ConstantFloats?,
    to output: Floats
  ) {
    let (parts, channels, bounds, affine) = (parts, channels, bounds, pass.kernels.affine)
    parts.forEach(images: images, pass.crew) { image, _, pixels in
      let start = (image * parts.pixels + pixels.lowerBound) * channels
      affine(
        input + start, pixels.count, channels, gate + image * channels, nil, residual.map { $0 + start },
        bounds,
        output + start)
    }
  }
}

extension StepContext {
  /// `output = 1 / (1 + exp(−input))`.
  func sigmoid(_ count: Int, _ input: ConstantFloats, to output: Floats) {
    split(count) { range in
      for index in range { output[index] = 1 / (1 + exp(-input[index])) }
    }
  }

  /// Convolves the channels of each image with one kernel, with zeros beyond the first and the last.
  func convolve(
    _ kernel: ConstantFloats, taps: Int, images: Int, channels: Int, _ input: ConstantFloats,
    to output: Floats
  ) {
    output.update(repeating: 0, count: images * channels)
    for image in 0..<images {
      let (source, target) = (input + image * channels, output + image * channels)
      for tap in 0..<taps {
        let (offset, weight) = (tap - taps / 2, kernel[tap])
        for channel in max(0, -offset)..<max(max(0, -offset), min(channels, channels - offset)) {
          target[channel] += weight * source[channel + offset]
        }
      }
    }
  }

  /// Takes every `stride`th pixel, with zeros for the channels before and behind those of the input.
  func subsample(
    _ subsampling: Subsampling, _ geometry: ConvolutionGeometry, images: Int, _ input: ConstantFloats,
    to output: Floats
  ) {
    let (inputs, outputs) = (geometry.inChannels, geometry.outChannels)
    let before = subsampling.channelsBefore
    let copy = kernels.copy
    crew.run(tasks: images * geometry.outHeight) { row, _ in
      let (image, y) = row.quotientAndRemainder(dividingBy: geometry.outHeight)
      let source = input + (image * geometry.inHeight + y * geometry.stride) * geometry.inWidth * inputs
      for x in 0..<geometry.outWidth {
        let pixel = output + (row * geometry.outWidth + x) * outputs
        pixel.update(repeating: 0, count: before)
        copy(source + x * geometry.stride * inputs, inputs, pixel + before)
        (pixel + (before + inputs)).update(repeating: 0, count: outputs - inputs - before)
      }
    }
  }
}

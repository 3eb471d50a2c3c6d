// The mean of each channel over all pixels: [N, C, H, W] to [N, C, 1, 1]. All threads work on it, on one
// image too, so the pixels are cut into parts whose sums are added at the end.

import Vectors

struct SqueezeStep {
  private let parts: PixelParts
  private let channels: Int

  init(pixels: Int, channels: Int, images: Int, threads: Int) {
    parts = PixelParts(pixels: pixels, images: images, threads: threads)
    self.channels = channels
  }

  /// Of a part: a sum in double for each channel, and a block's in single precision.
  private var partCount: Int { (3 * channels + 1) / 2 * 2 }

  func scratchCount(images: Int) -> Int { images * parts.count * partCount }

  func run(_ pass: StepContext, images: Int, _ input: ConstantFloats, to output: Floats) {
    let (parts, channels, partCount) = (parts, channels, partCount)
    let (scratch, sums) = (pass.scratch, pass.kernels.sums)
    parts.forEach(images: images, pass.crew) { image, part, pixels in
      let start = scratch + (image * parts.count + part) * partCount
      start.withDoubles(channels) { totals in
        totals.update(repeating: 0, count: channels)
        sums(
          input + (image * parts.pixels + pixels.lowerBound) * channels, pixels.count, channels,
          start + 2 * channels, totals)
      }
    }
    pass.split(images * channels) { range in
      for index in range {
        let (image, channel) = index.quotientAndRemainder(dividingBy: channels)
        var sum = 0.0
        for part in 0..<parts.count {
          sum += (scratch + (image * parts.count + part) * partCount).withDoubles(channels) { $0[channel] }
        }
        output[index] = Float(sum / Double(parts.pixels))
      }
    }
  }
}

extension Floats {
  /// Calls `body` with this memory as `count` Doubles; it must be aligned for them.
  func withDoubles<Result>(_ count: Int, _ body: (UnsafeMutablePointer<Double>) -> Result) -> Result {
    withMemoryRebound(to: Double.self, capacity: count, body)
  }
}

// Group normalisation with the residual and the ReLU that follow it, in two passes over the pixels: the
// statistics of each channel, then center, factor and shift of each channel of each image. Between them, the
// statistics of a group's channels and of the parts that threads took become one.

import NN
import Vectors

struct GroupNormStep {
  private let norm: GroupNormalization
  private let parts: PixelParts
  private let bounds: Bounds

  init(_ norm: GroupNormalization, pixels: Int, images: Int, threads: Int, bounds: Bounds) {
    self.norm = norm
    self.bounds = bounds
    parts = PixelParts(pixels: pixels, images: images, threads: threads)
  }

  /// Of a part: for each channel a mean and a sum of squares in double, and two of a block.
  private var partCount: Int { 6 * norm.channels }

  /// The parts', then a center, a factor and a shift for each channel of each image.
  func scratchCount(images: Int) -> Int { images * (parts.count * partCount + 3 * norm.channels) }

  /// `output = normalised input + residual`, within the bounds; the output may be where one of them is.
  func run(
    _ pass: StepContext, images: Int, _ weights: PackedWeights, _ input: ConstantFloats,
    residual: ConstantFloats?, to output: Floats
  ) {
    let (parts, channels, bounds) = (parts, norm.channels, bounds)
    let (scratch, kernels) = (pass.scratch, pass.kernels)
    let (partCount, imageCount) = (partCount, parts.pixels * channels)
    parts.forEach(images: images, pass.crew) { image, part, pixels in
      let start = scratch + (image * parts.count + part) * partCount
      start.withDoubles(2 * channels) { moments in
        kernels.moments(
          input + image * imageCount + pixels.lowerBound * channels, pixels.count, channels,
          start + 4 * channels, moments, moments + channels)
      }
    }

    let factors = scratch + images * parts.count * partCount
    pass.crew.run(tasks: images * norm.groups) { task, _ in
      let (image, group) = task.quotientAndRemainder(dividingBy: norm.groups)
      merge(
        scratch + image * parts.count * partCount, group: group, weights,
        to: factors + 3 * image * channels)
    }

    parts.forEach(images: images, pass.crew) { image, _, pixels in
      let start = image * imageCount + pixels.lowerBound * channels
      let centers = factors + 3 * image * channels
      kernels.normalize(
        input + start, pixels.count, channels, centers, centers + channels, centers + 2 * channels,
        residual.map { $0 + start }, bounds, output + start)
    }
  }

  /// Makes the centers, factors and shifts of a group's channels from the statistics of an image's parts.
  private func merge(
    _ statistics: Floats, group: Int, _ weights: PackedWeights, to factors: Floats
  ) {
    let width = norm.channels / norm.groups
    let channels = group * width..<(group + 1) * width
    /// Calls `body` with the pixels, the mean and the sum of squares of each part of each channel.
    func forEach(_ body: (_ pixels: Double, _ mean: Double, _ squares: Double) -> Void) {
      for part in 0..<parts.count {
        let pixels = Double(parts.range(part).count)
        (statistics + part * partCount).withDoubles(2 * norm.channels) { moments in
          for channel in channels { body(pixels, moments[channel], moments[norm.channels + channel]) }
        }
      }
    }
    let count = Double(parts.pixels * width)
    var sum = 0.0
    forEach { pixels, mean, _ in sum += pixels * mean }
    let mean = sum / count
    var squares = 0.0
    forEach { squares += $2 + $0 * ($1 - mean) * ($1 - mean) }
    let scale = 1 / (squares / count + norm.eps).squareRoot()
    // What the center is off in single precision goes into the shift.
    let center = Float(mean)
    for channel in channels {
      let factor = scale * Double(weights.matrix.start[channel])
      let shift = Double(weights.bias.start[channel]) + (Double(center) - mean) * factor
      factors[channel] = center
      factors[norm.channels + channel] = Float(factor)
      factors[2 * norm.channels + channel] = Float(shift)
    }
  }
}

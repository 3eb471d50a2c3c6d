// Any convolution as a matrix product (Chellapilla et al. 2006, "High performance convolutional
// neural networks for document processing").
//
// Row r of the left matrix belongs to one output pixel. It holds the input pixels under the window,
// tap after tap, each with its channels side by side: [tap y][tap x][channel]. Taps in the padding
// are zeros. Only a block of rows is made at a time, in the scratch of the worker that multiplies it,
// so that it never leaves the cache.

import Vectors

enum Im2colConvolution {
  static func run(_ step: ConvolutionStep, _ pass: StepContext, _ data: ConvolutionData) {
    let geometry = step.geometry
    let inputs = geometry.inChannels / step.groups
    let depth = geometry.taps * inputs
    let blocks = step.matrixBlocks(images: data.images, threads: pass.threads)
    withUnsafeTemporaryAllocation(of: Int.self, capacity: pass.threads) { gathered in
      // The first row of what each worker's scratch holds, counted through the groups.
      gathered.initialize(repeating: -1)
      guard let gathered = gathered.baseAddress else { return }
      pass.crew.run(tasks: blocks.count) { task, worker in
        let block = blocks[task]
        let left = pass.scratch + worker * blocks.blockRows * depth
        let first = block.rows.lowerBound * step.groups + block.group
        if gathered[worker] != first {
          gather(
            block.rows, of: data.input, geometry,
            channels: block.group * inputs..<(block.group + 1) * inputs, to: left, pass.kernels)
          gathered[worker] = first
        }
        step.multiply(
          block.rows, group: block.group, columns: block.columns, left: left, stride: depth,
          next: blocks.start(task + 1), data, pass.kernels)
      }
    }
  }

  /// Floats of scratch that a step needs.
  static func scratchCount(_ step: ConvolutionStep, images: Int, threads: Int) -> Int {
    threads * step.matrixBlocks(images: images, threads: threads).blockRows * step.geometry.taps
      * step.geometry.inChannels / step.groups
  }

  /// Writes the given rows for `channels` of the input, one after the other, to `target`.
  static func gather(
    _ rows: Range<Int>, of input: ConstantFloats, _ geometry: ConvolutionGeometry, channels: Range<Int>,
    to target: Floats, _ kernels: VectorKernels
  ) {
    let count = channels.count
    let copy = kernels.copy
    var to = target
    for row in rows {
      let x = row % geometry.outWidth
      let y = row / geometry.outWidth % geometry.outHeight
      let image = row / geometry.outPixels
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
          copy(line + left * geometry.inChannels, geometry.kernel * count, to)
          to += geometry.kernel * count
          continue
        }
        for tapX in 0..<geometry.kernel {
          let inX = left + tapX * geometry.dilation
          if inX >= 0, inX < geometry.inWidth {
            copy(line + inX * geometry.inChannels + channels.lowerBound, count, to)
          } else {
            to.update(repeating: 0, count: count)
          }
          to += count
        }
      }
    }
  }
}

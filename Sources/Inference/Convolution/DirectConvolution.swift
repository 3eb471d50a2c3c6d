// A 1×1 convolution of stride 1: every output pixel is the input pixel times a matrix. In NHWC the
// pixels of a batch are the rows of one matrix as they lie:
//
//     output [pixels, outputs] = input [pixels, inputs] · weights [inputs, outputs]

enum DirectConvolution {
  static func run(_ step: ConvolutionStep, _ pass: StepContext, _ data: ConvolutionData) {
    let geometry = step.geometry
    let inputs = geometry.inChannels / step.groups
    let blocks = step.matrixBlocks(images: data.images, threads: pass.threads)
    pass.crew.run(tasks: blocks.count) { task, _ in
      let block = blocks[task]
      step.multiply(
        block.rows, group: block.group, columns: block.columns,
        left: data.input + block.rows.lowerBound * geometry.inChannels + block.group * inputs,
        stride: geometry.inChannels, next: blocks.start(task + 1), data, pass.kernels)
    }
  }
}

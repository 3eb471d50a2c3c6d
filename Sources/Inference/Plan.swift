// A plan: everything about a forward pass that is known before the numbers are. Operations are
// fused, buffers assigned and weights packed; running it allocates nothing but the results.

import Checkpoints
import NN
import Synchronization

/// A compiled graph for one input shape.
final class Plan: Sendable {
  /// What is computed, in order.
  let steps: [Step]
  /// Shapes of the nodes in PyTorch's order.
  private let shapes: [[Int]]
  private let buffers: BufferAssignment
  private let scratchCount: Int
  private let pool: ThreadPool
  private let idleWorkspaces = Mutex<[Workspace]>([])

  /// One step: an operation with its buffers, given by the nodes whose results they hold.
  struct Step: Sendable {
    let kind: Kind
    let inputs: [Int]
    let output: Int
  }

  enum Kind: @unchecked Sendable {  // pointers inside belong to buffers that the case keeps alive
    case convolution(ConvolutionStep, residual: Int?)
    case linear(FullyConnected, PackedWeights, relu: Bool)
    case affine(scale: FloatBuffer, shift: FloatBuffer, relu: Bool)
    case add(relu: Bool)
    case relu
    case maxPool(ConvolutionGeometry)
    case averagePool(ConvolutionGeometry)
    case adaptiveAveragePool(ConvolutionGeometry)
    case flatten
  }

  /// - Parameters:
  ///   - shape: the input's, `[N, C, H, W]`.
  ///   - outputs: the nodes whose results are wanted.
  init(
    _ graph: Graph, shape: [Int], outputs: [Int], weights: WeightStore, pool: ThreadPool
  ) throws {
    MatrixProduct.prepare()
    shapes = try graph.shapes(input: shape)
    self.pool = pool
    let operations = graph.fused(keeping: Set(outputs))
    var steps: [Step] = []
    for operation in operations where operation.operation != .input {
      steps.append(try Plan.step(operation, shapes, weights, threads: pool.threadCount))
    }
    self.steps = steps
    buffers = BufferAssignment(steps, sizes: shapes.map { $0.reduce(1, *) }, input: 0, kept: Set(outputs))
    scratchCount = steps.map(\.kind.scratchCount).max() ?? 0
  }

  /// Runs the plan on `[N, C, H, W]` floats and returns the wanted nodes' results, in PyTorch's order.
  func run(_ input: UnsafeBufferPointer<Float>, outputs: [Int]) throws(CheckpointError) -> [Tensor] {
    let workspace =
      idleWorkspaces.withLock { $0.popLast() }
      ?? Workspace(buffers.sizes, scratchCount: scratchCount, workers: pool.threadCount)
    defer { idleWorkspaces.withLock { $0.append(workspace) } }

    func buffer(_ node: Int) -> Floats { workspace.buffers[buffers.buffer[node]].start }
    if let source = input.baseAddress { toNHWC(source, shapes[0], buffer(0)) }
    pool.pass { crew in
      for step in steps {
        run(
          step, crew, inputs: step.inputs.map(buffer), output: buffer(step.output), buffer,
          workspace.scratchStarts)
      }
    }
    var results: [Tensor] = []
    for node in outputs { results.append(try result(buffer(node), shapes[node])) }
    return results
  }

  // MARK: Compilation

  private static func step(
    _ fused: FusedOperation, _ shapes: [[Int]], _ weights: WeightStore, threads: Int
  ) throws -> Step {
    let input = shapes[fused.inputs[0]]
    let output = shapes[fused.output]
    var inputs = fused.inputs
    let kind: Kind
    switch fused.operation {
    case .conv2d(let convolution):
      let step = ConvolutionStep(
        convolution, weights: try weights.packed(convolution, fused.norm), input: input, output: output,
        relu: fused.relu,
        threads: threads)
      kind = .convolution(step, residual: fused.residual)
      if let residual = fused.residual { inputs.append(residual) }
    case .linear(let layer): kind = .linear(layer, try weights.packed(layer), relu: fused.relu)
    case .batchNorm2d(let norm):
      let (scale, shift) = try weights.affine(norm)
      kind = .affine(scale: scale, shift: shift, relu: fused.relu)
    case .add: kind = .add(relu: fused.relu)
    case .relu, .input: kind = .relu
    case .maxPool2d(let window): kind = .maxPool(geometry(input, output, window))
    case .avgPool2d(let window): kind = .averagePool(geometry(input, output, window))
    case .adaptiveAvgPool2d: kind = .adaptiveAveragePool(geometry(input, output, Window(kernel: 1)))
    case .flatten: kind = .flatten
    }
    return Step(kind: kind, inputs: inputs, output: fused.output)
  }

  private static func geometry(_ input: [Int], _ output: [Int], _ window: Window) -> ConvolutionGeometry {
    ConvolutionGeometry(
      inHeight: input[2], inWidth: input[3], inChannels: input[1], outHeight: output[2], outWidth: output[3],
      kernel: window.kernel, stride: window.stride, padding: window.padding, dilation: window.dilation)
  }

  // MARK: Execution

  private func run(
    _ step: Step, _ crew: ThreadPool.Crew, inputs: [Floats], output: Floats, _ buffer: (Int) -> Floats,
    _ scratch: [Floats]
  ) {
    let input = ConstantFloats(inputs[0])
    let shape = shapes[step.output]
    switch step.kind {
    case .convolution(let convolution, let residual):
      convolution.run(
        crew, input: input, residual: residual.map { ConstantFloats(buffer($0)) }, output: output,
        scratch: scratch)
    case .linear(let layer, let weights, let relu):
      MatrixProduct.multiply(
        rows: shape[0], columns: layer.outFeatures, depth: layer.inFeatures, input, aStride: layer.inFeatures,
        weights.matrix.start, bStride: layer.outFeatures, output, cStride: layer.outFeatures)
      Epilogue.apply(
        Block(rows: 0..<shape[0], columns: 0..<layer.outFeatures), of: output, stride: layer.outFeatures,
        bias: weights.bias.map { ConstantFloats($0.start) }, residual: nil, relu: relu)
    case .affine(let scale, let shift, let relu):
      forEachPixelBlock(crew, shape) { pixels, channels in
        for index in pixels.lowerBound * channels..<pixels.upperBound * channels {
          let channel = index % channels
          let value = input[index] * scale.start[channel] + shift.start[channel]
          output[index] = relu && value < 0 ? 0 : value
        }
      }
    case .add(let relu):
      let other = ConstantFloats(inputs[1])
      forEachPixelBlock(crew, shape) { pixels, channels in
        for index in pixels.lowerBound * channels..<pixels.upperBound * channels {
          let value = input[index] + other[index]
          output[index] = relu && value < 0 ? 0 : value
        }
      }
    case .relu:
      forEachPixelBlock(crew, shape) { pixels, channels in
        for index in pixels.lowerBound * channels..<pixels.upperBound * channels {
          output[index] = input[index] < 0 ? 0 : input[index]
        }
      }
    case .maxPool(let geometry):
      crew.run(tasks: shape[0] * shape[2]) { row, _ in Pooling.maxRow(row, of: input, geometry, to: output) }
    case .averagePool(let geometry):
      crew.run(tasks: shape[0] * shape[2]) { row, _ in
        Pooling.averageRow(row, of: input, geometry, to: output)
      }
    case .adaptiveAveragePool(let geometry):
      crew.run(tasks: shape[0] * shape[2]) { row, _ in
        Pooling.adaptiveRow(row, of: input, geometry, to: output)
      }
    case .flatten: toNCHW(input, shapes[step.inputs[0]], output)
    }
  }

  /// Splits all pixels of a batch, or all rows of a matrix, into one block a thread.
  private func forEachPixelBlock(
    _ crew: ThreadPool.Crew, _ shape: [Int], _ body: @escaping (_ pixels: Range<Int>, _ channels: Int) -> Void
  ) {
    let channels = shape[1]
    let pixels = shape.reduce(1, *) / channels
    let size = (pixels + pool.threadCount - 1) / pool.threadCount
    crew.run(tasks: (pixels + size - 1) / size) { block, _ in
      body(block * size..<min(pixels, (block + 1) * size), channels)
    }
  }

  // MARK: The edge

  private func toNHWC(_ source: ConstantFloats, _ shape: [Int], _ target: Floats) {
    transposeImages(source, shape, fromNCHW: true, target)
  }

  private func toNCHW(_ source: ConstantFloats, _ shape: [Int], _ target: Floats) {
    transposeImages(source, shape, fromNCHW: false, target)
  }

  /// Transposes each image of a batch; a matrix `[N, C]` is the same in both orders.
  private func transposeImages(_ source: ConstantFloats, _ shape: [Int], fromNCHW: Bool, _ target: Floats) {
    let area = shape.dropFirst(2).reduce(1, *)
    let imageCount = shape[1] * area
    let (rows, columns) = fromNCHW ? (shape[1], area) : (area, shape[1])
    for image in 0..<shape[0] {
      Layout.transpose(
        source + image * imageCount, rows: rows, columns: columns, to: target + image * imageCount)
    }
  }

  private func result(_ source: Floats, _ shape: [Int]) throws(CheckpointError) -> Tensor {
    let values = [Float](unsafeUninitializedCapacity: shape.reduce(1, *)) { target, count in
      if let start = target.baseAddress { toNCHW(ConstantFloats(source), shape, start) }
      count = target.count
    }
    return try Tensor(shape: shape, values)
  }
}

extension Plan.Kind {
  /// Floats of scratch that each worker needs.
  var scratchCount: Int {
    if case .convolution(let step, _) = self { return step.scratchCount }
    return 0
  }
}

/// The memory of one pass at a time.
private final class Workspace: Sendable {
  let buffers: [FloatBuffer]
  private let scratch: [FloatBuffer]

  init(_ sizes: [Int], scratchCount: Int, workers: Int) {
    buffers = sizes.map { FloatBuffer(count: $0) }
    scratch = (0..<workers).map { _ in FloatBuffer(count: scratchCount) }
  }

  var scratchStarts: [Floats] { scratch.map(\.start) }
}

// What a plan does and where, known from the graph and the input's shape alone.

import NN

/// The steps of a plan, their algorithms and their buffers.
struct PlanOutline: Sendable {
  /// What is computed, in order.
  let segments: [Segment]
  /// Shapes of the nodes in PyTorch's order.
  let shapes: [[Int]]
  let buffers: BufferAssignment
  /// Floats that every step may use.
  let scratchCount: Int
  private let engine: MatrixEngine

  /// Steps that follow each other for some images at a time: the images of a segment go through all of
  /// its steps before the next ones come, so that what one step writes is in cache for the next.
  struct Segment: Sendable {
    let images: Int
    let steps: [Step]
  }

  /// One step: an operation with its buffers, given by the nodes whose results they hold.
  struct Step: Sendable {
    let kind: Kind
    let inputs: [Int]
    let output: Int

    /// The node that a convolution adds to its result, where that may lie where the output goes.
    var residual: Int? {
      if case .convolution(_, _, let residual) = kind, residual != inputs[0] { return residual }
      return nil
    }
  }

  enum Kind: Sendable {
    case convolution(ConvolutionStep, WeightStore.Layer, residual: Int?)
    case linear(FullyConnected, floor: Float)
    case affine(BatchNormalization, floor: Float)
    case add(floor: Float)
    case relu
    case maxPool(ConvolutionGeometry)
    case averagePool(ConvolutionGeometry)
    case adaptiveAveragePool(ConvolutionGeometry)
    case flatten
  }

  init(_ graph: Graph, _ options: PlanOptions) throws(InputError) {
    let shapes = try graph.shapes(input: options.shape)
    self.shapes = shapes
    engine = options.engine
    var segments: [Segment] = []
    let operations = graph.fused(keeping: Set(options.outputs)).filter { $0.operation != .input }
    for (operation, images) in zip(operations, PlanOutline.chunks(of: operations, shapes)) {
      let step = PlanOutline.step(operation, shapes, images: images, options)
      if let last = segments.last, last.images == images {
        segments[segments.count - 1] = Segment(images: images, steps: last.steps + [step])
      } else {
        segments.append(Segment(images: images, steps: [step]))
      }
    }
    self.segments = segments
    buffers = BufferAssignment(
      segments, imageSizes: shapes.map { $0.dropFirst().reduce(1, *) }, images: options.shape[0], input: 0,
      kept: Set(options.outputs))
    scratchCount =
      segments.flatMap { segment in
        segment.steps.map { $0.scratchCount(images: segment.images, threads: options.threads) }
      }.max() ?? 0
  }

  /// The layers that need weights, with their nodes.
  var layers: [(node: Int, layer: WeightStore.Layer)] {
    segments.flatMap(\.steps).compactMap { step in
      switch step.kind {
      case .convolution(_, let layer, _): (step.output, layer)
      case .linear(let layer, _): (step.output, .linear(layer))
      case .affine(let norm, _): (step.output, .affine(norm))
      default: nil
      }
    }
  }

  var memory: PlanMemory {
    PlanMemory(
      weights: layers.reduce(0) { $0 + $1.layer.packedCount(engine) } * MemoryLayout<Float>.stride,
      workspace: (buffers.sizes.reduce(0, +) + scratchCount) * MemoryLayout<Float>.stride)
  }

  // MARK: Compilation

  /// What goes into a step and comes out of it should stay in the cache that cores share, in bytes.
  private static let cacheBudget = 32 << 20

  /// How many images each operation computes at once: the largest power of two whose data stays in cache.
  ///
  /// Operations that follow each other at one resolution agree on the smallest number, as a chunk that
  /// is not handed on gains nothing.
  private static func chunks(of operations: [FusedOperation], _ shapes: [[Int]]) -> [Int] {
    func resolution(_ operation: FusedOperation) -> ArraySlice<Int> { shapes[operation.output].dropFirst(2) }
    var chunks: [Int] = []
    for operation in operations {
      let images = shapes[operation.output][0]
      let floats = (operation.inputs + [operation.output]).reduce(0) {
        $0 + shapes[$1].dropFirst().reduce(1, *)
      }
      var chunk = 1
      while chunk < images, chunk * 2 * floats * MemoryLayout<Float>.stride <= cacheBudget { chunk *= 2 }
      chunks.append(min(images, chunk))
    }
    var start = 0
    while start < operations.count {
      let end =
        (start..<operations.count).first { resolution(operations[$0]) != resolution(operations[start]) }
        ?? operations.count
      let smallest = chunks[start..<end].min() ?? 1
      for index in start..<end { chunks[index] = smallest }
      start = end
    }
    return chunks
  }

  private static func step(
    _ fused: FusedOperation, _ shapes: [[Int]], images: Int, _ options: PlanOptions
  ) -> Step {
    func geometry(_ window: Window) -> ConvolutionGeometry {
      ConvolutionGeometry(input: shapes[fused.inputs[0]], output: shapes[fused.output], window: window)
    }
    let floor: Float = fused.relu ? 0 : -.infinity
    var inputs = fused.inputs
    let kind: Kind
    switch fused.operation {
    case .conv2d(let convolution):
      let step = ConvolutionStep(
        geometry(convolution.window), groups: convolution.groups(options.engine), floor: floor,
        images: images,
        options)
      kind = .convolution(
        step, .convolution(convolution, fused.norm, step.algorithm), residual: fused.residual)
      if let residual = fused.residual { inputs.append(residual) }
    case .linear(let layer): kind = .linear(layer, floor: floor)
    case .batchNorm2d(let norm): kind = .affine(norm, floor: floor)
    case .add: kind = .add(floor: floor)
    case .relu, .input: kind = .relu
    case .maxPool2d(let window): kind = .maxPool(geometry(window))
    case .avgPool2d(let window): kind = .averagePool(geometry(window))
    case .adaptiveAvgPool2d: kind = .adaptiveAveragePool(geometry(Window(kernel: 1)))
    case .flatten: kind = .flatten
    }
    return Step(kind: kind, inputs: inputs, output: fused.output)
  }
}

extension PlanOutline.Step {
  /// Floats of scratch that all threads need together.
  fileprivate func scratchCount(images: Int, threads: Int) -> Int {
    if case .convolution(let step, _, _) = kind { return step.scratchCount(images: images, threads: threads) }
    return 0
  }

  /// Multiplications and additions for an image, as the definitions of convolution and product have them.
  var operationCount: Int {
    switch kind {
    case .convolution(let step, .convolution(let convolution, _, _), _):
      2 * step.geometry.outPixels * convolution.outChannels * step.geometry.taps * convolution.inChannels
        / convolution.groups
    case .linear(let layer, _): 2 * layer.inFeatures * layer.outFeatures
    default: 0
    }
  }
}

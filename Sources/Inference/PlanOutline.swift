// What a plan does and where, known from the graph and the input's shape alone.

import NN
import Vectors

/// The steps of a plan, their algorithms and their buffers: of one share of its batch.
struct PlanOutline: Sendable {
  let shares: BatchShares
  /// Those that work on a share.
  let threads: Int
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

    /// The nodes whose place the result may take, where nobody needs them after this step: what is read
    /// element by element, each before it is written, and what a convolution adds to its result.
    var replaceable: [Int] {
      switch kind {
      case .convolution(_, _, let residual): residual.map { $0 == inputs[0] ? [] : [$0] } ?? []
      case .affine, .limit, .sigmoid, .add: inputs
      case .gate(_, let residual), .groupNorm(_, _, let residual): [inputs[0]] + (residual.map { [$0] } ?? [])
      default: []
      }
    }
  }

  enum Kind: Sendable {
    case convolution(ConvolutionStep, WeightStore.Layer, residual: Int?)
    case linear(FullyConnected, bounds: Bounds)
    case affine(BatchNormalization, bounds: Bounds)
    case groupNorm(GroupNormStep, GroupNormalization, residual: Int?)
    case add(bounds: Bounds)
    case gate(GateStep, residual: Int?)
    case limit(Bounds)
    case sigmoid
    case maxPool(ConvolutionGeometry)
    case averagePool(AveragePoolingAxes)
    case squeeze(SqueezeStep)
    case adaptiveAveragePool(ConvolutionGeometry)
    case blurPool(ConvolutionGeometry)
    case channelConvolution(ChannelConvolution)
    case subsample(Subsampling, ConvolutionGeometry)
    case flatten
  }

  init(_ graph: Graph, _ options: PlanOptions) throws(InputError) {
    let whole = try graph.shapes(input: options.shape)
    let shares = BatchShares(images: whole[0][0], threads: options.threads)
    let shapes = whole.map { [shares.size] + $0.dropFirst() }
    var options = options
    if shares.count > 1 { options.threads = 1 }
    self.shares = shares
    self.shapes = shapes
    threads = options.threads
    engine = options.engine
    var segments: [Segment] = []
    let operations = graph.fused(keeping: Set(options.outputs)).filter { $0.operation != .input }
    for (operation, images) in zip(
      operations, PlanOutline.chunks(of: operations, shapes, threads: options.threads))
    {
      let step = PlanOutline.step(operation, shapes, images: images, options)
      if let last = segments.last, last.images == images {
        segments[segments.count - 1] = Segment(images: images, steps: last.steps + [step])
      } else {
        segments.append(Segment(images: images, steps: [step]))
      }
    }
    self.segments = segments
    buffers = BufferAssignment(
      segments, imageSizes: shapes.map { $0.dropFirst().reduce(1, *) }, images: shares.size, input: 0,
      kept: Set(options.outputs))
    scratchCount =
      segments.flatMap { segment in
        segment.steps.flatMap { step in
          shares.counts(inChunksOf: segment.images).map {
            step.scratchCount(images: $0, threads: options.threads)
          }
        }
      }.max() ?? 0
  }

  /// The layers that need weights, with their nodes.
  var layers: [(node: Int, layer: WeightStore.Layer)] {
    segments.flatMap(\.steps).compactMap { step in
      switch step.kind {
      case .convolution(_, let layer, _): (step.output, layer)
      case .linear(let layer, _): (step.output, .linear(layer))
      case .affine(let norm, _): (step.output, .affine(norm))
      case .groupNorm(_, let norm, _): (step.output, .groupNorm(norm))
      case .channelConvolution(let convolution): (step.output, .channelConvolution(convolution))
      default: nil
      }
    }
  }

  /// What a plan needs for the weights of a state dict.
  func memory(_ stateDict: StateDict) -> PlanMemory {
    PlanMemory(
      weights: layers.reduce(0) { $0 + $1.layer.packedCount(engine, stateDict) } * MemoryLayout<Float>.stride,
      workspace: shares.count * (buffers.sizes.reduce(0, +) + scratchCount) * MemoryLayout<Float>.stride)
  }

  /// Multiplications and additions of a pass, as the definitions have them.
  var operationCount: Int {
    segments.flatMap(\.steps).reduce(0) { $0 + $1.operationCount(channels: shapes[$1.output][1]) }
      * shares.images
  }

  // MARK: Compilation

  /// A thread's part of what goes into a step and comes out of it should stay in cache, in bytes.
  private static let cacheBudget = 4 << 20

  /// How many images each operation computes at once: the largest power of two whose data stays in cache.
  ///
  /// Operations that follow each other at one resolution agree on the smallest number, as a chunk that
  /// is not handed on gains nothing.
  private static func chunks(
    of operations: [FusedOperation], _ shapes: [[Int]], threads: Int
  ) -> [Int] {
    let budget = threads * cacheBudget
    let resolutions = resolutions(of: operations, shapes)
    var chunks: [Int] = []
    for operation in operations {
      let images = shapes[operation.output][0]
      let floats = (operation.inputs + [operation.output]).reduce(0) {
        $0 + shapes[$1].dropFirst().reduce(1, *)
      }
      var chunk = 1
      while chunk < images, chunk * 2 * floats * MemoryLayout<Float>.stride <= budget { chunk *= 2 }
      chunks.append(min(images, chunk))
    }
    var start = 0
    while start < operations.count {
      let end =
        (start..<operations.count).first { resolutions[$0] != resolutions[start] } ?? operations.count
      let smallest = chunks[start..<end].min() ?? 1
      for index in start..<end { chunks[index] = smallest }
      start = end
    }
    return chunks
  }

  /// Height and width of each operation's result. A gate is a pixel an image, but belongs to the resolution of
  /// what it is made from and multiplied with: to part there would send a block's images out of cache.
  private static func resolutions(of operations: [FusedOperation], _ shapes: [[Int]]) -> [[Int]] {
    var resolutions = operations.map { Array(shapes[$0.output].dropFirst(2)) }
    let pixel = [1, 1]
    for index in resolutions.indices.dropFirst() where resolutions[index] == pixel {
      let before = resolutions[index - 1]
      if resolutions[index...].first(where: { $0 != pixel }) == before { resolutions[index] = before }
    }
    return resolutions
  }

  private static func step(
    _ fused: FusedOperation, _ shapes: [[Int]], images: Int, _ options: PlanOptions
  ) -> Step {
    func geometry(_ window: Window) -> ConvolutionGeometry {
      ConvolutionGeometry(input: shapes[fused.inputs[0]], output: shapes[fused.output], window: window)
    }
    /// The windows of average-pooling along a dimension, with so many elements of padding before the input.
    func axis(_ dimension: Int, _ window: Window, padding: Int, _ divisor: PoolingAxis.Divisor) -> PoolingAxis
    {
      PoolingAxis(
        size: input[dimension], count: shapes[fused.output][dimension], kernel: window.kernel,
        stride: window.stride, padding: padding, divisor: divisor)
    }
    func averagePool(_ rows: PoolingAxis, _ columns: PoolingAxis) -> Kind {
      rows.isMeanOfAll && columns.isMeanOfAll
        ? squeeze() : .averagePool(AveragePoolingAxes(rows: rows, columns: columns))
    }
    func squeeze() -> Kind {
      .squeeze(SqueezeStep(pixels: pixels, channels: input[1], images: images, threads: options.threads))
    }
    let input = shapes[fused.inputs[0]]
    let pixels = input.dropFirst(2).reduce(1, *)
    var inputs = fused.inputs
    if let residual = fused.residual { inputs.append(residual) }
    let kind: Kind
    switch fused.operation {
    case .conv2d(let convolution):
      let step = ConvolutionStep(
        geometry(convolution.window), convolution, bounds: fused.bounds, images: images, options)
      kind = .convolution(
        step, .convolution(convolution, fused.norm, step.algorithm), residual: fused.residual)
    case .linear(let layer): kind = .linear(layer, bounds: fused.bounds)
    case .batchNorm2d(let norm): kind = .affine(norm, bounds: fused.bounds)
    case .groupNorm(let norm):
      let step = GroupNormStep(
        norm, pixels: pixels, images: images, threads: options.threads, bounds: fused.bounds)
      kind = .groupNorm(step, norm, residual: fused.residual)
    case .add: kind = .add(bounds: fused.bounds)
    case .multiply:
      let step = GateStep(
        pixels: pixels, channels: input[1], images: images, threads: options.threads, bounds: fused.bounds)
      kind = .gate(step, residual: fused.residual)
    case .relu, .relu6, .input: kind = .limit(fused.operation.bounds ?? .none)
    case .sigmoid: kind = .sigmoid
    case .maxPool2d(let window): kind = .maxPool(geometry(window))
    case .avgPool2d(let window, let countIncludePad):
      let divisor = countIncludePad ? PoolingAxis.Divisor.padded : .inside
      kind = averagePool(
        axis(2, window, padding: window.padding, divisor), axis(3, window, padding: window.padding, divisor))
    case .avgPool2dSame(let kernel, let stride):
      func same(_ dimension: Int) -> PoolingAxis {
        let zeros = max(0, (shapes[fused.output][dimension] - 1) * stride + kernel - input[dimension])
        return axis(dimension, Window(kernel: kernel, stride: stride), padding: zeros / 2, .whole)
      }
      kind = averagePool(same(2), same(3))
    case .adaptiveAvgPool2d(1, 1): kind = squeeze()
    case .adaptiveAvgPool2d: kind = .adaptiveAveragePool(geometry(Window(kernel: 1)))
    case .blurPool2d(let window): kind = .blurPool(geometry(window))
    case .channelConvolution(let convolution): kind = .channelConvolution(convolution)
    case .subsample(let subsampling):
      kind = .subsample(subsampling, geometry(Window(kernel: 1, stride: subsampling.stride)))
    case .flatten: kind = .flatten
    }
    return Step(kind: kind, inputs: inputs, output: fused.output)
  }
}

extension PlanOutline.Step {
  /// Floats of scratch that all threads need together.
  fileprivate func scratchCount(images: Int, threads: Int) -> Int {
    switch kind {
    case .convolution(let step, _, _): step.scratchCount(images: images, threads: threads)
    case .groupNorm(let step, _, _): step.scratchCount(images: images)
    case .squeeze(let step): step.scratchCount(images: images)
    default: 0
    }
  }

  /// Multiplications and additions for an image, as the definitions of convolution and product have them.
  ///
  /// - Parameter channels: those of the result.
  func operationCount(channels: Int) -> Int {
    switch kind {
    case .convolution(let step, .convolution(let convolution, _, _), _):
      2 * step.geometry.outPixels * convolution.outChannels * step.geometry.taps * convolution.inChannels
        / convolution.groups
    case .linear(let layer, _): 2 * layer.inFeatures * layer.outFeatures
    case .channelConvolution(let convolution): 2 * convolution.kernel * channels
    default: 0
    }
  }
}

// A plan: everything about a forward pass that is known before the numbers are. Operations are
// fused, algorithms chosen, weights packed and buffers assigned; running it (PlanRun.swift) allocates
// nothing but the results.

import Checkpoints
import NN
import Vectors

/// What a plan is compiled for besides its graph and weights.
struct PlanOptions: Hashable {
  /// The input's shape, `[N, C, H, W]`.
  let shape: [Int]
  /// The nodes whose results are wanted.
  let outputs: [Int]
  let accuracy: Accuracy
  /// The algorithm of every convolution that it applies to; nil for the cheapest.
  let algorithm: ConvolutionAlgorithm?
}

/// A compiled graph for one input shape.
final class Plan: Sendable {
  /// What is computed, in order.
  let segments: [Segment]
  /// Shapes of the nodes in PyTorch's order.
  let shapes: [[Int]]
  let buffers: BufferAssignment
  let scratchCount: Int
  let pool: ThreadPool
  let kernels = VectorKernels.widest
  let idleWorkspaces = Locked<[Workspace]>([])

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
      if case .convolution(_, let residual) = kind, residual != inputs[0] { return residual }
      return nil
    }
  }

  enum Kind: @unchecked Sendable {  // pointers inside belong to buffers that the case keeps alive
    case convolution(ConvolutionStep, residual: Int?)
    case linear(FullyConnected, PackedWeights, floor: Float)
    case affine(scale: FloatBuffer, shift: FloatBuffer, floor: Float)
    case add(floor: Float)
    case relu
    case maxPool(ConvolutionGeometry)
    case averagePool(ConvolutionGeometry)
    case adaptiveAveragePool(ConvolutionGeometry)
    case flatten
  }

  init(_ graph: Graph, _ options: PlanOptions, weights: WeightStore, pool: ThreadPool) throws {
    MatrixProduct.prepare()
    let shapes = try graph.shapes(input: options.shape)
    let operations = graph.fused(keeping: Set(options.outputs)).filter { $0.operation != .input }
    let chunks = operations.map { Plan.chunk(of: $0, shapes) }
    let algorithms = zip(operations, chunks).map { operation, chunk in
      Plan.algorithm(operation, shapes, images: chunk, threads: pool.threadCount, options)
    }
    var packed = try Plan.pack(operations, algorithms, weights, pool)

    var segments: [Segment] = []
    for (index, operation) in operations.enumerated() {
      let step = try Plan.step(operation, shapes, algorithms[index], &packed, weights)
      if let last = segments.last, last.images == chunks[index] {
        segments[segments.count - 1] = Segment(images: last.images, steps: last.steps + [step])
      } else {
        segments.append(Segment(images: chunks[index], steps: [step]))
      }
    }
    self.segments = segments
    self.shapes = shapes
    self.pool = pool
    buffers = BufferAssignment(
      segments, imageSizes: shapes.map { $0.dropFirst().reduce(1, *) }, images: options.shape[0], input: 0,
      kept: Set(options.outputs))
    scratchCount =
      segments.flatMap { segment in
        segment.steps.map { $0.scratchCount(images: segment.images, threads: pool.threadCount) }
      }.max() ?? 0
  }

  /// Bytes of the buffers and scratch that each pass at a time works in, without the weights.
  var workspaceBytes: Int { (buffers.sizes.reduce(0, +) + scratchCount) * MemoryLayout<Float>.stride }

  /// The packed weights of all steps.
  var weights: [PackedWeights] {
    segments.flatMap(\.steps).compactMap { step in
      switch step.kind {
      case .convolution(let convolution, _): convolution.weights
      case .linear(_, let weights, _): weights
      default: nil
      }
    }
  }

  // MARK: Compilation

  /// What goes into a step and comes out of it should stay in the cache that cores share, in bytes.
  private static let cacheBudget = 8 << 20

  /// How many images a step computes at once: the largest power of two whose data stays in cache.
  private static func chunk(of operation: FusedOperation, _ shapes: [[Int]]) -> Int {
    let images = shapes[operation.output][0]
    let floats = (operation.inputs + [operation.output]).reduce(0) {
      $0 + shapes[$1].dropFirst().reduce(1, *)
    }
    var chunk = 1
    while chunk * 2 * floats * MemoryLayout<Float>.stride <= cacheBudget { chunk *= 2 }
    return min(images, chunk)
  }

  /// A convolution's algorithm.
  private static func algorithm(
    _ operation: FusedOperation, _ shapes: [[Int]], images: Int, threads: Int, _ options: PlanOptions
  ) -> ConvolutionAlgorithm? {
    guard case .conv2d(let convolution) = operation.operation else { return nil }
    let geometry = geometry(operation, shapes, convolution.window)
    if let forced = options.algorithm, forced.applies(to: geometry, groups: convolution.groups) {
      return forced
    }
    return .choice(
      for: geometry, groups: convolution.groups, images: images, threads: threads, accuracy: options.accuracy)
  }

  /// The weights of all operations that have some, in order.
  private static func pack(
    _ operations: [FusedOperation], _ algorithms: [ConvolutionAlgorithm?], _ weights: WeightStore,
    _ pool: ThreadPool
  ) throws -> ArraySlice<PackedWeights> {
    let layers = zip(operations, algorithms).compactMap { operation, algorithm -> WeightStore.Layer? in
      switch operation.operation {
      case .conv2d(let convolution): .convolution(convolution, operation.norm, algorithm ?? .im2col)
      case .linear(let layer): .linear(layer)
      default: nil
      }
    }
    return try weights.packed(layers, pool)[...]
  }

  /// - Parameter packed: the weights of this and later operations; those of this one are taken away.
  private static func step(
    _ fused: FusedOperation, _ shapes: [[Int]], _ algorithm: ConvolutionAlgorithm?,
    _ packed: inout ArraySlice<PackedWeights>, _ weights: WeightStore
  ) throws -> Step {
    func geometry(_ window: Window) -> ConvolutionGeometry { Plan.geometry(fused, shapes, window) }
    let floor: Float = fused.relu ? 0 : -.infinity
    var inputs = fused.inputs
    let kind: Kind
    switch fused.operation {
    case .conv2d(let convolution):
      let step = ConvolutionStep(
        geometry: geometry(convolution.window), groups: convolution.groups, algorithm: algorithm ?? .im2col,
        weights: packed.removeFirst(), floor: floor)
      kind = .convolution(step, residual: fused.residual)
      if let residual = fused.residual { inputs.append(residual) }
    case .linear(let layer): kind = .linear(layer, packed.removeFirst(), floor: floor)
    case .batchNorm2d(let norm):
      let (scale, shift) = try weights.affine(norm)
      kind = .affine(scale: scale, shift: shift, floor: floor)
    case .add: kind = .add(floor: floor)
    case .relu, .input: kind = .relu
    case .maxPool2d(let window): kind = .maxPool(geometry(window))
    case .avgPool2d(let window): kind = .averagePool(geometry(window))
    case .adaptiveAvgPool2d: kind = .adaptiveAveragePool(geometry(Window(kernel: 1)))
    case .flatten: kind = .flatten
    }
    return Step(kind: kind, inputs: inputs, output: fused.output)
  }

  private static func geometry(
    _ operation: FusedOperation, _ shapes: [[Int]], _ window: Window
  ) -> ConvolutionGeometry {
    ConvolutionGeometry(
      input: shapes[operation.inputs[0]], output: shapes[operation.output], window: window)
  }
}

extension Plan.Step {
  /// Floats of scratch that all threads need together.
  fileprivate func scratchCount(images: Int, threads: Int) -> Int {
    if case .convolution(let step, _) = kind { return step.scratchCount(images: images, threads: threads) }
    return 0
  }
}

/// The memory of one pass at a time.
final class Workspace: Sendable {
  let buffers: [FloatBuffer]
  let scratch: FloatBuffer

  init(_ sizes: [Int], scratchCount: Int) {
    buffers = sizes.map { FloatBuffer(count: $0) }
    scratch = FloatBuffer(count: scratchCount)
  }
}

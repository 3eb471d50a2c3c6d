// A convolution in a plan: its sizes and the way it is computed.

import NN
import Vectors

/// What a convolution does in a plan, with everything that is known before the input is.
struct ConvolutionStep {
  let geometry: ConvolutionGeometry
  /// Groups as they are multiplied: ``NN/Convolution/groups(_:)``.
  let groups: Int
  /// What each of them consists of, if it is several of the convolution's groups.
  let joined: JoinedGroups?
  let algorithm: ConvolutionAlgorithm
  let engine: MatrixEngine
  /// The activation at the end.
  let bounds: Bounds
  /// ``ConvolutionAlgorithm/layout(_:inputs:outputs:taps:)``.
  let layout: WeightLayout

  init(
    _ geometry: ConvolutionGeometry, _ convolution: Convolution, bounds: Bounds, images: Int,
    _ options: PlanOptions
  ) {
    (self.geometry, self.bounds) = (geometry, bounds)
    let groups = convolution.groups(options.engine)
    self.groups = groups
    joined =
      groups == convolution.groups
      ? nil
      : JoinedGroups(
        inputs: convolution.inChannels / convolution.groups,
        outputs: convolution.outChannels / convolution.groups, count: convolution.groups / groups)
    engine = options.engine
    if let forced = options.algorithm, forced.applies(to: convolution, options.engine) {
      algorithm = forced
    } else {
      algorithm = .choice(for: convolution, geometry, groups: groups, images: images, options)
    }
    layout = algorithm.layout(
      engine, inputs: geometry.inChannels / groups, outputs: geometry.outChannels / groups,
      taps: geometry.taps)
  }

  /// Computes a number of images.
  func run(_ pass: StepContext, _ data: ConvolutionData) {
    var data = data
    if let joined, algorithm != .depthwise,
      !pass.isFinite(data.input, count: data.images * geometry.inputCount)
    {
      data.groups = joined
    }
    switch algorithm {
    case .direct: DirectConvolution.run(self, pass, data)
    case .strassen: StrassenConvolution(self, images: data.images, threads: pass.threads).run(pass, data)
    case .im2col: Im2colConvolution.run(self, pass, data)
    case .implicit: ImplicitConvolution.run(self, pass, data)
    case .depthwise: DepthwiseConvolution.run(self, pass, data)
    case .winograd2, .winograd4, .winogradStrided2:
      WinogradConvolution(self, images: data.images, threads: pass.threads)?.run(pass, data)
    case .winograd3: PhaseConvolution(self, images: data.images, threads: pass.threads).run(pass, data)
    }
  }

  /// Floats of scratch that all threads need together.
  func scratchCount(images: Int, threads: Int) -> Int {
    switch algorithm {
    case .direct: 0
    case .strassen: StrassenConvolution(self, images: images, threads: threads).scratchCount
    case .im2col: Im2colConvolution.scratchCount(self, images: images, threads: threads)
    case .implicit: ImplicitConvolution.scratchCount(geometry, images: images)
    case .depthwise: DepthwiseConvolution.scratchCount(self, threads: threads)
    case .winograd2, .winograd4, .winogradStrided2:
      WinogradConvolution(self, images: images, threads: threads)?.scratchCount ?? 0
    case .winograd3: PhaseConvolution(self, images: images, threads: threads).scratchCount
    }
  }

  // MARK: Matrix products

  /// How a product of all output pixels with the weights is cut into tasks.
  func matrixBlocks(images: Int, threads: Int) -> MatrixBlocks {
    MatrixBlocks(
      rows: images * geometry.outPixels, layout: layout, groups: groups, threads: threads)
  }

  /// The product for some pixels and some output channels of one group, with its epilogue.
  ///
  /// - Parameters:
  ///   - left: the rows' input, in the order of the weights; each begins `stride` after the last.
  ///   - segments: parts of a row's input, and how far apart they begin.
  ///   - next: the group and the column that probably come after these; nil for the first of these again.
  func multiply(
    _ rows: Range<Int>, group: Int, columns: Range<Int>, left: ConstantFloats, stride: Int,
    segments: (count: Int, stride: Int)? = nil, next: (group: Int, column: Int)? = nil,
    _ data: ConvolutionData, _ kernels: VectorKernels
  ) {
    var layout = layout
    layout.isBFloat16 = data.weights.scale != nil
    let firstColumn = group * layout.columns + columns.lowerBound
    let start = rows.lowerBound * geometry.outChannels + firstColumn
    MatrixProduct(
      rows: rows.count, columns: columns, left: left, leftStride: stride, segments: segments,
      weights: data.weights.matrix.start + group * layout.count, layout: layout,
      scale: data.weights.scale.map { ConstantFloats($0.start) + firstColumn },
      bias: ConstantFloats(data.weights.bias.start) + firstColumn,
      residual: data.residual.map { $0 + start }, bounds: bounds, target: data.output + start,
      stride: geometry.outChannels,
      following: next.map {
        ConstantFloats(data.weights.matrix.start) + $0.group * layout.count + layout.place($0.column)
      },
      groups: data.groups
    )
    .run(kernels)
  }
}

/// What a convolution reads and writes.
struct ConvolutionData {
  let weights: PackedWeights
  let images: Int
  let input: ConstantFloats
  /// Added to the result before the ReLU; may be where the output goes.
  let residual: ConstantFloats?
  let output: Floats
  /// ``ConvolutionStep/joined`` where the input isn't finite.
  var groups: JoinedGroups?
}

/// What a step works with besides its data.
struct StepContext {
  let crew: ThreadPool.Crew
  let threads: Int
  let kernels: VectorKernels
  /// Memory that any step may overwrite.
  let scratch: Floats

  /// Divides `count` elements among the threads.
  func split(_ count: Int, _ body: @escaping (Range<Int>) -> Void) {
    let size = (count + threads - 1) / threads
    crew.run(tasks: (count + size - 1) / size) { block, _ in
      body(block * size..<min(count, (block + 1) * size))
    }
  }
}

// Running a plan: segment by segment, a chunk of images at a time, step by step.

import Checkpoints
import NN
import Vectors

extension Plan {
  /// Runs the plan on `[N, C, H, W]` floats and returns the wanted nodes' results, in PyTorch's order.
  ///
  /// - Parameter timed: called after each step with how long it took.
  func run(
    _ input: UnsafeBufferPointer<Float>, outputs: [Int], timed: ((PlanOutline.Step, Duration) -> Void)? = nil
  ) throws -> [Tensor] {
    let shares = outline.shares
    let workspaces =
      try idleWorkspaces.withLock { $0.popLast() } ?? (0..<shares.count).map { _ in try Workspace(outline) }
    defer { idleWorkspaces.withLock { $0.append(workspaces) } }

    pool.pass { crew in
      guard let input = input.baseAddress else { return }
      if shares.count == 1 {
        self.run(input, images: shares.images, workspaces[0], crew, timed)
      } else {
        let imageCount = outline.shapes[0].dropFirst().reduce(1, *)
        crew.run(tasks: shares.count) { share, _ in
          let images = shares[share]
          self.run(
            input + images.lowerBound * imageCount, images: images.count, workspaces[share], .lone,
            share == 0 ? timed : nil)
        }
      }
    }
    return try outputs.map { node throws(CheckpointError) in try result(of: node, workspaces) }
  }

  /// Runs all steps on the images of a share.
  private func run(
    _ input: ConstantFloats, images count: Int, _ workspace: Workspace, _ crew: ThreadPool.Crew,
    _ timed: ((PlanOutline.Step, Duration) -> Void)?
  ) {
    let context = StepContext(
      crew: crew, threads: outline.threads, kernels: kernels, scratch: workspace.scratch.start)
    let shape = [count] + outline.shapes[0].dropFirst()
    toNHWC(input, shape, workspace.buffers[outline.buffers.buffer[0]].start, crew)
    for segment in outline.segments {
      for first in stride(from: 0, to: count, by: segment.images) {
        let images = first..<min(count, first + segment.images)
        for step in segment.steps {
          let start = timed.map { _ in ContinuousClock.now }
          run(step, context, images, workspace)
          if let start { timed?(step, ContinuousClock.now - start) }
        }
      }
    }
  }

  /// Where the results of some images are, the first of them at `first`.
  private func results(of node: Int, first: Int, _ workspace: Workspace) -> Floats {
    let start = workspace.buffers[outline.buffers.buffer[node]].start
    return outline.buffers.isLocal[node]
      ? start : start + first * outline.shapes[node].dropFirst().reduce(1, *)
  }

  private func run(
    _ step: PlanOutline.Step, _ context: StepContext, _ images: Range<Int>, _ workspace: Workspace
  ) {
    func start(_ node: Int) -> Floats { results(of: node, first: images.lowerBound, workspace) }
    let (crew, kernels) = (context.crew, context.kernels)
    let input = ConstantFloats(start(step.inputs[0]))
    let output = start(step.output)
    let shape = outline.shapes[step.output]
    let imageCount = shape.dropFirst().reduce(1, *)
    switch step.kind {
    case .convolution(let convolution, _, let residual):
      guard let weights = weights[step.output] else { return }
      let data = ConvolutionData(
        weights: weights, images: images.count, input: input,
        residual: residual.map { ConstantFloats(start($0)) },
        output: output)
      convolution.run(context, data)
    case .linear(let layer, let bounds):
      guard let weights = weights[step.output] else { return }
      run(layer, weights, bounds: bounds, context, images.count, input, output)
    case .affine(_, let bounds):
      guard let weights = weights[step.output] else { return }
      let channels = shape[1]
      context.split(images.count * imageCount / channels) { pixels in
        let start = pixels.lowerBound * channels
        kernels.affine(
          input + start, pixels.count, channels, weights.matrix.start, weights.bias.start, nil, bounds,
          output + start)
      }
    case .groupNorm(let norm, _, let residual):
      guard let weights = weights[step.output] else { return }
      norm.run(
        context, images: images.count, weights, input, residual: residual.map { ConstantFloats(start($0)) },
        to: output)
    case .add(let bounds):
      let other = ConstantFloats(start(step.inputs[1]))
      context.split(images.count * imageCount) { range in
        kernels.add(
          input + range.lowerBound, other + range.lowerBound, range.count, bounds, output + range.lowerBound)
      }
    case .gate(let gate, let residual):
      gate.run(
        context, images: images.count, input, gate: start(step.inputs[1]),
        residual: residual.map { ConstantFloats(start($0)) }, to: output)
    case .limit(let bounds):
      context.split(images.count * imageCount) { range in
        kernels.limit(input + range.lowerBound, range.count, bounds, output + range.lowerBound)
      }
    case .sigmoid: context.sigmoid(images.count * imageCount, input, to: output)
    case .maxPool(let geometry):
      crew.run(tasks: images.count * shape[2]) { row, _ in
        Pooling.maxRow(row, of: input, geometry, to: output, kernels)
      }
    case .averagePool(let axes):
      crew.run(tasks: images.count * shape[2]) { row, _ in
        Pooling.averageRow(row, of: input, axes, channels: shape[1], to: output, kernels)
      }
    case .squeeze(let squeeze): squeeze.run(context, images: images.count, input, to: output)
    case .adaptiveAveragePool(let geometry):
      crew.run(tasks: images.count * shape[2]) { row, _ in
        Pooling.adaptiveRow(row, of: input, geometry, to: output, kernels)
      }
    case .blurPool(let geometry):
      crew.run(tasks: images.count * shape[2]) { row, _ in
        Pooling.blurRow(row, of: input, geometry, to: output, kernels)
      }
    case .channelConvolution(let convolution):
      guard let weights = weights[step.output] else { return }
      context.convolve(
        weights.matrix.start, taps: convolution.kernel, images: images.count, channels: shape[1], input,
        to: output)
    case .subsample(let subsampling, let geometry):
      context.subsample(subsampling, geometry, images: images.count, input, to: output)
    case .flatten:
      var shape = outline.shapes[step.inputs[0]]
      shape[0] = images.count
      toNCHW(input, shape, output)
    }
  }

  /// A fully connected layer; the columns are divided among the threads, so that each weight is read once.
  private func run(
    _ layer: FullyConnected, _ weights: PackedWeights, bounds: Bounds, _ context: StepContext, _ images: Int,
    _ input: ConstantFloats, _ output: Floats
  ) {
    var layout = WeightLayout(engine, depth: layer.inFeatures, columns: layer.outFeatures)
    layout.isBFloat16 = weights.scale != nil
    let blocks = MatrixBlocks(rows: images, layout: layout, groups: 1, threads: context.threads)
    context.crew.run(tasks: blocks.count) { task, _ in
      let block = blocks[task]
      MatrixProduct(
        rows: block.rows.count, columns: block.columns,
        left: input + block.rows.lowerBound * layer.inFeatures, leftStride: layer.inFeatures,
        weights: weights.matrix.start, layout: layout,
        scale: weights.scale.map { ConstantFloats($0.start) + block.columns.lowerBound },
        bias: ConstantFloats(weights.bias.start) + block.columns.lowerBound, bounds: bounds,
        target: output + block.rows.lowerBound * layer.outFeatures + block.columns.lowerBound,
        stride: layer.outFeatures,
        following: blocks.start(task + 1).map {
          ConstantFloats(weights.matrix.start) + layout.place($0.column)
        }
      )
      .run(context.kernels)
    }
  }

  // MARK: The edge

  private func toNHWC(
    _ source: ConstantFloats, _ shape: [Int], _ target: Floats, _ crew: ThreadPool.Crew
  ) {
    let (channels, area) = (shape[1], shape.dropFirst(2).reduce(1, *))
    let parts = min(area, 4)
    crew.run(tasks: shape[0] * parts) { task, _ in
      let image = task / parts * channels * area
      let part = task % parts
      Layout.transpose(
        source + image, rows: 0..<channels, of: channels,
        columns: part * area / parts..<(part + 1) * area / parts,
        of: area, to: target + image)
    }
  }

  /// Transposes each image of a batch; a matrix `[N, C]` is the same in both orders.
  private func toNCHW(_ source: ConstantFloats, _ shape: [Int], _ target: Floats) {
    let (channels, area) = (shape[1], shape.dropFirst(2).reduce(1, *))
    for image in 0..<shape[0] {
      Layout.transpose(
        source + image * channels * area, rows: area, columns: channels,
        to: target + image * channels * area)
    }
  }

  /// The result of a node, in PyTorch's order, of all shares.
  private func result(of node: Int, _ workspaces: [Workspace]) throws(CheckpointError) -> Tensor {
    let (shares, imageShape) = (outline.shares, outline.shapes[node].dropFirst())
    let imageCount = imageShape.reduce(1, *)
    let values = [Float](unsafeUninitializedCapacity: shares.images * imageCount) { target, count in
      if let start = target.baseAddress {
        for (share, workspace) in workspaces.enumerated() {
          let images = shares[share]
          let source = ConstantFloats(workspace.buffers[outline.buffers.buffer[node]].start)
          toNCHW(source, [images.count] + imageShape, start + images.lowerBound * imageCount)
        }
      }
      count = target.count
    }
    return try Tensor(shape: [shares.images] + imageShape, values)
  }
}

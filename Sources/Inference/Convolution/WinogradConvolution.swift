// 3×3 convolutions with fewer multiplications (Lavin and Gray 2016, "Fast algorithms for
// convolutional neural networks", arXiv:1509.09308).
//
// The output is cut into tiles of m × m pixels. A tile depends on (m + 2)² input pixels d, and
//
//     tile = Aᵀ · [(G · g · Gᵀ) ⊙ (Bᵀ · d · B)] · A
//
// for each pair of input and output channel, summed over the input channels. The sum is taken before
// the outer transform, which makes of each of the (m + 2)² elements one matrix product:
//
//     M[e] [tiles, outputs] = V[e] [tiles, inputs] · U[e] [inputs, outputs]
//
// F(4×4) takes 36 multiplications for 16 outputs where the definition takes 144; F(2×2) 16 instead
// of 36. At stride 2 a tile of 2 × 2 depends on 5² pixels and takes 25 instead of 36, with 16 different
// U[e]. `WinogradMatrices` has the matrices, `WinogradTransforms` applies them along the channels.

import Vectors

struct WinogradConvolution {
  private let step: ConvolutionStep
  private let threads: Int
  private let tile: WinogradTile
  private let tilesAcross: Int
  private let tilesDown: Int
  /// Tiles of all images.
  private let tiles: Int
  /// Tiles that are transformed, multiplied and transformed back before the next ones.
  private let blockTiles: Int
  /// Whether a block is all threads' work, or each thread has blocks of its own.
  private let blocksAreShared: Bool

  /// A worker's transformed tiles and products should stay in its cache, in Floats.
  private static let blockBudget = 512 * 1024
  /// With fewer tiles a block, OpenBLAS spends its time on packing the weights.
  private static let fewestTiles = 32

  /// nil if the step is computed in another way.
  init?(_ step: ConvolutionStep, images: Int, threads: Int) {
    guard let tile = step.algorithm.tile else { return nil }
    self.step = step
    self.threads = threads
    self.tile = tile
    let geometry = step.geometry
    tilesAcross = tile.across(geometry.outWidth)
    tilesDown = tile.across(geometry.outHeight)
    tiles = images * tilesDown * tilesAcross

    let floatsOfTile = tile.points * (geometry.inChannels + geometry.outChannels)
    let most = max(WinogradConvolution.fewestTiles, WinogradConvolution.blockBudget / floatsOfTile)
    blocksAreShared = tiles < threads * WinogradConvolution.fewestTiles
    if blocksAreShared {
      blockTiles = max(1, tiles)
    } else {
      let blocks = (tiles + most - 1) / most
      let evened = (blocks + threads - 1) / threads * threads
      blockTiles = (tiles + evened - 1) / evened
    }
  }

  private var points: Int { tile.points }

  // MARK: Scratch

  /// From one element's matrix to the next: an odd number of cache lines, as a power of two would
  /// put the same tile of every matrix into one set of the cache.
  private func planeStride(_ channels: Int) -> Int { (blockTiles * channels + 31) / 32 * 32 + 16 }
  private var inputStride: Int { planeStride(step.geometry.inChannels) }
  private var outputStride: Int { planeStride(step.geometry.outChannels) }

  /// V and M of a block.
  private var blockCount: Int { points * (inputStride + outputStride) }
  /// What each worker needs for itself: vectors of a transform, a pixel of zeros in place of the padding,
  /// and one that takes what lies beyond the image.
  private var workerCount: Int {
    points * 16 + (max(step.geometry.inChannels, step.geometry.outChannels) + 15) / 16 * 16
  }

  /// Floats of scratch that all threads need together.
  var scratchCount: Int { (blocksAreShared ? 1 : threads) * blockCount + threads * workerCount }

  // MARK: Running

  func run(_ pass: StepContext, _ data: ConvolutionData) {
    let workers = pass.scratch + (blocksAreShared ? 1 : threads) * blockCount
    if blocksAreShared {
      let (v, m) = (pass.scratch, pass.scratch + points * inputStride)
      let tilesOfTask = max(1, tiles / (threads * 4))
      let tileTasks = (tiles + tilesOfTask - 1) / tilesOfTask
      pass.crew.run(tasks: tileTasks) { task, worker in
        let range = task * tilesOfTask..<min(tiles, (task + 1) * tilesOfTask)
        transformInput(range, of: data, first: 0, to: v, pass.kernels, workers + worker * workerCount)
      }
      pass.crew.run(tasks: points) { point, _ in
        multiply(point, then: (point + threads) % points, tiles, v, m, pass, data)
      }
      pass.crew.run(tasks: tileTasks) { task, worker in
        let range = task * tilesOfTask..<min(tiles, (task + 1) * tilesOfTask)
        transformOutput(range, m, first: 0, to: data, pass.kernels, workers + worker * workerCount)
      }
    } else {
      pass.crew.run(tasks: (tiles + blockTiles - 1) / blockTiles) { task, worker in
        let v = pass.scratch + worker * blockCount
        let m = v + points * inputStride
        let own = workers + worker * workerCount
        let range = task * blockTiles..<min(tiles, (task + 1) * blockTiles)
        transformInput(range, of: data, first: range.lowerBound, to: v, pass.kernels, own)
        for point in 0..<points {
          multiply(point, then: (point + 1) % points, range.count, v, m, pass, data)
        }
        transformOutput(range, m, first: range.lowerBound, to: data, pass.kernels, own)
      }
    }
  }

  /// `M[point] = V[point] · U[point]` for a block; `next` is the point that probably comes after it.
  private func multiply(
    _ point: Int, then next: Int, _ rows: Int, _ v: Floats, _ m: Floats, _ pass: StepContext, _ data: ConvolutionData
  ) {
    let layout = step.layout
    func weights(of point: Int, group: Int) -> ConstantFloats {
      ConstantFloats(data.weights.matrix.start)
        + (group * tile.filterPoints + tile.filterPoint(point)) * layout.count
    }
    for group in 0..<step.groups {
      let isLast = group + 1 == step.groups
      MatrixProduct(
        rows: rows, columns: 0..<layout.columns,
        left: v + (point * inputStride + group * layout.depth), leftStride: step.geometry.inChannels,
        weights: weights(of: point, group: group), layout: layout,
        target: m + (point * outputStride + group * layout.columns), stride: step.geometry.outChannels,
        following: isLast ? weights(of: next, group: 0) : weights(of: point, group: group + 1),
        groups: data.groups
      )
      .run(pass.kernels)
    }
  }

  /// Where a tile's outputs begin.
  private func position(_ index: Int) -> (image: Int, y: Int, x: Int) {
    (
      index / (tilesDown * tilesAcross), index / tilesAcross % tilesDown * tile.outputs,
      index % tilesAcross * tile.outputs
    )
  }

  /// Writes `Bᵀ · d · B` of some tiles to V, whose first row is that of tile `first`.
  private func transformInput(
    _ range: Range<Int>, of data: ConvolutionData, first: Int, to v: Floats, _ kernels: VectorKernels,
    _ own: Floats
  ) {
    let geometry = step.geometry
    let channels = geometry.inChannels
    let transform = tile.functions(kernels).input
    let (size, stride) = (tile.size, inputStride)
    let zeros = own + points * 16
    zeros.update(repeating: 0, count: channels)
    withUnsafeTemporaryAllocation(of: ConstantFloats.self, capacity: points) { pixels in
      guard let pixels = pixels.baseAddress else { return }
      for index in range {
        let (image, y, x) = position(index)
        let start = data.input + image * geometry.inputCount
        for tapY in 0..<size {
          let inY = y * geometry.stride + tapY - geometry.padding
          for tapX in 0..<size {
            let inX = x * geometry.stride + tapX - geometry.padding
            let isInside = inY >= 0 && inY < geometry.inHeight && inX >= 0 && inX < geometry.inWidth
            (pixels + (tapY * size + tapX)).initialize(
              to: isInside ? start + (inY * geometry.inWidth + inX) * channels : ConstantFloats(zeros))
          }
        }
        transform(pixels, channels, v + (index - first) * channels, stride, own)
      }
    }
  }

  /// Writes `Aᵀ · m · A` of some tiles, with bias, residual and ReLU, to the output.
  private func transformOutput(
    _ range: Range<Int>, _ m: Floats, first: Int, to data: ConvolutionData, _ kernels: VectorKernels,
    _ own: Floats
  ) {
    let geometry = step.geometry
    let channels = geometry.outChannels
    let transform = tile.functions(kernels).output
    let (side, stride) = (tile.outputs, outputStride)
    let beyond = own + points * 16
    // What lies beyond the image is computed too, from whatever was there.
    beyond.update(repeating: 0, count: channels)
    withUnsafeTemporaryAllocation(of: Floats.self, capacity: side * side) { pixels in
      withUnsafeTemporaryAllocation(of: ConstantFloats.self, capacity: side * side) { residuals in
        guard let pixels = pixels.baseAddress, let residuals = residuals.baseAddress else { return }
        for index in range {
          let (image, y, x) = position(index)
          for row in 0..<side {
            for column in 0..<side {
              let isInside = y + row < geometry.outHeight && x + column < geometry.outWidth
              let pixel = (image * geometry.outHeight + y + row) * geometry.outWidth + x + column
              let place = row * side + column
              (pixels + place).initialize(to: isInside ? data.output + pixel * channels : beyond)
              if let residual = data.residual {
                (residuals + place).initialize(
                  to: isInside ? residual + pixel * channels : ConstantFloats(beyond))
              }
            }
          }
          transform(
            m + (index - first) * channels, stride, channels, ConstantFloats(data.weights.bias.start),
            data.residual == nil ? nil : UnsafePointer(residuals), step.bounds, pixels, own)
        }
      }
    }
  }
}

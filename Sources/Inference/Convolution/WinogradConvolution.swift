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

/// A task is a block of tiles and a part of the output channels: transformed, multiplied and transformed back by one
/// thread. Where there are fewer tiles than threads could share, they share the channels. Each of them transforms the
/// tiles for itself then, which takes less time than fetching what another one transformed.
struct WinogradConvolution {
  private let step: ConvolutionStep
  private let threads: Int
  private let tile: WinogradTile
  private let tilesAcross: Int
  private let tilesDown: Int
  /// Tiles of all images.
  private let tiles: Int
  private let blockTiles: Int
  private let parts: [Part]

  /// Channels that are computed together.
  private struct Part {
    let groups: Range<Int>
    /// Columns of each group's weights.
    let columns: Range<Int>
    /// The channels of all groups.
    let inputs: Range<Int>
    let outputs: Range<Int>
  }

  /// A worker's transformed tiles and products should stay in its cache, in Floats.
  private static let blockBudget = 128 * 1024
  /// With fewer tiles a block, OpenBLAS spends its time on packing the weights.
  private static let fewestTiles = 32
  /// With fewer tiles for each thread, the channels are shared.
  private static let fewestTilesOfThread = 16
  /// Parts for each thread, so that one that is held up leaves its share to the others.
  private static let partsOfThread = 2

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

    let floatsOfTile = tile.points * max(geometry.inChannels, geometry.outChannels)
    let most = max(WinogradConvolution.fewestTiles, WinogradConvolution.blockBudget / floatsOfTile)
    var blocks = max(1, (tiles + most - 1) / most)
    if threads == 1 || tiles >= threads * WinogradConvolution.fewestTilesOfThread {
      blocks = (blocks + threads - 1) / threads * threads
      parts = WinogradConvolution.parts(of: step, count: 1)
    } else {
      let wanted = (threads * WinogradConvolution.partsOfThread + blocks - 1) / blocks
      parts = WinogradConvolution.parts(of: step, count: wanted)
      blocks = max(blocks, (threads + parts.count - 1) / parts.count)
    }
    blockTiles = max(1, (tiles + blocks - 1) / blocks)
  }

  /// At most `count` parts: some groups each or, of a single one, some panels of the weights.
  private static func parts(of step: ConvolutionStep, count: Int) -> [Part] {
    let (layout, groups) = (step.layout, step.groups)
    let size = groups > 1 ? 1 : layout.fewestColumns
    let units = groups > 1 ? groups : (layout.columns + size - 1) / size
    let count = min(count, units)
    return (0..<count).map { index in
      let (first, end) = (index * units / count * size, (index + 1) * units / count * size)
      let (ownGroups, columns) =
        groups > 1 ? (first..<end, 0..<layout.columns) : (0..<1, first..<min(end, layout.columns))
      return Part(
        groups: ownGroups, columns: columns,
        inputs: ownGroups.lowerBound * layout.depth..<ownGroups.upperBound * layout.depth,
        outputs: ownGroups.lowerBound * layout.columns + columns.lowerBound..<(ownGroups.upperBound - 1)
          * layout.columns + columns.upperBound)
    }
  }

  private var points: Int { tile.points }

  // MARK: Scratch

  /// From one element's matrix to the next, in V and M: an odd number of cache lines, as a power of two would
  /// put the same tile of every matrix into one set of the cache.
  private var planeStride: Int {
    let channels = parts.reduce(0) { max($0, $1.inputs.count, $1.outputs.count) }
    return (blockTiles * channels + 31) / 32 * 32 + 16
  }

  /// Whether V serves several tasks. Otherwise `M[e]` takes the place of `V[e - 1]`: half the memory, and it is in cache.
  private var keepsInput: Bool { step.groups == 1 && parts.count > 1 }

  /// Matrices between the beginning of M and that of V.
  private var planesBeforeInput: Int { keepsInput ? points : 1 }

  /// What a worker needs: M and V of a task, and the channels of a pixel.
  private var workerCount: Int {
    (planesBeforeInput + points) * planeStride
      + (max(step.geometry.inChannels, step.geometry.outChannels) + 15) / 16 * 16
  }

  /// Floats of scratch that all threads need together.
  var scratchCount: Int { threads * workerCount }

  // MARK: Running

  func run(_ pass: StepContext, _ data: ConvolutionData) {
    let (workerCount, planeStride, planesBeforeInput) = (workerCount, planeStride, planesBeforeInput)
    withUnsafeTemporaryAllocation(of: Int.self, capacity: threads) { transformed in
      // The block that each worker's V holds.
      transformed.initialize(repeating: -1)
      guard let transformed = transformed.baseAddress else { return }
      pass.crew.run(tasks: (tiles + blockTiles - 1) / blockTiles * parts.count) { task, worker in
        let (block, index) = task.quotientAndRemainder(dividingBy: parts.count)
        let part = parts[index]
        let range = block * blockTiles..<min(tiles, (block + 1) * blockTiles)
        let m = pass.scratch + worker * workerCount
        let v = m + planesBeforeInput * planeStride
        let pixel = v + points * planeStride
        if !keepsInput || transformed[worker] != block {
          transformInput(range, part.inputs, of: data, to: v, planeStride, pass.kernels, pixel)
          transformed[worker] = block
        }
        for point in 0..<points {
          multiply(
            point, range.count, part, v + point * planeStride, m + point * planeStride, pass.kernels, data)
        }
        transformOutput(range, part.outputs, m, planeStride, to: data, pass.kernels, pixel)
      }
    }
  }

  /// `M[point] = V[point] · U[point]` for a task.
  private func multiply(
    _ point: Int, _ rows: Int, _ part: Part, _ v: Floats, _ m: Floats, _ kernels: VectorKernels,
    _ data: ConvolutionData
  ) {
    let layout = step.layout
    func weights(_ point: Int, _ group: Int) -> ConstantFloats {
      ConstantFloats(data.weights.matrix.start)
        + (group * tile.filterPoints + tile.filterPoint(point)) * layout.count
    }
    for group in part.groups {
      let next =
        group + 1 < part.groups.upperBound
        ? weights(point, group + 1) : weights((point + 1) % points, part.groups.lowerBound)
      MatrixProduct(
        rows: rows, columns: part.columns,
        left: v + (group * layout.depth - part.inputs.lowerBound),
        leftStride: part.inputs.count, weights: weights(point, group), layout: layout,
        target: m
          + (group * layout.columns + part.columns.lowerBound - part.outputs.lowerBound),
        stride: part.outputs.count, following: next + layout.place(part.columns.lowerBound),
        groups: data.groups
      )
      .run(kernels)
    }
  }

  /// Where a tile's outputs begin.
  private func position(_ index: Int) -> (image: Int, y: Int, x: Int) {
    (
      index / (tilesDown * tilesAcross), index / tilesAcross % tilesDown * tile.outputs,
      index % tilesAcross * tile.outputs
    )
  }

  /// Writes `Bᵀ · d · B` of some tiles to V.
  ///
  /// - Parameter zeros: room for a pixel, which stands for those of the padding.
  private func transformInput(
    _ range: Range<Int>, _ channels: Range<Int>, of data: ConvolutionData, to v: Floats, _ stride: Int,
    _ kernels: VectorKernels, _ zeros: Floats
  ) {
    let geometry = step.geometry
    let transform = tile.functions(kernels).input
    let size = tile.size
    zeros.update(repeating: 0, count: channels.count)
    withUnsafeTemporaryAllocation(of: ConstantFloats.self, capacity: points) { pixels in
      guard let pixels = pixels.baseAddress else { return }
      for index in range {
        let (image, y, x) = position(index)
        let (top, left) = (y * geometry.stride - geometry.padding, x * geometry.stride - geometry.padding)
        let start = data.input + image * geometry.inputCount + channels.lowerBound
        for tapY in 0..<size {
          let isInHeight = top + tapY >= 0 && top + tapY < geometry.inHeight
          let line = start + ((top + tapY) * geometry.inWidth + left) * geometry.inChannels
          let row = pixels + tapY * size
          for tapX in 0..<size {
            let isInside = isInHeight && left &+ tapX >= 0 && left &+ tapX < geometry.inWidth
            (row + tapX).initialize(to: isInside ? line + tapX &* geometry.inChannels : ConstantFloats(zeros))
          }
        }
        transform(pixels, channels.count, v + (index - range.lowerBound) * channels.count, stride)
      }
    }
  }

  /// Writes `Aᵀ · m · A` of some tiles, with bias, residual and ReLU, to the output.
  ///
  /// - Parameter beyond: room for a pixel, which takes what lies beyond the image.
  private func transformOutput(
    _ range: Range<Int>, _ channels: Range<Int>, _ m: Floats, _ stride: Int, to data: ConvolutionData,
    _ kernels: VectorKernels, _ beyond: Floats
  ) {
    let geometry = step.geometry
    let transform = tile.functions(kernels).output
    let side = tile.outputs
    // What lies beyond the image is computed too, from whatever was there.
    beyond.update(repeating: 0, count: channels.count)
    withUnsafeTemporaryAllocation(of: Floats.self, capacity: side * side) { pixels in
      withUnsafeTemporaryAllocation(of: ConstantFloats.self, capacity: side * side) { residuals in
        guard let pixels = pixels.baseAddress, let residuals = residuals.baseAddress else { return }
        for index in range {
          let (image, y, x) = position(index)
          for row in 0..<side {
            let pixel = (image * geometry.outHeight + y + row) * geometry.outWidth + x
            let start = pixel * geometry.outChannels + channels.lowerBound
            for column in 0..<side {
              let isInside = y + row < geometry.outHeight && x &+ column < geometry.outWidth
              let (place, from) = (row &* side &+ column, start &+ column &* geometry.outChannels)
              (pixels + place).initialize(to: isInside ? data.output + from : beyond)
              if let residual = data.residual {
                (residuals + place).initialize(to: isInside ? residual + from : ConstantFloats(beyond))
              }
            }
          }
          transform(
            m + (index - range.lowerBound) * channels.count, stride, channels.count,
            ConstantFloats(data.weights.bias.start) + channels.lowerBound,
            data.residual == nil ? nil : UnsafePointer(residuals), step.bounds, pixels)
        }
      }
    }
  }
}

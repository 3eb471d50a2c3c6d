// Convolutions of 7 × 7 (or 8 × 8) pixels at stride 2 over few channels, as a ResNet begins with: by Winograd's algorithm.
//
// An image has pixels of four phases, whose row and column are even or odd. With the phases as channels it is half as high
// and wide, and the window is one of 4 × 4 pixels at stride 1, with zeros for an eighth row and column. F(3×3, 4×4) takes
// 36 products of 4 times the channels for 9 outputs then, where the definition takes 441.

import Vectors

/// The phases are gathered, within the padding. Then a task is a row of tiles.
struct PhaseConvolution {
  private let step: ConvolutionStep
  private let images: Int
  private let threads: Int
  private let tilesAcross: Int
  private let tilesDown: Int
  /// Of the gathered phases.
  private let height: Int
  private let width: Int

  /// Phases of a pixel.
  static let phases = 4
  private static let tile = WinogradTile.f3

  init(_ step: ConvolutionStep, images: Int, threads: Int) {
    (self.step, self.images, self.threads) = (step, images, threads)
    tilesAcross = PhaseConvolution.tile.across(step.geometry.outWidth)
    tilesDown = PhaseConvolution.tile.across(step.geometry.outHeight)
    // What the last tiles reach beyond the window is gathered too.
    height = tilesDown * PhaseConvolution.tile.outputs + WinogradF3.taps - 1
    width = tilesAcross * PhaseConvolution.tile.outputs + WinogradF3.taps - 1
  }

  private var lineCount: Int { width * PhaseKernel.lanes }
  private var gatheredCount: Int { images * height * lineCount }
  /// Transformed pixels of a row of tiles, and a pixel for what lies beyond the output.
  private var workerCount: Int {
    tilesAcross * PhaseConvolution.tile.points * PhaseKernel.lanes + step.geometry.outChannels
  }

  /// Floats of scratch that all threads need together.
  var scratchCount: Int { gatheredCount + threads * workerCount }

  func run(_ pass: StepContext, _ data: ConvolutionData) {
    let gathered = pass.scratch
    pass.split(images * height) { lines in
      for line in lines { gather(line, of: data.input, to: gathered + line * lineCount) }
    }
    let pointsOfRow = tilesAcross * PhaseConvolution.tile.points
    let resultsOfRow = tilesAcross * PhaseConvolution.tile.outputs * PhaseConvolution.tile.outputs
    pass.crew.run(tasks: images * tilesDown) { row, worker in
      let transformed = gathered + gatheredCount + worker * workerCount
      let beyond = transformed + pointsOfRow * PhaseKernel.lanes
      let start =
        gathered + (row / tilesDown * height + row % tilesDown * PhaseConvolution.tile.outputs) * lineCount
      transform(ConstantFloats(start), to: transformed, pass.kernels)
      withUnsafeTemporaryAllocation(of: Floats.self, capacity: resultsOfRow) { pixels in
        withUnsafeTemporaryAllocation(of: ConstantFloats.self, capacity: resultsOfRow) { residuals in
          guard let pixels = pixels.baseAddress, let residuals = residuals.baseAddress else { return }
          locate(row, data, beyond: beyond, pixels, residuals)
          multiply(ConstantFloats(transformed), data, pass.kernels, pixels, residuals)
        }
      }
    }
  }

  /// Writes a line of pixels with their phases; lines are counted through all images.
  private func gather(_ index: Int, of input: ConstantFloats, to target: Floats) {
    let geometry = step.geometry
    let (image, y) = index.quotientAndRemainder(dividingBy: height)
    let count = 2 * geometry.inChannels
    for phase in 0..<2 {
      let inY = 2 * y + phase - geometry.padding
      let isInside = inY >= 0 && inY < geometry.inHeight
      let line =
        input + (image * geometry.inHeight + (isInside ? inY : 0)) * geometry.inWidth * geometry.inChannels
      let target = target + phase * count
      for x in 0..<width {
        let place = target + x &* PhaseKernel.lanes
        let left = 2 &* x &- geometry.padding
        let pair = line + left &* geometry.inChannels
        if isInside, left >= 0, left &+ 2 <= geometry.inWidth {
          // Both columns lie side by side: one, two or, of three channels, two that overlap.
          if count >= 4 {
            SIMD4<Float>.load(pair).store(place)
            SIMD4<Float>.load(pair + (count &- 4)).store(place + (count &- 4))
          } else {
            place.update(from: pair, count: count)
          }
          continue
        }
        for channel in 0..<count {
          let column = left + channel / geometry.inChannels
          place[channel] = isInside && column >= 0 && column < geometry.inWidth ? pair[channel] : 0
        }
      }
    }
  }

  /// Writes `Bᵀ · d · B` of a row of tiles, whose first pixel is at `source`.
  private func transform(_ source: ConstantFloats, to target: Floats, _ kernels: VectorKernels) {
    let transform = PhaseConvolution.tile.functions(kernels).input
    let (size, points) = (PhaseConvolution.tile.size, PhaseConvolution.tile.points)
    withUnsafeTemporaryAllocation(of: ConstantFloats.self, capacity: points) { pixels in
      guard let pixels = pixels.baseAddress else { return }
      for tile in 0..<tilesAcross {
        let start = source + tile * PhaseConvolution.tile.outputs * PhaseKernel.lanes
        for point in 0..<points {
          (pixels + point).initialize(to: start + (point / size * width + point % size) * PhaseKernel.lanes)
        }
        transform(pixels, PhaseKernel.lanes, target + tile * points * PhaseKernel.lanes, PhaseKernel.lanes)
      }
    }
  }

  /// Finds the pixels of a row of tiles; `beyond` stands for those that are not in the image.
  private func locate(
    _ row: Int, _ data: ConvolutionData, beyond: Floats, _ pixels: UnsafeMutablePointer<Floats>,
    _ residuals: UnsafeMutablePointer<ConstantFloats>
  ) {
    let (geometry, side) = (step.geometry, PhaseConvolution.tile.outputs)
    let (image, tileY) = row.quotientAndRemainder(dividingBy: tilesDown)
    beyond.update(repeating: 0, count: geometry.outChannels)
    for tile in 0..<tilesAcross {
      for place in 0..<side * side {
        let (y, x) = (tileY * side + place / side, tile * side + place % side)
        let isInside = y < geometry.outHeight && x < geometry.outWidth
        let start = ((image * geometry.outHeight + y) * geometry.outWidth + x) * geometry.outChannels
        (pixels + tile * side * side + place).initialize(to: isInside ? data.output + start : beyond)
        if let residual = data.residual {
          (residuals + tile * side * side + place).initialize(
            to: isInside ? residual + start : ConstantFloats(beyond))
        }
      }
    }
  }

  /// All output channels of a row of tiles.
  private func multiply(
    _ transformed: ConstantFloats, _ data: ConvolutionData, _ kernels: VectorKernels,
    _ pixels: UnsafeMutablePointer<Floats>, _ residuals: UnsafeMutablePointer<ConstantFloats>
  ) {
    let depth = PhaseConvolution.phases * step.geometry.inChannels
    for channel in stride(from: 0, to: step.geometry.outChannels, by: PhaseKernel.lanes) {
      let tiles = PhaseTiles(
        transformed: transformed, count: tilesAcross,
        weights: ConstantFloats(data.weights.matrix.start) + channel * PhaseConvolution.tile.points * depth,
        depth: depth, bias: ConstantFloats(data.weights.bias.start) + channel, bounds: step.bounds,
        residual: data.residual == nil ? nil : UnsafePointer(residuals), pixels: pixels, channel: channel)
      withUnsafePointer(to: tiles) { kernels.phases($0) }
    }
  }
}

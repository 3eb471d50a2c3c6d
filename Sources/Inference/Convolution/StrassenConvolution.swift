// 1×1 convolutions with fewer multiplications (Strassen 1969, "Gaussian elimination is not optimal", in Winograd's form
// with 15 additions). The pixels A, the weights B and the result C are cut into halves both ways:
//
//     [C₁₁ C₁₂]   [A₁₁ A₁₂]   [B₁₁ B₁₂]
//     [C₂₁ C₂₂] = [A₂₁ A₂₂] · [B₂₁ B₂₂]
//
// which are eight products of a quarter's size, and seven are enough:
//
//     S₁ = A₂₁ + A₂₂   S₂ = S₁ − A₁₁   S₃ = A₁₁ − A₂₁   S₄ = A₁₂ − S₂
//     T₁ = B₁₂ − B₁₁   T₂ = B₂₂ − T₁   T₃ = B₂₂ − B₁₂   T₄ = B₂₁ − T₂
//
//     X = A₁₁·B₁₁      C₁₁ = X + A₁₂·B₂₁    Y = X + S₁·T₁
//     X += S₂·T₂       Y += S₂·T₂
//     X += S₃·T₃       C₂₂ = Y + S₃·T₃
//     C₂₁ = X + A₂₂·T₄                      C₁₂ = Y + S₄·B₂₂
//
// The T are made when the weights are packed. Of a block with pixels that aren't finite, the result is computed as the
// definition has it: sums would spread them.

import Vectors

/// The matrices of the weights, in the order in which they are multiplied.
enum StrassenMatrix: Int, CaseIterable {
  case b11, b21, t1, t2, t3, t4, b22
}

/// A task is a block of pixels, the upper half of which is A₁, and a part of the columns of both halves of the weights.
struct StrassenConvolution {
  private let step: ConvolutionStep
  private let threads: Int
  private let rows: Int
  private let blockRows: Int
  /// Columns of half the weights.
  private let parts: [Range<Int>]

  /// A worker's pixels, their sums, X and Y should stay near it, in Floats.
  private static let blockBudget = 512 * 1024
  /// With more rows of half a block, what it writes would leave the cache before the next layer reads it.
  private static let mostRows = 112
  /// With fewer rows of half a block for each thread, the columns are shared.
  private static let fewestRows = 28
  /// Parts for each thread, so that one that is held up leaves its share to the others.
  private static let partsOfThread = 2
  /// Panels of a part.
  private static let fewestPanels = 2

  init(_ step: ConvolutionStep, images: Int, threads: Int) {
    self.step = step
    self.threads = threads
    rows = images * step.geometry.outPixels
    let layout = step.layout
    let tile = VectorKernels.chosen.tileRows
    let floatsOfPair = 8 * layout.depth + step.geometry.outChannels
    let most =
      2 * max(tile, min(StrassenConvolution.mostRows, StrassenConvolution.blockBudget / floatsOfPair))
    var blocks = (rows + most - 1) / most
    var partCount = 1
    let panels = layout.columns / layout.rowStride
    if threads > 1 {
      if rows >= 2 * threads * StrassenConvolution.fewestRows {
        blocks = (blocks + threads - 1) / threads * threads
      }
      let wanted = (threads * StrassenConvolution.partsOfThread + blocks - 1) / blocks
      partCount = max(1, min(wanted, panels / StrassenConvolution.fewestPanels))
    }
    let bounds = (0...partCount).map { $0 * panels / partCount * layout.rowStride }
    parts = zip(bounds, bounds.dropFirst()).map { $0..<$1 }
    blockRows = (rows + blocks - 1) / blocks
  }

  // MARK: Scratch

  /// From one row of the sums to the next: an odd number of cache lines, as rows a power of two apart would lie in one
  /// set of the cache.
  private var sumStride: Int { (step.layout.depth + 31) / 32 * 32 + 16 }

  /// Pixels of the upper half of a block, which may have one more than the lower one.
  private var halfRows: Int { (blockRows + 1) / 2 }

  /// Whether the pixels have to be gathered, as they don't lie one behind the other.
  private var gathers: Bool { !step.geometry.isPointwise }

  /// What a worker needs: the four matrices of sums, X beside Y, a pixel of zeros, and the pixels if they are gathered.
  private var workerCount: Int {
    let pixels = gathers ? blockRows + 1 : 1
    return halfRows * (4 * sumStride + step.geometry.outChannels)
      + (pixels * step.geometry.inChannels + 15) / 16 * 16
  }

  /// Floats of scratch that all threads need together.
  var scratchCount: Int { threads * workerCount }

  // MARK: Running

  func run(_ pass: StepContext, _ data: ConvolutionData) {
    withUnsafeTemporaryAllocation(of: Int.self, capacity: threads) { added in
      // The block whose sums each worker has; negative where it is not finite.
      added.initialize(repeating: Int.max)
      guard let added = added.baseAddress else { return }
      pass.crew.run(tasks: (rows + blockRows - 1) / blockRows * parts.count) { task, worker in
        let (index, part) = task.quotientAndRemainder(dividingBy: parts.count)
        let block = Block(
          self, index * blockRows..<min(rows, (index + 1) * blockRows), data,
          scratch: pass.scratch + worker * workerCount, pass.kernels)
        if added[worker] != index, added[worker] != ~index { added[worker] = block.add() ? index : ~index }
        if added[worker] == index { block.multiply(parts[part]) } else { block.multiplyPlainly(parts[part]) }
      }
    }
  }

  /// One block of pixels.
  private struct Block {
    private let step: ConvolutionStep
    private let data: ConvolutionData
    private let kernels: VectorKernels
    private let layout: WeightLayout
    /// Rows of the upper half and of the lower one.
    private let upper: Int
    private let lower: Int
    private let rows: Range<Int>
    /// The pixels of the block, one behind the other.
    private let pixels: ConstantFloats
    private let gathered: Floats?
    /// Where the block's result begins in the output.
    private let start: Int
    private let sums: Floats
    private let sumStride: Int
    private let sumCount: Int
    private let x: Floats
    private let zeros: Floats

    init(
      _ convolution: StrassenConvolution, _ rows: Range<Int>, _ data: ConvolutionData, scratch: Floats,
      _ kernels: VectorKernels
    ) {
      (step, self.data, self.kernels) = (convolution.step, data, kernels)
      layout = step.layout
      upper = (rows.count + 1) / 2
      lower = rows.count / 2
      self.rows = rows
      start = rows.lowerBound * step.geometry.outChannels
      sums = scratch
      sumStride = convolution.sumStride
      sumCount = convolution.halfRows * sumStride
      x = sums + 4 * sumCount
      zeros = x + convolution.halfRows * step.geometry.outChannels
      gathered = convolution.gathers ? zeros + step.geometry.inChannels : nil
      pixels =
        gathered.map { ConstantFloats($0) } ?? data.input + rows.lowerBound * step.geometry.inChannels
    }

    /// Gathers the pixels, if they are, and writes S₁ to S₄.
    ///
    /// - Returns: whether they may be used. They would carry what isn't finite to other pixels.
    func add() -> Bool {
      if let gathered {
        Im2colConvolution.gather(
          rows, of: data.input, step.geometry, channels: 0..<step.geometry.inChannels, to: gathered, kernels)
      }
      if lower < upper { zeros.update(repeating: 0, count: step.geometry.inChannels) }
      return kernels.strassenSums(pixels, upper, lower, layout.depth, zeros, sums, sumStride, sumCount)
    }

    private func weights(_ matrix: StrassenMatrix, _ columns: Range<Int>) -> ConstantFloats {
      ConstantFloats(data.weights.matrix.start) + matrix.rawValue * layout.count
        + layout.place(columns.lowerBound)
    }

    /// All seven products for some columns of both halves.
    func multiply(_ columns: Range<Int>) {
      let (outputs, channels) = (step.geometry.outChannels, step.geometry.inChannels)
      let x = x + columns.lowerBound
      let y = x + layout.columns
      let (a11, a12) = (pixels, pixels + layout.depth)
      let a22 = a12 + upper * channels
      func sum(_ number: Int) -> ConstantFloats { ConstantFloats(sums) + (number - 1) * sumCount }

      /// - Parameter isResult: whether the target is a quarter of C, and takes what follows the product.
      func product(
        _ left: ConstantFloats, _ leftStride: Int, _ rows: Int, _ matrix: StrassenMatrix,
        plus initial: Floats?, to target: Floats, beside: Floats? = nil, isResult: Bool = false
      ) {
        let next = StrassenMatrix(rawValue: matrix.rawValue + 1) ?? .b11
        let place = isResult ? target - data.output : 0
        let product = StrassenProduct(
          left: left, leftStride: leftStride, rows: rows, depth: layout.depth,
          weights: weights(matrix, columns), columns: columns.count, beside: beside,
          initial: initial.map { ConstantFloats($0) },
          residual: isResult ? data.residual.map { $0 + place } : nil,
          bias: isResult ? ConstantFloats(data.weights.bias.start) + place % outputs : nil,
          bounds: isResult ? step.bounds : .none, target: target, stride: outputs,
          following: weights(next, columns))
        withUnsafePointer(to: product) { kernels.strassenMultiply($0) }
      }
      let c11 = data.output + start + columns.lowerBound
      let (c12, c21) = (c11 + layout.columns, c11 + upper * outputs)
      let c22 = c21 + layout.columns
      product(a11, channels, upper, .b11, plus: nil, to: x)
      product(a12, channels, upper, .b21, plus: x, to: c11, isResult: true)
      product(sum(1), sumStride, upper, .t1, plus: x, to: y)
      product(sum(2), sumStride, upper, .t2, plus: y, to: y, beside: x)
      product(sum(3), sumStride, lower, .t3, plus: y, to: c22, beside: x, isResult: true)
      product(a22, channels, lower, .t4, plus: x, to: c21, isResult: true)
      product(sum(4), sumStride, upper, .b22, plus: y, to: c12, isResult: true)
    }

    /// The result as the definition has it, whose B₁₂ is B₂₂ − T₃.
    func multiplyPlainly(_ columns: Range<Int>) {
      let count = layout.depth * columns.count
      let b12 = FloatBuffer(count: count)
      let (b22, t3) = (weights(.b22, columns), weights(.t3, columns))
      for index in 0..<count { b12.start[index] = b22[index] - t3[index] }
      let halves = [(weights(.b11, columns), weights(.b21, columns)), (ConstantFloats(b12.start), b22)]
      for (half, matrices) in halves.enumerated() {
        let column = half * layout.columns + columns.lowerBound
        let target = data.output + start + column
        func add(_ left: ConstantFloats, _ weights: ConstantFloats, to initial: ConstantFloats?, isLast: Bool)
        {
          kernels.multiply(
            left, step.geometry.inChannels, upper + lower, layout.depth, weights, columns.count,
            isLast ? ConstantFloats(data.weights.bias.start) + column : nil, initial,
            isLast ? step.bounds : .none, target, step.geometry.outChannels, weights)
        }
        add(pixels, matrices.0, to: data.residual.map { $0 + start + column }, isLast: false)
        add(pixels + layout.depth, matrices.1, to: ConstantFloats(target), isLast: true)
      }
    }
  }
}

// The one place where matrices are multiplied: by our own kernel, or by OpenBLAS on one thread a call.
// The threads are ours either way.

import Vectors

/// What multiplies matrices.
package enum MatrixEngine: String, Sendable, CaseIterable {
  /// ``MatrixKernel``, on weights that were packed for it.
  case native
  /// OpenBLAS, which packs the weights in every call.
  case blas

  /// Our own kernel where vectors are wide. Where they are not, its advantage is gone: OpenBLAS has
  /// kernels for each kind of CPU.
  static let preferred: MatrixEngine = {
    switch InstructionSetChoice.requested {
    case blas.rawValue where blas.isInstalled: return .blas
    case let name? where VectorKernels.byInstructionSet.contains { $0.name == name }: return .native
    default: return VectorKernels.chosen.width >= 8 || !blas.isInstalled ? .native : .blas
    }
  }()

  /// Whether it can be used here.
  package var isInstalled: Bool { self == .native || BLASLibrary.installed != nil }

  /// The kind of CPU that OpenBLAS chose its kernels for, such as `Zen`; `none` without OpenBLAS.
  package static var coreType: String { BLASLibrary.installed?.coreType ?? "none" }
}

/// A matrix `[rows, depth]` times weights, and what is done with the result.
struct MatrixProduct {
  let rows: Int
  /// Which of the weights' columns; the first must begin a panel.
  let columns: Range<Int>
  let left: ConstantFloats
  /// From one row of `left` to the next.
  let leftStride: Int
  /// Parts of a row of `left` that don't lie one behind the other, and how far apart they begin; nil for one, as it
  /// must be where weights are bfloat16 and with OpenBLAS.
  var segments: (count: Int, stride: Int)?
  let weights: ConstantFloats
  let layout: WeightLayout
  /// The rows of the product are multiplied by it: one number for each of `columns`, where weights are bfloat16.
  var scale: ConstantFloats?
  /// Added to the rows of the result: one number for each of `columns`. nil for zeros.
  var bias: ConstantFloats?
  /// Added to the result, and lies as the target does; may be the target.
  var residual: ConstantFloats?
  /// What results are limited to.
  var bounds = Bounds.none
  let target: Floats
  /// From one row of the target to the next.
  let stride: Int
  /// The weights that the same thread will multiply by next; nil for these again. Any address will do.
  var following: ConstantFloats?
  /// The groups whose weights these are, where they must be kept apart.
  var groups: JoinedGroups?

  /// `target = left · weights · scale + bias + residual`, within `bounds`.
  func run(_ kernels: VectorKernels) {
    if let groups {
      groups.multiply(self)
      return
    }
    let weights = weights + layout.place(columns.lowerBound)
    let following = following ?? weights
    switch layout.engine {
    case .native:
      if let segments {
        kernels.multiplySegments(
          left, leftStride, rows, layout.depth / segments.count, segments.count, segments.stride, weights,
          columns.count, bias, residual, bounds, target, stride, following)
      } else if let scale {
        kernels.multiplyBFloat16(
          left, leftStride, rows, layout.depth, weights, columns.count, scale, bias, residual, bounds, target,
          stride, following)
      } else {
        kernels.multiply(
          left, leftStride, rows, layout.depth, weights, columns.count, bias, residual, bounds, target,
          stride,
          following)
      }
    case .blas:
      let residualIsInPlace = residual.map { $0 == ConstantFloats(target) } ?? false
      guard let library = BLASLibrary.installed else {
        preconditionFailure("OpenBLAS is not installed: see MatrixEngine.isInstalled")
      }
      library.multiply(
        left, leftStride, weights, layout.rowStride, rows: rows, columns: columns.count, depth: layout.depth,
        accumulates: residualIsInPlace, target, stride)
      if let bias {
        kernels.epilogue(
          target, rows, columns.count, stride, bias, residualIsInPlace ? nil : residual, bounds)
      }
    }
  }
}

/// How an engine wants weights `[depth, columns]` to lie: row by row, in panels of some columns.
struct WeightLayout: Sendable {
  let engine: MatrixEngine
  let depth: Int
  let columns: Int
  /// Columns of a panel; all of them for OpenBLAS.
  let rowStride: Int
  /// Whether they are kept as ``Vectors/BFloat16Panels``.
  var isBFloat16 = false

  init(_ engine: MatrixEngine, depth: Int, columns: Int) {
    (self.engine, self.depth, self.columns) = (engine, depth, columns)
    rowStride = engine == .native ? VectorKernels.chosen.panelColumns : columns
  }

  /// Columns of the narrowest part of a product: a panel, or what leaves OpenBLAS's kernels enough to do.
  var fewestColumns: Int { engine == .native ? rowStride : 64 }

  private var panels: Int { (columns + rowStride - 1) / rowStride }

  /// Words of 32 bits of a panel's row.
  private var rowWords: Int { isBFloat16 ? rowStride / 2 : rowStride }

  /// Words of the matrix.
  var count: Int { panels * depth * rowWords }

  /// Where a column begins, the first of its panel where weights are bfloat16. Of Floats, the next row's element comes
  /// `rowStride` later.
  func place(_ column: Int) -> Int { column / rowStride * depth * rowWords + column % rowStride }

  /// Writes zeros where the last panel has no columns.
  func clearRest(of matrix: Floats) {
    let rest = panels * rowStride - columns
    guard rest > 0 else { return }
    for row in 0..<depth {
      let last = matrix + place((panels - 1) * rowStride) + row * rowStride
      (last + (rowStride - rest)).update(repeating: 0, count: rest)
    }
  }

  /// Writes weights that are bfloat16 as Floats, as ``Vectors/BFloat16Panels``.
  func pack(_ floats: ConstantFloats, to words: Floats) {
    let half = rowStride / 2
    for row in 0..<panels * depth {
      for column in 0..<half {
        let place = row * rowStride + column
        words[row * half + column] = Float(
          bitPattern: floats[place].bitPattern >> 16 | floats[place + half].bitPattern & 0xFFFF_0000)
      }
    }
  }
}

// How a matrix product is cut into tasks: blocks of rows that stay in cache from the copy before the
// product to the epilogue after it, and parts of the columns where rows are few.

import Vectors

/// The cut of a product's result, for each of a convolution's groups.
struct MatrixBlocks {
  private let rows: Int
  private let columns: Int
  private let groups: Int
  let blockRows: Int
  private let blockColumns: Int

  /// - Parameters:
  ///   - layout: a group's weights.
  ///   - threads: how many work on it.
  init(rows: Int, layout: WeightLayout, groups: Int, threads: Int) {
    (self.rows, self.groups) = (rows, groups)
    columns = layout.columns
    switch layout.engine {
    case .native:
      (blockRows, blockColumns) = MatrixBlocks.nativeBlock(
        rows: rows, layout: layout, groups: groups, threads: threads)
    case .blas:
      (blockRows, blockColumns) = MatrixBlocks.blasBlock(
        rows: rows, layout: layout, groups: groups, threads: threads)
    }
  }

  // MARK: Our own kernel

  /// The left matrix of a block should stay in a core's second cache while the panels go by, in Floats.
  private static let leftBudget = 48 * 1024
  /// With more rows, what a block writes would leave the cache before the next layer reads it.
  private static let mostNativeRows = 384
  /// Tasks for each thread, so that one that is held up leaves its share to the others.
  static let tasksOfThread = 4
  /// Panels of a task: with fewer, fetching the left matrix would not pay.
  private static let fewestPanels = 2

  /// The weights are packed already, so blocks may be small. One thread takes blocks of rows alone; for
  /// more, columns are split too until all have something to do.
  private static func nativeBlock(
    rows: Int, layout: WeightLayout, groups: Int, threads: Int
  ) -> (rows: Int, columns: Int) {
    let tile = VectorKernels.chosen.tileRows
    let depth = max(1, min(layout.depth, MatrixKernel.depthAtOnce))
    let most = max(tile, min(mostNativeRows, leftBudget / depth))
    var rowBlocks = max(1, (rows + most / 2) / most)
    let panels = (layout.columns + layout.rowStride - 1) / layout.rowStride
    var columnBlocks = 1
    if threads > 1 {
      if rowBlocks > 1 { rowBlocks = (rowBlocks + threads - 1) / threads * threads }
      let wanted = (threads * tasksOfThread + rowBlocks * groups - 1) / (rowBlocks * groups)
      columnBlocks = max(1, min(wanted, panels / fewestPanels))
    }
    let blockRows = (rows + rowBlocks - 1) / rowBlocks
    return (
      max(1, min(rows, (blockRows + tile - 1) / tile * tile)),
      (panels + columnBlocks - 1) / columnBlocks * layout.rowStride
    )
  }

  // MARK: OpenBLAS

  /// At most so many rows a block: enough for OpenBLAS to pay for packing the weights in each call,
  /// few enough for the block to stay in cache until its epilogue.
  private static let mostBlasRows = 392

  /// Few rows: every thread takes all of them for a part of the columns, so that each weight is packed
  /// once. Many rows: blocks of rows, a multiple of the threads so that all end together.
  private static func blasBlock(
    rows: Int, layout: WeightLayout, groups: Int, threads: Int
  ) -> (rows: Int, columns: Int) {
    let columns = layout.columns
    if rows <= mostBlasRows, groups == 1, columns >= threads * layout.fewestColumns {
      return (max(1, rows), (columns + threads - 1) / threads)
    }
    let blocks = max(1, (rows + mostBlasRows - 1) / mostBlasRows)
    let evened = (blocks + threads - 1) / threads * threads
    return (max(1, (rows + evened - 1) / evened), columns)
  }

  // MARK: Blocks

  private var rowBlocks: Int { (rows + blockRows - 1) / blockRows }
  private var columnBlocks: Int { (columns + blockColumns - 1) / blockColumns }

  /// The number of blocks.
  var count: Int { rowBlocks * groups * columnBlocks }

  /// One block: its rows, its group, and its columns within the group.
  subscript(index: Int) -> (rows: Range<Int>, group: Int, columns: Range<Int>) {
    let column = index % columnBlocks * blockColumns
    let row = index / columnBlocks / groups * blockRows
    return (
      row..<min(rows, row + blockRows), index / columnBlocks % groups,
      column..<min(columns, column + blockColumns)
    )
  }

  /// The group of a block and the first of its columns; nil beyond the last one.
  func start(_ index: Int) -> (group: Int, column: Int)? {
    guard index < count else { return nil }
    let block = self[index]
    return (block.group, block.columns.lowerBound)
  }
}

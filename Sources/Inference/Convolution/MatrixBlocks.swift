// How a matrix product is cut into tasks: blocks of rows that stay in cache from the copy before the
// product to the epilogue after it, or parts of the columns where rows are few.

/// The cut of a `rows` × `columns` result, for each of a convolution's groups.
struct MatrixBlocks {
  private let rows: Int
  private let columns: Int
  private let groups: Int
  let blockRows: Int
  private let blockColumns: Int

  /// At most so many rows a block: enough for OpenBLAS to pay for packing the weights in each call,
  /// few enough for the block to stay in cache until its epilogue.
  private static let mostRows = 392
  /// Narrower column blocks leave OpenBLAS's kernels with too little to do.
  private static let fewestColumns = 64

  /// - Parameters:
  ///   - columns: a group's.
  ///   - threads: how many work on it.
  init(rows: Int, columns: Int, groups: Int, threads: Int) {
    (self.rows, self.columns, self.groups) = (rows, columns, groups)
    // Few rows: every thread takes all of them for a part of the columns, so that each weight is
    // packed once. Many rows: blocks of rows, a multiple of the threads so that all end together.
    if rows <= MatrixBlocks.mostRows, groups == 1, columns >= threads * MatrixBlocks.fewestColumns {
      blockRows = max(1, rows)
      blockColumns = (columns + threads - 1) / threads
    } else {
      let blocks = max(1, (rows + MatrixBlocks.mostRows - 1) / MatrixBlocks.mostRows)
      let evened = (blocks + threads - 1) / threads * threads
      blockRows = max(1, (rows + evened - 1) / evened)
      blockColumns = columns
    }
  }

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
}

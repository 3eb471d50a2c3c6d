// Between PyTorch's NCHW and the NHWC that plans work in: transposition of [C, H·W] and [H·W, C].

import Vectors

enum Layout {
  /// Writes the transpose of the row-major `rows` × `columns` matrix at `source` to `target`.
  static func transpose(_ source: ConstantFloats, rows: Int, columns: Int, to target: Floats) {
    transpose(source, rows: 0..<rows, of: rows, columns: 0..<columns, of: columns, to: target)
  }

  /// Writes the transpose of a part of the row-major `height` × `width` matrix at `source` to its place
  /// in `target`.
  static func transpose(
    _ source: ConstantFloats, rows: Range<Int>, of height: Int, columns: Range<Int>, of width: Int,
    to target: Floats
  ) {
    // Square tiles keep both the lines read and the lines written in cache.
    let tile = 16
    for rowStart in stride(from: rows.lowerBound, to: rows.upperBound, by: tile) {
      let rowEnd = min(rows.upperBound, rowStart + tile)
      for columnStart in stride(from: columns.lowerBound, to: columns.upperBound, by: tile) {
        let columnEnd = min(columns.upperBound, columnStart + tile)
        for row in rowStart..<rowEnd {
          for column in columnStart..<columnEnd {
            target[column &* height &+ row] = source[row &* width &+ column]
          }
        }
      }
    }
  }
}

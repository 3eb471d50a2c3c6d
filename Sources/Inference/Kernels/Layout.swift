// Between PyTorch's NCHW and the NHWC that plans work in: transposition of [C, H·W] and [H·W, C].

enum Layout {
  /// Writes the transpose of the row-major `rows` × `columns` matrix at `source` to `target`.
  static func transpose(_ source: ConstantFloats, rows: Int, columns: Int, to target: Floats) {
    // Square tiles keep both the lines read and the lines written in cache.
    let tile = 16
    for rowStart in stride(from: 0, to: rows, by: tile) {
      let rowEnd = min(rows, rowStart + tile)
      for columnStart in stride(from: 0, to: columns, by: tile) {
        for row in rowStart..<rowEnd {
          for column in columnStart..<min(columns, columnStart + tile) {
            target[column &* rows &+ row] = source[row &* columns &+ column]
          }
        }
      }
    }
  }
}

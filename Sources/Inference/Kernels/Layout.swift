// Between PyTorch's NCHW and the NHWC that plans work in: transposition of [C, H·W] and [H·W, C].

import Vectors

enum Layout {
  /// Writes the transpose of the row-major `rows` × `columns` matrix at `source` to `target`.
  static func transpose(_ source: ConstantFloats, rows: Int, columns: Int, to target: Floats) {
    transpose(source, rows: 0..<rows, of: rows, columns: 0..<columns, of: columns, to: target)
  }

  /// Writes the transpose of a `rows` × `columns` matrix, each row times its element of `scale`.
  ///
  /// The source's rows begin `stride` apart, the target's `targetStride`.
  static func transpose(
    _ source: ConstantFloats, rows: Int, columns: Int, stride: Int, scale: ConstantFloats, to target: Floats,
    stride targetStride: Int
  ) {
    func single(_ row: Int, _ column: Int) {
      target[column &* targetStride &+ row] = source[row &* stride &+ column] * scale[row]
    }
    // Sixteen rows at a time fill whole cache lines of what is written.
    for first in Swift.stride(from: 0, to: rows, by: 16) {
      let last = min(rows, first &+ 16)
      var column = 0
      while column &+ 4 <= columns {
        var row = first
        while row &+ 4 <= last {
          transposeFour(
            source + (row &* stride &+ column), stride: stride, scale: scale + row,
            to: target + (column &* targetStride &+ row), stride: targetStride)
          row &+= 4
        }
        while row < last {
          for offset in 0..<4 { single(row, column &+ offset) }
          row &+= 1
        }
        column &+= 4
      }
      while column < columns {
        for row in first..<last { single(row, column) }
        column &+= 1
      }
    }
  }

  /// Writes the transpose of 4 × 4 elements.
  @inline(__always)
  private static func transposeFour(
    _ source: ConstantFloats, stride: Int, scale: ConstantFloats, to target: Floats, stride targetStride: Int
  ) {
    let a = SIMD4<Float>.load(source)
    let b = SIMD4<Float>.load(source + stride)
    let c = SIMD4<Float>.load(source + 2 &* stride)
    let d = SIMD4<Float>.load(source + 3 &* stride)
    let factor = SIMD4<Float>.load(scale)
    (SIMD4(a[0], b[0], c[0], d[0]) * factor).store(target)
    (SIMD4(a[1], b[1], c[1], d[1]) * factor).store(target + targetStride)
    (SIMD4(a[2], b[2], c[2], d[2]) * factor).store(target + 2 &* targetStride)
    (SIMD4(a[3], b[3], c[3], d[3]) * factor).store(target + 3 &* targetStride)
  }

  /// The same for three whole rows, which the colours of an image are.
  private static func transposeThree(
    _ source: ConstantFloats, _ columns: Range<Int>, of width: Int, to target: Floats
  ) {
    var column = columns.lowerBound
    while column &+ 4 <= columns.upperBound {
      let a = SIMD4<Float>.load(source + column)
      let b = SIMD4<Float>.load(source + (width &+ column))
      let c = SIMD4<Float>.load(source + (2 &* width &+ column))
      let to = target + 3 &* column
      SIMD4(a[0], b[0], c[0], a[1]).store(to)
      SIMD4(b[1], c[1], a[2], b[2]).store(to + 4)
      SIMD4(c[2], a[3], b[3], c[3]).store(to + 8)
      column &+= 4
    }
    while column < columns.upperBound {
      for row in 0..<3 { target[3 &* column &+ row] = source[row &* width &+ column] }
      column &+= 1
    }
  }

  /// Writes the transpose of a part of the row-major `height` × `width` matrix at `source` to its place
  /// in `target`.
  static func transpose(
    _ source: ConstantFloats, rows: Range<Int>, of height: Int, columns: Range<Int>, of width: Int,
    to target: Floats
  ) {
    if height == 3, rows == 0..<3 {
      transposeThree(source, columns, of: width, to: target)
      return
    }
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

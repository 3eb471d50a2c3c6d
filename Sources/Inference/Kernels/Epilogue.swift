// What follows a matrix product while its block is still in cache: bias, residual, ReLU.

/// A block of rows inside a larger row-major matrix.
struct Block {
  let rows: Range<Int>
  let columns: Range<Int>
}

enum Epilogue {
  private typealias Vector = SIMD8<Float>

  /// `matrix = max(matrix + bias + residual, 0)` over one block; without what is nil or false.
  ///
  /// `matrix` and `residual` have rows of `stride` elements, `bias` one element a column.
  static func apply(
    _ block: Block, of matrix: Floats, stride: Int, bias: ConstantFloats?, residual: ConstantFloats?,
    relu: Bool
  ) {
    guard bias != nil || residual != nil || relu else { return }
    let width = Vector.scalarCount
    let count = block.columns.count
    for row in block.rows {
      let start = row &* stride &+ block.columns.lowerBound
      let values = matrix + start
      let added = residual.map { $0 + start }
      let shift = bias.map { $0 + block.columns.lowerBound }
      var column = 0
      while column &+ width <= count {
        var vector = load(values + column)
        if let shift { vector += load(shift + column) }
        if let added { vector += load(added + column) }
        if relu { vector.replace(with: 0, where: vector .< 0) }
        UnsafeMutableRawPointer(values + column).storeBytes(of: vector, as: Vector.self)
        column &+= width
      }
      while column < count {
        var value = values[column]
        if let shift { value += shift[column] }
        if let added { value += added[column] }
        if relu, value < 0 { value = 0 }
        values[column] = value
        column &+= 1
      }
    }
  }

  @inline(__always)
  private static func load(_ pointer: ConstantFloats) -> Vector {
    UnsafeRawPointer(pointer).loadUnaligned(as: Vector.self)
  }

  @inline(__always)
  private static func load(_ pointer: Floats) -> Vector {
    UnsafeRawPointer(pointer).loadUnaligned(as: Vector.self)
  }
}

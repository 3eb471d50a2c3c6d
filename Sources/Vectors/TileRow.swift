// Rows of Winograd's tiles: transformed as wholes, which is a transform along the columns, and then element by element.

/// A row of a tile, of up to 6 elements.
public struct TileRow<Vector: FloatVector>: FloatArithmetic {
  @usableFromInline let a: Vector
  @usableFromInline let b: Vector
  @usableFromInline let c: Vector
  @usableFromInline let d: Vector
  @usableFromInline let e: Vector
  @usableFromInline let f: Vector

  /// - Parameter element: asked for six, of which those beyond the tile's size are never read.
  @inlinable @inline(__always)
  init(_ element: (Int) -> Vector) {
    (a, b, c, d, e, f) = (element(0), element(1), element(2), element(3), element(4), element(5))
  }

  @inlinable @inline(__always)
  subscript(index: Int) -> Vector {
    switch index {
    case 0: a
    case 1: b
    case 2: c
    case 3: d
    case 4: e
    default: f
    }
  }

  @inlinable @inline(__always)
  public init(repeating value: Float) { self.init { _ in Vector(repeating: value) } }
  @inlinable @inline(__always)
  public static func + (a: Self, b: Self) -> Self { Self { a[$0] + b[$0] } }
  @inlinable @inline(__always)
  public static func - (a: Self, b: Self) -> Self { Self { a[$0] - b[$0] } }
  @inlinable @inline(__always)
  public static func * (a: Self, b: Self) -> Self { Self { a[$0] * b[$0] } }
  @inlinable @inline(__always)
  public func addingProductFast(_ a: Self, _ b: Self) -> Self {
    Self { self[$0].addingProductFast(a[$0], b[$0]) }
  }
}

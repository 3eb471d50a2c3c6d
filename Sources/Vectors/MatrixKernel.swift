// The product of a matrix with weights that were packed for it (Goto and van de Geijn 2008, "Anatomy
// of high-performance matrix multiplication", with what BLIS made of it).
//
// The weights [depth, columns] lie in panels of two vectors' columns: [panel][depth][2 vectors]. A
// tile is some rows times one panel. Its sums stay in registers while the whole depth goes by:
//
//     for k: (b0, b1) = panel[k];  for each row: (s0, s1) += a[row, k] · (b0, b1)
//
// so that each step of k takes two loads of weights, one of the left matrix for each row, and twice
// as many multiplications as rows. What follows the product (bias, residual, ReLU) is done before the
// sums leave their registers. Sums are taken in the order of k, so results don't depend on the tiles.

public import CCPU

/// The sums of some rows of a tile: two vectors a row.
///
/// The number of rows is part of the type, so that every sum is a variable of its own, in a register.
public protocol RowSums {
  associatedtype Vector: FloatVector
  static var rows: Int { get }
  /// All zeros.
  init()
  /// Adds `a[row · stride] · (b0, b1)` to the sums of each row.
  mutating func add(_ a: ConstantFloats, stride: Int, _ b0: Vector, _ b1: Vector)
  /// Finishes and writes each row; that of the first begins `start` after the target's.
  func write<E: TileEnd>(_ end: E, _ start: Int) where E.Vector == Vector
}

/// One row.
public struct OneRow<Vector: FloatVector>: RowSums {
  @usableFromInline var s0: Vector
  @usableFromInline var s1: Vector

  @inlinable @inline(__always) public static var rows: Int { 1 }

  @inlinable @inline(__always)
  public init() {
    s0 = Vector(repeating: 0)
    s1 = Vector(repeating: 0)
  }

  @inlinable @inline(__always)
  public mutating func add(_ a: ConstantFloats, stride: Int, _ b0: Vector, _ b1: Vector) {
    let factor = Vector(repeating: a.pointee)
    s0 = s0.addingProductFast(factor, b0)
    s1 = s1.addingProductFast(factor, b1)
  }

  @inlinable @inline(__always)
  public func write<E: TileEnd>(_ end: E, _ start: Int) where E.Vector == Vector {
    end.write(s0, s1, start)
  }
}

/// The rows of `A`, then those of `B`.
public struct RowsOf<A: RowSums, B: RowSums>: RowSums where A.Vector == B.Vector {
  @usableFromInline var first: A
  @usableFromInline var second: B

  @inlinable @inline(__always) public static var rows: Int { A.rows &+ B.rows }

  @inlinable @inline(__always)
  public init() {
    first = A()
    second = B()
  }

  @inlinable @inline(__always)
  public mutating func add(_ a: ConstantFloats, stride: Int, _ b0: A.Vector, _ b1: A.Vector) {
    first.add(a, stride: stride, b0, b1)
    second.add(a + A.rows &* stride, stride: stride, b0, b1)
  }

  @inlinable @inline(__always)
  public func write<E: TileEnd>(_ end: E, _ start: Int) where E.Vector == A.Vector {
    first.write(end, start)
    second.write(end, start &+ A.rows &* end.stride)
  }
}

public typealias TwoRows<V: FloatVector> = RowsOf<OneRow<V>, OneRow<V>>
public typealias ThreeRows<V: FloatVector> = RowsOf<TwoRows<V>, OneRow<V>>
public typealias FourRows<V: FloatVector> = RowsOf<TwoRows<V>, TwoRows<V>>
public typealias FiveRows<V: FloatVector> = RowsOf<ThreeRows<V>, TwoRows<V>>
public typealias SixRows<V: FloatVector> = RowsOf<ThreeRows<V>, ThreeRows<V>>
public typealias SevenRows<V: FloatVector> = RowsOf<FourRows<V>, ThreeRows<V>>
public typealias FourteenRows<V: FloatVector> = RowsOf<SevenRows<V>, SevenRows<V>>

/// What is done with the sums of a row, and where they go.
public protocol TileEnd {
  associatedtype Vector: FloatVector
  /// From one row of the target to the next.
  var stride: Int { get }
  /// Writes one row's sums, `start` after the target's beginning.
  func write(_ s0: Vector, _ s1: Vector, _ start: Int)
}

/// All columns of a panel: `target = max(sums + bias + residual, floor)`.
public struct WholePanel<Vector: FloatVector>: TileEnd {
  @usableFromInline let target: Floats
  public let stride: Int
  @usableFromInline let residual: ConstantFloats?
  @usableFromInline let bias0: Vector
  @usableFromInline let bias1: Vector
  @usableFromInline let floor: Vector

  @inlinable @inline(__always)
  init(_ target: Floats, stride: Int, residual: ConstantFloats?, bias: ConstantFloats?, floor: Float) {
    self.target = target
    self.stride = stride
    self.residual = residual
    bias0 = bias.map { Vector.load($0) } ?? Vector(repeating: 0)
    bias1 = bias.map { Vector.load($0 + Vector.scalarCount) } ?? Vector(repeating: 0)
    self.floor = Vector(repeating: floor)
  }

  @inlinable @inline(__always)
  public func write(_ s0: Vector, _ s1: Vector, _ start: Int) {
    var (s0, s1) = (s0 + bias0, s1 + bias1)
    if let residual {
      s0 = s0 + Vector.load(residual + start)
      s1 = s1 + Vector.load(residual + start + Vector.scalarCount)
    }
    s0.atLeast(floor).store(target + start)
    s1.atLeast(floor).store(target + start + Vector.scalarCount)
  }
}

/// The first columns of a panel, where the matrix ends inside it.
public struct PartOfPanel<Vector: FloatVector>: TileEnd {
  @usableFromInline let target: Floats
  public let stride: Int
  @usableFromInline let residual: ConstantFloats?
  @usableFromInline let bias: ConstantFloats?
  @usableFromInline let floor: Float
  @usableFromInline let columns: Int
  /// Room for two vectors.
  @usableFromInline let scratch: Floats

  @inlinable @inline(__always)
  init(
    _ target: Floats, stride: Int, residual: ConstantFloats?, bias: ConstantFloats?, floor: Float,
    columns: Int, scratch: Floats
  ) {
    self.target = target
    self.stride = stride
    self.residual = residual
    self.bias = bias
    self.floor = floor
    self.columns = columns
    self.scratch = scratch
  }

  @inlinable @inline(__always)
  public func write(_ s0: Vector, _ s1: Vector, _ start: Int) {
    s0.store(scratch)
    s1.store(scratch + Vector.scalarCount)
    var column = 0
    while column < columns {
      var sum = scratch[column]
      if let bias { sum = sum + bias[column] }
      if let residual { sum = sum + residual[start &+ column] }
      target[start &+ column] = sum.atLeast(floor)
      column &+= 1
    }
  }
}

public enum MatrixKernel {
  /// Columns of a panel.
  @inlinable @inline(__always)
  public static func panelColumns<V: FloatVector>(_: V.Type) -> Int { 2 &* V.scalarCount }

  /// Rows of a tile: as many as there are registers for. AVX-512 has 32, the others 16.
  @inlinable @inline(__always)
  public static func tileRows<V: FloatVector>(_: V.Type) -> Int { V.scalarCount == 16 ? 14 : 6 }

  /// `target = max(left · weights + bias + residual, floor)` for `rows` × `columns` of a product.
  ///
  /// - Parameters:
  ///   - left: `[rows, depth]`; a row begins `leftStride` after the last.
  ///   - weights: `[panel][depth][panel's columns]`, with any numbers where the last panel ends early.
  ///   - bias: one for each column, or nil for zeros.
  ///   - target: its rows begin `stride` apart, and so do those of `residual`, which may be the target.
  @inlinable @inline(__always)
  public static func multiply<V: FloatVector>(
    _: V.Type, _ left: ConstantFloats, leftStride: Int, rows: Int, depth: Int, weights: ConstantFloats,
    columns: Int, bias: ConstantFloats?, residual: ConstantFloats?, floor: Float, to target: Floats,
    stride: Int
  ) {
    let width = panelColumns(V.self)
    var column = 0
    var panel = weights
    while column &+ width <= columns {
      multiply(
        left, leftStride, rows, depth, panel,
        WholePanel<V>(
          target + column, stride: stride, residual: residual.map { $0 + column },
          bias: bias.map { $0 + column }, floor: floor))
      column &+= width
      panel += depth &* width
    }
    if column < columns {
      withUnsafeTemporaryAllocation(of: Float.self, capacity: 32) { scratch in
        guard let scratch = scratch.baseAddress else { return }
        multiply(
          left, leftStride, rows, depth, panel,
          PartOfPanel<V>(
            target + column, stride: stride, residual: residual.map { $0 + column },
            bias: bias.map { $0 + column }, floor: floor, columns: columns &- column, scratch: scratch))
      }
    }
  }

  /// All rows times one panel: as many at a time as there are registers for, then what is left.
  ///
  /// While the first tile is computed, the next panel is asked for: it comes from far away, and the other
  /// tiles leave it time to arrive.
  @inlinable @inline(__always)
  static func multiply<V, E: TileEnd>(
    _ left: ConstantFloats, _ stride: Int, _ rows: Int, _ depth: Int, _ panel: ConstantFloats, _ end: E
  ) where E.Vector == V {
    var row = 0
    var ahead = depth &* panelColumns(V.self)
    @inline(__always) func tile<R: RowSums>(_: R.Type) where R.Vector == V {
      self.tile(
        R.self, left + row &* stride, stride, depth, panel, ahead: ahead, end, row &* end.stride)
      ahead = 0
      row &+= R.rows
    }
    if tileRows(V.self) == 14 {
      while row &+ 14 <= rows { tile(FourteenRows<V>.self) }
      if row &+ 7 <= rows { tile(SevenRows<V>.self) }
    }
    while row &+ 6 <= rows { tile(SixRows<V>.self) }
    switch rows &- row {
    case 1: tile(OneRow<V>.self)
    case 2: tile(TwoRows<V>.self)
    case 3: tile(ThreeRows<V>.self)
    case 4: tile(FourRows<V>.self)
    case 5: tile(FiveRows<V>.self)
    default: break
    }
  }

  /// - Parameter ahead: how far behind the weights of a step those are that are asked for.
  @inlinable @inline(__always)
  static func tile<R: RowSums, E: TileEnd>(
    _: R.Type, _ left: ConstantFloats, _ stride: Int, _ depth: Int, _ panel: ConstantFloats, ahead: Int,
    _ end: E, _ start: Int
  ) where E.Vector == R.Vector {
    let width = panelColumns(R.Vector.self)
    var sums = R()
    var k = 0
    var b = panel
    while k < depth {
      let next = b + ahead
      cpu_prefetch(next)
      if width > 16 { cpu_prefetch(next + 16) }
      sums.add(
        left + k, stride: stride, R.Vector.load(b), R.Vector.load(b + R.Vector.scalarCount))
      b += width
      k &+= 1
    }
    sums.write(end, start)
  }
}

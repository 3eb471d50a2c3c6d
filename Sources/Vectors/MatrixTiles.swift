// The tiles of a matrix product: the sums of their rows, which stay in registers, and what is done with them at the end.
// `MatrixKernel` has the loops.

public import CCPU

/// The sums of some rows of a tile: two vectors a row.
///
/// The number of rows is part of the type, so that every sum is a variable of its own, in a register.
public protocol RowSums {
  associatedtype Vector: FloatVector
  static var rows: Int { get }
  /// What each row begins with; that of the first lies `start` after the target's beginning.
  init<E: TileEdge>(_ edge: E, _ start: Int) where E.Vector == Vector
  /// Adds `a[row · stride] · (b0, b1)` to the sums of each row.
  mutating func add(_ a: ConstantFloats, stride: Int, _ b0: Vector, _ b1: Vector)
  /// Asks for a line of each row.
  func fetch(_ a: ConstantFloats, stride: Int)
  /// Finishes and writes each row; that of the first begins `start` after the target's.
  func write<E: TileEdge>(_ edge: E, _ start: Int) where E.Vector == Vector
}

/// One row.
public struct OneRow<Vector: FloatVector>: RowSums {
  @usableFromInline var s0: Vector
  @usableFromInline var s1: Vector

  @inlinable @inline(__always) public static var rows: Int { 1 }

  @inlinable @inline(__always)
  public init<E: TileEdge>(_ edge: E, _ start: Int) where E.Vector == Vector {
    (s0, s1) = edge.initial(start)
  }

  @inlinable @inline(__always)
  public mutating func add(_ a: ConstantFloats, stride: Int, _ b0: Vector, _ b1: Vector) {
    let factor = Vector(repeating: a.pointee)
    s0 = s0.addingProductFast(factor, b0)
    s1 = s1.addingProductFast(factor, b1)
  }

  @inlinable @inline(__always)
  public func fetch(_ a: ConstantFloats, stride: Int) { cpu_prefetch_first(a) }

  @inlinable @inline(__always)
  public func write<E: TileEdge>(_ edge: E, _ start: Int) where E.Vector == Vector {
    edge.write(s0, s1, start)
  }
}

/// The rows of `A`, then those of `B`.
public struct RowsOf<A: RowSums, B: RowSums>: RowSums where A.Vector == B.Vector {
  @usableFromInline var first: A
  @usableFromInline var second: B

  @inlinable @inline(__always) public static var rows: Int { A.rows &+ B.rows }

  @inlinable @inline(__always)
  public init<E: TileEdge>(_ edge: E, _ start: Int) where E.Vector == A.Vector {
    first = A(edge, start)
    second = B(edge, start &+ A.rows &* edge.stride)
  }

  @inlinable @inline(__always)
  public mutating func add(_ a: ConstantFloats, stride: Int, _ b0: A.Vector, _ b1: A.Vector) {
    first.add(a, stride: stride, b0, b1)
    second.add(a + A.rows &* stride, stride: stride, b0, b1)
  }

  @inlinable @inline(__always)
  public func fetch(_ a: ConstantFloats, stride: Int) {
    first.fetch(a, stride: stride)
    second.fetch(a + A.rows &* stride, stride: stride)
  }

  @inlinable @inline(__always)
  public func write<E: TileEdge>(_ edge: E, _ start: Int) where E.Vector == A.Vector {
    first.write(edge, start)
    second.write(edge, start &+ A.rows &* edge.stride)
  }
}

public typealias TwoRows<V: FloatVector> = RowsOf<OneRow<V>, OneRow<V>>
public typealias ThreeRows<V: FloatVector> = RowsOf<TwoRows<V>, OneRow<V>>
public typealias FourRows<V: FloatVector> = RowsOf<TwoRows<V>, TwoRows<V>>
public typealias FiveRows<V: FloatVector> = RowsOf<ThreeRows<V>, TwoRows<V>>
public typealias SixRows<V: FloatVector> = RowsOf<ThreeRows<V>, ThreeRows<V>>
public typealias SevenRows<V: FloatVector> = RowsOf<FourRows<V>, ThreeRows<V>>
public typealias EightRows<V: FloatVector> = RowsOf<FourRows<V>, FourRows<V>>
public typealias FourteenRows<V: FloatVector> = RowsOf<SevenRows<V>, SevenRows<V>>

/// What the sums of a row begin with, what is done with them, and where they go.
public protocol TileEdge {
  associatedtype Vector: FloatVector
  /// From one row of the target to the next.
  var stride: Int { get }
  /// What a row's sums begin with, `start` after the target's beginning.
  func initial(_ start: Int) -> (Vector, Vector)
  /// Asks for what rows begin with, or else for where they are written; the first of them begins at `start`.
  func fetch(_ start: Int, rows: Int)
  /// Writes one row's sums.
  func write(_ s0: Vector, _ s1: Vector, _ start: Int)
}

/// A panel's part of the result: `target = initial + sums · scale + bias`, within `bounds`.
public struct PanelResult {
  @usableFromInline var target: Floats
  @usableFromInline let stride: Int
  /// Lies as the target does, and may be the target; nil for zeros.
  @usableFromInline let initial: ConstantFloats?
  /// One for each column; nil for ones.
  @usableFromInline let scale: ConstantFloats?
  /// One for each column; nil for zeros.
  @usableFromInline let bias: ConstantFloats?
  @usableFromInline let bounds: Bounds

  @inlinable @inline(__always)
  init(
    _ target: Floats, stride: Int, initial: ConstantFloats?, scale: ConstantFloats?, bias: ConstantFloats?,
    bounds: Bounds
  ) {
    self.target = target
    self.stride = stride
    self.initial = initial
    self.scale = scale
    self.bias = bias
    self.bounds = bounds
  }

  /// The same for the columns that begin `column` later.
  @inlinable @inline(__always)
  func advanced(by column: Int) -> PanelResult {
    PanelResult(
      target + column, stride: stride, initial: initial.map { $0 + column },
      scale: scale.map { $0 + column }, bias: bias.map { $0 + column }, bounds: bounds)
  }
}

/// All columns of a panel.
public struct WholePanel<Vector: FloatVector>: TileEdge {
  @usableFromInline let target: Floats
  public let stride: Int
  @usableFromInline let initial: ConstantFloats?
  @usableFromInline let bias0: Vector
  @usableFromInline let bias1: Vector
  @usableFromInline let floor: Vector
  @usableFromInline let ceiling: Vector

  @inlinable @inline(__always)
  init(_ result: PanelResult) {
    target = result.target
    stride = result.stride
    initial = result.initial
    bias0 = result.bias.map { Vector.load($0) } ?? Vector(repeating: 0)
    bias1 = result.bias.map { Vector.load($0 + Vector.scalarCount) } ?? Vector(repeating: 0)
    floor = Vector(repeating: result.bounds.floor)
    ceiling = Vector(repeating: result.bounds.ceiling)
  }

  @inlinable @inline(__always)
  public func initial(_ start: Int) -> (Vector, Vector) {
    guard let initial else { return (Vector(repeating: 0), Vector(repeating: 0)) }
    return (Vector.load(initial + start), Vector.load(initial + start + Vector.scalarCount))
  }

  @inlinable @inline(__always)
  public func fetch(_ start: Int, rows: Int) {
    var line = (initial ?? ConstantFloats(target)) + start
    for _ in 0..<rows {
      cpu_prefetch(line)
      if Vector.scalarCount > 8 { cpu_prefetch(line + 16) }
      line += stride
    }
  }

  @inlinable @inline(__always)
  public func write(_ s0: Vector, _ s1: Vector, _ start: Int) {
    (s0 + bias0).atLeast(floor).atMost(ceiling).store(target + start)
    (s1 + bias1).atLeast(floor).atMost(ceiling).store(target + start + Vector.scalarCount)
  }
}

/// All columns of a panel whose sums have a scale: what they would begin with is added to their multiples.
public struct ScaledPanel<Vector: FloatVector>: TileEdge {
  @usableFromInline let panel: WholePanel<Vector>
  @usableFromInline let scale0: Vector
  @usableFromInline let scale1: Vector

  @inlinable @inline(__always)
  init(_ result: PanelResult) {
    panel = WholePanel(result)
    scale0 = result.scale.map { Vector.load($0) } ?? Vector(repeating: 1)
    scale1 = result.scale.map { Vector.load($0 + Vector.scalarCount) } ?? Vector(repeating: 1)
  }

  @inlinable @inline(__always)
  public var stride: Int { panel.stride }

  @inlinable @inline(__always)
  public func initial(_ start: Int) -> (Vector, Vector) { (Vector(repeating: 0), Vector(repeating: 0)) }

  @inlinable @inline(__always)
  public func fetch(_ start: Int, rows: Int) { panel.fetch(start, rows: rows) }

  @inlinable @inline(__always)
  public func write(_ s0: Vector, _ s1: Vector, _ start: Int) {
    let (initial0, initial1) = panel.initial(start)
    panel.write(initial0.addingProductFast(s0, scale0), initial1.addingProductFast(s1, scale1), start)
  }
}

/// The first columns of a panel, where the matrix ends inside it.
public struct PartOfPanel<Vector: FloatVector>: TileEdge {
  @usableFromInline let result: PanelResult
  @usableFromInline let columns: Int
  /// Room for two vectors.
  @usableFromInline let scratch: Floats

  @inlinable @inline(__always)
  init(_ result: PanelResult, columns: Int, scratch: Floats) {
    self.result = result
    self.columns = columns
    self.scratch = scratch
  }

  @inlinable @inline(__always)
  public var stride: Int { result.stride }

  @inlinable @inline(__always)
  public func initial(_ start: Int) -> (Vector, Vector) { (Vector(repeating: 0), Vector(repeating: 0)) }

  @inlinable @inline(__always)
  public func fetch(_ start: Int, rows: Int) {}

  @inlinable @inline(__always)
  public func write(_ s0: Vector, _ s1: Vector, _ start: Int) {
    s0.store(scratch)
    s1.store(scratch + Vector.scalarCount)
    // Loops of their own: questions in the last one would become loads from nowhere behind masks, which
    // some emulators of CPUs make.
    if let scale = result.scale { combine(scale) { $0 * $1 } }
    if let initial = result.initial { combine(initial + start) { $0 + $1 } }
    if let bias = result.bias { combine(bias) { $0 + $1 } }
    var column = 0
    while column < columns {
      result.target[start &+ column] = scratch[column].within(result.bounds)
      column &+= 1
    }
  }

  @inlinable @inline(__always)
  func combine(_ values: ConstantFloats, _ operation: (Float, Float) -> Float) {
    var column = 0
    while column < columns {
      scratch[column] = operation(scratch[column], values[column])
      column &+= 1
    }
  }
}

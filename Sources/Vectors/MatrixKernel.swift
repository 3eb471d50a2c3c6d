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
  /// What each row begins with; that of the first lies `start` after the target's beginning.
  init<E: TileEdge>(_ edge: E, _ start: Int) where E.Vector == Vector
  /// Adds `a[row · stride] · (b0, b1)` to the sums of each row.
  mutating func add(_ a: ConstantFloats, stride: Int, _ b0: Vector, _ b1: Vector)
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
public typealias FourteenRows<V: FloatVector> = RowsOf<SevenRows<V>, SevenRows<V>>

/// What the sums of a row begin with, what is done with them, and where they go.
public protocol TileEdge {
  associatedtype Vector: FloatVector
  /// From one row of the target to the next.
  var stride: Int { get }
  /// What a row's sums begin with, `start` after the target's beginning.
  func initial(_ start: Int) -> (Vector, Vector)
  /// Writes one row's sums.
  func write(_ s0: Vector, _ s1: Vector, _ start: Int)
}

/// A panel's part of the result: `target = initial + sums + bias`, within `bounds`,.
public struct PanelResult {
  @usableFromInline var target: Floats
  @usableFromInline let stride: Int
  /// Lies as the target does, and may be the target; nil for zeros.
  @usableFromInline var initial: ConstantFloats?
  /// One for each column; nil for zeros.
  @usableFromInline var bias: ConstantFloats?
  @usableFromInline var bounds: Bounds

  @inlinable @inline(__always)
  init(_ target: Floats, stride: Int, initial: ConstantFloats?, bias: ConstantFloats?, bounds: Bounds) {
    self.target = target
    self.stride = stride
    self.initial = initial
    self.bias = bias
    self.bounds = bounds
  }

  /// The same for the columns that begin `column` later.
  @inlinable @inline(__always)
  func advanced(by column: Int) -> PanelResult {
    PanelResult(
      target + column, stride: stride, initial: initial.map { $0 + column },
      bias: bias.map { $0 + column }, bounds: bounds)
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
  public func write(_ s0: Vector, _ s1: Vector, _ start: Int) {
    (s0 + bias0).atLeast(floor).atMost(ceiling).store(target + start)
    (s1 + bias1).atLeast(floor).atMost(ceiling).store(target + start + Vector.scalarCount)
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
  public func initial(_ start: Int) -> (Vector, Vector) {
    guard let initial = result.initial else { return (Vector(repeating: 0), Vector(repeating: 0)) }
    Vector(repeating: 0).store(scratch)
    Vector(repeating: 0).store(scratch + Vector.scalarCount)
    var column = 0
    while column < columns {
      scratch[column] = initial[start &+ column]
      column &+= 1
    }
    return (Vector.load(scratch), Vector.load(scratch + Vector.scalarCount))
  }

  @inlinable @inline(__always)
  public func write(_ s0: Vector, _ s1: Vector, _ start: Int) {
    s0.store(scratch)
    s1.store(scratch + Vector.scalarCount)
    // A loop of its own: a question in the other one would become a load from nowhere behind a mask, which
    // some emulators of CPUs make.
    if let bias = result.bias {
      var column = 0
      while column < columns {
        scratch[column] = scratch[column] + bias[column]
        column &+= 1
      }
    }
    var column = 0
    while column < columns {
      result.target[start &+ column] = scratch[column].within(result.bounds)
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

  /// How much of the depth is taken at once: the part of a panel is then in cache for all rows, and
  /// the part of the left matrix for all panels. Sums wait in the target for the next part.
  @inlinable @inline(__always)
  public static var depthAtOnce: Int { 512 }

  /// `target = left · weights + bias + residual`, within `bounds`, for `rows` × `columns` of a product.
  ///
  /// - Parameters:
  ///   - left: `[rows, depth]`; a row begins `leftStride` after the last.
  ///   - weights: `[panel][depth][panel's columns]`, with any numbers where the last panel ends early.
  ///   - bias: one for each column, or nil for zeros.
  ///   - target: its rows begin `stride` apart, and so do those of `residual`, which may be the target.
  @inlinable @inline(__always)
  public static func multiply<V: FloatVector>(
    _: V.Type, _ left: ConstantFloats, leftStride: Int, rows: Int, depth: Int, weights: ConstantFloats,
    columns: Int, bias: ConstantFloats?, residual: ConstantFloats?, bounds: Bounds, to target: Floats,
    stride: Int
  ) {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 32) { scratch in
      guard let scratch = scratch.baseAddress else { return }
      var k = 0
      repeat {
        let depthHere = min(depthAtOnce, depth &- k)
        let isLast = k &+ depthHere == depth
        let result = PanelResult(
          target, stride: stride, initial: k == 0 ? residual : ConstantFloats(target),
          bias: isLast ? bias : nil, bounds: isLast ? bounds : .none)
        multiplyPart(
          V.self, left + k, leftStride, rows, depthHere, weights + k &* panelColumns(V.self),
          panelStride: depth &* panelColumns(V.self), columns, result, scratch)
        k &+= depthHere
      } while k < depth
    }
  }

  /// A part of the depth: panel after panel.
  @inlinable @inline(__always)
  static func multiplyPart<V: FloatVector>(
    _: V.Type, _ left: ConstantFloats, _ leftStride: Int, _ rows: Int, _ depth: Int,
    _ weights: ConstantFloats, panelStride: Int, _ columns: Int, _ result: PanelResult, _ scratch: Floats
  ) {
    let width = panelColumns(V.self)
    var column = 0
    var panel = weights
    while column &+ width <= columns {
      multiplyPanel(
        left, leftStride, rows, depth, panel, next: panelStride,
        WholePanel<V>(result.advanced(by: column)))
      column &+= width
      panel += panelStride
    }
    if column < columns {
      multiplyPanel(
        left, leftStride, rows, depth, panel, next: 0,
        PartOfPanel<V>(result.advanced(by: column), columns: columns &- column, scratch: scratch))
    }
  }

  /// All rows times one panel: as many at a time as there are registers for, then what is left.
  ///
  /// The tiles share in asking for the panel that comes `next` floats later, a line in turn. It comes from
  /// far away: asked for when it is needed, or all at once, it would hold up the first of its tiles.
  @inlinable @inline(__always)
  static func multiplyPanel<V, E: TileEdge>(
    _ left: ConstantFloats, _ stride: Int, _ rows: Int, _ depth: Int, _ panel: ConstantFloats, next: Int,
    _ edge: E
  ) where E.Vector == V {
    let sharers = min(16, (rows &+ tileRows(V.self) &- 1) / tileRows(V.self))
    var row = 0
    var ahead = next
    @inline(__always) func tile<R: RowSums>(_: R.Type) where R.Vector == V {
      self.tile(
        R.self, left + row &* stride, stride, depth, panel, ahead: ahead, every: sharers, edge,
        row &* edge.stride)
      ahead &+= panelColumns(V.self)
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

  /// - Parameters:
  ///   - ahead: how far behind a step's weights those are that are asked for.
  ///   - period: in how many steps that is done once.
  @inlinable @inline(__always)
  static func tile<R: RowSums, E: TileEdge>(
    _: R.Type, _ left: ConstantFloats, _ stride: Int, _ depth: Int, _ panel: ConstantFloats, ahead: Int,
    every period: Int, _ edge: E, _ start: Int
  ) where E.Vector == R.Vector {
    let width = panelColumns(R.Vector.self)
    var sums = R(edge, start)
    var k = 0
    var b = panel
    while k < depth {
      let next = b + ahead
      cpu_prefetch(next)
      if width > 16 { cpu_prefetch(next + 16) }
      let end = min(k &+ period, depth)
      while k < end {
        sums.add(
          left + k, stride: stride, R.Vector.load(b), R.Vector.load(b + R.Vector.scalarCount))
        b += width
        k &+= 1
      }
    }
    sums.write(edge, start)
  }
}

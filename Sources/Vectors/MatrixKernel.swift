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

/// How a product's weights are kept, and its left matrix.
public protocol PanelFormat {
  associatedtype Vector: FloatVector
  /// Words of 32 bits of a row: the panel's columns for one step of the depth.
  static var rowWords: Int { get }
  /// Whether the rows of the left matrix have parts that don't lie one behind the other.
  static var hasSegments: Bool { get }
  /// Whether sums are multiplied by a number for each column.
  static var isScaled: Bool { get }
  static func load(_ row: ConstantFloats) -> (Vector, Vector)
}

/// Floats.
public enum FloatPanels<Vector: FloatVector>: PanelFormat {
  @inlinable @inline(__always) public static var rowWords: Int { 2 &* Vector.scalarCount }
  @inlinable @inline(__always) public static var hasSegments: Bool { false }
  @inlinable @inline(__always) public static var isScaled: Bool { false }
  @inlinable @inline(__always)
  public static func load(_ row: ConstantFloats) -> (Vector, Vector) {
    (Vector.load(row), Vector.load(row + Vector.scalarCount))
  }
}

/// Floats, and a left matrix of segments.
public enum FloatPanelsOfSegments<Vector: FloatVector>: PanelFormat {
  @inlinable @inline(__always) public static var rowWords: Int { 2 &* Vector.scalarCount }
  @inlinable @inline(__always) public static var hasSegments: Bool { true }
  @inlinable @inline(__always) public static var isScaled: Bool { false }
  @inlinable @inline(__always)
  public static func load(_ row: ConstantFloats) -> (Vector, Vector) { FloatPanels.load(row) }
}

/// bfloat16: the columns of the row's first half in the low halves of its words, the others in the high ones.
public enum BFloat16Panels<Vector: FloatVector>: PanelFormat {
  @inlinable @inline(__always) public static var rowWords: Int { Vector.scalarCount }
  @inlinable @inline(__always) public static var hasSegments: Bool { false }
  @inlinable @inline(__always) public static var isScaled: Bool { true }
  @inlinable @inline(__always)
  public static func load(_ row: ConstantFloats) -> (Vector, Vector) { Vector.loadPairs(row) }
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

  /// `target = left · weights · scale + bias + residual`, within `bounds`, for `rows` × `columns` of a product.
  ///
  /// - Parameters:
  ///   - left: `[rows, segments, depth]`; a row begins `leftStride` after the last, and a segment `segmentStride`.
  ///   - weights: `[panel][segment][depth][panel's columns]`, with any numbers where the last panel ends early.
  ///   - scale: one for each column, where the format has it.
  ///   - bias: one for each column, or nil for zeros.
  ///   - target: its rows begin `stride` apart, and so do those of `residual`, which may be the target.
  @inlinable @inline(__always)
  public static func multiply<P: PanelFormat>(
    _: P.Type, _ left: ConstantFloats, leftStride: Int, rows: Int, depth: Int, segments: Int = 1,
    segmentStride: Int = 0, weights: ConstantFloats, columns: Int, scale: ConstantFloats? = nil,
    bias: ConstantFloats?, residual: ConstantFloats?, bounds: Bounds, to target: Floats, stride: Int
  ) {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 32) { scratch in
      guard let scratch = scratch.baseAddress else { return }
      let depthOfAll = segments &* depth
      // Segments stay together: there are several only where they are short.
      let most = P.hasSegments ? depthOfAll : depthAtOnce
      var k = 0
      repeat {
        let depthHere = min(most, depthOfAll &- k)
        let isLast = k &+ depthHere == depthOfAll
        let result = PanelResult(
          target, stride: stride, initial: k == 0 ? residual : ConstantFloats(target), scale: scale,
          bias: isLast ? bias : nil, bounds: isLast ? bounds : .none)
        multiplyPart(
          P.self, left + k, leftStride, rows, depthHere, segment: depth, segmentStride,
          weights + k &* P.rowWords, panelStride: depthOfAll &* P.rowWords, columns, result, scratch)
        k &+= depthHere
      } while k < depthOfAll
    }
  }

  /// A part of the depth: panel after panel.
  @inlinable @inline(__always)
  static func multiplyPart<P: PanelFormat>(
    _: P.Type, _ left: ConstantFloats, _ leftStride: Int, _ rows: Int, _ depth: Int, segment: Int,
    _ segmentStride: Int, _ weights: ConstantFloats, panelStride: Int, _ columns: Int, _ result: PanelResult,
    _ scratch: Floats
  ) {
    let width = panelColumns(P.Vector.self)
    var column = 0
    var panel = weights
    while column &+ width <= columns {
      if P.isScaled {
        multiplyPanel(
          P.self, left, leftStride, rows, depth, segment: segment, segmentStride, panel, next: panelStride,
          ScaledPanel<P.Vector>(result.advanced(by: column)))
      } else {
        multiplyPanel(
          P.self, left, leftStride, rows, depth, segment: segment, segmentStride, panel, next: panelStride,
          WholePanel<P.Vector>(result.advanced(by: column)))
      }
      column &+= width
      panel += panelStride
    }
    if column < columns {
      multiplyPanel(
        P.self, left, leftStride, rows, depth, segment: segment, segmentStride, panel, next: 0,
        PartOfPanel<P.Vector>(result.advanced(by: column), columns: columns &- column, scratch: scratch))
    }
  }

  /// All rows times one panel, in tiles that fill the registers. The last ones share what is left evenly: one of
  /// one or two rows would wait for its sums' last additions most of the time.
  ///
  /// The tiles share in asking for the panel that comes `next` floats later, a line in turn. It comes from
  /// far away: asked for when it is needed, or all at once, it would hold up the first of its tiles.
  @inlinable @inline(__always)
  static func multiplyPanel<P: PanelFormat, E: TileEdge>(
    _: P.Type, _ left: ConstantFloats, _ stride: Int, _ rows: Int, _ depth: Int, segment: Int,
    _ segmentStride: Int, _ panel: ConstantFloats, next: Int, _ edge: E
  ) where E.Vector == P.Vector {
    typealias V = P.Vector
    let sharers = min(16, (rows &+ tileRows(V.self) &- 1) / tileRows(V.self))
    var row = 0
    var ahead = next
    @inline(__always) func tile<R: RowSums>(_: R.Type) where R.Vector == V {
      self.tile(
        R.self, P.self, left + row &* stride, stride, depth, segmentStride, panel, ahead: ahead,
        every: P.hasSegments ? segment : sharers, edge,
        row &* edge.stride)
      ahead &+= P.rowWords
      row &+= R.rows
    }
    if tileRows(V.self) == 14 {
      while row &+ 14 <= rows { tile(FourteenRows<V>.self) }
      if row &+ 7 <= rows { tile(SevenRows<V>.self) }
    }
    let rest = rows &- row
    let tiles = max(1, (rest &+ 5) / 6)
    var (rowsOfTile, larger) = rest.quotientAndRemainder(dividingBy: tiles)
    rowsOfTile &+= 1
    while row < rows {
      if larger == 0 { rowsOfTile &-= 1 }
      larger &-= 1
      switch rowsOfTile {
      case 1: tile(OneRow<V>.self)
      case 2: tile(TwoRows<V>.self)
      case 3: tile(ThreeRows<V>.self)
      case 4: tile(FourRows<V>.self)
      case 5: tile(FiveRows<V>.self)
      default: tile(SixRows<V>.self)
      }
    }
  }

  /// - Parameters:
  ///   - ahead: how far behind a step's weights those are that are asked for.
  ///   - period: in how many steps that is done once; the segments' depth where there are any.
  @inlinable @inline(__always)
  static func tile<R: RowSums, P: PanelFormat, E: TileEdge>(
    _: R.Type, _: P.Type, _ left: ConstantFloats, _ stride: Int, _ depth: Int, _ segmentStride: Int,
    _ panel: ConstantFloats, ahead: Int, every period: Int, _ edge: E, _ start: Int
  ) where E.Vector == R.Vector, P.Vector == R.Vector {
    let width = P.rowWords
    var sums = R(edge, start)
    var k = 0
    var a = left
    var b = panel
    while k < depth {
      let next = b + ahead
      cpu_prefetch(next)
      if width > 16 { cpu_prefetch(next + 16) }
      let end = min(k &+ period, depth)
      while k < end {
        let (b0, b1) = P.load(b)
        sums.add(a + k, stride: stride, b0, b1)
        b += width
        k &+= 1
      }
      if P.hasSegments { a += segmentStride &- period }
    }
    sums.write(edge, start)
  }
}

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

public enum MatrixKernel {
  /// Columns of a panel.
  @inlinable @inline(__always)
  public static func panelColumns<V: FloatVector>(_: V.Type) -> Int { 2 &* V.scalarCount }

  /// Rows of a tile: as many as there are registers for. AVX-512 has 32, the others 16.
  @inlinable @inline(__always)
  public static func tileRows<V: FloatVector>(_: V.Type) -> Int { V.scalarCount == 16 ? 14 : 6 }

  /// Rows of the tiles that share what is left, which `stride` lies between: see ``sameSet``.
  @inlinable @inline(__always)
  static func mostOfRest<V: FloatVector>(_: V.Type, stride: Int) -> Int {
    V.scalarCount == 16 ? (stride % sameSet == 0 ? 7 : 8) : 6
  }

  /// Rows that begin a multiple of 4 KiB apart lie in the same set of a first cache, which holds 8 or 12 lines: those of
  /// a tile of 14 would push each other out. In Floats.
  @inlinable @inline(__always)
  static var sameSet: Int { 1024 }

  /// How far ahead the rows of the left matrix are asked for: two lines.
  @inlinable @inline(__always)
  static var linesAhead: Int { 32 }

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
  ///   - following: the weights of the next product, which are asked for meanwhile.
  @inlinable @inline(__always)
  public static func multiply<P: PanelFormat>(
    _: P.Type, _ left: ConstantFloats, leftStride: Int, rows: Int, depth: Int, segments: Int = 1,
    segmentStride: Int = 0, weights: ConstantFloats, columns: Int, scale: ConstantFloats? = nil,
    bias: ConstantFloats?, residual: ConstantFloats?, bounds: Bounds, to target: Floats, stride: Int,
    following: ConstantFloats
  ) {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 32) { scratch in
      guard let scratch = scratch.baseAddress else { return }
      let depthOfAll = segments &* depth
      // Segments stay together: there are several only where they are short. And one tile meets each weight once.
      let isOneTile = rows <= mostOfRest(P.Vector.self, stride: leftStride)
      let most = P.hasSegments || isOneTile ? depthOfAll : depthAtOnce
      var k = 0
      repeat {
        let depthHere = min(most, depthOfAll &- k)
        let isLast = k &+ depthHere == depthOfAll
        let result = PanelResult(
          target, stride: stride, initial: k == 0 ? residual : ConstantFloats(target), scale: scale,
          bias: isLast ? bias : nil, bounds: isLast ? bounds : .none)
        multiplyPart(
          P.self, left + k, leftStride, rows, depthHere, segment: depth, segmentStride,
          weights + k &* P.rowWords, panelStride: depthOfAll &* P.rowWords,
          following: isLast ? following : weights + (k &+ depthHere) &* P.rowWords, columns, result, scratch)
        k &+= depthHere
      } while k < depthOfAll
    }
  }

  /// A part of the depth: panel after panel, and the one that comes after the last of them is at `following`.
  @inlinable @inline(__always)
  static func multiplyPart<P: PanelFormat>(
    _: P.Type, _ left: ConstantFloats, _ leftStride: Int, _ rows: Int, _ depth: Int, segment: Int,
    _ segmentStride: Int, _ weights: ConstantFloats, panelStride: Int, following: ConstantFloats,
    _ columns: Int,
    _ result: PanelResult, _ scratch: Floats
  ) {
    let width = panelColumns(P.Vector.self)
    var column = 0
    var panel = weights
    while column &+ width <= columns {
      let next = column &+ width < columns ? panelStride : following - panel
      if P.isScaled {
        multiplyPanel(
          P.self, left, leftStride, rows, depth, segment: segment, segmentStride, panel, next: next,
          ScaledPanel<P.Vector>(result.advanced(by: column)))
      } else {
        multiplyPanel(
          P.self, left, leftStride, rows, depth, segment: segment, segmentStride, panel, next: next,
          WholePanel<P.Vector>(result.advanced(by: column)))
      }
      column &+= width
      panel += panelStride
    }
    if column < columns {
      multiplyPanel(
        P.self, left, leftStride, rows, depth, segment: segment, segmentStride, panel,
        next: following - panel,
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
    if tileRows(V.self) == 14, stride % sameSet != 0 {
      // Of 15 and 16 rows, two smaller tiles are better than a large one and one of a row or two.
      while rows &- row == 14 || rows &- row > 16 { tile(FourteenRows<V>.self) }
    }
    let rest = rows &- row
    let most = mostOfRest(V.self, stride: stride)
    let tiles = max(1, (rest &+ most &- 1) / most)
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
      case 7 where V.scalarCount == 16: tile(SevenRows<V>.self)
      case 8 where V.scalarCount == 16: tile(EightRows<V>.self)
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
    // The next tile's sums begin with what is there, or are written over it.
    edge.fetch(start &+ R.rows &* edge.stride, rows: R.rows)
    var k = 0
    var fetched = P.hasSegments ? depth : 0
    var a = left
    var b = panel
    while k < depth {
      let next = b + ahead
      cpu_prefetch(next)
      if width > 16 { cpu_prefetch(next + 16) }
      if k >= fetched {
        sums.fetch(a + (k &+ linesAhead), stride: stride)
        fetched &+= 16
      }
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

// Winograd's F(3×3, 4×4) of few channels, from transformed pixels to results: see `PhaseConvolution` in Inference. With 12
// channels the 36 products of a tile are over before they would pay for the way to memory and back, so they are transformed
// where they are: six at a time, a column of the tile, in registers.

public import CCPU

/// Some tiles and 16 output channels of them.
public struct PhaseTiles {
  @usableFromInline let transformed: ConstantFloats
  @usableFromInline let count: Int
  @usableFromInline let weights: ConstantFloats
  @usableFromInline let depth: Int
  @usableFromInline let bias: ConstantFloats
  @usableFromInline let bounds: Bounds
  @usableFromInline let residual: UnsafePointer<ConstantFloats>?
  @usableFromInline let pixels: UnsafePointer<Floats>
  @usableFromInline let channel: Int

  /// - Parameters:
  ///   - transformed: `[count, 36, 16]`, of which the first `depth` of 16 are multiplied.
  ///   - weights: `[36, depth, 16]`.
  ///   - bias: one for each of the 16 channels.
  ///   - residual: for each tile, 9 pointers to pixels that are added; nil for none.
  ///   - pixels: for each tile, 9 pointers to the results' pixels, row by row; may be those of `residual`.
  ///   - channel: the first of the 16, in the pixels.
  public init(
    transformed: ConstantFloats, count: Int, weights: ConstantFloats, depth: Int, bias: ConstantFloats,
    bounds: Bounds, residual: UnsafePointer<ConstantFloats>?, pixels: UnsafePointer<Floats>, channel: Int
  ) {
    self.transformed = transformed
    self.count = count
    self.weights = weights
    self.depth = depth
    self.bias = bias
    self.bounds = bounds
    self.residual = residual
    self.pixels = pixels
    self.channel = channel
  }
}

public enum PhaseKernel {
  /// Floats of a transformed pixel, and output channels that are computed at once.
  @inlinable @inline(__always) public static var lanes: Int { 16 }

  @inlinable @inline(__always)
  public static func run<V: FloatVector>(_: V.Type, _ tiles: UnsafePointer<PhaseTiles>) {
    let tiles = tiles.pointee
    let byteCount = 4 &* WinogradF3.tile &* WinogradF3.points &* MemoryLayout<V>.stride
    withUnsafeTemporaryAllocation(byteCount: byteCount, alignment: 64) { scratch in
      guard let scratch = scratch.baseAddress?.assumingMemoryBound(to: Float.self) else { return }
      var lane = 0
      while lane < lanes {
        var tile = 0
        if V.scalarCount == 16 {
          while tile &+ 4 <= tiles.count {
            compute(
              TilesOf<TilesOf<OneTile<V>, OneTile<V>>, TilesOf<OneTile<V>, OneTile<V>>>.self, tiles, tile,
              lane, scratch)
            tile &+= 4
          }
        }
        while tile &+ 2 <= tiles.count {
          compute(TilesOf<OneTile<V>, OneTile<V>>.self, tiles, tile, lane, scratch)
          tile &+= 2
        }
        if tile < tiles.count { compute(OneTile<V>.self, tiles, tile, lane, scratch) }
        lane &+= V.scalarCount
      }
    }
  }

  /// As many output channels of a few tiles as a vector has lanes.
  @inlinable @inline(__always)
  static func compute<S: TileSums>(
    _: S.Type, _ tiles: PhaseTiles, _ first: Int, _ lane: Int, _ scratch: Floats
  ) {
    typealias V = S.Vector
    let (tile, size, width) = (WinogradF3.tile, WinogradF3.points, V.scalarCount)
    let transformed = tiles.transformed + first &* size &* size &* lanes
    let row = size &* tiles.depth &* lanes
    let channel = tiles.channel &+ lane
    // What is written lies far away.
    var result = first &* tile &* tile
    while result < (first &+ S.count) &* tile &* tile {
      cpu_prefetch(UnsafePointer(tiles.pixels[result]) + channel)
      result &+= 1
    }
    var x = 0
    while x < size {
      var sums = S()
      var weights = tiles.weights + (x &* tiles.depth &* lanes &+ lane)
      var values = transformed + x &* lanes
      var k = 0
      while k < tiles.depth {
        sums.add(values, TileRow<V> { V.load(weights + $0 &* row) })
        weights += lanes
        values += 1
        k &+= 1
      }
      sums.forEach { index, sums in
        WinogradF3.output({ sums[$0] }) { (y, value: V) in
          value.store(scratch + ((index &* tile &+ y) &* size &+ x) &* width)
        }
      }
      x &+= 1
    }
    let bias = V.load(tiles.bias + lane)
    var line = 0
    while line < S.count &* tile {
      let source = scratch + line &* size &* width
      let place = (first &* tile &+ line) &* tile
      WinogradF3.output({ V.load(source + $0 &* width) }) { (x, value: V) in
        var value = value + bias
        if let residual = tiles.residual { value = value + V.load(residual[place &+ x] + channel) }
        value.within(tiles.bounds).store(tiles.pixels[place &+ x] + channel)
      }
      line &+= 1
    }
  }
}

/// The sums of a column of some tiles. How many is part of the type, so that each sum stays in a register.
@usableFromInline
protocol TileSums {
  associatedtype Vector: FloatVector
  static var count: Int { get }
  init()
  /// Adds the products of `weights` with a channel of the transformed pixels.
  mutating func add(_ transformed: ConstantFloats, _ weights: TileRow<Vector>)
  func forEach(_ body: (_ tile: Int, TileRow<Vector>) -> Void)
}

@usableFromInline
struct OneTile<Vector: FloatVector>: TileSums {
  @usableFromInline var sums: TileRow<Vector>

  @inlinable @inline(__always) static var count: Int { 1 }
  @inlinable @inline(__always) init() { sums = TileRow(repeating: 0) }

  @inlinable @inline(__always)
  mutating func add(_ transformed: ConstantFloats, _ weights: TileRow<Vector>) {
    sums = sums.addingProductFast(
      TileRow { Vector(repeating: transformed[$0 &* WinogradF3.points &* PhaseKernel.lanes]) }, weights)
  }

  @inlinable @inline(__always)
  func forEach(_ body: (_ tile: Int, TileRow<Vector>) -> Void) { body(0, sums) }
}

/// The tiles of `A`, then those of `B`.
@usableFromInline
struct TilesOf<A: TileSums, B: TileSums>: TileSums where A.Vector == B.Vector {
  @usableFromInline var first: A
  @usableFromInline var second: B

  @inlinable @inline(__always) static var count: Int { A.count &+ B.count }
  @inlinable @inline(__always) init() { (first, second) = (A(), B()) }

  @inlinable @inline(__always)
  mutating func add(_ transformed: ConstantFloats, _ weights: TileRow<A.Vector>) {
    first.add(transformed, weights)
    let tile = WinogradF3.points &* WinogradF3.points &* PhaseKernel.lanes
    second.add(transformed + A.count &* tile, weights)
  }

  @inlinable @inline(__always)
  func forEach(_ body: (_ tile: Int, TileRow<A.Vector>) -> Void) {
    first.forEach(body)
    second.forEach { body(A.count &+ $0, $1) }
  }
}

// Work that goes along the channels of pixels: what follows a matrix product, pooling, copies.

public enum ChannelKernels {
  /// Calls `whole` for each vector's first index and `single` for each index left over.
  @inlinable @inline(__always)
  static func forEach<V: FloatVector>(
    _: V.Type, _ count: Int, whole: (Int) -> Void, single: (Int) -> Void
  ) {
    var index = 0
    while index &+ V.scalarCount <= count {
      whole(index)
      index &+= V.scalarCount
    }
    while index < count {
      single(index)
      index &+= 1
    }
  }

  /// `matrix = max(matrix + bias + residual, floor)` for a block of `rows` × `columns`, whose rows and
  /// those of `residual` begin `stride` apart; `bias` has one element a column.
  @inlinable @inline(__always)
  public static func epilogue<V: FloatVector>(
    _: V.Type, _ matrix: Floats, rows: Int, columns: Int, stride: Int, bias: ConstantFloats,
    residual: ConstantFloats?, floor: Float
  ) {
    @inline(__always) func apply<W: FloatVector>(
      _: W.Type, _ start: Int, _ column: Int, _ residual: ConstantFloats?
    ) {
      var value = W.load(matrix + (start &+ column)) + W.load(bias + column)
      if let residual { value = value + W.load(residual + (start &+ column)) }
      value.atLeast(W(repeating: floor)).store(matrix + (start &+ column))
    }
    @inline(__always) func applyToAll(_ residual: ConstantFloats?) {
      var row = 0
      while row < rows {
        let start = row &* stride
        forEach(
          V.self, columns, whole: { apply(V.self, start, $0, residual) },
          single: { apply(Float.self, start, $0, residual) })
        row &+= 1
      }
    }
    // Two loops, so that neither asks at every element whether there is a residual.
    if let residual { applyToAll(residual) } else { applyToAll(nil) }
  }

  /// `target = max(a + b, floor)`.
  @inlinable @inline(__always)
  public static func add<V: FloatVector>(
    _: V.Type, _ a: ConstantFloats, _ b: ConstantFloats, count: Int, floor: Float, to target: Floats
  ) {
    @inline(__always) func apply<W: FloatVector>(_: W.Type, _ index: Int) {
      (W.load(a + index) + W.load(b + index)).atLeast(W(repeating: floor)).store(target + index)
    }
    forEach(V.self, count, whole: { apply(V.self, $0) }, single: { apply(Float.self, $0) })
  }

  /// `target = max(scale · source + shift, floor)`, for one pixel.
  @inlinable @inline(__always)
  public static func affine<V: FloatVector>(
    _: V.Type, _ source: ConstantFloats, scale: ConstantFloats, shift: ConstantFloats, count: Int,
    floor: Float, to target: Floats
  ) {
    @inline(__always) func apply<W: FloatVector>(_: W.Type, _ index: Int) {
      let value = W.load(source + index) * W.load(scale + index) + W.load(shift + index)
      value.atLeast(W(repeating: floor)).store(target + index)
    }
    forEach(V.self, count, whole: { apply(V.self, $0) }, single: { apply(Float.self, $0) })
  }

  /// `target = max(source, floor)`.
  @inlinable @inline(__always)
  public static func floor<V: FloatVector>(
    _: V.Type, _ source: ConstantFloats, count: Int, floor: Float, to target: Floats
  ) {
    @inline(__always) func apply<W: FloatVector>(_: W.Type, _ index: Int) {
      W.load(source + index).atLeast(W(repeating: floor)).store(target + index)
    }
    forEach(V.self, count, whole: { apply(V.self, $0) }, single: { apply(Float.self, $0) })
  }

  /// The largest of `rows` × `columns` pixels, channel by channel; NaN wins. Pixels are `channels`
  /// apart, rows `rowStride`.
  @inlinable @inline(__always)
  public static func maximum<V: FloatVector>(
    _: V.Type, _ source: ConstantFloats, rows: Int, columns: Int, rowStride: Int, channels: Int,
    to target: Floats
  ) {
    @inline(__always) func apply<W: FloatVector>(_: W.Type, _ channel: Int) {
      var largest = W(repeating: -.infinity)
      var row = 0
      while row < rows {
        var column = 0
        while column < columns {
          largest = largest.maximum(
            W.load(source + (row &* rowStride &+ column &* channels &+ channel)))
          column &+= 1
        }
        row &+= 1
      }
      largest.store(target + channel)
    }
    forEach(V.self, channels, whole: { apply(V.self, $0) }, single: { apply(Float.self, $0) })
  }

  /// The sum of `rows` × `columns` pixels times `scale`, channel by channel.
  @inlinable @inline(__always)
  public static func sum<V: FloatVector>(
    _: V.Type, _ source: ConstantFloats, rows: Int, columns: Int, rowStride: Int, channels: Int,
    scale: Float, to target: Floats
  ) {
    @inline(__always) func apply<W: FloatVector>(_: W.Type, _ channel: Int) {
      var sum = W(repeating: 0)
      var row = 0
      while row < rows {
        var column = 0
        while column < columns {
          sum = sum + W.load(source + (row &* rowStride &+ column &* channels &+ channel))
          column &+= 1
        }
        row &+= 1
      }
      (sum * W(repeating: scale)).store(target + channel)
    }
    forEach(V.self, channels, whole: { apply(V.self, $0) }, single: { apply(Float.self, $0) })
  }

  /// Copies `count` Floats, inline: most copies are too short to pay for a call of memcpy.
  @inlinable @inline(__always)
  public static func copy<V: FloatVector>(
    _: V.Type, _ source: ConstantFloats, count: Int, to target: Floats
  ) {
    guard count >= V.scalarCount else {
      var index = 0
      while index < count {
        target[index] = source[index]
        index &+= 1
      }
      return
    }
    // The last vector overlaps the one before.
    let last = count &- V.scalarCount
    var index = 0
    while index < last {
      V.load(source + index).store(target + index)
      index &+= V.scalarCount
    }
    V.load(source + last).store(target + last)
  }
}

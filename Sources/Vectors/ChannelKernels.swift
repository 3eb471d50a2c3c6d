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

  /// `matrix = matrix + bias + residual`, within `bounds`, for a block of `rows` × `columns`, whose rows and
  /// those of `residual` begin `stride` apart; `bias` has one element a column.
  @inlinable @inline(__always)
  public static func epilogue<V: FloatVector>(
    _: V.Type, _ matrix: Floats, rows: Int, columns: Int, stride: Int, bias: ConstantFloats,
    residual: ConstantFloats?, bounds: Bounds
  ) {
    @inline(__always) func apply<W: FloatVector>(
      _: W.Type, _ start: Int, _ column: Int, _ residual: ConstantFloats?
    ) {
      var value = W.load(matrix + (start &+ column)) + W.load(bias + column)
      if let residual { value = value + W.load(residual + (start &+ column)) }
      value.within(bounds).store(matrix + (start &+ column))
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

  /// `target = a + b`, within `bounds`,.
  @inlinable @inline(__always)
  public static func add<V: FloatVector>(
    _: V.Type, _ a: ConstantFloats, _ b: ConstantFloats, count: Int, bounds: Bounds, to target: Floats
  ) {
    @inline(__always) func apply<W: FloatVector>(_: W.Type, _ index: Int) {
      (W.load(a + index) + W.load(b + index)).within(bounds).store(target + index)
    }
    forEach(V.self, count, whole: { apply(V.self, $0) }, single: { apply(Float.self, $0) })
  }

  /// `target = source · scale + shift + residual`, within `bounds`, for some pixels; `scale` and `shift` have one
  /// element a channel, and nil stands for zeros. The target may be the source or the residual.
  @inlinable @inline(__always)
  public static func affine<V: FloatVector>(
    _: V.Type, _ source: ConstantFloats, pixels: Int, channels: Int, scale: ConstantFloats,
    shift: ConstantFloats?, residual: ConstantFloats?, bounds: Bounds, to target: Floats
  ) {
    @inline(__always) func apply(_ shift: ConstantFloats?, _ residual: ConstantFloats?) {
      applyToPixels(
        V.self, source, pixels: pixels, channels: channels, center: nil, scale: scale, shift: shift,
        residual: residual, bounds: bounds, to: target)
    }
    // A loop for each case, so that none asks at every element what there is to add.
    switch (shift, residual) {
    case (nil, nil): apply(nil, nil)
    case (nil, let residual?): apply(nil, residual)
    case (let shift?, nil): apply(shift, nil)
    case (let shift?, let residual?): apply(shift, residual)
    }
  }

  /// `target = (source − center) · scale + shift + residual`, within `bounds`, for some pixels; nil for zeros. The
  /// target may be the source or the residual. Where values differ little from a center that is large,
  /// `source · scale` would lose what they differ in.
  @inlinable @inline(__always)
  public static func normalize<V: FloatVector>(
    _: V.Type, _ source: ConstantFloats, pixels: Int, channels: Int, center: ConstantFloats,
    scale: ConstantFloats, shift: ConstantFloats, residual: ConstantFloats?, bounds: Bounds, to target: Floats
  ) {
    @inline(__always) func apply(_ residual: ConstantFloats?) {
      applyToPixels(
        V.self, source, pixels: pixels, channels: channels, center: center, scale: scale, shift: shift,
        residual: residual, bounds: bounds, to: target)
    }
    if let residual { apply(residual) } else { apply(nil) }
  }

  @inlinable @inline(__always)
  static func applyToPixels<V: FloatVector>(
    _: V.Type, _ source: ConstantFloats, pixels: Int, channels: Int, center: ConstantFloats?,
    scale: ConstantFloats, shift: ConstantFloats?, residual: ConstantFloats?, bounds: Bounds,
    to target: Floats
  ) {
    @inline(__always) func apply<W: FloatVector>(_: W.Type, _ start: Int, _ channel: Int) {
      var value = W.load(source + (start &+ channel))
      if let center { value = value - W.load(center + channel) }
      value = value * W.load(scale + channel)
      if let shift { value = value + W.load(shift + channel) }
      if let residual { value = value + W.load(residual + (start &+ channel)) }
      value.within(bounds).store(target + (start &+ channel))
    }
    var pixel = 0
    while pixel < pixels {
      let start = pixel &* channels
      forEach(
        V.self, channels, whole: { apply(V.self, start, $0) }, single: { apply(Float.self, start, $0) })
      pixel &+= 1
    }
  }

  /// `target = source`, within `bounds`,.
  @inlinable @inline(__always)
  public static func limit<V: FloatVector>(
    _: V.Type, _ source: ConstantFloats, count: Int, bounds: Bounds, to target: Floats
  ) {
    @inline(__always) func apply<W: FloatVector>(_: W.Type, _ index: Int) {
      W.load(source + index).within(bounds).store(target + index)
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

  /// The sum of `rows` × `columns` pixels times `scale`, channel by channel. Each row has a sum of its own,
  /// so that large windows lose no accuracy.
  @inlinable @inline(__always)
  public static func sum<V: FloatVector>(
    _: V.Type, _ source: ConstantFloats, rows: Int, columns: Int, rowStride: Int, channels: Int,
    scale: Float, to target: Floats
  ) {
    @inline(__always) func apply<W: FloatVector>(_: W.Type, _ channel: Int) {
      var sum = W(repeating: 0)
      var row = 0
      while row < rows {
        var sumOfRow = W(repeating: 0)
        var column = 0
        while column < columns {
          sumOfRow = sumOfRow + W.load(source + (row &* rowStride &+ column &* channels &+ channel))
          column &+= 1
        }
        sum = sum + sumOfRow
        row &+= 1
      }
      (sum * W(repeating: scale)).store(target + channel)
    }
    forEach(V.self, channels, whole: { apply(V.self, $0) }, single: { apply(Float.self, $0) })
  }

  /// The sum of 3 × 3 pixels weighted by `[1, 2, 1] ⊗ [1, 2, 1] / 16`, channel by channel.
  ///
  /// - Parameter pixels: 9 pointers to the pixels' channels, row by row.
  @inlinable @inline(__always)
  public static func blur<V: FloatVector>(
    _: V.Type, _ pixels: UnsafePointer<ConstantFloats>, channels: Int, to target: Floats
  ) {
    let (p0, p1, p2) = (pixels[0], pixels[1], pixels[2])
    let (p3, p4, p5) = (pixels[3], pixels[4], pixels[5])
    let (p6, p7, p8) = (pixels[6], pixels[7], pixels[8])
    @inline(__always) func apply<W: FloatVector>(_: W.Type, _ channel: Int) {
      @inline(__always) func load(_ pixel: ConstantFloats) -> W { W.load(pixel + channel) }
      let corners = (load(p0) + load(p2)) + (load(p6) + load(p8))
      let edges = (load(p1) + load(p3)) + (load(p5) + load(p7))
      let sum = corners + edges * W(repeating: 2) + load(p4) * W(repeating: 4)
      (sum * W(repeating: 1 / 16)).store(target + channel)
    }
    forEach(V.self, channels, whole: { apply(V.self, $0) }, single: { apply(Float.self, $0) })
  }

  /// Whether none of `count` Floats is infinite or NaN.
  @inlinable @inline(__always)
  public static func isFinite<V: FloatVector>(_: V.Type, _ source: ConstantFloats, count: Int) -> Bool {
    // x − x is 0 for every other number.
    var (sums, sum) = (V(repeating: 0), Float(0))
    forEach(
      V.self, count,
      whole: {
        let value = V.load(source + $0)
        sums = sums + (value - value)
      }, single: { sum += source[$0] - source[$0] })
    return isZero(sums, sum)
  }

  /// Whether the lanes and `rest` add up to zero; not where any of them is NaN.
  @inlinable @inline(__always)
  static func isZero<V: FloatVector>(_ lanes: V, _ rest: Float) -> Bool {
    var sum = rest
    return withUnsafeTemporaryAllocation(of: Float.self, capacity: 16) { scratch in
      guard let start = scratch.baseAddress else { return false }
      lanes.store(start)
      for lane in 0..<V.scalarCount { sum += start[lane] }
      return sum == 0
    }
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

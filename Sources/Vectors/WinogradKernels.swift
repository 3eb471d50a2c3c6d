// Winograd's transforms of a tile in two dimensions, along the channels: first each row, then each
// column of what that gave.

public enum WinogradKernels<Transforms: WinogradTransforms> {
  /// Writes `Bᵀ · d · B` for every channel.
  ///
  /// - Parameters:
  ///   - pixels: points² pointers to the pixels' channels, row by row.
  ///   - target: element `i` of the result goes to `target + i * stride`.
  ///   - scratch: room for points² vectors.
  @inlinable @inline(__always)
  public static func input<V: FloatVector>(
    _: V.Type, _ pixels: UnsafePointer<ConstantFloats>, channels: Int, to target: Floats, stride: Int,
    scratch: Floats
  ) {
    var channel = 0
    while channel &+ V.scalarCount <= channels {
      input(V.self, pixels, channel, target, stride, scratch)
      channel &+= V.scalarCount
    }
    while channel < channels {
      input(Float.self, pixels, channel, target, stride, scratch)
      channel &+= 1
    }
  }

  @inlinable @inline(__always)
  static func input<V: FloatVector>(
    _: V.Type, _ pixels: UnsafePointer<ConstantFloats>, _ channel: Int, _ target: Floats, _ stride: Int,
    _ scratch: Floats
  ) {
    let (size, width) = (Transforms.points, V.scalarCount)
    var y = 0
    while y < size {
      let row = pixels + y &* size
      Transforms.input(
        { V.load(row[$0] + channel) }, { ($1 as V).store(scratch + (y &* size &+ $0) &* width) })
      y &+= 1
    }
    var x = 0
    while x < size {
      Transforms.input(
        { V.load(scratch + ($0 &* size &+ x) &* width) },
        { ($1 as V).store(target + (($0 &* size &+ x) &* stride &+ channel)) })
      x &+= 1
    }
  }

  /// Writes `G · g · Gᵀ` for `count` filters.
  ///
  /// - Parameters:
  ///   - taps: element `i` of filter `k` is at `taps + i * count + k`.
  ///   - target: element `i` of filter `k`'s result goes to `target + i * stride + k`.
  ///   - scratch: room for points² vectors.
  @inlinable @inline(__always)
  public static func weights<V: FloatVector>(
    _: V.Type, _ taps: ConstantFloats, count: Int, to target: Floats, stride: Int, scratch: Floats
  ) {
    var filter = 0
    while filter &+ V.scalarCount <= count {
      weights(V.self, taps + filter, count, target + filter, stride, scratch)
      filter &+= V.scalarCount
    }
    while filter < count {
      weights(Float.self, taps + filter, count, target + filter, stride, scratch)
      filter &+= 1
    }
  }

  @inlinable @inline(__always)
  static func weights<V: FloatVector>(
    _: V.Type, _ taps: ConstantFloats, _ count: Int, _ target: Floats, _ stride: Int, _ scratch: Floats
  ) {
    let (size, width) = (Transforms.filterPoints, V.scalarCount)
    var y = 0
    while y < 3 {
      Transforms.weights(
        { V.load(taps + (y &* 3 &+ $0) &* count) },
        { ($1 as V).store(scratch + (y &* size &+ $0) &* width) })
      y &+= 1
    }
    var x = 0
    while x < size {
      Transforms.weights(
        { V.load(scratch + ($0 &* size &+ x) &* width) },
        { ($1 as V).store(target + ($0 &* size &+ x) &* stride) })
      x &+= 1
    }
  }

  /// Writes `Aᵀ · m · A + bias + residual`, within `bounds`, for every channel.
  ///
  /// - Parameters:
  ///   - source: element `i` of `m` is at `source + i * stride`.
  ///   - residual: tile² pointers to pixels that are added; nil for none.
  ///   - pixels: tile² pointers to the results' channels, row by row; may be those of `residual`.
  ///   - scratch: room for points² vectors.
  @inlinable @inline(__always)
  public static func output<V: FloatVector>(
    _: V.Type, _ source: ConstantFloats, stride: Int, channels: Int, bias: ConstantFloats,
    residual: UnsafePointer<ConstantFloats>?, bounds: Bounds, to pixels: UnsafePointer<Floats>,
    scratch: Floats
  ) {
    @inline(__always) func applyToAll(_ residual: UnsafePointer<ConstantFloats>?) {
      var channel = 0
      while channel &+ V.scalarCount <= channels {
        output(V.self, source, stride, channel, bias, residual, bounds, pixels, scratch)
        channel &+= V.scalarCount
      }
      while channel < channels {
        output(Float.self, source, stride, channel, bias, residual, bounds, pixels, scratch)
        channel &+= 1
      }
    }
    // Two loops, so that neither asks at every element whether there is a residual.
    if let residual { applyToAll(residual) } else { applyToAll(nil) }
  }

  @inlinable @inline(__always)
  static func output<V: FloatVector>(
    _: V.Type, _ source: ConstantFloats, _ stride: Int, _ channel: Int, _ bias: ConstantFloats,
    _ residual: UnsafePointer<ConstantFloats>?, _ bounds: Bounds, _ pixels: UnsafePointer<Floats>,
    _ scratch: Floats
  ) {
    let (tile, size) = (Transforms.tile, Transforms.points)
    let width = V.scalarCount
    var y = 0
    while y < size {
      Transforms.output(
        { V.load(source + ((y &* size &+ $0) &* stride &+ channel)) },
        { ($1 as V).store(scratch + (y &* tile &+ $0) &* width) })
      y &+= 1
    }
    let shift = V.load(bias + channel)
    var x = 0
    while x < tile {
      Transforms.output(
        { V.load(scratch + ($0 &* tile &+ x) &* width) },
        { (index: Int, value: V) in
          var value = value + shift
          if let residual { value = value + V.load(residual[index &* tile &+ x] + channel) }
          value.within(bounds).store(pixels[index &* tile &+ x] + channel)
        })
      x &+= 1
    }
  }
}

// Winograd's transforms of a tile in two dimensions, along the channels: first the columns, then each
// row of what that gave, as soon as it is there.

public import CCPU

public enum WinogradKernels<Transforms: WinogradTransforms> {
  /// Writes `Bᵀ · d · B` for every channel.
  ///
  /// - Parameters:
  ///   - pixels: points² pointers to the pixels' channels, row by row.
  ///   - target: element `i` of the result goes to `target + i * stride`.
  @inlinable @inline(__always)
  public static func input<V: FloatVector>(
    _: V.Type, _ pixels: UnsafePointer<ConstantFloats>, channels: Int, to target: Floats, stride: Int
  ) {
    var channel = 0
    while channel &+ V.scalarCount <= channels {
      input(V.self, pixels, channel, target, stride)
      channel &+= V.scalarCount
    }
    while channel < channels {
      input(Float.self, pixels, channel, target, stride)
      channel &+= 1
    }
  }

  @inlinable @inline(__always)
  static func input<V: FloatVector>(
    _: V.Type, _ pixels: UnsafePointer<ConstantFloats>, _ channel: Int, _ target: Floats, _ stride: Int
  ) {
    let size = Transforms.points
    @inline(__always) func row(_ y: Int) -> TileRow<V> {
      TileRow { x in x < size ? V.load(pixels[y &* size &+ x] + channel) : V(repeating: 0) }
    }
    @inline(__always) func write(_ y: Int, _ row: TileRow<V>) {
      @inline(__always) func element(_ x: Int) -> V { row[x] }
      @inline(__always) func write(_ x: Int, _ value: V) {
        value.store(target + ((y &* size &+ x) &* stride &+ channel))
      }
      Transforms.input(element, write)
    }
    Transforms.input(row, write)
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
    while y < Transforms.taps {
      Transforms.weights(
        { V.load(taps + (y &* Transforms.taps &+ $0) &* count) },
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
  @inlinable @inline(__always)
  public static func output<V: FloatVector>(
    _: V.Type, _ source: ConstantFloats, stride: Int, channels: Int, bias: ConstantFloats,
    residual: UnsafePointer<ConstantFloats>?, bounds: Bounds, to pixels: UnsafePointer<Floats>
  ) {
    @inline(__always) func applyToAll(_ residual: UnsafePointer<ConstantFloats>?) {
      var channel = 0
      while channel &+ V.scalarCount <= channels {
        output(V.self, source, stride, channel, bias, residual, bounds, pixels)
        channel &+= V.scalarCount
      }
      while channel < channels {
        output(Float.self, source, stride, channel, bias, residual, bounds, pixels)
        channel &+= 1
      }
    }
    // Two loops, so that neither asks at every element whether there is a residual.
    if let residual { applyToAll(residual) } else { applyToAll(nil) }
  }

  @inlinable @inline(__always)
  static func output<V: FloatVector>(
    _: V.Type, _ source: ConstantFloats, _ stride: Int, _ channel: Int, _ bias: ConstantFloats,
    _ residual: UnsafePointer<ConstantFloats>?, _ bounds: Bounds, _ pixels: UnsafePointer<Floats>
  ) {
    let (tile, size) = (Transforms.tile, Transforms.points)
    let shift = V.load(bias + channel)
    // Where the next channels of the tile go is asked for.
    var place = 0
    while place < tile &* tile {
      cpu_prefetch(UnsafePointer(pixels[place]) + (channel &+ V.scalarCount))
      place &+= 1
    }
    @inline(__always) func row(_ y: Int) -> TileRow<V> {
      TileRow { x in
        x < size ? V.load(source + ((y &* size &+ x) &* stride &+ channel)) : V(repeating: 0)
      }
    }
    @inline(__always) func write(_ y: Int, _ row: TileRow<V>) {
      @inline(__always) func element(_ x: Int) -> V { row[x] }
      @inline(__always) func write(_ x: Int, _ value: V) {
        let place = y &* tile &+ x
        var value = value + shift
        if let residual { value = value + V.load(residual[place] + channel) }
        value.within(bounds).store(pixels[place] + channel)
      }
      Transforms.output(element, write)
    }
    Transforms.output(row, write)
  }
}

// A depthwise convolution, where each channel has a filter of its own: row by row of the result, along the
// channels of some pixels at a time.
//
// Inside the image four pixels share each load of the weights, and their sums don't wait for each other. At
// the borders pixels are taken one by one, with those elements of the window that lie inside.

/// One row of the result of a depthwise convolution, and what it is made from.
public struct DepthwiseRow {
  @usableFromInline let source: ConstantFloats
  @usableFromInline let sourceStride: Int
  @usableFromInline let windowRows: Int
  @usableFromInline let inWidth: Int
  @usableFromInline let outWidth: Int
  @usableFromInline let channels: Int
  @usableFromInline let kernel: Int
  @usableFromInline let stride: Int
  @usableFromInline let padding: Int
  @usableFromInline let dilation: Int
  @usableFromInline let weights: ConstantFloats
  @usableFromInline let bias: ConstantFloats
  @usableFromInline let residual: ConstantFloats?
  @usableFromInline let bounds: Bounds
  @usableFromInline let target: Floats

  /// - Parameters:
  ///   - source: the first row of the input that is under the window; each begins `sourceStride` after the last.
  ///   - windowRows: how many rows of the input are under the window; those in the padding don't count.
  ///   - kernel: elements of the window in a row, `dilation` pixels apart.
  ///   - weights: `[window row][element][channel]`, from the first row that is under the window.
  ///   - bias: one for each channel.
  ///   - residual: added to the result, and lies as the target does; may be the target.
  public init(
    source: ConstantFloats, sourceStride: Int, windowRows: Int, inWidth: Int, outWidth: Int, channels: Int,
    kernel: Int, stride: Int, padding: Int, dilation: Int, weights: ConstantFloats, bias: ConstantFloats,
    residual: ConstantFloats?, bounds: Bounds, target: Floats
  ) {
    (self.source, self.sourceStride, self.windowRows) = (source, sourceStride, windowRows)
    (self.inWidth, self.outWidth, self.channels) = (inWidth, outWidth, channels)
    (self.kernel, self.stride, self.padding, self.dilation) = (kernel, stride, padding, dilation)
    (self.weights, self.bias, self.residual) = (weights, bias, residual)
    (self.bounds, self.target) = (bounds, target)
  }
}

public enum DepthwiseKernel {
  /// `target = Σ weights · source + bias + residual`, within the bounds, for one row of pixels.
  @inlinable @inline(__always)
  public static func run<V: FloatVector>(_: V.Type, _ pointer: UnsafePointer<DepthwiseRow>) {
    let row = pointer.pointee
    // Pixels whose windows lie inside the image from left to right.
    let first = min(row.outWidth, (row.padding &+ row.stride &- 1) / row.stride)
    let room = row.inWidth &- 1 &- row.dilation &* (row.kernel &- 1) &+ row.padding
    let end = max(first, room < 0 ? 0 : min(row.outWidth, room / row.stride &+ 1))
    var x = 0
    while x < first {
      border(V.self, row, x)
      x &+= 1
    }
    if row.kernel == 3, row.windowRows == 3 {
      // The same with numbers that the compiler knows.
      x = inside(V.self, row, x, end, windowRows: 3, kernel: 3)
    } else {
      x = inside(V.self, row, x, end, windowRows: row.windowRows, kernel: row.kernel)
    }
    while x < row.outWidth {
      border(V.self, row, x)
      x &+= 1
    }
  }

  /// The pixels from `x` to `end`, four at a time.
  ///
  /// - Returns: `end`.
  @inlinable @inline(__always)
  static func inside<V: FloatVector>(
    _: V.Type, _ row: DepthwiseRow, _ x: Int, _ end: Int, windowRows: Int, kernel: Int
  ) -> Int {
    var x = x
    while x &+ 4 <= end {
      let left = row.source + (x &* row.stride &- row.padding) &* row.channels
      @inline(__always) func apply<W: FloatVector>(_: W.Type, _ channel: Int) {
        fourPixels(W.self, row, left, x, channel, windowRows: windowRows, kernel: kernel)
      }
      forEach(
        V.self, row.channels, pair: { apply(TwoVectors<V>.self, $0) }, whole: { apply(V.self, $0) },
        single: { apply(Float.self, $0) })
      x &+= 4
    }
    while x < end {
      onePixel(V.self, row, x, elements: 0, kernel)
      x &+= 1
    }
    return x
  }

  /// A pixel whose window lies partly in the padding.
  @inlinable @inline(__always)
  static func border<V: FloatVector>(_: V.Type, _ row: DepthwiseRow, _ x: Int) {
    let left = x &* row.stride &- row.padding
    let first = left < 0 ? (row.dilation &- 1 &- left) / row.dilation : 0
    let room = row.inWidth &- left
    let end = room <= 0 ? 0 : min(row.kernel, (room &+ row.dilation &- 1) / row.dilation)
    onePixel(V.self, row, x, elements: first, end)
  }

  /// A pixel, with the elements of each row of its window from `first` to `end`.
  @inlinable @inline(__always)
  static func onePixel<V: FloatVector>(
    _: V.Type, _ row: DepthwiseRow, _ x: Int, elements first: Int, _ end: Int
  ) {
    let left = row.source + (x &* row.stride &- row.padding) &* row.channels
    @inline(__always) func apply<W: FloatVector>(_: W.Type, _ channel: Int) {
      onePixel(W.self, row, left, x, channel, elements: first, end)
    }
    forEach(
      V.self, row.channels, pair: { apply(TwoVectors<V>.self, $0) }, whole: { apply(V.self, $0) },
      single: { apply(Float.self, $0) })
  }

  /// Calls `pair` for as long as there are two vectors, `whole` for one, then `single` for each channel that is
  /// left over.
  @inlinable @inline(__always)
  static func forEach<V: FloatVector>(
    _: V.Type, _ channels: Int, pair: (Int) -> Void, whole: (Int) -> Void, single: (Int) -> Void
  ) {
    var channel = 0
    while channel &+ 2 &* V.scalarCount <= channels {
      pair(channel)
      channel &+= 2 &* V.scalarCount
    }
    if channel &+ V.scalarCount <= channels {
      whole(channel)
      channel &+= V.scalarCount
    }
    while channel < channels {
      single(channel)
      channel &+= 1
    }
  }

  /// Channels of four pixels beside each other, whose windows begin at `left`.
  @inlinable @inline(__always)
  static func fourPixels<W: FloatVector>(
    _: W.Type, _ row: DepthwiseRow, _ left: ConstantFloats, _ x: Int, _ channel: Int, windowRows: Int,
    kernel: Int
  ) {
    let (step, next) = (row.stride &* row.channels, row.dilation &* row.channels)
    var s0 = W.load(row.bias + channel)
    var (s1, s2, s3) = (s0, s0, s0)
    var weight = row.weights + channel
    var line = left + channel
    var windowRow = 0
    while windowRow < windowRows {
      var pixel = line
      var element = 0
      while element < kernel {
        let factor = W.load(weight)
        s0 = s0.addingProductFast(W.load(pixel), factor)
        s1 = s1.addingProductFast(W.load(pixel + step), factor)
        s2 = s2.addingProductFast(W.load(pixel + 2 &* step), factor)
        s3 = s3.addingProductFast(W.load(pixel + 3 &* step), factor)
        pixel += next
        weight += row.channels
        element &+= 1
      }
      line += row.sourceStride
      windowRow &+= 1
    }
    let place = x &* row.channels &+ channel
    finish(s0, row, place)
    finish(s1, row, place &+ row.channels)
    finish(s2, row, place &+ 2 &* row.channels)
    finish(s3, row, place &+ 3 &* row.channels)
  }

  /// Channels of a pixel whose window begins at `left`, with the elements of its rows from `first` to `end`.
  @inlinable @inline(__always)
  static func onePixel<W: FloatVector>(
    _: W.Type, _ row: DepthwiseRow, _ left: ConstantFloats, _ x: Int, _ channel: Int, elements first: Int,
    _ end: Int
  ) {
    var sum = W.load(row.bias + channel)
    var windowRow = 0
    while windowRow < row.windowRows {
      let line = left + (windowRow &* row.sourceStride &+ channel)
      let weight = row.weights + (windowRow &* row.kernel &* row.channels &+ channel)
      var element = first
      while element < end {
        sum = sum.addingProductFast(
          W.load(line + element &* row.dilation &* row.channels), W.load(weight + element &* row.channels))
        element &+= 1
      }
      windowRow &+= 1
    }
    finish(sum, row, x &* row.channels &+ channel)
  }

  @inlinable @inline(__always)
  static func finish<W: FloatVector>(_ sum: W, _ row: DepthwiseRow, _ place: Int) {
    var sum = sum
    if let residual = row.residual { sum = sum + W.load(residual + place) }
    sum.within(row.bounds).store(row.target + place)
  }
}

/// Two vectors that are taken as one of twice the width.
public struct TwoVectors<Vector: FloatVector>: FloatVector {
  @usableFromInline let first: Vector
  @usableFromInline let second: Vector

  @inlinable @inline(__always)
  init(_ first: Vector, _ second: Vector) {
    self.first = first
    self.second = second
  }

  @inlinable @inline(__always) public static var scalarCount: Int { 2 &* Vector.scalarCount }
  @inlinable @inline(__always) public init(repeating value: Float) {
    self.init(Vector(repeating: value), Vector(repeating: value))
  }
  @inlinable @inline(__always) public static func load(_ source: ConstantFloats) -> Self {
    Self(Vector.load(source), Vector.load(source + Vector.scalarCount))
  }
  @inlinable @inline(__always) public func store(_ target: Floats) {
    first.store(target)
    second.store(target + Vector.scalarCount)
  }
  @inlinable @inline(__always) public static func + (a: Self, b: Self) -> Self {
    Self(a.first + b.first, a.second + b.second)
  }
  @inlinable @inline(__always) public static func - (a: Self, b: Self) -> Self {
    Self(a.first - b.first, a.second - b.second)
  }
  @inlinable @inline(__always) public static func * (a: Self, b: Self) -> Self {
    Self(a.first * b.first, a.second * b.second)
  }
  @inlinable @inline(__always) public func addingProductFast(_ a: Self, _ b: Self) -> Self {
    Self(first.addingProductFast(a.first, b.first), second.addingProductFast(a.second, b.second))
  }
  @inlinable @inline(__always) public func atLeast(_ bound: Self) -> Self {
    Self(first.atLeast(bound.first), second.atLeast(bound.second))
  }
  @inlinable @inline(__always) public func atMost(_ bound: Self) -> Self {
    Self(first.atMost(bound.first), second.atMost(bound.second))
  }
  @inlinable @inline(__always) public func maximum(_ other: Self) -> Self {
    Self(first.maximum(other.first), second.maximum(other.second))
  }
}

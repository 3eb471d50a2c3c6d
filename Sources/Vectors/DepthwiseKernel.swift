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
    while x < row.outWidth {
      let isInside = x >= first && x < end
      var channel = 0
      if isInside, x &+ 4 <= end {
        channel = fourPixels(TwoVectors<V>.self, row, x, from: channel)
        channel = fourPixels(V.self, row, x, from: channel)
        _ = fourPixels(Float.self, row, x, from: channel)
        x &+= 4
      } else {
        let elements = isInside ? (first: 0, end: row.kernel) : elementsInside(row, x)
        channel = onePixel(TwoVectors<V>.self, row, x, elements, from: channel)
        channel = onePixel(V.self, row, x, elements, from: channel)
        _ = onePixel(Float.self, row, x, elements, from: channel)
        x &+= 1
      }
    }
  }

  /// Which elements of a row of the window lie inside the image.
  @inlinable @inline(__always)
  static func elementsInside(_ row: DepthwiseRow, _ x: Int) -> (first: Int, end: Int) {
    let left = x &* row.stride &- row.padding
    let room = row.inWidth &- left
    return (
      left < 0 ? (row.dilation &- 1 &- left) / row.dilation : 0,
      room <= 0 ? 0 : min(row.kernel, (room &+ row.dilation &- 1) / row.dilation)
    )
  }

  /// Four pixels beside each other whose windows lie inside the image.
  ///
  /// - Returns: the first channel that is left over, as there are too few to fill a vector.
  @inlinable @inline(__always)
  static func fourPixels<W: FloatVector>(
    _: W.Type, _ row: DepthwiseRow, _ x: Int, from firstChannel: Int
  ) -> Int {
    let (channels, kernel, windowRows) = (row.channels, row.kernel, row.windowRows)
    let (step, next, sourceStride) = (row.stride &* channels, row.dilation &* channels, row.sourceStride)
    let left = row.source + (x &* row.stride &- row.padding) &* channels
    let (weights, bias) = (row.weights, row.bias)
    var channel = firstChannel
    while channel &+ W.scalarCount <= channels {
      var s0 = W.load(bias + channel)
      var (s1, s2, s3) = (s0, s0, s0)
      @inline(__always) func add(_ pixel: ConstantFloats, _ weight: ConstantFloats) {
        let factor = W.load(weight)
        s0 = s0.addingProductFast(W.load(pixel), factor)
        s1 = s1.addingProductFast(W.load(pixel + step), factor)
        s2 = s2.addingProductFast(W.load(pixel + 2 &* step), factor)
        s3 = s3.addingProductFast(W.load(pixel + 3 &* step), factor)
      }
      var weight = weights + channel
      var line = left + channel
      var windowRow = 0
      while windowRow < windowRows {
        var pixel = line
        var element = 0
        // Most windows have rows of three elements.
        while element &+ 3 <= kernel {
          add(pixel, weight)
          add(pixel + next, weight + channels)
          add(pixel + 2 &* next, weight + 2 &* channels)
          pixel += 3 &* next
          weight += 3 &* channels
          element &+= 3
        }
        while element < kernel {
          add(pixel, weight)
          pixel += next
          weight += channels
          element &+= 1
        }
        line += sourceStride
        windowRow &+= 1
      }
      let place = x &* channels &+ channel
      finish(s0, row, place)
      finish(s1, row, place &+ channels)
      finish(s2, row, place &+ 2 &* channels)
      finish(s3, row, place &+ 3 &* channels)
      channel &+= W.scalarCount
    }
    return channel
  }

  /// One pixel, with some elements of each row of its window.
  ///
  /// - Returns: the first channel that is left over, as there are too few to fill a vector.
  @inlinable @inline(__always)
  static func onePixel<W: FloatVector>(
    _: W.Type, _ row: DepthwiseRow, _ x: Int, _ elements: (first: Int, end: Int), from firstChannel: Int
  ) -> Int {
    let (channels, kernel, windowRows) = (row.channels, row.kernel, row.windowRows)
    let (next, sourceStride) = (row.dilation &* channels, row.sourceStride)
    let left = row.source + (x &* row.stride &- row.padding) &* channels
    let (weights, bias) = (row.weights, row.bias)
    var channel = firstChannel
    while channel &+ W.scalarCount <= channels {
      var sum = W.load(bias + channel)
      var windowRow = 0
      while windowRow < windowRows {
        let line = left + (windowRow &* sourceStride &+ channel)
        let weight = weights + (windowRow &* kernel &* channels &+ channel)
        var element = elements.first
        while element < elements.end {
          sum = sum.addingProductFast(
            W.load(line + element &* next), W.load(weight + element &* channels))
          element &+= 1
        }
        windowRow &+= 1
      }
      finish(sum, row, x &* channels &+ channel)
      channel &+= W.scalarCount
    }
    return channel
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
  @inlinable @inline(__always) public static func loadPairs(_ source: ConstantFloats) -> (Self, Self) {
    let (pair0, pair1) = (Vector.loadPairs(source), Vector.loadPairs(source + Vector.scalarCount))
    return (Self(pair0.0, pair1.0), Self(pair0.1, pair1.1))
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

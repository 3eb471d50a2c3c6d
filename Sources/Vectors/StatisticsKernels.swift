// Sums and variances of each channel over many pixels. A few pixels at a time are added in single precision,
// pair by pair, some such sums make a block, and blocks are added in double precision: the error does not
// grow with the number of pixels.

public enum StatisticsKernels {
  /// Pixels that are added in registers.
  @inlinable @inline(__always)
  static var pixelsAtOnce: Int { 4 }
  /// Pixels of a sum in single precision.
  @inlinable @inline(__always)
  static var blockOfSums: Int { 64 }
  /// Pixels whose variance is taken in single precision: they are read twice, and stay in cache meanwhile.
  @inlinable @inline(__always)
  static var blockOfVariances: Int { 32 }

  /// Adds pixels to the sum of each channel.
  ///
  /// - Parameters:
  ///   - block: room for a number for each channel.
  ///   - sums: one for each channel.
  @inlinable @inline(__always)
  public static func sums<V: FloatVector>(
    _: V.Type, _ source: ConstantFloats, pixels: Int, channels: Int, block: Floats,
    to sums: UnsafeMutablePointer<Double>
  ) {
    var first = 0
    while first < pixels {
      let count = min(blockOfSums, pixels &- first)
      sum(V.self, source + first &* channels, pixels: count, channels: channels, to: block)
      var channel = 0
      while channel < channels {
        sums[channel] += Double(block[channel])
        channel &+= 1
      }
      first &+= count
    }
  }

  /// The mean of each channel, and the sum of the squares of what the pixels differ from it: blocks are
  /// merged as in Chan et al. 1979, "Updating formulae and a pairwise algorithm for computing sample
  /// variances".
  ///
  /// - Parameter block: room for two numbers for each channel.
  @inlinable @inline(__always)
  public static func moments<V: FloatVector>(
    _: V.Type, _ source: ConstantFloats, pixels: Int, channels: Int, block: Floats,
    means: UnsafeMutablePointer<Double>, squares: UnsafeMutablePointer<Double>
  ) {
    means.update(repeating: 0, count: channels)
    squares.update(repeating: 0, count: channels)
    let blockSquares = block + channels
    var first = 0
    while first < pixels {
      let count = min(blockOfVariances, pixels &- first)
      let start = source + first &* channels
      sum(V.self, start, pixels: count, channels: channels, to: block)
      sumOfSquares(
        V.self, start, pixels: count, channels: channels, sums: block, to: blockSquares)

      let (before, here) = (Double(first), Double(count))
      let (share, weight) = (here / (before + here), before * here / (before + here))
      let scale = 1 / here
      var channel = 0
      while channel < channels {
        let difference = Double(block[channel]) * scale - means[channel]
        means[channel] += difference * share
        squares[channel] += Double(blockSquares[channel]) + difference * difference * weight
        channel &+= 1
      }
      first &+= count
    }
  }

  /// The sum of some pixels for each channel.
  @inlinable @inline(__always)
  static func sum<V: FloatVector>(
    _: V.Type, _ source: ConstantFloats, pixels: Int, channels: Int, to target: Floats
  ) {
    @inline(__always) func apply<W: FloatVector>(_: W.Type, _ channel: Int, _ first: Int, _ count: Int) {
      let few: W = sum(source + (first &* channels &+ channel), count, channels)
      add(few, to: target + channel, isFirst: first == 0)
    }
    forEachFew(pixels) { first, count in
      ChannelKernels.forEach(
        V.self, channels, whole: { apply(V.self, $0, first, count) },
        single: { apply(Float.self, $0, first, count) })
    }
  }

  /// The sum of the squares of what some pixels differ from their mean, for each channel.
  @inlinable @inline(__always)
  static func sumOfSquares<V: FloatVector>(
    _: V.Type, _ source: ConstantFloats, pixels: Int, channels: Int, sums: ConstantFloats, to target: Floats
  ) {
    let scale = 1 / Float(pixels)
    @inline(__always) func apply<W: FloatVector>(_: W.Type, _ channel: Int, _ first: Int, _ count: Int) {
      let mean = W.load(sums + channel) * W(repeating: scale)
      let squares = sumOfSquares(source + (first &* channels &+ channel), count, channels, mean)
      add(squares, to: target + channel, isFirst: first == 0)
    }
    forEachFew(pixels) { first, count in
      ChannelKernels.forEach(
        V.self, channels, whole: { apply(V.self, $0, first, count) },
        single: { apply(Float.self, $0, first, count) })
    }
  }

  /// The sum of `(pixel − mean)²` over a few pixels, which lie `stride` apart.
  @inlinable @inline(__always)
  static func sumOfSquares<W: FloatVector>(
    _ source: ConstantFloats, _ pixels: Int, _ stride: Int, _ mean: W
  ) -> W {
    // Written with fused operations, the compiler keeps the vectors whole; products and sums of squares
    // it takes apart (half as fast, measured).
    @inline(__always) func difference(_ index: Int) -> W { W.load(source + index &* stride) - mean }
    var sum = W(repeating: 0)
    if pixels == pixelsAtOnce {
      let (a, b, c, d) = (difference(0), difference(1), difference(2), difference(3))
      return sum.addingProductFast(a, a).addingProductFast(b, b)
        + sum.addingProductFast(c, c).addingProductFast(d, d)
    }
    var index = 0
    while index < pixels {
      let here = difference(index)
      sum = sum.addingProductFast(here, here)
      index &+= 1
    }
    return sum
  }

  /// Calls `body` with the first of every few pixels and their number.
  @inlinable @inline(__always)
  static func forEachFew(_ pixels: Int, _ body: (_ first: Int, _ count: Int) -> Void) {
    var first = 0
    while first &+ pixelsAtOnce <= pixels {
      body(first, pixelsAtOnce)
      first &+= pixelsAtOnce
    }
    if first < pixels { body(first, pixels &- first) }
  }

  /// The sum of a few pixels, which lie `stride` apart.
  @inlinable @inline(__always)
  static func sum<W: FloatVector>(_ source: ConstantFloats, _ pixels: Int, _ stride: Int) -> W {
    @inline(__always) func pixel(_ index: Int) -> W { W.load(source + index &* stride) }
    if pixels == pixelsAtOnce {
      return (pixel(0) + pixel(1)) + (pixel(2) + pixel(3))
    }
    var sum = pixel(0)
    var index = 1
    while index < pixels {
      sum = sum + pixel(index)
      index &+= 1
    }
    return sum
  }

  @inlinable @inline(__always)
  static func add<W: FloatVector>(_ value: W, to target: Floats, isFirst: Bool) {
    (isFirst ? value : W.load(target) + value).store(target)
  }
}

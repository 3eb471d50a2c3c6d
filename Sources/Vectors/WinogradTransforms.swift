// Winograd's transforms in one dimension: x ↦ Bᵀ·x, G·x and Aᵀ·x, multiplied out and with common
// terms taken once. `WinogradMatrices` in Inference has the matrices; a test holds these against them.

/// The transforms of one algorithm, in one dimension.
public protocol WinogradTransforms: SendableMetatype {
  /// Of the filter.
  static var taps: Int { get }
  /// Outputs of a tile.
  static var tile: Int { get }
  /// Inputs of a tile, and products.
  static var points: Int { get }
  /// Elements of a transformed filter. Where they are fewer than the products, the last one serves the others.
  static var filterPoints: Int { get }
  /// `Bᵀ · x` for `points` vectors, with as many results.
  static func input<V: FloatArithmetic>(_ source: (Int) -> V, _ target: (Int, V) -> Void)
  /// `G · x` for `taps` vectors, with `filterPoints` results.
  static func weights<V: FloatVector>(_ source: (Int) -> V, _ target: (Int, V) -> Void)
  /// `Aᵀ · x` for `points` vectors, with `tile` results.
  static func output<V: FloatArithmetic>(_ source: (Int) -> V, _ target: (Int, V) -> Void)
}

extension WinogradTransforms {
  @inlinable @inline(__always) public static var taps: Int { 3 }
}

/// F(2, 3): points 0, 1, −1, ∞.
public enum WinogradF2: WinogradTransforms {
  @inlinable @inline(__always) public static var tile: Int { 2 }
  @inlinable @inline(__always) public static var points: Int { 4 }
  @inlinable @inline(__always) public static var filterPoints: Int { 4 }

  @inlinable @inline(__always)
  public static func input<V: FloatArithmetic>(_ source: (Int) -> V, _ target: (Int, V) -> Void) {
    let (x0, x1, x2, x3) = (source(0), source(1), source(2), source(3))
    target(0, x0 - x2)
    target(1, x1 + x2)
    target(2, x2 - x1)
    target(3, x3 - x1)
  }

  @inlinable @inline(__always)
  public static func weights<V: FloatVector>(_ source: (Int) -> V, _ target: (Int, V) -> Void) {
    let (x0, x1, x2) = (source(0), source(1), source(2))
    let half = V(repeating: 0.5)
    let even = half * (x0 + x2)
    target(0, x0)
    target(1, even + half * x1)
    target(2, even - half * x1)
    target(3, x2)
  }

  @inlinable @inline(__always)
  public static func output<V: FloatArithmetic>(_ source: (Int) -> V, _ target: (Int, V) -> Void) {
    let (x0, x1, x2, x3) = (source(0), source(1), source(2), source(3))
    target(0, x0 + (x1 + x2))
    target(1, (x1 - x2) + x3)
  }
}

/// F(4, 3): points 0, 1, −1, 2, −2, ∞.
public enum WinogradF4: WinogradTransforms {
  @inlinable @inline(__always) public static var tile: Int { 4 }
  @inlinable @inline(__always) public static var points: Int { 6 }
  @inlinable @inline(__always) public static var filterPoints: Int { 6 }

  @inlinable @inline(__always)
  public static func input<V: FloatArithmetic>(_ source: (Int) -> V, _ target: (Int, V) -> Void) {
    let four = V(repeating: 4)
    let (minusFour, minusFive) = (V(repeating: -4), V(repeating: -5))
    target(0, source(4).addingProductFast(source(2), minusFive).addingProductFast(source(0), four))
    let even = source(4).addingProductFast(source(2), minusFour)
    let odd = source(3).addingProductFast(source(1), minusFour)
    target(1, even + odd)
    target(2, even - odd)
    let (evenOfTwo, oddOfTwo) = (source(4) - source(2), source(3) - source(1))
    target(3, evenOfTwo.addingProductFast(oddOfTwo, V(repeating: 2)))
    target(4, evenOfTwo.addingProductFast(oddOfTwo, V(repeating: -2)))
    target(5, source(5).addingProductFast(source(3), minusFive).addingProductFast(source(1), four))
  }

  @inlinable @inline(__always)
  public static func weights<V: FloatVector>(_ source: (Int) -> V, _ target: (Int, V) -> Void) {
    let (x0, x1, x2) = (source(0), source(1), source(2))
    let (sixth, quarter) = (V(repeating: 1 / 6), V(repeating: 0.25))
    let even = sixth * (V(repeating: 0) - (x0 + x2))
    let evenOfTwo = sixth * (quarter * x0 + x2)
    let (odd, oddOfTwo) = (sixth * x1, V(repeating: 1 / 12) * x1)
    target(0, quarter * x0)
    target(1, even - odd)
    target(2, even + odd)
    target(3, evenOfTwo + oddOfTwo)
    target(4, evenOfTwo - oddOfTwo)
    target(5, x2)
  }

  @inlinable @inline(__always)
  public static func output<V: FloatArithmetic>(_ source: (Int) -> V, _ target: (Int, V) -> Void) {
    let (sum, sumOfTwo) = (source(1) + source(2), source(3) + source(4))
    target(0, source(0) + sum + sumOfTwo)
    target(2, sum.addingProductFast(sumOfTwo, V(repeating: 4)))
    let (difference, differenceOfTwo) = (source(1) - source(2), source(3) - source(4))
    target(1, difference.addingProductFast(differenceOfTwo, V(repeating: 2)))
    target(3, (difference + source(5)).addingProductFast(differenceOfTwo, V(repeating: 8)))
  }
}

/// F(3, 4): the points of F(4, 3), and so its transform of the input.
public enum WinogradF3: WinogradTransforms {
  @inlinable @inline(__always) public static var taps: Int { 4 }
  @inlinable @inline(__always) public static var tile: Int { 3 }
  @inlinable @inline(__always) public static var points: Int { 6 }
  @inlinable @inline(__always) public static var filterPoints: Int { 6 }

  @inlinable @inline(__always)
  public static func input<V: FloatArithmetic>(_ source: (Int) -> V, _ target: (Int, V) -> Void) {
    WinogradF4.input(source, target)
  }

  @inlinable @inline(__always)
  public static func weights<V: FloatVector>(_ source: (Int) -> V, _ target: (Int, V) -> Void) {
    let (x0, x1, x2, x3) = (source(0), source(1), source(2), source(3))
    let (sixth, quarter) = (V(repeating: 1 / 6), V(repeating: 0.25))
    let even = sixth * (V(repeating: 0) - (x0 + x2))
    let evenOfTwo = sixth * (quarter * x0 + x2)
    let (odd, oddOfTwo) = (sixth * (x1 + x3), sixth * (V(repeating: 0.5) * x1 + (x3 + x3)))
    target(0, quarter * x0)
    target(1, even - odd)
    target(2, even + odd)
    target(3, evenOfTwo + oddOfTwo)
    target(4, evenOfTwo - oddOfTwo)
    target(5, x3)
  }

  @inlinable @inline(__always)
  public static func output<V: FloatArithmetic>(_ source: (Int) -> V, _ target: (Int, V) -> Void) {
    let (sum, sumOfTwo) = (source(1) + source(2), source(3) + source(4))
    target(0, source(0) + sum + sumOfTwo)
    target(2, (sum + source(5)).addingProductFast(sumOfTwo, V(repeating: 4)))
    let (difference, differenceOfTwo) = (source(1) - source(2), source(3) - source(4))
    target(1, difference.addingProductFast(differenceOfTwo, V(repeating: 2)))
  }
}

/// F(2, 3) of stride 2: F(2, 2) with points 0, 1, ∞ for the filter's outer taps, which meet the even inputs alone, and
/// a product for each output with the middle one.
public enum WinogradStrided2: WinogradTransforms {
  @inlinable @inline(__always) public static var tile: Int { 2 }
  @inlinable @inline(__always) public static var points: Int { 5 }
  @inlinable @inline(__always) public static var filterPoints: Int { 4 }

  @inlinable @inline(__always)
  public static func input<V: FloatArithmetic>(_ source: (Int) -> V, _ target: (Int, V) -> Void) {
    let (x0, x1, x2, x3, x4) = (source(0), source(1), source(2), source(3), source(4))
    target(0, x0 - x2)
    target(1, x2)
    target(2, x4 - x2)
    target(3, x1)
    target(4, x3)
  }

  @inlinable @inline(__always)
  public static func weights<V: FloatVector>(_ source: (Int) -> V, _ target: (Int, V) -> Void) {
    let (x0, x1, x2) = (source(0), source(1), source(2))
    target(0, x0)
    target(1, x0 + x2)
    target(2, x2)
    target(3, x1)
  }

  @inlinable @inline(__always)
  public static func output<V: FloatArithmetic>(_ source: (Int) -> V, _ target: (Int, V) -> Void) {
    let (x0, x1, x2, x3, x4) = (source(0), source(1), source(2), source(3), source(4))
    target(0, x0 + x1 + x3)
    target(1, x1 + x2 + x4)
  }
}
